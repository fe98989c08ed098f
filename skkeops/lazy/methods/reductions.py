"""Reductions of lazy tensors: over i and j, which computes, and over the components, which does not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from skkeops.formula import operations as ops

from ..complex_numbers import complex_result
from ..reduction import reduce, symbolic
from ..symbols import in_order
from .base import Methods, common_rows, same

__all__ = ["Reductions"]


class Reductions(Methods):
    """Reductions by KeOps' names: over the components (axis=-1), i or j.

    Without an axis, those of tensors of several components are over these, as in KeOps, and lazy; of tensors of shape (..., M, N)
    they are over all pairs, as NumPy's, and a number.

    Options are those of `skkeops.Genred` and of its call: ``K.sum(axis=1, rtol=1e-6)`` leaves out what provably does not matter.
    """

    __slots__ = ()

    def sum(self, axis=None, dim=None, **options):
        """Return the sum over the components (axis=-1, lazily), i or j."""
        axis = _axis(axis, dim)
        if axis is None and self.ndim == 1:
            return self._total("Sum", np.sum, options)
        return self._apply(ops.Sum.build) if _is_last(self, axis) else self._reduce("Sum", axis, **options)

    def sum_reduction(self, axis=None, dim=None, **options):
        """Return the sum over i or j."""
        return self._reduce("Sum", _axis(axis, dim), **options)

    def mean(self, axis=None, dim=None, **options):
        """Return the mean over the components (axis=-1, lazily), i or j."""
        axis = _axis(axis, dim)
        if axis is None and self.ndim == 1:
            return self.sum(**options) / math.prod(self.shape)
        if _is_last(self, axis):
            return self.sum(-1) / self.ndim
        return self.sum(axis, **options) / (self._shape[axis] or 1)

    def var(self, axis=-1, dim=None, ddof=0, **options):
        """Return the variance over the components (axis=-1, lazily), i or j: squared distances from the mean, over n - ddof."""
        axis = _axis(axis, dim)
        given = next((name for name in ("rtol", "atol") if options.get(name)), None)
        if given is not None:  # the mean that is subtracted has an error of its own
            raise ValueError(f"{given}={options[given]!r} is for sums: a variance has no tolerance")
        place = None if _is_last(self, axis) else self._reduced_axis(axis) + len(self.batch)
        n = self.ndim if place is None else self._shape[place] or 1
        if not ddof < n:
            raise ValueError(f"ddof must be less than the number of values, {n}: found {ddof!r}")
        if place is None:
            return (self - self.mean(-1)).sqnorm2() / (n - ddof)
        # two passes, as the difference of the mean of squares and the square of the mean cancels
        kept = [1 if k == place else length for k, length in enumerate(self.shape)]
        difference = self - self.mean(axis, **options).reshape(kept)
        squares = difference.abs().square() if self.is_complex else difference.square()
        return squares.sum(axis, **options) / (n - ddof)

    def std(self, axis=-1, dim=None, ddof=0, **options):
        """Return the standard deviation over the components (axis=-1, lazily), i or j: the square root of `var`."""
        return self.var(axis, dim, ddof, **options) ** 0.5

    def prod(self, axis=-1, dim=None):
        """Return the product of the components, axis=-1."""
        axis = _axis(axis, dim)
        if not _is_last(self, axis):
            raise ValueError(f"a product is one of the components, axis=-1: found axis={axis!r}")
        return self._apply(ops.Prod.build)

    def logsumexp(self, axis=None, dim=None, weight=None, return_sign=False, **options):
        """Return the logarithm of the sum of exponentials over i or j, weighted if there is a weight.

        Parameters
        ----------
        axis, dim : int
            The axis that is reduced.
        weight : LazyTensor or array-like, optional
            What the exponentials are multiplied by. Where the sum is negative, its logarithm is NaN.
        return_sign : bool, default=False
            Whether to return a pair: the logarithm of the sum's absolute value, and the sum's sign (-1, 0 or 1), as
            `scipy.special.logsumexp` does. Both are NaN where the largest exponent is infinite.
        **options
            Further options of `skkeops.Genred`, or of its call.
        """
        axis = _axis(axis, dim)
        if not return_sign:
            return self._reduce("LogSumExp", axis, weight=weight, **options)
        state = self._reduce("Max_SumShiftExp", axis, weight=weight, **options)
        if callable(state):
            raise ValueError("return_sign=True needs arrays: found a tensor without them, or call=False")
        largest, total = state[..., :1], state[..., 1:]
        with np.errstate(divide="ignore"):
            return largest + np.log(np.abs(total)), np.sign(total)

    logsumexp_reduction = logsumexp

    def sumsoftmaxweight(self, weight, axis=None, dim=None, **options):
        """Return the mean of a weight with the softmax of the tensor over i or j."""
        return self._reduce("SumSoftMaxWeight", _axis(axis, dim), weight=weight, **options)

    sumsoftmaxweight_reduction = sumsoftmaxweight

    def min(self, axis=None, dim=None, **options):
        """Return the least value over the components, i or j."""
        axis = _axis(axis, dim)
        if axis is None and self.ndim == 1:
            return self._total("Min", np.min, options)
        return self._apply(ops.Min.build) if _is_last(self, axis) else self._reduce("Min", axis, **options)

    def max(self, axis=None, dim=None, **options):
        """Return the largest value over the components, i or j."""
        axis = _axis(axis, dim)
        if axis is None and self.ndim == 1:
            return self._total("Max", np.max, options)
        return self._apply(ops.Max.build) if _is_last(self, axis) else self._reduce("Max", axis, **options)

    def argmin(self, axis=None, dim=None, **options):
        """Return the index of the least value over the components, i or j."""
        axis = _axis(axis, dim)
        if axis is None and self.ndim == 1:
            raise ValueError(f"argmin of a LazyTensor of shape {self.shape} needs an axis: an index of all pairs is not one number")
        return self._apply(ops.ArgMin.build) if _is_last(self, axis) else self._reduce("ArgMin", axis, **options)

    def argmax(self, axis=None, dim=None, **options):
        """Return the index of the largest value over the components, i or j."""
        axis = _axis(axis, dim)
        if axis is None and self.ndim == 1:
            raise ValueError(f"argmax of a LazyTensor of shape {self.shape} needs an axis: an index of all pairs is not one number")
        return self._apply(ops.ArgMax.build) if _is_last(self, axis) else self._reduce("ArgMax", axis, **options)

    def min_reduction(self, axis=None, dim=None, **options):
        """Return the least value over i or j."""
        return self._reduce("Min", _axis(axis, dim), **options)

    def max_reduction(self, axis=None, dim=None, **options):
        """Return the largest value over i or j."""
        return self._reduce("Max", _axis(axis, dim), **options)

    def argmin_reduction(self, axis=None, dim=None, **options):
        """Return the index of the least value over i or j."""
        return self._reduce("ArgMin", _axis(axis, dim), **options)

    def argmax_reduction(self, axis=None, dim=None, **options):
        """Return the index of the largest value over i or j."""
        return self._reduce("ArgMax", _axis(axis, dim), **options)

    def min_argmin(self, axis=None, dim=None, **options):
        """Return the least value over i or j, and its index."""
        return self._reduce("Min_ArgMin", _axis(axis, dim), **options)

    min_argmin_reduction = min_argmin

    def max_argmax(self, axis=None, dim=None, **options):
        """Return the largest value over i or j, and its index."""
        return self._reduce("Max_ArgMax", _axis(axis, dim), **options)

    max_argmax_reduction = max_argmax

    def Kmin(self, K, axis=None, dim=None, **options):  # noqa: N802, N803 (KeOps' names)
        """Return the K least values over i or j."""
        return self._reduce("KMin", _axis(axis, dim), opt_arg=K, **options)

    Kmin_reduction = Kmin

    def argKmin(self, K, axis=None, dim=None, **options):  # noqa: N802, N803
        """Return the indices of the K least values over i or j."""
        return self._reduce("ArgKMin", _axis(axis, dim), opt_arg=K, **options)

    argKmin_reduction = argKmin

    def Kmin_argKmin(self, K, axis=None, dim=None, **options):  # noqa: N802, N803
        """Return the K least values over i or j, and their indices."""
        return self._reduce("KMin_ArgKMin", _axis(axis, dim), opt_arg=K, **options)

    Kmin_argKmin_reduction = Kmin_argKmin

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

    def _reduce(
        self,
        op: str,
        axis: int | None,
        *,
        weight: Any = None,
        opt_arg: int | None = None,
        call: bool = True,
        **options: Any,
    ) -> Any:
        """Return a reduction over i (axis 0) or j (axis 1)."""
        axis = self._reduced_axis(axis)
        symbols, g = self.symbols, None
        if weight is not None:
            weight = self._operand(weight)
            symbols = {**symbols, **weight.symbols}
            common_rows(self, weight)  # raises if they do not fit
            g = weight.expression
            if weight.is_complex:
                if op != "SumSoftMaxWeight":
                    raise TypeError(f"the weight of {op} must be real: found a complex tensor")
                weight, axis = weight._as_real(lambda f: f), axis + len(self.batch)
                return complex_result(self._reduce(op, axis, weight=weight, opt_arg=opt_arg, call=call, **options))
        if self.ranges is not None:
            options["ranges"] = same("ranges", options.get("ranges"), self.ranges)
        if self.backend is not None and options.get("backend") is None:
            options["backend"] = self.backend
        ordered = in_order(symbols.values())
        if options:
            options = {name: value for name, value in options.items() if value is not None}
        if all(s.array is not None for s in ordered):

            def run() -> Any:
                return reduce(ordered, self.expression, g, op, axis, opt_arg, options)

            return run() if call else run
        return symbolic(ordered, self.expression, g, op, axis, opt_arg, options)

    def _total(self, op: str, total: Any, options: dict[str, Any]) -> Any:
        """Return a reduction over all pairs: over j, and then over what is left, in float64."""
        if any(s.array is None for s in self.symbols.values()) or not {*options} <= _OPTIONS_OF_TOTALS:
            given = f" with {', '.join(sorted(options))}=" if options else " of variables without arrays"
            raise ValueError(f"a reduction{given} needs an axis: i (axis={len(self.batch)}) or j (axis={len(self.batch) + 1})")
        found = self._reduce(op, len(self.batch) + 1, **options)
        return total(found, dtype=np.result_type(found.dtype, np.float64)).astype(found.dtype) if op == "Sum" else total(found)

    def _reduced_axis(self, axis: Any) -> int:
        first = len(self.batch)
        if not _is_integer(axis) or axis not in (first, first + 1):
            raise ValueError(
                f"a LazyTensor of shape {self.shape} is reduced over i (axis={first}) or j (axis={first + 1}): "
                f"found axis={axis!r}"
            )
        return axis - first


_OPTIONS_OF_TOTALS = {"backend", "device_id", "dtype_acc", "progress", "ranges", "rtol", "sum_scheme", "use_double_acc"}


def _axis(axis: Any, dim: Any) -> Any:
    return axis if dim is None else dim


def _is_last(tensor: Methods, axis: Any) -> bool:
    return axis is None or _is_integer(axis) and (axis == -1 or axis == len(tensor.batch) + 2)


def _is_integer(axis: Any) -> bool:
    return isinstance(axis, (int, np.integer)) and not isinstance(axis, bool)
