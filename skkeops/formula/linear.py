"""Formulas that are linear in a variable: their transpose and their trace; divergence and Laplacian."""

from __future__ import annotations

from . import operations as ops
from .derivative import check_variable, check_work, gradient, substitute, tangent
from .errors import FormulaError
from .expression import Constant, Expression, Variable, as_expression, postorder, variables_of
from .operations.algebra import is_zero

__all__ = ["divergence", "is_linear", "laplacian", "linear_adjoint", "trace"]


def divergence(f: Expression, v: Variable) -> Expression:
    """The sum over k of the derivative of component k of ``f`` by component k of ``v``.

    Examples
    --------
    >>> from skkeops.formula import Variable
    >>> x = Variable(0, 3, 0)
    >>> divergence(x * x, x)
    2*Sum(Var(0,3,0))
    """
    check_variable(v)
    if f.dim != v.dim:
        raise FormulaError(f"the formula must have the dim of the variable, {v.dim}, got {f.dim}")
    direction = _unused(v, f)
    return _trace(tangent(f, {v: direction}), direction, Constant(1))


def laplacian(f: Expression, v: Variable) -> Expression:
    """The divergence of the gradient of ``f``, which has dim 1.

    Examples
    --------
    >>> from skkeops.formula import Variable, operations as ops
    >>> x = Variable(0, 3, 0)
    >>> laplacian(ops.SqNorm2(x), x)
    6
    """
    check_variable(v)
    if f.dim != 1:
        raise FormulaError(f"the formula must have dim 1, got {f.dim}")
    return divergence(gradient(f, v, 1), v)


def trace(f: Expression, v: Variable, weight: Expression | int | float = 1) -> Expression:
    """The trace of ``f`` as a linear function of ``v``, its rows multiplied by ``weight``.

    Parameters
    ----------
    f : Expression
        Linear in ``v``, with the dim of ``v``; one of dim 1 is replicated.
    v : Variable
        The variable.
    weight : Expression or number
        Of dim 1 or ``v.dim``.
    """
    weight = as_expression(weight)
    _check_linear(f, v)
    if f.dim not in (1, v.dim):
        raise FormulaError(f"the formula must have dim 1 or that of the variable, {v.dim}, got {f.dim}")
    if weight.dim not in (1, v.dim):
        raise FormulaError(f"the weight must have dim 1 or that of the variable, {v.dim}, got {weight.dim}")
    if f.dim != v.dim:
        f = ops.SumT.build(f, v.dim)
    direction = _unused(v, f, weight)  # the weight may depend on v
    return _trace(substitute(f, {v: direction}), direction, weight)


def linear_adjoint(f: Expression, v: Variable, u: Expression) -> Expression:
    """The transpose of ``f``, a linear function of ``v``, applied to ``u``."""
    _check_linear(f, v)
    return gradient(f, v, u)


def is_linear(f: Expression, v: Variable) -> bool:
    """Whether ``f`` is linear in ``v`` by the way it is built.

    Examples
    --------
    >>> from skkeops.formula import Variable
    >>> x, y = Variable(0, 3, 0), Variable(1, 3, 1)
    >>> is_linear(x / y - 2 * (x | y), x), is_linear(x / y + 1, x), is_linear(y / x, x)
    (True, False, False)
    """
    linear: set[Expression] = {v}
    dependent: set[Expression] = {v}
    for node in postorder(f):
        which = [arg in dependent for arg in node.args]
        if any(which):
            dependent.add(node)
            if _keeps_linearity(node, which) and all(
                arg in linear for arg, depends in zip(node.args, which, strict=True) if depends
            ):
                linear.add(node)
    return f in linear or is_zero(f)


