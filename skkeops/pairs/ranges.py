"""Block-sparse reductions: only some blocks of the pairs (i, j), given as ranges of rows and columns.

`Ranges` remembers the last few ranges by their numbers. Ranges that it remembers are not checked again, and for a GPU not divided
and copied again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from skkeops.arrays.devices import to_host
from skkeops.locks import Lock

__all__ = ["Blocks", "Ranges", "join_columns"]

#: For each axis that may be reduced, the names of its three arrays.
_NAMES = {1: ("ranges_i", "slices_i", "redranges_j"), 0: ("ranges_j", "slices_j", "redranges_i")}


#: The last blocks that were checked, with what they were made of: (names, sizes, arrays, blocks).
_recent: deque[tuple] = deque(maxlen=8)
_lock = Lock()


class Blocks(tuple):
    """Checked blocks of a reduction over one axis: ``(rows, slices, reduced)``, see `Ranges.of_axis`.

    Attributes
    ----------
    kept : dict
        Where a backend keeps what it makes of them. The arrays must not be changed.
    """

    kept: dict[Any, Any]

    def __new__(cls, arrays: Sequence[np.ndarray]) -> Blocks:
        blocks = super().__new__(cls, arrays)
        blocks.kept = {}
        return blocks


class Ranges:
    """Which blocks of pairs a reduction visits.

    Parameters
    ----------
    arrays : sequence of six arrays of int
        As in KeOps: ``(ranges_i, slices_i, redranges_j, ranges_j, slices_j, redranges_i)``. The rows i of
        ``ranges_i[b, 0]`` to ``ranges_i[b, 1]`` meet the columns j of the ``redranges_j`` from ``slices_i[b - 1]`` (0 for
        the first) to ``slices_i[b]``. The first three are used where j is reduced, the last three, the same blocks seen
        from the columns, where i is; a gradient may need both. See `skkeops.cluster.from_matrix`.
    m, n : int
        The numbers of rows and of columns.

    Raises
    ------
    TypeError
        If it is not six arrays of integers.
    ValueError
        If a shape is wrong, ranges leave the data, or those of rows overlap.
    """

    def __init__(self, arrays: Any, m: int, n: int):
        if not isinstance(arrays, Sequence) or len(arrays) != 6:
            found = f"{len(arrays)} of them" if isinstance(arrays, Sequence) else repr(arrays)[:80]
            raise TypeError(
                "ranges must be six arrays of integers, (ranges_i, slices_i, redranges_j, ranges_j, slices_j, "
                f"redranges_i): found {found}"
            )
        self._arrays = {1: arrays[:3], 0: arrays[3:]}
        self._sizes = {1: (m, n), 0: (n, m)}
        self._checked: dict[int, Blocks] = {}

    @classmethod
    def of(cls, ranges: Any, m: int, n: int) -> Ranges:
        """Return ranges that users gave, or ones that were checked before, for m rows and n columns."""
        if isinstance(ranges, Ranges):
            if ranges._sizes[1] != (m, n):
                raise ValueError(f"ranges are for {ranges._sizes[1]} rows and columns: found {(m, n)}")
            return ranges
        return cls(ranges, m, n)

    def of_axis(self, axis: int) -> Blocks:
        """Return the blocks of a reduction over an axis, as a tuple of three arrays.

        Parameters
        ----------
        axis : {0, 1}
            The axis that is reduced.

        Returns
        -------
        rows : ndarray of int64, shape (B, 2)
            Ranges of rows of the output, ascending.
        slices : ndarray of int64, shape (B,)
            Where the columns of each end in `reduced`.
        reduced : ndarray of int64, shape (R, 2)
            Ranges of columns; neighbours are joined.
        """
        if axis not in self._checked:
            self._checked[axis] = _checked(self._arrays[axis], _NAMES[axis], self._sizes[axis])
        return self._checked[axis]


def _checked(arrays: Sequence[Any], names: tuple[str, str, str], sizes: tuple[int, int]) -> Blocks:
    """Return the blocks of three arrays: those of before, if the numbers are the same."""
    given = tuple(_integers(a, name, ndim) for a, name, ndim in zip(arrays, names, (2, 1, 2), strict=True))
    with _lock:
        known = [(old, blocks) for old_names, old_sizes, old, blocks in _recent if (old_names, old_sizes) == (names, sizes)]
    for old, blocks in known:
        if all(map(np.array_equal, old, given)):
            return blocks
    blocks = Blocks(_check(given, names, *sizes))
    with _lock:
        _recent.append((names, sizes, tuple(a.copy() for a in given), blocks))
    return blocks


def _check(given: tuple[np.ndarray, ...], names: tuple[str, str, str], rows: int, columns: int) -> tuple[np.ndarray, ...]:
    ranges, slices, reduced = given
    if len(slices) != len(ranges):
        raise ValueError(f"{names[1]} must have an end for each of the {len(ranges)} ranges: found {len(slices)}")
    for array, name, size in ((ranges, names[0], rows), (reduced, names[2], columns)):
        bad = (array[:, 0] < 0) | (array[:, 0] > array[:, 1]) | (array[:, 1] > size)
        if bad.any():
            raise ValueError(f"{name} must be ranges within 0 and {size}: found {array[bad.argmax()].tolist()}")
    starts = np.concatenate([[0], slices[:-1]]) if len(slices) else slices
    if (slices < starts).any() or (len(slices) and slices[-1] > len(reduced)):
        raise ValueError(f"{names[1]} must ascend up to {len(reduced)}, the number of {names[2]}: found {slices.tolist()}")
    order = np.argsort(ranges[:, 0], kind="stable")
    ranges, ends, starts = ranges[order], slices[order], starts[order]
    kept = ranges[:, 0] < ranges[:, 1]
    ranges, ends, starts = ranges[kept], ends[kept], starts[kept]
    overlap = ranges[1:, 0] < ranges[:-1, 1]
    if overlap.any():
        at = int(overlap.argmax())
        raise ValueError(f"{names[0]} must not overlap: found {ranges[at].tolist()} and {ranges[at + 1].tolist()}")
    return join_columns(ranges, starts, ends, reduced)


def join_columns(
    ranges: np.ndarray, starts: np.ndarray, ends: np.ndarray, reduced: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the blocks one behind the other, columns that follow each other in one range."""
    counts = ends - starts
    owner = np.repeat(np.arange(len(ranges)), counts)
    taken = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(starts, counts)
    columns = reduced[taken]
    nonempty = columns[:, 0] < columns[:, 1]
    columns, owner = columns[nonempty], owner[nonempty]
    first = np.ones(len(columns), dtype=bool)
    first[1:] = (owner[1:] != owner[:-1]) | (columns[1:, 0] != columns[:-1, 1])
    last = np.append(first[1:], True) if len(first) else first
    joined = np.stack([columns[first, 0], columns[last, 1]], axis=1)
    slices = np.cumsum(np.bincount(owner[first], minlength=len(ranges)))
    return tuple(np.ascontiguousarray(a, dtype=np.int64) for a in (ranges, slices, joined))


def _integers(array: Any, name: str, ndim: int) -> np.ndarray:
    array = to_host(array)  # those of CuPy too: a copy of few numbers, which are checked here
    if array.dtype.kind not in "iu":
        if array.size:
            raise TypeError(f"{name} must be integers: found dtype {array.dtype}")
        array = array.astype(np.int64)
    if ndim == 2 and array.size == 0:
        array = array.reshape(0, 2)
    if array.ndim != ndim or (ndim == 2 and array.shape[1] != 2):
        raise ValueError(f"{name} must have the shape {'(n, 2)' if ndim == 2 else '(n,)'}: found {array.shape}")
    return array.astype(np.int64, copy=False)
