"""Sums of exponentials relative to a reference."""

from __future__ import annotations

from collections.abc import Sequence

from skkeops.plan.plan import Plan

from ..generate.loops import LoopBlock
from ..generate.prelude import FINITE_MAX
from ..generate.text import indent
from ..options import Options
from .base import MergedFold
from .sums import GroupedSums
from .tracing import result_text
from .workspace import Merge, Output

__all__ = ["Reference", "ShiftExpFold"]


class Reference:
    """The reference m of a row, from which its exponents are counted: for base 2 a whole number, so that sums are rescaled
    exactly when it rises. For the raw states that users ask for, the largest exponent ``top`` is kept as well.

    Parameters
    ----------
    base_2 : bool
    top : bool
    real : {"float", "double"}
    """

    def __init__(self, base_2: bool, top: bool, real: str):
        self.base_2 = base_2
        self.top = top
        self._least = f"-{FINITE_MAX[real]}"
        #: The function of the exponential.
        self.exp = "exp2" if base_2 else "skk_exp"

    def declare(self) -> list[str]:
        return ["real m[ROWS];", *(["real top[ROWS];"] if self.top else [])]

    def start(self) -> list[str]:
        """No exponent has been seen: sums of exponentials against this number are 0."""
        return [f"m[t] = {self._least};", *(["top[t] = -SKK_INF;"] if self.top else [])]

    def see(self, exponent: str) -> list[str]:
        """The largest exponent is kept where it is asked for."""
        return [f"top[t] = fmax(top[t], {exponent});"] if self.top else []

    def rise(self, to: str, rescale: Sequence[str]) -> list[str]:
        """The reference rises to an exponent; `rescale` multiplies the sums by what that takes, from ``m[t]`` to ``up``."""
        return [
            f"if ({to} > m[t]) {{",
            f"    const real up = {f'ceil({to})' if self.base_2 else to};",
            *indent(rescale),
            "    m[t] = up;",
            "}",
        ]

    def exponential(self, exponent: str) -> str:
        """The exponential of an exponent that the reference may equal: where both are infinite it is 1."""
        return f"{self.exp}({exponent} == m[t] ? (real)0 : {exponent} - m[t])"

    def store(self, unit: str, stored: int) -> list[str]:
        """The reference, the sum of ones and the largest exponent of row ``i`` go to the first two and the last of `stored`
        columns of the workspace."""
        put = f"skk_put(workspace, split, {{}}, {stored}, rows, i, {{}});"
        none = f"m[t] == {self._least} && {unit} == 0.0"
        lines = [put.format(0, f"{none} ? -SKK_DOUBLE_INF : (double)m[t]"), put.format(1, unit)]
        return [*lines, *([put.format(stored - 1, "(double)top[t]")] if self.top else [])]


