"""ComplexLazyTensor: lazy tensors of complex numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skkeops.arrays.conversion import is_sparse
from skkeops.arrays.devices import as_array, is_on_device
from skkeops.formula import operations as ops
from skkeops.formula.expression import Constant, Expression

from .complex_numbers import MEANINGS, complex_result, holds_complex, interleave, to_complex
from .leaves import arrange, leaf
from .symbols import symbol
from .tensor import LazyTensor, _rebuild, as_tensor

__all__ = ["ComplexLazyTensor"]

_ORDER = (ops.LessThan, ops.LessOrEqual, ops.Max, ops.Min, ops.ArgMax, ops.ArgMin)
_UNORDERED = "complex numbers have no order: take .abs(), .real or .imag first"


class ComplexLazyTensor(LazyTensor):
    """A lazy tensor of complex numbers: its values are complex arrays, its operations those of complex numbers.

    `LazyTensor`, `Vi`, `Vj` and `Pm` return one for complex arrays and numbers, and so does an operation of a real
    tensor with something complex. In formulas a complex number is two components, its real and imaginary parts.

    Parameters
    ----------
    x : array-like, number, tuple of int, or LazyTensor
        As for `LazyTensor`; real numbers become complex. In ``(position, dim, category)``, dim counts complex numbers.
    axis : {0, 1, 2, (0, 1)}, optional
        As for `LazyTensor`.

    See Also
    --------
    LazyTensor.real2complex, LazyTensor.imag2complex, LazyTensor.exp1j : Complex tensors of real ones.

    Notes
    -----
    Powers, roots and logarithms are the principal ones, as NumPy's. Sums over i and j return complex arrays; reductions
    that need an order raise. Gradients are those of ``sum(real(conj(grad_output) * output))``: where that depends on
    z = a + bi, ``dL/da + i dL/db``, PyTorch's convention.

    Examples
    --------
    A non-uniform Fourier transform, ``f_i = sum_j b_j exp(i x_i . y_j)``:

    >>> import numpy as np
    >>> from skkeops import Vi, Vj
    >>> x, y = np.zeros((3, 2)), np.ones((4, 2))
    >>> K = (Vi(x) | Vj(y)).exp1j()
    >>> K
    ComplexLazyTensor(shape=(3, 4), formula=Complex(Cos(x0|y0),Sin(x0|y0)))
    >>> K @ np.full(4, 2 - 1j)
    array([8.-4.j, 8.-4.j, 8.-4.j])
    """

    __slots__ = ()
    is_complex = True

    def __new__(cls, x: Any = None, axis: Any = None) -> ComplexLazyTensor:
        if isinstance(x, LazyTensor):
            return x if isinstance(x, ComplexLazyTensor) else x._as_complex()
        if isinstance(x, tuple) and len(x) == 3 and all(isinstance(k, (int, np.integer)) for k in x):
            position, dim, category = x
            return cls._of(*leaf((position, 2 * dim, category), None))
        if not holds_complex(x):
            return LazyTensor(x, axis)._as_complex()
        if is_sparse(x):
            return LazyTensor(x.real, axis)._as_complex() + LazyTensor(x.imag, axis).imag2complex()
        if np.ndim(x) == 0 and axis is None:
            z = complex(x)
            if np.isfinite(z):
                return cls._of(ops.Complex(Constant(z.real), Constant(z.imag)), {}, (None, None))
            x = np.array([z], dtype=np.complex64)  # a constant is a fraction, which infinity is not
        category, array = arrange(x if isinstance(x, np.ma.MaskedArray) else as_array(x), axis)
        s = symbol(interleave(array), category)
        return cls._of(s.variable, {s.variable: s}, s.sizes)

    @property
    def ndim(self) -> int:
        """The number of complex components D of a value."""
        return self.expression.dim // 2

    @property
    def dtype(self) -> np.dtype | None:
        """The dtype of the result of a reduction; None if the tensor has no array."""
        dtype = super().dtype
        return None if dtype is None else np.result_type(dtype, np.complex64)

    # Parts

    @property
    def real(self) -> LazyTensor:
        """The real parts."""
        return self._as_real(ops.ComplexReal.build)

    @property
    def imag(self) -> LazyTensor:
        """The imaginary parts."""
        return self._as_real(ops.ComplexImag.build)

    def angle(self) -> LazyTensor:
        """Return the angles in [-pi, pi], 0 at 0."""
        return self._as_real(ops.ComplexAngle.build)

    def conj(self) -> ComplexLazyTensor:
        """Return the complex conjugate."""
        return self._as_complex(ops.Conj.build)

    conjugate = conj

    def exp1j(self) -> ComplexLazyTensor:
        """Return exp(i z)."""
        return (self * 1j).exp()

    def real2complex(self) -> ComplexLazyTensor:
        """Return the tensor, which is complex already."""
        return self

    def imag2complex(self) -> ComplexLazyTensor:
        """Raise: imaginary parts are real."""
        raise TypeError("imag2complex is for real tensors: multiply a complex one by 1j")

    # Operations and reductions

    def _apply(self, build: Callable[..., Expression], *others: Any, params: Sequence[Any] = ()) -> LazyTensor:
        operation = build if build in MEANINGS else getattr(build, "__self__", None)
        if operation not in MEANINGS:
            if operation in _ORDER:
                raise TypeError(_UNORDERED)
            name = getattr(operation, "name", "this operation")
            raise TypeError(f"{name} is not defined for complex numbers: take .abs(), .real or .imag first")
        meaning, is_complex = MEANINGS[operation]
        result = super()._apply(meaning, *(ComplexLazyTensor(as_tensor(x, self, *others)) for x in others), params=params)
        return result if is_complex else result._as_real(lambda f: f)

    def _reduce(self, op: str, axis: int | None, *, weight: Any = None, out: Any = None, **options: Any) -> Any:
        if op != "Sum":
            if op in ("LogSumExp", "SumSoftMaxWeight"):
                raise TypeError(f"{op} is for real tensors; sums of complex exponentials are K.exp().sum(axis)")
            raise TypeError(_UNORDERED)
        if out is None:
            return complex_result(super()._reduce(op, axis, **options))
        if not (isinstance(out, np.ndarray) or is_on_device(out)) or out.dtype != self.dtype or not out.flags.c_contiguous:
            found = f"dtype {out.dtype}" if hasattr(out, "dtype") else type(out).__name__
            raise TypeError(f"argument 'out': found {found}, expected a contiguous array of dtype {self.dtype}")
        return complex_result(super()._reduce(op, axis, out=interleave(out), **options), out)

    def rmatvec(self, v: Any) -> Any:
        """Return K.H @ v."""
        return self.adjoint() @ v

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
        """Return the gradient of a sum of the tensor over i or j, by one of the arrays that it is made of.

        Parameters
        ----------
        wrt : ndarray or LazyTensor
            The array, real or complex, or the tensor that was made from it.
        grad_output : array-like, optional
            The gradient by the result of the sum, complex, of its shape; ones by default, for the real part of its sum.
        axis : int, optional
            The axis that is summed over; by default that of j.
        reduction : {"Sum"}
            No other is defined.
        weight, opt_arg : optional
            Of other reductions.
        ranges : sequence of six arrays, optional
            As for `Genred`.
        backend : str, optional
            As for `Genred`.

        Returns
        -------
        ndarray
            The shape of the array, complex if it is.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Vi, Vj
        >>> z, w = np.array([[1.0 + 2.0j]]), np.array([[3.0 + 1.0j]])
        >>> (Vi(z) * Vj(w)).gradient(z)
        array([[3.-1.j]])
        """
        if reduction != "Sum" or weight is not None:
            raise TypeError(_UNORDERED)
        axis = len(self.batch) + 1 if axis is None else axis
        kept = self._rows[1 - self._reduced_axis(axis)]
        e = np.ones((*self.batch, 1 if kept is None else kept, self.ndim)) if grad_output is None else grad_output
        return super().gradient(wrt, grad_output=interleave(e), axis=axis, ranges=ranges, backend=backend)

    def solve(self, *args: Any, **kwargs: Any) -> np.ndarray:
        """Raise: systems are real."""
        raise TypeError(
            "systems are solved for real tensors; for complex ones use "
            "scipy.sparse.linalg.gmres(scipy.sparse.linalg.aslinearoperator(K), b)"
        )

    # Arrays

    def dense(self) -> np.ndarray:
        """Return the tensor as a complex array of `shape`."""
        return self._squeeze(self._as_real(lambda f: f).dense())

    def diagonal(self) -> np.ndarray:
        """Return the values with i = j of a square tensor: a complex array of shape (..., M) or (..., M, D)."""
        return self._squeeze(self._as_real(lambda f: f).diagonal())

    def _squeeze(self, a: np.ndarray) -> np.ndarray:
        z = to_complex(a)
        return z[..., 0] if self.ndim == 1 else z

    def __reduce__(self) -> Any:
        return _rebuild_complex, super().__reduce__()[1]


LazyTensor._kinds["complex"] = ComplexLazyTensor


def _rebuild_complex(*state: Any) -> ComplexLazyTensor:
    tensor = _rebuild(*state)
    return tensor._as_complex(lambda f: f)
