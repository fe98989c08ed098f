r"""Rewriting of formulas for float32: exponentials in base 2, their constants moved out of the loop over pairs.

A GPU has one instruction for ``2^f``. So ``Exp(f)`` becomes ``Exp2(log2(e) f)``, and the factor goes to where it costs
nothing per pair: into a factor that is hoisted, into one side of a scalar product, or into both vectors of a distance::

    exp(-g |x - y|^2)  =  2^(-|s x - s y|^2),    s = sqrt(g log2(e))

Scaling rounds the vectors before they are subtracted. So that points far from the origin keep their digits, they are
first shifted by the first point of the reduced index. What remains is a relative error of about eps times
(extent of the points / length of the kernel) in the exponent; ``use_fast_math=False`` avoids it, for an
instruction more per pair.

A factor of parameters may have any sign, and need not be finite. So it is taken apart: its `Magnitude` goes into the
vectors, its `Direction` stays at the distance, as `Directed`. Where the factor is finite, the direction is a sign, which
costs nothing once it is known: `of_sign` has the expressions for either, and the kernel chooses between two copies of its
loop. Where it is not finite, pairs are computed one by one from the expressions as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from skkeops.formula.expression import Constant, Expression, P, postorder
from skkeops.formula.operations import lookup
from skkeops.formula.operations.families import Elementwise
from skkeops.plan.homes import Home, HomeOf

__all__ = ["Direction", "Directed", "Exp2", "Folding", "Magnitude", "Origin", "directions", "of_sign"]


class Exp2(Elementwise):
    """``2^f``, an operation of this backend alone."""

    name = "Exp2"
    cuda = "exp2({0})"


class Origin(Elementwise):
    """The value of an expression of the reduced index at its first point, 0 where that is not finite."""

    name = "Origin"
    at_first_point = True
    cuda = "({0} - {0} == (real)0 ? {0} : (real)0)"

    @classmethod
    def _category_mask(cls, args, params):
        return 1 << P


class Magnitude(Elementwise):
    """``|f|``, and 1 where f is not finite."""

    name = "Magnitude"
    cuda = "({0} - {0} == (real)0 ? fabs({0}) : (real)1)"


class Direction(Elementwise):
    """``f / Magnitude(f)``: 1 or -1, and f itself where it is not finite."""

    name = "Direction"
    cuda = "({0} - {0} == (real)0 ? ({0} < (real)0 ? (real)-1 : (real)1) : {0})"

    @property
    def sign_is_known(self) -> bool:
        """Whether it is 1 wherever the factor is finite."""
        return _is_nonnegative(self.args[0])


class Directed(Elementwise):
    """A distance times a direction."""

    name = "Directed"
    cuda = "{0} * {1}"


def directions(roots: Iterable[Expression]) -> list[Direction]:
    """The directions of the factors that were folded into distances; the sign of one at most is not known."""
    return [node for node in postorder(*roots) if isinstance(node, Direction)]


def of_sign(roots: Sequence[Expression], negative: bool) -> list[Expression]:
    """The expressions where all factors are finite, and where the one of unknown sign is negative or is not."""
    new: dict[Expression, Expression] = {}
    for node in postorder(*roots):
        args = tuple(new[arg] for arg in node.args)
        if isinstance(node, Directed):
            direction, distance = node.args[0], args[1]
            minus = negative and not direction.sign_is_known
            new[node] = lookup("Minus")._new((distance,)) if minus else distance
        elif node.name == "Minus" and args[0].name == "Minus":
            new[node] = args[0].args[0]
        else:
            new[node] = node if args == node.args else type(node)._new(args, node.params)
    return [new[root] for root in roots]


class Coefficient(NamedTuple):
    """A number times hoisted factors."""

    number: float
    factors: tuple[Expression, ...] = ()

    def times(self, factor: Expression) -> Coefficient:
        if isinstance(factor, Constant):
            return Coefficient(self.number * float(factor), self.factors)
        if factor.name == "Mult" and factor.dim == 1:
            return self.times(factor.args[0]).times(factor.args[1])
        if factor.name == "Minus":
            found = self.times(factor.args[0])
            return found._replace(number=-found.number)
        return Coefficient(self.number, (*self.factors, factor))

    def expression(self) -> Expression:
        total: Expression | None = None
        for factor in self.factors:
            total = factor if total is None else _mult(total, factor)
        number = Constant(Fraction(self.number))
        if total is None:
            return number
        return total if self.number == 1 else _mult(number, total)

    def of(self, node: Expression) -> Expression:
        """The coefficient times an expression."""
        if self == (1.0, ()):
            return node
        if isinstance(node, Constant):
            return self.times(Constant(node.value)).expression() if node.dim == 1 else _mult(self.expression(), node)
        return _mult(self.expression(), node)


class Folding:
    """Rewrites the expressions of a plan.

    Parameters
    ----------
    homes : HomeOf
    users : mapping of Expression to int
        How many expressions take the value of an expression.
    distances : bool, default=True
        Whether constants may go into the vectors of a distance.
    directed : bool, default=False
        Whether the template can compute what is `Directed`. Without, constants alone are folded into distances.
    """

    def __init__(self, homes: HomeOf, users: Mapping[Expression, int], distances: bool = True, directed: bool = False):
        self._home = homes
        self._users = users
        self._distances = distances
        self._directed = directed
        self._unknown: Expression | None = None  # the factor of unknown sign

    def rewrite(self, *roots: Expression) -> list[Expression]:
        """The same values, with the exponentials and divisions per pair rewritten."""
        new: dict[Expression, Expression] = {}
        for node in postorder(*roots):
            if not node.args or self._home(node) is not Home.PAIR:
                new[node] = node
                continue
            args = tuple(new[arg] for arg in node.args)
            if node.name == "Exp":
                new[node] = Exp2._new((self.in_base_2(args[0]),))
            elif node.name == "Divide" and self._home(args[1]) is not Home.PAIR:
                new[node] = _mult(_inverse(args[1]), args[0])
            else:
                new[node] = node if args == node.args else type(node)._new(args, node.params)
        return [new[root] for root in roots]

    def in_base_2(self, node: Expression) -> Expression:
        """``log2(e)`` times an expression, for as little as possible per pair."""
        c = Coefficient(math.log2(math.e))
        found = self.absorb(node, c)
        return c.of(node) if found is None else found

    def absorb(self, node: Expression, c: Coefficient) -> Expression | None:
        """The coefficient times the expression, without an operation more per pair; None if that cannot be."""
        if self._home(node) is not Home.PAIR:
            product = c.of(node)
            return product if self._home(product) is not Home.PAIR else None
        name = node.name
        if name == "Minus":
            return self.absorb(node.args[0], c._replace(number=-c.number))
        if name == "Mult":
            return self._absorb_product(node, c)
        if name == "Divide":
            f, g = node.args
            if self._home(g) is not Home.PAIR:
                return self._absorb_product(_mult(_inverse(g), f), c)
            found = self.absorb(f, c)
            return None if found is None else type(node)._new((found, g))
        if name in ("Add", "Subtract"):
            f, g = (self.absorb(arg, c) for arg in node.args)
            return None if f is None or g is None else type(node)._new((f, g))
        if name == "Scalprod":
            f, g = node.args
            for k, side in enumerate(node.args):
                if self._home(side) is not Home.PAIR:
                    product = c.of(side)
                    if self._home(product) is not Home.PAIR:
                        return type(node)._new((product, g) if k == 0 else (f, product))
            return None
        if name in ("Sum", "Square", "Abs"):
            return self._absorb_distance(node, c)
        return None

    def _absorb_product(self, node: Expression, c: Coefficient) -> Expression | None:
        f, g = node.args
        for hoisted, other in ((f, g), (g, f)):
            if hoisted.dim == 1 and self._home(hoisted) is not Home.PAIR:
                together = c.times(hoisted)
                found = self.absorb(other, together)
                if found is None and self._home(together.expression()) is not Home.PAIR:
                    found = _mult(together.expression(), other)
                if found is not None:
                    return found
        for k, side in enumerate((f, g)):
            found = self.absorb(side, c)
            if found is not None:
                return type(node)._new((found, g) if k == 0 else (f, found))
        return None

    def _absorb_distance(self, node: Expression, c: Coefficient) -> Expression | None:
        """Sums of squares and of absolute values of a difference of hoisted vectors."""
        inner = node.args[0] if node.name == "Sum" else node
        if not self._distances or inner.name not in ("Square", "Abs") or inner.args[0].name != "Subtract":
            return None
        difference = inner.args[0]
        sides = difference.args
        if any(self._users[e] > 1 for e in (node, inner, difference)):
            return None  # it has to be computed without the coefficient as well
        homes = [self._home(side) for side in sides]
        if Home.PAIR in homes or Home.REDUCED not in homes or self._home(c.expression()) is not Home.CONSTANT:
            return None
        if c.number == 0:
            return None
        factor = c._replace(number=1.0).expression() if c.factors else None
        if factor is not None and not self._may_fold(factor):
            return None
        scale: Expression = Constant(Fraction(abs(c.number)))
        if inner.name == "Square":
            scale = _root(scale)
        if factor is not None:
            magnitude = Magnitude._new((factor,))
            scale = _mult(scale, _root(magnitude) if inner.name == "Square" else magnitude)
        origin = Origin._new((sides[homes.index(Home.REDUCED)],))
        scaled = tuple(_mult(scale, _subtract(side, origin)) for side in sides)
        total = type(inner)._new((type(difference)._new(scaled),))
        if node is not inner:
            total = type(node)._new((total,))
        if factor is not None:
            total = Directed._new((Direction._new((factor,)), total))
        return lookup("Minus")._new((total,)) if c.number < 0 else total

    def _may_fold(self, factor: Expression) -> bool:
        if not self._directed or _is_nonnegative(factor):
            return self._directed
        if self._unknown is None:
            self._unknown = factor
        return self._unknown == factor  # another one would want four copies of the loop


def _is_nonnegative(node: Expression) -> bool:
    """Whether an expression is known not to be negative, whatever its variables."""
    if isinstance(node, Constant):
        return node.value >= 0
    if node.name in ("Square", "Abs", "Exp", "Sqrt", "Rsqrt", "ReLU", "Step"):
        return True
    if node.name in ("Add", "Mult", "Divide", "Inv"):
        return all(_is_nonnegative(arg) for arg in node.args)
    return node.name == "Pow" and node.params[0] % 2 == 0


# without simplification, which would gather constants again


def _mult(f: Expression, g: Expression) -> Expression:
    return lookup("Mult")._new((f, g))


def _subtract(f: Expression, g: Expression) -> Expression:
    return lookup("Subtract")._new((f, g))


def _inverse(f: Expression) -> Expression:
    return lookup("Inv")._new((f,))


def _root(f: Expression) -> Expression:
    if isinstance(f, Constant):
        return Constant(Fraction(math.sqrt(float(f))))
    return lookup("Sqrt")._new((f,))
