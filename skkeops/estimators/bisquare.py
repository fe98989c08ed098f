"""Weights of robust iterations: residuals that are far out of the common count less, or not at all."""

from __future__ import annotations

import numpy as np

from skkeops.arrays.devices import namespace_of

__all__ = ["bisquare_weights"]

_REACH = 6  # medians: residuals that are larger count for nothing


def bisquare_weights(residuals: np.ndarray, weights: np.ndarray | None, rounding: np.ndarray) -> np.ndarray:
    r"""Return :math:`(1 - (r_i / 6 s)^2)^2`, 0 where a residual is larger than 6 s, for s the median of the absolute residuals.

    Parameters
    ----------
    residuals : ndarray of shape (n_samples, n_targets)
        Not a number where there is none: then the weight is 0.
    weights : ndarray of shape (n_samples,) or None
        How often each sample counts in the median.
    rounding : ndarray of shape (n_targets,)
        The errors of the residuals: s is not less.

    Notes
    -----
    W. S. Cleveland, "Robust locally weighted regression and smoothing scatterplots", Journal of the American Statistical
    Association 74, 1979.

    Examples
    --------
    >>> import numpy as np
    >>> bisquare_weights(np.array([[0.0], [1.0], [-1.0], [3.0], [9.0]]), None, np.zeros(1)).round(3).ravel()
    array([1.   , 0.945, 0.945, 0.562, 0.   ])
    """
    sizes = abs(residuals)
    columns = [_median(sizes[:, k], weights) for k in range(sizes.shape[1])]
    scale = _REACH * np.maximum(np.stack(columns), rounding)
    ratio = sizes / np.where(scale > 0, scale, 1)
    return np.where(ratio < 1, (1 - ratio**2) ** 2, 0)


def _median(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return the median of values that count as often as their weights say; what is not a number does not count."""
    defined = ~np.isnan(values)
    values = values[defined]
    counts = namespace_of(values).ones(len(values)) if weights is None else weights[defined].astype(np.float64)
    if len(values) == 0:
        return namespace_of(values).full((), np.nan)
    order = np.argsort(values)
    sums = np.cumsum(counts[order])
    half, near = sums[-1] / 2, 1e-12 * sums[-1]
    # The two in the middle, where the sum of the counts is half of all.
    lower, upper = (sums < half - near).sum(), (sums <= half + near).sum()
    values = values[order]
    last = len(values) - 1
    return (values[np.minimum(lower, last)] + values[np.minimum(upper, last)]) / 2
