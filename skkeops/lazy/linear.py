"""Linear systems with lazy tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skkeops.kernel_solve import check_solution
from skkeops.solvers import LowRankPreconditioner, pivoted_cholesky
from skkeops.solvers import solve as solve_system

if TYPE_CHECKING:
    from .tensor import LazyTensor

__all__ = ["solve"]


def solve(
    K: LazyTensor,  # noqa: N803
    b: Any,
    alpha: float,
    eps: float,
    maxiter: int | None,
    n_components: int,
    random_state: int,
    backend: str,
) -> np.ndarray:
    """Solve ``(K + alpha I) a = b``; see `LazyTensor.solve`."""
    if K.batch or K.ndim != 1 or len(set(K.shape)) != 1:
        raise ValueError(f"a system needs a square tensor of one component, without batch: found shape {K.shape}")
    if not alpha >= 0 or not eps > 0:
        raise ValueError(f"alpha must not be negative and eps positive: found alpha={alpha!r}, eps={eps!r}")
    n = K.shape[0]
    right = next(iter(b.symbols.values())).array if isinstance(b, type(K)) else np.asarray(b)
    if right.ndim not in (1, 2) or len(right) != n:
        raise ValueError(f"b must have {n} rows: found shape {right.shape}")
    dtype = np.result_type(right.dtype, K.dtype)
    columns = right.reshape(n, -1).astype(np.float64)
    preconditioner = None
    if n_components > 0:
        factor, is_semidefinite = pivoted_cholesky(
            lambda which: K[which, :].dense().T.astype(np.float64),  # rows: the tensor is symmetric
            K.diagonal().astype(np.float64),
            min(n_components, n),
            np.random.RandomState(random_state),
        )
        if is_semidefinite:
            shift = max(alpha, 1e-14 * n * float(np.max(K.diagonal(), initial=0.0)))
            preconditioner = LowRankPreconditioner(factor, np.full(columns.shape[1], shift))

    def product(v: np.ndarray) -> np.ndarray:
        return (K * type(K)(v.astype(dtype, copy=False), axis=1)).sum(axis=1, backend=backend).astype(np.float64)

    solution = solve_system(
        product,
        np.full(columns.shape[1], float(alpha)),
        columns,
        preconditioner=preconditioner,
        tol=eps,
        max_iter=max(100, 10 * n) if maxiter is None else maxiter,
    )
    check_solution(solution, eps)
    return solution.x.reshape(right.shape).astype(dtype)
