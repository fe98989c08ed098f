"""The adjoint of a reduction as further reductions, on arrays of a library that differentiates.

The derivative of a Sum is a Sum of another formula, and so on: what a library is given as the derivative of a reduction is made of
reductions that it can differentiate, too. LogSumExp and SumSoftMaxWeight need what the forward pass has found, which depends on the
arguments; there the library's own exponentials and products stand between the reductions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any

from skkeops.derivatives.sums import SumDerivatives
from skkeops.formula.expression import IJ, P, Variable
from skkeops.genred import Genred, shared
from skkeops.reductions import LogSumExp, SumSoftMaxWeight

__all__ = ["adjoint", "differentiable_by"]


def differentiable_by(function: Genred, v: Variable) -> bool:
    """Return whether the gradient of a reduction by a variable is made of sums of formulas."""
    return function.reduction.derivative == "sum" and v.category != IJ


def adjoint(
    function: Genred,
    v: Variable,
    arrays: Sequence[Any],
    output: Any,
    e: Any,
    reduce: Callable[..., Any],
    xp: ModuleType,
    constant: Callable[[Any], Any],
) -> Any:
    """Return the gradient of ``(function(*arrays) * e).sum()`` by a variable; None if it is zero.

    Parameters
    ----------
    function : Genred
        Differentiable by `v`: see `differentiable_by`.
    v : Variable
    arrays : sequence of arrays of the library
    output : array
        The result.
    e : array
        The gradient by the result, of its shape.
    reduce : callable
        Returns ``function(*arrays)`` so that the library can differentiate it, given the function and arrays.
    xp : module
        The library's functions.
    constant : callable
        Returns an array that is not differentiated by.

    Returns
    -------
    array or None
        Batch dimensions are those of the output.
    """
    derived = _derived(function, v)
    if derived is None:
        return None
    saved, e = _saved(function, arrays, output, e, reduce, xp, constant)
    found = reduce(derived, *arrays, *saved, e)
    return found.sum(-2) if v.category == P else found


def _saved(function, arrays, output, e, reduce, xp, constant):
    """Return what the formula of the adjoint takes beside the arguments, and the gradient times a factor of the rows."""
    reduction = function.reduction
    if isinstance(reduction, LogSumExp):
        # exp(F - c) e = exp(F - shift) exp(shift - c) e with any shift. A row of -inf has the gradient 0.
        dead = output == -float("inf")
        finite = xp.where(dead, xp.zeros_like(output), output)
        shift = constant(xp.amax(output, axis=-1, keepdims=True))
        none = shift == -float("inf")
        factor = xp.where(dead, xp.zeros_like(output), xp.exp(xp.where(none, xp.zeros_like(shift), shift) - finite))
        return (xp.where(none, xp.full_like(shift, float("inf")), shift),), e * factor
    if isinstance(reduction, SumSoftMaxWeight):
        logarithm = reduce(_partition(function), *arrays)
        shift = constant(logarithm)
        return (shift, output), e * xp.exp(shift - logarithm)
    return (), e


@lru_cache(maxsize=256)
def _derived(function: Genred, v: Variable) -> Genred | None:
    """Return the gradient by a variable as a reduction, of the arguments, what is saved, and the gradient by the output."""
    derivatives = function._get_derivatives()
    assert isinstance(derivatives, SumDerivatives)
    output, variables = derivatives.adjoint_formula(v)
    if output is None:
        return None
    return shared(Genred, output.values[0], variables, "Sum", axis=output.axis, opt_arg=None, formula2=None)


@lru_cache(maxsize=256)
def _partition(function: Genred) -> Genred:
    """Return the log-sum-exp of the exponent of a softmax."""
    exponent = function._problem.values[0]
    return shared(Genred, exponent, function.variables, "LogSumExp", axis=function.axis, opt_arg=None, formula2=None)
