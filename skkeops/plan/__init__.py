"""Plans: what is computed once, per i, per j and per pair."""

from .plan import Plan, make_plan
from .problem import Problem

__all__ = ["Plan", "Problem", "make_plan"]
