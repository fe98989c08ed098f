"""
Kernel ridge regression with many samples
=========================================

scikit-learn's ``KernelRidge`` decomposes the matrix of the kernel: :math:`8 N^2` bytes and :math:`N^3 / 3` operations. With
20 000 samples that is 3.2 GB and some minutes, with 100 000 it is 80 GB. :class:`skkeops.KernelRidge` solves the same system,

.. math:: (K + \\alpha I) \\, a = y,

by conjugate gradients: each iteration is a sum over all pairs, which takes time but no memory. The number of iterations
depends on a preconditioner of low rank, made of some columns of :math:`K`. This page shows what more samples bring, and what
they cost.

Add 100 000 to ``sizes`` to run it with a hundred thousand samples: it takes half a minute to a minute on two cores, and
900 MB, most of it for the preconditioner and for Nyström's features. If the length scale is small beside the extent of the
data, see also the page on block-sparse sums.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge as DenseKernelRidge
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skkeops import KernelRidge, kernels

###############################################################################
# The data
# --------
#
# Friedman's function of four variables, with two more that have no influence, and noise of deviation 1. No method can predict
# better than a root mean square error of 1.


def friedman(n, seed):
    rng = np.random.default_rng(seed)
    X = rng.random((n, 6))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3]
    return X, y + rng.standard_normal(n)


X, y = friedman(2000, 0)
figure, axes = plt.subplots(1, 5, figsize=(11, 2.6), sharey=True, layout="constrained")
for k, axis in enumerate(axes):
    axis.plot(X[:, k], y, ".", ms=2)
    axis.set_xlabel(f"variable {k + 1}")
axes[0].set_ylabel("target")
plt.show()


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


sizes = [250, 500, 1000, 2000, 4000, 8000, 16_000]
largest = sizes[-1]
errors = []
for n in sizes:
    X, y = friedman(n, 0)
    model = KernelRidge(alpha=alpha, kernel=kernel, tol=1e-3, n_components=400).fit(X, y - mean)
    errors.append(error(model.predict(X_test) + mean))
    print(f"{n:6} samples: error {errors[-1]:.4f}, iterations: {model.n_iter_}")

###############################################################################
# For comparison: Nyström's approximation of the same kernel by 400 samples, scikit-learn's way to do without
# the matrix. Friedman's function is smooth enough for 400 samples to stand for all.

X, y = friedman(largest, 0)
features = Nystroem(gamma=0.5, n_components=400, random_state=0)
approximate = make_pipeline(features, Ridge(alpha=alpha))
approximated = error(approximate.fit(X, y - mean).predict(X_test) + mean)
print(f"Nystroem on {largest} samples: error {approximated:.4f}")
megabytes = 8e-6 * np.array(sizes) ** 2.0

figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
axes[0].semilogx(sizes, errors, "o-", label="kernel ridge")
axes[0].plot(largest, approximated, "s", label="Nystroem of 400 samples")
axes[0].axhline(1, color="black", lw=0.8, ls="--", label="noise")
axes[0].set(xlabel="samples", ylabel="error on 5000 others", ylim=(0.98, None))
axes[0].legend()
axes[1].loglog(sizes, megabytes, "s-", color="0.5", label="the matrix")
axes[1].loglog(sizes, 8e-6 * 400 * np.array(sizes), "o-", label="400 of its columns")
axes[1].set(xlabel="samples", ylabel="megabytes")
axes[1].legend()
plt.show()

###############################################################################
# The same by a dense decomposition
# ---------------------------------
#
# scikit-learn's own kernel ridge, where its matrix is small:

X, y = friedman(2000, 0)
dense = DenseKernelRidge(alpha=alpha, kernel=kernel).fit(X, y - mean).predict(X_test)
ours = KernelRidge(alpha=alpha, kernel=kernel, tol=1e-10).fit(X, y - mean).predict(X_test)
print(f"2000 samples: predictions differ by at most {np.abs(dense - ours).max():.1e}")

figure, axis = plt.subplots(figsize=(5, 4), layout="constrained")
axis.plot(dense + mean, ours + mean, ".", ms=3)
axis.set(xlabel="scikit-learn", ylabel="skkeops", aspect="equal", title="predictions")
plt.show()
