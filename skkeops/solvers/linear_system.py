"""Systems ``(K + shift I) x = b`` with a symmetric matrix K that is known by its products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg, minres

__all__ = ["Solution", "solve"]


@dataclass(frozen=True)
class Solution:
    """A solution and how it was found.

    Attributes
    ----------
    x : ndarray of shape (n, n_targets)
    residual : float
        The largest norm of a residual ``b - (K + shift I) x``, relative to that of b.
    n_iter : int
    is_definite : bool
        Whether the matrix K + shift I showed only positive curvature.
    stopped : bool
        Whether the callback ended the iterations.
    """

    x: np.ndarray
    residual: float
    n_iter: int
    is_definite: bool
    stopped: bool


_ROUNDS = 5


class _NegativeCurvature(Exception):
    pass


class _Stopped(Exception):
    pass


def solve(
    product: Callable[[np.ndarray], np.ndarray],
    shift: np.ndarray,
    b: np.ndarray,
    *,
    preconditioner: Callable[[np.ndarray], np.ndarray] | None = None,
    tol: float = 1e-8,
    max_iter: int = 1000,
    callback: Callable[[np.ndarray], bool] | None = None,
) -> Solution:
    """Solve a system for several right-hand sides, each with a shift of its own, by conjugate gradients.

    All right-hand sides are one vector, of norm 1 each, so that an iteration needs one product for all of them. A matrix
    that shows a negative curvature is left to MINRES, which does not need a positive definite one.

    Parameters
    ----------
    product : callable
        Returns ``K @ v`` for v of shape (n, n_targets).
    shift : ndarray of shape (n_targets,)
    b : ndarray of shape (n, n_targets)
        Right-hand sides, in float64.
    preconditioner : callable, optional
        Returns about ``(K + shift I)^-1 v``; positive definite.
    tol : float, default=1e-8
        The norm of a residual, relative to that of its right-hand side.
    max_iter : int, default=1000
        The largest number of iterations.
    callback : callable, optional
        Called after every iteration with the solution so far, shape (n, n_targets); a true result ends the iterations.

    Returns
    -------
    Solution
        Whether it is good enough is told by its residual.

    References
    ----------
    C. C. Paige, M. A. Saunders, "Solution of sparse indefinite systems of linear equations", SIAM Journal on Numerical
    Analysis 12, 1975. For conjugate gradients and preconditioners: Y. Saad, "Iterative Methods for Sparse Linear Systems",
    SIAM, 2003.

    Examples
    --------
    >>> import numpy as np
    >>> K = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> solve(lambda v: K @ v, np.array([1.0]), np.array([[4.0], [4.0]])).x
    array([[1.],
           [1.]])
    """
    norms = np.linalg.norm(b, axis=0)
    scaled = b / np.where(norms > 0, norms, 1)
    shape, size = b.shape, b.size
    x = np.zeros_like(scaled)
    n_iter, stopped, definite = 0, False, True

    def full(v: np.ndarray) -> np.ndarray:
        return product(v) + v * shift

    def watched(flat: np.ndarray) -> np.ndarray:
        v = flat.reshape(shape)
        image = full(v)
        if definite and (np.einsum("ij,ij->j", v, image) < 0).any():
            raise _NegativeCurvature
        return image.reshape(-1)

    def count(flat: np.ndarray) -> None:
        nonlocal n_iter
        n_iter += 1
        if callback is not None and callback((x + flat.reshape(shape)) * norms):
            raise _Stopped(flat.reshape(shape).copy())

    operator = LinearOperator((size, size), matvec=watched, dtype=np.float64)
    inverse = None
    if preconditioner is not None:
        inverse = LinearOperator(
            (size, size), matvec=lambda flat: preconditioner(flat.reshape(shape)).reshape(-1), dtype=np.float64
        )
    rest = scaled
    residual = float(np.linalg.norm(rest, axis=0).max(initial=0.0))
    # Both methods estimate their residual, which may drift from the true one: a second round starts from that.
    for _ in range(_ROUNDS):
        if residual <= tol or n_iter >= max_iter or stopped:
            break
        flat, options = rest.reshape(-1), {"maxiter": max_iter - n_iter, "callback": count}
        try:
            if definite:
                step, _ = cg(operator, flat, rtol=0.0, atol=0.9 * tol, M=inverse, **options)
            else:
                # Its preconditioner would change the norm that it measures the residual in: it has none.
                step, _ = minres(operator, flat, rtol=0.1 * tol, **options)
        except _NegativeCurvature:
            definite = False
            continue
        except _Stopped as stop:
            stopped, step = True, stop.args[0]
        x = x + step.reshape(shape)
        rest = scaled - full(x)
        residual = float(np.linalg.norm(rest, axis=0).max(initial=0.0))
    return Solution(x * norms, residual, n_iter, definite, stopped)
