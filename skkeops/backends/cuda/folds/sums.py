"""How terms are summed: a part for a group of pairs, which enters the total of the row.

============= ============================ ==================================================================
class         total                        for
============= ============================ ==================================================================
`GroupedSums` float64                      threads that keep a few sums of each row
`CarriedSums` the dtype of the data        threads that keep many: two registers for each sum, no conversions
============= ============================ ==================================================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..options import Options

__all__ = ["CarriedSums", "GroupedSums", "Sums"]


class Sums(ABC):
    """Sums of the rows ``t`` of a thread.

    Parameters
    ----------
    name : str
        Of the totals in the source.
    columns : int, optional
        How many sums a row has. Default: one, without an index of its own.
    """

    def __init__(self, name: str, columns: int | None = None):
        self.name = name
        self.columns = columns
        self._shape = "[ROWS]" if columns is None else f"[ROWS][{columns}]"

    def _at(self, c: int | str) -> str:
        return "[t]" if self.columns is None else f"[t][{c}]"

    def total(self, c: int | str = 0) -> str:
        """The total of column c, a number or the name of one in the source."""
        return f"{self.name}{self._at(c)}"

    @abstractmethod
    def part(self, c: int | str = 0) -> str:
        """The part of column c, to which terms are added."""

    @abstractmethod
    def declare(self) -> list[str]:
        """Declare what is kept during the whole sum."""

    @abstractmethod
    def start(self, c: int | str = 0) -> list[str]:
        """Set the sum of column c to 0."""

    def add(self, c: int | str, a: str, b: str | None = None) -> list[str]:
        """A term, a product if there are two texts, enters the part."""
        return [f"{self.part(c)} += {_product(a, b)};"]

    @abstractmethod
    def accept(self, c: int | str = 0, careful: bool = False) -> list[str]:
        """The part enters the total; `careful`: where either may be infinite."""


class GroupedSums(Sums):
    """Sums whose total is of float64. A part begins with each group, in the type that the options say.

    Attributes
    ----------
    registers : int
        What the sums of a row take.
    may_overflow : bool
        Whether a part may be infinite where the total is not. Where large terms cancel later, a float32 sum may leave its range
        on the way; the pairs of such a group enter the total one by one.
    """

    columns: int

    def __init__(self, name: str, columns: int, options: Options, real: str):
        super().__init__(name, columns)
        self._compensated = options.accumulator == "kahan"
        direct = options.accumulator == "float64" or (real == "double" and not self._compensated)
        self._part_type = "double" if direct else "real"
        words = 2 if direct or real == "double" else 1
        self.registers = columns * (2 + words * (1 + self._compensated))
        self.may_overflow = not direct

    def part(self, c=0):
        return f"p{self._at(c)}"

    def declare(self):
        return [f"double {self.name}{self._shape};"]

    def start(self, c=0):
        return [f"{self.total(c)} = 0.0;"]

    def group(self) -> list[str]:
        """Declare the parts of a group, and begin them."""
        columns = range(self.columns)
        zero = " ".join(f"{self.part(c)} = 0;" for c in columns)
        lines = [f"{self._part_type} p{self._shape};"]
        if self._compensated:
            lines.append(f"real lost{self._shape};")
            zero += " " + " ".join(f"lost{self._at(c)} = 0;" for c in columns)
        return [*lines, "#pragma unroll", f"for (int t = 0; t < ROWS; ++t) {{ {zero} }}"]

    def add(self, c, a, b=None):
        if self._compensated:
            return [f"skk_compensated({self.part(c)}, lost{self._at(c)}, {_product(a, b)});"]
        return super().add(c, a, b)

    def add_exactly(self, c: int, a: str, b: str | None = None) -> list[str]:
        """A term enters the total itself."""
        return [f"{self.total(c)} += (double)({_product(a, b)});"]

    def accept(self, c=0, careful=False):
        lost = f" - (double)lost{self._at(c)}" if self._compensated else ""
        return [f"{self.total(c)} += (double){self.part(c)}{lost};"]

    def overflow(self, first: int) -> str:
        """What is added to a number that is tested: 0 if the parts from `first` on are finite, NaN if not. So there is one test."""
        columns = range(first, self.columns) if self.may_overflow else ()
        return "".join(f" + ({self.part(c)} - {self.part(c)})" for c in columns)


class CarriedSums(Sums):
    """Sums in the dtype of the data. In float32 what is rounded off when a part enters the total begins the next part, so that no
    more than two numbers are kept for each sum. In float64 terms enter the total itself.

    Attributes
    ----------
    compensated : bool
        Whether there are parts.
    """

    def __init__(self, name: str, real: str, columns: int | None = None):
        super().__init__(name, columns)
        self.compensated = real == "float"

    def part(self, c="c"):
        return f"{self.name}_part{self._at(c)}" if self.compensated else self.total(c)

    def total(self, c="c"):
        return super().total(c)

    def _numbers(self, c: int | str) -> list[str]:
        return [self.total(c), self.part(c)] if self.compensated else [self.total(c)]

    def declare(self):
        names = [self.name, f"{self.name}_part"] if self.compensated else [self.name]
        return [f"real {name}{self._shape};" for name in names]

    def start(self, c="c"):
        return [f"{number} = 0;" for number in self._numbers(c)]

    def scale(self, by: str) -> list[str]:
        """Multiply the sum of column ``c``."""
        return [f"{number} = {number} * {by};" for number in self._numbers("c")]

    def accept(self, c="c", careful=False):
        if not self.compensated:
            return []
        total, part = self.total(c), self.part(c)
        left = f"{part} - (raised - {total})"
        if careful:  # an infinite sum has lost nothing
            left = f"fabs(raised) < SKK_INF ? {left} : (real)0"
        return [f"const real raised = {total} + {part};", f"{part} = {left};", f"{total} = raised;"]

    def value(self) -> str:
        """The sum of column ``c``, in float64."""
        return " + ".join(f"(double){number}" for number in self._numbers("c"))


def _product(a: str, b: str | None) -> str:
    return a if b is None else f"{a} * {b}"
