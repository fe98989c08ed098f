"""The arrays that lazy tensors are made of, each with a variable of its own."""

from __future__ import annotations

import heapq
import threading
import weakref
from typing import Any

import numpy as np

from skkeops.formula.expression import IJ, Variable
from skkeops.pairs import is_stored

__all__ = ["Symbol", "symbol"]

_lock = threading.RLock()
_free: list[int] = []  # positions that were used and are free again
_next = 0


def _take() -> int:
    global _next
    with _lock:
        if _free:
            return heapq.heappop(_free)
        _next += 1
        return _next - 1


def _give(position: int) -> None:
    with _lock:
        heapq.heappush(_free, position)


class Symbol:
    """An array and the variable that stands for it in expressions.

    Positions of variables are taken from a pool, the smallest first, and given back when the symbol is gone: a loop that
    builds the same tensors again meets the same interned expressions, and what is compiled for them.

    Attributes
    ----------
    array : ndarray or None
        (..., M, dim) of category 0, (..., N, dim) of category 1, (..., dim) of category 2, (..., M, N, dim) or a csr_array of
        category 3; None for a variable that is given at the call.
    variable : Variable
    """

    __slots__ = ("__weakref__", "array", "variable")

    def __init__(self, array: np.ndarray | None, dim: int, category: int):
        self.array = array
        self.variable = Variable(_take(), dim, category)

    def __del__(self) -> None:
        variable = getattr(self, "variable", None)
        if variable is not None and _give is not None:  # None when the interpreter ends
            _give(variable.position)

    @property
    def sizes(self) -> tuple[int | None, int | None]:
        """The numbers of rows i and columns j, None for what it does not depend on, or does not know."""
        category = self.variable.category
        if category == 2 or self.array is None:
            return (None, None)
        if category == IJ:
            m, n = self.array.shape if is_stored(self.array) else self.array.shape[-3:-1]
            return (m, n)
        n = self.array.shape[-2]
        return (n, None) if category == 0 else (None, n)

    @property
    def batch(self) -> tuple[int, ...]:
        """The batch dimensions."""
        if self.array is None:
            return ()
        if is_stored(self.array):
            return ()
        return self.array.shape[: _INNER_AXES[self.variable.category]]

    def __reduce__(self) -> Any:
        return Symbol, (self.array, self.variable.dim, self.variable.category)


_known: weakref.WeakValueDictionary[tuple, Symbol] = weakref.WeakValueDictionary()


#: How many axes of an array of each category are not of a batch, as the end of a slice.
_INNER_AXES = (-2, -2, -1, -3)


def symbol(array: Any, category: int) -> Symbol:
    """Return the symbol of an array: the same one for the same memory, seen in the same way."""
    if is_stored(array):
        parts = (array.data, array.indices, array.indptr)
        key: tuple = (*(a.__array_interface__["data"][0] for a in parts), array.shape, array.dtype.str, category)
    else:
        key = (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str, category)
    found = _known.get(key)
    if found is None:
        found = _known[key] = Symbol(array, 1 if is_stored(array) else array.shape[-1], category)
    return found
