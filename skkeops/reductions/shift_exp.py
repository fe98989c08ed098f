"""Sums of exponentials that cannot overflow: log-sum-exp, softmax averages and their raw states.

The state is a pair (m, s) that stands for ``exp(m) * s``: m is the largest exponent of the row that is not NaN, s the
sum of ``exp(F - m) * W`` over the row. W is a column of ones (``unit_column``), then the weight formula2, or only
one of them. Where m is +inf, ``exp(inf - inf)`` counts as 1 and everything else as 0.

Without the column of ones, weights mask: a pair whose weights are all 0 has the exponent -inf, whatever its F. Otherwise a large F
that counts for nothing could be the m of its row, beside which all others underflow. In an average, 0 is a value like any other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skkeops.formula import operations as ops
from skkeops.formula.derivative import gradient, tangent
from skkeops.formula.expression import Constant

from .base import Reduction, State

_TINY = np.finfo(np.float64).tiny
_LARGEST_EXPONENT = 88  # of a number in float32


class ShiftExp(Reduction):
    """Common part of the reductions over the state (m, s)."""

    fold = "shift_exp"
    unit_column = True

    def values(self, formula, formula2=None):
        if formula.dim != 1:
            raise ValueError(
                f"formula must be scalar for reduction_op={self.name!r}: found dim {formula.dim}, expected 1"
            )
        values = super().values(formula, formula2)
        return values if self.unit_column else (_masked(*values), *values[1:])

    def width(self, dims: tuple[int, ...]) -> int:
        """Return the number of columns of s."""
        return int(self.unit_column) + (dims[1] if len(dims) > 1 else 0)

    def output_dim(self, dims: tuple[int, ...]) -> tuple[int, ...]:
        return (dims[1] if len(dims) > 1 else 1,)

    def identity(self, rows: int, dims: tuple[int, ...]) -> State:
        return np.full((rows, 1), -np.inf), np.zeros((rows, self.width(dims)))

    def reduce(self, values: tuple[np.ndarray, ...], first_index: int = 0) -> State:
        exponent = np.asarray(values[0], dtype=np.float64)
        rows, cols, _ = exponent.shape
        if cols == 0:
            return self.identity(rows, tuple(v.shape[2] for v in values))
        with np.errstate(over="ignore", invalid="ignore"):
            m = np.where(np.isnan(exponent), -np.inf, exponent).max(axis=1)
            weights = relative(exponent, m[:, None, :])
            columns = [weights.sum(axis=1)] if self.unit_column else []
            columns += [(weights * value).sum(axis=1) for value in values[1:]]
        return m, np.concatenate(columns, axis=1)

    def combine(self, a: State, b: State) -> State:
        m = np.fmax(a[0], b[0])
        with np.errstate(over="ignore", invalid="ignore"):
            return m, a[1] * relative(a[0], m) + b[1] * relative(b[0], m)

    def result(self, m: Any, s: Any, unit: Any) -> Any:
        """Return what the user sees of a state, in terms of NumPy's functions and operators.

        This is the only definition of it. Kernels of a GPU write those functions (`skkeops.backends.cuda.folds.tracing`); if it
        calls others, it is applied to the arrays on the device that hold the state.

        Parameters
        ----------
        m : ndarray of shape (rows, 1)
            The reference of the exponents.
        s : ndarray of shape (rows, D)
            The sums of ``exp(F - m) * G``, or of ``exp(F - m)`` without a weight.
        unit : ndarray of shape (rows, 1)
            The sums of ``exp(F - m)``, if `unit_column`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `result`")

    def finalize(self, state: State, dtype: np.dtype) -> Any:
        m, s = state
        unit = s[:, :1]
        found = self.result(m, s[:, 1:] if self.unit_column and s.shape[1] > 1 else s, unit)
        return found if found.dtype is dtype else found.astype(dtype)

    def saved_dims(self, dims: tuple[int, ...]) -> tuple[int, ...]:
        return (1,)

    def save(self, state: State, dtype: np.dtype):
        # exp(F - m) <= 1 whatever the weights, so the shift is m and not the logarithm of the sum; what is
        # left, 1/s, goes to the row factor together with the rounding of m to the dtype of the data. A row of
        # -inf, or one whose sum is zero, gets no gradient: the shift +inf makes its exponentials 0.
        m, s = state
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.where(m == -np.inf, np.inf, m).astype(dtype)
            rounding = np.where(np.isfinite(m), np.exp(shift - m), 1.0)
            sums = self._sums(s)
            scale = np.where(sums == 0, 0.0, rounding / sums)
        return (shift,), scale

    def _sums(self, s: np.ndarray) -> np.ndarray:
        """Return the columns of s that the result divides by."""
        return s


