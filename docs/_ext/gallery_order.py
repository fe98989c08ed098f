"""The order of the gallery: the first page is the one that explains the most, the others follow by name."""

from __future__ import annotations

FIRST = "plot_log_sum_exp.py"


def key(filename: str) -> tuple[bool, str]:
    """Return what an example is sorted by."""
    return filename != FIRST, filename
