"""Derivatives of a reduced formula, as new problems for the same backends.

For a reduction whose derivative is a Sum (Sum, LogSumExp, SumSoftMaxWeight), the adjoint with respect to a
variable v is the Sum of a formula in the old variables and two or three more: the direction e, and what the
forward pass saved. It is reduced over the axis that v does not have: for an i-variable over j, for a
j-variable over i. For a parameter it is reduced like the forward pass, and the rows are added. For Max, Min
and KMin only the winning pairs count: their operands are gathered, the gradient of the formula is evaluated
pair by pair, and scattered back. Memory is O(M + N) either way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skkeops import backends
from skkeops.formula.derivative import gradient, tangent
from skkeops.formula.expression import Constant, Expression, Variable
from skkeops.plan.problem import Problem
from skkeops.reductions import LogSumExp, Sum
from skkeops.reductions.base import State

from .arguments import Checked

# How many numbers the gathered operands of one block of winning pairs may hold.
_BLOCK_NUMBERS = 1 << 21


class Derivatives:
    """The adjoint and the tangent of a problem, built on first use and kept.

    Parameters
    ----------
    problem : Problem
        The forward problem.
    """

    def __init__(self, problem: Problem):
        problem.reduction.check_differentiable()
        self.problem = problem
        self.reduction = problem.reduction
        # The category of the output's rows: i (0) for axis=1, j (1) for axis=0.
        self.rows_category = 1 - problem.axis
        self.dims = tuple(v.dim for v in problem.values)
        self._cache: dict[Any, Any] = {}

    def adjoint(
        self, wrt: Sequence[Variable], checked: Checked, grad_output: np.ndarray, state: State, backend: str
    ) -> list[np.ndarray]:
        """Return the gradients of ``(output * grad_output).sum()`` with respect to the variables.

        Parameters
        ----------
        wrt : sequence of Variable
        checked : tuple
            The arguments, from `Arguments.check`.
        grad_output : ndarray of float64
            The shape of the output.
        state : tuple of ndarray
            The state of the forward pass.
        backend : str

        Returns
        -------
        list of ndarray
            One per variable, of its shape, in the dtype of the arguments.
        """
        if self.reduction.derivative == "winners":
            return self._adjoint_at_winners(wrt, checked, grad_output, state, backend)
        arrays, m, n, dtype = checked
        saved, scale = self.reduction.save(state, dtype)
        e = grad_output if scale is None else grad_output * scale
        extended = (*arrays, *_cast(saved, dtype), e.astype(dtype, copy=False))
        gradients = []
        for v in wrt:
            program = self._program(("adjoint", v, backend), self._adjoint_problem, v, backend)
            if program is None:
                total = np.zeros(_shape(v, m, n))
            else:
                total = program.run(extended)[0]
                if v.category == 2:
                    total = total.sum(axis=0)
            gradients.append(total.astype(dtype, copy=False))
        return gradients

    def tangent(
        self, directions: dict[Variable, np.ndarray], checked: Checked, state: State, backend: str
    ) -> np.ndarray:
        """Return the derivative of the output along the directions, the shape of the output.

        Parameters
        ----------
        directions : dict of Variable to ndarray
            Directions of the shapes and dtype of the arguments.
        checked, state, backend
            As for `adjoint`.
        """
        if self.reduction.derivative == "winners":
            return self._tangent_at_winners(directions, checked, state, backend)
        arrays, m, n, dtype = checked
        rows = (m, n)[self.rows_category]
        saved, scale = self.reduction.save(state, dtype)
        wrt = tuple(directions)
        program = self._program(("tangent", wrt, backend), self._tangent_problem, wrt, backend)
        if program is None:
            return np.zeros((rows, *self.reduction.output_dim(self.dims)), dtype=dtype)
        total = program.run((*arrays, *directions.values(), *_cast(saved, dtype)))[0]
        if scale is not None:
            total = total * scale
        return total.astype(dtype, copy=False)

    def forward_state(self, output: Any, checked: Checked, run: Callable[[], State], backend: str) -> State:
        """Return the state that a given output came from, computing as little as possible.

        Parameters
        ----------
        output : ndarray or tuple of ndarray or None
            The result of the forward pass; None to compute it here.
        checked : tuple
        run : callable
            The forward pass.
        backend : str
        """
        reduction = self.reduction
        if reduction.fold == "sum":
            return ()
        if output is None or (reduction.derivative == "winners" and not reduction.returns_index):
            return run()
        if reduction.name == "SumSoftMaxWeight":
            program = self._program(("partition", backend), self._partition_problem, None, backend)
            return reduction.restore(output, program.run(checked[0]))
        return reduction.restore(output)

    # The problems of the derivatives that are Sums

    def _program(self, key: Any, build: Callable[[Any], Problem | None], argument: Any, backend: str) -> Any:
        """Return the prepared program of a derived problem, None for a derivative that is zero."""
        if key not in self._cache:
            problem = build(argument)
            self._cache[key] = None if problem is None else backends.get(backend).prepare(problem)
        return self._cache[key]

    def _adjoint_problem(self, v: Variable) -> Problem | None:
        saved = self._saved_variables(len(self.problem.variables))
        e = self._row_variable(
            len(self.problem.variables) + len(saved), self.reduction.output_dim(self.dims)[-1]
        )
        formula = self.reduction.adjoint(self.problem.values, v, e, saved)
        if _is_zero(formula):
            return None
        axis = self.problem.axis if v.category == 2 else 1 - v.category
        return Problem(Sum(), (formula,), axis, (*self.problem.variables, *saved, e))

    def _tangent_problem(self, wrt: tuple[Variable, ...]) -> Problem | None:
        variables = (*self.problem.variables, *self._direction_variables(wrt))
        saved = self._saved_variables(len(variables))
        directions = dict(zip(wrt, variables[len(self.problem.variables) :], strict=True))
        formula = self.reduction.tangent(self.problem.values, directions, saved)
        if _is_zero(formula):
            return None
        return Problem(Sum(), (formula,), self.problem.axis, (*variables, *saved))

    def _partition_problem(self, _: None) -> Problem:
        return Problem(LogSumExp(), self.problem.values[:1], self.problem.axis, self.problem.variables)

    def _row_variable(self, position: int, dim: int) -> Variable:
        """Return a variable with a row per row of the output."""
        return Variable(position, dim, self.rows_category)

    def _saved_variables(self, position: int) -> tuple[Variable, ...]:
        """Return the variables of what the forward pass saved."""
        return tuple(
            self._row_variable(position + k, dim)
            for k, dim in enumerate(self.reduction.saved_dims(self.dims))
        )

    def _direction_variables(self, wrt: Sequence[Variable]) -> tuple[Variable, ...]:
        first = len(self.problem.variables)
        return tuple(Variable(first + k, v.dim, v.category) for k, v in enumerate(wrt))

    # The derivatives at the winning pairs

    def _adjoint_at_winners(self, wrt, checked, grad_output, state, backend) -> list[np.ndarray]:
        arrays, m, n, dtype = checked
        formula = self.problem.values[0]
        e = self._row_variable(len(self.problem.variables), formula.dim)
        if ("winners", wrt) not in self._cache:
            self._cache["winners", wrt] = tuple(gradient(formula, v, e) for v in wrt)
        expressions = self._cache["winners", wrt]
        totals = [np.zeros(_shape(v, m, n)) for v in wrt]
        grad_output = grad_output.reshape(-1)
        for entries, rows, components, winners in self._winning_pairs(state):
            direction = np.zeros((len(rows), formula.dim), dtype=dtype)
            direction[np.arange(len(rows)), components] = grad_output[entries]
            where = self._index_by_category(rows, winners)
            variables = (*self.problem.variables, e)
            operands = (*self._gather(self.problem.variables, arrays, where), direction)
            parts = backends.get(backend).evaluate(expressions, variables, operands, len(rows))
            for v, total, part in zip(wrt, totals, parts, strict=True):
                if v.category == 2:
                    total += part.sum(axis=0, dtype=np.float64)
                else:
                    np.add.at(total, where[v.category], part)
        return [total.astype(dtype, copy=False) for total in totals]

    def _tangent_at_winners(self, directions, checked, state, backend) -> np.ndarray:
        arrays, _, _, dtype = checked
        formula = self.problem.values[0]
        wrt = tuple(directions)
        u = self._direction_variables(wrt)
        if ("winners' tangent", wrt) not in self._cache:
            self._cache["winners' tangent", wrt] = tangent(formula, dict(zip(wrt, u, strict=True)))
        expression = self._cache["winners' tangent", wrt]
        variables = (*self.problem.variables, *u)
        everything = (*arrays, *directions.values())
        shape = (state[0].shape[0], *self.reduction.output_dim(self.dims))
        result = np.zeros(shape, dtype=dtype)
        flat = result.reshape(-1)
        for entries, rows, components, winners in self._winning_pairs(state):
            where = self._index_by_category(rows, winners)
            operands = self._gather(variables, everything, where)
            (part,) = backends.get(backend).evaluate((expression,), variables, operands, len(rows))
            flat[entries] = part[np.arange(len(rows)), components]
        return result

    def _winning_pairs(self, state: State):
        """Yield blocks of (entry of the output, its row, its component of F, the index of the winner)."""
        dim = self.dims[0]
        winners = state[1].reshape(-1)
        per_row = int(np.prod(state[1].shape[1:]))
        entries = np.flatnonzero(self.reduction.has_winner(state))
        block = max(1, _BLOCK_NUMBERS // (dim + sum(v.dim for v in self.problem.variables)))
        for start in range(0, len(entries), block):
            some = entries[start : start + block]
            yield some, some // per_row, some % dim, winners[some]

    def _index_by_category(self, rows: np.ndarray, winners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (rows, winners) if self.rows_category == 0 else (winners, rows)

    @staticmethod
    def _gather(variables, arrays, where) -> tuple[np.ndarray, ...]:
        return tuple(
            a if v.category == 2 else a[where[v.category]] for v, a in zip(variables, arrays, strict=True)
        )


def _shape(v: Variable, m: int, n: int) -> tuple[int, ...]:
    return (v.dim,) if v.category == 2 else ((m, n)[v.category], v.dim)


def _is_zero(formula: Expression) -> bool:
    return isinstance(formula, Constant) and formula.value == 0


def _cast(arrays: Sequence[np.ndarray], dtype: np.dtype) -> list[np.ndarray]:
    return [np.asarray(a, dtype=dtype) for a in arrays]
