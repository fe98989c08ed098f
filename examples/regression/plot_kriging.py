"""
Kriging: interpolation with its uncertainty
===========================================

Kriging, or Gaussian-process regression, interpolates scattered measurements :math:`b` at the places :math:`x_i`. It solves one
linear system with the kernel matrix, for the mean,

.. math::

    (K + \\alpha I) \\, a = b, \\qquad \\mu(z) = \\sum_j k(z, x_j) \\, a_j,

and one for each place where the variance is wanted, :math:`\\sigma^2(z) = k(z, z) - k_z^\\top (K + \\alpha I)^{-1} k_z`.
:class:`skkeops.KernelSolve` solves such systems by conjugate gradients, without the matrix, and differentiates the solution:
which is how we find the length scale.
"""

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize
from sklearn.gaussian_process import GaussianProcessRegressor

from skkeops import Genred, KernelSolve, Vi, Vj, kernels

###############################################################################
# The data
# --------
#
# A landscape, measured with noise at 1000 places. Nobody went into the lake in the middle.


def landscape(p):
    u, v = p.T
    return (
        np.sin(3 * u + 1) * np.cos(2.5 * v)
        + 0.6 * np.exp(-6 * ((u - 0.9) ** 2 + (v + 0.6) ** 2))
    )[:, None]


rng = np.random.default_rng(0)
x = rng.uniform(-1.5, 1.5, (2000, 2))
x = x[np.hypot(x[:, 0] + 0.3, x[:, 1] - 0.3) > 0.55][:1000]
noise = 0.1
b = landscape(x) + noise * rng.standard_normal((len(x), 1))

side = 30
line = np.linspace(-1.5, 1.5, side)
z = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


def show_map(axis, values, title, colours="viridis", limits=(-1.1, 1.1)):
    image = axis.imshow(
        values.reshape(side, side),
        origin="lower",
        extent=(-1.5, 1.5, -1.5, 1.5),
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        interpolation="bicubic",
    )
    axis.figure.colorbar(image, ax=axis, shrink=0.8)
    axis.set(title=title, xticks=[], yticks=[])


figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
show_map(axes[0], landscape(z), "the landscape")
points = axes[1].scatter(*x.T, c=b[:, 0], s=6, cmap="viridis", vmin=-1.1, vmax=1.1)
axes[1].set(title="1000 measurements", xticks=[], yticks=[], aspect="equal")
figure.colorbar(points, ax=axes[1], shrink=0.8)
plt.show()

###############################################################################
# The system
# ----------
#
# The variable ``a``, in which the formula is linear, is the unknown. ``s`` is one over the length scale.

variables = ["x = Vi(2)", "y = Vj(2)", "s = Pm(1)", "a = Vj(1)"]
formula = "Exp(-SqDist(x, y) * Square(s) / 2) * a"
solve = KernelSolve(formula, variables, "a", axis=1)
predict = Genred(formula, variables, axis=1)

###############################################################################
# The length scale, by gradient
# -----------------------------
#
# We put a fifth of the measurements aside, and ask for the length scale and the noise that predict them best. The loss depends
# on the length scale twice: through the kernel between the places, and through the solution of the system. Both derivatives
# are exact: ``Genred.gradient``, and ``KernelSolve.gradient``, which solves one more system. By the chain rule:

aside = np.arange(len(x)) < len(x) // 5
train, test = (x[~aside], b[~aside]), (x[aside], b[aside])


def loss(theta, alpha=noise**2, eps=1e-7):
    """Mean squared error on what was put aside, and its derivative by the logarithm of s."""
    s = np.exp(theta)
    a = solve(train[0], train[0], s, train[1], alpha=alpha, eps=eps)
    residual = predict(test[0], train[0], s, a) - test[1]
    outer = 2 * residual / len(residual)
    by_s, by_a = predict.gradient(test[0], train[0], s, a, wrt=("s", "a"), grad_output=outer)
    through = solve.gradient(
        train[0],
        train[0],
        s,
        train[1],
        wrt="s",
        grad_output=by_a,
        output=a,
        alpha=alpha,
        eps=eps,
    )
    return np.mean(residual**2), (by_s + through) * s


