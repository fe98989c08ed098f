"""
k-means: the sixteen colours of a picture
=========================================

A photograph has a hundred thousand colours. Lloyd's algorithm for k-means finds sixteen that stand for all of them, by two
steps that take turns: every pixel goes to the nearest centre, every centre to the mean of its pixels. The first step is

.. math::

    \\ell_i = \\mathrm{argmin}_{j = 1, \\dots, K} \\; \\|x_i - c_j\\|^2, \\qquad i = 1, \\dots, N

with hundreds of thousands of pixels :math:`x_i` and few centres :math:`c_j`. With a :class:`skkeops.LazyTensor` it is one
line, and another distance is another line: with the sum of absolute differences, and medians, it is k-medians.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

import argparse
import time

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_sample_image

from skkeops import Vi, Vj

###############################################################################
# The picture
# -----------
#
# One of the two that come with scikit-learn, which needs Pillow to read it; without, we paint one.

try:
    picture = load_sample_image("flower.jpg") / 255.0
except ImportError:
    red, green = np.meshgrid(np.linspace(0, 1, 640), np.linspace(0, 1, 427))
    picture = np.stack([red, green, np.sin(9 * red * green) ** 2], axis=-1)
pixels = picture.reshape(-1, 3)
K = 16
print(f"{len(pixels)} pixels, {len(np.unique(pixels, axis=0))} colours")

###############################################################################
# The algorithm
# -------------
#
# The assignment, written down; the update is NumPy's: sums of the pixels of each label.


def by_squares(x, c):
    return ((Vi(x) - Vj(c)) ** 2).sum(-1)


def by_absolute_values(x, c):
    return (Vi(x) - Vj(c)).abs().sum(-1)


def means(x, labels):
    counts = np.bincount(labels, minlength=K)
    sums = np.stack([np.bincount(labels, weights=column, minlength=K) for column in x.T], axis=1)
    return sums / np.maximum(counts, 1)[:, None]


def medians(x, labels):
    return np.stack([np.median(x[labels == k], axis=0) if np.any(labels == k) else x[k] for k in range(K)])


def lloyd(x, centres, distance, middle, iterations):
    """Labels and centres, and the mean distance at the beginning of each iteration."""
    history = []
    for _ in range(iterations):
        least, labels = distance(x, centres).min_argmin(axis=1)
        history.append(least.mean())
        centres = middle(x, labels[:, 0])
    return labels[:, 0], centres, history


start = pixels[np.random.default_rng(1).choice(len(pixels), K, replace=False)]
began = time.perf_counter()
labels, centres, history = lloyd(pixels, start, by_squares, means, 40)
seconds = time.perf_counter() - began
print(
    f"k-means: {len(history)} iterations in {seconds:.2f} s, mean squared distance {history[0]:.5f} -> {history[-1]:.5f}"
)
absolute_labels, absolute_centres, absolute_history = lloyd(pixels, start, by_absolute_values, medians, 15)
print(f"k-medians: mean absolute distance {absolute_history[0]:.4f} -> {absolute_history[-1]:.4f}")

###############################################################################
# From the same start, scikit-learn's `KMeans` walks the same path:

began = time.perf_counter()
theirs = KMeans(K, init=start, n_init=1, max_iter=40, tol=0, algorithm="lloyd").fit(pixels)
print(
    f"scikit-learn's KMeans: {time.perf_counter() - began:.2f} s, mean squared distance {theirs.inertia_ / len(pixels):.5f}"
)

###############################################################################
# The figure
# ----------
#
# The picture in its own colours, and in sixteen of two kinds. The bars are the centres, as wide as their share of the pixels.


def plot():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(12, 3.6), height_ratios=[8, 1], layout="constrained")
    axes[0, 0].imshow(picture)
    axes[0, 0].set_title("all colours")
    ways = {"k-means": (labels, centres), "k-medians": (absolute_labels, absolute_centres)}
    for (top, bottom), (name, (of_pixels, colours)) in zip(axes.T[1:], ways.items(), strict=True):
        top.imshow(np.clip(colours[of_pixels].reshape(picture.shape), 0, 1))
        top.set_title(f"{K} colours, {name}")
        order = np.argsort(colours.sum(axis=1))
        share = np.bincount(of_pixels, minlength=K)[order] / len(of_pixels)
        bottom.barh(0, share, left=np.cumsum(share) - share, color=np.clip(colours[order], 0, 1))
        bottom.set(xlim=(0, 1), yticks=[], xlabel="share of the pixels")
    axes[1, 0].plot(history, color="black")
    axes[1, 0].set(xlabel="iterations of k-means", ylim=(0, None), ylabel="cost")
    for axis in axes[0]:
        axis.set_axis_off()
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(description="k-means: the sixteen colours of a picture.")
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
