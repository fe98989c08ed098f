"""
Kriging of many measurements
============================

:class:`skkeops.GaussianProcessRegressor` takes the place of scikit-learn's where its matrix would not fit: 20 000 measurements take
3.2 GB as a matrix, 100 000 take 80 GB. The kernel and its parameters, the mean and its deviation are the same; the likelihood is an
estimate, with its standard error.

The measurements here are 3000, so that this page is quick. With 100 000 nothing changes but the time, which grows with the square
of their number: some minutes for the parameters on two cores, while the memory stays below a gigabyte.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

import argparse
import time

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

###############################################################################
# The fit
# -------
#
# The search starts from what 2000 of the measurements say exactly, and goes on with all of them. ``mean="linear"`` is universal
# kriging: a plane, found by generalised least squares.

kernel = 1.0 * kernels.Matern(0.5, nu=2.5, length_scale_bounds=(0.05, 20)) + kernels.White(0.1)
began = time.perf_counter()
model = GaussianProcessRegressor(kernel, mean="linear", method="iterative", n_probes=16, random_state=0).fit(x, y)
print(f"{n} measurements in {time.perf_counter() - began:.1f} s: {model.kernel_}")
print(f"log-likelihood {model.log_marginal_likelihood():.1f} +- {model.log_marginal_likelihood_error_:.1f}")
found = np.sqrt(model.kernel_.k2.noise_level)
print(f"the deviation of the noise is {noise}, found was {found:.3f}")
print(f"the plane: {model.mean_coef_.round(2)}; the residual is {model.residual_:.0e}")

###############################################################################
# The map
# -------
#
# For more than 512 places the deviations are upper bounds, and how good they are is measured on 32 of the places. The noise is a
# part of them, as it is a part of the kernel; that of the field alone is without.

side = 60
line = np.linspace(0, 1, side)
z = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
began = time.perf_counter()
mean, deviation = model.predict(z, return_std=True)
print(f"mean and deviation at {len(z)} places in {time.perf_counter() - began:.1f} s")
print(f"the deviations are larger than solved ones by {model.deviation_error[0]:.2%} on average")
deviation = np.sqrt(np.maximum(deviation**2 - found**2, 0))
inside = np.abs(mean - field(z)) < 2 * deviation
print(f"the field is within two deviations at {inside.mean():.0%} of the places")

###############################################################################
# The figure
# ----------


def plot():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for axis, values, title, colours in (
        (axes[0], field(z), "the field and the tracks", "viridis"),
        (axes[1], mean, "kriging: mean", "viridis"),
        (axes[2], deviation, "kriging: standard deviation", "magma_r"),
    ):
        image = axis.imshow(values.reshape(side, side), origin="lower", extent=(0, 1, 0, 1), cmap=colours)
        figure.colorbar(image, ax=axis, shrink=0.8)
        axis.set(title=title, xticks=[], yticks=[])
    axes[0].plot(*x.T, ".", color="black", ms=0.5)
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(description="Kriging of many measurements.")
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
