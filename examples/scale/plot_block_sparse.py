"""
Block-sparse sums: skip the pairs that do not count
===================================================

A Gaussian kernel is :math:`10^{-9}` at a distance of 6.4 length scales. When the data is much wider than that, nearly all pairs
are computed for nothing. The remedy takes three lines: sort the points into the cells of a grid, say which error is acceptable, and
pass the pairs of cells that remain as ``ranges``. The sum visits only those blocks,

.. math::

    c_i = \\sum_{j \\in \\mathrm{near}(i)} \\exp\\Bigl( -\\frac{\\|x_i - y_j\\|^2}{2 \\ell^2} \\Bigr) \\, b_j.

Derivatives and linear systems take ``ranges`` as well. In the end we solve a system with 100 000 unknowns: kernel ridge
regression on a hundred thousand points.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
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

figure, axis = plt.subplots(figsize=(6, 5), layout="constrained")
shuffled = rng.permutation(len(ranges))
axis.scatter(*x.T, c=shuffled[labels], s=1, cmap="tab20", linewidths=0)
axis.set(aspect="equal", xticks=[], yticks=[], title="the points, by cell")
plt.show()

###############################################################################
# Blocks from a tolerance
# -----------------------
#
# The kernel decreases with the distance, and the points of two cells are at least as far apart as their centres minus both
# radii: so it is known how much a pair of cells can contribute to a sum, before anything is computed.
# `skkeops.cluster.ranges_from_tolerance` leaves out the cells that contribute least to a row, while what they can contribute
# together stays below the tolerance. So the bound is proved; it is not a rule of thumb.


def profile(r):
    return np.exp(-((r / length) ** 2) / 2)


def blocks(tol):
    return cluster.ranges_from_tolerance(profile, tol, x, labels, weights_x=b, weights_y=b)


def visited(chosen):
    """Which pairs of cells some ranges have."""
    cells, ends, columns = chosen[:3]
    found = np.zeros((len(cells), len(cells)), dtype=bool)
    found[
        np.repeat(np.arange(len(cells)), np.diff(ends, prepend=0)),
        np.searchsorted(cells[:, 0], columns[:, 0]),
    ] = True
    return found


def share(chosen):
    return counts @ visited(chosen) @ counts / N**2


near = blocks(1e-6)
pairs = visited(near)
cell = counts.argmax()

figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
axes[0].plot(*x.T, ".", ms=1.5, color="0.75", label="points")
axes[0].plot(
    *x[pairs[cell][labels]].T,
    ".",
    ms=1.5,
    color="tab:blue",
    label="what its sums visit",
)
axes[0].plot(*x[labels == cell].T, ".", ms=1.5, color="tab:orange", label="a cell")
axes[0].set(aspect="equal", xticks=[], yticks=[], title="tolerance 1e-6")
axes[0].legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, markerscale=6)
axes[1].imshow(pairs, cmap="Greys", interpolation="nearest")
axes[1].set(
    title=f"cells that meet: {share(near):.1%} of the pairs",
    xlabel="cell of y",
    ylabel="cell of x",
)
plt.show()

###############################################################################
# The sum
# -------
#
# We sum over all pairs, and over the blocks for several tolerances. The error is always smaller than the tolerance.

gaussian = Genred(
    "Exp(-SqDist(x, y) * g) * b",
    ["x = Vi(2)", "y = Vj(2)", "g = Pm(1)", "b = Vj(1)"],
    axis=1,
)
g = np.array([0.5 / length**2])
exact = gaussian(x, x, g, b)
results = []
for tol in (1e1, 1e0, 1e-1, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12):
    chosen = blocks(tol)
    error = np.abs(gaussian(x, x, g, b, ranges=chosen) - exact).max()
    results.append((tol, share(chosen), error))
    print(f"tolerance {tol:.0e}: {share(chosen):6.1%} of the pairs, error {error:.0e}")

tolerances, shares, errors = np.array(results).T
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
axes[0].loglog(tolerances, tolerances, "--", color="0.6", label="tolerance")
axes[0].loglog(tolerances, errors, "^-", color="tab:orange", label="error")
axes[0].set(xlabel="tolerance", title="the error stays below")
axes[0].legend()
axes[1].semilogx(tolerances, 100 * shares, "s-", color="tab:blue")
axes[1].set(xlabel="tolerance", ylim=(0, None), title="pairs that are computed, percent")
plt.show()

###############################################################################
# ``gradient`` with ``ranges`` is the gradient of the sum over these blocks. (The tolerance is a bound for the sum. The kernel of
# the gradient is larger by the factor :math:`r / \ell^2`, and so may be its error.)

gradient = gaussian.gradient(x, x, g, b, wrt="x")
difference = gaussian.gradient(x, x, g, b, wrt="x", ranges=near) - gradient
print(f"gradients up to {np.abs(gradient).max():.0f} differ by {np.abs(difference).max():.0e}")

###############################################################################
# A system with 100 000 unknowns
# ------------------------------
#
# Kernel ridge regression in the plane, :math:`(K + \alpha I) a = b`: with all pairs a product takes ten billion
# exponentials, a minute or so for all iterations. The kernel of length scale 0.008 needs three percent of them, for sums that
# are right to 0.01 where their weights are at most 1. Sorting the points sorts the unknowns in the
# same way, and changes nothing else.

M, narrow = 100_000, 0.008
points = rng.random((M, 2))
points, cells = cluster.sort_clusters(points, cluster.grid_cluster(points, 0.04))
heights = np.sin(14 * points[:, :1]) * np.cos(9 * points[:, 1:]) + 0.3 * rng.standard_normal(
    (M, 1)
)
solver = KernelSolve(
    "Exp(-SqDist(x, y) * g) * a",
    ["x = Vi(2)", "y = Vj(2)", "g = Pm(1)", "a = Vj(1)"],
    "a",
    axis=1,
)
system = cluster.ranges_from_tolerance(
    lambda r: np.exp(-((r / narrow) ** 2) / 2), 0.01, points, cells
)
sizes = np.diff(cluster.cluster_ranges(cells))[:, 0]
steps = []
scale = np.array([0.5 / narrow**2])
options = {"alpha": 3.0, "eps": 3e-3, "ranges": system, "callback": steps.append}
coefficients = solver(points, points, scale, heights, **options)
part = sizes @ visited(system) @ sizes / M**2
print(f"{M} unknowns, {part:.1%} of the pairs: {len(steps)} iterations")
fitted = solver.function(points, points, scale, coefficients, ranges=system)
truth = np.sin(14 * points[:, :1]) * np.cos(9 * points[:, 1:])
print(f"noise of 0.3; the fit is off by {np.sqrt(np.mean((fitted - truth) ** 2)):.3f}")


few = rng.choice(M, 20_000, replace=False)
figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
for axis, values, title in zip(
    axes, (heights, fitted, truth), ("noisy data", "fit", "truth"), strict=True
):
    image = axis.scatter(
        *points[few].T, c=values[few, 0], s=4, vmin=-1.2, vmax=1.2, linewidths=0
    )
    axis.set(xticks=[], yticks=[], aspect="equal", title=title)
figure.colorbar(image, ax=axes, shrink=0.8)
plt.show()
