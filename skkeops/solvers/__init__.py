"""Linear systems with matrices that are never stored."""

from .cholesky import pivoted_cholesky
from .linear_system import Solution, relative_residuals, solve
from .preconditioner import LowRankPreconditioner, low_rank_preconditioner, nystrom

__all__ = [
    "LowRankPreconditioner",
    "Solution",
    "low_rank_preconditioner",
    "nystrom",
    "pivoted_cholesky",
    "relative_residuals",
    "solve",
]
