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

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skkeops.devices import as_array, computing, is_on_device, namespace_of, to_device, to_host

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
    x = _points(x)
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
    lab = _labels(lab)
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
    counts = np.bincount(_labels(lab)) if Nlab is None else _numbers_of_points(Nlab)
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
    x, lab = _points(x), _labels(lab)
    if len(x) != len(lab):
        raise ValueError(f"lab must have a label for each of the {len(x)} points: found {len(lab)}")
    w = np.ones(len(x)) if weights is None else to_host(weights).astype(np.float64).reshape(-1)
    if len(w) != len(x):
        raise ValueError(f"weights must have a number for each of the {len(x)} points: found {len(w)}")
    if weights is None:
        total = np.bincount(lab) if Nlab is None else _numbers_of_points(Nlab)
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
    lab = _labels(lab)
    counts = np.bincount(lab)
    if weights is None:
        weights_c = counts.astype(np.float64)
    else:
        weights_c = np.bincount(lab, weights=to_host(weights).astype(np.float64).reshape(-1))
    return cluster_ranges(lab, counts), cluster_centroids(x, lab, counts, weights, weights_c), weights_c


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
    ranges_i, ranges_j = _ranges(ranges_i, "ranges_i"), _ranges(ranges_j, "ranges_j")
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


def ranges_from_tolerance(
    profile: Callable[[np.ndarray], Any],
    tol: float,
    x: Any,
    lab_x: Any,
    y: Any = None,
    lab_y: Any = None,
    weights_x: Any = None,
    weights_y: Any = None,
) -> tuple[np.ndarray, ...]:
    r"""Return the ``ranges`` of a sum over a kernel that decays with the distance, of an error of at most `tol`.

    Parameters
    ----------
    profile : callable
        The kernel as a function of distances, ``k(x_i, y_j) = profile(|x_i - y_j|)``, or a bound of its absolute value. It
        takes and returns an array; it must not increase, nor be negative.
    tol : float
        The largest error of a sum, absolute, not negative.
    x, y : array-like of shape (M, dim) and (N, dim)
        The points, sorted by label; `y` is `x` by default.
    lab_x, lab_y : array-like of int, shape (M,) and (N,)
        Their labels 0, 1, ..., ascending, as `sort_clusters` returns them.
    weights_x, weights_y : array-like of shape (M,) and (N,), optional
        What the kernel is multiplied by in sums over i and over j; with several columns, the largest absolute value of each
        row. Ones by default.

    Returns
    -------
    tuple of six ndarray of int64
        For `skkeops.Genred`, `skkeops.LazyTensor` and `skkeops.KernelSolve`.

    Raises
    ------
    ValueError
        If an argument makes no sense, the profile increases or is negative, or labels are not sorted.

    Notes
    -----
    Let c be the mean of a cluster, r the largest distance of its points from it. By the triangle inequality the points of two
    clusters a and b are at least :math:`d_{ab} = |c_a - c_b| - r_a - r_b` apart. As the profile does not increase, leaving
    out the pairs of a and b changes a sum over j by at most :math:`k(\max(0, d_{ab})) \sum_{j \in b} |w_j|`. For each cluster
    of rows, clusters of columns are left out, those with the smallest bounds first, while their bounds add up to at most
    `tol`; the same for sums over i, and a pair is left out only if both allow it. So the error of a sum over either axis is
    at most `tol`, apart from rounding, whatever the points. That of a gradient is not: it is a sum of another kernel, whose
    profile is another one.

    Small clusters, of some hundred points, bound the distances best; the number of their pairs should be small beside M N.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import Vi, Vj
    >>> x = np.random.default_rng(0).random((5000, 2))
    >>> x, labels = sort_clusters(x, grid_cluster(x, 0.05))
    >>> ranges = ranges_from_tolerance(lambda r: np.exp(-((r / 0.02) ** 2)), 1e-6, x, labels)
    >>> K = (-((Vi(x) - Vj(x)) ** 2).sum(-1) / 0.02**2).exp()
    >>> bool(np.abs(K.sum(axis=1, ranges=ranges) - K.sum(axis=1)).max() < 1e-6)
    True
    """
    if isinstance(tol, bool) or not np.isscalar(tol) or not float(tol) >= 0:
        raise ValueError(f"tol must be a number, not negative: found {tol!r}")
    sides = [_side(x, lab_x, weights_x, "x")]
    sides.append(sides[0] if y is None and weights_y is weights_x else _side(*_other(x, lab_x, y, lab_y), weights_y, "y"))
    (ranges_i, centers_i, radii_i, totals_i), (ranges_j, centers_j, radii_j, totals_j) = sides
    if centers_i.shape[1] != centers_j.shape[1]:
        raise ValueError(f"x and y must have one dimension: found {centers_i.shape[1]} and {centers_j.shape[1]}")
    apart = np.sqrt(((centers_i[:, None] - centers_j) ** 2).sum(axis=2)) if len(centers_i) and len(centers_j) else None
    if apart is None:
        return from_matrix(ranges_i, ranges_j, np.zeros((len(ranges_i), len(ranges_j)), dtype=bool))
    # distances and radii are rounded: they are taken as a little smaller, and larger
    distances = np.maximum(apart * (1 - 1e-12) - (radii_i[:, None] + radii_j) * (1 + 1e-12), 0.0)
    bounds = _bounds(profile, distances)
    left_out = _left_out(bounds * totals_j, float(tol)) & _left_out(bounds.T * totals_i, float(tol)).T
    return from_matrix(ranges_i, ranges_j, ~left_out)


