"""Arrays with a value for each pair (i, j): dense ones of shape (M, N, dim), and SciPy's sparse ones, (M, N)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skkeops.arrays.conversion import is_sparse
from skkeops.arrays.devices import is_on_device
from skkeops.formula.expression import IJ, P, Variable

__all__ = ["NOT_ON_DEVICE", "Selected", "as_dense", "check_pairs", "gather", "sizes", "entry_positions"]


#: What is said of sparse arrays where a GPU computes.
NOT_ON_DEVICE = (
    "sparse arrays of pairs are not read by the kernels of a GPU: give the array as a dense one (.toarray()), or compute with "
    "backend='CPU' on NumPy arrays and a sparse array of SciPy"
)


class Selected:
    """Rows and columns of a dense array of pairs, by their indices: the value of pair (i, j) is ``array[rows[i], columns[j]]``.

    A lookup table, or rows and columns in another order, at the cost of the indices: nothing is held for a pair. Where an array
    is needed, it becomes one.

    Attributes
    ----------
    array : ndarray of shape (P, Q, dim)
    rows, columns : ndarray of int64, shape (M,) and (N,)
        Not negative.
    """

    ndim = 3

    def __init__(self, array: np.ndarray, rows: np.ndarray, columns: np.ndarray):
        self.array = array
        self.rows, self.columns = (np.ascontiguousarray(k, dtype=np.int64) for k in (rows, columns))
        self.shape = (len(self.rows), len(self.columns), array.shape[2])
        self.dtype = array.dtype

    @property
    def flags(self) -> Any:
        return self.array.flags

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """As an array: rows, or columns, are others of its kind; by the indices i and j of some pairs it is their values."""
        i, j = key if isinstance(key, tuple) else (key, slice(None))
        if isinstance(i, slice) or isinstance(j, slice):
            return self.select(i, j)
        return self.array[self.rows[i], self.columns[j]]

    def select(self, rows: Any, columns: Any) -> Selected:
        """Return some of the rows and columns."""
        return Selected(self.array, self.rows[rows], self.columns[columns])

    def swapaxes(self, _first: int, _second: int) -> Selected:
        """Return it with i and j exchanged, the only axes that may be."""
        return Selected(self.array.swapaxes(0, 1), self.columns, self.rows)

    def diagonal(self) -> np.ndarray:
        """Return the values of pairs (i, i), of shape (n, dim)."""
        n = min(self.shape[:2])
        return self.array[self.rows[:n], self.columns[:n]]

    def astype(self, dtype: Any, copy: bool = True) -> Selected:
        return Selected(self.array.astype(dtype, copy=copy), self.rows, self.columns)

    def copy(self) -> Selected:
        return Selected(self.array.copy(), self.rows, self.columns)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        found = self.array[self.rows[:, None], self.columns]
        return found if dtype is None else found.astype(dtype, copy=False)


def as_dense(array: Any) -> Any:
    """Return an array of pairs of any kind as a dense one, (M, N, dim), itself if it is one."""
    if isinstance(array, Selected):
        return np.asarray(array)
    return array.toarray()[:, :, None] if is_sparse(array) else array


def check_pairs(argument: Any, dim: int, what: str) -> Any:
    """Return an array of pairs in the form that backends read.

    Parameters
    ----------
    argument : ndarray or SciPy sparse array
        (M, N) for a single component, or (M, N, dim), after any batch dimensions.
    dim : int
    what : str
        How messages begin.

    Returns
    -------
    ndarray of shape (..., M, N, dim), or csr_array of shape (M, N)
        A csr_array has sorted indices without duplicates.

    Raises
    ------
    TypeError
        If it does not hold real numbers.
    ValueError
        If the shape is wrong.
    """
    if is_sparse(argument):
        from scipy.sparse import csr_array

        if is_on_device(argument.data):
            raise TypeError(f"{what}: {NOT_ON_DEVICE}")

        if dim != 1 or argument.ndim != 2:
            raise ValueError(f"{what}: a sparse array has two axes and a single component: found shape {argument.shape}")
        if argument.dtype.kind not in "fiub" or argument.dtype.itemsize > 8:
            raise TypeError(f"{what}: found dtype {argument.dtype}, expected real numbers")
        stored = csr_array(argument)
        if stored.dtype.kind == "b":
            stored = stored.astype(np.float32)
        if not (stored.has_sorted_indices and stored.has_canonical_format):
            stored = stored.copy()
            stored.sum_duplicates()
        return stored
    if argument.ndim == 2 and dim == 1:
        argument = argument[:, :, None]
    if argument.ndim < 3 or argument.shape[-1] != dim:
        expected = "(M, N) or (M, N, 1)" if dim == 1 else f"(M, N, {dim})"
        raise ValueError(f"{what}: found shape {argument.shape}, expected {expected}")
    return argument


def sizes(variables: Sequence[Variable], arrays: Sequence[Any]) -> tuple[int, int]:
    """Return M and N: 1 where no variable has the index."""
    found = [1, 1]
    for v, a in zip(variables, arrays, strict=True):
        if v.category == IJ:
            return int(a.shape[0]), int(a.shape[1])
        if v.category != P:
            found[v.category] = a.shape[0]
    return found[0], found[1]


def gather(
    variables: Sequence[Variable], arrays: Sequence[Any], where: tuple[np.ndarray, np.ndarray], dtype: np.dtype
) -> tuple[np.ndarray, ...]:
    """Return the values of variables at some pairs: (n, dim), parameters as they are.

    Parameters
    ----------
    variables : sequence of Variable
    arrays : sequence of ndarray or csr_array
    where : tuple of two ndarray of int, shape (n,)
        The pairs' i and j.
    dtype : dtype
    """
    found = []
    for v, a in zip(variables, arrays, strict=True):
        if v.category == P:
            found.append(a)
        elif v.category != IJ:
            found.append(a[where[v.category]])
        elif is_sparse(a):
            at = entry_positions(a, *where)
            values = np.append(a.data, 0)[at]  # the position -1 is that of the 0
            found.append(values.astype(dtype)[:, None])
        else:
            found.append(a[where].astype(dtype, copy=False))
    return tuple(found)


def entry_positions(array: Any, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Return where pairs are among the entries of a csr_array, -1 for those that it does not store."""
    keys = entry_keys(array)
    wanted = i.astype(np.int64) * array.shape[1] + j
    if not len(keys):
        return np.full(len(wanted), -1)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, at, -1)


def entry_keys(array: Any) -> np.ndarray:
    """Return ``i * N + j`` of every entry of a csr_array, ascending."""
    rows = np.repeat(np.arange(array.shape[0], dtype=np.int64), np.diff(array.indptr))
    return rows * array.shape[1] + array.indices
