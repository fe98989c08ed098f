"""KernelDensity: log densities of windows on samples."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import DensityMixin, _fit_context
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skkeops.arrays.devices import computing, namespace_of, to_device, to_host

from .bandwidth import LeaveOneOut, abramson, best_bandwidth, effective_size, scott, silverman
from .base import KernelEstimator
from .density_cdf import cumulative
from .density_options import check_bandwidth, check_given, place_of
from .density_place import Place
from .namespaces import check_namespace, like, on_the_device_of_samples, to_engine
from .progress import progress_bar
from .scaling import Space, center_of
from .score import DensityScore
from .validation import validate_samples
from .window_sums import WindowSums, choose
from .windows import WINDOWS

__all__ = ["KernelDensity"]


class KernelDensity(DensityScore, DensityMixin, KernelEstimator):
    r"""Kernel density estimation, right in the tails, with gradients, and with a bandwidth that can be learned.

    .. math:: \hat f(x) = \frac{1}{\sum_j w_j} \sum_j w_j \, \frac{k(\|x - x'_j\| / h_j)}{Z_k \, h_j^d}

    for reference samples x'_j with weights w_j in d dimensions, a window k and a bandwidth h, or one for each sample. It replaces
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
    bandwidth : float, array-like or {"scott", "silverman", "abramson", "cv", "cv_ard"}, default=1.0
        The bandwidth h, positive: a number; one per feature, of shape (n_features,); one per sample, of shape (n_samples,) or
        (n_samples, 1); or (n_samples, n_features). An array of n_features numbers is one per feature. Names find it: "scott" and
        "silverman" are rules of thumb, which do not look at the scale of the data (see `scaling`); "abramson" gives each sample its
        own, around Silverman's (see Notes); "cv" is the one of the largest leave-one-out likelihood, "cv_ard" one for each feature.
        "cv" and "cv_ard"
        need a window with tails, "gaussian" or "exponential".
    algorithm : {"auto", "kd_tree", "ball_tree"}, default="auto"
        Ignored, as there is no tree; accepted for compatibility with scikit-learn.
    kernel : {"gaussian", "tophat", "epanechnikov", "exponential", "linear", "cosine"}, default="gaussian"
        The window.
    metric : {"euclidean", "haversine"}, default="euclidean"
        The distance. "haversine" is that on the sphere: features are latitude and longitude in radians, as in scikit-learn. A
        Gaussian window is then that of von Mises and Fisher, with the concentration ``1 / h^2``; others are those of the
        great-circle distance. All have their exact mass on the sphere. The other metrics of scikit-learn are refused, as the mass
        of their windows is not known.
    atol, rtol : float, default=0 and 1e-12
        A density is off by at most ``atol + rtol * density``, and rounding: samples that add no more are left out where there are
        many pairs. With ``rtol=0`` and ``atol=0`` all pairs are computed. See :doc:`/cost_follows_data`.
    breadth_first : bool, default=True
        Ignored.
    leaf_size : int, default=40
        Ignored.
    metric_params : dict, default=None
        None, or ``{"p": 2}`` for ``metric="minkowski"``.
    scaling : {None, "std", "covariance"}, default=None
        What the bandwidth multiplies: None for 1, "std" for the standard deviation of each feature, "covariance" for a
        square root of the covariance of the features. With "covariance" and ``bandwidth="scott"`` the estimate is that
        of `scipy.stats.gaussian_kde`.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.
    n_jobs : int, default=None
        joblib's number of jobs, for blocks of queries. One job uses all cores already: more are for clusters.
    verbose : int, default=0
        Whether to show a progress bar (tqdm) when the search for the bandwidth, or the evaluation of queries, takes long.

    Attributes
    ----------
    bandwidth_ : float or ndarray of shape (n_features,), (n_samples, 1) or (n_samples, n_features)
        The bandwidth, in units of the scaling.
    X_fit_ : ndarray of shape (n_samples, n_features)
        The reference samples.
    sample_weight_fit_ : ndarray of shape (n_samples,) or None
        The weights w_j.
    scale_ : ndarray of shape (n_features,)
        The standard deviations, for ``scaling="std"``.
    covariance_ : ndarray of shape (n_features, n_features)
        The covariance, for ``scaling="covariance"``.
    bounds_ : ndarray of shape (n_features, 2)
        The bounds, infinite where there are none, if there are any.
    period_ : ndarray of shape (n_features,)
        The periods, infinite where there are none, if there are any.
    leave_one_out_score_ : float
        The leave-one-out log-likelihood of the reference samples, if the bandwidth was learned.
    n_iter_, n_evaluations_ : int
        How many steps the search took, and how often it computed the likelihood of all samples, if the bandwidth was learned.
        (With more than 8192 samples, it begins with the likelihood of 1024 of them.)
    n_features_in_ : int
        The number of columns of the reference samples.
    feature_names_in_ : ndarray of str
        Their names, if they had any.

    See Also
    --------
    KernelDensityClassifier : A density for each class.
    KernelLogSumExp : The logarithm of a sum of exponentials, without the normaliser.
    sklearn.neighbors.KernelDensity : The same on trees.
    skkeops.estimators.bandwidth.LeaveOneOut : The leave-one-out likelihood as a function of the bandwidth.

    Notes
    -----
    float32 samples give float32 log densities; a bandwidth is learned in float64. With ``rtol=0`` the number of jobs and of
    threads does not change a bit.

    In the leave-one-out likelihood, exact copies of a sample are left out together with it: see
    `skkeops.estimators.bandwidth.LeaveOneOut`.

    Abramson's bandwidths are :math:`h_j = h \sqrt{g / \tilde f(x'_j)}` with Silverman's h, the density :math:`\tilde f` of all
    samples with that bandwidth, and its geometric mean g over the samples: wide where samples are rare. They take a second pass.

    With weights and a scaling, the rules of thumb take Kish's effective number of samples, like SciPy; without a scaling
    the number of samples, like scikit-learn.

    Different from scikit-learn: far from the samples the trees can be wrong by tens of nats even with their default
    tolerances of zero; and the mass of their cosine window is not 1 in even dimensions.

    References
    ----------
    B. W. Silverman, "Density Estimation for Statistics and Data Analysis", Chapman and Hall, 1986.

    I. S. Abramson, "On bandwidth variation in kernel estimates: a square root law", The Annals of Statistics 10, 1982; with the
    geometric mean as in Silverman's book, section 5.3.

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
            StrOptions({"scott", "silverman", "abramson", "cv", "cv_ard"}),
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
        "bounds": ["array-like", None],
        "period": ["array-like", None],
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
        bounds=None,
        period=None,
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
        self.bounds = bounds
        self.period = period
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
            If a parameter or the samples are invalid: a bandwidth that is not positive, an unknown distance, samples beyond the
            bounds, samples without spread to scale by, ``bandwidth="cv"`` for a window of bounded support; or if
            parameters cannot be combined (the documentation has a table of what can).

        Warns
        -----
        ConvergenceWarning
            If the bandwidth is to be learned and the search finds no maximum of the likelihood.
        """
        X = self._fit_samples(X)
        weights = self._fit_weights(sample_weight, X, non_negative=True)
        samples, w = to_engine(X), None if weights is None else to_engine(weights).astype(np.float64)
        bandwidth = check_bandwidth(self.bandwidth, samples.shape, self.scaling, type(self).__name__)
        place = place_of(self.get_params(deep=False), samples, w, type(self).__name__)
        search = None
        if isinstance(bandwidth, str) and bandwidth.startswith("cv"):
            points = samples.astype(np.float64)
            if place.scaling is not None:
                points = Space(center_of(points, w), place.scaling).enter(points)
            likelihood = LeaveOneOut(points, w, self.kernel, self.backend, rtol=min(self.rtol, 1e-6))  # rough sums mislead
            with progress_bar(self.verbose, f"{type(self).__name__}.fit", "evaluation") as progress:
                search = best_bandwidth(likelihood, bandwidth == "cv_ard", progress)
            bandwidth = search.bandwidth if search.bandwidth.ndim else float(search.bandwidth)
        elif isinstance(bandwidth, str):
            n = len(samples) if self.scaling is None else effective_size(w, len(samples))
            rule = scott if bandwidth == "scott" else silverman
            h = rule(n, samples.shape[1])
            place.check_bandwidth(h)
            bandwidth = abramson(h, self._pilot(place, samples, w, h), w) if bandwidth == "abramson" else h

        place.check_bandwidth(bandwidth)
        # A fit that fails leaves what was fitted before.
        for fitted in ("scale_", "covariance_", "bounds_", "period_", "leave_one_out_score_", "n_iter_", "n_evaluations_"):
            vars(self).pop(fitted, None)
        if self.scaling is not None:
            setattr(self, "scale_" if self.scaling == "std" else "covariance_", like(place.scaling.astype(samples.dtype), X))
        for fitted, found in (("bounds_", place.bounds), ("period_", place.period)):
            if found is not None:
                setattr(self, fitted, like(to_device(found, namespace_of(samples)), X))
        if search is not None:
            self.leave_one_out_score_ = search.value
            self.n_iter_ = search.n_iterations
            self.n_evaluations_ = likelihood.n_evaluations
        self.bandwidth_ = like(bandwidth, X) if np.ndim(bandwidth) else bandwidth  # float64, whatever the samples
        self.X_fit_ = X
        self.sample_weight_fit_ = weights
        return self

    def _pilot(self, place: Place, samples: np.ndarray, weights: np.ndarray | None, h: float) -> np.ndarray:
        """Return the log densities of the reference samples for one bandwidth, in float64."""
        samples = samples.astype(np.float64, copy=False)
        return self._log_densities(WindowSums(place.geometry(samples, h, np.float64), weights), samples)

    @on_the_device_of_samples
    def score_samples(self, X, given=None):  # noqa: N803
        """Return the log densities of queries, or those of some features if the others are given.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries, with all features. A Dask array gives a lazy Dask array.
        given : int, str, array-like of them, or mask of shape (n_features,), default=None
            The features that are given, by index or by name: the result is ``log f(x) - log f(x_given)``, the logarithm of the
            conditional density of the other features. For Gaussian windows. None for the density of all features.

        Returns
        -------
        ndarray of shape (n_queries,)
            -inf where no sample is within the bandwidth, and outside of bounds.
        """
        lazy = self._lazy(X, "score_samples", None, given=given)
        if lazy is not None:
            return lazy
        X = self._check_queries(X, "score_samples")
        x = to_engine(X)
        found = self._log_densities(self._sums(x.dtype), x)
        if given is not None:
            features = check_given(given, x.shape[1], getattr(self, "feature_names_in_", None))
            known = self._log_densities(self._sums(x.dtype, features), x[:, features])
            found = np.where(found == -np.inf, -np.inf, found - np.where(known == -np.inf, 0, known))
        return like(found.astype(x.dtype), X)

    @on_the_device_of_samples
    def cdf(self, X):  # noqa: N803
        """Return the distribution function: the probability of everything that is at most a query, in every feature.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries. A Dask array gives a lazy Dask array.

        Returns
        -------
        ndarray of shape (n_queries,)

        Raises
        ------
        ValueError
            If the window is not a product over the features: for several features, it is one only with ``kernel="gaussian"`` and
            a scaling of None or "std". On the sphere and with periods there is no distribution function.
        """
        lazy = self._lazy(X, "cdf", None)
        if lazy is not None:
            return lazy
        X = self._check_queries(X, "cdf")
        x, (place, samples, h, weights) = to_engine(X), self._fitted()
        geometry = place.product(samples, h, np.result_type(x.dtype, samples.dtype))
        found = cumulative(geometry, weights, x, self.backend, self.n_jobs, self.verbose, type(self).__name__)
        return like(found.astype(x.dtype), X)

    def _log_densities(self, sums: WindowSums, x: np.ndarray) -> np.ndarray:
        """Return log densities of queries, in float64."""
        return sums.log_densities(x, self.backend, self.n_jobs, self.verbose, type(self).__name__)

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
        place, samples, h, weights = self._fitted()
        with computing((samples,)):
            chosen = choose(n_samples, len(samples), weights, rng)
            drawn = place.geometry(samples, h, np.float64).draw(chosen, rng)
            return like(drawn.astype(samples.dtype), self.X_fit_)

    @on_the_device_of_samples
    def gradient(self, X, grad_output=None, wrt="X"):  # noqa: N803
        """Return the gradient of ``(score_samples(X) * grad_output).sum()``.

        What the fit has learned from the samples, the bandwidth and the scale, is held fixed. Where the density is zero,
        the gradient is zero.

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

    # Sums over the reference samples

    def _check_queries(self, X: Any, method: str) -> Any:  # noqa: N803
        check_is_fitted(self)
        X = validate_samples(self, X, reset=False)
        check_namespace(X, self, attribute="X_fit_", method=method)
        return X

    def _fitted(self) -> tuple[Place, Any, Any, Any]:
        """Return the place of the reference samples, these, their bandwidths and weights, as backends compute with them."""
        attributes = (getattr(self, name, None) for name in ("X_fit_", "sample_weight_fit_", "scale_", "covariance_"))
        samples, weights, scale, covariance = (None if a is None else to_engine(a) for a in attributes)
        limits = (getattr(self, name, None) for name in ("bounds_", "period_"))
        bounds, period = (None if a is None else to_host(to_engine(a)) for a in limits)
        place = Place(self.kernel, covariance if scale is None else scale, bounds, period, self.metric == "haversine")
        return place, samples, to_engine(self.bandwidth_) if np.ndim(self.bandwidth_) else self.bandwidth_, weights

    def _sums(self, dtype: np.dtype, features: list[int] | None = None) -> WindowSums:
        """Return the sums over the reference samples, as a function of queries of a dtype; of some features alone if asked."""
        place, samples, h, weights = self._fitted()
        if features is not None:
            place, samples, h = place.marginal(samples, h, features)
        sums = WindowSums(place.geometry(samples, h, np.result_type(dtype, samples.dtype)), weights)
        return sums.within(min(self.rtol, 0.5), self.atol)  # scikit-learn's may be 1 and more

    # Gradients

    def _gradient_names(self) -> list[str]:
        return ["X", "X_fit", *self._own_gradient_names]

    def _gradients(self, x, e, names):
        return self._sums(x.dtype).gradients(x, e, names, self.backend)