class LogSumExp(ShiftExp):
    r"""The stable ``c_i = log sum_j exp F(x_i, y_j)`` of a scalar formula, shape (M, 1).

    A row of -inf, or an empty one, gives -inf; a row with +inf gives +inf, one with NaN gives NaN. Entries of
    -inf are masks: they add nothing. With a weight, see `LogSumExpWeight`.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops.reductions import LogSumExp
    >>> exponents = np.log([[1.0, 2.0, 5.0]])[:, :, None]
    >>> np.exp(LogSumExp().finalize(LogSumExp().reduce((exponents,)), np.float64))
    array([[8.]])
    """

    name = "LogSumExp"
    derivative = "sum"
    tolerances = ("rtol", "atol")

    def result(self, m: Any, s: Any, unit: Any) -> Any:
        # s is at least 1, or it is 0 in a row of -inf, where m = -inf decides alone. Keeping it above 0 takes
        # half the time of silencing the logarithm.
        return m + np.log(np.maximum(s, _TINY))

    def summand(self, values):
        return values[0], Constant(1)

    def rtol_of_derivative(self, rtol):
        # Terms are divided by the sum of the forward pass: with r for both the derivative is off by at most 2 r / (1 - r).
        return rtol * (1 - rtol) / 2, rtol * (1 - rtol) / 2

    def restore(self, output: Any, partition: State | None = None) -> State:
        return output, np.where(output == -np.inf, 0.0, 1.0)

    def adjoint(self, values, variable, e, saved):
        return gradient(values[0], variable, _exp(values[0] - saved[0]) * e)

    def tangent(self, values, directions, saved):
        return _exp(values[0] - saved[0]) * tangent(values[0], directions)


