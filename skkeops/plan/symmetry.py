"""Formulas whose two sides change places: what is the same for the pairs (i, j) and (j, i) stays the same expression."""

from __future__ import annotations

from collections.abc import Mapping

from skkeops.formula.expression import Expression, postorder
from skkeops.formula.operations import lookup

__all__ = ["swapped"]


def swapped(value: Expression, places: Mapping[Expression, Expression]) -> Expression:
    """Return a formula of the pair (j, i), in variables that have its values for the pair (i, j).

    Sums, products and differences of swapped arguments are recognised, with their signs, so that a symmetric part of the
    formula is the same object in the result, and is computed once for both pairs.

    Parameters
    ----------
    value : Expression
    places : mapping of Variable to Variable
        For each variable of the formula that is indexed by i or j the variable of the other index.

    Returns
    -------
    Expression

    Examples
    --------
    >>> from skkeops.formula.expression import Variable
    >>> from skkeops.formula.operations import lookup
    >>> x, y, b, c = Variable(0, 3, 0), Variable(1, 3, 1), Variable(2, 1, 1), Variable(3, 1, 0)
    >>> k = lookup("Exp").build(-lookup("SqDist").build(x, y))
    >>> swapped(k * b, {x: y, y: x, b: c}) is k * c
    True
    >>> swapped(k * b * (x - y), {x: y, y: x, b: c}) is -(k * c * (x - y))
    True
    """
    found: dict[Expression, tuple[Expression, int]] = {}  # an expression e and a sign s: the swapped one is s e
    for node in postorder(value):
        if not node.args:
            found[node] = places.get(node, node), 1
        elif node not in found:
            found[node] = _swap(node, [found[argument] for argument in node.args])
    result, sign = found[value]
    return result if sign > 0 else -result


def _swap(node: Expression, arguments: list[tuple[Expression, int]]) -> tuple[Expression, int]:
    """Swap an operation, given its swapped arguments and their signs."""
    kind = type(node)
    args, signs = tuple(a for a, _ in arguments), [sign for _, sign in arguments]
    bilinear = kind in (lookup("Mult"), lookup("Divide"), lookup("Scalprod"))
    if len(args) == 2 and args == node.args[::-1]:
        if kind is lookup("Subtract") and signs[0] == signs[1]:
            return node, -signs[0]
        if kind.commutes and (bilinear or signs[0] == signs[1]):
            return node, signs[0] * signs[1] if bilinear else signs[0]
    if bilinear:
        return node.rebuild(args), signs[0] * signs[1]
    if kind.parity == "even":
        return node.rebuild(args), 1
    if kind.parity == "odd" or kind in (lookup("Add"), lookup("Subtract")) and signs[0] == signs[1]:
        return node.rebuild(args), signs[0]
    return node.rebuild(tuple(a if sign > 0 else -a for a, sign in arguments)), 1
