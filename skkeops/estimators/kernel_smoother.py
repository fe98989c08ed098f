"""KernelSmoother: local regression, by polynomials that are fitted about each query."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin, _fit_context, clone
from sklearn.utils._param_validation import Interval, Options

from skkeops.kernels import Kernel, as_kernel
from skkeops.kernels.convert import PAIRWISE

from .base import KernelEstimator
from .bisquare import bisquare_weights
from .local_polynomial import n_monomials, share_of
from .local_regression import LocalRegression
from .namespaces import like, on_the_device_of_samples, to_engine
from .reduction import PairReduction
from .rows import is_dask, over_rows
from .score import RegressorScore
from .validation import validate_samples_and_targets

__all__ = ["KernelSmoother"]

_POSITIVE = ("chi2", "laplacian", "rbf")  # of the names of kernels
_MOST_MOMENTS = 5000  # of a query


class KernelSmoother(MultiOutputMixin, RegressorScore, RegressorMixin, KernelEstimator):
    r"""Local regression: kernel-weighted means, or polynomials that are fitted about each query.

    The prediction for x is the value at x of the polynomial q in x' of least weighted squares,

    .. math:: \hat y(x) = q_x(x), \qquad q_x = \operatorname{argmin}_q \sum_j w_j \, k(x, x'_j) \, (y_j - q(x'_j))^2

    for training samples x'_j with targets y_j and weights w_j. With ``degree=0`` that is their mean, the estimator of Nadaraya and
    Watson, :math:`\sum_j w_j k(x, x'_j) y_j / \sum_j w_j k(x, x'_j)`. With ``degree=1``, local linear regression, there is no
    bias at the ends of the data, nor from samples that lie denser on one side. The weights are a softmax of the kernel's logarithm:
    far from all samples, where the kernel underflows, the nearest ones still count.

    Parameters
    ----------
    kernel : str or Kernel, default="rbf"
        The weight of a sample for a query, positive or zero: ``"rbf"``, ``"laplacian"``, ``"chi2"``, a formula of x and y, or a
        kernel object. The length scale of a kernel object is the bandwidth.
    gamma : float, default=None
        As for `KernelSum`.
    degree : {0, 1, 2}, default=0
        The degree of the polynomials.
    robust_iterations : int, default=0
        How often samples far from the prediction get less weight, and all is fitted again: LOESS's bisquare weights. Each takes a
        prediction for all samples. Three are usual.
    rtol : float, default=0.0
        From 0 on, below 1; for degree 0. Samples that provably do not matter are left out where there are many pairs: a mean is
        off by at most `rtol` times the mean of the absolute values. See :doc:`/cost_follows_data`.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.
    n_jobs : int, default=None
        joblib's number of jobs, for blocks of queries. One job uses all cores already: more are for clusters.
    verbose : int, default=0
        Whether to show a progress bar (tqdm) when a prediction lasts.

    Attributes
    ----------
    kernel_ : Kernel
        The kernel as an object, with all parameters known.
    X_fit_ : ndarray of shape (n_samples, n_features)
        The training samples.
    y_fit_ : ndarray of shape (n_samples,) or (n_samples, n_targets)
        The targets.
    sample_weight_fit_ : ndarray of shape (n_samples,) or None
        The weights w_j.
    robustness_weight_ : ndarray of the shape of the targets, or None
        The factors of the weights that robust iterations have found, :math:`(1 - (r_j / 6 s)^2)^2` with the residuals r and s the
        median of their absolute values, weighted by w; 0 where a residual is larger than 6 s. Each target has its own.
    n_features_in_ : int
        The number of columns of X.
    feature_names_in_ : ndarray of str
        Their names, if they had any.

    See Also
    --------
    KernelRidge : Regression that fits the targets.
    GaussianProcessRegressor : Regression with a prior.

    Notes
    -----
    The sums over the samples are moments of x', in one sweep over the pairs, about the centre of all samples; where
    they cancel, as for a narrow kernel or outside of the data, they are taken again about the local mean of the samples. The
    systems of all queries are solved in float64, one degree after the other. What the weighted samples do not determine,
    because there are too few of them or they lie in a line, is left out: with one neighbour the prediction is its target,
    whatever the degree. A direction counts as determined if more than the root of the rounding error (1.5e-8 in float64, 3e-4
    in float32) of its square is left when what is of lower degree is taken away.

    The standard error of a prediction :math:`\sum_j l_j(x) \, y_j` is

    .. math:: \mathrm{se}^2(x) = \hat\sigma^2 \sum_j l_j(x)^2 / w_j, \qquad
              \hat\sigma^2 = \frac{\sum_i w_i (y_i - \hat y(x'_i))^2}{n - 2 \operatorname{tr} L + \sum_{ij} w_i L_{ij}^2 / w_j},

    with :math:`L_{ij} = l_j(x'_i)`. The noise of target j has the variance :math:`\sigma^2 / w_j`, one sigma for all; bias is not
    part of it. With robust iterations the factors are part of l, as if they were given, and :math:`\hat\sigma` is 1.4826 times the
    median of :math:`\sqrt{w_i} \, |y_i - \hat y(x'_i)|`.

    References
    ----------
    E. A. Nadaraya, "On estimating regression", Theory of Probability and its Applications 9, 1964. G. S. Watson, "Smooth
    regression analysis", Sankhya A 26, 1964.

    W. S. Cleveland, S. J. Devlin, "Locally weighted regression: an approach to regression analysis by local fitting", Journal of
    the American Statistical Association 83, 1988: also the variance of the noise. J. Fan, I. Gijbels, "Local polynomial modelling
    and its applications", 1996.

    Examples
    --------
    >>> from skkeops import KernelSmoother, kernels
    >>> X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 4.0]
    >>> smoother = KernelSmoother(kernels.Gaussian(0.5)).fit(X, y)
    >>> smoother.predict([[0.5], [100.0]]).round(4)
    array([0.5318, 4.    ])

    A local line follows a line to its end:

    >>> KernelSmoother(kernels.Gaussian(0.5), degree=1).fit(X, [0.0, 1.0, 2.0]).predict([[0.5], [2.5]]).round(4)
    array([0.5, 2.5])
    """

    _parameter_constraints: ClassVar[dict] = {
        **{name: KernelEstimator._kernel_constraints[name] for name in ("kernel", "gamma")},
        "degree": [Options(Integral, {0, 1, 2})],
        "robust_iterations": [Interval(Integral, 0, None, closed="left")],
        **KernelEstimator._tolerance_constraints,
        **KernelEstimator._shared_constraints,
    }

    def __init__(
        self, kernel="rbf", *, gamma=None, degree=0, robust_iterations=0, rtol=0.0, backend="auto", n_jobs=None, verbose=0
    ):
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.robust_iterations = robust_iterations
        self.rtol = rtol
        self.backend = backend
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # A mean over neighbours does not fit its targets: with the default bandwidth it smooths a lot.
        tags.regressor_tags.poor_score = True
        return tags

    def _fit_kernel(self, n_features: int) -> Kernel:
        if isinstance(self.kernel, str) and self.kernel in PAIRWISE and self.kernel not in _POSITIVE:
            raise ValueError(
                f"The 'kernel' parameter of {type(self).__name__} must be positive, which {self.kernel!r} is not: expected one of "
                f"{', '.join(map(repr, _POSITIVE))}, a formula of x and y, or a kernel object that is positive for your samples, "
                "such as skkeops.kernels.Polynomial(2)"
            )
        return clone(as_kernel(self.kernel, gamma=self.gamma, n_features=n_features))

    @_fit_context(prefer_skip_nested_validation=True)
    @on_the_device_of_samples
    def fit(self, X, y, sample_weight=None):  # noqa: N803
        """Keep the training samples and their targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The samples x'_j.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            The targets y_j.
        sample_weight : array-like of shape (n_samples,), default=None
            The weights w_j, not negative, not all zero; 1 by default.

        Returns
        -------
        self : object
        """
        X = self._fit_columns(X)
        X, y = validate_samples_and_targets(self, X, y)
        self.kernel_ = self._fit_kernel(X.shape[1])
        x = to_engine(X)
        self._check_kernel_samples(x, "the training samples")
        exponent = self._bind(X.shape[1]).log_expression
        if exponent.dim != 1:
            raise ValueError(f"the kernel must be a number: found a formula with {exponent.dim} components")
        self._check_degree(X.shape[1])
        self.X_fit_ = X
        self.y_fit_ = like(to_engine(y).astype(x.dtype, copy=False), X)
        self.sample_weight_fit_ = self._fit_weights(sample_weight, X, non_negative=True)
        self.robustness_weight_ = None
        self._noise = None
        y = to_engine(self.y_fit_)
        rounding = share_of(x.dtype) * abs(y.reshape(len(y), -1)).max(axis=0)
        weights = None if sample_weight is None else to_engine(self.sample_weight_fit_)
        for _ in range(self.robust_iterations):
            found = [regression.fit(x).values for _, regression in self._regressions()]
            residuals = y.reshape(len(y), -1) - _side_by_side(found)
            factors = bisquare_weights(residuals, weights, rounding).astype(x.dtype, copy=False)
            self.robustness_weight_ = like(factors.reshape(y.shape), X)
        return self

    @on_the_device_of_samples
    def predict(self, X, return_std=False):  # noqa: N803
        """Return the values of the local polynomials at queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries x. A Dask array gives a lazy Dask array.
        return_std : bool, default=False
            Whether to return standard errors, too: see the notes of the class. The first time takes a prediction for all training
            samples, which finds the variance of the noise.

        Returns
        -------
        y : ndarray of shape (n_queries,) or (n_queries, n_targets)
            As many axes as the targets had. NaN, with a warning, for queries whose kernel is zero everywhere.
        std : ndarray of the same shape
            Only if `return_std`. NaN, with a warning, if the samples leave no residuals to find the noise from.
        """
        y = getattr(self, "y_fit_", None)
        if return_std and is_dask(X):
            raise TypeError("return_std=True has two results, which a Dask array cannot give: found X as one, expected X.compute()")
        lazy = self._lazy(X, "predict", None if y is None or y.ndim == 1 else y.shape[1])
        if lazy is not None:
            return lazy
        X = self._check_queries(X, "predict")
        x = to_engine(X)
        self._check_kernel_samples(x, "the queries")
        if return_std:
            self._check_same_features("return_std=True takes predictions of the training samples")
        values, errors = [], []
        for columns, regression in self._regressions():
            fit = regression.fit(x)
            values.append(fit.values)
            if return_std:
                log_sums = self._sweep(regression.log_sums(), x)
                variances = regression.variance_factors(x, fit, log_sums)[:, None] * self._noise_variances()[columns]
                errors.append(np.where(np.isnan(fit.values), np.nan, np.sqrt(variances)))
        found = [_side_by_side(parts).astype(x.dtype, copy=False) for parts in (values, errors) if parts]
        self._warn_undefined(found[0], x)
        shaped = [like(a[:, 0] if self.y_fit_.ndim == 1 else a, X) for a in found]
        return tuple(shaped) if return_std else shaped[0]

    @on_the_device_of_samples
    def gradient(self, X, grad_output=None, wrt="X"):  # noqa: N803
        """Return the gradient of ``(predict(X) * grad_output).sum()``.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries.
        grad_output : array-like of the shape of the prediction, default=None
            The gradient by the prediction; ones by default.
        wrt : str or tuple of str, default="X"
            ``"X"`` (the queries), ``"X_fit"`` (the training samples), ``"y"``, ``"sample_weight"``, or a parameter of
            the kernel, such as ``"kernel__length_scale"``. The factors of robust iterations are held fixed.

        Returns
        -------
        ndarray, float, or tuple of them
            In the shape of what the name stands for.
        """
        return self._gradient(X, grad_output, wrt)

    def _check_same_features(self, what: str) -> None:
        """Raise if queries have other columns than samples, which something does not allow."""
        if self.kernel_.columns(0) is not None:
            raise ValueError(
                f"{what}: queries and samples have to have the same features, as formulas of x and y have. Found {self.kernel_!r}"
            )

    def _check_degree(self, n_features: int) -> None:
        """Raise where there are no polynomials of the degree, too many terms, or no bounds; or no predictions of the samples."""
        if self.degree > 0 and self.rtol > 0:
            raise ValueError(
                f"rtol is a bound for means, which are of degree 0, and not for polynomials: found rtol={self.rtol!r} with "
                f"degree={self.degree}, expected rtol=0"
            )
        if self.degree > 0:
            self._check_same_features(f"degree={self.degree} takes differences of queries and samples")
        if self.robust_iterations > 0:
            self._check_same_features("robust_iterations take predictions of the training samples")
        moments = n_monomials(n_features, 2 * self.degree)
        if moments > _MOST_MOMENTS:
            raise ValueError(
                f"degree={self.degree} with {n_features} features takes {moments} moments of each query: expected at most "
                f"{_MOST_MOMENTS}; reduce the features first, as PCA does, or choose a lower degree"
            )

    def _warn_undefined(self, result: np.ndarray, x: np.ndarray) -> None:
        """Tell queries without a value apart: none of their weights is positive, or a kernel has no logarithm."""
        undefined = np.isnan(result).any(axis=1)
        if undefined.any():
            for _, regression in self._regressions():
                self._refuse_negative_kernel(self._sweep(regression.log_sums(), x[undefined]))
            warnings.warn(
                f"{int(undefined.sum())} of {len(x)} queries have no mean, as the kernel between them and every weighted "
                "sample is zero: they get NaN",
                RuntimeWarning,
                stacklevel=3,
            )

    def _sweep(self, reduction: PairReduction, queries: np.ndarray) -> np.ndarray:
        """Return the values of a sum over the samples for queries: all that is summed goes through here."""
        return over_rows(reduction, queries, self.backend, self.n_jobs, self.verbose, "KernelSmoother")

    def _regressions(self) -> Iterator[tuple[slice, LocalRegression]]:
        """Yield regressions, and the columns of the targets that they are of: all at once, or one by one if weights differ."""
        samples, y = to_engine(self.X_fit_), to_engine(self.y_fit_)
        bound, y = self._bind(samples.shape[1]), y.reshape(len(y), -1)
        weights = None if self.sample_weight_fit_ is None else to_engine(self.sample_weight_fit_)
        options = {"degree": self.degree, "sweep": self._sweep, "backend": self.backend, "rtol": self.rtol}
        if self.robustness_weight_ is None:
            yield slice(None), LocalRegression(bound, samples, y, weights, None, **options)
            return
        factors = to_engine(self.robustness_weight_).reshape(y.shape)
        for k in range(y.shape[1]):
            yield slice(k, k + 1), LocalRegression(bound, samples, y[:, k : k + 1], weights, factors[:, k], **options)

    def _noise_variances(self) -> np.ndarray:
        """Return the variance of the noise of each target; what was found once is kept."""
        if self._noise is None:
            self._noise = np.concatenate([regression.noise_variance() for _, regression in self._regressions()])
        if np.isnan(self._noise).any():
            warnings.warn(
                "The samples leave no residuals from which the variance of the noise could be found, as each is, about, its own "
                "prediction: the standard errors are NaN. A larger bandwidth leaves some.",
                RuntimeWarning,
                stacklevel=4,
            )
        return self._noise

    @property
    def _n_outputs(self) -> int:
        return 1 if self.y_fit_.ndim == 1 else self.y_fit_.shape[1]

    def _gradients(self, x, e, names):
        total: dict[str, Any] = {}
        of_targets = []
        for columns, regression in self._regressions():
            some = e[:, columns]
            if self.degree == 0 and "sample_weight" not in names:
                reduction, variables = regression.means()  # which has derivatives of its own, but not by weights of zero
            else:
                fit = regression.fit(x)
                reduction, variables = regression.differentiable(fit, self._sweep(regression.log_sums(), x))
            found = self._gradients_of(reduction, x, some, names, variables)
            if "X" in found and self.degree > 0:
                found["X"] = found["X"] + np.einsum("ndt,nt->nd", regression.query_slopes(x, fit), some).astype(x.dtype, copy=False)
            if "y" in found:
                of_targets.append(found.pop("y"))
            for name, gradient in found.items():
                total[name] = total[name] + gradient if name in total else gradient
        if of_targets:
            total["y"] = _side_by_side(of_targets).reshape(self.y_fit_.shape)
        if "sample_weight" in total:
            total["sample_weight"] = total["sample_weight"][:, 0]
        return total


def _side_by_side(columns: list[np.ndarray]) -> np.ndarray:
    return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)
