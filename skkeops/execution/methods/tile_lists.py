"""Which tiles of columns a tile of rows has to meet, from the bounds of a formula over their boxes.

Tiles are the leaves of two trees, `skkeops.pairs.order.SpatialOrder`. A search goes down both at once, from pairs of large nodes to
pairs of tiles, and keeps of each generation the pairs that may matter: no pair of tiles below one that does not is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from skkeops.pairs.ranges import Blocks, join_columns

__all__ = ["GENERATIONS", "Boxes", "Corners", "Evaluate", "Generation", "Search", "blocks_of"]

_STEP = 2  # levels of each tree from one generation to the next: a pair of nodes has up to 16 children
#: How many generations a search has.
GENERATIONS = 4
_NUMBERS = 1 << 20  # corners of boxes that are held at once

#: For each variable the lower and the upper corners of n boxes.
Corners = list[tuple[np.ndarray, np.ndarray]]
Boxes = list[Corners]
Evaluate = Callable[[str, Corners, Corners], np.ndarray]
Promise = Callable[[Corners, Corners], np.ndarray]
RowsOfGeneration = tuple[int, Callable[[np.ndarray], Corners]]


class Search:
    """The two trees of a call, and the bounds of pairs of their nodes.

    Parameters
    ----------
    rows, columns : list of list of tuple of two ndarray
        The boxes of every level of both trees, from `SpatialOrder.levels`.
    evaluate : callable
        ``evaluate(which, row_boxes, column_boxes)`` returns the ``"lower"`` or the ``"upper"`` bounds of n pairs of boxes: an array
        (n, dim).
    promise : callable, optional
        ``promise(row_boxes, column_boxes)`` returns a number for each of n pairs of boxes, the smaller the more they promise.
        Default: the sum of the components of the upper bounds.
    """

    def __init__(self, rows: Boxes, columns: Boxes, evaluate: Evaluate, promise: Promise | None = None):
        # both corners of a box in one row, so that those of a pair are found at once
        self._rows, self._columns = ([list(map(_joined, level)) for level in side] for side in (rows, columns))
        self._evaluate = evaluate
        self._promise = promise or (lambda rows, columns: evaluate("upper", rows, columns).sum(axis=1))
        depths = len(rows) - 1, len(columns) - 1
        self._levels = [
            tuple(max(0, depth - _STEP * left) for depth in depths) for left in range(GENERATIONS - 1, -1, -1)
        ]
        #: The level of the tree of rows at which a search starts.
        self.start = self._levels[0][0]

    def promising(self, first: int, last: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return for each tile of rows below some nodes, counted from the first of them, `count` tiles of columns that promise
        much; sorted by rows.

        Parameters
        ----------
        first, last : int
            Nodes of rows of the level `start`.
        count : int
        """
        return self._promising(self._of_tiles(), first, last, count)

    def promising_for(self, points: Corners, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the same for single rows, given by their boxes for each variable: rows, ascending, and tiles."""
        return self._promising(self._of_points(points), 0, len(points[0][0]), count)

    def _of_tiles(self) -> list[RowsOfGeneration]:
        """Return for each generation the level of the nodes of rows, and what returns the boxes of some."""
        return [(level, partial(_take, self._rows[level])) for level, _ in self._levels]

    def _of_points(self, points: Corners) -> list[RowsOfGeneration]:
        """Return the same where each row is a node by itself, in every generation."""
        return [(0, partial(_take, list(map(_joined, points))))] * len(self._levels)

    def _promising(self, rows: list[RowsOfGeneration], first: int, last: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Keep `count` columns for each row of a generation."""
        begin, nodes = first, last - first
        columns = np.tile(np.arange(2 ** self._levels[0][1]), (nodes, 1))
        for generation, (level, boxes) in enumerate(rows):
            if generation:
                of_row = 2 ** (level - rows[generation - 1][0])
                of_column = 2 ** (self._levels[generation][1] - self._levels[generation - 1][1])
                children = columns[:, :, None] * of_column + np.arange(of_column)
                columns = np.repeat(children.reshape(nodes, -1), of_row, axis=0)
                begin, nodes = begin * of_row, nodes * of_row
            if columns.shape[1] > count:
                i = np.repeat(np.arange(begin, begin + nodes), columns.shape[1])
                of_columns = self._columns[self._levels[generation][1]]
                promise = _in_parts(lambda r, c, _: self._promise(r, c), boxes, i, of_columns, columns.ravel())
                promise = promise.reshape(columns.shape)
                best = np.argpartition(promise, count - 1, axis=1)[:, :count]
                columns = np.take_along_axis(columns, best, axis=1)
        columns.sort(axis=1)
        return np.repeat(np.arange(nodes), columns.shape[1]), columns.ravel()

    def descend(self, first: int, last: int, keep: Callable[[Generation], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs of tiles below some nodes of rows that are kept in every generation; as `promising` does.

        Parameters
        ----------
        first, last : int
            Nodes of rows of the level `start`.
        keep : callable
            Returns which pairs of nodes of a generation are kept: an array of bool.
        """
        return self._descend(self._of_tiles(), first, last, keep)

    def descend_for(self, points: Corners, keep: Callable[[Generation], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the same for single rows, given by their boxes for each variable: rows, ascending, and tiles."""
        return self._descend(self._of_points(points), 0, len(points[0][0]), keep)

    def _descend(
        self, rows: list[RowsOfGeneration], first: int, last: int, keep: Callable[[Generation], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        n_columns = 2 ** self._levels[0][1]
        i, j = np.repeat(np.arange(last - first), n_columns), np.tile(np.arange(n_columns), last - first)
        for generation, (level, boxes) in enumerate(rows):
            column_level = self._levels[generation][1]
            if generation:
                of_row, of_column = 2 ** (level - rows[generation - 1][0]), 2 ** (column_level - self._levels[generation - 1][1])
                i, j = _children(i, j, of_row, of_column)
                first *= of_row
            below = 2 ** (rows[-1][0] - level)
            of_columns = self._columns[column_level]
            kept = keep(Generation(i, j, first, below, column_level, generation, boxes, of_columns, self._evaluate))
            i, j = i[kept], j[kept]
        order = np.argsort(i * 2 ** (len(self._columns) - 1) + j)
        return i[order], j[order]


class Generation(NamedTuple):
    """Pairs of nodes of both trees that a search has come to.

    Attributes
    ----------
    rows, columns : ndarray of int64
        Nodes of rows, counted from the first one of the search, and nodes of columns.
    begin : int
        The first node of rows.
    below : int
        How many tiles of rows there are below a node.
    column_level : int
        The level of the nodes of columns.
    number : int
        Of the generation, from 0.
    row_boxes, column_boxes, evaluate
        What returns the boxes of nodes of rows, the boxes of columns of this level, and what the search evaluates bounds with.
    """

    rows: np.ndarray
    columns: np.ndarray
    begin: int
    below: int
    column_level: int
    number: int
    row_boxes: Callable[[np.ndarray], Corners]
    column_boxes: list[np.ndarray]
    evaluate: Evaluate

    def map(self, which: str, function: Callable[[np.ndarray, slice], np.ndarray]) -> np.ndarray:
        """Return ``function(bounds, some)`` of the lower or the upper bounds, (n, dim), of all pairs: of some pairs at a time."""

        def of_part(rows: Corners, columns: Corners, some: slice) -> np.ndarray:
            return function(self.evaluate(which, rows, columns), some)

        return _in_parts(of_part, self.row_boxes, self.begin + self.rows, self.column_boxes, self.columns)


def _in_parts(
    function: Callable[[Corners, Corners, slice], np.ndarray],
    row_boxes: Callable[[np.ndarray], Corners],
    i: np.ndarray,
    column_boxes: list[np.ndarray],
    j: np.ndarray,
) -> np.ndarray:
    """Return a function of pairs of boxes, some at a time, which the cache holds."""
    at_once = max(256, _NUMBERS // max(1, sum(both.shape[1] for both in column_boxes)))
    found = []
    for start in range(0, max(1, len(i)), at_once):
        some = slice(start, start + at_once)
        found.append(function(row_boxes(i[some]), _take(column_boxes, j[some]), some))
    return found[0] if len(found) == 1 else np.concatenate(found)


def _joined(box: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return np.concatenate(box, axis=1)


def _take(boxes: list[np.ndarray], nodes: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the lower and upper corners of some nodes, for each variable."""
    taken = [np.take(both, nodes, axis=0) for both in boxes]
    return [(both[:, : both.shape[1] // 2], both[:, both.shape[1] // 2 :]) for both in taken]


def _children(i: np.ndarray, j: np.ndarray, of_row: int, of_column: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of children of pairs of nodes, each of which has so many."""
    a, b = np.divmod(np.arange(of_row * of_column), of_column)
    i = (i[:, None] * of_row + a).ravel()
    return i, (j[:, None] * of_column + b).ravel()


def blocks_of(i: np.ndarray, j: np.ndarray, row_edges: np.ndarray, column_edges: np.ndarray, n_columns: int) -> Blocks:
    """Return the blocks of pairs of tiles.

    Parameters
    ----------
    i, j : ndarray of int64
        Tiles of rows, ascending from 0, and of columns.
    row_edges, column_edges : ndarray of int64
        Where tiles begin and end.
    n_columns : int
        Columns from the last edge up to this one are met by all rows.
    """
    counts = np.bincount(i, minlength=len(row_edges) - 1)
    columns = np.stack([column_edges[j], column_edges[j + 1]], axis=1)
    ends = np.cumsum(counts)
    if n_columns > column_edges[-1]:
        columns = np.insert(columns, ends, [[column_edges[-1], n_columns]], axis=0)
        counts = counts + 1
        ends = np.cumsum(counts)
    return Blocks(join_columns(np.stack([row_edges[:-1], row_edges[1:]], axis=1), ends - counts, ends, columns))
