"""What users are told of a solution that is not what they asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from skkeops.arrays.devices import computing
from skkeops.calls.options import warn_caller

from .formula_matrix import Matrix
from .linear_system import Solution, relative_residuals

__all__ = ["advice", "round_solution", "warn_of"]

# The relative residual of a solution that is rounded to float32, from which on a warning is due.
_FLOAT32_RESIDUAL = 1e-3


def round_solution(solution: Solution, matrix: Matrix, b: Any, shift: np.ndarray) -> np.ndarray:
    """Return a solution in the dtype of the arguments, and warn if that does not hold it."""
    with computing((b,)), np.errstate(over="ignore"):
        found = solution.x.astype(matrix.dtype)
        if found.dtype == np.float64 or np.isnan(solution.residual):
            return found
        residuals = relative_residuals(matrix.product, shift, b.astype(np.float64), found.astype(np.float64))
    if (residuals > solution.residuals + _FLOAT32_RESIDUAL).any():
        warn_caller(
            f"rounded to float32, the solution has a relative residual of {residuals.max():.1e}: the system asks for more digits. "
            "Give the arguments in float64, or increase alpha"
        )
    return found


def advice(n_iter: int, max_iter: int) -> str:
    """Return what to do where an estimator's residual is too large: more iterations are of no use where some were left."""
    what = "Increase max_iter, n_components or alpha" if n_iter >= max_iter else "Rounding allows no less: increase alpha"
    return f"{what}, or accept a larger tol."


def warn_of(solution: Solution, eps: float) -> None:
    """Warn of a solution that is not what was asked for."""
    residual = solution.residual
    if np.isnan(residual):
        warn_caller(
            "products with the matrix are not finite: it has entries that are infinite or NaN, or too large for float64, or b has. "
            "There is no solution"
        )
        return
    if np.isinf(residual):
        warn_caller("the solution is too large for float64: scale b, or the matrix")
        return
    if not solution.is_definite:
        warn_caller("the matrix is not positive definite: the system was solved by MINRES")
    if not residual > eps or solution.stopped:
        return
    if solution.is_singular:
        warn_caller(
            "the matrix plus alpha is singular in float64, and b is not in its range: the solution is that of least squares, with "
            f"a relative residual of {residual:.1e}. A positive alpha, or a larger one, makes it regular"
        )
    else:
        warn_caller(
            f"the relative residual is {residual:.1e} after {solution.n_iter} iterations, eps={eps:g}: increase "
            "maxiter, alpha or eps, or give a better preconditioner"
        )