class LogSumExpWeight(LogSumExp):
    r"""The stable ``c_i = log sum_j exp(F(x_i, y_j)) G(x_i, y_j)``, shape (M, dim G), for a scalar F.

    A row whose weighted sum is negative gives NaN, zero gives -inf. A pair whose weights are all 0 is masked: it counts
    for nothing, even where its F is infinite or NaN. All components of G share one m, the largest F that is not masked.

    KeOps returns the raw state (m, s) under the name ``"LogSumExpWeight"``; here it is the logarithm, the
    same as ``"LogSumExp"`` with a ``formula2``. For the state, ask for ``"Max_SumShiftExpWeight"``.
    """

    name = "LogSumExpWeight"
    unit_column = False
    needs_formula2 = True

    def result(self, m: Any, s: Any, unit: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return m + np.log(s)

    def _sums(self, s: np.ndarray) -> np.ndarray:
        return np.where(s < 0, np.nan, s)  # a negative sum has no logarithm

    def summand(self, values):
        return _bare(*values), values[1]

    def rtol_of_derivative(self, rtol):
        return 0.0, rtol  # signed weights may make the sum small beside what it may be off

    def restore(self, output: Any, partition: State | None = None) -> State:
        m = output.max(axis=1, keepdims=True)
        return m, np.where(output == -np.inf, 0.0, np.exp(output - _finite(m)))

    def adjoint(self, values, variable, e, saved):
        f, g = values
        weighted = self._exponential(f, g, saved[0]) * e
        of_exponent = gradient(_bare(f, g), variable, _dot(weighted, g))
        return _unless_masked(of_exponent, f, g) + gradient(g, variable, weighted)

    def tangent(self, values, directions, saved):
        f, g = values
        of_exponent = _unless_masked(tangent(_bare(f, g), directions), f, g)
        return self._exponential(f, g, saved[0]) * (g * of_exponent + tangent(g, directions))

    def _exponential(self, f, g, shift):
        """Return ``exp(F - shift)``, the derivative by a weight; also by a weight of 0, if it does not overflow there."""
        bare = _bare(f, g)
        known = _exp(bare - shift)
        if bare is f:
            return known
        in_range = ops.LessOrEqual.build(bare - shift, Constant(_LARGEST_EXPONENT))
        return ops.IfElse.build(_some(g) + in_range - Constant(0.5), known, Constant(0))


class SumSoftMaxWeight(ShiftExp):
    r"""The softmax average ``c_i = sum_j exp(F) G / sum_j exp(F)``, shape (M, dim G), for a scalar F.

    An empty row, one whose F is -inf everywhere, and one with an F of +inf or NaN have no average: NaN.
    """

    name = "SumSoftMaxWeight"
    aliases = ("SoftMax",)
    derivative = "sum"
    tolerances = ("rtol",)
    needs_formula2 = True

    def summand(self, values):
        return values[0], ops.Concat.build(Constant(1), values[1])

    def rtol_of_sums(self, rtol):
        # The average N / Z of the pairs that are left, where N and Z lack at most a share r of their absolute sums, is off by at
        # most (r + r / (1 - r)) A with A the average of abs(G): this r makes it at most rtol * A.
        return rtol * (1 - rtol) / 2

    def result(self, m: Any, s: Any, unit: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(m == np.inf, np.nan, s) / unit

    def restore(self, output: Any, partition: State | None = None) -> State:
        if partition is None:
            return super().restore(output)
        m, s = partition
        return m, np.concatenate([s, np.where(s == 0, 0.0, s * output)], axis=1)

    def saved_dims(self, dims: tuple[int, ...]) -> tuple[int, ...]:
        return (1, dims[1])

    def save(self, state: State, dtype: np.dtype):
        shift, scale = super().save(state, dtype)
        average = self.finalize(state, dtype)
        return (*shift, np.where(state[1][:, :1] == 0, 0.0, average).astype(dtype, copy=False)), scale

    def _sums(self, s: np.ndarray) -> np.ndarray:
        return s[:, :1]

    def adjoint(self, values, variable, e, saved):
        f, g = values
        shift, average = saved
        weight = _exp(f - shift)
        return gradient(f, variable, weight * _dot(e, g - average)) + gradient(g, variable, weight * e)

    def tangent(self, values, directions, saved):
        f, g = values
        shift, average = saved
        return _exp(f - shift) * ((g - average) * tangent(f, directions) + tangent(g, directions))


class MaxSumShiftExp(ShiftExp):
    """The raw state of a log-sum-exp, shape (M, 2): the largest F of the row, then the sum of ``exp(F -
    max)``.

    The largest F is that of those that are not NaN; the sum is NaN where any is, and where the largest is +inf. For
    code that merges partial results itself. It has no gradient; use `LogSumExp`.
    """

    name = "Max_SumShiftExp"
    aliases = ("MaxSumShiftExp",)
    returns_state = True

    def output_dim(self, dims: tuple[int, ...]) -> tuple[int, ...]:
        return (1 + self.width(dims),)

    def finalize(self, state: State, dtype: np.dtype) -> np.ndarray:
        m, s = state
        defined = np.where(m == np.inf, np.nan, s)  # inf - inf has no exponential
        return np.concatenate([m, defined], axis=1).astype(dtype, copy=False)


class MaxSumShiftExpWeight(MaxSumShiftExp):
    """The raw state of a weighted log-sum-exp, shape (M, 1 + dim G): the largest F of a pair whose weights are not all 0,
    then the sum of ``exp(F - max) G``."""

    name = "Max_SumShiftExpWeight"
    aliases = ("MaxSumShiftExpWeight",)
    unit_column = False
    needs_formula2 = True


def _finite(m: np.ndarray) -> np.ndarray:
    """Return m with its infinities replaced by 0, so that ``F - m`` is never inf - inf."""
    return np.where(np.isinf(m), 0.0, m)


def relative(exponent: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Return ``exp(exponent - m)`` for exponents up to m; of infinite ones, those that are m count as 1, others as 0."""
    result = np.exp(exponent - _finite(m))
    if (m == np.inf).any():
        result = np.where(m != np.inf, result, np.where(np.isnan(exponent), exponent, exponent == np.inf))
    return result


def _some(g):
    """Return how many components of a weight are not 0."""
    return ops.Sum.build(ops.NotEqual.build(g, Constant(0)))


def _masked(f, g):
    """Return F, -inf where all weights are 0."""
    if isinstance(g, Constant) and g.value != 0:
        return f
    return ops.IfElse.build(_some(g) - Constant(0.5), f, ops.Log.build(Constant(0)))


def _bare(f, g):
    """Return the F that `_masked` made f of, or f itself."""
    return f.args[1] if isinstance(f, ops.IfElse) and _masked(f.args[1], g) is f else f


def _unless_masked(derivative, f, g):
    """Return a derivative of F, but 0 where all weights are 0, as it may be infinite there."""
    return derivative if _bare(f, g) is f else ops.IfElse.build(f.args[0], derivative, Constant(0))


def _exp(f):
    return ops.Exp.build(f)


def _dot(f, g):
    """Return the sum over the components of f * g, for any formulas of equal dimension."""
    return ops.Sum.build(f * g)
