"""
Cost that follows the data: densities with a proven error
=========================================================

The density of many points is a sum of windows over all pairs. Far pairs add next to nothing to it: with ``rtol=`` they are left
out, if bounds of the formula over boxes of points prove that together they add at most that share of the sum. So the error
is bounded, also in the tails, where scikit-learn's trees may be wrong by tens of nats.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from skkeops import Genred, KernelDensity
from skkeops.formula import Variable, bounds
from skkeops.formula import operations as ops
from skkeops.pairs.order import SpatialOrder, boxes_of

###############################################################################
# What a tolerance saves
# ----------------------
#
# Points on two moons.

n, h = 40_000, 0.02  # 100 000 points take some seconds more, and compute fewer of the pairs
rng = np.random.default_rng(0)


def moons(n):
    angle, upper = np.pi * rng.random(n), rng.random(n) < 0.5
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points[~upper] = [1, 0.5] - points[~upper]
    return points + 0.1 * rng.normal(size=(n, 2))


x, y = moons(n), moons(n)

figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
axis.plot(*y[::10].T, ".", ms=1.5, color="tab:blue")
axis.set(aspect="equal", xticks=[], yticks=[], title="one point of ten")
plt.show()

###############################################################################
# The logarithm of a Gaussian density at as many other points, for some tolerances, beside all pairs:

density = Genred(
    "-p * SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)", "p = Pm(1)"], "LogSumExp", axis=1
)
p = 0.5 / h**2
exact = density(x[:500], y, p)
tolerances, shares, errors = (1e-12, 1e-9, 1e-6, 1e-3), [], []
for rtol in tolerances:
    found = density(x, y, p, rtol=rtol)
    shares.append(density.last_call.share)
    errors.append(np.abs(np.expm1(found[:500] - exact)).max())
    print(f"rtol {rtol:.0e}: {shares[-1]:.2%} of the pairs, error {errors[-1]:.1e}")

figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
axes[0].loglog(tolerances, tolerances, "--", color="0.6", label="rtol")
axes[0].loglog(tolerances, errors, "o-", label="relative error")
axes[0].set(xlabel="rtol", title="the error stays below")
axes[0].legend()
axes[1].semilogx(tolerances, [100 * share for share in shares], "s-")
axes[1].set(xlabel="rtol", ylim=(0, None), title="pairs that are computed, percent")
plt.show()

###############################################################################
# The estimator has the same tolerances, and ``rtol=1e-12`` by default.

model = KernelDensity(bandwidth=h, rtol=1e-6).fit(y)
print("mean log density:", model.score_samples(x).mean().round(4))

###############################################################################
# Which tiles are computed
# ------------------------
#
# The points are sorted into tiles. For a tile of queries, the upper bound of the window over each tile of points is known; the
# smallest ones, which add up to less than the tolerance times what near tiles hold for sure, are left out.

some = 8000
window = ops.Exp(-Variable(2, 1, 2) * ops.SqDist(Variable(0, 2, 0), Variable(1, 2, 1)))
names = ["xl = Vi(0,2)", "xu = Vi(1,2)", "yl = Vj(2,2)", "yu = Vj(3,2)", "p = Pm(4,1)"]
lower, upper = (Genred(f, names, "Sum", axis=0) for f in bounds(window)[:2])
order = SpatialOrder(y[:some], 64)
points = y[:some][order.index]
low, high = boxes_of(points, order.edges, points.dtype)
queries = np.array([0.0, 1.0]) + 0.03 * rng.random((32, 2))
corners = queries.min(axis=0, keepdims=True), queries.max(axis=0, keepdims=True), low, high
sizes = np.diff(order.edges)
least, most = (f(*corners, p)[:, 0] * sizes for f in (lower, upper))
ranked = np.argsort(most)
left_out = ranked[np.cumsum(most[ranked]) <= 1e-6 * least.sum()]
needed = np.ones(len(most), bool)
needed[left_out] = False
print(f"{needed.sum()} of {len(needed)} tiles are computed for these queries at rtol 1e-6")


figure, axis = plt.subplots(figsize=(8, 4.5), layout="constrained")
for a, b, used in zip(low, high, needed, strict=True):
    colour = "tab:orange" if used else "0.8"
    axis.add_patch(
        Rectangle(a, *(b - a), fill=bool(used), alpha=0.5 if used else 1, color=colour, lw=0.8)
    )
axis.scatter(*points.T, s=1, color="0.5")
axis.scatter(*queries.T, s=6, color="tab:blue", label="32 queries")
axis.set(
    title=f"{needed.sum()} of {len(needed)} tiles are computed",
    aspect="equal",
    xticks=[],
    yticks=[],
)
axis.legend(loc="upper right")
plt.show()
