"""
k-means and nearest neighbours with LazyTensor
==============================================

A :class:`skkeops.LazyTensor` is an array indexed by pairs that is never stored: it is written like NumPy with broadcasting,
and computed when it is reduced. Those who know KeOps' LazyTensor change the import.

On scikit-learn's digits, k-means is an ``argmin`` over ten centres, and a classifier by nearest neighbours is an ``argKmin``.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import train_test_split

from skkeops import Vi, Vj

X, y = load_digits(return_X_y=True)

###############################################################################
# k-means
# -------
#
# Lloyd's algorithm: every image goes to the nearest centre, every centre to the mean of its images.


def nearest(points, centres):
    """The index of the nearest centre of each point."""
    return Vi(points).sqdist(Vj(centres)).argmin(axis=1)[:, 0]


def k_means(points, k, iterations=30, seed=1):
    centres = points[np.random.default_rng(seed).choice(len(points), k, replace=False)]
    for _ in range(iterations):
        labels = nearest(points, centres)
        counts = np.bincount(labels, minlength=k)
        sums = np.stack([np.bincount(labels, weights=column, minlength=k) for column in points.T], axis=1)
        centres = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
    return nearest(points, centres), centres


labels, centres = k_means(X, 10)
print(f"k-means: the clusters agree with the digits, adjusted Rand index {adjusted_rand_score(y, labels):.2f}")

###############################################################################
# Nearest neighbours
# ------------------
#
# Five nearest training images of each test image; the most frequent of their digits wins.

X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
neighbours = ((Vi(X_test) - Vj(X_train)) ** 2).sum(-1).argKmin(5, dim=1)
votes = (y_train[neighbours][:, :, None] == np.arange(10)).sum(axis=1)
print(f"5 nearest neighbours: accuracy {np.mean(votes.argmax(axis=1) == y_test):.4f} on {len(y_test)} images")

###############################################################################
# The figure
# ----------
#
# The centres, as images.


def plot():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 10, figsize=(10, 1.6))
    for axis, centre, count in zip(axes, centres, np.bincount(labels, minlength=10), strict=True):
        axis.imshow(centre.reshape(8, 8), cmap="gray_r")
        axis.set_title(f"{count} images", fontsize=7)
        axis.set_axis_off()
    figure.tight_layout()
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(description="k-means and nearest neighbours with LazyTensor.")
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
