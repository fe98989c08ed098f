"""The derivatives of a `Genred` as its methods: what they are asked for is checked here, and computed by `Derivatives`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from skkeops.arrays.conversion import is_sparse
from skkeops.arrays.devices import computing
from skkeops.calls.arguments import Arguments, CheckedCall
from skkeops.calls.batches import Batch
from skkeops.calls.options import check_tolerance
from skkeops.calls.outputs import Outputs
from skkeops.execution.program import Program
from skkeops.formula.expression import P, Variable
from skkeops.plan.problem import Problem
from skkeops.reductions import Reduction

from . import Derivatives, differentiate
from .base import Setting

__all__ = ["DerivativeMethods"]


class DerivativeMethods:
    """The methods of a `Genred` that differentiate it, and what they need of it."""

    axis: int
    reduction: Reduction
    _arguments: Arguments
    _check: Callable[[tuple], CheckedCall]
    _derivatives: Derivatives | None
    _last_dtype: np.dtype | None
    _outputs: Outputs
    _prepare: Callable[[Problem, str, ModuleType, bool], Program]
    _problem: Problem
    _program: Callable[[str, ModuleType], Program]
    _smallest_axis: int

    def gradient(
        self,
        *args: Any,
        wrt: str | Variable | Sequence[str | Variable],
        grad_output: Any = None,
        output: Any = None,
        backend: str = "auto",
        ranges: Any = None,
        rtol: float = 0.0,
    ) -> Any:
        """Return the gradient of ``(output * grad_output).sum()`` with respect to arguments.

        Parameters
        ----------
        *args : array-like
            As for the call.
        wrt : str or sequence of str
            The names of the arguments to differentiate by.
        grad_output : array-like, optional
            The gradient with respect to the output, of its shape. Default: ones. For a reduction that returns
            values and indices, it is that of the values.
        output : ndarray or tuple of ndarray, optional
            The result of the call on the same arguments, if known: it saves a pass over the pairs for
            LogSumExp, and for reductions that return indices. Must be right; it is not checked beyond its
            shape. Its rounding enters the gradient of LogSumExp, as a relative error of ``abs(output) * eps``.
        backend : str, default="auto"
            As for the call.
        ranges : sequence of six arrays of int, optional
            As for the call.
        rtol : float, default=0.0
            For derivatives that are sums, of Sum, LogSumExp and SumSoftMaxWeight: pairs that provably do not matter are not
            computed. Each component of the gradient is off by at most `rtol` times the sum of the absolute values of what it
            is the sum of.

        Returns
        -------
        ndarray or tuple of ndarray
            For each name, an array of the shape of that argument, in the common dtype. A tuple if `wrt` is a
            sequence.

        Raises
        ------
        ValueError
            If the reduction has no gradient (indices, raw states), a name is unknown or a shape is wrong.

        Notes
        -----
        Max, Min and KMin pass the gradient to the first winner. Rows without a finite maximum (LogSumExp:
        -inf) get none.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Genred
        >>> lse = Genred("x * y", ["x = Vi(1)", "y = Vj(1)"], "LogSumExp", axis=1)
        >>> x, y = np.zeros((2, 1)), np.array([[1.0], [3.0]])
        >>> lse.gradient(x, y, wrt="x")
        array([[2.],
               [2.]])
        """
        variables = self._arguments.find(wrt)
        derivatives = self._get_derivatives()
        within = self._within(rtol)
        call = self._checked(args, backend)
        if call.batch:
            return _as_asked(Batch(self, args, call, backend, ranges).gradient(variables, grad_output, output), wrt)
        with computing(call.arrays):
            setting = Setting.of(call, backend, ranges, within)
            e = self._outputs.check_gradient(grad_output, call.rows(self.axis), call.xp)
            known = self._outputs.check_result(output, call.rows(self.axis), call.count(self.axis), call.xp)
            gradients = derivatives.adjoint(variables, setting, e, derivatives.states(setting, known))
            return _like_arguments(gradients, variables, args, wrt)

    def value_and_gradient(
        self,
        *args: Any,
        wrt: str | Variable | Sequence[str | Variable],
        grad_output: Any = None,
        backend: str = "auto",
        ranges: Any = None,
        rtol: float = 0.0,
    ) -> tuple[Any, Any]:
        """Return the result of the call and the gradient, sharing the forward pass.

        Parameters
        ----------
        *args, wrt, grad_output, backend, ranges, rtol
            As for `gradient`; the value is off by at most what that of the call with `rtol` is.

        Returns
        -------
        value : ndarray or tuple of ndarray
            As the call returns it.
        gradient : ndarray or tuple of ndarray
            As `gradient` returns it.
        """
        variables = self._arguments.find(wrt)
        derivatives = self._get_derivatives()
        within = self._within(rtol)
        call = self._checked(args, backend)
        if call.batch:
            value, found = Batch(self, args, call, backend, ranges).value_and_gradient(variables, grad_output)
            return value, _as_asked(found, wrt)
        with computing(call.arrays):
            setting = Setting.of(call, backend, ranges, within)
            e = self._outputs.check_gradient(grad_output, call.rows(self.axis), call.xp)
            results = self._outputs.allocate(call.rows(self.axis), call.dtype, call.xp)
            gradients = derivatives.value_and_adjoint(variables, setting, e, results)
            return self._outputs.unpack(results), _like_arguments(gradients, variables, args, wrt)

    def jvp(
        self,
        *args: Any,
        tangents: Mapping[str, Any],
        output: Any = None,
        backend: str = "auto",
        ranges: Any = None,
        rtol: float = 0.0,
    ) -> np.ndarray:
        """Return the derivative of the output along directions: the product of the Jacobian and the tangents.

        Parameters
        ----------
        *args : array-like
            As for the call.
        tangents : dict of str to array-like
            For names of arguments, a direction of the shape of that argument. The others are held fixed.
        output : ndarray or tuple of ndarray, optional
            As for `gradient`.
        backend : str, default="auto"
            As for the call.
        ranges : sequence of six arrays of int, optional
            As for the call.
        rtol : float, default=0.0
            As for `gradient`.

        Returns
        -------
        ndarray
            The shape of the output's values, in the dtype of the arguments.

        Raises
        ------
        ValueError
            If the reduction has no derivative, a name is unknown or a shape is wrong.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Genred
        >>> total = Genred("Square(x - y)", ["x = Vi(1)", "y = Vj(1)"], axis=1)
        >>> total.jvp(np.ones((1, 1)), np.zeros((5, 1)), tangents={"x": np.ones((1, 1))})
        array([[10.]])
        """
        if not isinstance(tangents, Mapping):
            raise TypeError(f"tangents must be a dict of names to arrays: found {type(tangents).__name__}")
        wrt = self._arguments.find(tuple(tangents))
        derivatives = self._get_derivatives()
        within = self._within(rtol)
        call = self._checked(args, backend)
        with computing(call.arrays):
            directions = {v: self._arguments.direction(u, v, call) for v, u in zip(wrt, tangents.values(), strict=True)}
            if call.batch:
                return Batch(self, args, call, backend, ranges).jvp(directions, output)
            setting = Setting.of(call, backend, ranges, within)
            known = self._outputs.check_result(output, call.rows(self.axis), call.count(self.axis), call.xp)
            return derivatives.tangent(directions, setting, derivatives.states(setting, known))

    def _explain_derivatives(self) -> str:
        """Return a line on the gradients, for `Genred.explain`."""
        try:
            return self._get_derivatives().explain()
        except ValueError:  # the reduction has no derivative
            return "gradients: none"

    def _get_derivatives(self) -> Derivatives:
        if self._derivatives is None:
            self._derivatives = differentiate(self._problem, self._prepare)
        return self._derivatives

    def _within(self, rtol: Any) -> tuple[float, float]:
        """Return what the forward pass and the sums of a derivative may leave out."""
        tolerance = None if rtol == 0 else check_tolerance(rtol, 0.0, self.reduction)
        return (0.0, 0.0) if tolerance is None else self.reduction.rtol_of_derivative(tolerance.rtol)

    def _checked(self, args: tuple, backend: str) -> CheckedCall:
        """Return the arguments, checked; raise if the backend cannot be used with them."""
        call = self._check(args)
        self._last_dtype = call.dtype
        self._program(backend, call.xp)
        if call.count(self.axis) < self._smallest_axis:
            raise self._arguments.too_short(self.axis, call.count(self.axis), self.reduction)
        return call


def _like_arguments(gradients: list[np.ndarray], variables: Sequence[Variable], args: tuple, wrt: Any) -> Any:
    """Return gradients as `wrt` asked for them, one or a tuple, in the shapes of the arguments: a parameter may have
    come as a number or as a row."""
    shaped = [
        g.reshape(np.shape(args[v.position])) if v.category >= P and not is_sparse(g) else g
        for v, g in zip(variables, gradients, strict=True)
    ]
    return _as_asked(shaped, wrt)


def _as_asked(gradients: list[Any], wrt: Any) -> Any:
    return gradients[0] if isinstance(wrt, (str, Variable)) else tuple(gradients)
