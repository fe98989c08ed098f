"""``.. reduction-table::``: all reductions, from their classes."""

from __future__ import annotations

import inspect

import numpy as np
from rst import Generated, table

from skkeops import reductions

_SHAPES = {(1,): "(M, 1)", (3,): "(M, D)", (2,): "(M, dim G)"}


class ReductionTable(Generated):
    package = "skkeops.reductions"

    def lines(self):
        rows = []
        for cls in dict.fromkeys(reductions.registry.values()):
            names = "\n\n".join(f"``{name}``" for name in (cls.name, *cls.aliases))
            rows.append([names, meaning(cls), needs(cls), empty(cls), derivative(cls)])
        return table(["reduction_op", "Result", "Needs", "Empty axis", "Gradient"], rows, "reductions", "22 40 13 11 14")


def meaning(cls) -> str:
    """The docstring's paragraphs, without its sections."""
    text = inspect.getdoc(cls)
    for heading in ("Examples\n---", "Parameters\n---"):
        text = text.partition(heading)[0]
    return text.strip()


def needs(cls) -> str:
    if issubclass(cls, reductions.KSmallest):
        return "``opt_arg`` = K"
    if cls.needs_formula2:
        return "``formula2`` = G"
    return "``formula2``, optional" if cls is reductions.LogSumExp else ""


def empty(cls) -> str:
    """What the reduction of no value is: computed."""
    if issubclass(cls, reductions.KSmallest):
        return "error: K values"
    if cls.returns_index:
        return "error"
    dims = (1, 1) if cls.needs_formula2 else (1,)
    reduction = cls()
    with np.errstate(all="ignore"):
        value = reduction.finalize(reduction.identity(1, dims), np.dtype(np.float64))
    return ", ".join(_number(v) for v in np.ravel(value))


def _number(value: float) -> str:
    return "NaN" if np.isnan(value) else {np.inf: "+∞", -np.inf: "−∞"}.get(value, f"{value:g}")


def derivative(cls) -> str:
    return {"sum": "yes", "winners": "to the winners", "": "none"}[cls.derivative]


def setup(app):
    app.add_directive("reduction-table", ReductionTable)
    return {"parallel_read_safe": True}
