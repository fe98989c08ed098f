"""Lazy tensors as arrays, and parts of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skkeops.backends.cpu.program import evaluate
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import Expression, I, P, Variable

from .symbols import symbol

if TYPE_CHECKING:
    from .tensor import LazyTensor

__all__ = ["dense", "diagonal", "restrict"]


def dense(tensor: LazyTensor) -> np.ndarray:
    """Return all values of a tensor, row by row: one point x_i is a parameter, the y_j are the points of a map."""
    batch, rows = tensor.batch, [1 if n is None else n for n in tensor._rows]
    symbols = list(tensor.symbols.values())
    for s in symbols:
        if s.array is None:
            raise ValueError("a tensor of variables without arrays has no values: give them in LazyTensor(array)")
    renamed: dict[Expression, Expression] = {}
    arrays = []
    dtype = np.result_type(np.float32, *(s.array.dtype for s in symbols)) if symbols else np.dtype(np.float64)
    for k, s in enumerate(symbols):
        v = s.variable
        renamed[v] = Variable(k, v.dim, P if v.category != 1 else I)
        shape = (*batch, v.dim) if v.category == P else (*batch, rows[v.category], v.dim)
        arrays.append(np.broadcast_to(s.array, shape).astype(dtype, copy=False))
    expression = substitute(tensor.expression, renamed)
    result = np.empty((*batch, *rows, expression.dim), dtype=dtype)
    variables = tuple(renamed.values())
    for index in np.ndindex(*batch, rows[0]):
        *problem, i = index
        given = tuple(
            a[tuple(problem)][i] if s.variable.category == 0 else a[tuple(problem)]
            for a, s in zip(arrays, symbols, strict=True)
        )
        result[index] = evaluate((expression,), variables, given, rows[1])[0]
    return result[..., 0] if expression.dim == 1 else result


def diagonal(tensor: LazyTensor) -> np.ndarray:
    """Return the values of pairs (i, i)."""
    batch, rows = tensor.batch, [1 if n is None else n for n in tensor._rows]
    if rows[0] != rows[1]:
        raise ValueError(f"a diagonal is that of a square tensor: found shape {tensor.shape}")
    symbols = list(tensor.symbols.values())
    renamed = {s.variable: Variable(k, s.variable.dim, P if s.variable.category == P else I) for k, s in enumerate(symbols)}
    expression = substitute(tensor.expression, renamed)
    result = np.empty((*batch, rows[0], expression.dim), dtype=tensor.dtype or np.float64)
    for index in np.ndindex(*batch):
        given = []
        for s in symbols:
            shape = (*batch, *s.array.shape[len(s.batch) :])
            given.append(np.broadcast_to(s.array, shape)[index].astype(result.dtype, copy=False))
        result[index] = evaluate((expression,), tuple(renamed.values()), tuple(given), rows[0])[0]
    return result[..., 0] if expression.dim == 1 else result


def restrict(tensor: LazyTensor, key: tuple[Any, Any]) -> LazyTensor:
    """Return the tensor of some rows and columns."""
    renamed: dict[Expression, Expression] = {}
    symbols = {}
    rows = list(tensor._rows)
    for v, s in tensor.symbols.items():
        kept = s
        if v.category != P:
            some = key[v.category]
            some = np.atleast_1d(np.arange(s.rows)[some])
            kept = symbol(np.ascontiguousarray(s.array[..., some, :]), v.category)
            rows[v.category] = len(some)
        renamed[v] = kept.variable
        symbols[kept.variable] = kept
    return tensor._of(substitute(tensor.expression, renamed), symbols, tuple(rows))
