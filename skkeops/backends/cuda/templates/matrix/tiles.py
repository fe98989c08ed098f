"""A number for every pair of a tile, in shared memory: each thread writes its rectangle of pairs, all read whole columns."""

from __future__ import annotations

from collections.abc import Sequence

from ...generate.slabs import Shape
from ...generate.text import each_column, each_row

__all__ = ["Tile"]


class Tile:
    """The array ``pairs``, column after column of the tile.

    The packs of rows of a column are permuted: those who write, whose columns lie apart, and those who read a column at a
    time then meet no bank conflicts.

    Parameters
    ----------
    shape : Shape
    """

    def __init__(self, shape: Shape):
        self.shape = shape
        self.packs = shape.side_rows // shape.pack  # of a thread's rows

    def pack(self, column: str, part: str) -> str:
        """Where a pack of a thread's rows of a column is."""
        swizzle = f"({column}) / {self.shape.side_columns} & 7"
        return f"({column}) * {self.shape.rows} + ((ty * {self.packs} + {part}) ^ ({swizzle})) * {self.shape.pack}"

    def own(self, part: str) -> str:
        """Where a pack of a thread's rows of its column ``u`` is."""
        shape = self.shape
        column = f"tx * {shape.side_columns} + u"
        return f"({column}) * {shape.rows} + ((ty * {self.packs} + {part}) ^ (tx & 7)) * {shape.pack}"

    def each_pair(self, body: Sequence[str]) -> list[str]:
        """The statements for all pairs ``t``, ``u`` of a thread."""
        return each_row(each_column(body, "u", self.shape.side_columns))

    def put(self, value: str) -> list[str]:
        """Store the numbers ``value`` of the rows ``[t]`` of column ``u``."""
        pack, lines = self.shape.pack, []
        for part in range(self.packs):
            values = ", ".join(value.replace("[t]", f"[{part * pack + k}]") for k in range(pack))
            lines.append(f"*(real{pack}*)&pairs[{self.own(str(part))}] = skk_pack({values});")
        return lines

    def store(self, value: str) -> list[str]:
        """Store the numbers of all pairs of a thread."""
        return each_column(self.put(value), "u", self.shape.side_columns)

    def load(self, name: str) -> list[str]:
        """Load the numbers of all pairs of a thread into ``name[t][u]``."""
        pack, lines = self.shape.pack, []
        for part in range(self.packs):
            lines.append(f"const real{pack} p{part} = *(const real{pack}*)&pairs[{self.own(str(part))}];")
            lines += [f"{name}[{part * pack + k}][u] = p{part}.{'xyzw'[k]};" for k in range(pack)]
        return each_column(lines, "u", self.shape.side_columns)
