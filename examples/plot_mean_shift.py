"""
Mean shift: every point climbs to its mode
==========================================

How many clusters are there? Mean shift [1]_ does not ask: it lets every point climb the kernel density estimate, by moving it to
the weighted mean of the samples around it,

.. math::

    x_i \\leftarrow \\frac{\\sum_j \\exp(-\\|x_i - y_j\\|^2 / 2 h^2) \\; y_j}{\\sum_j \\exp(-\\|x_i - y_j\\|^2 / 2 h^2)},

again and again. Points that arrive at the same summit are a cluster, of any shape. The mean is a softmax that is applied to
values: the reduction ``SumSoftMaxWeight``, which also holds where all weights underflow.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.

.. [1] Y. Cheng, "Mean shift, mode seeking, and clustering", IEEE Transactions on Pattern Analysis and Machine Intelligence
   17, 1995.
"""

import argparse
import time

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

###############################################################################
# One step, for all points
# ------------------------
#
# ``formula`` is the logarithm of the weights, ``formula2`` what is averaged.

shift = Genred(
    "-SqDist(x, y) * g", ["x = Vi(2)", "y = Vj(2)", "g = Pm(1)"], reduction_op="SumSoftMaxWeight", formula2="y", axis=1
)


def mean_shift(samples, h, steps=80):
    """The path of every sample, an array of shape (steps + 1, N, 2)."""
    path = [samples]
    for _ in range(steps):
        path.append(shift(path[-1], samples, np.array([0.5 / h**2])))
    return np.array(path)


def summits(ends, h):
    """Places that the points arrived at, with the labels of the points: ends within half a bandwidth are one summit."""
    labels, centres = np.full(len(ends), -1), []
    while np.any(labels < 0):
        centre = ends[labels < 0][0]
        labels[(labels < 0) & (((ends - centre) ** 2).sum(axis=1) < (h / 2) ** 2)] = len(centres)
        centres.append(centre)
    return labels, np.array(centres)


h = 0.3
began = time.perf_counter()
path = mean_shift(y, h)
seconds = time.perf_counter() - began
labels, centres = summits(path[-1], h)
print(
    f"{len(y)} points, {len(path) - 1} steps in {seconds:.2f} s: {len(centres)} summits, of {np.bincount(labels)} points"
)
print(f"adjusted Rand index with the heaps: {adjusted_rand_score(truth, labels):.3f}")

###############################################################################
# At a summit the gradient of the density is zero; the step is that gradient, rescaled. So the density never falls on the
# way, which `KernelDensity` can confirm:

density = KernelDensity(bandwidth=h).fit(y)
heights = np.array([density.score_samples(points) for points in path[::8]])
fall = max(0, -np.diff(heights, axis=0).min())
print(
    f"log densities rise from {heights[0].mean():.3f} to {heights[-1].mean():.3f} on average; largest fall {fall:.1e}"
)

###############################################################################
# In more dimensions nothing changes. The 150 irises, in four measurements:

iris = load_iris()
climb = Genred(
    "-SqDist(x, y) * g", ["x = Vi(4)", "y = Vj(4)", "g = Pm(1)"], reduction_op="SumSoftMaxWeight", formula2="y", axis=1
)
ends = iris.data
for _ in range(300):
    ends = climb(ends, iris.data, np.array([0.5 / 0.45**2]))
species, flowers = summits(ends, 0.45)
print(
    f"irises: {len(flowers)} summits, adjusted Rand index with the species {adjusted_rand_score(iris.target, species):.2f}"
)

###############################################################################
# The figure
# ----------
#
# Left: the paths of some of the points over the density. Right: the points, by the summit that they reach.


def plot():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(12, 3.4), sharex=True, sharey=True, layout="constrained")
    a, b = np.linspace(-5, 6, 150), np.linspace(-2.6, 2.8, 90)
    values = np.exp(density.score_samples(np.stack(np.meshgrid(a, b), axis=-1).reshape(-1, 2))).reshape(90, 150)
    axes[0].contourf(a, b, values, levels=14, cmap="Blues")
    axes[0].plot(*path[:, ::25].transpose(2, 0, 1), color="black", lw=0.5, alpha=0.6)
    axes[0].plot(*centres.T, "o", color="tab:orange", ms=7, mec="black", label="summits")
    axes[0].legend(loc="upper right")
    axes[0].set_title(f"paths uphill, bandwidth {h}")
    colours = plt.get_cmap("tab10")(np.argsort(np.argsort(-np.bincount(labels))) % 10)
    axes[1].scatter(*y.T, c=colours[labels], s=4, linewidths=0)
    axes[1].plot(*centres.T, "o", color="white", ms=7, mec="black")
    axes[1].set_title(f"{len(centres)} clusters")
    for axis in axes:
        axis.set(xticks=[], yticks=[], aspect="equal")
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(description="Mean shift: every point climbs to its mode.")
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
