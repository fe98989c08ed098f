"""Complex numbers as pairs of real ones, and what the operations of real lazy tensors mean for complex ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skkeops.arrays.devices import as_array, contiguous
from skkeops.formula import operations as ops
from skkeops.formula.expression import Constant, Expression

from .masks import choose

__all__ = ["MEANINGS", "complex_result", "holds_complex", "interleave", "to_complex"]


def holds_complex(x: Any) -> bool:
    """Return whether something is a complex number, an array or a tensor of them, or a list with some."""
    dtype = getattr(x, "dtype", None)
    if dtype is not None:
        return getattr(dtype, "kind", None) == "c"
    if isinstance(x, (list, tuple)):
        return any(map(holds_complex, x))
    return isinstance(x, complex)


def interleave(z: Any) -> np.ndarray:
    """Return complex numbers as real ones, real and imaginary parts in turn along the last axis; a view if possible."""
    if isinstance(z, np.ma.MaskedArray):
        raise TypeError("found a masked array, whose mask would be lost; expected a plain array (see .filled())")
    z = np.atleast_1d(as_array(z))
    if z.dtype.kind != "c":
        z = z.astype(np.result_type(z.dtype, np.complex64))
    if z.dtype.itemsize > 16:
        raise TypeError(f"complex numbers are complex64 or complex128: found dtype {z.dtype}")
    if z.shape[-1] != 1 and z.strides[-1] == z.itemsize:
        return z.view(z.real.dtype)
    return contiguous(z).view(z.real.dtype)


def to_complex(a: np.ndarray) -> np.ndarray:
    """Return interleaved real and imaginary parts as complex numbers."""
    a = contiguous(a)
    return a.view(np.result_type(a.dtype, np.complex64))


def complex_result(found: Any, out: np.ndarray | None = None) -> Any:
    """Return the result of a reduction, or of the function that will return it, as complex numbers."""
    if not callable(found):
        return to_complex(found) if out is None else out

    def function(*args: Any, **options: Any) -> Any:
        if options.get("out") is not None:
            options["out"] = interleave(options["out"])
        return to_complex(found(*args, **options))

    if hasattr(found, "genred"):
        function.genred = found.genred  # type: ignore[attr-defined]
    return function


# The operations of complex tensors, by those of real ones ------------------------------------------------------------
def _parts(f: Expression) -> tuple[Expression, Expression]:
    return ops.ComplexReal(f), ops.ComplexImag(f)


def _is_real(f: Expression) -> bool:
    imag = ops.ComplexImag(f)
    return type(imag) is Constant and imag.value == 0


def _power(f: Expression, g: Expression) -> Expression:
    exponent = ops.ComplexReal(g)
    return ops.ComplexPow(f, exponent if exponent.dim == 1 and _is_real(g) else g)


def _square_norm(f: Expression) -> Expression:
    return ops.Sum(ops.ComplexSquareAbs(f))


def _equal(f: Expression, g: Expression) -> Expression:
    (a, b), (c, d) = _parts(f), _parts(g)
    return ops.Equal(a, c) * ops.Equal(b, d)


def _choice(build: Callable[..., Expression]) -> Callable[..., Expression]:
    """The rule of choices by a real condition."""

    def chosen(f: Expression, g: Expression, h: Expression) -> Expression:
        if not _is_real(f):
            raise TypeError("the condition of a choice must be real: take .abs(), .real or .imag first, or compare")
        condition, (a, b), (c, d) = ops.ComplexReal(f), _parts(g), _parts(h)
        return ops.Complex(build(condition, a, c), build(condition, b, d))

    return chosen


def _bilinear(operation: Any) -> Callable[..., Expression]:
    """The rule of all products."""

    def build(f: Expression, g: Expression, *params: Any) -> Expression:
        (a, b), (c, d) = _parts(f), _parts(g)
        real = operation.build(a, c, *params) - operation.build(b, d, *params)
        return ops.Complex(real, operation.build(a, d, *params) + operation.build(b, c, *params))

    return build


#: For an operation of real tensors, or a function of expressions: the function that builds the same for complex tensors, and
#: whether its result is complex.
MEANINGS: dict[Any, tuple[Callable[..., Expression], bool]] = {
    ops.Minus: (ops.Minus, True),
    ops.Add: (ops.ComplexAdd, True),
    ops.Subtract: (ops.ComplexSubtract, True),
    ops.Mult: (ops.ComplexMult, True),
    ops.Divide: (ops.ComplexDivide, True),
    ops.Powf: (_power, True),
    ops.Inv: (ops.ComplexInv, True),
    ops.Square: (lambda f: ops.ComplexMult(f, f), True),
    ops.Sqrt: (ops.ComplexSqrt, True),
    ops.Rsqrt: (lambda f: ops.ComplexInv(ops.ComplexSqrt(f)), True),
    ops.Exp: (ops.ComplexExp, True),
    ops.Log: (ops.ComplexLog, True),
    ops.Sum: (ops.ComplexSum, True),
    ops.Elem: (lambda f, k: ops.Extract(f, 2 * k, 2), True),
    ops.Extract: (lambda f, start, dim: ops.Extract(f, 2 * start, 2 * dim), True),
    ops.Concat: (ops.Concat, True),
    ops.Normalize: (lambda f: ops.Rsqrt(_square_norm(f)) * f, True),
    ops.IfElse: (_choice(ops.IfElse.build), True),
    choose: (_choice(choose), True),
    **{
        operation: (_bilinear(operation), True)
        for operation in (ops.Scalprod, ops.MatVecMult, ops.VecMatMult, ops.TensorProd, ops.TensorDot, ops.Kron)
    },
    ops.Abs: (ops.ComplexAbs, False),
    ops.SqNorm2: (_square_norm, False),
    ops.Norm2: (lambda f: ops.Sqrt(_square_norm(f)), False),
    ops.SqDist: (lambda f, g: _square_norm(ops.ComplexSubtract(f, g)), False),
    ops.Equal: (_equal, False),
    ops.NotEqual: (lambda f, g: 1 - _equal(f, g), False),
}
