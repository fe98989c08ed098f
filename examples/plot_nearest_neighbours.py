"""
Nearest neighbours in any metric
================================

Trees for nearest neighbours need a metric they know, and few dimensions. Here a metric is a formula :math:`F(x_i, y_j)`,
and its :math:`K` smallest values are a reduction,

.. math::

    \\mathrm{argKmin}_{j = 1, \\dots, N} \\; F(x_i, y_j),

over all pairs, without the matrix of distances. :class:`skkeops.NearestNeighbors` makes an estimator of it. We
classify handwritten digits with nine of them, and then look at a metric that no tree of scikit-learn has: the hyperbolic plane's.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

import argparse
import time

import numpy as np
import sklearn.neighbors
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skkeops import KNeighborsClassifier, NearestNeighbors

###############################################################################
# Metrics as formulas
# -------------------
#
# ``x`` and ``y`` are two images of 64 grey values. Only the order of the neighbours counts, so that monotone functions of a metric
# can be left out. (``Sum`` in a formula is the sum over the 64 components of one pair.)

metrics = {
    "Euclidean": "SqDist(x, y)",
    "Manhattan": "Sum(Abs(x - y))",
    "Minkowski, p=4": "Sum(Square(Square(x - y)))",
    "Chebyshev": "Max(Abs(x - y))",
    "cosine": "-(Normalize(x) | Normalize(y))",
    "chi-squared": "Sum(Square(x - y) / (x + y + 0.001))",
    "Hellinger": "SqDist(Sqrt(x), Sqrt(y))",
    "Canberra": "Sum(Abs(x - y) / (x + y + 0.001))",
    "relative entropy": "Sum((x + 1) * Log((x + 1) / (y + 1)) - x + y)",
}
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
largest = 15


def neighbours(formula):
    """The indices of the `largest` nearest training images of each test image, the nearest first."""
    return NearestNeighbors(n_neighbors=largest, metric=formula).fit(X_train).kneighbors(X_test, return_distance=False)


def accuracy(found, k):
    """Of the vote of the k nearest; of classes with as many votes, the first wins."""
    votes = (y_train[found[:, :k]][:, :, None] == np.arange(10)).sum(axis=1)
    return np.mean(votes.argmax(axis=1) == y_test)


ks = (1, 3, 5, 9, 15)
curves = {}
print(f"{'accuracy of the vote of K neighbours':36}" + "".join(f"{k:8}" for k in ks) + f"{'time':>10}")
for name, formula in metrics.items():
    start = time.perf_counter()
    found = neighbours(formula)
    seconds = time.perf_counter() - start
    curves[name] = [accuracy(found, k) for k in ks]
    print(f"{name:36}" + "".join(f"{a:8.4f}" for a in curves[name]) + f"{1e3 * seconds:7.1f} ms")

###############################################################################
# The vote, too, is an estimator: :class:`skkeops.KNeighborsClassifier`, with scikit-learn's parameters and results. A metric may be
# one of scikit-learn's names.

for title, model in (
    ("ours, Manhattan", KNeighborsClassifier(5, metric="manhattan")),
    ("scikit-learn's, Manhattan", sklearn.neighbors.KNeighborsClassifier(5, metric="manhattan")),
    ("ours, chi-squared, weighted", KNeighborsClassifier(5, metric=metrics["chi-squared"], weights="distance")),
):
    print(f"KNeighborsClassifier, K = 5, {title}: {model.fit(X_train, y_train).score(X_test, y_test):.4f}")

###############################################################################
# The hyperbolic plane
# --------------------
#
# In Poincaré's disk, distances grow without bound towards the rim,
#
# .. math::
#
#     d(x, y) = \mathrm{arcosh} \Bigl(1 + 2 \frac{\|x - y\|^2}{(1 - \|x\|^2) (1 - \|y\|^2)} \Bigr),
#
# so that there is room for trees: each of its nodes can have the same number of children at the same distance, level after
# level. The inverse of the hyperbolic cosine grows, and is not needed to compare. Nodes of a tree are the centres; the
# cells of the nearest node, by one metric and by the other, are the picture.

hyperbolic = "SqDist(x, y) / ((1 - SqNorm2(x)) * (1 - SqNorm2(y)))"


def tree(levels=5, children=3, step=1.1):
    """Nodes of a regular tree in the disk, and their levels: a child's distance from the centre is `step` more."""
    nodes, depth = [np.zeros((1, 2))], [np.zeros(1, int)]
    for level in range(1, levels):
        count = children * 2 ** (level - 1)
        angle = 2 * np.pi * (np.arange(count) + 0.5) / count
        nodes.append(np.tanh(level * step / 2) * np.column_stack([np.cos(angle), np.sin(angle)]))
        depth.append(np.full(count, level))
    return np.concatenate(nodes), np.concatenate(depth)


