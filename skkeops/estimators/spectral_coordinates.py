"""Coordinates of samples by the eigenvectors of their normalised kernel, which is never stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skkeops.arrays.devices import namespace_of, to_device, to_host
from skkeops.kernels import Kernel
from skkeops.kernels.binding import BoundKernel

from .eigenpairs import largest_eigenpairs
from .training_matrix import TrainingMatrix

__all__ = ["spectral_coordinates"]


def spectral_coordinates(
    x: np.ndarray,
    kernel: Kernel,
    bound: BoundKernel,
    backend: str,
    n_pairs: int,
    solver: str,
    tol: float,
    max_iter: int | None,
    random_state: Any,
    progress: Callable[[int, int | None], Any] | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    r"""Return eigenvalues, coordinates of shape (n_samples, n_pairs), and the number of products, on the host in float64.

    The eigenvectors are those of :math:`D^{-1/2} K D^{-1/2}` with the largest eigenvalues, which descend from 1, where K is the
    kernel without its diagonal and D the diagonal of its sums; coordinates are :math:`D^{-1/2} u`. A sample without neighbours is
    a part of its own.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_features)
    kernel, bound
        The kernel, symmetric, and what it is on these columns.
    backend : str
    n_pairs : int
        How many.
    solver, tol, max_iter, random_state, progress
        As for `largest_eigenpairs`.

    Raises
    ------
    ValueError
        If the kernel has negative sums over the samples.
    """
    n = len(x)
    matrix, xp = TrainingMatrix(x.astype(np.float64, copy=False), None, bound, backend), namespace_of(x)
    own = to_host(matrix.diagonal)[:, None]

    def product(v: np.ndarray) -> np.ndarray:
        return to_host(matrix.product(to_device(v, xp))) - own * v

    degrees, rounding = product(np.ones((n, 1))), 4 * np.finfo(np.float64).eps * abs(own)
    if (degrees < -rounding).any():
        raise ValueError(f"the kernel must not be negative: found negative sums of {kernel!r} over the samples")
    root = np.sqrt(np.where(degrees > rounding, degrees, 1))

    def normalised(v: np.ndarray) -> np.ndarray:
        return product(v / root) / root

    values, vectors, n_products = largest_eigenpairs(normalised, n, n_pairs, solver, tol, max_iter, random_state, progress)
    return values, vectors / root, n_products
