"""Derivatives of expressions, as expressions.

Both modes visit every distinct node once, whatever the depth; nesting them gives any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import operations as ops
from .errors import FormulaError
from .expression import Constant, Expression, Variable, as_expression, postorder
from .limits import MAX_NODES
from .masked import Masked, pull

__all__ = [
    "gradient",
    "gradient_matrix",
    "gradients",
    "substitute",
    "tangent",
]

_MAX_WORK = 2**20  # rows of a Jacobian times nodes of the formula


def check_variable(v: object) -> Variable:
    """``v``, which must be a variable."""
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
    variables = [check_variable(v) for v in variables]
    e = as_expression(e)
    if e.dim != f.dim:
        raise FormulaError(f"the direction of a gradient must have the dim of the formula, {f.dim}, got {e.dim}")
    nodes = _nodes(f)
    active: set[Expression] = set(variables)
    for node in nodes:
        if node not in active and any(arg in active for arg in node.args):
            active.add(node)
    adjoints: dict[Expression, Masked] = {f: Masked(e)}
    for node in reversed(nodes):
        adjoint = adjoints.get(node)
        if adjoint is None or not node.args or node not in active:
            continue
        for k, arg in enumerate(node.args):
            if arg not in active:
                continue
            term = pull(node, k, adjoint)
            if term is not None:
                previous = adjoints.get(arg)
                adjoints[arg] = term if previous is None else previous.plus(term)
    return tuple(adjoints[v].only() if v in adjoints else Constant(0, v.dim) for v in variables)


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
        if u.dim != check_variable(v).dim:
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
    check_variable(v)
    check_work(f)
    rows = [gradient(ops.Elem.build(f, k), v, 1) for k in range(f.dim)]
    while len(rows) > 1:  # a balanced tree
        pairs = [ops.Concat.build(a, b) for a, b in zip(rows[::2], rows[1::2], strict=False)]
        rows = pairs + rows[2 * len(pairs) :]
    return rows[0]


def check_work(f: Expression) -> None:
    """Refuse to work component by component on a formula that is too large."""
    if f.dim * len(_nodes(f)) > _MAX_WORK:
        raise FormulaError(f"a formula of dim {f.dim} is too large for its Jacobian, component by component")
