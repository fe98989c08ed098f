"""
k-means: the sixteen colours of a picture
=========================================

A photograph has tens of thousands of colours. Lloyd's algorithm for k-means finds sixteen that stand for all of them, by two
steps that take turns: every pixel goes to the nearest centre, every centre to the mean of its pixels. The first step is

.. math::

    \\ell_i = \\mathrm{argmin}_{j = 1, \\dots, K} \\; \\|x_i - c_j\\|^2, \\qquad i = 1, \\dots, N

with hundreds of thousands of pixels :math:`x_i` and few centres :math:`c_j`. With a :class:`skkeops.LazyTensor` it is one
line, and another distance is another line: with the sum of absolute differences, and medians, it is k-medians.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_sample_image

from skkeops import Vi, Vj

###############################################################################
# The picture
# -----------
#
# One of the two that come with scikit-learn, which needs Pillow to read it.

picture = load_sample_image("flower.jpg") / 255.0
pixels = picture.reshape(-1, 3)
K = 16
print(f"{len(pixels)} pixels, {len(np.unique(pixels, axis=0))} colours")

figure, axis = plt.subplots(figsize=(7, 4.8), layout="constrained")
axis.imshow(picture)
axis.set_axis_off()
plt.show()

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
    sums = np.stack(
        [np.bincount(labels, weights=column, minlength=K) for column in x.T], axis=1
    )
    return sums / np.maximum(counts, 1)[:, None]


def medians(x, labels):
    return np.stack(
        [np.median(x[labels == k], axis=0) if np.any(labels == k) else x[k] for k in range(K)]
    )


def lloyd(x, centres, distance, middle, iterations):
    """Labels and centres, and the mean distance at the beginning of each iteration."""
    history = []
    for _ in range(iterations):
        least, labels = distance(x, centres).min_argmin(axis=1)
        history.append(least.mean())
        centres = middle(x, labels[:, 0])
    return labels[:, 0], centres, history


start = pixels[np.random.default_rng(1).choice(len(pixels), K, replace=False)]
labels, centres, history = lloyd(pixels, start, by_squares, means, 40)
print(f"k-means: mean squared distance {history[0]:.5f} -> {history[-1]:.5f}")
other_labels, other_centres, other_history = lloyd(
    pixels, start, by_absolute_values, medians, 15
)
print(f"k-medians: mean absolute distance {other_history[0]:.4f} -> {other_history[-1]:.4f}")

###############################################################################
# The picture in sixteen colours. The bars are the centres, as wide as their share of the pixels.


def show_in(labels, colours, title):
    """The picture in the colours of its labels, above their shares."""
    colours = np.clip(colours, 0, 1)
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(7, 5.4), height_ratios=[12, 1], layout="constrained"
    )
    top.imshow(colours[labels].reshape(picture.shape))
    top.set_title(title)
    top.set_axis_off()
    order = np.argsort(colours.sum(axis=1))
    share = np.bincount(labels, minlength=K)[order] / len(labels)
    bottom.barh(0, share, left=np.cumsum(share) - share, color=colours[order])
    bottom.set(xlim=(0, 1), ylim=(-0.4, 0.4), yticks=[], xlabel="share of the pixels")
    plt.show()


show_in(labels, centres, f"{K} colours by k-means")

###############################################################################
# And by k-medians:

show_in(other_labels, other_centres, f"{K} colours by k-medians")

###############################################################################
# Beside scikit-learn
# -------------------
#
# From the same start, scikit-learn's ``KMeans`` ends in the same place:

theirs = KMeans(K, init=start, n_init=1, max_iter=40, tol=0, algorithm="lloyd").fit(pixels)
print(f"scikit-learn's KMeans: mean squared distance {theirs.inertia_ / len(pixels):.5f}")

figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
axis.plot(history, color="tab:blue", label="k-means, each iteration")
axis.axhline(
    theirs.inertia_ / len(pixels),
    color="black",
    lw=0.8,
    ls="--",
    label="scikit-learn, in the end",
)
axis.set(xlabel="iteration", ylabel="mean squared distance", ylim=(0, None))
axis.legend()
plt.show()
