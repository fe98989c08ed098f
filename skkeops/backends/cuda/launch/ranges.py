"""Calls with ranges: tables that tell each block of threads which rows and columns it visits.

A block of threads does one item: some rows, and some segments of columns. Where the ranges of a block of rows hold many columns,
several items share them, so that no block of threads has more than a small part of the whole work. Where the columns are cut
follows from the ranges and from constants alone: a call has the same bits every time. Every item has rows of its own in the
workspace. The merge adds up the items of a row in their order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .geometry import LONGEST, blocks_of

__all__ = ["ITEM", "ROW_BLOCK", "Work", "divide"]

ITEM = 5  # numbers of an item
ROW_BLOCK = 4  # numbers of a block of rows

#: The share of the work that an item may have at most, unless it would have fewer than two tiles: eight times as many items
#: as fill a large GPU twice, so that the last ones to run do not take long.
_SHARES = 8 * 2 * 132 * 4


class Work(NamedTuple):
    """The work of a call with ranges.

    Attributes
    ----------
    items : array of int64, shape (n, 5)
        First row, end of the rows, first segment, end of the segments, first row in the workspace: one for each block of
        threads.
    segments : array of int64, shape (n_segments, 2)
        First column and end of the columns, cut where items end.
    blocks : array of int64, shape (n_blocks, 4)
        First row, end of the rows, first row in the workspace, number of items: each row is in exactly one. Those that no
        range names, or that meet no column, have no item.
    rows : int
        The rows of the workspace.
    most : int
        The largest number of items of a block of rows.
    tallest : int
        The largest number of rows of a block.
    pairs : ndarray of int64, shape (n,)
        The pairs of the items up to each, on the host.
    """

    items: Any
    segments: Any
    blocks: Any
    rows: int
    most: int
    tallest: int
    pairs: np.ndarray

    def map(self, function: Any) -> Work:
        """The work with a function applied to its tables."""
        return self._replace(items=function(self.items), segments=function(self.segments), blocks=function(self.blocks))


def divide(ranges: tuple[np.ndarray, np.ndarray, np.ndarray], rows: int, most_rows: int, tile: int) -> Work:
    """Divide the pairs of ranges into items.

    Parameters
    ----------
    ranges : tuple of ndarray
        ``(rows, slices, reduced)`` from `skkeops.pairs.ranges.Ranges.of_axis`.
    rows : int
        The number of rows of the output.
    most_rows : int
        The most rows that a block of threads can have.
    tile : int
        The columns that a block of threads loads at a time.

    Returns
    -------
    Work

    Examples
    --------
    >>> import numpy as np
    >>> ranges = np.array([[2, 5]]), np.array([2]), np.array([[10, 30], [40, 41]])
    >>> work = divide(ranges, 6, 2, 4)
    >>> work.blocks.tolist()
    [[0, 2, 0, 0], [2, 4, 0, 3], [4, 5, 6, 3], [5, 6, 9, 0]]
    >>> work.segments.tolist()
    [[10, 18], [18, 26], [26, 30], [40, 41]]
    >>> work.items.tolist()[:3]
    [[2, 4, 0, 1, 0], [2, 4, 1, 2, 2], [2, 4, 2, 4, 4]]
    """
    of_rows, slices, reduced = ranges
    starts = np.concatenate([[0], slices[:-1]]).astype(np.int64) if len(slices) else np.zeros(0, np.int64)
    owner = np.repeat(np.arange(len(of_rows)), slices - starts)
    reduced = reduced[: len(owner)]
    filled = reduced[:, 0] < reduced[:, 1]
    owner, reduced = owner[filled], reduced[filled]

    lengths = reduced[:, 1] - reduced[:, 0]
    columns = np.bincount(owner, weights=lengths, minlength=len(of_rows)).astype(np.int64)
    tall = -(-(of_rows[:, 1] - of_rows[:, 0]) // most_rows)  # blocks of rows of each range
    least = blocks_of(int((columns * tall).sum()), _SHARES * tile)
    tiles = -(-columns // tile)
    pieces = -(-tiles // min(max(2, least), LONGEST // tile))
    chunk = np.maximum(-(-tiles // np.maximum(pieces, 1)), 1) * tile
    pieces = -(-columns // chunk)

    # segments are cut where pieces end; the columns of a range are counted through all of its segments
    ends = np.cumsum(lengths)
    begins = ends - lengths
    first = np.concatenate([[0], np.cumsum(columns)])[owner]
    begins, ends, size = begins - first, ends - first, chunk[owner]
    cuts = (ends - 1) // size - begins // size + 1
    of_segment = np.repeat(np.arange(len(reduced)), cuts)
    piece = np.arange(cuts.sum()) - np.repeat(np.cumsum(cuts) - cuts, cuts) + (begins // size)[of_segment]
    low = np.maximum(begins[of_segment], piece * size[of_segment])
    high = np.minimum(ends[of_segment], (piece + 1) * size[of_segment])
    segments = np.stack([low, high], axis=1) + (reduced[:, 0] - begins)[of_segment, None]
    before = np.cumsum(pieces) - pieces  # pieces of earlier ranges
    into = before[owner][of_segment] + piece
    of_piece = np.bincount(into, minlength=pieces.sum())
    visited = np.bincount(into, weights=high - low, minlength=pieces.sum()).astype(np.int64)
    piece_ends = np.cumsum(of_piece)

    blocks, of_range = _blocks(of_rows, rows, most_rows)
    counts = np.where(of_range < 0, 0, np.append(pieces, 0)[of_range])
    height = blocks[:, 1] - blocks[:, 0]
    place = np.cumsum(height * counts) - height * counts
    of_block = np.repeat(np.arange(len(blocks)), counts)
    nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    which = before[of_range[of_block]] + nth
    items = np.stack(
        [
            *blocks[of_block].T,
            (piece_ends - of_piece)[which],
            piece_ends[which],
            place[of_block] + nth * height[of_block],
        ],
        axis=1,
    )
    return Work(
        np.ascontiguousarray(items, np.int64),
        np.ascontiguousarray(segments, np.int64),
        np.ascontiguousarray(np.stack([*blocks.T, place, counts], axis=1), np.int64),
        int((height * counts).sum()),
        int(counts.max(initial=0)),
        int(height.max(initial=0)),
        np.cumsum(visited[which] * height[of_block]),
    )


def _blocks(of_rows: np.ndarray, rows: int, most_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of rows, ascending, that cover all rows, and the range of each, -1 for none."""
    ends = np.concatenate([[0], of_rows[:, 1]])
    gaps = np.stack([ends, np.concatenate([of_rows[:, 0], [rows]])], axis=1)
    gaps = gaps[gaps[:, 0] < gaps[:, 1]]
    every = np.concatenate([of_rows, gaps])
    of_range = np.concatenate([np.arange(len(of_rows)), np.full(len(gaps), -1)])
    counts = -(-(every[:, 1] - every[:, 0]) // most_rows)
    owner = np.repeat(np.arange(len(every)), counts)
    first = every[owner, 0] + (np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)) * most_rows
    blocks = np.stack([first, np.minimum(first + most_rows, every[owner, 1])], axis=1)
    order = np.argsort(first, kind="stable")
    return blocks[order].astype(np.int64), of_range[owner][order]
