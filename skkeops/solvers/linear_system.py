"""Systems ``(K + shift I) x = b`` with a symmetric matrix K that is known by its products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skkeops.devices import namespace_of, to_device

from .iterations import conjugate_gradients, minres

__all__ = ["Solution", "solve"]


@dataclass(frozen=True)
class Solution:
    """A solution and how it was found.

    Attributes
    ----------
    x : ndarray of shape (n, n_targets)
    residual : float
        The largest norm of a residual ``b - (K + shift I) x``, relative to that of b; NaN if the products are not finite.
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


# Rounds of a method whose own estimate of the residual drifts from the true one, and how far a round with the rough
# product goes: what its rounding errors let it reach in any case.
_ROUNDS = 5
_ROUGH_REDUCTION = 1e-4
_ROUGH_ERROR = 0.1


class _NegativeCurvature(Exception):
    pass


class _Useless(Exception):
    pass


class _Stopped(Exception):
    pass


def solve(
    product: Callable[[np.ndarray], np.ndarray],
    shift: np.ndarray,
    b: np.ndarray,
    *,
    rough: Callable[[np.ndarray], np.ndarray] | None = None,
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
    rough : callable, optional
        A product that is cheaper and less accurate, such as one in float32. The iterations use it if its error, measured on
        b, is small beside the shift, and as long as it brings them nearer to the solution; residuals are always taken with
        `product` (iterative refinement).
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
    SIAM, 2003. For refinement: N. J. Higham, "Accuracy and Stability of Numerical Algorithms", chapter 12, SIAM, 2002.

    Examples
    --------
    >>> import numpy as np
    >>> K = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> solve(lambda v: K @ v, np.array([1.0]), np.array([[4.0], [4.0]])).x
    array([[1.],
           [1.]])
    """
    if not bool(np.isfinite(b).all()):
        return Solution(np.full_like(b, np.nan), np.nan, 0, True, False)
    norms = _norms(b)
    scaled = b / np.where(norms > 0, norms, 1)
    shape = b.shape
    x = np.zeros_like(scaled)
    smallest_shift = shift.min(initial=np.inf)
    shift = to_device(shift, namespace_of(b))
    n_iter, stopped, definite = 0, False, True

    def full(v: np.ndarray) -> np.ndarray:
        return product(v) + v * shift

    def watched(flat: np.ndarray) -> np.ndarray:
        v = flat.reshape(shape)
        image = full(v) if rough is None else rough(v) + v * shift
        if rough is not None and not np.isfinite(image).all():
            raise _Useless
        if definite and (np.einsum("ij,ij->j", v, image) < 0).any():
            raise _NegativeCurvature
        return image.reshape(-1)

    def count(flat: np.ndarray) -> None:
        nonlocal n_iter
        n_iter += 1
        if callback is not None and callback((x + flat.reshape(shape)) * norms):
            raise _Stopped(flat.reshape(shape).copy())

    inverse = None
    if preconditioner is not None:

        def inverse(flat: np.ndarray) -> np.ndarray:
            return preconditioner(flat.reshape(shape)).reshape(-1)

    if rough is not None:
        # A step is a good one only if the errors are small beside the smallest eigenvalue, of which the shift is a bound.
        error = _largest_norm(rough(scaled) - product(scaled))
        if not error <= _ROUGH_ERROR * smallest_shift:
            rough = None
    rest = scaled
    residual = _largest_norm(rest)
    # Both methods estimate their residual, which may drift from the true one: the next round starts from that.
    rounds = 0
    while residual > tol and n_iter < max_iter and not stopped and rounds < _ROUNDS:
        flat, most = rest.reshape(-1), max_iter - n_iter
        aim = 0.9 * tol if rough is None else max(0.9 * tol, _ROUGH_REDUCTION * residual)
        try:
            if definite:
                step = conjugate_gradients(watched, flat, aim, most, inverse, count)
            else:
                # Its preconditioner would change the norm that it measures the residual in: it has none.
                step = minres(watched, flat, 0.1 * tol, most, count)
        except _Useless:
            rough = None
            continue
        except _NegativeCurvature:
            definite, rough = rough is not None, None  # a rough product's may be its rounding errors'
            continue
        except _Stopped as stop:
            stopped, step = True, stop.args[0]
        found = x + step.reshape(shape)
        left = scaled - full(found)
        reached = _largest_norm(left)
        if rough is not None and not stopped and not reached < 0.1 * residual:
            rough = None
            if not reached < residual:
                continue
        rounds += rough is None
        x, rest, residual = found, left, reached
    return Solution(x * norms, residual, n_iter, definite, stopped)


def _norms(columns: np.ndarray) -> np.ndarray:
    """Return the norms of columns, whose squares may be more, or less, than a float64 holds."""
    if not len(columns):
        return np.linalg.norm(columns, axis=0)
    largest = np.abs(columns).max(axis=0)
    return largest * np.linalg.norm(columns / np.where(largest > 0, largest, 1), axis=0)


def _largest_norm(columns: np.ndarray) -> float:
    """Return the largest norm of a column."""
    return float(np.linalg.norm(columns, axis=0).max()) if columns.shape[1] else 0.0
