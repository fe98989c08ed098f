"""The contract of programs and backends, on every backend that runs without a GPU; tests/cuda has those of the GPU."""

import importlib
import inspect

import numpy as np
import pytest

from skkeops import Genred
from skkeops.execution.program import Backend, Program
from skkeops.pairs.ranges import Ranges

MODULES = ["skkeops.backends.cpu", "skkeops.backends.reference", "skkeops.backends.device", "skkeops.backends.transfer"]
SUM = Genred("Exp(-SqDist(x, y)) * b", ["x = Vi(2)", "y = Vj(2)", "b = Vj(1)"], axis=1)
NEAREST = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], "Min_ArgMin", axis=1)


@pytest.mark.parametrize("name", MODULES)
def test_every_backend_has_what_the_contract_lists(name):
    module = importlib.import_module(name)
    assert type(module.gathers_sparse) is bool
    for function in ("prepare", "evaluate", "evaluate_pairs"):
        wanted = list(inspect.signature(getattr(Backend, function)).parameters)[1:]
        assert list(inspect.signature(getattr(module, function)).parameters) == wanted, function


def programs(genred):
    return [importlib.import_module(name).prepare(genred._problem) for name in MODULES[:2]]


def data(m, n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((m, 2)), rng.random((n, 2)), rng.random((n, 1))


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 23])
@pytest.mark.parametrize("given", [False, True], ids=["allocated", "out"])
def test_results_are_those_of_numpy_in_any_number_of_blocks(rows, given, small_blocks):
    small_blocks(8)
    x, y, b = data(rows, 5)
    squared = ((x[:, None] - y) ** 2).sum(axis=2)
    for program in programs(SUM):
        out = (np.full((rows, 1), np.nan),) if given else None
        found = program.run((x, y, b), None, out)
        assert not given or found is out[0]
        np.testing.assert_allclose(found, np.exp(-squared) @ b, rtol=1e-13)
    for program in programs(NEAREST):
        out = (np.full((rows, 1), np.nan), np.zeros((rows, 1), np.int64)) if given else None
        values, index = program.run((x, y), None, out)
        assert not given or values is out[0]
        np.testing.assert_allclose(values[:, 0], squared.min(axis=1), rtol=1e-13)
        assert (index[:, 0] == squared.argmin(axis=1)).all()


def test_blocks_of_pairs_are_visited_alone():
    x, y, b = data(10, 6)
    rows, slices, reduced = np.array([[0, 4], [6, 9]]), np.array([1, 2]), np.array([[1, 3], [0, 6]])
    visited = np.zeros((10, 6))
    visited[0:4, 1:3] = visited[6:9] = 1
    pairs = Ranges((rows, slices, reduced, reduced, slices, rows), 10, 6).of_axis(1)
    for program in programs(SUM):
        expected = (np.exp(-((x[:, None] - y) ** 2).sum(axis=2)) * visited) @ b
        np.testing.assert_allclose(program.run((x, y, b), pairs), expected, rtol=1e-13)


def test_a_program_has_to_compute_states():
    with pytest.raises(TypeError, match="state"):
        Program(SUM._problem)
