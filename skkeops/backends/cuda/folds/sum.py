"""Sums of a number times a vector, or times the difference of two."""

from __future__ import annotations

from collections.abc import Sequence

from skkeops.plan.plan import Plan

from ..generate.expressions import Component
from ..generate.loops import LoopBlock
from ..options import Options
from .base import MergedFold
from .sums import GroupedSums
from .workspace import Merge, Output

__all__ = ["SumFold"]


class SumFold(MergedFold):
    """Sums of ``scale * (vector - minus)``."""

    def __init__(self, plan: Plan, scale, vector, minus, options: Options, real: str, chunk: int | None):
        self.plan = plan
        parts = [e for e in (scale, vector, minus) if e is not None]
        self.columns = self._divide(max([e.dim for e in parts], default=1), chunk)
        self.roots = []
        self._terms = []
        for c in range(self.columns):
            places = []
            for e in (scale, vector, minus):
                places.append(None if e is None else self._root(self._component(e, c)))
            self._terms.append(places)
        self._sums = GroupedSums("s", self.columns, options, real)
        self.needs_test = self._sums.may_overflow
        self.registers = self._sums.registers
        self.bytes_per_row = 8 * self.all_columns
        self.declarations = self._sums.declare()

    def _root(self, root: Component) -> int:
        if root not in self.roots:
            self.roots.append(root)
        return self.roots.index(root)

    def _products(self, values: Sequence[str]) -> list[tuple[str, str]]:
        found = []
        for scale, vector, minus in self._terms:
            s = "(real)1" if scale is None else values[scale]
            v = None if vector is None else values[vector]
            if minus is not None:
                v = f"({v} - {values[minus]})"
            found.append((s, v) if scale is not None and v is not None else (v if v is not None else s, None))
        return found

    def start(self):
        return [line for c in range(self.columns) for line in self._sums.start(c)]

    def group(self):
        return self._sums.group()

    def fast(self, values, started=False):
        return [line for c, (a, b) in enumerate(self._products(values)) for line in self._sums.add(c, a, b)]

    def test(self):
        return f"fabs({self._sums.part(0)}){self._sums.overflow(1)} < SKK_INF"

    def accept(self):
        return [line for c in range(self.columns) for line in self._sums.accept(c)]

    def exact(self, values):
        return [line for c, (a, b) in enumerate(self._products(values)) for line in self._sums.add_exactly(c, a, b)]

    def store(self):
        put = "skk_put(workspace, split, {}, {}, rows, i, {});"
        return [
            self._guard(c, put.format(self._column(c), self.all_columns, self._sums.total(c)))
            for c in range(self.columns)
        ]

    def fields(self):
        return [("double", self._sums.total(c)) for c in range(self.columns)]

    def combine(self, others):
        return [f"{self._sums.total(c)} += {other};" for c, other in enumerate(others)]

    def merge(self, factor: LoopBlock) -> Merge:
        """Sums, times what left them by linearity."""
        columns = self.all_columns
        expression = self.plan.terms[0].factor
        dim = max(columns, 0 if expression is None else expression.dim, self.plan.problem.values[0].dim)
        before: list[str] = []
        inside: list[str] = []
        product = "s"
        if expression is not None:
            if expression.dim == 1:
                (text,) = factor.compute([(expression, 0)])
                before = factor.lines
            else:
                factor.compute_numbers([expression])
                before, factor.lines = factor.lines, []
                text = factor.component(expression, "d")
                inside = factor.lines
            product = f"(double)({text}) * s"
        merges: Merge = {}
        for kind, dtype, cast in (("state", "float64", "double"), ("result", "real", "real")):
            column = "d" if columns > 1 else "0"
            body = [
                *before,
                f"for (int d = 0; d < {dim}; ++d) {{",
                "    double s = 0.0;",
                f"    for (long long k = lane; k < splits; k += lanes) s += skk_get(workspace, parts, k, {column}, {columns});",
                "    s = skk_sum_of(s, lanes);",
                *(f"    {line}" for line in inside),
                f"    if (lane == 0) out0[i * {dim} + d] = ({cast})({product});",
                "}",
            ]
            merges[kind] = (body, (Output(dtype, (dim,)),))
        return merges
