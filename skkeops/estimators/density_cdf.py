"""The distribution function of a density estimate whose windows are products over features."""

from __future__ import annotations

from typing import Any

import numpy as np

from skkeops.arrays.devices import namespace_of, to_device

from .density_features import Features
from .reduction import PairReduction
from .rows import over_rows

__all__ = ["cumulative"]


def cumulative(
    geometry: Features, weights: np.ndarray | None, x: np.ndarray, backend: str, n_jobs: int | None, verbose: Any, title: str
) -> np.ndarray:
    """Return the probabilities of everything below queries, in every feature.

    Parameters
    ----------
    geometry : Features
        The windows on the reference samples.
    weights : ndarray of shape (n_samples,) or None
        Those of the reference samples.
    x : ndarray of shape (n_queries, n_features)
    backend, n_jobs, verbose, title
        As for `over_rows`.
    """
    formula, xp = geometry.cumulative_formula(), namespace_of(geometry.samples)
    factors = 1 / to_device(geometry.inside(), xp)
    if weights is None:
        factors = factors / len(factors)
    else:
        weights = weights.astype(np.float64) / float(weights.max())
        factors = factors * (weights / weights.sum())
    arrays = [*geometry.arrays(), factors.astype(geometry.dtype)[:, None]]
    reduction = PairReduction(formula.weighted, formula.variables, arrays, "Sum")
    found = over_rows(reduction, geometry.enter(x), backend, n_jobs, verbose, title)[:, 0]
    return np.minimum(np.maximum(found, 0), 1)  # beside which it may be by rounding
