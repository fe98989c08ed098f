"""What users are told of Gaussian processes that are not what they asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skkeops.arrays.devices import to_host
from skkeops.calls.options import warn_caller
from skkeops.solvers.report import advice

from .iterative_process import IterativeProcess
from .process_data import ProcessData

__all__ = ["check_diagonal", "not_definite", "warn_of_process"]


def check_diagonal(data: ProcessData, kernel: Any) -> None:
    """Refuse a kernel that has no covariance of a sample with itself, such as one over the distance."""
    diagonal = to_host(data.covariance(kernel).diagonal(data.x))
    wrong = np.flatnonzero(~np.isfinite(diagonal))
    if len(wrong):
        raise ValueError(
            f"the kernel must be a finite number for a sample with itself, its variance: found {diagonal[wrong[0]]} for sample "
            f"{wrong[0]} of {kernel}"
        )


def not_definite(data: ProcessData, kernel: Any) -> str:
    """Return the message for a matrix that has no Cholesky factor, or that noise has to make regular."""
    message = (
        f"The kernel, {kernel}, is not returning a positive definite matrix. Try gradually increasing the 'alpha' parameter "
        "of your GaussianProcessRegressor estimator."
    )
    if data.settings is not None:
        message += " method='iterative' needs noise on the diagonal of every sample: alpha, or a White kernel."
    equal = data.equal_samples()
    if equal is not None:
        message += (
            f" The samples {equal[0]} and {equal[1]} are equal and have no noise, alpha=0: give alpha the variance of your "
            "measurements, add a White kernel, or merge equal samples into one with the mean of their targets."
        )
    return message


def warn_of_process(process: IterativeProcess, tol: float) -> None:
    """Warn of a process whose systems were not solved."""
    if not process.is_definite:
        warn_caller(
            f"The kernel, {process.covariance.kernel}, is not returning a positive definite matrix: conjugate gradients met a "
            f"direction without positive curvature, and the relative residual is {process.residual:.1e}. The likelihood and the "
            "predictions mean nothing. Increase alpha.",
            ConvergenceWarning,
        )
    elif not process.residual <= tol:
        warn_caller(
            f"The system of GaussianProcessRegressor did not converge: the relative residual is {process.residual:.1e} after "
            f"{process.n_iter} products, tol={tol:g}. {advice(process.n_iter, process.settings.max_iter)}",
            ConvergenceWarning,
        )
