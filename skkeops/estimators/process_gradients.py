"""Derivatives of the mean and the variance of a Gaussian process by the queries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from skkeops.arrays.devices import contiguous

from .covariance import FormulaCovariance
from .reduction import weighted_sum
from .trend import LeastSquares, Trend

__all__ = ["ProcessGradients"]


class ProcessGradients(ABC):
    """What a process with a covariance, a trend and a fit can differentiate."""

    covariance: FormulaCovariance
    trend: Trend
    fit: LeastSquares

    @abstractmethod
    def solve_cross(self, cross: Any) -> Any:
        """Return the products of the inverse of A with covariances of queries and samples, as rows."""

    def mean_gradient(self, queries: Any, e: Any) -> Any:
        """Return the gradient of ``(mean(queries) * e).sum()``, for e of shape (n_queries, n_targets)."""
        bound, x = self.covariance.bound, self.covariance.x
        reduction, _ = weighted_sum(bound, x, contiguous(self.fit.dual), x.dtype)
        (found,) = reduction.gradient(queries, contiguous(e), [bound.x], self.covariance.backend)
        return found if self.trend.is_zero else found + self.trend.slope(e @ self.fit.beta.T, queries.shape[1])

    def variance_gradient(self, queries: Any, e: Any) -> Any:
        """Return the gradient of ``(variance(queries) * e).sum()``, for e of shape (n_queries,)."""
        covariance = self.covariance
        found = e[:, None] * covariance.diagonal_gradient(queries)
        for rows in covariance.blocks(len(queries)):
            some, outer = queries[rows], e[rows, None]
            cross = covariance.cross(some)
            weights = -2 * outer * self.solve_cross(cross)
            if not self.trend.is_zero:
                by_basis, by_cross = self.fit.weights(self.fit.missed(self.trend.basis(some), cross.__matmul__))
                weights = weights + 2 * outer * by_cross
                found[rows] += self.trend.slope(2 * outer * by_basis, queries.shape[1])
            found[rows] += covariance.pair_gradient(some, weights, [covariance.bound.x])[0]
        return found
