"""What a program is: the contract between the faces, which ask for results, and the backends, which compute them.

A backend is a module with what `Backend` lists. Its programs compute states; that results are computed block of rows by block
of rows and then finalized is written once, here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from skkeops.arrays.conversion import dtype_of
from skkeops.arrays.devices import namespace_of
from skkeops.calls.outputs import Outputs, store
from skkeops.formula.expression import IJ, Expression, Variable
from skkeops.pairs.values import sizes
from skkeops.plan.problem import Problem
from skkeops.reductions.base import State

from .blocks import Progress, block_rows, part_of, split_rows

__all__ = ["Backend", "Part", "Program", "in_turn"]


class Part(NamedTuple):
    """Some rows of the output, the arrays that they are computed from, and the state of their reduction."""

    rows: slice
    arrays: tuple[Any, ...]
    state: State


class Program(ABC):
    """A problem, ready to run on arrays.

    A subclass must say how to compute `state`. It may compute `run` in another way, if its results need no state. It rarely has a
    reason to change the others.

    Parameters
    ----------
    problem : Problem
        Several outputs have states alone: `run` is for the single output of a face.

    Attributes
    ----------
    name : str
        How `Genred.explain` calls the way in which the pairs are visited.
    """

    name = "all pairs"
    #: Which share of the pairs the last call computed; None where that has no meaning.
    share: float | None = 1.0
    #: A bound of the error of the last call for pairs that it left out, as a part of what its tolerance allows.
    error: float = 0.0

    def __init__(self, problem: Problem):
        self.problem = problem
        first, self.axis = problem.outputs[0], problem.axis
        self.reduction = first.reduction
        self._finalize = first.reduction.finalize if len(problem.outputs) == 1 else _refuse
        self.outputs = Outputs(first.reduction, first.dims)
        self.block_rows = block_rows(problem)
        categories = [v.category for v in problem.variables]
        # Arguments that tell sizes and the dtype, -1 if there are none: the first with a row for each row of the output, with
        # a row for each reduced index, and the first that cannot be of booleans.
        self._output, self._reduced = (categories.index(c) if c in categories else -1 for c in (1 - self.axis, self.axis))
        self._typed = next((k for k, c in enumerate(categories) if c != IJ), -1)
        self._has_pairs = IJ in categories

    @abstractmethod
    def state(self, arrays: tuple[Any, ...], pairs: Any = None, progress: Progress | None = None) -> State:
        """Return the state of the reduction, a row for each row of the output.

        Parameters
        ----------
        arrays : tuple
            One for each variable of the problem, in order, checked by `skkeops.calls.arguments`: of one native dtype, float32 or
            float64; (M, dim) for a variable indexed by i, (N, dim) for one indexed by j, (dim,) for a parameter; for one of pairs
            (M, N, dim), also of booleans, or any other form that `skkeops.pairs.values` knows.
        pairs : Blocks, optional
            The blocks of pairs to visit, from `skkeops.pairs.ranges.Ranges.of_axis`. Default: all pairs. A row that
            meets no column has the state of no value at all. Programs that are prepared for tolerances take a
            `skkeops.pairs.tolerance.Tolerance`, too: all pairs that matter.
        progress : callable, optional
            Called as ``progress(done, total)`` with numbers of pairs. An exception that it raises stops the computation.

        Returns
        -------
        tuple of ndarray
            float64, and int64 for indices, in the layout of `skkeops.reductions`. For several outputs one state behind the other,
            each with a row for each row of its own output.
        """

    def state_below(self, arrays: tuple[Any, ...], pairs: Any, worst: np.ndarray) -> State:
        """Return the state of the K smallest values where none is wanted that is not below `worst`, (rows, components).

        A program that can save work by it leaves such values out: in their places are values of `worst` with the index -1.
        """
        return self.state(arrays, pairs)

    def run(
        self, arrays: tuple[Any, ...], pairs: Any = None, out: tuple[Any, ...] | None = None, progress: Progress | None = None
    ) -> Any:
        """Return the results of the reduction.

        Parameters
        ----------
        arrays, pairs, progress
            As for `state`.
        out : tuple of ndarray, optional
            Where to write the results: arrays that `Outputs.check_out` has checked. They may share memory with `arrays`.

        Returns
        -------
        ndarray or tuple of two
            Values in the dtype of the arrays, indices in int64.
        """
        rows = len(arrays[self._output]) if self._output >= 0 else self.sizes(arrays)[0]
        dtype = arrays[self._typed].dtype if self._typed >= 0 else dtype_of(arrays)
        if pairs is not None or rows <= self.block_rows:
            found = self._finalize(self.state(arrays, pairs, progress), dtype)
            return found if out is None else self._stored(found, out)
        # Rows that are written may be arrays that are still to be read, in other blocks.
        apart = out is None or not self.outputs.share_memory(out, arrays)
        results = out if out is not None and apart else self.outputs.allocate(rows, dtype, namespace_of(*arrays))
        for part in self.states(arrays, None, progress):
            store(results, part.rows, self._finalize(part.state, dtype))
        found = self.outputs.unpack(results)
        return found if out is None or apart else self._stored(found, out)

    def _stored(self, found: Any, out: tuple[Any, ...]) -> Any:
        """Return results in the arrays that a caller has for them."""
        store(out, ..., found)
        return self.outputs.unpack(out)

    def states(self, arrays: tuple[Any, ...], pairs: Any = None, progress: Progress | None = None) -> Iterator[Part]:
        """Yield the state in blocks of rows, so that none is held whole; of blocks of pairs it is one.

        The rows are those of the first output. Outputs over the other axis are sums over the rows of the block.
        """
        report = None
        for some, part in self.parts(arrays, pairs):
            if progress is not None:
                rows, count = self.sizes(arrays)
                report = part_of(progress, some.start * count, rows * count)
            yield Part(some, part, self.state(part, pairs, report))

    def tile_sizes(self, dtype: np.dtype) -> tuple[int, int] | None:
        """Return how many rows and columns a block of pairs should have, for arrays of a dtype; None if it does not matter."""
        return None

    def is_exact(self, dtype: np.dtype) -> bool:
        """Return whether each value is within the bounds of its formula, to the bit, and the same in blocks of pairs and in all."""
        return True

    def parts(self, arrays: tuple[Any, ...], pairs: Any = None) -> Iterator[tuple[slice, tuple[Any, ...]]]:
        """Yield the rows of each block, and the arrays that it is computed from."""
        rows = self.sizes(arrays)[0]
        step = self.block_rows if pairs is None else max(rows, self.block_rows)
        return split_rows(self.problem, arrays, rows, step)

    def sizes(self, arrays: tuple[Any, ...]) -> tuple[int, int]:
        """Return the number of rows of the output and the length of the reduced axis."""
        if self._has_pairs:
            m, n = sizes(self.problem.variables, arrays)
            return (m, n) if self.axis else (n, m)
        rows = len(arrays[self._output]) if self._output >= 0 else 1
        return rows, len(arrays[self._reduced]) if self._reduced >= 0 else 1


def _refuse(state: State, dtype: Any) -> Any:
    raise ValueError(f"results are those of a problem with a single output: found {len(state)} outputs, which have states")


def in_turn(functions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Return the results of functions without arguments: `Backend.at_once` of backends that one thread keeps busy."""
    return [function() for function in functions]


