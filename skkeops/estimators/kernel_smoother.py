"""KernelSmoother: regression by weighted means over reference samples."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin, _fit_context

from skkeops.arrays.devices import namespace_of
from skkeops.formula import operations as ops
from skkeops.formula.expression import Expression, I, J, Variable

from .base import ReductionEstimator
from .kernel_log_sum_exp import log_of
from .namespaces import like, on_the_device_of_samples, to_engine
from .reduction import PairReduction, reduction_of
from .rows import over_rows
from .score import RegressorScore
from .validation import validate_samples_and_targets

__all__ = ["KernelSmoother"]


class KernelSmoother(MultiOutputMixin, RegressorScore, RegressorMixin, ReductionEstimator):
    r"""Regression by kernel-weighted means, the estimator of Nadaraya and Watson.

    .. math:: \hat y(x) = \frac{\sum_j w_j \, k(x, x'_j) \, y_j}{\sum_j w_j \, k(x, x'_j)}

    for training samples x'_j with targets y_j and weights w_j. The weights are a softmax of the kernel's logarithm: far
    from all samples, where the kernel underflows, the nearest ones still count.

    Parameters
    ----------
    kernel : str or Kernel, default="rbf"
        As for `KernelSum`; positive.
    gamma : float, default=None
        As for `KernelSum`.
    degree : float, default=3
        As for `KernelSum`.
    coef0 : float, default=1
        As for `KernelSum`.
    rtol : float, default=0.0
        From 0 on, below 1. Samples that provably do not matter are left out where there are many pairs: a mean is off by at
        most `rtol` times the mean of the absolute values. See
        :doc:`/cost_follows_data`.
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
    n_features_in_ : int
        The number of columns of X.
    feature_names_in_ : ndarray of str
        Their names, if they had any.

    See Also
    --------
    KernelRidge : Regression that fits the targets.

    References
    ----------
    E. A. Nadaraya, "On estimating regression", Theory of Probability and its Applications 9, 1964. G. S. Watson, "Smooth
    regression analysis", Sankhya A 26, 1964.

    Examples
    --------
    >>> from skkeops import KernelSmoother, kernels
    >>> smoother = KernelSmoother(kernels.Gaussian(0.5)).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 4.0])
    >>> smoother.predict([[0.5], [100.0]]).round(4)
    array([0.5318, 4.    ])
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # A mean over neighbours does not fit its targets: with the default bandwidth it smooths a lot.
        tags.regressor_tags.poor_score = True
        return tags

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
        self._check_kernel_samples(to_engine(X), "the training samples")
        exponent = self._bind(X.shape[1]).log_expression
        if exponent.dim != 1:
            raise ValueError(f"the kernel must be a number: found a formula with {exponent.dim} components")
        self.X_fit_ = X
        self.y_fit_ = like(to_engine(y).astype(to_engine(X).dtype, copy=False), X)
        self.sample_weight_fit_ = self._fit_weights(sample_weight, X, non_negative=True)
        return self

    @on_the_device_of_samples
    def predict(self, X):  # noqa: N803
        """Return the weighted means for queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries x. A Dask array gives a lazy Dask array.

        Returns
        -------
        ndarray of shape (n_queries,) or (n_queries, n_targets)
            As many axes as the targets had. NaN, with a warning, for queries whose kernel is zero everywhere.
        """
        y = getattr(self, "y_fit_", None)
        lazy = self._lazy(X, "predict", None if y is None or y.ndim == 1 else y.shape[1])
        if lazy is not None:
            return lazy
        X = self._check_queries(X, "predict")
        x = to_engine(X)
        self._check_kernel_samples(x, "the queries")
        reduction, _ = self._reduction(x.dtype)
        result = over_rows(reduction, x, self.backend, self.n_jobs, self.verbose, "KernelSmoother")
        self._check_undefined(result, x, reduction)
        return like(result[:, 0] if self.y_fit_.ndim == 1 else result, X)

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
            the kernel, such as ``"kernel__length_scale"``.

        Returns
        -------
        ndarray, float, or tuple of them
            In the shape of what the name stands for.
        """
        return self._gradient(X, grad_output, wrt)

    def _check_undefined(self, result: np.ndarray, x: np.ndarray, reduction: PairReduction) -> None:
        """Tell queries without a mean apart: none of their weights is positive, or a kernel has no logarithm."""
        undefined = np.isnan(result).any(axis=1)
        if undefined.any():
            expression, variables, *_ = reduction.definition
            log_sum = reduction_of(expression, variables, "LogSumExp")(x[undefined], *reduction.arrays, backend=self.backend)
            self._refuse_negative_kernel(log_sum)
            warnings.warn(
                f"{int(undefined.sum())} of {len(x)} queries have no mean, as the kernel between them and every weighted "
                "sample is zero: they get NaN",
                RuntimeWarning,
                stacklevel=3,
            )

    @property
    def _n_outputs(self) -> int:
        return 1 if self.y_fit_.ndim == 1 else self.y_fit_.shape[1]

    def _reduction(self, dtype: np.dtype) -> tuple[PairReduction, Variable]:
        samples, y = to_engine(self.X_fit_), to_engine(self.y_fit_)
        bound = self._bind(samples.shape[1])
        targets = Variable(len(bound.variables), self._n_outputs, J)
        variables = [*bound.variables, targets]
        arrays = [samples, *bound.parameter_arrays(dtype, namespace_of(samples)), y.reshape(len(y), -1)]
        exponent: Expression = bound.log_expression
        if self.sample_weight_fit_ is not None:
            log_weight = Variable(len(variables), 1, J)
            variables.append(log_weight)
            arrays.append(log_of(to_engine(self.sample_weight_fit_))[:, None])
            exponent = exponent + log_weight
        return PairReduction(exponent, variables, arrays, "SumSoftMaxWeight", targets).within(self.rtol), targets

    def _gradients(self, x, e, names):
        bound = self._bind(self.n_features_in_)
        reduction, targets = self._reduction(x.dtype)
        found = self._gradients_of(reduction, x, e, names, {"X": bound.x, "X_fit": bound.y, "y": targets})
        if "y" in found:
            found["y"] = found["y"].reshape(self.y_fit_.shape)
        if "sample_weight" in names:
            found["sample_weight"] = self._gradient_by_weights(x, e, bound, reduction, targets)
        return found

    def _gradient_by_weights(self, x, e, bound, reduction, targets):
        """Return the sum over i of ``k_ij / s_i (y_j - c_i) . e_i`` with s_i the sum of the weighted kernel; not
        through the logarithms of the weights, which may be zero."""
        expression, variables, *_ = reduction.definition
        log_sum = reduction_of(expression, variables, "LogSumExp")(x, *reduction.arrays, backend=self.backend)
        log_sum[log_sum == -np.inf] = np.inf
        position = len(bound.variables) + 1
        shift = Variable(position, 1, I)
        mean, factor = (Variable(position + k, targets.dim, I) for k in (1, 2))
        share = ops.Exp.build(bound.log_expression - shift)
        f = share * ((targets - mean) | factor)
        y = to_engine(self.y_fit_)
        arrays = (x, to_engine(self.X_fit_), *bound.parameter_arrays(x.dtype, namespace_of(x)), y.reshape(len(y), -1))
        function = reduction_of(f, (*bound.variables, targets, shift, mean, factor), "Sum", 0)
        return function(*arrays, log_sum, reduction(x, self.backend), e, backend=self.backend)[:, 0]
