"""
A formula of your own as the kernel of a support vector machine
===============================================================

scikit-learn's ``SVC`` takes a Python function as its kernel, and then it is up to you to build the matrix. A
:class:`skkeops.Formula` is such a function, made from text, compiled ahead of time, with parameters that have names: they
are tuned like those of any estimator.

We classify scikit-learn's breast cancer data with a kernel that no library has: a Gaussian kernel of the *logarithms* of
the features, plus a share of their cosine. All features are sizes and areas, positive and skewed, so that ratios say
more than differences.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.svm import SVC

from skkeops import Formula

###############################################################################
# The kernel
# ----------
#
# ``x`` and ``y`` are two samples, with all their columns. Every other name has a value: it is a parameter.

kernel = Formula(
    "Exp(-g * SqDist(Log(x + c), Log(y + c))) + s * (Normalize(x) | Normalize(y))",
    g=0.1,
    c=0.01,
    s=1.0,
)
X, y = load_breast_cancer(return_X_y=True)
print(f"{kernel}\nmakes a matrix of shape {kernel(X).shape}, diagonal {kernel.diag(X)[:3]} ...")

###############################################################################
# Two of the thirty features, as they are and as logarithms:

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for axis, scale in zip(axes, ("linear", "log"), strict=True):
    for label, marker, name in ((1, "o", "benign"), (0, "^", "malignant")):
        axis.plot(*X[y == label][:, [3, 13]].T, marker, ms=4, mew=0, alpha=0.6, label=name)
    axis.set(xscale=scale, yscale=scale, xlabel="mean area", title=f"{scale} axes")
axes[1].set_xticks([200, 500, 1000, 2000], ["200", "500", "1000", "2000"], minor=False)
axes[1].minorticks_off()
axes[0].set_ylabel("standard error of the area")
axes[0].legend()
plt.show()

###############################################################################
# Tuning it
# ---------
#
# ``kernel__g`` is the parameter g of the formula.

folds = StratifiedKFold(5, shuffle=True, random_state=0)
grid = {"kernel__g": np.geomspace(0.003, 3, 7), "C": [0.3, 1, 3, 10, 30]}
search = GridSearchCV(SVC(kernel=kernel), grid, cv=folds).fit(X, y)
best = {name: float(value) for name, value in search.best_params_.items()}
print(f"\nbest: {best}\n  accuracy {search.best_score_:.4f} in 5-fold cross-validation")


scores = search.cv_results_["mean_test_score"].reshape(len(grid["C"]), len(grid["kernel__g"]))
figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
image = axis.imshow(scores, origin="lower", aspect="auto")
axis.set_xticks(range(len(grid["kernel__g"])), [f"{g:.2g}" for g in grid["kernel__g"]])
axis.set_yticks(range(len(grid["C"])), grid["C"])
axis.set(xlabel="g", ylabel="C", title="accuracy of SVC with the formula as its kernel")
figure.colorbar(image)
plt.show()

###############################################################################
# Beside kernels that come with SVC
# ---------------------------------
#
# They see the raw features here, as our formula does.

accuracy = {"formula": search.best_score_}
for name in ("rbf", "poly", "linear"):
    accuracy[name] = cross_val_score(SVC(kernel=name), X, y, cv=folds).mean()
    print(f"accuracy {accuracy[name]:.4f} with kernel={name!r}")

figure, axis = plt.subplots(figsize=(7, 2.4), layout="constrained")
bars = axis.barh(
    list(accuracy), list(accuracy.values()), color=["tab:blue", "0.7", "0.7", "0.7"]
)
axis.bar_label(bars, fmt="%.3f", padding=3)
axis.set(xlim=(0.85, 1), xlabel="accuracy in 5-fold cross-validation")
axis.invert_yaxis()
plt.show()
