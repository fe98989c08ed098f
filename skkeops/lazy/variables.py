"""Lazy tensors of arrays, by what they are indexed by: Vi, Vj, Pm and Vij."""

from __future__ import annotations

from typing import Any

from skkeops.formula.expression import IJ, I, J, P

from .tensor import LazyTensor

__all__ = ["Pm", "Vi", "Vij", "Vj"]


def Vi(x: Any, dim: int | None = None) -> LazyTensor:  # noqa: N802 (KeOps' name)
    """Return a tensor of points x_i.

    Parameters
    ----------
    x : array-like of shape (..., M, D), or int
        The points; or the position of an argument that is given at the call of the reduction.
    dim : int, optional
        For a position: the number of components.

    Returns
    -------
    LazyTensor
    """
    return LazyTensor((x, dim, I)) if dim is not None else LazyTensor(x, axis=0)


def Vj(x: Any, dim: int | None = None) -> LazyTensor:  # noqa: N802
    """Return a tensor of points y_j.

    Parameters
    ----------
    x : array-like of shape (..., N, D), or int
        As for `Vi`.
    dim : int, optional
        As for `Vi`.

    Returns
    -------
    LazyTensor
    """
    return LazyTensor((x, dim, J)) if dim is not None else LazyTensor(x, axis=1)


def Pm(x: Any, dim: int | None = None) -> LazyTensor:  # noqa: N802
    """Return a tensor of a parameter.

    Parameters
    ----------
    x : array-like of shape (D,) or (..., 1, D), number, or int
        The parameter; or, with `dim`, the position of an argument that is given at the call of the reduction.
    dim : int, optional
        As for `Vi`.

    Returns
    -------
    LazyTensor
    """
    return LazyTensor((x, dim, P)) if dim is not None else LazyTensor(x, axis=2)


def Vij(x: Any, dim: int | None = None) -> LazyTensor:  # noqa: N802
    """Return a tensor of values of pairs: a mask, a lookup table, weights of a graph.

    Parameters
    ----------
    x : array-like of shape (M, N) or (..., M, N, D), SciPy sparse array of shape (M, N), or int
        The values; booleans are read as bytes. Or, with `dim`, the position of an argument that is given at the call of the
        reduction.
    dim : int, optional
        As for `Vi`.

    Returns
    -------
    LazyTensor

    Notes
    -----
    A dense array is read where it is, piece by piece: what is reduced still takes no memory for pairs. On a GPU, too, where sparse
    arrays are refused.

    ``Vij(T)[rows, columns]`` looks values up in a table, by the class of each i and of each j, and takes no memory for pairs
    either: NumPy arrays are read through the indices. (Arrays of CuPy, and those with batch dimensions, are gathered.)

    A sparse array has the value 0 where it stores nothing, and reductions cost what it stores: the formula is computed at the
    stored entries alone, and where it is 0 once for each row. So the formula, with 0 in place of the array, must not depend
    on the pair, as ``K * S``, which is 0, or ``where(S, K, -numpy.inf)``. Other formulas are refused.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from skkeops import Vi, Vij, Vj
    >>> K = Vi(np.array([[1.0], [2.0]])) * Vj(np.array([[10.0], [20.0]]))
    >>> (K * Vij(np.array([[1.0, 0.0], [3.0, 4.0]]))).sum(axis=1)
    array([[ 10.],
           [220.]])
    >>> (K * Vij(csr_array([[0.0, 0.5], [0.0, 0.0]]))).sum(axis=1)
    array([[10.],
           [ 0.]])
    >>> Vij(np.array([[1.0, 5.0], [7.0, 9.0]]))[[0, 1, 1], [1, 0]].dense()
    array([[5., 1.],
           [9., 7.],
           [9., 7.]])
    """
    return LazyTensor((x, dim, IJ)) if dim is not None else LazyTensor(x, axis=(0, 1))
