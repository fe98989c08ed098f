"""The nearest samples of queries, and those within a radius: over all pairs, or by SciPy's tree where that is faster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
from scipy.spatial import KDTree

from skkeops import backends
from skkeops.formula import operations as ops
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import I, P, Variable

from .metrics import Metric
from .reduction import PairReduction
from .rows import over_rows

__all__ = ["nearest", "tree_is_faster", "within"]

_MOST_FEATURES = 4  # of a tree
_BLOCK = 2**22  # pairs that are ranked at once: 32 MB
_FEW = 256  # neighbours of a row that are found by their ranks, in less time than all ranks would take
_QUERIES = 2**14  # that are looked up in a tree at once


def tree_is_faster(n_samples: int, n_features: int, n_neighbors: int) -> bool:
    """Return whether a tree is expected to be faster than all pairs, for samples without structure.

    The number of samples from which it is, was measured with 1 to 8 normally distributed features and 5 or 30 neighbours: to a
    quarter, it is ``1200 * 1.6**n_features * n_neighbors**0.4``.
    """
    return n_features <= _MOST_FEATURES and n_samples > 1200 * 1.6**n_features * n_neighbors**0.4


def nearest(
    metric: Metric, tree: KDTree | None, x: np.ndarray, samples: np.ndarray, k: int, backend: str, n_jobs: int | None, verbose: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ranks, ascending, and the indices of the k nearest samples of each query; of equal ones the first.

    Parameters
    ----------
    metric : Metric
    tree : KDTree or None
        Of the samples, to search in; None to go over all pairs.
    x, samples : ndarray of shape (n_queries, n_columns), (n_samples, n_columns)
        As the metric prepares them.
    k : int
        At most n_samples.
    backend, n_jobs, verbose
        As for `over_rows`.
    """
    if tree is None:
        ranks, indices = _nearest_by_pairs(metric, x, samples, k, backend, n_jobs, verbose)
        if (indices < 0).any():
            raise ValueError(
                f"the metric is infinite or not a number: {int((indices < 0).any(axis=1).sum())} of {len(x)} queries have finite "
                f"distances to fewer than {k} samples"
            )
        return ranks, indices
    assert metric.power is not None
    asked = range(1, min(k + 1, len(samples)) + 1)
    distances, indices = tree.query(x, asked, p=metric.power, workers=joblib.effective_n_jobs(-1 if n_jobs is None else n_jobs))
    # A tree leaves open which of equal neighbours it finds, and in which order: these rows go over all pairs.
    ties = (distances[:, 1:] - distances[:, :-1] <= _near(x.dtype) * distances[:, 1:]).any(axis=1)
    indices = indices[:, :k].astype(np.int64)
    ranks = _ranks(metric, x, samples, np.repeat(np.arange(len(x)), k), indices.ravel(), backend).reshape(indices.shape)
    if ties.any():
        ranks[ties], indices[ties] = nearest(metric, None, x[ties], samples, k, backend, n_jobs, verbose)
    return ranks, indices


def _nearest_by_pairs(
    metric: Metric, x: np.ndarray, samples: np.ndarray, k: int, backend: str, n_jobs: int | None = None, verbose: Any = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k smallest ranks and their indices, over all pairs; the index is -1 where there are not as many."""
    arrays = [samples, *metric.bound.parameter_arrays(samples.dtype)]
    reduction = PairReduction(metric.expression, metric.bound.variables, arrays, "KMin_ArgKMin", opt_arg=k)
    return over_rows(reduction, x, backend, n_jobs, verbose, "neighbours")


def _near(dtype: np.dtype) -> float:
    """Return the relative difference up to which rounding may have decided between two distances."""
    return 400 * float(np.finfo(dtype).eps)


def _ranks(
    metric: Metric, x: np.ndarray, samples: np.ndarray, rows: np.ndarray, indices: np.ndarray, backend: str
) -> np.ndarray:
    """Return the ranks of some pairs, given by the indices of their queries and samples."""
    bound, found = metric.bound, np.empty(len(rows), dtype=x.dtype)
    sample = Variable(bound.y.position, bound.y.dim, I)
    expression = substitute(metric.expression, {bound.y: sample})
    variables = (bound.x, sample, *bound.parameters.values())
    parameters = bound.parameter_arrays(x.dtype)
    size = max(1, _BLOCK // x.shape[1])
    for k in range(0, len(rows), size):
        arrays = (x[rows[k : k + size]], samples[indices[k : k + size]], *parameters)
        values = backends.get(backend, np).evaluate((expression,), variables, arrays, len(arrays[0]))[0]
        found[k : k + size] = values[:, 0]
    return found


def within(
    metric: Metric, tree: KDTree | None, x: np.ndarray, samples: np.ndarray, radius: float, backend: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ranks and indices of the samples within a radius of each query, row by row and by index, and where rows begin.

    Parameters
    ----------
    metric, tree, x, samples, backend
        As for `nearest`.
    radius : float
        The largest distance.

    Returns
    -------
    ranks, indices : ndarray of shape (n_pairs,)
    starts : ndarray of shape (n_queries + 1,)
    """
    largest = metric.rank(radius)
    parts = _by_tree(metric, tree, x, samples, radius, backend) if tree else _by_pairs(metric, x, samples, largest, backend)
    rows, indices, ranks = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    near = ranks <= largest
    rows, indices, ranks = rows[near], indices[near], ranks[near]
    order = np.lexsort((indices, rows))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(x)))])
    return ranks[order], indices[order], starts


