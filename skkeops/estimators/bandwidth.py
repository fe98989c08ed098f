"""Bandwidths of density estimates: the rules of thumb, and the leave-one-out likelihood with its maximum."""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from skkeops.arrays.devices import is_on_device, namespace_of, to_device, to_host
from skkeops.formula import operations as ops
from skkeops.formula.expression import Constant, I, J, P, Variable

from .namespaces import follow
from .reduction import reduction_of
from .scaling import center_of, power_of_two
from .windows import TailedWindow, get_window

__all__ = ["LeaveOneOut", "Search", "abramson", "best_bandwidth", "effective_size", "scott", "silverman"]

_FAR = 1e30  # Exponents of samples that are left out are lowered by this number: far below all others, and finite.
_LEAST_OTHERS = 1e-3  # What others add beside the sample itself, which is taken off. Less of it is computed as a logarithm.
_MANY, _PART = 8192, 1024  # Of more than so many samples the search begins with the likelihood of a part of them.
_STARTS = (1.0, 1 / 4, 1 / 16)  # The search starts from these multiples of the rule of thumb, which is too wide for clusters.
_RANGE = (1e-5, 1e2)  # The search stays between these multiples of the rule of thumb.


def effective_size(weights: np.ndarray | None, n_samples: int) -> float:
    """Return Kish's effective sample size: the square of the sum of the weights, divided by the sum of their squares."""
    if weights is None:
        return float(n_samples)
    weights = weights / weights.max()
    return float(weights.sum() ** 2 / np.square(weights).sum())


def scott(n_samples: float, n_features: int) -> float:
    """Return the bandwidth ``n^(-1 / (d + 4))``, for data of unit variance."""
    return float(n_samples ** (-1 / (n_features + 4)))


def silverman(n_samples: float, n_features: int) -> float:
    """Return the bandwidth ``(n (d + 2) / 4)^(-1 / (d + 4))``, for data of unit variance."""
    return float((n_samples * (n_features + 2) / 4) ** (-1 / (n_features + 4)))


