"""
Kernel ridge regression, tuned in a Pipeline
============================================

:class:`skkeops.KernelRidge` takes the place of scikit-learn's: the same parameters, the same predictions, without the matrix
of the kernel. On the 442 patients of the diabetes data that matrix would be small; the point here is that nothing else in the
program changes, and that a kernel object brings its parameters into the grid.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

import argparse

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

X, y = load_diabetes(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
mean = y_train.mean()

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
predicted = search.predict(X_test) + mean
print(f"best kernel: {search.best_estimator_[-1].kernel}, alpha {search.best_estimator_[-1].alpha:.3g}")
print(f"R^2 on {len(y_test)} patients that were not seen: {search.score(X_test, y_test - mean):.3f}")
print(f"conjugate gradients took {search.best_estimator_[-1].n_iter_} iterations")

###############################################################################
# The same by a dense decomposition
# ---------------------------------
#
# scikit-learn's estimator takes our kernel object too, and builds its matrix.

best = search.best_estimator_[-1]
dense = make_pipeline(StandardScaler(), DenseKernelRidge(alpha=best.alpha, kernel=best.kernel))
dense_predicted = dense.fit(X_train, y_train - mean).predict(X_test) + mean
print(f"scikit-learn's KernelRidge differs by at most {np.abs(dense_predicted - predicted).max():.1e}")

###############################################################################
# The figure
# ----------


def plot():
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(5, 5))
    axis.plot(y_test, predicted, "o", alpha=0.6)
    limits = [y.min(), y.max()]
    axis.plot(limits, limits, "k--", lw=0.8)
    axis.set(xlabel="progression of the disease", ylabel="predicted", title="kernel ridge on the diabetes data")
    figure.tight_layout()
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(description="Kernel ridge regression in a Pipeline.")
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
