"""A progress bar for work that lasts: tqdm, if it is there."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["progress_bar"]

_DELAY = 2.0  # seconds before a bar appears


@contextmanager
def progress_bar(verbose: Any, title: str, unit: str = "pair") -> Iterator[Callable[[int, int | None], Any] | None]:
    """Yield a function of (done, total) numbers of pairs for the backends, or None without `verbose`. Other work counts other
    units; its total is None where nobody knows it."""
    if not verbose:
        yield None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        warnings.warn("verbose=True shows a progress bar with tqdm, which is not installed", stacklevel=2)
        yield None
        return
    with tqdm(desc=title, unit=unit, unit_scale=True, delay=_DELAY, leave=False) as bar:

        def update(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update
