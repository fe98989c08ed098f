"""Sums over the pairs of points with themselves: half of the pairs give what all pairs give, beside dense NumPy."""

from types import SimpleNamespace

import numpy as np
import pytest

from skkeops import Genred, Vi, Vj
from skkeops.backends import cpu
from skkeops.execution.methods.symmetric_half import SymmetricHalf

ALIASES = ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)", "e = Vi(1)", "p = Pm(1)"]
#: Formulas with what they are for arrays x (m, 1, 3), y (1, n, 3), b (1, n, 2), e (m, 1, 1) and p (1,).
FORMULAS = {
    "Exp(-p * SqDist(x, y)) * b": lambda x, y, b, e, p: np.exp(-p * squared(x, y)) * b,
    "Exp(-p * Sqrt(SqDist(x, y))) * b": lambda x, y, b, e, p: np.exp(-p * np.sqrt(squared(x, y))) * b,
    "e * Exp(-p * SqDist(x, y)) * (x - y)": lambda x, y, b, e, p: e * np.exp(-p * squared(x, y)) * (x - y),
    "Cos(x - y) * Square((x | y))": lambda x, y, b, e, p: np.cos(x - y) * (x * y).sum(-1, keepdims=True) ** 2,
    "Sin(x - y) * Exp(Sum(x + y))": lambda x, y, b, e, p: np.sin(x - y) * np.exp((x + y).sum(-1, keepdims=True)),
    "Exp(x | y) / (IntCst(2) + Abs(x - y))": lambda x, y, b, e, p: np.exp((x * y).sum(-1, keepdims=True)) / (2 + abs(x - y)),
}


def squared(x, y):
    return ((x - y) ** 2).sum(axis=-1, keepdims=True)


@pytest.fixture
def small(monkeypatch):
    """The method takes few points, too."""
    monkeypatch.setattr(SymmetricHalf, "least_pairs", 0)


@pytest.fixture
def taken(monkeypatch):
    """How often the method has computed a call."""
    calls = []
    state = SymmetricHalf.state
    monkeypatch.setattr(SymmetricHalf, "state", lambda self, *rest: calls.append(1) or state(self, *rest))
    return calls


def data(n, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    x, b, e = (rng.normal(size=(n, dim)).astype(dtype) for dim in (3, 2, 1))
    return x, b, e, np.array([0.7], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 200, 1031])
def test_half_of_the_pairs_gives_the_sums_of_numpy(n, formula, axis, dtype, small, taken):
    x, b, e, p = data(n, dtype)
    found = Genred(formula, ALIASES, axis=axis)(x, x, b, e, p)
    wide = [a.astype(float) for a in (x, x, b, e, p)]
    pairs = FORMULAS[formula](wide[0][:, None], wide[1][None], wide[2][None], wide[3][:, None], wide[4])
    scale = abs(pairs).sum(axis=axis).max()
    np.testing.assert_allclose(found, pairs.sum(axis=axis), rtol=0, atol=scale * (1e-6 if dtype == "float32" else 1e-14))
    assert taken


def test_views_of_the_same_numbers_are_the_same_array(taken):
    x, b, e, p = data(1200)
    f = Genred("Exp(-p * SqDist(x, y)) * b", ALIASES, axis=1)
    expected = np.exp(-0.7 * squared(x[:, None], x)[..., 0]) @ b
    for y in (x, x[:], x.reshape(1200, 3)):
        np.testing.assert_allclose(f(x, y, b, e, p), expected, rtol=1e-11, atol=1e-12)
    assert len(taken) == 3
    turned = np.asfortranarray(x)
    for y in (x.copy(), turned, x[::-1]):
        expected = np.exp(-0.7 * squared(x[:5, None], y)[..., 0]) @ b
        np.testing.assert_allclose(f(x, y, b, e, p)[:5], expected, rtol=1e-11, atol=1e-12)
    found = f(x[1:], x[:-1], b[1:], e[1:], p)
    np.testing.assert_allclose(found[0], np.exp(-0.7 * squared(x[1], x[:-1])[:, 0]) @ b[1:], rtol=1e-11)
    assert len(taken) == 3


def test_what_the_method_declines():
    def reason(formula, *rest, aliases=ALIASES, backend=cpu):
        return SymmetricHalf.declines(Genred(formula, aliases, *rest, axis=1)._problem, backend)

    kernel = "Exp(-SqDist(x, y))"
    assert reason(f"{kernel} * b") is None
    assert "one by one" in reason(f"{kernel} * b", backend=SimpleNamespace(sums_together=False))
    assert "single Sum" in reason(kernel, "LogSumExp")
    assert "value for each pair" in reason(f"{kernel} * w", aliases=["x = Vi(3)", "y = Vj(3)", "w = Vij(1)"])
    for formula in ("Exp(-SqDist(x, IntCst(2) * y)) * b", "x", "p", "Sin(x)"):
        assert "symmetric" in reason(formula)
    assert "symmetric" in reason(f"{kernel} * b", aliases=["x = Vi(3)", "y = Vj(3)", "b = Vj(100)"])


def test_ranges_few_points_and_other_calls_are_left_to_all_pairs(taken):
    from skkeops.cluster import from_matrix

    x, b, e, p = data(1100)
    f = Genred("Exp(-p * SqDist(x, y)) * b", ALIASES, axis=1)
    rows = np.array([[0, 500], [500, 1100]])
    found = f(x, x, b, e, p, ranges=from_matrix(rows, rows, np.eye(2, dtype=bool)))
    expected = np.exp(-0.7 * squared(x[:500, None], x[:500])[..., 0]) @ b[:500]
    np.testing.assert_allclose(found[:500], expected, rtol=1e-11, atol=1e-12)
    f(x[:100], x[:100], b[:100], e[:100], p)
    assert not taken


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_do_not_change_a_bit(dtype, taken):
    from threadpoolctl import threadpool_limits

    x, b, e, p = data(3000, dtype)
    f = Genred("Exp(-p * SqDist(x, y)) * b", ALIASES, axis=1)
    found = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, user_api="openmp"):
            found.append(f(x, x, b, e, p))
    assert (found[0] == found[1]).all() and (found[0] == found[2]).all() and len(taken) == 3


def test_the_array_of_the_points_takes_the_result_and_progress_is_told(taken):
    x, *rest = data(1500)
    f = Genred("Exp(-p * SqDist(x, y)) * y", ALIASES, axis=1)
    expected = np.exp(-0.7 * squared(x[:, None], x)[..., 0]) @ x
    told = []
    assert f(x, x, *rest, out=x, progress=lambda done, total: told.append((done, total))) is x
    np.testing.assert_allclose(x, expected, rtol=1e-11, atol=1e-11)
    assert told == sorted(told) and told[-1] == (1500**2, 1500**2) and taken


def test_lazy_products_and_estimators_use_it(taken):
    from skkeops import KernelRidge

    x, b, *_ = data(1300)
    K = (-Vi(x).sqdist(Vj(x))).exp()
    np.testing.assert_allclose(K @ b, np.exp(-squared(x[:, None], x)[..., 0]) @ b, rtol=1e-11, atol=1e-12)
    assert len(taken) == 1
    KernelRidge(alpha=1.0).fit(x, b[:, 0])
    assert len(taken) > 2


def test_explain_says_when():
    text = Genred("Exp(-p * SqDist(x, y)) * b", ALIASES, axis=1).explain()
    assert "symmetric half: if the points of i and j are the same array" in text
