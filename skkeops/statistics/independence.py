"""The Hilbert-Schmidt independence criterion of two variables, and its test by permutations."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from skkeops.arrays.devices import namespace_of, to_device
from skkeops.estimators.reduction import reduction_of
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import Expression, Variable
from skkeops.kernels import Kernel

from .kernel_sums import KernelSums
from .permutations import check_test, result_of
from .samples import check_pairs_of_samples, get_kernel

__all__ = ["hsic", "hsic_test"]


def hsic(X, Y, kernel_x="median", kernel_y="median", *, unbiased=True, backend="auto"):  # noqa: N803
    r"""Return the Hilbert-Schmidt independence criterion of two variables that are observed together.

    .. math:: \mathrm{HSIC} = \frac{1}{n^2} \operatorname{tr}(K H L H), \qquad K_{ij} = k(x_i, x_j), \quad L_{ij} = l(y_i, y_j),
              \quad H = I - \tfrac1n 1 1^\top

    is the biased estimate, and, with K and L without their diagonals,

    .. math:: \mathrm{HSIC} = \frac{1}{n(n-3)} \left( \operatorname{tr}(K L) + \frac{1^\top K 1 \; 1^\top L 1}{(n-1)(n-2)}
              - \frac{2}{n-2} 1^\top K L 1 \right)

    the unbiased one. For characteristic kernels, such as a Gaussian, its expectation is 0 if and only if the variables are
    independent. No matrix is stored.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features_X)
        Observations of one variable.
    Y : array-like of shape (n_samples, n_features_Y)
        Observations of the other one: row i belongs to row i of X.
    kernel_x, kernel_y : "median", str or Kernel, default="median"
        The kernels k and l, symmetric: as for `mmd`. "median" is a Gaussian with the length scale of `median_length_scale` of X
        or of Y.
    unbiased : bool, default=True
        Which of both estimates. The unbiased one takes 4 samples at least.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.

    Returns
    -------
    float

    See Also
    --------
    hsic_test : Whether it is larger than for independent variables.

    References
    ----------
    A. Gretton, O. Bousquet, A. Smola, B. Schölkopf, "Measuring statistical dependence with Hilbert-Schmidt norms", ALT 2005.
    L. Song, A. Smola, A. Gretton, J. Bedo, K. Borgwardt, "Feature selection via dependence maximization", JMLR 13, 2012: (5).

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import hsic, kernels
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(500, 1))
    >>> k = kernels.Gaussian(1.0)
    >>> round(hsic(x, x**2, k, k), 4), round(hsic(x, rng.normal(size=(500, 1)), k, k), 4)
    (0.0242, -0.0001)
    """
    X, Y = check_pairs_of_samples(X, Y, 4 if unbiased else 1)
    kernels = get_kernel(kernel_x, X, "kernel_x"), get_kernel(kernel_y, Y, "kernel_y")
    return _Criterion(kernels, X, Y, unbiased, backend)(Y, None)


def hsic_test(  # noqa: D417
    X, Y, kernel_x="median", kernel_y="median", *, unbiased=True, n_permutations=999, random_state=None, backend="auto"  # noqa: N803
):
    """Test whether two variables are independent, by their Hilbert-Schmidt independence criterion.

    If they are, the rows of Y could be in any other order. Each permutation is a pass over all pairs, in which both kernels are
    evaluated: that takes less time than gathering the entries of a stored matrix, and its memory is that of the samples.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features_X)
        Observations of one variable.
    Y : array-like of shape (n_samples, n_features_Y)
        Observations of the other one.
    kernel_x, kernel_y : "median", str or Kernel, default="median"
        As for `hsic`.
    unbiased : bool, default=True
        Which estimate of `hsic` is compared.
    n_permutations : int, default=999
        The number of permutations.
    random_state : int, RandomState instance or None, default=None
        Which permutations.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.

    Returns
    -------
    PermutationTestResult
        With the attributes ``statistic``, ``pvalue``, ``null_distribution`` and ``kernels``, those of X and of Y.

    See Also
    --------
    hsic : The statistic alone.
    mmd_test : Whether two samples are of the same distribution.

    References
    ----------
    A. Gretton, K. Fukumizu, C. H. Teo, L. Song, B. Schölkopf, A. Smola, "A kernel statistical test of independence", NIPS 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import hsic_test
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(200, 1))
    >>> hsic_test(x, x**2 + rng.normal(size=(200, 1)), n_permutations=99, random_state=0).pvalue
    0.01
    """
    n_permutations = check_test(n_permutations)
    X, Y = check_pairs_of_samples(X, Y, 4 if unbiased else 1)
    kernels = get_kernel(kernel_x, X, "kernel_x"), get_kernel(kernel_y, Y, "kernel_y")
    criterion = _Criterion(kernels, X, Y, unbiased, backend)
    rng = check_random_state(random_state)
    permuted = np.empty(n_permutations)
    for k in range(n_permutations):
        order = to_device(rng.permutation(len(X)), namespace_of(X))
        permuted[k] = criterion(Y[order], order)
    return result_of(criterion(Y, None), permuted, criterion.rounding, kernels)


class _Criterion:
    """The criterion of X and of permutations of Y: what does not depend on the permutation is computed once.

    Attributes
    ----------
    rounding : float
        How much the criterion may be rounded.
    """

    def __init__(self, kernels: tuple[Kernel, Kernel], X: np.ndarray, Y: np.ndarray, unbiased: bool, backend: str):  # noqa: N803
        self._X, self._unbiased, self._backend = X, unbiased, backend
        rows, diagonals, between = [], [], []
        for kernel, samples in zip(kernels, (X, Y), strict=True):
            sums = KernelSums(kernel, backend)
            itself = sums.of_itself(samples)
            diagonal = np.zeros_like(itself.itself) if unbiased else itself.itself
            rows.append(sums.rows(samples, samples) - itself.between + diagonal)
            diagonals.append(diagonal)
            between.append(itself.between)
        self._rows, self._diagonals, self._between = rows, diagonals, between
        bound_x, bound_y = kernels[0].bind(X.shape[1]), kernels[1].bind(Y.shape[1])
        first = len(bound_x.variables)
        moved = [Variable(first + v.position, v.dim, v.category) for v in bound_y.variables]
        places: dict[Expression, Expression] = dict(zip(bound_y.variables, moved, strict=True))
        product = bound_x.expression * substitute(bound_y.expression, places)
        self._function = reduction_of(product, (*bound_x.variables, *moved), "Sum")
        self._parameters = [bound.parameter_arrays(X.dtype, namespace_of(X)) for bound in (bound_x, bound_y)]
        self.rounding = 16 * float(np.finfo(X.dtype).eps * abs(rows[0]).mean() * abs(rows[1]).mean()) / len(X) ** 2

    def __call__(self, Y: np.ndarray, order: Any) -> float:  # noqa: N803
        """Return the criterion with Y, whose rows are in this order; None is that of the constructor."""
        n, X = len(self._X), self._X  # noqa: N806
        (rows_x, rows_y), (diagonal_x, diagonal_y), (between_x, between_y) = self._rows, self._diagonals, self._between
        if order is not None:
            rows_y, diagonal_y, between_y = rows_y[order], diagonal_y[order], between_y[order]
        x_parameters, y_parameters = self._parameters
        sums = self._function(X, X, *x_parameters, Y, Y, *y_parameters, backend=self._backend)
        trace = sums.sum(dtype=np.float64) + diagonal_x @ diagonal_y - between_x @ between_y
        all_x, all_y, together = rows_x.sum(), rows_y.sum(), rows_x @ rows_y
        if self._unbiased:
            return float((trace + all_x * all_y / ((n - 1) * (n - 2)) - 2 / (n - 2) * together) / (n * (n - 3)))
        return float((trace - 2 / n * together + all_x * all_y / n**2) / n**2)
