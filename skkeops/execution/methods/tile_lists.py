"""Which tiles of columns a tile of rows has to meet, from the bounds of a formula over their boxes.

Tiles are the leaves of two trees, `skkeops.pairs.order.SpatialOrder`. A search goes down both at once, from pairs of large nodes to
pairs of tiles, and keeps of each generation the pairs that may matter: no pair of tiles below one that does not is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from skkeops.pairs.ranges import Blocks, join_columns

__all__ = ["Search", "blocks_of"]

_STEP = 2  # levels of each tree from one generation to the next: a pair of nodes has up to 16 children
_GENERATIONS = 3

Boxes = list[list[tuple[np.ndarray, np.ndarray]]]
Evaluate = Callable[[str, list[tuple[np.ndarray, np.ndarray]], list[tuple[np.ndarray, np.ndarray]]], np.ndarray]


class Search:
    """The two trees of a call, and the bounds of pairs of their nodes.

    Parameters
    ----------
    rows, columns : list of list of tuple of two ndarray
        The boxes of every level of both trees, from `SpatialOrder.levels`.
    evaluate : callable
        ``evaluate(which, row_boxes, column_boxes)`` returns the ``"lower"`` or the ``"upper"`` bounds of n pairs of boxes: an array
        (n, dim).
    """

    def __init__(self, rows: Boxes, columns: Boxes, evaluate: Evaluate):
        # both corners of a box in one row, so that those of a pair are found at once
        self._rows, self._columns = ([list(map(_joined, level)) for level in side] for side in (rows, columns))
        self._evaluate = evaluate
        depths = len(rows) - 1, len(columns) - 1
        self._levels = [
            tuple(max(0, depth - _STEP * left) for depth in depths) for left in range(_GENERATIONS, -1, -1)
        ]
        #: The level of the tree of rows at which a search starts.
        self.start = self._levels[0][0]

    def promising(self, first: int, last: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return for each tile of rows below some nodes, counted from the first of them, `count` tiles of columns with small upper
        bounds; sorted by rows.

        Parameters
        ----------
        first, last : int
            Nodes of rows of the level `start`.
        count : int
        """
        rows = [(level, partial(_take, self._rows[level])) for level, _ in self._levels]
        return self._promising(rows, first, last, count)

    def promising_for(self, points: list[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the same for single rows, given by their values of each variable: rows, ascending, and tiles."""

        def boxes(i):
            return [(corner, corner) for corner in (np.take(p, i, axis=0) for p in points)]

        return self._promising([(0, boxes)] * len(self._levels), 0, len(points[0]), count)

    def _promising(self, rows: list, first: int, last: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Keep `count` columns for each row of a generation: `rows` has its level and what returns its boxes."""
        begin, nodes = first, last - first
        columns = np.tile(np.arange(2 ** self._levels[0][1]), (nodes, 1))
        for generation, (level, boxes) in enumerate(rows):
            if generation:
                of_row = 2 ** (level - rows[generation - 1][0])
                of_column = 2 ** (self._levels[generation][1] - self._levels[generation - 1][1])
                children = columns[:, :, None] * of_column + np.arange(of_column)
                columns = np.repeat(children.reshape(nodes, -1), of_row, axis=0)
                begin, nodes = begin * of_row, nodes * of_row
            i = np.repeat(np.arange(begin, begin + nodes), columns.shape[1])
            box = _take(self._columns[self._levels[generation][1]], columns.ravel())
            if columns.shape[1] > count:
                bound = self._evaluate("upper", boxes(i), box).sum(axis=1).reshape(columns.shape)
                best = np.argpartition(bound, count - 1, axis=1)[:, :count]
                columns = np.take_along_axis(columns, best, axis=1)
        columns.sort(axis=1)
        return np.repeat(np.arange(nodes), columns.shape[1]), columns.ravel()

    def needed(self, first: int, last: int, cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs of tiles that may hold a value that is not above the cut of the tile of rows, in any component; as
        `promising` does.

        Parameters
        ----------
        first, last : int
            Nodes of rows of the level `start`.
        cuts : ndarray of shape (tiles, dim)
            A number for each tile of rows below them, and each component.
        """
        n_columns = 2 ** self._levels[0][1]
        i, j = np.repeat(np.arange(first, last), n_columns), np.tile(np.arange(n_columns), last - first)
        for generation, (row_level, column_level) in enumerate(self._levels):
            if generation:
                before = self._levels[generation - 1]
                i, j = _children(i, j, 2 ** (row_level - before[0]), 2 ** (column_level - before[1]))
            below = 2 ** (len(self._rows) - 1 - row_level)  # tiles below a node
            cut = cuts.reshape(-1, below, cuts.shape[1]).max(axis=1)
            lower = self._evaluate("lower", _take(self._rows[row_level], i), _take(self._columns[column_level], j))
            kept = (lower <= cut[i - first * 2 ** (row_level - self.start)]).any(axis=1)
            i, j = i[kept], j[kept]
        i -= first * 2 ** (len(self._rows) - 1 - self.start)
        order = np.argsort(i * 2 ** (len(self._columns) - 1) + j)
        return i[order], j[order]


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
