"""Programs as text, for `Genred.explain`."""

from __future__ import annotations

def describe(problem, **options) -> str:
    return repr(problem)
