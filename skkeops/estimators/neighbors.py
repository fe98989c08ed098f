"""What the estimators of neighbours share: the fit, and the searches, in place of those of scikit-learn's classes."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_array, csr_matrix
from scipy.spatial import KDTree
from sklearn import get_config
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import DataConversionWarning
from sklearn.gaussian_process.kernels import Kernel as SklearnKernel
from sklearn.utils import check_scalar
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from skkeops import backends

from .base import KernelEstimator
from .metrics import Metric, get_metric
from .namespaces import to_engine
from .neighbor_search import nearest, tree_is_faster, within

__all__ = ["NeighborsEstimator"]


class NeighborsEstimator:
    """The searches of an estimator of neighbours, which a class of `sklearn.neighbors` is built on.

    scikit-learn's classes ask themselves for ``kneighbors``, ``radius_neighbors`` and graphs. Here these go over all pairs by
    the reduction of the K smallest values of a formula, or through SciPy's tree where that is faster.
    """

    _doc_link_module = KernelEstimator._doc_link_module
    _doc_link_template = KernelEstimator._doc_link_template

    # Those of scikit-learn's classes.
    n_features_in_: int
    algorithm: str
    leaf_size: int
    metric: Any
    metric_params: dict[str, Any] | None
    n_jobs: int | None
    n_neighbors: int
    p: float | None
    radius: float
    # Ours.
    backend: str
    verbose: Any

    #: The parameters that differ from those of scikit-learn.
    _own_constraints: ClassVar[dict[str, list]] = {
        "metric": [str, SklearnKernel, callable],  # functions are refused by get_metric, which says why
        "backend": [StrOptions({"auto", "CPU", "GPU", "reference"})],
        "verbose": ["verbose"],
    }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.pairwise = False
        tags.input_tags.allow_nan = isinstance(self.metric, str) and self.metric == "nan_euclidean"
        return tags

    # Fitting

    def _fit(self, X: Any, y: Any = None) -> Any:  # noqa: N803
        backends.get(self.backend, np)
        options = self._checks()
        if self.__sklearn_tags__().target_tags.required:
            X, y = validate_data(self, X, y, multi_output=True, y_numeric=is_regressor(self), **options)  # noqa: N806
        else:
            X = validate_data(self, X, **options)  # noqa: N806
        metric = get_metric(self.metric, self._params(), X.shape[1], X.dtype)
        self._check_samples(X, "the reference samples")
        if self.algorithm == "kd_tree" and metric.power is None:
            raise ValueError(f"algorithm='kd_tree' takes a Minkowski metric with p >= 1 and without weights: found {self.metric!r}")
        if is_classifier(self):
            self._fit_classes(y)
        elif y is not None:
            self._y = y
        self._fit_X = X
        self._fit_method = "skkeops"
        self.n_samples_fit_ = len(X)
        self.effective_metric_ = self.metric
        self.effective_metric_params_ = self._params()
        self._kd_tree = self._make_tree(metric, X)
        return self

    def _params(self) -> dict[str, Any]:
        """Return the parameters of the metric."""
        return {**({} if self.p is None else {"p": self.p}), **(self.metric_params or {})}

    def _make_tree(self, metric: Metric, X: np.ndarray) -> KDTree | None:  # noqa: N803
        """Return SciPy's tree of the reference samples if it is asked for, or worth its while for a few neighbours."""
        free = self.algorithm == "auto" and self.backend == "auto" and metric.power is not None
        chosen = self.algorithm == "kd_tree" or (free and tree_is_faster(len(X), X.shape[1], 1))
        return KDTree(metric.prepare(X), leafsize=max(16, min(self.leaf_size, len(X)))) if chosen else None

    def _checks(self) -> dict[str, Any]:
        """Return how samples are checked."""
        finite = "allow-nan" if self.__sklearn_tags__().input_tags.allow_nan else True
        return {"dtype": [np.float64, np.float32], "order": "C", "ensure_all_finite": finite}

    def _check_samples(self, X: np.ndarray, name: str) -> None:  # noqa: N803
        if getattr(self.metric, "requires_nonnegative", False) and self.metric.has_negative(X):
            raise ValueError(f"Negative values in data passed to {type(self).__name__}: the metric has none in {name}")

    def _fit_classes(self, y: np.ndarray) -> None:
        """Keep targets as indices of classes, as `sklearn.neighbors.KNeighborsClassifier` does."""
        self.outputs_2d_ = y.ndim == 2 and y.shape[1] > 1
        if y.ndim == 2 and not self.outputs_2d_:
            warnings.warn(
                "A column-vector y was passed when a 1d array was expected. Please change the shape of y to (n_samples,), for "
                "example using ravel().",
                DataConversionWarning,
                stacklevel=5,
            )
        check_classification_targets(y)
        found = [np.unique(column, return_inverse=True) for column in y.reshape(len(y), -1).T]
        if self.outputs_2d_:
            self.classes_: Any = [classes for classes, _ in found]
            self._y = np.stack([codes for _, codes in found], axis=1).astype(np.intp)
        else:
            self.classes_, only = found[0]
            self._y = only.astype(np.intp).ravel()

    # Searches

    def _metric(self, dtype: np.dtype) -> Metric:
        return get_metric(self.effective_metric_, self.effective_metric_params_, self.n_features_in_, dtype)

    def _tree(self, n_neighbors: int) -> KDTree | None:
        """Return SciPy's tree of the reference samples if the search is to go through it."""
        if self._kd_tree is None or self.algorithm == "kd_tree":
            return self._kd_tree
        return self._kd_tree if tree_is_faster(self.n_samples_fit_, self.n_features_in_, n_neighbors) else None

    def _queries(self, X: Any) -> tuple[Metric, np.ndarray, np.ndarray]:  # noqa: N803
        """Return the metric, and queries and reference samples as it wants them, of one dtype."""
        samples = self._fit_X
        if X is None:
            x = samples
        else:
            x = to_engine(validate_data(self, X, reset=False, **self._checks()))
            self._check_samples(x, "the queries")
        dtype = np.result_type(x.dtype, samples.dtype)
        metric = self._metric(dtype)
        samples = metric.prepare(samples.astype(dtype, copy=False))
        return metric, samples if X is None else metric.prepare(x.astype(dtype, copy=False)), samples

    def kneighbors(self, X=None, n_neighbors=None, return_distance=True):  # noqa: N803
        """Find the nearest reference samples of queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            The queries; None for the reference samples, which are then not neighbours of themselves.
        n_neighbors : int, default=None
            How many; that of the constructor by default.
        return_distance : bool, default=True
            Whether to return the distances, too.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors)
            Ascending, in the dtype of the samples. Only if `return_distance`.
        indices : ndarray of int64 of shape (n_queries, n_neighbors)
            Those of the reference samples. Of equally distant ones the first comes first.
        """
        check_is_fitted(self, "_fit_method")
        n_neighbors = self.n_neighbors if n_neighbors is None else n_neighbors
        n_neighbors = int(check_scalar(n_neighbors, "n_neighbors", (int, np.integer), min_val=1))
        metric, x, samples = self._queries(X)
        asked = n_neighbors + (X is None)
        if asked > len(samples):
            raise ValueError(
                f"Expected n_neighbors {'<' if X is None else '<='} n_samples_fit, but n_neighbors = {n_neighbors}, "
                f"n_samples_fit = {len(samples)}, n_samples = {len(x)}"
            )
        tree = self._tree(asked)
        ranks, indices = nearest(metric, tree, x, samples, asked, self.backend, self.n_jobs, self.verbose)
        if X is None:
            # A sample is left out. If it is not among the neighbours found, others are as near: the last of these is.
            others = indices != np.arange(len(x))[:, None]
            others[others.all(axis=1), -1] = False
            ranks, indices = (a[others].reshape(-1, n_neighbors) for a in (ranks, indices))
        if not return_distance:
            return indices
        distances = metric.distance(ranks)
        if isinstance(getattr(self, "weights", None), str) and self.weights == "distance" and (distances < 0).any():
            raise ValueError(
                f"weights='distance' are inverse distances, which must not be negative: found {float(distances.min()):.3g} by "
                f"metric={self.metric!r}; expected a formula that is never negative, or weights='uniform' or a function"
            )
        return distances, indices

    def radius_neighbors(self, X=None, radius=None, return_distance=True, sort_results=False):  # noqa: N803
        """Find the reference samples within a radius of queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            The queries; None for the reference samples, which are then not neighbours of themselves.
        radius : float, default=None
            The largest distance; that of the constructor by default.
        return_distance : bool, default=True
            Whether to return the distances, too.
        sort_results : bool, default=False
            Whether neighbours come by distance; else they come by index.

        Returns
        -------
        distances : ndarray of shape (n_queries,) of arrays
            Only if `return_distance`.
        indices : ndarray of shape (n_queries,) of arrays of int64
        """
        if sort_results and not return_distance:
            raise ValueError("return_distance must be True if sort_results is True.")
        distances, indices, starts = self._within(X, radius, sort_results)
        found = tuple(_of_rows(values, starts) for values in (distances, indices))
        return found if return_distance else found[1]

    def radius_neighbors_graph(self, X=None, radius=None, mode="connectivity", sort_results=False):  # noqa: N803
        """Return the pairs within a radius as a sparse array, in the memory that it takes.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            As for `radius_neighbors`.
        radius : float, default=None
            As for `radius_neighbors`.
        mode : {"connectivity", "distance"}, default="connectivity"
            Whether the entries are ones or distances.
        sort_results : bool, default=False
            As for `radius_neighbors`.

        Returns
        -------
        sparse array or matrix in CSR format of shape (n_queries, n_samples_fit)
        """
        if mode not in ("connectivity", "distance"):
            raise ValueError(f'Unsupported mode, must be one of "connectivity", or "distance" but got "{mode}" instead')
        distances, indices, starts = self._within(X, radius, sort_results)
        values = distances if mode == "distance" else np.ones(len(indices))
        return _like_sklearn(csr_array((values, indices, starts), shape=(len(starts) - 1, self.n_samples_fit_)))

    def _within(self, X: Any, radius: Any, sort_results: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # noqa: N803
        check_is_fitted(self, "_fit_method")
        radius = check_scalar(self.radius if radius is None else radius, "radius", (int, float, np.number))
        metric, x, samples = self._queries(X)
        tree = self._tree(16)
        ranks, indices, starts = within(metric, tree, x, samples, float(radius), self.backend)
        rows = np.repeat(np.arange(len(x)), np.diff(starts))
        if X is None:
            others = indices != rows
            ranks, indices, rows = ranks[others], indices[others], rows[others]
            starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(x)))])
        if sort_results:
            order = np.lexsort((indices, ranks, rows))
            ranks, indices = ranks[order], indices[order]
        return metric.distance(ranks), indices, starts


def _of_rows(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return values, row by row, as an array of arrays."""
    found = np.empty(len(starts) - 1, dtype=object)
    for k in range(len(found)):
        found[k] = values[starts[k] : starts[k + 1]]
    return found


def _like_sklearn(graph: csr_array) -> Any:
    """Return a graph as scikit-learn's own are: a sparse matrix, or, where it is configured so (from 1.9 on), a sparse array."""
    return graph if get_config().get("sparse_interface") == "sparray" else csr_matrix(graph)
