"""Equal values among the K smallest, where columns were visited in another order than their own.

All pairs in their order give the smaller index the better place. So do lists that were made in another order, once equal values are
sorted by their indices; unless equal values share the last place, as others of them may have been left out.
"""

from __future__ import annotations

import numpy as np

__all__ = ["order_ties", "rows_with_ties"]


def order_ties(values: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return lists of K values, ascending, (rows, K, dim), with equal ones sorted by their indices."""
    values, index = values.copy(), index.copy()
    tied = (values[:, 1:] == values[:, :-1]) & (values[:, 1:] < np.inf)
    rows = np.flatnonzero(tied.any(axis=(1, 2)))
    if len(rows):
        order = np.lexsort((index[rows], values[rows]), axis=1)
        values[rows] = np.take_along_axis(values[rows], order, axis=1)
        index[rows] = np.take_along_axis(index[rows], order, axis=1)
    return values, index


def rows_with_ties(values: np.ndarray, k: int) -> np.ndarray:
    """Return the rows of lists of k + 1 values in some component of which the last two are equal."""
    last, next_ = values[:, k - 1], values[:, k]
    return np.flatnonzero(((last == next_) & (last < np.inf)).any(axis=1))
