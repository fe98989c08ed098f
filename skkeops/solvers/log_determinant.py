"""Log-determinants by stochastic Lanczos quadrature, and standard errors of means of a few probes."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.stats import t as student

__all__ = ["quadrature", "rademacher", "regression", "standard_error"]

_NORMAL_3 = 0.99865010196837  # the probability that a normal variable is below three deviations
_LONG = 200  # steps of a Lanczos matrix


def rademacher(n: int, n_probes: int, seed: int) -> np.ndarray:
    """Return vectors of independent signs, (n, n_probes): probe k is the same whatever their number.

    Parameters
    ----------
    n, n_probes : int
    seed : int
    """
    columns = [np.random.RandomState([seed, k]).randint(0, 2, n) for k in range(n_probes)]
    return 2.0 * np.stack(columns, axis=1) - 1


def quadrature(tridiagonals: list[tuple[np.ndarray, np.ndarray]], squares: np.ndarray) -> np.ndarray:
    """Return ``z^T log(M) z`` for vectors z, from the Lanczos matrices of M that start from them.

    Parameters
    ----------
    tridiagonals : list of (ndarray, ndarray)
        The diagonal and the other diagonal for each vector.
    squares : ndarray of shape (n_vectors,)
        The squared norms of the vectors.

    References
    ----------
    S. Ubaru, J. Chen, Y. Saad, "Fast estimation of tr(f(A)) via stochastic Lanczos quadrature", SIAM Journal on Matrix Analysis and
    Applications 38, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> quadrature([(np.array([2.0]), np.zeros(0))], np.array([1.0])).round(4)
    array([0.6931])
    """
    found = np.empty(len(tridiagonals))
    for k, (diagonal, other) in enumerate(tridiagonals):
        values, first = _eigenvalues(diagonal, other)
        found[k] = squares[k] * first**2 @ np.log(np.maximum(values, np.finfo(np.float64).tiny))
    return found


def _eigenvalues(diagonal: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues of a Lanczos matrix, and the first components of its eigenvectors."""
    if len(diagonal) > _LONG:
        # The time of stev is in proportion to the cube. The other driver fails on some matrices with tiny entries beside the
        # diagonal, as the last steps leave them.
        try:
            values, vectors = eigh_tridiagonal(diagonal, other, lapack_driver="stemr")
        except np.linalg.LinAlgError:
            pass
        else:
            if abs(vectors[0] @ vectors[0] - 1) < 1e-10:
                return values, vectors[0]
    values, vectors = eigh_tridiagonal(diagonal, other, lapack_driver="stev")
    return values, vectors[0]


def standard_error(samples: np.ndarray) -> np.ndarray:
    """Return the standard error of the mean of samples, over their first axis.

    It is widened for a small number of samples, by Student's t, so that three of it have a normal variable's probability.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, ...)

    Examples
    --------
    >>> import numpy as np
    >>> float(standard_error(np.array([1.0, 2.0, 3.0, 4.0])).round(3))
    1.984
    """
    n = len(samples)
    if n < 2:
        return np.full(np.shape(samples)[1:], np.inf)
    return samples.std(axis=0, ddof=1) / np.sqrt(n) * (student.ppf(_NORMAL_3, n - 1) / 3)


def regression(samples: np.ndarray, control: np.ndarray) -> tuple[float, float]:
    """Return the mean of samples where a control, whose mean is 0, is 0; and the standard error of that.

    Parameters
    ----------
    samples, control : ndarray of shape (n_samples,)

    Examples
    --------
    >>> import numpy as np
    >>> control = np.array([-1.0, 0.0, 2.0, 3.0])
    >>> mean, error = regression(5 + 2 * control, control)
    >>> round(mean, 6), round(error, 6)
    (5.0, 0.0)
    """
    n = len(samples)
    centred = control - control.mean()
    square = float(centred @ centred)
    if n < 4 or square <= 1e-20 * max(1.0, float(control @ control)):
        return float(samples.mean()), float(standard_error(samples))
    factor = float(centred @ samples) / square
    mean = float(samples.mean() - factor * control.mean())
    rest = samples - samples.mean() - factor * centred
    variance = float(rest @ rest) / (n - 2) * (1 / n + control.mean() ** 2 / square)
    return mean, float(np.sqrt(variance) * (student.ppf(_NORMAL_3, n - 2) / 3))