def abramson(h: float, log_pilot: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return Abramson's bandwidths, ``h (g / f(x_j))^(1/2)`` for a pilot density f whose geometric mean over the samples is g.

    Parameters
    ----------
    h : float
        The bandwidth of the pilot.
    log_pilot : ndarray of shape (n_samples,)
        The logarithms of the pilot at the samples.
    weights : ndarray of shape (n_samples,) or None
        The weights of the samples in the mean. A sample of no weight, where the pilot may be zero, has the bandwidth h.

    Returns
    -------
    ndarray of shape (n_samples, 1)
    """
    counted = np.isfinite(log_pilot) if weights is None else (weights > 0) & np.isfinite(log_pilot)
    log_pilot = np.where(counted, log_pilot, 0)
    mean = np.average(log_pilot, weights=counted if weights is None else weights / weights.max())
    return h * np.exp(np.where(counted, 0.5 * (mean - log_pilot), 0))[:, None]


class LeaveOneOut:
    r"""The leave-one-out log-likelihood of a density estimate, as a function of its bandwidths.

    .. math:: L(h) = \sum_i w_i \log \frac{\sum_{j \ne i} w_j \, k_h(x_i, x_j)}{\sum_{j \ne i} w_j}

    All samples at the place of x_i are left out together. So a sample of weight 2 is the same as two samples, and
    repeated samples do not make the narrowest window the best.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        The samples.
    sample_weight : ndarray of shape (n_samples,), default=None
        The weights w_i, not negative; 1 by default.
    kernel : {"gaussian", "exponential"}, default="gaussian"
        The window.
    backend : str, default="auto"
        Where to compute.
    rtol : float, default=1e-12
        The sums for each sample, with its own term, are off by at most `rtol` times themselves: where there are many pairs, those
        that provably do not matter are left out.

    Attributes
    ----------
    n_evaluations : int
        How often it was computed for all samples.

    Raises
    ------
    ValueError
        If all samples with a weight are at one place, or the window is compact.

    Notes
    -----
    Time grows with the square of the number of samples where most pairs matter, memory with the number.

    References
    ----------
    J. D. F. Habbema, J. Hermans, K. van den Broek, "A stepwise discriminant analysis program using density estimation",
    COMPSTAT 1974.

    R. P. W. Duin, "On the choice of smoothing parameters for Parzen estimators of probability density functions", IEEE
    Transactions on Computers C-25, 1976.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops.estimators.bandwidth import LeaveOneOut
    >>> likelihood = LeaveOneOut(np.array([[0.0], [1.0], [3.0]]))
    >>> value, derivative = likelihood(1.0)
    >>> round(value, 4), round(float(derivative), 4)
    (-7.5378, 4.0705)
    """

    def __init__(self, X, sample_weight=None, kernel="gaussian", backend="auto", rtol=1e-12):  # noqa: N803
        window = get_window(kernel)
        if not isinstance(window, TailedWindow):
            raise ValueError(
                f"the leave-one-out likelihood of the window {kernel!r} is zero as soon as one sample has no neighbour "
                "within the bandwidth: choose the bandwidth with sklearn.model_selection.GridSearchCV, or a window "
                "with tails, 'gaussian' or 'exponential'"
            )
        X = np.asarray(X, dtype=np.float64) if not is_on_device(X) else X.astype(np.float64, copy=False)  # noqa: N806
        weights = namespace_of(X).ones(len(X)) if sample_weight is None else follow(sample_weight, X)
        weights = weights.astype(np.float64, copy=False)
        self.X, weights = X[weights > 0], weights[weights > 0]
        self._weight = power_of_two(float(weights.max()))  # the unit of weights, so that their sum is finite
        self.weights = weights / self._weight
        places, self._place = np.unique(self.X, axis=0, return_inverse=True)
        if len(places) < 2:
            at = f"all {len(X)} are at one place" if len(X) > 1 else "found n_samples=1"
            raise ValueError(f"leaving one sample out takes at least two different ones: {at}")
        self._place = self._place.reshape(-1)  # NumPy 2.0 gave it two axes
        self._equal = bool((self.weights == 1).all())
        self._own = np.bincount(self._place, self.weights)[self._place]  # of all samples at the place of each
        self._others = self.weights.sum() - self._own
        if not bool((self._others > 0).all()):
            raise ValueError("leaving one sample out leaves no weight: the others weigh nothing beside it")
        samples = self.X - center_of(self.X, self.weights)
        self._unit = power_of_two(float(abs(samples).max()))  # of lengths, so that their squares are finite
        self._samples = samples / self._unit
        self._window = window
        self._options = {"backend": backend, "rtol": float(rtol)}
        self.n_evaluations = 0

    def __call__(self, h: Any) -> tuple[float, np.ndarray]:
        """Return the log-likelihood and its derivative.

        Parameters
        ----------
        h : float or array-like of shape (n_features,)
            The bandwidth, or one per feature.

        Returns
        -------
        value : float
        derivative : ndarray
            By the bandwidth, of its shape.
        """
        value, derivative = self.per_weight(h)
        with np.errstate(over="ignore"):
            total = float(self.weights.sum() * self._weight)
            return value * total, derivative * total

    def per_weight(self, h: Any, rows: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        """Return the log-likelihood and its derivative for weights that are divided by their sum.

        With `rows`, the indices of some samples, it is the likelihood of these alone, in the estimates of all others.
        """
        h = np.asarray(h, dtype=np.float64)
        self.n_evaluations += rows is None
        scale = to_device(np.atleast_1d(self._window.factor / (h / self._unit)), namespace_of(self._samples))
        weights, others = (a if rows is None else a[rows] for a in (self.weights, self._others))
        log_sums, slopes = self._log_sums(scale, rows)
        total = float(weights.sum())
        n_features = self._samples.shape[1]
        axes = n_features if h.ndim == 0 else 1  # features that each bandwidth scales
        log_mass = self._window.log_mass(n_features) + axes * np.log(h).sum()
        likelihood = float(weights @ (log_sums - np.log(others))) / total - log_mass
        slope = to_host(weights @ slopes) / total
        return float(likelihood), (slope.reshape(h.shape) - axes) / h

    def _log_sums(self, scale: np.ndarray, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the logarithms of the leave-one-out sums of some samples, and their derivatives by log h."""
        samples, place, own = self._samples, self._place[:, None].astype(np.float64), self._own
        x, place_x, own = (samples, place, own) if rows is None else (samples[rows], place[rows], own[rows])
        shape = self._window, samples.shape[1], len(scale)
        weights = () if self._equal else (self.weights[:, None],)
        sums = reduction_of(*_sums(*shape, not self._equal))(x, samples, scale, *weights, **self._options)
        total = sums[:, 0] - own
        with np.errstate(divide="ignore", invalid="ignore"):
            logarithms, slopes = np.log(total), sums[:, 1:] / total[:, None]
        lost = ~((total > _LEAST_OTHERS * own) & np.isfinite(slopes).all(axis=1))
        if bool(lost.any()):
            found = reduction_of(*_logarithms(*shape))(
                x[lost], samples, scale, place_x[lost], place, np.log(self.weights)[:, None], **self._options
            )
            logarithms[lost], slopes[lost] = found[:, 0], np.exp(found[:, 1:] - found[:, :1])
        return logarithms, slopes


def _sums(window: TailedWindow, n_features: int, n_scales: int, weighted: bool) -> tuple:
    """Return the definition of a reduction: the sum of windows, and the sums of these times their slopes, which are 0 for the
    sample itself. One exponential gives both, and if all samples are asked for it does so for the pairs (i, j) and (j, i)."""
    x, y, scale = Variable(0, n_features, I), Variable(1, n_features, J), Variable(2, n_scales, P)
    term = ops.Exp.build(window.exponent(x, y, scale))
    with_slopes = ops.Concat.build(term, term * window.slope(x, y, scale, n_scales > 1))
    if not weighted:
        return with_slopes, (x, y, scale), "Sum"
    weight = Variable(3, 1, J)
    return with_slopes * weight, (x, y, scale, weight), "Sum"


def _logarithms(window: TailedWindow, n_features: int, n_scales: int) -> tuple:
    """Return the definition of a reduction to the logarithms of the same sums, for samples that are far from all others."""
    x, y, scale = Variable(0, n_features, I), Variable(1, n_features, J), Variable(2, n_scales, P)
    place_x, place_y, log_weight = Variable(3, 1, I), Variable(4, 1, J), Variable(5, 1, J)
    left_out = ops.Equal.build(place_x, place_y)
    exponent = window.exponent(x, y, scale) + (log_weight - _FAR * left_out)
    slope = window.slope(x, y, scale, n_scales > 1)
    variables = (x, y, scale, place_x, place_y, log_weight)
    return exponent, variables, "LogSumExp", 1, ops.Concat.build(Constant(1), slope)


class Search(NamedTuple):
    """What a search has found."""

    bandwidth: np.ndarray  # () or (n_features,)
    value: float  # the log-likelihood
    n_iterations: int


def best_bandwidth(likelihood: LeaveOneOut, per_feature: bool, progress: Any = None) -> Search:
    """Return the bandwidths of the largest leave-one-out likelihood.

    L-BFGS-B over their logarithms, from the best of a few multiples of Silverman's rule. Where there are many samples, it goes
    first to the maximum for some of them, drawn without regard to their order, in the estimates of all.

    Parameters
    ----------
    likelihood : LeaveOneOut
    per_feature : bool
        Whether each feature has its own.
    progress : callable, default=None
        It is told the number of evaluations, and None for their total, which nobody knows.

    Raises
    ------
    ValueError
        If a feature that has its own bandwidth is constant.

    Warns
    -----
    ConvergenceWarning
        If the search has not converged, or ends at its bound: of a feature with few different values the likelihood grows
        without bound.
    """
    samples, weights = likelihood._samples, likelihood.weights
    n_features = samples.shape[1]
    variances = to_host(np.average(np.square(samples), axis=0, weights=weights))
    constant = to_host((samples == samples[0]).all(axis=0))
    if per_feature and constant.any():
        raise ValueError(
            "a constant feature has no bandwidth of its own: found "
            f"{np.flatnonzero(constant).tolist()}, remove them, or choose bandwidth='cv'"
        )
    rule = silverman(effective_size(weights, len(weights)), n_features) / likelihood._window.deviation(n_features)
    rule = np.log(rule * np.sqrt(variances if per_feature else variances.mean())) + math.log(likelihood._unit)

    low, high = (np.atleast_1d(rule + math.log(end)) for end in _RANGE)

    def climb(start: np.ndarray, unit: Any, rows: np.ndarray | None, accuracy: float) -> Any:
        return minimize(
            lambda steps: loss(start + unit * steps, rows, unit), np.zeros(len(start)), jac=True, method="L-BFGS-B",
            bounds=np.column_stack(((low - start) / unit, (high - start) / unit)),
            options={"ftol": accuracy, "gtol": 1e-7, "maxiter": 200},
        )  # fmt: skip

    def loss(theta: np.ndarray, rows: np.ndarray | None, unit: Any = 1.0) -> tuple[float, np.ndarray]:
        h = np.exp(theta if per_feature else theta[0])
        value, derivative = likelihood.per_weight(h, rows)
        if progress is not None:
            progress(likelihood.n_evaluations, None)
        return -value, -np.atleast_1d(derivative * h) * unit

    rows, unit = None, np.ones(len(low))
    if len(weights) > _MANY:
        rows = to_device(np.random.RandomState(0).choice(len(weights), _PART, replace=False), namespace_of(samples))
    starts = [np.atleast_1d(rule + math.log(factor)) for factor in _STARTS]
    start = min(starts, key=lambda theta: loss(theta, rows)[0])
    if rows is not None:
        # Few evaluations for all samples are left to do from the maximum for some of them, in units of its curvatures.
        rough = climb(start, unit, rows, 1e-6)
        start = np.clip(start + rough.x, low, high)
        unit = np.sqrt(np.clip(np.diag(rough.hess_inv.todense()), 1e-4, 1e4))
    found = climb(start, unit, None, 1e-13)
    found.x, found.jac = np.clip(start + unit * found.x, low, high), found.jac / unit
    ends = np.flatnonzero((found.x <= low) | (found.x >= high))
    if len(ends):
        where = f" of feature {', '.join(map(str, ends))}" if per_feature else ""
        warnings.warn(
            f"the leave-one-out likelihood still grows where the search for the bandwidth{where} ends: values that "
            "repeat often make the narrowest window the best",
            ConvergenceWarning,
            stacklevel=3,
        )
    elif not found.success and np.abs(found.jac).max() > 1e-4:
        # Near the maximum the line search may fail by rounding alone.
        warnings.warn(
            f"the search for the bandwidth has not converged: {found.message}", ConvergenceWarning, stacklevel=3
        )
    with np.errstate(over="ignore"):
        total = float(weights.sum() * likelihood._weight)
    return Search(np.exp(found.x if per_feature else found.x[0]), -float(found.fun) * total, int(found.nit))
