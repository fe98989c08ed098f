"""The folds: what a thread keeps for a row, how pairs enter it, how it is stored and merged. K smallest: `kmin`.

Pairs come in groups of `GROUP`. A fold has a fast path for a whole group, and an exact one for single pairs, which serves
where the fast path does not hold and for the last pairs of a tile. All names of a row have the index ``[t]``, the row's
number within its thread.
"""

from __future__ import annotations

from collections.abc import Sequence

from skkeops.formula.expression import Expression
from skkeops.plan.plan import Plan

from ..generate.expressions import Component
from ..generate.loops import LoopBlock
from ..generate.prelude import FINITE_MAX
from ..launch.geometry import BLOCKS
from ..options import Options
from .accumulators import Accumulators
from .results import Output, merge_extremum, merge_shift_exp, merge_sum

__all__ = ["GROUP", "ExtremumFold", "Fold", "ShiftExpFold", "SumFold"]

#: Pairs of a row between two tests, and float32 additions between two additions in float64. Sixteen terms of one
#: sign lose at most 16 half-ulps, on average much less: 2.7e-7 was measured on constant data, the CPU engine's figure.
GROUP = 16


class Fold:
    """What the templates need of a fold.

    Attributes
    ----------
    roots : list of (Expression, int or str)
        The components that are computed per pair.
    registers : float
        An estimate of the registers that a row's state takes.
    bytes_per_row : int
        What a row leaves in the workspace, per split.
    declarations : list of str
        Of the state of the rows of a thread; `start` sets its values.
    chunk, chunks : int
        With more columns than a thread can have, they are divided in chunks, each for blocks of threads of its own;
        ``column`` is the first of them. Without, chunk is None and chunks 1.
    all_columns : int
        The columns of all chunks.
    needs_test : bool
        Whether a group may have to be done again.
    start_of_value : str or None
        What may be added to the first root in the fast path, where that costs nothing.
    blocks : int
        How many blocks of threads a call should have: a split of the reduced axis repeats what the start of a state costs.
    """

    roots: list[Component]
    registers: float
    bytes_per_row: int
    declarations: list[str]
    chunk: int | None = None
    chunks: int = 1
    all_columns: int
    needs_test: bool
    blocks: int = BLOCKS
    start_of_value: str | None = None

    def start(self) -> list[str]:
        """Set row t to the neutral state."""
        raise NotImplementedError

    def group(self) -> list[str]:
        """Declare what a group keeps for the rows of a thread."""
        return []

    def fast(self, values: Sequence[str], started: bool = False) -> list[str]:
        """A pair enters the group of row t; `started`: the first value has `start_of_value` in it."""
        raise NotImplementedError

    def test(self) -> str:
        """Whether the group of row t holds."""
        return "true"

    def accept(self) -> list[str]:
        """The group enters the state of row t."""
        return []

    def exact(self, values: Sequence[str]) -> list[str]:
        """A pair, whose index relative to the split is ``at``, enters the state of row t."""
        raise NotImplementedError

    def store(self) -> list[str]:
        """Row t, which is row ``i``, goes to the workspace of split ``split``; ``base`` is the split's first index."""
        raise NotImplementedError

    def fields(self) -> list[tuple[str, str]]:
        """The state of row t: types and names."""
        raise NotImplementedError

    def combine(self, others: Sequence[str]) -> list[str]:
        """The state of another thread, in variables of these names, enters that of row t."""
        raise NotImplementedError

    def merge(self, factor: LoopBlock | None) -> dict[str, tuple[list[str], tuple[Output, ...]]]:
        """For "state" and "result": the statements that compute row i, and the outputs."""
        raise NotImplementedError

    def _divide(self, columns: int, chunk: int | None) -> int:
        """Note that a thread has at most `chunk` of the columns; return how many."""
        self.chunk = None if chunk is None or chunk >= columns else chunk
        self.all_columns = columns
        self.chunks = 1 if self.chunk is None else -(-columns // self.chunk)
        return columns if self.chunk is None else self.chunk

    def _component(self, e: Expression, c: int) -> tuple[Expression, int | str]:
        """Of an expression, the component of a thread's column c."""
        if e.dim == 1:
            return (e, 0)
        return (e, c if self.chunk is None else f"min(column + {c}, {e.dim - 1})")

    def _guard(self, c: int, statement: str) -> str:
        return statement if self.chunk is None else f"if (column + {c} < {self.all_columns}) {statement}"

    def _column(self, c: int) -> str:
        return str(c) if self.chunk is None else f"column + {c}"


class SumFold(Fold):
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
        self._sums = Accumulators("s", self.columns, options, real)
        self.needs_test = self._sums.may_overflow
        self.registers = self._sums.registers
        self.bytes_per_row = 8 * self.all_columns
        self.declarations = [self._sums.declare()]

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
        return self._sums.start()

    def group(self):
        return self._sums.group()

    def fast(self, values, started=False):
        return [line for c, (a, b) in enumerate(self._products(values)) for line in self._sums.add(c, a, b)]

    def test(self):
        return f"fabs({self._sums.part(0)}){self._sums.overflow(1)} < SKK_INF"

    def accept(self):
        return self._sums.accept()

    def exact(self, values):
        return [self._sums.add_exactly(c, a, b) for c, (a, b) in enumerate(self._products(values))]

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

    def merge(self, factor):
        return merge_sum(self.plan, self.all_columns, factor)


class ShiftExpFold(Fold):
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
        self._sums = Accumulators("s", self.columns, options, real)
        self.registers = self._sums.registers + (1 if real == "float" else 2) * (1 + self.exact_max)
        self._store_columns = 2 + self.all_columns + self.exact_max
        self.bytes_per_row = 8 * self._store_columns
        self._real = real
        self.declarations = [self._sums.declare(), "real m[ROWS];"]
        if self.exact_max:
            self.declarations.append("real top[ROWS];")
        self._exp = "exp2" if base_2 else "skk_exp"
        self.start_of_value = "-m[t]" if base_2 else None

    def start(self):
        lines = [*self._sums.start(), f"m[t] = -{FINITE_MAX[self._real]};"]
        return lines + (["top[t] = -SKK_INF;"] if self.exact_max else [])

    def group(self):
        return self._sums.group()

    def _enter(self, e: str, values: Sequence[str], add) -> list[str]:
        lines = add(0, e, None)
        for c, place in enumerate(self._places, 1):
            lines += add(c, e, values[place])
        return lines

    def fast(self, values, started=False):
        lines = [f"const real e = {self._exp}({values[0]}{'' if started else ' - m[t]'});"]
        if self.exact_max:
            lines.append(f"top[t] = fmax(top[t], {values[0]});")
        return lines + self._enter("e", values, self._sums.add)

    def test(self):
        return f"{self._sums.part(0)}{self._sums.overflow(1)} < (real)1152921504606846976"  # 2^60; false for a NaN

    def accept(self):
        return self._sums.accept()

    def exact(self, values):
        up, factor = ("ceil(f)", "skk_power_of_2((double)m[t] - (double)up)")
        if not self.base_2:
            up, factor = "f", "exp((double)m[t] - (double)up)"
        lines = [
            f"const real f = {values[0]};",
            "if (f > m[t]) {",
            f"    const real up = {up};",
            f"    const double rescale = {factor};",
            *(f"    {self._sums.total(c)} *= rescale;" for c in range(self.columns)),
            "    m[t] = up;",
            "}",
            f"const real e = {self._exp}(f == m[t] ? (real)0 : f - m[t]);  // infinite ones count as 1",
        ]
        if self.exact_max:
            lines.append("top[t] = fmax(top[t], f);")
        return lines + self._enter("e", values, lambda c, a, b: [self._sums.add_exactly(c, a, b)])

    def store(self):
        start = f"-{FINITE_MAX[self._real]}"
        none = f"m[t] == {start} && {self._sums.total(0)} == 0.0"
        lines = [f"skk_put(workspace, split, 0, {self._store_columns}, rows, i, {none} ? -SKK_DOUBLE_INF : (double)m[t]);"]
        put = f"skk_put(workspace, split, {{}}, {self._store_columns}, rows, i, {{}});"
        lines.append(put.format(1, self._sums.total(0)))
        if self.exact_max:
            lines.append(put.format(self._store_columns - 1, "(double)top[t]"))
        if self.chunk is not None:  # all parts have the same reference and the same sum of ones
            lines = ["if (column == 0) {", *lines, "}"]
        for c in range(self.columns - 1):
            lines.append(self._guard(c, put.format(f"2 + {self._column(c)}", self._sums.total(1 + c))))
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
        if self.exact_max:
            lines.append(f"top[t] = fmax(top[t], {others[-1]});")
        return [*lines, "}"]

    def merge(self, factor):
        return merge_shift_exp(self.plan, self.all_columns, self.base_2, self.exact_max)


class ExtremumFold(Fold):
    """The best value of each component, and its index: the best of a group is compared, its place found if it wins."""

    needs_test = True

    def __init__(self, plan: Plan, value, real: str, chunk: int | None):
        self.plan = plan
        self.dim = self._divide(value.dim, chunk)
        self.roots = [self._component(value, k) for k in range(self.dim)]
        self.largest = bool(plan.problem.reduction.largest)
        self.registers = (3 if real == "float" else 5) * self.dim
        self.bytes_per_row = value.dim * (8 + (4 if real == "float" else 8))
        self.declarations = [f"real best[ROWS][{self.dim}];", f"int place[ROWS][{self.dim}];"]
        self._better = ">" if self.largest else "<"
        self._worst = "-SKK_INF" if self.largest else "SKK_INF"

    def start(self):
        return [f"best[t][{d}] = {self._worst}; place[t][{d}] = -1;" for d in range(self.dim)]

    def group(self):
        return [
            f"real g[ROWS][{self.dim}];",
            "#pragma unroll",
            f"for (int t = 0; t < ROWS; ++t) {{ {' '.join(f'g[t][{d}] = {self._worst};' for d in range(self.dim))} }}",
        ]

    def fast(self, values, started=False):
        function = "fmax" if self.largest else "fmin"
        return [f"g[t][{d}] = {function}(g[t][{d}], {v});" for d, v in enumerate(values)]

    def test(self):
        beaten = " || ".join(f"g[t][{d}] {self._better} best[t][{d}]" for d in range(self.dim))
        return f"!({beaten})"

    def exact(self, values):
        return [
            f"if ({v} {self._better} best[t][{d}]) {{ best[t][{d}] = {v}; place[t][{d}] = at; }}"
            for d, v in enumerate(values)
        ]

    def store(self):
        return [
            self._guard(
                d,
                f"skk_put_found(workspace, split, {self._column(d)}, {self.all_columns}, rows, splits, i, best[t][{d}], "
                f"place[t][{d}] < 0 ? -1LL : base + place[t][{d}]);",
            )
            for d in range(self.dim)
        ]

    def fields(self):
        return [f for d in range(self.dim) for f in (("real", f"best[t][{d}]"), ("int", f"place[t][{d}]"))]

    def combine(self, others):
        lines = []
        for d in range(self.dim):
            value, place = others[2 * d : 2 * d + 2]
            first = f"{value} == best[t][{d}] && (unsigned){place} < (unsigned)place[t][{d}]"  # -1 comes last
            lines.append(
                f"if ({value} {self._better} best[t][{d}] || ({first})) {{ best[t][{d}] = {value}; place[t][{d}] = {place}; }}"
            )
        return lines

    def merge(self, factor):
        return merge_extremum(self.plan, self.all_columns, self._better, self._worst)
