"""Blocks of rows: a large output is computed piece by piece, so that little lies between input and output.

The state of a reduction is wider than its result: float64 where the result is float32, a value and an index
where only the index is asked for. Rows do not depend on each other, so a block at a time needs little memory
and gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from skkeops.formula.expression import IJ, I, Variable
from skkeops.plan.problem import Problem

__all__ = ["Progress", "block_rows", "part_of", "split_rows", "take_rows"]

#: How many numbers the state of one block may hold, unless its rows would become fewer than SMALLEST_BLOCK.
STATE_NUMBERS = 1 << 20
SMALLEST_BLOCK = 1 << 11

Progress = Callable[[int, int], Any]


def block_rows(problem: Problem) -> int:
    """Return how many rows of a problem's output are computed at once."""
    # The identity of no rows shows the shapes without allocating the state of a row, which may be large.
    empty = [part for output in problem.outputs for part in output.reduction.identity(0, output.dims)]
    width = sum(math.prod(part.shape[1:]) for part in empty)
    return max(SMALLEST_BLOCK, STATE_NUMBERS // max(1, width))


def split_rows(
    problem: Problem, arrays: Sequence[Any], rows: int, step: int
) -> Iterator[tuple[slice, tuple[Any, ...]]]:
    """Yield the rows of each block, and the arrays that it is computed from.

    Parameters
    ----------
    problem : Problem
    arrays : sequence of ndarray
        One for each variable of the problem.
    rows : int
        The number of rows of the output.
    step : int
        The most rows of a block, not 0.
    """
    if 0 < rows <= step:
        yield slice(0, rows), tuple(arrays)
        return
    for start in range(0, rows, step):
        some = slice(start, min(rows, start + step))
        yield some, take_rows(problem.variables, arrays, 1 - problem.axis, some)


def take_rows(variables: Sequence[Variable], arrays: Sequence[Any], category: int, some: slice) -> tuple[Any, ...]:
    """Return the arrays with only some rows of those that vary with the index of a category, I or J."""
    pairs = (some,) if category == I else (slice(None), some)
    return tuple(
        a[some] if v.category == category else a[pairs] if v.category == IJ else a
        for v, a in zip(variables, arrays, strict=True)
    )


def part_of(progress: Progress, before: int, total: int) -> Progress:
    """Return the progress callback of one block, when `before` of `total` pairs were done before it."""
    return lambda done, _: progress(before + done, total)
