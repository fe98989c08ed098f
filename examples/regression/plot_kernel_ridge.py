"""
Kernel ridge regression, tuned in a Pipeline
============================================

:class:`skkeops.KernelRidge` takes the place of scikit-learn's: the same parameters, the same predictions, without the matrix
of the kernel. On the 442 patients of the diabetes data that matrix would be small; the point here is that nothing else in the
program changes, and that a kernel object brings its parameters into the grid.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.kernel_ridge import KernelRidge as DenseKernelRidge
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skkeops import KernelRidge, kernels

###############################################################################
# The data
# --------
#
# Ten measurements of each patient, and how far the disease had progressed a year later. We look at two of them.

diabetes = load_diabetes()
X, y = diabetes.data, diabetes.target
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
mean = y_train.mean()

figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
for axis, column, name in zip(
    axes, (2, 8), ("body mass index", "triglycerides, logarithm"), strict=True
):
    axis.plot(X[:, column], y, "o", ms=4, mew=0, alpha=0.5)
    axis.set_xlabel(f"{name} (standardised)")
axes[0].set_ylabel("progression of the disease")
plt.show()

###############################################################################
# The grid
# --------
#
# A kernel is a sum of a linear and of a Matérn part: two of its parameters are tuned with the regularisation.

kernel = 1.0 * kernels.Matern(length_scale=3.0, nu=2.5) + kernels.Linear()
pipeline = make_pipeline(StandardScaler(), KernelRidge(kernel=kernel))
grid = {
    "kernelridge__alpha": np.geomspace(1, 300, 6),
    "kernelridge__kernel__k1__k1__constant_value": [1.0, 5.0],
    "kernelridge__kernel__k1__k2__length_scale": [2.0, 4.0, 8.0],
}
search = GridSearchCV(pipeline, grid, cv=3).fit(X_train, y_train - mean)
best = search.best_estimator_[-1]
print(f"best kernel: {best.kernel}, alpha {best.alpha:.3g}")
print(f"R^2 on {len(y_test)} other patients: {search.score(X_test, y_test - mean):.3f}")
print(f"conjugate gradients took {best.n_iter_} iterations")

###############################################################################
# How the score depends on the regularisation, for each length scale (the better one of the two constants):

alphas, scales = (
    grid["kernelridge__alpha"],
    grid["kernelridge__kernel__k1__k2__length_scale"],
)
scores = search.cv_results_["mean_test_score"].reshape(len(alphas), 2, len(scales)).max(axis=1)

figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
for scale, line in zip(scales, scores.T, strict=True):
    axis.semilogx(alphas, line, "o-", label=f"length scale {scale:.0f}")
axis.set(xlabel="alpha", ylabel="$R^2$ in cross-validation")
axis.legend()
plt.show()

###############################################################################
# What it predicts
# ----------------

predicted = search.predict(X_test) + mean

figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
limits = [y.min(), y.max()]
axes[0].plot(predicted, y_test, "o", ms=5, mew=0, alpha=0.6)
axes[0].plot(limits, limits, "k--", lw=0.8)
axes[0].set(
    xlabel="predicted",
    ylabel="measured",
    aspect="equal",
    title="patients that were not seen",
)
errors = {"the mean": y_test - mean, "kernel ridge": y_test - predicted}
for (name, error), colour in zip(errors.items(), ("0.7", "tab:blue"), strict=True):
    label = f"{name}: {np.sqrt(np.mean(error**2)):.0f} root mean square"
    axes[1].hist(
        error,
        bins=np.linspace(-180, 220, 21),
        histtype="stepfilled",
        alpha=0.6,
        color=colour,
        label=label,
    )
axes[1].set(xlabel="measured − predicted", yticks=[], title="errors of two predictions")
axes[1].legend(loc="upper left", fontsize=8)
axes[1].set_ylim(0, 1.35 * axes[1].get_ylim()[1])
plt.show()

###############################################################################
# The same by a dense decomposition
# ---------------------------------
#
# scikit-learn's estimator takes our kernel object too, and builds its matrix.

dense = make_pipeline(StandardScaler(), DenseKernelRidge(alpha=best.alpha, kernel=best.kernel))
difference = dense.fit(X_train, y_train - mean).predict(X_test) + mean - predicted
print(f"scikit-learn's KernelRidge differs by at most {np.abs(difference).max():.1e}")
