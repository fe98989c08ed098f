"""The maximum mean discrepancy between two distributions, and its test by permutations."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from skkeops.arrays.devices import namespace_of, to_device, to_host

from .kernel_sums import KernelSums
from .permutations import check_test, result_of
from .samples import check_two_samples, get_kernel

__all__ = ["mmd", "mmd_test", "squared_discrepancy"]

_COLUMNS = 128  # permutations that share a pass over the pairs: with more of them the kernel costs nothing to evaluate anew
_BYTES = 2**27  # of their columns


def mmd(X, Y, kernel="median", *, unbiased=True, backend="auto"):  # noqa: N803
    r"""Return the squared maximum mean discrepancy between the distributions of two samples.

    .. math:: \mathrm{MMD}^2 = \frac{1}{m(m-1)} \sum_{i \ne j} k(x_i, x_j) + \frac{1}{n(n-1)} \sum_{i \ne j} k(y_i, y_j)
              - \frac{2}{mn} \sum_{i,j} k(x_i, y_j)

    is the unbiased estimate. The biased one, which is never negative, takes means over all pairs (i, j). The matrices of the
    kernel are never stored.

    Parameters
    ----------
    X : array-like of shape (n_samples_X, n_features)
        Samples x_i of one distribution.
    Y : array-like of shape (n_samples_Y, n_features)
        Samples y_j of the other one.
    kernel : "median", str or Kernel, default="median"
        The kernel k, symmetric: an object of `skkeops.kernels`; a name of `sklearn.metrics.pairwise`; a formula of x and y.
        "median" is a Gaussian whose length scale is that of `median_length_scale` of X and Y.
    unbiased : bool, default=True
        Which of both estimates. The unbiased one takes two samples of each at least.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.

    Returns
    -------
    float
        The *squared* discrepancy.

    See Also
    --------
    mmd_test : Whether it is larger than for samples of one distribution.
    energy_distance : The root of that of the kernel `skkeops.kernels.Energy`.

    References
    ----------
    A. Gretton, K. Borgwardt, M. Rasch, B. Schölkopf, A. Smola, "A kernel two-sample test", JMLR 13, 2012: (3) and (5).

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import kernels, mmd
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(1000, 3)), rng.normal(size=(800, 3))
    >>> round(mmd(x, y, kernels.Gaussian(1.0)), 5), round(mmd(x, 1.5 * y, kernels.Gaussian(1.0)), 5)
    (0.00108, 0.0454)
    """
    X, Y = check_two_samples(X, Y, 2 if unbiased else 1)
    sums = KernelSums(_kernel_of(kernel, X, Y), backend)
    return squared_discrepancy(sums, X, Y, unbiased)


def mmd_test(X, Y, kernel="median", *, unbiased=True, n_permutations=999, random_state=None, backend="auto"):  # noqa: N803
    """Test whether two samples are of the same distribution, by their maximum mean discrepancy.

    If they are, any other split of the pooled samples would have a discrepancy as large. The kernel K of the pooled samples is
    multiplied by the indicator vectors of many random splits at once, so that an entry of it is evaluated once for 128 of them;
    it is never stored.

    Parameters
    ----------
    X : array-like of shape (n_samples_X, n_features)
        Samples of one distribution.
    Y : array-like of shape (n_samples_Y, n_features)
        Samples of the other one.
    kernel : "median", str or Kernel, default="median"
        As for `mmd`. ``kernels.Energy()`` makes it the test of the energy distance.
    unbiased : bool, default=True
        Which estimate of `mmd` is compared.
    n_permutations : int, default=999
        The number of random splits.
    random_state : int, RandomState instance or None, default=None
        Which splits.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.

    Returns
    -------
    PermutationTestResult
        With the attributes ``statistic``, the squared discrepancy; ``pvalue``; ``null_distribution``, the squared discrepancies
        of the splits; and ``kernels``, the one kernel.

    See Also
    --------
    mmd : The statistic alone.
    hsic_test : Whether two variables are independent.

    Notes
    -----
    The p-value of a kernel that was chosen by looking at the samples as pooled ("median") is exact, as it does not depend on
    the split. One that was chosen to tell X from Y needs other samples for the test.

    References
    ----------
    A. Gretton, K. Borgwardt, M. Rasch, B. Schölkopf, A. Smola, "A kernel two-sample test", JMLR 13, 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import mmd_test
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(200, 2)), rng.normal(size=(150, 2))
    >>> mmd_test(x, 2.0 * y, random_state=0).pvalue
    0.001
    >>> mmd_test(x, y, random_state=0).pvalue > 0.05
    True
    """
    n_permutations = check_test(n_permutations)
    X, Y = check_two_samples(X, Y, 2 if unbiased else 1)
    sums = KernelSums(_kernel_of(kernel, X, Y), backend)
    splits = _Splits(sums, X, Y, unbiased)
    rng = check_random_state(random_state)
    first = np.repeat([True, False], [len(X), len(Y)])
    columns = [first, *(rng.permutation(first) for _ in range(min(n_permutations, splits.most - 1)))]
    found = [splits(np.stack(columns, axis=1))]
    done = len(columns) - 1
    while done < n_permutations:
        columns = [rng.permutation(first) for _ in range(min(n_permutations - done, splits.most))]
        found.append(splits(np.stack(columns, axis=1)))
        done += len(columns)
    statistic, *permuted = np.concatenate(found)
    return result_of(statistic, np.array(permuted), splits.rounding, (sums.kernel,))


def squared_discrepancy(sums: KernelSums, X: np.ndarray, Y: np.ndarray, unbiased: bool) -> float:  # noqa: N803
    """Return the squared discrepancy of checked samples."""
    parts = []
    for samples in (X, Y):
        n, itself = len(samples), sums.of_itself(samples)
        different = sums.total(samples, samples) - float(itself.between.sum())
        parts.append(different / (n * (n - 1)) if unbiased else (different + float(itself.itself.sum())) / n**2)
    return parts[0] + parts[1] - 2 * sums.total(X, Y) / (len(X) * len(Y))


def _kernel_of(kernel: Any, X: np.ndarray, Y: np.ndarray) -> Any:  # noqa: N803
    return get_kernel(kernel, np.concatenate([X, Y]))


class _Splits:
    """The squared discrepancies of splits of pooled samples.

    With the kernel K, the indicator z of the first part and ``u = 1 - z``, the sums over the pairs of a split are ``z'Kz``,
    ``u'Ku`` and ``z'Ku``: products with z alone, as ``Ku = K1 - Kz``.

    Attributes
    ----------
    most : int
        How many splits are computed at once.
    rounding : float
        How much a discrepancy may be rounded.
    """

    def __init__(self, sums: KernelSums, X: np.ndarray, Y: np.ndarray, unbiased: bool):  # noqa: N803
        self._sums, self._unbiased = sums, unbiased
        self._pooled = np.concatenate([X, Y])
        self._m, self._n = len(X), len(Y)
        itself = sums.of_itself(self._pooled)
        self._between = itself.between
        self._diagonal = np.zeros_like(itself.itself) if unbiased else itself.itself
        self._rows = sums.rows(self._pooled, self._pooled)
        self._total = float(self._rows.sum())
        self.rounding = 16 * float(np.finfo(X.dtype).eps * abs(self._rows).mean()) / len(self._pooled)
        self.most = max(16, min(_COLUMNS, _BYTES // (8 * len(self._pooled))))

    def __call__(self, first: np.ndarray) -> np.ndarray:
        """Return the squared discrepancies of splits, given by boolean columns of shape (n_pooled, n_splits)."""
        z = to_device(first, namespace_of(self._pooled)).astype(self._pooled.dtype)
        products = self._sums.products(self._pooled, z)
        z = z.astype(np.float64, copy=False)
        of_first, with_all = (z * products).sum(axis=0), self._rows @ z
        of_second = self._total - 2 * with_all + of_first
        across = with_all - of_first
        # Where i = j, the kernel of a sample with itself takes the place of that of two equal samples; it may be left out.
        change = self._diagonal - self._between
        of_first, of_second = of_first + change @ z, of_second + change @ (1 - z)
        m, n = self._m, self._n
        pairs = (m * (m - 1), n * (n - 1)) if self._unbiased else (m * m, n * n)
        return to_host(of_first / pairs[0] + of_second / pairs[1] - 2 * across / (m * n))
