"""Selections as runs."""

import pytest

from skkeops.formula.expression import I, Variable
from skkeops.formula.operations import lookup
from skkeops.plan.selections import Run, runs_in_order, runs_of_arguments

X, Y, S = Variable(0, 4, I), Variable(1, 4, I), Variable(2, 1, I)


def build(name, *args):
    return lookup(name).build(*args)


@pytest.mark.parametrize(
    ("node", "runs"),
    [
        (build("Elem", X, 2), [Run(source=0, component=2, every=1, first=0, apart=1, dim=1)]),
        (build("Extract", X, 1, 3), [Run(source=0, component=1, every=1, first=0, apart=1, dim=3)]),
        (build("SumT", S, 5), [Run(source=0, component=0, every=0, first=0, apart=1, dim=5)]),
        (
            build("Concat", X, S),
            [
                Run(source=0, component=0, every=1, first=0, apart=1, dim=4),
                Run(source=1, component=0, every=1, first=4, apart=1, dim=1),
            ],
        ),
        (build("ComplexImag", X), [Run(source=0, component=1, every=2, first=0, apart=1, dim=2)]),
    ],
)
def test_regular_selections_are_the_same_runs_either_way(node, runs):
    assert list(runs_of_arguments(node.selection())) == runs
    assert list(runs_in_order(node.selection())) == runs


def test_zeros_around_an_argument_are_one_run_at_a_distance_or_two_in_order():
    selection = build("ElemT", S, 3, 1).selection()
    value = Run(source=0, component=0, every=1, first=1, apart=1, dim=1)
    assert runs_of_arguments(selection) == (Run(source=None, component=0, every=0, first=0, apart=2, dim=2), value)
    before, after = (Run(source=None, component=0, every=1, first=k, apart=1, dim=1) for k in (0, 2))
    assert runs_in_order(selection) == (before, value, after)


def test_interleaved_arguments_are_two_runs_or_as_many_as_components():
    selection = build("Complex", X, Y).selection()
    assert runs_of_arguments(selection) == (
        Run(source=0, component=0, every=1, first=0, apart=2, dim=4),
        Run(source=1, component=0, every=1, first=1, apart=2, dim=4),
    )
    assert [run.end for run in runs_of_arguments(selection)] == [7, 8]
    in_order = runs_in_order(selection)
    assert [(run.source, run.component, run.first, run.dim) for run in in_order] == [
        (source, k, 2 * k + source, 1) for k in range(4) for source in (0, 1)
    ]


def test_what_follows_at_another_distance_begins_a_run():
    selection = [(0, 0), (0, 1), (0, 3), (0, 5), (0, 5), (0, 4)]
    assert [(run.component, run.every, run.dim) for run in runs_in_order(selection)] == [
        (0, 1, 2),
        (3, 2, 2),
        (5, 1, 1),
        (4, 1, 1),
    ]


@pytest.mark.parametrize("runs_of", [runs_of_arguments, runs_in_order])
@pytest.mark.parametrize(
    "selection",
    [
        [(0, 3), (0, 2), (0, 1)],  # backwards
        [None, (1, 0), None, (1, 1), (0, 0), (0, 0), None, None],
        [(0, 0), (1, 2), (0, 2), (1, 0), (0, 4), None],
    ],
)
def test_runs_cover_every_component_once(runs_of, selection):
    found = {}
    for source, component, every, first, apart, dim in runs_of(selection):
        assert every >= 0 and apart >= 1
        for n in range(dim):
            place = first + n * apart
            assert place not in found
            found[place] = None if source is None else (source, component + n * every)
    assert [found[k] for k in range(len(selection))] == selection
