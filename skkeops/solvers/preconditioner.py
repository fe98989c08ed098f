"""Low-rank approximations of kernel matrices, and the preconditioners that they make.

References
----------
M. Díaz, E. N. Epperly, Z. Frangella, J. A. Tropp, R. J. Webber, "Robust, randomized preconditioning for kernel ridge
regression", arXiv:2304.12465, 2023.

Z. Frangella, J. A. Tropp, M. Udell, "Randomized Nyström preconditioning", SIAM Journal on Matrix Analysis and Applications
44, 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np

from skkeops.arrays.devices import linalg_of, namespace_of, to_device

from .cholesky import ROUNDING, pivoted_cholesky

__all__ = ["LowRankPreconditioner", "low_rank_preconditioner", "nystrom"]

_MISSED = 1e-5  # of a product: what the factor of a semi-definite matrix may miss of it, where nothing is left of the diagonal

# The rank "auto" takes at most this much memory, and so many columns; those of eigenvalues below so many shifts cost more time
# than they spare (measured with 10 000 samples).
_MEMORY = 256 * 2**20
_RANK = 700
_SMALLEST = 4
# Nyström cannot see the eigenvalues before it has paid for all vectors.
_NYSTROM_RANK = 100


def nystrom(
    product: Callable[[np.ndarray], np.ndarray], n: int, rank: int, random_state: np.random.RandomState, xp: ModuleType = np
) -> tuple[np.ndarray, bool]:
    """Return F with ``F @ F.T`` close to a positive semi-definite matrix, from one product with random vectors.

    Parameters
    ----------
    product : callable
        Returns ``K @ v`` for v of shape (n, rank).
    n : int
        The number of rows.
    rank : int
        The number of vectors.
    random_state : RandomState
    xp : module, default=numpy
        The namespace of the vectors.

    Returns
    -------
    F : ndarray of shape (n, k)
        With k at most `rank`.
    is_semidefinite : bool
        False if the matrix shows that it is not positive semi-definite, or its products are not finite.

    Notes
    -----
    Algorithm 2.1 of Frangella, Tropp and Udell. Against `pivoted_cholesky` it needs no entries of the matrix, and is the
    better approximation where the leading eigenvectors are spread over all rows; its product costs as much as `rank`
    columns of a right-hand side.

    Examples
    --------
    >>> import numpy as np
    >>> u = np.array([[1.0], [2.0], [3.0]])
    >>> F, _ = nystrom(lambda v: u @ (u.T @ v), 3, 1, np.random.RandomState(0))
    >>> bool(np.allclose(F @ F.T, u @ u.T))
    True
    """
    rank = min(rank, n)
    if rank == 0:
        return xp.zeros((n, 0)), True
    test = np.linalg.qr(to_device(random_state.standard_normal((n, rank)), xp))[0]
    image = product(test).astype(np.float64, copy=False)
    size = float(np.abs(image).max())
    if not size < np.inf:  # NaN, too
        return xp.zeros((n, 0)), False
    image = image / (size or 1.0)  # so that squares are numbers of float64
    core = test.T @ image
    # rounding errors: of this arithmetic, and of the products, which show where the matrix is not symmetric
    asymmetry = np.sqrt(rank) * float(np.abs(core - core.T).max())
    shift = max(np.sqrt(n) * np.finfo(np.float64).eps * float(np.linalg.norm(image)), asymmetry)
    image = image + shift * test
    core = test.T @ image
    core = (core + core.T) / 2
    triangle = _cholesky(core)
    if triangle is None:
        values, vectors = np.linalg.eigh(core)
        if float(values.min()) < -1e-6 * max(float(values.max()), 0.0):
            return xp.zeros((n, 0)), False
        kept = values > max(1e-10 * float(values.max()), shift)
        half = image @ (vectors[:, kept] / np.sqrt(values[kept]))
    else:
        half = linalg_of(xp).solve_triangular(triangle, image.T, lower=True).T
    basis, scales, _ = np.linalg.svd(half, full_matrices=False)
    return xp.asfortranarray(basis * np.sqrt(np.maximum(scales**2 - shift, 0)) * np.sqrt(size)), True


def _cholesky(matrix: np.ndarray) -> np.ndarray | None:
    """Return the lower factor, None for a matrix that is not positive definite: NumPy raises, CuPy returns NaN."""
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return None
    return factor if bool(np.isfinite(factor).all()) else None


def low_rank_preconditioner(
    kind: str,
    product: Callable[[np.ndarray], np.ndarray],
    columns: Callable[[np.ndarray], np.ndarray],
    diagonal: Callable[[], np.ndarray],
    n: int,
    rank: int | str,
    shift: np.ndarray,
    random_state: int | np.random.RandomState,
    xp: ModuleType = np,
) -> LowRankPreconditioner | None:
    """Return a preconditioner by name, None for a matrix that is not positive semi-definite.

    Parameters
    ----------
    kind : {"cholesky", "nystrom"}
        `pivoted_cholesky` or `nystrom`.
    product, columns, diagonal : callable
        Return ``K @ v``, columns of K, and its diagonal.
    n : int
        The size of K.
    rank : int or "auto"
        The rank of what stands for it, at least 1. "auto" is for "cholesky" the number of eigenvalues above four times the least
        shift, about, and at most 700; for "nystrom" 100; or what 256 MB hold.
    shift : ndarray of shape (n_targets,) or (n, n_targets)
        The shifts of the systems, as for `solve`. Where they are less than the rounding errors of K and the columns of the factor
        tell all of K, the preconditioner is that of a singular matrix; else at least these errors are added, as without any
        there is no inverse.
    random_state : int or RandomState
    xp : module, default=numpy
        The namespace of the matrix.
    """
    if kind not in ("cholesky", "nystrom"):
        raise ValueError(f"preconditioner must be 'cholesky', 'nystrom' or a function: found {kind!r}")
    check_rank(rank, 1)
    smallest = 0.0
    if rank == "auto":
        most = _RANK if kind == "cholesky" else _NYSTROM_RANK
        rank, smallest = min(most, max(1, _MEMORY // (8 * max(1, n)))), _SMALLEST * float(shift.min(initial=np.inf))
    random = _random(random_state)
    if kind == "cholesky":
        values = diagonal()
        factor, is_semidefinite = pivoted_cholesky(columns, values, min(int(rank), n), random, smallest)
    else:
        factor, is_semidefinite = nystrom(product, n, int(rank), random, xp)
        values = np.einsum("ij,ij->i", factor, factor)
    if not is_semidefinite or not n:
        return None
    largest = max(float(values.max()), 0.0)
    rounding = 1e-14 * n * largest
    shift = np.maximum(shift, rounding)
    if kind == "cholesky" and shift.ndim == 1:
        rest = values / (largest or 1) - np.einsum("ij,ij->i", factor, factor) / (largest or 1)
        if float(rest.sum()) <= ROUNDING * n:
            # Nothing is left of the diagonal. If the matrix is semi-definite, nothing is left of it elsewhere.
            test = to_device(random.uniform(-1, 1, (n, 1)) / n, xp)  # the product is no larger than the largest entry
            image = product(test)
            missed = largest_of(np.abs(image - factor @ (factor.T @ test)))
            if not missed <= _MISSED * largest_of(np.abs(image)):
                return None
            return LowRankPreconditioner(factor, np.where(shift > rounding, shift, 0.0))
    return LowRankPreconditioner(factor, shift) if (shift > 0).all() else None


def _random(random_state: int | np.random.RandomState | None) -> np.random.RandomState:
    if isinstance(random_state, np.random.RandomState):
        return random_state
    is_integer = isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool)
    if random_state is not None and not (is_integer and 0 <= random_state < 2**32):
        raise ValueError(
            f"random_state must be an integer from 0 to {2**32 - 1}, a RandomState or None: found {random_state!r}"
        )
    return np.random.RandomState(random_state)


def check_rank(rank: int | str, least: int) -> None:
    """Raise if it is not the rank of a preconditioner."""
    is_integer = isinstance(rank, (int, np.integer)) and not isinstance(rank, bool)
    if not (is_integer and rank >= least) and not (isinstance(rank, str) and rank == "auto"):
        raise ValueError(f"n_components must be an integer, at least {least}, or 'auto': found {rank!r}")


def largest_of(array: np.ndarray, least: float = 0.0) -> float:
    """Return the largest entry, `least` of none: NumPy's ``initial``, which CuPy has not."""
    return float(array.max()) if array.size else least


