"""The matrix of a ridge regression: the kernel on the training samples, with the roots of their weights; never stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from skkeops import backends
from skkeops.arrays.devices import contiguous, namespace_of, to_host
from skkeops.formula.derivative import substitute
from skkeops.kernels.binding import BoundKernel
from skkeops.kernels.matrix import dense

from .reduction import weighted_sum

__all__ = ["TrainingMatrix", "check_kernel_of_samples"]

#: Systems of so many samples are always solved to the least tolerance: it takes little time, and gives what a decomposition gives.
FEW_SAMPLES = 5000
LEAST_TOLERANCE = 1e-8


def check_kernel_of_samples(kernel: Any, bound: BoundKernel) -> None:
    """Refuse a kernel that has no matrix on the training samples: one of several components, or with columns of their own for y."""
    if bound.expression.dim != 1:
        raise ValueError(f"the kernel must be a number: found a formula with {bound.expression.dim} components")


class TrainingMatrix:
    """The matrix K of the training samples, each row and column times the root of a weight, known by its products.

    The noise of a `White` kernel is on the diagonal of the system, but not in this matrix: `shift` adds it to alpha.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_features)
        The training samples in float64; K itself if it is precomputed.
    root : ndarray of shape (n_samples, 1) or None
        The roots of the weights.
    bound : BoundKernel or None
        The kernel on these columns; None if K is precomputed.
    backend : str

    Attributes
    ----------
    size : int
        The number of rows.
    dtype : dtype
        That of `coefficients`.
    diagonal : ndarray of shape (n_samples,)
    """

    def __init__(self, x: np.ndarray, root: np.ndarray | None, bound: BoundKernel | None, backend: str):
        self._x = x
        self._rough_x: np.ndarray | None = None
        self._root = root
        self._backend = backend
        self._bound = bound
        self.size = len(x)
        self.dtype = np.float64
        if self._bound is None:
            self.diagonal, self._noise = self._weighted(np.diagonal(x)), None
            return
        # The kernel of two samples that are equal, and that of a sample with itself, to which White adds its noise.
        between, itself = substitute(self._bound.expression, {self._bound.y: self._bound.x}), self._bound.diagonal()
        self.diagonal = self._weighted(self._of_samples(between))
        self._noise = None if itself is between else self._weighted(self._of_samples(itself)) - self.diagonal

    def _of_samples(self, value: Any) -> np.ndarray:
        bound, xp = self._bound, namespace_of(self._x)
        arrays = (self._x, *bound.parameter_arrays(self._x.dtype, xp))
        variables = (bound.x, *bound.parameters.values())
        return backends.get(self._backend, xp).evaluate((value,), variables, arrays, len(self._x))[0][:, 0]

    def _weighted(self, diagonal: np.ndarray) -> np.ndarray:
        return diagonal if self._root is None else diagonal * self._root[:, 0] ** 2

    def shift(self, alpha: np.ndarray) -> np.ndarray:
        """Return alpha and the noise: one number for each target if all samples have the same, else (n_samples, n_targets)."""
        if self._noise is not None:
            alpha = alpha + to_host(self._noise)[:, None]
        return alpha[0] if alpha.ndim == 2 and (alpha == alpha[0]).all() else alpha

    def tolerance(self, alpha: np.ndarray) -> float:
        """Return the relative residual that is good enough for ``K + alpha``: see the parameter `tol` of `KernelRidge`."""
        if self.size <= FEW_SAMPLES:
            return LEAST_TOLERANCE
        noise, variance = float(alpha.min()), max(float(self.diagonal.mean()), 0.0)
        share = np.sqrt(noise / (noise + variance)) if noise > 0 else 0.0
        return max(LEAST_TOLERANCE, float(1e-3 * share))

    def coefficients(self, a: np.ndarray) -> np.ndarray:
        """Return the coefficients of a solution."""
        with np.errstate(over="ignore"):
            return (a if self._root is None else a * self._root).astype(self.dtype, copy=False)

    def unknowns(self, coefficients: np.ndarray) -> np.ndarray:
        """Return the solution that has these coefficients."""
        a = coefficients.astype(np.float64)
        return a if self._root is None else np.where(self._root > 0, a / np.where(self._root > 0, self._root, 1), 0)

    def product(self, v: np.ndarray) -> np.ndarray:
        """Return K @ v."""
        return self._product(self._x, v)

    def rough_product(self, v: np.ndarray) -> np.ndarray:
        """Return K @ v, computed in float32: in a third of the time."""
        with np.errstate(over="ignore"):
            return self._product(self._rough, v).astype(np.float64)

    def missed(self, v: np.ndarray, rows: slice) -> np.ndarray:
        """Return what float32 misses of some rows of K @ v."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._product(self._rough, v, rows).astype(np.float64) - self._product(self._x, v, rows)

    @property
    def _rough(self) -> np.ndarray:
        if self._rough_x is None:
            self._rough_x = self._x.astype(np.float32)
        return self._rough_x

    def _product(self, x: np.ndarray, v: np.ndarray, rows: slice | None = None) -> np.ndarray:
        v = v if self._root is None else v * self._root
        some = x if rows is None else contiguous(x[rows])
        if self._bound is None:
            image = some @ v.astype(x.dtype, copy=False)
        else:
            reduction, _ = weighted_sum(self._bound, x, v.astype(x.dtype, order="C", copy=False), x.dtype)
            image = reduction(some, self._backend)
        if self._root is None:
            return image
        return image * (self._root if rows is None else self._root[rows])

    def columns(self, which: np.ndarray) -> np.ndarray:
        """Return some columns of K."""
        found = self._x[:, which] if self._bound is None else dense(self._bound, None, self._x, self._x[which])[:, :, 0]
        return found if self._root is None else found * self._root * self._root[which, 0]
