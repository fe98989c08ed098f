"""Lazy tensors as matrices: transposed, products with arrays, operators, linear systems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skkeops.arrays.conversion import is_sparse
from skkeops.arrays.devices import as_array
from skkeops.cluster import swap_axes
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import IJ, Expression, P, Variable

from ..symbols import Symbol, symbol
from .base import Methods, is_operator

if TYPE_CHECKING:
    from ..tensor import LazyTensor

__all__ = ["LinearAlgebra"]


class LinearAlgebra(Methods):
    """What a matrix has: a transposed one, products, systems."""

    __slots__ = ()

    @property
    def T(self) -> LazyTensor:  # noqa: N802 (NumPy's name)
        """The tensor with i and j exchanged."""
        return self.t()

    def t(self) -> LazyTensor:
        """Return the tensor with i and j exchanged."""
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
                    other = symbol(s.array.T.tocsr() if is_sparse(s.array) else np.swapaxes(s.array, -3, -2), IJ)
            renamed[v] = other.variable
            symbols[other.variable] = other
        ranges = swap_axes(self.ranges)
        return self._of(substitute(self.expression, renamed), symbols, self._rows[::-1], ranges, self.backend)

    def __matmul__(self, v: Any, **options: Any) -> Any:
        """Return the sums over j of the tensor, of one component, times rows of v: (N,), (N, k) or (..., N, k).

        With a tensor of points i and j, or one of SciPy's operators, it is their product as a `LazyOperator`.
        """
        if isinstance(v, Methods):
            if v._rows[0] is None:
                return (self * v).sum(axis=len((self * v).batch) + 1, **options)
            return self.operator @ v
        if is_operator(v):
            return self.operator @ v
        v = _vectors(v.toarray() if hasattr(v, "toarray") else v)
        if self.ndim != 1:
            raise ValueError(f"K @ v is for tensors of one component: found {self.ndim}; see .sum() and (K * v).sum()")
        columns = v[:, None] if v.ndim == 1 else v
        if self.shape[-1] is not None and columns.shape[-2] not in (1, self.shape[-1]):
            n = self.shape[-1]
            raise ValueError(f"K @ v: found v of shape {v.shape} for K of shape {self.shape}, expected ({n},) or ({n}, k)")
        product = self * type(self)(columns, axis=1)
        result = product.sum(axis=len(product.batch) + 1, **options)
        return result[..., 0] if v.ndim == 1 else result

    def __rmatmul__(self, v: Any) -> Any:
        if is_operator(v) or hasattr(v, "tocsr"):
            from ..operator import as_operator

            return as_operator(v) @ self
        v = _vectors(v)
        return self.t() @ v if v.ndim == 1 else np.swapaxes(self.t() @ np.swapaxes(v, -1, -2), -1, -2)

    def matvec(self, v):
        """Return K @ v."""
        return self @ v

    def matmat(self, v):
        """Return K @ v."""
        return self @ v

    def rmatmat(self, v):
        """Return K.T @ v."""
        return self.t() @ v

    def rmatvec(self, v):
        """Return K.T @ v."""
        return self.t() @ v

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
        from ..operator import as_operator

        return as_operator(self)

    def solve(
        self,
        b: Any,
        var: Any = None,
        call: bool = True,
        *,
        alpha: float | np.ndarray = 1e-10,
        eps: float = 1e-6,
        maxiter: int | None = None,
        preconditioner: Any = "auto",
        n_components: int | str = "auto",
        random_state: int | np.random.RandomState = 0,
        ranges: Any = None,
        backend: str | None = None,
        callback: Any = None,
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
        alpha : float or array-like, default=1e-10
            The number added to the diagonal, not negative, or numbers that broadcast to the shape of b.
        eps : float, default=1e-6
            The norm of the residual, relative to that of b.
        maxiter : int, optional
            The largest number of iterations. Default: 10 M, at least 100.
        preconditioner : {"auto", "cholesky", "nystrom"}, callable or None, default="auto"
            As for `skkeops.KernelSolve`; a function is of arrays (M, k).
        n_components : int or "auto", default="auto"
            The rank of a preconditioner by name, as for `skkeops.KernelSolve`; 0 is none.
        random_state : int or RandomState, default=0
            For the columns, or vectors, that are drawn.
        callback : callable, optional
            Called after every iteration with the solution so far, of shape (M, k); a true result ends the iterations.
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
            If the residual is above `eps`, the matrix is singular or not positive definite, or float32 does not hold the
            solution.

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
        from ..linear import solve

        options |= {"alpha": alpha, "eps": eps, "maxiter": maxiter, "preconditioner": preconditioner}
        options |= {"n_components": n_components, "random_state": random_state, "callback": callback}
        options |= {"ranges": ranges, "backend": backend}

        def run() -> np.ndarray:
            return solve(self, b, var, dict(options))

        return run() if call else run


def _vectors(v: Any) -> Any:
    """Return what a tensor is multiplied with as an array."""
    array = as_array(v)
    if array.dtype.kind not in "fiubc":
        raise TypeError(f"the product with a LazyTensor takes an array of real or complex numbers: found {type(v).__name__}")
    if array.ndim == 0:
        raise ValueError(f"the product with a LazyTensor takes an array of at least one axis: found {array.shape}")
    return v if isinstance(v, np.ma.MaskedArray) else array
