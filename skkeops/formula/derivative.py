"""Derivatives of expressions, as expressions.

Both modes visit every distinct node once, whatever the depth; nesting them gives any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import operations as ops
from .errors import FormulaError
from .expression import Constant, Expression, Variable, as_expression, postorder
from .limits import MAX_NODES

__all__ = [
    "divergence",
    "gradient",
    "gradient_matrix",
    "gradients",
    "jacobian",
    "laplacian",
    "linear_adjoint",
    "substitute",
    "tangent",
    "trace",
]

_MAX_WORK = 2**20  # rows of a Jacobian times nodes of the formula


def _check_variable(v: object) -> Variable:
    if not isinstance(v, Variable):
        raise FormulaError(f"expected a variable to differentiate by, got {v!r}")
    return v


def _nodes(*roots: Expression) -> list[Expression]:
    nodes = postorder(*roots)
    if len(nodes) > MAX_NODES:
        raise FormulaError(f"the formula has {len(nodes)} operations, too many to differentiate (limit {MAX_NODES})")
    return nodes


def gradients(f: Expression, variables: Sequence[Variable], e: Expression | int | float) -> tuple[Expression, ...]:
    """The derivatives of ``f | e`` by several variables, in one sweep.

    Parameters
    ----------
    f : Expression
        The formula.
    variables : sequence of Variable
        What to differentiate by.
    e : Expression or number
        The direction in the space of ``f``, with the dim of ``f``.

    Returns
    -------
    tuple of Expression
        One for each variable, with its dim.
    """
    variables = [_check_variable(v) for v in variables]
    e = as_expression(e)
    if e.dim != f.dim:
        raise FormulaError(f"the direction of a gradient must have the dim of the formula, {f.dim}, got {e.dim}")
    nodes = _nodes(f)
    active: set[Expression] = set(variables)
    for node in nodes:
        if node not in active and any(arg in active for arg in node.args):
            active.add(node)
    adjoints: dict[Expression, Expression] = {f: e}
    add = ops.Add.build
    for node in reversed(nodes):
        adjoint = adjoints.get(node)
        if adjoint is None or not node.args or node not in active:
            continue
        for k, arg in enumerate(node.args):
            if arg not in active:
                continue
            term = node.adjoint(k, adjoint)
            if term is not None:
                previous = adjoints.get(arg)
                adjoints[arg] = term if previous is None else add(previous, term)
    return tuple(adjoints[v] if v in adjoints else Constant(0, v.dim) for v in variables)


def gradient(f: Expression, v: Variable, e: Expression | int | float) -> Expression:
    """The derivative of ``f | e`` by the variable ``v``: the adjoint of the derivative of ``f``, applied to ``e``.

    Examples
    --------
    >>> from skkeops.formula import Variable, operations as ops
    >>> x, e = Variable(0, 3, 0), Variable(1, 1, 1)
    >>> gradient(ops.Exp(ops.Sum(x)), x, e)
    SumT(Exp(Sum(Var(0,3,0)))*Var(1,1,1),3)
    """
    return gradients(f, (v,), e)[0]


def tangent(f: Expression, directions: Mapping[Variable, Expression]) -> Expression:
    """The derivative of ``f`` when each variable ``v`` moves in the direction ``directions[v]``.

    Examples
    --------
    >>> from skkeops.formula import Variable, operations as ops
    >>> x, u = Variable(0, 3, 0), Variable(1, 3, 0)
    >>> tangent(ops.Sum(ops.Exp(x)), {x: u})
    Exp(Var(0,3,0))|Var(1,3,0)
    """
    moved: dict[Expression, Expression | None] = {}
    for v, u in directions.items():
        u = as_expression(u)
        if u.dim != _check_variable(v).dim:
            raise FormulaError(f"the direction of a variable of dim {v.dim} must have the same dim, got {u.dim}")
        moved[v] = u
    for node in _nodes(f):
        if node in moved or not node.args:
            continue
        directions_of_args = [moved.get(arg) for arg in node.args]
        if any(direction is not None for direction in directions_of_args):
            derivative = node.tangent(directions_of_args)
            if derivative is not None:
                moved[node] = derivative
    result = moved.get(f)
    return Constant(0, f.dim) if result is None else result


def substitute(f: Expression, replacements: Mapping[Expression, Expression]) -> Expression:
    """``f`` with sub-expressions replaced by others of the same dim.

    Examples
    --------
    >>> from skkeops.formula import Variable
    >>> x, y = Variable(0, 1, 0), Variable(1, 1, 1)
    >>> substitute(x + 2 * y, {y: x})
    3*Var(0,1,0)
    """
    new: dict[Expression, Expression] = {}
    for node in postorder(f):
        if node in replacements:
            new[node] = replacements[node]
        else:
            args = tuple([new[arg] for arg in node.args])
            new[node] = node if args == node.args else node.rebuild(args)
    return new[f]


def gradient_matrix(f: Expression, v: Variable) -> Expression:
    """The Jacobian of ``f``, flattened: one row of ``v.dim`` for each component of ``f``."""
    _check_variable(v)
    _check_work(f)
    rows = [gradient(ops.Elem.build(f, k), v, 1) for k in range(f.dim)]
    while len(rows) > 1:  # a balanced tree
        pairs = [ops.Concat.build(a, b) for a, b in zip(rows[::2], rows[1::2], strict=False)]
        rows = pairs + rows[2 * len(pairs) :]
    return rows[0]


jacobian = gradient_matrix


def _check_work(f: Expression) -> None:
    if f.dim * len(_nodes(f)) > _MAX_WORK:
        raise FormulaError(f"a formula of dim {f.dim} is too large for its Jacobian, component by component")


def divergence(f: Expression, v: Variable) -> Expression:
    """The sum over k of the derivative of component k of ``f`` by component k of ``v``."""
    _check_variable(v)
    if f.dim != v.dim:
        raise FormulaError(f"the formula must have the dim of the variable, {v.dim}, got {f.dim}")
    direction = _unused(f, v.dim)
    return _trace(tangent(f, {v: direction}), direction)


def laplacian(f: Expression, v: Variable) -> Expression:
    """The divergence of the gradient of ``f``, which has dim 1."""
    if f.dim != 1:
        raise FormulaError(f"the formula must have dim 1, got {f.dim}")
    return divergence(gradient(f, v, 1), v)


def trace(f: Expression, v: Variable) -> Expression:
    """The trace of ``f`` as a linear function of ``v``."""
    _check_variable(v)
    if f.dim != v.dim:
        raise FormulaError(f"the formula must have the dim of the variable, {v.dim}, got {f.dim}")
    _check_linear(f, v)
    return _trace(f, v)


def linear_adjoint(f: Expression, v: Variable, u: Expression) -> Expression:
    """The transpose of ``f``, a linear function of ``v``, applied to ``u``."""
    _check_variable(v)
    _check_linear(f, v)
    return gradient(f, v, u)


def _check_linear(f: Expression, v: Variable) -> None:
    direction = _unused(f, v.dim)
    if tangent(f, {v: direction}) is not substitute(f, {v: direction}):
        raise FormulaError(f"the formula must be linear in {v}")


def _unused(f: Expression, dim: int) -> Variable:
    positions = [node.position for node in postorder(f) if isinstance(node, Variable)]
    return Variable(max(positions, default=-1) + 1, dim, 2)


def _trace(f: Expression, v: Variable) -> Expression:
    """The trace of ``f``, linear in ``v``, with as many components as ``v``.

    Works down the formula with what multiplies it, ``trace(diag(weight) f)``, so that no loop over the components
    is needed where ``f`` is made of sums and products.
    """
    total: Expression = Constant(0)
    work: list[tuple[Expression, Expression]] = [(f, Constant(1))]
    mult, add = ops.Mult.build, ops.Add.build
    depends = _dependents(f, v)
    while work:
        g, weight = work.pop()
        if g not in depends:
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
        elif isinstance(g, ops.Mult) and len([arg for arg in g.args if arg in depends]) == 1:
            a, b = g.args if g.args[1] in depends else g.args[::-1]
            if b.dim == v.dim:
                work.append((b, mult(weight, a)))
                continue
            term = substitute(b, {v: mult(mult(weight, a), Constant(1, v.dim))})
        elif isinstance(g, ops.Divide) and g.args[1] not in depends and g.args[0].dim == v.dim:
            work.append((g.args[0], ops.Divide.build(weight, g.args[1])))
            continue
        elif isinstance(g, ops.SumT):
            term = substitute(g.args[0], {v: mult(weight, Constant(1, v.dim))})
        else:
            term = _trace_by_components(g, v, weight)
        total = add(total, term)
    return total


def _trace_by_components(f: Expression, v: Variable, weight: Expression) -> Expression:
    _check_work(f)
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
