"""Lazy tensors as arrays, and parts of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skkeops import backends
from skkeops.arrays.conversion import common_dtype, is_sparse, to_native, to_native_pairs
from skkeops.arrays.devices import is_on_device, namespace_of, to_device, to_host
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import IJ, Expression, I, P, Variable
from skkeops.pairs.values import NOT_ON_DEVICE, Selected

from .symbols import Symbol, symbol

if TYPE_CHECKING:
    from .tensor import LazyTensor

__all__ = ["dense", "diagonal", "restrict"]


def dense(tensor: LazyTensor) -> np.ndarray:
    """Return all values of a tensor."""
    batch, rows = tensor.batch, _known_rows(tensor)
    symbols = _with_arrays(tensor)
    dtype = common_dtype([(s.array, False) for s in symbols])
    xp: Any = namespace_of(*[s.array for s in symbols])
    renamed: dict[Expression, Expression] = {}
    arrays = []
    for k, s in enumerate(symbols):
        v = s.variable
        renamed[v] = Variable(k, v.dim, v.category)
        inner = {P: (v.dim,), IJ: (*rows, v.dim)}.get(v.category) or (rows[v.category], v.dim)
        array = (to_native_pairs if v.category == IJ else to_native)(s.array_in(xp), dtype)
        is_array = not (is_sparse(array) or isinstance(array, Selected))
        arrays.append(np.broadcast_to(array, (*batch, *inner)) if is_array or batch else array)
    expression = substitute(tensor.expression, renamed)
    variables = tuple(renamed.values())
    module = backends.get("auto", xp)
    if not batch:
        result = module.evaluate_pairs(expression, variables, tuple(arrays), *rows)
    else:
        result = xp.empty((*batch, *rows, expression.dim), dtype=dtype)
        for problem in np.ndindex(*batch):
            given = tuple(a[problem] for a in arrays)
            result[problem] = module.evaluate_pairs(expression, variables, given, *rows)
    return result[..., 0] if expression.dim == 1 else result


def diagonal(tensor: LazyTensor) -> np.ndarray:
    """Return the values of pairs (i, i)."""
    batch, rows = tensor.batch, _known_rows(tensor)
    if rows[0] != rows[1]:
        raise ValueError(f"a diagonal is that of a square tensor: found shape {tensor.shape}")
    symbols = _with_arrays(tensor)
    renamed = {s.variable: Variable(k, s.variable.dim, P if s.variable.category == P else I) for k, s in enumerate(symbols)}
    expression = substitute(tensor.expression, renamed)
    dtype = common_dtype([(s.array, False) for s in symbols])
    arrays = []
    xp: Any = namespace_of(*[s.array for s in symbols])
    for s in symbols:
        array = s.array_in(xp)
        if is_sparse(array):
            array = array.diagonal()[:, None]
        elif isinstance(array, Selected):
            array = array.diagonal()
        elif s.variable.category == IJ:
            array = np.moveaxis(np.diagonal(array, axis1=-3, axis2=-2), -1, -2)
        inner = array.shape[len(s.batch) :]
        arrays.append(np.broadcast_to(to_native(array, dtype), (*batch, *inner)))
    module = backends.get("auto", xp)
    result = xp.empty((*batch, rows[0], expression.dim), dtype=dtype)
    for problem in np.ndindex(*batch):
        given = tuple(a[problem] for a in arrays)
        result[problem] = module.evaluate((expression,), tuple(renamed.values()), given, rows[0])[0]
    return result[..., 0] if expression.dim == 1 else result


def restrict(tensor: LazyTensor, key: tuple[Any, Any]) -> LazyTensor:
    """Return the tensor of some rows and columns."""
    if tensor.ranges is not None:
        raise ValueError("rows and columns of a tensor with ranges: select first, and set ranges of the result")
    rows = _known_rows(tensor)
    chosen = [np.atleast_1d(np.arange(n)[_on_host(some)]) for n, some in zip(rows, key, strict=True)]
    for axis, some in enumerate(chosen):
        if some.ndim != 1:
            raise IndexError(f"{('rows', 'columns')[axis]} are selected by a slice, a list or a mask: found {key[axis]!r}")
    renamed: dict[Expression, Expression] = {}
    symbols = {}
    for v, s in tensor.symbols.items():
        kept = s
        if v.category == IJ:
            kept = symbol(_pairs_of(s.array, key, chosen), IJ)
        elif v.category != P:
            xp: Any = namespace_of(s.array)
            some = to_device(chosen[v.category], xp)
            kept = symbol(xp.ascontiguousarray(s.array[..., some, :]), v.category)
        renamed[v] = kept.variable
        symbols[kept.variable] = kept
    sizes = tuple(n if n is None else len(some) for n, some in zip(tensor._rows, chosen, strict=True))
    return tensor._of(substitute(tensor.expression, renamed), symbols, sizes, None, tensor.backend)


def _pairs_of(array: Any, key: tuple[Any, Any], chosen: list[np.ndarray]) -> Any:
    """Return some rows and columns of an array of pairs: a view, or its indices; a copy of a sparse array, or of a batch."""
    rows, columns = chosen
    if is_sparse(array):
        return array[rows][:, columns]
    if isinstance(array, Selected):
        return array.select(rows, columns)
    if all(isinstance(some, slice) for some in key):
        return array[..., key[0], :, :][..., key[1], :]
    if array.ndim == 3 and not is_on_device(array):
        return Selected(array, rows, columns)
    return array[..., rows, :, :][..., columns, :]


def _on_host(key: Any) -> Any:
    return to_host(key) if is_on_device(key) else key


def _known_rows(tensor: LazyTensor) -> tuple[int, int]:
    m, n = tensor._rows
    return (1 if m is None else m), (1 if n is None else n)


def _with_arrays(tensor: LazyTensor) -> list[Symbol]:
    symbols = list(tensor.symbols.values())
    if namespace_of(*[s.array for s in symbols]) is not np and any(is_sparse(s.array) for s in symbols):
        raise TypeError(NOT_ON_DEVICE)
    if any(s.array is None for s in symbols):
        raise ValueError("a tensor of variables without arrays has no values: give them in LazyTensor(array)")
    return symbols
