"""Instructions of the tile engine and their operands, and the lists of them while they are written.

A plane holds one component of a value: for all pairs of a tile, for all lanes, for all rows, or for the call. A value of dim
components is as many planes. The engine's side of this is `skk_operand`, `skk_instr` and `skk_code` in
cython_ext/tile_engine.h.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from skkeops.formula.expression import Expression

from ._engine import LANE_PAD, OPCODES

__all__ = ["CONST", "LANE", "METRICS", "ROW", "TILE", "Code", "Instruction", "Operand", "Side", "check_planes", "check_work"]

TILE, LANE, ROW, CONST = 1, 2, 3, 4
"""The places of values: for each pair of a tile, for each lane, for each row, or once for the whole call."""

METRICS = frozenset(
    OPCODES[name][0] for name in ("sqdist", "long_sqdist", "l1dist", "dot", "scaled_sqdist", "scaled_l1dist")
)
"""The opcodes of sums over the components of a vector of the lanes and one of the rows."""

_WORK_LIMIT = 256 << 20  # bytes of working memory of a thread: more is refused


class Operand(NamedTuple):
    """Where a value is: in ``dim`` planes of a place, from plane ``offset`` on, ``step`` planes from one component to the next.

    With a ``step`` of 0 one plane stands for all components.
    """

    place: int
    offset: int
    dim: int
    step: int

    def part(self, first: int, dim: int, every: int = 1) -> Operand:
        """``dim`` of the components from ``first`` on: all, every second one, or (0) the same."""
        return Operand(self.place, self.offset + first * self.step, dim, every * self.step)

    def spread(self, dim: int) -> Operand:
        """The operand of an instruction on ``dim`` components: a single one stands for all of them."""
        return self._replace(step=0) if self.dim == 1 < dim else self

    @property
    def end(self) -> int:
        """The plane behind the last one."""
        return self.offset + (self.dim - 1) * self.step + 1


class Instruction(NamedTuple):
    """What the engine reads: an opcode, the destination ``d``, up to three arguments, and numbers."""

    op: int
    dim: int
    table: int
    n_table: int
    d: Operand | None
    a: Operand | None
    b: Operand | None
    c: Operand | None
    imm: tuple[float, ...]


@dataclass
class Side:
    """The planes of one place other than TILE: they are filled before the tile's code runs, and keep their values."""

    planes: int = 0
    loads: list[tuple[int, int, int]] = field(default_factory=list)
    operands: dict[Expression, Operand] = field(default_factory=dict)
    wanted: dict[Expression, None] = field(default_factory=dict)

    def allocate(self, dim: int) -> int:
        """Take planes for a value; return the first."""
        first = self.planes
        check_planes(first + dim)
        self.planes += dim
        return first


class Code:
    """Instructions under construction, with their temporaries."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.n_temps = 0
        self._free: dict[int, list[int]] = {}

    def emit(self, op: str, dim: int, d: Operand, args: Iterable[Operand] = (), imm=(), table=0, n_table=0) -> None:
        """Add an instruction."""
        code, _ = OPCODES[op]
        a, b, c = (*args, None, None, None)[:3]
        self.instructions.append(Instruction(code, dim, table, n_table, d, a, b, c, tuple(map(float, imm))))

    def lasting(self, dim: int) -> Operand:
        """A temporary that was never used before, and is not given back."""
        first = self.n_temps
        check_planes(first + dim)
        self.n_temps += dim
        return Operand(TILE, first, dim, 1)

    def temporary(self, dim: int) -> Operand:
        """A temporary, which may have been used and given back before."""
        free = self._free.get(dim)
        if free:
            return Operand(TILE, free.pop(), dim, 1)
        return self.lasting(dim)

    def release(self, operand: Operand) -> None:
        """Give a temporary back."""
        self._free.setdefault(operand.dim, []).append(operand.offset)


def check_planes(planes: int) -> None:
    """Refuse absurd dims before the tables of an operation are written out."""
    check_work(planes * LANE_PAD * 4)


def check_work(size: int) -> None:
    """Refuse a program whose threads would need that many bytes of working memory, if these are too many."""
    if size > _WORK_LIMIT:
        raise ValueError(
            f"the dims of this formula, or K of its reduction, are too large: at least {size >> 20} MiB of working memory per "
            f"thread, the limit is {_WORK_LIMIT >> 20} MiB"
        )
