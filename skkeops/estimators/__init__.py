"""Estimators for scikit-learn: kernels reduced over reference samples."""

from .gaussian_process import GaussianProcessRegressor
from .kernel_density import KernelDensity
from .kernel_log_sum_exp import KernelLogSumExp
from .kernel_ridge import KernelRidge
from .kernel_smoother import KernelSmoother
from .kernel_sum import KernelSum

__all__ = ["GaussianProcessRegressor", "KernelDensity", "KernelLogSumExp", "KernelRidge", "KernelSmoother", "KernelSum"]
