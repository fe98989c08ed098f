"""KernelLogSumExp: logarithms of sums of exponentials over reference samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context

from skkeops.arrays.devices import namespace_of
from skkeops.formula import operations as ops
from skkeops.formula.expression import I, J, Variable

from .base import ReductionEstimator
from .namespaces import like, on_the_device_of_samples, to_engine
from .reduction import PairReduction, reduction_of
from .rows import over_rows
from .score import DensityScore

__all__ = ["KernelLogSumExp"]


class KernelLogSumExp(DensityScore, ClassNamePrefixFeaturesOutMixin, TransformerMixin, ReductionEstimator):
    r"""Logarithms of sums of exponentials over reference samples, without the matrix of the exponents.

    .. math:: c_i = \log \sum_j w_j \exp F(x_i, x'_j)

    for queries x_i and reference samples x'_j with weights w_j. A kernel k contributes its logarithm, ``F = log k``, so
    that c is the logarithm of its sum, far below what a float can hold: an unnormalised log density, a soft minimum, a
    Sinkhorn update. A `skkeops.Formula`, or a formula as text, is F itself.

    Parameters
    ----------
    kernel : str or Kernel, default="rbf"
        As for `KernelSum`.
    gamma : float, default=None
        As for `KernelSum`.
    degree : float, default=3
        As for `KernelSum`.
    coef0 : float, default=1
        As for `KernelSum`.
    rtol : float, default=0.0
        From 0 on, below 1. Samples that provably do not matter are left out where there are many pairs: a sum of
        exponentials is off by at most `rtol` times itself. See
        :doc:`/cost_follows_data`.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.
    n_jobs : int, default=None
        joblib's number of jobs, for blocks of queries. One job uses all cores already: more are for clusters.
    verbose : int, default=0
        Whether to show a progress bar (tqdm) when a transform lasts.

    Attributes
    ----------
    kernel_ : Kernel
        The kernel as an object, with all parameters known.
    X_fit_ : ndarray of shape (n_samples, n_features)
        The reference samples.
    sample_weight_fit_ : ndarray of shape (n_samples,) or None
        The weights w_j.
    n_features_in_ : int
        The number of columns of the reference samples.
    feature_names_in_ : ndarray of str
        Their names, if they had any.

    See Also
    --------
    KernelDensity : The normalised log density.
    KernelSum : The sum itself.

    Notes
    -----
    The largest exponent of each row is taken out first, so that nothing overflows or underflows. A row without any
    weight where F is finite gives -inf.

    References
    ----------
    P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and softmax functions", IMA Journal
    of Numerical Analysis 41, 2021.

    Examples
    --------
    Variables of a formula are columns, those indexed by i of the queries, those indexed by j of the reference samples:

    >>> import numpy as np
    >>> from skkeops import Formula, KernelLogSumExp
    >>> f = Formula("Square(p-a)*Exp(x+y)", ["x = Vi(1)", "y = Vj(1)", "a = Vj(1)", "p = Pm(1)"], p=0.37)
    >>> x, y, a = np.zeros((3, 1)), np.zeros((5, 1)), np.ones((5, 1))
    >>> lse = KernelLogSumExp(f).fit(np.hstack([y, a]))
    >>> lse.transform(x).round(4)
    array([[2.0063],
           [2.0063],
           [2.0063]])
    >>> round(lse.gradient(x, wrt="kernel__p"), 4)
    -3.78
    """

    _own_gradient_names = ("sample_weight",)
    _n_outputs = 1

    @_fit_context(prefer_skip_nested_validation=True)
    @on_the_device_of_samples
    def fit(self, X, y=None, sample_weight=None):  # noqa: N803
        """Keep the reference samples.

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
        """
        X = self._fit_samples(X)
        self.kernel_ = self._fit_kernel(X.shape[1])
        self._check_kernel_samples(to_engine(X), "the reference samples")
        exponent = self._bind(X.shape[1]).exponent
        if exponent.dim != 1:
            raise ValueError(f"the exponent must be a number: found a formula with {exponent.dim} components")
        self.X_fit_ = X
        self.sample_weight_fit_ = self._fit_weights(sample_weight, X, non_negative=True)
        self._n_features_out = 1
        return self

    @on_the_device_of_samples
    def transform(self, X):  # noqa: N803
        """Return the logarithms for queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries x_i. A Dask array gives a lazy Dask array.

        Returns
        -------
        ndarray of shape (n_queries, 1)
        """
        lazy = self._lazy(X, "transform", 1)
        return self._values(X, "transform") if lazy is None else lazy

    @on_the_device_of_samples
    def score_samples(self, X):  # noqa: N803
        """Return the logarithms for queries, as one axis.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries x_i. A Dask array gives a lazy Dask array.

        Returns
        -------
        ndarray of shape (n_queries,)
        """
        lazy = self._lazy(X, "score_samples", None)
        return self._values(X, "score_samples")[:, 0] if lazy is None else lazy

    @on_the_device_of_samples
    def gradient(self, X, grad_output=None, wrt="X"):  # noqa: N803
        """Return the gradient of ``(transform(X) * grad_output).sum()``.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries.
        grad_output : array-like of shape (n_queries, 1) or (n_queries,), default=None
            The gradient by the logarithms; ones by default.
        wrt : str or tuple of str, default="X"
            ``"X"`` (the queries), ``"X_fit"`` (the reference samples), ``"sample_weight"``, or a parameter of the
            kernel, such as ``"kernel__length_scale"``.

        Returns
        -------
        ndarray, float, or tuple of them
            In the shape of what the name stands for.
        """
        return self._gradient(X, grad_output, wrt)

    def _values(self, X: Any, method: str) -> Any:  # noqa: N803
        X = self._check_queries(X, method)
        x = to_engine(X)
        self._check_kernel_samples(x, "the queries")
        result = over_rows(self._reduction(x.dtype), x, self.backend, self.n_jobs, self.verbose, "KernelLogSumExp")
        self._refuse_negative_kernel(result)
        return like(result, X)

    def _reduction(self, dtype: np.dtype) -> PairReduction:
        samples = to_engine(self.X_fit_)
        bound = self._bind(samples.shape[1])
        arrays = [samples, *bound.parameter_arrays(dtype, namespace_of(samples))]
        if self.sample_weight_fit_ is None:
            return PairReduction(bound.exponent, bound.variables, arrays, "LogSumExp").within(self.rtol)
        log_weight = Variable(len(bound.variables), 1, J)
        variables = (*bound.variables, log_weight)
        arrays.append(log_of(to_engine(self.sample_weight_fit_))[:, None])
        return PairReduction(bound.exponent + log_weight, variables, arrays, "LogSumExp").within(self.rtol)

    def _gradients(self, x, e, names):
        bound = self._bind(self.n_features_in_)
        reduction = self._reduction(x.dtype)
        found = self._gradients_of(reduction, x, e, names, {"X": bound.x, "X_fit": bound.y})
        if "sample_weight" in names:
            # Not through the logarithm of a weight, which may be zero: sum over i of e_i exp(F_ij - c_i).
            shift = reduction(x, self.backend)
            shift[shift == -np.inf] = np.inf
            c, factor = (Variable(len(bound.variables) + k, 1, I) for k in range(2))
            expression = ops.Exp.build(bound.exponent - c) * factor
            arrays = (x, to_engine(self.X_fit_), *bound.parameter_arrays(x.dtype, namespace_of(x)), shift, e)
            function = reduction_of(expression, (*bound.variables, c, factor), "Sum", 0)
            found["sample_weight"] = function(*arrays, backend=self.backend)[:, 0]
        return found


def log_of(weights: np.ndarray) -> np.ndarray:
    """Return the logarithms of weights, -inf for zero."""
    with np.errstate(divide="ignore"):
        return np.log(weights)
