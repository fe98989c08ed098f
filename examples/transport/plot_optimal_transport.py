"""
Optimal transport: Sinkhorn's algorithm and its gradient flow
=============================================================

How far is one cloud of points from another, and which way should each point go? Entropic optimal transport answers with
two potentials, one for each cloud, that Sinkhorn's algorithm computes by taking turns at a soft minimum,

.. math::

    f_i = -\\varepsilon \\log \\frac1M \\sum_{j=1}^{M} \\exp \\frac{g_j - \\frac12 \\|x_i - y_j\\|^2}{\\varepsilon}, \\qquad
    g_j = -\\varepsilon \\log \\frac1N \\sum_{i=1}^{N} \\exp \\frac{f_i - \\frac12 \\|x_i - y_j\\|^2}{\\varepsilon}.

For small :math:`\\varepsilon` the exponents are in the hundreds: only a log-sum-exp survives. The cost,
:math:`\\mathrm{OT}_\\varepsilon(x, y) = \\overline{f} + \\overline{g}`, is biased; the Sinkhorn divergence [1]_

.. math::

    S_\\varepsilon(x, y) = \\mathrm{OT}_\\varepsilon(x, y) - \\tfrac12 \\mathrm{OT}_\\varepsilon(x, x)
    - \\tfrac12 \\mathrm{OT}_\\varepsilon(y, y)

is zero only for equal clouds. Its gradient moves the points :math:`x` on to :math:`y`.

.. [1] J. Feydy, T. Séjourné, F.-X. Vialard, S. Amari, A. Trouvé, G. Peyré, "Interpolating between optimal transport and MMD
   using Sinkhorn divergences", AISTATS 2019.
"""

# sphinx_gallery_thumbnail_number = 4
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from skkeops import Genred, sinkhorn_divergence

###############################################################################
# Two clouds
# ----------
#
# A disk, and a heart. Both have a thousand points of equal weight.

N = 1000
rng = np.random.default_rng(0)
square = rng.uniform(-1, 1, (10 * N, 2))
disk = 0.5 * square[(square**2).sum(axis=1) < 1][:N] + [-0.35, 0.35]
u, v = 1.3 * rng.uniform(-1, 1, (10 * N, 2)).T
heart = 0.75 * np.column_stack([u, v])[(u**2 + v**2 - 1) ** 3 < u**2 * v**3][:N]

figure, axis = plt.subplots(figsize=(5, 4), layout="constrained")
axis.scatter(*disk.T, c=disk[:, 0], cmap="viridis", s=6, linewidths=0, label="disk")
axis.plot(*heart.T, "o", color="0.7", ms=2.5, mew=0, label="heart", zorder=0)
axis.set(xticks=[], yticks=[], aspect="equal")
axis.legend(loc="lower right")
plt.show()

###############################################################################
# The soft minimum
# ----------------
#
# One formula serves both steps; the roles of the clouds are exchanged. ``p`` is the potential of the other cloud. The
# derivative of the potentials themselves is not needed: at the solution they are stationary (the envelope theorem), so that
# the gradient of the cost is that of one soft minimum.

soft_minimum = Genred(
    "(p - SqDist(x, y) / 2) / eps",
    ["x = Vi(2)", "y = Vj(2)", "p = Vj(1)", "eps = Pm(1)"],
    reduction_op="LogSumExp",
    axis=1,
)


def step(x, y, p, eps):
    return -eps * (soft_minimum(x, y, p, np.array([eps])) - np.log(len(y)))


def sinkhorn(x, y, eps, iterations=30):
    """The potentials f and g. Each scale starts from those of a larger one."""
    f, g = np.zeros((len(x), 1)), np.zeros((len(y), 1))
    for scale in np.maximum(0.5 ** np.arange(iterations), eps):
        f, g = (f + step(x, y, g, scale)) / 2, (g + step(y, x, f, scale)) / 2
    return step(x, y, g, eps), step(y, x, f, eps)


