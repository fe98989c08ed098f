"""Points in clusters: which cell of a grid each is in, sorted, and what the clusters have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from skkeops.arrays.devices import as_array, computing, is_on_device, namespace_of, to_device, to_host

from .checks import check_counts, check_labels, check_points


def grid_cluster(x: Any, size: Any) -> np.ndarray:
    """Return the number of the grid cell that each point is in.

    Parameters
    ----------
    x : array-like of shape (n, dim)
        The points; any dimension.
    size : float or array-like of shape (dim,)
        The sides of a cell, positive.

    Returns
    -------
    ndarray of int64, shape (n,)
        Labels 0, 1, ..., in the order of the cells, without gaps.

    Raises
    ------
    ValueError
        If x has not two axes, or is not finite, or a side is not positive.

    Examples
    --------
    >>> grid_cluster([[0.0], [0.1], [0.9], [0.05], [0.5]], 0.2)
    array([0, 0, 2, 0, 1])
    """
    x = check_points(x)
    size = np.asarray(size, dtype=np.float64)
    if size.shape not in ((), (x.shape[1],)) or not (np.isfinite(size) & (size > 0)).all():
        raise ValueError(f"size must be a positive number, or one for each of the {x.shape[1]} columns: found {size}")
    if not np.isfinite(x).all():
        raise ValueError("x must be finite to be put on a grid: found NaN or infinity")
    cells = np.floor(x / size)
    if not len(cells):
        return np.zeros(0, dtype=np.int64)
    return np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def sort_clusters(x: Any, lab: Any) -> tuple[Any, np.ndarray]:
    """Return points and labels, those of a cluster one behind the other.

    Parameters
    ----------
    x : ndarray of NumPy or CuPy, of shape (n, ...), or tuple or list of them
        What is sorted. Within a cluster, the order stays.
    lab : array-like of int, shape (n,)
        The labels.

    Returns
    -------
    x : ndarray, tuple or list
        Sorted copies.
    lab : ndarray of shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> sort_clusters(np.array([[0.0], [5.0], [0.4]]), [0, 2, 0])[0].ravel()
    array([0. , 0.4, 5. ])
    """
    lab = check_labels(lab)
    order = np.argsort(lab, kind="stable")
    arrays = x if isinstance(x, (tuple, list)) else [x]
    for a in arrays:
        if np.shape(a)[:1] != lab.shape:
            raise ValueError(f"x must have a row for each of the {len(lab)} labels: found shape {np.shape(a)}")
    found = [_take(as_array(a), order) for a in arrays]
    return (type(x)(found) if isinstance(x, (tuple, list)) else found[0]), lab[order]


def _take(a: Any, order: np.ndarray) -> Any:
    with computing([a]):
        return a[to_device(order, namespace_of(a)) if is_on_device(a) else order]


def cluster_ranges(lab: Any, Nlab: Any = None) -> np.ndarray:  # noqa: N803 (KeOps' name)
    """Return where each cluster begins and ends among points that are sorted by label.

    Parameters
    ----------
    lab : array-like of int, shape (n,)
        The labels 0, ..., C - 1.
    Nlab : array-like of int, shape (C,), optional
        The number of points of each cluster, if it is known.

    Returns
    -------
    ndarray of int64, shape (C, 2)

    Examples
    --------
    >>> cluster_ranges([0, 0, 0, 1, 2])
    array([[0, 3],
           [3, 4],
           [4, 5]])
    """
    counts = np.bincount(check_labels(lab)) if Nlab is None else check_counts(Nlab)
    ends = np.cumsum(counts).astype(np.int64)
    return np.stack([ends - counts.astype(np.int64), ends], axis=1)


def cluster_centroids(
    x: Any,
    lab: Any,
    Nlab: Any = None,  # noqa: N803
    weights: Any = None,
    weights_c: Any = None,
) -> np.ndarray:
    """Return the weighted mean of each cluster.

    Parameters
    ----------
    x : array-like of shape (n, dim)
    lab : array-like of int, shape (n,)
        The labels 0, ..., C - 1; not necessarily sorted.
    Nlab : array-like of int, shape (C,), optional
        The number of points of each cluster, if it is known.
    weights : array-like of shape (n,), optional
        The weight of each point.
    weights_c : array-like of shape (C,), optional
        The weight of each cluster, if it is known.

    Returns
    -------
    ndarray of shape (C, dim)
        NaN for a cluster without weight.

    Examples
    --------
    >>> cluster_centroids([[0.0], [1.0], [4.0]], [0, 0, 1]).ravel()
    array([0.5, 4. ])
    """
    x, lab = check_points(x), check_labels(lab)
    if len(x) != len(lab):
        raise ValueError(f"lab must have a label for each of the {len(x)} points: found {len(lab)}")
    w = np.ones(len(x)) if weights is None else to_host(weights).astype(np.float64).reshape(-1)
    if len(w) != len(x):
        raise ValueError(f"weights must have a number for each of the {len(x)} points: found {len(w)}")
    if weights is None:
        total = np.bincount(lab) if Nlab is None else check_counts(Nlab)
    else:
        total = np.bincount(lab, weights=w) if weights_c is None else to_host(weights_c)
    sums = [np.bincount(lab, weights=x[:, d] * w, minlength=total.size) for d in range(x.shape[1])]
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.array(sums, dtype=np.float64).reshape(len(sums), total.size).T / total.reshape(-1, 1)).astype(x.dtype)


def cluster_ranges_centroids(x: Any, lab: Any, weights: Any = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ranges, the centroids and the weights of clusters.

    Parameters
    ----------
    x : array-like of shape (n, dim)
        The points, sorted by label.
    lab : array-like of int, shape (n,)
        The labels 0, ..., C - 1.
    weights : array-like of shape (n,), optional
        The weight of each point; 1 by default.

    Returns
    -------
    ranges : ndarray of int64, shape (C, 2)
    centroids : ndarray of shape (C, dim)
    weights_c : ndarray of shape (C,)

    Examples
    --------
    >>> ranges, centroids, counts = cluster_ranges_centroids([[0.0], [1.0], [4.0]], [0, 0, 1])
    >>> counts
    array([2., 1.])
    """
    lab = check_labels(lab)
    counts = np.bincount(lab)
    if weights is None:
        weights_c = counts.astype(np.float64)
    else:
        weights_c = np.bincount(lab, weights=to_host(weights).astype(np.float64).reshape(-1))
    return cluster_ranges(lab, counts), cluster_centroids(x, lab, counts, weights, weights_c), weights_c
