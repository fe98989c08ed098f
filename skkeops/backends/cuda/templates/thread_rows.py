"""What templates have in common whose threads keep the state of some rows: values are computed where they vary.

What depends on parameters, on the output's index or on the reduced index alone is computed once, around the loop over pairs,
and has a name there: ``c0``, ``r0[t]``, ``l0``. The statements of a pair are written twice: for pairs of a whole group, as the fast
path of the fold wants them, and for pairs that are done exactly.
"""

from __future__ import annotations

from abc import abstractmethod

from skkeops.formula.expression import IJ
from skkeops.plan.homes import Home

from ..folds.base import GROUP, Fold
from ..generate.expressions import Block, Component, at_first_point, statements_cost
from ..generate.folding import directions, of_sign
from ..generate.text import each_row, indent
from .base import BLOCK, FILE, Template
from .task import Task

__all__ = ["ThreadRows"]

_UNROLLED = 2600  # instructions of a group's loop, about, at most
_REGISTERS = {4: 88, 2: 110}  # the most that rows of a thread may need together, by their number
# The most registers that a row may keep during the loop over pairs: elementary functions of float64 need the others.
_MOST_PRESSURE = {"float": 170, "double": 125}


class ThreadRows(Template):
    """A template whose threads keep the state of `rows_per_thread` rows.

    Besides what `Template` says, these must be overridden: `_choose_tile`, `_row_of`, `_unpack`, `_exact_loop`. The statements of a
    pair are those of ``_block``, the class of blocks of statements that suits the length of the vectors.
    """

    _block: type = Block

    def __init__(self, task: Task):
        super().__init__(task)
        self._generate(self.fold)

    def _generate(self, fold: Fold) -> None:
        """Make the statements of the kernel, for a fold."""
        self.fold = fold
        real = self._real = self.task.real
        arrays, output, reduced = self.arrays, self.task.plan.output, self.task.plan.reduced
        self._homes = self.task.homes
        self._pair_arrays = [v for v in arrays if v.category == IJ]
        self._hoisted: dict[Home, dict[Component, int]] = {Home.OUTPUT: {}, Home.REDUCED: {}, Home.CONSTANT: {}}
        self._pair, self._fast = self._pair_blocks()
        self.values = self._pair.compute(fold.roots)
        self._directions = directions(node for node, _ in fold.roots)
        self._fast_values = self._fast.compute(self._roots_of_sign(negative=False))
        self._unknown = next((node for node in self._directions if not node.sign_is_known), None)
        if self._unknown is not None:
            _, self._negative = self._pair_blocks(negative=True)
            self._negative_values = self._negative.compute(self._roots_of_sign(negative=True))
        places = {"arrays": arrays, "outside": self._outside_side}
        self._row = self._block(real, "x", index={output: "i"}, **places)
        self._row_values = self._row.compute(self._hoisted[Home.OUTPUT])
        self._lane = self._block(real, "y", index={reduced: "j"}, **places)
        self._lane_values = self._lane.compute(self._hoisted[Home.REDUCED])
        self._const = self._block(real, "w", arrays=arrays)
        self._const_values = self._const.compute(self._hoisted[Home.CONSTANT])
        self._tile = self._choose_tile()
        self.rows_per_thread, needed = self._choose_rows()
        # The number of blocks that a multiprocessor must hold bounds the registers of a thread. Without the number, ptxas
        # spills registers to reach an occupancy that these kernels do not need.
        self.blocks_per_multiprocessor = 4 if needed <= 48 else 3 if needed <= 76 else 2

    def exceeds(self):
        pressure = self._pressure
        too_many = self._block is Block and pressure > _MOST_PRESSURE[self._real]
        return f"a row keeps {pressure:g} registers" if too_many else None

    # -- where values come from -------------------------------------------------------------------------------
    def _roots_of_sign(self, negative: bool) -> list[Component]:
        """What the fast path computes."""
        nodes = of_sign([node for node, _ in self.fold.roots], negative)
        return [(node, k) for node, (_, k) in zip(nodes, self.fold.roots, strict=True)]

    def _pair_blocks(self, negative=False):
        """The statements of a pair, and those of its fast path."""
        value = self._roots_of_sign(negative)[0] if self.fold.roots else ()
        start = None if self.fold.start_of_value is None else (*value, self.fold.start_of_value)
        indices = {self.task.plan.output: "i", self.task.plan.reduced: "j"}
        places = {"index": indices, "arrays": self.arrays}  # for values of pairs, which alone are read here
        if self._block is not Block:  # which begins no sum with a value
            return tuple(self._block(self._real, "v", self._outside_pair, **places) for _ in range(2))
        blocks = [Block(self._real, "v", self._outside_pair, **places, start=s) for s in (None, start)]
        return tuple(blocks)

    def _outside_pair(self, node, k) -> str | None:
        home = self._homes(node)
        if home is Home.PAIR:
            return None
        place = self._hoisted[home].setdefault((node, k), len(self._hoisted[home]))
        return {Home.OUTPUT: f"r{place}[t]", Home.REDUCED: f"l{place}", Home.CONSTANT: f"c{place}"}[home]

    def _outside_side(self, node, k) -> str | None:
        if self._homes(node) is not Home.CONSTANT or at_first_point(node):
            return None  # the first point is read again where it is needed: it would fill registers
        return f"c{self._hoisted[Home.CONSTANT].setdefault((node, k), len(self._hoisted[Home.CONSTANT]))}"

    # -- sizes ------------------------------------------------------------------------------------------------
    def _choose_rows(self) -> tuple[int, float]:
        """Rows of a thread, and an estimate of the registers that it needs."""
        words = 1 if self._real == "float" else 2
        cost = self._cost()
        per_row = words * (len(self._row_values) + 2) + self.fold.registers + 4 * len(self._pair_arrays)
        shared = words * (len(self._lane_values) + min(len(self._pair.lines), 8)) + len(self._const_values)
        for rows, most in self._row_limits().items():
            if rows * per_row + shared <= most and rows * cost <= _UNROLLED // 4:
                return rows, rows * per_row + shared
        return 1, per_row + shared

    def _row_limits(self) -> dict[int, int]:
        """For numbers of rows per thread, the registers that they may need together."""
        return {2: _REGISTERS[4]} if self._pair_arrays else _REGISTERS

    @property
    def _pressure(self) -> float:
        """The registers that a row keeps during the loop over pairs, about."""
        return (1 if self._real == "float" else 2) * len(self._row_values) + self.fold.registers

    def _cost(self) -> float:
        """The instructions of a pair, about: library functions are some dozens each."""
        return statements_cost(self._fast_lines(), self._real)

    def _fast_lines(self) -> list[str]:
        return [*self._fast.lines, *self.fold.fast(self._fast_values, self._fast.started)]

    @property
    def tile(self):
        return self._tile

    @property
    def registers(self):
        return min(255, FILE // (BLOCK * self.blocks_per_multiprocessor))

    @abstractmethod
    def _choose_tile(self) -> int:
        """The columns that a block of threads takes at a time."""

    def _unroll(self) -> int:
        """How many pairs of a row are written out."""
        unroll = 2 if self._pressure > 90 else GROUP // 4 if self._pair_arrays else GROUP
        while unroll > 1 and unroll * self.rows_per_thread * self._cost() > _UNROLLED:
            unroll //= 2
        return unroll

    # -- text -------------------------------------------------------------------------------------------------
    def _constants(self) -> list[str]:
        values = enumerate(self._const_values)
        return [*self._const.lines, *(f"const real c{k} = {value};" for k, value in values)]

    def _for_rows(self, body: list[str], margin: str) -> list[str]:
        return indent(each_row(body), margin)

    @abstractmethod
    def _row_of(self) -> str:
        """The number of row t of a thread."""

    def _pair_row(self) -> list[str]:
        """The number of the row of a pair, where values of pairs are read."""
        return [f"const long long i = min({self._row_of()}, end_row - 1);"] if self._pair_arrays else []

    def _row_prologue(self) -> list[str]:
        if not self._row_values:
            return []
        return [
            f"const long long i = min({self._row_of()}, end_row - 1);",
            *self._row.lines,
            *(f"r{k}[t] = {value};" for k, value in enumerate(self._row_values)),
        ]

    @abstractmethod
    def _unpack(self) -> list[str]:
        """The values of a column get their names."""

    @abstractmethod
    def _exact_loop(self) -> list[str]:
        """The head of the loop over the pairs of a group, one by one; ``at`` is the column, counted from ``base``."""

    def _finish_group(self, margin: str) -> list[str]:
        fold = self.fold
        exact = [
            "#pragma unroll 1",
            *self._exact_loop(),
            *indent(self._unpack()),
            *indent(self._pair_row()),
            *indent(self._pair.lines),
            *indent(fold.exact(self.values)),
            "}",
        ]
        test = f"whole && ({fold.test()})" if fold.needs_test else "whole"
        accept = fold.accept()
        body = [f"if ({test}) {{", *indent(accept), "} else {"] if accept else [f"if (!({test})) {{"]
        return self._for_rows([*body, *indent(exact), "}"], margin)
