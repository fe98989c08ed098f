"""RadiusNeighborsTransformer: the graph of the samples within a radius."""

from __future__ import annotations

from typing import ClassVar

from sklearn.neighbors import RadiusNeighborsTransformer as SklearnRadiusNeighborsTransformer

from .neighbors import NeighborsEstimator

__all__ = ["RadiusNeighborsTransformer"]


class RadiusNeighborsTransformer(NeighborsEstimator, SklearnRadiusNeighborsTransformer):
    """The graph of the samples within a radius as a transformer, under any formula as a metric.

    It replaces `sklearn.neighbors.RadiusNeighborsTransformer`: the same parameters, and the same graph. Its memory is that of the
    graph.

    Parameters
    ----------
    mode : {"distance", "connectivity"}, default="distance"
        What the entries of the graph are: distances, or ones.
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
    KNeighborsTransformer : A fixed number of neighbours.
    NearestNeighbors : The search alone.

    Notes
    -----
    `sklearn.neighbors.RadiusNeighborsTransformer` is a base class: what takes one takes this one, and everything beside the
    search is scikit-learn's.

    Examples
    --------
    >>> from skkeops import RadiusNeighborsTransformer
    >>> RadiusNeighborsTransformer(radius=1.5).fit_transform([[0.0], [1.0], [3.0]]).toarray()
    array([[0., 1., 0.],
           [1., 0., 0.],
           [0., 0., 0.]])
    """

    _parameter_constraints: ClassVar[dict] = {
        **SklearnRadiusNeighborsTransformer._parameter_constraints,
        **NeighborsEstimator._own_constraints,
    }

    def __init__(
        self,
        *,
        mode="distance",
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
            mode=mode, radius=radius, algorithm=algorithm, leaf_size=leaf_size, metric=metric, p=p,
            metric_params=metric_params, n_jobs=n_jobs,
        )
        self.backend = backend
        self.verbose = verbose