start = np.log([5.0])
quotient = (loss(start + 1e-5, eps=1e-11)[0] - loss(start - 1e-5, eps=1e-11)[0]) / 2e-5
print(f"derivative by log s: {loss(start)[1][0]:.7f}, by differences {quotient:.7f}")
tried = []


def traced(theta):
    value, derivative = loss(theta)
    tried.append((np.exp(-theta[0]), float(value)))
    return value, derivative


found = minimize(
    traced, start, jac=True, method="L-BFGS-B", bounds=[(-1, 3)], options={"ftol": 1e-6}
)
s = np.exp(found.x)
print(f"length scale {1 / s[0]:.3f} after {len(tried)} evaluations")
print(f"error on what was put aside: {np.sqrt(found.fun):.4f}; the noise is {noise}")

figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
scales, losses = np.array(tried, dtype=float).T
axis.plot(scales, np.sqrt(losses), "-", color="0.8", zorder=0)
points = axis.scatter(scales, np.sqrt(losses), c=np.arange(len(scales)), cmap="viridis", s=30)
axis.axhline(noise, color="black", lw=0.8, ls="--", label="noise")
axis.set(xlabel="length scale", ylabel="error on what was put aside", xscale="log")
axis.set_xticks([0.2, 0.3, 0.5, 0.7], ["0.2", "0.3", "0.5", "0.7"], minor=False)
axis.minorticks_off()
axis.legend()
figure.colorbar(points, label="evaluation")
plt.show()

###############################################################################
# Mean and deviation
# ------------------
#
# The mean takes one right-hand side, the variance one for each place of the map: 900 of them, in one call. The kernel is smooth
# and its matrix far from well-conditioned: a preconditioner of rank 150, from some of its columns, spares most of the
# iterations. `LazyTensor.solve` makes one itself. All right-hand sides are in memory together: where places or measurements are
# many, :class:`skkeops.GaussianProcessRegressor` has bounds of the variances that need no system for each, as on the page on
# kriging of many measurements.

a = solve(x, x, s, b, alpha=noise**2)
mean = predict(z, x, s, a)
kernel = kernels.Gaussian(1 / s[0])
right = kernel(x, z)
K = (-((Vi(x) - Vj(x)) ** 2).sum(-1) * s**2 / 2).exp()
variance = 1 - (right * K.solve(right, alpha=noise**2, eps=1e-6, n_components=150)).sum(axis=0)
deviation = np.sqrt(variance.clip(0))

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
show_map(axes[0], mean, "kriging: mean")
show_map(axes[1], deviation, "kriging: standard deviation", "magma_r", (0, None))
plt.show()

###############################################################################
# The deviation grows where there are no measurements: in the lake, and at the border.
#
# Beside scikit-learn
# -------------------
#
# scikit-learn's Gaussian process takes our kernel, and agrees; it decomposes the matrix.

process = GaussianProcessRegressor(kernel, alpha=noise**2, optimizer=None).fit(x, b[:, 0])
theirs, their_deviation = process.predict(z, return_std=True)
print(
    f"differences from scikit-learn: {np.abs(theirs - mean[:, 0]).max():.1e} (mean), "
    f"{np.abs(their_deviation - deviation).max():.1e} (deviation)"
)
inside = np.abs(mean - landscape(z))[:, 0] < 2 * deviation
print(f"the landscape is within two deviations at {inside.mean():.0%} of the places")


figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
axis.plot(deviation, np.abs(mean - landscape(z))[:, 0], ".", ms=4, color="tab:blue")
top = np.array([0, deviation.max()])
for k, style in ((1, "--"), (2, "-")):
    axis.plot(
        top,
        k * top,
        style,
        color="black",
        lw=0.8,
        label=f"{k} deviation{'s' * (k > 1)}",
    )
axis.set(xlabel="standard deviation at a place", ylabel="error at this place")
axis.legend()
plt.show()
