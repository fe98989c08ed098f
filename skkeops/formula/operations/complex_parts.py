"""Complex vectors of D components as real vectors of dim 2D, real and imaginary parts interleaved."""

from __future__ import annotations

import numpy as np

from ..errors import FormulaError
from ..expression import Constant, Expression
from ..limits import MAX_DIM
from ..registry import ops, register
from . import algebra
from .base import bind
from .families import Selection, broadcast

__all__ = ["Complex", "ComplexImag", "ComplexReal"]


@register
class Complex(Selection):
    """``Complex(f, g) = f + i g``: real and imaginary parts to a complex vector, of dims D and D to 2D (or one of 1)."""

    name = "Complex"
    arguments = ("f", "g")
    domain = ((-2.0, 2.0), (-2.0, 2.0))

    @classmethod
    def build(cls, *arguments):
        args, params = bind(cls, arguments)
        dim = max(arg.dim for arg in args)
        if any(arg.dim not in (1, dim) for arg in args):
            dims = " and ".join(str(arg.dim) for arg in args)
            raise FormulaError(f"Complex: the dims {dims} do not go together: they must be equal, or 1")
        if 2 * dim > MAX_DIM:
            raise FormulaError(f"Complex would have {2 * dim} components, the limit is {MAX_DIM}")
        args = tuple([broadcast(arg, dim) for arg in args])
        simple = cls.simplify(args, params)
        return cls._new(args, params) if simple is None else simple

    @classmethod
    def simplify(cls, args, params):
        f, g = args
        if type(f) is ComplexReal and type(g) is ComplexImag and f.args[0] is g.args[0]:
            return f.args[0]
        if type(f) is Constant or type(g) is Constant:
            return Constant._of(f.value, 2 * f.dim) if f is g else None
        # a factor of both parts stays outside, where it may leave a sum
        (cf, f), (cg, g) = algebra.split(f), algebra.split(g)
        if cf == cg != 1:
            return ops.Mult.build(Constant._of(cf), cls.build(f, g))
        if type(f) is ops.Mult and type(g) is ops.Mult:
            for k, factor in enumerate(f.args):
                if factor.dim == 1 and factor in g.args:
                    m = g.args.index(factor)
                    rest = cls.build(ops.Mult.build(Constant._of(cf), f.args[1 - k]),
                                     ops.Mult.build(Constant._of(cg), g.args[1 - m]))  # fmt: skip
                    return ops.Mult.build(factor, rest)
        return None

    @classmethod
    def output_dim(cls, args, params):
        return 2 * args[0].dim

    def selection(self):
        return tuple([(part, k) for k in range(self.args[0].dim) for part in (0, 1)])

    def numpy(self, f, g):
        out = np.empty((*np.broadcast_shapes(f.shape[:-1], g.shape[:-1]), 2 * f.shape[-1]), f.dtype)
        out[..., 0::2], out[..., 1::2] = f, g
        return out

    def adjoint(self, k, e):
        return ComplexImag.build(e) if k else ComplexReal.build(e)


class _Part(Selection):
    _part = 0

    @classmethod
    def check(cls, args, params):
        check_complex(args[0], cls.name)
        return params

    @classmethod
    def simplify(cls, args, params):
        (f,) = args
        kind = type(f)
        if kind is Constant:
            return Constant._of(f.value, f.dim // 2)
        if kind is ops.SumT:
            return ops.SumT.build(f.args[0], f.dim // 2)
        if kind is Complex:
            return f.args[cls._part]
        c, rest = algebra.split(f)
        if algebra.is_scaled_vector(rest):
            scalar, vector = rest.args
            return ops.Mult.build(ops.Mult.build(Constant._of(c), scalar), cls.build(vector))
        return None if c == 1 else ops.Mult.build(Constant._of(c), cls.build(rest))

    @classmethod
    def output_dim(cls, args, params):
        return args[0].dim // 2

    def selection(self):
        return tuple([(0, k) for k in range(self._part, 2 * self.dim, 2)])

    def numpy(self, f):
        return f[..., self._part :: 2]


@register
class ComplexReal(_Part):
    """``ComplexReal(f)``: the real parts of a complex vector, of dim 2D to D."""

    name = "ComplexReal"

    def adjoint(self, k, e):
        return Complex.build(e, 0)


@register
class ComplexImag(_Part):
    """``ComplexImag(f)``: the imaginary parts of a complex vector, of dim 2D to D."""

    name = "ComplexImag"
    _part = 1

    def adjoint(self, k, e):
        return Complex.build(0, e)


def check_complex(f: Expression, name: str) -> None:
    """Refuse what cannot be a complex vector."""
    if f.dim % 2:
        raise FormulaError(f"{name}: a complex vector has an even dim (real and imaginary parts), got {f.dim}")
