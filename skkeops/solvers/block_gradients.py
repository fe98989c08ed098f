"""Conjugate gradients on many right-hand sides at once, each with steps of its own, and the Lanczos matrices that they leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skkeops.arrays.devices import namespace_of, to_device, to_host

from .linear_system import column_norms

__all__ = ["BlockSolution", "block_gradients"]

Map = Callable[[Any], Any]

_ROWS = 2**14  # of a solution, changed at a time


@dataclass(frozen=True)
class BlockSolution:
    """Solutions of ``A x = b`` for the columns of b.

    Attributes
    ----------
    x : ndarray of shape (n, n_columns)
    residuals : ndarray of shape (n_columns,)
        The norms of the residuals, relative to those of b, as the iterations estimate them.
    n_iter : int
        The number of products with A.
    is_definite : bool
        Whether A showed no curvature that is not positive.
    tridiagonals : list of (ndarray, ndarray)
        For each column the diagonal and the other diagonal of the Lanczos matrix of ``R^-1 A R^-T``, started from ``R^-1 b``, where
        ``R R^T`` is the inverse of the preconditioner.
    """

    x: Any
    residuals: np.ndarray
    n_iter: int
    is_definite: bool
    tridiagonals: list[tuple[np.ndarray, np.ndarray]]


def block_gradients(
    apply: Map,
    b: Any,
    inverse: Map,
    tol: np.ndarray,
    max_iter: int,
    start: Any = None,
    callback: Callable[[int, float], Any] | None = None,
) -> BlockSolution:
    """Solve ``A x = b`` for the columns of b by preconditioned conjugate gradients.

    A product is one for all columns that are not solved yet: where products are sums over pairs, many columns cost little more than
    one.

    Parameters
    ----------
    apply : callable
        Returns ``A @ v`` for v of any number of columns.
    b : ndarray of shape (n, n_columns)
    inverse : callable
        The preconditioner, symmetric and positive definite.
    tol : ndarray of shape (n_columns,)
        The norm of the residual of each column, relative to that of b, at which it is solved.
    max_iter : int
    start : ndarray of shape (n, n_columns), optional
        Where to start; a column with another start than zero has no Lanczos matrix of b.
    callback : callable, optional
        Called with the number of the iteration and the largest relative residual.

    References
    ----------
    J. R. Gardner, G. Pleiss, D. Bindel, K. Q. Weinberger, A. G. Wilson, "GPyTorch: blackbox matrix-matrix Gaussian process
    inference with GPU acceleration", NeurIPS 2018. For the Lanczos matrices: Y. Saad, "Iterative Methods for Sparse Linear
    Systems", SIAM, 2003, section 6.7.3.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> block_gradients(lambda v: A @ v, np.eye(2), lambda v: v, np.array([1e-9, 1e-9]), 10).x.round(6)
    array([[ 0.666667, -0.333333],
           [-0.333333,  0.666667]])
    """
    n_columns = b.shape[1]
    norms = column_norms(b)
    scale = np.where(norms > 0, norms, 1)  # squares of what is of its size may be more, or less, than a float64 holds
    x = np.zeros_like(b) if start is None else start / scale
    r = b / scale
    if start is not None:
        moved = np.flatnonzero(to_host((start != 0).any(axis=0)))
        if len(moved):
            r[:, moved] -= apply(x[:, moved])
    residuals = _norms(r)
    active = np.flatnonzero(residuals > tol)
    steps: list[list[float]] = [[] for _ in range(n_columns)]
    ratios: list[list[float]] = [[] for _ in range(n_columns)]
    r = r[:, active]
    p = inverse(r)
    rz = _dots(r, p)
    is_definite, n_iter = bool((rz > 0).all()), 0
    while is_definite and len(active) and n_iter < max_iter:
        image = apply(p)
        n_iter += 1
        curvature = _dots(p, image)
        if not (np.isfinite(curvature).all() and (curvature > 0).all()):
            is_definite = False
            break
        alpha = rz / curvature
        step = to_device(alpha, namespace_of(b))
        # Some rows at a time, and in place: each array of all rows and columns is a large one.
        for first in range(0, len(x), _ROWS):
            x[first : first + _ROWS, active] += p[first : first + _ROWS] * step
        change = image * -step
        del image
        change += r
        r = change
        del change
        residuals[active] = _norms(r)
        z = inverse(r)
        following = _dots(r, z)
        if not (following >= 0).all():  # the preconditioner is not definite, by rounding
            is_definite = False
            break
        beta = following / rz
        for k, column in enumerate(active):
            steps[column].append(float(alpha[k]))
            ratios[column].append(float(beta[k]))
        if callback is not None:
            callback(n_iter, float(residuals.max()))
        left = residuals[active] > tol[active]
        p = p * to_device(beta, namespace_of(b))
        p += z
        rz = following
        del z
        if not left.all():
            kept = np.flatnonzero(left)
            p, r, rz, active = p[:, kept], r[:, kept], rz[kept], active[kept]
    tridiagonals = [_tridiagonal(np.array(a), np.array(c)) for a, c in zip(steps, ratios, strict=True)]
    x *= scale
    return BlockSolution(x, residuals, n_iter, is_definite, tridiagonals)


def _tridiagonal(steps: np.ndarray, ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the Lanczos matrix of the coefficients of conjugate gradients."""
    if not len(steps):
        return np.zeros(0), np.zeros(0)
    diagonal = 1 / steps
    diagonal[1:] += ratios[:-1] / steps[:-1]
    return diagonal, np.sqrt(ratios[:-1]) / steps[:-1]


def _dots(a: Any, b: Any) -> np.ndarray:
    return to_host(np.einsum("ij,ij->j", a, b))


def _norms(r: Any) -> np.ndarray:
    return to_host(np.linalg.norm(r, axis=0))
