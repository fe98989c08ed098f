"""Homes: what the value of an expression depends on, and with it how often the value has to be computed.

A backend computes a value where it varies: once a call, once for each row of the output, once for each point of the
reduced index, or once for each pair. This is decided here, for all backends; where in its memory a backend keeps
the values of a home is its own affair.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from skkeops.formula.expression import Expression, P

__all__ = ["Home", "HomeOf", "home_of"]


class Home(Enum):
    """What the value of an expression depends on, besides parameters.

    Attributes
    ----------
    CONSTANT
        On nothing: there is one value for a whole call.
    OUTPUT
        On the index that counts the rows of the output: i where a reduction runs over j.
    REDUCED
        On the index over which the reduction runs.
    PAIR
        On both indices, or on an array with a value for each pair.
    """

    CONSTANT = "constant"
    OUTPUT = "output"
    REDUCED = "reduced"
    PAIR = "pair"


HomeOf = Callable[[Expression], Home]
"""The homes of the expressions of a problem, such as `Plan.home`."""


def home_of(node: Expression, output: int) -> Home:
    """The home of an expression.

    Parameters
    ----------
    node : Expression
    output : {0, 1}
        The category of variables with a value for each row of the output: 0 for a reduction over j, 1 for one over i.

    Examples
    --------
    >>> from skkeops.formula.expression import Variable
    >>> x, y, p = Variable(0, 3, 0), Variable(1, 3, 1), Variable(2, 3, 2)
    >>> [home_of(node, output=0).name for node in (p * p, p * x, p * y, x * y)]
    ['CONSTANT', 'OUTPUT', 'REDUCED', 'PAIR']
    """
    indices = node.categories - {P}
    if not indices:
        return Home.CONSTANT
    if indices == {output}:
        return Home.OUTPUT
    return Home.REDUCED if indices == {1 - output} else Home.PAIR
