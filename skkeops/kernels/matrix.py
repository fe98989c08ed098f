"""Dense matrices of kernels, for those who ask for them: scikit-learn's own estimators, and tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import _num_samples

from skkeops import backends
from skkeops.arrays.conversion import to_native
from skkeops.arrays.devices import namespace_of
from skkeops.formula.derivative import gradient
from skkeops.formula.expression import Expression

from .binding import BoundKernel

if TYPE_CHECKING:
    from .base import Kernel

__all__ = ["check_samples", "dense", "diagonal", "matrix"]


def matrix(kernel: Kernel, X: Any, Y: Any, eval_gradient: bool) -> Any:  # noqa: N803
    """Return the matrix of a kernel, and its derivative by theta if asked for; see `Kernel.__call__`."""
    if eval_gradient and Y is not None:
        raise ValueError("Gradient can only be evaluated when Y is None.")
    same = Y is None
    kernel.check_parameters()
    X = check_samples(kernel, X, "X")
    Y = X if same else check_samples(kernel, Y, "Y")
    dtype = np.result_type(X.dtype, Y.dtype)
    X, Y = X.astype(dtype, copy=False), Y.astype(dtype, copy=False)
    bound = kernel.bind(X.shape[1], Y.shape[1])
    if bound.expression.dim != 1:
        raise ValueError(f"a kernel must be a number: found a formula with {bound.expression.dim} components")

    K = dense(bound, None, X, Y)[:, :, 0]
    if same:
        np.fill_diagonal(K, _on_diagonal(bound, None, X)[:, 0])
    if not eval_gradient:
        return K
    tuned = [h.name for h in kernel.hyperparameters if not h.fixed]
    parts = []
    for name in tuned:
        part = dense(bound, name, X, X)
        index = np.arange(len(X))
        part[index, index] = _on_diagonal(bound, name, X)
        parts.append(part * bound.values[name].astype(dtype))
    return K, np.concatenate(parts, axis=2) if parts else np.empty((len(X), len(X), 0), dtype=dtype)


def diagonal(kernel: Kernel, X: Any) -> np.ndarray:  # noqa: N803
    """Return k(x, x) of every sample."""
    kernel.check_parameters()
    X = check_samples(kernel, X, "X")
    return _on_diagonal(kernel.bind(X.shape[1]), None, X)[:, 0]


def check_samples(kernel: Kernel, X: Any, name: str) -> np.ndarray:  # noqa: N803
    """Return samples as an array of float32 or float64, or raise what scikit-learn would."""
    if not kernel.requires_vector_input and not (isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "fiub"):
        return np.zeros((_num_samples(X), 1))  # whatever they are, they are counted only
    X = check_array(X, dtype=[np.float64, np.float32], input_name=name)
    X = to_native(X, X.dtype)
    if kernel.has_negative(X):
        raise ValueError(f"{name} contains negative values, where {type(kernel).__name__} has none: expected X >= 0")
    return X


def _differentiated(bound: BoundKernel, expression: Expression, name: str | None) -> Expression:
    return expression if name is None else gradient(expression, bound.parameters[name], 1)


def dense(bound: BoundKernel, name: str | None, X: np.ndarray, Y: np.ndarray) -> np.ndarray:  # noqa: N803
    """Return the matrix of the kernel, or of its derivative by a parameter: (n_X, n_Y, dim)."""
    expression = _differentiated(bound, bound.expression, name)
    variables, xp = (bound.x, bound.y, *bound.parameters.values()), namespace_of(X)
    arrays = (X, Y, *bound.parameter_arrays(X.dtype, xp))
    return backends.get("auto", xp).evaluate_pairs(expression, variables, arrays, len(X), len(Y))


def _on_diagonal(bound: BoundKernel, name: str | None, X: np.ndarray) -> np.ndarray:  # noqa: N803
    """Return the kernel of samples with themselves, or its derivative by a parameter: (n_X, dim)."""
    expression = _differentiated(bound, bound.diagonal(), name)
    variables = (bound.x, *bound.parameters.values())
    xp = namespace_of(X)
    arrays = (X, *bound.parameter_arrays(X.dtype, xp))
    return backends.get("auto", xp).evaluate((expression,), variables, arrays, len(X))[0]
