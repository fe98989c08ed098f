"""Systems ``(K + shift I) x = b`` with a symmetric matrix K that is known by its products."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skkeops.arrays.devices import namespace_of, to_device, to_host

from .iterations import ROUNDING, conjugate_gradients, minres
from .preconditioner import largest_of

__all__ = ["Solution", "relative_residuals", "solve"]


@dataclass(frozen=True)
class Solution:
    """A solution and how it was found.

    Attributes
    ----------
    x : ndarray of shape (n, n_targets)
    residuals : ndarray of shape (n_targets,)
        The norms of the residuals ``b - (K + shift I) x``, relative to those of b: at most 1, which is that of zero. NaN if b or
        the products are not finite, infinite if the solution is more than float64 holds.
    residual : float
        The largest of them.
    n_iter : int
    is_definite : bool
        Whether the matrix K + shift I showed no negative curvature.
    is_singular : bool
        Whether it showed, as far as float64 can tell, no curvature: the solution is that of least squares.
    stopped : bool
        Whether the callback ended the iterations.
    """

    x: np.ndarray
    residuals: np.ndarray
    n_iter: int
    is_definite: bool
    is_singular: bool
    stopped: bool

    @property
    def residual(self) -> float:
        return float(self.residuals.max(initial=0))


# Rounds of a method whose own estimate of the residual drifts from the true one, and how far a round with the rough
# product goes: what its rounding errors let it reach in any case.
_ROUNDS = 5
_ROUGH_REDUCTION = 1e-4
_ROUGH_ERROR = 0.1
_EPS = np.finfo(np.float64).eps


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
    that shows a negative curvature, or none, is left to MINRES, which does not need a positive definite one. Where a system has
    no solution this is one of least squares.

    Parameters
    ----------
    product : callable
        Returns ``K @ v`` for v of shape (n, n_targets).
    shift : ndarray of shape (n_targets,) or (n, n_targets)
        What is added to the diagonal: one number for each right-hand side, or for each of its rows.
    b : ndarray of shape (n, n_targets)
        Right-hand sides, in float64.
    rough : callable, optional
        A product that is cheaper and less accurate, such as one in float32. The iterations use it if its error, measured on
        b, is small beside the shift, and as long as it brings them nearer to the solution; residuals are always taken with
        `product` (iterative refinement).
    preconditioner : callable, optional
        Returns about ``(K + shift I)^-1 v``; positive definite. One that knows the range of a singular matrix has a true
        ``is_singular``, and ``project``, which returns the part of v within the range: the system is solved for that part of b.
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
    SIAM, 2003. For refinement: N. J. Higham, "Accuracy and Stability of Numerical Algorithms", chapter 12, SIAM, 2002. For the
    least norm: Y. Liu, A. Milzarek, F. Roosta, "Obtaining pseudo-inverse solutions with MINRES", arXiv:2309.17096, 2023.

    Examples
    --------
    >>> import numpy as np
    >>> K = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> solve(lambda v: K @ v, np.array([1.0]), np.array([[4.0], [4.0]])).x
    array([[1.],
           [1.]])
    """
    nothing = Solution(np.full_like(b, np.nan), np.full(b.shape[1], np.nan), 0, True, False, False)
    if not bool(np.isfinite(b).all()):
        return nothing
    norms = column_norms(b)
    scaled = b / np.where(norms > 0, norms, 1)
    with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is told
        system = _System(product, shift, scaled, rough, preconditioner)
        scale = norms / system.size
    if not math.isfinite(system.size):
        return nothing
    shape = b.shape
    n_iter, stopped, rounds = 0, False, 0

    def count(flat: np.ndarray) -> None:
        nonlocal n_iter
        n_iter += 1
        if callback is not None and callback((x + flat.reshape(shape)) * scale):
            raise _Stopped(flat.reshape(shape).copy())

    x, rest = np.zeros_like(scaled), system.within_range(scaled)
    residual = _largest_norm(rest)
    # Both methods estimate their residual, which may drift from the true one: the next round starts from that.
    while residual > tol and n_iter < max_iter and not stopped and rounds < _ROUNDS:
        flat, most = rest.reshape(-1), max_iter - n_iter
        is_rough, is_convex = system.rough is not None, system.is_convex
        try:
            if is_convex:
                aim = max(0.9 * tol, _ROUGH_REDUCTION * residual) if is_rough else 0.9 * tol
                step = conjugate_gradients(system.image, flat, aim, most, system.norm, system.inverse, count)
            else:
                # Its preconditioner would change the norm that it measures the residual in: it has none.
                step = minres(system.image, flat, 0.1 * tol, most, system.norm, count)
        except _Useless:
            system.rough = None
            continue
        except _Stopped as stop:
            stopped, step = True, stop.args[0]
        with np.errstate(over="ignore", invalid="ignore"):
            found = x + step.reshape(shape)
            left = system.within_range(scaled - system.product(found))
            if system.is_convex != is_convex:
                rest = scaled - system.product(x)  # what was a part of it is all of it now
            # A column whose residual grows, or is not finite, stays as it was: no solution is worse than zero.
            better = np.linalg.norm(left, axis=0) <= np.linalg.norm(rest, axis=0)
        x, rest = np.where(better, found, x), np.where(better, left, rest)
        reached = _largest_norm(rest)
        rounds += not is_rough
        if not reached < 0.1 * residual and not stopped:
            if is_rough:
                system.rough = None
            elif is_convex and system.project is None and reached > 1000 * ROUNDING * system.norm * _largest_norm(x):
                system.is_convex = False  # as far as conjugate gradients can tell, and it is not their rounding errors
            elif not reached < residual or is_convex:
                break
        residual = reached
    is_singular = system.project is not None
    if is_singular:
        rest = scaled - system.product(x)
    elif not system.is_convex and residual > tol:
        x, is_null = system.without_null_part(x, rest)
        is_singular = bool((is_null | (np.linalg.norm(rest, axis=0) <= tol)).all())
    with np.errstate(all="ignore"):
        result = x * scale
        kept = np.where(scale > 0, result / scale, 0)
        # Numbers that leave what float64 holds are no longer the solution.
        if not bool((np.abs(kept - x) <= 1e-9 * np.abs(x)).all()):
            rest = scaled - system.product(kept)
        residuals = to_host(np.linalg.norm(rest, axis=0))
    residuals = np.where(np.isfinite(residuals), residuals, np.inf)
    return Solution(result, residuals, n_iter, system.is_definite, is_singular, stopped)


