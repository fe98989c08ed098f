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
"""

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
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

figure, axes = plt.subplots(1, 10, figsize=(9, 1.3), layout="constrained")
for axis, k in zip(axes, range(0, 1800, 180), strict=True):
    axis.imshow(images[k], cmap="gray_r", vmin=0, vmax=16)
    axis.set_title(f"no. {k}:\n{ink[k]:.1f}", fontsize=8)
    axis.set_axis_off()
plt.show()

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

figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
axis.semilogx(widths, np.sqrt(-search.cv_results_["mean_test_score"]), "o-")
axis.axvline(kernel.length_scale, color="black", lw=0.8, ls="--")
axis.set(xlabel="length scale (images)", ylabel="error on what is left out")
plt.show()

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
print(f"the trend runs from {trend.min():.2f} to {trend.max():.2f}, ± {2 * error.mean():.2f}")

# A constant mean would stay inside the band nearly everywhere.
outside = np.mean(np.abs(trend - ink.mean()) > 2 * error)
print(
    f"the overall mean {ink.mean():.2f} is outside of the band for {outside:.0%} of the images"
)

###############################################################################
# The trend
# ---------
#
# All images are shown, on the whole scale on the left; on the right, the same trend on a scale of its own.

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for axis in axes:
    axis.fill_between(
        t[:, 0],
        trend - 2 * error,
        trend + 2 * error,
        alpha=0.4,
        label="two standard errors",
    )
    axis.plot(t[:, 0], trend, label="smoothed")
    axis.axhline(ink.mean(), color="k", lw=0.8, ls="--", label="overall mean")
    axis.set(xlabel="image, in the order of the data set", xlim=(0, len(t)))
axes[0].plot(t[:, 0], ink, ".", ms=2, color="0.7", zorder=0, label="ink of an image")
axes[0].set(ylabel="mean grey value", title="all images")
axes[1].set_title("the trend alone")
axes[0].legend(ncols=2, fontsize=8, loc="lower center")
axes[0].set_ylim(0, 8)
plt.show()
