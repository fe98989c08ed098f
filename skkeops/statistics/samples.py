"""Samples and kernels of a statistic, checked; the median distance as a length scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.distance import pdist
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length

from skkeops.arrays.devices import namespace_of, to_host
from skkeops.estimators.namespaces import follow, to_engine
from skkeops.estimators.validation import check_columns
from skkeops.kernels import Gaussian, Kernel, as_kernel

__all__ = ["check_pairs_of_samples", "check_samples", "check_two_samples", "get_kernel", "median_length_scale"]

_MOST_SAMPLES = 2000  # of which all distances are looked at: 2 million


def check_samples(X: Any, name: str, least: int) -> np.ndarray:  # noqa: N803
    """Return samples of shape (n_samples, n_features), of which there must be `least`, as an array of NumPy or CuPy."""
    X = to_engine(check_columns(None, X, name))
    if len(X) < least:
        raise ValueError(f"{name} must have at least {least} samples: found {len(X)}")
    return X


def check_two_samples(X: Any, Y: Any, least: int) -> tuple[np.ndarray, np.ndarray]:  # noqa: N803
    """Return samples of two distributions: in one place, of one dtype and with the same features."""
    X = check_samples(X, "X", least)
    Y = check_samples(follow(Y, X) if namespace_of(X) is not np else Y, "Y", least)
    if X.shape[1] != Y.shape[1]:
        raise ValueError(f"X and Y must have the same features: found {X.shape[1]} and {Y.shape[1]}")
    dtype = np.result_type(X.dtype, Y.dtype)
    return X.astype(dtype, copy=False), Y.astype(dtype, copy=False)


def check_pairs_of_samples(X: Any, Y: Any, least: int) -> tuple[np.ndarray, np.ndarray]:  # noqa: N803
    """Return samples of two variables, observed together: in one place, of one dtype and with the same number of rows."""
    X = check_samples(X, "X", least)
    Y = check_samples(follow(Y, X) if namespace_of(X) is not np else Y, "Y", least)
    check_consistent_length(X, Y)
    dtype = np.result_type(X.dtype, Y.dtype)
    return X.astype(dtype, copy=False), Y.astype(dtype, copy=False)


def median_length_scale(X, Y=None, *, random_state=0):  # noqa: N803
    """Return the median of the distances between samples, the usual length scale of a kernel that compares distributions.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Samples.
    Y : array-like of shape (n_samples_Y, n_features), default=None
        More samples: the median is that of all pairs of X and Y together.
    random_state : int, RandomState instance or None, default=0
        Which samples are looked at if there are more than 2000: 2000 of them, drawn without replacement.

    Returns
    -------
    float
        The median of the Euclidean distances between different samples. If that is 0, as more than half of the pairs are equal:
        the median of the distances that are not 0.

    Raises
    ------
    ValueError
        If all samples are equal, or there is one sample only.

    References
    ----------
    A. Gretton, K. Borgwardt, M. Rasch, B. Schölkopf, A. Smola, "A kernel two-sample test", JMLR 13, 2012, section 8.

    Examples
    --------
    >>> from skkeops import median_length_scale
    >>> median_length_scale([[0.0], [1.0], [4.0]])
    3.0
    """
    if Y is None:
        pooled = check_samples(X, "X", 2)
    else:
        pooled = np.concatenate(check_two_samples(X, Y, 1))
    if len(pooled) > _MOST_SAMPLES:
        rng = check_random_state(random_state)
        pooled = pooled[np.sort(rng.choice(len(pooled), _MOST_SAMPLES, replace=False))]
    distances = pdist(to_host(pooled).astype(np.float64, copy=False))
    found = float(np.median(distances))
    if found == 0 and distances.any():
        found = float(np.median(distances[distances > 0]))
    if not 0 < found < np.inf:
        raise ValueError(
            "the median of the distances between samples is no length scale: "
            + ("all samples are equal" if found == 0 else f"found {found}")
        )
    return found


def get_kernel(kernel: Any, samples: np.ndarray, name: str = "kernel") -> Kernel:
    """Return the kernel of a statistic, with all parameters known.

    Parameters
    ----------
    kernel : "median", str or Kernel
        "median" is a Gaussian kernel whose length scale is the median distance of the samples.
    samples : ndarray of shape (n_samples, n_features)
        All samples that it will compare.
    name : str
        What the parameter is called.
    """
    n_features = samples.shape[1]
    if isinstance(kernel, str) and kernel == "median":
        found = Gaussian(median_length_scale(samples))
    else:
        found = clone(as_kernel(kernel, n_features=n_features))
    dim = found.bind(n_features).expression.dim
    if dim != 1:
        raise ValueError(f"{name} must be a number: found a formula with {dim} components")
    if found.has_negative(samples):
        raise ValueError(f"{name} is defined for samples without negative values: found {found!r} and negative values")
    return found
