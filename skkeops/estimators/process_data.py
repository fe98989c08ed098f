"""What a Gaussian process is fitted on, whatever the parameters of its kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from skkeops.arrays.devices import namespace_of, to_device

from .covariance import Covariance, covariance_of
from .exact_process import ExactProcess, NotPositiveDefinite
from .iterative_process import IterativeProcess, Settings
from .trend import Trend

__all__ = ["ProcessData"]


class ProcessData:
    """Samples, targets and noise; with a kernel they make a process.

    Parameters
    ----------
    x : array-like
        The training samples; in float64 unless the kernel takes something else than rows of numbers.
    y : ndarray of shape (n_samples, n_targets)
        The targets, in the units of the process.
    alpha : float or ndarray of shape (n_samples,)
        The noise.
    mean : {"zero", "constant", "linear"}
    backend : str
    settings : Settings or None
        How iterative processes are solved; None for Cholesky factors.
    """

    def __init__(self, x: Any, y: Any, alpha: Any, mean: str, backend: str, settings: Settings | None = None):
        self.x, self.y, self.alpha = x, y, alpha
        self.trend = Trend(mean, x)
        self.settings = settings
        self._mean, self._backend = mean, backend
        self._solved: Any = None

    def covariance(self, kernel: Any) -> Covariance:
        """Return the covariance of the samples under a kernel."""
        return covariance_of(kernel, self.x, self._backend)

    def process(self, kernel: Any, is_step: bool = False) -> ExactProcess | IterativeProcess:
        """Return the process of a kernel, or raise `NotPositiveDefinite`.

        `is_step` is that of `IterativeProcess`. Each starts from what the last one has found.
        """
        covariance = self.covariance(kernel)
        if self.settings is None:
            return ExactProcess(covariance, self.alpha, self.y, self.trend)
        found = IterativeProcess(covariance, self.alpha, self.y, self.trend, self.settings, is_step, self._solved)
        if found.is_definite and np.isfinite(found.log_likelihood):
            self._solved = found.solved
        return found

    def likelihood(self, kernel: Any, eval_gradient: bool) -> Any:
        """Return the log-likelihood of a kernel, and its derivative by theta if asked for; -inf where it has none."""
        try:
            process = self.process(kernel)
            is_good = process.is_exact or process.is_definite
        except NotPositiveDefinite:
            is_good = False
        if not is_good:
            return (-np.inf, np.zeros_like(kernel.theta)) if eval_gradient else -np.inf
        return (process.log_likelihood, process.slope()) if eval_gradient else process.log_likelihood

    def subset(self, which: Any, settings: Settings | None = None) -> ProcessData:
        """Return some of the samples, for Cholesky factors unless there are settings."""
        some = to_device(np.sort(which), namespace_of(self.y))
        alpha = self.alpha if np.ndim(self.alpha) == 0 else self.alpha[some]
        return ProcessData(self.x[some], self.y[some], alpha, self._mean, self._backend, settings)

    def equal_samples(self) -> tuple[int, int] | None:
        """Return two samples without noise that are equal, None if there are none."""
        if not isinstance(self.x, np.ndarray) or self.x.ndim != 2:
            return None
        quiet = np.flatnonzero(np.broadcast_to(np.asarray(self.alpha) == 0, len(self.x)))
        _, inverse, counts = np.unique(self.x[quiet], axis=0, return_inverse=True, return_counts=True)
        inverse = inverse.reshape(-1)
        if not len(quiet) or counts.max() < 2:
            return None
        first, second = quiet[np.flatnonzero(inverse == counts.argmax())[:2]]
        return int(first), int(second)
