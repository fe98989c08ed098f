"""In which parts a method of tiles computes the rows of a call, and what it has found so far.

A few rows are computed first, which tell what can be skipped. The others follow in parts that several threads take: the parts are
the same whatever their number, and no part looks at what another one has found. So are the results.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np

from skkeops.arrays.devices import namespace_of, to_device
from skkeops.execution.blocks import Progress
from skkeops.locks import Lock
from skkeops.pairs.order import SpatialOrder
from skkeops.pairs.ranges import Blocks
from skkeops.reductions.base import State

from .tile_lists import Search

__all__ = ["Found", "Needed", "Part", "split_nodes"]

#: The nodes of rows that are computed first: one out of so many. The others are computed in as many parts at least.
_TRIAL, _PARTS = 8, 16


def split_nodes(n_nodes: int, most: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the parts that are computed one after the other at first, a single node, then ever more; and all the others.

    Parameters
    ----------
    n_nodes : int
    most : int
        The most nodes of a part.

    Returns
    -------
    first, others : list of tuple of int
        The first node of each part, and the one behind its last.

    Examples
    --------
    >>> split_nodes(16, 100)
    ([(0, 1), (1, 2)], [(2, 3), (3, 4), (4, 5), (5, 6), (6, 7), (7, 8), (8, 9), (9, 10), (10, 11), (11, 12), (12, 13), \
(13, 14), (14, 15), (15, 16)])
    """
    ends = [0, 1]
    while ends[-1] < n_nodes // _TRIAL:
        ends.append(ends[-1] + min(most, ends[-1]))
    step = min(most, -(-(n_nodes - ends[-1]) // _PARTS))
    starts = range(ends[-1], n_nodes, max(1, step))
    return list(zip(ends, ends[1:], strict=False)), [(start, min(n_nodes, start + step)) for start in starts]


class Part(NamedTuple):
    """Some tiles of rows, and what they are computed from.

    Attributes
    ----------
    search : Search
    arrays : tuple of ndarray
        Both sides in their orders, of the rows those of these tiles.
    edges : ndarray of int64
        Where the tiles begin among the rows, and where the last one ends.
    columns : SpatialOrder
    nodes : tuple of int
        The first node of the tree of rows, at the level at which a search starts, and the one behind the last.
    n_reduced : int
        How many columns there are, in tiles or not.
    pairs : object
        What the call says of the pairs that are to be visited.
    """

    search: Search
    arrays: tuple[Any, ...]
    edges: np.ndarray
    columns: SpatialOrder
    nodes: tuple[int, int]
    n_reduced: int
    pairs: Any


#: No rows, which meet nothing.
NO_ROWS = np.empty(0, np.int64)
NO_BLOCKS = Blocks((np.empty((0, 2), np.int64), NO_ROWS, np.empty((0, 2), np.int64)))


class Needed(NamedTuple):
    """What some tiles of rows have to meet.

    Attributes
    ----------
    blocks : Blocks
        The blocks of pairs of tiles.
    error : float
        A bound of the error that this makes, as `Program.error`.
    own : ndarray of int64
        Rows that are computed once more, as they have to meet others than their tiles.
    own_blocks : Blocks
        Their blocks: their rows are counted from 0, in this order.
    known : object
        What the method knows of the rows, for `TileMethod.compute`.
    """

    blocks: Blocks
    error: float = 0.0
    own: np.ndarray = NO_ROWS
    own_blocks: Blocks = NO_BLOCKS
    known: Any = None


class Found:
    """The state of all rows of a call, of which parts are put in by several threads.

    Parameters
    ----------
    state : tuple of ndarray
        It is written to.
    index : ndarray of int64
        The rows in their order.
    n_columns : int
    progress : callable, optional
        Is called with the pairs that are done, and all pairs: by the thread that has made this object alone.

    Attributes
    ----------
    is_left : ndarray of bool
        Which places of the order have rows that were not put in.
    computed : int
        How many pairs were computed.
    error : float
        The largest bound of the error of a part, as `Program.error`.
    """

    def __init__(self, state: State, index: Any, n_columns: int, progress: Progress | None = None):
        self._state, self._index, self._progress = state, index, progress
        self._n_columns, self._total = n_columns, len(index) * n_columns
        self.is_left = np.ones(len(index), bool)
        self.computed, self.error = 0, 0.0
        self._done, self._caller = 0, threading.get_ident()
        self._lock = Lock()

    def rows(self, places: slice | np.ndarray) -> Any:
        """Return the rows that stand at some places of the order."""
        return self._index[places if isinstance(places, slice) else to_device(places, namespace_of(self._index))]

    def put(self, places: slice | np.ndarray, state: State, computed: int, error: float = 0.0) -> None:
        """Put the state of the rows in that stand at some places of the order, for which so many pairs were computed."""
        rows = self.rows(places)
        for whole, new in zip(self._state, state, strict=True):
            whole[rows] = to_device(new, namespace_of(whole))
        self.is_left[places] = False
        with self._lock:
            self.computed += computed
            self.error = max(self.error, error)
            self._done += len(rows) * self._n_columns
        self.report()

    def report(self) -> None:
        """Say how far the call is."""
        if self._progress is not None and threading.get_ident() == self._caller:
            self._progress(self._done, self._total)
