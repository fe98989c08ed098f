"""Estimators for scikit-learn: kernels reduced over reference samples."""

from .kernel_sum import KernelSum

__all__ = ["KernelSum"]
