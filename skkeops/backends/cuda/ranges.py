"""Block-sparse reductions: which blocks of threads visit which columns."""

from __future__ import annotations

import numpy as np

__all__ = ["work_items"]


def work_items(
    ranges: tuple[np.ndarray, np.ndarray, np.ndarray], rows: int, block: int
) -> tuple[np.ndarray, np.ndarray]:
    """One item for every block of threads, so that each row is in exactly one.

    Parameters
    ----------
    ranges : tuple of ndarray
        ``(rows, slices, reduced)`` from `skkeops.ranges.Ranges.of_axis`.
    rows : int
        The number of rows of the output.
    block : int
        The most rows that a block of threads can have.

    Returns
    -------
    items : ndarray of int64, shape (n, 4)
        First row, end of the rows, first segment, end of the segments. Rows that no range names have no segment.
    segments : ndarray of int64, shape (n_segments, 2)
        First column and end of the columns.

    Examples
    --------
    >>> import numpy as np
    >>> ranges = np.array([[2, 5]]), np.array([1]), np.array([[10, 30]])
    >>> work_items(ranges, 6, 2)[0].tolist()
    [[0, 2, 0, 0], [2, 4, 0, 1], [4, 5, 0, 1], [5, 6, 0, 0]]
    """
    of_rows, slices, reduced = ranges
    starts = np.concatenate([[0], slices[:-1]]).astype(np.int64) if len(slices) else np.zeros(0, np.int64)
    ends = np.concatenate([[0], of_rows[:, 1]])
    gaps = np.stack([ends, np.concatenate([of_rows[:, 0], [rows]])], axis=1)
    gaps = gaps[gaps[:, 0] < gaps[:, 1]]
    all_rows = np.concatenate([of_rows, gaps])
    bounds = np.concatenate([np.stack([starts, slices], axis=1), np.zeros((len(gaps), 2), np.int64)])
    counts = -(-(all_rows[:, 1] - all_rows[:, 0]) // block)
    owner = np.repeat(np.arange(len(all_rows)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    first = all_rows[owner, 0] + within * block
    items = np.stack([first, np.minimum(first + block, all_rows[owner, 1]), *bounds[owner].T], axis=1)
    items = items[np.argsort(items[:, 0], kind="stable")]
    segments = reduced if len(reduced) else np.zeros((1, 2), np.int64)
    return np.ascontiguousarray(items, np.int64), np.ascontiguousarray(segments, np.int64)
