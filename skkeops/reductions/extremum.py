"""The largest or smallest value of a row, its index, or both."""

from __future__ import annotations

import numpy as np

from .base import State
from .winners import Winners


class Extremum(Winners):
    """Common part of the reductions that keep one value of each component, and its index.

    The state starts from (-inf, -1) for the largest and (+inf, -1) for the smallest, and a value replaces it
    only where it is strictly better. Hence the first index wins a tie, NaN never wins, and a row without
    any winner (no value but NaN, or the worst infinity) is that infinity with the index -1.
    """

    fold = "extremum"

    def _worst(self) -> float:
        return -np.inf if self.largest else np.inf

    def identity(self, rows: int, dims: tuple[int, ...]) -> State:
        shape = (rows, dims[0])
        return np.full(shape, self._worst()), np.full(shape, -1, dtype=np.int64)

    def reduce(self, values: tuple[np.ndarray, ...], first_index: int = 0) -> State:
        block = np.asarray(values[0], dtype=np.float64)
        rows, cols, dim = block.shape
        if cols == 0:
            return self.identity(rows, (dim,))
        worst = self._worst()
        block = np.where(np.isnan(block), worst, block)
        index = block.argmax(axis=1) if self.largest else block.argmin(axis=1)
        value = np.take_along_axis(block, index[:, None, :], axis=1)[:, 0, :]
        return value, np.where(value == worst, -1, index + first_index)

    def combine(self, a: State, b: State) -> State:
        better = b[0] > a[0] if self.largest else b[0] < a[0]
        return np.where(better, b[0], a[0]), np.where(better, b[1], a[1])


class Max(Extremum):
    """The largest value of each component, shape (M, D). Empty axis: -inf. The gradient goes to the first
    winner."""

    name = "Max"
    largest = True
    derivative = "winners"


class Min(Extremum):
    """The smallest value of each component, shape (M, D). Empty axis: +inf. The gradient goes to the first
    winner."""

    name = "Min"
    largest = False
    derivative = "winners"


class ArgMax(Extremum):
    """The index of the largest value of each component, int64, shape (M, D): -1 where nothing is above -inf.
    An empty axis is an error."""

    name = "ArgMax"
    largest = True
    returns_value = False
    returns_index = True


class ArgMin(Extremum):
    """The index of the smallest value of each component, int64, shape (M, D): -1 where nothing is below +inf.
    An empty axis is an error."""

    name = "ArgMin"
    largest = False
    returns_value = False
    returns_index = True


class MaxArgMax(Extremum):
    """The tuple (largest value, its index), both of shape (M, D). Gradients are those of the value."""

    name = "Max_ArgMax"
    aliases = ("MaxArgMax",)
    largest = True
    derivative = "winners"
    returns_index = True


class MinArgMin(Extremum):
    """The tuple (smallest value, its index), both of shape (M, D). Gradients are those of the value."""

    name = "Min_ArgMin"
    aliases = ("MinArgMin",)
    largest = False
    derivative = "winners"
    returns_index = True
