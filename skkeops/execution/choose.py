"""Which method computes a problem: each accepts or declines it, and says why; the backend's own program takes what is left."""

from __future__ import annotations

from typing import Any, NamedTuple

from skkeops.arrays.devices import computing
from skkeops.pairs.tolerance import Tolerance
from skkeops.plan.problem import Problem

from .methods.base import Method
from .methods.pruning import Pruning
from .methods.sparse_pairs import SparsePairs
from .methods.symmetric_half import SymmetricHalf
from .methods.truncation import Truncation
from .program import Backend, Program

__all__ = ["METHODS", "CallReport", "Choice", "explain_methods", "explain_report", "prepare"]

#: In the order in which they are asked.
METHODS: tuple[type[Method], ...] = (SparsePairs, Pruning, Truncation, SymmetricHalf)


class CallReport(NamedTuple):
    """How a call was computed.

    Attributes
    ----------
    method : str
        The name of the method, ``"all pairs"`` if none was used.
    share : float or None
        Which share of the pairs the result was computed from: 1.0 for all of them, None for the entries of sparse arrays. Some
        tenths of a percent that tell which pairs these are come on top.
    declined : dict of str to str
        The methods that were asked first, and why they did not take the call.
    error : float
        A bound of the error for pairs that were left out, as a part of what the tolerance of the call allows: 0.0 where all that
        contribute were computed, never above 1.0.
    """

    method: str
    share: float | None
    declined: dict[str, str]
    error: float = 0.0


def prepare(problem: Problem, backend: Backend, options: Any = None, with_tolerance: bool = False) -> Program:
    """Return the program of a problem: that of the backend, or a choice where there are methods for it.

    Parameters
    ----------
    problem : Problem
    backend : Backend
        The module of a backend.
    options : Options, optional
        The options of `Genred` that a backend may follow.
    with_tolerance : bool
        Whether its calls have a `Tolerance` for their pairs: then it is always a choice.
    """
    own = backend.prepare(problem, options)
    asked = [method for method in METHODS if with_tolerance or not method.takes_tolerances]
    reasons = {method: method.declines(problem, backend) for method in asked}
    methods = [method(problem, backend, options) for method, reason in reasons.items() if reason is None]
    if not with_tolerance:
        return Choice(problem, methods, own) if methods else own
    # who gives a tolerance hears why nothing is skipped
    never = {method.name: reason for method, reason in reasons.items() if reason is not None and method.takes_tolerances}
    return Choice(problem, methods, own, never)


class Choice(Program):
    """A program that leaves each call to the first method that accepts it.

    Parameters
    ----------
    problem : Problem
    methods : list of Method
    own : Program
        The program of the backend, which accepts every call.
    never : dict of str to str, optional
        Methods that take no call of the problem, and why, for reports.
    """

    def __init__(self, problem: Problem, methods: list[Method], own: Program, never: dict[str, str] | None = None):
        super().__init__(problem)
        self.methods = methods
        self.own = own
        self._never = never or {}
        self.report: CallReport | None = None
        # methods that need many pairs need no time where there are few
        counted = not self._has_pairs and min(self._output, self._reduced) >= 0
        self._least_pairs = min((method.least_pairs for method in methods), default=0) if counted else 0
        self._few = CallReport(own.name, own.share, self._never | {method.name: "few pairs" for method in methods})

    def choose(self, arrays: tuple[Any, ...], pairs: Any = None) -> Program:
        """Return the program that computes a call."""
        return self._ask(arrays, pairs)[0]

    def _ask(self, arrays: tuple[Any, ...], pairs: Any) -> tuple[Program, dict[str, str]]:
        """Return the program that computes a call, and why the methods before it do not."""
        declined = dict(self._never)
        n_out, n_reduced = self.sizes(arrays)
        for method in self.methods:
            few = n_out * n_reduced < method.least_pairs
            reason = "few pairs" if few else method.declines_call(arrays, _pairs_for(method, pairs))
            if reason is None:
                return method, declined
            declined[method.name] = reason
        return self.own, declined

    def _has_few_pairs(self, arrays: tuple[Any, ...]) -> bool:
        """Return whether no method takes a call, as there are few pairs; noted in less time than the methods take to be asked."""
        if self._least_pairs and len(arrays[self._output]) * len(arrays[self._reduced]) < self._least_pairs:
            self.report = self._few
            return True
        return False

    def state(self, arrays, pairs=None, progress=None):
        if self._has_few_pairs(arrays):
            return self.own.state(arrays, _pairs_for(self.own, pairs), progress)
        with computing(arrays):
            program, declined = self._ask(arrays, pairs)
            found = program.state(arrays, _pairs_for(program, pairs), progress)
        self.report = CallReport(program.name, program.share, declined, program.error)
        return found

    def run(self, arrays, pairs=None, out=None, progress=None):
        if self._has_few_pairs(arrays):
            return self.own.run(arrays, _pairs_for(self.own, pairs), out, progress)
        with computing(arrays):
            program, declined = self._ask(arrays, pairs)
            found = program.run(arrays, _pairs_for(program, pairs), out, progress)
        self.report = CallReport(program.name, program.share, declined, program.error)
        return found


def _pairs_for(program: Program, pairs: Any) -> Any:
    """Return what a program is told about pairs: all of them instead of a tolerance that it does not know."""
    return None if isinstance(pairs, Tolerance) and not getattr(program, "takes_tolerances", False) else pairs


def explain_methods(problem: Problem, backend: Backend) -> list[str]:
    """Return lines that say which calls of a problem which method takes; none if all are left to the backend's program."""
    reasons = {method: method.declines(problem, backend) for method in METHODS}
    if all(reasons.values()):
        return []
    lines = [f"  {m.name}: {reason or 'if ' + m.takes}" for m, reason in reasons.items()]
    return ["by the first method that takes the call", *lines, f"  {Program.name}: every other call"]


def explain_report(report: CallReport | None) -> list[str]:
    """Return lines that say how the last call was computed; none if there was no choice, or no call."""
    if report is None:
        return []
    share = "" if report.share is None else f", {report.share:.3%} of the pairs"
    others = [f"  {name} did not take it: {why}" for name, why in report.declined.items()]
    error = f", errors within {report.error:.1%} of the tolerance" if report.error else ""
    return [f"the last call: {report.method}{share}{error}", *others]
