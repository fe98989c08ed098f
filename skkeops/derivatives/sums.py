"""Derivatives that are Sums: of Sum, LogSumExp and SumSoftMaxWeight.

The adjoint with respect to a variable v is the Sum of a formula in the old variables and two or three more: the
direction e, and what the forward pass saved. It is reduced over the axis that v does not have: for an i-variable
over j, for a j-variable over i. For a parameter it is reduced like the forward pass, and the rows are added.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from skkeops import backends
from skkeops.arrays.conversion import is_sparse, to_native
from skkeops.calls.arguments import Checked
from skkeops.formula.expression import IJ, Constant, Expression, I, P, Variable
from skkeops.plan.problem import Problem
from skkeops.reductions import LogSumExp, Sum
from skkeops.reductions.base import State

from .base import Derivatives, shape_of
from .sparse import SparseGradient


class SumDerivatives(Derivatives):
    """The derivatives of a reduction whose derivative is a Sum of formulas: new problems for the same backends."""

    def restore(
        self, output: tuple[np.ndarray, ...], arrays: tuple[np.ndarray, ...], backend: str, xp: ModuleType
    ) -> State:
        if self.reduction.name != "SumSoftMaxWeight":
            return super().restore(output, arrays, backend, xp)
        _, program = self._program(("partition", None), self._partition_problem, backend, xp)
        return self.reduction.restore(output[0].astype(np.float64, copy=False), program.run(arrays))

    def adjoint(self, wrt, checked, grad_output, states, backend):
        _, m, n, dtype, xp, _ = checked
        rows = (m, n)[self.rows_category]
        if xp is not np and self.ranges is None and 0 < rows <= self.block_rows and all(v.category != IJ for v in wrt):
            ((_, part, state),) = states
            extended = self._extended(part, state, grad_output, dtype)
            return [self._on_device(v, checked, extended, backend) for v in wrt]
        return self._in_blocks(wrt, checked, grad_output, states, backend)

    def _on_device(self, v: Variable, checked: Checked, extended: tuple, backend: str) -> Any:
        """Return a gradient of one block: the result of the derived problem, as its kernels finish it."""
        _, m, n, dtype, xp, _ = checked
        _, program = self._program(("adjoint", v), self._adjoint_problem, backend, xp)
        if program is None:
            return xp.zeros(shape_of(v, m, n), dtype=dtype)
        if v.category != P:
            return program.results(extended, dtype)
        return program.run(extended)[0].sum(axis=0).astype(dtype, copy=False)

    @np.errstate(all="ignore")
    def _in_blocks(self, wrt, checked, grad_output, states, backend):
        arrays, m, n, dtype, xp, _ = checked
        problems = [
            self._program(("adjoint", v), self._adjoint_problem, backend, xp) if v.category != IJ else (None, None) for v in wrt
        ]
        # A row of the output is of one block: what is indexed like it is final, other sums go on.
        totals = [
            SparseGradient(arrays[v.position], dtype)
            if v.category == IJ and is_sparse(arrays[v.position])
            else xp.zeros(shape_of(v, m, n), dtype=dtype if v.category in (self.rows_category, IJ) else np.float64)
            for v in wrt
        ]
        for some, part, state in states:
            extended = self._extended(part, state, grad_output[some], dtype)
            for v, total, (problem, program) in zip(wrt, totals, problems, strict=True):
                if v.category == IJ:
                    self._write_pairs(total, v, some, extended, backends.get(backend, xp))
                elif program is not None:
                    rows = total[some] if v.category == self.rows_category else total
                    self._add_to(rows, v, problem, program, extended)
        return [t.result() if isinstance(t, SparseGradient) else t.astype(dtype, copy=False) for t in totals]

    def _extended(self, arrays: tuple, state: State, grad_output: np.ndarray, dtype: np.dtype) -> tuple:
        """Return the arrays of the derived problems, from those of the problem."""
        saved, scale = self.reduction.save(state, dtype)
        e = grad_output if scale is None else grad_output * scale
        return (*arrays, *(a.astype(dtype, copy=False) for a in saved), to_native(e, dtype))

    def _write_pairs(self, total: Any, v: Variable, some: slice, arrays: tuple, module: ModuleType) -> None:
        """Write the gradient by a variable of pairs, which no sum ends, for some rows of the output."""
        formula, variables = self._adjoint_formula(v)
        by_rows = self.rows_category == I
        if isinstance(total, SparseGradient):
            if self.ranges is not None:
                raise ValueError("ranges and sparse arrays of pairs exclude each other: found both")
            like = arrays[v.position]
            total.write(module.evaluate_at(formula, variables, arrays, like), some, by_rows)
            return
        part = total[some] if by_rows else total[:, some]
        blocks = None if self.ranges is None else self.ranges.of_axis(1)
        part[...] = module.evaluate_pairs(formula, variables, arrays, part.shape[0], part.shape[1], blocks)

    def _add_to(self, total: np.ndarray, v: Variable, problem: Problem, program: Any, arrays: tuple) -> None:
        """Run a derived problem, and add its result to the gradient with respect to v."""
        if v.category == P:  # a row for each row of e, which comes last
            for _, part in self.blocks(problem, arrays, len(arrays[-1])):
                total += program.run(part)[0].sum(axis=0)
        else:
            for some, part in self.blocks(problem, arrays, len(total)):
                total[some] += program.run(part)[0]

    @np.errstate(all="ignore")
    def tangent(self, directions, checked, states, backend):
        result = self._empty_output(checked)
        wrt = tuple(directions)
        _, program = self._program(("tangent", wrt), self._tangent_problem, backend, checked[4])
        if program is None:
            return result
        for some, part, state in states:
            saved, scale = self.reduction.save(state, result.dtype)
            saved = [a.astype(result.dtype, copy=False) for a in saved]
            total = program.run((*part, *self._rows_of(directions, some), *saved))[0]
            result[some] = total if scale is None else total * scale
        return result

    # The problems

    def _program(
        self, which: tuple[str, Any], build: Callable[[Any], Problem | None], backend: str, xp: ModuleType
    ) -> tuple[Problem | None, Any]:
        """Return a derived problem and its prepared program, None for a derivative that is zero."""
        key = (*which, backend, xp)
        if key not in self._cache:
            problem = build(which[1])
            program = None
            if problem is not None:
                program = self.restrict(self.prepare(problem, backend, xp), problem.axis)
            self._cache[key] = problem, program
        return self._cache[key]

    def _adjoint_problem(self, v: Variable) -> Problem | None:
        formula, variables = self._adjoint_formula(v)
        if _is_zero(formula):
            return None
        axis = self.problem.axis if v.category == P else 1 - v.category
        return Problem(Sum(), (formula,), axis, variables)

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
        return Problem(Sum(), (formula,), self.problem.axis, (*variables, *saved))

    def _partition_problem(self, _: None) -> Problem:
        return Problem(LogSumExp(), self.problem.values[:1], self.problem.axis, self.problem.variables)

    def _saved_variables(self, position: int) -> tuple[Variable, ...]:
        """Return the variables of what the forward pass saved."""
        dims = enumerate(self.reduction.saved_dims(self.dims))
        return tuple(self._row_variable(position + k, dim) for k, dim in dims)


def _is_zero(formula: Expression) -> bool:
    return isinstance(formula, Constant) and formula.value == 0
