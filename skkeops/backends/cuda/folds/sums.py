"""Sums in the registers of a thread that has many: compensated in float32, plain in float64."""

from __future__ import annotations

__all__ = ["Sums"]


class Sums:
    """A part for the group of pairs, and the total. In float32 what is rounded off when a part enters the total begins the
    next part, so that no more than two numbers are kept for each sum.

    Parameters
    ----------
    name : str
    index : str
        Of one of the sums, such as ``"[t][c]"``.
    real : {"float", "double"}
    """

    def __init__(self, name: str, index: str, real: str):
        self._name = name
        self.total = f"{name}{index}"
        self.compensated = real == "float"
        #: Where a term is added.
        self.part = f"{name}_part{index}" if self.compensated else self.total

    def declare(self, shape: str) -> list[str]:
        """Declare sums of a shape, such as ``"[ROWS]"``."""
        names = [self._name, f"{self._name}_part"] if self.compensated else [self._name]
        return [f"real {name}{shape};" for name in names]

    def _all(self, statement: str) -> list[str]:
        return [statement.format(s) for s in ([self.total, self.part] if self.compensated else [self.total])]

    def start(self) -> list[str]:
        """Set a sum to 0."""
        return self._all("{0} = 0;")

    def scale(self, by: str) -> list[str]:
        """Multiply a sum."""
        return self._all(f"{{0}} = {{0}} * {by};")

    def accept(self, careful: bool) -> list[str]:
        """The part enters the total. Where that may be infinite, which has lost nothing, it takes care."""
        if not self.compensated:
            return []
        left = f"{self.part} - (raised - {self.total})"
        if careful:
            left = f"fabs(raised) < SKK_INF ? {left} : (real)0"
        return [f"const real raised = {self.total} + {self.part};", f"{self.part} = {left};", f"{self.total} = raised;"]

    def value(self) -> str:
        """A sum, in float64."""
        return f"(double){self.total} + (double){self.part}" if self.compensated else f"(double){self.total}"
