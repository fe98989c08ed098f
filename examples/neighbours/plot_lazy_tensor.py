"""
k-means and nearest neighbours with LazyTensor
==============================================

A :class:`skkeops.LazyTensor` is an array indexed by pairs that is never stored: it is written like NumPy with broadcasting,
and computed when it is reduced. If you know KeOps' LazyTensor, change the import and go on.

On scikit-learn's digits, k-means is an ``argmin`` over ten centres, and a classifier by nearest neighbours is an ``argKmin``.
"""

import matplotlib.pyplot as plt
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
        sums = np.stack(
            [np.bincount(labels, weights=column, minlength=k) for column in points.T],
            axis=1,
        )
        centres = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
    return nearest(points, centres), centres


labels, centres = k_means(X, 10)
print(f"adjusted Rand index of clusters and digits: {adjusted_rand_score(y, labels):.2f}")

###############################################################################
# The centres, as images, with the digit that most of their images show:

figure, axes = plt.subplots(1, 10, figsize=(9, 1.5), layout="constrained")
for k, axis in enumerate(axes):
    digits = np.bincount(y[labels == k], minlength=10)
    axis.imshow(centres[k].reshape(8, 8), cmap="gray_r")
    axis.set_title(f"{digits.argmax()}: {digits.max() / digits.sum():.0%}", fontsize=9)
    axis.set_axis_off()
plt.show()

###############################################################################
# Nearest neighbours
# ------------------
#
# Five nearest training images of each test image; the most frequent of their digits wins.

X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
neighbours = ((Vi(X_test) - Vj(X_train)) ** 2).sum(-1).argKmin(5, dim=1)
votes = (y_train[neighbours][:, :, None] == np.arange(10)).sum(axis=1)
print(f"5 nearest neighbours: accuracy {np.mean(votes.argmax(axis=1) == y_test):.4f}")

###############################################################################
# Some of the images that are not recognised, with the votes:

mistakes = np.flatnonzero(votes.argmax(axis=1) != y_test)[:10]

figure, axes = plt.subplots(1, 10, figsize=(9, 1.5), layout="constrained")
for axis, row in zip(axes, mistakes, strict=True):
    axis.imshow(X_test[row].reshape(8, 8), cmap="gray_r")
    axis.set_title(f"{votes[row].argmax()}, not {y_test[row]}", fontsize=9)
    axis.set_axis_off()
plt.show()
