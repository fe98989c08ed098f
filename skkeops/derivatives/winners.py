"""Derivatives at the winning pairs: of Max, Min and the K smallest values.

Only the winners count: their operands are gathered, the derivative of the formula is evaluated pair by pair, and
scattered back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from skkeops.arrays.conversion import is_sparse
from skkeops.arrays.devices import namespace_of
from skkeops.formula.derivative import gradient, tangent
from skkeops.formula.expression import IJ
from skkeops.pairs.values import gather
from skkeops.reductions.base import State

from .base import Derivatives, shape_of
from .sparse import SparseGradient

#: How many numbers the gathered operands of one block of winning pairs may hold.
PAIR_NUMBERS = 1 << 20


class Pairs(NamedTuple):
    """Some winning pairs: for each, the entry of the block of the output that it won, the component of F that it won
    with, and the rows of the i- and j-variables that it was made of."""

    entries: np.ndarray
    components: np.ndarray
    where: tuple[np.ndarray, np.ndarray]


class WinnerDerivatives(Derivatives):
    """The derivatives of a reduction that keeps single values, with their indices in its state."""

    def states(self, setting, output=None, results=None):
        if not self.reduction.returns_index:
            output = None  # values alone do not tell who won
        return super().states(setting, output, results)

    def explain(self):
        return "gradients: of the winning pairs alone"

    @np.errstate(all="ignore")
    def adjoint(self, wrt, setting, grad_output, states):
        arrays, n, dtype, xp = setting.arrays, setting.n, setting.dtype, setting.xp
        formula = self.problem.values[0]
        e = self._row_variable(len(self.problem.variables), formula.dim)
        wrt = tuple(wrt)
        if ("adjoint", wrt) not in self._cache:
            self._cache["adjoint", wrt] = tuple(gradient(formula, v, e) for v in wrt)
        expressions = self._cache["adjoint", wrt]
        variables = (*self.problem.variables, e)
        totals = [
            SparseGradient(arrays[v.position], dtype)
            if v.category == IJ and is_sparse(arrays[v.position])
            else xp.zeros(shape_of(v, setting))
            for v in wrt
        ]
        for some, _, state in states:
            upstream = grad_output[some].reshape(-1)
            for pairs in self._winning_pairs(state, some.start) if wrt else ():
                direction = xp.zeros((len(pairs.entries), formula.dim), dtype=dtype)
                direction[xp.arange(len(direction)), pairs.components] = upstream[pairs.entries]
                operands = (*gather(self.problem.variables, arrays, pairs.where, dtype), direction)
                found = setting.module.evaluate(expressions, variables, operands, len(direction))
                for v, total, part in zip(wrt, totals, found, strict=True):
                    if v.category == 2:
                        total += part.sum(axis=0, dtype=np.float64)
                    elif isinstance(total, SparseGradient):
                        total.add_at(pairs.where, part[:, 0])
                    elif v.category == IJ:
                        _scatter(total, pairs.where[0] * n + pairs.where[1], part)
                    else:
                        _scatter(total, pairs.where[v.category], part)
        return [t.result() if isinstance(t, SparseGradient) else t.astype(dtype, copy=False) for t in totals]

    @np.errstate(all="ignore")
    def tangent(self, directions, setting, states):
        arrays, xp = (*setting.arrays, *directions.values()), setting.xp
        formula = self.problem.values[0]
        wrt = tuple(directions)
        u = self._direction_variables(wrt)
        if ("tangent", wrt) not in self._cache:
            self._cache["tangent", wrt] = tangent(formula, dict(zip(wrt, u, strict=True)))
        expression = self._cache["tangent", wrt]
        variables = (*self.problem.variables, *u)
        result = self._empty_output(setting)
        for some, _, state in states:
            flat = result[some].reshape(-1)
            for pairs in self._winning_pairs(state, some.start):
                operands = gather(variables, arrays, pairs.where, setting.dtype)
                (part,) = setting.module.evaluate((expression,), variables, operands, len(pairs.entries))
                flat[pairs.entries] = part[xp.arange(len(part)), pairs.components]
        return result

    def _winning_pairs(self, state: State, first_row: int) -> Iterator[Pairs]:
        """Yield the winning pairs of a block of rows that begins at `first_row`."""
        dim = self.dims[0]
        winners = state[1].reshape(-1)
        per_row = math.prod(state[1].shape[1:])
        entries = np.flatnonzero(self.reduction.has_winner(state))
        step = max(1, PAIR_NUMBERS // (dim + sum(v.dim for v in self.problem.variables)))
        for start in range(0, len(entries), step):
            some = entries[start : start + step]
            rows = first_row + some // per_row
            where = (rows, winners[some]) if self.rows_category == 0 else (winners[some], rows)
            yield Pairs(some, some % dim, where)


def _scatter(total: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
    """Add values to rows of a contiguous array. Column by column: NumPy's add.at is ten times faster for flat
    indices."""
    flat, add = total.reshape(-1), namespace_of(total).add
    for column in range(values.shape[1]):
        add.at(flat, rows * values.shape[1] + column, values[:, column].astype(np.float64, copy=False))
