"""Ranges of reduced indices that share a segment: as many small ones as fit, computed as if they were one."""

import numpy as np
import pytest

from skkeops import Genred
from skkeops.backends.cpu import _engine, program
from skkeops.pairs.ranges import Blocks
from skkeops.plan.problem import Problem
from skkeops.reductions import KMinArgKMin

M, N = 40, 30000


@pytest.fixture
def tune():
    before = _engine.tune()
    yield _engine.tune
    _engine.tune(**before)


def some_ranges(rng, lengths):
    """Ranges of such lengths, in ascending order, with gaps between some of them; and the indices that they have."""
    gaps = rng.integers(0, 3, len(lengths))
    begins = np.cumsum(gaps + np.concatenate([[0], lengths[:-1]]))
    ranges = np.stack([begins, begins + lengths], axis=1)
    assert ranges[-1, 1] <= N
    return ranges, np.concatenate([np.arange(a, b) for a, b in ranges])


LENGTHS = {
    "single indices": np.ones(300, int),
    "some of them empty": np.tile([0, 5, 0, 0, 49], 40),
    "up to the end of a segment": np.array([8000, 192, 1, 8191, 1, 3]),
    "longer than a segment": np.array([3, 12000, 70, 9000]),
    "random": np.random.default_rng(3).integers(0, 130, 250),
}


@pytest.mark.parametrize("task_work", [1, 1 << 40])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS.keys())
def test_they_count_as_one(lengths, dtype, task_work, rng, tune, monkeypatch):
    monkeypatch.setattr("skkeops.backends.cpu.threads.n_threads", lambda: 3)
    tune(task_work=task_work, serial_work=0, poison=True)
    ranges, which = some_ranges(rng, lengths)
    x, y, b = (rng.normal(size=shape).astype(dtype) for shape in [(M, 2), (N, 2), (N, 3)])
    rows, slices = np.array([[0, 17], [17, M]]), np.array([len(ranges), 2 * len(ranges)])
    blocks = (rows, slices, np.concatenate([ranges, ranges]), *(np.empty((0, 2), int), np.empty(0, int), np.empty((0, 2), int)))
    distances = ((x[:, None].astype(float) - y[which]) ** 2).sum(axis=2)
    tolerance = 1e-5 if dtype == "float32" else 1e-12

    names = ["x = Vi(2)", "y = Vj(2)"]
    order = np.argsort(distances, axis=1, kind="stable")
    for k in (1, 12, 300):
        k_found = Genred("SqDist(x, y)", names, "KMin", axis=1, opt_arg=k)(x, y, ranges=blocks)
        expected = np.full((M, k), np.inf)
        expected[:, : len(which)] = np.take_along_axis(distances, order[:, :k], axis=1)
        np.testing.assert_allclose(k_found, expected, rtol=tolerance, atol=tolerance)
        index = Genred("SqDist(x, y)", names, "ArgKMin", axis=1, opt_arg=k)(x, y, ranges=blocks)[:, : len(which)]
        at = ((x[:, None].astype(float) - y[index]) ** 2).sum(axis=2)
        np.testing.assert_allclose(at, expected[:, : len(which)], rtol=tolerance, atol=tolerance)
        assert np.isin(index, which).all()
    nearest = Genred("SqDist(x, y)", names, "ArgMin", axis=1)(x, y, ranges=blocks)[:, 0]
    at = ((x.astype(float) - y[nearest]) ** 2).sum(axis=1)
    np.testing.assert_allclose(at, distances.min(axis=1), rtol=tolerance, atol=tolerance)

    weights = np.exp(-distances)
    sums = Genred("Exp(-SqDist(x, y)) * b", [*names, "b = Vj(3)"], "Sum", axis=1)(x, y, b, ranges=blocks)
    np.testing.assert_allclose(sums, weights @ b[which], atol=tolerance * weights.sum(axis=1).max() * 4)
    log_sums = Genred("-SqDist(x, y)", names, "LogSumExp", axis=1)(x, y, ranges=blocks)[:, 0]
    np.testing.assert_allclose(log_sums, np.log(weights.sum(axis=1)), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [1, 11, 40, 300])
def test_values_that_are_not_below_a_bound_may_be_left_out(k, dtype, rng):
    x, y = rng.normal(size=(M, 2)).astype(dtype), rng.normal(size=(N, 2)).astype(dtype)
    problem = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], "KMin_ArgKMin", axis=1, opt_arg=k)._program("auto", np).problem
    distances = ((x[:, None].astype(float) - y) ** 2).sum(axis=2)
    order = np.argsort(distances, axis=1)
    values = np.take_along_axis(distances, order, axis=1)
    n_below = rng.integers(0, k + 3, M)  # of a row, so many of all values
    worst = (values[np.arange(M), n_below - 1] + values[np.arange(M), n_below]) / 2
    worst[n_below == 0] = values[n_below == 0, 0] / 2
    everything = Blocks((np.array([[0, M]]), np.array([1]), np.array([[0, N]])))
    found, index = program.prepare(problem).state_below((x, y), everything, worst[:, None])
    below = np.arange(k) < n_below[:, None]
    expected = np.where(below, values[:, :k], worst[:, None])
    np.testing.assert_allclose(found[:, :, 0], expected, rtol=1e-4 if dtype == "float32" else 1e-12)
    np.testing.assert_array_equal(index[:, :, 0] >= 0, below)
    at = np.take_along_axis(distances, np.maximum(index[:, :, 0], 0), axis=1)
    np.testing.assert_allclose(at[below], values[:, :k][below], rtol=1e-4)


def test_a_bound_belongs_to_the_k_smallest():
    x, y = np.zeros((3, 2)), np.zeros((4, 2))
    total = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], axis=1)._program("auto", np)
    smallest = program.prepare(Problem.of(KMinArgKMin(2), total.problem.values, 1, total.problem.variables))
    for own in (program.prepare(total.problem), smallest):
        with pytest.raises(ValueError, match="worst belongs to the K smallest values: 3 rows of .*found the shape \\(2, 1\\)"):
            own.state_below((x, y), None, np.zeros((2, 1)))
