"""Derivatives that are Sums: of Sum, LogSumExp and SumSoftMaxWeight.

The adjoint with respect to a variable v is the Sum of a formula in the old variables and two or three more: the
direction e, and what the forward pass saved. It is reduced over the axis that v does not have: for an i-variable
over j, for a j-variable over i. For a parameter it is reduced like the forward pass, and the rows are added.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skkeops.arrays.conversion import is_sparse, to_native
from skkeops.execution.blocks import take_rows
from skkeops.execution.methods.sparse_pairs import evaluate_entries
from skkeops.execution.program import Program
from skkeops.formula.expression import IJ, Constant, Expression, I, P, Variable
from skkeops.plan.problem import Problem
from skkeops.reductions import LogSumExp, Sum
from skkeops.reductions.base import State

from .base import Derivatives, Setting, shape_of
from .sparse import SparseGradient


class SumDerivatives(Derivatives):
    """The derivatives of a reduction whose derivative is a Sum of formulas: new problems for the same backends."""

    def restore(self, output: tuple[np.ndarray, ...], arrays: tuple[np.ndarray, ...], setting: Setting) -> State:
        if self.reduction.name != "SumSoftMaxWeight":
            return super().restore(output, arrays, setting)
        program = self._program(("partition", None), self._partition_problem, setting)
        partition = program.state(arrays, setting.pairs(program.axis))
        return self.reduction.restore(output[0].astype(np.float64, copy=False), partition)

    def adjoint(self, wrt, setting, grad_output, states):
        rows = setting.rows(self.rows_category)
        whole = setting.ranges is None and 0 < rows <= self.forward(setting).block_rows
        if setting.xp is not np and whole and all(v.category != IJ for v in wrt):
            ((_, arrays, state),) = states
            extended = self._extended(arrays, state, grad_output, setting.dtype)
            return [self._of_one_block(v, setting, extended) for v in wrt]
        return self._in_blocks(wrt, setting, grad_output, states)

    def _of_one_block(self, v: Variable, setting: Setting, extended: tuple) -> Any:
        """Return a gradient of one block: the result of the derived problem, as the program finishes it."""
        program = self._program(("adjoint", v), self._adjoint_problem, setting)
        if program is None:
            return setting.xp.zeros(shape_of(v, setting), dtype=setting.dtype)
        if v.category != P:
            return program.run(extended)
        return program.state(extended)[0].sum(axis=0).astype(setting.dtype, copy=False)

    @np.errstate(all="ignore")
    def _in_blocks(self, wrt, setting, grad_output, states):
        arrays, dtype = setting.arrays, setting.dtype
        programs = [None if v.category == IJ else self._program(("adjoint", v), self._adjoint_problem, setting) for v in wrt]
        # A row of the output is of one block: what is indexed like it is final, other sums go on.
        totals = [
            SparseGradient(arrays[v.position], dtype)
            if v.category == IJ and is_sparse(arrays[v.position])
            else setting.xp.zeros(
                shape_of(v, setting), dtype=dtype if v.category in (self.rows_category, IJ) else np.float64
            )
            for v in wrt
        ]
        for some, part, state in states:
            extended = self._extended(part, state, grad_output[some], dtype)
            for v, total, program in zip(wrt, totals, programs, strict=True):
                if v.category == IJ:
                    self._write_pairs(total, v, some, extended, setting)
                elif program is not None:
                    rows = total[some] if v.category == self.rows_category else total
                    self._add_to(rows, v, program, extended, setting)
        return [t.result() if isinstance(t, SparseGradient) else t.astype(dtype, copy=False) for t in totals]

    def _extended(self, arrays: tuple, state: State, grad_output: np.ndarray, dtype: np.dtype) -> tuple:
        """Return the arrays of the derived problems, from those of the problem."""
        saved, scale = self.reduction.save(state, dtype)
        e = grad_output if scale is None else grad_output * scale
        return (*arrays, *(a.astype(dtype, copy=False) for a in saved), to_native(e, dtype))

    def _write_pairs(self, total: Any, v: Variable, some: slice, arrays: tuple, setting: Setting) -> None:
        """Write the gradient by a variable of pairs, which no sum ends, for some rows of the output."""
        formula, variables = self._adjoint_formula(v)
        by_rows = self.rows_category == I
        if isinstance(total, SparseGradient):
            if setting.ranges is not None:
                raise ValueError("ranges and sparse arrays of pairs exclude each other: found both")
            like = arrays[v.position]
            total.write(evaluate_entries(formula, variables, arrays, like, setting.module), some, by_rows)
            return
        part = total[some] if by_rows else total[:, some]
        part[...] = setting.module.evaluate_pairs(formula, variables, arrays, *part.shape[:2], setting.pairs(1))

    def _add_to(self, total: np.ndarray, v: Variable, program: Program, arrays: tuple, setting: Setting) -> None:
        """Run a derived problem, and add its result to the gradient with respect to v."""
        for rows, _, state in program.states(arrays, setting.pairs(program.axis)):
            if v.category == P:  # a row for each row of the output
                total += state[0].sum(axis=0)
            else:
                total[rows] += state[0]

    @np.errstate(all="ignore")
    def tangent(self, directions, setting, states):
        result = self._empty_output(setting)
        wrt = tuple(directions)
        program = self._program(("tangent", wrt), self._tangent_problem, setting)
        if program is None:
            return result
        for some, part, state in states:
            saved, scale = self.reduction.save(state, result.dtype)
            saved = [a.astype(result.dtype, copy=False) for a in saved]
            moved = take_rows(wrt, tuple(directions.values()), self.rows_category, some)
            total = program.state((*part, *moved, *saved), setting.pairs(program.axis))[0]
            result[some] = total if scale is None else total * scale
        return result

    # The problems

    def _program(
        self, which: tuple[str, Any], build: Callable[[Any], Problem | None], setting: Setting
    ) -> Program | None:
        """Return the prepared program of a derived problem, None for a derivative that is zero."""
        key = (*which, setting.backend, setting.xp)
        if key not in self._cache:
            problem = build(which[1])
            self._cache[key] = None if problem is None else self.prepare(problem, setting.backend, setting.xp)
        return self._cache[key]

    def _adjoint_problem(self, v: Variable) -> Problem | None:
        formula, variables = self._adjoint_formula(v)
        if _is_zero(formula):
            return None
        axis = self.problem.axis if v.category == P else 1 - v.category
        return Problem.of(Sum(), (formula,), axis, variables)

    def _adjoint_formula(self, v: Variable) -> tuple[Expression, tuple[Variable, ...]]:
        variables = self.problem.variables
        saved = self._saved_variables(len(variables))
        e = self._row_variable(len(variables) + len(saved), self.reduction.output_dim(self.dims)[-1])
        return self.reduction.adjoint(self.problem.values, v, e, saved), (*variables, *saved, e)

    def _tangent_problem(self, wrt: tuple[Variable, ...]) -> Problem | None:
        variables = (*self.problem.variables, *self._direction_variables(wrt))
        saved = self._saved_variables(len(variables))
        directions = dict(zip(wrt, variables[len(self.problem.variables) :], strict=True))
        formula = self.reduction.tangent(self.problem.values, directions, saved)
        if _is_zero(formula):
            return None
        return Problem.of(Sum(), (formula,), self.problem.axis, (*variables, *saved))

    def _partition_problem(self, _: None) -> Problem:
        return Problem.of(LogSumExp(), self.problem.values[:1], self.problem.axis, self.problem.variables)

    def _saved_variables(self, position: int) -> tuple[Variable, ...]:
        """Return the variables of what the forward pass saved."""
        dims = enumerate(self.reduction.saved_dims(self.dims))
        return tuple(self._row_variable(position + k, dim) for k, dim in dims)


def _is_zero(formula: Expression) -> bool:
    return isinstance(formula, Constant) and formula.value == 0
