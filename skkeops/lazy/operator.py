"""Products, sums and multiples of lazy tensors, as SciPy's linear operators: nothing is stored, nothing computed yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from skkeops.arrays.devices import as_array, is_on_device

if TYPE_CHECKING:
    from .tensor import LazyTensor

__all__ = ["LazyOperator", "as_operator"]

Product = Callable[[np.ndarray], np.ndarray]


class LazyOperator(LinearOperator):
    """A matrix that is known by its products: a lazy tensor, or products, sums and multiples of such.

    It is one of SciPy's `scipy.sparse.linalg.LinearOperator`, made by ``K.operator``, or by ``K @ L`` for two lazy tensors.
    ``+``, ``-``, ``*`` (numbers), ``@`` and ``**`` (whole numbers) make others, with LazyTensors, SciPy's operators and
    sparse arrays too; ``@`` with an array computes.

    Parameters
    ----------
    shape : tuple of int
        (M, N).
    dtype : dtype
    product, adjoint : callable
        Return ``A @ v`` and ``A.T @ v`` for arrays of shape (N, k) and (M, k).
    text : str
        What it is, for `repr`.
    level : int
        What the text is, which decides where it needs parentheses: 0 a sum, 1 a product, 2 a name.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import Vi, Vj
    >>> x = np.array([[1.0], [2.0]])
    >>> K = Vi(x) + Vj(x)
    >>> K @ K.T
    LazyOperator(shape=(2, 2), dtype=float64, (x0+y0) @ (y0+x0))
    >>> K @ K.T @ np.array([1.0, 0.0])
    array([13., 18.])
    """

    def __init__(self, shape: tuple[int, int], dtype: Any, product: Product, adjoint: Product, text: str, level: int = 2):
        super().__init__(np.dtype(dtype), shape)
        self._product, self._reverse, self._text, self._level = product, adjoint, text, level

    def _matmat(self, X: np.ndarray) -> np.ndarray:  # noqa: N803 (SciPy's name)
        return self._product(X)

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._product(x.reshape(-1, 1))[:, 0]

    def _rmatmat(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        return _conjugate(self._reverse)(X)

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self._rmatmat(x.reshape(-1, 1))[:, 0]

    def _transpose(self) -> LazyOperator:
        return LazyOperator(self.shape[::-1], self.dtype, self._reverse, self._product, f"{self._in(2)}.T")

    def _adjoint(self) -> LazyOperator:
        if self.dtype.kind != "c":
            return self._transpose()
        products = _conjugate(self._reverse), _conjugate(self._product)
        return LazyOperator(self.shape[::-1], self.dtype, *products, f"{self._in(2)}.H")

    def dense(self) -> np.ndarray:
        """Return the matrix: the product with the identity."""
        return self._product(np.eye(self.shape[1], dtype=self.dtype))

    def _in(self, level: int) -> str:
        return self._text if self._level >= level else f"({self._text})"

    def __matmul__(self, other: Any) -> Any:
        if is_on_device(other):  # SciPy takes NumPy's arrays alone
            return self._product(other[:, None])[:, 0] if other.ndim == 1 else self._product(other)
        if isinstance(other, np.ndarray):
            return self.dot(other)
        b = as_operator(other)
        if self.shape[1] != b.shape[0]:
            raise ValueError(f"the inner sizes of a product must be equal: found shapes {self.shape} and {b.shape}")
        return LazyOperator(
            (self.shape[0], b.shape[1]),
            np.result_type(self.dtype, b.dtype),
            lambda v: self._product(b._product(v)),
            lambda v: b._reverse(self._reverse(v)),
            f"{self._in(1)} @ {b._in(1)}",
            1,
        )

    def __rmatmul__(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            other = np.asarray(other)
            return self._reverse(other[:, None])[:, 0] if other.ndim == 1 else self._reverse(other.T).T
        return as_operator(other) @ self

    def __add__(self, other: Any) -> LazyOperator:
        b = as_operator(other)
        if self.shape != b.shape:
            raise ValueError(f"the terms of a sum must have one shape: found {self.shape} and {b.shape}")
        return LazyOperator(
            self.shape,
            np.result_type(self.dtype, b.dtype),
            lambda v: self._product(v) + b._product(v),
            lambda v: self._reverse(v) + b._reverse(v),
            f"{self._text} + {b._text}",
            0,
        )

    def __radd__(self, other: Any) -> LazyOperator:
        return as_operator(other) + self

    def __sub__(self, other: Any) -> LazyOperator:
        return self + -1 * as_operator(other)

    def __rsub__(self, other: Any) -> LazyOperator:
        return as_operator(other) - self

    def __neg__(self) -> LazyOperator:
        return -1 * self

    def __mul__(self, other: Any) -> LazyOperator:
        if isinstance(other, bool) or not isinstance(other, (int, float, complex, np.number)):
            raise TypeError(f"an operator is multiplied by numbers, and by others with @: found {type(other).__name__}")
        factor = complex(other) if isinstance(other, (complex, np.complexfloating)) else float(other)
        return LazyOperator(
            self.shape,
            np.result_type(self.dtype, np.complex64) if isinstance(factor, complex) else self.dtype,
            lambda v: factor * self._product(v),
            lambda v: factor * self._reverse(v),
            f"{factor:g} * {self._in(1)}",
            1,
        )

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> LazyOperator:
        return self * (1 / other)

    def __pow__(self, n: Any) -> LazyOperator:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1 or self.shape[0] != self.shape[1]:
            raise ValueError(f"powers are those of square operators with n = 1, 2, ...: found shape {self.shape}, n={n!r}")

        def times(product: Product) -> Product:
            def power(v: np.ndarray) -> np.ndarray:
                for _ in range(n):
                    v = product(v)
                return v

            return power

        return LazyOperator(self.shape, self.dtype, times(self._product), times(self._reverse), f"{self._in(2)}**{n}")

    def __repr__(self) -> str:
        text = self._text if len(self._text) < 300 else self._text[:297] + "..."
        return f"LazyOperator(shape={self.shape}, dtype={self.dtype}, {text})"


def _conjugate(product: Product) -> Product:
    """Return the product with the conjugate matrix."""
    return lambda v: product(v.conj()).conj() if np.iscomplexobj(v) else product(v).conj()


def as_operator(a: Any) -> LazyOperator:
    """Return a LazyTensor, an operator of SciPy's, a sparse array or a matrix as a LazyOperator."""
    if isinstance(a, LazyOperator):
        return a
    if hasattr(a, "symbols") and hasattr(a, "expression"):
        return _of_tensor(a)
    if isinstance(a, (int, float, complex, np.number)):
        raise TypeError("a number is not an operator: multiples of the identity are c * scipy.sparse.identity(n)")
    other = aslinearoperator(a)
    if other.dtype is not None and other.dtype.kind not in "fiubc":
        raise TypeError(f"operators are made of numbers: found dtype {other.dtype}")
    dtype = np.float64 if other.dtype is None or other.dtype.kind not in "fc" else other.dtype
    return LazyOperator(other.shape, dtype, other.matmat, _conjugate(other.rmatmat), f"{type(a).__name__}{other.shape}")


def _of_tensor(tensor: LazyTensor) -> LazyOperator:
    if tensor.ndim != 1 or tensor.batch or None in tensor._rows:
        raise ValueError(
            f"an operator is a tensor of points i and j, of one component, without batch dimensions: found shape {tensor.shape}"
        )
    dtype = tensor.dtype
    transposed = tensor.t()

    def product(of: LazyTensor) -> Product:
        def times(v: np.ndarray) -> np.ndarray:
            v = as_array(v)
            of_v = np.result_type(dtype, np.complex64) if v.dtype.kind == "c" else dtype
            return of @ v.astype(of_v, order="C", copy=False)

        return times

    return LazyOperator(tensor.shape, dtype, product(tensor), product(transposed), f"({tensor.formula})", 2)
