"""What methods have in common that skip tiles: both sides in a spatial order, bounds over boxes, samples that tell whether it pays.

A tile of rows against a tile of columns is a block of pairs for which the bounds of a formula (`skkeops.formula.bounds`) hold at
once. A method says which tiles of columns a tile of rows needs; the backend computes those, as blocks of pairs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from skkeops.arrays.conversion import dtype_of
from skkeops.arrays.devices import contiguous, is_on_device, namespace_of, to_device, to_host
from skkeops.execution.blocks import Progress
from skkeops.execution.program import Backend, Program
from skkeops.formula.derivative import gradients, substitute
from skkeops.formula.errors import FormulaError
from skkeops.formula.expression import IJ, Expression, P, Variable, variables_of
from skkeops.formula.operations import Concat
from skkeops.locks import Lock
from skkeops.pairs.order import SpatialOrder, boxes_of, sample_tiles
from skkeops.pairs.ranges import Blocks
from skkeops.plan.problem import Problem
from skkeops.reductions.base import State

from .base import Method
from .gates import too_few
from .tile_lists import Corners, Evaluate, Search
from .tile_parts import Found, Needed, Part, split_nodes

__all__ = ["SampledTiles", "TileMethod", "count_pairs", "far_rows", "has_pairs"]

#: Fewer pairs than these are computed sooner than anything is known of them.
LEAST_PAIRS = 1 << 24
#: With more than this share of the pairs left, all of them are computed.
WORTH = 0.5
#: About how many pairs of tiles the lists of one step hold.
_PAIRS_OF_TILES = 1 << 22
#: Columns in their order are kept for the next call up to this size.
_KEPT_BYTES = 1 << 26
#: Columns that were sorted with other weights are sorted again where these differ by such a factor.
_OTHER_WEIGHT = 4.0


class Kept(NamedTuple):
    """Columns in their order: what is used again if a call has the same ones."""

    order: SpatialOrder
    arrays: tuple[np.ndarray, ...]
    scale: np.ndarray


class SampledTiles(NamedTuple):
    """Some tiles of one side, drawn at random.

    Attributes
    ----------
    boxes : list of tuple of two ndarray
        For each variable the corners: as large as if no row of the side was missing.
    edges : ndarray of int64
        Where each tile begins among their rows, and where the last one ends.
    rows : ndarray of int64
        The rows, tile by tile.
    """

    boxes: list[tuple[np.ndarray, np.ndarray]]
    edges: np.ndarray
    rows: np.ndarray

    @property
    def n_tiles(self) -> int:
        """How many tiles there are."""
        return len(self.edges) - 1


class TileMethod(Method):
    """A way to compute a problem at the cost of the tiles that it needs.

    A subclass gives `formula`, `ranked`, `boxed`, `telling_pairs`, `needed` and `compute`, besides what a method has to say.

    Parameters
    ----------
    problem : Problem
    backend : Backend

    Attributes
    ----------
    formula : Expression
        Its variables tell which rows are near each other.
    ranked : Expression
        A formula of dim 1 whose slopes tell how much each coordinate counts.
    """

    least_pairs = LEAST_PAIRS
    formula: Expression
    ranked: Expression
    #: The most rows of a tile of rows, and of one of columns, where the backend has no sizes of its own.
    small_tiles: tuple[int, int] = (32, 64)
    #: Rows of each side that a decision is made from.
    sample_size: int = 1 << 14
    #: Pairs that are computed again cost so many others.
    cost_of_repeating: int = 1

    def __init__(self, problem: Problem, backend: Backend, options: Any = None):
        super().__init__(problem, backend, options)
        self.on_host = backend.on_host or backend
        self.sides = 1 - self.axis, self.axis  # the categories of rows of the output, and of what is reduced
        # all rows at once, which share the work on the columns: their states are not larger than the results
        self.block_rows = 1 << 62
        self._boxed: dict[str, tuple[Mapping[str, Expression], dict[Variable, tuple[Variable, Variable]]]] = {}
        self._slopes: tuple[tuple[Variable, ...], Expression | None] | None = None
        self._kept: Kept | None = None
        self._lock = Lock()

    # What a subclass gives

    @abstractmethod
    def boxed(
        self, turned: Callable[[Expression], Expression], dtype: str
    ) -> tuple[Mapping[str, Expression], dict[Variable, tuple[Variable, Variable]]]:
        """Return formulas over boxes by their names, ``"lower"`` and ``"upper"`` among them, and the variables of the boxes.

        `turned` makes formulas whose rows are indexed by i and whose columns by j, whatever the axis.
        """

    @abstractmethod
    def telling_pairs(self, arrays: tuple[Any, ...], rng: np.random.Generator, pairs: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and columns of some pairs at which the slopes of `ranked` tell how much each coordinate counts."""

    @abstractmethod
    def program_of_rest(self) -> Program:
        """Return the program of rows that meet all columns, whose state has the layout of `compute`."""

    @abstractmethod
    def needed(self, part: Part) -> Needed:
        """Return the blocks of pairs that some rows have to meet."""

    @abstractmethod
    def compute(self, part: Part, blocks: Blocks, known: Any) -> tuple[State, int]:
        """Return the state of some rows, and how many pairs were computed again for it; `known` is that of `Needed`."""

    def promise(self, evaluate: Evaluate) -> Callable[[Any, Any], np.ndarray] | None:
        """Return what says how much pairs of boxes promise, the less the more; None for the sum of upper bounds."""
        return None

    def sizes_of_tiles(self, dtype: np.dtype) -> tuple[int, int]:
        return self.program_of_rest().tile_sizes(dtype) or self.small_tiles

    def finish(self, state: State) -> State:
        """Return a state as that of the reduction."""
        return state

    # Of a problem

    def of_side(self, category: int) -> list[int]:
        """Return the places of the variables of rows or of columns that the formula has."""
        used = set(variables_of(self.formula))
        return [k for k, v in enumerate(self.problem.variables) if v.category == category and v in used]

    def take(self, arrays: tuple[Any, ...], side: int, rows: Any) -> tuple[Any, ...]:
        """Return the arrays with some rows of one side, 0 (rows of the output) or 1 (columns), in this order."""
        category = self.sides[side]
        return tuple(
            contiguous(a[rows]) if v.category == category else a
            for v, a in zip(self.problem.variables, arrays, strict=True)
        )

    def _formulas(self, dtype: np.dtype) -> tuple[Mapping[str, Expression], dict[Variable, tuple[Variable, Variable]]]:
        """Return the formulas over boxes of rows (as if of i) and of columns (of j)."""
        if dtype.name not in self._boxed:
            turned: dict[Expression, Expression] = {
                v: Variable(v.position, v.dim, v.category if self.axis == 1 or v.category == P else 1 - v.category)
                for v in self.problem.variables
            }
            self._boxed[dtype.name] = self.boxed(lambda e: substitute(e, turned), dtype.name)
        return self._boxed[dtype.name]

    def _gradient(self) -> tuple[tuple[Variable, ...], Expression | None]:
        """Return the variables of rows and of columns, and the slopes of `ranked` by their components, one behind the other."""
        if self._slopes is None:
            variables = tuple(self.problem.variables[k] for side in self.sides for k in self.of_side(side))
            slopes: Expression | None = None
            try:
                for g in gradients(self.ranked, variables, 1):
                    slopes = g if slopes is None else Concat(slopes, g)
            except FormulaError:  # it has no derivative, or too many components
                slopes = None
            self._slopes = variables, slopes
        return self._slopes

    # Of a call

    def declines_sizes(self, arrays: tuple[Any, ...], pairs_per_row: int) -> str | None:
        """Return why a call is declined for its sizes, or for numbers that bounds do not hold for."""
        reason = too_few(arrays, *self.sizes(arrays), pairs_per_row)
        if reason is not None:
            return reason
        dtype = dtype_of(arrays)
        for v, a in zip(self.problem.variables, arrays, strict=True):
            if v.category == P and dtype.itemsize < 8 and ((to_host(a) != 0) & (np.abs(to_host(a)) < np.finfo(dtype).tiny)).any():
                return "a parameter is a denormal number"
        return None

    def evaluator(self, arrays: tuple[Any, ...], dtype: np.dtype) -> Evaluate:
        """Return the function that evaluates formulas over boxes, by their names, at pairs of them."""
        formulas, boxes = self._formulas(dtype)
        by_position = {v.position: pair for v, pair in boxes.items()}
        names: list[Variable] = []
        for side in self.sides:
            for k in self.of_side(side):
                names += by_position[self.problem.variables[k].position]
        given = [(v, a) for v, a in zip(self.problem.variables, arrays, strict=True) if v.position in by_position]
        names += [by_position[v.position][0] for v, _ in given if v.category == P]
        parameters = [to_host(a).astype(np.float64) for v, a in given if v.category == P]

        def evaluate(which, rows, columns):
            ends = [end for box in (*rows, *columns) for end in box]
            n = len(ends[0])
            return self.on_host.evaluate((formulas[which],), tuple(names), (*ends, *parameters), n)[0]

        return evaluate

    def scales(self, arrays: tuple[Any, ...], rng: np.random.Generator, pairs: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return a weight for each coordinate of rows and of columns: how fast the formula changes with it where that counts.

        The mean slopes of the formula at pairs that tell say which coordinates its tiles should be short in.
        """
        variables, slopes = self._gradient()
        values = None
        if slopes is not None:
            i, j = self.telling_pairs(arrays, rng, pairs)
            if len(i):
                sample = tuple(map(to_host, self.take(self.take(arrays, 0, i), 1, j)))
                values = np.abs(self.on_host.evaluate((slopes,), self.problem.variables, sample, len(i))[0].astype(np.float64))
                values = np.where(np.isfinite(values), values, 0.0).mean(axis=0)
        widths = [sum(self.problem.variables[k].dim for k in self.of_side(side)) for side in self.sides]
        if values is None or not np.isfinite(values).all():
            return np.ones(widths[0]), np.ones(widths[1])
        slopes_of = [values[: widths[0]], values[widths[0] :]]
        if min(slope.max(initial=0.0) for slope in slopes_of) == 0:
            # Where the formula is piecewise constant in the points, as a window with an end is, slopes are those of weights alone.
            slopes_of = [np.where(slope > 0, 0.0, 1.0) for slope in slopes_of]
        rows, columns = (slope / slope.max() if slope.any() else np.ones(len(slope)) for slope in slopes_of)
        return rows, columns

    def _coordinates(self, arrays: tuple[Any, ...], side: int, scale: np.ndarray) -> Any:
        """Return what is near on one side: the components of its variables, weighted."""
        columns = [arrays[k].astype(np.float64) for k in self.of_side(self.sides[side])]
        with np.errstate(over="ignore", invalid="ignore"):
            return np.concatenate(columns, axis=1) * to_device(scale, namespace_of(*columns))

    def sample_of_side(
        self, arrays: tuple[Any, ...], dtype: np.dtype, side: int, scale: np.ndarray, count: int, rng: np.random.Generator
    ) -> SampledTiles | None:
        """Return some tiles of one side, drawn at random, without computing the others; None if no row is finite.

        A tile of a sample has as few rows as it would have if the others were there. Its box is the larger for the rows that are
        missing, as if they were spread evenly. So these boxes decide about a method alone, and not about results.
        """
        n, size = self.sizes(arrays)[side], self.sizes_of_tiles(dtype)[side]
        some = rng.integers(n, size=self.sample_size) if n > self.sample_size else np.arange(n)
        sample = self.take(arrays, side, some)
        few = max(2, round(size * len(some) / n))
        tiles = sample_tiles(to_host(self._coordinates(sample, side, scale)), few, count, rng)
        if not tiles:
            return None
        edges = np.cumsum([0, *map(len, tiles)])
        rows = np.concatenate(tiles)
        part = self.take(sample, side, rows)
        grown = (size - 1) / (size + 1) * (few + 1) / (few - 1)
        found = [boxes_of(to_host(part[k]), edges, dtype) for k in self.of_side(self.sides[side])]
        boxes = [(u - (u - lo) * (1 + grown) / 2, lo + (u - lo) * (1 + grown) / 2) for lo, u in found]
        return SampledTiles(boxes, edges, some[rows])

    def boxes_of_rows(self, arrays: tuple[Any, ...]) -> Corners:
        """Return the box of each row by itself, for each variable of rows."""
        edges = np.arange(self.sizes(arrays)[0] + 1)
        return [boxes_of(arrays[k], edges, dtype_of(arrays)) for k in self.of_side(self.sides[0])]

    def _columns(self, arrays: tuple[Any, ...], scale: np.ndarray) -> tuple[SpatialOrder, tuple[Any, ...]]:
        """Return the order of the columns, and the arrays with them in this order: those of before, if they are the same."""
        places = self.of_side(self.sides[1])
        with self._lock:
            kept = self._kept
        if (
            kept is None
            or ((scale > _OTHER_WEIGHT * kept.scale) | (kept.scale > _OTHER_WEIGHT * scale)).any()
            or not all(_same(arrays[k], kept.order.index, a) for k, a in zip(places, kept.arrays, strict=True))
        ):
            order = SpatialOrder(self._coordinates(arrays, 1, scale), self.sizes_of_tiles(dtype_of(arrays))[1])
            kept = Kept(order, tuple(contiguous(arrays[k][order.index]) for k in places), scale)
            # on a device they would belong to a stream, and another one might use them too early
            if not is_on_device(order.index) and sum(a.nbytes for a in kept.arrays) + order.index.nbytes <= _KEPT_BYTES:
                with self._lock:
                    self._kept = kept
        in_order = list(arrays)
        for k, v in enumerate(self.problem.variables):
            if v.category == self.sides[1]:
                in_order[k] = kept.arrays[places.index(k)] if k in places else arrays[k][kept.order.index]
        return kept.order, tuple(in_order)

    def state(self, arrays: tuple[Any, ...], pairs: Any = None, progress: Progress | None = None) -> State:
        n_out, n_reduced = self.sizes(arrays)
        dtype = dtype_of(arrays)
        scales = self.scales(arrays, np.random.default_rng(0), pairs)
        (columns, in_order), rows = self.backend.at_once(
            [
                partial(self._columns, arrays, scales[1]),
                partial(SpatialOrder, self._coordinates(arrays, 0, scales[0]), self.sizes_of_tiles(dtype)[0]),
            ]
        )
        rest = self.program_of_rest()
        nothing = rest.reduction.identity(n_out, rest.problem.output.dims)
        state = tuple(to_device(part, namespace_of(*arrays)) for part in nothing)
        found = Found(state, rows.index, n_reduced, progress)
        if rows.n_ordered and columns.n_ordered:
            in_order = self.take(in_order, 0, rows.index)
            evaluate = self.evaluator(arrays, dtype)
            boxes = [
                order.levels([in_order[k][: order.n_ordered] for k in self.of_side(side)], dtype)
                for order, side in zip((rows, columns), self.sides, strict=True)
            ]
            search = Search(boxes[0], boxes[1], evaluate, self.promise(evaluate))
            below = 2 ** (rows.depth - search.start)  # tiles of rows below a node at which a search starts
            whole = Part(search, in_order, rows.edges, columns, (0, 2**search.start), n_reduced, pairs)

            def compute(nodes: tuple[int, int]) -> bool:
                return self._compute_part(whole, nodes, below, found)

            first, others = split_nodes(2**search.start, max(1, _PAIRS_OF_TILES // (below * 2**columns.depth)))
            if all(map(compute, first)):
                self.backend.at_once([partial(compute, nodes) for nodes in others])
        left = np.flatnonzero(found.is_left)  # rows in no tile, and where little can be skipped
        if len(left):
            found.put(left, rest.state(self.take(arrays, 0, found.rows(left))), len(left) * n_reduced)
        found.report()
        self.share, self.error = found.computed / (n_out * n_reduced), found.error
        return self.finish(state)

    def _compute_part(self, whole: Part, nodes: tuple[int, int], below: int, found: Found) -> bool:
        """Compute the rows below some nodes if enough can be skipped; return whether it is worth to go on so.

        Parameters
        ----------
        whole : Part
            All rows.
        nodes : tuple of int
            The first node, and the one behind the last.
        below : int
            How many tiles there are below a node.
        found : Found
            What takes the results.
        """
        edges = whole.edges[nodes[0] * below : nodes[1] * below + 1]
        some = slice(int(edges[0]), int(edges[-1]))
        part = whole._replace(arrays=self.take(whole.arrays, 0, some), edges=edges - edges[0], nodes=nodes)
        needed = self.needed(part)
        n_needed = count_pairs(needed.blocks) + count_pairs(needed.own_blocks)
        most = WORTH * (some.stop - some.start) * part.n_reduced
        if n_needed > most:
            return False
        state, repeated = self.compute(part, needed.blocks, needed.known)
        if len(needed.own):
            alone = part._replace(arrays=self.take(part.arrays, 0, needed.own))
            for rows, new in zip(state, self.compute(alone, needed.own_blocks, None)[0], strict=True):
                rows[needed.own] = new
        found.put(some, state, n_needed + repeated, needed.error)
        return n_needed + self.cost_of_repeating * repeated < most


def has_pairs(problem: Problem) -> bool:
    """Return whether an argument has a value for each pair."""
    return any(v.category == IJ for v in problem.variables)


def far_rows(values: np.ndarray, edges: np.ndarray, gap: float = 0.0) -> np.ndarray:
    """Return the rows whose values, in some component, are far above those of the best quarter of the rows of their tile: by at
    least a gap.

    A tile may lie between clusters: such rows search on their own.
    """
    tile = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    usual = np.empty_like(values)
    with np.errstate(invalid="ignore"):
        for c in range(values.shape[1]):
            ranked = values[np.lexsort((values[:, c], tile)), c]
            least, quarter = ranked[edges[:-1]], ranked[edges[:-1] + np.diff(edges) // 4]
            usual[:, c] = (quarter + np.maximum(4 * (quarter - least), gap))[tile]
    return np.flatnonzero((values > np.where(np.isnan(usual), np.inf, usual)).any(axis=1))


def count_pairs(blocks: Blocks) -> int:
    """Return how many pairs there are in blocks."""
    rows, slices, columns = blocks
    owner = np.repeat(np.diff(rows, axis=1)[:, 0], np.diff(slices, prepend=0))
    return int((owner * np.diff(columns, axis=1)[:, 0]).sum())


def _same(array: np.ndarray, order: np.ndarray, kept: np.ndarray) -> bool:
    """Whether an array in an order is one that was kept, bit by bit."""
    if array.dtype != kept.dtype or array.shape != kept.shape:
        return False
    as_integers = np.dtype(f"i{array.dtype.itemsize}")
    return np.array_equal(np.ascontiguousarray(array[order]).view(as_integers), kept.view(as_integers))
