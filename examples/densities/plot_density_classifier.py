"""
A Pipeline tuned by GridSearchCV: densities that classify wine
==============================================================

A density for each class makes a classifier, by Bayes' rule:

.. math::

    p(c \\mid x) \\propto p(c) \\, \\hat f_c(x), \\qquad
    \\hat f_c(x) = \\frac{1}{N_c h^d} \\sum_{j \\,:\\, y_j = c} \\varphi\\Bigl( \\frac{x - x_j}{h} \\Bigr).

scikit-learn's documentation has such a classifier made of its ``KernelDensity``; here it is made of ours, and sits where any
estimator can sit: behind a scaler and a projection in a ``Pipeline``, inside a ``GridSearchCV`` that chooses the bandwidth, the
window and the number of components together. The data are 13 chemical measurements of 178 wines from three cultivars.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import check_is_fitted, validate_data

from skkeops import KernelDensity

###############################################################################
# The classifier
# --------------
#
# A density for each class; their logarithms, which may be thousands below zero, are normalised as logarithms.


class DensityClassifier(ClassifierMixin, BaseEstimator):
    """Bayes' rule with kernel densities."""

    def __init__(self, bandwidth=1.0, kernel="gaussian"):
        self.bandwidth = bandwidth
        self.kernel = kernel

    def fit(self, X, y):
        X, y = validate_data(self, X, y)
        self.classes_ = unique_labels(y)
        self.densities_ = [
            KernelDensity(bandwidth=self.bandwidth, kernel=self.kernel).fit(X[y == c])
            for c in self.classes_
        ]
        self.log_priors_ = np.log([np.mean(y == c) for c in self.classes_])
        return self

    def predict_log_proba(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        joint = (
            np.column_stack([density.score_samples(X) for density in self.densities_])
            + self.log_priors_
        )
        return joint - logsumexp(joint, axis=1, keepdims=True)

    def predict_proba(self, X):
        return np.exp(self.predict_log_proba(X))

    def predict(self, X):
        return self.classes_[self.predict_log_proba(X).argmax(axis=1)]


###############################################################################
# The search
# ----------
#
# Six numbers of components, nine bandwidths and two windows, five folds each: 540 fits, scored by the probability that they give
# to the right answer.

X, y = load_wine(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.4, stratify=y, random_state=0
)
folds = StratifiedKFold(5, shuffle=True, random_state=0)
pipeline = make_pipeline(StandardScaler(), PCA(), DensityClassifier())
grid = {
    "pca__n_components": range(2, 13, 2),
    "densityclassifier__bandwidth": np.geomspace(0.25, 4, 9),
    "densityclassifier__kernel": ["gaussian", "exponential"],
}
search = GridSearchCV(pipeline, grid, cv=folds, scoring="neg_log_loss").fit(X_train, y_train)
print(f"{len(search.cv_results_['params'])} combinations; the best:")
for name, value in search.best_params_.items():
    print(f"  {name} = {value if isinstance(value, str) else round(float(value), 3)}")
print(f"  log loss {-search.best_score_:.4f} in cross-validation")

###############################################################################
# The better window's losses, over bandwidths and numbers of components:

kernel = search.best_params_["densityclassifier__kernel"]
chosen = [p["densityclassifier__kernel"] == kernel for p in search.cv_results_["params"]]
widths, components = grid["densityclassifier__bandwidth"], grid["pca__n_components"]
losses = -search.cv_results_["mean_test_score"][chosen].reshape(len(widths), len(components)).T

figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
image = axis.pcolormesh(
    widths, components, np.log10(losses), cmap="viridis_r", shading="nearest"
)
best = (
    search.best_params_["densityclassifier__bandwidth"],
    search.best_params_["pca__n_components"],
)
axis.plot(*best, "o", color="white", mec="black", ms=10, label="best")
axis.set(xscale="log", xlabel="bandwidth", ylabel="components", title=f"{kernel} window")
axis.set_xticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
axis.minorticks_off()
axis.legend(loc="lower right")
figure.colorbar(image, label="log10 of the log loss in cross-validation")
plt.show()

###############################################################################
# Wines that were not seen
# ------------------------
#
# One Gaussian for each class, instead of our densities, is quadratic discriminant analysis.

best_model = search.best_estimator_
gaussians = make_pipeline(StandardScaler(), QuadraticDiscriminantAnalysis(reg_param=0.1)).fit(
    X_train, y_train
)
print(f"accuracy on {len(y_test)} other wines: {best_model.score(X_test, y_test):.3f}")
print(f"quadratic discriminant analysis: {gaussians.score(X_test, y_test):.3f}")
print(f"cross-validated on all wines: {cross_val_score(best_model, X, y, cv=folds).mean():.3f}")

###############################################################################
# What two components say
# -----------------------
#
# The colour is that of the most probable cultivar, and as strong as it is certain.

flat = make_pipeline(StandardScaler(), PCA(2), DensityClassifier(0.6)).fit(X_train, y_train)
points = flat[:-1].transform(X)
low, high = points.min(axis=0) - 0.8, points.max(axis=0) + 0.8
a, b = (np.linspace(u, v, 200) for u, v in zip(low, high, strict=True))
probabilities = flat[-1].predict_proba(np.stack(np.meshgrid(a, b), axis=-1).reshape(-1, 2))
colours = np.array([[0.0, 0.45, 0.70], [0.90, 0.62, 0.0], [0.0, 0.62, 0.45]])
strength = 0.75 * (3 * probabilities.max(axis=1) - 1) / 2
picture = 1 - strength[:, None] * (1 - colours[probabilities.argmax(axis=1)])

figure, axis = plt.subplots(figsize=(7, 5), layout="constrained")
extent = (low[0], high[0], low[1], high[1])
axis.imshow(picture.reshape(200, 200, 3), origin="lower", extent=extent, aspect="auto")
for c, marker in enumerate("o^s"):
    style = {"color": colours[c], "mec": "black", "mew": 0.5, "ms": 5, "ls": ""}
    axis.plot(*points[y == c].T, marker, label=f"cultivar {c + 1}", **style)
axis.set(
    xlabel="first component",
    ylabel="second component",
    title="probabilities with two components",
)
axis.legend(loc="lower right")
plt.show()
