"""Which instruction computes an expression.

Most operations have an instruction of their own. Some of the engine's instructions compute several operations at once,
if their arguments are in the right places: distances and scalar products of a vector that varies along the lanes and
one that does not, and exponentials of products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from skkeops.formula.expression import Constant, Expression
from skkeops.formula.operations import Operation
from skkeops.formula.operations.families import Bilinear, Contraction, Selection

from .instructions import CONST, LANE, ROW

__all__ = ["Match", "Matcher"]

#: From so many components on, squared distances are computed by products if the lanes are of the reduced axis: their error is then
#: bounded by less than that of a plain sum of squared differences (docs/design/accuracy_math.md).
LONG_VECTOR = 384

_METRICS = {"Square": "sqdist", "Abs": "l1dist"}


class Match(NamedTuple):
    """An instruction for a node: on which expressions, over how many components."""

    op: str
    operands: tuple[Expression, ...]
    dim: int
    imm: tuple[float, ...] = ()


class Matcher:
    """The instructions of expressions.

    Parameters
    ----------
    place : callable
        The place (TILE, LANE, ROW or CONST) where the value of an expression is.
    reduced : int
        The place of what varies along the reduced axis: LANE or ROW.
    """

    def __init__(self, place: Callable[[Expression], int], reduced: int) -> None:
        self._place = place
        self._reduced = reduced
        self._found: dict[Expression, Match | None] = {}

    def match(self, node: Expression) -> Match | None:
        """The instruction for a node; None for selections, which are views or copies."""
        if node not in self._found:
            self._found[node] = self._match(node)
        return self._found[node]

    def operands(self, node: Expression) -> tuple[Expression, ...]:
        """What a node is computed from: the arguments of its instruction, or of the selection."""
        found = self.match(node)
        return node.args if found is None else found.operands

    def _match(self, node: Expression) -> Match | None:
        if isinstance(node, Selection):
            return None
        special = {"Sum": self._match_sum, "Exp": self._match_exp, "Scalprod": self._match_dot}.get(node.name)
        found = special(node) if special is not None else None
        if found is not None:
            return found
        if isinstance(node, Bilinear):
            return Match("bilinear", node.args, node.dim)
        assert isinstance(node, Operation), node
        opcode = node.opcode
        assert opcode is not None, node
        if isinstance(node, Contraction):
            return Match(opcode, node.args, node.args[0].dim)
        return Match(opcode, node.args, node.dim, tuple(node.immediates))

    def _match_dot(self, node: Expression) -> Match | None:
        sides = self._inner_first(*node.args)
        return None if sides is None else Match("dot", sides, node.args[0].dim)

    def _match_sum(self, node: Expression) -> Match | None:
        """A distance, or a sum of squares."""
        (f,) = node.args
        metric = _METRICS.get(f.name)
        if metric is None:
            return None
        (g,) = f.args
        scale, difference = None, g
        if g.name == "Mult":  # with numbers that are the same for all pairs
            for u, v in (g.args, g.args[::-1]):
                if self._place(u) == CONST and v.name == "Subtract" and v.dim == g.dim:
                    scale, difference = u, v
        if difference.name == "Subtract":
            sides = self._inner_first(*difference.args)
            if sides is not None and scale is not None:
                return Match(f"scaled_{metric}", (*sides, scale), g.dim)
            is_long = metric == "sqdist" and g.dim >= LONG_VECTOR and self._reduced == LANE
            if sides is not None and is_long and self._place(sides[1]) == ROW:
                return Match("long_sqdist", sides, g.dim)
            if sides is not None:
                return Match(metric, sides, g.dim)
        return Match("sumsq", (g,), g.dim) if metric == "sqdist" else None

    def _match_exp(self, node: Expression) -> Match | None:
        """An exponential of a product: one hoisted factor, with all literal numbers and signs, times the rest."""
        (f,) = node.args
        factor: Expression | None = None
        hoisted: Expression
        while f.name in ("Minus", "Mult"):
            if f.name == "Minus":
                hoisted, rest = Constant(-1), f.args[0]
            else:
                found = next((uv for uv in (f.args, f.args[::-1]) if self._place(uv[0]) != self._place(f)), None)
                if found is None:
                    break
                hoisted, rest = found
            if rest.dim != node.dim or not (
                factor is None or isinstance(factor, Constant) or isinstance(hoisted, Constant)
            ):
                break  # two variables may overflow together where each of them times the rest does not
            together = hoisted if factor is None else factor * hoisted
            if self._place(together) == self._place(node):
                break
            factor, f = together, rest
        if factor is not None:
            return Match("expmul", (f, factor), node.dim)
        return Match("expmul", f.args, node.dim) if f.name == "Mult" and f.dim == node.dim else None

    def _inner_first(self, f: Expression, g: Expression) -> tuple[Expression, Expression] | None:
        """The two in the order in which an instruction takes them; None if one is of the tile or both are of one place.

        What varies along the lanes comes first, then what varies along the rows, then what is constant.
        """
        places = self._place(f), self._place(g)
        if places in ((LANE, ROW), (LANE, CONST), (ROW, CONST)):
            return f, g
        if places in ((ROW, LANE), (CONST, LANE), (CONST, ROW)):
            return g, f
        return None
