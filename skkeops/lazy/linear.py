"""Linear systems with lazy tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skkeops.devices import as_array, namespace_of
from skkeops.kernel_solve import KernelSolve, check_solution
from skkeops.solvers import low_rank_preconditioner
from skkeops.solvers import solve as solve_system

from .complex_numbers import holds_complex, interleave, to_complex
from .dense import in_float64
from .reduction import split_options

if TYPE_CHECKING:
    from .tensor import LazyTensor

__all__ = ["solve"]


def solve(
    K: LazyTensor,  # noqa: N803
    b: Any,
    var: Any,
    alpha: float,
    eps: float,
    maxiter: int | None,
    preconditioner: Any,
    n_components: int,
    random_state: int,
    ranges: Any,
    backend: str | None,
    options: dict[str, Any],
) -> np.ndarray:
    """Solve ``(K + alpha I) a = b``; see `LazyTensor.solve`."""
    ranges = K.ranges if ranges is None else ranges
    backend = backend or K.backend or "auto"
    if var is not None:
        return _solve_for(K, b, var, alpha, eps, maxiter, preconditioner, ranges, backend, options)
    split_options(options)
    if K.batch or K.ndim != 1 or len(set(K.shape)) != 1:
        raise ValueError(f"a system needs a square tensor of one component, without batch: found shape {K.shape}")
    if not alpha >= 0 or not eps > 0:
        raise ValueError(f"alpha must not be negative and eps positive: found alpha={alpha!r}, eps={eps!r}")
    n = K.shape[0]
    right = _right_hand_side(b, type(K))
    if right.ndim not in (1, 2) or len(right) != n:
        raise ValueError(f"b must have {n} rows: found shape {right.shape}")
    if holds_complex(b):  # the real and the imaginary part are two right-hand sides
        parts = interleave(right.reshape(n, -1)) if right.dtype.kind == "c" else right
        arguments = (None, alpha, eps, maxiter, preconditioner, n_components, random_state, ranges, backend, options)
        found = to_complex(solve(K, parts, *arguments))
        return found.reshape(right.shape) if right.dtype.kind == "c" else found
    dtype = np.result_type(right.dtype if right.dtype.kind == "f" else np.float64, K.dtype)
    columns = right.reshape(n, -1).astype(np.float64)
    cls = type(K)

    def product(v: np.ndarray) -> np.ndarray:
        scaled = K * cls(v.astype(dtype, copy=False), axis=1)
        return scaled.sum(axis=1, backend=backend, ranges=ranges).astype(np.float64)

    inverse = preconditioner
    if preconditioner is None and n_components > 0:
        inverse = "cholesky"
    if isinstance(inverse, str):
        # a factor is made of differences of entries, which float32 would leave to rounding
        exact = in_float64(K)
        inverse = low_rank_preconditioner(
            inverse,
            product,
            lambda which: exact[which, :].dense().T,  # rows: the tensor is symmetric
            exact.diagonal,
            n,
            n_components or 100,
            np.full(columns.shape[1], float(alpha)),
            random_state,
            namespace_of(columns),
        )
    elif inverse is not None and not callable(inverse):
        raise TypeError(f"preconditioner must be 'cholesky', 'nystrom' or a function: found {inverse!r}")
    solution = solve_system(
        product,
        np.full(columns.shape[1], float(alpha)),
        columns,
        preconditioner=inverse,
        tol=eps,
        max_iter=max(100, 10 * n) if maxiter is None else maxiter,
    )
    check_solution(solution, eps)
    return solution.x.reshape(right.shape).astype(dtype)


def _right_hand_side(b: Any, cls: Any) -> np.ndarray:
    if isinstance(b, cls):
        arrays = [a for a in b.variables if a is not None]
        if len(arrays) != 1 or len(b.variables) != 1 or b.expression not in b.symbols:
            raise ValueError("b must be an array, or the LazyTensor of one")
        return arrays[0]
    return as_array(b)


def _solve_for(K: Any, b: Any, var: Any, alpha, eps, maxiter, preconditioner, ranges, backend, options) -> np.ndarray:  # noqa: N803
    """Solve for a variable that the tensor is linear in."""
    v = getattr(var, "expression", None)
    if v not in K.symbols or K.symbols[v].array is not None:
        raise ValueError("var must be a variable of the tensor that has no array, such as Vj(0, 1)")
    others = [s for w, s in K.symbols.items() if w is not v]
    if K.batch or any(s.array is None for s in others):
        raise ValueError("a system needs a tensor without batch dimensions, with arrays for all variables but var")
    from skkeops.formula.derivative import substitute
    from skkeops.formula.expression import Variable

    order = [K.symbols[v], *others]
    renamed = {s.variable: Variable(k, s.variable.dim, s.variable.category) for k, s in enumerate(order)}
    aliases = [str(w) for w in renamed.values()]
    construction, options = split_options(options)
    invert = KernelSolve(substitute(K.expression, renamed), aliases, aliases[0], axis=v.category, **dict(construction))
    return invert(
        _right_hand_side(b, type(K)),
        *(s.array for s in others),
        alpha=alpha,
        eps=eps,
        maxiter=maxiter,
        preconditioner=preconditioner,
        ranges=ranges,
        backend=backend,
    )
