"""Products with the square root of a matrix that is known by its products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import eigh_tridiagonal

from skkeops.arrays.devices import namespace_of, to_device, to_host

__all__ = ["square_root"]

_CHECKED = 4  # steps from one look at the change to the next


def square_root(apply: Callable[[Any], Any], vectors: Any, tol: float = 1e-5, max_iter: int = 200) -> tuple[Any, float]:
    """Return ``M^(1/2) @ vectors`` for a symmetric positive definite M, by Lanczos' method for each vector.

    Parameters
    ----------
    apply : callable
        Returns ``M @ v`` for v of shape (n, n_vectors).
    vectors : ndarray of shape (n, n_vectors)
        None of them zero.
    tol : float, default=1e-5
        The change in a few steps, relative to the result, at which to stop.
    max_iter : int, default=200
        The steps, each of which keeps as many numbers as `vectors` has.

    Returns
    -------
    product : ndarray of shape (n, n_vectors)
    change : float
        The last relative change: above `tol` if there were not steps enough.

    References
    ----------
    E. Chow, Y. Saad, "Preconditioned Krylov subspace methods for sampling multivariate Gaussian distributions", SIAM Journal on
    Scientific Computing 36, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> found, _ = square_root(lambda v: np.array([[4.0], [9.0]]) * v, np.ones((2, 1)))
    >>> found.round(6)
    array([[2.],
           [3.]])
    """
    xp = namespace_of(vectors)
    norms = np.linalg.norm(vectors, axis=0)
    basis = [vectors / norms]
    diagonals: list[np.ndarray] = []
    others: list[np.ndarray] = []
    before, change = None, np.inf
    for step in range(1, max_iter + 1):
        w = apply(basis[-1])
        diagonals.append(to_host(np.einsum("ij,ij->j", basis[-1], w)))
        for v in (*basis, *basis):  # twice: so that the basis is orthogonal to the last digit
            w = w - v * np.einsum("ij,ij->j", v, w)
        length = np.linalg.norm(w, axis=0)
        others.append(to_host(length))
        has_ended = bool((others[-1] <= 1e-12 * np.abs(diagonals[0])).all())
        if step % _CHECKED == 0 or has_ended or step == max_iter:
            weights = _weights(np.array(diagonals), np.array(others[:-1]))
            if before is not None:
                longer = np.zeros_like(weights)
                longer[: len(before)] = before
                change = float((np.linalg.norm(weights - longer, axis=0) / np.linalg.norm(weights, axis=0)).max())
            before = weights
            if has_ended or change <= tol:
                change = min(change, tol) if has_ended else change
                break
        basis.append(w / np.where(length > 0, length, 1.0))
    factors = to_device(before, xp) * norms
    return sum(v * f for v, f in zip(basis, factors, strict=False)), change


def _weights(diagonals: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the first columns of the roots of the Lanczos matrices, (n_steps, n_vectors)."""
    found = np.empty_like(diagonals)
    for k in range(diagonals.shape[1]):
        values, turn = eigh_tridiagonal(
            diagonals[:, k], others[:, k] if len(others) else np.zeros(0), lapack_driver="stev"
        )
        found[:, k] = turn @ (np.sqrt(np.maximum(values, 0)) * turn[0])
    return found
