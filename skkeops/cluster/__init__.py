"""Clusters of points, and the blocks of pairs that they make: what block-sparse reductions are given as ``ranges``.

Names, arguments and results are those of ``pykeops.numpy.cluster``. Arrays of CuPy are copied to the host, where clusters are
computed: labels, centroids and ranges are always arrays of NumPy. What `sort_clusters` sorts stays where it is.

>>> import numpy as np
>>> from skkeops import Genred
>>> from skkeops import cluster
>>> x = np.random.default_rng(0).random((1000, 2))
>>> labels = cluster.grid_cluster(x, 0.2)
>>> (x,), labels = cluster.sort_clusters((x,), labels)
>>> ranges, centroids, _ = cluster.cluster_ranges_centroids(x, labels)
>>> near = ((centroids[:, None] - centroids) ** 2).sum(2) < 0.5**2
>>> k = Genred("Exp(-SqDist(x, y) / 0.002)", ["x = Vi(2)", "y = Vj(2)"], axis=1)
>>> bool(np.allclose(k(x, x, ranges=cluster.from_matrix(ranges, ranges, near)), k(x, x)))
True
"""

from .blocks import band_ranges, from_matrix, swap_axes
from .clusters import cluster_centroids, cluster_ranges, cluster_ranges_centroids, grid_cluster, sort_clusters
from .tolerance import ranges_from_tolerance

__all__ = [
    "band_ranges",
    "cluster_centroids",
    "cluster_ranges",
    "cluster_ranges_centroids",
    "from_matrix",
    "grid_cluster",
    "ranges_from_tolerance",
    "sort_clusters",
    "swap_axes",
]
