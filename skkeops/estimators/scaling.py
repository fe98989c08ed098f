"""The spread of the samples, which the bandwidth of a density estimate multiplies, and coordinates in units of it."""

from __future__ import annotations

import math

import numpy as np

from skkeops.arrays.devices import linalg_of, namespace_of

__all__ = ["Space", "center_of", "measure_scaling", "power_of_two"]


def power_of_two(x: float) -> float:
    """Return the largest power of two that is not above a positive number. A division by it does not round."""
    return math.ldexp(1.0, max(math.frexp(x)[1] - 1, -1022))


def center_of(samples: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the mean of samples in float64, of shape (1, n_features); it does not overflow."""
    unit = power_of_two(float(abs(samples).max()))  # so that their sum is finite
    if weights is not None:
        weights = weights / power_of_two(float(weights.max()))
    return np.average(samples.astype(np.float64) / unit, axis=0, weights=weights, keepdims=True) * unit


class Space:
    """Coordinates ``z = L^-1 (x - m)`` in which the windows are round.

    Parameters
    ----------
    center : ndarray of shape (1, n_features) or None
        The point m. Coordinates about it are small: they round less when they are scaled.
    scaling : ndarray of shape (n_features,), or (n_features, n_features), or None
        The diagonal of L; or the covariance ``L L^T``.
    unit : float, default=1.0
        A power of two that all coordinates are divided by in the end.
    dtype : dtype, optional
        Of the coordinates: the same one for queries and reference samples. Default: that of the points.
    """

    def __init__(self, center: np.ndarray | None, scaling: np.ndarray | None, unit: float = 1.0, dtype: np.dtype | None = None):
        self.center = center
        self.dtype = dtype
        self.unit = unit
        self.diagonal = self.lower = None
        if scaling is not None and scaling.ndim == 1:
            self.diagonal = scaling
        elif scaling is not None:
            self.lower = np.linalg.cholesky(scaling.astype(np.float64))

    def enter(self, x: np.ndarray) -> np.ndarray:
        """Return the coordinates of points."""
        z = self._enter(x if self.dtype is None else x.astype(self.dtype, copy=False))
        return z if self.unit == 1 else z / z.dtype.type(self.unit)

    def _enter(self, x: np.ndarray) -> np.ndarray:
        if self.center is None:
            return x
        z = x - self.center
        if self.diagonal is not None:
            return z / self.diagonal.astype(z.dtype)
        if self.lower is not None:
            solve_triangular = linalg_of(namespace_of(z)).solve_triangular
            return solve_triangular(self.lower, z.T, lower=True).T.astype(z.dtype, order="C", copy=False)
        return z

    def spread(self, z: np.ndarray) -> np.ndarray:
        """Return differences of points from differences of coordinates; the unit is left out."""
        if self.diagonal is not None:
            return z * self.diagonal
        return z if self.lower is None else z @ self.lower.T

    def pull(self, gradient: np.ndarray) -> np.ndarray:
        """Return the gradient by points from the gradient by coordinates."""
        if self.unit != 1:
            gradient = gradient / gradient.dtype.type(self.unit)
        if self.diagonal is not None:
            return gradient / self.diagonal.astype(gradient.dtype)
        if self.lower is not None:
            solve_triangular = linalg_of(namespace_of(gradient)).solve_triangular
            return solve_triangular(self.lower, gradient.T, lower=True, trans="T").T.astype(gradient.dtype)
        return gradient

    @property
    def log_volume(self) -> float:
        """The logarithm of the volume of the unit cube of coordinates; the unit is left out."""
        if self.diagonal is not None:
            return float(np.log(self.diagonal.astype(np.float64)).sum())
        return 0.0 if self.lower is None else float(np.log(np.diag(self.lower)).sum())


def measure_scaling(name: str | None, samples: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
    """Return the standard deviations of the features, or their covariance, in float64; as `numpy.cov`, that is unbiased.

    Raises
    ------
    ValueError
        If a feature is constant, or, for the covariance, features depend linearly on each other.
    """
    if name is None:
        return None
    if len(samples) < 2:
        raise ValueError(f"scaling={name!r} measures the spread of the samples: found n_samples={len(samples)}")
    kept = samples if weights is None else samples[weights > 0]
    # The variance would not tell: the mean of equal numbers rounds, and leaves one.
    constant = (kept == kept[0]).all(axis=0)
    if constant.any():
        raise ValueError(
            f"scaling={name!r} divides by the standard deviation of each feature, which is zero for the features "
            f"{np.flatnonzero(constant).tolist()}: remove them, or choose scaling=None"
        )
    if weights is not None:
        weights = weights / power_of_two(float(weights.max()))  # whose sum is finite
    eps = np.finfo(samples.dtype).eps
    samples = samples.astype(np.float64)
    unit = power_of_two(float(abs(samples).max()))  # the squares of the quotients are finite
    covariance = np.cov(samples / unit, rowvar=False, aweights=weights).reshape(2 * samples.shape[1:])
    deviations = np.sqrt(np.diag(covariance))
    if name == "std":
        return deviations * unit
    smallest = np.linalg.eigvalsh(covariance / np.outer(deviations, deviations))[0]
    if not smallest > 4 * len(covariance) * eps:
        raise ValueError(
            "scaling='covariance' inverts the covariance of the features, which is singular: features depend linearly on "
            f"each other, or there are too few samples ({len(samples)} for {len(covariance)} features); project them "
            "first, as PCA does, or choose scaling='std'"
        )
    with np.errstate(over="ignore", under="ignore"):
        found = covariance * unit * unit
    if not (np.isfinite(found).all() and (np.diag(found) >= np.finfo(np.float64).tiny).all()):
        raise ValueError(
            "scaling='covariance' needs the squares of the deviations of the features, which are too large or too small for a "
            f"float64: found deviations {(deviations * unit).tolist()}; choose scaling='std', or other units"
        )
    return found