nodes, depth = tree()
side = 400
line = np.linspace(-1, 1, side)
pixels = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
inside = (pixels**2).sum(axis=1) < 0.999


def cells(formula):
    nearest = NearestNeighbors(n_neighbors=1, metric=formula).fit(nodes).kneighbors(pixels[inside], return_distance=False)[:, 0]
    image = np.full(len(pixels), np.nan)
    image[inside] = nearest
    return image.reshape(side, side)


diagrams = {"nearest node, Euclidean": cells("SqDist(x, y)"), "nearest node, hyperbolic": cells(hyperbolic)}
first, second = diagrams.values()
print(
    f"\n{len(nodes)} nodes of a tree: {np.nanmean(np.where(np.isnan(first), np.nan, first != second)):.0%} of the disk change hands"
)

###############################################################################
# The figure
# ----------


def plot():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12.5, 4), width_ratios=[1.25, 1, 1])
    best = max(curves, key=lambda name: max(curves[name]))
    ends = sorted(curves, key=lambda name: curves[name][-1])
    for name, accuracies in curves.items():
        strong = name in (best, "Euclidean")
        axes[0].plot(
            ks,
            accuracies,
            "o-",
            ms=4,
            lw=2 if strong else 1,
            color={"Euclidean": "black", best: "tab:orange"}.get(name, "0.65"),
        )
    heights = np.array([curves[name][-1] for name in ends])
    places = heights.copy()
    for k in range(1, len(places)):  # labels one above the other
        places[k] = max(places[k], places[k - 1] + 0.0028)
    for name, height in zip(ends, places, strict=True):
        axes[0].text(15.4, height, name, va="center", fontsize=8, color="tab:orange" if name == best else "black")
    axes[0].set(xlim=(0, 22), xticks=ks, xlabel="K", title="accuracy on 899 digits")
    colours = plt.get_cmap("tab20")(np.arange(20))
    colours = np.concatenate([colours[0::2], colours[1::2]])
    for axis, (title, image) in zip(axes[1:], diagrams.items(), strict=True):
        shown = np.ones((side, side, 4))
        known = ~np.isnan(image)
        shown[known] = colours[(image[known].astype(int) * 7) % 20]
        axis.imshow(shown, origin="lower", extent=(-1, 1, -1, 1), alpha=0.75)
        for node, level in zip(nodes, depth, strict=True):
            axis.plot(*node, "o", color="black", ms=6 - level)
        axis.set(title=title)
        axis.set_axis_off()
    figure.tight_layout()
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(
        description="Nearest neighbours of digits in nine metrics, and in the hyperbolic plane."
    )
    parser.add_argument("--save", metavar="FILE", help="write the figure to this file instead of showing it")
    arguments = parser.parse_args(argv)
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("\nMatplotlib is not installed, so there is no figure: pip install matplotlib")
        return
    figure = plot()
    if arguments.save:
        figure.savefig(arguments.save, dpi=110)
        print(f"\nFigure saved to {arguments.save}")
    else:
        plt.show()


if __name__ == "__main__":
    main()
