"""Runs of selections: components that follow one another at equal distances, so that a backend treats them as one.

A selection (`Elem`, `Concat`, `Complex`, ...) computes nothing: each of its components is a component of an argument, or
zero. What it selects is mostly regular. A backend that copies planes of memory wants as few runs as possible,
`runs_of_arguments`; one that asks which run the component k belongs to wants runs that do not interleave,
`runs_in_order`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

__all__ = ["Chosen", "Run", "runs_in_order", "runs_of_arguments"]

Chosen = tuple[int, int] | None
"""The argument and the component of it that a component of a selection is, or None for zero: see `Selection.selection`."""


class Run(NamedTuple):
    """``dim`` components of a selection: ``first``, ``first + apart``, ``first + 2 * apart``, ...

    They are the components ``component``, ``component + every``, ... of the argument number ``source``, or zeros where
    ``source`` is None.
    """

    source: int | None
    component: int
    every: int
    first: int
    apart: int
    dim: int

    @property
    def end(self) -> int:
        """The component of the selection behind the last one of the run."""
        return self.first + (self.dim - 1) * self.apart + 1


def runs_of_arguments(selection: Sequence[Chosen]) -> tuple[Run, ...]:
    """Take a selection apart into as few runs as possible, argument by argument.

    Examples
    --------
    >>> runs_of_arguments([(0, 0), (1, 0), (0, 1), (1, 1)])[1]  # the imaginary parts of an interleaved vector
    Run(source=1, component=0, every=1, first=1, apart=2, dim=2)
    """
    places: dict[int | None, list[int]] = {}
    for k, chosen in enumerate(selection):
        places.setdefault(_source(chosen), []).append(k)
    return tuple(run for of_one in places.values() for run in _runs(selection, of_one))


def runs_in_order(selection: Sequence[Chosen]) -> tuple[Run, ...]:
    """Take a selection apart into runs that follow one another: each ends where the next one begins.

    Examples
    --------
    >>> [(run.source, run.first, run.dim) for run in runs_in_order([(0, 0), (0, 1), (1, 0), None, None])]
    [(0, 0, 2), (1, 2, 1), (None, 3, 2)]
    """
    stretches = groupby(range(len(selection)), key=lambda k: _source(selection[k]))
    return tuple(run for _, stretch in stretches for run in _runs(selection, list(stretch)))


def _source(chosen: Chosen) -> int | None:
    return None if chosen is None else chosen[0]


def _runs(selection: Sequence[Chosen], places: Sequence[int]) -> Iterable[Run]:
    """Take components of one source apart into runs; ``places`` are their numbers in the selection, which increase."""
    at = [(k, 0 if (chosen := selection[k]) is None else chosen[1]) for k in places]
    start = 0
    while start < len(at):
        first, component = at[start]
        end, apart, every = start + 1, 1, 1
        if end < len(at) and at[end][1] >= component:  # no backend goes through an argument backwards
            apart, every = at[end][0] - first, at[end][1] - component
            while end < len(at) and at[end] == (first + (end - start) * apart, component + (end - start) * every):
                end += 1
        yield Run(_source(selection[first]), component, every, first, apart, end - start)
        start = end
