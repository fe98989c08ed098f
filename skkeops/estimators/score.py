"""The score of regressors on arrays of any namespace."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils.validation import check_consistent_length

from skkeops.arrays.devices import is_on_device

from .namespaces import on_the_device_of_samples, to_engine
from .validation import check_values, check_weights

__all__ = ["DensityScore", "RegressorScore"]


class DensityScore:
    """The score of an estimator of logarithms, `score_samples`."""

    def score(self, X, y=None):  # noqa: N803
        """Return the log-likelihood of queries: the sum of what `score_samples` returns.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries.
        y : Ignored
            For model selection.

        Returns
        -------
        float
        """
        return float(np.sum(to_engine(self.score_samples(X)), dtype=np.float64))


class RegressorScore:
    """scikit-learn's `score` of a regressor, which computes on a device for samples that are there.

    `sklearn.metrics.r2_score` takes arrays of CuPy only with ``array_api_dispatch``.
    """

    @on_the_device_of_samples
    def score(self, X, y, sample_weight=None):  # noqa: N803
        """Return the coefficient of determination of the predictions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Queries.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Their true targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights.

        Returns
        -------
        float
            ``1 - u / v`` with u the sum of squared residuals and v that of the squared deviations of y from its mean; the
            mean over targets.
        """
        if not is_on_device(X):
            return super().score(X, y, sample_weight)
        found = self.predict(X)
        truth = check_values(y, found.astype(np.float64), "y")
        check_consistent_length(found, truth)
        weights = None if sample_weight is None else check_weights(sample_weight, found.astype(np.float64), False)
        return _r2(truth.reshape(len(truth), -1), found.reshape(len(found), -1), weights)


def _r2(truth: Any, found: Any, weights: Any) -> float:
    """Return `sklearn.metrics.r2_score`, of arrays of shape (n_samples, n_targets)."""
    if truth.shape != found.shape:
        raise ValueError(f"y and the predictions have different numbers of targets: found {truth.shape[1]} and {found.shape[1]}")
    if len(truth) < 2:
        warnings.warn("R^2 score is not well-defined with less than two samples.", UndefinedMetricWarning, stacklevel=3)
        return float("nan")
    residuals, deviations = truth - found, truth - np.average(truth, axis=0, weights=weights)
    if weights is not None:
        weights = weights[:, None]
    u, v = (((square if weights is None else weights * square).sum(axis=0)) for square in (residuals**2, deviations**2))
    # A target that does not vary is predicted right or wrong.
    constant = v == 0
    scores = np.where(constant, np.where(u == 0, 1.0, 0.0), 1 - u / np.where(constant, 1.0, v))
    return float(scores.mean())
