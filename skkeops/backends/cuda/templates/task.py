"""What a kernel is generated for, and the questions about it that templates ask before they accept it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from skkeops.formula.expression import IJ, Expression, P, Variable, postorder
from skkeops.formula.operations import lookup
from skkeops.formula.operations.families import Bilinear
from skkeops.plan.plan import Plan

from ..generate.folding import Folding
from ..generate.slabs import find_products
from ..options import Options

__all__ = ["LONG", "Formula", "Task"]

#: Vectors of up to so many components are computed by each thread for itself.
LONG = {"float": 32, "double": 16}

#: The most numbers that a thread may hold of a vector, and of products of vectors, in registers.
_NARROW = {"float": 96, "double": 64}
_NARROW_TERMS = 1024
_NARROW_COLUMNS = {"float": 48, "double": 32}


class Formula(NamedTuple):
    """The expressions of a plan as a kernel computes them.

    Attributes
    ----------
    value : Expression or None
        What is reduced, or the exponent.
    terms : list of (scale, vector, minus)
        Expressions or None: ``scale * (vector - minus)`` is summed.
    base_2 : bool
        Whether `value` is an exponent of 2 and not of e.
    """

    value: Expression | None
    terms: list[tuple[Expression | None, ...]]
    base_2: bool

    @property
    def roots(self) -> list[Expression]:
        """All expressions that there are."""
        return [e for e in (self.value, *(part for term in self.terms for part in term)) if e is not None]


class Task:
    """What a kernel is generated for.

    Parameters
    ----------
    plan : Plan
    real : {"float", "double"}
    options : Options
    ranges : bool, default=False
        Whether there may be calls with ranges.

    Attributes
    ----------
    homes : HomeOf
    kind : str
        What the reduction keeps: "sum", "shift_exp", "extremum" or "kmin".
    """

    def __init__(self, plan: Plan, real: str, options: Options, ranges: bool = False):
        self.plan = plan
        self.real = real
        self.options = options
        self.ranges = ranges
        self.homes = plan.home
        self.kind = plan.problem.reduction.fold
        self._formulas: dict[tuple[bool, bool], Formula] = {}

    def formula(self, distances: bool, directed: bool) -> Formula:
        """The expressions of the plan, rewritten for this task; the arguments are those of `Folding`."""
        found = self._formulas.get((distances, directed))
        if found is None:
            found = self._formulas[distances, directed] = self._rewritten(distances, directed)
        return found

    def _rewritten(self, distances: bool, directed: bool) -> Formula:
        plan = self.plan
        value, terms = plan.value, [(term.scale, term.vector, term.minus) for term in plan.terms]
        if self.real == "double" or not self.options.fast_math:
            return Formula(value, terms, base_2=False)
        folding = Folding(self.homes, _users(value, terms), distances, directed)

        def rewrite(e: Expression | None) -> Expression | None:
            return None if e is None else folding.rewrite(e)[0]

        value = rewrite(value)
        terms = [tuple(rewrite(e) for e in term) for term in terms]
        if self.kind == "shift_exp" and not plan.problem.reduction.returns_state:
            return Formula(folding.in_base_2(value), terms, base_2=True)
        return Formula(value, terms, base_2=False)

    @property
    def reads_pairs(self) -> bool:
        """Whether the formula has values of pairs."""
        return any(IJ in value.categories for value in self.plan.problem.values)

    @property
    def columns(self) -> int:
        """How many numbers a row of the output keeps: sums of a sum's vector, without what leaves it by linearity."""
        if self.kind in ("extremum", "kmin"):
            return self.plan.problem.values[0].dim
        parts = [(t.scale, t.vector, t.minus) for t in self.plan.terms]
        return sum(max([e.dim for e in part if e is not None], default=1) for part in parts)

    @property
    def has_long_product(self) -> bool:
        """Whether the numbers of a pair are made of vectors that had better be divided among threads."""
        plan = self.plan
        roots = [e for e in (plan.value, *(t.scale for t in plan.terms)) if e is not None]
        return any(max(arg.dim for arg in node.args) > LONG[self.real] for node in find_products(roots, self.homes))

    @property
    def is_long(self) -> bool:
        """Whether the vectors are too long to be written out component by component, in registers."""
        plan = self.plan
        parts = [plan.value, *(part for t in plan.terms for part in (t.scale, t.vector, t.minus))]
        nodes = postorder(*[e for e in parts if e is not None])
        most = _NARROW[self.real]
        if max((node.dim for node in nodes), default=1) > most:
            return True
        if sum(node.dim for node in nodes if isinstance(node, Variable) and node.category != P) > 2 * most:
            return True
        if any(_products(node) > _NARROW_TERMS for node in nodes if isinstance(node, Bilinear)):
            return True
        return self.columns > _NARROW_COLUMNS[self.real] // (2 if self.kind in ("extremum", "kmin") else 1)


def _products(node: Bilinear) -> int:
    """How many products a bilinear operation adds."""
    dims, _, contracted, *_ = node.tensors()
    f, g = node.args
    return f.dim * g.dim // prod(dims[axis] for axis in contracted)


def _users(value: Expression | None, terms: Sequence[tuple[Expression | None, ...]]) -> Counter[Expression]:
    """How many expressions take the value of an expression; the difference of a term's vectors is one."""
    roots = [e for e in (value, *(e for term in terms for e in term)) if e is not None]
    users: Counter[Expression] = Counter(roots)
    for node in postorder(*roots):
        users.update(node.args)
    for _, vector, minus in terms:
        if minus is not None:
            users.update([lookup("Subtract")._new(sides) for sides in ((vector, minus), (minus, vector))])
    return users
