"""What the templates need of a fold.

Pairs come in groups of `GROUP`. A fold has a fast path for a whole group, and an exact one for single pairs, which serves
where the fast path does not hold and for the last pairs of a tile. All names of a row have the index ``[t]``, the row's
number within its thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from skkeops.formula.expression import Expression

from ..generate.expressions import Component
from ..generate.loops import LoopBlock
from ..launch.geometry import BLOCKS
from .workspace import Merge

__all__ = ["GROUP", "Fold", "MergedFold"]

#: Pairs of a row between two tests, and float32 additions between two additions in float64. Sixteen terms of one
#: sign lose at most 16 half-ulps, on average much less: 2.7e-7 was measured on constant data, the CPU engine's figure.
GROUP = 16

_MOST_CHUNKS = 65535  # the third dimension of a grid


class Fold(ABC):
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

    @abstractmethod
    def start(self) -> list[str]:
        """Set row t to the neutral state."""

    @abstractmethod
    def group(self) -> list[str]:
        """Declare what a group keeps for the rows of a thread."""

    @abstractmethod
    def fast(self, values: Sequence[str], started: bool = False) -> list[str]:
        """A pair enters the group of row t; `started`: the first value has `start_of_value` in it."""

    @abstractmethod
    def test(self) -> str:
        """Whether the group of row t holds."""

    def accept(self) -> list[str]:
        """The group enters the state of row t."""
        return []

    @abstractmethod
    def exact(self, values: Sequence[str]) -> list[str]:
        """A pair, whose index relative to the split is ``at``, enters the state of row t."""

    @abstractmethod
    def store(self) -> list[str]:
        """Row t, which is row ``i``, goes to the workspace of split ``split``; ``base`` is the split's first index."""

    @abstractmethod
    def merge(self, factor: LoopBlock) -> Merge:
        """For "state" and "result": the statements that compute row i, and the outputs. ``factor`` is a block for the plan's
        factors of row i."""

    def _divide(self, columns: int, chunk: int | None) -> int:
        """Note that a thread has at most `chunk` of the columns; return how many."""
        self.chunk = None if chunk is None or chunk >= columns else chunk
        self.all_columns = columns
        self.chunks = 1 if self.chunk is None else -(-columns // self.chunk)
        if self.chunks > _MOST_CHUNKS:
            raise ValueError(f"on a GPU the output can have at most {_MOST_CHUNKS * self.chunk} columns, found {columns}")
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


class MergedFold(Fold):
    """A fold whose state is some numbers, so that the threads of a block can merge what they have of a row."""

    @abstractmethod
    def fields(self) -> list[tuple[str, str]]:
        """The state of row t: types and names."""

    @abstractmethod
    def combine(self, others: Sequence[str]) -> list[str]:
        """The state of another thread, in variables of these names, enters that of row t."""

    def combine_from(self, other: str) -> list[str]:
        """What `other` says, with ``{n}`` for the number of a field and ``{name}`` for its name, enters the state of row t."""
        fields = list(enumerate(self.fields()))
        found = [f"const {kind} o{n} = {other.format(n=n, name=name)};" for n, (kind, name) in fields]
        return [*found, *self.combine([f"o{n}" for n, _ in fields])]

    def combine_shuffled(self) -> list[str]:
        """The state of the thread whose lane differs in the bits ``d`` enters that of row t."""
        return self.combine_from("__shfl_xor_sync(0xffffffffu, {name}, d)")
