"""Large outputs, block by block: the same bits, little memory, progress, and results written in place."""

import tracemalloc

import numpy as np
import pytest

from skkeops import Genred
from skkeops.execution import blocks

from .cases import CASES, DIFFERENTIABLE, as_tuple, make, make_arrays


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    return request.param


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", CASES)
def test_same_bits(op, axis, dtype, backend, rng, small_blocks):
    arrays = make_arrays(rng, 40, 30, dtype)
    whole = as_tuple(make(op, axis)(*arrays, backend=backend))
    small_blocks(7)
    f = make(op, axis)
    for a, b in zip(as_tuple(f(*arrays, backend=backend)), whole, strict=True):
        np.testing.assert_array_equal(a, b)
    out = tuple(np.zeros_like(a) for a in whole)
    f(*arrays, backend=backend, out=out if len(out) > 1 else out[0])
    for a, b in zip(out, whole, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_same_derivatives(op, axis, backend, rng, small_blocks):
    arrays = make_arrays(rng, 40, 30, np.float64)
    names = ("x", "y", "b", "p")
    tangents = dict(zip(names, make_arrays(rng, 40, 30, np.float64), strict=True))

    def derivatives():
        f = make(op, axis)
        value, gradients = f.value_and_gradient(*arrays, wrt=names, backend=backend)
        output = f(*arrays, backend=backend)
        given = f.gradient(*arrays, wrt=names, output=output, backend=backend)
        return [*as_tuple(value), *gradients, *given, f.jvp(*arrays, tangents=tangents, backend=backend)]

    whole = derivatives()
    small_blocks(7)
    for a, b in zip(derivatives(), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("rows", [5, 40])
def test_out_that_is_also_read(rows, small_blocks, backend, rng):
    """One array as both arguments and as the output: nothing is written while it is still read."""
    small_blocks(7)
    f = Genred("SqDist(x, y) * y", ["x = Vi(1)", "y = Vj(1)"], axis=1)
    x = rng.normal(size=(rows, 1))
    expected = ((x - x.T) ** 2) @ x
    assert f(x, x, backend=backend, out=x) is x
    np.testing.assert_allclose(x, expected, rtol=1e-12, atol=1e-13)


class TestMemory:
    """Beyond what comes in and goes out, as much again, and a constant."""

    M = 60_000
    CONSTANT = 1 << 20

    @pytest.fixture(autouse=True)
    def small_blocks_here(self, monkeypatch):
        """The constant in proportion to the arrays of a test."""
        monkeypatch.setattr(blocks, "STATE_NUMBERS", 1 << 14)
        monkeypatch.setattr("skkeops.derivatives.winners.PAIR_NUMBERS", 1 << 14)

    def check(self, call, arrays):
        call()  # programs are made, and their working memory
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            results = call()
            peak = tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()
        results = [part for result in as_tuple(results) for part in as_tuple(result)]
        outside = sum(a.nbytes for a in arrays) + sum(a.nbytes for a in results)
        assert peak <= sum(a.nbytes for a in results) + outside + self.CONSTANT

    @pytest.mark.parametrize("op", CASES)
    def test_call(self, op, dtype, rng):
        arrays = make_arrays(rng, self.M, 3, dtype)
        f = make(op)
        self.check(lambda: f(*arrays), arrays)

    @pytest.mark.parametrize("op", DIFFERENTIABLE)
    def test_derivatives(self, op, dtype, rng):
        arrays = make_arrays(rng, self.M, 3, dtype)
        f = make(op)
        self.check(lambda: f.gradient(*arrays, wrt="x"), arrays)
        self.check(lambda: f.value_and_gradient(*arrays, wrt=("y", "p", "x")), arrays)
        self.check(lambda: f.jvp(*arrays, tangents={"x": arrays[0]}), arrays)
        output = f(*arrays)
        e = np.ones_like(as_tuple(output)[0])
        self.check(
            lambda: f.gradient(*arrays, wrt="x", grad_output=e, output=output), (*arrays, e, *as_tuple(output))
        )

    @pytest.mark.parametrize("op", DIFFERENTIABLE)
    def test_gradient_of_many_columns(self, op, dtype, rng):
        """The other way round: few rows in the output, many in the gradient."""
        arrays = make_arrays(rng, 3, self.M, dtype)
        f = make(op)
        self.check(lambda: f.gradient(*arrays, wrt=("y", "b", "x", "p")), arrays)


class TestProgress:
    F = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], axis=1)

    def calls(self, f, m, n, backend):
        calls = []
        x, y = np.ones((m, 2)), np.zeros((n, 2))
        result = f(x, y, backend=backend, progress=lambda *numbers: calls.append(numbers))
        np.testing.assert_array_equal(result, f(x, y, backend=backend))
        return calls

    @pytest.mark.parametrize(("m", "n"), [(1, 1), (5, 4), (600, 500), (2, 50_000)])
    def test_counts_pairs(self, m, n, backend):
        calls = self.calls(self.F, m, n, backend)
        done = [d for d, _ in calls]
        assert {total for _, total in calls} == {m * n}
        assert done == sorted(done)
        assert done[-1] == m * n
        assert done[0] > 0

    def test_blocks(self, small_blocks, backend):
        small_blocks(7)
        calls = self.calls(Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], axis=1), 20, 10, backend)
        assert calls == [(70, 200), (140, 200), (200, 200)]

    def test_nothing_to_do(self, backend):
        assert all(done == total == 0 for done, total in self.calls(self.F, 0, 4, backend))

    def test_exception_stops(self, backend):
        def stop(done, total):
            raise KeyboardInterrupt

        x = np.ones((300, 2))
        with pytest.raises(KeyboardInterrupt):
            self.F(x, x, backend=backend, progress=stop)
        np.testing.assert_array_equal(self.F(x, x, backend=backend), np.zeros((300, 1)))
