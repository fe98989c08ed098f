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

from skkeops import backends
from skkeops.devices import namespace_of, to_host
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import J, Variable
from skkeops.kernels.matrix import dense
from skkeops.solvers import Solution, low_rank_preconditioner, solve

from .base import KernelEstimator
from .callbacks import CallbackSupportMixin, Iterations, with_callbacks
from .namespaces import check_namespace, like, on_the_device_of_samples, to_engine
from .reduction import PairReduction
from .rows import over_rows
from .score import RegressorScore
from .validation import validate_samples, validate_samples_and_targets

__all__ = ["KernelRidge"]


class KernelRidge(CallbackSupportMixin, MultiOutputMixin, RegressorScore, RegressorMixin, KernelEstimator):
    r"""Kernel ridge regression without the matrix of the kernel.

    .. math:: \hat y(x) = \sum_j k(x, x_j) \, a_j, \qquad (K + \alpha I) a = y

    with :math:`K_{ij} = k(x_i, x_j)`. The system is solved by conjugate gradients, each iteration a reduction over all
    pairs, with a preconditioner of low rank from some columns of K. It takes the memory of the samples and of the
    preconditioner, where scikit-learn's `KernelRidge` takes that of K, and gives the same predictions.

    Parameters
    ----------
    alpha : float or array-like of shape (n_targets,), default=1
        The regularisation, not negative; one for all targets or one for each.
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
    tol : float, default=1e-8
        The norm of the residual ``y - (K + alpha I) a`` to reach, relative to that of y.
    max_iter : int, default=1000
        The largest number of iterations.
    n_components : int or "auto", default="auto"
        The rank of the preconditioner: more make fewer iterations and take ``8 n_samples`` bytes each. "auto" is the number of
        eigenvalues above 4 `alpha`, about, and at most 700, or what 256 MB hold; 0 is none.
    random_state : int, RandomState instance or None, default=0
        For the columns that the preconditioner is made from. Solutions differ within `tol`.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.
    n_jobs : int, default=None
        joblib's number of jobs, for blocks of queries of `predict`. One job uses all cores already.
    verbose : int, default=0
        Whether to show a progress bar (tqdm) when a prediction lasts.

    Attributes
    ----------
    dual_coef_ : ndarray of shape (n_samples,) or (n_samples, n_targets)
        The coefficients a.
    X_fit_ : ndarray of shape (n_samples, n_features)
        The training samples; their matrix if the kernel is precomputed.
    kernel_ : Kernel
        The kernel as an object, with all parameters known; None if it is precomputed.
    n_iter_ : int
        The number of iterations.
    residual_ : float
        The norm of the residual that was reached, relative to that of y.
    n_features_in_ : int
        The number of columns of X.
    feature_names_in_ : ndarray of str
        Their names, if they had any.

    Warns
    -----
    ConvergenceWarning
        If the residual is above `tol` after `max_iter` iterations.
    RuntimeWarning
        If the matrix is not positive definite, as for a kernel that is no Mercer kernel. The system is solved by MINRES then;
        it may be far from what a ridge regression is.

    See Also
    --------
    sklearn.kernel_ridge.KernelRidge : The same by a dense Cholesky decomposition.
    KernelSmoother : Weighted means of the targets.

    Notes
    -----
    The system is solved to `tol` in float64 whatever the data; coefficients and predictions are in the dtype of X. Where `alpha`
    is large beside the rounding errors of float32, the iterations compute in float32 and their residuals in float64.

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
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_components": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "random_state": ["random_state"],
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
        tol=1e-8,
        max_iter=1000,
        n_components="auto",
        random_state=0,
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
        alpha = self._check_alpha(b.shape[1])

        self.X_fit_ = X
        root = None if weights is None else np.sqrt(to_engine(weights).astype(np.float64))[:, None]
        matrix = _Matrix(self, x.astype(np.float64, copy=False), root)

        def attributes(a: np.ndarray) -> dict[str, Any]:
            return {"dual_coef_": self._coefficients(a, root, targets.ndim, X), "X_fit_": X, "kernel_": self.kernel_}

        iterations = Iterations(self, X, y, self.max_iter, attributes)
        # The threads of the BLAS wait for work by spinning, and take the cores that the products with the kernel need;
        # what is left for them, some hundred columns, one thread does as fast.
        with threadpool_limits(1, user_api="blas"):
            solution = self._solve(matrix, alpha, b if root is None else b * root, iterations)
        for name, value in attributes(solution.x).items():
            setattr(self, name, value)
        self.n_iter_, self.residual_ = solution.n_iter, solution.residual
        iterations.end(solution.x)
        self._warn(solution)
        return self

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
        lazy = self._lazy(X, "predict", None if one_axis else coefficients.shape[1])
        if lazy is not None:
            return lazy
        X = self._check_queries(X, "predict")
        x = to_engine(X)
        if self.kernel_ is None:
            return like(x @ to_engine(self.dual_coef_), X)
        self._check_kernel_samples(x, "the queries")
        reduction, _ = self._reduction(x.dtype)
        result = over_rows(reduction, x, self.backend, self.n_jobs, self.verbose, "KernelRidge")
        return like(result[:, 0] if one_axis else result, X)

    @on_the_device_of_samples
    def gradient(self, X, grad_output=None, wrt="X"):  # noqa: N803
        """Return the gradient of ``(predict(X) * grad_output).sum()``, the coefficients standing still.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries.
        grad_output : array-like of the shape of the prediction, default=None
            The gradient by the prediction; ones by default.
        wrt : str or tuple of str, default="X"
            ``"X"`` (the queries), ``"X_fit"`` (the training samples), ``"dual_coef"``, or a parameter of the kernel, such
            as ``"kernel__length_scale"``. That the fit would change the coefficients is not part of it.

        Returns
        -------
        ndarray, float, or tuple of them
            In the shape of what the name stands for.
        """
        if self._is_precomputed:
            raise ValueError("a precomputed kernel has no gradient: it is not a function of samples")
        return self._gradient(X, grad_output, wrt, "gradient")

    @property
    def _n_outputs(self) -> int:
        return 1 if self.dual_coef_.ndim == 1 else self.dual_coef_.shape[1]

    def _check_queries(self, X: Any, method: str) -> Any:  # noqa: N803
        if not self._is_precomputed or not hasattr(self, "kernel_"):
            return super()._check_queries(X, method)
        X = validate_samples(self, X, reset=False)
        check_namespace(X, self, attribute="X_fit_", method=method)
        return X

    def _check_alpha(self, n_targets: int) -> np.ndarray:
        alpha = to_host(self.alpha).astype(np.float64)
        if alpha.ndim > 1 or (alpha.ndim == 1 and alpha.size not in (1, n_targets)):
            raise ValueError(
                "The 'alpha' parameter of KernelRidge must be a number, or one for each target. "
                f"Got an array of shape {alpha.shape} for {n_targets} targets instead."
            )
        check_array(alpha.reshape(1, -1), input_name="alpha")
        if (alpha < 0).any():
            raise ValueError(
                f"The 'alpha' parameter of KernelRidge must be in the range [0.0, inf). Got {self.alpha!r} instead."
            )
        return np.broadcast_to(alpha, (n_targets,)).copy()

    def _solve(self, matrix: _Matrix, alpha: np.ndarray, b: np.ndarray, iterations: Iterations) -> Solution:
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
            tol=self.tol,
            max_iter=self.max_iter,
            callback=iterations,
        )

    def _coefficients(self, a: np.ndarray, root: np.ndarray | None, ndim: int, X: Any) -> Any:  # noqa: N803
        a = a if root is None else a * root
        return like((a[:, 0] if ndim == 1 else a).astype(to_engine(X).dtype), X)

    def _reduction(self, dtype: np.dtype) -> tuple[PairReduction, Variable]:
        samples, a = to_engine(self.X_fit_), to_engine(self.dual_coef_)
        return _weighted_sum(self._bind(samples.shape[1]), samples, a.reshape(len(a), -1), dtype)

    def _gradients(self, x, e, names):
        bound = self._bind(self.n_features_in_)
        reduction, a = self._reduction(x.dtype)
        found = self._gradients_of(reduction, x, e, names, {"X": bound.x, "X_fit": bound.y, "dual_coef": a})
        if "dual_coef" in found:
            found["dual_coef"] = found["dual_coef"].reshape(self.dual_coef_.shape)
        return found

    def _warn(self, solution: Solution) -> None:
        if not solution.is_definite:
            warnings.warn(
                "The kernel matrix plus alpha is not positive definite: the kernel is no Mercer kernel, or alpha is too small "
                "for its rounding errors. The system was solved by MINRES.",
                RuntimeWarning,
                stacklevel=4,
            )
        if np.isnan(solution.residual):
            warnings.warn(
                "The kernel matrix has entries that are infinite or NaN: there is no solution.", RuntimeWarning, stacklevel=4
            )
        elif solution.residual > self.tol and not solution.stopped:
            warnings.warn(
                f"KernelRidge did not converge: the relative residual is {solution.residual:.1e} after {solution.n_iter} "
                f"iterations, tol={self.tol:g}. Increase max_iter, n_components or alpha, or accept a larger tol.",
                ConvergenceWarning,
                stacklevel=4,
            )


class _Matrix:
    """The matrix K of the training samples, each row and column times a root of a weight: its products, columns and
    diagonal."""

    def __init__(self, estimator: KernelRidge, x: np.ndarray, root: np.ndarray | None):
        self._x = x
        self._rough_x: np.ndarray | None = None
        self._root = root
        self._backend = estimator.backend
        self._bound = None if estimator.kernel_ is None else estimator._bind(x.shape[1])
        self.size = len(x)
        self.diagonal = self._diagonal()

    def _diagonal(self) -> np.ndarray:
        if self._bound is None:
            found = np.diagonal(self._x)
        else:
            # As between two samples that are equal, not of a sample with itself: White is zero, as in scikit-learn.
            bound = self._bound
            value = substitute(bound.expression, {bound.y: bound.x})
            arrays = (self._x, *bound.parameter_arrays(self._x.dtype, namespace_of(self._x)))
            evaluate = backends.get(self._backend, namespace_of(self._x)).evaluate
            found = evaluate((value,), (bound.x, *bound.parameters.values()), arrays, len(self._x))[0][:, 0]
        return found if self._root is None else found * self._root[:, 0] ** 2

    def product(self, v: np.ndarray) -> np.ndarray:
        """Return K @ v."""
        return self._product(self._x, v)

    def rough_product(self, v: np.ndarray) -> np.ndarray:
        """Return K @ v, computed in float32: in a third of the time."""
        with np.errstate(over="ignore"):
            if self._rough_x is None:
                self._rough_x = self._x.astype(np.float32)
            return self._product(self._rough_x, v).astype(np.float64)

    def _product(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        v = v if self._root is None else v * self._root
        if self._bound is None:
            image = x @ v.astype(x.dtype, copy=False)
        else:
            reduction, _ = _weighted_sum(self._bound, x, v.astype(x.dtype, order="C", copy=False), x.dtype)
            image = reduction(x, self._backend)
        return image if self._root is None else image * self._root

    def columns(self, which: np.ndarray) -> np.ndarray:
        """Return some columns of K."""
        found = self._x[:, which] if self._bound is None else dense(self._bound, None, self._x, self._x[which])[:, :, 0]
        return found if self._root is None else found * self._root * self._root[which, 0]


def _weighted_sum(bound: Any, samples: np.ndarray, a: np.ndarray, dtype: np.dtype) -> tuple[PairReduction, Variable]:
    """Return the sum over samples of the kernel times columns of a, and the variable of these."""
    v = Variable(len(bound.variables), a.shape[1], J)
    arrays = [samples, *bound.parameter_arrays(dtype, namespace_of(samples)), a]
    return PairReduction(bound.expression * v, (*bound.variables, v), arrays, "Sum"), v
