"""Which formulas are products of matrices."""

from __future__ import annotations

from typing import NamedTuple

from skkeops.formula.expression import Expression
from skkeops.plan.homes import Home

from ...generate.slabs import find_products
from ..task import Formula, Task

__all__ = ["Product", "find_product"]

_FEW = 16  # With so few output columns, sharing the numbers of pairs through shared memory costs more than it saves.


class Product(NamedTuple):
    """``number * (vector - minus)``, which is summed, or for a log-sum-exp ``exp(number - m) * vector``.

    Attributes
    ----------
    number : Expression
        One for each pair.
    vector, minus : Expression or None
        The vector depends on the reduced index, or with `minus` on the output's, and `minus` on the reduced one.
    sums : list of Expression
        The sums over components in the number, which go through slabs.
    kind : {"sum", "difference", "softmax"}
    columns : int
        Of the output.
    """

    number: Expression
    vector: Expression | None
    minus: Expression | None
    sums: list[Expression]
    kind: str
    columns: int

    @property
    def length(self) -> int:
        """The components from which the number of a pair is computed."""
        return sum(max(arg.dim for arg in e.args) for e in self.sums)


def find_product(task: Task, formula: Formula) -> Product | None:
    """The product of matrices that a formula is; None if it is none."""
    if task.kind == "sum":
        number, vector, minus = formula.terms[0]
    elif task.kind == "shift_exp":
        weights = [v for _, v, _ in formula.terms if v is not None]
        number, vector, minus = (formula.value, weights[0], None) if weights else (None, None, None)
    else:
        return None
    if number is None or number.dim != 1:
        return None
    found = [task.homes(e) for e in (vector, minus) if e is not None]
    if minus is None and not set(found) <= {Home.REDUCED, Home.CONSTANT}:
        return None
    if minus is not None and found != [Home.OUTPUT, Home.REDUCED]:
        return None
    columns = max([e.dim for e in (vector, minus) if e is not None], default=1)
    sums = find_products([number], task.homes)
    if not sums and columns <= _FEW:
        return None
    kind = "softmax" if task.kind == "shift_exp" else "sum" if minus is None else "difference"
    return Product(number, vector, minus, sums, kind, columns)
