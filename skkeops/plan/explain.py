"""The plan as text."""

from __future__ import annotations

from .problem import Problem

__all__ = ["explain"]


def explain(problem: Problem, **options) -> str:
    """A text that tells what is computed once, per i, per j and per pair, by the compiled CPU engine.

    Parameters
    ----------
    problem : Problem
    **options
        `names`, a mapping of variables to names; `dtype`, "float32" (default) or "float64"; `n_reduced`, the length
        of the reduced axis (default: long).
    """
    from skkeops.backends.cpu.description import describe

    return describe(problem, **options)
