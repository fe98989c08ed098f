"""RPCholesky: features whose products are about a kernel, from few samples that are drawn where they are missed."""

from __future__ import annotations

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from skkeops.arrays.devices import linalg_of, namespace_of
from skkeops.solvers.cholesky import cholesky_and_pivots

from .base import KernelEstimator
from .namespaces import like, on_the_device_of_samples, to_engine
from .progress import progress_bar
from .training_matrix import TrainingMatrix, check_kernel_of_samples

__all__ = ["RPCholesky"]


class RPCholesky(ClassNamePrefixFeaturesOutMixin, TransformerMixin, KernelEstimator):
    r"""Features of low rank for a kernel, by randomly pivoted Cholesky.

    A few of the samples, S, give the features :math:`z(x) = L^{-1} k(S, x)` with :math:`L L^\top = k(S, S)`, so that

    .. math:: z(x) \cdot z(x') = k(x, S) \, k(S, S)^{-1} \, k(S, x') \approx k(x, x'),

    exactly where x or x' is in S. A linear model of the features is a kernel method in memory and time linear in the samples. It is
    scikit-learn's `Nystroem` with other samples: that one draws them uniformly, this one where what is there already misses most
    of the kernel, and it knows how much that is.

    Parameters
    ----------
    kernel : str or Kernel, default="rbf"
        As for `KernelSum`; symmetric and positive semi-definite.
    gamma : float, default=None
        As for `KernelSum`.
    degree : float, default=3
        As for `KernelSum`.
    coef0 : float, default=1
        As for `KernelSum`.
    n_components : int, default=100
        How many samples, and features, at most. None for as many as `tol` takes.
    tol : float, default=0.0
        The share of the trace of the kernel's matrix that may be missed: the features end at the first that is enough. With 0 they
        end at `n_components`, or where nothing but rounding errors is left.
    random_state : int, RandomState instance or None, default=None
        The draws.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.
    n_jobs : int, default=None
        joblib's number of jobs, for blocks of queries. One job uses all cores already: more are for clusters.
    verbose : int, default=0
        Whether to show a progress bar (tqdm) when a fit or a transform takes long: of columns, and of pairs.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The samples S that were drawn.
    component_indices_ : ndarray of int of shape (n_components,)
        Where they are among the samples of the fit.
    normalization_ : ndarray of shape (n_components, n_components)
        The inverse of L.
    trace_error_ : float
        The trace norm of what the features miss of the matrix of the samples, ``trace(K - Z @ Z.T) / trace(K)``. No entry of the
        matrix is missed by more than ``trace_error_ * trace(K)``.
    kernel_ : Kernel
        The kernel as an object, with all parameters known.
    X_fit_ : ndarray of shape (n_components, n_features)
        `components_`.
    n_features_in_ : int
        The number of columns of the samples.
    feature_names_in_ : ndarray of str
        Their names, if they had any.

    See Also
    --------
    sklearn.kernel_approximation.Nystroem : The same with samples that are drawn uniformly.
    KernelRidge : Regression with all samples; its preconditioner is made of such features.
    KernelPCA : The features that are best for their number, from products with the whole matrix.

    Notes
    -----
    Samples are drawn in blocks, of which those are rejected that the others already tell, so that their distribution is that of
    draws one by one [2]_. The fit evaluates the kernel between all samples and those drawn, and keeps the features of all samples
    until it returns: ``8 * n_samples * n_components`` bytes, and a time of ``n_samples * n_components**2``.

    The best features of r columns miss the sum of all but the r largest eigenvalues of the matrix. On average, these miss at most
    (1 + e) times as much with r / e + r log(1 / (e q)) columns, where q is the share of the trace that the best miss [1]_. A
    `White` kernel has no part in the features.

    References
    ----------
    .. [1] Y. Chen, E. N. Epperly, J. A. Tropp, R. J. Webber, "Randomly pivoted Cholesky: practical approximation of a kernel matrix
       with few entry evaluations", Communications on Pure and Applied Mathematics 78, 2025.
    .. [2] E. N. Epperly, J. A. Tropp, R. J. Webber, "Embrace rejection: kernel matrix approximation by accelerated randomly pivoted
       Cholesky", SIAM Journal on Matrix Analysis and Applications 46, 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import RPCholesky, kernels
    >>> X = np.random.default_rng(0).random((2000, 2))
    >>> features = RPCholesky(kernels.Gaussian(1.0), n_components=None, tol=1e-6, random_state=0)
    >>> Z = features.fit_transform(X)
    >>> Z.shape[1] < 60, features.trace_error_ <= 1e-6
    (True, True)
    >>> bool(abs(Z @ Z.T - kernels.Gaussian(1.0)(X)).max() < 1e-4)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **KernelEstimator._kernel_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0, 1, closed="left")],
        "random_state": ["random_state"],
        **KernelEstimator._shared_constraints,
    }

    def __init__(
        self,
        kernel="rbf",
        *,
        gamma=None,
        degree=3,
        coef0=1,
        n_components=100,
        tol=0.0,
        random_state=None,
        backend="auto",
        n_jobs=None,
        verbose=0,
    ):
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.n_components = n_components
        self.tol = tol
        self.random_state = random_state
        self.backend = backend
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(self, X, y=None):  # noqa: N803
        """Draw the samples that the features are made of.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The samples.
        y : Ignored
            For Pipelines.

        Returns
        -------
        self : object
        """
        self._fit(X)
        return self

    def fit_transform(self, X, y=None):  # noqa: N803
        """Draw the samples that the features are made of, and return the features of all, without another pass.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The samples.
        y : Ignored
            For Pipelines.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
        """
        return self._fit(X)

    @_fit_context(prefer_skip_nested_validation=True)
    @on_the_device_of_samples
    def _fit(self, X):  # noqa: N803
        """Fit, and return the features of the samples."""
        X = self._fit_samples(X)  # noqa: N806
        x = to_engine(X)
        kernel = self.kernel_ = self._fit_kernel(x.shape[1])
        self._check_kernel_samples(x, "the samples")
        bound = kernel.bind(kernel.query_columns(x.shape[1]), x.shape[1])
        check_kernel_of_samples(kernel, bound)
        matrix, xp = TrainingMatrix(x.astype(np.float64, copy=False), None, bound, self.backend), namespace_of(x)
        most = len(x) if self.n_components is None else min(self.n_components, len(x))
        with progress_bar(self.verbose, "RPCholesky.fit", "column") as progress:
            factor, pivots, is_semidefinite = cholesky_and_pivots(
                matrix.columns, matrix.diagonal, most, check_random_state(self.random_state), missed=float(self.tol),
                one_by_one=True, progress=progress,
            )  # fmt: skip
        if not is_semidefinite:
            raise ValueError(f"the kernel must be positive semi-definite: found a matrix of {kernel!r} that is not")
        scale = float(matrix.diagonal.max())
        if scale == 0:
            raise ValueError(f"the kernel must not be zero for all samples: found {kernel!r}, whose matrix has the trace 0")
        trace, squares = float((matrix.diagonal / scale).sum()), np.einsum("ij,ij->i", factor, factor) / scale
        self.trace_error_ = max(0.0, 1 - float(squares.sum()) / trace)
        inverse = linalg_of(xp).solve_triangular(factor[pivots], xp.eye(len(pivots)), lower=True)
        self.component_indices_ = like(pivots, X)
        self.components_ = self.X_fit_ = like(x[pivots], X)
        self.normalization_ = like(inverse.astype(x.dtype), X)
        self._inverse = like(inverse, X)
        self._n_features_out = len(pivots)
        return like(factor.astype(x.dtype, order="C"), X)

    @on_the_device_of_samples
    def transform(self, X):  # noqa: N803
        """Return the features of queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries. A Dask array gives a lazy Dask array.

        Returns
        -------
        ndarray of shape (n_queries, n_components)
        """
        lazy = self._lazy(X, "transform", getattr(self, "_n_features_out", None))
        if lazy is not None:
            return lazy
        X = self._check_queries(X, "transform")  # noqa: N806
        x = to_engine(X)
        self._check_kernel_samples(x, "the queries")
        found = self._sums_in_float64(x, to_engine(self._inverse).T.astype(np.float64, order="C"))
        return like(found.astype(x.dtype, copy=False), X)
