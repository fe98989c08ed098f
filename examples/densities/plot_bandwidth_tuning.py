"""
Tuning bandwidths: a grid beside a gradient
===========================================

A kernel density estimate has a bandwidth for each feature, and the usual way to choose them is a grid: every combination
is tried, and scored on samples left out. Two features with 15 values each are 225 combinations, three are 3375.

Leaving out one sample at a time, the score is a formula,

.. math::

    L(h) = \\sum_{i=1}^{N} \\log \\frac{1}{N-1} \\sum_{j \\ne i} \\prod_k \\frac{1}{h_k}
    \\varphi\\Bigl(\\frac{x_{ik} - x_{jk}}{h_k}\\Bigr)

and a formula has a gradient. ``KernelDensity(bandwidth="cv_ard")`` climbs along it. We look at both on two measurements of
178 wines, whose scales differ by hundreds.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_wine

from skkeops import KernelDensity
from skkeops.estimators.bandwidth import LeaveOneOut

###############################################################################
# The data
# --------

wine = load_wine()
samples = wine.data[
    :, [wine.feature_names.index(name) for name in ("color_intensity", "proline")]
]
spread = samples.std(axis=0)

figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
for cultivar, marker in enumerate("o^s"):
    axis.plot(
        *samples[wine.target == cultivar].T,
        marker,
        ms=5,
        alpha=0.7,
        label=f"cultivar {cultivar + 1}",
    )
axis.set(xlabel="colour intensity", ylabel="proline (mg/l)")
axis.legend()
plt.show()

###############################################################################
# By grid
# -------
#
# ``LeaveOneOut`` returns the likelihood and its derivative by the bandwidths in one pass over the pairs. The formula leaves
# out the pairs of a sample with itself, so that nothing has to be subtracted afterwards. The bandwidths are in units of the
# standard deviations.

likelihood = LeaveOneOut(samples)
widths = np.geomspace(0.05, 1.5, 15)
values = np.array([[likelihood(spread * [a, b])[0] for b in widths] for a in widths])
row, column = np.unravel_index(values.argmax(), values.shape)
best = np.array([widths[row], widths[column]])
print(f"grid: {values.size} evaluations, bandwidths {best.round(3)}, value {values.max():.2f}")

###############################################################################
# By gradient
# -----------
#
# The estimator does all of it. To draw its path we repeat the search by hand, with the same optimiser over the logarithms
# of the bandwidths.

path = []


def loss(theta):
    h = spread * np.exp(theta)
    value, derivative = likelihood(h)
    path.append(np.exp(theta))
    return -value / len(samples), -derivative * h / len(samples)


found = minimize(loss, np.log([1.0, 1.0]), jac=True, method="L-BFGS-B", bounds=[(-7, 3)] * 2)
path = np.array(path)
value = -found.fun * len(samples)
print(f"gradient: {len(path)} evaluations, bandwidths {path[-1].round(3)}, value {value:.2f}")

figure, axis = plt.subplots(figsize=(7, 6), layout="constrained")
levels = values.max() - np.array([200, 100, 50, 25, 12, 6, 3, 1])
axis.contour(widths, widths, values.T, levels=levels, cmap="viridis", linewidths=1)
axis.plot(*map(np.ravel, np.meshgrid(widths, widths)), ".", color="tab:orange", ms=3)
axis.plot(
    *best,
    "s",
    color="tab:orange",
    ms=10,
    mfc="none",
    mew=2,
    label=f"grid: {values.size} evaluations",
)
axis.plot(
    *path.T,
    "o-",
    color="tab:blue",
    ms=5,
    lw=1.2,
    label=f"gradient: {len(path)} evaluations",
)
axis.set(
    xscale="log",
    yscale="log",
    xlim=(0.045, 1.7),
    ylim=(0.045, 1.7),
    title="leave-one-out log-likelihood",
)
axis.set(
    xlabel="bandwidth of colour intensity / deviation",
    ylabel="bandwidth of proline / deviation",
)
axis.legend(loc="lower left")
plt.show()

###############################################################################
# The density
# -----------
#
# ``bandwidth="cv_ard"`` does all of this in ``fit``: a bandwidth for each feature. (``"cv"`` learns one for all.)

density = KernelDensity(bandwidth="cv_ard").fit(samples)
print(
    f"{density.n_evaluations_} evaluations, bandwidths {(density.bandwidth_ / spread).round(3)}"
)

low, high = samples.min(axis=0) - spread, samples.max(axis=0) + spread
x, y = (np.linspace(a, b, 150) for a, b in zip(low, high, strict=True))
points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
heights = np.exp(density.score_samples(points)).reshape(150, 150)

figure, axis = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
filled = axis.contourf(x, y, heights * spread.prod(), levels=15, cmap="Blues")
for cultivar, marker in enumerate("o^s"):
    axis.plot(
        *samples[wine.target == cultivar].T,
        marker,
        ms=4,
        alpha=0.8,
        label=f"cultivar {cultivar + 1}",
    )
axis.set(
    xlabel="colour intensity",
    ylabel="proline (mg/l)",
    title="the density that the gradient found",
)
axis.legend(loc="upper right")
figure.colorbar(filled, label="density in units of the deviations")
plt.show()
