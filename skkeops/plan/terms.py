"""Terms: the form in which a backend meets a sum.

A product is taken apart into what leaves the sum by linearity, a number per pair, and a vector that need not be formed
for every pair::

    sum_j F_ij  =  factor_i * sum_j scale_ij * (vector - minus)

A sum of terms is not split into sums: where the terms cancel, the rounding errors of the parts would not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from skkeops.formula.expression import Constant, Expression
from skkeops.formula.operations import lookup

from .homes import Home, home_of

__all__ = ["SumTerm", "sum_term"]


@dataclass(frozen=True)
class SumTerm:
    """``factor * sum(scale * (vector - minus))``; what is None is absent.

    Attributes
    ----------
    factor : Expression or None
        Depends on the output index and parameters alone.
    scale : Expression or None
        One number per pair.
    vector, minus : Expression or None
        With `minus`, `vector` depends on the output index alone and `minus` on the reduced one alone.
    """

    factor: Expression | None
    scale: Expression | None
    vector: Expression | None
    minus: Expression | None = None

    @property
    def dim(self) -> int:
        """The number of columns that are summed; the factor may widen them."""
        return max((e.dim for e in (self.vector, self.minus) if e is not None), default=1)


def sum_term(value: Expression, output: int) -> SumTerm:
    """Take a product apart.

    Parameters
    ----------
    value : Expression
        What is summed over the reduced index.
    output : {0, 1}
        The category of variables with a value for each row of the output, as for `home_of`.

    Examples
    --------
    >>> from skkeops.formula.expression import Variable
    >>> from skkeops.formula.operations import lookup
    >>> x, y, b = Variable(0, 3, 0), Variable(1, 3, 1), Variable(2, 1, 1)
    >>> k = lookup("Exp").build(x | y)
    >>> term = sum_term(-2 * b * k * (x - y), output=0)
    >>> term.factor, term.minus
    (-2, Var(1,3,1))
    """
    outside, reduced, pair = _factors(value, output)
    factor = _product(outside)
    if not reduced and not pair:  # nothing is left to sum but ones
        return SumTerm(factor, None, Constant(1, value.dim))
    found = _difference(factor, reduced, pair, output)
    if found is not None:
        return found
    if all(node.dim == 1 for node in pair):  # numbers of the reduced index go with its vector: once for each point
        return SumTerm(factor, _product(pair), _product(reduced))
    numbers = [node for node in reduced + pair if node.dim == 1]
    vectors = [node for node in reduced + pair if node.dim != 1]
    return SumTerm(factor, _product(numbers), _product(vectors))


def _factors(value: Expression, output: int) -> tuple[list[Expression], list[Expression], list[Expression]]:
    """The factors of a product: those that leave the sum, those of the reduced index alone, and those of the pair."""
    multiply, minus = lookup("Mult"), lookup("Minus")
    outside: list[Expression] = []
    reduced: list[Expression] = []
    pair: list[Expression] = []
    stack = [value]
    while stack:
        node = stack.pop()
        home = home_of(node, output)
        if home in (Home.CONSTANT, Home.OUTPUT):
            outside.append(node)
        elif type(node) is multiply:
            stack.extend(reversed(node.args))
        elif type(node) is minus:
            outside.append(Constant(-1))
            stack.append(node.args[0])
        else:
            (reduced if home is Home.REDUCED else pair).append(node)
    return outside, reduced, pair


def _difference(
    factor: Expression | None, reduced: list[Expression], pair: list[Expression], output: int
) -> SumTerm | None:
    """The term of a product of numbers and a difference of a vector of the output index and one of the reduced index.

    The difference is taken within the sum: points far from the origin keep their digits.
    """
    dim = max(node.dim for node in reduced + pair)
    for k, node in enumerate(pair):
        if type(node) is not lookup("Subtract") or node.dim != dim:
            continue
        homes = [home_of(side, output) for side in node.args]
        if set(homes) != {Home.OUTPUT, Home.REDUCED}:
            continue
        rest = reduced + pair[:k] + pair[k + 1 :]  # by its place: the same difference may be a factor twice
        if not rest or any(other.dim != 1 for other in rest):
            continue
        vector, minus = node.args
        if homes[0] is Home.REDUCED:
            vector, minus = minus, vector
            factor = -1 * factor if factor is not None else Constant(-1)
        return SumTerm(factor, _product(rest), vector, minus)
    return None


def _product(nodes: Iterable[Expression]) -> Expression | None:
    total: Expression | None = None
    for node in nodes:
        total = node if total is None else total * node
    return total
