"""Bounds of a formula over boxes, as formulas.

As each operation gives its derivative in the language, it gives its bounds: from those of its arguments to those of its value
(`skkeops.formula.operations.base.Operation.bounds`). So the bounds of a formula on boxes of points are two more formulas, which
every backend evaluates as any other. They enclose what is *computed* in float32 or float64, rounding errors included, so that
what they rule out cannot happen in a result.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from . import operations as ops
from .errors import FormulaError
from .expression import Constant, Expression, P, Variable, postorder
from .limits import MAX_NODES
from .operations.base import Operation
from .operations.families import Elementwise, Selection
from .operations.intervals import Interval, Rounding

__all__ = ["Bounds", "bounds", "without_bounds"]

_NOWHERE = ops.Log.build(Constant(0))  # -inf


class Bounds(NamedTuple):
    """Two formulas between which the values of another one are, over boxes.

    Attributes
    ----------
    lower, upper : Expression
        Of the dim of the formula: -inf and +inf in every component where nothing is known, as where a value may be NaN, infinite or
        nearly so, there or on the way.
    boxes : dict of Variable to tuple of two Variable
        For each variable the two that stand for it, of the same dim and category: the least and the largest value of each
        component. For a parameter both are the same one.
    """

    lower: Expression
    upper: Expression
    boxes: dict[Variable, tuple[Variable, Variable]]


def bounds(f: Expression, dtype: str = "float64") -> Bounds:
    """Return the bounds of a formula where each variable is in a box.

    Parameters
    ----------
    f : Expression
        The formula.
    dtype : {"float32", "float64"}, default="float64"
        In which the formula is computed. The bounds must be computed in float64.

    Returns
    -------
    Bounds
        The formulas of the lower and of the upper bound, and the variables of the boxes. The variable at position p becomes those
        at 2 p and 2 p + 1.

    Raises
    ------
    FormulaError
        If an operation of the formula has no bounds.

    Notes
    -----
    Interval arithmetic [1]_: each operation encloses its values for all values of its arguments. So an enclosure is the wider
    the more often a variable occurs: ``SqDist(x, y)``, in which each component occurs once, has the exact range over two boxes,
    while that of ``(x|x) - 2*(x|y) + (y|y)`` is wider. Each end is widened by the rounding error of the operation in `dtype`,
    relative to its own magnitude; that holds for any order in which a sum is taken, and for products fused with it. In float32
    numbers below 1.2e-38 count as 0: a box with such an end has to hold 0.

    References
    ----------
    .. [1] R. E. Moore, R. B. Kearfott, M. J. Cloud, "Introduction to Interval Analysis", SIAM, 2009.

    Examples
    --------
    >>> from skkeops.formula import Variable, bounds, operations as ops
    >>> x, y = Variable(0, 2, 0), Variable(1, 2, 1)
    >>> found = bounds(ops.SqDist(x, y))
    >>> found.boxes[y]
    (Var(2,2,1), Var(3,2,1))

    The squared distance of [0, 1] x [0, 1] and [3, 4] x [0, 1] is between 4 and 17:

    >>> import numpy as np
    >>> from skkeops import Genred
    >>> names = ["xl = Vi(2)", "xu = Vi(2)", "yl = Vj(2)", "yu = Vj(2)"]
    >>> corners = [np.array([p], dtype=float) for p in ([0, 0], [1, 1], [3, 0], [4, 1])]
    >>> Genred(found.lower, names, axis=1)(*corners).round(6)
    array([[4.]])
    >>> Genred(found.upper, names, axis=1)(*corners).round(6)
    array([[17.]])
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype must be 'float32' or 'float64': found {dtype!r}")
    nodes = postorder(f)
    if len(nodes) > MAX_NODES:
        raise FormulaError(f"the formula has {len(nodes)} operations, too many to bound (limit {MAX_NODES})")
    rounding = Rounding(dtype)
    boxes: dict[Variable, tuple[Variable, Variable]] = {}
    known: dict[Expression, Interval] = {}
    sizes: list[Expression] = []
    for node in nodes:
        if isinstance(node, Variable):
            known[node] = Interval(*_box(node, boxes))
        elif isinstance(node, Constant):
            known[node] = _constant(node, rounding)
            continue
        else:
            found = node.bounds(tuple(known[arg] for arg in node.args), rounding)  # type: ignore[attr-defined]
            if found is None:
                raise FormulaError(f"{node.name} has no bounds for these arguments")
            known[node] = found
        if not isinstance(node, Selection):
            sizes += [ops.Sum.build(ops.Abs.build(end)) for end in dict.fromkeys(known[node])]
    lower, upper = known[f]
    sound = _holds(sizes, rounding)
    return Bounds(ops.IfElse.build(sound, lower, _NOWHERE), ops.IfElse.build(sound, upper, -_NOWHERE), boxes)


def without_bounds(f: Expression) -> str | None:
    """Return the name of an operation of a formula that has no bounds, None if all have them: faster than `bounds`."""
    for node in postorder(f):
        if isinstance(node, Operation):
            known = type(node).bounds
            if known is Operation.bounds or (known is Elementwise.bounds and not node.shape):  # type: ignore[attr-defined]
                return node.name
    return None


def _box(v: Variable, boxes: dict[Variable, tuple[Variable, Variable]]) -> tuple[Variable, Variable]:
    lower = Variable(2 * v.position, v.dim, v.category)
    boxes[v] = lower, lower if v.category == P else Variable(2 * v.position + 1, v.dim, v.category)
    return boxes[v]


def _constant(node: Constant, rounding: Rounding) -> Interval:
    """A constant, which the precision of the computation may not hold."""
    held = float(np.float32(float(node)) if not rounding.is_double else float(node))
    if Fraction(held) == node.value:
        return Interval(node, node)
    value = node.value
    error = 2 * rounding.eps * abs(value) + rounding.tiny
    return Interval(Constant(value - error, node.dim), Constant(value + error, node.dim))


def _holds(sizes: list[Expression], rounding: Rounding) -> Expression:
    """A formula that is negative where the bounds say nothing: a condition fails, or some end is NaN, infinite or nearly so."""
    total = _add_up(sizes)
    failed = _add_up([ops.Sum.build(ops.IfElse.build(c, 0, 1)) for c in rounding.conditions])
    return ops.IfElse.build(Constant(rounding.largest) - total, -failed, -1)


def _add_up(terms: list[Expression]) -> Expression:
    total: Expression = Constant(0)
    for term in terms:
        total = total + term
    return total
