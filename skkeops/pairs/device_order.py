"""What `skkeops.pairs.order` asks of arrays of CuPy: the same order of rows, and the extremes of runs of them, on the device.

A tree is built on the host, row by row. On a device all nodes of a level are halved at once, by one sort of all rows: by their
node, and within it by the coordinate in which the node is the widest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skkeops.arrays.devices import namespace_of, to_host

__all__ = ["extremes_of_runs", "halved"]

#: So many rows of a node tell in which coordinate it is the widest.
_SAMPLE = 1024


def halved(coordinates: Any, edges: np.ndarray, depth: int) -> Any:
    """Return an order of rows in which every node of a balanced tree is halved at the median of its widest coordinate.

    Parameters
    ----------
    coordinates : ndarray of CuPy, float64, shape (n, c)
        Finite.
    edges : ndarray of int64, shape (2**depth + 1,)
        Where each tile begins in the order, and where the last one ends: on the host.
    depth : int

    Returns
    -------
    ndarray of CuPy, int64, shape (n,)
    """
    xp, n = namespace_of(coordinates), len(coordinates)
    # From 0 to 1 in float32: the bits of such numbers are in their order as integers, and say enough of which is the larger one.
    # Halves, so that no difference is infinite.
    least = coordinates.min(axis=0) / 2
    extent = (coordinates.max(axis=0) / 2 - least).max()
    inside = ((coordinates / 2 - least) / xp.where(extent > 0, extent, 1.0)).astype(np.float32)
    rows = xp.arange(n)
    for level in range(depth):
        begin = edges[:: 2 ** (depth - level)]
        lower, upper = _extremes(inside, begin, _SAMPLE)
        node = xp.searchsorted(xp.asarray(begin[1:]), xp.arange(n), side="right")
        value = inside[xp.arange(n), (upper - lower).argmax(axis=1)[node]]
        by = np.argsort(node * 2**32 + np.abs(value).view(np.int32))
        inside, rows = inside[by], rows[by]
    return rows


def extremes_of_runs(array: Any, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest values of each component in runs of rows, nearly as long as each other: on the host."""
    lower, upper = _extremes(array, edges, int(np.diff(edges).max()))
    return to_host(lower), to_host(upper)


def _extremes(array: Any, edges: np.ndarray, most: int) -> tuple[Any, Any]:
    """Return the extremes of runs, of so many rows of each at most."""
    # CuPy has no `reduceat`: runs are rows of a matrix, shorter ones with their last row twice
    xp = namespace_of(array)
    longest = int(np.diff(edges).max())
    at = xp.asarray(edges[:-1])[:, None] + xp.arange(0, longest, -(-longest // most))
    runs = array[np.minimum(at, xp.asarray(edges[1:] - 1)[:, None])]
    return runs.min(axis=1), runs.max(axis=1)
