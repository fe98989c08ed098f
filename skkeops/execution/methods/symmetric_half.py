"""Sums of symmetric formulas over the pairs of a set of points with itself, at the cost of half of the pairs.

Where the arrays of i and of j are the same, the values of the pairs (i, j) and (j, i) are made of the same parts: the kernel
of ``sum_j K(x_i, x_j) b_j`` is. A tile of pairs above the diagonal then serves the sums of its rows and those of its columns.
Both are outputs of one problem; the second is the formula with its sides swapped (`skkeops.plan.symmetry`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations, islice
from typing import Any, NamedTuple

import numpy as np

from skkeops.execution.blocks import Progress
from skkeops.execution.program import Backend
from skkeops.formula.expression import IJ, Expression, I, J, Variable, postorder
from skkeops.formula.operations import lookup
from skkeops.pairs.ranges import Blocks
from skkeops.plan.homes import Home, home_of
from skkeops.plan.problem import Output, Problem
from skkeops.plan.symmetry import swapped
from skkeops.reductions import Sum
from skkeops.reductions.base import State

from .base import Method

__all__ = ["SymmetricHalf"]

_LEAST_POINTS = 1024  # below, two calls of half of the pairs cost what one of all pairs does
_BLOCKS, _LEAST_ROWS, _MOST_ROWS = 32, 64, 512  # of the rows whose pairs among themselves are all visited
_MOST_MATCHES = 24
_FUNCTION_COST = 12  # of an elementary function, beside an addition
_LEAST_SHARE = 0.45  # of the cost of a pair that both of its sums have to share


class Halves(NamedTuple):
    """A problem, and what makes it one of the upper half of the pairs.

    Attributes
    ----------
    problem : Problem
        Its first output is that of the problem of all pairs, the second the same sum over the other axis, swapped.
    matched : tuple of (int, int)
        Which arguments must be the same array: of i, and of j.
    moved : tuple of int
        The arguments whose arrays are those of the variables that the problem has more, in their order.
    """

    problem: Problem
    matched: tuple[tuple[int, int], ...]
    moved: tuple[int, ...]


class SymmetricHalf(Method):
    """A sum of a formula with a symmetric part, where the arrays of i and of j are the same."""

    name = "symmetric half"
    takes = f"the points of i and j are the same array, of at least {_LEAST_POINTS} points"
    least_pairs = _LEAST_POINTS**2

    def __init__(self, problem: Problem, backend: Backend, options: Any = None):
        super().__init__(problem, backend, options)
        halves = _halves(problem)
        assert halves is not None
        self.halves = halves
        self.whole = backend.prepare(problem, options)
        self.half = backend.prepare(halves.problem, options)
        self._blocks: dict[int, tuple[Blocks, Blocks]] = {}

    @classmethod
    def declines(cls, problem: Problem, backend: Backend) -> str | None:
        if not backend.sums_together:
            return "the backend computes sums over i and sums over j one by one"
        if len(problem.outputs) > 1 or problem.reduction.name != "Sum":
            return "it is for a single Sum"
        if any(v.category == IJ for v in problem.variables):
            return "an argument has a value for each pair"
        return None if _halves(problem) is not None else "no large part of the formula is symmetric in points of i and j"

    def declines_call(self, arrays: tuple[Any, ...], pairs: Any) -> str | None:
        if pairs is not None:
            return "only some pairs are visited"
        if not all(_are_same(arrays[a], arrays[b]) for a, b in self.halves.matched):
            return "the points of i and j are not the same array"
        return None

    def state(self, arrays: tuple[Any, ...], pairs: Any = None, progress: Progress | None = None) -> State:
        n = len(arrays[self.halves.matched[0][0]])
        diagonal, above = self._blocks_of(n)
        (total,) = self.whole.state(arrays, diagonal)
        report = None if progress is None else lambda done, _: progress(min(2 * done, n * n), n * n)
        rows, columns = self.half.state((*arrays, *(arrays[k] for k in self.halves.moved)), above, report)
        total += rows
        total += columns
        self.share = (1 + sum(float(end - start) ** 2 for start, end in diagonal[0]) / n**2) / 2
        if progress is not None:
            progress(n * n, n * n)
        return (total,)

    def run(self, arrays, pairs=None, out=None, progress=None):
        # The halves need all rows: there are no blocks of them.
        found = self._finalize(self.state(arrays, pairs, progress), arrays[self._typed].dtype)
        return found if out is None else self._stored(found, out)

    def _blocks_of(self, n: int) -> tuple[Blocks, Blocks]:
        """Return the blocks of rows with themselves, and with all that comes behind them."""
        if n not in self._blocks:
            size = min(max(n // _BLOCKS, _LEAST_ROWS), _MOST_ROWS)
            starts = np.arange(0, n, size)
            ends = np.minimum(starts + size, n)
            rows, slices = np.stack([starts, ends], axis=1), np.arange(1, len(starts) + 1)
            behind = np.stack([ends, np.full_like(ends, n)], axis=1)
            self._blocks = {n: (Blocks((rows, slices, rows)), Blocks((rows, slices, behind)))}
        return self._blocks[n]


def _are_same(a: Any, b: Any) -> bool:
    """Whether two arrays are views of the same numbers."""
    return a is b or (
        a.shape == b.shape and a.strides == b.strides and a.__array_interface__["data"] == b.__array_interface__["data"]
    )


@lru_cache(maxsize=512)
def _halves(problem: Problem) -> Halves | None:
    """Return the problem of half of the pairs, None if both sums share too little."""
    (value,), output = problem.values, 1 - problem.axis
    used = [node for node in postorder(value) if isinstance(node, Variable) and node.category in (I, J)]
    sides = [[v for v in used if v.category == category] for category in (I, J)]
    candidates = [(a, b) for a in sides[0] for b in sides[1] if a.dim == b.dim]
    for size in range(1, min(map(len, sides)) + 1):  # the fewer arrays have to be the same, the more calls are taken
        found = []
        for matched in islice(combinations(candidates, size), _MOST_MATCHES):
            if all(len({*side}) == size for side in zip(*matched, strict=True)):
                found.append(_swap(problem, value, output, matched))
        if found and max(share for share, _ in found) >= _LEAST_SHARE:
            return max(found, key=lambda one: one[0])[1]
    return None


def _swap(
    problem: Problem, value: Expression, output: int, matched: Sequence[tuple[Variable, Variable]]
) -> tuple[float, Halves]:
    """Return the share of the cost of a pair that both sums have in common, and the problem of both."""
    places = {a: b for pair in matched for a, b in (pair, pair[::-1])}
    moved, more = [], []
    for k, v in enumerate(problem.variables):
        if v.category in (I, J) and v not in places:
            more.append(Variable(len(problem.variables) + len(more), v.dim, 1 - v.category))
            places[v] = more[-1]
            moved.append(k)
    other = swapped(value, places)
    positions = {v: k for k, v in enumerate(problem.variables)}
    pairs_of = [{node for node in postorder(v) if node.args and home_of(node, output) is Home.PAIR} for v in (value, other)]
    shared, all_of_it = _cost(pairs_of[0] & pairs_of[1]), _cost(pairs_of[0]) + 2 * value.dim
    outputs = (problem.output, Output(Sum(), (other,), 1 - problem.axis))
    halves = Halves(
        Problem(outputs, (*problem.variables, *more)),
        tuple((positions[a], positions[b]) for a, b in matched),
        tuple(moved),
    )
    return shared / all_of_it, halves


def _cost(nodes: set[Expression]) -> int:
    """The cost of expressions for a pair, in additions."""
    simple = {lookup(name) for name in ("Add", "Subtract", "Mult", "Minus", "Square", "Sum", "Abs")}
    return sum((1 if type(n) in simple else _FUNCTION_COST) * max(n.dim, *(a.dim for a in n.args)) for n in nodes)
