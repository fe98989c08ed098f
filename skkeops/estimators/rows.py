"""Queries in blocks of rows: over joblib's jobs, over the chunks of a Dask array, or all at once with a bar."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np
from sklearn.utils import gen_even_slices
from sklearn.utils.parallel import Parallel, delayed

from skkeops.arrays.devices import is_on_device

from .progress import progress_bar
from .reduction import PairReduction, reduce_rows

__all__ = ["is_dask", "map_chunks", "over_rows"]


def over_rows(
    reduction: PairReduction, X: np.ndarray, backend: str, n_jobs: int | None, verbose: Any, title: str  # noqa: N803
) -> Any:
    """Return the values of a reduction for all queries, an array or a tuple of them. Rows do not depend on each other: any
    number of jobs gives the same bits, unless the reduction has a tolerance.

    Parameters
    ----------
    reduction : PairReduction
    X : ndarray of shape (n_queries, n_columns)
    backend : str
    n_jobs : int or None
        joblib's.
    verbose : bool or int
        Whether to show a progress bar when the work lasts.
    title : str
        What the bar is called.
    """
    # One device is not shared among processes.
    jobs = 1 if is_on_device(X) else min(joblib.effective_n_jobs(n_jobs), max(1, len(X)))
    if jobs == 1:
        with progress_bar(verbose, title) as progress:
            return reduction(X, backend, progress)
    active, _ = joblib.parallel.get_active_backend()
    # Jobs that are threads of this process share its cores; other processes are limited by who starts them.
    threads = max(1, joblib.cpu_count() // jobs) if getattr(active, "supports_sharedmem", False) else None
    options = {"backend": backend, "rtol": reduction.rtol, "atol": reduction.atol}
    blocks = Parallel(n_jobs=n_jobs)(
        delayed(reduce_rows)(reduction.definition, options, threads, X[rows], *reduction.arrays)
        for rows in gen_even_slices(len(X), jobs)
    )
    if isinstance(blocks[0], tuple):
        return tuple(np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return np.concatenate(blocks)


def is_dask(X: Any) -> bool:  # noqa: N803
    """Return whether X is a Dask array, without importing Dask."""
    return type(X).__module__.partition(".")[0] == "dask" and hasattr(X, "map_blocks") and hasattr(X, "chunks")


def map_chunks(method: Any, X: Any, n_outputs: int | None, dtype: Any) -> Any:  # noqa: N803
    """Return ``method`` of every block of rows of a Dask array, as a lazy Dask array.

    Parameters
    ----------
    method : callable
        A bound method of a fitted estimator: (rows, n_features) -> (rows, n_outputs), or (rows,).
    X : dask.array.Array
    n_outputs : int or None
        The number of columns of the result; None if it has one axis.
    dtype : dtype
    """
    if X.ndim != 2:
        raise ValueError(f"Expected a Dask array of two axes: found {X.ndim}")
    X = X.rechunk({1: -1})
    if n_outputs is None:
        return X.map_blocks(method, dtype=dtype, chunks=(X.chunks[0],), drop_axis=1, meta=np.empty((0,), dtype))
    return X.map_blocks(method, dtype=dtype, chunks=(X.chunks[0], (n_outputs,)), meta=np.empty((0, 0), dtype))
