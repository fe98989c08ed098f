"""What the derivatives of all reductions have in common: the forward pass that they start from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from skkeops import backends
from skkeops.calls.arguments import CheckedCall
from skkeops.calls.outputs import store
from skkeops.execution.program import Backend, Part, Prepare, Program
from skkeops.formula.expression import IJ, P, Variable
from skkeops.pairs.ranges import Blocks, Ranges
from skkeops.pairs.tolerance import Tolerance
from skkeops.plan.problem import Problem
from skkeops.reductions.base import State

__all__ = ["Derivatives", "Setting", "shape_of"]


class Setting(NamedTuple):
    """What all programs of a derivative run on.

    Attributes
    ----------
    arrays, m, n, dtype, xp
        The arguments of the call: see `skkeops.calls.arguments.CheckedCall`.
    backend : str
        The name of the backend.
    ranges : Ranges or None
        The blocks of pairs that the reduction visits; None for all pairs.
    rtol : tuple of float
        What the forward pass and the sums of the derivative may leave out.
    """

    arrays: tuple[Any, ...]
    m: int
    n: int
    dtype: np.dtype
    xp: ModuleType
    backend: str
    ranges: Ranges | None
    rtol: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, call: CheckedCall, backend: str, ranges: Any, rtol: tuple[float, float] = (0.0, 0.0)) -> Setting:
        """Return the setting of a call, with ranges as the user gave them."""
        return cls(*call[:5], backend, None if ranges is None else Ranges.of(ranges, call.m, call.n), rtol)

    @property
    def module(self) -> Backend:
        """The module of the backend."""
        return backends.get(self.backend, self.xp)

    def rows(self, category: int) -> int:
        """Return the number of rows of variables of a category."""
        return (self.m, self.n)[category]

    def pairs(self, axis: int) -> Blocks | None:
        """Return the blocks of pairs of a reduction over an axis, None for all pairs."""
        return None if self.ranges is None else self.ranges.of_axis(axis)

    def pairs_within(self, axis: int, rtol: float) -> Blocks | Tolerance | None:
        """Return the blocks of pairs, or the tolerance of a sum over all of them."""
        return Tolerance(rtol, 0.0) if self.ranges is None and rtol else self.pairs(axis)


class Derivatives(ABC):
    """The adjoint and the tangent of a problem. What they need is built on first use, and kept.

    Parameters
    ----------
    problem : Problem
        The forward problem.
    prepare : callable
        Returns the program of a problem, given the problem, the name of a backend, the namespace of the arrays and whether
        calls have a tolerance; that of the forward problem is the one of its calls.
    """

    def __init__(self, problem: Problem, prepare: Prepare):
        self.problem = problem
        self.reduction = problem.reduction
        self.prepare = prepare
        # The category of the output's rows: i (0) for axis=1, j (1) for axis=0.
        self.rows_category = 1 - problem.axis
        self.dims = problem.output.dims
        self._cache: dict[Any, Any] = {}

    def forward(self, setting: Setting) -> Program:
        """Return the program of the forward pass."""
        return self.prepare(self.problem, setting.backend, setting.xp, setting.rtol[0] > 0)

    def states(
        self,
        setting: Setting,
        output: tuple[np.ndarray, ...] | None = None,
        results: tuple[np.ndarray, ...] | None = None,
    ) -> Iterator[Part]:
        """Yield the forward pass in blocks of rows, doing as little of it as possible.

        Parameters
        ----------
        setting : Setting
        output : tuple of ndarray, optional
            The result of the forward pass, if it is known.
        results : tuple of ndarray, optional
            Where the result is written.
        """
        program, pairs = self.forward(setting), setting.pairs_within(self.problem.axis, setting.rtol[0])
        idle = results is None and self.reduction.fold == "sum"  # the derivative of a sum needs nothing of it
        for rows, arrays in program.parts(setting.arrays, pairs):
            state: State = ()
            if output is not None and not idle:
                state = self.restore(tuple(a[rows] for a in output), arrays, setting)
            elif not idle:
                state = program.state(arrays, pairs)
            if results is not None:
                store(results, rows, self.reduction.finalize(state, setting.dtype))
            yield Part(rows, arrays, state)

    def restore(self, output: tuple[np.ndarray, ...], arrays: tuple[np.ndarray, ...], setting: Setting) -> State:
        """Return a state whose result is `output`, for the arguments of one block."""
        values = output[0].astype(np.float64, copy=False)
        return self.reduction.restore((values, output[1]) if len(output) > 1 else values)

    @abstractmethod
    def explain(self) -> str:
        """Return a line that says how often gradients by all variables go over the pairs."""

    @abstractmethod
    def adjoint(
        self,
        wrt: Sequence[Variable],
        setting: Setting,
        grad_output: np.ndarray,
        states: Iterable[Part],
    ) -> list[np.ndarray]:
        """Return the gradients of ``(output * grad_output).sum()`` with respect to the variables.

        Parameters
        ----------
        wrt : sequence of Variable
        setting : Setting
        grad_output : ndarray
            The shape of the output's values, of any real dtype.
        states : iterable
            The forward pass, from `states`. It is consumed.

        Returns
        -------
        list of ndarray
            One per variable, of its shape, in the dtype of the arguments.
        """

    def value_and_adjoint(
        self, wrt: Sequence[Variable], setting: Setting, grad_output: np.ndarray, results: tuple[np.ndarray, ...]
    ) -> list[np.ndarray]:
        """Return the gradients, as `adjoint`, and write the result of the forward pass, which they share."""
        return self.adjoint(wrt, setting, grad_output, self.states(setting, results=results))

    @abstractmethod
    def tangent(
        self,
        directions: Mapping[Variable, np.ndarray],
        setting: Setting,
        states: Iterable[Part],
    ) -> np.ndarray:
        """Return the derivative of the output along the directions: the shape of the output's values.

        Parameters
        ----------
        directions : dict of Variable to ndarray
            Directions of the shapes and dtype of the arguments.
        setting, states
            As for `adjoint`.
        """

    def _direction_variables(self, wrt: Sequence[Variable]) -> tuple[Variable, ...]:
        first = len(self.problem.variables)
        return tuple(Variable(first + k, v.dim, v.category) for k, v in enumerate(wrt))

    def _row_variable(self, position: int, dim: int) -> Variable:
        """Return a variable with a row per row of the output."""
        return Variable(position, dim, self.rows_category)

    def _empty_output(self, setting: Setting) -> np.ndarray:
        shape = (setting.rows(self.rows_category), *self.reduction.output_dim(self.dims))
        return setting.xp.zeros(shape, dtype=setting.dtype)


def shape_of(v: Variable, setting: Setting) -> tuple[int, ...]:
    """Return the shape of the array of a variable."""
    if v.category == IJ:
        return (setting.m, setting.n, v.dim)
    return (v.dim,) if v.category == P else (setting.rows(v.category), v.dim)
