"""The matrix of a formula that is linear in a variable: its products, columns and diagonal."""

from __future__ import annotations

from typing import Any

import numpy as np

from skkeops import backends
from skkeops.arrays.conversion import is_sparse
from skkeops.arrays.devices import contiguous, namespace_of, to_device, to_host
from skkeops.calls.arguments import CheckedCall
from skkeops.formula import operations as ops
from skkeops.formula.derivative import gradient, substitute
from skkeops.formula.expression import IJ, Constant, Expression, I, P, Variable, variables_of
from skkeops.genred import Genred
from skkeops.locks import cached_property
from skkeops.pairs.ranges import Ranges
from skkeops.pairs.values import Selected
from skkeops.plan.problem import Problem
from skkeops.reductions import Sum

__all__ = ["Matrix"]


class Matrix:
    """The matrix K with ``(K a)_i = sum_j F(x_i, x_j, p, a_j)``, for a F that is linear in a.

    Parameters
    ----------
    function : Genred
        The sum.
    place : int
        Which of its variables a is.
    call : CheckedCall
        Its arguments, of as many rows as columns.
    backend : str
    ranges : sequence of six arrays, or None
        As for `Genred`.
    """

    def __init__(
        self,
        function: Genred,
        place: int,
        call: CheckedCall,
        backend: str,
        ranges: Any = None,
    ):
        self.arrays = call.arrays
        self.size = call.n
        self.dtype = call.dtype
        self.namespace = call.xp
        self._function = function
        self._place = place
        self._backend = backend
        self._ranges = None if ranges is None else Ranges.of(ranges, call.m, call.n)
        self._copies: dict[Any, tuple] = {}

    def product(self, v: np.ndarray) -> np.ndarray:
        """Return K @ v, computed in float64."""
        return self._product(v, np.float64)

    def rough_product(self, v: np.ndarray) -> np.ndarray:
        """Return K @ v, computed in float32: in a third of the time."""
        with np.errstate(over="ignore"):
            return self._product(v, np.float32).astype(np.float64)

    def wide_product(self, vectors: np.ndarray) -> np.ndarray:
        """Return K @ vectors, computed in float64, for any number of vectors."""
        v = self._function.variables[self._place]
        w = Variable(len(self._function.variables), vectors.shape[1], v.category)
        problem = Problem.of(Sum(), (self._entry * w,), self._function.axis, (*self._function.variables, w))
        program = self._function._prepare(problem, self._backend, self.namespace)
        arguments = (*self._in(np.float64), contiguous(vectors.astype(np.float64, copy=False)))
        return program.state(arguments, None if self._ranges is None else self._ranges.of_axis(program.axis))[0]

    def wide_arguments(self, v: np.ndarray) -> list:
        """Return the arguments in float64, with v in the place of the variable."""
        given = list(self._in(np.float64))
        given[self._place] = v.astype(np.float64, copy=False)
        return given

    @cached_property
    def has_entries(self) -> bool:
        """Whether the formula is a number for each pair, times the variable: K has entries, columns and a diagonal."""
        return self._entry_or_none is not None

    def columns(self, which: np.ndarray) -> np.ndarray:
        """Return some columns of K."""
        variables, module = self._function.variables, backends.get(self._backend, self.namespace)
        some = tuple(  # they are computed as rows: the matrix is symmetric
            a[which] if w.category in (I, IJ) else a for w, a in zip(variables, self._in(np.float64), strict=True)
        )
        found = module.evaluate_pairs(self._entry, variables, some, len(which), self.size)[:, :, 0].T
        return found if self._ranges is None else found * self._visited(to_host(which))

    def _visited(self, which: np.ndarray) -> np.ndarray:
        """Return whether the ranges visit the pairs of all rows with some columns."""
        rows, slices, reduced = self._ranges.of_axis(self._function.axis)
        visited = np.zeros((self.size, len(which)), dtype=bool)
        blocks = np.searchsorted(rows[:, 0], which, side="right") - 1
        for column, (block, index) in enumerate(zip(blocks, which, strict=True)):
            if block >= 0 and index < rows[block, 1]:
                for first, last in reduced[slices[block - 1] if block else 0 : slices[block]]:
                    visited[first:last, column] = True
        return to_device(visited, self.namespace)

    def _visits_diagonal(self) -> np.ndarray:
        rows, slices, reduced = self._ranges.of_axis(self._function.axis)
        visited = np.zeros(self.size, dtype=bool)
        for (first, last), start, end in zip(rows, np.append(0, slices[:-1]), slices, strict=True):
            for low, high in reduced[start:end]:
                visited[max(first, low) : max(min(last, high), 0)] = True
        return to_device(visited, self.namespace)

    def diagonal(self) -> np.ndarray:
        """Return the diagonal of K."""
        variables, module = self._function.variables, backends.get(self._backend, self.namespace)
        at = {w: w if w.category == P else Variable(w.position, w.dim, I) for w in variables}
        some = tuple(
            _on_diagonal(a).astype(np.float64) if w.category == IJ else a
            for w, a in zip(variables, self._in(np.float64), strict=True)
        )
        found = module.evaluate((substitute(self._entry, at),), tuple(at.values()), some, self.size)[0][:, 0]
        return found if self._ranges is None else found * self._visits_diagonal()

    @cached_property
    def _entry_or_none(self) -> Expression | None:
        v = self._function.variables[self._place]
        value = self._function._problem.values[0]
        return gradient(value, v, 1) if v.dim == 1 else _factor(value, v)

    @property
    def _entry(self) -> Expression:
        """The formula of an entry of K."""
        entry = self._entry_or_none
        if entry is None:
            v = self._function.variables[self._place]
            name = self._function.names[self._place]
            raise ValueError(
                f"a preconditioner by name needs a formula that is a number for each pair, times {name!r}, or a variable of one "
                f"component: found a formula that mixes the {v.dim} components of {name!r}"
            )
        return entry

    def _product(self, v: np.ndarray, dtype: Any) -> np.ndarray:
        given = list(self._in(dtype))
        given[self._place] = v.astype(dtype, copy=False)
        return self._function(*given, backend=self._backend, ranges=self._ranges)

    def _in(self, dtype: Any) -> tuple:
        """Return the arguments in a dtype; booleans stay."""
        if dtype not in self._copies:
            self._copies[dtype] = tuple(a if a.dtype.kind == "b" else a.astype(dtype, copy=False) for a in self.arrays)
        return self._copies[dtype]


def _factor(f: Expression, v: Variable) -> Expression | None:
    """Return s with ``f = s * v``, a number for each pair; None if f has not that form."""
    if f is v:
        return Constant(1)
    if isinstance(f, ops.Mult):
        for s, rest in (f.args, f.args[::-1]):
            if s.dim == 1 and v not in variables_of(s):
                found = _factor(rest, v)
                return None if found is None else s * found
    if isinstance(f, ops.Add):
        terms = [_factor(term, v) for term in f.args]
        return None if None in terms else terms[0] + terms[1]
    return None


def _on_diagonal(array: Any) -> np.ndarray:
    if is_sparse(array):
        return array.diagonal()[:, None]
    if isinstance(array, Selected):
        return array.diagonal()
    return namespace_of(array).ascontiguousarray(np.diagonal(array).T)
