"""A spatial order of the rows of one side of a reduction, and the boxes of the tiles that it makes.

Rows near each other in the order have values near each other. So a tile, some consecutive rows, lies in a small box, and bounds of
a formula over boxes hold for all pairs of two tiles at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skkeops.arrays.devices import is_on_device

from .device_order import extremes_of_runs, halved

__all__ = ["SpatialOrder", "boxes_of", "sample_tiles"]


class SpatialOrder:
    """Rows in the order of a balanced tree of tiles: each is split in halves at the median of its widest coordinate.

    Parameters
    ----------
    coordinates : ndarray of float64, shape (n, c)
        What counts as near: one row for each row of the side. Rows with a NaN or an infinity are in no tile. An array of CuPy is
        ordered on its device.
    size : int
        The most rows of a tile.

    Attributes
    ----------
    index : ndarray of int64, shape (n,)
        The rows in their order: those in tiles, then the others. Of NumPy or CuPy, as the coordinates are.
    n_ordered : int
        How many are in tiles.
    depth : int
        There are ``2**depth`` tiles.
    edges : ndarray of int64, shape (2**depth + 1,)
        Where each tile begins in the order, and where the last one ends.
    """

    def __init__(self, coordinates: np.ndarray, size: int):
        usable = np.isfinite(coordinates).all(axis=1)
        rows = np.flatnonzero(usable)
        inside = coordinates if len(rows) == len(coordinates) else coordinates[rows]
        self.n_ordered = len(rows)
        self.edges, self.depth = _halves(len(rows), size)
        if len(rows) and is_on_device(coordinates):
            rows = rows[halved(inside, self.edges, self.depth)]
        elif len(rows):
            from scipy.spatial import cKDTree

            # the order of its leaves is that of the tiles: it takes medians, too
            rows = rows[cKDTree(inside, leafsize=size, balanced_tree=True, compact_nodes=False).indices]
        self.index = np.concatenate([rows, np.flatnonzero(~usable)]).astype(np.int64, copy=False)

    def levels(self, arrays: Sequence[Any], dtype: np.dtype) -> list[list[tuple[np.ndarray, np.ndarray]]]:
        """Return the boxes of the nodes of every level of the tree, the root first, of arrays whose rows are in the order.

        Returns
        -------
        list of list of tuple of two ndarray
            For each level and each array the least and the largest values of the nodes: ``(2**level, dim)``, float64, on the host.
        """
        lowest = [boxes_of(a, self.edges, dtype) for a in arrays]
        found = [lowest]
        for _ in range(self.depth):
            lowest = [
                (lower.reshape(-1, 2, lower.shape[1]).min(axis=1), upper.reshape(-1, 2, upper.shape[1]).max(axis=1))
                for lower, upper in lowest
            ]
            found.append(lowest)
        return found[::-1]


def boxes_of(array: Any, edges: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest values of each component in runs of rows, for computations in a dtype."""
    if is_on_device(array):
        lower, upper = extremes_of_runs(array, edges)
    else:
        lower, upper = (extreme.reduceat(array, edges[:-1], axis=0) for extreme in (np.minimum, np.maximum))
    lower, upper = lower.astype(np.float64), upper.astype(np.float64)
    if dtype.itemsize < 8:  # the engine takes denormal numbers for 0
        tiny = float(np.finfo(dtype).tiny)
        lower[(lower > 0) & (lower < tiny)] = 0.0
        upper[(upper < 0) & (upper > -tiny)] = 0.0
    return lower, upper


def sample_tiles(coordinates: np.ndarray, size: int, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the rows of about so many tiles of an order, drawn at random, without computing the others.

    Above the tiles all halves of a node are followed until there are enough nodes, then one half, drawn at random. Some rows of
    a large node say which of its coordinates is the widest, and where its median is.
    """
    usable = np.isfinite(coordinates).all(axis=1)
    parts = [np.arange(len(coordinates)) if usable.all() else np.flatnonzero(usable)]
    while max(map(len, parts)) > size:
        halves = []
        for part in parts:
            if len(part) <= size:
                halves.append(part)
                continue
            some = coordinates[part[:: max(1, len(part) // 256)]]
            widest = np.argmax(some.max(axis=0) - some.min(axis=0))
            column = coordinates[part, widest]
            below = column < np.median(some[:, widest]) if len(part) > 2048 else None
            if below is not None and below.any():
                both = [part[below], part[~below]]
            else:
                order, middle = np.argpartition(column, len(part) // 2), len(part) // 2
                both = [part[order[:middle]], part[order[middle:]]]
            halves += both if 2 * len(parts) <= count else [both[rng.integers(2)]]
        parts = halves
    return [part for part in parts if len(part)]


def _halves(n: int, size: int) -> tuple[np.ndarray, int]:
    """Return where nodes begin after n rows have been halved until none has more than `size` of them, and how often they were."""
    edges, depth = np.array([0, n], dtype=np.int64), 0
    while np.diff(edges).max() > size:
        middles = edges[:-1] + np.diff(edges) // 2
        edges = np.insert(edges, np.arange(1, len(edges)), middles)
        depth += 1
    return edges, depth
