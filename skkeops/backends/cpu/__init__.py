"""The compiled CPU backend: plans become programs of the tile engine."""

from .program import CpuProgram, engine_info, evaluate, evaluate_pairs, gathers_sparse, prepare, prunes, sums_together
from .threads import at_once

__all__ = [
    "CpuProgram",
    "at_once",
    "engine_info",
    "evaluate",
    "evaluate_pairs",
    "gathers_sparse",
    "prepare",
    "prunes",
    "sums_together",
]
