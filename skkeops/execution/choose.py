"""Which method computes a problem: each accepts or declines it, and says why; the backend's own program takes what is left."""

from __future__ import annotations

from typing import Any

from skkeops.plan.problem import Problem

from .methods.base import Method
from .methods.pruning import Pruning
from .methods.sparse_pairs import SparsePairs
from .program import Backend, Program

__all__ = ["METHODS", "Choice", "explain_methods", "prepare"]

#: In the order in which they are asked.
METHODS: tuple[type[Method], ...] = (SparsePairs, Pruning)


def prepare(problem: Problem, backend: Backend, options: Any = None) -> Program:
    """Return the program of a problem: that of the backend, or a choice where there are methods for it.

    Parameters
    ----------
    problem : Problem
    backend : Backend
        The module of a backend.
    options : Options, optional
        The options of `Genred` that a backend may follow.
    """
    own = backend.prepare(problem, options)
    methods = [method(problem, backend) for method in METHODS if method.declines(problem, backend) is None]
    return Choice(problem, methods, own) if methods else own


class Choice(Program):
    """A program that leaves each call to the first method that accepts it.

    Parameters
    ----------
    problem : Problem
    methods : list of Method
    own : Program
        The program of the backend, which accepts every call.
    """

    def __init__(self, problem: Problem, methods: list[Method], own: Program):
        super().__init__(problem)
        self.methods = methods
        self.own = own

    def choose(self, arrays: tuple[Any, ...], pairs: Any = None) -> Program:
        """Return the program that computes a call."""
        return next((method for method in self.methods if method.declines_call(arrays, pairs) is None), self.own)

    def state(self, arrays, pairs=None, progress=None):
        return self.choose(arrays, pairs).state(arrays, pairs, progress)

    def run(self, arrays, pairs=None, out=None, progress=None):
        return self.choose(arrays, pairs).run(arrays, pairs, out, progress)


def explain_methods(problem: Problem, backend: Backend) -> list[str]:
    """Return lines that say which calls of a problem which method takes; none if all are left to the backend's program."""
    reasons = {method: method.declines(problem, backend) for method in METHODS}
    if all(reasons.values()):
        return []
    lines = [f"  {m.name}: {reason or 'if ' + m.takes}" for m, reason in reasons.items()]
    return ["by the first method that takes the call", *lines, f"  {Program.name}: every other call"]
