"""Choices between pairs: by a condition, or by their indices, with nothing stored for a pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skkeops.arrays.devices import computing, is_on_device, namespace_of
from skkeops.formula import operations as ops
from skkeops.formula.expression import Constant, Expression, I, J

from .symbols import symbol

if TYPE_CHECKING:
    from .leaves import Leaf
    from .tensor import LazyTensor

__all__ = ["band", "choose", "is_condition", "select", "tril", "triu", "truth"]

_COMPARISONS = (ops.Equal, ops.NotEqual, ops.LessThan, ops.LessOrEqual)
_UNIT = 4096  # float32 holds the quotient and the rest of an index up to 2^36 exactly


def select(condition: LazyTensor, a: Any, b: Any) -> LazyTensor:
    """Return a where a tensor is not 0, b elsewhere; see `skkeops.where`."""
    among = [t for t in (a, b) if hasattr(t, "symbols")]
    return condition._apply(choose, condition._operand(a, *among), condition._operand(b, *among))


def choose(c: Expression, a: Expression, b: Expression) -> Expression:
    """Return ``a`` where ``c`` is not 0, else ``b``."""
    return ops.IfElse.build(truth(c) - Constant(0.5), a, b)


def truth(c: Expression) -> Expression:
    """Return 1 where ``c`` is not 0, else 0."""
    return c if type(c) in _COMPARISONS else ops.NotEqual.build(c, 0)


def is_condition(tensor: LazyTensor) -> bool:
    """Return whether a tensor is a comparison, or holds booleans."""
    s = tensor.symbols.get(tensor.expression)  # type: ignore[call-overload]
    return type(tensor.expression) in _COMPARISONS or (s is not None and getattr(s.array, "dtype", None) == np.bool_)


def tril(tensor: LazyTensor, k: int = 0, fill: Any = 0) -> LazyTensor:
    """Return the tensor where ``j <= i + k``, `fill` elsewhere; see `LazyTensor.tril`."""
    return select(_behind(tensor, k, "tril") >= 0, tensor, fill)


def triu(tensor: LazyTensor, k: int = 0, fill: Any = 0) -> LazyTensor:
    """Return the tensor where ``j >= i + k``, `fill` elsewhere; see `LazyTensor.triu`."""
    return select(_behind(tensor, k, "triu") <= 0, tensor, fill)


def band(tensor: LazyTensor, lower: int, upper: int, fill: Any = 0) -> LazyTensor:
    """Return the tensor where ``i - lower <= j <= i + upper``, `fill` elsewhere; see `LazyTensor.band`."""
    inside = (_behind(tensor, upper, "band") >= 0) * (_behind(tensor, -_integer(lower, "lower"), "band") <= 0)
    return select(inside, tensor, fill)


def _behind(tensor: LazyTensor, k: int, name: str) -> LazyTensor:
    """Return a tensor with the sign of ``i + k - j``.

    An index is a quotient and a rest, which float32 holds exactly. The difference of two quotients, times the unit, is exact too,
    and if it is not 0 it is larger than any difference of rests. So the sum has the right sign, although it rounds.
    """
    m, n = tensor._rows
    if m is None or n is None:
        raise ValueError(f"{name} needs a tensor of points i and points j: found shape {tensor.shape}")
    arrays = [s.array for s in tensor.symbols.values()]
    xp = namespace_of(*arrays)
    with computing(a for a in arrays if xp is np or is_on_device(a)):
        rows, columns = _index(m, _integer(k, "k"), I, xp), _index(n, 0, J, xp)
    real = tensor._kinds["real"]
    difference = real._of(*rows) - real._of(*columns)
    return difference[0] * _UNIT + difference[1]


def _index(n: int, k: int, category: int, xp: Any) -> Leaf:
    """Return the quotients and the rests of the indices k, k + 1, ..., k + n - 1."""
    quotient, rest = np.divmod(xp.arange(n, dtype=np.int64) + k, _UNIT)
    s = symbol(np.stack([quotient, rest], axis=1).astype(np.float32), category)
    return s.variable, {s.variable: s}, s.sizes


def _integer(k: Any, name: str) -> int:
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or abs(int(k)) >= 1 << 35:
        raise ValueError(f"{name} must be an integer: found {k!r}")
    return int(k)
