"""The base of all estimators: kernels from their parameters, checked samples and queries, gradients by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.gaussian_process.kernels import Kernel as SklearnKernel
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skkeops import backends
from skkeops.arrays.devices import namespace_of
from skkeops.formula.expression import Variable
from skkeops.kernels import Kernel, as_kernel
from skkeops.kernels.binding import BoundKernel

from .namespaces import check_namespace, like, to_engine
from .reduction import PairReduction, weighted_sum
from .rows import is_dask, map_chunks, over_rows
from .validation import check_columns, check_values, check_weights, validate_samples

__all__ = ["KernelEstimator", "ReductionEstimator"]


class KernelEstimator(BaseEstimator):
    """An estimator that keeps reference samples and reduces a kernel over them."""

    _doc_link_module = "skkeops"
    _doc_link_template = "https://skkeops.readthedocs.io/en/latest/generated/api/skkeops.{estimator_name}.html"

    #: The parameters that all of them have.
    _shared_constraints: ClassVar[dict[str, list]] = {
        "backend": [StrOptions({"auto", "CPU", "GPU", "reference"})],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }
    #: Those of a kernel by name or as an object.
    _kernel_constraints: ClassVar[dict[str, list]] = {
        "kernel": [str, SklearnKernel, callable],  # functions are refused by as_kernel, which says why
        "gamma": [Interval(Real, 0, None, closed="neither"), None],
        "degree": [Interval(Real, 0, None, closed="neither")],
        "coef0": [Interval(Real, None, None, closed="neither")],
    }
    #: Of those that may leave out what does not matter.
    _tolerance_constraints: ClassVar[dict[str, list]] = {"rtol": [Interval(Real, 0, 1, closed="left")]}

    # Tags

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        kernel = getattr(self, "kernel", None)
        tags.input_tags.positive_only = kernel in ("chi2", "additive_chi2") if isinstance(kernel, str) else False
        return tags

    # Fitting

    def _fit_kernel(self, n_features: int) -> Kernel:
        """Return a kernel object of our own for the estimator's parameters."""
        return clone(
            as_kernel(
                self.kernel, gamma=self.gamma, degree=self.degree, coef0=self.coef0, n_features=n_features
            )
        )

    def _fit_samples(self, X: Any) -> Any:  # noqa: N803
        """Return the reference samples, checked, in their own namespace; set ``n_features_in_``."""
        X = self._fit_columns(X)
        return validate_samples(self, X)

    def _fit_columns(self, X: Any) -> Any:  # noqa: N803
        """Return the reference samples, not checked, with the columns that the kernel asks for by name."""
        backends.get(self.backend, namespace_of(X))
        if is_dask(X):
            raise TypeError(
                f"{type(self).__name__}.fit keeps all reference samples in memory: found a Dask array, expected an "
                "array such as X.compute()"
            )
        return _named_columns(self.kernel, X, 1)

    def _fit_weights(self, sample_weight: Any, X: Any, non_negative: bool) -> np.ndarray | None:  # noqa: N803
        """Return the weights of the reference samples, None if all weigh the same."""
        if sample_weight is None:
            return None
        weights = check_weights(sample_weight, X, non_negative)
        if not to_engine(weights).any():
            raise ValueError("Sample weights must contain at least one non-zero number: all of them are zero")
        return weights

    def _bind(self, n_fit: int) -> BoundKernel:
        return self.kernel_.bind(self.kernel_.query_columns(n_fit), n_fit)

    def _check_kernel_samples(self, X: np.ndarray, name: str) -> None:  # noqa: N803
        if self.kernel_.has_negative(X):
            raise ValueError(f"Negative values in data passed to {type(self).__name__}: the kernel has none in {name}")

    def _refuse_negative_kernel(self, result: np.ndarray) -> None:
        """Raise if a logarithm of a kernel did not exist."""
        if np.isnan(result).any():
            raise ValueError(
                f"{type(self).__name__} takes the logarithm of the kernel, which is negative, or not a number, for some "
                f"pairs of samples: expected a positive kernel, found {self.kernel_!r}"
            )

    # Queries

    def _check_queries(self, X: Any, method: str) -> Any:  # noqa: N803
        """Return queries, checked, in their own namespace."""
        check_is_fitted(self)
        X = _named_columns(self.kernel_, X, 0)
        if self.kernel_.columns(0) is not None:
            # The queries have columns of their own.
            X = check_columns(self, X)
            self.kernel_.check_columns(X.shape[1], self.n_features_in_)
        else:
            X = validate_samples(self, X, reset=False)
        check_namespace(X, self, attribute="X_fit_", method=method)
        return X

    def _lazy(
        self, X: Any, method: str, n_outputs: int | None, at_least: Any = np.float32, **options: Any  # noqa: N803
    ) -> Any:
        """Return a method, with options, of every block of a Dask array, None if X is something else; `at_least` is the narrowest
        dtype."""
        check_is_fitted(self)
        if not is_dask(X):
            return None
        dtype = np.result_type(np.float32 if X.dtype == np.float32 else np.float64, at_least)
        return map_chunks(partial(getattr(self, method), **options), X, n_outputs, dtype)

    # Gradients

    def _sums_in_float64(self, x: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the sums over the samples of the kernel times columns, in float64 whatever queries and samples are: for what is a
        difference of large sums, or a quotient of small ones."""
        samples = to_engine(self.X_fit_).astype(np.float64, copy=False)
        reduction, _ = weighted_sum(self._bind(samples.shape[1]), samples, columns, samples.dtype)
        queries = x.astype(np.float64, copy=False)
        return over_rows(reduction, queries, self.backend, self.n_jobs, self.verbose, type(self).__name__)

    def _gradient(self, X: Any, grad_output: Any, wrt: Any) -> Any:  # noqa: N803
        """Return gradients by name, in the shapes of what the names stand for."""
        X = self._check_queries(X, "gradient")
        x = to_engine(X)
        names = (wrt,) if isinstance(wrt, str) else wrt
        if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"wrt must be a name or a tuple of names: found {wrt!r}")
        known = self._gradient_names()
        for name in names:
            if name not in known:
                raise ValueError(f"wrt must be one of {', '.join(map(repr, known))}: found {name!r}")
        e = self._check_grad_output(grad_output, x)
        found = self._gradients(x, e, names)
        shaped = tuple(like(found[name], X) if np.ndim(found[name]) else float(found[name]) for name in names)
        return shaped[0] if isinstance(wrt, str) else shaped

    def _gradient_names(self) -> list[str]:
        bound = self._bind(self.n_features_in_)
        return ["X", "X_fit", *self._own_gradient_names, *(f"kernel__{name}" for name in bound.parameters)]

    _own_gradient_names: ClassVar[tuple[str, ...]] = ("y", "sample_weight")

    def _check_grad_output(self, grad_output: Any, x: np.ndarray) -> np.ndarray:
        rows, shape = len(x), (len(x), self._n_outputs)
        if grad_output is None:
            return namespace_of(x).ones(shape, dtype=x.dtype)
        e = check_values(grad_output, x, "grad_output")
        if e.shape == (rows,) and shape[1] == 1:
            e = e.reshape(shape)
        if e.shape != shape:
            raise ValueError(f"grad_output must have the shape of the output, {shape}: found {e.shape}")
        return e

    def _gradients_of(
        self,
        reduction: PairReduction,
        x: np.ndarray,
        e: np.ndarray,
        names: Sequence[str],
        variables: Mapping[str, Variable],
    ) -> dict[str, np.ndarray]:
        """Return the gradients of a reduction, in one call, by the names that stand for a variable or a parameter of the kernel."""
        parameters = {f"kernel__{name}": v for name, v in self._bind(self.n_features_in_).parameters.items()}
        wanted = {name: v for name, v in {**variables, **parameters}.items() if name in names}
        distinct = list(dict.fromkeys(wanted.values()))
        if not distinct:
            return {}
        gradients = dict(zip(distinct, reduction.gradient(x, e, distinct, self.backend), strict=True))
        found = {name: gradients[v] for name, v in wanted.items()}
        for name in parameters.keys() & found.keys():
            found[name] = self._kernel_gradient_shape(name.removeprefix("kernel__"), found[name])
        return found

    def _kernel_gradient_shape(self, name: str, gradient: np.ndarray) -> Any:
        """Return the gradient by a parameter of the kernel in the shape of its value."""
        return gradient.reshape(np.shape(self.kernel_.get_params()[name]))


class ReductionEstimator(KernelEstimator):
    """An estimator that is nothing but a kernel reduced over the reference samples."""

    _parameter_constraints: ClassVar[dict] = {
        **KernelEstimator._kernel_constraints,
        **KernelEstimator._tolerance_constraints,
        **KernelEstimator._shared_constraints,
    }

    def __init__(self, kernel="rbf", *, gamma=None, degree=3, coef0=1, rtol=0.0, backend="auto", n_jobs=None, verbose=0):
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.rtol = rtol
        self.backend = backend
        self.n_jobs = n_jobs
        self.verbose = verbose


def _named_columns(kernel: Any, X: Any, category: int) -> Any:  # noqa: N803
    """Return the columns of a data frame that are called like the variables of a formula, in their order."""
    if not isinstance(kernel, Kernel) or not hasattr(X, "columns"):
        return X
    wanted = kernel.columns(category)
    if not wanted or any(dim != 1 for _, dim in wanted):
        return X
    names = [name for name, _ in wanted]
    return X[names] if set(names) <= set(X.columns) else X
