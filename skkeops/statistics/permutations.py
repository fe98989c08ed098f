"""What tests by permutation share: the p-value of a statistic among those of permuted samples, and the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_scalar

__all__ = ["PermutationTestResult", "check_test", "result_of"]


@dataclass(frozen=True)
class PermutationTestResult:
    """The result of a test by permutation.

    Attributes
    ----------
    statistic : float
        The statistic of the samples.
    pvalue : float
        The share of permutations, the samples as they were among them, whose statistic is as large: at least ``1 /
        (n_permutations + 1)``.
    null_distribution : ndarray of shape (n_permutations,)
        The statistics of the permuted samples.
    kernels : tuple of Kernel
        The kernels, with all parameters known.
    """

    statistic: float
    pvalue: float
    null_distribution: np.ndarray = field(repr=False)
    kernels: tuple[Any, ...] = ()


def check_test(n_permutations: Any) -> int:
    """Return the number of permutations, or raise if it makes no sense."""
    return check_scalar(n_permutations, "n_permutations", Integral, min_val=1)


def result_of(statistic: float, permuted: np.ndarray, rounding: float, kernels: tuple[Any, ...]) -> PermutationTestResult:
    """Return the result of a test.

    Parameters
    ----------
    statistic : float
        Of the samples.
    permuted : ndarray of shape (n_permutations,)
        Of the permuted samples.
    rounding : float
        How much the statistic may be rounded: a permutation that only rounds otherwise is as large.
    kernels : tuple of Kernel
    """
    pvalue = (1 + int((permuted >= statistic - rounding).sum())) / (1 + len(permuted))
    return PermutationTestResult(float(statistic), pvalue, permuted, kernels)
