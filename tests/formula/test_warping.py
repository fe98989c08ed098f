"""Soft dynamic time warping against its recursion, value and derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from skkeops import FormulaError, Genred, Pm, Vi, Vj

RNG = np.random.default_rng(4)


def recursion(x, y, gamma):
    """The value, and its gradient by x, by the recursions of Cuturi and Blondel in plain NumPy."""
    n, m = len(x), len(y)
    d = (x[:, None] - y) ** 2
    r = np.full((n + 2, m + 2), np.inf)
    r[0, 0] = 0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            costs = np.array([r[i - 1, j - 1], r[i - 1, j], r[i, j - 1]])
            low = costs.min()
            r[i, j] = d[i - 1, j - 1] + low - gamma * np.log(np.exp((low - costs) / gamma).sum())
    e = np.zeros((n + 2, m + 2))
    e[n + 1, m + 1] = 1
    r[n + 1, :] = r[:, m + 1] = -np.inf
    r[n + 1, m + 1] = r[n, m]
    wide = np.zeros((n + 2, m + 2))
    wide[1 : n + 1, 1 : m + 1] = d
    for i in range(n, 0, -1):
        for j in range(m, 0, -1):
            for k, l in ((i + 1, j), (i, j + 1), (i + 1, j + 1)):
                e[i, j] += e[k, l] * np.exp((r[k, l] - r[i, j] - wide[k, l]) / gamma)
    return r[n, m], (e[1 : n + 1, 1 : m + 1] * 2 * (x[:, None] - y)).sum(1)


@pytest.mark.parametrize(("n", "m", "gamma"), [(4, 5, 0.5), (8, 8, 1.0), (20, 20, 0.1), (1, 6, 0.3), (12, 3, 1e-3)])
def test_value_and_gradient(n, m, gamma):
    x, y = RNG.normal(size=(6, n)), RNG.normal(size=(7, m))
    f = Genred("SoftDTW_SqDist(x, y, g)", [f"x = Vi({n})", f"y = Vj({m})", "g = Pm(1)"], axis=1)
    truth = [[recursion(a, b, gamma) for b in y] for a in x]
    np.testing.assert_allclose(f(x, y, gamma)[:, 0], [sum(v for v, _ in row) for row in truth], rtol=1e-10)
    expected = np.array([sum(g for _, g in row) for row in truth])
    np.testing.assert_allclose(f.gradient(x, y, gamma, wrt="x"), expected, rtol=1e-7, atol=1e-9)
    lazy = Vi(x).softdtw_sqdist(Vj(y), Pm(gamma))
    np.testing.assert_allclose(lazy.dense(), [[v for v, _ in row] for row in truth], rtol=1e-10)


def test_second_derivative_and_that_by_gamma():
    n = 5
    x, y, u = RNG.normal(size=(1, n)), RNG.normal(size=(3, n)), RNG.normal(size=(1, n))
    aliases = [f"x = Vi({n})", f"y = Vj({n})", "g = Pm(1)", f"u = Vi({n})"]
    first = Genred("Grad(SoftDTW_SqDist(x, y, g), x, 1)", aliases[:3], axis=1)
    second = Genred("Diff(Grad(SoftDTW_SqDist(x, y, g), x, 1), x, u)", aliases, axis=1)
    h = 1e-6
    expected = (first(x + h * u, y, 0.7) - first(x - h * u, y, 0.7)) / (2 * h)
    np.testing.assert_allclose(second(x, y, 0.7, u), expected, rtol=1e-6, atol=1e-6)
    f = Genred("SoftDTW_SqDist(x, y, g)", aliases[:3], axis=1)
    expected = (f(x, y, 0.7 + h) - f(x, y, 0.7 - h)).sum() / (2 * h)
    np.testing.assert_allclose(f.gradient(x, y, np.array([0.7]), wrt="g"), [expected], rtol=1e-6)


def test_large_costs_do_not_overflow():
    x, y = 1e3 * RNG.normal(size=(4, 6)).astype(np.float32), 1e3 * RNG.normal(size=(5, 6)).astype(np.float32)
    f = Genred("SoftDTW_SqDist(x, y, g)", ["x = Vi(6)", "y = Vj(6)", "g = Pm(1)"], axis=1)
    expected = [sum(recursion(a, b, 1.0)[0] for b in y.astype(np.float64)) for a in x.astype(np.float64)]
    np.testing.assert_allclose(f(x, y, 1.0)[:, 0], expected, rtol=1e-5)


def test_bad_input():
    with pytest.raises(FormulaError, match="'gamma' must have dim 1, got 2"):
        Genred("SoftDTW_SqDist(x, y, g)", ["x = Vi(2)", "y = Vj(2)", "g = Pm(2)"])
    with pytest.raises(FormulaError, match="have 10000 pairs, the limit is 2500"):
        Genred("SoftDTW_SqDist(x, y, g)", ["x = Vi(100)", "y = Vj(100)", "g = Pm(1)"])
