"""What a method is: a program that says which problems and which calls it takes."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from skkeops.execution.program import Backend, Program
from skkeops.plan.problem import Problem

__all__ = ["Method"]


class Method(Program):
    """A way to compute a problem on top of a backend.

    A subclass says when it `declines` a problem, when it `declines_call`, and computes `state`. To add one, write its file in
    this folder and name its class in `skkeops.execution.choose.METHODS`.

    Parameters
    ----------
    problem : Problem
    backend : Backend
        The module of the backend that evaluates formulas for it.
    options : Options, optional
        The options of `Genred`, for programs of the backend.

    Attributes
    ----------
    name : str
        How `Genred.explain` calls it.
    takes : str
        Which calls of a problem it takes, after "if".
    least_pairs : int
        It takes no call with fewer pairs: then it is not even asked.
    takes_tolerances : bool
        Whether it is for calls with a tolerance alone, which it finds where others find blocks of pairs. Others compute exactly.
    """

    takes: ClassVar[str]
    least_pairs: int = 0
    takes_tolerances: ClassVar[bool] = False

    def __init__(self, problem: Problem, backend: Backend, options: Any = None):
        super().__init__(problem)
        self.backend = backend
        self.options = options

    @classmethod
    @abstractmethod
    def declines(cls, problem: Problem, backend: Backend) -> str | None:
        """Return why the method takes no call of a problem, None if it may take some.

        A problem may have several outputs, sums that are computed together: a method that knows single ones
        declines it.
        """

    @abstractmethod
    def declines_call(self, arrays: tuple[Any, ...], pairs: Any) -> str | None:
        """Return why the method does not take a call, None if it takes it: decided in less time than the call needs."""
