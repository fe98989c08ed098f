"""The blocks of pairs that are left out while the error of a sum stays below a tolerance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skkeops.arrays.devices import to_host

from .blocks import from_matrix
from .checks import check_labels, check_points
from .clusters import cluster_centroids, cluster_ranges


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
        If an argument is invalid, the profile increases or is negative, or labels are not sorted.

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
    >>> from skkeops.cluster import grid_cluster, ranges_from_tolerance, sort_clusters
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
    x, lab = check_points(x).astype(np.float64), check_labels(lab)
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