def _keeps_linearity(node: Expression, which: list[bool]) -> bool:
    """Whether ``node`` is linear in the arguments that depend on the variable, taken together."""
    if isinstance(node, (ops.Mult, ops.Bilinear)):
        return sum(which) == 1
    if isinstance(node, ops.Divide):
        return which == [True, False]
    terms = list(zip(node.args, which, strict=True))
    if isinstance(node, ops.IfElse):
        (_, condition), *terms = terms
        if condition:
            return False
    elif not isinstance(node, (ops.Add, ops.Subtract, ops.Minus, ops.Sum, ops.Selection)):
        return False
    return all(depends or is_zero(arg) for arg, depends in terms)


def _check_linear(f: Expression, v: Variable) -> None:
    check_variable(v)
    if not is_linear(f, v):
        raise FormulaError(f"the formula must be linear in {v}")


def _unused(v: Variable, *roots: Expression) -> Variable:
    """A variable like ``v`` that is nowhere in ``roots``; it disappears from the result."""
    positions = [variable.position for variable in variables_of(*roots)]
    return Variable(max(positions, default=-1) + 1, v.dim, 2)


_MAX_DEPTH = 50  # of choices within choices, beyond which they go by components


def _trace(f: Expression, v: Variable, weight: Expression, depth: int = 0) -> Expression:
    """The trace of ``diag(weight) f``, with ``f`` linear in ``v`` and of its dim.

    Works down the formula with what multiplies it, so that no loop over the components is needed where ``f`` is made
    of sums and products.
    """
    total: Expression = Constant(0)
    work = [(f, weight)]
    mult, add = ops.Mult.build, ops.Add.build
    dependent = _dependents(f, v)
    while work:
        g, weight = work.pop()
        if g not in dependent:
            continue
        if g is v:
            term = ops.Sum.build(mult(weight, Constant(1, v.dim)))
        elif isinstance(g, (ops.Add, ops.Subtract)) and all(arg.dim == v.dim for arg in g.args):
            a, b = g.args
            work += [(a, weight), (b, weight if isinstance(g, ops.Add) else ops.Minus.build(weight))]
            continue
        elif isinstance(g, ops.Minus):
            work.append((g.args[0], ops.Minus.build(weight)))
            continue
        elif isinstance(g, ops.Mult) and sum(arg in dependent for arg in g.args) == 1:
            a, b = g.args if g.args[1] in dependent else g.args[::-1]
            if b.dim == v.dim:
                work.append((b, mult(weight, a)))
                continue
            term = substitute(b, {v: mult(mult(weight, a), Constant(1, v.dim))})
        elif isinstance(g, ops.Divide) and g.args[1] not in dependent and g.args[0].dim == v.dim:
            work.append((g.args[0], ops.Divide.build(weight, g.args[1])))
            continue
        elif isinstance(g, ops.IfElse) and g.args[0].dim == 1 and g.args[0] not in dependent and depth < _MAX_DEPTH:
            branches = (ops.SumT.build(arg, v.dim) if arg.dim < v.dim else arg for arg in g.args[1:])
            term = ops.IfElse.build(g.args[0], *(_trace(arg, v, weight, depth + 1) for arg in branches))
        elif isinstance(g, ops.SumT):
            term = substitute(g.args[0], {v: mult(weight, Constant(1, v.dim))})
        else:
            term = _trace_by_components(g, v, weight)
        total = add(total, term)
    return total


def _trace_by_components(f: Expression, v: Variable, weight: Expression) -> Expression:
    check_work(f)
    total: Expression = Constant(0)
    for k in range(v.dim):
        column = substitute(f, {v: ops.ElemT.build(1, v.dim, k)})
        term = ops.Elem.build(column, k)
        factor = weight if weight.dim == 1 else ops.Elem.build(weight, k)
        total = ops.Add.build(total, ops.Mult.build(factor, term))
    return total


def _dependents(f: Expression, v: Variable) -> set[Expression]:
    found: set[Expression] = {v}
    for node in postorder(f):
        if any(arg in found for arg in node.args):
            found.add(node)
    return found
