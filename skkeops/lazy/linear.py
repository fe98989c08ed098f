"""Linear systems with lazy tensors: those of `skkeops.KernelSolve`, for the tensor's formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skkeops.arrays.devices import as_array, namespace_of, to_host
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import Expression, J, Variable
from skkeops.genred import compiled
from skkeops.solvers.kernel_solve import KernelSolve

from .complex_numbers import holds_complex, interleave, to_complex
from .reduction import split_options

if TYPE_CHECKING:
    from .symbols import Symbol
    from .tensor import LazyTensor

__all__ = ["solve"]


def solve(K: LazyTensor, b: Any, var: Any, options: dict[str, Any]) -> np.ndarray:  # noqa: N803
    """Solve ``(K + alpha I) a = b``; see `LazyTensor.solve`.

    Parameters
    ----------
    K : LazyTensor
    b : array-like, or LazyTensor of one
    var : LazyTensor or None
        The variable that K is linear in.
    options : dict
        Those of the call of `skkeops.KernelSolve`, and of the construction of `skkeops.Genred`.
    """
    solver_options = {name: options.pop(name) for name in _SOLVER_OPTIONS if name in options}
    construction, call = split_options(options)
    for name in ("ranges", "backend"):
        if call.get(name) is None:
            call[name] = getattr(K, name)
    call = {name: value for name, value in {**call, **solver_options}.items() if value is not None or name == "preconditioner"}
    right = _right_hand_side(b, type(K))
    if var is not None:
        v, others = _unknown(K, var)
        invert, arrays = _solver(K.expression, v, others, construction)
        return invert(right, *arrays, **call)
    if K.batch or K.ndim != 1 or len(set(K.shape)) != 1:
        raise ValueError(f"a system needs a square tensor of one component, without batch: found shape {K.shape}")
    if any(s.array is None for s in K.symbols.values()):
        raise ValueError("a system needs arrays for all variables, or var=, the variable that the tensor is linear in")
    n = K.shape[0]
    if right.ndim not in (1, 2) or len(right) != n:
        raise ValueError(f"b must have {n} rows: found shape {right.shape}")
    if np.ndim(call.get("alpha", 0)):
        call["alpha"] = _entries(call["alpha"], right.shape)
    if holds_complex(b):  # the real and the imaginary part are two right-hand sides
        parts = interleave(right.reshape(n, -1)) if right.dtype.kind == "c" else right
        if np.ndim(call.get("alpha", 0)) and right.dtype.kind == "c":
            call["alpha"] = np.repeat(call["alpha"], 2, axis=1)
        found = to_complex(_solve_columns(K, parts, construction, call))
        return found.reshape(right.shape) if right.dtype.kind == "c" else found
    return _solve_columns(K, right.reshape(n, -1), construction, call).reshape(right.shape)


_SOLVER_OPTIONS = ("alpha", "eps", "maxiter", "preconditioner", "n_components", "random_state", "callback")


def _entries(alpha: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return one number for each entry of b, as rows and columns."""
    values = to_host(as_array(alpha))
    try:
        return np.broadcast_to(values, shape).reshape(shape[0], -1)
    except ValueError:
        raise ValueError(
            f"alpha must be a number, or broadcast to the shape of b, {shape}: found the shape {values.shape}"
        ) from None


def _solve_columns(K: LazyTensor, b: np.ndarray, construction: tuple, call: dict[str, Any]) -> np.ndarray:  # noqa: N803
    """Solve for the columns of b: the tensor times a variable that stands for them."""
    v = Variable(0, b.shape[1], J)
    invert, arrays = _solver(K.expression, v, list(K.symbols.values()), construction, times=True)
    dtype = np.result_type(b.dtype if b.dtype.kind == "f" else np.float64, K.dtype)
    return invert(b.astype(dtype, copy=False), *arrays, **call)


def _solver(
    expression: Expression, v: Variable, others: list[Symbol], construction: tuple, times: bool = False
) -> tuple[KernelSolve, list[Any]]:
    """Return the system of an expression that is linear in v, or of its product with v; v comes first."""
    renamed = {s.variable: Variable(k + 1, s.variable.dim, s.variable.category) for k, s in enumerate(others)}
    unknown = Variable(0, v.dim, v.category)
    f = substitute(expression, renamed if times else {**renamed, v: unknown})
    xp = namespace_of(*(s.array for s in others))
    arrays = [s.array_in(xp) for s in others]
    f, variables = f * unknown if times else f, (unknown, *renamed.values())
    return compiled(KernelSolve, f, variables, str(unknown), axis=unknown.category, **dict(construction)), arrays


def _right_hand_side(b: Any, cls: Any) -> np.ndarray:
    if isinstance(b, cls):
        arrays = [a for a in b.variables if a is not None]
        if len(arrays) != 1 or len(b.variables) != 1 or b.expression not in b.symbols:
            raise ValueError("b must be an array, or the LazyTensor of one")
        return arrays[0]
    return as_array(b)


def _unknown(K: Any, var: Any) -> tuple[Variable, list[Symbol]]:  # noqa: N803
    """Return the variable that a system is solved for, and the other symbols."""
    v = getattr(var, "expression", None)
    if v not in K.symbols or K.symbols[v].array is not None:
        raise ValueError("var must be a variable of the tensor that has no array, such as Vj(0, 1)")
    others = [s for w, s in K.symbols.items() if w is not v]
    if K.batch or any(s.array is None for s in others):
        raise ValueError("a system needs a tensor without batch dimensions, with arrays for all variables but var")
    return v, others
