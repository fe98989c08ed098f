"""A kernel reduced over reference samples: what transform, predict and score_samples evaluate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skkeops.arrays.devices import namespace_of
from skkeops.formula.expression import Expression, J, Variable
from skkeops.genred import Genred, shared
from skkeops.kernels.binding import BoundKernel

__all__ = ["PairReduction", "reduce_rows", "reduction_of", "weighted_sum"]


def reduction_of(
    expression: Expression,
    variables: tuple[Variable, ...],
    op: str,
    axis: int = 1,
    weight: Expression | None = None,
    opt_arg: int | None = None,
) -> Genred:
    """Return the reduction of an expression; the same one for all values of its parameters."""
    return shared(Genred, expression, variables, op, axis=axis, opt_arg=opt_arg, formula2=weight)


class PairReduction:
    """``c_i = Reduce_j F(x_i, ...)`` of queries x, with everything else given.

    Parameters
    ----------
    expression : Expression
    variables : sequence of Variable
        By position; the first are the queries.
    arrays : sequence of ndarray
        Of the other variables.
    op : str
        The reduction.
    weight : Expression, optional
        The second formula of the reduction.
    opt_arg : int, optional
        The number K of a reduction to the K smallest.
    """

    def __init__(
        self,
        expression: Expression,
        variables: Sequence[Variable],
        arrays: Sequence[np.ndarray],
        op: str,
        weight: Expression | None = None,
        opt_arg: int | None = None,
    ):
        self.definition = (expression, tuple(variables), op, 1, weight, opt_arg)
        self.arrays = list(arrays)
        self.rtol, self.atol = 0.0, 0.0

    def within(self, rtol: float, atol: float = 0.0) -> PairReduction:
        """Return the reduction itself, which from now on leaves out what these tolerances of `Genred` allow."""
        self.rtol, self.atol = float(rtol), float(atol)
        return self

    @property
    def function(self) -> Genred:
        """The reduction as a function of all arrays."""
        return reduction_of(*self.definition)

    @property
    def n_outputs(self) -> int:
        """The number of columns of the result."""
        return self.function.output_dim

    def __call__(self, X: np.ndarray, backend: str, progress: Callable[[int, int], Any] | None = None) -> Any:  # noqa: N803
        """Return the values for queries, an array or a tuple of them."""
        return self.function(X, *self.arrays, backend=backend, progress=progress, rtol=self.rtol, atol=self.atol)

    def gradient(
        self,
        X: np.ndarray,  # noqa: N803
        grad_output: np.ndarray,
        wrt: Sequence[Variable],
        backend: str,
    ) -> tuple[np.ndarray, ...]:
        """Return the gradients of ``(values * grad_output).sum()`` by several variables."""
        options = {"grad_output": grad_output, "backend": backend, "rtol": self.rtol}
        return self.function.gradient(X, *self.arrays, wrt=tuple(wrt), **options)


def weighted_sum(bound: BoundKernel, samples: np.ndarray, a: np.ndarray, dtype: np.dtype) -> tuple[PairReduction, Variable]:
    """Return the sum over samples of the kernel times columns of a, and the variable of these."""
    v = Variable(len(bound.variables), a.shape[1], J)
    arrays = [samples, *bound.parameter_arrays(dtype, namespace_of(samples)), a]
    return PairReduction(bound.expression * v, (*bound.variables, v), arrays, "Sum"), v


def reduce_rows(
    definition: tuple, options: dict[str, Any], threads: int | None, X: np.ndarray, *arrays: np.ndarray  # noqa: N803
) -> Any:
    """Return the values for a block of queries: what one job does, with options of the call. The arrays come one by one, so
    that a distributed backend of joblib sends each of them once."""
    from skkeops.backends.cpu.threads import at_most

    with at_most(threads):
        return reduction_of(*definition)(X, *arrays, **options)
