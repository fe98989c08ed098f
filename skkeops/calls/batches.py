"""Batch dimensions: the problems of a batch as one problem, whose matrix of pairs is block-diagonal.

Rows and columns of all problems lie one behind the other, and ranges pair those of the same problem. A parameter that differs
between the problems has a value for each row.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from skkeops.arrays.devices import computing
from skkeops.calls.arguments import INNER_AXES, CheckedCall
from skkeops.calls.outputs import store
from skkeops.formula.expression import IJ, P, Variable
from skkeops.pairs.ranges import Ranges
from skkeops.pairs.tolerance import Tolerance

if TYPE_CHECKING:
    from skkeops.genred import Genred

__all__ = ["Batch"]


class Batch:
    """A call of a reduction with arrays that have batch dimensions.

    Parameters
    ----------
    function : Genred
    args : tuple
        As the user gave them.
    call : CheckedCall
        The same, checked, with batch dimensions.
    backend : str
    ranges : sequence of six arrays, optional
        The blocks of pairs that are visited in every problem.

    Attributes
    ----------
    shape : tuple of int
        The batch dimensions.
    size : int
        The number of problems.
    joint : Genred
        The reduction of all problems as one.
    """

    def __init__(self, function: Genred, args: tuple, call: CheckedCall, backend: str, ranges: Any = None):
        self.function = function
        self.args = args
        self.arrays, m, n, self.dtype, self.xp, self.shape = call
        self.size = math.prod(self.shape)
        self.sizes = m, n
        self.rows, self.count = call.rows(function.axis), call.count(function.axis)
        self.backend = backend
        self.ranges = None if ranges is None else Ranges.of(ranges, m, n)
        per_row = tuple(
            v.category == P and a.size != v.dim for v, a in zip(function.variables, self.arrays, strict=True)
        )
        self.joint = function._of_batch(per_row)

    def problems(self) -> Iterator[tuple[tuple[int, ...], tuple[Any, ...]]]:
        """Yield the place of each problem in the batch, and its arrays."""
        variables = self.function.variables
        for problem in np.ndindex(*self.shape):
            yield problem, tuple(a[_place(a, v, problem)] for v, a in zip(variables, self.arrays, strict=True))

    def call(self, device_id: int = -1, out: Any = None, progress: Any = None, tolerance: Tolerance | None = None) -> Any:
        """Return what `Genred.__call__` returns, within a tolerance where problems are so large that pairs may be left out."""
        outputs = self.function._outputs
        given = None if out is None else outputs.check_out(out, self.rows, self.dtype, self.xp, self.shape)
        if not self.size:
            return outputs.unpack(outputs.allocate(self.rows, self.dtype, self.xp, self.shape)) if out is None else out
        with computing(self.arrays):
            if tolerance is not None and self.ranges is None and self._skips(tolerance):
                found = self._by_problem(device_id, progress, tolerance)
            else:
                found = self._split(self.joint(*self._joined(), device_id=device_id, progress=progress, **self._options()))
                self.function._last_program = self.joint._last_program
            if given is None:
                return found
            store(given, ..., found)
            return out

    def _skips(self, tolerance: Tolerance) -> bool:
        """Return whether pairs of the first problem are left out: if not, all problems together take less time."""
        program: Any = self.function._program(self.backend, self.xp, with_tolerance=True)
        return program.choose(next(self.problems())[1], tolerance) is not program.own

    def _by_problem(self, device_id: int, progress: Any, tolerance: Tolerance) -> Any:
        """Return the results of calls of one problem after the other: the points of each have an order of their own."""
        results = self.function._outputs.allocate(self.rows, self.dtype, self.xp, self.shape)
        n_pairs, reports = math.prod(self.sizes), list[Any]()
        options: dict[str, Any] = {**tolerance._asdict(), "backend": self.backend, "device_id": device_id}

        def report(before: int, done: int, _: int) -> Any:
            return progress(before + done, self.size * n_pairs)

        for number, (place, arrays) in enumerate(self.problems()):
            options["progress"] = None if progress is None else partial(report, number * n_pairs)
            store(results, place, self.function(*arrays, **options))
            reports.append(self.function.last_call)
        program: Any = self.function._last_program
        shares, errors = [r.share for r in reports], [r.error for r in reports]
        program.report = reports[-1]._replace(share=sum(shares) / self.size, error=max(errors))
        return self.function._outputs.unpack(results)

    def gradient(self, wrt: Sequence[Variable], grad_output: Any, output: Any) -> list[Any]:
        """Return the gradients by variables, in the shapes of the arguments."""
        with computing(self.arrays):
            e, known = self._checked(grad_output, output)
            found: dict[Variable, Any] = {}
            whole = [v for v in wrt if v.category != IJ] if self.size else []
            if whole:
                options = {**self._options(), "grad_output": self._join(e), "output": self._join_result(known)}
                parts = self.joint.gradient(*self._joined(), wrt=self._in_joint(whole), **options)
                found = dict(zip(whole, map(self._of_argument, whole, parts), strict=True))
            return [found[v] if v in found else self._by_pairs(v, e, known) for v in wrt]

    def value_and_gradient(self, wrt: Sequence[Variable], grad_output: Any) -> tuple[Any, list[Any]]:
        """Return the value and the gradients by variables."""
        if not self.size or any(v.category == IJ for v in wrt):
            value = self.call()
            return value, self.gradient(wrt, grad_output, value)
        with computing(self.arrays):
            e, _ = self._checked(grad_output, None)
            options = {**self._options(), "grad_output": self._join(e)}
            value, parts = self.joint.value_and_gradient(*self._joined(), wrt=self._in_joint(wrt), **options)
            return self._split(value), list(map(self._of_argument, wrt, parts))

    def jvp(self, directions: Mapping[Variable, Any], output: Any) -> Any:
        """Return the derivative along directions, which have the shapes of the arguments."""
        with computing(self.arrays):
            _, known = self._checked(None, output)
            if not self.size:
                return self.function._outputs.allocate(self.rows, self.dtype, self.xp, self.shape)[0]
            moved = {w: self._join_array(v, directions[v]) for v, w in zip(directions, self._in_joint(directions), strict=True)}
            options = {**self._options(), "tangents": moved, "output": self._join_result(known)}
            return self._split(self.joint.jvp(*self._joined(), **options))

    # The arguments as those of one problem

    def _joined(self) -> list[Any]:
        arrays = [self._join_array(v, a) for v, a in zip(self.function.variables, self.arrays, strict=True)]
        rows_alone = self.joint.variables[len(arrays) :]
        return arrays + [self.xp.zeros((self.size * self.sizes[v.category], 1), dtype=self.dtype) for v in rows_alone]

    def _join_array(self, v: Variable, array: Any) -> Any:
        """Return the arrays of all problems one behind the other."""
        if v.category == IJ:
            return self._join_pairs(array)
        category = self.joint.variables[v.position].category
        if category == P:
            return array.reshape(v.dim)
        if v.category == P:
            array = array[..., None, :]
        n = self.sizes[category]
        return np.broadcast_to(array, (*self.shape, n, v.dim)).reshape(self.size * n, v.dim)

    def _join_pairs(self, array: Any) -> Any:
        """Return values of pairs as a view of shape (B M, B N, D) whose diagonal blocks are the problems.

        A copy with one row more for each problem has the problems M N + N numbers apart, which is M rows and N columns of
        a view with the strides of a row and of a column: pair (b M + i, b N + j) of the view is pair (i, j) of problem b.
        What the view shows elsewhere is of no use, but within the copy.
        """
        m, n, dim = *self.sizes, array.shape[-1]
        copy = self.xp.empty((self.size, m + 1, n, dim), dtype=array.dtype)
        copy[:, :m] = np.broadcast_to(array, (*self.shape, m, n, dim)).reshape(self.size, m, n, dim)
        copy[:, m] = 0
        as_strided = importlib.import_module(f"{self.xp.__name__}.lib.stride_tricks").as_strided
        return as_strided(copy, (self.size * m, self.size * n, dim), copy.strides[1:])

    def _in_joint(self, variables: Iterable[Variable]) -> tuple[Variable, ...]:
        return tuple(self.joint.variables[v.position] for v in variables)

    def _options(self) -> dict[str, Any]:
        m, n = self.sizes
        if self.ranges is None:
            ranges = _block_diagonal(self.size, m, n)
        else:
            blocks = (*self._repeat(self.ranges.of_axis(1), m, n), *self._repeat(self.ranges.of_axis(0), n, m))
            ranges = Ranges(blocks, self.size * m, self.size * n)
        return {"backend": self.backend, "ranges": ranges}

    def _repeat(self, blocks: tuple[np.ndarray, ...], m: int, n: int) -> tuple[np.ndarray, ...]:
        """Return blocks of one problem of size (m, n) as those of all problems, one behind the other."""
        rows, slices, reduced = blocks
        b = np.arange(self.size)[:, None, None]
        return (
            (rows + b * m).reshape(-1, 2),
            (slices + b[:, 0] * len(reduced)).reshape(-1),
            (reduced + b * n).reshape(-1, 2),
        )

    # Results

    def _checked(self, grad_output: Any, output: Any) -> tuple[Any, tuple[Any, ...] | None]:
        """Return the gradient by the output, None where it is ones, and the output if it is known."""
        outputs = self.function._outputs
        e = None
        if grad_output is not None:
            e = outputs.check_gradient(grad_output, self.rows, self.xp, self.shape)
        return e, outputs.check_result(output, self.rows, self.count, self.xp, self.shape)

    def _join(self, result: Any) -> Any:
        """Return an array of the output's shape with the rows of all problems one behind the other."""
        return None if result is None else result.reshape(self.size * self.rows, *self.function._outputs.row_shape)

    def _join_result(self, known: tuple[Any, ...] | None) -> Any:
        """Return a result, values alone or with indices, as that of one problem."""
        if known is None:
            return None
        if len(known) == 1:
            return self._join(known[0])
        first = self.xp.arange(self.size).reshape(*self.shape, *(1,) * (known[1].ndim - len(self.shape))) * self.count
        return self._join(known[0]), self._join(known[1] + first)

    def _split(self, result: Any) -> Any:
        """Return a result with its batch dimensions, indices counted within each problem."""
        if isinstance(result, tuple):
            return tuple(map(self._split, result))
        if result.dtype.kind == "i":
            first = self.xp.arange(self.size).repeat(self.rows).reshape(-1, *(1,) * (result.ndim - 1)) * self.count
            result = np.where(result < 0, result, result - first)
        return result.reshape(*self.shape, self.rows, *result.shape[1:])

    def _of_argument(self, v: Variable, gradient: Any) -> Any:
        """Return a gradient in the shape of the argument: that of each problem, added where problems share the array."""
        array = self.arrays[v.position]
        if self.joint.variables[v.position].category != P:
            gradient = gradient.reshape(*self.shape, -1, v.dim)
            if v.category == P:
                gradient = gradient.sum(axis=-2, dtype=np.float64)
            gradient = _sum_to(gradient, array.shape)
        return gradient.astype(self.dtype, copy=False).reshape(np.shape(self.args[v.position]))

    def _by_pairs(self, v: Variable, e: Any, known: tuple[Any, ...] | None) -> Any:
        """Return the gradient by values of pairs, problem by problem: that of the block-diagonal matrix is mostly 0."""

        def parts() -> Iterator[Any]:
            for problem, arrays in self.problems():
                options = {"backend": self.backend, "ranges": self.ranges}
                if e is not None:
                    options["grad_output"] = e[problem]
                if known is not None:
                    options["output"] = self.function._outputs.unpack(tuple(part[problem] for part in known))
                yield self.function.gradient(*arrays, wrt=v, **options)

        return self.add(v, parts())

    def add(self, v: Variable, parts: Iterable[Any]) -> Any:
        """Return gradients by the problems' arrays of a variable in the shape of the argument."""
        array = self.arrays[v.position]
        total = self.xp.zeros(array.shape, dtype=np.float64)
        for problem, part in zip(np.ndindex(*self.shape), parts, strict=True):
            total[_place(array, v, problem)] += part
        return total.astype(self.dtype).reshape(np.shape(self.args[v.position]))


def _place(array: Any, v: Variable, problem: tuple[int, ...]) -> tuple[int, ...]:
    """Return where an array holds a problem of the batch, along whose dimensions it may broadcast."""
    own = array.shape[: array.ndim - INNER_AXES[v.category]]
    return tuple(0 if n == 1 else k for n, k in zip(own, problem[len(problem) - len(own) :], strict=True))


@lru_cache(maxsize=64)
def _block_diagonal(size: int, m: int, n: int) -> Ranges:
    """Return the ranges of `size` problems of m rows and n columns each."""
    rows, columns = (np.stack([np.arange(size), np.arange(1, size + 1)], axis=1) * k for k in (m, n))
    slices = np.arange(1, size + 1)
    return Ranges((rows, slices, columns, columns, slices, rows), size * m, size * n)


def _sum_to(array: Any, shape: tuple[int, ...]) -> Any:
    """Return an array summed over the axes along which an array of that shape broadcasts."""
    array = array.sum(axis=tuple(range(array.ndim - len(shape))), dtype=np.float64)
    repeated = tuple(k for k, (a, b) in enumerate(zip(array.shape, shape, strict=True)) if a != b)
    return array.sum(axis=repeated, keepdims=True)
