"""Derivatives of lazy tensors: inside of formulas, and of reductions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skkeops.arrays.conversion import is_sparse
from skkeops.arrays.devices import address_of, is_on_device
from skkeops.formula import calculus
from skkeops.formula.expression import IJ, Variable

from ..complex_numbers import holds_complex, interleave, to_complex
from ..reduction import gradient
from ..symbols import in_order
from .base import Methods, common_rows, same

if TYPE_CHECKING:
    from ..tensor import LazyTensor

__all__ = ["Calculus"]


class Calculus(Methods):
    """Derivatives by a variable, which is the LazyTensor of an array: they are lazy tensors, to be reduced like others.

    >>> import numpy as np
    >>> from skkeops import Vi, Vj
    >>> x, y = Vi(np.array([[1.0], [2.0]])), Vj(np.array([[3.0]]))
    >>> (x * y).exp().log().grad(x, 1.0).sum(axis=1)
    array([[3.],
           [3.]])
    """

    __slots__ = ()

    def grad(self, other, gradin):
        """Return the gradient by a variable of the scalar product with `gradin`: as many components as the variable has."""
        return self._apply(calculus.Grad.build, _variable(other), gradin)

    def diff(self, other, diffin):
        """Return the derivative where a variable moves in the direction `diffin`."""
        return self._apply(calculus.Diff.build, _variable(other), diffin)

    def grad_matrix(self, other):
        """Return the Jacobian, row by row: a row for each component of the tensor."""
        return self._apply(calculus.GradMatrix.build, _variable(other))

    def divergence(self, var):
        """Return the sum of the derivatives of component k by component k of the variable."""
        return self._apply(calculus.Divergence.build, _variable(var))

    def laplacian(self, var):
        """Return the divergence of the gradient of a tensor of one component."""
        return self._apply(calculus.Laplacian.build, _variable(var))

    def trace_operator(self, var):
        """Return the trace of the tensor as a linear function of the variable."""
        return self._apply(calculus.TraceOperator.build, _variable(var))

    def gradient(
        self,
        wrt: Any,
        *,
        grad_output: Any = None,
        axis: int | None = None,
        reduction: str = "Sum",
        weight: Any = None,
        opt_arg: int | None = None,
        ranges: Any = None,
        backend: str | None = None,
    ) -> Any:
        """Return the gradient of a reduction of the tensor by one of the arrays that it is made of.

        Parameters
        ----------
        wrt : ndarray or LazyTensor
            The array, for the sum of all places where it stands, points i as well as points j; or the tensor that was made from
            it, for the part that is due to these points. Tensors of integers hold copies: give the tensor.
        grad_output : array-like, optional
            The gradient by the result of the reduction, of its shape; ones by default.
        axis : int, optional
            The axis that is reduced, as for the reductions; by default that of j.
        reduction : str, default="Sum"
            As for `Genred`.
        weight : LazyTensor or array-like, optional
            The weight of ``"SumSoftMaxWeight"``, or of a weighted ``"LogSumExp"``.
        opt_arg : int, optional
            The number K, for ``"KMin"``.
        ranges : sequence of six arrays, optional
            As for `Genred`.
        backend : str, optional
            As for `Genred`.

        Returns
        -------
        ndarray, or csr_array by sparse values of pairs
            The shape of the array: (M, D), (N, D), (D,), or (M, N) for values of pairs.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Vi, Vj
        >>> x = np.array([[1.0], [2.0]])
        >>> (Vi(x) * Vj(np.ones((5, 1)))).gradient(x)
        array([[5.],
               [5.]])
        """
        if holds_complex(wrt) or isinstance(wrt, Methods) and wrt.is_complex:
            is_tensor = isinstance(wrt, Methods)
            part = wrt._as_real(lambda f: f) if is_tensor else interleave(wrt)[None]
            given = {"axis": axis, "reduction": reduction, "weight": weight, "opt_arg": opt_arg}
            given |= {"grad_output": grad_output, "ranges": ranges, "backend": backend}
            found = to_complex(Calculus.gradient(self, part, **given))
            return found if is_tensor else found.reshape(np.shape(wrt))
        symbols, g = self.symbols, None
        if weight is not None:
            weight = self._operand(weight)
            if weight.is_complex:
                raise TypeError(f"the gradient of {reduction} needs a real weight: found a complex tensor")
            symbols, g = {**symbols, **weight.symbols}, weight.expression
            common_rows(self, weight)  # raises if they do not fit
        ordered = in_order(symbols.values())
        if isinstance(wrt, Methods):
            found = [s for s in ordered if s.variable is wrt.expression]
        else:
            found = [s for s in ordered if s.array is not None and _same_memory(s.array, wrt)]
        if not found:
            what = f"the tensor {wrt!r}" if isinstance(wrt, Methods) else _described(wrt)
            raise ValueError(
                "wrt must be one of the arrays of floats that the tensor is made of, or the LazyTensor that was made of one; of "
                f"lists and integers it holds copies, of a lookup table its pairs, so that only the latter will do: found {what}"
            )
        options = {"backend": backend or self.backend or "auto", "ranges": self.ranges}
        if ranges is not None:
            options["ranges"] = same("ranges", ranges, self.ranges)
        axis = self._reduced_axis(len(self.batch) + 1 if axis is None else axis)
        parts = (gradient(ordered, self.expression, g, reduction, axis, opt_arg, s, grad_output, options) for s in found)
        result = next(parts)
        for part in parts:  # points on both sides
            result = result + part.reshape(result.shape)
        if found[0].variable.category == IJ and not is_sparse(result) and np.ndim(wrt) == 2:
            return result[:, :, 0]
        return result


def _described(array: Any) -> str:
    dtype, shape = getattr(array, "dtype", None), getattr(array, "shape", None)
    return type(array).__name__ if dtype is None else f"an array of {dtype} of shape {shape}"


def _variable(tensor: Any) -> LazyTensor:
    if not isinstance(getattr(tensor, "expression", None), Variable):
        raise ValueError("derivatives are taken by the LazyTensor of an array, such as Vi(x): found something else")
    return tensor


def _same_memory(a: Any, b: Any) -> bool:
    if is_sparse(a) or is_sparse(b):
        if not (is_sparse(a) and is_sparse(b)) or a.shape != b.shape:
            return False
        a, b = a.data, b.data
    if not all(isinstance(c, np.ndarray) or is_on_device(c) for c in (a, b)):
        return False
    return a.dtype == b.dtype and address_of(a) == address_of(b) and a.size == b.size and _order(a) == _order(b)


def _order(a: Any) -> Any:
    """Return what tells arrays of the same memory apart: their axes, where these are not simply one behind the other."""
    return a.flags.c_contiguous or [pair for pair in zip(a.shape, a.strides, strict=True) if pair[0] != 1]
