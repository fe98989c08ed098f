"""
Local regression: lines, robustness, standard errors
====================================================

A kernel-weighted mean is biased where the samples end, and where they are denser on one side: most of its neighbours are there. A
line that is fitted to the neighbours has no such bias, to first order. ``KernelSmoother(degree=1)`` fits one about each query, from
weighted sums over all samples, without a matrix of weights:

.. math:: \\hat y(x) = q_x(x), \\qquad q_x = \\operatorname{argmin}_q \\sum_j k(x, x_j) \\, (y_j - q(x_j))^2

where q is a polynomial of the degree: 0 for means, 1 for lines, 2 for parabolas. Our data are made, so that the truth is known: a
curve, samples that get rarer to the right, noise, and some gross errors, as a broken sensor makes them.
"""

# sphinx_gallery_thumbnail_number = 4
import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, KFold

from skkeops import KernelSmoother, kernels

###############################################################################
# The data
# --------

n_samples, noise, share_of_errors = 400, 0.15, 0.06
rng = np.random.default_rng(0)


def truth(t):
    return 2 * t + np.sin(6 * t)


t = np.sort(rng.beta(1, 2, size=n_samples))
y = truth(t) + noise * rng.standard_normal(n_samples)
broken = rng.random(n_samples) < share_of_errors
y[broken] += rng.choice([-3.0, 3.0], size=broken.sum())
line = np.linspace(0, 1, 300)

figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
axis.plot(t[~broken], y[~broken], ".", ms=4, color="0.6", label="samples")
axis.plot(t[broken], y[broken], "x", ms=5, color="tab:red", label="gross errors")
axis.plot(line, truth(line), "k--", lw=1, label="truth")
axis.set(xlabel="t", ylabel="y")
axis.legend()
plt.show()

###############################################################################
# The degree
# ----------
#
# Each degree has a best bandwidth of its own, which cross-validation finds. Absolute errors make the score, because the squares of
# the gross ones would be most of it. Robust iterations are explained below.

models = {}
for degree in (0, 1, 2):
    search = GridSearchCV(
        KernelSmoother(kernels.Gaussian(), degree=degree, robust_iterations=3),
        {"kernel__length_scale": np.geomspace(0.01, 0.3, 12)},
        cv=KFold(5, shuffle=True, random_state=0),
        scoring="neg_mean_absolute_error",
    ).fit(t[:, None], y)
    models[degree] = search.best_estimator_
    print(f"degree {degree}: length scale {models[degree].kernel_.length_scale:.3f}")


def root_mean_square(error):
    return np.sqrt(np.mean(error**2))


figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
for degree, name in enumerate(("means", "lines", "parabolas")):
    error = models[degree].predict(line[:, None]) - truth(line)
    axis.plot(line, error, label=f"local {name}: {root_mean_square(error):.3f}")
axis.axhline(0, color="black", lw=1, ls="--")
axis.set(xlabel="t", ylabel="difference from the truth")
axis.legend(title="root mean square")
plt.show()

###############################################################################
# The means are wrong by most where the samples end: at the left, where the curve climbs and all neighbours are on its right, and
# at the right, where they are rare besides.
#
# Robust iterations
# -----------------
#
# Samples far from the curve lose weight, and the curve is fitted again: these are the bisquare weights of LOESS. A sample further
# away than six times the median distance has no weight any more.

model = models[1]
rejected = model.robustness_weight_ == 0
print(
    f"{broken.sum()} gross errors; {rejected.sum()} samples without weight, "
    f"{(rejected & broken).sum()} of which are gross errors"
)

plain = KernelSmoother(model.kernel_, degree=1).fit(t[:, None], y)
curves = {
    "all samples alike": plain.predict(line[:, None]),
    "three iterations": model.predict(line[:, None]),
}

figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
axis.plot(t, y, ".", ms=4, color="0.6")
for (name, curve), colour in zip(curves.items(), ("tab:red", "tab:blue"), strict=True):
    error = root_mean_square(curve - truth(line))
    axis.plot(line, curve, color=colour, label=f"{name}: {error:.3f}")
axis.plot(line, truth(line), "k--", lw=1)
axis.set(xlabel="t", ylabel="y", ylim=(-1, 3))
axis.legend(title="root mean square error")
plt.show()

###############################################################################
# Standard errors
# ---------------
#
# A prediction is a weighted sum of the targets, so that its variance is that of the noise times the sum of the squared weights. The
# band is wide where samples are rare. Bias is not part of it.

curve, error = model.predict(line[:, None], return_std=True)
inside = np.mean(np.abs(curve - truth(line)) < 2 * error)
print(f"the truth is within two standard errors on {inside:.0%} of the line")

figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
axis.plot(t[~rejected], y[~rejected], ".", ms=4, color="0.6", label="samples")
axis.fill_between(
    line, curve - 2 * error, curve + 2 * error, alpha=0.3, label="two standard errors"
)
axis.plot(line, curve, color="tab:blue", label="local lines")
axis.plot(line, truth(line), "k--", lw=1, label="truth")
axis.set(xlabel="t", ylabel="y")
axis.legend(loc=(0.2, 0.03))
plt.show()

###############################################################################
# Beside NumPy
# ------------
#
# ``numpy.polyfit`` fits one line at a time. It multiplies residuals, not their squares, by its weights.

one_by_one = []
for x in line:
    weights = np.exp(-((t - x) ** 2) / (2 * model.kernel_.length_scale**2))
    weights *= model.robustness_weight_
    one_by_one.append(np.polyfit(t - x, y, 1, w=np.sqrt(weights))[-1])
print(f"largest difference from numpy.polyfit: {np.abs(curve - one_by_one).max():.1e}")
