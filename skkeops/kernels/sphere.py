"""Places on a sphere as points in space, where every kernel of distances is positive definite."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_array

__all__ = ["sphere_points"]


def sphere_points(coordinates: Any, radius: float = 1.0) -> np.ndarray:
    r"""Return latitudes and longitudes as points in space.

    .. math:: (\cos \phi \cos \lambda, \; \cos \phi \sin \lambda, \; \sin \phi) \; r

    Kernels of the great-circle (haversine) distance d are in general not positive definite: a Gaussian one never is on all of
    the sphere, and a Gaussian process with it may have no Cholesky factor. The distance in space, :math:`2 r \sin(d / 2 r)`, is
    about d for places that are near beside r, has no seam at the date line and no poles, and every kernel that is positive
    definite in space is so on the sphere.

    Parameters
    ----------
    coordinates : array-like of shape (n_places, 2)
        Latitudes :math:`\phi` and longitudes :math:`\lambda`, in degrees.
    radius : float, default=1.0
        The radius r, in the unit of length scales: 6371 for kilometres on the earth.

    Returns
    -------
    ndarray of shape (n_places, 3)

    Raises
    ------
    ValueError
        If a latitude is not between -90 and 90.

    References
    ----------
    T. Gneiting, "Strictly and non-strictly positive definite functions on spheres", Bernoulli 19, 2013.

    Examples
    --------
    >>> from skkeops.kernels import sphere_points
    >>> sphere_points([[0.0, 0.0], [90.0, 0.0]]).round(3)
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    coordinates = check_array(coordinates, dtype=np.float64, input_name="coordinates")
    if coordinates.shape[1] != 2:
        raise ValueError(f"coordinates must have two columns, latitudes and longitudes: found {coordinates.shape[1]}")
    if not isinstance(radius, (int, float, np.integer, np.floating)) or isinstance(radius, bool) or not 0 < radius < np.inf:
        raise ValueError(f"radius must be a positive number: found {radius!r}")
    latitude, longitude = np.radians(coordinates).T
    if (np.abs(coordinates[:, 0]) > 90).any():
        raise ValueError(
            f"latitudes, the first column, must be between -90 and 90 degrees: found {np.abs(coordinates[:, 0]).max():g}"
        )
    across = np.cos(latitude)
    return radius * np.stack([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)], axis=1)
