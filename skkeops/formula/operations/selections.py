"""Choosing, placing and joining components."""

from __future__ import annotations

import numpy as np

from ..errors import FormulaError
from ..expression import Constant
from ..limits import MAX_DIM
from ..registry import ops, register
from . import algebra
from .families import Selection

__all__ = ["Concat", "Elem", "ElemT", "Extract", "ExtractT", "SumT"]


def _check_range(name: str, parameter: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        bounds = f"in {low}..{high}" if high > low else str(low)
        raise FormulaError(f"{name}: parameter {parameter!r} must be {bounds}, got {value}")


@register
class SumT(Selection):
    """``SumT(f, D)``: one component, ``D`` times; the transpose of ``Sum``."""

    name = "SumT"
    parameters = ("D",)

    @classmethod
    def check(cls, args, params):
        if args[0].dim != 1:
            raise FormulaError(f"SumT: the argument must have dim 1, got {args[0].dim}")
        _check_range("SumT", "D", params[0], 1, MAX_DIM)
        return params

    @classmethod
    def simplify(cls, args, params):
        (f,), (dim,) = args, params
        if dim == 1:
            return f
        return Constant._of(f.value, dim) if type(f) is Constant else None

    @classmethod
    def output_dim(cls, args, params):
        return params[0]

    def selection(self):
        return ((0, 0),) * self.dim

    def numpy(self, f):
        return np.repeat(f, self.dim, axis=-1)

    def adjoint(self, k, e):
        return ops.Sum.build(e)


@register
class Elem(Selection):
    """``Elem(f, m)``: component ``m``, from 0."""

    name = "Elem"
    parameters = ("m",)

    @classmethod
    def check(cls, args, params):
        _check_range("Elem", "m", params[0], 0, args[0].dim - 1)
        return params

    @classmethod
    def simplify(cls, args, params):
        (f,), (m,) = args, params
        if f.dim == 1:
            return f
        kind = type(f)
        if kind is Constant:
            return Constant._of(f.value)
        if kind is SumT:
            return f.args[0]
        if kind is ElemT:
            return f.args[0] if m == f.params[1] else Constant(0)
        if kind is Extract:
            return cls.build(f.args[0], m + f.params[0])
        if kind is ExtractT:
            start, inner = f.params[0], f.args[0]
            return cls.build(inner, m - start) if start <= m < start + inner.dim else Constant(0)
        if kind is Concat:
            left, right = f.args
            return cls.build(left, m) if m < left.dim else cls.build(right, m - left.dim)
        if kind in (ops.Complex, ops.ComplexReal, ops.ComplexImag):
            argument, component = f.selection()[m]
            return cls.build(f.args[argument], component)
        if kind in (ops.Minus, ops.Mult):
            c, rest = algebra.split(f)
            if algebra.is_scaled_vector(rest):
                scalar, vector = rest.args
                return ops.Mult.build(ops.Mult.build(Constant._of(c), scalar), cls.build(vector, m))
            return None if c == 1 else ops.Mult.build(Constant._of(c), cls.build(rest, m))
        return None

    def selection(self):
        return ((0, self.params[0]),)

    def numpy(self, f):
        m = self.params[0]
        return f[..., m : m + 1]

    def adjoint(self, k, e):
        return ElemT.build(e, self.args[0].dim, self.params[0])


@register
class ElemT(Selection):
    """``ElemT(f, N, m)``: ``N`` components, all zero but component ``m``, which is ``f``."""

    name = "ElemT"
    parameters = ("N", "m")

    @classmethod
    def check(cls, args, params):
        if args[0].dim != 1:
            raise FormulaError(f"ElemT: the argument must have dim 1, got {args[0].dim}")
        _check_range("ElemT", "N", params[0], 1, MAX_DIM)
        _check_range("ElemT", "m", params[1], 0, params[0] - 1)
        return params

    @classmethod
    def simplify(cls, args, params):
        (f,), (n, _) = args, params
        if n == 1:
            return f
        return Constant(0, n) if algebra.is_zero(f) else None

    @classmethod
    def output_dim(cls, args, params):
        return params[0]

    def selection(self):
        m = self.params[1]
        return tuple((0, 0) if k == m else None for k in range(self.dim))

    def numpy(self, f):
        n, m = self.params
        out = np.zeros((*f.shape[:-1], n), f.dtype)
        out[..., m] = f[..., 0]
        return out

    def adjoint(self, k, e):
        return Elem.build(e, self.params[1])


@register
class Extract(Selection):
    """``Extract(f, start, d)``: ``d`` components from ``start`` on."""

    name = "Extract"
    parameters = ("start", "d")

    @classmethod
    def check(cls, args, params):
        start, d = params
        _check_range("Extract", "start", start, 0, args[0].dim - 1)
        _check_range("Extract", "d", d, 1, args[0].dim - start)
        return params

    @classmethod
    def simplify(cls, args, params):
        (f,), (start, d) = args, params
        if d == f.dim:
            return f
        if d == 1:
            return Elem.build(f, start)
        kind = type(f)
        if kind is Constant:
            return Constant._of(f.value, d)
        if kind is SumT:
            return SumT.build(f.args[0], d)
        if kind is ElemT:
            m = f.params[1]
            return ElemT.build(f.args[0], d, m - start) if start <= m < start + d else Constant(0, d)
        if kind is Extract:
            return cls.build(f.args[0], start + f.params[0], d)
        if kind is Concat:
            left, right = f.args
            if start + d <= left.dim:
                return cls.build(left, start, d)
            if start >= left.dim:
                return cls.build(right, start - left.dim, d)
        return None

    @classmethod
    def output_dim(cls, args, params):
        return params[1]

    def selection(self):
        start, d = self.params
        return tuple((0, start + k) for k in range(d))

    def numpy(self, f):
        start, d = self.params
        return f[..., start : start + d]

    def adjoint(self, k, e):
        return ExtractT.build(e, self.params[0], self.args[0].dim)


@register
class ExtractT(Selection):
    """``ExtractT(f, start, N)``: ``N`` components, zero but for ``f`` from component ``start`` on."""

    name = "ExtractT"
    parameters = ("start", "N")

    @classmethod
    def check(cls, args, params):
        start, n = params
        _check_range("ExtractT", "N", n, args[0].dim, MAX_DIM)
        _check_range("ExtractT", "start", start, 0, n - args[0].dim)
        return params

    @classmethod
    def simplify(cls, args, params):
        (f,), (start, n) = args, params
        if n == f.dim:
            return f
        if f.dim == 1:
            return ElemT.build(f, n, start)
        return Constant(0, n) if algebra.is_zero(f) else None

    @classmethod
    def output_dim(cls, args, params):
        return params[1]

    def selection(self):
        start, d = self.params[0], self.args[0].dim
        return tuple((0, k - start) if start <= k < start + d else None for k in range(self.dim))

    def numpy(self, f):
        start, n = self.params
        out = np.zeros((*f.shape[:-1], n), f.dtype)
        out[..., start : start + f.shape[-1]] = f
        return out

    def adjoint(self, k, e):
        return Extract.build(e, self.params[0], self.args[0].dim)


@register
class Concat(Selection):
    """``Concat(f, g)``: the components of ``f``, then those of ``g``."""

    name = "Concat"
    arguments = ("f", "g")
    domain = ((-2.0, 2.0), (-2.0, 2.0))

    @classmethod
    def simplify(cls, args, params):
        f, g = args
        if type(f) is Constant and type(g) is Constant and f.params[:2] == g.params[:2]:
            return Constant._of(f.value, _total(f, g))
        return None

    @classmethod
    def output_dim(cls, args, params):
        return args[0].dim + args[1].dim

    def selection(self):
        f, g = self.args
        return tuple([(0, k) for k in range(f.dim)] + [(1, k) for k in range(g.dim)])

    def numpy(self, f, g):
        shape = np.broadcast_shapes(f.shape[:-1], g.shape[:-1])
        f = np.broadcast_to(f, (*shape, f.shape[-1]))
        g = np.broadcast_to(g, (*shape, g.shape[-1]))
        return np.concatenate((f, g), axis=-1)

    def adjoint(self, k, e):
        f, g = self.args
        return Extract.build(e, f.dim, g.dim) if k else Extract.build(e, 0, f.dim)


def _total(f, g) -> int:
    dim = f.dim + g.dim
    if dim > MAX_DIM:
        raise FormulaError(f"Concat would have {dim} components, the limit is {MAX_DIM}")
    return dim
