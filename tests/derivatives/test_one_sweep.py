"""The value and all gradients of a call: sums over either axis share a sweep over the pairs."""

import numpy as np
import pytest

from skkeops import Genred
from skkeops.backends import cpu
from skkeops.cluster import from_matrix
from skkeops.formula.expression import Variable
from skkeops.plan.problem import Output, Problem
from skkeops.reductions import Max, Sum

ALIASES = ["p = Pm(1)", "x = Vi(2)", "y = Vj(2)", "b = Vj(1)"]
NAMES = ("x", "y", "b", "p")


def data(m=7, n=9, seed=0):
    rng = np.random.default_rng(seed)
    return np.array([0.7]), rng.random((m, 2)), rng.random((n, 2)), rng.random((n, 1)) + 0.5


def truth_of_sum(p, x, y, b, e):
    """The sum of exp(-p |x - y|^2) b and its gradients, by NumPy."""
    difference = x[:, None] - y
    squared = (difference**2).sum(axis=2)
    k = np.exp(-p * squared)
    weighted = e * k * b[:, 0]
    by_x = -2 * p * (weighted[:, :, None] * difference).sum(axis=1)
    by_y = 2 * p * (weighted[:, :, None] * difference).sum(axis=0)
    return k @ b, (by_x, by_y, (k * e).sum(axis=0)[:, None], -np.array([(weighted * squared).sum()]))


def truth_of_log_sum_exp(p, x, y, b, e):
    """The log-sum-exp of b - p |x - y|^2 and its gradients, by NumPy."""
    difference = x[:, None] - y
    squared = (difference**2).sum(axis=2)
    k = np.exp(b[:, 0] - p * squared)
    weights = e * k / k.sum(axis=1, keepdims=True)
    by_x = -2 * p * (weights[:, :, None] * difference).sum(axis=1)
    by_y = 2 * p * (weights[:, :, None] * difference).sum(axis=0)
    value = np.log(k.sum(axis=1, keepdims=True))
    return value, (by_x, by_y, weights.sum(axis=0)[:, None], -np.array([(weights * squared).sum()]))


CASES = {
    "Sum": ("Exp(-p * SqDist(x, y)) * b", truth_of_sum),
    "LogSumExp": ("b - p * SqDist(x, y)", truth_of_log_sum_exp),
}


@pytest.fixture
def sweeps(monkeypatch):
    """The numbers of outputs of the sweeps that the compiled engine makes."""
    seen = []
    state = cpu.CpuProgram.state

    def spy(self, arrays, pairs=None, progress=None):
        seen.append(len(self.problem.outputs))
        return state(self, arrays, pairs, progress)

    monkeypatch.setattr(cpu.CpuProgram, "state", spy)
    return seen


@pytest.mark.parametrize("op", CASES)
@pytest.mark.parametrize("backend", ["CPU", "reference"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "n"), [(1, 1), (7, 9), (70, 9), (9, 70), (300, 400), (0, 5), (5, 0)])
def test_value_and_gradients_are_those_of_numpy(op, backend, dtype, m, n):
    formula, truth = CASES[op]
    arrays = [a.astype(dtype) for a in data(m, n)]
    e = np.random.default_rng(1).random((m, 1)).astype(dtype)
    value, gradients = Genred(formula, ALIASES, op, axis=1).value_and_gradient(
        *arrays, wrt=NAMES, grad_output=e, backend=backend
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        expected, by = truth(*(a.astype(float) for a in (*arrays, e)))
    if n == 0:
        by = [np.zeros_like(g) for g in by]
    tolerance = {"rtol": 2e-5, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(value, expected, **tolerance)
    for found, g in zip(gradients, by, strict=True):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, g, **tolerance)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_sum_and_its_gradients_are_one_sweep(axis, sweeps):
    function = Genred(CASES["Sum"][0], ALIASES, axis=axis)
    arrays = data()
    function.value_and_gradient(*arrays, wrt=NAMES)
    assert sweeps == [5]
    sweeps.clear()
    function.gradient(*arrays, wrt=NAMES)
    assert sweeps == [4]
    sweeps.clear()
    function.gradient(*arrays, wrt="x")
    assert sweeps == [1]


def test_a_log_sum_exp_and_its_gradients_are_two_sweeps(sweeps):
    function = Genred(CASES["LogSumExp"][0], ALIASES, "LogSumExp", axis=1)
    value, _ = function.value_and_gradient(*data(), wrt=NAMES)
    assert sweeps == [1, 4]
    sweeps.clear()
    function.gradient(*data(), wrt=NAMES, output=value)
    assert sweeps == [4]


def test_ranges_have_a_sweep_for_each_axis(sweeps):
    function = Genred(CASES["Sum"][0], ALIASES, axis=1)
    p, x, y, b = arrays = data(8, 9)
    blocks = from_matrix(np.array([[0, 4], [4, 8]]), np.array([[0, 5], [5, 9]]), np.eye(2, dtype=bool))
    value, gradients = function.value_and_gradient(*arrays, wrt=NAMES, ranges=blocks)
    assert sorted(sweeps) == [2, 3]
    parts = [truth_of_sum(p, x[i], y[j], b[j], 1.0) for i, j in ((slice(0, 4), slice(0, 5)), (slice(4, 8), slice(5, 9)))]
    np.testing.assert_allclose(value, np.concatenate([v for v, _ in parts]), rtol=1e-12)
    for k, found in enumerate(gradients):
        expected = [by[k] for _, by in parts]
        np.testing.assert_allclose(found, sum(expected) if k == 3 else np.concatenate(expected), rtol=1e-11)


def test_explain_tells_the_sweeps_of_gradients():
    line = {op: Genred(formula, ALIASES, op, axis=1).explain().splitlines() for op, (formula, _) in CASES.items()}
    assert any(text.startswith("gradients: one sweep over the pairs for all variables, with the value;") for text in line["Sum"])
    assert any(text.startswith("gradients: one sweep over the pairs for all variables, after that") for text in line["LogSumExp"])
    masked = Genred("m * x", ["m = Vij(1)", "x = Vj(1)"], axis=1)
    assert "gradients: one sweep over the pairs for each variable" in masked.explain().splitlines()
    nearest = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], "Min", axis=1)
    assert "gradients: of the winning pairs alone" in nearest.explain().splitlines()
    assert "gradients: none" in Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], "ArgMin", axis=1).explain().splitlines()


