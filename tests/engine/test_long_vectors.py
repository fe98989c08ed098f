"""Squared distances of long vectors, which the engine computes by products about a centre: tile_long_sqdist.inc."""

import numpy as np
import pytest

from skkeops import Genred

from .common import simd_level  # noqa: F401

DTYPES = [np.float32, np.float64]


def bound(dim, dtype):
    """The relative error that docs/design/accuracy_math.md proves."""
    return (8 * (32 + -(-dim // 32)) + 11) * np.finfo(dtype).eps / 2


def exact(x, y):
    """Squared distances, by differences in long double."""
    return np.stack([((row - y.astype(np.longdouble)) ** 2).sum(axis=1) for row in x.astype(np.longdouble)])


def distances(x, y):
    """The engine's own numbers: each column of the sum has one term that is not multiplied by 0."""
    dim, n = x.shape[1], len(y)
    pick = Genred("SqDist(x,y)*b", [f"x = Vi({dim})", f"y = Vj({dim})", f"b = Vj({n})"], axis=1)
    assert "long_sqdist" in pick.explain()
    return pick(x, y, np.eye(n, dtype=x.dtype))


def clouds(kind, m, n, dim, rng):
    """Points x (m, dim) and y (n, dim) in float64."""
    x, y = rng.standard_normal((m, dim)), rng.standard_normal((n, dim))
    if kind == "far":
        return 3000 + x, 3000 + y
    if kind == "clusters":
        centres = 100 * rng.standard_normal((7, dim))
        return x + centres[rng.integers(7, size=m)], y + centres[rng.integers(7, size=n)]
    if kind == "near":  # by the edge beyond which they are computed again, on both sides
        base = rng.standard_normal(dim)
        return base + 0.7 * x, base * rng.uniform(0.5, 2, (n, 1)) + 0.7 * y
    if kind == "apart":
        return x, 50 + 0.01 * y
    if kind == "uneven":
        return x * np.logspace(-8, 4, dim), y * np.logspace(-8, 4, dim)
    return x, y


@pytest.mark.parametrize("kind", ["one", "far", "clusters", "near", "apart", "uneven"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [40, 150])
@pytest.mark.parametrize("dim", [411, 784])
def test_error_is_bounded(kind, dtype, n, dim, simd_level):  # noqa: F811
    rng = np.random.default_rng(dim + n)
    x, y = (a.astype(dtype) for a in clouds(kind, 37, n, dim, rng))
    y[:5] = x[:5]  # the same points
    y[5:10] = np.nextafter(x[5:10], dtype(np.inf))  # almost the same
    d2 = exact(x, y)
    found = distances(x, y)
    assert (found[range(5), range(5)] == 0).all()
    assert (np.abs(found - d2) <= bound(dim, dtype) * d2).all()
    assert np.abs(found[d2 > 0] / d2[d2 > 0] - 1).max() < 12 * np.finfo(dtype).eps  # what errors are, mostly


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [40, 150])
def test_large_and_small_numbers(dtype, n, simd_level):  # noqa: F811
    """Squares that overflow or underflow, alone or beside others."""
    rng, dim = np.random.default_rng(n), 400
    largest, smallest = float(np.finfo(dtype).max), float(np.finfo(dtype).tiny)
    for size in (largest**0.5 / 100, largest**0.5, largest / 8, smallest**0.5, smallest**0.5 * 1e4, smallest * 10):
        x, y = ((size * rng.standard_normal((k, dim))).astype(dtype) for k in (9, n))
        x[3:5] /= 1000
        y[::3] /= dtype(1000)
        with np.errstate(over="ignore", under="ignore"):
            d2 = exact(x, y)
            expected = d2.astype(dtype)
        found = distances(x, y) if np.isfinite(expected).all() else np.stack([_single(x, y[k : k + 1]) for k in range(n)], 1)
        finite = np.isfinite(expected) & (d2 < largest / 2)
        with np.errstate(invalid="ignore"):
            wrong = np.abs(found - d2) > bound(dim, dtype) * d2 + dim * smallest
        assert not wrong[finite].any(), size
        assert (found[np.isinf(expected) & (d2 > 2 * np.longdouble(largest))] == np.inf).all()


def _single(x, y):
    dim = x.shape[1]
    return Genred("SqDist(x,y)", [f"x = Vi({dim})", f"y = Vj({dim})"], axis=1)(x, y)[:, 0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [40, 150])
def test_infinities_and_nan(dtype, n, simd_level):  # noqa: F811
    rng, dim = np.random.default_rng(n), 400
    x, y = (rng.standard_normal((k, dim)).astype(dtype) for k in (9, n))
    x[1, 7], x[2, 399], x[3, 0], x[4, :] = np.inf, -np.inf, np.nan, np.inf
    y[3, 7], y[16, 100], y[17, 3] = np.inf, -np.inf, np.nan
    with np.errstate(invalid="ignore"):
        d2 = exact(x, y).astype(dtype)
    aliases = [f"x = Vi({dim})", f"y = Vj({dim})", "k = Vj(1)", "p = Pm(1)"]
    one = Genred("IfElse(Minus(Square(k-p)),SqDist(x,y),0*p)", aliases, axis=1)
    assert "long_sqdist" in one.explain()
    number = np.arange(n, dtype=dtype)[:, None]
    for k in (0, 3, 16, 17, 20, n - 1):
        found = one(x, y, number, np.full(1, k, dtype))[:, 0]
        np.testing.assert_allclose(found, d2[:, k], rtol=1e-5)


@pytest.mark.parametrize("reduction, options", [("Sum", {}), ("ArgKMin", {"opt_arg": 5}), ("LogSumExp", {})])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [40, 700])
def test_results_do_not_depend_on_other_rows_or_threads(reduction, options, dtype, n, simd_level, monkeypatch):  # noqa: F811
    rng, dim = np.random.default_rng(n), 500
    x, y = ((100 + rng.standard_normal((k, dim)) / 20).astype(dtype) for k in (300, n))
    operator = Genred("Exp(-SqDist(x,y))", [f"x = Vi({dim})", f"y = Vj({dim})"], reduction, axis=1, **options)
    monkeypatch.setattr("skkeops.backends.cpu.threads.n_threads", lambda: 1)
    whole = operator(x, y)
    for rows in (slice(0, 7), slice(3, 4), slice(297, 300), slice(100, 231), slice(0, 300, 59)):
        np.testing.assert_array_equal(operator(x[rows], y), whole[rows])
    for threads in (2, 5):
        monkeypatch.setattr("skkeops.backends.cpu.threads.n_threads", lambda threads=threads: threads)
        np.testing.assert_array_equal(operator(x, y), whole)
        np.testing.assert_array_equal(operator(x[:2], y), whole[:2])


def test_the_gradient_has_the_same_distances(simd_level):  # noqa: F811
    rng, dim = np.random.default_rng(0), 400
    x, y, b, e = (rng.standard_normal(s) for s in ((70, dim), (90, dim), (90, 1), (70, 1)))
    x, y = x / 20, y / 20
    operator = Genred("Exp(-SqDist(x,y))*b", [f"x = Vi({dim})", f"y = Vj({dim})", "b = Vj(1)"], axis=1)
    weights = np.exp(-exact(x, y).astype(float)) * (e @ b.T)
    found = operator.gradient(x, y, b, wrt="x", grad_output=e)
    np.testing.assert_allclose(found, -2 * (x * weights.sum(axis=1, keepdims=True) - weights @ y), rtol=1e-11, atol=1e-13)


def test_short_vectors_are_left_alone():
    for dim, used in ((383, False), (384, True)):
        operator = Genred("SqDist(x,y)", [f"x = Vi({dim})", f"y = Vj({dim})"], axis=1)
        assert ("long_sqdist" in operator.explain()) == used
