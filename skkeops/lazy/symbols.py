"""The arrays that lazy tensors are made of, each with a variable of its own."""

from __future__ import annotations

import heapq
import weakref
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np

from skkeops.arrays.conversion import is_sparse
from skkeops.arrays.devices import address_of
from skkeops.formula.expression import IJ, Variable
from skkeops.locks import Lock
from skkeops.pairs.values import Selected

__all__ = ["Number", "Symbol", "in_order", "symbol"]

_lock = Lock()
_returned: deque[int] = deque()  # positions that were given back since one was taken last
_free: list[int] = []  # the others that were used and are free again, a heap
_next = 0


class _Position:
    """A position of a variable, of the pool until this object is gone.

    It is an object of its own, which nothing but its symbol refers to. In a finalizer of the symbol the position would be free
    while another thread can still find the symbol in the table of those that are known.
    """

    __slots__ = ("number",)

    def __init__(self) -> None:
        global _next
        with _lock:
            while _returned:
                heapq.heappush(_free, _returned.popleft())
            if _free:
                self.number = heapq.heappop(_free)
            else:
                self.number, _next = _next, _next + 1

    def __del__(self, _give: Any = _returned.append) -> None:
        # Finalizers run at any moment, in a thread that may hold any lock: this one waits for none.
        _give(self.number)


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
    sizes : tuple of (int or None)
        The numbers of rows i and columns j, None for what it does not depend on, or does not know.
    batch : tuple of int
        The batch dimensions.
    """

    __slots__ = ("__weakref__", "_position", "array", "batch", "sizes", "variable")

    def __init__(self, array: Any, dim: int, category: int):
        self.array = array
        self._position = _Position()
        self.variable = Variable(self._position.number, dim, category)
        self.sizes, self.batch = _sizes_and_batch(array, category)

    def array_in(self, xp: Any) -> Any:
        """Return the array for a computation in a namespace."""
        return self.array

    def __reduce__(self) -> Any:
        return Symbol, (self.array, self.variable.dim, self.variable.category)


class Number(Symbol):
    """A parameter that was given as a number, which follows the arrays that it meets to their device."""

    __slots__ = ()

    def array_in(self, xp: Any) -> Any:
        return self.array if xp is np else xp.full(self.array.shape, self.array.item(), self.array.dtype)

    def __reduce__(self) -> Any:
        return Number, (self.array, self.variable.dim, self.variable.category)


_known: weakref.WeakValueDictionary[tuple, Symbol] = weakref.WeakValueDictionary()


def _sizes_and_batch(array: Any, category: int) -> tuple[tuple[int | None, int | None], tuple[int, ...]]:
    if array is None:
        return (None, None), ()
    shape = array.shape
    if category == 0:
        return (shape[-2], None), shape[:-2]
    if category == 1:
        return (None, shape[-2]), shape[:-2]
    if category == IJ:
        return (shape, ()) if is_sparse(array) else (shape[-3:-1], shape[:-3])
    return (None, None), shape[:-1]


def symbol(array: Any, category: int) -> Symbol:
    """Return the symbol of an array: the same one for the same memory, seen in the same way."""
    if type(array) is not np.ndarray and is_sparse(array):
        parts = (array.data, array.indices, array.indptr)
        key: tuple = (*map(address_of, parts), array.shape, array.dtype.str, category)
    elif isinstance(array, Selected):
        parts = (array.array, array.rows, array.columns)
        key = (*map(address_of, parts), array.shape, array.array.shape, array.array.strides, array.dtype.str, category)
    else:
        key = (address_of(array), array.shape, array.strides, array.dtype.str, category)
    found = _known.get(key)
    if found is None:
        made = Symbol(array, 1 if is_sparse(array) else array.shape[-1], category)
        with _lock:  # the first of several threads decides
            found = _known.setdefault(key, made)
    return found


def in_order(symbols: Iterable[Symbol]) -> list[Symbol]:
    """Return symbols by the positions of their variables."""
    return sorted(symbols, key=_position)


def _position(s: Symbol) -> int:
    return s.variable.params[0]
