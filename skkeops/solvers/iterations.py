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


def conjugate_gradients(
    apply: Map, b: Any, aim: float, max_iter: int, inverse: Map | None = None, callback: Callable[[Any], None] | None = None
) -> Any:
    """Return about the solution of ``A x = b`` for a symmetric positive definite A: of what the iterations reach, the best.

    Parameters
    ----------
    apply : callable
        Returns ``A @ v``.
    b : ndarray of shape (n,)
    aim : float
        The norm of the residual at which to stop, as the iterations estimate it.
    max_iter : int
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
        norm = float(np.linalg.norm(r))
        if norm < least:
            best, least = x.copy(), norm
        if math.isnan(norm):  # no better solution comes, and none at all should be believed
            return x
        if k == max_iter or norm < aim:
            break
        z = r if inverse is None else inverse(r)
        rho = np.vdot(r, z)
        p = z.copy() if p is None else z + p * (rho / before)
        image = apply(p)
        step = rho / np.vdot(p, image)
        x += step * p
        r -= step * image
        before = rho
        if callback is not None:
            callback(x)
    return best


def minres(apply: Map, b: Any, aim: float, max_iter: int, callback: Callable[[Any], None] | None = None) -> Any:
    """Return about the solution of ``A x = b`` for a symmetric A, of the least residual among those that the iterations reach.

    Parameters are those of `conjugate_gradients`.

    References
    ----------
    C. C. Paige, M. A. Saunders, "Solution of sparse indefinite systems of linear equations", SIAM Journal on Numerical
    Analysis 12, 1975.
    """
    # Lanczos: A V = V T with T tridiagonal (alpha, beta); Givens rotations (cosine, sine) make T triangular as it grows.
    x = np.zeros_like(b)
    beta = left = float(np.linalg.norm(b))
    if beta == 0:
        return x
    v_before, v = np.zeros_like(b), b / beta
    w_before, w = np.zeros_like(b), np.zeros_like(b)
    beta_before, cosine, sine, delta, epsilon = 0.0, -1.0, 0.0, 0.0, 0.0
    scale = 0.0
    for _ in range(max_iter):
        if not left > aim:
            break
        image = apply(v)
        if beta_before:
            image = image - beta_before * v_before
        alpha = float(np.vdot(v, image))
        image = image - alpha * v
        beta = float(np.linalg.norm(image))
        scale = max(scale, math.sqrt(beta_before**2 + alpha**2 + beta**2))
        epsilon_before, epsilon = epsilon, sine * beta
        above = cosine * delta + sine * alpha
        diagonal, delta = sine * delta - cosine * alpha, -cosine * beta
        radius = max(math.hypot(diagonal, beta), scale * 1e-300)
        cosine, sine = diagonal / radius, beta / radius
        w_before, w = w, (v - epsilon_before * w_before - above * w) / radius
        x += (cosine * left) * w
        left *= sine
        if callback is not None:
            callback(x)
        if beta <= 1e-15 * scale:  # the iterations have met an invariant subspace: no better solution comes
            break
        v_before, v, beta_before = v, image / beta, beta
    return x
