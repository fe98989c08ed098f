"""The base of a lazy tensor's methods, and what several kinds of them need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from skkeops.formula.expression import IJ, Variable

if TYPE_CHECKING:
    from skkeops.formula.expression import Expression

    from ..symbols import Symbol
    from ..tensor import LazyTensor

__all__ = ["Methods", "common_rows", "is_operator", "same"]


class Methods:
    """The base of the classes that `LazyTensor` has its methods from, one for each kind of them.

    Operands may be LazyTensors, arrays with the shapes that `LazyTensor` takes, and numbers.
    """

    __slots__ = ()

    #: The classes of "real" and of "complex" tensors. Methods of one make tensors of the other; each class is entered here in the
    #: file that defines it, so that neither file has to import the other's.
    _kinds: ClassVar[dict[str, type[LazyTensor]]] = {}

    if TYPE_CHECKING:
        _rows: tuple[int | None, int | None]
        backend: str | None
        expression: Expression
        is_complex: bool
        ranges: Any
        symbols: dict[Variable, Symbol]

        @property
        def batch(self) -> tuple[int, ...]: ...
        @property
        def dtype(self) -> np.dtype | None: ...
        @property
        def formula(self) -> str: ...
        @property
        def ndim(self) -> int: ...
        @property
        def shape(self) -> tuple[int, ...]: ...

        def _apply(self, build: Callable[..., Expression], *others: Any, params: Sequence[Any] = ()) -> LazyTensor: ...
        @classmethod
        def _of(cls, *parts: Any) -> LazyTensor: ...
        def _operand(self, x: Any, *others: Any) -> LazyTensor: ...
        def _reduced_axis(self, axis: Any) -> int: ...
        def dense(self) -> np.ndarray: ...


def same(name: str, a: Any, b: Any) -> Any:
    """Return the one of two operands' settings that is not None; raise if both are set and differ."""
    if a is None or b is None or a is b:
        return b if a is None else a
    equal = a == b if isinstance(a, str) else len(a) == len(b) and all(map(np.array_equal, a, b))
    if not equal:
        raise ValueError(f"operands have different {name}")
    return a


def common_rows(
    left: Methods, right: Methods, rows: tuple[int | None, int | None] | None = None
) -> tuple[int | None, int | None]:
    """Return the numbers of rows and of columns that two operands have in common.

    Parameters
    ----------
    left, right : LazyTensor
    rows : tuple of (int or None), optional
        The numbers of the left operand, where other operands have said more than its own.
    """
    (m, n), (p, q) = left._rows if rows is None else rows, right._rows
    for a, b, axis in ((m, p, "rows"), (n, q, "columns")):
        if a is not None and b is not None and a != b:
            pairs = isinstance(right.expression, Variable) and right.expression.category == IJ
            hint = "; an array (M, N) holds values of pairs: points are Vi(a) or Vj(a)" if pairs else ""
            raise ValueError(
                f"operands have different numbers of {axis}: found shapes {left.shape} and {right.shape}{hint}"
            )
    return (p if m is None else m), (q if n is None else n)


def is_operator(x: Any) -> bool:
    """Return whether it is one of SciPy's linear operators, without importing them."""
    return hasattr(x, "rmatmat") and not hasattr(x, "symbols")
