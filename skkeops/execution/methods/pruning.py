"""Extrema and the K smallest without the pairs that cannot win: cost that follows the data.

Both sides are brought into a spatial order (`skkeops.pairs.order`). The most promising tiles of columns are computed for each tile
of rows, and the value found there for the last place is a cut: a tile of columns whose lower bound (`skkeops.formula.bounds`) is
above the cuts of all rows of a tile holds no winner for them, whatever its values are. The rest is computed by the backend, in
blocks of pairs. So the result is that of all pairs, and of equal values that of the smaller index. One place more than asked for
tells where equal values share the last one: rows with such ties are computed again on their columns in the original order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skkeops.arrays.conversion import dtype_of
from skkeops.execution.blocks import Progress
from skkeops.execution.program import Backend, Program
from skkeops.formula.derivative import gradients, substitute
from skkeops.formula.enclosure import Bounds, bounds, without_bounds
from skkeops.formula.errors import FormulaError
from skkeops.formula.expression import IJ, Expression, P, Variable, variables_of
from skkeops.formula.operations import Concat, Sum
from skkeops.locks import Lock
from skkeops.pairs.order import SpatialOrder, boxes_of, sample_tiles
from skkeops.pairs.ranges import Blocks
from skkeops.plan.homes import Home, home_of
from skkeops.plan.problem import Problem
from skkeops.reductions import KMinArgKMin
from skkeops.reductions.base import State

from .base import Method
from .ties import order_ties, rows_with_ties
from .tile_lists import Search, blocks_of

__all__ = ["Pruning"]

#: Fewer pairs than these are computed sooner than anything is known of them.
LEAST_PAIRS = 1 << 24
#: Pairs for each row of both sides that pay for looking at the rows.
_PAIRS_PER_ROW = 24000
_LARGEST_K = 256
_ROW_TILE, _COLUMN_TILE = 16, 64
#: With more than this share of the pairs left, all of them are computed; a sample, whose tiles are small, has to say less.
_WORTH, _WORTH_IN_SAMPLE = 0.5, 0.15
#: About how many pairs of tiles the lists of one step hold.
_PAIRS_OF_TILES = 1 << 23
#: Pairs that are computed again for equal values cost so many others.
_COST_OF_REPEATING = 16
#: Columns in their order are kept for the next call up to this size.
_KEPT_BYTES = 1 << 26
#: Rows of each side that a decision is made from.
_SAMPLE = 1 << 14


class Kept(NamedTuple):
    """Columns in their order: what is used again if a call has the same ones."""

    order: SpatialOrder
    arrays: tuple[np.ndarray, ...]


class Pruning(Method):
    """An extremum, or the K smallest, at the cost of the tiles that may hold a winner."""

    name = "pruning"
    takes = "there are many pairs, and bounds on a sample of tiles rule out most of them"

    def __init__(self, problem: Problem, backend: Backend):
        super().__init__(problem, backend)
        reduction, (value, *_), axis = problem.output
        self.least_pairs = LEAST_PAIRS
        self._sign = -1 if reduction.largest else 1
        self._k = getattr(reduction, "k", 1)
        self._value = value if self._sign > 0 else -value  # the smallest of which are looked for
        self._sides = 1 - axis, axis  # the categories of rows of the output, and of what is reduced
        # all rows at once, which share the work on the columns: their states are not larger than the results
        self.block_rows = 1 << 62
        self._programs: dict[int, Program] = {}
        self._known: dict[str, Bounds] = {}
        self._slopes: tuple[tuple[Variable, ...], Expression | None] | None = None
        self._kept: Kept | None = None
        self._lock = Lock()

    @classmethod
    def declines(cls, problem: Problem, backend: Backend) -> str | None:
        if not backend.prunes:
            return "the backend computes all pairs faster than lists of small tiles"
        if len(problem.outputs) > 1 or problem.reduction.fold not in ("extremum", "kmin"):
            return "every pair counts in a sum"
        if any(v.category == IJ for v in problem.variables):
            return "an argument has a value for each pair"
        (value,) = problem.values
        if home_of(value, 1 - problem.axis) is not Home.PAIR:
            return "the formula does not depend on both indices"
        if getattr(problem.reduction, "k", 1) > _LARGEST_K:
            return f"more than {_LARGEST_K} smallest values are asked for"
        missing = without_bounds(value)
        return None if missing is None else f"{missing} has no bounds"

    def declines_call(self, arrays: tuple[Any, ...], pairs: Any) -> str | None:
        n_out, n_reduced = self.sizes(arrays)
        if pairs is not None:
            return "ranges are given"
        if n_out * n_reduced < _PAIRS_PER_ROW * (n_out + n_reduced):
            return "one side has few rows"
        dtype = dtype_of(arrays)
        for v, a in zip(self.problem.variables, arrays, strict=True):
            if v.category == P and dtype.itemsize < 8 and ((a != 0) & (np.abs(a) < np.finfo(dtype).tiny)).any():
                return "a parameter is a denormal number"
        share = self._sample_share(arrays, dtype)
        return None if share <= _WORTH_IN_SAMPLE else f"in a sample {share:.0%} of the tiles may hold a winner"

    # Of a problem

    def _bounds(self, dtype: np.dtype) -> Bounds:
        """Return the bounds of the values, of boxes of rows (as if of i) and of columns (of j)."""
        if dtype.name not in self._known:
            turned: dict[Expression, Expression] = {
                v: Variable(v.position, v.dim, v.category if self.axis == 1 or v.category == P else 1 - v.category)
                for v in self.problem.variables
            }
            self._known[dtype.name] = bounds(substitute(self._value, turned), dtype.name)
        return self._known[dtype.name]

    def _smallest(self, k: int) -> Program:
        """Return the backend's program for the k smallest values and their indices."""
        if k not in self._programs:
            problem = Problem.of(KMinArgKMin(k), (self._value,), self.axis, self.problem.variables)
            self._programs[k] = self.backend.prepare(problem)
        return self._programs[k]

    def _of_side(self, category: int) -> list[int]:
        """Return the places of the variables of rows or of columns that the formula has."""
        used = set(variables_of(self._value))
        return [k for k, v in enumerate(self.problem.variables) if v.category == category and v in used]

    def _take(self, arrays: tuple[Any, ...], side: int, rows: Any) -> tuple[Any, ...]:
        """Return the arrays with some rows of one side, 0 (rows of the output) or 1 (columns), in this order."""
        category = self._sides[side]
        return tuple(
            np.ascontiguousarray(a[rows]) if v.category == category else a
            for v, a in zip(self.problem.variables, arrays, strict=True)
        )

    # Of a call

    def _evaluator(self, arrays: tuple[Any, ...], dtype: np.dtype) -> Any:
        """Return the function that evaluates bounds at pairs of boxes."""
        known = self._bounds(dtype)
        by_position = {v.position: pair for v, pair in known.boxes.items()}
        names: list[Variable] = []
        for side in self._sides:
            for k in self._of_side(side):
                names += by_position[self.problem.variables[k].position]
        given = [(v, a) for v, a in zip(self.problem.variables, arrays, strict=True) if v.position in by_position]
        names += [by_position[v.position][0] for v, _ in given if v.category == P]
        parameters = [a.astype(np.float64) for v, a in given if v.category == P]

        def evaluate(which, rows, columns):
            ends = [end for box in (*rows, *columns) for end in box]
            n = len(ends[0])
            return self.backend.evaluate((getattr(known, which),), tuple(names), (*ends, *parameters), n)[0]

        return evaluate

    def _scales(self, arrays: tuple[Any, ...], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return a weight for each coordinate of rows and of columns: how fast the formula changes with it where it is small.

        Pairs that are among the smallest of their rows tell which tiles are needed; there the mean slopes of the formula say
        which coordinates its tiles should be short in.
        """
        n_out, n_reduced = self.sizes(arrays)
        rows = rng.integers(n_out, size=32)
        columns = rng.integers(n_reduced, size=1 << 13)
        sample = self._take(self._take(arrays, 0, rows), 1, columns)
        k = min(8, len(columns))
        best = self._smallest(k).state(sample)[1][:, :, 0]
        i, at = np.nonzero(best >= 0)
        pairs = self._take(self._take(sample, 0, i), 1, best[i, at])
        found = []
        variables, slopes = self._gradient()
        values = None
        if slopes is not None and len(i):
            values = np.abs(self.backend.evaluate((slopes,), self.problem.variables, pairs, len(i))[0].astype(np.float64))
            values = np.where(np.isfinite(values), values, 0.0).mean(axis=0)
        for side in self._sides:
            width = sum(self.problem.variables[k].dim for k in self._of_side(side))
            mine = np.ones(width)
            if values is not None:
                begin = sum(v.dim for v in variables if v.category == self._sides[0]) if side == self._sides[1] else 0
                slope = values[begin : begin + width]
                mine = slope / slope.max() if 0 < slope.max() < np.inf else mine
            found.append(mine)
        return found[0], found[1]

    def _gradient(self) -> tuple[tuple[Variable, ...], Expression | None]:
        """Return the variables of rows and of columns, and the slopes of the formula by their components, one behind the other."""
        if self._slopes is None:
            variables = tuple(self.problem.variables[k] for side in self._sides for k in self._of_side(side))
            slopes: Expression | None = None
            try:
                for g in gradients(Sum(self._value), variables, 1):
                    slopes = g if slopes is None else Concat(slopes, g)
            except FormulaError:  # it has no derivative, or too many components
                slopes = None
            self._slopes = variables, slopes
        return self._slopes

    def _coordinates(self, arrays: tuple[Any, ...], side: int, scale: np.ndarray) -> np.ndarray:
        """Return what is near on one side: the components of its variables, weighted."""
        columns = [arrays[k].astype(np.float64) for k in self._of_side(self._sides[side])]
        with np.errstate(over="ignore", invalid="ignore"):
            return np.concatenate(columns, axis=1) * scale

    def _sample_share(self, arrays: tuple[Any, ...], dtype: np.dtype) -> float:
        """Return about which share of pairs of tiles may hold a winner, from a sample of rows, columns and tiles.

        A tile of a sample has as few rows as it would have if the others were there. Its box is the larger for the rows that are
        missing, as if they were spread evenly. This decides about the method alone, and not about results.
        """
        rng = np.random.default_rng(0)
        scales = self._scales(arrays, rng)
        boxes, edges, chosen = [], [], []
        for side, size, count in ((0, _ROW_TILE, 8), (1, _COLUMN_TILE, 16)):
            n = self.sizes(arrays)[side]
            some = rng.integers(n, size=_SAMPLE) if n > _SAMPLE else np.arange(n)
            sample = self._take(arrays, side, some)
            few = max(2, round(size * len(some) / n))
            tiles = sample_tiles(self._coordinates(sample, side, scales[side]), few, count, rng)
            if not tiles:  # no row is finite
                return 1.0
            edge = np.cumsum([0, *map(len, tiles)])
            rows = np.concatenate(tiles)
            part = self._take(sample, side, rows)
            grown = (size - 1) / (size + 1) * (few + 1) / (few - 1)
            found = [boxes_of(part[k], edge, dtype) for k in self._of_side(self._sides[side])]
            boxes.append([(u - (u - lo) * (1 + grown) / 2, lo + (u - lo) * (1 + grown) / 2) for lo, u in found])
            edges.append(edge)
            chosen.append(some[rows])
        values = self._smallest(self._k).state(self._take(arrays, 0, chosen[0]))[0]
        cuts = np.maximum.reduceat(values[:, -1], edges[0][:-1], axis=0)
        i, j = (a.ravel() for a in np.indices([len(edge) - 1 for edge in edges]))
        pairs = [[(lower[at], upper[at]) for lower, upper in side] for side, at in zip(boxes, (i, j), strict=True)]
        lower = self._evaluator(arrays, dtype)("lower", *pairs)
        return float((lower <= cuts[i]).any(axis=1).mean())

    def _columns(self, arrays: tuple[Any, ...], scale: np.ndarray) -> tuple[SpatialOrder, tuple[Any, ...]]:
        """Return the order of the columns, and the arrays with them in this order: those of before, if they are the same."""
        places = self._of_side(self._sides[1])
        with self._lock:
            kept = self._kept
        if kept is None or not all(_same(arrays[k], kept.order.index, a) for k, a in zip(places, kept.arrays, strict=True)):
            order = SpatialOrder(self._coordinates(arrays, 1, scale), _COLUMN_TILE)
            kept = Kept(order, tuple(np.ascontiguousarray(arrays[k][order.index]) for k in places))
            if sum(a.nbytes for a in kept.arrays) + order.index.nbytes <= _KEPT_BYTES:
                with self._lock:
                    self._kept = kept
        in_order = list(arrays)
        for k, v in enumerate(self.problem.variables):
            if v.category == self._sides[1]:
                in_order[k] = kept.arrays[places.index(k)] if k in places else arrays[k][kept.order.index]
        return kept.order, tuple(in_order)

    def state(self, arrays: tuple[Any, ...], pairs: Any = None, progress: Progress | None = None) -> State:
        n_out, n_reduced = self.sizes(arrays)
        dtype = dtype_of(arrays)
        scales = self._scales(arrays, np.random.default_rng(0))
        columns, in_order = self._columns(arrays, scales[1])
        rows = SpatialOrder(self._coordinates(arrays, 0, scales[0]), _ROW_TILE)
        in_order = self._take(in_order, 0, rows.index)
        values, index = KMinArgKMin(self._k).identity(n_out, (self._value.dim,))
        computed, first, done, nodes, worth = 0, 0, 0, 0, True
        if rows.n_ordered and columns.n_ordered:
            search = Search(
                *(
                    order.levels([in_order[k][: order.n_ordered] for k in self._of_side(side)], dtype)
                    for order, side in zip((rows, columns), self._sides, strict=True)
                ),
                self._evaluator(arrays, dtype),
            )
            nodes, below = 2**search.start, 2 ** (rows.depth - search.start)  # of the tree of rows, and tiles below one
            most = max(1, _PAIRS_OF_TILES // (below * 2**columns.depth))
        while worth and first < nodes:
            last = min(nodes, first + min(most, max(1, first)))  # few of them at first, which tell what can be skipped
            edges = rows.edges[first * below : last * below + 1]
            some = slice(edges[0], edges[-1])
            all_of_them = int(edges[-1] - edges[0]) * n_reduced
            part = self._take(in_order, 0, some)
            blocks = self._needed(search, part, edges - edges[0], columns, (first, last), n_reduced)
            if _count(blocks) > _WORTH * all_of_them:
                break
            values[some], index[some], repeated = self._winners(part, blocks, columns.index)
            computed += _count(blocks) + repeated
            worth = _count(blocks) + _COST_OF_REPEATING * repeated < _WORTH * all_of_them
            first, done = last, int(edges[-1])
            if progress is not None:
                progress(done * n_reduced, n_out * n_reduced)
        if done < n_out:  # rows in no tile, or all that are left where little can be skipped
            rest = self._take(arrays, 0, rows.index[done:])
            values[done:], index[done:] = self._smallest(self._k).state(rest)
            computed += (n_out - done) * n_reduced
        self.share = computed / (n_out * n_reduced)
        if progress is not None:
            progress(n_out * n_reduced, n_out * n_reduced)
        return self._state_of(_undo(values, rows.index), _undo(index, rows.index))

    def _needed(self, search, part, edges, columns, nodes, n_reduced) -> Blocks:
        """Return the blocks of pairs that may hold winners of some nodes of rows, whose tiles begin at `edges`."""
        k = self._k + 1
        smallest = max(1, int(np.diff(columns.edges).min()))
        count = max(2, -(-2 * k // smallest))
        blocks = blocks_of(*search.promising(*nodes, count), edges, columns.edges, n_reduced)
        values = self._smallest(k).state(part, blocks)[0][:, -1]
        # A tile may lie between clusters; rows whose values are far above those of the best quarter of it search on their own.
        far = np.flatnonzero((values > _usual(values, edges)).any(axis=1))
        if len(far):
            some = self._take(part, 0, far)
            points = [some[place].astype(np.float64) for place in self._of_side(self._sides[0])]
            own = blocks_of(*search.promising_for(points, count), np.arange(len(far) + 1), columns.edges, n_reduced)
            values[far] = np.minimum(values[far], self._smallest(k).state(some, own)[0][:, -1])
        cuts = np.maximum.reduceat(values, edges[:-1], axis=0)
        return blocks_of(*search.needed(*nodes, cuts), edges, columns.edges, n_reduced)

    def _winners(self, arrays: tuple[Any, ...], blocks: Blocks, original: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Return the K smallest values of rows, their original indices, of columns that are in another order, and how many
        pairs were computed twice."""
        k = self._k
        values, index = self._smallest(k + 1).state(arrays, blocks)
        index = np.where(index < 0, -1, original[index])
        tied = rows_with_ties(values, k)
        values, index = order_ties(values[:, :k], index[:, :k])
        return values, index, self._repeat(arrays, blocks, original, tied, values, index)

    def _repeat(self, arrays, blocks, original, tied, values, index) -> int:
        """Compute rows again in which the last place is shared by equal values: on their columns in the original order."""
        repeated = 0
        starts = np.concatenate([[0], blocks[1]])
        tiles, owner = np.unique(np.searchsorted(blocks[0][:, 1], tied, side="right"), return_inverse=True)
        for number, tile in enumerate(tiles):
            mine = tied[owner == number]
            columns = np.concatenate([np.arange(a, b) for a, b in blocks[2][starts[tile] : starts[tile + 1]]])
            columns = columns[np.argsort(original[columns])]
            given = self._take(self._take(arrays, 0, mine), 1, columns)
            everything = Blocks(tuple(np.array(a) for a in ([[0, len(mine)]], [1], [[0, len(columns)]])))
            values[mine], found = self._smallest(self._k).state(given, everything)
            index[mine] = np.where(found < 0, -1, original[columns][found])
            repeated += len(mine) * len(columns)
        return repeated

    def _state_of(self, values: np.ndarray, index: np.ndarray) -> State:
        """Return the K smallest values and their indices as the state of the reduction."""
        if self.reduction.fold == "kmin":
            return values, index
        return self._sign * values[:, 0], index[:, 0]


def _usual(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return, for each row, up to where values are like those of the best quarter of the rows of its tile."""
    tile = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    usual = np.empty_like(values)
    with np.errstate(invalid="ignore"):
        for c in range(values.shape[1]):
            ranked = values[np.lexsort((values[:, c], tile)), c]
            least, quarter = ranked[edges[:-1]], ranked[edges[:-1] + np.diff(edges) // 4]
            usual[:, c] = (quarter + 4 * (quarter - least))[tile]
    return np.where(np.isnan(usual), np.inf, usual)


def _same(array: np.ndarray, order: np.ndarray, kept: np.ndarray) -> bool:
    """Whether an array in an order is one that was kept, bit by bit."""
    if array.dtype != kept.dtype or array.shape != kept.shape:
        return False
    as_integers = np.dtype(f"i{array.dtype.itemsize}")
    return np.array_equal(np.ascontiguousarray(array[order]).view(as_integers), kept.view(as_integers))


def _undo(rows: np.ndarray, order: np.ndarray) -> np.ndarray:
    result = np.empty_like(rows)
    result[order] = rows
    return result


def _count(blocks: Blocks) -> int:
    """Return how many pairs there are in blocks."""
    rows, slices, columns = blocks
    owner = np.repeat(np.diff(rows, axis=1)[:, 0], np.diff(slices, prepend=0))
    return int((owner * np.diff(columns, axis=1)[:, 0]).sum())
