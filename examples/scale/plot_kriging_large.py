"""
Kriging of many measurements
============================

:class:`skkeops.GaussianProcessRegressor` takes the place of scikit-learn's where the matrix would not fit: 20 000 measurements take
3.2 GB as a matrix, 100 000 take 80 GB. The kernel and its parameters, the mean and its deviation are the same; the likelihood is an
estimate, with its standard error.

The measurements here are 3000, so that this page is quick. Set ``n`` to 100 000 to run it with a hundred thousand: nothing else
changes. The time grows with the square of their number, the memory stays at about a gigabyte.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np

from skkeops import GaussianProcessRegressor, kernels

###############################################################################
# The data
# --------
#
# A field with a trend to the north, measured with noise along the tracks of a ship.


def field(p):
    u, v = p.T
    return np.sin(5 * u) * np.cos(4 * v) + 0.5 * np.sin(9 * u * v) + 0.8 * v


rng = np.random.default_rng(0)
n, tracks = 3000, 30
ends = rng.uniform(-0.1, 1.1, (2, tracks, 2))
along = rng.uniform(size=(n // tracks, 1, 1))
x = (ends[0] + along * (ends[1] - ends[0])).reshape(-1, 2)
noise = 0.2
y = field(x) + noise * rng.standard_normal(n)

side = 60
line = np.linspace(0, 1, side)
z = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


def show_map(axis, values, title, colours="viridis", limits=(None, None)):
    style = {
        "origin": "lower",
        "extent": (0, 1, 0, 1),
        "cmap": colours,
        "vmin": limits[0],
        "vmax": limits[1],
    }
    image = axis.imshow(values.reshape(side, side), **style)
    axis.figure.colorbar(image, ax=axis, shrink=0.8)
    axis.set(title=title, xticks=[], yticks=[])


limits = field(z).min(), field(z).max()
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
show_map(axes[0], field(z), "the field", limits=limits)
points = axes[1].scatter(*x.T, c=y, s=4, vmin=limits[0], vmax=limits[1])
axes[1].set(
    title="the measurements",
    xticks=[],
    yticks=[],
    xlim=(0, 1),
    ylim=(0, 1),
    aspect="equal",
)
figure.colorbar(points, ax=axes[1], shrink=0.8)
plt.show()

###############################################################################
# The fit
# -------
#
# The search starts from what 2000 of the measurements say exactly, and goes on with larger
# subsets and with all of them. ``mean="linear"`` is universal kriging: a plane, found by
# generalised least squares.

kernel = 1.0 * kernels.Matern(0.5, nu=2.5, length_scale_bounds=(0.05, 20)) + kernels.White(0.1)
model = GaussianProcessRegressor(
    kernel, mean="linear", method="iterative", n_probes=16, random_state=0
).fit(x, y)
print(model.kernel_)
likelihood = model.log_marginal_likelihood()
print(f"log-likelihood {likelihood:.1f} ± {model.log_marginal_likelihood_error_:.1f}")
found = np.sqrt(model.kernel_.k2.noise_level)
print(f"the deviation of the noise is {noise}, found was {found:.3f}")
print(f"the plane: {model.mean_coef_.round(2)}; the residual is {model.residual_:.0e}")

###############################################################################
# The map
# -------
#
# For more than 512 places the deviations are upper bounds, and how good they are is measured on 32 of the places. The noise is a
# part of them, as it is a part of the kernel; that of the field alone is without.

mean, deviation = model.predict(z, return_std=True)
print(
    f"the deviations are larger than solved ones by {model.deviation_error[0]:.2%} on average"
)
deviation = np.sqrt(np.maximum(deviation**2 - found**2, 0))
inside = np.abs(mean - field(z)) < 2 * deviation
print(f"the field is within two deviations at {inside.mean():.0%} of the places")


figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
show_map(axes[0], mean, "kriging: mean", limits=limits)
show_map(axes[1], deviation, "kriging: standard deviation", "magma_r", (0, None))
axes[1].plot(*x.T, ".", color="black", ms=0.5)
axes[1].set(xlim=(0, 1), ylim=(0, 1))
plt.show()
