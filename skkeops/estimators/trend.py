"""The mean of a Gaussian process before it has seen data: zero, a constant, or a plane, found by generalised least squares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skkeops.arrays.devices import namespace_of

__all__ = ["LeastSquares", "Trend"]

_ROUNDING = 1e-13  # of the mean of a feature: a smaller deviation is that of a constant


class Trend:
    """The functions that a mean is a combination of.

    Parameters
    ----------
    kind : {"zero", "constant", "linear"}
    x : ndarray of shape (n_samples, n_features)
        The training samples. Features are centred, and in units of their deviation: the functions are about orthogonal.
    """

    def __init__(self, kind: str, x: Any):
        self.kind = kind
        if kind == "linear":
            self._centre, self._scale = x.mean(axis=0), x.std(axis=0)
            # The deviation of a constant is the rounding of its mean, not 0: its function is that, and has no part.
            varies = self._scale > _ROUNDING * np.abs(self._centre)
            self._scale = np.where(varies, self._scale, 1.0)
            self._varies = varies.astype(self._scale.dtype)

    @property
    def is_zero(self) -> bool:
        return self.kind == "zero"

    def basis(self, x: Any) -> Any:
        """Return the functions at samples, (n_samples, n_functions)."""
        if self.is_zero:
            return namespace_of(x).zeros((len(x), 0))
        ones = namespace_of(x).ones((len(x), 1))
        return ones if self.kind == "constant" else np.concatenate([ones, (x - self._centre) / self._scale * self._varies], axis=1)

    def slope(self, weights: Any, n_features: int) -> Any:
        """Return the derivative of ``(basis(x) * weights).sum(axis=1)`` by x, (n_samples, n_features)."""
        if self.kind == "linear":
            return weights[:, 1:] / self._scale * self._varies
        return namespace_of(weights).zeros((len(weights), n_features))

    def coefficients(self, beta: Any) -> Any:
        """Return the coefficients of 1 and of the features as they are, given those of the functions."""
        if self.kind != "linear":
            return beta
        slopes = beta[1:] * (self._varies / self._scale)[:, None]
        return np.concatenate([beta[:1] - self._centre[None, :] @ slopes, slopes])


class LeastSquares:
    """Generalised least squares, in the metric of the covariance A of the targets.

    Parameters
    ----------
    basis, y : ndarray of shape (n_samples, n_functions), (n_samples, n_targets)
    inverse_basis, inverse_y : ndarray
        The products of A^-1 with them.

    Attributes
    ----------
    beta : ndarray of shape (n_functions, n_targets)
        The coefficients, of the least norm where the functions are not independent.
    residual : ndarray of shape (n_samples, n_targets)
        What the functions leave of y.
    dual : ndarray of shape (n_samples, n_targets)
        The product of A^-1 with it.

    References
    ----------
    C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press, 2006, section 2.7; in
    geostatistics it is called universal kriging.
    """

    def __init__(self, basis: Any, inverse_basis: Any, y: Any, inverse_y: Any):
        self._inverse_basis = inverse_basis
        self.residual, self.dual = y, inverse_y
        self.beta = basis.T @ inverse_y
        if basis.shape[1]:
            gram = basis.T @ inverse_basis
            self._inverse_gram = np.linalg.pinv((gram + gram.T) / 2, rcond=1e-12)
            self.beta = self._inverse_gram @ self.beta
            self.residual = y - basis @ self.beta
            self.dual = inverse_y - inverse_basis @ self.beta

    def missed(self, basis: Any, times: Callable[[Any], Any]) -> Any:
        """Return what the functions are at queries beyond what the training samples tell of them.

        Parameters
        ----------
        basis : ndarray of shape (n_queries, n_functions)
            The functions at the queries.
        times : callable
            Returns the covariance of queries and training samples times columns.
        """
        return basis - times(self._inverse_basis)

    def uncertainty(self, missed: Any, other: Any = None) -> Any:
        """Return what not to know beta adds to the covariance of queries."""
        return missed @ self._inverse_gram @ (missed if other is None else other).T

    def variance(self, missed: Any) -> Any:
        """Return the diagonal of `uncertainty`."""
        return np.einsum("ij,ij->i", missed @ self._inverse_gram, missed)

    def root_of_uncertainty(self) -> Any:
        """Return a root of the covariance of beta, (n_functions, n_functions)."""
        values, turn = np.linalg.eigh(self._inverse_gram)
        return turn * np.sqrt(np.maximum(values, 0.0))

    def weights(self, missed: Any) -> tuple[Any, Any]:
        """Return half the derivative of ``variance`` by the functions at queries, and by the covariances with the samples."""
        by_basis = missed @ self._inverse_gram
        return by_basis, -by_basis @ self._inverse_basis.T
