"""
Formulas of your own: write, look inside, differentiate, reduce
===============================================================

Everything in skkeops is a formula of two points, :math:`F(x_i, y_j)`, and a reduction over one of the two indices. This
page takes one formula through the whole of it: charges :math:`b_j` at the places :math:`y_j` in the plane make a potential

.. math::

    u(x_i) = -\\frac12 \\sum_{j=1}^{N} b_j \\log \\bigl( \\|x_i - y_j\\|^2 + s^2 \\bigr)

whose singularities are softened over a length :math:`s`. We want the potential on a grid, the force (its gradient), the
charge that makes it (its Laplacian), and which charge is the nearest.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np

from skkeops import FormulaError, Genred

###############################################################################
# Write it
# --------
#
# The formula is text. Every variable is declared once: ``Vi(2)`` has a row of two numbers for each :math:`i`, ``Vj(1)`` a
# number for each :math:`j`, ``Pm(1)`` is a parameter, the same for all pairs. ``axis=1`` sums over :math:`j`.

variables = ["x = Vi(2)", "y = Vj(2)", "b = Vj(1)", "s = Pm(1)"]
formula = "-0.5 * b * Log(SqDist(x, y) + Square(s))"
potential = Genred(formula, variables, reduction_op="Sum", axis=1)

rng = np.random.default_rng(3)
y = rng.uniform(-1, 1, (12, 2))
b = np.where(np.arange(12) % 2 == 0, 1.0, -1.0)[:, None]
s = np.array([0.1])
side = 240
line = np.linspace(-1.4, 1.4, side)
x = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
u = potential(x, y, b, s)
print(f"{len(x)} points, {len(y)} charges: potentials from {u.min():.1f} to {u.max():.1f}")


def show_map(axis, values, bound, title):
    """An image of values on the grid, with the charges."""
    extent = (line[0], line[-1], line[0], line[-1])
    image = axis.imshow(
        values.reshape(side, side),
        vmin=-bound,
        vmax=bound,
        origin="lower",
        extent=extent,
        cmap="RdBu_r",
    )
    for sign, marker in ((1, "+"), (-1, "_")):
        axis.plot(*y[b[:, 0] == sign].T, marker=marker, ls="", color="black", ms=8, mew=1.5)
    axis.set(title=title, xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])
    return image


figure, axis = plt.subplots(figsize=(6, 5), layout="constrained")
figure.colorbar(show_map(axis, u, 4, "potential"), shrink=0.8)
plt.show()

###############################################################################
# A mistake is shown where it is:

try:
    Genred("-0.5 * b * Log(SqDist(x, y) + Square(t))", variables)
except FormulaError as error:
    print(f"\n{error}")

###############################################################################
# Look inside
# -----------
#
# ``explain`` prints what is computed once, once per :math:`i`, once per :math:`j`, and what is left for each pair.
# The parameter's square is out of the loop.

print(f"\n{potential.explain(dtype='float64')}")

###############################################################################
# Differentiate it
# ----------------
#
# There are two ways. ``.gradient`` differentiates *the reduction* by any of its arguments: it is the gradient of
# ``(u * grad_output).sum()``. The force :math:`-\nabla u(x_i)` is the gradient by ``x`` for a ``grad_output`` of minus ones:

force = potential.gradient(x, y, b, s, wrt="x", grad_output=-np.ones_like(u))

figure, axis = plt.subplots(figsize=(5.2, 5), layout="constrained")
show_map(axis, u, 4, "lines of force, from + to −")
field = force.reshape(side, side, 2).transpose(2, 0, 1)
axis.streamplot(line, line, *field, color="0.3", linewidth=0.7, arrowsize=0.8, density=1.2)
plt.show()

###############################################################################
# With a ``grad_output`` of ones, it is the derivative of the sum of all :math:`u(x_i)`, by the positions of the charges or by the
# softening. Here is the latter, beside a difference quotient:

total = potential(x, y, b, s).sum()
by_y, by_s = potential.gradient(x, y, b, s, wrt=("y", "s"))
step = 1e-5
quotient = (potential(x, y, b, s + step).sum() - potential(x, y, b, s - step).sum()) / (
    2 * step
)
print(
    f"by s: {by_s[0]:.6f}, by differences {quotient:.6f}; by y: an array of shape {by_y.shape}"
)

###############################################################################
# The other way is *inside the formula*: ``Grad(F, x, e)``, ``Diff``, ``Divergence``, ``Laplacian`` are operations like any
# other, and can be reduced like any other. By Poisson's equation, :math:`-\Delta u = 2 \pi \rho` in the plane: the Laplacian
# tells which charge density :math:`\rho` has this potential. The points have become spots of radius :math:`s`, with the
# same charge each.

laplacian = Genred(f"Laplacian({formula}, x)", variables, axis=1)
density = -laplacian(x, y, b, s) / (2 * np.pi)
theory = 0.3**2 / (0.3**2 + s[0] ** 2)
around = ((x - y[0]) ** 2).sum(axis=1) < 0.3**2
charge = -laplacian(x, y[:1], b[:1], s)[around].sum() / (2 * np.pi) * (line[1] - line[0]) ** 2
print(f"charge of the first spot within a radius of 0.3: {charge:.3f}, by theory {theory:.3f}")

figure, axis = plt.subplots(figsize=(6, 5), layout="constrained")
figure.colorbar(show_map(axis, density, 20, "charge density, from the Laplacian"), shrink=0.8)
plt.show()

###############################################################################
# Reduce it otherwise
# -------------------
#
# The sum is one reduction of many. The smallest distance, and whose it is, make a Voronoi diagram; the log-sum-exp of
# minus the squared distances is a soft minimum.

nearest = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], reduction_op="ArgMin", axis=1)(
    x, y
)[:, 0]
soft = Genred(
    "-SqDist(x, y) / t",
    ["x = Vi(2)", "y = Vj(2)", "t = Pm(1)"],
    reduction_op="LogSumExp",
    axis=1,
)
hard = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], reduction_op="Min", axis=1)(x, y)
for t in (0.1, 0.01, 0.001):
    below = np.abs(-t * soft(x, y, np.array([t])) - hard).max()
    print(f"soft minimum of temperature {t:5}: at most {below:.4f} below the minimum")

figure, axis = plt.subplots(figsize=(5.2, 5), layout="constrained")
cells = np.where(b[nearest, 0] > 0, 0.25, -0.25) + 0.02 * (nearest % 5)
show_map(axis, cells, 1, "the nearest charge, and lines of equal distance")
axis.contour(
    line,
    line,
    np.sqrt(hard).reshape(side, side),
    levels=8,
    colors="0.4",
    linewidths=0.5,
)
plt.show()
