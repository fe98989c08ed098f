"""Sums of a row, in float32 for a group of pairs and in float64 beyond."""

from __future__ import annotations

from ..options import Options

__all__ = ["Accumulators"]


class Accumulators:
    """Sums of a row: a part for the group, in ``real``, and the total in float64."""

    def __init__(self, name: str, columns: int, options: Options, real: str):
        self.name = name
        self.columns = columns
        self._compensated = options.accumulator == "kahan"
        self._direct = options.accumulator == "float64" or (real == "double" and not self._compensated)
        self._part_type = "double" if self._direct else "real"
        words = 2 if self._direct or real == "double" else 1
        self.registers = columns * (2 + words * (1 + self._compensated))

    def declare(self) -> str:
        return f"double {self.name}[ROWS][{self.columns}];"

    def start(self) -> list[str]:
        return [f"{self.name}[t][{c}] = 0.0;" for c in range(self.columns)]

    def group(self) -> list[str]:
        zero = " ".join(f"p[t][{c}] = 0;" for c in range(self.columns))
        lines = [f"{self._part_type} p[ROWS][{self.columns}];"]
        if self._compensated:
            lines.append(f"real lost[ROWS][{self.columns}];")
            zero += " " + " ".join(f"lost[t][{c}] = 0;" for c in range(self.columns))
        return [*lines, "#pragma unroll", f"for (int t = 0; t < ROWS; ++t) {{ {zero} }}"]

    def part(self, c: int) -> str:
        return f"p[t][{c}]"

    def total(self, c: int) -> str:
        return f"{self.name}[t][{c}]"

    def add(self, c: int, a: str, b: str | None) -> list[str]:
        product = a if b is None else f"{a} * {b}"
        if self._compensated:
            return [f"skk_compensated(p[t][{c}], lost[t][{c}], {product});"]
        return [f"p[t][{c}] += {product};"]

    def add_exactly(self, c: int, a: str, b: str | None) -> str:
        return f"{self.total(c)} += (double)({a if b is None else f'{a} * {b}'});"

    @property
    def may_overflow(self) -> bool:
        """Whether a part may be infinite where the total is not. Where large terms cancel later, a float32 sum may leave its range
        on the way; the pairs of such a group enter the total one by one."""
        return self._part_type != "double"

    def overflow(self, first: int) -> str:
        """What is added to a number that is tested: 0 if the parts from `first` on are finite, NaN if not. So there is one test."""
        columns = range(first, self.columns) if self.may_overflow else ()
        return "".join(f" + ({self.part(c)} - {self.part(c)})" for c in columns)

    def accept(self) -> list[str]:
        lost = (lambda c: f" - (double)lost[t][{c}]") if self._compensated else (lambda c: "")
        return [f"{self.total(c)} += (double)p[t][{c}]{lost(c)};" for c in range(self.columns)]
