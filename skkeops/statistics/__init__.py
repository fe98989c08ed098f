"""Distances between distributions, and tests of whether they are zero: MMD, HSIC, energy distance."""

from .discrepancy import mmd, mmd_test
from .energy import energy_distance
from .independence import hsic, hsic_test
from .permutations import PermutationTestResult
from .samples import median_length_scale

__all__ = ["PermutationTestResult", "energy_distance", "hsic", "hsic_test", "median_length_scale", "mmd", "mmd_test"]
