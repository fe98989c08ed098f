"""
Mean shift: every point climbs to its mode
==========================================

How many clusters are there? Mean shift [1]_ does not ask: it lets every point climb the kernel density estimate, by moving it to
the weighted mean of the samples around it,

.. math::

    x_i \\leftarrow \\frac{\\sum_j \\exp(-\\|x_i - y_j\\|^2 / 2 h^2) \\; y_j}{\\sum_j \\exp(-\\|x_i - y_j\\|^2 / 2 h^2)},

again and again. Points that arrive at the same summit are a cluster, of any shape. The mean is a softmax that is applied to
values: the reduction ``SumSoftMaxWeight``, which also holds where all weights underflow.

.. [1] Y. Cheng, "Mean shift, mode seeking, and clustering", IEEE Transactions on Pattern Analysis and Machine Intelligence
   17, 1995.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score

from skkeops import Genred, KernelDensity

###############################################################################
# The data
# --------
#
# Four thousand points in six heaps of different sizes and shapes; three of them touch.

rng = np.random.default_rng(0)
heaps = [  # centre, spread along and across, angle, number of points
    ([-1.6, 0.9], [0.5, 0.5], 0.0, 800),
    ([-1.5, -0.9], [0.9, 0.25], 0.3, 700),
    ([0.5, 0.2], [0.7, 0.2], 1.3, 700),
    ([2.3, 1.2], [0.3, 0.3], 0.0, 500),
    ([3.6, 0.6], [0.5, 0.3], 0.8, 600),
    ([2.5, -1.2], [1.0, 0.25], -0.2, 700),
]
y, truth = [], []
for k, (centre, spread, angle, number) in enumerate(heaps):
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    y.append(centre + rng.standard_normal((number, 2)) * spread @ turn)
    truth.append(np.full(number, k))
y, truth = np.concatenate(y), np.concatenate(truth)

figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
axis.scatter(*y.T, c=truth, cmap="Dark2", s=4, linewidths=0)
axis.set(xticks=[], yticks=[], aspect="equal", title="six heaps")
plt.show()

###############################################################################
# One step, for all points
# ------------------------
#
# ``formula`` is the logarithm of the weights, ``formula2`` what is averaged.

shift = Genred(
    "-SqDist(x, y) * g",
    ["x = Vi(2)", "y = Vj(2)", "g = Pm(1)"],
    reduction_op="SumSoftMaxWeight",
    formula2="y",
    axis=1,
)


def mean_shift(samples, h, steps=80):
    """The path of every sample, an array of shape (steps + 1, N, 2)."""
    path = [samples]
    for _ in range(steps):
        path.append(shift(path[-1], samples, np.array([0.5 / h**2])))
    return np.array(path)


def summits(ends, h):
    """Labels of the points, and their summits: ends within half a bandwidth are one summit."""
    labels, centres = np.full(len(ends), -1), []
    while np.any(labels < 0):
        centre = ends[labels < 0][0]
        labels[(labels < 0) & (((ends - centre) ** 2).sum(axis=1) < (h / 2) ** 2)] = len(
            centres
        )
        centres.append(centre)
    return labels, np.array(centres)


h = 0.3
path = mean_shift(y, h)
labels, centres = summits(path[-1], h)
print(f"{len(centres)} summits, of {np.bincount(labels)} points")
print(f"adjusted Rand index with the heaps: {adjusted_rand_score(truth, labels):.3f}")

###############################################################################
# The paths of some of the points, over the density that they climb:

density = KernelDensity(bandwidth=h).fit(y)
a, b = np.linspace(-5, 6, 150), np.linspace(-2.6, 2.8, 90)
grid = np.stack(np.meshgrid(a, b), axis=-1).reshape(-1, 2)

figure, axis = plt.subplots(figsize=(8, 4.2), layout="constrained")
axis.contourf(
    a, b, np.exp(density.score_samples(grid)).reshape(90, 150), levels=14, cmap="Blues"
)
axis.plot(*path[:, ::25].transpose(2, 0, 1), color="black", lw=0.5, alpha=0.6)
axis.plot(*centres.T, "o", color="tab:orange", ms=8, mec="black", label="summits")
axis.legend(loc="upper right")
axis.set(xticks=[], yticks=[], aspect="equal", title=f"paths uphill, bandwidth {h}")
plt.show()

###############################################################################
# Points that reach the same summit are a cluster:

figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
axis.scatter(*y.T, c=labels, cmap="Dark2", s=4, linewidths=0)
axis.plot(*centres.T, "o", color="white", ms=8, mec="black")
axis.set(xticks=[], yticks=[], aspect="equal", title=f"{len(centres)} clusters")
plt.show()

###############################################################################
# The density never falls
# -----------------------
#
# At a summit the gradient of the density is zero; the step is that gradient, rescaled. So the density never falls on the
# way, which ``KernelDensity`` can confirm:

heights = np.array([density.score_samples(points) for points in path[::8]])
fall = max(0, -np.diff(heights, axis=0).min())
print(f"largest fall of a log density on the way: {fall:.1e}")

figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
axis.plot(np.arange(0, len(path), 8), heights[:, ::25], color="0.7", lw=0.6)
axis.plot(
    np.arange(0, len(path), 8),
    heights.mean(axis=1),
    color="tab:blue",
    lw=2,
    label="mean of all points",
)
axis.set(xlabel="step", ylabel="log density", ylim=np.quantile(heights, [0.01, 1]) + [0, 0.1])
axis.legend(loc="lower right")
plt.show()

###############################################################################
# More dimensions
# ---------------
#
# Nothing changes with the number of features. The 150 irises, in four measurements, have two summits: two of the three
# species overlap.

iris = load_iris()
climb = Genred(
    "-SqDist(x, y) * g",
    ["x = Vi(4)", "y = Vj(4)", "g = Pm(1)"],
    reduction_op="SumSoftMaxWeight",
    formula2="y",
    axis=1,
)
ends = iris.data
for _ in range(300):
    ends = climb(ends, iris.data, np.array([0.5 / 0.45**2]))
species, flowers = summits(ends, 0.45)
agreement = adjusted_rand_score(iris.target, species)
print(f"irises: {len(flowers)} summits, adjusted Rand index with the species {agreement:.2f}")

figure, axes = plt.subplots(
    1, 2, figsize=(9, 3.6), sharex=True, sharey=True, layout="constrained"
)
for axis, colour, title in zip(
    axes, (iris.target, species), ("species", "summits"), strict=True
):
    axis.scatter(*iris.data[:, 2:].T, c=colour, cmap="Dark2", vmin=0, vmax=7, s=18)
    axis.set(title=title, xlabel="petal length (cm)")
axes[0].set_ylabel("petal width (cm)")
axes[1].plot(*flowers[:, 2:].T, "o", color="white", ms=9, mec="black")
plt.show()
