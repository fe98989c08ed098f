"""Derivatives as names of the language."""

from __future__ import annotations

from .derivative import gradient, gradient_matrix, tangent
from .errors import FormulaError
from .expression import Expression, Variable, variables_of
from .linear import divergence, laplacian, linear_adjoint, trace
from .operations import composite

__all__ = ["AdjointOperator", "Diff", "Divergence", "Grad", "GradMatrix", "Laplacian", "TraceOperator"]


def fresh_variable(f: Expression, v: Variable, n_declared: int = 0) -> Variable:
    """A variable for the direction of ``Grad(f, v)``: the next position, of the other category than ``v``."""
    if not isinstance(v, Variable):
        raise FormulaError(f"Grad: expected a variable to differentiate by, got {v!r}")
    if v.category > 1:
        kind = "a parameter" if v.category == 2 else "a variable of pairs"
        raise FormulaError(f"Grad: the gradient by {kind} needs a third argument, with the dim of the formula")
    position = max([n_declared, *(variable.position + 1 for variable in variables_of(f))])
    return Variable(position, f.dim, 1 - v.category)


@composite("Grad", "f v e", optional=1)
def Grad(f, v, e=None):
    """``Grad(f, v, e)``: the derivative of ``f | e`` by the variable ``v``. Without ``e``, of ``f`` times a new variable,
    the next argument of the call."""
    return gradient(f, v, fresh_variable(f, v) if e is None else e)


@composite("GradMatrix", "f v")
def GradMatrix(f, v):
    """``GradMatrix(f, v)``: the Jacobian, one row of ``v.dim`` for each component of ``f``."""
    return gradient_matrix(f, v)


@composite("Diff", "f v u")
def Diff(f, v, u):
    """``Diff(f, v, u)``: the derivative of ``f`` when ``v`` moves in the direction ``u``."""
    return tangent(f, {v: u})


@composite("Divergence", "f v")
def Divergence(f, v):
    """``Divergence(f, v)``: the sum of the derivatives of component k of ``f`` by component k of ``v``."""
    return divergence(f, v)


@composite("Laplacian", "f v")
def Laplacian(f, v):
    """``Laplacian(f, v)``: the divergence of the gradient of ``f``, which has dim 1."""
    return laplacian(f, v)


@composite("TraceOperator", "f v w", optional=1)
def TraceOperator(f, v, w=1):
    """``TraceOperator(f, v)``: the trace of ``f`` as a linear function of ``v``, which has its dim; with ``w``, of ``w * f``."""
    return trace(f, v, w)


@composite("AdjointOperator", "f v u")
def AdjointOperator(f, v, u):
    """``AdjointOperator(f, v, u)``: the transpose of ``f``, a linear function of ``v``, applied to ``u``, which has the
    dim of ``f``."""
    return linear_adjoint(f, v, u)