def gradient(x, y, g, eps):
    """N times the gradient of the mean of f by x, for the potential g of the other cloud."""
    return soft_minimum.gradient(
        x, y, g, np.array([eps]), wrt="x", grad_output=np.full((len(x), 1), -eps)
    )


def divergence(x, y, eps):
    """The Sinkhorn divergence, and N times its gradient by x: where each point is to go."""
    f, g = sinkhorn(x, y, eps)
    f_x, g_x = sinkhorn(x, x, eps)
    f_y, g_y = sinkhorn(y, y, eps)
    value = f.mean() + g.mean() - (f_x.mean() + g_x.mean() + f_y.mean() + g_y.mean()) / 2
    return value, gradient(x, y, g, eps) - gradient(x, x, g_x, eps)


###############################################################################
# Is it right?
# ------------
#
# With as many points on each side, the transport without entropy is an assignment, and SciPy solves it, in
# :math:`O(N^3)` and with a matrix.

cost = cdist(disk, heart, "sqeuclidean") / 2
rows, columns = linear_sum_assignment(cost)
best = cost[rows, columns].mean()
scales = (0.1, 0.03, 0.01, 0.003, 0.001)
potentials = [sinkhorn(disk, heart, eps, 60) for eps in scales]
costs = [f.mean() + g.mean() for f, g in potentials]
print(
    f"cost of the best assignment {best:.5f}; with entropy, eps = {scales[-1]}: {costs[-1]:.5f}"
)

figure, axis = plt.subplots(figsize=(6, 3.2), layout="constrained")
axis.semilogx(scales, costs, "o-", label="with entropy")
axis.axhline(best, color="black", lw=0.8, ls="--", label="the best assignment")
axis.set(xlabel=r"$\varepsilon$", ylabel="cost of the transport")
axis.legend()
plt.show()

###############################################################################
# As a function
# -------------
#
# :func:`skkeops.sinkhorn_divergence` does all this, with weights, until the marginals are right: the blur is the root of
# :math:`\varepsilon`.

value, slope = sinkhorn_divergence(disk, heart, blur=0.2, wrt="X")
by_hand, direction = divergence(disk, heart, 0.2**2)
print(f"sinkhorn_divergence {value:.6f}, by hand {by_hand:.6f}")
print(f"largest difference of the gradients {abs(N * slope - direction).max():.1e}")

figure, axis = plt.subplots(figsize=(6, 4.6), layout="constrained")
axis.plot(*heart.T, "o", color="0.8", ms=2.5, mew=0)
axis.quiver(
    *disk[::8].T,
    *-direction[::8].T,
    angles="xy",
    scale_units="xy",
    scale=1,
    width=0.003,
    color="tab:blue",
)
axis.set(
    xticks=[],
    yticks=[],
    aspect="equal",
    title="minus the gradient: where each point is to go",
)
plt.show()

###############################################################################
# The flow
# --------
#
# Points that follow minus the gradient, from the disk to the heart. A step of length 1 would take each point, by and large, to
# the mean of those that it is matched with; we walk a quarter of it at a time.

x, states, values = disk.copy(), [disk], []
rate, steps = 0.25, 14
for _ in range(steps):
    value, direction = divergence(x, heart, 0.003)
    x = x - rate * direction
    states.append(x)
    values.append(value)
values.append(divergence(x, heart, 0.003)[0])
print(f"{steps} steps of the flow: divergence {values[0]:.5f} -> {values[-1]:.7f}")

###############################################################################
# Every point keeps its colour, which says where it was in the disk: neighbours stay neighbours.

figure, axes = plt.subplots(
    2, 2, figsize=(7, 6.4), sharex=True, sharey=True, layout="constrained"
)
for axis, k in zip(axes.flat, (0, 2, 5, steps), strict=True):
    axis.plot(*heart.T, "o", color="0.85", ms=2.5, mew=0)
    axis.scatter(*states[k].T, c=disk[:, 0], cmap="viridis", s=6, linewidths=0)
    axis.set(
        title=f"step {k}, divergence {values[k]:.4f}",
        xticks=[],
        yticks=[],
        aspect="equal",
    )
plt.show()
