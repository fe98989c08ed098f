"""GaussianProcessRegressor: scikit-learn's, with kernels that are formulas."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin, _fit_context, clone
from sklearn.gaussian_process.kernels import Kernel as SklearnKernel
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from skkeops.arrays.devices import namespace_of, to_device, to_host
from skkeops.kernels import Constant, Gaussian

from .base import KernelEstimator
from .blas_threads import few_threads
from .covariance import covariance_of
from .exact_process import NotPositiveDefinite
from .gaussian_process_predictions import ProcessPredictions
from .iterative_process import Settings
from .likelihood_search import search
from .namespaces import like, on_the_device_of_samples, to_engine
from .process_data import ProcessData
from .process_report import check_diagonal, not_definite, warn_of_process
from .score import RegressorScore
from .stochastic_search import stochastic_search
from .validation import validate_samples_and_targets

__all__ = ["GaussianProcessRegressor"]

_ITERATIVE = 5000  # samples from which on the Cholesky factor takes clearly longer: docs/design/estimators.md


class GaussianProcessRegressor(ProcessPredictions, MultiOutputMixin, RegressorScore, RegressorMixin, KernelEstimator):
    r"""Gaussian-process regression, kriging: scikit-learn's `GaussianProcessRegressor`, with kernels that are formulas.

    The targets are values of a Gaussian process with the covariance k, and noise of the variance :math:`\alpha`. Given them, the
    process at x has the mean and the variance

    .. math:: \mu(x) = k_x^\top (K + \alpha I)^{-1} y, \qquad \sigma^2(x) = k(x, x) - k_x^\top (K + \alpha I)^{-1} k_x,

    and the parameters of the kernel are those of the largest marginal likelihood

    .. math:: \log p(y) = -\tfrac12 y^\top (K + \alpha I)^{-1} y - \tfrac12 \log |K + \alpha I| - \tfrac n2 \log 2 \pi .

    Parameters
    ----------
    kernel : Kernel, default=None
        One of `skkeops.kernels` or of `sklearn.gaussian_process.kernels`. Default: ``Constant(1.0) * Gaussian(1.0)``.
    alpha : float or array-like of shape (n_samples,), default=1e-10
        The variance of the noise, not negative: what is added to the diagonal of K; one number, or one for each sample. A sample
        of the weight w is one with ``alpha / w``.
    optimizer : "fmin_l_bfgs_b", callable or None, default="fmin_l_bfgs_b"
        SciPy's L-BFGS-B; or scikit-learn's kind of function, ``optimizer(obj_func, initial_theta, bounds)``, which returns theta
        and the objective there; or None for the kernel as it is.
    n_restarts_optimizer : int, default=0
        The number of further starts, drawn uniformly between the bounds of theta.
    normalize_y : bool, default=False
        Whether the process is that of the targets minus their mean, divided by their deviation.
    copy_X_train : bool, default=True
        Whether the training data are copied.
    n_targets : int, default=None
        The number of targets of a process that is not fitted yet.
    random_state : int, RandomState instance or None, default=None
        For the starts of the optimiser; for "iterative" also for the probes and the subsets of samples.
    method : {"auto", "cholesky", "iterative"}, default="auto"
        "cholesky" decomposes the matrix, and is exact. "iterative" takes memory in proportion to the samples: conjugate gradients,
        with likelihoods and derivatives that are estimates, see the notes. "auto" is "iterative" from 5000 samples on, where the
        kernel has a formula here.
    n_probes : int, default=32
        For "iterative": the random vectors that estimate traces, at least 4. The search doubles their number where it needs more.
    n_components : int or "auto", default="auto"
        For "iterative": the rank of the preconditioner; it takes ``8 n_samples`` bytes each. "auto" is the number of
        eigenvalues above the noise, about, at most 700, or what 352 MB hold.
    tol : float, default=1e-6
        For "iterative": the norm of the residual of ``(K + alpha I) a = y``, relative to that of y.
    max_iter : int, default=1000
        For "iterative": the largest number of products with the matrix for one likelihood.
    mean : {"zero", "constant", "linear"}, default="zero"
        The mean of the process before it has seen data: zero; or a constant, or a plane, whose coefficients generalised least
        squares find with every parameter of the kernel (ordinary and universal kriging). That they are estimated is a part of the
        predicted variance; the likelihood is that at these coefficients.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.
    verbose : int, default=0
        Whether to print every likelihood that the optimiser asks for.

    Attributes
    ----------
    X_train_ : array-like of shape (n_samples, n_features)
        The training samples.
    y_train_ : array-like of shape (n_samples,) or (n_samples, n_targets)
        The targets, normalised if asked for.
    kernel_ : Kernel
        The kernel with the parameters that were found, of the class of `kernel`.
    L_ : ndarray of shape (n_samples, n_samples)
        The Cholesky factor of K + alpha I; not for "iterative".
    alpha_ : ndarray of shape (n_samples,) or (n_samples, n_targets)
        The coefficients of the samples, :math:`(K + \alpha I)^{-1} y`, or of y minus its trend.
    mean_coef_ : ndarray of shape (n_coefficients,) or (n_coefficients, n_targets)
        The intercept and, for ``mean="linear"``, the slope along each feature, in the units of y; none for ``"zero"``.
    log_marginal_likelihood_value_ : float
        That of ``kernel_.theta``; for "iterative" an estimate.
    log_marginal_likelihood_error_ : float
        Its standard error; 0 for "cholesky".
    gradient_, gradient_error_ : ndarray of shape (n_kernel_params,)
        For "iterative": the derivative by theta there, and its standard error.
    method_ : {"cholesky", "iterative"}
        The method that was used.
    n_probes_ : int
        For "iterative": the number of probes at the end.
    n_iter_ : int
        For "iterative": the number of products with the matrix for the last likelihood; 1 for "cholesky".
    residual_ : float
        For "iterative": the norm of the residual, relative to that of y.
    n_features_in_ : int
        The number of columns of X.
    feature_names_in_ : ndarray of str
        Their names, if they had any.

    Raises
    ------
    ValueError
        If the kernel is not finite for a sample with itself.
    numpy.linalg.LinAlgError
        If K + alpha I is not positive definite: the message names two samples that are equal, if some without noise are.

    Warns
    -----
    ConvergenceWarning
        For "iterative": if the residual is above `tol`, or the matrix showed that it is not positive definite; with the
        residual. Also if a parameter is at one of its bounds.

    See Also
    --------
    sklearn.gaussian_process.GaussianProcessRegressor : The same numbers.
    KernelRidge : The mean alone, without the matrix of the kernel.

    Notes
    -----
    Everything is computed in float64 from samples in float64 or float32, and results are in float64. A kernel of scikit-learn
    that has no formula here, such as a class of your own, computes its matrices itself, as in scikit-learn.

    "iterative" never stores the matrix. The log-determinant is that of a preconditioner, exact, plus what stochastic Lanczos
    quadrature finds of the rest; derivatives are Hutchinson's traces. They come with standard errors, widened so that three of
    them hold 99.7 % of the time for few probes, too. The probes are the same for all parameters. The search starts from what
    the exact likelihood of 2000 samples, drawn at random, says, from all starts that are asked for, and goes on with larger
    subsets, and with all samples until no component of the derivative is larger than its standard error, or a step promises
    less than a tenth of a unit of log-likelihood. Deviations of up to 512 queries come from a
    system for each. For more they are upper bounds, from 64 neighbours and the leading directions of the preconditioner: how
    much larger they are is measured on 32 of the queries, told by `deviation_error`, and a warning says if it is more than a
    few percent. `sample_y` draws by Matheron's rule.

    Classification is not there.

    References
    ----------
    C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press, 2006, algorithm 2.1 and equation
    5.9.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import GaussianProcessRegressor, kernels
    >>> X = np.linspace(0, 5, 30)[:, None]
    >>> model = GaussianProcessRegressor(kernels.Gaussian(1.0), alpha=1e-4).fit(X, np.sin(X[:, 0]))
    >>> mean, deviation = model.predict([[1.0], [9.0]], return_std=True)
    >>> mean.round(3)[0], deviation.round(2)
    (np.float64(0.841), array([0.  , 0.89]))
    """

    _parameter_constraints: ClassVar[dict] = {
        "kernel": [None, SklearnKernel],
        "alpha": [Interval(Real, 0, None, closed="left"), "array-like"],
        "optimizer": [StrOptions({"fmin_l_bfgs_b"}), callable, None],
        "n_restarts_optimizer": [Interval(Integral, 0, None, closed="left")],
        "normalize_y": ["boolean"],
        "copy_X_train": ["boolean"],
        "n_targets": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "method": [StrOptions({"auto", "cholesky", "iterative"})],
        "n_probes": [Interval(Integral, 4, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "mean": [StrOptions({"zero", "constant", "linear"})],
        "backend": KernelEstimator._shared_constraints["backend"],
        "verbose": KernelEstimator._shared_constraints["verbose"],
    }

    def __init__(
        self,
        kernel=None,
        *,
        alpha=1e-10,
        optimizer="fmin_l_bfgs_b",
        n_restarts_optimizer=0,
        normalize_y=False,
        copy_X_train=True,
        n_targets=None,
        random_state=None,
        method="auto",
        n_probes=32,
        n_components="auto",
        tol=1e-6,
        max_iter=1000,
        mean="zero",
        backend="auto",
        verbose=0,
    ):
        self.kernel = kernel
        self.alpha = alpha
        self.optimizer = optimizer
        self.n_restarts_optimizer = n_restarts_optimizer
        self.normalize_y = normalize_y
        self.copy_X_train = copy_X_train
        self.n_targets = n_targets
        self.random_state = random_state
        self.method = method
        self.n_probes = n_probes
        self.n_components = n_components
        self.tol = tol
        self.max_iter = max_iter
        self.mean = mean
        self.backend = backend
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    @on_the_device_of_samples
    def fit(self, X, y):  # noqa: N803
        """Find the parameters of the kernel, and prepare predictions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of object
            The training samples.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            The targets. The likelihood of several is that of independent processes with one kernel.

        Returns
        -------
        self : object
        """
        kernel = Constant() * Gaussian() if self.kernel is None else clone(self.kernel)
        if kernel.requires_vector_input:
            X, y = validate_samples_and_targets(self, self._fit_columns(X), y)
            x = to_engine(X)
            x = x.astype(np.float64, copy=self.copy_X_train)
        else:
            X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, ensure_2d=False, dtype=None)
            x = X
            if self.mean == "linear":
                raise ValueError("mean='linear' is for samples with features: found a kernel that takes other samples")
        targets = to_engine(y).astype(np.float64)
        n_targets = 1 if targets.ndim == 1 else targets.shape[1]
        if self.n_targets not in (None, n_targets):
            raise ValueError(
                "The number of targets seen in `y` is different from the parameter "
                f"`n_targets`. Got {n_targets} != {self.n_targets}."
            )
        centre, scale = self._normalisation(targets)
        targets = (targets - centre) / scale
        alpha = self._check_alpha(len(targets), namespace_of(targets))
        random = check_random_state(self.random_state)
        settings = self._settings(kernel, x, random)
        data = ProcessData(x, targets.reshape(len(targets), -1), alpha, self.mean, self.backend, settings)
        check_diagonal(data, kernel)

        with few_threads(len(targets), settings is not None):
            value = process = None
            if self.optimizer is not None and kernel.n_dims > 0:
                objective, n_restarts = self._objective(data, kernel), self.n_restarts_optimizer
                if settings is None or callable(self.optimizer):
                    theta, least = search(objective, kernel, self.optimizer, n_restarts, random)
                    value = -least
                else:
                    theta, process = stochastic_search(data, kernel, n_restarts, random, self._tell)
                kernel.theta = theta
                kernel._check_bounds_params()
            try:
                process = data.process(kernel) if process is None else process
            except NotPositiveDefinite as error:
                raise np.linalg.LinAlgError(not_definite(data, kernel)) from error
            if not process.is_exact:
                process.finish()
            gradient = None if process.is_exact else process.slope()

        self.kernel_ = kernel
        self.X_train_ = X.copy() if self.copy_X_train and hasattr(X, "copy") else X
        self.y_train_ = like(targets, X)
        self._data, self._process, self._scaling = data, process, (centre, scale)
        self.alpha_ = like(process.fit.dual.reshape(targets.shape), X)
        coefficients = data.trend.coefficients(process.fit.beta) * scale
        if len(coefficients):
            coefficients[0] += centre
        self.mean_coef_ = like(coefficients[:, 0] if targets.ndim == 1 else coefficients, X)
        self.log_marginal_likelihood_value_, self.log_marginal_likelihood_error_ = process.log_likelihood, 0.0
        if process.is_exact:
            self.method_, self.n_iter_, self.L_ = "cholesky", 1, like(process.factor, X)
            if value is not None:
                self.log_marginal_likelihood_value_ = value
        else:
            self.method_, self.log_marginal_likelihood_error_ = "iterative", process.log_likelihood_error
            self.gradient_, self.gradient_error_ = gradient, process.slope_error
            self.n_probes_, self.n_iter_, self.residual_ = data.settings.n_probes, process.n_iter, process.residual
            warn_of_process(process, self.tol)
        return self

    def _settings(self, kernel: Any, x: Any, random: np.random.RandomState) -> Settings | None:
        """Return how to solve iteratively, None for the Cholesky factor."""
        if self.method == "cholesky" or (self.method == "auto" and len(x) < _ITERATIVE):
            return None
        if not covariance_of(kernel, x, self.backend).has_formula:
            if self.method == "auto":
                return None
            raise ValueError(f"method='iterative' takes kernels that have a formula: {kernel} has none")
        seed = int(random.randint(2**31 - 1))
        return Settings(self.n_probes, self.n_components, self.tol, self.max_iter, seed)

    def _normalisation(self, y: Any) -> tuple[Any, Any]:
        """Return what is subtracted from the targets, and what they are divided by."""
        if not self.normalize_y:
            return namespace_of(y).zeros(y.shape[1:]), namespace_of(y).ones(y.shape[1:])
        scale = to_host(y.std(axis=0))
        # Small targets are divided by their deviation, too; that of equal ones is the rounding of their mean.
        scale = np.where(scale > 1e-15 * np.abs(to_host(y)).max(axis=0), scale, 1.0)
        return y.mean(axis=0), to_device(np.asarray(scale), namespace_of(y))

    def _check_alpha(self, n_samples: int, xp: Any) -> Any:
        alpha = to_host(self.alpha)
        if alpha.ndim == 0:
            return float(alpha)
        if alpha.shape == (1,):
            alpha = np.broadcast_to(alpha, (n_samples,))
        if alpha.shape != (n_samples,):
            raise ValueError(
                f"alpha must be a scalar or an array with same number of entries as y. ({alpha.shape[0]} != {n_samples})"
                if alpha.ndim == 1
                else f"alpha must be a scalar or an array of shape (n_samples,): found the shape {alpha.shape}"
            )
        alpha = check_array(alpha, ensure_2d=False, dtype=np.float64, input_name="alpha")
        if (alpha < 0).any():
            raise ValueError(
                "The 'alpha' parameter of GaussianProcessRegressor must be in the range [0.0, inf). "
                f"Got {self.alpha!r} instead."
            )
        return to_device(alpha, xp)

    def _objective(self, data: ProcessData, kernel: Any) -> Any:
        """Return the negative log-likelihood as a function of theta."""
        count = 0

        def objective(theta, eval_gradient=True):
            nonlocal count
            kernel.theta = theta
            found = data.likelihood(kernel, eval_gradient)
            count += 1
            self._tell(f"{count}: log-likelihood {found[0] if eval_gradient else found:.6g} of {kernel}")
            return (-found[0], -found[1]) if eval_gradient else -found

        return objective

    def _tell(self, line: str) -> None:
        if self.verbose:
            print(f"[GaussianProcessRegressor] {line}", flush=True)

    def log_marginal_likelihood(self, theta=None, eval_gradient=False, clone_kernel=True):
        """Return the log marginal likelihood of the training data.

        Parameters
        ----------
        theta : array-like of shape (n_kernel_params,), default=None
            The logarithms of the parameters of the kernel; those of the fit by default.
        eval_gradient : bool, default=False
            Whether to return the derivative by theta, too. Only with `theta`.
        clone_kernel : bool, default=True
            Whether ``kernel_`` stays as it is. If False it has the parameters `theta` afterwards.

        Returns
        -------
        log_likelihood : float
            -inf where the matrix is not positive definite.
        log_likelihood_gradient : ndarray of shape (n_kernel_params,)
            Only if `eval_gradient`.
        """
        if theta is None:
            if eval_gradient:
                raise ValueError("Gradient can only be evaluated for theta!=None")
            return self.log_marginal_likelihood_value_
        kernel = self.kernel_.clone_with_theta(theta) if clone_kernel else self.kernel_
        kernel.theta = theta
        with few_threads(len(self._data.y), self._data.settings is not None):
            return self._data.likelihood(kernel, eval_gradient)

    def likelihood_gradient(self, wrt=None):
        """Return the derivative of the log marginal likelihood, at the parameters of the fit, by parameters as they are.

        Parameters
        ----------
        wrt : str, sequence of str or None, default=None
            Parameters of the kernel, fixed ones and ones that may be negative among them, such as ``"kernel__length_scale"``, or
            ``"alpha"``. None means all.

        Returns
        -------
        float or ndarray, tuple or dict of them
            In the shape of the parameter; a tuple for a sequence, a dict by name for None.

        Examples
        --------
        >>> from skkeops import GaussianProcessRegressor, kernels
        >>> model = GaussianProcessRegressor(kernels.Gaussian(1.0), alpha=0.5, optimizer=None).fit([[0.0], [1.0]], [0.0, 1.0])
        >>> sorted(model.likelihood_gradient())
        ['alpha', 'kernel__length_scale']
        """
        check_is_fitted(self, "kernel_")
        covariance = self._process.covariance
        self._check_formula("likelihood_gradient")
        parameters = {f"kernel__{name}": name for name in covariance.bound.parameters}
        names = [*parameters, "alpha"] if wrt is None else [wrt] if isinstance(wrt, str) else list(wrt)
        for name in names:
            if name not in (*parameters, "alpha"):
                raise ValueError(f"wrt must be one of {', '.join(map(repr, (*parameters, 'alpha')))}: found {name!r}")
        with few_threads(len(self._data.y), self._data.settings is not None):
            slopes = self._process.slopes([parameters[name] for name in names if name != "alpha"])
        values = covariance.kernel.get_params()

        def shaped(name):
            if name == "alpha":
                found = slopes["alpha"]
                return float(found.sum()) if np.ndim(self.alpha) == 0 else found
            found = slopes[parameters[name]].reshape(np.shape(values[parameters[name]]))
            return found if found.ndim else float(found)

        if wrt is None:
            return {name: shaped(name) for name in names}
        return shaped(wrt) if isinstance(wrt, str) else tuple(shaped(name) for name in names)
