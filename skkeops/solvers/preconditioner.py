"""Low-rank approximations of kernel matrices, and the preconditioners that they make.

References
----------
Y. Chen, E. N. Epperly, J. A. Tropp, R. J. Webber, "Randomly pivoted Cholesky: practical approximation of a kernel matrix
with few entry evaluations", Communications on Pure and Applied Mathematics 78, 2025.

M. Díaz, E. N. Epperly, Z. Frangella, J. A. Tropp, R. J. Webber, "Robust, randomized preconditioning for kernel ridge
regression", arXiv:2304.12465, 2023.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh, solve_triangular
from scipy.linalg.lapack import dpstrf

__all__ = ["LowRankPreconditioner", "pivoted_cholesky"]

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
        False if the diagonal became negative, beyond rounding: the matrix is not positive semi-definite.
    """
    n = len(diagonal)
    left = np.array(diagonal, dtype=np.float64)
    scale = max(left.max(initial=0.0), 0.0)
    if left.min(initial=0.0) < 0:
        return np.zeros((n, 0)), False
    rounding = 1e-13 * scale * n
    factor = np.empty((n, min(rank, n)), order="F")
    k = 0
    while k < factor.shape[1] and left.sum() > rounding:
        size = min(_BLOCK, factor.shape[1] - k)
        pivots = np.unique(random_state.choice(n, size, p=left / left.sum()))
        rest = columns(pivots) - factor[:, :k] @ factor[pivots, :k].T
        block = rest[pivots]
        # Among the drawn, those that the others do not already tell are kept.
        triangle, order, kept, _ = dpstrf(block, tol=1e-13 * scale, lower=1)
        if kept == 0:
            left[pivots] = 0
            continue
        chosen = order[:kept] - 1
        new = solve_triangular(np.tril(triangle[:kept, :kept]), rest[:, chosen].T, lower=True).T
        factor[:, k : k + kept] = new
        left -= np.einsum("ij,ij->i", new, new)
        if left.min() < -1e-9 * scale * (1 + k):
            return factor[:, :k], False
        np.maximum(left, 0, out=left)
        left[pivots] = 0
        k += kept
        if np.einsum("ij,ij->", new, new) < smallest * kept:
            break
    return factor[:, :k], True


class LowRankPreconditioner:
    """The inverse of ``F @ F.T + shift * I``, applied to vectors.

    Parameters
    ----------
    factor : ndarray of shape (n, k)
        F. It is overwritten by an orthonormal basis of its range.
    shift : ndarray of shape (n_targets,)
        Positive numbers, one for each column of the vectors.
    """

    def __init__(self, factor: np.ndarray, shift: np.ndarray):
        values, vectors = np.zeros(0), np.zeros((0, 0))
        if factor.shape[1]:
            values, vectors = eigh(factor.T @ factor, driver="evd")
        kept = values > values.max(initial=0.0) * 1e-12
        values, turn = values[kept], vectors[:, kept] / np.sqrt(values[kept])
        for start in range(0, len(factor), 1024):  # in place: F may take all the memory there is
            rows = factor[start : start + 1024]
            rows[:, : kept.sum()] = rows @ turn
        self._basis = factor[:, : kept.sum()]
        self._shift = shift
        self._correction = 1 / (values[:, None] + shift) - 1 / shift

    @property
    def rank(self) -> int:
        """The number of eigenvalues that are known."""
        return self._basis.shape[1]

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Return the product with the inverse.

        Parameters
        ----------
        vectors : ndarray of shape (n, n_targets)
        """
        return vectors / self._shift + self._basis @ (self._correction * (self._basis.T @ vectors))
