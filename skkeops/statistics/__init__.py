"""Distances between distributions: MMD, energy distance, Sinkhorn divergence; independence: HSIC; tests by permutation."""

from .discrepancy import mmd, mmd_test
from .energy import energy_distance
from .independence import hsic, hsic_test
from .permutations import PermutationTestResult
from .samples import median_length_scale
from .transport import sinkhorn_divergence

__all__ = [
    "PermutationTestResult",
    "energy_distance",
    "hsic",
    "hsic_test",
    "median_length_scale",
    "mmd",
    "mmd_test",
    "sinkhorn_divergence",
]
