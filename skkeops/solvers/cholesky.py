"""Cholesky factors of few columns, with pivots drawn at random.

References
----------
Y. Chen, E. N. Epperly, J. A. Tropp, R. J. Webber, "Randomly pivoted Cholesky: practical approximation of a kernel matrix
with few entry evaluations", Communications on Pure and Applied Mathematics 78, 2025.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg.lapack import dpstrf

from skkeops.arrays.devices import linalg_of, namespace_of, to_device, to_host

__all__ = ["ROUNDING", "cholesky_and_pivots", "pivoted_cholesky"]

ROUNDING = 1e-13  # of the largest entry of the diagonal: what is less is rounding errors
_BLOCK = 40  # pivots drawn together


def pivoted_cholesky(
    columns: Callable[[np.ndarray], np.ndarray],
    diagonal: np.ndarray,
    rank: int,
    random_state: np.random.RandomState,
    smallest: float = 0.0,
) -> tuple[np.ndarray, bool]:
    """Return F with ``F @ F.T`` close to a positive semi-definite matrix, from some of its columns.

    Pivots are drawn in blocks, with probabilities in proportion to what is left of the diagonal.

    Parameters
    ----------
    columns : callable
        Returns columns of the matrix, shape (n, k), given their indices, shape (k,).
    diagonal : ndarray of shape (n,)
        Its diagonal.
    rank : int
        The largest number of columns of F.
    random_state : RandomState
    smallest : float, default=0.0
        The size of eigenvalue from which on more columns are not worth their time: the columns end when the squared norms
        of the last of them, which are about the eigenvalues in their order, fall below it on average.

    Returns
    -------
    F : ndarray of shape (n, k)
        With k at most `rank`; less when nothing but rounding errors is left.
    is_semidefinite : bool
        False if the diagonal became negative, beyond rounding, or is not finite: the matrix is not positive semi-definite.
    """
    factor, _, is_semidefinite = cholesky_and_pivots(columns, diagonal, rank, random_state, smallest)
    return factor, is_semidefinite


def cholesky_and_pivots(
    columns: Callable[[np.ndarray], np.ndarray],
    diagonal: np.ndarray,
    rank: int,
    random_state: np.random.RandomState,
    smallest: float = 0.0,
    missed: float = 0.0,
    one_by_one: bool = False,
    progress: Callable[[int, int], Any] | None = None,
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return the factor of `pivoted_cholesky`, the indices of the columns it is made of, and whether the matrix is semi-definite.

    Parameters
    ----------
    columns, diagonal, rank, random_state, smallest
        As for `pivoted_cholesky`.
    missed : float, default=0.0
        The share of the sum of the diagonal that may be missed: there the columns end, at the first that is enough.
    one_by_one : bool, default=False
        Whether pivots are distributed as if each was drawn when the columns of all before it are known: of a block, those that
        others already tell are rejected again. Fewer columns are as good then, but more are evaluated.
    progress : callable, default=None
        It is told how many columns there are, and how many there are at most.

    Returns
    -------
    F : ndarray of shape (n, k)
        Its rows of the pivots are a lower triangle.
    pivots : ndarray of shape (k,)
        In the order of the columns of F.
    is_semidefinite : bool
    """
    n, xp = len(diagonal), namespace_of(diagonal)
    scale = float(diagonal.max()) if n else 0.0
    none = xp.zeros(0, dtype=np.int64)
    if n and not (float(diagonal.min()) >= 0 and scale < np.inf):
        return xp.zeros((n, 0)), none, False
    if scale == 0:
        return xp.zeros((n, 0)), none, True
    # In units of the largest entry: the sum of all might be more than a float64 holds.
    left = diagonal.astype(np.float64) / scale
    enough = max(ROUNDING * n, missed * float(left.sum()))
    factor = xp.empty((n, min(rank, n)), dtype=np.float64, order="F")
    taken = [none]
    k, size = 0, _BLOCK
    while k < factor.shape[1] and float(left.sum()) > enough:
        drawn = _draw(left / left.sum(), min(size, factor.shape[1] - k), random_state)
        pivots = drawn if one_by_one else np.unique(drawn)
        rest = columns(pivots) - factor[:, :k] @ factor[pivots, :k].T
        block = to_host(rest[pivots])
        if one_by_one:
            accepted = _accepted(block, ROUNDING * scale, random_state)
            if len(accepted) > 0:  # else there is nothing but rounding errors in the block, which is noted below
                size = min(_BLOCK, 2 * len(accepted) + 2)  # so that about half of the columns are worth their time
                block, which = block[np.ix_(accepted, accepted)], to_device(accepted, xp)
                pivots, rest = pivots[which], rest[:, which]
        # Among the drawn, those that the others do not already tell are kept.
        triangle, order, kept, _ = dpstrf(block, tol=ROUNDING * scale, lower=1)
        if kept == 0:
            if not np.isfinite(block).all():
                return factor[:, :k], np.concatenate(taken), False
            left[pivots] = 0
            continue
        chosen, triangle = (to_device(a, xp) for a in (order[:kept] - 1, np.tril(triangle[:kept, :kept])))
        new = linalg_of(xp).solve_triangular(triangle, rest[:, chosen].T, lower=True).T
        if missed > 0:  # columns behind the one that was enough are left out
            sums = float(left.sum()) - np.cumsum(to_host(np.einsum("ij,ij->j", new, new))) / scale
            kept = min(kept, 1 + int((sums > enough).sum()))
            new, chosen = new[:, :kept], chosen[:kept]
        factor[:, k : k + kept] = new
        taken.append(pivots[chosen])
        squares = np.einsum("ij,ij->i", new, new) / scale
        left -= squares
        if not float(left.min()) >= -1e-9 * (1 + k):  # NaN, too: entries that are not finite
            return factor[:, :k], np.concatenate(taken[:-1]), False
        np.maximum(left, 0, out=left)
        left[pivots] = 0
        k += kept
        if progress is not None:
            progress(k, factor.shape[1])
        if float(squares.sum()) < smallest / scale * kept:
            break
    return factor[:, :k], np.concatenate(taken), True


def _accepted(block: np.ndarray, least: float, random_state: np.random.RandomState) -> np.ndarray:
    """Return which of the rows of what is left of a matrix, drawn together, are accepted, in their order.

    Each is with the probability of what is left of its diagonal when those before are taken away, in units of what it was.

    E. N. Epperly, J. A. Tropp, R. J. Webber, "Embrace rejection: kernel matrix approximation by accelerated randomly pivoted
    Cholesky", SIAM Journal on Matrix Analysis and Applications 46, 2025.
    """
    rest, found = block.copy(), []
    levels = random_state.random_sample(len(block)) * np.diagonal(block)
    for k, level in enumerate(levels):
        pivot = rest[k, k]
        if max(level, least) < pivot:
            rest -= np.outer(rest[:, k], rest[k]) / pivot
            found.append(k)
    return np.array(found, dtype=np.int64)


def _draw(probabilities: np.ndarray, size: int, random_state: np.random.RandomState) -> np.ndarray:
    """Return indices with these probabilities: the draws of `RandomState.choice`, wherever the array is."""
    steps = np.cumsum(probabilities)
    steps /= steps[-1]
    return np.searchsorted(steps, to_device(random_state.random_sample(size), namespace_of(steps)), side="right")
