"""KernelDensity: log densities of windows on samples."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import DensityMixin, _fit_context
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils._param_validation import Interval, InvalidParameterError, StrOptions
from sklearn.utils.validation import check_is_fitted

from skkeops.arrays.devices import computing, namespace_of, to_device, to_host

from .bandwidth import LeaveOneOut, best_bandwidth, effective_size, scott, silverman
from .base import KernelEstimator
from .namespaces import check_namespace, like, on_the_device_of_samples, to_engine
from .rows import over_rows
from .scaling import Space, center_of, measure_scaling, power_of_two
from .score import DensityScore
from .validation import validate_samples
from .window_sums import WindowSums, space_of
from .windows import WINDOWS, get_window

__all__ = ["KernelDensity"]

_EUCLIDEAN = ("euclidean", "l2")
_MINKOWSKI = ("minkowski", "p")  # Euclidean with p=2


class KernelDensity(DensityScore, DensityMixin, KernelEstimator):
    r"""Kernel density estimation, right in the tails, with gradients, and with a bandwidth that can be learned.

    .. math:: \hat f(x) = \frac{1}{\sum_j w_j} \sum_j w_j \, \frac{k(\|x - x'_j\| / h)}{Z_k \, h^d}

    for reference samples x'_j with weights w_j in d dimensions, a window k and a bandwidth h. It replaces
    `sklearn.neighbors.KernelDensity`: the same parameters, and the same results where those are right. Pairs are summed up in
    log space; those that provably do not matter are left out.

    ============== ===================================
    window         k(r)
    ============== ===================================
    gaussian       ``exp(-r^2 / 2)``
    tophat         1 for r < 1
    epanechnikov   ``1 - r^2`` for r < 1
    exponential    ``exp(-r)``
    linear         ``1 - r`` for r < 1
    cosine         ``cos(pi r / 2)`` for r < 1
    ============== ===================================

    Parameters
    ----------
    bandwidth : float, array-like of shape (n_features,) or {"scott", "silverman", "cv", "cv_ard"}, default=1.0
        The bandwidth h, positive; one per feature; a rule of thumb, which does not look at the scale of the data (see
        `scaling`); or that of the largest leave-one-out likelihood, one for all features ("cv") or one for each
        ("cv_ard"). Learning takes a window without an end, "gaussian" or "exponential".
    algorithm : {"auto", "kd_tree", "ball_tree"}, default="auto"
        Without effect: there is no tree.
    kernel : {"gaussian", "tophat", "epanechnikov", "exponential", "linear", "cosine"}, default="gaussian"
        The window.
    metric : str, default="euclidean"
        The distance: Euclidean. scikit-learn's others have windows whose mass is not known.
    atol, rtol : float, default=0 and 1e-12
        A density is off by at most ``atol + rtol * density``, and rounding: samples that add no more are left out where there are
        many pairs. With ``rtol=0`` and ``atol=0`` all pairs are computed. See :doc:`/cost_follows_data`.
    breadth_first : bool, default=True
        Without effect.
    leaf_size : int, default=40
        Without effect.
    metric_params : dict, default=None
        Nothing, or ``{"p": 2}`` for ``metric="minkowski"``.
    scaling : {None, "std", "covariance"}, default=None
        What the bandwidth multiplies: None for 1, "std" for the standard deviation of each feature, "covariance" for a
        square root of the covariance of the features. With "covariance" and ``bandwidth="scott"`` the estimate is that
        of `scipy.stats.gaussian_kde`.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.
    n_jobs : int, default=None
        joblib's number of jobs, for blocks of queries. One job uses all cores already: more are for clusters.
    verbose : int, default=0
        Whether to show a progress bar (tqdm) when the evaluation of queries lasts.

    Attributes
    ----------
    bandwidth_ : float or ndarray of shape (n_features,)
        The bandwidth, in units of the scaling.
    X_fit_ : ndarray of shape (n_samples, n_features)
        The reference samples.
    sample_weight_fit_ : ndarray of shape (n_samples,) or None
        The weights w_j.
    scale_ : ndarray of shape (n_features,)
        The standard deviations, for ``scaling="std"``.
    covariance_ : ndarray of shape (n_features, n_features)
        The covariance, for ``scaling="covariance"``.
    leave_one_out_score_ : float
        The leave-one-out log-likelihood of the reference samples, if the bandwidth was learned.
    n_iter_, n_evaluations_ : int
        How many steps the search took, and how often it computed the likelihood, if the bandwidth was learned.
    n_features_in_ : int
        The number of columns of the reference samples.
    feature_names_in_ : ndarray of str
        Their names, if they had any.

    See Also
    --------
    KernelLogSumExp : The logarithm of a sum of exponentials, without the normaliser.
    sklearn.neighbors.KernelDensity : The same on trees.
    skkeops.estimators.bandwidth.LeaveOneOut : The leave-one-out likelihood as a function of the bandwidth.

    Notes
    -----
    float32 samples give float32 log densities; a bandwidth is learned in float64. With ``rtol=0`` the number of jobs and of
    threads does not change a bit.

    Leaving one sample out leaves out all samples at its place: see `skkeops.estimators.bandwidth.LeaveOneOut`.

    With weights and a scaling, the rules of thumb take Kish's effective number of samples, like SciPy; without a scaling
    the number of samples, like scikit-learn.

    Different from scikit-learn: far from the samples the trees can be wrong by tens of nats even with their default
    tolerances of zero; and the mass of their cosine window is not 1 in even dimensions.

    References
    ----------
    B. W. Silverman, "Density Estimation for Statistics and Data Analysis", Chapman and Hall, 1986.

    D. W. Scott, "Multivariate Density Estimation: Theory, Practice, and Visualization", Wiley, 1992.

    R. P. W. Duin, "On the choice of smoothing parameters for Parzen estimators of probability density functions", IEEE
    Transactions on Computers C-25, 1976.

    L. Kish, "Survey Sampling", Wiley, 1965.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import KernelDensity
    >>> X = np.array([[0.0], [1.0], [3.0]])
    >>> density = KernelDensity(kernel="epanechnikov", bandwidth=2.0).fit(X)
    >>> density.score_samples([[1.0], [9.0]]).round(4)
    array([-1.5198,    -inf])
    >>> density.gradient([[0.75]], wrt="X").round(4)
    array([[-0.1356]])

    The bandwidth of the largest leave-one-out likelihood:

    >>> learned = KernelDensity(bandwidth="cv").fit(X)
    >>> round(learned.bandwidth_, 3), round(learned.leave_one_out_score_, 3)
    (1.902, -6.395)
    """

    _parameter_constraints: ClassVar[dict] = {
        "bandwidth": [
            Interval(Real, 0, None, closed="neither"),
            StrOptions({"scott", "silverman", "cv", "cv_ard"}),
            "array-like",
        ],
        "algorithm": [StrOptions({"auto", "kd_tree", "ball_tree"})],
        "kernel": [StrOptions(set(WINDOWS))],
        "metric": [str],
        "atol": [Interval(Real, 0, None, closed="left")],
        "rtol": [Interval(Real, 0, None, closed="left")],
        "breadth_first": ["boolean"],
        "leaf_size": [Interval(Integral, 1, None, closed="left")],
        "metric_params": [None, dict],
        "scaling": [StrOptions({"std", "covariance"}), None],
        **KernelEstimator._shared_constraints,
    }
    _own_gradient_names = ("sample_weight", "bandwidth")
    _n_outputs = 1

    def __init__(
        self,
        *,
        bandwidth=1.0,
        algorithm="auto",
        kernel="gaussian",
        metric="euclidean",
        atol=0,
        rtol=1e-12,
        breadth_first=True,
        leaf_size=40,
        metric_params=None,
        scaling=None,
        backend="auto",
        n_jobs=None,
        verbose=0,
    ):
        self.bandwidth = bandwidth
        self.algorithm = algorithm
        self.kernel = kernel
        self.metric = metric
        self.atol = atol
        self.rtol = rtol
        self.breadth_first = breadth_first
        self.leaf_size = leaf_size
        self.metric_params = metric_params
        self.scaling = scaling
        self.backend = backend
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    @on_the_device_of_samples
    def fit(self, X, y=None, sample_weight=None):  # noqa: N803
        """Keep the reference samples, and find the bandwidth.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The reference samples x'_j.
        y : Ignored
            For Pipelines.
        sample_weight : array-like of shape (n_samples,), default=None
            The weights w_j, not negative, not all zero; 1 by default.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a parameter or the samples make no sense: a bandwidth that is not positive, another distance, no scale to
            be found in the samples, or a bandwidth to be learned for a window that ends.

        Warns
        -----
        ConvergenceWarning
            If the bandwidth is to be learned and the likelihood has no maximum in reach.
        """
        self._check_distance()
        X = self._fit_samples(X)
        weights = self._fit_weights(sample_weight, X, non_negative=True)
        bandwidth = self._given_bandwidth(X.shape[1])
        samples, w = to_engine(X), None if weights is None else to_engine(weights).astype(np.float64)
        scaling = measure_scaling(self.scaling, samples, w)
        search = None
        if bandwidth is None and self.bandwidth in ("cv", "cv_ard"):
            points = samples.astype(np.float64)
            if scaling is not None:
                points = Space(center_of(points, w), scaling).enter(points)
            likelihood = LeaveOneOut(points, w, self.kernel, self.backend, rtol=min(self.rtol, 1e-6))  # rough sums mislead
            search = best_bandwidth(likelihood, per_feature=self.bandwidth == "cv_ard")
            bandwidth = search.bandwidth if search.bandwidth.ndim else float(search.bandwidth)
        elif bandwidth is None:
            n = len(samples) if self.scaling is None else effective_size(w, len(samples))
            bandwidth = {"scott": scott, "silverman": silverman}[self.bandwidth](n, X.shape[1])

        # A fit that fails leaves what was fitted before.
        for name in ("scale_", "covariance_", "leave_one_out_score_", "n_iter_", "n_evaluations_"):
            vars(self).pop(name, None)
        if self.scaling is not None:
            setattr(self, "scale_" if self.scaling == "std" else "covariance_", like(scaling.astype(samples.dtype), X))
        if search is not None:
            self.leave_one_out_score_ = search.value
            self.n_iter_ = search.n_iterations
            self.n_evaluations_ = likelihood.n_evaluations
        self.bandwidth_ = like(bandwidth, X) if np.ndim(bandwidth) else bandwidth  # float64, whatever the samples
        self.X_fit_ = X
        self.sample_weight_fit_ = weights
        return self

    @on_the_device_of_samples
    def score_samples(self, X):  # noqa: N803
        """Return the log densities of queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries. A Dask array gives a lazy Dask array.

        Returns
        -------
        ndarray of shape (n_queries,)
            -inf where no sample is within the bandwidth.
        """
        lazy = self._lazy(X, "score_samples", None)
        if lazy is not None:
            return lazy
        X = self._check_queries(X, "score_samples")
        x = to_engine(X)
        sums = self._sums(x.dtype)
        found = over_rows(sums.reduction, sums.enter(x), self.backend, self.n_jobs, self.verbose, "KernelDensity")
        return like(sums.log_density(found[:, 0]).astype(x.dtype), X)

    def sample(self, n_samples=1, random_state=None):
        """Draw random samples from the estimated density.

        Parameters
        ----------
        n_samples : int, default=1
            How many.
        random_state : int, RandomState instance or None, default=None
            The random numbers. For the windows that scikit-learn can draw from, the same seed gives its samples.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        check_scalar(n_samples, "n_samples", Integral, min_val=0)
        rng = check_random_state(random_state)
        samples = to_engine(self.X_fit_)
        u = rng.uniform(size=n_samples)
        if self.sample_weight_fit_ is None:
            chosen = (u * len(samples)).astype(np.int64)
        else:
            w = to_host(to_engine(self.sample_weight_fit_)).astype(np.float64)
            steps = np.cumsum(w / power_of_two(float(w.max())))  # whose sum is finite
            # Rounding must not choose the last sample if it weighs nothing.
            chosen = np.searchsorted(steps, np.minimum(u * steps[-1], np.nextafter(steps[-1], 0)), side="right")
        noise = get_window(self.kernel).noise(n_samples, samples.shape[1], rng)
        with computing((samples,)):
            chosen, noise = (to_device(a, namespace_of(samples)) for a in (chosen, noise))  # one seed, the same samples
            drawn = samples[chosen] + self._space(np.float64).spread(noise * self._bandwidth())
            return like(drawn.astype(samples.dtype), self.X_fit_)

    @on_the_device_of_samples
    def gradient(self, X, grad_output=None, wrt="X"):  # noqa: N803
        """Return the gradient of ``(score_samples(X) * grad_output).sum()``.

        What the fit has found in the samples, the bandwidth and the scale, stands still. Queries with the density zero
        have the gradient zero.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries.
        grad_output : array-like of shape (n_queries,), default=None
            The gradient by the log densities; ones by default.
        wrt : str or tuple of str, default="X"
            ``"X"`` (the queries), ``"X_fit"`` (the reference samples), ``"sample_weight"`` or ``"bandwidth"``.

        Returns
        -------
        ndarray, float, or tuple of them
            In the shape of what the name stands for.
        """
        return self._gradient(X, grad_output, wrt)

    # Parameters

    def _check_distance(self) -> None:
        params = dict(self.metric_params or {})
        p = params.pop("p", 2) if self.metric in _MINKOWSKI else 2
        if self.metric not in (*_EUCLIDEAN, *_MINKOWSKI) or p != 2:
            raise ValueError(
                f"{type(self).__name__} knows the mass of its windows for the Euclidean distance only: found metric="
                f"{self.metric!r}, metric_params={self.metric_params!r}; expected 'euclidean'"
            )
        if params:
            raise ValueError(f"the metric {self.metric!r} has no such parameters: found metric_params={params!r}")

    def _given_bandwidth(self, n_features: int) -> float | np.ndarray | None:
        """Return the bandwidth as a number or one per feature, None if it is to be found."""
        if isinstance(self.bandwidth, str):
            if self.bandwidth == "cv_ard" and self.scaling == "covariance":
                raise ValueError(
                    "bandwidth='cv_ard' has one bandwidth per feature, and scaling='covariance' mixes the features: "
                    "expected bandwidth='cv', or another scaling"
                )
            return None
        words = f"The 'bandwidth' parameter of {type(self).__name__} must be"
        if np.ndim(self.bandwidth) == 0:
            h = float(self.bandwidth)
            if not 0 < h < math.inf:
                raise InvalidParameterError(f"{words} a float in the range (0.0, inf). Got {h!r} instead.")
            return h
        try:
            given = to_host(to_engine(self.bandwidth)) if hasattr(self.bandwidth, "shape") else self.bandwidth
            each = np.array(given, dtype=np.float64)
        except (TypeError, ValueError):
            each = np.empty(0)
        if each.shape != (n_features,) or not ((each > 0) & (each < np.inf)).all():
            raise InvalidParameterError(
                f"{words} a float in the range (0.0, inf), or an array of {n_features} of them, one per feature. Got "
                f"{self.bandwidth!r} instead."
            )
        if self.scaling == "covariance":
            raise ValueError(
                "bandwidths per feature and scaling='covariance', which mixes the features, exclude each other: "
                "expected one bandwidth, or another scaling"
            )
        return each

    # Sums over the reference samples

    def _check_queries(self, X: Any, method: str) -> Any:  # noqa: N803
        check_is_fitted(self)
        X = validate_samples(self, X, reset=False)
        check_namespace(X, self, attribute="X_fit_", method=method)
        return X

    def _bandwidth(self) -> Any:
        """Return the bandwidth as an array that a backend computes with, or as a number."""
        return to_engine(self.bandwidth_) if np.ndim(self.bandwidth_) else self.bandwidth_

    def _space(self, dtype: Any) -> Space:
        scaling = getattr(self, "scale_", getattr(self, "covariance_", None))
        scaling = None if scaling is None else to_engine(scaling)
        return space_of(to_engine(self.X_fit_), self.bandwidth_, scaling, dtype)

    def _sums(self, dtype: np.dtype) -> WindowSums:
        """Return the sums over the reference samples, as a function of queries of a dtype."""
        samples = to_engine(self.X_fit_)
        weights = None if self.sample_weight_fit_ is None else to_engine(self.sample_weight_fit_)
        space = self._space(np.result_type(dtype, samples.dtype))
        sums = WindowSums(get_window(self.kernel), samples, weights, self._bandwidth(), space)
        return sums.within(min(self.rtol, 0.5), self.atol)  # scikit-learn's may be 1 and more

    # Gradients

    def _gradient_names(self) -> list[str]:
        return ["X", "X_fit", *self._own_gradient_names]

    def _gradients(self, x, e, names):
        return self._sums(x.dtype).gradients(x, e, names, self.backend)
