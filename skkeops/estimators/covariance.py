"""The covariance of a Gaussian process: a kernel on its training samples, as the fit and the predictions ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.gaussian_process.kernels import Kernel as SklearnKernel

from skkeops import backends
from skkeops.arrays.devices import contiguous, namespace_of, to_device, to_host
from skkeops.formula import operations as ops
from skkeops.formula.derivative import gradient, substitute
from skkeops.formula.expression import IJ, I, J, Variable, variables_of
from skkeops.genred import Genred, shared
from skkeops.kernels import as_kernel
from skkeops.kernels.matrix import dense

from .reduction import PairReduction, reduction_of, weighted_sum

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
            if ours is not kernel:
                ours.check_parameters()
        except (TypeError, ValueError):
            ours = None  # a class of somebody's own, or a parameter that has no formula, as a nu of Matern
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
        kernel = clone(kernel)  # the caller's may have other parameters later
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

    # As of a `BoundKernel`: the expressions are made again.
    def __getstate__(self) -> dict[str, Any]:
        return {"kernel": self.kernel, "x": self.x, "backend": self.backend}

    def __setstate__(self, state: dict[str, Any]) -> None:
        FormulaCovariance.__init__(self, **state)

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
        K = K if namespace_of(K) is np else K.copy()  # what does not vary may be a view
        index = namespace_of(K).arange(len(queries))
        K[index, index] = self.diagonal(queries)
        return K

    def diagonal(self, queries: np.ndarray) -> np.ndarray:
        """Return the diagonal of that matrix."""
        return self.of_samples(self._itself, queries)[:, 0].copy()

    def noise(self, queries: np.ndarray) -> np.ndarray:
        """Return what a sample with itself has more than with one that is equal."""
        return self.diagonal(queries) - self.of_samples(self._between, queries)[:, 0]

    def times(self, queries: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Return the matrix of queries and training samples times the columns of a, without the matrix."""
        if a.shape[1] == 0:
            return namespace_of(a).zeros((len(queries), 0))
        reduction, _ = weighted_sum(self.bound, self.x, contiguous(a), self.x.dtype)
        return reduction(queries, self.backend)

    def of_samples(self, value: Any, queries: np.ndarray) -> np.ndarray:
        """Return an expression of x at every query."""
        xp = namespace_of(queries)
        arrays = (queries, *self.bound.parameter_arrays(queries.dtype, xp))
        variables = (self.bound.x, *self.bound.parameters.values())
        return backends.get(self.backend, xp).evaluate((value,), variables, arrays, len(queries))[0]

    def of_pairs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the kernel of a with b, row by row, (n_pairs,): as of two different samples."""
        xp = namespace_of(a)
        other = Variable(1, b.shape[1], I)
        expression = substitute(self.bound.expression, {self.bound.y: other})
        arrays = (a, b, *self.bound.parameter_arrays(a.dtype, xp))
        variables = (self.bound.x, other, *self.bound.parameters.values())
        return backends.get(self.backend, xp).evaluate((expression,), variables, arrays, len(a))[0][:, 0]

    def nearest(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Return the training samples of the largest covariance with every query, (n_queries, k)."""
        arrays = [self.x, *self.bound.parameter_arrays(self.x.dtype, namespace_of(queries))]
        definition = (-self.bound.expression, self.bound.variables, "ArgKMin")
        function = shared(Genred, *definition, axis=1, opt_arg=k, formula2=None)
        return function(queries, *arrays, backend=self.backend).astype(np.int64)

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

    def derivatives(self, names: list[str], v: np.ndarray, dtype: Any) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
        """Yield for each component of parameters the derivative of the matrix times the columns of v, computed in a dtype, and the
        derivative of the noise of each sample; None where there is none."""
        samples, columns = self.x.astype(dtype, copy=False), contiguous(v.astype(dtype))
        arrays = [samples, *self.bound.parameter_arrays(dtype, namespace_of(v)), columns]
        variables = self.bound.variables
        w = Variable(len(variables), v.shape[1], J)
        mentioned = variables_of(self.bound.expression)
        for name in names:
            parameter = self.bound.parameters[name]
            noise = self._noise_derivative(parameter) if self.has_noise else None
            derivative = gradient(self.bound.expression, parameter, 1) if parameter in mentioned else None
            for k in range(parameter.dim):
                product = None
                if derivative is not None:
                    component = derivative if derivative.dim == 1 else ops.Elem.build(derivative, k)
                    reduction = PairReduction(component * w, (*variables, w), arrays, "Sum")
                    product = reduction(samples, self.backend).astype(np.float64)
                yield product, None if noise is None else noise[:, k]

    def _noise_derivative(self, parameter: Variable) -> np.ndarray:
        itself, between = (gradient(e, parameter, 1) for e in (self._itself, self._between))
        return self.of_samples(itself, self.x) - self.of_samples(between, self.x)

    def low_rank_sums(self, factor: np.ndarray) -> tuple[float, np.ndarray]:
        """Return ``trace(F.T @ K @ F)`` for K without noise, and its derivative by theta, by one pass over the pairs."""
        bound, rank = self.bound, factor.shape[1]
        if rank == 0:
            return 0.0, np.zeros(sum(len(bound.values[name]) for name in self.tuned))
        n = len(bound.variables)
        left, right = Variable(n, rank, I), Variable(n + 1, rank, J)
        variables = (*bound.variables, left, right)
        function = reduction_of(bound.expression * ops.Scalprod.build(left, right), variables, "Sum")
        xp = namespace_of(factor)
        factor = contiguous(factor)
        arrays = (self.x, self.x, *bound.parameter_arrays(self.x.dtype, xp), factor, factor)
        mentioned = variables_of(bound.expression)
        wrt = [bound.parameters[name] for name in self.tuned if bound.parameters[name] in mentioned]
        if not wrt:
            value = function(*arrays, backend=self.backend)
            return float(value.sum()), np.zeros(sum(len(bound.values[name]) for name in self.tuned))
        ones = xp.ones((len(self.x), 1), dtype=self.x.dtype)
        value, parts = function.value_and_gradient(*arrays, wrt=tuple(wrt), grad_output=ones, backend=self.backend)
        found = dict(zip(wrt, parts, strict=True))
        slopes = [
            to_host(found.get(v, np.zeros(v.dim))).reshape(-1) * self.bound.values[name]
            for name, v in ((name, bound.parameters[name]) for name in self.tuned)
        ]
        return float(value.sum()), np.concatenate(slopes)

    def diagonal_slope(self, weights: np.ndarray, without: np.ndarray) -> np.ndarray:
        """Return the derivative by theta of ``(diagonal(x) * weights).sum() - (noise(x) * without).sum()``.

        It is the trace of dA times a diagonal matrix,
        minus the noise's part of that times a matrix whose pairs are summed elsewhere.
        """
        found = []
        for name in self.tuned:
            v = self.bound.parameters[name]
            part = weights @ self.of_samples(gradient(self._itself, v, 1), self.x)
            if self.has_noise:
                part = part - without @ self._noise_derivative(v)
            found.append(to_host(part) * self.bound.values[name])
        return np.concatenate(found) if found else np.zeros(0)

    def pair_gradient(self, queries: np.ndarray, weights: np.ndarray, wrt: list[Variable]) -> tuple[np.ndarray, ...]:
        """Return gradients of ``(cross(queries) * weights).sum()``."""
        variables = self.bound.variables
        w = Variable(len(variables), 1, IJ)
        xp = namespace_of(queries)
        arrays = [self.x, *self.bound.parameter_arrays(self.x.dtype, xp), contiguous(weights)]
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
