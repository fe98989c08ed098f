"""
Kernel ridge regression with many samples
=========================================

scikit-learn's ``KernelRidge`` decomposes the matrix of the kernel: :math:`8 N^2` bytes and :math:`N^3 / 3` operations. With
20 000 samples that is 3.2 GB and some minutes, with 100 000 it is 80 GB. :class:`skkeops.KernelRidge` solves the same system,

.. math:: (K + \\alpha I) \\, a = y,

by conjugate gradients: each iteration is a sum over all pairs, which takes time but no memory. How many iterations there are is
decided by a preconditioner of low rank, made of some columns of :math:`K`. This page shows what more samples bring, and what
they cost.

``--samples 100000`` runs it with a hundred thousand: about a minute on two cores, and 700 MB, most of it for the
preconditioner. If the kernel is short beside the data, see also the page on block-sparse sums.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

import argparse
import time

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.kernel_ridge import KernelRidge as DenseKernelRidge

from skkeops import KernelRidge, kernels

###############################################################################
# The data
# --------
#
# Friedman's function of four variables, with two more that mean nothing, and noise of deviation 1. No method can predict better
# than a root mean square error of 1.


def friedman(n, seed):
    rng = np.random.default_rng(seed)
    X = rng.random((n, 6))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3]
    return X, y + rng.standard_normal(n)


X_test, y_test = friedman(5000, 1)
mean = friedman(10**5, 2)[1].mean()
kernel = kernels.Gaussian(length_scale=1.0)
alpha = 0.3


def error(predicted):
    return np.sqrt(np.mean((predicted - y_test) ** 2))


###############################################################################
# More and more samples
# ---------------------
#
# ``tol`` is the residual of the system, relative to the targets: beyond a thousandth nothing changes in the predictions that
# the noise would not drown. ``n_components`` is the rank of the preconditioner.


def learn(n):
    """A row of the table: samples, error, iterations, seconds."""
    X, y = friedman(n, 0)
    began = time.perf_counter()
    model = KernelRidge(alpha=alpha, kernel=kernel, tol=1e-3, n_components=400).fit(X, y - mean)
    seconds = time.perf_counter() - began
    row = n, error(model.predict(X_test) + mean), model.n_iter_, seconds
    print(
        f"{n:8} samples: error {row[1]:.4f}, {row[2]:3} iterations, {seconds:6.2f} s; the matrix would have {8e-6 * n * n:.0f} MB"
    )
    return row


def run(largest):
    sizes = [n for n in (250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000) if n < largest] + [largest]
    return [learn(n) for n in sizes]


###############################################################################
# Two others, for comparison: scikit-learn's own kernel ridge where its matrix is small, and gradient boosting, which has no
# matrix either.


def others(largest):
    X, y = friedman(2000, 0)
    dense = DenseKernelRidge(alpha=alpha, kernel=kernel).fit(X, y - mean).predict(X_test)
    ours = KernelRidge(alpha=alpha, kernel=kernel, tol=1e-10).fit(X, y - mean).predict(X_test)
    print(
        f"\nscikit-learn's KernelRidge on 2000 samples predicts the same: differences up to {np.abs(dense - ours).max():.1e}"
    )
    X, y = friedman(largest, 0)
    boosted = error(HistGradientBoostingRegressor(random_state=0).fit(X, y).predict(X_test))
    print(f"gradient boosting on {largest} samples: error {boosted:.4f}")
    return boosted


###############################################################################
# The figure
# ----------


def plot(rows, boosted):
    import matplotlib.pyplot as plt

    n, errors, iterations, seconds = np.array(rows).T
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    axes[0].semilogx(n, errors, "o-", color="tab:blue", label="kernel ridge")
    axes[0].plot(n[-1], boosted, "s", color="tab:orange", label="gradient boosting")
    axes[0].axhline(1, color="black", lw=0.8, ls="--", label="noise")
    axes[0].set(xlabel="samples", title="error on 5000 others", ylim=(0.98, None))
    axes[0].legend()
    axes[1].loglog(n, seconds, "o-", color="tab:blue", label="seconds to fit")
    axes[1].loglog(n, 8e-9 * n**2, color="tab:orange", ls="--", label="GB of the matrix, which we do without")
    for a, b, k in zip(n, seconds, iterations, strict=True):
        axes[1].annotate(f"{k:.0f}", (a, b), textcoords="offset points", xytext=(0, 6), ha="center", fontsize=8)
    axes[1].set(xlabel="samples", title="cost; above the points: iterations")
    axes[1].legend(loc="upper left")
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(description="Kernel ridge regression with many samples.")
    parser.add_argument("--samples", type=int, default=24_000, help="the largest number of samples (default: 24000)")
    parser.add_argument("--save", metavar="FILE", help="write the figure to this file instead of showing it")
    arguments = parser.parse_args(argv)
    rows = run(arguments.samples)
    boosted = others(arguments.samples)
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("\nMatplotlib is not installed, so there is no figure: pip install matplotlib")
        return
    figure = plot(rows, boosted)
    if arguments.save:
        figure.savefig(arguments.save, dpi=110)
        print(f"\nFigure saved to {arguments.save}")
    else:
        plt.show()


if __name__ == "__main__":
    main()
