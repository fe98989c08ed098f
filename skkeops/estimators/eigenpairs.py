"""The largest eigenvalues of a symmetric matrix that is known by its products, and their vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.utils import check_random_state
from sklearn.utils.extmath import svd_flip

__all__ = ["largest_eigenpairs"]

_SMALL = 200  # rows of a matrix that is stored: then all eigenvalues take less time than some


def largest_eigenpairs(
    product: Callable[[np.ndarray], np.ndarray],
    size: int,
    n_pairs: int,
    solver: str,
    tol: float,
    max_iter: int | None,
    random_state: Any,
    progress: Callable[[int, int | None], Any] | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the largest eigenvalues, descending, eigenvectors of length 1 in columns, in float64, and the number of products.

    Parameters
    ----------
    product : callable
        Returns the matrix times an array of shape (size, n_columns).
    size : int
        The number of rows.
    n_pairs : int
        How many.
    solver : {"auto", "dense", "arpack"}
        "dense" stores the matrix; "auto" does so if it is small, or if many eigenvalues are asked for.
    tol : float
        The relative accuracy of the eigenvalues, 0 for that of float64.
    max_iter : int or None
        Of ARPACK.
    random_state
        Of its first vector.
    progress : callable, default=None
        It is told the number of products, and None for their total, which nobody knows.

    Raises
    ------
    scipy.sparse.linalg.ArpackNoConvergence
        If `max_iter` is too small.
    """
    if solver == "auto":
        solver = "dense" if size <= _SMALL or 4 * n_pairs > size else "arpack"
    if solver == "dense" or n_pairs >= size:
        matrix = product(np.eye(size))
        n_products = 1
        values, vectors = eigh((matrix + matrix.T) / 2, subset_by_index=(size - n_pairs, size - 1))
    else:
        n_products = 0

        def matvec(v: np.ndarray) -> np.ndarray:
            nonlocal n_products
            n_products += 1
            if progress is not None:
                progress(n_products, None)
            return product(v.reshape(-1, 1))[:, 0]

        operator = LinearOperator((size, size), matvec=matvec, dtype=np.float64)
        first = check_random_state(random_state).uniform(-1, 1, size)
        values, vectors = eigsh(operator, n_pairs, which="LA", tol=tol, maxiter=max_iter, v0=first)
    order = np.argsort(values)[::-1]
    vectors, _ = svd_flip(u=vectors[:, order], v=None)  # scikit-learn's rule of signs
    return values[order], vectors, n_products
