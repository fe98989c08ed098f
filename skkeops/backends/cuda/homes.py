"""Where an expression is computed: by what it depends on."""

from __future__ import annotations

from skkeops.formula.expression import IJ, Expression, P

__all__ = ["CONST", "LANE", "PAIR", "ROW", "Homes"]

CONST, ROW, LANE, PAIR = "const", "row", "lane", "pair"


class Homes:
    """The homes of expressions, given which index has the rows of the output.

    ``CONST``: parameters alone. ``ROW``: the output's index. ``LANE``: the reduced index. ``PAIR``: both, or values
    of pairs.

    Parameters
    ----------
    output, reduced : int
        The categories of the two indices, from the `Plan`.
    """

    def __init__(self, output: int, reduced: int):
        self._home = {output: ROW, reduced: LANE}

    def __call__(self, node: Expression) -> str:
        if IJ in node.categories:
            return PAIR
        homes = {self._home[category] for category in node.categories if category != P}
        if not homes:
            return CONST
        return homes.pop() if len(homes) == 1 else PAIR
