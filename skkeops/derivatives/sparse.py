"""The gradient by a sparse array of pairs: a number for each entry that it stores."""

from __future__ import annotations

from typing import Any

import numpy as np

from skkeops.pairs.values import entry_positions

__all__ = ["SparseGradient"]


class SparseGradient:
    """A gradient under construction.

    Parameters
    ----------
    like : csr_array
        The array that is differentiated by.
    dtype : dtype
    """

    def __init__(self, like: Any, dtype: np.dtype):
        self._like = like
        self._data = np.zeros(len(like.indices), dtype=dtype)

    def write(self, part: Any, some: slice, by_rows: bool) -> None:
        """Write the values of some rows, or of some columns, from a csr_array of these alone."""
        if by_rows:
            starts = self._like.indptr
            first, last, _ = some.indices(self._like.shape[0])
            self._data[starts[first] : starts[last]] = part.data
        else:
            i = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
            self._data[entry_positions(self._like, i, part.indices + some.start)] = part.data

    def add_at(self, where: tuple[np.ndarray, np.ndarray], values: np.ndarray) -> None:
        """Add values at pairs; those that are not stored have no place."""
        at = entry_positions(self._like, *where)
        np.add.at(self._data, at[at >= 0], values[at >= 0])

    def result(self) -> Any:
        """Return it as a csr_array with the entries of the other."""
        return type(self._like)((self._data, self._like.indices, self._like.indptr), shape=self._like.shape)
