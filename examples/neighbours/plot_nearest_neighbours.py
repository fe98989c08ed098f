"""
Nearest neighbours in any metric
================================

Trees for nearest neighbours need a metric they know, and few dimensions. Here a metric is a formula :math:`F(x_i, y_j)`,
and its :math:`K` smallest values are a reduction,

.. math::

    \\mathrm{argKmin}_{j = 1, \\dots, N} \\; F(x_i, y_j),

over all pairs, without the matrix of distances. :class:`skkeops.NearestNeighbors` is the estimator. We
classify handwritten digits with nine of them, and then look at a metric that no tree of scikit-learn has: that of the
hyperbolic plane.
"""

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
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
    """Indices of the nearest training images of each test image, the nearest first."""
    return (
        NearestNeighbors(n_neighbors=largest, metric=formula)
        .fit(X_train)
        .kneighbors(X_test, return_distance=False)
    )


def accuracy(found, k):
    """Of the vote of the k nearest; of classes with as many votes, the first wins."""
    votes = (y_train[found[:, :k]][:, :, None] == np.arange(10)).sum(axis=1)
    return np.mean(votes.argmax(axis=1) == y_test)


ks = (1, 3, 5, 9, 15)
accuracies = {}
print(f"{'accuracy of the vote of K neighbours':36}" + "".join(f"{k:8}" for k in ks))
for name, formula in metrics.items():
    found = neighbours(formula)
    accuracies[name] = [accuracy(found, k) for k in ks]
    print(f"{name:36}" + "".join(f"{a:8.4f}" for a in accuracies[name]))

ranking = sorted(metrics, key=lambda name: np.mean(accuracies[name]))
table = 100 * np.array([accuracies[name] for name in ranking])

figure, axis = plt.subplots(figsize=(7, 4.2), layout="constrained")
image = axis.imshow(table, origin="lower", aspect="auto", cmap="viridis")
for row, values in enumerate(table):
    for column, value in enumerate(values):
        colour = "white" if value < table.mean() else "black"
        axis.text(
            column,
            row,
            f"{value:.1f}",
            ha="center",
            va="center",
            fontsize=9,
            color=colour,
        )
axis.set_xticks(range(len(ks)), ks)
axis.set_yticks(range(len(ranking)), ranking)
axis.set(xlabel="neighbours that vote", title="accuracy on 899 digits, percent")
plt.show()

###############################################################################
# What the metrics disagree about: a test image, and its five nearest training images by each of four metrics.

chosen = ("Euclidean", "chi-squared", "Chebyshev", "cosine")
found = {name: neighbours(metrics[name])[:, :5] for name in chosen}
wrong = [(y_train[found[name]] != y_test[:, None]).sum(axis=1) for name in chosen]
row = np.ptp(wrong, axis=0).argmax()

figure, axes = plt.subplots(len(chosen), 6, figsize=(6, 4.2), layout="constrained")
for line, name in zip(axes, chosen, strict=True):
    images = [X_test[row], *X_train[found[name][row]]]
    labels = [y_test[row], *y_train[found[name][row]]]
    for axis, image, label in zip(line, images, labels, strict=True):
        axis.imshow(image.reshape(8, 8), cmap="gray_r")
        axis.set(xticks=[], yticks=[])
        for spine in axis.spines.values():
            spine.set(color="0.8" if label == y_test[row] else "tab:red", linewidth=2)
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
axes[0, 0].set_title("query", fontsize=10)
axes[0, 3].set_title("nearest; framed in red: another digit", fontsize=10)
plt.show()

###############################################################################
# The estimator
# -------------
#
# The vote, too, is an estimator: :class:`skkeops.KNeighborsClassifier`, with scikit-learn's parameters and results. A metric may be
# one of scikit-learn's names.

for title, model in (
    ("ours, Manhattan", KNeighborsClassifier(5, metric="manhattan")),
    (
        "scikit-learn's, Manhattan",
        sklearn.neighbors.KNeighborsClassifier(5, metric="manhattan"),
    ),
    (
        "ours, chi-squared, weighted",
        KNeighborsClassifier(5, metric=metrics["chi-squared"], weights="distance"),
    ),
):
    print(f"accuracy, K = 5, {title}: {model.fit(X_train, y_train).score(X_test, y_test):.4f}")

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
    """Nodes of a regular tree in the disk, and their levels; a level is `step` farther out."""
    nodes, depth = [np.zeros((1, 2))], [np.zeros(1, int)]
    for level in range(1, levels):
        count = children * 2 ** (level - 1)
        angle = 2 * np.pi * (np.arange(count) + 0.5) / count
        nodes.append(
            np.tanh(level * step / 2) * np.column_stack([np.cos(angle), np.sin(angle)])
        )
        depth.append(np.full(count, level))
    return np.concatenate(nodes), np.concatenate(depth)


nodes, depth = tree()

side = 400
line = np.linspace(-1, 1, side)
pixels = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
inside = (pixels**2).sum(axis=1) < 0.999


def cells(formula):
    nearest = (
        NearestNeighbors(n_neighbors=1, metric=formula)
        .fit(nodes)
        .kneighbors(pixels[inside], return_distance=False)[:, 0]
    )
    image = np.full(len(pixels), np.nan)
    image[inside] = nearest
    return image.reshape(side, side)


diagrams = {
    "nearest node, Euclidean": cells("SqDist(x, y)"),
    "nearest node, hyperbolic": cells(hyperbolic),
}
first, second = diagrams.values()
changed = np.nanmean(np.where(np.isnan(first), np.nan, first != second))
print(f"{len(nodes)} nodes of a tree: {changed:.0%} of the disk have another nearest node")

colours = plt.get_cmap("tab20")(np.arange(20))
colours = np.concatenate([colours[0::2], colours[1::2]])

figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
for axis, (title, image) in zip(axes, diagrams.items(), strict=True):
    shown = np.ones((side, side, 4))
    known = ~np.isnan(image)
    shown[known] = colours[(image[known].astype(int) * 7) % 20]
    axis.imshow(shown, origin="lower", extent=(-1, 1, -1, 1), alpha=0.75)
    axis.scatter(*nodes.T, s=(7 - depth) ** 2, color="black", zorder=2)
    axis.set(title=title)
    axis.set_axis_off()
plt.show()