class _System:
    """The matrix K + shift I, divided by about its size, so that no norm, and no product of two, leaves what float64 holds.

    Attributes
    ----------
    size : float
        A power of two; not finite if a product is not.
    rough : callable or None
        The cheaper product, as long as it is of use.
    project : callable or None
        The projection on the range, if the matrix is singular and its range known.
    norm : float
        That of the matrix, from below.
    is_convex : bool
        Whether all curvature so far was positive: in the range, if that is known.
    is_definite : bool
        Whether none was negative.
    """

    def __init__(self, product: Any, shift: np.ndarray, scaled: np.ndarray, rough: Any, preconditioner: Any):
        self._exact, self._preconditioner, self._shape = product, preconditioner, scaled.shape
        self.rough, self.project = rough, None
        self.is_convex = self.is_definite = True
        image = product(scaled)
        if rough is not None:
            # A step is a good one only if the errors are small beside the smallest eigenvalue, of which the shift is a bound.
            error = _largest_norm(rough(scaled) - image)
            if not error <= _ROUGH_ERROR * float(shift.min(initial=np.inf)):
                self.rough = None
        shift = to_device(shift, namespace_of(scaled))
        image = image + scaled * shift
        self.size = _power_of_two(largest_of(np.abs(image)))
        self._shift = shift / self.size
        self.norm = _largest_norm(image / self.size)
        if getattr(preconditioner, "is_singular", False):
            self.project = preconditioner.project

    def product(self, v: np.ndarray) -> np.ndarray:
        return self._exact(v) / self.size + v * self._shift

    def within_range(self, v: np.ndarray) -> np.ndarray:
        return v if self.project is None else self.project(v)

    @property
    def inverse(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """The preconditioner, of flat vectors."""
        if self._preconditioner is None:
            return None
        return lambda flat: self.size * self._preconditioner(flat.reshape(self._shape)).reshape(-1)

    def image(self, flat: np.ndarray) -> np.ndarray | None:
        """Return the product with a flat vector as the iterations need it, None where they cannot go on."""
        v = flat.reshape(self._shape)
        image = self.product(v) if self.rough is None else self.rough(v) / self.size + v * self._shift
        image = self.within_range(image)
        is_finite = bool(np.isfinite(image).all())
        if is_finite and (not self.is_convex or self._is_positive_along(v, image)):
            return image.reshape(-1)
        if self.rough is not None:  # it may be the rounding errors of a rough product
            raise _Useless
        return None

    def _is_positive_along(self, v: np.ndarray, image: np.ndarray) -> bool:
        squares = np.einsum("ij,ij->j", v, v)
        curvature = np.einsum("ij,ij->j", v, image) / np.where(squares > 0, squares, 1)
        least = -largest_of(-np.where(squares > 0, curvature, np.inf), -np.inf)
        self.norm = max(self.norm, largest_of(curvature))
        if least > _EPS * self.norm:
            return True
        if self.rough is None:
            # There may be next to nothing of the matrix along v, and along b: a vector of no meaning tells how large it is.
            other = to_device(np.random.RandomState(0).standard_normal(self._shape), namespace_of(v))
            self.norm = max(self.norm, _largest_norm(self.product(other / np.linalg.norm(other, axis=0))))
            # Within the rounding errors of a sum there is no curvature, beyond them it is negative.
            self.is_definite = least >= -_EPS * max(len(v), 100) * self.norm
            self.is_convex, self.project = False, None
        return False

    def without_null_part(self, x: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return x without its part along residuals that are in the null space, as those of least squares are; and which are."""
        norms = np.linalg.norm(rest, axis=0)
        is_null = (np.linalg.norm(self.product(rest), axis=0) <= 1e-10 * self.norm * norms) & (norms > 0)
        part = np.einsum("ij,ij->j", rest, x) / np.where(is_null, norms, 1) ** 2
        return x - rest * np.where(is_null, part, 0), is_null


def relative_residuals(
    product: Callable[[np.ndarray], np.ndarray], shift: np.ndarray, b: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Return the norms of the residuals ``b - (K + shift I) x``, relative to those of b; infinite if x is not finite.

    Parameters
    ----------
    product : callable
        Returns ``K @ v`` for v of shape (n, n_targets).
    shift : ndarray of shape (n_targets,) or (n, n_targets)
    b, x : ndarray of shape (n, n_targets)

    Returns
    -------
    ndarray of shape (n_targets,)

    Examples
    --------
    >>> import numpy as np
    >>> relative_residuals(lambda v: 2 * v, np.array([1.0]), np.array([[6.0], [8.0]]), np.array([[2.0], [1.0]]))
    array([0.5])
    """
    with np.errstate(over="ignore", invalid="ignore"):
        norms = column_norms(b)
        found = column_norms(b - product(x) - x * to_device(shift, namespace_of(b))) / np.where(norms > 0, norms, 1)
    found = to_host(found)
    return np.where(np.isfinite(found), found, np.inf)


def _power_of_two(size: float) -> float:
    """Return the power of two below a positive number, 1 for 0; what is not finite stays."""
    if size == 0 or not math.isfinite(size):
        return size or 1.0
    return math.ldexp(0.5, math.frexp(size)[1])


def column_norms(columns: np.ndarray) -> np.ndarray:
    """Return the norms of columns, whose squares may be more, or less, than a float64 holds."""
    if not len(columns):
        return np.linalg.norm(columns, axis=0)
    largest = np.abs(columns).max(axis=0)
    return largest * np.linalg.norm(columns / np.where(largest > 0, largest, 1), axis=0)


def _largest_norm(columns: np.ndarray) -> float:
    """Return the largest norm of a column."""
    return largest_of(np.linalg.norm(columns, axis=0))