def test_blocks_of_rows(sweeps, small_blocks):
    small_blocks(4)
    arrays = data(11, 13)
    e = np.random.default_rng(1).random((11, 1))
    for op, (formula, truth) in CASES.items():
        found = Genred(formula, ALIASES, op, axis=1).value_and_gradient(*arrays, wrt=NAMES, grad_output=e)
        expected, by = truth(*arrays, e)
        np.testing.assert_allclose(found[0], expected, rtol=1e-12)
        for a, g in zip(found[1], by, strict=True):
            np.testing.assert_allclose(a, g, rtol=1e-11, atol=1e-13)
    assert len(sweeps) == 3 + 2 * 3  # three blocks of rows; the log-sum-exp has a forward pass


def test_vectors_that_the_factor_widens():
    """The value leaves the sum as a factor of more components than what is summed."""
    function = Genred("x * Exp(p * y)", ["p = Pm(1)", "x = Vi(3)", "y = Vj(1)"], axis=1)
    p, x, y = np.array([0.3]), np.random.default_rng(0).random((4, 3)), np.random.default_rng(1).random((5, 1))
    value, (by_x, by_p) = function.value_and_gradient(p, x, y, wrt=("x", "p"))
    k = np.exp(p * y)
    np.testing.assert_allclose(value, x * k.sum(), rtol=1e-13)
    np.testing.assert_allclose(by_x, np.full((4, 3), k.sum()), rtol=1e-13)
    np.testing.assert_allclose(by_p, [x.sum() * (k * y).sum()], rtol=1e-13)


@pytest.mark.parametrize("formula", ["IntCst(1)", "x", "y", "p"])
def test_formulas_without_some_of_the_variables(formula):
    function = Genred(formula, ["p = Pm(1)", "x = Vi(1)", "y = Vj(1)"], axis=1)
    rng = np.random.default_rng(0)
    arrays = {"p": rng.random(1), "x": rng.random((4, 1)), "y": rng.random((5, 1))}
    value, gradients = function.value_and_gradient(*arrays.values(), wrt=tuple(arrays))
    pairs = np.broadcast_to(arrays[formula].T if formula == "y" else arrays.get(formula, np.ones(1)), (4, 5))
    np.testing.assert_allclose(value, pairs.sum(axis=1, keepdims=True), rtol=1e-14)
    for name, found in zip(arrays, gradients, strict=True):
        expected = 20 / arrays[name].size if name == formula else 0
        np.testing.assert_allclose(found, np.full(arrays[name].shape, expected), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "n"), [(2000, 3000), (1500, 40), (40, 20000), (20000, 40)])
def test_threads_do_not_change_a_bit(m, n, dtype):
    from threadpoolctl import threadpool_limits

    function = Genred(CASES["Sum"][0], ALIASES, axis=1)
    arrays = [a.astype(dtype) for a in data(m, n)]
    found = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, user_api="openmp"):
            found.append(function.value_and_gradient(*arrays, wrt=NAMES))
    for value, gradients in found[1:]:
        for a, b in zip((value, *gradients), (found[0][0], *found[0][1]), strict=True):
            assert (a == b).all()


def test_what_one_sweep_cannot_do():
    x = Variable(0, 2, 0)
    with pytest.raises(ValueError, match="must be sums: found Sum, Max"):
        Problem((Output(Sum(), (x,), 1), Output(Max(), (x,), 1)), (x,))


@pytest.fixture
def lowered(monkeypatch):
    """The problems that are lowered to programs of the compiled engine."""
    from skkeops.backends.cpu import program

    seen = []
    lower = program.lower
    monkeypatch.setattr(program, "lower", lambda plan, *rest: seen.append(plan.problem) or lower(plan, *rest))
    return seen


def test_programs_are_shared_by_calls_and_derivatives(lowered):
    function = Genred(CASES["LogSumExp"][0], ALIASES, "LogSumExp", axis=1)
    arrays = data(90, 80)
    function(*arrays)
    function.gradient(*arrays, wrt="x")
    assert [len(problem.outputs) for problem in lowered] == [1, 1]  # the forward pass, and the gradient
    function.value_and_gradient(*arrays, wrt="x")
    assert len(lowered) == 2
    function.gradient(*arrays, wrt=("x", "y"))
    function.value_and_gradient(*arrays, wrt=("x", "y"))
    assert [len(problem.outputs) for problem in lowered] == [1, 1, 2]


def test_several_outputs_have_states_and_no_results():
    x = Variable(0, 2, 0)
    problem = Problem((Output(Sum(), (x,), 1), Output(Sum(), (x,), 1)), (x,))
    with pytest.raises(ValueError, match="single output: found 2 outputs"):
        cpu.prepare(problem).run((np.ones((3, 2)),))
