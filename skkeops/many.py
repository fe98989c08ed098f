"""Several reductions over the same pairs in one call: sums share a sweep."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from skkeops import backends
from skkeops.calls.options import check_call_options
from skkeops.calls.outputs import store
from skkeops.execution.choose import prepare
from skkeops.execution.program import Program
from skkeops.formula.expression import IJ
from skkeops.genred import Genred
from skkeops.plan.problem import Problem

__all__ = ["ManyReductions"]


class ManyReductions:
    """Several reductions of formulas over the same pairs (i, j), as one function of the arrays.

    Sums, over either axis, are computed in one sweep over the pairs, and what their formulas have in common once: a kernel sum and
    the sum of its squares cost little more than one of them. Every other reduction visits the pairs by itself; so do sums on
    a GPU, in batches, with ``ranges`` and with values of pairs.

    Parameters
    ----------
    *reductions : Genred
        At least one; their aliases must declare the same variables in the same order.

    Attributes
    ----------
    reductions : tuple of Genred

    Raises
    ------
    TypeError
        If one of them is no `Genred`.
    ValueError
        If there is none, or if their variables differ.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import Genred, ManyReductions
    >>> aliases = ["x = Vi(1)", "y = Vj(1)"]
    >>> total = Genred("Exp(-SqDist(x, y))", aliases, axis=1)
    >>> squares = Genred("Square(Exp(-SqDist(x, y)))", aliases, axis=1)
    >>> nearest = Genred("SqDist(x, y)", aliases, "ArgMin", axis=1)
    >>> both = ManyReductions(total, squares, nearest)
    >>> x, y = np.array([[0.0], [1.0]]), np.array([[0.0], [1.0], [3.0]])
    >>> s, q, j = both(x, y)
    >>> s.round(4).tolist(), q.round(4).tolist(), j.tolist()
    ([[1.368], [1.3862]], [[1.1353], [1.1357]], [[0], [1]])
    """

    def __init__(self, *reductions: Genred):
        if not reductions:
            raise ValueError("ManyReductions: expected at least one Genred, found none")
        for k, reduction in enumerate(reductions):
            if not isinstance(reduction, Genred):
                raise TypeError(f"ManyReductions: expected a Genred, found {type(reduction).__name__} at place {k}")
            if (reduction.variables, reduction.names) != (reductions[0].variables, reductions[0].names):
                raise ValueError(
                    f"ManyReductions: the variables of all reductions must be the same: found {reduction.aliases} at place {k}, "
                    f"expected {reductions[0].aliases}"
                )
        self.reductions = reductions
        has_pairs = any(v.category == IJ for v in reductions[0].variables)
        sums = [k for k, r in enumerate(reductions) if r.reduction.name == "Sum" and not has_pairs]
        # The rows of the first output are those of which blocks are made.
        self._sums = sorted(sums, key=lambda k: reductions[k].axis != reductions[sums[0]].axis) if len(sums) > 1 else []
        self._programs: dict[tuple[str, ModuleType], Program] = {}

    def __call__(
        self,
        *args: Any,
        backend: str = "auto",
        device_id: int = -1,
        ranges: Any = None,
        progress: Callable[[int, int], Any] | None = None,
    ) -> tuple[Any, ...]:
        """Compute all reductions.

        Parameters
        ----------
        *args : array-like
            One per variable, as for `Genred.__call__`.
        backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        device_id : int, default=-1
        ranges : sequence of six arrays of int, optional
        progress : callable, optional
            Called as ``progress(done, total)``, from 0 to the number of pairs for each sweep.
            All four as for `Genred.__call__`.

        Returns
        -------
        tuple
            What each of the reductions returns, in their order.
        """
        call = self.reductions[0]._check(args)
        check_call_options(progress, device_id)
        shares = bool(self._sums) and not call.batch and ranges is None and backends.get(backend, call.xp).sums_together
        found: dict[int, Any] = self._sweep(call, backend, progress) if shares else {}
        options = {"backend": backend, "device_id": device_id, "ranges": ranges, "progress": progress}
        return tuple(
            found[k] if k in found else reduction(*args, **options) for k, reduction in enumerate(self.reductions)
        )

    def _sweep(self, call: Any, backend: str, progress: Any) -> dict[int, Any]:
        """Return the results of the sums, by their places."""
        key = backend, call.xp
        if key not in self._programs:
            outputs = tuple(self.reductions[k]._problem.output for k in self._sums)
            problem = Problem(outputs, self.reductions[0].variables)
            self._programs[key] = prepare(problem, backends.get(backend, call.xp))
        program = self._programs[key]
        results = {k: self._outputs_of(k, call, program.axis) for k in self._sums}
        for rows, _, sums in program.states(call.arrays, None, progress):
            for k, s in zip(self._sums, sums, strict=True):
                reduction = self.reductions[k]
                if reduction.axis == program.axis:
                    store((results[k],), rows, reduction.reduction.finalize((s,), call.dtype))
                else:  # a sum over the rows of the block
                    results[k] += s
        return {k: result.astype(call.dtype, copy=False) for k, result in results.items()}

    def _outputs_of(self, k: int, call: Any, axis: int) -> np.ndarray:
        """Return the array of a sum: of float64 where blocks of rows are added to it."""
        reduction = self.reductions[k]
        if reduction.axis == axis:
            return reduction._outputs.allocate(call.rows(axis), call.dtype, call.xp)[0]
        return call.xp.zeros(reduction._outputs.shape(call.rows(reduction.axis)), np.float64)

    def __repr__(self) -> str:
        return f"ManyReductions({', '.join(map(repr, self.reductions))})"
