"""The compiled CPU backend: plans become programs of the tile engine."""

from .program import (
    CpuProgram,
    engine_info,
    evaluate,
    evaluate_pairs,
    gathers_sparse,
    on_host,
    prepare,
    prunes,
    sums_together,
    truncates,
)
from .threads import at_once

__all__ = [
    "CpuProgram", "at_once", "engine_info", "evaluate", "evaluate_pairs", "gathers_sparse", "on_host", "prepare", "prunes",
    "sums_together", "truncates",
]  # fmt: skip
