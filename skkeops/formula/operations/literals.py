"""Constants and variables by name, and factorization.

Equal expressions are one object, and computed once: so KeOps' `Factorize` and `AutoFactorize` return their formula.
"""

from __future__ import annotations

from fractions import Fraction

from ..errors import FormulaError
from ..expression import IJ, Constant, I, J, P, Variable
from .base import composite

__all__ = ["AutoFactorize", "Factorize", "IntCst", "IntInv", "Pm", "RatCst", "Var", "Vi", "Vij", "Vj", "Zero"]


@composite("IntCst", "", "n")
def IntCst(n):
    """``IntCst(n)``: an integer."""
    return Constant(n)


@composite("RatCst", "", "p q")
def RatCst(p, q):
    """``RatCst(p, q) = p / q``, exact."""
    if q == 0:
        raise FormulaError("RatCst: division by zero")
    return Constant(Fraction(p, q))


@composite("IntInv", "", "n")
def IntInv(n):
    """``IntInv(n) = 1 / n``, exact."""
    if n == 0:
        raise FormulaError("IntInv: division by zero")
    return Constant(Fraction(1, n))


@composite("Zero", "", "D")
def Zero(dim):
    """``Zero(D)``: ``D`` zeros."""
    return Constant(0, dim)


@composite("Var", "", "position dim category")
def Var(position, dim, category):
    """``Var(position, dim, category)``: a variable; category 0 is i, 1 is j, 2 a parameter, 3 both."""
    return Variable(position, dim, category)


@composite("Vi", "", "position dim")
def Vi(position, dim):
    """``Vi(position, dim)``: a variable indexed by i."""
    return Variable(position, dim, I)


@composite("Vj", "", "position dim")
def Vj(position, dim):
    """``Vj(position, dim)``: a variable indexed by j."""
    return Variable(position, dim, J)


@composite("Vij", "", "position dim")
def Vij(position, dim):
    """``Vij(position, dim)``: a variable with a value for each pair (i, j)."""
    return Variable(position, dim, IJ)


@composite("Pm", "", "position dim")
def Pm(position, dim):
    """``Pm(position, dim)``: a parameter."""
    return Variable(position, dim, P)


@composite("Factorize", "f g")
def Factorize(f, g):
    """``Factorize(f, g) = f``: common sub-expressions are always computed once."""
    return f


@composite("AutoFactorize", "f")
def AutoFactorize(f):
    """``AutoFactorize(f) = f``: common sub-expressions are always computed once."""
    return f
