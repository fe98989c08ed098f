"""Dense matrices of kernels, for those who ask for them: scikit-learn's own estimators, and tests."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.utils import check_array

from skkeops.backends.cpu.program import evaluate
from skkeops.formula.derivative import gradient, substitute
from skkeops.formula.expression import Expression, I, J, P, Variable

from .binding import BoundKernel

if TYPE_CHECKING:
    from .base import Kernel

__all__ = ["check_samples", "dense", "diagonal", "matrix"]

_BLOCK = 8  # samples taken together; more would gain little


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
    X = check_array(X, dtype=[np.float64, np.float32], input_name=name)
    if kernel.requires_nonnegative and (X < 0).any():
        raise ValueError(f"{name} contains negative values, where {type(kernel).__name__} has none: expected X >= 0")
    return X


def _differentiated(bound: BoundKernel, expression: Expression, name: str | None) -> Expression:
    return expression if name is None else gradient(expression, bound.parameters[name], 1)


def dense(bound: BoundKernel, name: str | None, X: np.ndarray, Y: np.ndarray) -> np.ndarray:  # noqa: N803
    """Return the matrix of the kernel, or of its derivative by a parameter: (n_X, n_Y, dim).

    What depends on one sample alone is computed first. Then a few samples at a time are parameters of the formula, and
    the others its rows: no more than the result is stored.
    """
    expression = _differentiated(bound, bound.expression, name)
    parameters = bound.parameter_arrays(X.dtype)
    one, many = (I, J) if len(X) <= len(Y) else (J, I)
    taken = _take_apart(expression, tuple(bound.parameters.values()), one)
    values = {}
    for category, samples, sample in ((I, X, bound.x), (J, Y, bound.y)):
        variables = (sample, *bound.parameters.values())
        values[category] = evaluate(taken.terms[category], variables, (samples, *parameters), len(samples))

    result = np.empty((len(X), len(Y), expression.dim), dtype=X.dtype)
    by_single = result if one == I else result.swapaxes(0, 1)
    for start in range(0, len(by_single), _BLOCK):
        block = [min(start + k, len(by_single) - 1) for k in range(_BLOCK)]
        singles = [value[k] for k in block for value in values[one]]
        rows = evaluate(taken.copies, taken.variables, (*values[many], *parameters, *singles), by_single.shape[1])
        for k, row in zip(block, rows, strict=True):
            by_single[k] = row
    return result


class _Apart(NamedTuple):
    """A formula of pairs, taken apart: the terms of one sample alone, by category, and several copies of the rest, one
    for each sample of a block, that share the other side's terms."""

    terms: dict[int, list[Expression]]
    copies: tuple[Expression, ...]
    variables: tuple[Variable, ...]


@lru_cache(maxsize=128)
def _take_apart(expression: Expression, parameters: tuple[Variable, ...], one: int) -> _Apart:
    """Take a formula apart for blocks of the samples of category `one`."""
    sides = {I: _terms(expression, I), J: _terms(expression, J)}
    variables: list[Variable] = []

    def new(like: Expression, category: int) -> Variable:
        variables.append(Variable(len(variables), like.dim, category))
        return variables[-1]

    shared = {term: new(term, I) for term in sides[J if one == I else I]}
    shared.update({v: new(v, P) for v in parameters})
    copies = tuple(
        substitute(expression, {**shared, **{term: new(term, P) for term in sides[one]}}) for _ in range(_BLOCK)
    )
    return _Apart(sides, copies, tuple(variables))


def _terms(expression: Expression, category: int) -> list[Expression]:
    """Return the largest sub-expressions that depend on one sample and on parameters alone."""
    found: dict[Expression, None] = {}
    seen: set[Expression] = set()
    stack = [expression]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if category in node.categories and node.categories <= {category, P}:
            found[node] = None
        else:
            stack.extend(node.args)
    return list(found)


def _on_diagonal(bound: BoundKernel, name: str | None, X: np.ndarray) -> np.ndarray:  # noqa: N803
    """Return the kernel of samples with themselves, or its derivative by a parameter: (n_X, dim)."""
    expression = _differentiated(bound, bound.diagonal(), name)
    variables = (bound.x, *bound.parameters.values())
    return evaluate((expression,), variables, (X, *bound.parameter_arrays(X.dtype)), len(X))[0]
