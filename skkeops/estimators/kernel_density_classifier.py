"""KernelDensityClassifier: the class whose density times its prior probability is largest."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, check_consistent_length, check_is_fitted

from skkeops.arrays.devices import is_on_device, namespace_of, to_device, to_host

from .base import KernelEstimator
from .density_options import check_bandwidth
from .kernel_density import KernelDensity
from .namespaces import check_namespace, like, on_the_device_of_samples, to_engine
from .rows import is_dask, map_chunks
from .validation import validate_samples

__all__ = ["KernelDensityClassifier"]

#: The parameters that the density of a class takes.
_OF_THE_DENSITIES = (
    "bandwidth", "kernel", "metric", "metric_params", "scaling", "bounds", "period", "backend", "n_jobs", "verbose",
)  # fmt: skip


class KernelDensityClassifier(ClassifierMixin, KernelEstimator):
    r"""Classification by a density for each class.

    .. math:: P(c \mid x) = \frac{\pi_c \, \hat f_c(x)}{\sum_{c'} \pi_{c'} \, \hat f_{c'}(x)}

    with the `KernelDensity` of the samples of each class, and the prior probabilities :math:`\pi_c`: Bayes' rule, as in
    `sklearn.naive_bayes.GaussianNB`, with densities of any shape.

    Parameters
    ----------
    bandwidth : float, array-like or {"scott", "silverman", "abramson", "cv", "cv_ard"}, default=1.0
        As for `KernelDensity`: what a name finds is found for each class. One per sample is given in the order of the samples.
    kernel : {"gaussian", "tophat", "epanechnikov", "exponential", "linear", "cosine"}, default="gaussian"
        The window.
    metric : str, default="euclidean"
        As for `KernelDensity`.
    metric_params : dict, default=None
        As for `KernelDensity`.
    scaling : {None, "std", "covariance"}, default=None
        As for `KernelDensity`: the spread of the samples of each class.
    bounds : array-like of shape (n_features, 2), default=None
        As for `KernelDensity`.
    period : array-like of shape (n_features,), default=None
        As for `KernelDensity`.
    priors : array-like of shape (n_classes,), default=None
        The prior probabilities of the classes, in the order of `classes_`. None for their parts of the weights of the samples.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.
    n_jobs : int, default=None
        joblib's number of jobs, for blocks of queries. One job uses all cores already: more are for clusters.
    verbose : int, default=0
        Whether to show a progress bar (tqdm) when the evaluation of queries lasts.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    class_prior_ : ndarray of shape (n_classes,)
        The prior probabilities.
    estimators_ : list of KernelDensity
        The density of each class; None for a class without weight, which no query is put in.
    X_fit_ : ndarray of shape (n_samples, n_features)
        The samples.
    n_features_in_ : int
        The number of columns of the samples.
    feature_names_in_ : ndarray of str
        Their names, if they had any.

    See Also
    --------
    KernelDensity : The density of a class.
    KNeighborsClassifier : A vote of the nearest samples.

    Notes
    -----
    Probabilities are quotients of densities taken in logarithms: with a window that has tails they are right however far away a
    query is. A query where no class has any density, beyond the bandwidth of all samples, has the prior probabilities.

    References
    ----------
    T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", section 6.6.2, Springer, 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import KernelDensityClassifier
    >>> X, y = np.array([[0.0], [1.0], [4.0], [5.0]]), ["a", "a", "b", "b"]
    >>> model = KernelDensityClassifier(bandwidth=1.0).fit(X, y)
    >>> model.predict([[1.5], [3.5]]), model.predict_proba([[2.0]]).round(3)
    (array(['a', 'b'], dtype='<U1'), array([[0.835, 0.165]]))
    """

    _parameter_constraints: ClassVar[dict] = {
        **{name: KernelDensity._parameter_constraints[name] for name in _OF_THE_DENSITIES},
        "priors": ["array-like", None],
    }

    def __init__(
        self,
        *,
        bandwidth=1.0,
        kernel="gaussian",
        metric="euclidean",
        metric_params=None,
        scaling=None,
        bounds=None,
        period=None,
        priors=None,
        backend="auto",
        n_jobs=None,
        verbose=0,
    ):
        self.bandwidth = bandwidth
        self.kernel = kernel
        self.metric = metric
        self.metric_params = metric_params
        self.scaling = scaling
        self.bounds = bounds
        self.period = period
        self.priors = priors
        self.backend = backend
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    @on_the_device_of_samples
    def fit(self, X, y, sample_weight=None):  # noqa: N803
        """Estimate the density of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The samples.
        y : array-like of shape (n_samples,)
            Their classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights, not negative, not all zero; 1 by default.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a parameter is invalid, priors among them, or `KernelDensity` raises one for the samples of a class.
        """
        X = self._fit_samples(X)  # noqa: N806
        y = self._check_classes(X, y)
        weights = self._fit_weights(sample_weight, X, non_negative=True)
        samples, w = to_engine(X), None if weights is None else to_engine(weights)
        h = check_bandwidth(self.bandwidth, samples.shape, self.scaling, type(self).__name__)
        classes, codes = np.unique(y, return_inverse=True)
        codes = codes.reshape(-1)
        totals = np.bincount(codes, None if w is None else to_host(w / w.max()).astype(np.float64))
        prior = self._check_priors(totals)
        params = {name: getattr(self, name) for name in _OF_THE_DENSITIES}
        densities: list[KernelDensity | None] = []
        for c, total in enumerate(totals):
            if total == 0:
                densities.append(None)
                continue
            rows = np.flatnonzero(codes == c)
            at = to_device(rows, namespace_of(samples))
            density = KernelDensity(**{**params, "bandwidth": h[rows] if np.ndim(h) == 2 else h})
            densities.append(density.fit(samples[at], sample_weight=None if w is None else w[at]))
        self.class_prior_ = like(to_device(prior.astype(samples.dtype), namespace_of(samples)), X)
        self.classes_ = self._as_labels(classes, X)
        self.estimators_, self.X_fit_ = densities, X
        self._log_prior = _log(prior).tolist()  # in float64, whatever the samples
        return self

    def _check_classes(self, X: Any, y: Any) -> np.ndarray:  # noqa: N803
        """Return the classes of samples, as an array of NumPy."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. It is the class of each sample."
            )
        y = _check_y(to_host(y) if is_on_device(y) else y, estimator=self)
        check_consistent_length(X, y)
        check_classification_targets(y)
        return to_host(to_engine(y))

    @staticmethod
    def _as_labels(labels: np.ndarray, X: Any) -> Any:  # noqa: N803
        """Return labels in the namespace of samples, if it has such labels: there are no texts but in NumPy."""
        return like(labels, X) if labels.dtype.kind in "biuf" else labels

    def _check_priors(self, totals: np.ndarray) -> np.ndarray:
        """Return the prior probabilities, given the weight of each class."""
        if self.priors is None:
            return totals / totals.sum()
        given = to_host(to_engine(self.priors)) if hasattr(self.priors, "shape") else self.priors
        priors = np.array(given, dtype=np.float64)
        if priors.shape != totals.shape:
            raise ValueError(
                f"Number of priors must match number of classes: found the shape {priors.shape}, expected {totals.shape}"
            )
        if not (priors >= 0).all():
            raise ValueError(f"Priors must be non-negative: found {priors.tolist()}")
        if not np.isclose(priors.sum(), 1.0):
            raise ValueError(f"The sum of the priors should be 1: found {priors.sum():g}")
        lost = np.flatnonzero((priors > 0) & (totals == 0))
        if len(lost):
            raise ValueError(
                f"classes whose samples weigh nothing have no density: found positive priors of the classes {lost.tolist()}"
            )
        return priors

    @on_the_device_of_samples
    def predict_joint_log_proba(self, X):  # noqa: N803
        """Return the logarithms of the prior probabilities times the densities, ``log P(c) + log f_c(x)``.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries. A Dask array gives a lazy Dask array.

        Returns
        -------
        ndarray of shape (n_queries, n_classes)
        """
        return self._of_queries(X, "predict_joint_log_proba", lambda joint: joint)

    @on_the_device_of_samples
    def predict_log_proba(self, X):  # noqa: N803
        """Return the logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries. A Dask array gives a lazy Dask array.

        Returns
        -------
        ndarray of shape (n_queries, n_classes)
            In the order of `classes_`.
        """
        return self._of_queries(X, "predict_log_proba", self._log_probabilities)

    @on_the_device_of_samples
    def predict_proba(self, X):  # noqa: N803
        """Return the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries. A Dask array gives a lazy Dask array.

        Returns
        -------
        ndarray of shape (n_queries, n_classes)
            In the order of `classes_`.
        """
        return self._of_queries(X, "predict_proba", lambda joint: np.exp(self._log_probabilities(joint)))

    @on_the_device_of_samples
    def predict(self, X):  # noqa: N803
        """Return the most probable classes.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries. A Dask array gives a lazy Dask array.

        Returns
        -------
        ndarray of shape (n_queries,)
            Labels; of equally probable ones the first.
        """
        check_is_fitted(self)
        if is_dask(X):
            return map_chunks(self.predict, X, None, to_host(to_engine(self.classes_)).dtype)
        X, joint = self._joint(X, "predict")  # noqa: N806
        classes = to_host(to_engine(self.classes_))
        return self._as_labels(classes[to_host(self._log_probabilities(joint).argmax(axis=1))], X)

    @on_the_device_of_samples
    def score(self, X, y, sample_weight=None):  # noqa: N803
        """Return the accuracy of the predictions.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.
        y : array-like of shape (n_queries,)
            Their true classes.
        sample_weight : array-like of shape (n_queries,), default=None
            Their weights.

        Returns
        -------
        float
        """
        if not is_on_device(X):
            return super().score(X, y, sample_weight)
        # scikit-learn takes arrays of CuPy only with `array_api_dispatch`.
        y, sample_weight = (to_host(a) if is_on_device(a) else a for a in (y, sample_weight))
        return float(accuracy_score(y, to_host(to_engine(self.predict(X))), sample_weight=sample_weight))

    def _of_queries(self, X: Any, method: str, function: Any) -> Any:  # noqa: N803
        """Return a function of the joint log probabilities of queries, of shape (n_queries, n_classes)."""
        check_is_fitted(self)
        lazy = self._lazy(X, method, len(self.estimators_))
        if lazy is not None:
            return lazy
        X, joint = self._joint(X, method)  # noqa: N806
        return like(function(joint).astype(to_engine(X).dtype, copy=False), X)

    def _joint(self, X: Any, method: str) -> tuple[Any, Any]:  # noqa: N803
        """Return checked queries, and the logarithms of prior probability times density, in float64."""
        X = validate_samples(self, X, reset=False)  # noqa: N806
        check_namespace(X, self, attribute="X_fit_", method=method)
        x = to_engine(X)
        joint = namespace_of(x).full((len(x), len(self.estimators_)), -np.inf)
        for c, (density, log_prior) in enumerate(zip(self.estimators_, self._log_prior, strict=True)):
            if density is not None and log_prior > -np.inf:
                sums = density._sums(x.dtype)
                found = sums.log_densities(x, self.backend, self.n_jobs, self.verbose, type(self).__name__)
                joint[:, c] = found + log_prior
        return X, joint

    def _log_probabilities(self, joint: Any) -> Any:
        """Return the logarithms of probabilities. Where no class has any density they are those of the priors."""
        log_prior = to_device(np.array(self._log_prior), namespace_of(joint))
        joint = np.where((joint > -np.inf).any(axis=1, keepdims=True), joint, log_prior)
        largest = joint.max(axis=1, keepdims=True)
        return joint - largest - np.log(np.exp(joint - largest).sum(axis=1, keepdims=True))


def _log(probabilities: np.ndarray) -> np.ndarray:
    """Return logarithms, -inf of 0."""
    with np.errstate(divide="ignore"):
        return np.log(probabilities)
