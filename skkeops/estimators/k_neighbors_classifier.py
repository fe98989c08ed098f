"""KNeighborsClassifier: the vote of the nearest samples."""

from __future__ import annotations

from typing import ClassVar

from sklearn.neighbors import KNeighborsClassifier as SklearnKNeighborsClassifier

from .neighbors import NeighborsEstimator

__all__ = ["KNeighborsClassifier"]


class KNeighborsClassifier(NeighborsEstimator, SklearnKNeighborsClassifier):
    """Classification by a vote of the nearest samples, under any formula as a metric.

    It replaces `sklearn.neighbors.KNeighborsClassifier`: the same parameters, and the same results.

    Parameters
    ----------
    n_neighbors : int, default=5
        How many neighbours a query has.
    weights : {"uniform", "distance"}, callable or None, default="uniform"
        What a neighbour counts: 1, the inverse of its distance, or what a function makes of an array of distances.
    algorithm : {"auto", "brute", "kd_tree", "ball_tree"}, default="auto"
        "brute" goes over all pairs, "kd_tree" through SciPy's tree, which takes Minkowski metrics. "auto" is whichever is faster:
        the tree for many samples of up to 4 features. Neighbours are the same. "ball_tree" is "brute": there is none.
    leaf_size : int, default=30
        Of the tree.
    p : float, default=2
        The power of the Minkowski metric.
    metric : str or Kernel, default="minkowski"
        One of scikit-learn's names for real numbers, "nan_euclidean" among them; a `Formula` of x and y, or its text, which is the
        distance itself; or a kernel, whose distance is ``sqrt(k(x, x) - 2 k(x, y) + k(y, y))``: for a stationary kernel the
        nearest are those of its largest values. For the largest values of any formula take its negative.
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
    classes_ : ndarray or list of ndarray
        The labels, for each output if there are several.
    outputs_2d_ : bool
        Whether there are several outputs.
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
    KNeighborsRegressor : The mean of their targets.
    NearestNeighbors : The search alone.

    Notes
    -----
    `sklearn.neighbors.KNeighborsClassifier` is a base class: what takes one takes this one, and everything beside the
    search is scikit-learn's.

    Examples
    --------
    >>> from skkeops import KNeighborsClassifier
    >>> model = KNeighborsClassifier(n_neighbors=3, metric="Sum(Abs(x - y))").fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    >>> model.predict([[0.9]]), model.predict_proba([[0.9]]).round(2)
    (array([0]), array([[0.67, 0.33]]))
    """

    _parameter_constraints: ClassVar[dict] = {
        **SklearnKNeighborsClassifier._parameter_constraints,
        **NeighborsEstimator._own_constraints,
    }

    def __init__(
        self,
        n_neighbors=5,
        *,
        weights="uniform",
        algorithm="auto",
        leaf_size=30,
        p=2,
        metric="minkowski",
        metric_params=None,
        n_jobs=None,
        backend="auto",
        verbose=0,
    ):
        super().__init__(
            n_neighbors=n_neighbors, weights=weights, algorithm=algorithm, leaf_size=leaf_size, p=p, metric=metric,
            metric_params=metric_params, n_jobs=n_jobs,
        )
        self.backend = backend
        self.verbose = verbose
