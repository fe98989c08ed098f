"""The parameters of the largest likelihood, where likelihoods and derivatives are estimates with a standard error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .exact_process import NotPositiveDefinite
from .likelihood_search import search
from .process_data import ProcessData

__all__ = ["stochastic_search"]

_SUBSET = 2000  # samples whose likelihood, by the Cholesky factor, tells where to start
_STEPS = 15
_HALVINGS = 5
_LONGEST = 1.0  # step of a logarithm
_NOISE = 0.25  # of a log-likelihood: what the probes may leave open
_MORE = 4  # times as many probes as asked for, at most


def stochastic_search(
    data: ProcessData,
    kernel: Any,
    n_restarts: int,
    random: np.random.RandomState,
    tell: Callable[[str], Any],
) -> np.ndarray:
    """Return the theta of the largest likelihood.

    A random subset, whose likelihoods are exact and cheap, tells where to start, from all starts that are asked for, and how the
    likelihood is curved there. From there a quasi-Newton method takes steps with the estimates of all samples, until no
    component of the derivative is larger than its standard error.

    Parameters
    ----------
    data : ProcessData
        Its settings have more probes afterwards, where more were needed.
    kernel : Kernel
        With the parameters to start from.
    n_restarts : int
    random : RandomState
    tell : callable
        Takes a line about every likelihood.

    Notes
    -----
    With m probes the error of the derivative is about that which the data leave in it, divided by the root of m (Stein, Chen,
    Anitescu, 2013). What it costs in log-likelihood is half its square in the metric of the curvature: where that is above a
    quarter the number of probes is doubled.
    """
    bounds = kernel.bounds
    some = data.subset(_SUBSET, random)

    def exact(theta, eval_gradient=True):
        kernel.theta = theta
        found = some.likelihood(kernel, eval_gradient)
        return (-found[0], -found[1]) if eval_gradient else -found

    theta = np.clip(search(exact, kernel, "fmin_l_bfgs_b", n_restarts, random)[0], bounds[:, 0], bounds[:, 1])
    curvature = _curvature(exact, theta, bounds) * (len(data.y) / len(some.y))
    most = _MORE * data.settings.n_probes
    here = _Point(data, kernel, theta, tell)
    for _ in range(_STEPS):
        if not here.is_good:
            break
        # A parameter at a bound that the likelihood pushes against is not free.
        free = ~(((theta <= bounds[:, 0]) & (here.slope > 0)) | ((theta >= bounds[:, 1]) & (here.slope < 0)))
        slope, error = here.slope[free], here.error[free]
        metric = curvature[np.ix_(free, free)]
        if not free.any() or (np.abs(slope) <= error).all():
            noise = 0.5 * float(error @ np.linalg.solve(metric, error)) if free.any() else 0.0
            if noise <= _NOISE * free.sum() or data.settings.n_probes >= most:
                break
            data.settings = replace(data.settings, n_probes=2 * data.settings.n_probes)
            here = _Point(data, kernel, theta, tell)
            continue
        step = np.zeros_like(theta)
        step[free] = np.clip(-np.linalg.solve(metric, slope), -_LONGEST, _LONGEST)
        for _ in range(_HALVINGS):
            there = _Point(data, kernel, np.clip(theta + step, bounds[:, 0], bounds[:, 1]), tell)
            if there.is_good and there.value <= here.value + 2 * np.hypot(here.value_error, there.value_error):
                break
            step /= 2
        else:
            break
        curvature = _updated(curvature, there.theta - theta, there.slope - here.slope)
        theta, here = there.theta, there
    return theta


class _Point:
    """The negative log-likelihood at a theta, with its derivative and the errors of both."""

    def __init__(self, data: ProcessData, kernel: Any, theta: np.ndarray, tell: Callable[[str], Any]):
        self.theta = theta
        kernel.theta = theta
        try:
            process = data.process(kernel, control=False)
        except NotPositiveDefinite:
            self.is_good = False
            return
        self.is_good = process.is_definite and np.isfinite(process.log_likelihood)
        if self.is_good:
            self.value, self.value_error = -process.log_likelihood, process.log_likelihood_error
            self.slope = -process.slope()
            self.error = process.slope_error
            tell(
                f"log-likelihood {process.log_likelihood:.6g} +- {process.log_likelihood_error:.2g} of {kernel}, "
                f"{process.n_iter} products, {data.settings.n_probes} probes"
            )


def _curvature(objective: Callable, theta: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return the second derivatives at a minimum, by differences of first ones, made positive definite."""
    columns, step = [], 1e-3
    for k in range(len(theta)):
        ends = []
        for sign in (-1, 1):
            moved = theta.copy()
            moved[k] = np.clip(theta[k] + sign * step, *bounds[k])
            ends.append((moved[k], objective(moved)[1]))
        width = ends[1][0] - ends[0][0]
        columns.append((ends[1][1] - ends[0][1]) / width if width > 0 else np.zeros_like(theta))
    matrix = np.array(columns)
    values, turn = np.linalg.eigh(np.nan_to_num((matrix + matrix.T) / 2))
    least = max(1e-3 * float(np.abs(values).max()), 1e-3)
    return (turn * np.maximum(np.abs(values), least)) @ turn.T


def _updated(curvature: np.ndarray, step: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return the second derivatives that agree with a step (BFGS); where the slope does not grow along it, the old ones."""
    image = curvature @ step
    along, before = float(step @ change), float(step @ image)
    if along <= 1e-2 * before:
        return curvature
    return curvature + np.outer(change, change) / along - np.outer(image, image) / before
