"""How much a sum may be off, for pairs that are left out."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Tolerance"]


class Tolerance(NamedTuple):
    """Pairs whose values add up to at most ``atol + rtol`` times the sum of the absolute values of all may be left out.

    Programs take it where they take blocks of pairs: it says which pairs are visited, all that matter.

    Attributes
    ----------
    rtol : float
        From 0 on, below 1.
    atol : float
        From 0 on.
    """

    rtol: float
    atol: float
