"""The fold of the K smallest values."""

from __future__ import annotations

from skkeops.plan.plan import Plan

from ..generate.loops import LoopBlock
from ..launch.geometry import BLOCKS_OF_LISTS
from .extremum import ComparedFold
from .workspace import Merge, choose_written

__all__ = ["KMinFold"]

# Numbers in the local memory of a thread, which a device reserves for all threads that it can hold: with 16 bytes for
# each, 17 GB on one of 132 multiprocessors, 3 GB on one of 20.
_MOST_KEPT = 4096
_MOST_IN_REGISTERS = 16


class KMinFold(ComparedFold):
    """The K smallest values of each component, ascending, and their indices: the smallest of a group is compared with the
    K-th, and the group's values inserted if it is smaller.

    Attributes
    ----------
    k : int
    in_registers : bool
        Whether the lists are: all their indices are then known to the compiler.
    """

    blocks = BLOCKS_OF_LISTS
    _held = "worst"

    def __init__(self, plan: Plan, value, real: str, chunk: int | None):
        super().__init__(plan, value, chunk)
        self.k = plan.problem.reduction.k
        if self.k * self.dim > _MOST_KEPT:
            of = f" / {self.dim} components = {_MOST_KEPT // self.dim}" if self.dim > 1 else ""
            raise ValueError(f"on a GPU the K smallest values can be kept for K up to {_MOST_KEPT}{of}, found {self.k}")
        self.in_registers = self.k * self.dim <= _MOST_IN_REGISTERS
        words = 1 if real == "float" else 2
        self.registers = (words + 1) * self.k * self.dim if self.in_registers else (2 * words) * self.dim + 40
        self.bytes_per_row = value.dim * self.k * (8 + 4 * words)
        shape = f"[ROWS][{self.dim}][{self.k}]"
        self.declarations = [f"real kept{shape};", f"int place{shape};", f"real worst[ROWS][{self.dim}];"]

    @property
    def each_entry(self) -> str:
        """What comes before a loop over the entries of a list."""
        return "#pragma unroll" if self.in_registers else "#pragma unroll 1"

    def start(self):
        lines = []
        for d in range(self.dim):
            lines += [
                f"worst[t][{d}] = SKK_INF;",
                self.each_entry,
                f"for (int q = 0; q < {self.k}; ++q) {{ kept[t][{d}][q] = SKK_INF; place[t][{d}][q] = -1; }}",
            ]
        return lines

    def exact(self, values):
        return [line for d, v in enumerate(values) for line in self._insert(d, v, "at", f"{v} < worst[t][{d}]", "{0} < {2}")]

    def enter(self, d: int, value: str, place: str) -> list[str]:
        """A value of another list, with its place, enters the list of component d: the first of equals comes first. Values
        that have no place are infinite and stay outside."""
        before = "({0} < {2} || ({0} == {2} && (unsigned){1} < (unsigned){3}))"  # a place of -1 comes last
        last = self.k - 1
        condition = before.format(value, place, f"kept[t][{d}][{last}]", f"place[t][{d}][{last}]")
        return self._insert(d, value, place, condition, before)

    def _insert(self, d: int, value: str, place: str, condition: str, before: str) -> list[str]:
        """Insert where ``before`` holds for the first time: of a value and its place, and those of an entry."""
        kept, places = f"kept[t][{d}]", f"place[t][{d}]"
        lines = [f"if ({condition}) {{"]
        if self.in_registers:
            # the entries after it move by one, equals too: they must not be compared again
            lines += [
                f"    real v = {value}; int p = {place}; bool found = false;",
                "    #pragma unroll",
                f"    for (int q = 0; q < {self.k}; ++q) {{",
                f"        const real kv = {kept}[q]; const int kp = {places}[q];",
                f"        found = found || {before.format('v', 'p', 'kv', 'kp')};",
                f"        {kept}[q] = found ? v : kv; {places}[q] = found ? p : kp;",
                "        v = found ? kv : v; p = found ? kp : p;",
                "    }",
            ]
        else:
            lines += [
                f"    int q = {self.k - 1};",
                "    #pragma unroll 1",
                f"    for (; q > 0 && {before.format(value, place, f'{kept}[q - 1]', f'{places}[q - 1]')}; --q) {{",
                f"        {kept}[q] = {kept}[q - 1]; {places}[q] = {places}[q - 1];",
                "    }",
                f"    {kept}[q] = {value}; {places}[q] = {place};",
            ]
        return [*lines, f"    worst[t][{d}] = fmin(worst[t][{d}], {kept}[{self.k - 1}]);", "}"]

    def store(self):
        lines = []
        for d in range(self.dim):
            entry = self.store_entry(d, "q", f"kept[t][{d}][q]", f"place[t][{d}][q]")
            lines += [self.each_entry, f"for (int q = 0; q < {self.k}; ++q)", f"    {self._guard(d, entry)}"]
        return lines

    def store_entry(self, d: int, q: str, value: str, place: str) -> str:
        """An entry of the list of component d of row ``i`` goes to the workspace."""
        return (
            f"skk_put_found(workspace, split, ({self._column(d)}) * {self.k} + {q}, {self.all_columns * self.k}, rows, splits, "
            f"i, {value}, {place} < 0 ? -1LL : base + {place});"
        )

    def merge(self, factor: LoopBlock) -> Merge:
        """The K smallest values of the splits' ascending lists; places without a value have the index -1.

        Every lane has a list of its share of the splits; then, K times, the smallest of what the lists begin with is taken.
        """
        dim, k = self.all_columns, self.k
        shape = (k,) if dim == 1 else (k, dim)
        merges: Merge = {}
        for kind, dtype in (("state", "float64"), ("result", "real")):
            put, outputs = choose_written(self.plan, kind, dtype, (k, dim) if kind == "state" else shape)
            at = f"(i * {k} + q) * {dim} + d"
            body = [
                f"for (int d = 0; d < {dim}; ++d) {{",
                f"    real kept[{k}]; long long place[{k}];",
                "    #pragma unroll 1",
                f"    for (int q = 0; q < {k}; ++q) {{ kept[q] = SKK_INF; place[q] = -1; }}",
                "    #pragma unroll 1",
                "    for (long long s = lane; s < splits; s += lanes) {",
                "        #pragma unroll 1",
                f"        for (int r = 0; r < {k}; ++r) {{",
                "            long long index;",
                f"            const real value = skk_get_found(workspace, parts, s, d * {k} + r, {k * dim}, &index);",
                f"            if (!(value < kept[{k - 1}])) break;  // the rest is larger",
                f"            int q = {k - 1};",
                "            #pragma unroll 1",
                "            for (; q > 0 && kept[q - 1] > value; --q) { kept[q] = kept[q - 1]; place[q] = place[q - 1]; }",
                "            kept[q] = value; place[q] = index;",
                "        }",
                "    }",
                "    int head = 0;",
                "    #pragma unroll 1",
                f"    for (int q = 0; q < {k}; ++q) {{",
                "        const long long own = place[head];",
                "        real best = kept[head]; long long first = own;",
                "        if (lanes > 1) for (int d2 = 16; d2 > 0; d2 /= 2) {",
                "            const real value = __shfl_xor_sync(0xffffffffu, best, d2);",
                "            const long long index = __shfl_xor_sync(0xffffffffu, first, d2);",
                "            const bool sooner = (unsigned long long)index < (unsigned long long)first;  // -1 comes last",
                "            if (value < best || (value == best && sooner)) { best = value; first = index; }",
                "        }",
                f"        if (first == own && head < {k - 1}) ++head;  // the indices of the lists are all different",
                *(f"        if (lane == 0) {line}" for line in put(at, "best", "first")),
                "    }",
            ]
            merges[kind] = ([*body, "}"], outputs)
        return merges
