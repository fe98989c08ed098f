"""Linear systems with matrices that are never stored."""

from .linear_system import Solution, solve
from .preconditioner import LowRankPreconditioner, pivoted_cholesky

__all__ = ["LowRankPreconditioner", "Solution", "pivoted_cholesky", "solve"]
