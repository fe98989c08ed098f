"""
Block-sparse sums: skip the pairs that do not count
===================================================

A Gaussian kernel is :math:`10^{-9}` at a distance of 6.4 length scales. When the data is much wider than that, nearly all pairs
are computed for nothing. The remedy takes four lines: sort the points into the cells of a grid, find the pairs of cells that
are near, and hand them over as ``ranges``; the sum visits those blocks only,

.. math::

    c_i = \\sum_{j \\in \\mathrm{near}(i)} \\exp\\Bigl( -\\frac{\\|x_i - y_j\\|^2}{2 \\ell^2} \\Bigr) \\, b_j.

Derivatives and linear systems take ``ranges`` as well. In the end we solve a system with 100 000 unknowns: kernel ridge
regression on a hundred thousand points.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

import argparse
import time

import numpy as np

from skkeops import Genred, KernelSolve, cluster

###############################################################################
# The data
# --------
#
# Points along a long curve in the plane, sorted by the cells of a grid: the points of a cell lie one behind the other.

N, length = 20_000, 0.02
rng = np.random.default_rng(0)
t = rng.random(N) * 2 * np.pi
x = np.column_stack([np.cos(3 * t), np.sin(2 * t)]) + 0.03 * rng.standard_normal((N, 2))
b = rng.standard_normal((N, 1))
labels = cluster.grid_cluster(x, 0.08)
(x, b), labels = cluster.sort_clusters((x, b), labels)
ranges, centres, counts = cluster.cluster_ranges_centroids(x, labels)
print(f"{N} points in {len(ranges)} cells of {counts.min():.0f} to {counts.max():.0f} points")

###############################################################################
# Near cells
# ----------
#
# Points of two cells are at least as far apart as their centres minus both radii. The cells whose points may be nearer than
# ``reach`` are kept.

radii = np.array(
    [np.sqrt(((x[first:last] - centre) ** 2).sum(axis=1).max()) for (first, last), centre in zip(ranges, centres)]
)
gaps = np.sqrt(((centres[:, None] - centres) ** 2).sum(axis=2)) - radii[:, None] - radii


def blocks(reach):
    return cluster.from_matrix(ranges, ranges, gaps < reach)


def share(reach):
    return counts @ (gaps < reach) @ counts / N**2


###############################################################################
# The sum
# -------
#
# With all pairs, and with the blocks for several reaches. Values outside are below :math:`\exp(-\mathrm{reach}^2 / 2 \ell^2)`,
# and so is the relative error, more or less.

gaussian = Genred("Exp(-SqDist(x, y) * g) * b", ["x = Vi(2)", "y = Vj(2)", "g = Pm(1)", "b = Vj(1)"], axis=1)
g = np.array([0.5 / length**2])


def timed(**options):
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        result = gaussian(x, x, g, b, **options)
        seconds.append(time.perf_counter() - began)
    return result, min(seconds)


exact, full = timed()
print(f"all pairs: {1e3 * full:.0f} ms")
results = []
for factor in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9):
    result, seconds = timed(ranges=blocks(factor * length))
    error = np.abs(result - exact).max() / np.abs(exact).max()
    results.append((factor, share(factor * length), seconds / full, error))
    print(
        f"cells within {factor} length scales: {results[-1][1]:6.1%} of the pairs, {1e3 * seconds:5.1f} ms, error {error:.0e}"
    )

###############################################################################
# A gradient with blocks is that of the sum with blocks.

near = blocks(7 * length)
difference = gaussian.gradient(x, x, g, b, wrt="x", ranges=near) - gaussian.gradient(x, x, g, b, wrt="x")
print(f"gradients by x differ by at most {np.abs(difference).max():.0e}")

###############################################################################
# A system with 100 000 unknowns
# ------------------------------
#
# Kernel ridge regression in the plane, :math:`(K + \alpha I) a = b`: with all pairs a product takes ten billion
# exponentials, a minute or so for all iterations. The kernel of length scale 0.008 needs two percent of them. A change of
# the data's order is a change of the order of the unknowns, no more.

M, narrow = 100_000, 0.008
points = rng.random((M, 2))
points, cells = cluster.sort_clusters(points, cluster.grid_cluster(points, 0.04))
heights = np.sin(14 * points[:, :1]) * np.cos(9 * points[:, 1:]) + 0.3 * rng.standard_normal((M, 1))
limits = cluster.cluster_ranges(cells)
corners = np.array([[points[a:b].min(axis=0), points[a:b].max(axis=0)] for a, b in limits])
apart = np.maximum(corners[:, None, 0] - corners[None, :, 1], corners[None, :, 0] - corners[:, None, 1]).clip(0)
kept = (apart**2).sum(axis=2) < (5 * narrow) ** 2
sizes = np.diff(limits)[:, 0]
solver = KernelSolve("Exp(-SqDist(x, y) * g) * a", ["x = Vi(2)", "y = Vj(2)", "g = Pm(1)", "a = Vj(1)"], "a", axis=1)
system = cluster.from_matrix(limits, limits, kept)
began = time.perf_counter()
steps = []
coefficients = solver(
    points, points, np.array([0.5 / narrow**2]), heights, alpha=3.0, eps=3e-3, ranges=system, callback=steps.append
)
print(
    f"\n{M} unknowns, {sizes @ kept @ sizes / M**2:.1%} of the pairs: "
    f"{len(steps)} iterations in {time.perf_counter() - began:.1f} s"
)
fitted = solver.function(points, points, np.array([0.5 / narrow**2]), coefficients, ranges=system)
truth = np.sin(14 * points[:, :1]) * np.cos(9 * points[:, 1:])
print(f"noise of 0.3 on the data; the fit is off by {np.sqrt(np.mean((fitted - truth) ** 2)):.3f}, root mean square")

###############################################################################
# The figure
# ----------
#
# Left: a cell and the cells that are near it. Middle: which pairs of cells are visited; the cells are numbered column by
# column of the grid. Right: work and error.


def plot():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    chosen = counts.argmax()
    visited = (gaps < 7 * length)[chosen][labels]
    axes[0].plot(*x.T, ".", ms=1.5, color="0.75", label="points")
    axes[0].plot(*x[visited].T, ".", ms=1.5, color="tab:blue", label="near that cell")
    axes[0].plot(*x[labels == chosen].T, ".", ms=1.5, color="tab:orange", label="a cell")
    axes[0].legend(loc="center", markerscale=6, fontsize=8)
    axes[0].set(aspect="equal", xticks=[], yticks=[])
    axes[1].imshow(gaps < 7 * length, cmap="Greys", interpolation="nearest")
    axes[1].set(title=f"pairs of cells: {share(7 * length):.1%} of the pairs", xlabel="cell of y", ylabel="cell of x")
    factors, shares, times, errors = np.array(results).T
    axes[2].plot(factors, 100 * shares, "s-", color="tab:blue", ms=4, label="share of the pairs")
    axes[2].plot(factors, 100 * times, "o--", color="tab:blue", mfc="white", ms=4, label="share of the time")
    axes[2].set(xlabel="reach / length scale", ylim=(0, None))
    axes[2].set_ylabel("percent", color="tab:blue")
    other = axes[2].twinx()
    other.semilogy(factors, errors, "^-", color="tab:orange", ms=4)
    other.set_ylabel("error", color="tab:orange")
    axes[2].legend(loc="upper center")
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(description="Block-sparse sums.")
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
