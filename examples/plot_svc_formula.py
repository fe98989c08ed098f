"""
A formula of your own as the kernel of a support vector machine
===============================================================

scikit-learn's ``SVC`` takes a Python function as its kernel, and then it is up to you to build the matrix. A
:class:`skkeops.Formula` is such a function, made from text, compiled ahead of time, with parameters that have names: they
are tuned like those of any estimator.

We classify scikit-learn's breast cancer data with a kernel that no library has: a Gaussian kernel of the *logarithms* of
the features, plus a share of their cosine. All features are sizes and areas, positive and skewed, so that ratios say
more than differences.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

import argparse

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
print(f"{kernel}\n  is a {X.shape[0]} x {X.shape[0]} matrix: {kernel(X).shape}, diagonal {kernel.diag(X)[:3]}")

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

for name in ("rbf", "poly", "linear"):
    score = cross_val_score(SVC(kernel=name), X, y, cv=folds).mean()
    print(f"  accuracy {score:.4f} with kernel={name!r} on the raw features, as it comes")

###############################################################################
# The figure
# ----------
#
# The accuracy over the grid.


def plot():
    import matplotlib.pyplot as plt

    scores = search.cv_results_["mean_test_score"].reshape(len(grid["C"]), len(grid["kernel__g"]))
    figure, axis = plt.subplots(figsize=(7, 3.6))
    image = axis.imshow(scores, origin="lower", aspect="auto")
    axis.set_xticks(range(len(grid["kernel__g"])), [f"{g:.2g}" for g in grid["kernel__g"]])
    axis.set_yticks(range(len(grid["C"])), grid["C"])
    axis.set(xlabel="g", ylabel="C", title="accuracy of SVC with the formula as its kernel")
    figure.colorbar(image)
    figure.tight_layout()
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(description="A formula as the kernel of SVC.")
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
