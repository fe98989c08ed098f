"""The covariance of a Gaussian process: a kernel on its training samples, as the fit and the predictions ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.gaussian_process.kernels import Kernel as SklearnKernel

from skkeops import backends
from skkeops.arrays.devices import namespace_of, to_device, to_host
from skkeops.formula.derivative import gradient, substitute
from skkeops.formula.expression import IJ, Variable, variables_of
from skkeops.kernels import as_kernel
from skkeops.kernels.matrix import dense

from .reduction import PairReduction, weighted_sum

__all__ = ["Covariance", "FormulaCovariance", "covariance_of"]

_ENTRIES = 2**22  # of a block of a dense matrix


def covariance_of(kernel: SklearnKernel, x: Any, backend: str) -> Covariance:
    """Return the covariance of training samples under a kernel, by its formula if it has one with the same parameters.

    Parameters
    ----------
    kernel : sklearn.gaussian_process.kernels.Kernel
        One of ours, or of scikit-learn's.
    x : array-like
        The training samples, checked.
    backend : str
    """
    if not isinstance(x, list) and getattr(x, "ndim", 0) == 2 and x.dtype.kind == "f":
        try:
            ours = as_kernel(kernel, n_features=x.shape[1])
        except (TypeError, ValueError):
            ours = None  # a class of somebody's own
        # A kernel of scikit-learn may have a gamma where ours has a length: theta would be another vector.
        if ours is not None and _tuned(ours) == _tuned(kernel):
            return FormulaCovariance(ours, x.astype(np.float64, copy=False), backend)
    return Covariance(kernel, x)


def _tuned(kernel: SklearnKernel) -> list[str]:
    return [h.name for h in kernel.hyperparameters if not h.fixed]


class Covariance:
    """The covariance under any kernel of scikit-learn's protocol, which computes dense matrices itself.

    Parameters
    ----------
    kernel : sklearn.gaussian_process.kernels.Kernel
    x : array-like
        The training samples; whatever the kernel takes.
    """

    #: Whether products and derivatives are there without the matrix.
    has_formula = False

    def __init__(self, kernel: SklearnKernel, x: Any):
        self.kernel = kernel
        self.x = x

    def matrix(self) -> np.ndarray:
        """Return the matrix of the training samples, with the noise of `White` kernels on its diagonal."""
        return self.kernel(self.x)

    def cross(self, queries: Any) -> np.ndarray:
        """Return the matrix of queries and training samples."""
        return self.kernel(queries, self.x)

    def among(self, queries: Any) -> np.ndarray:
        """Return the matrix of queries, which are samples like the training samples: with noise on its diagonal."""
        return self.kernel(queries)

    def diagonal(self, queries: Any) -> np.ndarray:
        """Return the diagonal of that matrix."""
        return np.array(self.kernel.diag(queries))

    def times(self, queries: Any, a: np.ndarray) -> np.ndarray:
        """Return the matrix of queries and training samples times the columns of a."""
        return self.cross(queries) @ a

    def slope(self, weights: np.ndarray) -> np.ndarray:
        """Return the derivative of ``(matrix() * weights).sum()`` by theta; the weights are symmetric."""
        _, derivative = self.kernel(self.x, eval_gradient=True)
        return np.einsum("ij,ijk->k", weights, derivative)


class FormulaCovariance(Covariance):
    """The covariance under a kernel that is a formula: nothing but the matrices that are asked for is stored.

    Parameters
    ----------
    kernel : skkeops.kernels.Kernel
    x : ndarray of shape (n_samples, n_features)
        The training samples, in float64.
    backend : str
    """

    has_formula = True

    def __init__(self, kernel: Any, x: np.ndarray, backend: str):
        kernel.check_parameters()
        if kernel.has_negative(x):
            raise ValueError(f"Negative values in the training samples: the kernel {kernel!r} has none")
        super().__init__(kernel, x)
        self.backend = backend
        self.bound = kernel.bind(x.shape[1])
        if self.bound.expression.dim != 1:
            raise ValueError(
                "the kernel must be a number for two samples: found a formula with "
                f"{self.bound.expression.dim} components"
            )
        #: The parameters that are tuned, in the order of theta.
        self.tuned = _tuned(kernel)
        self._between = substitute(self.bound.expression, {self.bound.y: self.bound.x})
        self._itself = self.bound.diagonal()

    @property
    def has_noise(self) -> bool:
        """Whether a sample with itself has another covariance than with one that is equal: a `White` kernel."""
        return self._itself is not self._between

    def matrix(self) -> np.ndarray:
        """Return the matrix of the training samples, with the noise of `White` kernels on its diagonal."""
        return self.among(self.x)

    def cross(self, queries: np.ndarray) -> np.ndarray:
        """Return the matrix of queries and training samples."""
        return dense(self.bound, None, queries, self.x)[:, :, 0]

    def among(self, queries: np.ndarray) -> np.ndarray:
        """Return the matrix of queries, which are samples like the training samples: with noise on its diagonal."""
        K = dense(self.bound, None, queries, queries)[:, :, 0]
        index = namespace_of(K).arange(len(queries))
        K[index, index] = self.diagonal(queries)
        return K

    def diagonal(self, queries: np.ndarray) -> np.ndarray:
        """Return the diagonal of that matrix."""
        return self.of_samples(self._itself, queries)[:, 0]

    def noise(self, queries: np.ndarray) -> np.ndarray:
        """Return what a sample with itself has more than with one that is equal."""
        return self.diagonal(queries) - self.of_samples(self._between, queries)[:, 0]

    def times(self, queries: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Return the matrix of queries and training samples times the columns of a, without the matrix."""
        reduction, _ = weighted_sum(self.bound, self.x, np.ascontiguousarray(a), self.x.dtype)
        return reduction(queries, self.backend)

    def of_samples(self, value: Any, queries: np.ndarray) -> np.ndarray:
        """Return an expression of x at every query."""
        xp = namespace_of(queries)
        arrays = (queries, *self.bound.parameter_arrays(queries.dtype, xp))
        variables = (self.bound.x, *self.bound.parameters.values())
        return backends.get(self.backend, xp).evaluate((value,), variables, arrays, len(queries))[0]

    def slope(self, weights: np.ndarray) -> np.ndarray:
        """Return the derivative of ``(matrix() * weights).sum()`` by theta; the weights are symmetric."""
        by_name = self.slope_by_name(weights, self.tuned)
        # theta has the logarithms.
        parts = [by_name[name] * self.bound.values[name] for name in self.tuned]
        return np.concatenate(parts) if parts else np.zeros(0)

    def slope_by_name(self, weights: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        """Return the derivative of ``(matrix() * weights).sum()`` by parameters of the kernel, each a vector."""
        wanted = {name: self.bound.parameters[name] for name in names}
        # A parameter that the formula of a pair does not mention, such as that of White, has no derivative in it.
        mentioned = [v for v in wanted.values() if v in variables_of(self.bound.expression)]
        found = {v: np.zeros(v.dim) for v in wanted.values()}
        if mentioned:
            for rows in self.blocks(len(self.x)):
                parts = self.pair_gradient(self.x[rows], weights[rows], mentioned)
                for v, part in zip(mentioned, parts, strict=True):
                    found[v] += to_host(part).reshape(-1)
        if self.has_noise:
            index = namespace_of(weights).arange(len(weights))
            diagonal = weights[index, index]
            for v in wanted.values():
                found[v] += self._noise_slope(v, diagonal)
        return {name: found[v] for name, v in wanted.items()}

    def _noise_slope(self, v: Variable, diagonal: np.ndarray) -> np.ndarray:
        parts = [to_host(diagonal @ self.of_samples(gradient(e, v, 1), self.x)) for e in (self._itself, self._between)]
        return parts[0] - parts[1]

    def noise_slope(self, diagonal: np.ndarray) -> np.ndarray:
        """Return the derivative of ``(noise(x) * diagonal).sum()`` by theta."""
        if not self.tuned:
            return np.zeros(0)
        if not self.has_noise:
            return np.zeros(sum(len(self.bound.values[name]) for name in self.tuned))
        parameters = self.bound.parameters
        return np.concatenate([self._noise_slope(parameters[n], diagonal) * self.bound.values[n] for n in self.tuned])

    def pair_gradient(self, queries: np.ndarray, weights: np.ndarray, wrt: list[Variable]) -> tuple[np.ndarray, ...]:
        """Return gradients of ``(cross(queries) * weights).sum()``."""
        variables = self.bound.variables
        w = Variable(len(variables), 1, IJ)
        xp = namespace_of(queries)
        arrays = [self.x, *self.bound.parameter_arrays(self.x.dtype, xp), np.ascontiguousarray(weights)]
        reduction = PairReduction(self.bound.expression * w, (*variables, w), arrays, "Sum")
        ones = xp.ones((len(queries), 1), dtype=self.x.dtype)
        return reduction.gradient(queries, ones, wrt, self.backend)

    def diagonal_gradient(self, queries: np.ndarray) -> np.ndarray:
        """Return the derivative of the diagonal at every query by the query, (n_queries, n_features)."""
        return self.of_samples(gradient(self._itself, self.bound.x, 1), queries)

    def blocks(self, n_rows: int) -> Iterator[slice]:
        """Yield slices of rows whose dense matrices with the training samples are small."""
        size = max(1, _ENTRIES // max(1, len(self.x)))
        for first in range(0, n_rows, size):
            yield slice(first, first + size)

    def to(self, array: Any) -> Any:
        """Return an array where the training samples are."""
        return to_device(array, namespace_of(self.x))
