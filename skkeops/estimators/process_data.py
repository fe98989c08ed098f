"""What a Gaussian process is fitted on, whatever the parameters of its kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from .covariance import covariance_of
from .exact_process import ExactProcess, NotPositiveDefinite
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
    """

    def __init__(self, x: Any, y: Any, alpha: Any, mean: str, backend: str):
        self.x, self.y, self.alpha = x, y, alpha
        self.trend = Trend(mean, x)
        self._backend = backend

    def process(self, kernel: Any) -> ExactProcess:
        """Return the process of a kernel, or raise `NotPositiveDefinite`."""
        return ExactProcess(covariance_of(kernel, self.x, self._backend), self.alpha, self.y, self.trend)

    def likelihood(self, kernel: Any, eval_gradient: bool) -> Any:
        """Return the log-likelihood of a kernel, and its derivative by theta if asked for; -inf where it has none."""
        try:
            process = self.process(kernel)
        except NotPositiveDefinite:
            return (-np.inf, np.zeros_like(kernel.theta)) if eval_gradient else -np.inf
        return (process.log_likelihood, process.slope()) if eval_gradient else process.log_likelihood

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
