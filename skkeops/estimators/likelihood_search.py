"""The parameters of the largest likelihood, by the optimiser that the caller asks for, from several starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
from sklearn.utils.optimize import _check_optimize_result

__all__ = ["search"]

Objective = Callable[..., Any]


def search(
    objective: Objective, kernel: Any, optimizer: Any, n_restarts: int, random: np.random.RandomState
) -> tuple[np.ndarray, float]:
    """Return the theta of the least objective that was found, and the objective there.

    Parameters
    ----------
    objective : callable
        Of theta; returns the negative log-likelihood, and with ``eval_gradient=True``, the default, its gradient too.
    kernel : Kernel
        Where to start, and its bounds.
    optimizer : "fmin_l_bfgs_b" or callable
        scikit-learn's: a function of the objective, a theta and ``bounds=``.
    n_restarts : int
        The number of further starts, drawn uniformly between the bounds of theta.
    random : RandomState
    """
    bounds = kernel.bounds
    optima = [_minimum(objective, kernel.theta, bounds, optimizer)]
    if n_restarts > 0:
        if not np.isfinite(bounds).all():
            raise ValueError(
                "Multiple optimizer restarts (n_restarts_optimizer>0) requires that all bounds are finite."
            )
        for _ in range(n_restarts):
            optima.append(_minimum(objective, random.uniform(bounds[:, 0], bounds[:, 1]), bounds, optimizer))
    return min(optima, key=lambda found: found[1])


def _minimum(objective: Objective, start: np.ndarray, bounds: np.ndarray, optimizer: Any) -> tuple[np.ndarray, float]:
    if callable(optimizer):
        return optimizer(objective, start, bounds=bounds)
    found = scipy.optimize.minimize(objective, start, method="L-BFGS-B", jac=True, bounds=bounds)
    _check_optimize_result("lbfgs", found)
    return found.x, found.fun
