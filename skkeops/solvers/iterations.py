"""Conjugate gradients and MINRES on vectors of any namespace: those of NumPy, and those of CuPy on their device.

Only a few numbers per iteration come to the host. SciPy's, which do the same, take arrays of NumPy alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["conjugate_gradients", "minres"]

Map = Callable[[Any], Any]

# A residual that is less than this, relative to the norms of A and of the solution, is rounding errors: a tenth of what one
# product may have, as those of its terms are not all of one sign.
ROUNDING = 0.1 * np.finfo(np.float64).eps
# How small the norm of A times the residual is, relative to those of A and of the residual, for that of least squares.
_LEAST_SQUARES = 1e-10

# Iterations of MINRES from one look at the true residual to the next: that drifts away from its estimate by the square of the
# condition, and from there on another start helps. (G. L. G. Sleijpen, H. A. van der Vorst, J. Modersitzki, "Differences in the
# effects of rounding errors in Krylov solvers for symmetric indefinite linear systems", SIAM J. Matrix Anal. Appl. 22, 2000.)
_CHECKED = 50


def conjugate_gradients(
    apply: Map,
    b: Any,
    aim: float,
    max_iter: int,
    norm: float = 0.0,
    inverse: Map | None = None,
    callback: Callable[[Any], None] | None = None,
) -> Any:
    """Return an approximate solution of ``A x = b`` for a symmetric positive definite A: the iterate of the least residual.

    Parameters
    ----------
    apply : callable
        Returns ``A @ v``, or None to end the iterations, such as where A has no positive curvature along v.
    b : ndarray of shape (n,)
    aim : float
        The norm of the residual at which to stop, as the iterations estimate it.
    max_iter : int
    norm : float, default=0
        The norm of A, as far as it is known, from below.
    inverse : callable, optional
        The preconditioner: returns about ``A^-1 v``.
    callback : callable, optional
        Called after every iteration with the solution so far.

    References
    ----------
    M. R. Hestenes, E. Stiefel, "Methods of conjugate gradients for solving linear systems", Journal of Research of the
    National Bureau of Standards 49, 1952.
    """
    x, r = np.zeros_like(b), b.copy()
    before = p = None
    best, least = x, np.inf
    for k in range(max_iter + 1):
        left = float(np.linalg.norm(r))
        if left < least:
            best, least = x.copy(), left
        if math.isnan(left):  # no better solution comes, and none at all should be believed
            return x
        if k == max_iter or left < max(aim, ROUNDING * norm * float(np.linalg.norm(x))):
            break
        z = r if inverse is None else inverse(r)
        rho = np.vdot(r, z)
        p = z.copy() if p is None else z + p * (rho / before)
        image = apply(p)
        if image is None:
            break
        step = rho / np.vdot(p, image)
        x += step * p
        r -= step * image
        before = rho
        if callback is not None:
            callback(x)
    return best


def minres(
    apply: Map, b: Any, aim: float, max_iter: int, norm: float = 0.0, callback: Callable[[Any], None] | None = None
) -> Any:
    """Return an approximate solution of ``A x = b`` for a symmetric A: the iterate of the least residual, which tends to the
    solution of least squares where A is singular.

    Parameters are those of `conjugate_gradients`.

    References
    ----------
    C. C. Paige, M. A. Saunders, "Solution of sparse indefinite systems of linear equations", SIAM Journal on Numerical
    Analysis 12, 1975. For singular systems: S.-C. T. Choi, C. C. Paige, M. A. Saunders, "MINRES-QLP: a Krylov subspace method for
    indefinite or singular symmetric systems", SIAM Journal on Scientific Computing 33, 2011.
    """
    best, least = None, _LEAST_SQUARES
    # Lanczos: A V = V T with T tridiagonal (alpha, beta); Givens rotations (cosine, sine) make T triangular as it grows.
    x = np.zeros_like(b)
    beta = left = float(np.linalg.norm(b))
    if beta == 0:
        return x
    v_before, v = np.zeros_like(b), b / beta
    w_before, w = np.zeros_like(b), np.zeros_like(b)
    beta_before, cosine, sine, delta, epsilon = 0.0, -1.0, 0.0, 0.0, 0.0
    scale = norm
    kept, least_rest = x.copy(), left
    for k in range(1, max_iter + 1):
        if not left > aim:
            break
        image = apply(v)
        if image is None:
            break
        if beta_before:
            image = image - beta_before * v_before
        alpha = float(np.vdot(v, image))
        following = image - alpha * v
        beta = float(np.linalg.norm(following))
        scale = max(scale, math.hypot(beta_before, alpha, beta))
        epsilon_before, epsilon = epsilon, sine * beta
        above = cosine * delta + sine * alpha
        diagonal, delta = sine * delta - cosine * alpha, -cosine * beta
        # The norm of A times the residual so far is ``left * hypot(diagonal, delta)``: next to nothing where x is a solution of
        # least squares, from where on the iterations follow rounding errors, further and further away.
        gradient = math.hypot(diagonal, delta) / scale if scale else 0.0
        if gradient < least:
            best, least = x.copy(), gradient
        if gradient == 0 or (best is not None and gradient > 100 * least):
            return best
        radius = max(math.hypot(diagonal, beta), scale * 1e-300)
        cosine, sine = diagonal / radius, beta / radius
        w_before, w = w, (v - epsilon_before * w_before - above * w) / radius
        x += (cosine * left) * w
        left *= sine
        if callback is not None:
            callback(x)
        if k % _CHECKED == 0 or k == max_iter:
            image = apply(x)
            rest = math.inf if image is None else float(np.linalg.norm(b - image))
            if not rest < max(least_rest, 2 * left):
                return kept
            if rest < least_rest:
                kept, least_rest = x.copy(), rest
        if beta <= 1e-15 * scale:  # the iterations have met an invariant subspace: no better solution comes
            break
        v_before, v, beta_before = v, following / beta, beta
    return x if best is None or left <= aim else best
