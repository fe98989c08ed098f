"""LazyTensor: an array indexed by pairs (i, j) that is a formula, until it is reduced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from skkeops.arguments import common_dtype
from skkeops.devices import address_of, as_array, is_on_device
from skkeops.formula.derivative import substitute
from skkeops.formula.errors import FormulaError
from skkeops.formula.expression import IJ, Expression, P, Variable
from skkeops.pairs import is_stored

from .calculus import Calculus
from .complex_methods import ComplexMethods, holds_complex, interleave, to_complex
from .leaves import beside, leaf, operand
from .methods import Methods
from .numpy_api import FUNCTIONS, call_ufunc
from .reduction import batch_shape, gradient, reduce, symbolic
from .symbols import Symbol, symbol

__all__ = ["LazyTensor", "as_tensor"]

_DENSE_LIMIT = 10**8  # numbers that np.asarray may make without being asked twice


class LazyTensor(Methods, Calculus, ComplexMethods):
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
        If a shape makes no sense, or those of two operands do not fit.
    TypeError
        If something is not an array of real numbers.

    Notes
    -----
    NumPy's functions and operators apply: ``np.exp(K)``, ``np.where(mask, K, 0)``, ``np.sum(K, axis=1)``, ``K * mask`` with
    an array of shape (M, N). ``np.asarray(K)`` computes all values where these are at most 10^8 numbers; where they are more,
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

    __array_priority__ = 1000
    __slots__ = ("_rows", "backend", "expression", "ranges", "symbols")
    __iter__ = None
    __hash__ = object.__hash__

    _rows: tuple[int | None, int | None]
    backend: str | None
    expression: Expression
    ranges: Any
    symbols: dict[Variable, Symbol]

    def __new__(cls, x: Any = None, axis: Any = None, is_complex: bool = False) -> LazyTensor:
        if isinstance(x, LazyTensor) and not is_complex:
            return x
        if is_complex or holds_complex(x):
            from .complex_tensor import ComplexLazyTensor

            return ComplexLazyTensor(x, axis)
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
        """That of the result of a reduction, None if there is no array."""
        known = [(s.array, False) for s in self.symbols.values() if s.array is not None]
        return common_dtype(known) if known else None

    @property
    def variables(self) -> tuple[Any, ...]:
        """The arrays that it is made of; None for those that are given at the call."""
        return tuple(s.array for s in self.symbols.values())

    @property
    def formula(self) -> str:
        """The formula as text, x0, x1, ... for points i, y0, ... for points j, p0, ... for parameters, w0, ... for pairs."""
        names: dict[Variable, str] = {}
        for v in self.symbols:
            names[v] = f"{'xypw'[v.category]}{sum(w.category == v.category for w in names)}"
        try:
            return self.expression.to_text(names)
        except FormulaError:
            return self.expression.name

    @property
    def T(self) -> LazyTensor:  # noqa: N802 (NumPy's name)
        """The tensor with i and j exchanged."""
        return self.t()

    def t(self) -> LazyTensor:
        """Return the tensor with i and j exchanged."""
        from skkeops.cluster import swap_axes

        symbols: dict[Variable, Symbol] = {}
        renamed: dict[Expression, Expression] = {}
        for v, s in self.symbols.items():
            other = s
            if v.category != P:
                if s.array is None:
                    raise ValueError("a tensor of variables without arrays cannot be transposed: declare them the other way")
                if v.category != IJ:
                    other = symbol(s.array, 1 - v.category)
                else:
                    other = symbol(s.array.T.tocsr() if is_stored(s.array) else np.swapaxes(s.array, -3, -2), IJ)
            renamed[v] = other.variable
            symbols[other.variable] = other
        ranges = swap_axes(self.ranges)
        return self._of(substitute(self.expression, renamed), symbols, self._rows[::-1], ranges, self.backend)

    @property
    def operator(self) -> Any:
        """The tensor as one of SciPy's linear operators, a `LazyOperator`: for ``scipy.sparse.linalg``, and for products,
        sums and multiples that stay lazy.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Vi, Vj
        >>> x = np.linspace(0, 1, 5)[:, None]
        >>> K = (-((Vi(x) - Vj(x)) ** 2).sum(-1)).exp()
        >>> 0.5 * K.operator
        LazyOperator(shape=(5, 5), dtype=float64, 0.5 * (Exp(-Square(x0-y0))))
        """
        from .operator import as_operator

        return as_operator(self)

    # What other libraries ask of it

    def __bool__(self) -> bool:
        raise TypeError(
            f"a LazyTensor of shape {self.shape} has no truth value: reduce it, or compare reduced values; conditions "
            "inside of a formula are .ifelse(a, b)"
        )

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a LazyTensor holds no array that could be used without a copy")
        if int(np.prod(self.shape)) > _DENSE_LIMIT:
            raise ValueError(self._would_be())
        if any(is_on_device(s.array) for s in self.symbols.values()):
            raise TypeError(
                f"a LazyTensor of CuPy arrays, of shape {self.shape}, is not converted to a NumPy array: call .dense().get()"
            )
        found = self.dense()
        return found if dtype is None else found.astype(dtype)

    def _would_be(self) -> str:
        """Return what to say where an array is needed."""
        size = int(np.prod(self.shape))
        bytes_ = size * (8 if self.dtype is None else self.dtype.itemsize)
        return (
            f"a LazyTensor of shape {self.shape} would be an array of {size:,} numbers ({bytes_ / 1e9:,.3g} GB): reduce it "
            "(.sum(axis=1), K @ v, ...), select K[rows, columns], or call .dense()"
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return call_ufunc(LazyTensor, as_tensor, ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        ours = FUNCTIONS.get(function)
        if ours is None:
            raise TypeError(f"np.{function.__name__} is not defined for lazy tensors: {self._would_be()}")
        return ours(*args, **kwargs)

    def __repr__(self) -> str:
        text = self.formula
        return f"{type(self).__name__}(shape={self.shape}, formula={text if len(text) < 300 else text[:297] + '...'})"

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
            other = as_tensor(other, self.expression.dim)
            if other.is_complex is not self.is_complex:
                return self._as_complex()._apply(build, *others, params=params)
            arguments.append(other.expression)
            if not other.symbols:
                continue
            if other.symbols is not symbols:
                symbols = {**symbols, **other.symbols}
            if rows != other._rows:
                rows = (_common(rows[0], other._rows[0], 0, self, other), _common(rows[1], other._rows[1], 1, self, other))
            if other.ranges is not None:
                ranges = _same("ranges", ranges, other.ranges)
            if other.backend is not None:
                backend = _same("backend", backend, other.backend)
        if symbols is not self.symbols:
            batch_shape(symbols.values())  # raises if the batch dimensions do not fit
        return self._of(_built(build, *arguments, *params), symbols, rows, ranges, backend)

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
        symbols, rows, g = self.symbols, self._rows, None
        if weight is not None:
            weight = as_tensor(weight)
            symbols = {**symbols, **weight.symbols}
            rows = (_common(rows[0], weight._rows[0], 0, self, weight), _common(rows[1], weight._rows[1], 1, self, weight))
            g = weight.expression
            if weight.is_complex:
                if op != "SumSoftMaxWeight":
                    raise TypeError(f"the weight of {op} must be real: found a complex tensor")
                from .complex_tensor import complex_result

                weight, axis = weight._as_real(lambda f: f), axis + len(self.batch)
                return complex_result(self._reduce(op, axis, weight=weight, opt_arg=opt_arg, call=call, **options))
        if self.ranges is not None:
            options["ranges"] = _same("ranges", options.get("ranges"), self.ranges)
        if self.backend is not None and options.get("backend") is None:
            options["backend"] = self.backend
        ordered = sorted(symbols.values(), key=_position)
        if options:
            options = {name: value for name, value in options.items() if value is not None}
        known = (1 if rows[0] is None else rows[0], 1 if rows[1] is None else rows[1])
        if all(s.array is not None for s in ordered):

            def run() -> Any:
                return reduce(ordered, known, self.expression, g, op, axis, opt_arg, options)

            return run() if call else run
        return symbolic(ordered, self.expression, g, op, axis, opt_arg, options)

    def _reduced_axis(self, axis: Any) -> int:
        first = len(self.batch)
        if axis not in (first, first + 1):
            raise ValueError(
                f"a LazyTensor of shape {self.shape} is reduced over i (axis={first}) or j (axis={first + 1}): "
                f"found axis={axis!r}"
            )
        return axis - first

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
            The array, or the tensor that was made from it.
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
        if holds_complex(wrt) or isinstance(wrt, LazyTensor) and wrt.is_complex:
            is_tensor = isinstance(wrt, LazyTensor)
            part = wrt._as_real(lambda f: f) if is_tensor else interleave(wrt)[None]
            given = {"axis": axis, "reduction": reduction, "weight": weight, "opt_arg": opt_arg}
            given |= {"grad_output": grad_output, "ranges": ranges, "backend": backend}
            found = to_complex(LazyTensor.gradient(self, part, **given))
            return found if is_tensor else found.reshape(np.shape(wrt))
        symbols, rows, g = self.symbols, self._rows, None
        if weight is not None:
            weight = as_tensor(weight)
            if weight.is_complex:
                raise TypeError(f"the gradient of {reduction} needs a real weight: found a complex tensor")
            symbols, g = {**symbols, **weight.symbols}, weight.expression
            rows = (_common(rows[0], weight._rows[0], 0, self, weight), _common(rows[1], weight._rows[1], 1, self, weight))
        ordered = sorted(symbols.values(), key=_position)
        if isinstance(wrt, LazyTensor):
            found = [s for s in ordered if s.variable is wrt.expression]
        else:
            found = [s for s in ordered if s.array is not None and _same_memory(s.array, wrt)]
        if len(found) != 1:
            raise ValueError("wrt must be one of the arrays that the tensor is made of, or the LazyTensor of one of them")
        options = {"backend": backend or self.backend or "auto", "ranges": self.ranges}
        if ranges is not None:
            options["ranges"] = _same("ranges", ranges, self.ranges)
        known = (1 if rows[0] is None else rows[0], 1 if rows[1] is None else rows[1])
        axis = self._reduced_axis(len(self.batch) + 1 if axis is None else axis)
        result = gradient(ordered, known, self.expression, g, reduction, axis, opt_arg, found[0], grad_output, options)
        if found[0].variable.category == IJ and not is_stored(result) and np.ndim(wrt) == 2:
            return result[:, :, 0]
        return result

    def diagonal(self) -> np.ndarray:
        """Return the values with i = j of a square tensor, without the others: (..., M) or (..., M, D).

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Vi, Vj
        >>> x = np.array([[1.0], [2.0]])
        >>> (Vi(x) * Vj(x)).diagonal()
        array([1., 4.])
        """
        from .dense import diagonal

        return diagonal(self)

    def solve(
        self,
        b: Any,
        var: Any = None,
        call: bool = True,
        *,
        alpha: float = 1e-10,
        eps: float = 1e-6,
        maxiter: int | None = None,
        preconditioner: Any = None,
        n_components: int = 0,
        random_state: int = 0,
        ranges: Any = None,
        backend: str | None = None,
        **options: Any,
    ) -> Any:
        """Return the solution a of ``(K + alpha I) a = b`` for a symmetric tensor K of one component.

        Parameters
        ----------
        b : array-like of shape (M,) or (M, k), or LazyTensor
            The right-hand sides; a LazyTensor has to be one of points y_j or x_i.
        var : LazyTensor, optional
            A variable that the tensor is linear in, such as ``Vj(0, 1)``: the system is then ``sum_j K(a_j) = b``.
        call : bool, default=True
            If false, return a function without arguments that solves.
        alpha : float, default=1e-10
            The number added to the diagonal, not negative.
        eps : float, default=1e-6
            The norm of the residual, relative to that of b.
        maxiter : int, optional
            The largest number of iterations. Default: 10 M, at least 100.
        preconditioner : {"cholesky", "nystrom"} or callable, optional
            What stands for ``(K + alpha I)^-1``: from columns of K (a randomly pivoted Cholesky factor, the default where
            `n_components` is not 0), from products with random vectors (Nyström), or a function of arrays (M, k).
        n_components : int, default=0
            The rank of the preconditioner, 100 if one is asked for by name; it takes ``8 M n_components`` bytes.
        random_state : int, default=0
            For the columns, or vectors, that are drawn.
        ranges : sequence of six arrays of int, optional
            As for `Genred`.
        backend : str, optional
            As for `Genred`.
        **options
            Further options of `Genred`.

        Returns
        -------
        ndarray of the shape of b

        Warns
        -----
        RuntimeWarning
            If the residual is above `eps`, or the matrix is not positive definite.

        See Also
        --------
        skkeops.KernelSolve : The same for a formula, with gradients.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Vi, Vj
        >>> x = np.array([[0.0], [1.0]])
        >>> K = (-((Vi(x) - Vj(x)) ** 2).sum(-1)).exp()
        >>> a = K.solve(np.array([1.0, 0.0]), alpha=0.5)
        >>> np.round(K @ a + 0.5 * a, 6) + 0.0
        array([1., 0.])
        """
        from .linear import solve

        def run() -> np.ndarray:
            return solve(
                self, b, var, alpha, eps, maxiter, preconditioner, n_components, random_state, ranges, backend, options
            )

        return run() if call else run

    def dense(self) -> np.ndarray:
        """Return the tensor as an array of `shape`.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Vi, Vj
        >>> (Vi(np.array([[1.0], [2.0]])) + Vj(np.array([[10.0]]))).dense()
        array([[11.],
               [12.]])
        """
        from .dense import dense

        return dense(self)

    def __getitem__(self, key: Any) -> LazyTensor:
        """Components ``K[k]`` and ``K[a:b]``, as in KeOps, or rows and columns ``K[rows, columns]``."""
        if isinstance(key, tuple) and len(key) == 2 and key[0] is not Ellipsis:
            from .dense import restrict

            return restrict(self, key)
        if isinstance(key, tuple):
            if not key or any(k != slice(None) and k is not Ellipsis for k in key[:-1]):
                raise ValueError("K[..., k] selects components, K[rows, columns] pairs: found another index")
            key = key[-1]
        if isinstance(key, slice):
            start, stop, step = key.indices(self.ndim)
            if step != 1 or stop <= start:
                raise ValueError(f"components are selected by ranges with step 1: found {key}")
            return self.extract(start, stop - start)
        k = int(key)
        if not -self.ndim <= k < self.ndim:
            raise IndexError(f"component {k} of a tensor with {self.ndim} components")
        return self.elem(k % self.ndim)


def as_tensor(x: Any, ndim: int = 1) -> LazyTensor:
    """Return an operand, beside a tensor of `ndim` components, as a tensor."""
    if isinstance(x, LazyTensor):
        return x
    if holds_complex(x):
        return LazyTensor(*beside(x, ndim))
    return LazyTensor._of(*operand(x, ndim))


def _position(s: Symbol) -> int:
    return s.variable.params[0]


@lru_cache(maxsize=4096)
def _remembered(build: Callable[..., Expression], *arguments: Any) -> Expression:
    return build(*arguments)


def _built(build: Callable[..., Expression], *arguments: Any) -> Expression:
    """Return an operation on expressions, which are interned: what was built before need not be checked again."""
    try:
        return _remembered(build, *arguments)
    except TypeError:  # a parameter that is a list
        return build(*arguments)


def _same(name: str, a: Any, b: Any) -> Any:
    if a is None or b is None or a is b:
        return b if a is None else a
    equal = a == b if isinstance(a, str) else len(a) == len(b) and all(map(np.array_equal, a, b))
    if not equal:
        raise ValueError(f"operands have different {name}")
    return a


def _common(a: int | None, b: int | None, axis: int, left: LazyTensor, right: LazyTensor) -> int | None:
    if a is None or b is None or a == b:
        return b if a is None else a
    raise ValueError(
        f"operands have different numbers of {'rows' if axis == 0 else 'columns'}: found shapes {left.shape} and {right.shape}"
    )


def _same_memory(a: Any, b: Any) -> bool:
    if is_stored(a) or is_stored(b):
        if not (is_stored(a) and is_stored(b)) or a.shape != b.shape:
            return False
        a, b = a.data, b.data
    b = as_array(b)
    return a.size == b.size and a.dtype == b.dtype and address_of(a) == address_of(b)


def _rebuild(expression: Expression, leaves: tuple, rows: tuple, ranges: Any = None, backend: Any = None) -> LazyTensor:
    renamed, symbols = {}, {}
    for v, array in leaves:
        if array is None:
            raise ValueError("a LazyTensor of variables without arrays cannot be pickled")
        s = symbol(array, v.category)
        renamed[v] = s.variable
        symbols[s.variable] = s
    return LazyTensor._of(substitute(expression, renamed), symbols, rows, ranges, backend)