class ShiftExpFold(MergedFold):
    """Sums of ``exp(F - m) * W`` relative to a reference m, a whole number for base 2, that rises only where the sum of a
    group says so: all of its exponents are then at most 60 above it, and nothing can overflow.

    The float's own exponent absorbs the distance of m from the largest F, so no precision depends on it. The sum of
    ones always comes first: it is the test, and tells rows without any finite value.
    """

    needs_test = True

    def __init__(self, plan: Plan, value, weight, base_2: bool, options: Options, real: str, chunk: int | None):
        self.plan = plan
        self.base_2 = base_2
        self.exact_max = plan.problem.reduction.returns_state
        self.roots = [(value, 0)]
        self._places = []
        weights = self._divide(0 if weight is None else weight.dim, chunk)
        for c in range(weights):
            root = self._component(weight, c)
            if root not in self.roots:
                self.roots.append(root)
            self._places.append(self.roots.index(root))
        self.columns = 1 + weights
        self._sums = GroupedSums("s", self.columns, options, real)
        self.reference = Reference(base_2, self.exact_max, real)
        self.registers = self._sums.registers + (1 if real == "float" else 2) * (1 + self.exact_max)
        self.stored = 2 + self.all_columns + self.exact_max
        self.bytes_per_row = 8 * self.stored
        self.declarations = [*self._sums.declare(), *self.reference.declare()]
        self.start_of_value = "-m[t]" if base_2 else None

    def start(self):
        return [*(line for c in range(self.columns) for line in self._sums.start(c)), *self.reference.start()]

    def group(self):
        return self._sums.group()

    def _enter(self, e: str, values: Sequence[str], add) -> list[str]:
        lines = add(0, e)
        for c, place in enumerate(self._places, 1):
            lines += add(c, e, values[place])
        return lines

    def fast(self, values, started=False):
        exponential = f"const real e = {self.reference.exp}({values[0]}{'' if started else ' - m[t]'});"
        return [exponential, *self.reference.see(values[0]), *self._enter("e", values, self._sums.add)]

    def test(self):
        return f"{self._sums.part(0)}{self._sums.overflow(1)} < (real)1152921504606846976"  # 2^60; false for a NaN

    def accept(self):
        return [line for c in range(self.columns) for line in self._sums.accept(c)]

    def exact(self, values):
        factor = "skk_power_of_2((double)m[t] - (double)up)" if self.base_2 else "exp((double)m[t] - (double)up)"
        rescale = [f"const double rescale = {factor};", *(f"{self._sums.total(c)} *= rescale;" for c in range(self.columns))]
        return [
            f"const real f = {values[0]};",
            *self.reference.rise("f", rescale),
            f"const real e = {self.reference.exponential('f')};  // infinite ones count as 1",
            *self.reference.see("f"),
            *self._enter("e", values, self._sums.add_exactly),
        ]

    def store(self):
        lines = self.reference.store(self._sums.total(0), self.stored)
        if self.chunk is not None:  # all parts have the same reference and the same sum of ones
            lines = ["if (column == 0) {", *lines, "}"]
        for c in range(self.columns - 1):
            put = f"skk_put(workspace, split, 2 + {self._column(c)}, {self.stored}, rows, i, {self._sums.total(1 + c)});"
            lines.append(self._guard(c, put))
        return lines

    def fields(self):
        totals = [("double", self._sums.total(c)) for c in range(self.columns)]
        return [("real", "m[t]"), *totals, *([("real", "top[t]")] if self.exact_max else [])]

    def combine(self, others):
        def scaled(total: str, by: str) -> str:
            return f"{total} * skk_power_of_2({by})" if self.base_2 else f"{total} * exp({by})"

        m = others[0]
        lines = ["{", f"const real up = fmax(m[t], {m});"]
        # what has the larger reference is not scaled, be it infinite
        for c, other in enumerate(others[1 : 1 + self.columns]):
            total = self._sums.total(c)
            parts = ((total, "m[t]"), (other, m))
            own, foreign = (f"({r} == up ? {t} : {scaled(t, f'(double){r} - (double)up')})" for t, r in parts)
            lines.append(f"{total} = {own} + {foreign};")
        lines.append("m[t] = up;")
        return [*lines, *self.reference.see(others[-1]), "}"]

    def merge(self, factor: LoopBlock) -> Merge:
        """Sums of exponentials: rescaled to the largest reference, then what the reduction makes of them."""
        weights = self.all_columns
        reduction = self.plan.problem.reduction
        columns = weights + 1
        stored = columns + 1 + self.exact_max
        get = f"skk_get(workspace, parts, k, {{}}, {stored})"
        body = [
            "double m = -SKK_DOUBLE_INF;",
            f"for (long long k = lane; k < splits; k += lanes) {{ const double other = {get.format(0)}; "
            "if (other > m) m = other; }",
            "m = skk_max_of(m, lanes);",
            "double unit = 0.0, by = 1.0;",
            *_sum_of_column("unit", get, self.base_2, "1"),
        ]
        rest = list(_sum_of_column("s", get, self.base_2, "1 + c"))
        if self.exact_max:
            body += [
                "double top = -SKK_DOUBLE_INF;",
                f"for (long long k = lane; k < splits; k += lanes) {{ const double other = {get.format(columns + 1)}; "
                "if (other > top) top = other; }",
                "top = skk_max_of(top, lanes);",
                "by = exp(skk_finite(m) - skk_finite(top));",
                "double final = top;",
            ]
        else:
            body.append("double final = m;")
        if self.base_2:
            body.append("final *= 0.69314718055994530942;")

        def columns_of(first: int, last: int, target: str) -> list[str]:
            return [
                f"for (int c = {first}; c < {last}; ++c) {{",
                "    double s = 0.0;",
                *(f"    {line}" for line in rest),
                f"    {target}",
                "}",
            ]

        first = 0 if reduction.unit_column else 1
        width = columns - first
        state = [
            *body,
            *([] if self.exact_max else _NORMALISE.splitlines()),
            "if (lane == 0) out0[i] = final;",
            *columns_of(first, columns, f"if (lane == 0) out1[i * {width} + c - {first}] = s * by;"),
        ]
        if self.exact_max:
            value = "final == SKK_DOUBLE_INF ? final - final : s * by"  # NaN where the largest is infinite
            target = f"if (lane == 0) out0[i * {width + 1} + 1 + c - {first}] = (real)({value});"
            result = [*body, f"if (lane == 0) out0[i * {width + 1}] = (real)final;", *columns_of(first, columns, target)]
            outputs = (Output("real", (width + 1,)),)
        else:
            value = result_text(reduction)
            if value is None:
                return {"state": (state, (Output("float64", (1,)), Output("float64", (width,))))}
            begin, dim = (1, weights) if weights else (0, 1)
            result = [*body, *columns_of(begin, begin + dim, f"if (lane == 0) out0[i * {dim} + c - {begin}] = (real)({value});")]
            outputs = (Output("real", (dim,)),)
        return {
            "state": (state, (Output("float64", (1,)), Output("float64", (width,)))),
            "result": (result, outputs),
        }


def _sum_of_column(name: str, get: str, base_2: bool, column: str) -> list[str]:
    """Add a column of the splits, rescaled."""
    function = "exp2" if base_2 else "exp"
    return [
        "for (long long k = lane; k < splits; k += lanes)",
        f"    {name} += {get.format(column)} * ({get.format(0)} == m ? 1.0 : {function}({get.format(0)} - m));",
        f"{name} = skk_sum_of({name}, lanes);",
    ]


# The reference m is not the largest F. Derivatives rely on exp(F - m) <= 1, which the logarithm of the sum gives.
_NORMALISE = """\
if (unit > 0.0 && unit < SKK_DOUBLE_INF && fabs(final) < SKK_DOUBLE_INF) {
    final += log(unit);
    by = 1.0 / unit;
}
if (unit != unit) final = unit;"""
