"""Log-sum-exp in the template matrix: exponentials against a reference for each row, which all threads of the row know."""

from __future__ import annotations

from ...folds.shift_exp import ShiftExpFold
from ...folds.sums import CarriedSums
from ...generate.text import each_column, each_row, indent
from .tiles import Tile

__all__ = ["Exponentials"]

_ACCEPTED = "(real)1048576"  # 2^20: float32 sums of exponentials times weights stay far from infinity


class Exponentials:
    """What a thread keeps of its rows besides the sums of their columns: the reference, the sum of ones of its own pairs, and
    for raw states the largest exponent.

    Parameters
    ----------
    fold : ShiftExpFold
    tile : Tile
    sums : CarriedSums
        Of the columns, which are rescaled when a reference rises.
    real : {"float", "double"}
    """

    def __init__(self, fold: ShiftExpFold, tile: Tile, sums: CarriedSums, real: str):
        self._fold = fold
        self._reference = fold.reference
        self._tile = tile
        self._sums = sums
        self._ones = CarriedSums("ones", real)

    def declare(self) -> list[str]:
        return [*self._reference.declare(), *self._ones.declare()]

    def start(self) -> list[str]:
        return each_row([*self._reference.start(), *self._ones.start()])

    def text(self) -> list[str]:
        """Exponentials of ``acc`` against references that may be out of date. If they are too large, or there is an infinity
        or NaN, or the tile is not whole: against those of the tile, by the rules of the reductions."""
        side, columns = self._tile.shape.side_columns, self._tile.shape.columns
        top = self._reference.see("acc[t][u]")
        exact = [
            f"e[t] = {self._reference.exponential('acc[t][u]')};  // infinite ones count as 1",
            f"if (tx * {side} + u < count) {{ sum[t] += e[t]; {' '.join(top)} }}",
        ]
        return [
            "real e[ROWS], sum[ROWS];",
            f"int accepted = count == {columns};",
            *each_row(["sum[t] = 0;"]),
            *self._all_columns([f"e[t] = {self._reference.exp}(acc[t][u] - m[t]);", "sum[t] += e[t];"]),
            *each_row([f"accepted &= sum[t] < {_ACCEPTED};"]),
            "if (!__all_sync(0xffffffffu, accepted)) {  // the threads of a row are in one warp",
            *indent(each_row([*self._raise(), "sum[t] = 0;"])),
            *indent(self._all_columns(exact)),
            *(["} else {", *indent(self._tile.each_pair(top))] if top else []),
            "}",
            *each_row([*self._ones.add(0, "sum[t]"), *self._ones.accept(careful=True)]),
        ]

    def _all_columns(self, body: list[str]) -> list[str]:
        return each_column([*each_row(body), *self._tile.put("e[t]")], "u", self._tile.shape.side_columns)

    def _raise(self) -> list[str]:
        """The reference of row t rises to the largest exponent of the tile."""
        side, lanes = self._tile.shape.side_columns, self._tile.shape.lanes
        if self._reference.base_2:
            rescale = [
                "const real down = fmax(m[t] - up, (real)-1000), half = floor((real)0.5 * down);",
                "const real by = exp2(half), too = exp2(down - half);  // two, as the power may be below the smallest number",
            ]
        else:
            rescale = ["const real by = skk_exp((real)0.5 * (m[t] - up)), too = by;"]
        rescale += [*each_column(self._sums.scale("by * too"), "c", self._sums.columns), *self._ones.scale("by * too")]
        return [
            "real most = -SKK_INF;",
            *each_column([f"if (tx * {side} + u < count && acc[t][u] > most) most = acc[t][u];"], "u", side),
            f"for (int d = {lanes // 2}; d > 0; d /= 2) most = fmax(most, __shfl_xor_sync(0xffffffffu, most, d));",
            *self._reference.rise("most", rescale),
        ]

    def finite(self) -> str:
        """Whether the state of row t is finite."""
        return f"fabs({self._ones.total()}) < SKK_INF"

    def store(self) -> list[str]:
        """The state of row t, which is row ``i``, but for the sums of the columns."""
        lanes = self._tile.shape.lanes
        lines = [
            f"double unit = {self._ones.value()};",
            f"for (int d = {lanes // 2}; d > 0; d /= 2) unit += __shfl_xor_sync(0xffffffffu, unit, d);",
        ]
        if self._reference.top:
            shuffled = "fmax(top[t], __shfl_xor_sync(0xffffffffu, top[t], d))"
            lines.append(f"for (int d = {lanes // 2}; d > 0; d /= 2) top[t] = {shuffled};")
        written = self._reference.store("unit", self._fold.stored)
        return [*lines, "if (i < end_row && tx == 0 && column == 0) {", *indent(written), "}"]
