"""Norms and distances, in terms of sums of squares."""

from __future__ import annotations

from ..errors import FormulaError
from .arithmetic import Mult, Subtract
from .base import composite
from .powers import Rsqrt, Sqrt, Square
from .products import MatVecMult, Scalprod
from .vectors import Sum

__all__ = [
    "Norm2",
    "Normalize",
    "SqDist",
    "SqNorm2",
    "SqNormDiag",
    "SqNormIso",
    "SymSqNorm",
    "WeightedSqDist",
    "WeightedSqNorm",
]

_TWO = ((0.5, 2.0), (-2.0, 2.0))


@composite("SqNorm2", "f")
def SqNorm2(f):
    """``SqNorm2(f) = Sum(Square(f))``."""
    return Sum.build(Square.build(f))


@composite("Norm2", "f", domain=((0.5, 2.0),))
def Norm2(f):
    """``Norm2(f) = Sqrt(SqNorm2(f))``; its gradient is 0 at 0."""
    return Sqrt.build(SqNorm2.build(f))


@composite("Normalize", "f", domain=((0.5, 2.0),))
def Normalize(f):
    """``Normalize(f) = f / Norm2(f)``, and 0 at 0."""
    return Mult.build(Rsqrt.build(SqNorm2.build(f)), f)


@composite("SqDist", "f g")
def SqDist(f, g):
    """``SqDist(f, g) = SqNorm2(f - g)``."""
    return SqNorm2.build(Subtract.build(f, g))


@composite("SqNormIso", "s f", domain=_TWO)
def SqNormIso(s, f):
    """``SqNormIso(s, f) = s * SqNorm2(f)`` with ``s`` of dim 1."""
    if s.dim != 1:
        raise FormulaError(f"the weight must have dim 1, got {s.dim}")
    return Mult.build(s, SqNorm2.build(f))


@composite("SqNormDiag", "s f", domain=_TWO)
def SqNormDiag(s, f):
    """``SqNormDiag(s, f)``: the sum of ``s_k f_k^2``, with ``s`` of the dim of ``f``."""
    if s.dim != f.dim:
        raise FormulaError(f"the weights must have the dim of the vector, {f.dim}, got {s.dim}")
    return Scalprod.build(s, Square.build(f))


@composite("SymSqNorm", "A f", domain=_TWO)
def SymSqNorm(a, f):
    """``SymSqNorm(A, f)``: the sum of ``A[i * D + j] f_i f_j``."""
    if a.dim != f.dim**2:
        raise FormulaError(f"the matrix must have dim {f.dim}**2, got {a.dim}")
    return Scalprod.build(f, MatVecMult.build(a, f))


@composite("WeightedSqNorm", "s f", domain=_TWO)
def WeightedSqNorm(s, f):
    """``WeightedSqNorm(s, f)``: ``SqNormIso``, ``SqNormDiag`` or ``SymSqNorm`` when the dim of ``s`` is 1, D or D^2."""
    if s.dim == 1:
        return SqNormIso.build(s, f)
    if s.dim == f.dim:
        return SqNormDiag.build(s, f)
    if s.dim == f.dim**2:
        return SymSqNorm.build(s, f)
    raise FormulaError(f"the weights of a vector of dim {f.dim} must have dim 1, {f.dim} or {f.dim**2}, got {s.dim}")


@composite("WeightedSqDist", "s f g", domain=((0.5, 2.0), (-2.0, 2.0), (-2.0, 2.0)))
def WeightedSqDist(s, f, g):
    """``WeightedSqDist(s, f, g) = WeightedSqNorm(s, f - g)``."""
    return WeightedSqNorm.build(s, Subtract.build(f, g))
