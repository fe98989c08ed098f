"""Adjoints that count at some points only: how reverse differentiation passes a choice.

Where an operation chooses between its arguments, nothing must flow into those that were not chosen. A zero does not see to that:
further down it meets derivatives of the branch that was not taken, and 0 times infinity is not a number. So an adjoint goes
down a branch as it is, with a note of where it counts, and the note is applied where adjoints meet: there one of them is chosen.
Every node is still visited once, whatever the number of choices above it.
"""

from __future__ import annotations

from typing import NamedTuple

from . import operations as ops
from .expression import Constant, Expression

__all__ = ["Masked", "pull"]

_NOWHERE = Constant(-1)


class Masked(NamedTuple):
    """A value that counts where a formula is not negative. Elsewhere it stands for 0, whatever it is.

    Attributes
    ----------
    value : Expression
    where : Expression or None
        Of dim 1, or of the dim of the value; not a NaN anywhere. None: the value counts everywhere.
    """

    value: Expression
    where: Expression | None = None

    def only(self) -> Expression:
        """The value where it counts, 0 elsewhere."""
        return self.value if self.where is None else ops.IfElse.build(self.where, self.value, 0)

    def narrowed(self, condition: Expression | None) -> Masked | None:
        """The same, where a formula is not negative, too; None if that is nowhere."""
        if condition is None:
            return self
        where = ops.IfElse.build(condition, 1 if self.where is None else self.where, _NOWHERE)
        if isinstance(where, Constant):
            return None if where.value < 0 else self
        return self._replace(where=where)

    def plus(self, other: Masked) -> Masked:
        """The sum, which counts where one of the two does."""
        a, b = self.where, other.where
        if a is b:
            return Masked(ops.Add.build(self.value, other.value), a)
        if isinstance(a, ops.IfElse) and isinstance(b, ops.IfElse) and a.args[0] is b.args[0]:
            # what comes back from the branches of one choice is chosen again, not added
            condition, *of_a = a.args
            of_b = b.args[1:]
            if all(_NOWHERE in pair for pair in zip(of_a, of_b, strict=True)):
                first = of_b[0] is _NOWHERE
                value = ops.IfElse.build(condition, *((self.value, other.value) if first else (other.value, self.value)))
                where = ops.IfElse.build(condition, *(p if q is _NOWHERE else q for p, q in zip(of_a, of_b, strict=True)))
                return Masked(value, None if isinstance(where, Constant) else where)
        if a is None or b is None:
            either: Expression | None = None
        elif _implies(b, a):
            either = a
        else:
            either = b if _implies(a, b) else ops.IfElse.build(a, 1, b)
        return Masked(ops.Add.build(self.only(), other.only()), either)


def _implies(a: Expression, b: Expression) -> bool:
    """Whether ``a`` is ``b`` narrowed further."""
    while isinstance(a, ops.IfElse) and a is not b:
        inner = [arg for arg in a.args[1:] if arg is not _NOWHERE]
        if len(inner) != 1:
            return False
        (a,) = inner
    return a is b


def pull(node: Expression, k: int, adjoint: Masked) -> Masked | None:
    """The adjoint of argument ``k`` of an operation, from that of the operation; None for zero."""
    arg, (value, where) = node.args[k], adjoint
    if isinstance(node, ops.Elementwise):
        through = node.component_adjoint(k, value)
        found = None if through is None else Masked(through, where).narrowed(node.chosen(k))
        if found is None or arg.dim == node.dim:
            return found
        # one component stands for all: it counts where any of them does
        if found.where is None or found.where.dim == 1:
            return Masked(ops.Sum.build(found.value), found.where)
        return Masked(ops.Sum.build(found.only()), ops.Max.build(found.where))
    if where is not None and where.dim > 1:
        value = adjoint.only()
        node, where = _by_components(node, k, where)
    through = node.adjoint(k, value)
    return None if through is None else Masked(through, where).narrowed(node.chosen(k))  # type: ignore[attr-defined]


def _by_components(node: Expression, k: int, where: Expression) -> tuple[Expression, Expression | None]:
    """An operation and where the adjoint of its argument ``k`` counts, if that of its result counts in some components only."""
    counts = ops.IfElse.build(where, 1, 0)
    if isinstance(node, ops.Selection):
        return node, ops.Subtract.build(node.adjoint(k, counts), Constant(0.5))
    if isinstance(node, ops.Bilinear):
        # a component of the other operand counts where a result does which it enters
        ones = [Constant(1, arg.dim) for arg in node.args]
        places = [type(node)._new(tuple(ones), node.params).adjoint(m, counts) for m in (0, 1)]
        masks = [ops.Subtract.build(place, Constant(0.5)) for place in places]
        args = list(node.args)
        args[1 - k] = ops.IfElse.build(masks[1 - k], args[1 - k], 0)
        return type(node)._new(tuple(args), node.params), masks[k]
    return node, None
