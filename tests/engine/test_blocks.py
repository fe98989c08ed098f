"""Loops over blocks of rows, columns and lanes: what is left over at each end, at every instruction set."""

import numpy as np
import pytest

from skkeops import Genred

from .common import simd_level  # noqa: F401

LANES = [65, 511, 513, 1100]  # around a tile of either dtype
DTYPES = [np.float32, np.float64]


def points(rng, n, dim, dtype, far=0.0):
    return (far + rng.standard_normal((n, dim))).astype(dtype)


def norm_error(result, values):
    """The largest error of a sum over the axis 1 of (M, N, D), relative to the sum of absolute values."""
    error = np.abs(result - values.sum(axis=1))
    return (error / np.abs(values).sum(axis=1)).max()


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 6, 7, 8, 15, 33])
@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_to_columns(columns, dtype, simd_level):  # noqa: F811
    """float32 keeps 3e-7 of the sum of absolute values, beside the rounding of the terms themselves."""
    rng = np.random.default_rng(columns)
    aliases = ["x = Vi(1)", "y = Vj(1)", f"b = Vj({columns})"]
    allowed = 4e-7 if dtype == np.float32 else 2e-15
    for n in LANES:
        x, y, b = (points(rng, *shape, dtype) for shape in ((9, 1), (n, 1), (n, columns)))
        operator = Genred("(x-y)*b", aliases, axis=1)
        values = (x[:, None].astype(float) - y[None]) * b[None].astype(float)
        result = operator(x, y, b)
        assert norm_error(result, values) <= allowed
        for rows in range(1, 9):
            np.testing.assert_array_equal(operator(x[:rows], y, b), result[:rows])


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5, 6, 7, 8, 15, 33])
@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_of_differences(dim, dtype, simd_level):  # noqa: F811
    """Differences of points far from the origin, and from each other's clusters, are exact before they are summed."""
    rng = np.random.default_rng(dim)
    aliases = [f"x = Vi({dim})", f"y = Vj({dim})", "b = Vj(1)"]
    allowed = 4e-7 if dtype == np.float32 else 2e-15
    for n in LANES:
        x, y, b = (points(rng, *shape, dtype, far) for *shape, far in ((9, dim, 1e4), (n, dim, 1e4), (n, 1, 0.0)))
        y[::2] -= 2e4
        operator = Genred("b*(x-y)", aliases, axis=1)
        values = b[None].astype(float) * (x[:, None].astype(float) - y[None])
        result = operator(x, y, b)
        assert norm_error(result, values) <= allowed
        for rows in range(1, 9):
            np.testing.assert_array_equal(operator(x[:rows], y, b), result[:rows])


def test_constant_terms_in_float32(simd_level):  # noqa: F811
    """The worst that a fixed order can do: every addition rounds in the same direction."""
    rng = np.random.default_rng(0)
    for value in rng.random(50).astype(np.float32):
        y, b = np.full((4096, 1), value), np.ones((4096, 3), np.float32)
        result = Genred("Square(x*y)*b", ["x = Vi(1)", "y = Vj(1)", "b = Vj(3)"], axis=1)(
            np.ones((5, 1), np.float32), y, b
        )
        exact = 4096 * float(np.float32(value * value))
        assert (np.abs(result - exact) <= 3e-7 * exact).all()


@pytest.mark.parametrize("formula", ["SqDist(x,y)", "Sum(Abs(x-y))", "x|y"])
@pytest.mark.parametrize("dim", [2, 3, 15, 16, 17, 31, 32, 64, 65, 130])
@pytest.mark.parametrize("dtype", DTYPES)
def test_distances(formula, dim, dtype, simd_level):  # noqa: F811
    rng = np.random.default_rng(dim)
    aliases = [f"x = Vi({dim})", f"y = Vj({dim})"]
    for n in (40, 65, 700):
        x, y = points(rng, 9, dim, dtype), points(rng, n, dim, dtype)
        difference = x[:, None].astype(float) - y[None]
        exact, scale = {
            "SqDist(x,y)": ((difference**2).sum(-1),) * 2,
            "Sum(Abs(x-y))": (np.abs(difference).sum(-1),) * 2,
            "x|y": (x.astype(float) @ y.T.astype(float), np.abs(x.astype(float)) @ np.abs(y.T.astype(float))),
        }[formula]
        order = np.argsort(exact, axis=1, kind="stable")[:, :30]
        allowed = dim * np.finfo(dtype).eps * np.take_along_axis(scale, order, axis=1).max()
        result = Genred(formula, aliases, "KMin", axis=1, opt_arg=30)(x, y)
        assert np.abs(result - np.take_along_axis(exact, order, axis=1)).max() <= allowed
        for rows in (1, 3, 4, 7):
            np.testing.assert_array_equal(
                Genred(formula, aliases, "KMin", axis=1, opt_arg=30)(x[:rows], y), result[:rows]
            )


