"""The variance of a Gaussian process at many queries, from above, without a system for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skkeops.arrays.devices import contiguous, linalg_of, namespace_of
from skkeops.solvers import LowRankPreconditioner

from .covariance import FormulaCovariance

__all__ = ["VarianceBound"]

_NEIGHBOURS = 64
_MEMORY = 48 * 2**20  # of the directions that all queries share
_BLOCK = 128  # queries whose small systems are solved together


class VarianceBound:
    r"""Upper bounds of ``k(x, x) - k_x' A^-1 k_x``: its values where the training samples tell about x through few directions.

    For any directions Q, ``k_x' A^-1 k_x`` is at least ``(Q' k_x)' (Q' A Q)^-1 (Q' k_x)``: to know some combinations of the targets
    is to know less than all of them. Here Q are the leading eigenvectors of the preconditioner, which are the same for all queries,
    and the unit vectors of the training samples that are the closest to x, in the sense of the kernel.

    Parameters
    ----------
    covariance : FormulaCovariance
    product : callable
        Returns ``A @ v``.
    shift : ndarray of shape (1, 1) or (n_samples, 1)
        What is added to the diagonal of the kernel's matrix of different samples.
    preconditioner : LowRankPreconditioner

    References
    ----------
    R. Furrer, M. G. Genton, D. Nychka, "Covariance tapering for interpolation of large spatial datasets", 2006, and, for the two
    parts, H. Sang, J. Z. Huang, "A full scale approximation of covariance functions for large spatial data sets", Journal of the
    Royal Statistical Society B 74, 2012.
    """

    def __init__(
        self, covariance: FormulaCovariance, product: Callable[[Any], Any], shift: Any, preconditioner: LowRankPreconditioner
    ):
        self._covariance = covariance
        n = len(covariance.x)
        self._shift = np.broadcast_to(shift, (n, 1))[:, 0]
        basis = contiguous(preconditioner.leading(max(32, _MEMORY // (8 * n))))
        image = product(basis) if basis.shape[1] else basis
        gram = basis.T @ image
        triangle = np.linalg.cholesky((gram + gram.T) / 2)
        # A-orthonormal directions, and their images under A, in the place of what they are made of.
        solve = linalg_of(namespace_of(basis)).solve_triangular
        self._basis, self._image = (
            contiguous(solve(triangle, v.T, lower=True, overwrite_b=True).T) for v in (basis, contiguous(image))
        )

    def variance(self, queries: Any) -> Any:
        """Return the bounds at queries, (n_queries,)."""
        covariance = self._covariance
        found = covariance.diagonal(queries)
        k = min(_NEIGHBOURS, len(covariance.x))
        for first in range(0, len(queries), 32 * _BLOCK):
            rows = slice(first, first + 32 * _BLOCK)
            told = covariance.times(queries[rows], self._basis)
            found[rows] -= np.einsum("ij,ij->i", told, told)
            nearest = covariance.nearest(queries[rows], k)
            for start in range(0, len(told), _BLOCK):
                some = slice(start, start + _BLOCK)
                part = slice(first + start, min(first + start + _BLOCK, first + len(told)))
                right, solved, _ = self._by_neighbours(queries[part], nearest[some], told[some])
                found[part] -= np.einsum("ij,ij->i", right, solved)
        return found

    def coefficients(self, queries: Any) -> Any:
        """Return what stands for ``A^-1 k_x`` in the bounds, (n_samples, n_queries), for a few queries."""
        covariance = self._covariance
        told = covariance.times(queries, self._basis)
        nearest = covariance.nearest(queries, min(_NEIGHBOURS, len(covariance.x)))
        _, solved, images = self._by_neighbours(queries, nearest, told)
        found = self._basis @ (told - np.einsum("ijk,ij->ik", images, solved)).T
        found[nearest.T, namespace_of(found).arange(len(queries))] += solved.T
        return found

    def _by_neighbours(self, queries: Any, nearest: Any, told: Any) -> tuple[Any, Any, Any]:
        """Return what the directions that all queries share leave of the covariances with the neighbours, the solution of the
        neighbours' systems for it, and the images of the neighbours."""
        covariance, (m, k) = self._covariance, nearest.shape
        points, images = covariance.x[nearest], self._image[nearest]
        n_features = queries.shape[1]
        shape = (m, k, k, n_features)
        pairs = (np.broadcast_to(p, shape).reshape(-1, n_features) for p in (points[:, :, None], points[:, None]))
        among = covariance.of_pairs(*map(contiguous, pairs)).reshape(m, k, k)
        index = namespace_of(among).arange(k)
        among[:, index, index] += self._shift[nearest]
        among = among - images @ np.swapaxes(images, 1, 2)
        # Directions that are told already leave nothing but rounding errors.
        among[:, index, index] += 1e-10 * (self._shift[nearest] + among[:, index, index].max(axis=1, keepdims=True))
        repeated = contiguous(np.broadcast_to(queries[:, None], points.shape)).reshape(-1, n_features)
        right = covariance.of_pairs(repeated, points.reshape(-1, n_features)).reshape(m, k)
        right = right - np.einsum("ijk,ik->ij", images, told)
        return right, np.linalg.solve(among, right[:, :, None])[:, :, 0], images
