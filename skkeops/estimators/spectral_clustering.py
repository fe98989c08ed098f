"""SpectralClustering: clusters of any shape, under any kernel, without its matrix."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClusterMixin, _fit_context
from sklearn.cluster import k_means
from sklearn.cluster._spectral import cluster_qr, discretize
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from skkeops.arrays.devices import namespace_of, to_device

from .base import KernelEstimator
from .namespaces import like, on_the_device_of_samples, to_engine
from .progress import progress_bar
from .spectral_coordinates import spectral_coordinates
from .training_matrix import check_kernel_of_samples

__all__ = ["SpectralClustering"]

_STORED = ("nearest_neighbors", "precomputed_nearest_neighbors", "precomputed")


class SpectralClustering(ClusterMixin, KernelEstimator):
    r"""Clusters of any shape, connected under a kernel, without the matrix of the kernel.

    Samples get coordinates by eigenvectors of the normalised kernel, as in `SpectralEmbedding`, in which clusters are found as
    `sklearn.cluster.SpectralClustering` finds them: the same parameters, and the same clusters, in memory linear in the samples.

    Parameters
    ----------
    n_clusters : int, default=8
        How many clusters.
    eigen_solver : {"auto", "dense", "arpack"}, default="auto"
        "dense" stores the matrix; "auto" does so for 200 samples at most, or if the components are more than a quarter of them.
    n_components : int, default=None
        How many eigenvectors; None for `n_clusters`.
    random_state : int, RandomState instance or None, default=None
        ARPACK's first vector, and the starts of k-means.
    n_init : int, default=10
        How often k-means starts; its best result is taken.
    gamma : float, default=1.0
        For an affinity by name, as for `KernelSum`.
    affinity : str or Kernel, default="rbf"
        The kernel, symmetric and not negative: a name, a formula of x and y, or a kernel object, as for `KernelSum`.
    eigen_tol : float, default=0.0
        The relative accuracy of ARPACK's eigenvalues; 0 is that of float64.
    assign_labels : {"kmeans", "discretize", "cluster_qr"}, default="kmeans"
        What makes clusters of the coordinates: see scikit-learn. "cluster_qr" has neither parameters nor starts.
    degree : float, default=3
        For an affinity by name, as for `KernelSum`.
    coef0 : float, default=1
        For an affinity by name, as for `KernelSum`.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays. Coordinates become clusters on the host.
    verbose : bool or int, default=False
        Whether to show a progress bar (tqdm) of products when the search for eigenvectors takes long.

    Attributes
    ----------
    labels_ : ndarray of int of shape (n_samples,)
        The cluster of each sample, from 0 on.
    embedding_ : ndarray of shape (n_samples, n_components)
        The coordinates, the first of which is constant if all samples are connected.
    eigenvalues_ : ndarray of shape (n_components,)
        The eigenvalues, descending from 1. A gap after the k-th suggests k clusters.
    n_iter_ : int
        How many products with the matrix the search of the eigenvectors took.
    kernel_ : Kernel
        The affinity as an object, with all parameters known.
    n_features_in_ : int
        The number of columns of the samples.
    feature_names_in_ : ndarray of str
        Their names, if they had any.

    See Also
    --------
    SpectralEmbedding : The coordinates, also those of other points.
    KNeighborsTransformer : Graphs for scikit-learn's `SpectralClustering(affinity="precomputed_nearest_neighbors")`.

    References
    ----------
    U. von Luxburg, "A tutorial on spectral clustering", Statistics and Computing 17, 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import SpectralClustering, kernels
    >>> t = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    >>> circle = np.stack([np.cos(t), np.sin(t)], axis=1)
    >>> rings = np.concatenate([circle, 3 * circle])
    >>> labels = SpectralClustering(2, affinity=kernels.Gaussian(0.3), random_state=0).fit_predict(rings)
    >>> len(set(labels[:200])), len(set(labels[200:])), bool(labels[0] != labels[-1])
    (1, 1, True)
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "eigen_solver": [StrOptions({"auto", "dense", "arpack"})],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        **{name: KernelEstimator._kernel_constraints[name] for name in ("gamma", "degree", "coef0")},
        "affinity": KernelEstimator._kernel_constraints["kernel"],
        "eigen_tol": [Interval(Real, 0, None, closed="left")],
        "assign_labels": [StrOptions({"kmeans", "discretize", "cluster_qr"})],
        "backend": KernelEstimator._shared_constraints["backend"],
        "verbose": KernelEstimator._shared_constraints["verbose"],
    }

    def __init__(
        self,
        n_clusters=8,
        *,
        eigen_solver="auto",
        n_components=None,
        random_state=None,
        n_init=10,
        gamma=1.0,
        affinity="rbf",
        eigen_tol=0.0,
        assign_labels="kmeans",
        degree=3,
        coef0=1,
        backend="auto",
        verbose=False,
    ):
        self.n_clusters = n_clusters
        self.eigen_solver = eigen_solver
        self.n_components = n_components
        self.random_state = random_state
        self.n_init = n_init
        self.gamma = gamma
        self.affinity = affinity
        self.eigen_tol = eigen_tol
        self.assign_labels = assign_labels
        self.degree = degree
        self.coef0 = coef0
        self.backend = backend
        self.verbose = verbose

    @property
    def kernel(self) -> Any:
        """The affinity, under the name that other estimators have for it."""
        return self.affinity

    @_fit_context(prefer_skip_nested_validation=True)
    @on_the_device_of_samples
    def fit(self, X, y=None):  # noqa: N803
        """Find the clusters.

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
        if isinstance(self.affinity, str) and self.affinity in _STORED:
            raise ValueError(
                f"affinity={self.affinity!r} is a stored matrix: expected a kernel, which needs none. For a graph of neighbours, "
                "give skkeops.KNeighborsTransformer's to sklearn.cluster.SpectralClustering("
                "affinity='precomputed_nearest_neighbors')"
            )
        X = self._fit_samples(X)  # noqa: N806
        x = to_engine(X)
        kernel = self.kernel_ = self._fit_kernel(x.shape[1])
        self._check_kernel_samples(x, "the samples")
        bound = kernel.bind(kernel.query_columns(x.shape[1]), x.shape[1])
        check_kernel_of_samples(kernel, bound)
        n_components = self.n_clusters if self.n_components is None else self.n_components
        if max(self.n_clusters, n_components) > len(x):
            raise ValueError(
                f"n_clusters and n_components must not be more than the samples: found {self.n_clusters}, {n_components} and "
                f"n_samples={len(x)}"
            )
        random = check_random_state(self.random_state)
        options = (self.eigen_solver, self.eigen_tol, None, random)
        with progress_bar(self.verbose, "SpectralClustering.fit", "product") as progress:
            found = spectral_coordinates(x, kernel, bound, self.backend, n_components, *options, progress)
        values, maps, self.n_iter_ = found
        if self.assign_labels == "kmeans":
            _, labels, _ = k_means(maps, self.n_clusters, random_state=random, n_init=self.n_init)
        elif self.assign_labels == "cluster_qr":
            labels = cluster_qr(maps)
        else:
            labels = discretize(maps, random_state=random)
        xp = namespace_of(x)
        self.eigenvalues_, self.embedding_ = (like(to_device(a.astype(x.dtype), xp), X) for a in (values, maps))
        self.labels_ = like(to_device(np.asarray(labels), xp), X)
        return self
