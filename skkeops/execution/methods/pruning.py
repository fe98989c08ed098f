"""Extrema and the K smallest without the pairs that cannot win: cost that follows the data.

Both sides are brought into a spatial order (`skkeops.execution.methods.tiles`). The most promising tiles of columns are computed
for each tile of rows, and the value found there for the last place is a cut: a tile of columns whose lower bound is above the cuts
of all rows of a tile holds no winner for them, whatever its values are. The rest is computed by the backend, in blocks of pairs. So
the result is that of all pairs, and of equal values that of the smaller index. One place more than asked for tells where equal
values share the last one: rows with such ties are computed again on their columns in the original order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from skkeops.arrays.conversion import dtype_of
from skkeops.arrays.devices import to_host
from skkeops.execution.program import Backend, Program
from skkeops.formula.enclosure import bounds, without_bounds
from skkeops.formula.operations import Sum
from skkeops.locks import cached_property
from skkeops.pairs.ranges import Blocks
from skkeops.plan.homes import Home, home_of
from skkeops.plan.problem import Problem
from skkeops.reductions import KMinArgKMin
from skkeops.reductions.base import State

from .ties import order_ties, rows_with_ties
from .tile_lists import Generation, blocks_of
from .tile_parts import Needed, Part
from .tiles import TileMethod, far_rows, has_pairs

__all__ = ["Pruning"]

#: Pairs for each row of both sides that pay for looking at the rows.
_PAIRS_PER_ROW = 24000
_LARGEST_K = 256
#: With more than this share of the tiles of a sample left, whose tiles are small, all pairs are computed.
_WORTH_IN_SAMPLE = 0.15
#: Nodes of columns that are left for a node of rows, from which on some more pairs are computed for a better cut: so many columns.
_MANY, _TIGHTENING = 24, 512


class Pruning(TileMethod):
    """An extremum, or the K smallest, at the cost of the tiles that may hold a winner."""

    name = "pruning"
    takes = "there are many pairs, and bounds on a sample of tiles rule out most of them"
    cost_of_repeating = 16

    def __init__(self, problem: Problem, backend: Backend, options: Any = None):
        super().__init__(problem, backend, options)
        reduction, (value, *_), _ = problem.output
        self._sign = -1 if reduction.largest else 1
        self._k = getattr(reduction, "k", 1)
        self.formula = value if self._sign > 0 else -value  # the smallest of which are looked for
        self.ranked = Sum(self.formula)
        self._programs: dict[int, Program] = {}

    @classmethod
    def declines(cls, problem: Problem, backend: Backend) -> str | None:
        if not backend.prunes:
            return "the backend computes all pairs, of arrays of NumPy"
        if len(problem.outputs) > 1 or problem.reduction.fold not in ("extremum", "kmin"):
            return "every pair counts in a sum"
        if has_pairs(problem):
            return "an argument has a value for each pair"
        (value,) = problem.values
        if home_of(value, 1 - problem.axis) is not Home.PAIR:
            return "the formula does not depend on both indices"
        if getattr(problem.reduction, "k", 1) > _LARGEST_K:
            return f"more than {_LARGEST_K} smallest values are asked for"
        missing = without_bounds(value)
        return None if missing is None else f"{missing} has no bounds"

    def declines_call(self, arrays: tuple[Any, ...], pairs: Any) -> str | None:
        if pairs is not None:
            return "ranges are given"
        reason = self.declines_sizes(arrays, _PAIRS_PER_ROW)
        if reason is not None:
            return reason
        dtype = dtype_of(arrays)
        if not all(program.is_exact(dtype) for program in self._compared):
            return "a GPU has exact values for use_fast_math=False alone, and for vectors that are not long"
        share = self._sample_share(arrays, dtype)
        return None if share <= _WORTH_IN_SAMPLE else f"in a sample {share:.0%} of the tiles may hold a winner"

    @cached_property
    def _compared(self) -> list[Program]:
        """The programs whose values are compared with each other, or have to be the same."""
        return [self.backend.prepare(self.problem, self.options), self._smallest(self._k), self._smallest(self._k + 1)]

    def _smallest(self, k: int) -> Program:
        """Return the backend's program for the k smallest values and their indices."""
        if k not in self._programs:
            problem = Problem.of(KMinArgKMin(k), (self.formula,), self.axis, self.problem.variables)
            self._programs[k] = self.backend.prepare(problem, self.options)
        return self._programs[k]

    def _found(self, k: int, arrays: tuple[Any, ...], blocks: Blocks | None = None) -> tuple[np.ndarray, ...]:
        """Return the k smallest values and their indices, (rows, k, dim) each, on the host."""
        return tuple(map(to_host, self._smallest(k).state(arrays, blocks)))

    def boxed(self, turned, dtype):
        known = bounds(turned(self.formula), dtype)
        return {"lower": known.lower, "upper": known.upper}, known.boxes

    def telling_pairs(self, arrays, rng, pairs):
        # Those that are among the smallest of their rows tell which tiles are needed.
        n_out, n_reduced = self.sizes(arrays)
        rows = rng.integers(n_out, size=32)
        columns = rng.integers(n_reduced, size=1 << 13)
        sample = self.take(self.take(arrays, 0, rows), 1, columns)
        best = self._found(min(8, len(columns)), sample)[1][:, :, 0]
        i, at = np.nonzero(best >= 0)
        return rows[i], columns[best[i, at]]

    def _sample_share(self, arrays: tuple[Any, ...], dtype: np.dtype) -> float:
        """Return about which share of pairs of tiles may hold a winner, from a sample of rows, columns and tiles."""
        rng = np.random.default_rng(0)
        scales = self.scales(arrays, rng, None)
        rows = self.sample_of_side(arrays, dtype, 0, scales[0], 8, rng)
        columns = self.sample_of_side(arrays, dtype, 1, scales[1], 16, rng)
        if rows is None or columns is None:
            return 1.0
        values = self._found(self._k, self.take(arrays, 0, rows.rows))[0]
        cuts = np.maximum.reduceat(values[:, -1], rows.edges[:-1], axis=0)
        i, j = (a.ravel() for a in np.indices([rows.n_tiles, columns.n_tiles]))
        pairs = [[(lower[at], upper[at]) for lower, upper in side.boxes] for side, at in ((rows, i), (columns, j))]
        lower = self.evaluator(arrays, dtype)("lower", *pairs)
        return float((lower <= cuts[i]).any(axis=1).mean())

    def program_of_rest(self) -> Program:
        return self._smallest(self._k)

    def needed(self, part: Part) -> Needed:
        search, arrays, edges, columns, nodes, n_reduced, _ = part
        k = self._k + 1
        smallest = max(1, int(np.diff(columns.edges).min()))
        count = max(2, -(-2 * k // smallest))
        blocks = blocks_of(*search.promising(*nodes, count), edges, columns.edges, n_reduced)
        values = self._found(k, arrays, blocks)[0][:, -1]
        far = far_rows(values, edges)
        if len(far):
            some = self.take(arrays, 0, far)
            tiles = search.promising_for(self.boxes_of_rows(some), count)
            own = blocks_of(*tiles, np.arange(len(far) + 1), columns.edges, n_reduced)
            values[far] = np.minimum(values[far], self._found(k, some, own)[0][:, -1])
        cuts = np.maximum.reduceat(values, edges[:-1], axis=0)
        cuts = _Cuts(cuts, partial(self._cuts_of, part), columns.depth, self.sizes_of_tiles(dtype_of(arrays))[1])
        blocks = blocks_of(*search.descend(*nodes, cuts.keep), edges, columns.edges, n_reduced)
        # each row has k + 1 values that are not above the one found, and no other is wanted
        return Needed(blocks, known=_next_above(values, dtype_of(arrays)))

    def _cuts_of(self, part: Part, rows: np.ndarray, columns: np.ndarray, below: int, column_level: int) -> np.ndarray:
        """Return the cuts of the tiles of rows that pairs of nodes lead to, given for each node of rows, in ascending order."""
        edges = part.columns.edges[:: 2 ** (part.columns.depth - column_level)]
        blocks = blocks_of(rows, columns, part.edges[::below], edges, part.n_reduced)
        values = self._found(self._k + 1, part.arrays, blocks)[0][:, -1]
        return np.maximum.reduceat(values, part.edges[:-1], axis=0)

    def compute(self, part: Part, blocks: Blocks, known: Any) -> tuple[State, int]:
        k, original = self._k, to_host(part.columns.index)
        values, index = map(to_host, self._smallest(k + 1).state_below(part.arrays, blocks, known))
        index = np.where(index < 0, -1, original[index])
        tied = rows_with_ties(values, k)
        values, index = order_ties(values[:, :k], index[:, :k])
        return (values, index), self._repeat(part.arrays, blocks, original, tied, values, index)

    def _repeat(self, arrays, blocks, original, tied, values, index) -> int:
        """Compute rows again in which the last place is shared by equal values: on their columns in the original order."""
        repeated = 0
        starts = np.concatenate([[0], blocks[1]])
        tiles, owner = np.unique(np.searchsorted(blocks[0][:, 1], tied, side="right"), return_inverse=True)
        for number, tile in enumerate(tiles):
            mine = tied[owner == number]
            columns = np.concatenate([np.arange(a, b) for a, b in blocks[2][starts[tile] : starts[tile + 1]]])
            columns = columns[np.argsort(original[columns])]
            given = self.take(self.take(arrays, 0, mine), 1, columns)
            everything = Blocks(tuple(np.array(a) for a in ([[0, len(mine)]], [1], [[0, len(columns)]])))
            values[mine], found = self._found(self._k, given, everything)
            index[mine] = np.where(found < 0, -1, original[columns][found])
            repeated += len(mine) * len(columns)
        return repeated

    def finish(self, state: State) -> State:
        values, index = state
        if self.reduction.fold == "kmin":
            return values, index
        return self._sign * values[:, 0], index[:, 0]


def _next_above(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return the next larger numbers of a dtype; none that is denormal, which the engine takes for 0."""
    tiny = np.finfo(dtype).tiny
    with np.errstate(over="ignore", under="ignore"):
        above = np.nextafter(values.astype(dtype), np.array(np.inf, dtype))
    return np.where(np.abs(above) < tiny, tiny, above).astype(np.float64)


class _Cuts:
    """Values of tiles of rows above which nothing is needed, and the pairs of nodes that may hold values below them.

    Parameters
    ----------
    cuts : ndarray of shape (tiles, components)
    tighten : callable
        Returns the cuts that the columns of some pairs of nodes lead to: see `Pruning._cuts_of`.
    depth : int
        Of the tree of columns.
    size : int
        About how many columns a tile has.
    """

    def __init__(self, cuts: np.ndarray, tighten: Callable[..., np.ndarray], depth: int, size: int):
        self._cuts, self._tighten, self._depth, self._size = cuts, tighten, depth, size

    def keep(self, pairs: Generation) -> np.ndarray:
        """Return which pairs of nodes may hold a value that is not above the cut of a tile of rows, in any component.

        Where many are left, those with the smallest lower bounds are computed first, which makes the cuts smaller.
        """
        lower = pairs.map("lower", lambda bounds, _: bounds)
        kept = self._are_below(lower, pairs)
        n_nodes = len(self._cuts) // pairs.below
        count = _TIGHTENING // (self._size * 2 ** (self._depth - pairs.column_level))
        if count and kept.sum() > _MANY * n_nodes:
            left = np.flatnonzero(kept)
            left = left[np.lexsort((lower[left].sum(axis=1), pairs.rows[left]))]
            rows = pairs.rows[left]
            first = np.searchsorted(rows, np.arange(n_nodes))
            left = left[np.arange(len(left)) - first[rows] < count]
            left = left[np.lexsort((pairs.columns[left], pairs.rows[left]))]
            cuts = self._tighten(pairs.rows[left], pairs.columns[left], pairs.below, pairs.column_level)
            self._cuts = np.fmin(self._cuts, cuts)
            kept[kept] = self._are_below(lower[kept], pairs, kept)
        return kept

    def _are_below(self, lower: np.ndarray, pairs: Generation, some: Any = slice(None)) -> np.ndarray:
        cuts = self._cuts.reshape(-1, pairs.below, self._cuts.shape[1]).max(axis=1)
        return (lower <= cuts[pairs.rows[some]]).any(axis=1)
