"""The contract of a template: which tasks it accepts, its kernels, and their launches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from skkeops.formula.expression import Variable, postorder
from skkeops.locks import cached_property
from skkeops.plan.plan import Plan

from ..folds.base import Fold
from ..folds.make import make_fold
from ..folds.merge import merge_launch
from ..folds.workspace import Merge
from ..generate.loops import LoopBlock
from ..launch.geometry import Geometry, Launch, blocks_of, split
from ..launch.ranges import Work
from .task import Formula, Task

__all__ = ["BLOCK", "FILE", "SHARED_MOST", "Before", "Template"]

BLOCK = 128  # threads of a block, unless the template says otherwise
SHARED_MOST = 48 << 10  # bytes of shared memory that a kernel may declare
FILE = 65536  # registers of a multiprocessor


class Before(NamedTuple):
    """What happens before the main kernel.

    Attributes
    ----------
    workspace : int
        Bytes of the workspace of the call: that of the states, and what follows it.
    launches : tuple of Launch
        Those before the main kernel.
    args : tuple of int
        What the main kernel takes besides: its parameters `Template.besides`.
    """

    workspace: int
    launches: tuple[Launch, ...] = ()
    args: tuple[int, ...] = ()


class Template(ABC):
    """A shape of the main kernel, which leaves the state of every row in the workspace, for each split of the reduced axis.

    An object is the kernel of one task. Templates are found by the file that they are in: each file or folder of this folder is
    imported when the first source is made, and every class that overrides what must be overridden is a template. They are tried
    in the order of their ranks, and the first that does not decline is taken.

    Must be overridden
        `name`, `kernel`; `text`, `rows_per_block`, `tile`, `registers`.
    May be overridden
        `declines`, `exceeds`, `rank`: when the template is taken. `knows_ranges`, `reads_pairs`, `of_sizes` with `suits`: which
        calls it is for. `folds_distances`, `folds_signs`, `make_fold`: what it computes. `blocks`: into how many splits.
    Rarely overridden
        `threads`, `kernels`, `before` with `besides`, `geometry`: kernels beside the main one, and their launches.

    Parameters
    ----------
    task : Task
        One that the class does not decline.

    Attributes
    ----------
    task : Task
    formula : Formula
        The expressions of the task, as this template wants them.
    arrays : dict of Variable to str
        The arrays that kernels take, and their names in the source.
    fold : Fold
        What a thread keeps of a row.
    """

    #: All classes that derive from this one.
    classes: ClassVar[list[type[Template]]] = []

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        Template.classes.append(cls)

    #: What `Source.template` says. Variants of a template have the same name.
    name: ClassVar[str]
    #: The name of the main kernel.
    kernel: ClassVar[str]
    #: Whether the main kernel takes the items and segments of calls with ranges, see `launch.ranges`.
    knows_ranges: ClassVar[bool] = False
    #: Whether the main kernel can read values of pairs.
    reads_pairs: ClassVar[bool] = False
    #: Whether the sizes of a call decide: the template is tried only where `suits` says so, or where it is asked for by name.
    of_sizes: ClassVar[bool] = False
    #: Whether constants are folded into distances, and whether their signs may be unknown: see `generate.folding`.
    folds_distances: ClassVar[bool] = False
    folds_signs: ClassVar[bool] = False
    #: The names of the numbers that `before` has for the main kernel.
    besides: ClassVar[tuple[str, ...]] = ()
    #: Threads of a block.
    threads: int = BLOCK

    def __init__(self, task: Task):
        self.task = task
        self.formula = self.formula_of(task)
        factors = [term.factor for term in task.plan.terms if term.factor is not None]
        self.roots = [*self.formula.roots, *factors]
        used = {node for node in postorder(*self.roots) if isinstance(node, Variable)}
        self.arrays = {v: f"a{k}" for k, v in enumerate(task.plan.problem.variables) if v in used}
        self.fold = self.make_fold()

    # -- which tasks ------------------------------------------------------------------------------------------
    @classmethod
    def declines(cls, task: Task) -> str | None:
        """The reason why this template is not for a task, as the formula says; None if it is."""
        if task.ranges and not cls.knows_ranges:
            return "it knows no ranges"
        if task.reads_pairs and not cls.reads_pairs:
            return "it does not read values of pairs"
        return None

    def exceeds(self) -> str | None:
        """The reason why the generated kernel had better not be run, such as too many registers; None if there is none."""
        return None

    @classmethod
    def rank(cls, task: Task) -> int:
        """Where the template is in the order in which they are tried, the least first.

        Long vectors whose components are shared among threads: 10 to 19. Matrix products: 20 to 29. The rule: 30. What is
        better than nothing: 40 to 49. What can do everything: 90.
        """
        return 30

    @classmethod
    def suits(cls, plan: Plan, rows: int, columns: int, along: bool) -> bool:
        """Whether the template had better be tried first for these lengths of the output's and of the reduced axis; ``along``:
        with values of pairs that are neighbours in memory along the reduced axis."""
        return False

    # -- what is computed ---------------------------------------------------------------------------------------
    @classmethod
    def formula_of(cls, task: Task) -> Formula:
        """The expressions of a task, as this template wants them."""
        return task.formula(cls.folds_distances, cls.folds_signs)

    def make_fold(self, chunk: int | None = None) -> Fold:
        """What a thread keeps of a row: `chunk` columns at most."""
        return make_fold(self.task.plan, *self.formula, self.task.options, self.task.real, chunk)

    @property
    def blocks(self) -> int:
        """How many blocks of threads a call should have."""
        return self.fold.blocks

    # -- kernels ------------------------------------------------------------------------------------------------
    @property
    @abstractmethod
    def rows_per_block(self) -> int:
        """The rows of a block of threads."""

    @property
    @abstractmethod
    def tile(self) -> int:
        """The columns that a block of threads takes at a time: the length of a split is a multiple."""

    @property
    @abstractmethod
    def registers(self) -> int:
        """The most registers that a thread can have."""

    @abstractmethod
    def text(self, parameters: Sequence[str]) -> str:
        """The main kernel, which begins with `head`. Its grid has the blocks of rows, the splits, and the chunks of the fold."""

    def kernels(self, parameters: Sequence[str]) -> dict[str, str]:
        """The kernels but for the merge, by their names."""
        return {self.kernel: self.text(parameters)}

    @cached_property
    def merges(self) -> Merge:
        """What the second kernel does with the parts of a row, for "state" and for "result"."""
        return self.fold.merge(LoopBlock(self.task.real, "f", index={self.task.plan.output: "i"}, arrays=self.arrays))

    def head(self, parameters: Sequence[str], blocks: int | str) -> list[str]:
        """The first lines of the main kernel, of which a multiprocessor must be able to hold so many blocks.

        Its parameters are what `geometry` gives: the arrays, ``workspace``, with ranges ``items`` and ``segments``, then ``rows``,
        ``columns``, ``chunk`` (the length of a split), ``splits`` and the numbers of `besides`.
        """
        tables = "const long long* __restrict__ items, const long long* __restrict__ segments,\n    " if self.knows_ranges else ""
        sizes = "long long rows, long long columns, long long chunk, long long splits"
        besides = "".join(f", long long {name}" for name in self.besides)
        return [
            f'extern "C" __global__ void __launch_bounds__({self.threads}, {blocks}) {self.kernel}('
            + "".join(f"{parameter}, " for parameter in parameters),
            f"    char* __restrict__ workspace, {tables}{sizes}{besides})",
            "{",
        ]

    # -- launches -----------------------------------------------------------------------------------------------
    def before(self, rows: int, columns: int, workspace: int) -> Before:
        """What happens before the main kernel; `workspace` is that of the states."""
        return Before(workspace)

    def geometry(self, rows: int, columns: int, final: str = "result", work: Work | None = None) -> Geometry:
        """The launches of a call.

        Parameters
        ----------
        rows, columns : int
            The lengths of the output's and of the reduced axis.
        final : {"result", "state"}
            What the merge writes.
        work : Work, optional
            The work of a call with ranges.
        """
        if work is None:
            row_blocks, kept = blocks_of(rows, self.rows_per_block), rows
            splits, chunk = split(max(row_blocks * self.fold.chunks, 1), columns, self.tile, self.blocks)
        else:
            row_blocks, kept, splits, chunk = len(work.items), work.rows, 1, 0
        workspace, launches = splits * kept * self.fold.bytes_per_row, []
        if row_blocks and splits:
            workspace, before, args = self.before(rows, columns, workspace)
            tables = ("items", "segments") if self.knows_ranges else ()
            given = ("workspace", *tables, kept, columns, chunk, splits, *args)
            main = Launch(self.kernel, (row_blocks, splits, self.fold.chunks), (self.threads,), 0, given)
            launches = [*before, main]
        if rows:
            _, outputs = self.merges[final]
            launches.append(merge_launch(final, len(outputs), rows, kept, splits, work))
        return Geometry(workspace, tuple(launches))