def smallest_of(array: np.ndarray) -> float:
    """Return the smallest entry, 0 of none."""
    return float(array.min()) if array.size else 0.0


class LowRankPreconditioner:
    """The inverse of ``F @ F.T + shift * I``, applied to vectors.

    Parameters
    ----------
    factor : ndarray of shape (n, k)
        F. It is overwritten.
    shift : ndarray of shape (n_targets,) or (n, n_targets)
        Numbers, not negative, one for each column of the vectors: 0 for the pseudo-inverse. Or positive ones, for each of their
        rows: if there are several columns, the inverse is about that.

    Attributes
    ----------
    is_singular : bool
        Whether a shift is 0.
    """

    def __init__(self, factor: np.ndarray, shift: np.ndarray):
        shift = to_device(shift, namespace_of(factor))
        self._rows = None
        if shift.ndim == 2:
            # F F' + S = R (R^-1 F F' R^-1 + S R^-2) R, with R the roots of the shifts of the rows.
            self._rows = np.exp(np.log(shift).mean(axis=1, keepdims=True) / 2)
            factor /= self._rows
            shift = np.exp(np.log(shift / self._rows**2).mean(axis=0))
        # Without a second array: a factor may take all the memory there is.
        self._size = max(largest_of(factor), -smallest_of(factor)) or 1.0
        factor /= self._size  # so that the squares of its entries, and their sums, are numbers of float64
        shift = shift / self._size / self._size
        self._regular = shift > 0
        self.is_singular = not bool(self._regular.all())
        if self.is_singular:
            # What is not in the range must not leak into it: the basis has to be orthogonal to the last digit.
            self._basis, values = _range(factor)
        else:
            self._basis, values = _range_in_place(factor)
        self._inverse_shift = np.where(self._regular, 1 / np.where(self._regular, shift, 1), 0)
        self._values, self._shift = values, shift
        self._correction = 1 / (values[:, None] + shift) - self._inverse_shift

    @property
    def rank(self) -> int:
        """The number of eigenvalues that are known."""
        return self._basis.shape[1]

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Return the product with the inverse.

        Parameters
        ----------
        vectors : ndarray of shape (n, n_targets)
        """
        scale = self._size if self._rows is None else self._size * self._rows
        vectors = vectors / scale
        found = self._basis @ (self._correction * (self._basis.T @ vectors))
        vectors *= self._inverse_shift
        found += vectors
        found /= scale
        return found

    @property
    def log_determinant(self) -> np.ndarray:
        """The logarithms of the determinants of ``F @ F.T + shift * I``, one for each shift, which is positive."""
        n, rank = self._basis.shape
        rows = 0.0 if self._rows is None else 2 * np.log(self._rows).sum()
        known = np.log(self._values[:, None] + self._shift).sum(axis=0) + (n - rank) * np.log(self._shift)
        return known + rows + 2 * n * np.log(self._size)

    def root(self, vectors: np.ndarray) -> np.ndarray:
        """Return the product with a root R of the matrix, ``R @ R.T = F @ F.T + shift * I``.

        Parameters
        ----------
        vectors : ndarray of shape (n, n_vectors)
        """
        least = np.sqrt(self._shift)
        more = np.sqrt(self._values[:, None] + self._shift) - least
        found = self._basis @ (more * (self._basis.T @ vectors))
        found += vectors * least
        found *= self._size if self._rows is None else self._size * self._rows
        return found

    def inverse_root(self, vectors: np.ndarray, transposed: bool = False) -> np.ndarray:
        """Return the product with the inverse of `root`'s R, or with the transpose of that.

        Parameters
        ----------
        vectors : ndarray of shape (n, n_vectors)
        transposed : bool, default=False
        """
        scale = self._size if self._rows is None else self._size * self._rows
        vectors = vectors if transposed else vectors / scale
        least = 1 / np.sqrt(self._shift)
        less = 1 / np.sqrt(self._values[:, None] + self._shift) - least
        found = self._basis @ (less * (self._basis.T @ vectors))
        found += vectors * least
        if transposed:
            found /= scale
        return found

    def leading(self, rank: int) -> np.ndarray:
        """Return the columns that go with the largest eigenvalues, at most `rank` of them."""
        largest = np.argsort(-self._values)[:rank]
        found = self._basis[:, largest]
        return found if self._rows is None else found * self._rows

    def inverse_parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return d and V with the inverse ``diag(d) - V @ V.T``, for one shift, of shape (n, 1) and (n, rank)."""
        scale = 1 / self._size if self._rows is None else 1 / (self._size * self._rows)
        diagonal = np.broadcast_to(self._inverse_shift * scale**2, (len(self._basis), 1))
        factor = np.multiply(self._basis, np.sqrt(-self._correction[:, 0]), order="C")
        factor *= scale
        return diagonal, factor

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Return vectors with nothing but their part in the range of F where the shift is 0.

        Parameters
        ----------
        vectors : ndarray of shape (n, n_targets)
        """
        return np.where(self._regular, vectors, self._basis @ (self._basis.T @ vectors))


def _range(factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an orthonormal basis of the range of F, and the eigenvalues of ``F @ F.T`` that belong to it."""
    basis, scales, _ = np.linalg.svd(factor, full_matrices=False)
    values = scales**2
    rank = int((values > len(factor) * np.finfo(np.float64).eps * largest_of(values)).sum())
    return basis[:, :rank], values[:rank]


def _range_in_place(factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the same of the large eigenvalues, to half of the digits, in the place of F, which may take all the memory there
    is."""
    values, turn = np.zeros(0, like=factor), np.zeros((0, 0), like=factor)
    if factor.shape[1]:
        values, vectors = np.linalg.eigh(factor.T @ factor)
        kept = values > max(float(values[-1]), 0.0) * 1e-12  # they are in ascending order
        values, turn = values[kept], vectors[:, kept] / np.sqrt(values[kept])
    rank = len(values)
    for start in range(0, len(factor), 1024):
        rows = factor[start : start + 1024]
        rows[:, :rank] = rows @ turn
    return factor[:, :rank], values
