"""KernelSum: sums of a kernel over reference samples."""

from __future__ import annotations

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils.validation import check_consistent_length

from skkeops.arrays.devices import namespace_of
from skkeops.formula.expression import Variable

from .base import ReductionEstimator
from .namespaces import like, on_the_device_of_samples, to_engine
from .reduction import PairReduction, weighted_sum
from .rows import over_rows
from .validation import check_values

__all__ = ["KernelSum"]


class KernelSum(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ReductionEstimator):
    r"""Sums of a kernel over reference samples, without the matrix of the kernel.

    .. math:: c_i = \sum_j w_j \, k(x_i, x'_j) \, b_j

    for queries x_i, reference samples x'_j with weights w_j, and values b_j: the potential of charges, a kernel mean
    embedding, a layer of radial basis functions.

    Parameters
    ----------
    kernel : str or Kernel, default="rbf"
        A name of `sklearn.metrics.pairwise`, a formula of ``x`` and ``y`` as text, a kernel of `skkeops.kernels` or of
        `sklearn.gaussian_process.kernels`, or a `skkeops.Formula`. See `skkeops.kernels.as_kernel`.
    gamma : float, default=None
        For a name: its factor, positive. None means 1 for ``"chi2"``, else ``1 / n_features``.
    degree : float, default=3
        For ``"poly"``.
    coef0 : float, default=1
        For ``"poly"`` and ``"sigmoid"``.
    rtol : float, default=0.0
        From 0 on, below 1. Samples that provably do not matter are left out where there are many pairs: a sum is off by at
        most `rtol` times the sum of its absolute values. See
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
    y_fit_ : ndarray of shape (n_samples, n_outputs) or None
        The values b_j.
    sample_weight_fit_ : ndarray of shape (n_samples,) or None
        The weights w_j.
    n_features_in_ : int
        The number of columns of the reference samples.
    feature_names_in_ : ndarray of str
        Their names, if they had any.

    See Also
    --------
    KernelLogSumExp : The logarithm of a sum of exponentials.
    KernelSmoother : A weighted mean of the values, for regression.

    Notes
    -----
    float32 samples give float32 sums, accumulated in float64. Without
    `rtol` the number of jobs and of threads does not change a bit.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import KernelSum, kernels
    >>> potential = KernelSum(kernels.Gaussian(1.0)).fit([[0.0], [2.0]], y=[1.0, -1.0])
    >>> potential.transform([[0.0], [1.0]]).round(4)
    array([[0.8647],
           [0.    ]])
    >>> potential.gradient([[1.0]], wrt="y").round(4)
    array([0.6065, 0.6065])
    """

    @_fit_context(prefer_skip_nested_validation=True)
    @on_the_device_of_samples
    def fit(self, X, y=None, sample_weight=None):  # noqa: N803
        """Keep the reference samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The reference samples x'_j.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            The values b_j; 1 by default.
        sample_weight : array-like of shape (n_samples,), default=None
            The weights w_j; 1 by default. They may be negative.

        Returns
        -------
        self : object
        """
        X = self._fit_samples(X)
        self.kernel_ = self._fit_kernel(X.shape[1])
        self._check_kernel_samples(to_engine(X), "the reference samples")
        values = None
        if y is not None:
            values = check_values(y, X, "y", self)
            check_consistent_length(X, values)
            if values.ndim > 2:
                raise ValueError(f"y must have one or two axes: found {values.ndim}")
        weights = self._fit_weights(sample_weight, X, non_negative=False)
        self.X_fit_ = X
        self.y_fit_ = None if values is None else like(values, X)
        self.sample_weight_fit_ = weights
        dim, columns = self._bind(X.shape[1]).expression.dim, 1 if values is None else self._values().shape[1]
        if dim != columns and 1 not in (dim, columns):
            raise ValueError(
                f"the kernel has {dim} components and y has {columns} columns: expected the same number, or 1"
            )
        self._n_features_out = max(dim, columns)
        return self

    @on_the_device_of_samples
    def transform(self, X):  # noqa: N803
        """Return the sums for queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries x_i. A Dask array gives a lazy Dask array.

        Returns
        -------
        ndarray of shape (n_queries, n_outputs)
        """
        lazy = self._lazy(X, "transform", getattr(self, "_n_features_out", None))
        if lazy is not None:
            return lazy
        X = self._check_queries(X, "transform")
        x = to_engine(X)
        self._check_kernel_samples(x, "the queries")
        has_values = self.y_fit_ is not None or self.sample_weight_fit_ is not None
        reduction, _ = self._reduction(x.dtype, has_values)
        return like(over_rows(reduction, x, self.backend, self.n_jobs, self.verbose, "KernelSum"), X)

    @on_the_device_of_samples
    def gradient(self, X, grad_output=None, wrt="X"):  # noqa: N803
        """Return the gradient of ``(transform(X) * grad_output).sum()``.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries.
        grad_output : array-like of shape (n_queries, n_outputs), default=None
            The gradient by the sums; ones by default.
        wrt : str or tuple of str, default="X"
            ``"X"`` (the queries), ``"X_fit"`` (the reference samples), ``"y"``, ``"sample_weight"``, or a parameter of
            the kernel, such as ``"kernel__length_scale"``.

        Returns
        -------
        ndarray, float, or tuple of them
            In the shape of what the name stands for.
        """
        return self._gradient(X, grad_output, wrt)

    @property
    def _n_outputs(self) -> int:
        return self._n_features_out

    def _values(self) -> np.ndarray:
        """Return the values b_j as columns; one column of ones if there are none."""
        if self.y_fit_ is None:
            samples = to_engine(self.X_fit_)
            return namespace_of(samples).ones((len(samples), 1), dtype=samples.dtype)
        values = to_engine(self.y_fit_)
        return values.reshape(len(values), -1)

    def _reduction(self, dtype: np.dtype, with_values: bool) -> tuple[PairReduction, Variable | None]:
        samples = to_engine(self.X_fit_)
        bound = self._bind(samples.shape[1])
        if not with_values:
            arrays = [samples, *bound.parameter_arrays(dtype, namespace_of(samples))]
            return PairReduction(bound.expression, bound.variables, arrays, "Sum").within(self.rtol), None
        values = self._values()
        if self.sample_weight_fit_ is not None:
            values = values * to_engine(self.sample_weight_fit_)[:, None]
        reduction, b = weighted_sum(bound, samples, values, dtype)
        return reduction.within(self.rtol), b

    def _gradients(self, x, e, names):
        bound = self._bind(self.n_features_in_)
        reduction, b = self._reduction(x.dtype, with_values=True)
        # b is the product of the values and the weights, one of which may be absent.
        found = self._gradients_of(
            reduction, x, e, names, {"X": bound.x, "X_fit": bound.y, "y": b, "sample_weight": b}
        )
        if "y" in found:
            g = found["y"]
            if self.sample_weight_fit_ is not None:
                g = g * to_engine(self.sample_weight_fit_)[:, None]
            found["y"] = g.reshape((len(g),) if self.y_fit_ is None else self.y_fit_.shape)
        if "sample_weight" in found:
            found["sample_weight"] = (found["sample_weight"] * self._values()).sum(axis=1)
        return found
