"""KernelPCA: principal components in the feature space of a kernel."""

from __future__ import annotations

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_psd_eigenvalues, check_is_fitted

from skkeops.arrays.devices import namespace_of, to_device, to_host

from .base import KernelEstimator
from .eigenpairs import largest_eigenpairs
from .kernel_ridge import KernelRidge
from .namespaces import like, on_the_device_of_samples, to_engine
from .progress import progress_bar
from .training_matrix import TrainingMatrix, check_kernel_of_samples

__all__ = ["KernelPCA"]


def _learns_the_inverse(model: KernelPCA) -> bool:
    if not model.fit_inverse_transform:
        raise AttributeError("The inverse transform is not available: expected KernelPCA(..., fit_inverse_transform=True)")
    return True


class KernelPCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, KernelEstimator):
    r"""Principal components in the feature space of a kernel, without the matrix of the kernel.

    The coordinates of sample i are :math:`\sqrt{\lambda_k} \, v_{ik}` with the largest eigenvalues and the eigenvectors of the
    centred matrix,

    .. math:: P K P \, v_k = \lambda_k v_k, \qquad K_{ij} = k(x'_i, x'_j), \qquad P = I - \tfrac1n 1 1^\top,

    which ARPACK finds by products with K. It replaces `sklearn.decomposition.KernelPCA` where that matrix is too large: the same
    parameters, and the same results.

    Parameters
    ----------
    n_components : int, default=None
        How many components. None for all those with a positive eigenvalue: then the matrix is stored.
    kernel : str or Kernel, default="linear"
        As for `KernelSum`.
    gamma : float, default=None
        As for `KernelSum`.
    degree : float, default=3
        As for `KernelSum`.
    coef0 : float, default=1
        As for `KernelSum`.
    alpha : float, default=1.0
        The regularisation of the ridge regression that learns the inverse transform.
    fit_inverse_transform : bool, default=False
        Whether to learn it: a `KernelRidge` from the components to the samples.
    eigen_solver : {"auto", "dense", "arpack"}, default="auto"
        "dense" stores the matrix; "auto" does so for 200 samples at most, or if the components are more than a quarter of them.
    tol : float, default=0
        The relative accuracy of ARPACK's eigenvalues; 0 is that of float64.
    max_iter : int, default=None
        The most iterations of ARPACK; None for ten times the number of samples.
    remove_zero_eig : bool, default=False
        Whether to leave out components with the eigenvalue 0.
    random_state : int, RandomState instance or None, default=None
        ARPACK's first vector.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.
    n_jobs : int, default=None
        joblib's number of jobs, for blocks of queries. One job uses all cores already: more are for clusters.
    verbose : int, default=0
        Whether to show a progress bar (tqdm) when a fit or a transform takes long: of products, and of pairs.

    Attributes
    ----------
    eigenvalues_ : ndarray of shape (n_components,)
        The eigenvalues, descending.
    eigenvectors_ : ndarray of shape (n_samples, n_components)
        The eigenvectors, of length 1.
    n_iter_ : int
        How many products with the matrix the search took.
    dual_coef_ : ndarray of shape (n_samples, n_features)
        The coefficients of the inverse transform, if it was learned.
    X_transformed_fit_ : ndarray of shape (n_samples, n_components)
        The components that it was learned from.
    kernel_ : Kernel
        The kernel as an object, with all parameters known.
    X_fit_ : ndarray of shape (n_samples, n_features)
        The samples.
    n_features_in_ : int
        The number of columns of the samples.
    feature_names_in_ : ndarray of str
        Their names, if they had any.

    See Also
    --------
    SpectralEmbedding : Eigenvectors of the normalised kernel.
    sklearn.decomposition.KernelPCA : The same with the matrix.

    Notes
    -----
    A `White` kernel adds its noise to the diagonal of the matrix of the fit. Queries are other samples than those of the fit,
    whatever they equal: with such a kernel, ``transform(X)`` is not quite ``fit_transform(X)``, as in scikit-learn.

    References
    ----------
    B. Schölkopf, A. Smola, K.-R. Müller, "Kernel principal component analysis", ICANN 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import KernelPCA, kernels
    >>> t = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    >>> circle = np.stack([np.cos(t), np.sin(t)], axis=1)
    >>> pca = KernelPCA(2, kernel=kernels.Gaussian(1.0)).fit(circle)
    >>> pca.eigenvalues_.round(2), pca.transform(circle[:5]).shape
    (array([62.37, 62.37]), (5, 2))
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        **KernelEstimator._kernel_constraints,
        "alpha": [Interval(Real, 0, None, closed="left")],
        "fit_inverse_transform": ["boolean"],
        "eigen_solver": [StrOptions({"auto", "dense", "arpack"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "remove_zero_eig": ["boolean"],
        "random_state": ["random_state"],
        **KernelEstimator._shared_constraints,
    }

    def __init__(
        self,
        n_components=None,
        *,
        kernel="linear",
        gamma=None,
        degree=3,
        coef0=1,
        alpha=1.0,
        fit_inverse_transform=False,
        eigen_solver="auto",
        tol=0,
        max_iter=None,
        remove_zero_eig=False,
        random_state=None,
        backend="auto",
        n_jobs=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.alpha = alpha
        self.fit_inverse_transform = fit_inverse_transform
        self.eigen_solver = eigen_solver
        self.tol = tol
        self.max_iter = max_iter
        self.remove_zero_eig = remove_zero_eig
        self.random_state = random_state
        self.backend = backend
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    @on_the_device_of_samples
    def fit(self, X, y=None):  # noqa: N803
        """Find the components.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The samples x'_j.
        y : Ignored
            For Pipelines.

        Returns
        -------
        self : object
        """
        X = self._fit_samples(X)  # noqa: N806
        x = to_engine(X)
        kernel = self.kernel_ = self._fit_kernel(x.shape[1])
        self._check_kernel_samples(x, "the samples")
        bound = kernel.bind(kernel.query_columns(x.shape[1]), x.shape[1])
        check_kernel_of_samples(kernel, bound)
        matrix = TrainingMatrix(x.astype(np.float64, copy=False), None, bound, self.backend)
        noise, xp, n = matrix.shift(np.zeros(1)), namespace_of(x), len(x)

        def product(v: np.ndarray) -> np.ndarray:
            return to_host(matrix.product(to_device(v, xp))) + noise * v

        def centred(v: np.ndarray) -> np.ndarray:
            found = product(v - v.mean(axis=0))
            return found - found.mean(axis=0)

        wanted = n if self.n_components is None else min(self.n_components, n)
        options = (self.eigen_solver, self.tol, self.max_iter, self.random_state)
        with progress_bar(self.verbose, "KernelPCA.fit", "product") as progress:
            values, vectors, self.n_iter_ = largest_eigenpairs(centred, n, wanted, *options, progress)
        values = _check_psd_eigenvalues(values, enable_warnings=False)
        if self.remove_zero_eig or self.n_components is None:
            values, vectors = values[values > 0], vectors[:, values > 0]
        # The coordinates of a query are sum_j (k(x, x_j) - mean_i k(x_i, x_j)) a_j, as the columns of a have the sum 0.
        scale = np.where(values > 0, 1 / np.sqrt(np.where(values > 0, values, 1)), 0)
        coefficients = vectors * scale
        coefficients -= coefficients.mean(axis=0)
        self._offset = like(to_device(product(coefficients).mean(axis=0), xp), X)
        self.X_fit_ = X
        dtype = x.dtype
        self.eigenvalues_, self.eigenvectors_ = (like(to_device(a.astype(dtype), xp), X) for a in (values, vectors))
        self._coefficients = like(to_device(coefficients, xp), X)
        if self.fit_inverse_transform:
            self._fit_inverse((vectors * np.sqrt(values)).astype(dtype), X)
        return self

    def _fit_inverse(self, components: np.ndarray, X):  # noqa: N803
        """Learn the samples from their components, by the same kernel."""
        self.X_transformed_fit_ = like(to_device(components, namespace_of(X)), X)
        ridge = KernelRidge(alpha=self.alpha, kernel=self.kernel_, tol=1e-10, backend=self.backend)
        self._inverse = ridge.fit(self.X_transformed_fit_, X)
        self.dual_coef_ = self._inverse.dual_coef_

    def fit_transform(self, X, y=None):  # noqa: N803
        """Find the components and return those of the samples, without another pass.

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
        self.fit(X)
        values, vectors = to_engine(self.eigenvalues_), to_engine(self.eigenvectors_)
        return like(vectors * np.sqrt(values), self.X_fit_)

    @on_the_device_of_samples
    def transform(self, X):  # noqa: N803
        """Return the components of queries.

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
        found = self._sums_in_float64(x, to_engine(self._coefficients))
        return like((found - to_engine(self._offset)).astype(x.dtype, copy=False), X)

    @available_if(_learns_the_inverse)
    def inverse_transform(self, X):  # noqa: N803
        """Return samples that have, about, these components: the prediction of a ridge regression.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_components)
            The components.

        Returns
        -------
        ndarray of shape (n_queries, n_features)
        """
        check_is_fitted(self)
        return self._inverse.predict(X)

    @property
    def _n_features_out(self):
        return self.eigenvalues_.shape[0]
