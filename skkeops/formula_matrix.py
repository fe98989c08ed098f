"""The matrix of a formula that is linear in a variable: its products, columns and diagonal."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from skkeops import backends
from skkeops.formula import operations as ops
from skkeops.formula.derivative import gradient, substitute
from skkeops.formula.expression import IJ, Constant, Expression, I, P, Variable, variables_of
from skkeops.plan.problem import Problem
from skkeops.reductions import Sum

from .devices import contiguous, namespace_of
from .genred import Genred
from .locks import cached_property
from .pairs import is_stored
from .ranges import Ranges

__all__ = ["Matrix"]


class Matrix:
    """The matrix K with ``(K a)_i = sum_j F(x_i, x_j, p, a_j)``, for a F that is linear in a.

    Parameters
    ----------
    function : Genred
        The sum.
    place : int
        Which of its variables a is.
    arrays : tuple of ndarray
        Its arguments, checked.
    size : int
        The number of rows and of columns.
    dtype : dtype
        That of the arguments.
    namespace : module
        NumPy or CuPy.
    backend : str
    ranges : sequence of six arrays, or None
        As for `Genred`.
    """

    def __init__(
        self,
        function: Genred,
        place: int,
        arrays: tuple,
        size: int,
        dtype: np.dtype,
        namespace: ModuleType,
        backend: str,
        ranges: Any = None,
    ):
        self.arrays = arrays
        self.size = size
        self.dtype = dtype
        self.namespace = namespace
        self._function = function
        self._place = place
        self._backend = backend
        self._ranges = None if ranges is None else Ranges.of(ranges, size, size)
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
        problem = Problem(Sum(), (self._entry * w,), self._function.axis, (*self._function.variables, w))
        program = self._function._prepare(problem, self._backend, self.namespace)
        arguments = (*self._in(np.float64), contiguous(vectors.astype(np.float64, copy=False)))
        if self._ranges is not None:
            return self._ranges.bind(program, self._function.axis).run(arguments)[0]
        return program.run(arguments)[0]

    def columns(self, which: np.ndarray) -> np.ndarray:
        """Return some columns of K, of all pairs whatever the ranges."""
        variables, module = self._function.variables, backends.get(self._backend, self.namespace)
        some = tuple(  # they are computed as rows: the matrix is symmetric
            a[which] if w.category in (I, IJ) else a for w, a in zip(variables, self._in(np.float64), strict=True)
        )
        return module.evaluate_pairs(self._entry, variables, some, len(which), self.size)[:, :, 0].T

    def diagonal(self) -> np.ndarray:
        """Return the diagonal of K."""
        variables, module = self._function.variables, backends.get(self._backend, self.namespace)
        at = {w: w if w.category == P else Variable(w.position, w.dim, I) for w in variables}
        some = tuple(
            _on_diagonal(a).astype(np.float64) if w.category == IJ else a
            for w, a in zip(variables, self._in(np.float64), strict=True)
        )
        return module.evaluate((substitute(self._entry, at),), tuple(at.values()), some, self.size)[0][:, 0]

    @cached_property
    def _entry(self) -> Expression:
        """The formula of an entry of K."""
        v = self._function.variables[self._place]
        value = self._function._problem.values[0]
        if v.dim == 1:
            return gradient(value, v, 1)
        entry = _factor(value, v)
        if entry is None:
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
    if is_stored(array):
        return array.diagonal()[:, None]
    return namespace_of(array).ascontiguousarray(np.diagonal(array).T)
