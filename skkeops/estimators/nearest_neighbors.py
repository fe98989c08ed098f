"""NearestNeighbors: the nearest samples, and those within a radius."""

from __future__ import annotations

from typing import ClassVar

from sklearn.neighbors import NearestNeighbors as SklearnNearestNeighbors

from .neighbors import NeighborsEstimator

__all__ = ["NearestNeighbors"]


class NearestNeighbors(NeighborsEstimator, SklearnNearestNeighbors):
    """The nearest samples of queries, and those within a radius, under any formula as a metric.

    It replaces `sklearn.neighbors.NearestNeighbors`: the same parameters, and the same neighbours.

    Parameters
    ----------
    n_neighbors : int, default=5
        How many neighbours a query has.
    radius : float, default=1.0
        The largest distance of a neighbour.
    algorithm : {"auto", "brute", "kd_tree", "ball_tree"}, default="auto"
        "brute" goes over all pairs, "kd_tree" through SciPy's tree, which takes Minkowski metrics. "auto" is whichever is faster:
        the tree for many samples of up to 4 features. Neighbours are the same. "ball_tree" is "brute": there is none.
    leaf_size : int, default=30
        Of the tree.
    metric : str or Kernel, default="minkowski"
        One of scikit-learn's names for real numbers, "nan_euclidean" among them; a `Formula` of x and y, or its text, which is the
        distance itself; or a kernel, whose distance is ``sqrt(k(x, x) - 2 k(x, y) + k(y, y))``: for a stationary kernel the
        nearest are those of its largest values. For the largest values of any formula take its negative.
    p : float, default=2
        The power of the Minkowski metric.
    metric_params : dict, default=None
        What a name takes: ``w`` or ``p`` for "minkowski", ``V`` for "seuclidean", ``VI`` or ``V`` for "mahalanobis".
    n_jobs : int, default=None
        joblib's number of jobs, for blocks of queries. One job uses all cores already: more are for clusters.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where all pairs are gone over. "GPU" moves the samples to the device.
    verbose : int, default=0
        Whether to show a progress bar (tqdm) when a search lasts.

    Attributes
    ----------
    n_features_in_ : int
        The number of columns of the samples.
    feature_names_in_ : ndarray of str
        Their names, if they had any.
    n_samples_fit_ : int
        The number of reference samples.
    effective_metric_ : str or Kernel
        The metric.
    effective_metric_params_ : dict
        Its parameters.

    See Also
    --------
    KNeighborsTransformer : The graph of neighbours as a transformer.
    KNeighborsClassifier, KNeighborsRegressor : Votes and means of neighbours.

    Notes
    -----
    `sklearn.neighbors.NearestNeighbors` is a base class: what takes one takes this one, and everything beside the
    search is scikit-learn's.

    Examples
    --------
    >>> from skkeops import NearestNeighbors
    >>> X = [[0.0], [1.0], [3.0]]
    >>> distances, indices = NearestNeighbors(n_neighbors=2).fit(X).kneighbors([[2.5]])
    >>> distances, indices
    (array([[0.5, 1.5]]), array([[2, 1]]))
    >>> NearestNeighbors(n_neighbors=1, metric="Abs(x - y) / (1 + Square(y))").fit(X).kneighbors([[2.5]])[1]
    array([[2]])
    """

    _parameter_constraints: ClassVar[dict] = {
        **SklearnNearestNeighbors._parameter_constraints,
        **NeighborsEstimator._own_constraints,
    }

    def __init__(
        self,
        *,
        n_neighbors=5,
        radius=1.0,
        algorithm="auto",
        leaf_size=30,
        metric="minkowski",
        p=2,
        metric_params=None,
        n_jobs=None,
        backend="auto",
        verbose=0,
    ):
        super().__init__(
            n_neighbors=n_neighbors, radius=radius, algorithm=algorithm, leaf_size=leaf_size, metric=metric, p=p,
            metric_params=metric_params, n_jobs=n_jobs,
        )
        self.backend = backend
        self.verbose = verbose
