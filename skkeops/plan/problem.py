"""What is to be computed, before anyone decides how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from skkeops.formula.expression import Expression, Variable
from skkeops.reductions import Reduction

__all__ = ["Output", "Problem"]


class Output(NamedTuple):
    """One result of a problem.

    Attributes
    ----------
    reduction : Reduction
    values : tuple of Expression
        What the reduction consumes for each pair, from `Reduction.values`.
    axis : {0, 1}
        1 reduces over j and has a row per i; 0 reduces over i and has a row per j.
    """

    reduction: Reduction
    values: tuple[Expression, ...]
    axis: int

    @property
    def dims(self) -> tuple[int, ...]:
        """The dimensions of the values."""
        return tuple([v.dim for v in self.values])


@dataclass(frozen=True)
class Problem:
    """Reductions of expressions over all pairs (i, j) of the same arrays.

    Parameters
    ----------
    outputs : tuple of Output
        What is asked for. Several outputs are sums, over any axis: one sweep over the pairs computes them all, and what their
        formulas have in common once.
    variables : tuple of Variable
        The variables in the order of the arrays; they need not all occur in the expressions.
    """

    outputs: tuple[Output, ...]
    variables: tuple[Variable, ...]

    @classmethod
    def of(
        cls, reduction: Reduction, values: tuple[Expression, ...], axis: int, variables: tuple[Variable, ...]
    ) -> Problem:
        """Return the problem with a single output."""
        return cls((Output(reduction, values, axis),), variables)

    @property
    def output(self) -> Output:
        """The output of a problem that has a single one."""
        if len(self.outputs) > 1:
            raise ValueError(f"a problem with a single output is expected: found {len(self.outputs)} outputs")
        return self.outputs[0]

    @property
    def reduction(self) -> Reduction:
        """The reduction of the single output."""
        return self.output.reduction

    @property
    def values(self) -> tuple[Expression, ...]:
        """What the reduction of the single output consumes."""
        return self.output.values

    @property
    def axis(self) -> int:
        """The axis over which the first output reduces."""
        return self.outputs[0].axis

    def __post_init__(self):
        if not self.outputs or (len(self.outputs) > 1 and {o.reduction.fold for o in self.outputs} != {"sum"}):
            found = ", ".join(o.reduction.name for o in self.outputs) or "none"
            raise ValueError(f"several outputs of one sweep must be sums: found {found}")
