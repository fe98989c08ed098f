"""The K smallest values of a row, their indices, or both."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .base import State
from .winners import Winners

_LARGEST = 2**31 - 1


class KSmallest(Winners):
    """Common part of the reductions that keep the K smallest values of each component, in ascending order.

    A value enters only where it is strictly smaller: of equal values the first index comes first, NaN never enters,
    nor does +inf. A row with fewer than K such values is filled with +inf, whose index is -1: nothing won these places.

    Parameters
    ----------
    k : int
        How many values to keep, at least 1.
    """

    fold = "kmin"

    def __init__(self, k: int):
        try:
            k = operator.index(k)
        except TypeError:
            raise TypeError(
                f"opt_arg must be the integer K, how many values to keep: found {k!r} ({type(k).__name__})"
            ) from None
        if k < 1:
            raise ValueError(f"opt_arg must be the number K of values to keep, at least 1: found {k}")
        if k > _LARGEST:
            raise ValueError(f"opt_arg must be the number K of values to keep, at most {_LARGEST}: found {k}")
        self.k = k

    @property
    def params(self) -> tuple:
        return (self.k,)

    @property
    def smallest_axis(self) -> int:
        return self.k

    def output_dim(self, dims: tuple[int, ...]) -> tuple[int, ...]:
        return (self.k,) if dims[0] == 1 else (self.k, dims[0])

    def identity(self, rows: int, dims: tuple[int, ...]) -> State:
        shape = (rows, self.k, dims[0])
        return np.full(shape, np.inf), np.full(shape, -1, dtype=np.int64)

    def reduce(self, values: tuple[np.ndarray, ...], first_index: int = 0) -> State:
        block = np.asarray(values[0], dtype=np.float64)
        rows, cols, dim = block.shape
        block = np.where(np.isnan(block), np.inf, block)
        index = np.broadcast_to(np.arange(first_index, first_index + cols)[None, :, None], block.shape)
        index = np.where(block == np.inf, -1, index)
        return self.combine(self.identity(rows, (dim,)), (block, index))

    def combine(self, a: State, b: State) -> State:
        value = np.concatenate([a[0], b[0]], axis=1)
        index = np.concatenate([a[1], b[1]], axis=1)
        order = value.argsort(axis=1, kind="stable")[:, : self.k]
        return np.take_along_axis(value, order, axis=1), np.take_along_axis(index, order, axis=1)

    def finalize(self, state: State, dtype: np.dtype) -> Any:
        value, index = state
        if value.shape[2] == 1:
            value, index = value[:, :, 0], index[:, :, 0]
        return super().finalize((value, index), dtype)

    def restore(self, output: Any, partition: State | None = None) -> State:
        output = super().restore(output)
        rows = len(output[0])
        value, index = (a.reshape(rows, self.k, -1) if rows else a.reshape(0, self.k, 1) for a in output)
        return value, index


class KMin(KSmallest):
    """The K smallest values, ascending: shape (M, K) for a scalar formula, (M, K, D) for a vector of
    dimension D."""

    name = "KMin"
    derivative = "winners"


class ArgKMin(KSmallest):
    """The indices of the K smallest values, int64: shape (M, K) for a scalar formula, (M, K, D) otherwise."""

    name = "ArgKMin"
    returns_value = False
    returns_index = True


class KMinArgKMin(KSmallest):
    """The tuple (K smallest values, their indices), shaped like KMin. Gradients are those of the values."""

    name = "KMin_ArgKMin"
    aliases = ("KMinArgKMin",)
    derivative = "winners"
    returns_index = True
