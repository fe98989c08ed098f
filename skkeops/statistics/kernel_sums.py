"""Sums of a kernel over all pairs of samples, without its matrix."""

from __future__ import annotations

import numpy as np

from skkeops import backends
from skkeops.arrays.devices import namespace_of
from skkeops.estimators.reduction import reduction_of, weighted_sum
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import Expression
from skkeops.kernels import Kernel

__all__ = ["KernelSums", "SelfKernel"]


class SelfKernel:
    """The values k(x, x) of a kernel on samples.

    Attributes
    ----------
    between : ndarray of shape (n_samples,)
        The kernel of two samples that are equal, in float64: what a sum over all pairs counts for i = j.
    itself : ndarray of shape (n_samples,)
        The kernel of a sample with itself, to which `skkeops.kernels.White` adds its noise.
    """

    def __init__(self, kernel: Kernel, samples: np.ndarray, backend: str):
        bound = kernel.bind(samples.shape[1])
        xp = namespace_of(samples)
        arrays = (samples, *bound.parameter_arrays(samples.dtype, xp))
        variables = (bound.x, *bound.parameters.values())

        def of(expression: Expression) -> np.ndarray:
            found = backends.get(backend, xp).evaluate((expression,), variables, arrays, len(samples))[0]
            return np.broadcast_to(found, (len(samples), 1))[:, 0].astype(np.float64)

        self.between = of(substitute(bound.expression, {bound.y: bound.x}))
        diagonal = bound.diagonal()
        self.itself = of(diagonal)


class KernelSums:
    """Sums of a kernel, as statistics need them.

    Parameters
    ----------
    kernel : Kernel
    backend : str
    """

    def __init__(self, kernel: Kernel, backend: str):
        self.kernel = kernel
        self.backend = backend

    def rows(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:  # noqa: N803
        """Return the sums over j of ``k(x_i, y_j)``, in float64, of shape (n_X,)."""
        bound = self.kernel.bind(X.shape[1])
        function = reduction_of(bound.expression, bound.variables, "Sum")
        parameters = bound.parameter_arrays(X.dtype, namespace_of(X))
        return function(X, Y, *parameters, backend=self.backend)[:, 0].astype(np.float64)

    def total(self, X: np.ndarray, Y: np.ndarray) -> float:  # noqa: N803
        """Return the sum over i and j of ``k(x_i, y_j)``."""
        return float(self.rows(X, Y).sum())

    def products(self, X: np.ndarray, a: np.ndarray) -> np.ndarray:  # noqa: N803
        """Return the sums over j of ``k(x_i, x_j) a_j``, in float64, for each column of a: each kernel is evaluated once."""
        bound = self.kernel.bind(X.shape[1])
        reduction, _ = weighted_sum(bound, X, a.astype(X.dtype, order="C", copy=False), X.dtype)
        return reduction(X, self.backend).astype(np.float64, copy=False)

    def of_itself(self, X: np.ndarray) -> SelfKernel:  # noqa: N803
        """Return the kernel of each sample with itself."""
        return SelfKernel(self.kernel, X, self.backend)
