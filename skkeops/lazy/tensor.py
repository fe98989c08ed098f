"""LazyTensor: an array indexed by pairs (i, j) that is a formula, until it is reduced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from skkeops.arrays.conversion import common_dtype
from skkeops.formula.derivative import substitute
from skkeops.formula.errors import FormulaError
from skkeops.formula.expression import Expression, Variable

from .complex_numbers import holds_complex
from .leaves import beside, leaf, operand
from .methods import (
    Arithmetic,
    Calculus,
    Choices,
    ComplexNumbers,
    Functions,
    LinearAlgebra,
    Parts,
    Protocols,
    Reductions,
    Vectors,
    common_rows,
    same,
)
from .reduction import batch_shape
from .symbols import Symbol, symbol

__all__ = ["LazyTensor", "as_tensor"]


class LazyTensor(
    Arithmetic, Functions, Vectors, Choices, Parts, Reductions, LinearAlgebra, Calculus, ComplexNumbers, Protocols
):
    """An array of shape (M, N, D), or (..., M, N, D), that is a formula of points x_i, y_j and parameters.

    It takes the place of KeOps' ``pykeops.numpy.LazyTensor``: written like a NumPy array with broadcasting, evaluated
    when it is reduced over i or j, without ever being stored.

    Parameters
    ----------
    x : array-like, number, tuple of int, or LazyTensor
        An array of shape (..., M, 1, D) holds points x_i, (..., 1, N, D) points y_j, (..., 1, 1, D) parameters, (..., M, N, D)
        values of pairs; with `axis`, (..., M, D) will do. One of shape (D,), a list or a number is a parameter. A tuple
        ``(position, dim, category)`` is a variable that is given at the call of the reduction.
    axis : {0, 1, 2, (0, 1)}, optional
        For arrays of shape (..., n, D): 0 for points x_i, 1 for y_j, 2 for parameters. (0, 1) for values of pairs, of shape
        (M, N) or (..., M, N, D), see `Vij`.
    is_complex : bool, default=False
        Return a `ComplexLazyTensor`, as complex arrays do in any case.

    Attributes
    ----------
    shape : tuple of int
        (..., M, N), or (..., M, N, D) if D is not 1; None for a size that is not known, 1 for one that broadcasts.
    ndim : int
        The number of components D.
    expression : Expression
        The formula.
    ranges : sequence of six arrays, or None
        The blocks of pairs that reductions visit, as for `Genred`; those of every problem of a batch. To be set.
    backend : str or None
        The backend of reductions, as for `Genred`. To be set.

    Raises
    ------
    ValueError
        If a shape is invalid, or those of two operands do not fit.
    TypeError
        If something is not an array of real numbers.

    Notes
    -----
    NumPy's functions and operators apply: ``np.exp(K)``, ``np.where(mask, K, 0)``, ``np.sum(K, axis=1)``, ``K * mask``.

    Arrays beside a tensor broadcast with its `shape` as NumPy's do: with (..., M, N), arrays (M, 1), (1, N), (M, N) and (B, 1, 1);
    with (..., M, N, D), the last axis is that of the components. Three things differ. A vector (D,) is always a parameter of D
    components, as in KeOps: beside a tensor of shape (M, N), a row is ``v[None, :]``. An array with more axes than a tensor of
    one component may have components last, (M, 1, D) as `LazyTensor` takes them, or a batch first, (B, 1, 1); where both fit, it
    is refused. Beside several components so is an array (n, D), which is ``Vi(a)`` or ``Vj(a)``. An axis of the tensor's own i or
    j is not stretched.

    ``np.asarray(K)`` computes all values where these are at most 10^8 numbers; where they are more,
    it raises a ValueError that says how many, and `dense` has to be called by name. ``K @ L``, for two tensors of points i
    and j, stays lazy: see `operator`.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import LazyTensor
    >>> x, y = np.zeros((4, 2)), np.ones((3, 2))
    >>> x_i, y_j = LazyTensor(x[:, None, :]), LazyTensor(y[None, :, :])
    >>> K = (-((x_i - y_j) ** 2).sum(-1)).exp()
    >>> K.shape
    (4, 3)
    >>> (K @ np.ones(3)).round(4)
    array([0.406, 0.406, 0.406, 0.406])
    >>> K.sum(axis=1).shape
    (4, 1)
    """

    __slots__ = ("_rows", "backend", "expression", "ranges", "symbols")

    _rows: tuple[int | None, int | None]
    backend: str | None
    expression: Expression
    ranges: Any
    symbols: dict[Variable, Symbol]

    def __new__(cls, x: Any = None, axis: Any = None, is_complex: bool = False) -> LazyTensor:
        if isinstance(x, LazyTensor) and not is_complex:
            return x
        if is_complex or holds_complex(x):
            return cls._kinds["complex"](x, axis)
        found = leaf(x, axis)
        return cls._of(*found)

    @classmethod
    def _of(
        cls,
        expression: Expression,
        symbols: dict[Variable, Symbol],
        rows: tuple[int | None, int | None],
        ranges: Any = None,
        backend: str | None = None,
    ):
        tensor = object.__new__(cls)
        tensor.ranges = ranges
        tensor.backend = backend
        tensor.expression = expression
        tensor.symbols = symbols
        tensor._rows = rows
        return tensor

    # Shapes

    @property
    def ndim(self) -> int:
        """The number of components D of a value."""
        return self.expression.dim

    def dim(self) -> int:
        """Return the number of axes, the components counted, as KeOps does."""
        return len(self._shape)

    @property
    def batch(self) -> tuple[int, ...]:
        """The batch dimensions."""
        return batch_shape(self.symbols.values())

    @property
    def _shape(self) -> tuple[int | None, ...]:
        return (*self.batch, *(1 if n is None else n for n in self._rows), self.ndim)

    @property
    def shape(self) -> tuple[int, ...]:
        """(..., M, N), or (..., M, N, D) if D is not 1."""
        shape = self._shape
        return shape[:-1] if shape[-1] == 1 else shape

    @property
    def dtype(self) -> np.dtype | None:
        """The dtype of the result of a reduction; None if the tensor has no array."""
        known = [(s.array, False) for s in self.symbols.values() if s.array is not None]
        return common_dtype(known) if known else None

    @property
    def variables(self) -> tuple[Any, ...]:
        """The arrays that it is made of; None for those that are given at the call."""
        return tuple(s.array for s in self.symbols.values())

    @property
    def formula(self) -> str:
        """The formula as text. Points i are called x0, x1, ..., points j y0, ..., parameters p0, ..., values of pairs w0, ...."""
        names: dict[Variable, str] = {}
        for v in self.symbols:
            names[v] = f"{'xypw'[v.category]}{sum(w.category == v.category for w in names)}"
        try:
            return self.expression.to_text(names)
        except FormulaError:
            return self.expression.name

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

    # Pickles

    def __getstate__(self) -> Any:
        return self.expression, list(self.symbols.items()), self._rows, self.ranges, self.backend

    def __reduce__(self) -> Any:
        leaves = tuple((v, s.array) for v, s in self.symbols.items())
        return _rebuild, (self.expression, leaves, self._rows, self.ranges, self.backend)

    # Building

    def _apply(self, build: Callable[..., Expression], *others: Any, params: Sequence[Any] = ()) -> LazyTensor:
        """Return the tensor of an operation on this one and others."""
        symbols, rows, ranges, backend = self.symbols, self._rows, self.ranges, self.backend
        if not others:
            return self._of(_built(build, self.expression, *params), symbols, rows, ranges, backend)
        arguments = [self.expression]
        for other in others:
            other = as_tensor(other, self, *others)
            if other.is_complex is not self.is_complex:
                return self._as_complex()._apply(build, *others, params=params)
            arguments.append(other.expression)
            if not other.symbols:
                continue
            if other.symbols is not symbols:
                symbols = {**symbols, **other.symbols}
            if rows != other._rows:
                rows = common_rows(self, other, rows)
            if other.ranges is not None:
                ranges = same("ranges", ranges, other.ranges)
            if other.backend is not None:
                backend = same("backend", backend, other.backend)
        if symbols is not self.symbols:
            batch_shape(symbols.values())  # raises if the batch dimensions do not fit
        return self._of(_built(build, *arguments, *params), symbols, rows, ranges, backend)

    def _operand(self, x: Any, *others: Any) -> LazyTensor:
        return as_tensor(x, self, *others)


LazyTensor._kinds["real"] = LazyTensor


def as_tensor(x: Any, *others: Any) -> LazyTensor:
    """Return an operand as a tensor; `skkeops.lazy.leaves.beside` says what an array is, by the other operands."""
    if isinstance(x, LazyTensor):
        return x
    if holds_complex(x):
        return LazyTensor(*beside(x, *others))
    return LazyTensor._of(*operand(x, *others))


@lru_cache(maxsize=4096)
def _remembered(build: Callable[..., Expression], *arguments: Any) -> Expression:
    return build(*arguments)


def _built(build: Callable[..., Expression], *arguments: Any) -> Expression:
    """Return an operation on expressions. One that was built lately is not checked again: expressions are interned."""
    try:
        return _remembered(build, *arguments)
    except TypeError:  # a parameter that is a list
        return build(*arguments)


def _rebuild(expression: Expression, leaves: tuple, rows: tuple, ranges: Any = None, backend: Any = None) -> LazyTensor:
    renamed, symbols = {}, {}
    for v, array in leaves:
        if array is None:
            raise ValueError("a LazyTensor of variables without arrays cannot be pickled")
        s = symbol(array, v.category)
        renamed[v] = s.variable
        symbols[s.variable] = s
    return LazyTensor._of(substitute(expression, renamed), symbols, rows, ranges, backend)