class Backend(Protocol):
    """What the module of a backend has.

    Attributes
    ----------
    gathers_sparse : bool
        Whether its programs cannot read sparse arrays of pairs, so that `methods.sparse_pairs` gathers their entries for them.
    sums_together : bool
        Whether its programs take problems with several outputs, and compute them in one sweep.
    prunes : bool
        Whether its programs compute blocks of pairs nearly as fast as all pairs, and some exactly, for `methods.pruning`.
    truncates : bool
        Whether its programs compute blocks of pairs nearly as fast as all pairs, for `methods.truncation`.
    on_host : Backend or None
        What evaluates formulas at arrays of NumPy, where the programs run on those of a GPU: samples, and bounds. None: itself.
    """

    gathers_sparse: bool
    sums_together: bool
    prunes: bool
    truncates: bool
    on_host: Any

    def prepare(self, problem: Problem, options: Any = None) -> Program:
        """Return the program of a problem, with the options of a `Genred`."""
        ...

    def evaluate(
        self, expressions: Sequence[Expression], variables: Sequence[Variable], arrays: Sequence[Any], n: int
    ) -> list[Any]:
        """Return the values of expressions at n points, (n, dim) each.

        Every variable that is no parameter has an array (n, dim) here, a parameter has (dim,). Values are in the dtype of the
        arrays.
        """
        ...

    def evaluate_pairs(
        self, expression: Expression, variables: Sequence[Variable], arrays: Sequence[Any], m: int, n: int, pairs: Any = None
    ) -> Any:
        """Return the values of an expression for all pairs, (m, n, dim): 0 outside of the blocks of pairs, if there are any."""
        ...

    def at_once(self, functions: Sequence[Callable[[], Any]]) -> list[Any]:
        """Return the results of functions without arguments that call this backend: on several threads, if that is faster."""
        ...


#: Returns the program of a problem, given the problem, the name of a backend, the namespace of the arrays, and whether calls have a
#: `Tolerance` for their pairs.
Prepare = Callable[[Problem, str, Any, bool], Program]
