"""scikit-learn's callbacks of iterative fits, where they exist: from 1.9 on, and experimental."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """This version of scikit-learn has no callbacks."""

    def with_callbacks(method: Callable) -> Callable:  # type: ignore[misc]
        """Return the method itself."""
        return method


__all__ = ["CallbackSupportMixin", "Iterations", "with_callbacks"]


class Iterations:
    """The iterations of a fit, as callbacks see them.

    Parameters
    ----------
    estimator : estimator
        Being fitted, in a method decorated with `with_callbacks`.
    X, y : array-like
        What it is fitted on.
    max_iter : int
        The largest number of iterations.
    attributes : callable
        Returns the fitted attributes that belong to an iterate.
    progress : callable or None
        Called with the number of iterations that are done, and None for that of all: see `progress_bar`.
    """

    def __init__(
        self,
        estimator: Any,
        X: Any,  # noqa: N803
        y: Any,
        max_iter: int,
        attributes: Callable[[Any], dict],
        progress: Callable[[int, None], Any] | None = None,
    ):
        self._data = {"estimator": estimator, "X": X, "y": y}
        self._attributes = attributes
        self._progress = progress
        self._done = 0
        begin = getattr(estimator, "_init_callback_context", None)
        self._context = None if begin is None else begin(max_subtasks=max_iter)
        self._heard = bool(getattr(estimator, "_skl_callbacks", None))
        if self._context is not None:
            self._context.call_on_fit_task_begin(**self._data)

    def __call__(self, iterate: Any) -> bool:
        """Tell of one iteration; return whether a callback wants it to be the last."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, None)
        if self._context is None or not self._heard:
            return False
        step = self._context.subcontext(task_name="iteration")
        step.call_on_fit_task_begin(**self._data)
        return bool(
            step.call_on_fit_task_end(**self._data, reconstruction_attributes=lambda: self._attributes(iterate))
        )

    def end(self, solution: Any) -> None:
        """Tell that the fit is over."""
        if self._context is not None:
            self._context.call_on_fit_task_end(
                **self._data, reconstruction_attributes=lambda: self._attributes(solution)
            )
