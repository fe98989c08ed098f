"""The best value of a row, and its index."""

from __future__ import annotations

from skkeops.plan.plan import Plan

from ..generate.loops import LoopBlock
from .base import Fold, MergedFold
from .workspace import Merge, choose_written

__all__ = ["ComparedFold", "ExtremumFold"]


class ComparedFold(Fold):
    """A fold that compares the best of a group with what it has of each component, in `_held`, before it looks at single pairs.

    Attributes
    ----------
    dim : int
        The components of a thread.
    """

    needs_test = True
    _held: str

    def __init__(self, plan: Plan, value, chunk: int | None, largest: bool = False):
        self.plan = plan
        self.dim = self._divide(value.dim, chunk)
        self.roots = [self._component(value, k) for k in range(self.dim)]
        self._better, self._best, self._worst = (">", "fmax", "-SKK_INF") if largest else ("<", "fmin", "SKK_INF")

    def group(self):
        start = " ".join(f"g[t][{d}] = {self._worst};" for d in range(self.dim))
        return [f"real g[ROWS][{self.dim}];", "#pragma unroll", f"for (int t = 0; t < ROWS; ++t) {{ {start} }}"]

    def fast(self, values, started=False):
        return [f"g[t][{d}] = {self._best}(g[t][{d}], {v});" for d, v in enumerate(values)]

    def test(self):
        beaten = " || ".join(f"g[t][{d}] {self._better} {self._held}[t][{d}]" for d in range(self.dim))
        return f"!({beaten})"


class ExtremumFold(ComparedFold, MergedFold):
    """The best value of each component, and its index: the place is found where a group wins."""

    _held = "best"

    def __init__(self, plan: Plan, value, real: str, chunk: int | None):
        super().__init__(plan, value, chunk, bool(plan.problem.reduction.largest))
        self.registers = (3 if real == "float" else 5) * self.dim
        self.bytes_per_row = value.dim * (8 + (4 if real == "float" else 8))
        self.declarations = [f"real best[ROWS][{self.dim}];", f"int place[ROWS][{self.dim}];"]

    def start(self):
        return [f"best[t][{d}] = {self._worst}; place[t][{d}] = -1;" for d in range(self.dim)]

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

    def merge(self, factor: LoopBlock) -> Merge:
        """The best value of the splits, the first of equals."""
        dim = self.all_columns
        merges: Merge = {}
        for kind, dtype in (("state", "float64"), ("result", "real")):
            put, outputs = choose_written(self.plan, kind, dtype, (dim,))
            body = [
                f"for (int d = 0; d < {dim}; ++d) {{",
                f"    real best = {self._worst}; long long place = -1;",
                "    for (long long k = lane; k < splits; k += lanes) {",
                f"        long long index; const real value = skk_get_found(workspace, parts, k, d, {dim}, &index);",
                f"        if (value {self._better} best) {{ best = value; place = index; }}",
                "    }",
                "    if (lanes > 1) for (int d2 = 16; d2 > 0; d2 /= 2) {",
                "        const real value = __shfl_xor_sync(0xffffffffu, best, d2);",
                "        const long long index = __shfl_xor_sync(0xffffffffu, place, d2);",
                f"        if (value {self._better} best || (value == best && index < place)) {{ best = value; place = index; }}",
                "    }",
                *(f"    if (lane == 0) {line}" for line in put(f"i * {dim} + d", "best", "place")),
                "}",
            ]
            merges[kind] = (body, outputs)
        return merges
