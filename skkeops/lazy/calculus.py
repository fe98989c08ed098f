"""Derivatives inside of formulas, and the names of KeOps that describe a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skkeops.formula import operations as ops
from skkeops.formula.expression import Variable

if TYPE_CHECKING:
    from .tensor import LazyTensor

__all__ = ["Calculus"]


class Calculus:
    """Derivatives by a variable, which is the LazyTensor of an array: they are lazy tensors, to be reduced like others.

    >>> import numpy as np
    >>> from skkeops import Vi, Vj
    >>> x, y = Vi(np.array([[1.0], [2.0]])), Vj(np.array([[3.0]]))
    >>> (x * y).exp().log().grad(x, 1.0).sum(axis=1)
    array([[3.],
           [3.]])
    """

    __slots__ = ()

    if TYPE_CHECKING:
        batch: tuple[int, ...]
        _rows: tuple[int | None, int | None]

        def _apply(self, build: Any, *others: Any, params: Sequence[Any] = ()) -> LazyTensor: ...
        def _reduce(self, op: str, axis: Any, **options: Any) -> Any: ...

    def grad(self, variable, direction):
        """Return the gradient of the scalar product with a direction: as many components as the variable has."""
        return self._apply(ops.Grad.build, _variable(variable), direction)

    def diff(self, variable, direction):
        """Return the derivative where the variable moves in a direction."""
        return self._apply(ops.Diff.build, _variable(variable), direction)

    def grad_matrix(self, variable):
        """Return the Jacobian, row by row: a row for each component of the tensor."""
        return self._apply(ops.GradMatrix.build, _variable(variable))

    def divergence(self, variable):
        """Return the sum of the derivatives of component k by component k of the variable."""
        return self._apply(ops.Divergence.build, _variable(variable))

    def laplacian(self, variable):
        """Return the divergence of the gradient of a tensor of one component."""
        return self._apply(ops.Laplacian.build, _variable(variable))

    def trace_operator(self, variable):
        """Return the trace of the tensor as a linear function of the variable."""
        return self._apply(ops.TraceOperator.build, _variable(variable))

    def factorize(self, other):
        """Return the tensor: common sub-expressions are always computed once."""
        return self._apply(ops.Factorize.build, other)

    def auto_factorize(self):
        """Return the tensor: common sub-expressions are always computed once."""
        return self._apply(ops.AutoFactorize.build)

    def softdtw_sqdist(self, other, gamma):
        """Return the soft dynamic time warping of two series, with squared distances; see `skkeops.formula`."""
        return self._apply(ops.SoftDTW_SqDist.build, other, gamma)

    def reduction(self, reduction_op, other=None, opt_arg=None, axis=None, dim=None, call=True, **options):
        """Return a reduction over i or j by its name, with a weight where it has one.

        Parameters
        ----------
        reduction_op : str
            As for `skkeops.Genred`.
        other : LazyTensor or array-like, optional
            The weight of ``"SumSoftMaxWeight"`` and of ``"LogSumExp"``.
        opt_arg : int, optional
            The number K of ``"KMin"`` and the like.
        axis, dim : int
            The axis that is reduced.
        call : bool, default=True
            If false, a function without arguments, or of those that are given later, that reduces.
        **options
            Further options of `skkeops.Genred`, or of its call.
        """
        axis = axis if dim is None else dim
        return self._reduce(reduction_op, axis, weight=other, opt_arg=opt_arg, call=call, **options)

    @property
    def ni(self) -> int | None:
        """The number of rows, None if nothing depends on i."""
        return self._rows[0]

    @property
    def nj(self) -> int | None:
        """The number of columns, None if nothing depends on j."""
        return self._rows[1]

    @property
    def nbatchdims(self) -> int:
        """The number of batch dimensions."""
        return len(self.batch)

    @property
    def batchdims(self) -> tuple[int, ...]:
        """The batch dimensions."""
        return self.batch


def _variable(tensor: Any) -> LazyTensor:
    if not isinstance(getattr(tensor, "expression", None), Variable):
        raise ValueError("derivatives are taken by the LazyTensor of an array, such as Vi(x): found something else")
    return tensor
