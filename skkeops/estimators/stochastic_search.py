"""The parameters of the largest likelihood, where likelihoods and derivatives are estimates with a standard error."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .exact_process import NotPositiveDefinite
from .iterative_process import IterativeProcess
from .likelihood_search import search
from .process_data import ProcessData

__all__ = ["stochastic_search"]

_SUBSET = 2000  # samples whose likelihood, by the Cholesky factor, tells where to start
_GROWTH = 4  # times as many samples in the next subset, at most
_STEPS = 15
_HALVINGS = 5
_LONGEST = 1.0  # step of a logarithm
_GAIN = 0.1  # of a log-likelihood: what is not worth a step
_NOISE = 0.25  # of a log-likelihood: what the probes may leave open
_MORE = 4  # times as many probes as asked for, at most


def stochastic_search(
    data: ProcessData,
    kernel: Any,
    n_restarts: int,
    random: np.random.RandomState,
    tell: Callable[[str], Any],
) -> tuple[np.ndarray, IterativeProcess | None]:
    """Return the theta of the largest likelihood, and the process there if the search has just come from it.

    A random subset, whose likelihoods are exact and cheap, tells where to start, from all starts that are asked for, and how the
    likelihood is curved there. From there a quasi-Newton method takes steps with estimates of larger and larger subsets, each at
    most four times as large as the one before, and of all samples in the end. It goes on until no component of the derivative is
    larger than its standard error, or a step promises less than a tenth of a unit of log-likelihood.

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
    The time of a likelihood is in proportion to the square of the samples, and the parameters that are found with a quarter of the
    samples are off by about twice the statistical errors of all: with subsets, few of the steps take all samples.

    With m probes the error of the derivative is about that which the data leave in it, divided by the root of m (Stein, Chen,
    Anitescu, 2013). What it costs in log-likelihood is half its square in the metric of the curvature: where that is above a
    quarter the number of probes is doubled.
    """
    bounds, n = kernel.bounds, len(data.y)
    order = random.permutation(n)
    some = data.subset(order[:_SUBSET])

    def exact(theta, eval_gradient=True):
        kernel.theta = theta
        found = some.likelihood(kernel, eval_gradient)
        return (-found[0], -found[1]) if eval_gradient else -found

    theta = np.clip(search(exact, kernel, "fmin_l_bfgs_b", n_restarts, random)[0], bounds[:, 0], bounds[:, 1])
    climb = _Climb(kernel, theta, _curvature(exact, theta, bounds), tell)
    tell(f"{len(some.y)} samples, exactly: {kernel.clone_with_theta(theta)}")
    size = len(some.y)
    for following in _sizes(size, n)[:-1]:
        climb.curvature *= following / size
        climb.to_the_top(data.subset(order[:following], data.settings), more_probes=False)
        climb.process, size = None, following
    climb.curvature *= n / size
    climb.to_the_top(data, more_probes=True)
    return climb.theta, climb.process


def _sizes(first: int, last: int) -> list[int]:
    """Return the numbers of samples that come after the first, evenly on a logarithmic scale."""
    n_steps = max(1, math.ceil(math.log(last / first) / math.log(_GROWTH) - 1e-9))
    return [round(first * (last / first) ** (k / n_steps)) for k in range(1, n_steps + 1)]


class _Climb:
    """A search for the largest likelihood, on one set of samples after another.

    Attributes
    ----------
    theta : ndarray
        Where it is.
    curvature : ndarray
        The second derivatives of the negative log-likelihood, about.
    process : IterativeProcess or None
        That of theta. It is let go before the next is made: each has a preconditioner, which may take much of the memory.
    """

    def __init__(self, kernel: Any, theta: np.ndarray, curvature: np.ndarray, tell: Callable[[str], Any]):
        self.kernel, self.theta, self.curvature, self.tell = kernel, theta, curvature, tell
        self.process: IterativeProcess | None = None

    def to_the_top(self, data: ProcessData, more_probes: bool) -> None:
        """Go on with the likelihoods of these data; the number of probes may be doubled if the errors are too large."""
        bounds = self.kernel.bounds
        most = _MORE * data.settings.n_probes
        here = self._point(data, self.theta)
        for _ in range(_STEPS):
            if not here.is_good:
                break
            # A parameter at a bound that the likelihood pushes against is not free.
            at_bound = ((here.theta <= bounds[:, 0]) & (here.slope > 0)) | ((here.theta >= bounds[:, 1]) & (here.slope < 0))
            free = ~at_bound
            slope, error = here.slope[free], here.error[free]
            metric = self.curvature[np.ix_(free, free)]
            if not free.any():
                break
            newton = -np.linalg.solve(metric, slope)
            if (np.abs(slope) <= error).all() or -0.5 * float(slope @ newton) <= _GAIN:
                noise = 0.5 * float(error @ np.linalg.solve(metric, error))
                if not more_probes or noise <= _NOISE * free.sum() or data.settings.n_probes >= most:
                    break
                data.settings = replace(data.settings, n_probes=2 * data.settings.n_probes)
                here = self._point(data, here.theta)
                continue
            step = np.zeros_like(here.theta)
            step[free] = np.clip(newton, -_LONGEST, _LONGEST)
            for _ in range(_HALVINGS):
                there = self._point(data, np.clip(here.theta + step, bounds[:, 0], bounds[:, 1]))
                if there.is_good and there.value <= here.value + 2 * np.hypot(here.value_error, there.value_error):
                    break
                step /= 2
            else:
                self.process = None
                break
            self.curvature = _updated(self.curvature, there.theta - here.theta, there.slope - here.slope)
            here = there
        self.theta = here.theta

    def _point(self, data: ProcessData, theta: np.ndarray) -> _Point:
        """Return the likelihood at a theta; its process becomes that of the climb."""
        self.process = None
        found = _Point(theta)
        self.kernel.theta = theta
        try:
            process = data.process(self.kernel, is_step=True)
        except NotPositiveDefinite:
            return found
        found.is_good = process.is_definite and bool(np.isfinite(process.log_likelihood))
        if found.is_good:
            self.process = process
            found.value, found.value_error = -process.log_likelihood, process.log_likelihood_error
            found.slope = -process.slope()
            found.error = process.slope_error
            self.tell(
                f"{len(data.y)} samples: log-likelihood {process.log_likelihood:.6g} +- {process.log_likelihood_error:.2g} of "
                f"{self.kernel}, {process.n_iter} products, {data.settings.n_probes} probes"
            )
        return found


@dataclass
class _Point:
    """The negative log-likelihood at a theta, with its derivative and the errors of both."""

    theta: np.ndarray
    is_good: bool = False
    value: float = np.inf
    value_error: float = np.inf
    slope: np.ndarray = field(default_factory=lambda: np.zeros(0))
    error: np.ndarray = field(default_factory=lambda: np.zeros(0))


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