def _other(x: Any, lab_x: Any, y: Any, lab_y: Any) -> tuple[Any, Any]:
    if (y is None) != (lab_y is None):
        raise ValueError("y and lab_y are given together, or neither of them")
    return (x, lab_x) if y is None else (y, lab_y)


def _side(x: Any, lab: Any, weights: Any, name: str) -> tuple[np.ndarray, ...]:
    """Return the ranges, the means, the radii and the total weights of clusters of one side."""
    x, lab = _points(x).astype(np.float64), _labels(lab)
    if len(lab) != len(x):
        raise ValueError(f"lab_{name} must have a label for each of the {len(x)} points: found {len(lab)}")
    if not np.isfinite(x).all():
        raise ValueError(f"{name} must be finite: found NaN or infinity")
    if (np.diff(lab) < 0).any():
        raise ValueError(f"{name} must be sorted by lab_{name}, see sort_clusters")
    w = np.ones(len(x)) if weights is None else np.abs(to_host(weights).astype(np.float64))
    w = w.max(axis=1) if w.ndim == 2 and w.shape[1] else w
    if w.shape != (len(x),) or not np.isfinite(w).all():
        raise ValueError(f"weights_{name} must be finite, one for each of the {len(x)} points: found shape {np.shape(weights)}")
    ranges = cluster_ranges(lab)
    filled = ranges[:, 0] < ranges[:, 1]
    ranges, lab = ranges[filled], (np.cumsum(filled) - 1)[lab] if len(lab) else lab
    centers = cluster_centroids(x, lab)
    radii, totals = np.zeros(len(ranges)), np.bincount(lab, weights=w, minlength=len(ranges))
    np.maximum.at(radii, lab, np.sqrt(((x - centers[lab]) ** 2).sum(axis=1)))
    return ranges, centers, radii, totals


def _bounds(profile: Callable[[np.ndarray], Any], distances: np.ndarray) -> np.ndarray:
    """Return the profile at distances, and see that it does not increase."""
    flat, place = np.unique(distances, return_inverse=True)
    values = np.asarray(profile(flat), dtype=np.float64)
    if values.shape != flat.shape or np.isnan(values).any() or (values < 0).any():
        raise ValueError("profile must return a number, not negative, for each of an array of distances")
    if (np.diff(values) > 1e-9 * np.abs(values[:-1])).any():
        raise ValueError("profile must not increase with the distance: leaving out what is far would have no bound")
    return values[place.reshape(distances.shape)]


def _left_out(bounds: np.ndarray, tol: float) -> np.ndarray:
    """Return which columns of each row are left out: the smallest, whose sum is at most tol."""
    order = np.argsort(bounds, axis=1, kind="stable")
    total = np.cumsum(np.take_along_axis(bounds, order, axis=1), axis=1)
    result = np.zeros(bounds.shape, dtype=bool)
    np.put_along_axis(result, order, total <= tol, axis=1)
    return result


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
    sizes = (_count(m, "m"), _count(n, "n"))
    bounds = [None if b is None else _count(b, name, signed=True) for b, name in ((lower, "lower"), (upper, "upper"))]
    block = max(1, _count(block, "block"))
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


def _count(value: Any, name: str, signed: bool = False) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or (value < 0 and not signed):
        raise ValueError(f"{name} must be an integer{'' if signed else ', not negative'}: found {value!r}")
    return int(value)


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


def _points(x: Any) -> np.ndarray:
    x = to_host(x)
    if x.ndim != 2:
        raise ValueError(f"x must have the shape (n, dim): found {x.shape}")
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def _whole(numbers: Any, name: str) -> np.ndarray:
    """Return whole numbers, of whatever dtype, as int64."""
    found = to_host(numbers)
    if found.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be whole numbers: found dtype {found.dtype}")
    if found.dtype.kind == "f":
        bad = ~(np.abs(found) < 2.0**63) | (found != np.floor(found))
        if bad.any():
            raise ValueError(f"{name} must be whole numbers: found {found[bad][0]}")
    return found.astype(np.int64)


def _ranges(ranges: Any, name: str) -> np.ndarray:
    found = _whole(ranges, name)
    found = found.reshape(0, 2) if found.size == 0 else found
    if found.ndim != 2 or found.shape[1] != 2:
        raise ValueError(f"{name} must have the shape (C, 2): found {found.shape}")
    return found


def _numbers_of_points(counts: Any) -> np.ndarray:
    found = _whole(counts, "Nlab")
    if found.ndim != 1:
        raise ValueError(f"Nlab must have the shape (C,): found {found.shape}")
    if (found < 0).any():
        raise ValueError(f"Nlab must be numbers of points, not negative: found {found.min()}")
    return found


def _labels(lab: Any) -> np.ndarray:
    lab = to_host(lab).reshape(-1)
    if lab.dtype.kind not in "iu" and lab.size:
        raise TypeError(f"lab must be integers: found dtype {lab.dtype}")
    lab = lab.astype(np.int64)
    if lab.size and lab.min() < 0:
        raise ValueError(f"lab must be labels from 0 on: found {lab.min()}")
    return lab
