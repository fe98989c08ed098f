"""The blocks of pairs that clusters or bands make: the ``ranges`` of a reduction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skkeops.arrays.devices import to_host

from .checks import check_integer, check_ranges


def from_matrix(ranges_i: Any, ranges_j: Any, keep: Any) -> tuple[np.ndarray, ...]:
    """Return the ``ranges`` of a reduction that visits some pairs of clusters.

    Parameters
    ----------
    ranges_i : array-like of int, shape (C_i, 2)
        Where each cluster of rows begins and ends, as `cluster_ranges` returns it.
    ranges_j : array-like of int, shape (C_j, 2)
        Where each cluster of columns begins and ends.
    keep : array-like of bool, shape (C_i, C_j)
        Which pairs of clusters are visited.

    Returns
    -------
    tuple of six ndarray of int64
        ``(ranges_i, slices_i, redranges_j, ranges_j, slices_j, redranges_i)``, for `skkeops.Genred`.

    Examples
    --------
    >>> ranges = from_matrix([[2, 5], [7, 12]], [[1, 4], [4, 9], [20, 30]], [[1, 1, 0], [0, 1, 0]])
    >>> ranges[1]
    array([2, 3])
    >>> ranges[2]
    array([[1, 4],
           [4, 9],
           [4, 9]])
    """
    ranges_i, ranges_j = check_ranges(ranges_i, "ranges_i"), check_ranges(ranges_j, "ranges_j")
    keep = to_host(keep).astype(bool)
    if keep.shape != (len(ranges_i), len(ranges_j)):
        raise ValueError(
            f"keep must have a row for each of the {len(ranges_i)} clusters of rows and a column for each of the "
            f"{len(ranges_j)} clusters of columns: found shape {keep.shape}"
        )
    slices_i, slices_j = (np.cumsum(keep.sum(axis=axis, dtype=np.int64)) for axis in (1, 0))
    return (
        ranges_i,
        slices_i,
        ranges_j[np.nonzero(keep)[1]],
        ranges_j,
        slices_j,
        ranges_i[np.nonzero(keep.T)[1]],
    )


def swap_axes(ranges: Sequence[Any] | None) -> tuple[Any, ...] | None:
    """Return the ranges of the transposed problem: i and j change places.

    Parameters
    ----------
    ranges : tuple of six arrays, or None

    Returns
    -------
    tuple of six arrays, or None

    Examples
    --------
    >>> swap_axes((1, 2, 3, 4, 5, 6))
    (4, 5, 6, 1, 2, 3)
    """
    return None if ranges is None else (*ranges[3:6], *ranges[:3])


def band_ranges(m: int, n: int, lower: int | None, upper: int | None, block: int = 256) -> tuple[np.ndarray, ...]:
    """Return the ``ranges`` of a reduction that visits a band of pairs, ``i - lower <= j <= i + upper``.

    Parameters
    ----------
    m, n : int
        The numbers of rows and of columns.
    lower, upper : int or None
        How far the band reaches to the left and to the right of the diagonal; None for all the way. ``(None, 0)`` is the
        lower triangle.
    block : int, default=256
        The number of rows whose columns are one range. The range holds the band of all of them: what is outside of the band
        is to be masked, see `skkeops.LazyTensor.band`.

    Returns
    -------
    tuple of six ndarray of int64

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import Vi, Vj
    >>> x = np.linspace(0, 1, 1000)[:, None]
    >>> K = (Vi(x) - Vj(x)).abs().band(1, 1)
    >>> sums = K.sum(axis=1, ranges=band_ranges(1000, 1000, 1, 1))
    >>> bool(np.allclose(sums, K.sum(axis=1)))
    True
    """
    sizes = (check_integer(m, "m"), check_integer(n, "n"))
    bounds = [None if b is None else check_integer(b, name, signed=True) for b, name in ((lower, "lower"), (upper, "upper"))]
    block = max(1, check_integer(block, "block"))
    found: list[np.ndarray] = []
    for (rows, columns), (left, right) in ((sizes, bounds), (sizes[::-1], bounds[::-1])):
        first = np.arange(0, rows, block, dtype=np.int64)
        last = np.minimum(first + block, rows)
        low = np.zeros_like(first) if left is None else np.clip(first - left, 0, columns)
        high = np.full_like(first, columns) if right is None else np.clip(last + right, 0, columns)
        found += [
            np.stack([first, last], axis=1),
            np.arange(1, len(first) + 1, dtype=np.int64),
            np.stack([low, np.maximum(low, high)], axis=1),
        ]
    return tuple(found)