def _by_tree(
    metric: Metric, tree: KDTree, x: np.ndarray, samples: np.ndarray, radius: float, backend: str
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield rows, indices and ranks of pairs, all that are within the radius among them."""
    farthest = radius * (1 + _near(x.dtype))  # a little more, as both round: the rank of each pair decides
    for k in range(0, len(x), _QUERIES):
        queries = KDTree(x[k : k + _QUERIES])
        some = tree.sparse_distance_matrix(queries, farthest, p=metric.power, output_type="ndarray")
        rows, indices = some["j"].astype(np.int64) + k, some["i"].astype(np.int64)
        yield rows, indices, _ranks(metric, x, samples, rows, indices, backend)


def _by_pairs(
    metric: Metric, x: np.ndarray, samples: np.ndarray, largest: float, backend: str
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield rows, indices and ranks of pairs, all whose rank is not larger than `largest` among them.

    A first pass counts them. Rows with few are found by their smallest ranks, others by a dense block of ranks, a few rows at a
    time.
    """
    counts = _counts(metric, x, samples, largest, backend)
    bounds = np.minimum(2 ** np.ceil(np.log2(np.maximum(counts, 1))).astype(np.int64), len(samples))
    for bound in np.unique(bounds):
        chosen = np.flatnonzero((bounds == bound) & (counts > 0))
        few = bound <= _FEW
        size = max(1, _BLOCK // int(bound if few else len(samples)))
        for k in range(0, len(chosen), size):
            rows = chosen[k : k + size]
            if few:
                ranks, indices = _nearest_by_pairs(metric, x[rows], samples, int(bound), backend)
                near = ranks <= largest
                yield np.broadcast_to(rows[:, None], near.shape)[near], indices[near], ranks[near]
            else:
                ranks = _dense(metric, x[rows], samples, backend)
                i, indices = np.nonzero(ranks <= largest)
                yield rows[i], indices, ranks[i, indices]
    none = np.empty(0, dtype=np.int64)
    yield none, none, np.empty(0, dtype=x.dtype)


def _counts(metric: Metric, x: np.ndarray, samples: np.ndarray, largest: float, backend: str) -> np.ndarray:
    """Return the number of samples whose rank is not larger than `largest`, for each query."""
    bound = metric.bound
    limit = Variable(len(bound.variables), 1, P)
    inside = ops.IfElse.build(limit - metric.expression, 1, 0)
    arrays = [samples, *bound.parameter_arrays(x.dtype), np.array([largest], dtype=x.dtype)]
    found = PairReduction(inside, (*bound.variables, limit), arrays, "Sum")(x, backend)
    return np.rint(found[:, 0]).astype(np.int64)


def _dense(metric: Metric, x: np.ndarray, samples: np.ndarray, backend: str) -> np.ndarray:
    """Return the ranks of all pairs."""
    bound = metric.bound
    arrays = (x, samples, *bound.parameter_arrays(samples.dtype))
    module = backends.get(backend, np)
    return module.evaluate_pairs(metric.expression, bound.variables, arrays, len(x), len(samples))[:, :, 0]
