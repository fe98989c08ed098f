"""KernelRidge: ridge regression in a kernel's space, without the kernel's matrix."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array
from threadpoolctl import threadpool_limits

from skkeops.arrays.devices import namespace_of, to_host
from skkeops.formula.expression import Variable
from skkeops.solvers import Solution, low_rank_preconditioner, relative_residuals, solve
from skkeops.solvers.report import advice

from .base import KernelEstimator
from .callbacks import CallbackSupportMixin, Iterations, with_callbacks
from .namespaces import check_namespace, like, on_the_device_of_samples, to_engine
from .progress import progress_bar
from .reduction import PairReduction, weighted_sum
from .rows import over_rows
from .score import RegressorScore
from .training_matrix import TrainingMatrix
from .validation import validate_samples, validate_samples_and_targets

__all__ = ["KernelRidge"]

# The relative residual that rounding to float32 may add before coefficients are kept in float64.
_FLOAT32_RESIDUAL = 1e-5


class KernelRidge(CallbackSupportMixin, MultiOutputMixin, RegressorScore, RegressorMixin, KernelEstimator):
    r"""Kernel ridge regression without the matrix of the kernel.

    .. math:: \hat y(x) = \sum_j k(x, x_j) \, a_j, \qquad (K + \alpha I) a = y

    with :math:`K_{ij} = k(x_i, x_j)`, the matrix ``k(X)`` of a kernel object: with `skkeops.kernels.White` noise on its diagonal,
    as in a Gaussian process. The system is solved by conjugate gradients, each iteration a reduction over all
    pairs, with a preconditioner of low rank from some columns of K. It takes the memory of the samples and of the
    preconditioner, where scikit-learn's `KernelRidge` takes that of K, and gives the same predictions.

    Parameters
    ----------
    alpha : float or array-like of shape (n_targets,), (n_samples, 1) or (n_samples, n_targets), default=1
        The regularisation, not negative: one number, or as many as broadcast against the targets by NumPy's rule. One axis is that
        of the targets, as in scikit-learn's `KernelRidge`; a column is one number for each sample, the variance of its noise, as
        in `GaussianProcessRegressor`. Weights of samples divide it.
    kernel : str or Kernel, default="linear"
        As for `KernelSum`; or ``"precomputed"``, where X is the matrix K itself.
    gamma : float, default=None
        As for `KernelSum`.
    degree : float, default=3
        As for `KernelSum`.
    coef0 : float, default=1
        As for `KernelSum`.
    kernel_params : dict, default=None
        For scikit-learn's Python functions as kernels; they cannot be compiled, so that it has to be None here.
    tol : float or "auto", default="auto"
        The norm of the residual ``y - (K + alpha I) a`` to reach, relative to that of y. "auto" is 1e-8 up to 5000 samples. Above,
        it is :math:`10^{-3} \sqrt{\alpha / (\alpha + v)}`, at least 1e-8, with the mean v of the kernel's diagonal and the least
        alpha, noise of `White` included: a thousandth of the noise in the targets. Predictions at the training samples are off by
        no more than the residual, in norm.
    max_iter : int, default=1000
        The largest number of iterations.
    n_components : int or "auto", default="auto"
        The rank of the preconditioner: more make fewer iterations and take ``8 n_samples`` bytes each. "auto" is the number of
        eigenvalues above 4 `alpha`, about, and at most 700, or what 256 MB hold; 0 is none.
    random_state : int, RandomState instance or None, default=0
        For the columns that the preconditioner is made from. Solutions differ within `tol`.
    rtol : float, default=0.0
        From 0 on, below 1: predictions of many queries leave out samples that provably do not matter, and are off by at most `rtol`
        times the sum of the absolute values of what they are the sum of. See :doc:`/cost_follows_data`.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.
    n_jobs : int, default=None
        joblib's number of jobs, for blocks of queries of `predict`. One job uses all cores already.
    verbose : int, default=0
        Whether to show a progress bar (tqdm) when a fit or a prediction lasts: of iterations, and of pairs.

    Attributes
    ----------
    dual_coef_ : ndarray of shape (n_samples,) or (n_samples, n_targets)
        The coefficients a, in the dtype of X; in float64 where a float32 would not hold them: see the notes.
    X_fit_ : ndarray of shape (n_samples, n_features)
        The training samples; their matrix if the kernel is precomputed.
    kernel_ : Kernel
        The kernel as an object, with all parameters known; None if it is precomputed.
    tol_ : float
        The tolerance that was used.
    n_iter_ : int
        The number of iterations.
    residual_ : float
        The norm of the residual of `dual_coef_`, relative to that of y. In float32 rounding leaves some 1e-6 whatever `tol`.
    n_features_in_ : int
        The number of columns of X.
    feature_names_in_ : ndarray of str
        Their names, if they had any.

    Warns
    -----
    ConvergenceWarning
        If the residual is above `tol` after `max_iter` iterations, or as far as float64 goes.
    RuntimeWarning
        If the matrix is singular in float64 and y not in its range: the coefficients are those of least squares, then, as
        scikit-learn's are. If it is not positive definite, as for a kernel that is no Mercer kernel: the system is solved by
        MINRES, and may be far from what a ridge regression is. If float64 cannot hold the products with the matrix, or the
        coefficients.

    See Also
    --------
    sklearn.kernel_ridge.KernelRidge : The same by a dense Cholesky decomposition.
    KernelSmoother : Weighted means of the targets.

    Notes
    -----
    The system is solved to `tol` in float64 whatever the data. Where `alpha` is large beside the rounding errors of float32, the
    iterations compute in float32 and their residuals in float64.

    Coefficients and predictions are in the dtype of X. If that is float32, and rounding the coefficients would leave a residual
    of more than 1e-5 (`alpha` is small, and the coefficients are large and cancel) or they are out of its range, they are
    kept in float64, and predictions are computed and returned in it.

    `White` noise is on the diagonal of the system: for ``k = Gaussian() + White(s)`` it adds s to `alpha`. Queries are other
    samples, even those that are equal to a training sample, so that it has no part in a prediction. scikit-learn's `KernelRidge`
    ignores the noise in a fit, too; its `GaussianProcessRegressor` has the mean that is predicted here.

    References
    ----------
    C. Saunders, A. Gammerman, V. Vovk, "Ridge regression learning algorithm in dual variables", ICML 1998. For the
    preconditioner see `skkeops.solvers.pivoted_cholesky`.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import KernelRidge, kernels
    >>> X = np.linspace(0, 3, 20)[:, None]
    >>> model = KernelRidge(alpha=1e-3, kernel=kernels.Gaussian(1.0)).fit(X, np.sin(X[:, 0]))
    >>> model.predict([[1.0], [2.0]]).round(3)
    array([0.843, 0.911])
    """

    _parameter_constraints: ClassVar[dict] = {
        "alpha": [Interval(Real, 0, None, closed="left"), "array-like"],
        **KernelEstimator._kernel_constraints,
        "kernel_params": [dict, None],
        "tol": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_components": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "random_state": ["random_state"],
        **KernelEstimator._tolerance_constraints,
        **KernelEstimator._shared_constraints,
    }
    _own_gradient_names = ("dual_coef",)

    def __init__(
        self,
        alpha=1,
        *,
        kernel="linear",
        gamma=None,
        degree=3,
        coef0=1,
        kernel_params=None,
        tol="auto",
        max_iter=1000,
        n_components="auto",
        random_state=0,
        rtol=0.0,
        backend="auto",
        n_jobs=None,
        verbose=0,
    ):
        self.alpha = alpha
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.tol = tol
        self.max_iter = max_iter
        self.n_components = n_components
        self.random_state = random_state
        self.rtol = rtol
        self.backend = backend
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self._is_precomputed
        return tags

    @property
    def _is_precomputed(self) -> bool:
        return isinstance(self.kernel, str) and self.kernel == "precomputed"

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    @on_the_device_of_samples
    def fit(self, X, y, sample_weight=None):  # noqa: N803
        """Fit the coefficients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training samples; of shape (n_samples, n_samples) if the kernel is precomputed.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            The targets.
        sample_weight : float or array-like of shape (n_samples,), default=None
            The weights of the samples, not negative, not all zero; 1 by default.

        Returns
        -------
        self : object
        """
        if self.kernel_params is not None:
            raise ValueError(
                "The 'kernel_params' parameter of KernelRidge must be None: kernels that are Python functions cannot be "
                f"compiled. Got {self.kernel_params!r} instead."
            )
        X = self._fit_columns(X)
        X, y = validate_samples_and_targets(self, X, y)
        x = to_engine(X)
        if self._is_precomputed:
            if x.shape[0] != x.shape[1]:
                raise ValueError(f"Precomputed matrix must be a square matrix. Input is a {x.shape[0]}x{x.shape[1]} matrix.")
            self.kernel_ = None
        else:
            self.kernel_ = self._fit_kernel(x.shape[1])
            self._check_kernel_samples(x, "the training samples")
            bound = self._bind(x.shape[1])
            if bound.expression.dim != 1 or bound.x.dim != bound.y.dim:
                raise ValueError(
                    "the kernel must be a number for two samples with the same columns: found one with "
                    f"{bound.expression.dim} components for {bound.x.dim} and {bound.y.dim} columns"
                )
        weights = self._fit_weights(sample_weight, X, non_negative=True)
        targets = to_engine(y).astype(np.float64)
        b = targets.reshape(len(x), -1)
        alpha = self._check_alpha(b.shape)

        self.X_fit_ = X
        root = None
        if weights is not None:
            # The coefficients depend on alpha / w alone: nothing has to overflow where weights are large.
            weights = to_engine(weights).astype(np.float64)
            largest = max(1.0, float(weights.max()))
            root, alpha = np.sqrt(weights / largest)[:, None], alpha / largest
        bound = None if self.kernel_ is None else self._bind(x.shape[1])
        matrix = TrainingMatrix(x.astype(np.float64, copy=False), root, bound, self.backend)
        alpha = matrix.shift(alpha)

        def attributes(a: np.ndarray) -> dict[str, Any]:
            a = matrix.coefficients(a)
            return {"dual_coef_": like(a[:, 0] if targets.ndim == 1 else a, X), "X_fit_": X, "kernel_": self.kernel_}

        # The threads of the BLAS wait for work by spinning, and take the cores that the products with the kernel need;
        # what is left for them, some hundred columns, one thread does as fast.
        with threadpool_limits(1, user_api="blas"), progress_bar(self.verbose, "KernelRidge.fit", "iteration") as progress:
            iterations = Iterations(self, X, y, self.max_iter, attributes, progress)
            b = b if root is None else b * root
            self.tol_ = matrix.tolerance(alpha) if self.tol == "auto" else self.tol
            solution = self._solve(matrix, alpha, b, iterations)
            self.n_iter_, self.residual_ = solution.n_iter, solution.residual
            if x.dtype == np.float32:
                self._try_float32(matrix, alpha, b, solution)
        for name, value in attributes(solution.x).items():
            setattr(self, name, value)
        iterations.end(solution.x)
        self._warn(solution)
        return self

    def _try_float32(self, matrix: TrainingMatrix, alpha: np.ndarray, b: np.ndarray, solution: Solution) -> None:
        """Round the coefficients to float32, if predictions from these in float32 are as good."""
        matrix.dtype = np.float32
        rounded = matrix.unknowns(matrix.coefficients(solution.x))
        # The residual of products in float64 has the rounding of the coefficients, that of products in float32 also the
        # rounding of predictions.
        residuals = relative_residuals(matrix.product, alpha, b, rounded)
        residuals = np.maximum(residuals, relative_residuals(matrix.rough_product, alpha, b, rounded))
        if (residuals <= solution.residuals + _FLOAT32_RESIDUAL).all():
            self.residual_ = float(residuals.max(initial=0))
        else:
            matrix.dtype = np.float64

    @on_the_device_of_samples
    def predict(self, X):  # noqa: N803
        """Return the predictions for queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries; of shape (n_queries, n_samples) if the kernel is precomputed. A Dask array gives a lazy Dask array.

        Returns
        -------
        ndarray of shape (n_queries,) or (n_queries, n_targets)
            As many axes as the targets had.
        """
        coefficients = getattr(self, "dual_coef_", None)
        one_axis = coefficients is None or coefficients.ndim == 1
        dtype = np.float32 if coefficients is None else to_engine(coefficients).dtype
        lazy = self._lazy(X, "predict", None if one_axis else coefficients.shape[1], dtype)
        if lazy is not None:
            return lazy
        X = self._check_queries(X, "predict")
        x = self._in_working_dtype(to_engine(X))
        if self.kernel_ is None:
            return like(x @ to_engine(self.dual_coef_), X)
        self._check_kernel_samples(x, "the queries")
        reduction, _ = self._reduction(x.dtype)
        result = over_rows(reduction, x, self.backend, self.n_jobs, self.verbose, "KernelRidge")
        return like(result[:, 0] if one_axis else result, X)

    @on_the_device_of_samples
    def gradient(self, X, grad_output=None, wrt="X"):  # noqa: N803
        """Return the gradient of ``(predict(X) * grad_output).sum()``, with the coefficients held fixed.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries.
        grad_output : array-like of the shape of the prediction, default=None
            The gradient by the prediction; ones by default.
        wrt : str or tuple of str, default="X"
            ``"X"`` (the queries), ``"X_fit"`` (the training samples), ``"dual_coef"``, or a parameter of the kernel, such
            as ``"kernel__length_scale"``. That the fit would change the coefficients is not part of it: a noise level has the
            gradient 0.

        Returns
        -------
        ndarray, float, or tuple of them
            In the shape of what the name stands for.
        """
        if self._is_precomputed:
            raise ValueError("a precomputed kernel has no gradient: it is not a function of samples")
        return self._gradient(X, grad_output, wrt)

    @property
    def _n_outputs(self) -> int:
        return 1 if self.dual_coef_.ndim == 1 else self.dual_coef_.shape[1]

    def _check_queries(self, X: Any, method: str) -> Any:  # noqa: N803
        if not self._is_precomputed or not hasattr(self, "kernel_"):
            return super()._check_queries(X, method)
        X = validate_samples(self, X, reset=False)
        check_namespace(X, self, attribute="X_fit_", method=method)
        return X

    def _check_alpha(self, shape: tuple[int, int]) -> np.ndarray:
        """Return alpha as one number for each target, or (n_samples, n_targets)."""
        alpha = to_host(self.alpha).astype(np.float64)
        try:
            found = np.broadcast_to(alpha, shape)
        except ValueError:
            raise ValueError(
                "The 'alpha' parameter of KernelRidge must be a number, one for each target, or of shape (n_samples, 1) or "
                f"(n_samples, n_targets). Got an array of shape {alpha.shape} for {shape[0]} samples and {shape[1]} targets "
                "instead."
            ) from None
        check_array(alpha.reshape(1, -1), input_name="alpha")
        if (alpha < 0).any():
            raise ValueError(
                f"The 'alpha' parameter of KernelRidge must be in the range [0.0, inf). Got {self.alpha!r} instead."
            )
        return found.copy() if alpha.ndim == 2 else found[0].copy()

    def _solve(self, matrix: TrainingMatrix, alpha: np.ndarray, b: np.ndarray, iterations: Iterations) -> Solution:
        preconditioner = None
        if self.n_components != 0:
            # An indefinite kernel may still make a definite system, with the ridge: conjugate gradients will tell.
            preconditioner = low_rank_preconditioner(
                "cholesky",
                matrix.product,
                matrix.columns,
                lambda: matrix.diagonal,
                matrix.size,
                self.n_components,
                alpha,
                check_random_state(self.random_state),
                namespace_of(b),
            )
        return solve(
            matrix.product,
            alpha,
            b,
            rough=None if self.kernel_ is None else matrix.rough_product,
            preconditioner=preconditioner,
            tol=self.tol_,
            max_iter=self.max_iter,
            callback=iterations,
        )

    def _reduction(self, dtype: np.dtype) -> tuple[PairReduction, Variable]:
        samples, a = to_engine(self.X_fit_), to_engine(self.dual_coef_)
        samples, a = samples.astype(dtype, copy=False), a.reshape(len(a), -1).astype(dtype, copy=False)
        reduction, v = weighted_sum(self._bind(samples.shape[1]), samples, a, dtype)
        return reduction.within(self.rtol), v

    def _in_working_dtype(self, x: np.ndarray) -> np.ndarray:
        """Return queries in float64 if the coefficients are, or they are themselves."""
        return x.astype(np.result_type(x.dtype, to_engine(self.dual_coef_).dtype), copy=False)

    def _gradients(self, x, e, names):
        x = self._in_working_dtype(x)
        e = e.astype(x.dtype, copy=False)
        bound = self._bind(self.n_features_in_)
        reduction, a = self._reduction(x.dtype)
        found = self._gradients_of(reduction, x, e, names, {"X": bound.x, "X_fit": bound.y, "dual_coef": a})
        if "dual_coef" in found:
            found["dual_coef"] = found["dual_coef"].reshape(self.dual_coef_.shape)
        return found

    def _warn(self, solution: Solution) -> None:
        def warn(message: str, category: type[Warning] = RuntimeWarning) -> None:
            warnings.warn(message, category, stacklevel=5)

        if np.isnan(solution.residual):
            warn(
                "Products with the kernel matrix are not finite: it has entries that are infinite or NaN, or too large for "
                "float64. There is no solution."
            )
            return
        if np.isinf(solution.residual):
            warn("The coefficients are too large for float64: scale the targets, or the kernel.")
            return
        if not solution.is_definite:
            warn(
                "The kernel matrix plus alpha is not positive definite: the kernel is no Mercer kernel, or alpha is too small "
                "for its rounding errors. The system was solved by MINRES."
            )
        if solution.residual <= self.tol_ or solution.stopped:
            return
        if solution.is_singular:
            warn(
                "The kernel matrix plus alpha is singular in float64, and y is not in its range: the coefficients are those of "
                f"least squares, with a relative residual of {solution.residual:.1e}. A larger alpha makes it regular."
            )
        else:
            warn(
                f"KernelRidge did not converge: the relative residual is {solution.residual:.1e} after {solution.n_iter} "
                f"iterations, tol={self.tol_:g}. {advice(solution.n_iter, self.max_iter)}",
                ConvergenceWarning,
            )
