"""The energy distance between two distributions."""

from __future__ import annotations

import math

from skkeops.kernels import Energy

from .discrepancy import squared_discrepancy
from .kernel_sums import KernelSums
from .samples import check_two_samples

__all__ = ["energy_distance"]


def energy_distance(X, Y, *, backend="auto"):  # noqa: N803
    r"""Return the energy distance between the distributions of two samples, in any number of dimensions.

    .. math:: D = \sqrt{\frac{2}{mn} \sum_{i,j} \|x_i - y_j\| - \frac{1}{m^2} \sum_{i,j} \|x_i - x_j\|
              - \frac{1}{n^2} \sum_{i,j} \|y_i - y_j\|}

    It is 0 if and only if both samples have the same distribution, and in one dimension that of
    `scipy.stats.energy_distance`. Its square is ``mmd(X, Y, kernels.Energy(), unbiased=False)``, and ``mmd_test(X, Y,
    kernels.Energy())`` tests whether it is 0. The matrices of distances are never stored.

    Parameters
    ----------
    X : array-like of shape (n_samples_X, n_features)
        Samples x_i of one distribution.
    Y : array-like of shape (n_samples_Y, n_features)
        Samples y_j of the other one.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.

    Returns
    -------
    float
        D, in the unit of the samples to the power 1/2.

    See Also
    --------
    mmd : The same with other kernels.
    mmd_test : Whether it is larger than for samples of one distribution.

    References
    ----------
    G. J. Székely, M. L. Rizzo, "Energy statistics: a class of statistics based on distances", Journal of Statistical Planning
    and Inference 143, 2013.

    Examples
    --------
    >>> from skkeops import energy_distance
    >>> round(energy_distance([[0.0], [8.0]], [[0.0], [6.0], [8.0]]), 4)
    0.6667
    """
    X, Y = check_two_samples(X, Y, 1)
    return math.sqrt(max(0.0, squared_discrepancy(KernelSums(Energy(), backend), X, Y, unbiased=False)))
