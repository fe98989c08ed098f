"""A Gaussian process with given parameters, by the Cholesky factor of the dense covariance matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.linalg.lapack import dpotri

from skkeops.arrays.devices import linalg_of, namespace_of, to_host

from .covariance import Covariance
from .process_gradients import ProcessGradients
from .trend import LeastSquares, Trend

__all__ = ["ExactProcess", "NotPositiveDefinite"]


class NotPositiveDefinite(np.linalg.LinAlgError):
    """The covariance matrix has no Cholesky factor."""


class ExactProcess(ProcessGradients):
    """The posterior of a Gaussian process, from the Cholesky factor of ``A = K + diag(alpha)``.

    Parameters
    ----------
    covariance : Covariance
    alpha : float or ndarray of shape (n_samples,)
        What is added to the diagonal.
    y : ndarray of shape (n_samples, n_targets)
    trend : Trend

    Attributes
    ----------
    factor : ndarray of shape (n_samples, n_samples)
        The lower triangle L.
    fit : LeastSquares
        Coefficients of the trend, and of the samples (``dual``).
    log_likelihood : float
        The sum over targets.

    Raises
    ------
    NotPositiveDefinite

    References
    ----------
    C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press, 2006, algorithm 2.1.
    """

    #: Whether nothing in it is drawn at random.
    is_exact = True

    def __init__(self, covariance: Covariance, alpha: Any, y: Any, trend: Trend):
        self.covariance = covariance
        self.trend = trend
        matrix = covariance.matrix()
        index = namespace_of(matrix).arange(len(matrix))
        matrix[index, index] += alpha
        self.factor = _cholesky(matrix)
        basis = None if trend.is_zero else trend.basis(covariance.x)
        right = y if basis is None else np.concatenate([y, basis], axis=1)
        solved = self.solve(right)
        n, n_targets = y.shape
        self.fit = LeastSquares(
            right[:, n_targets:], solved[:, n_targets:], y, solved[:, :n_targets]
        )
        fits = np.einsum("ik,ik->k", self.fit.residual, self.fit.dual)
        half_determinant = float(np.log(self.factor.diagonal()).sum())
        self.log_likelihood = float((-0.5 * fits - half_determinant - n / 2 * math.log(2 * math.pi)).sum())

    @property
    def _xp(self) -> Any:
        return namespace_of(self.factor)

    def solve(self, right: Any) -> Any:
        """Return the product of the inverse of A with columns."""
        linalg, given = linalg_of(self._xp), {"lower": True, "check_finite": False}
        half = linalg.solve_triangular(self.factor, right, **given)
        return linalg.solve_triangular(self.factor, half, trans="T", **given)

    def slope(self) -> np.ndarray:
        """Return the derivative of the log-likelihood by theta."""
        return self.covariance.slope(self.weights())

    def slopes(self, names: list[str]) -> dict[str, np.ndarray]:
        """Return the derivatives of the log-likelihood by parameters of the kernel, and by the diagonal of A as ``"alpha"``."""
        weights = self.weights()
        return {"alpha": to_host(weights.diagonal()), **self.covariance.slope_by_name(weights, names)}

    def weights(self) -> Any:
        """Return the derivative of the log-likelihood by the entries of A, as a symmetric matrix."""
        dual, n_targets = self.fit.dual, self.fit.dual.shape[1]
        return 0.5 * (dual @ dual.T - n_targets * self._inverse())

    def _inverse(self) -> Any:
        if self._xp is not np:
            return self.solve(self._xp.eye(len(self.factor)))
        # LAPACK's inverse from a factor takes a third of the time of a solution for all unit vectors.
        upper, _ = dpotri(self.factor.T, lower=0)  # the factor is in C order: its transpose is an upper triangle for LAPACK
        return np.triu(upper) + np.triu(upper, 1).T

    # Predictions

    def mean(self, queries: Any) -> Any:
        """Return the mean at queries, (n_queries, n_targets)."""
        found = self.covariance.times(queries, self.fit.dual)
        return found if self.trend.is_zero else found + self.trend.basis(queries) @ self.fit.beta

    def variance(self, queries: Any) -> Any:
        """Return the variance at queries, (n_queries,): a part of it may be negative, by rounding."""
        found = self.covariance.diagonal(queries)
        for rows in _rows_of(queries, len(self.factor)):
            some = queries[rows]
            cross = self.covariance.cross(some)
            half = self._half(cross)
            found[rows] -= np.einsum("ij,ij->j", half, half)
            if not self.trend.is_zero:
                found[rows] += self.fit.variance(self.fit.missed(self.trend.basis(some), cross.__matmul__))
        return found

    def joint(self, queries: Any) -> Any:
        """Return the covariance of queries, (n_queries, n_queries)."""
        cross = self.covariance.cross(queries)
        half = self._half(cross)
        found = self.covariance.among(queries) - half.T @ half
        if not self.trend.is_zero:
            found += self.fit.uncertainty(self.fit.missed(self.trend.basis(queries), cross.__matmul__))
        return found

    def solve_cross(self, cross: Any) -> Any:
        """Return the products of the inverse of A with covariances of queries and samples, as rows."""
        return self.solve(cross.T).T

    def _half(self, cross: Any) -> Any:
        return linalg_of(self._xp).solve_triangular(self.factor, cross.T, lower=True, check_finite=False)


def _rows_of(queries: Any, n_samples: int) -> list[slice]:
    size = max(1, 2**24 // max(1, n_samples))
    n = len(queries)
    return [slice(first, first + size) for first in range(0, n, size)]


def _cholesky(matrix: Any) -> Any:
    """Return the lower factor. NumPy raises where there is none, CuPy returns NaN."""
    xp = namespace_of(matrix)
    try:
        if xp is np:
            # The upper factor of the transpose: LAPACK takes arrays in Fortran's order, and this one is not copied.
            factor = linalg_of(xp).cholesky(matrix.T, lower=False, overwrite_a=True, check_finite=False).T
        else:
            factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError as error:
        raise NotPositiveDefinite(str(error)) from None
    if not np.isfinite(float(to_host(factor[-1, -1]))) or not bool(np.isfinite(factor.diagonal()).all()):
        raise NotPositiveDefinite("the covariance matrix is not finite")
    return factor
