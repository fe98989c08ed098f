"""What the derivatives of all reductions have in common: the forward pass that they start from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from skkeops import backends
from skkeops.calls.arguments import Checked
from skkeops.calls.outputs import store
from skkeops.execution.blocks import block_rows, blocks
from skkeops.formula.expression import IJ, I, Variable
from skkeops.pairs.ranges import Ranges
from skkeops.plan.problem import Problem
from skkeops.reductions.base import State

#: The forward pass of a block: the rows of the output, the arguments restricted to them, and the state.
Forward = tuple[slice, tuple[np.ndarray, ...], State]


class Derivatives(ABC):
    """The adjoint and the tangent of a problem. What they need is built on first use, and kept.

    Parameters
    ----------
    problem : Problem
        The forward problem.
    forward : callable
        Returns its prepared program, given the name of a backend and the namespace of the arrays.
    ranges : Ranges, optional
        The blocks of pairs that the reduction visits. Default: all pairs.
    prepare : callable, optional
        Returns the program of another problem, given the problem, the name of a backend and the namespace of the arrays.
        Default: that of the backend, without options.
    """

    def __init__(
        self,
        problem: Problem,
        forward: Callable[[str, ModuleType], Any],
        ranges: Ranges | None = None,
        prepare: Callable[[Problem, str, ModuleType], Any] | None = None,
    ):
        self.problem = problem
        self.reduction = problem.reduction
        self.prepare = prepare or (lambda problem, backend, xp: backends.get(backend, xp).prepare(problem))
        self.ranges = ranges
        self.forward = lambda backend, xp: self.restrict(forward(backend, xp), problem.axis)
        # The category of the output's rows: i (0) for axis=1, j (1) for axis=0.
        self.rows_category = 1 - problem.axis
        self.dims = tuple(v.dim for v in problem.values)
        self.block_rows = block_rows(problem)
        self._cache: dict[Any, Any] = {}

    def restrict(self, program: Any, axis: int) -> Any:
        """Return a program that visits the pairs of the ranges alone, if there are any."""
        return program if self.ranges is None else self.ranges.bind(program, axis)

    def blocks(
        self, problem: Problem, arrays: Sequence[np.ndarray], rows: int
    ) -> Iterator[tuple[slice, tuple[np.ndarray, ...]]]:
        """Yield the rows of each block of a problem with its arrays; ranges are blocks already."""
        if self.ranges is not None or (problem is self.problem and 0 < rows <= self.block_rows):
            return iter([(slice(0, rows), tuple(arrays))])
        return blocks(problem, arrays, rows)

    def states(
        self,
        checked: Checked,
        backend: str,
        output: tuple[np.ndarray, ...] | None = None,
        results: tuple[np.ndarray, ...] | None = None,
    ) -> Iterator[Forward]:
        """Yield the forward pass in blocks of rows, doing as little of it as possible.

        Parameters
        ----------
        checked : tuple
            The arguments, from `Arguments.check`.
        backend : str
        output : tuple of ndarray, optional
            The result of the forward pass, if it is known.
        results : tuple of ndarray, optional
            Where the result is written.
        """
        arrays, m, n, dtype, xp, _ = checked
        idle = results is None and self.reduction.fold == "sum"  # the derivative of a sum needs nothing of it
        for some, part in self.blocks(self.problem, arrays, (m, n)[self.rows_category]):
            state: State = ()
            if output is not None and not idle:
                state = self.restore(tuple(a[some] for a in output), part, backend, xp)
            elif not idle:
                state = self.forward(backend, xp).run(part)
            if results is not None:
                store(results, some, self.reduction.finalize(state, dtype))
            yield some, part, state

    def restore(
        self, output: tuple[np.ndarray, ...], arrays: tuple[np.ndarray, ...], backend: str, xp: ModuleType
    ) -> State:
        """Return a state whose result is `output`, for the arguments of one block."""
        values = output[0].astype(np.float64, copy=False)
        return self.reduction.restore((values, output[1]) if len(output) > 1 else values)

    @abstractmethod
    def adjoint(
        self,
        wrt: Sequence[Variable],
        checked: Checked,
        grad_output: np.ndarray,
        states: Iterable[Forward],
        backend: str,
    ) -> list[np.ndarray]:
        """Return the gradients of ``(output * grad_output).sum()`` with respect to the variables.

        Parameters
        ----------
        wrt : sequence of Variable
        checked : tuple
            The arguments, from `Arguments.check`.
        grad_output : ndarray
            The shape of the output's values, of any real dtype.
        states : iterable
            The forward pass, from `states`. It is consumed.
        backend : str

        Returns
        -------
        list of ndarray
            One per variable, of its shape, in the dtype of the arguments.
        """

    @abstractmethod
    def tangent(
        self,
        directions: Mapping[Variable, np.ndarray],
        checked: Checked,
        states: Iterable[Forward],
        backend: str,
    ) -> np.ndarray:
        """Return the derivative of the output along the directions: the shape of the output's values.

        Parameters
        ----------
        directions : dict of Variable to ndarray
            Directions of the shapes and dtype of the arguments.
        checked, states, backend
            As for `adjoint`.
        """

    def _direction_variables(self, wrt: Sequence[Variable]) -> tuple[Variable, ...]:
        first = len(self.problem.variables)
        return tuple(Variable(first + k, v.dim, v.category) for k, v in enumerate(wrt))

    def _row_variable(self, position: int, dim: int) -> Variable:
        """Return a variable with a row per row of the output."""
        return Variable(position, dim, self.rows_category)

    def _rows_of(self, directions: Mapping[Variable, np.ndarray], some: slice) -> tuple[np.ndarray, ...]:
        """Return the directions, of those that are indexed like the output only some of the rows."""
        pairs = (some,) if self.rows_category == I else (slice(None), some)
        return tuple(
            a[some] if v.category == self.rows_category else a[pairs] if v.category == IJ else a
            for v, a in directions.items()
        )

    def _empty_output(self, checked: Checked) -> np.ndarray:
        _, m, n, dtype, xp, _ = checked
        return xp.zeros(((m, n)[self.rows_category], *self.reduction.output_dim(self.dims)), dtype=dtype)


def shape_of(v: Variable, m: int, n: int) -> tuple[int, ...]:
    """Return the shape of the array of a variable."""
    if v.category == IJ:
        return (m, n, v.dim)
    return (v.dim,) if v.category == 2 else ((m, n)[v.category], v.dim)
