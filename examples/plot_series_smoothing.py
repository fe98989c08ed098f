"""
Smoothing a series, with error bands
====================================

The 1797 digits that come with scikit-learn were written by 13 people, and the images are kept in the order in which
they were collected. How much ink an image has is a noisy series; if the writers' hands differ, a trend should show.

:class:`skkeops.KernelSmoother` is the estimator of Nadaraya and Watson, :math:`\\hat y(t) = \\sum_j p_j(t) y_j` with the
normalised kernel weights :math:`p_j(t)`. Its bandwidth is tuned by cross-validation, and its standard error follows from
the same reductions: with the local variance :math:`\\hat\\sigma^2(t)`, the smoothed squared residuals,

.. math:: \\mathrm{se}^2(t) = \\hat\\sigma^2(t) \\sum_j p_j(t)^2,

where the sum of squares is that of the squared kernel, ``kernel ** 2``, divided by the square of that of the kernel. Where the
noise is the same everywhere, ``predict(t, return_std=True)`` returns such errors, as the page on local regression shows.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, KFold

from skkeops import KernelLogSumExp, KernelSmoother, kernels

###############################################################################
# The series
# ----------

images = load_digits().images
ink = images.mean(axis=(1, 2))
t = np.arange(len(ink), dtype=float)[:, None]

###############################################################################
# The bandwidth
# -------------

widths = np.geomspace(2, 500, 25)
search = GridSearchCV(
    KernelSmoother(kernels.Gaussian()),
    {"kernel__length_scale": widths},
    cv=KFold(10, shuffle=True, random_state=0),
    scoring="neg_mean_squared_error",
).fit(t, ink)
smoother = search.best_estimator_
kernel = smoother.kernel_
print(f"{len(ink)} images; best length scale {kernel.length_scale:.1f} images")

###############################################################################
# The band
# --------
#
# The sums are taken as logarithms, which never underflow.

trend = smoother.predict(t)
variance = KernelSmoother(kernel).fit(t, (ink - trend) ** 2).predict(t)
log_sum = KernelLogSumExp(kernel).fit(t).score_samples(t)
log_sum_of_squares = KernelLogSumExp(kernel**2).fit(t).score_samples(t)
share = np.exp(log_sum_of_squares - 2 * log_sum)
error = np.sqrt(variance * share)
print(f"about {1 / share[len(t) // 2]:.0f} images count for the mean in the middle")
print(f"the trend runs from {trend.min():.2f} to {trend.max():.2f}, give or take {2 * error.mean():.2f}")

# A constant mean would stay inside the band nearly everywhere.
outside = np.mean(np.abs(trend - ink.mean()) > 2 * error)
print(f"the overall mean, {ink.mean():.2f}, is outside of the band for {100 * outside:.0f} % of the images")

###############################################################################
# The figure
# ----------


def plot():
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(9, 4))
    axis.plot(t[:, 0], ink, ".", ms=3, color="0.7", label="ink of an image")
    axis.fill_between(t[:, 0], trend - 2 * error, trend + 2 * error, alpha=0.4, label="two standard errors")
    axis.plot(t[:, 0], trend, label="smoothed")
    axis.axhline(ink.mean(), color="k", lw=0.8, ls="--", label="overall mean")
    axis.set(xlabel="image, in the order of the data set", ylabel="mean grey value", ylim=np.quantile(ink, [0.01, 0.99]))
    axis.legend(ncols=4, fontsize=8)
    figure.tight_layout()
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(description="Smoothing of a series with error bands.")
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
