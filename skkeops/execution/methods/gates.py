"""From how many pairs on a search for those that matter pays, before anything is known of the data."""

from __future__ import annotations

from typing import Any

from skkeops.arrays.conversion import dtype_of
from skkeops.arrays.devices import is_on_device

__all__ = ["too_few"]

#: On a GPU, by the bytes of a number: the least pairs of a call, and the least for each row of both sides. An H100 computes 2.8e12
#: pairs of a Gaussian sum (D = 3) in float32 a second, 6e11 in float64, and about as many of the ten nearest. The search, some 0.3
#: seconds of the host, and 0.05 microseconds a row for their order are to take less than half of the time of all pairs. The second
#: number was not measured on a card: `benchmarks.gpu_day` has rows for it.
_ON_DEVICE = {4: (1 << 40, 1 << 18), 8: (1 << 38, 1 << 16)}


def too_few(arrays: tuple[Any, ...], n_out: int, n_reduced: int, pairs_per_row: int) -> str | None:
    """Return why a call is too small for a search; None if it is not.

    Parameters
    ----------
    arrays : tuple of ndarray
    n_out, n_reduced : int
        The number of rows of the output and of columns.
    pairs_per_row : int
        On the CPU, the pairs for each row of both sides that pay for looking at the rows.
    """
    n_pairs = n_out * n_reduced
    if is_on_device(arrays[0]):
        least, pairs_per_row = _ON_DEVICE[dtype_of(arrays).itemsize]
        if n_pairs < least:
            return f"a GPU computes fewer than {least:.0e} pairs in less time than a search takes"
    return "one side has few rows" if n_pairs < pairs_per_row * (n_out + n_reduced) else None
