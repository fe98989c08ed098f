"""SpectralEmbedding: eigenvectors of the normalised kernel as coordinates."""

from __future__ import annotations

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from skkeops.arrays.devices import namespace_of, to_device

from .base import KernelEstimator
from .namespaces import like, on_the_device_of_samples, to_engine
from .progress import progress_bar
from .spectral_coordinates import spectral_coordinates
from .training_matrix import check_kernel_of_samples

__all__ = ["SpectralEmbedding"]


class SpectralEmbedding(KernelEstimator):
    r"""Laplacian eigenmaps of a kernel, without its matrix: coordinates that keep similar samples close together.

    .. math:: D^{-1/2} K D^{-1/2} u_k = \mu_k u_k, \qquad K_{ij} = k(x'_i, x'_j) \text{ for } i \ne j, \quad K_{ii} = 0, \qquad
              D = \operatorname{diag}(K 1)

    with the largest eigenvalues, but for :math:`\mu_0 = 1`. The coordinates of sample i are :math:`u_{ik} / \sqrt{D_{ii}}`, those
    of `sklearn.manifold.SpectralEmbedding` with the affinity "rbf".
    Queries have coordinates, too, by `embed`: the formula of the eigenvectors, extended to other points (Nyström).

    Parameters
    ----------
    n_components : int, default=2
        How many coordinates.
    kernel : str or Kernel, default="rbf"
        The affinity, symmetric and not negative: as for `KernelSum`.
    gamma : float, default=None
        As for `KernelSum`.
    degree : float, default=3
        As for `KernelSum`.
    coef0 : float, default=1
        As for `KernelSum`.
    eigen_solver : {"auto", "dense", "arpack"}, default="auto"
        "dense" stores the matrix; "auto" does so for 200 samples at most, or if the components are more than a quarter of them.
    tol : float, default=0
        The relative accuracy of ARPACK's eigenvalues; 0 is that of float64.
    max_iter : int, default=None
        The most iterations of ARPACK; None for ten times the number of samples.
    random_state : int, RandomState instance or None, default=None
        ARPACK's first vector.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.
    n_jobs : int, default=None
        joblib's number of jobs, for blocks of queries. One job uses all cores already: more are for clusters.
    verbose : int, default=0
        Whether to show a progress bar (tqdm) when a fit or the coordinates of queries take long: of products, and of pairs.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, n_components)
        The coordinates of the samples.
    eigenvalues_ : ndarray of shape (n_components,)
        The eigenvalues, descending; how near to 1 they are says how well the parts hang together.
    n_iter_ : int
        How many products with the matrix the search took.
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
    KernelPCA : Eigenvectors of the centred kernel.
    SpectralClustering : Clusters of such coordinates.
    KNeighborsTransformer : A sparse graph, for scikit-learn's own `SpectralEmbedding`.

    References
    ----------
    M. Belkin, P. Niyogi, "Laplacian eigenmaps for dimensionality reduction and data representation", Neural Computation 15, 2003.
    Y. Bengio et al., "Out-of-sample extensions for LLE, Isomap, MDS, eigenmaps, and spectral clustering", NIPS 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import SpectralEmbedding, kernels
    >>> X = np.concatenate([np.linspace(0, 1, 150), np.linspace(2, 3, 150)])[:, None]
    >>> embedding = SpectralEmbedding(1, kernel=kernels.Gaussian(0.2)).fit_transform(X)
    >>> bool((embedding[:150] > 0).all() or (embedding[:150] < 0).all()), bool(embedding[0] * embedding[-1] < 0)
    (True, True)
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        **KernelEstimator._kernel_constraints,
        "eigen_solver": [StrOptions({"auto", "dense", "arpack"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        **KernelEstimator._shared_constraints,
    }

    def __init__(
        self,
        n_components=2,
        *,
        kernel="rbf",
        gamma=None,
        degree=3,
        coef0=1,
        eigen_solver="auto",
        tol=0,
        max_iter=None,
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
        self.eigen_solver = eigen_solver
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.backend = backend
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    @on_the_device_of_samples
    def fit(self, X, y=None):  # noqa: N803
        """Find the coordinates of the samples.

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
        n = len(x)
        if self.n_components >= n:
            raise ValueError(f"n_components must be less than the number of samples: found {self.n_components} and n_samples={n}")
        options = (self.eigen_solver, self.tol, self.max_iter, self.random_state)
        with progress_bar(self.verbose, "SpectralEmbedding.fit", "product") as progress:
            found = spectral_coordinates(x, kernel, bound, self.backend, self.n_components + 1, *options, progress)
        values, coordinates, self.n_iter_ = found[0][1:], found[1][:, 1:], found[2]
        xp = namespace_of(x)
        coordinates *= _signs(coordinates)
        self.X_fit_ = X
        self.eigenvalues_ = like(to_device(values.astype(x.dtype), xp), X)
        self.embedding_ = like(to_device(coordinates.astype(x.dtype), xp), X)
        self._coordinates = like(to_device(coordinates, xp), X)
        return self

    def fit_transform(self, X, y=None):  # noqa: N803
        """Find the coordinates of the samples and return them.

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
        return self.fit(X).embedding_

    @on_the_device_of_samples
    def embed(self, X):  # noqa: N803
        r"""Return the coordinates of queries: :math:`\sum_j k(x, x'_j) z_j / (\mu \sum_j k(x, x'_j))` with those of the samples, z.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries. A Dask array gives a lazy Dask array. A sample of the fit counts as another sample at its place, which is
            its own neighbour: so they are not quite those of the fit.

        Returns
        -------
        ndarray of shape (n_queries, n_components)
            NaN where the kernel is 0 for all samples.
        """
        embedding = getattr(self, "embedding_", None)
        lazy = self._lazy(X, "embed", None if embedding is None else embedding.shape[1])
        if lazy is not None:
            return lazy
        X = self._check_queries(X, "embed")  # noqa: N806
        x = to_engine(X)
        self._check_kernel_samples(x, "the queries")
        z = to_engine(self._coordinates)
        sums = self._sums_in_float64(x, np.concatenate([z, namespace_of(x).ones((len(z), 1))], axis=1))
        with np.errstate(invalid="ignore", divide="ignore"):
            found = sums[:, :-1] / (sums[:, -1:] * to_engine(self.eigenvalues_).astype(np.float64))
        return like(found.astype(x.dtype, copy=False), X)


def _signs(coordinates: np.ndarray) -> np.ndarray:
    """Return the signs that make the largest entry of each column positive."""
    largest = abs(coordinates).argmax(axis=0)
    return np.where(coordinates[largest, np.arange(coordinates.shape[1])] < 0, -1.0, 1.0)