@pytest.mark.parametrize("dim", [3, 32, 65])
@pytest.mark.parametrize("dtype", DTYPES)
def test_distances_of_special_points(dim, dtype, simd_level):  # noqa: F811
    """Equal points are at distance 0, and what is infinite or NaN touches its own pairs alone."""
    rng = np.random.default_rng(dim)
    for n in (50, 600):
        y = points(rng, n, dim, dtype, far=1e3)
        x = y[:20].copy()
        aliases = [f"x = Vi({dim})", f"y = Vj({dim})"]
        value, index = Genred("SqDist(x,y)", aliases, "Min_ArgMin", axis=1)(x, y)
        assert (value == 0).all() and (index[:, 0] == np.arange(20)).all()
        y[7, dim - 1], y[11, 0], y[30, 1] = np.inf, np.nan, -np.inf
        exact = ((x[:, None].astype(float) - y[None]) ** 2).sum(-1)
        value, index = Genred("-SqDist(x,y)", aliases, "Max_ArgMax", axis=1)(x, y)
        clean = np.where(np.isnan(exact), np.inf, exact)
        np.testing.assert_allclose(-value[:, 0], clean.min(axis=1), rtol=dim * np.finfo(dtype).eps)
        far = Genred("SqDist(x,y)", aliases, "Max", axis=1)(x, y)
        assert np.isposinf(far).all()
        assert np.isnan(Genred("SqDist(x,y)", aliases, axis=1)(x, y)).all()


@pytest.mark.parametrize("dim", [1, 4, 7, 8, 9, 15, 16, 17, 33, 70])
@pytest.mark.parametrize("dtype", DTYPES)
def test_packing(dim, dtype, simd_level):  # noqa: F811
    """Points lie in memory by points, by components, with gaps, backwards: every number comes to its place."""
    rng = np.random.default_rng(dim)
    numbers = np.arange(dim, dtype=dtype)
    operator = Genred(
        "(Sum(Square(y-c)) - Sum(Square(y)))*y + x", [f"y = Vj({dim})", f"c = Pm({dim})", "x = Vi(1)"], axis=0
    )
    for n in (1, 7, 16, 17, 63, 64, 65, 130):
        y = rng.integers(-8, 8, (n, dim)).astype(dtype)
        expected = (((y - numbers) ** 2).sum(1) - (y**2).sum(1))[:, None] * y + 3  # whole numbers: exact
        wide = np.zeros((n, 2 * dim + 3), dtype)
        gaps, apart = wide[:, 1 : dim + 1], wide[:, ::2][:, :dim]
        for given in (y, np.asfortranarray(y), gaps, apart, y[::-1].copy()[::-1], y[:, ::-1].copy()[:, ::-1]):
            if given.base is wide:
                given[...] = y
            np.testing.assert_array_equal(operator(given, numbers, np.full((1, 1), 3, dtype)), expected)


@pytest.mark.parametrize("k", [1, 2, 15, 16, 17, 32, 33, 64, 65])
@pytest.mark.parametrize("dtype", DTYPES)
def test_lists_with_ties_nan_and_infinities(k, dtype, simd_level):  # noqa: F811
    """A stable sort is the truth; what is NaN or +infinity is not listed, -infinity is."""
    rng = np.random.default_rng(k)
    for n in (70, 513, 8193, 17000):
        y = rng.integers(-20, 20, (n, 2)).astype(dtype)
        y[rng.integers(0, n, n // 10)] = np.nan
        y[rng.integers(0, n, n // 10)] = np.inf
        y[5] = -np.inf
        operator = Genred("y+x", ["x = Vi(2)", "y = Vj(2)"], "KMin_ArgKMin", axis=1, opt_arg=k)
        values, indices = operator(np.zeros((5, 2), dtype), y)
        for c in range(2):
            listed = np.flatnonzero(y[:, c] < np.inf)
            order = listed[np.argsort(y[listed, c], kind="stable")][:k]
            for row in range(5):
                found, at = values[row].reshape(k, 2)[:, c], indices[row].reshape(k, 2)[:, c]
                np.testing.assert_array_equal(found[: len(order)], y[order, c])
                np.testing.assert_array_equal(at[: len(order)], order)
                assert (found[len(order) :] == np.inf).all()


@pytest.mark.parametrize("name", ["Min_ArgMin", "Max_ArgMax"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_extrema_over_a_short_axis(name, dtype, simd_level):  # noqa: F811
    rng = np.random.default_rng(0)
    sign = 1 if name.startswith("Min") else -1
    for m, n, dim in ((1, 1, 1), (63, 10, 1), (65, 17, 3), (513, 64, 2), (4100, 9, 1)):
        x, y = rng.integers(-3, 3, (m, dim)).astype(dtype), rng.integers(-3, 3, (n, dim)).astype(dtype)
        y[rng.integers(0, n), 0] = np.nan
        x[rng.integers(0, m), 0] = np.inf
        if m > 1:
            x[m - 1, 0] = np.nan
        with np.errstate(invalid="ignore"):
            f = sign * (x[:, None] * y[None])
        clean = np.where(np.isnan(f), np.inf, f)
        value, index = Genred("x*y", [f"x = Vi({dim})", f"y = Vj({dim})"], name, axis=1)(x, y)
        np.testing.assert_array_equal(value, sign * clean.min(axis=1))
        expected = np.where(clean.min(axis=1) == np.inf, -1, clean.argmin(axis=1))
        np.testing.assert_array_equal(index, expected)
