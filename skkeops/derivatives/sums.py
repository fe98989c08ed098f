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
from skkeops.calls.outputs import store
from skkeops.execution.blocks import take_rows
from skkeops.execution.methods.sparse_pairs import evaluate_entries
from skkeops.execution.program import Program
from skkeops.formula.expression import IJ, Expression, I, P, Variable
from skkeops.formula.operations.algebra import is_zero
from skkeops.plan.problem import Output, Problem
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

    def explain(self):
        if any(v.category == IJ for v in self.problem.variables):
            return "gradients: one sweep over the pairs for each variable"
        value = "with the value" if self.reduction.fold == "sum" else "after that of the value"
        return (
            f"gradients: one sweep over the pairs for all variables, {value}; with ranges one for each axis, on a GPU one for each "
            "variable"
        )

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
        sweeps = self._sweeps((v,), setting)
        if not sweeps:
            return setting.xp.zeros(shape_of(v, setting), dtype=setting.dtype)
        ((_, program),) = sweeps
        pairs = setting.pairs_within(program.axis, setting.rtol[1])
        if v.category != P:
            return program.run(extended, pairs)
        return program.state(extended, pairs)[0].sum(axis=0).astype(setting.dtype, copy=False)

    @np.errstate(all="ignore")
    def _in_blocks(self, wrt, setting, grad_output, states, results=None):
        sweeps = self._sweeps(tuple(v for v in wrt if v.category != IJ), setting, results is not None)
        totals = {v: self._nothing(v, setting) for v in wrt if v.category == IJ}
        for some, part, state in states:
            extended = self._extended(part, state, grad_output[some], setting.dtype)
            for v in wrt:
                if v.category == IJ:
                    self._write_pairs(totals[v], v, some, extended, setting)
            for which, program in sweeps:
                for rows, _, sums in program.states(extended, setting.pairs_within(program.axis, setting.rtol[1])):
                    of_output = slice(some.start + rows.start, some.start + rows.stop)
                    for v, output, s in zip(which, program.problem.outputs, sums, strict=True):
                        if v is None:  # the value itself
                            store(results, of_output, self.reduction.finalize((s,), setting.dtype))
                        elif v.category == P:  # a row for each row of the output
                            self._add(totals, v, ..., s.sum(axis=0), setting)
                        elif v.category == self.rows_category:
                            self._add(totals, v, of_output, s, setting)
                        else:
                            self._add(totals, v, rows if output.axis == program.axis else ..., s, setting)
        found = [totals[v] if v in totals else self._nothing(v, setting) for v in wrt]
        dtype = setting.dtype
        return [t.result() if isinstance(t, SparseGradient) else t.astype(dtype, order="C", copy=False) for t in found]

    def _add(self, totals: dict[Variable, Any], v: Variable, place: Any, s: np.ndarray, setting: Setting) -> None:
        """Add sums to the gradient by a variable. The first become the gradient, where they are all of it and others may follow."""
        if v in totals:
            totals[v][place] += s
        elif place is ... and s.shape == shape_of(v, setting):
            totals[v] = s
        else:
            totals[v] = self._nothing(v, setting)
            totals[v][place] += s

    def _nothing(self, v: Variable, setting: Setting) -> Any:
        """Return a gradient that is zero.

        A row of the output is of one block, so that what is indexed like it is final. Other sums go on.
        """
        if v.category == IJ and is_sparse(setting.arrays[v.position]):
            return SparseGradient(setting.arrays[v.position], setting.dtype)
        is_final = v.category in (self.rows_category, IJ)
        return setting.xp.zeros(shape_of(v, setting), dtype=setting.dtype if is_final else np.float64)

    def value_and_adjoint(self, wrt, setting, grad_output, results):
        # The derivative of a sum needs nothing of the forward pass, so both go over the pairs together.
        if self.reduction.fold != "sum" or setting.rtol[1] or not self._is_together(setting):
            return super().value_and_adjoint(wrt, setting, grad_output, results)
        return self._in_blocks(wrt, setting, grad_output, self.states(setting), results)

    def _is_together(self, setting: Setting) -> bool:
        """Return whether several sums are computed in one sweep."""
        return setting.module.sums_together and all(v.category != IJ for v in self.problem.variables)

    def _sweeps(
        self, wrt: tuple[Variable, ...], setting: Setting, with_value: bool = False
    ) -> list[tuple[tuple[Variable | None, ...], Program]]:
        """Return programs that compute gradients, and the value where asked for, with what each of them computes.

        Sums are outputs of one problem: its sweep computes what their formulas share once. Ranges that a user gave are blocks of
        pairs for each axis, so that with them there is a problem for each axis; with a tolerance there is one for each sum, as each
        has bounds of its own. None stands for the value. Variables on which nothing depends have none.
        """
        key = ("sweeps", wrt, with_value, setting.backend, setting.xp, setting.ranges is None, setting.rtol[1] > 0)
        if key in self._cache:
            return self._cache[key]
        outputs: dict[Variable | None, Output] = {None: self.problem.output} if with_value else {}
        gradients = {v: self._adjoint_output(v) for v in wrt}
        outputs |= {v: output for v, output in gradients.items() if output is not None}
        saved, e = self._adjoint_variables()
        variables = (*self.problem.variables, *saved, e)
        groups = [(v,) for v in outputs]
        if self._is_together(setting) and not setting.rtol[1]:
            axes = (self.problem.axis, 1 - self.problem.axis)
            groups = [tuple(v for v, output in outputs.items() if output.axis == axis) for axis in axes]
            if setting.ranges is None:
                groups = [groups[0] + groups[1]]
        self._cache[key] = [
            (which, self._program(("sums", which), lambda w: Problem(tuple(outputs[v] for v in w), variables), setting))
            for which in groups
            if which
        ]
        return self._cache[key]

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
            total = program.state((*part, *moved, *saved), setting.pairs_within(program.axis, setting.rtol[1]))[0]
            result[some] = total if scale is None else total * scale
        return result

    # The problems

    def _program(
        self, which: tuple[str, Any], build: Callable[[Any], Problem | None], setting: Setting
    ) -> Program | None:
        """Return the prepared program of a derived problem, None for a derivative that is zero."""
        key = (*which, setting.backend, setting.xp, setting.rtol[1] > 0)
        if key not in self._cache:
            problem = build(which[1])
            self._cache[key] = None if problem is None else self.prepare(problem, *key[-3:])
        return self._cache[key]

    def _adjoint_output(self, v: Variable) -> Output | None:
        """Return the gradient by a variable as an output of a problem, None if it is zero."""
        formula, _ = self._adjoint_formula(v)
        axis = self.problem.axis if v.category == P else 1 - v.category
        return None if is_zero(formula) else Output(Sum(), (formula,), axis)

    def adjoint_formula(self, v: Variable) -> tuple[Output | None, tuple[Variable, ...]]:
        """Return the gradient by a variable as an output of a problem, None if it is zero, and the variables of that problem: those
        of this one, what `Reduction.save` keeps, and the gradient by the output times its factor of the rows."""
        return self._adjoint_output(v), self._adjoint_formula(v)[1]

    def _adjoint_problem(self, v: Variable) -> Problem | None:
        """Return the problem of the gradient by a variable alone, None if it is zero."""
        output = self._adjoint_output(v)
        return None if output is None else Problem((output,), self._adjoint_formula(v)[1])

    def _adjoint_formula(self, v: Variable) -> tuple[Expression, tuple[Variable, ...]]:
        saved, e = self._adjoint_variables()
        return self.reduction.adjoint(self.problem.values, v, e, saved), (*self.problem.variables, *saved, e)

    def _adjoint_variables(self) -> tuple[tuple[Variable, ...], Variable]:
        """Return the variables of what the forward pass saved, and that of the gradient by the output."""
        position = len(self.problem.variables)
        saved = self._saved_variables(position)
        return saved, self._row_variable(position + len(saved), self.reduction.output_dim(self.dims)[-1])

    def _tangent_problem(self, wrt: tuple[Variable, ...]) -> Problem | None:
        variables = (*self.problem.variables, *self._direction_variables(wrt))
        saved = self._saved_variables(len(variables))
        directions = dict(zip(wrt, variables[len(self.problem.variables) :], strict=True))
        formula = self.reduction.tangent(self.problem.values, directions, saved)
        if is_zero(formula):
            return None
        return Problem.of(Sum(), (formula,), self.problem.axis, (*variables, *saved))

    def _partition_problem(self, _: None) -> Problem:
        return Problem.of(LogSumExp(), self.problem.values[:1], self.problem.axis, self.problem.variables)

    def _saved_variables(self, position: int) -> tuple[Variable, ...]:
        """Return the variables of what the forward pass saved."""
        dims = enumerate(self.reduction.saved_dims(self.dims))
        return tuple(self._row_variable(position + k, dim) for k, dim in dims)
