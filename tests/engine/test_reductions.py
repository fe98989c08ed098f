"""Every reduction through the compiled engine over sizes, dims, layouts of the work and values that matter."""

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from skkeops import Genred

from .common import check_sum, simd_level  # noqa: F401

SHORT = [1, 2, 3, 5, 63, 64]
LONG = [65, 127, 128, 129, 511, 512, 513, 1009]
SEGMENTS = [8191, 8192, 8193, 16400]
ROWS = [1, 2, 3, 4, 5, 7, 255, 511, 513, 1025]
ALIASES = ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)"]
SQ = "SqDist(x,y)"


def points(m, n, dtype, dim=3, seed=0):
    rng = np.random.default_rng(seed + 1000 * m + n)
    return rng.standard_normal((m, dim)).astype(dtype), rng.standard_normal((n, dim)).astype(dtype)


def distances(x, y):
    return ((x[:, None].astype(float) - y[None].astype(float)) ** 2).sum(-1)


def sizes():
    for n in SHORT + LONG + SEGMENTS:
        yield 5, n
    for m in ROWS:
        yield m, 10
        yield m, 130


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sizes(axis, dtype, simd_level):  # noqa: F811
    operators = {
        name: Genred("-SqDist(x,y)" if name == "LogSumExp" else SQ, ["x = Vi(3)", "y = Vj(3)"], name, axis=axis)
        for name in ("Sum", "LogSumExp", "Min", "ArgMin", "Max_ArgMax")
    }
    three = Genred(SQ, ["x = Vi(3)", "y = Vj(3)"], "KMin_ArgKMin", axis=axis, opt_arg=3)
    for m, n in sizes():
        arrays = points(m, n, dtype) if axis == 1 else points(n, m, dtype)
        d = distances(*arrays)
        check_sum(operators["Sum"](*arrays), d[:, :, None], axis, dtype)
        np.testing.assert_allclose(
            operators["LogSumExp"](*arrays)[:, 0],
            logsumexp(-d, axis=axis),
            rtol=8 * np.finfo(dtype).eps,
            atol=20 * np.finfo(dtype).eps,
        )
        # in the arithmetic of the engine, distances of float32 have errors: the winners must be winners up to that
        slack = 16 * np.finfo(dtype).eps * (1 + d.max())
        index = operators["ArgMin"](*arrays)[:, 0]
        chosen = np.take_along_axis(d, np.expand_dims(index, axis), axis).ravel()
        assert index.dtype == np.int64 and (np.abs(chosen - d.min(axis=axis)) <= slack).all()
        np.testing.assert_allclose(operators["Min"](*arrays)[:, 0], d.min(axis=axis), atol=slack)
        value, index = operators["Max_ArgMax"](*arrays)
        np.testing.assert_allclose(value[:, 0], d.max(axis=axis), atol=slack)
        chosen = np.take_along_axis(d, np.expand_dims(index[:, 0], axis), axis).ravel()
        np.testing.assert_allclose(chosen, d.max(axis=axis), atol=slack)
        if n >= 3:
            value, index = three(*arrays)
            best = np.sort(d, axis=axis)
            best = best[:, :3] if axis == 1 else best[:3].T
            np.testing.assert_allclose(value, best, atol=slack)
            rows = d if axis == 1 else d.T
            np.testing.assert_allclose(np.take_along_axis(rows, index, 1), best, atol=slack)


@pytest.mark.parametrize("dim", [1, 2, 3, 5, 17, 64, 100, 257])
@pytest.mark.parametrize("n", [50, 700])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dims(dim, n, dtype, simd_level):  # noqa: F811
    x, y = points(9, n, dtype, dim)
    d = distances(x, y)
    aliases = [f"x = Vi({dim})", f"y = Vj({dim})"]
    check_sum(Genred("SqDist(x,y)", aliases, axis=1)(x, y), d[:, :, None], 1, dtype, 8 + dim / 8)
    dots = x.astype(float) @ y.T.astype(float)
    result = Genred("x|y", aliases, axis=1)(x, y)[:, 0]
    norm = np.abs(x).astype(float) @ np.abs(y).T.astype(float)
    assert (np.abs(result - dots.sum(1)) <= (8 + dim / 8) * np.finfo(dtype).eps * norm.sum(1)).all()
    l1 = np.abs(x[:, None].astype(float) - y[None]).sum(-1)
    check_sum(Genred("Sum(Abs(x-y))", aliases, axis=1)(x, y), l1[:, :, None], 1, dtype, 8 + dim / 8)
    difference = x[:, None].astype(float) - y[None]
    weight = np.exp(-d / dim)
    formula = f"Exp(-SqDist(x,y)/{dim})*(x-y)"
    check_sum(Genred(formula, aliases, axis=1)(x, y), weight[:, :, None] * difference, 1, dtype, 60)
    check_sum(Genred(formula, aliases, axis=0)(x, y), weight[:, :, None] * difference, 0, dtype, 60)


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 7, 8, 33])
@pytest.mark.parametrize("n", [40, 600])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights(columns, n, dtype, simd_level):  # noqa: F811
    x, y = points(10, n, dtype)
    b = np.random.default_rng(1).standard_normal((n, columns)).astype(dtype)
    e = np.exp(-distances(x, y))
    aliases = ["x = Vi(3)", "y = Vj(3)", f"b = Vj({columns})"]
    check_sum(Genred("Exp(-SqDist(x,y))*b", aliases, axis=1)(x, y, b), e[:, :, None] * b, 1, dtype, 40)
    softmax = (e[:, :, None] * b).sum(1) / e.sum(1)[:, None]
    result = Genred("-SqDist(x,y)", aliases, "SumSoftMaxWeight", axis=1, formula2="b")(x, y, b)
    assert np.abs(result - softmax).max() <= 60 * np.finfo(dtype).eps * np.abs(b).max()
    positive = np.abs(b) + dtype(0.1)
    result = Genred("-SqDist(x,y)", aliases, "LogSumExp", axis=1, formula2="b")(x, y, positive)
    expected = np.log((e[:, :, None] * positive).sum(1))
    assert result.shape == (10, columns)
    np.testing.assert_allclose(result, expected, atol=60 * np.finfo(dtype).eps, rtol=0)


@pytest.mark.parametrize("k", [1, 2, 10, 16, 17, 32, 33, 60])
@pytest.mark.parametrize("n", [60, 64, 65, 600, 9000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_k_smallest(k, n, dtype, simd_level):  # noqa: F811
    rng = np.random.default_rng(n + k)
    # integers: exact in both dtypes, with many ties, which go to the first index
    x, y = rng.integers(0, 5, (6, 2)).astype(dtype), rng.integers(0, 40, (n, 2)).astype(dtype)
    value, index = Genred("Square(x-y)", ["x = Vi(2)", "y = Vj(2)"], "KMin_ArgKMin", axis=1, opt_arg=k)(x, y)
    d = (x[:, None] - y[None]) ** 2
    order = np.argsort(d, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(index, order)
    np.testing.assert_array_equal(value, np.take_along_axis(d, order, 1))


@pytest.mark.parametrize("n", [30, 64, 65, 1500, 20000])
@pytest.mark.parametrize("name", ["ArgMin", "ArgMax", "Min_ArgMin", "Max_ArgMax"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ties_go_to_the_first(n, name, dtype, simd_level):  # noqa: F811
    rng = np.random.default_rng(n)
    y = rng.integers(0, 3, (n, 3)).astype(dtype)
    x = np.ones((7, 3), dtype)
    result = Genred("x*y", ["x = Vi(3)", "y = Vj(3)"], name, axis=1)(x, y)
    index = result[1] if isinstance(result, tuple) else result
    expected = (y.argmin if "Min" in name else y.argmax)(axis=0)
    np.testing.assert_array_equal(index, np.tile(expected, (7, 1)))


@pytest.mark.parametrize("n", [20, 64, 65, 700, 9000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masks_and_infinities(n, dtype, simd_level):  # noqa: F811
    """-inf entries are masks; +inf and NaN go to their row and no other."""
    rng = np.random.default_rng(n)
    f = rng.standard_normal((8, n))
    f[0] = -np.inf
    f[1, : n // 2] = -np.inf
    f[2, :] = -np.inf
    f[2, n - 1] = 0.5
    f[3, n // 3] = np.inf
    f[4, n // 3] = np.nan
    f[5, 0] = np.inf
    f[5, n - 1] = np.nan
    f[6] = 1e30
    f = f.astype(dtype)
    # F_ij = f_ij, picked by a one-hot vector of the row: rows are given per j as 8 columns
    selector = np.arange(8, dtype=dtype)[:, None]
    # IfElse keeps what is not chosen out, as a sum with 0*inf would not
    formula = "Elem(f,7)"
    for row in range(6, -1, -1):
        formula = f"IfElse(Square(s-{row})-0.5, {formula}, Elem(f,{row}))"
    columns = np.ascontiguousarray(f.T)
    aliases = ["s = Vi(1)", "f = Vj(8)"]
    with np.errstate(invalid="ignore", over="ignore"):
        expected = logsumexp(f.astype(float), axis=1)
    expected[5] = np.nan
    result = Genred(formula, aliases, "LogSumExp", axis=1)(selector, columns)[:, 0]
    np.testing.assert_allclose(result, expected, rtol=8 * np.finfo(dtype).eps)
    assert result[0] == -np.inf and result[3] == np.inf and np.isnan(result[4])
    clean = np.where(np.isnan(f), -np.inf, f).astype(float)
    weights = rng.standard_normal((n, 1)).astype(dtype)
    average = Genred(formula, [*aliases, "w = Vj(1)"], "SumSoftMaxWeight", axis=1, formula2="w")(selector, columns, weights)
    raw = Genred(formula, aliases, "Max_SumShiftExp", axis=1)(selector, columns)
    np.testing.assert_array_equal(raw[:, 0], clean.max(axis=1))
    assert np.isnan(average[[0, 3, 4, 5]]).all() and np.isnan(raw[[3, 4, 5], 1]).all() and raw[0, 1] == 0
    proper = [1, 2, 6, 7]
    shifted = np.exp(clean[proper] - clean[proper].max(axis=1, keepdims=True))
    np.testing.assert_allclose(raw[proper, 1], shifted.sum(axis=1), rtol=40 * np.finfo(dtype).eps)
    expected = softmax(clean[proper], axis=1) @ weights.astype(float)
    np.testing.assert_allclose(average[proper], expected, atol=40 * np.finfo(dtype).eps)
    with np.errstate(invalid="ignore"):
        total = Genred(formula, aliases, "Sum", axis=1)(selector, columns)[:, 0]
        assert total[0] == -np.inf and total[3] == np.inf and np.isnan(total[4]) and np.isnan(total[5])
        np.testing.assert_allclose(total[7], f[7].astype(float).sum(), atol=n * np.finfo(dtype).eps)
    top, where = Genred(formula, aliases, "Max_ArgMax", axis=1)(selector, columns)
    np.testing.assert_array_equal(top[:, 0], clean.max(axis=1))
    np.testing.assert_array_equal(where[:, 0], np.where(np.isneginf(clean.max(axis=1)), -1, clean.argmax(axis=1)))


@pytest.mark.parametrize("n", [64, 65, 700])
def test_denormal_and_huge_data(n, simd_level):  # noqa: F811
    x = np.zeros((3, 1))
    for scale in (5e-324, 1e-310, 1e-300, 1e300):
        y = np.full((n, 1), scale)
        result = Genred("x+y", ["x = Vi(1)", "y = Vj(1)"], axis=1)(x, y)
        np.testing.assert_allclose(result, np.full((3, 1), scale * n), rtol=1e-15)
    y = np.full((n, 1), 1e30, np.float32)
    result = Genred("x+y", ["x = Vi(1)", "y = Vj(1)"], axis=1)(x.astype(np.float32), y)
    np.testing.assert_allclose(result, 1e30 * n, rtol=1e-6)
    y = np.full((n, 1), 1e-42, np.float32)  # a denormal input of float32 is read as it is, only results are flushed
    result = Genred("Max(Concat(x,y))*1e30", ["x = Vi(1)", "y = Vj(1)"], "Max", axis=1)(x.astype(np.float32), y)
    np.testing.assert_allclose(result, np.float32(1e-42) * 1e30, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_empty_axes(axis):
    aliases = ["x = Vi(2)", "y = Vj(2)"]
    none, some = np.zeros((0, 2)), np.zeros((4, 2))
    arrays = (some, none) if axis == 1 else (none, some)
    assert (Genred("x+y", aliases, axis=axis)(*arrays) == 0).all()
    assert (Genred("x|y", aliases, "LogSumExp", axis=axis)(*arrays) == -np.inf).all()
    assert (Genred("x+y", aliases, "Max", axis=axis)(*arrays) == -np.inf).all()
    assert (Genred("x+y", aliases, "Min", axis=axis)(*arrays) == np.inf).all()
    with pytest.raises(ValueError, match="at least one"):
        Genred("x+y", aliases, "ArgMin", axis=axis)(*arrays)
    assert Genred("x+y", aliases, axis=1 - axis)(*arrays).shape == (0, 2)


def test_vector_valued_formulas_of_every_kind(simd_level):  # noqa: F811
    """Sums whose vector is of one index, of both, of none, with and without a number per pair."""
    rng = np.random.default_rng(0)
    x, y, b, p = (
        rng.standard_normal((6, 3)),
        rng.standard_normal((90, 3)),
        rng.standard_normal((90, 1)),
        rng.standard_normal(3),
    )
    X, Y, B = x[:, None], y[None], b[None]
    k = np.exp(-((X - Y) ** 2).sum(-1, keepdims=True))
    aliases = ["x = Vi(3)", "y = Vj(3)", "b = Vj(1)", "p = Pm(3)"]
    table = {
        "x": X + 0 * Y,
        "y": Y + 0 * X,
        "p": p + 0 * X + 0 * Y,
        "b": B + 0 * X[..., :1],
        "3": np.full((6, 90, 1), 3.0),
        "x*y": X * Y,
        "b*x": B * X,
        "Exp(-SqDist(x,y))*x": k * X,
        "Exp(-SqDist(x,y))*y": k * Y,
        "Exp(-SqDist(x,y))*p": k * p,
        "b*Exp(-SqDist(x,y))*(x-y)": B * k * (X - Y),
        "Exp(-SqDist(x,y))*(y-x)": k * (Y - X),
        "Exp(-SqDist(x,y))*(x-y)*(x-y)": k * (X - Y) ** 2,
        "(x-y)*(x+y)": (X - Y) * (X + Y),
        "x-y": X - Y,
        "-(y-x)*2": 2 * (X - Y),
        "Exp(-SqDist(x,y))*b*x*y": k * B * X * Y,
        "Exp(x-y)": np.exp(X - Y),
        "Concat(x,y)": np.concatenate([X + 0 * Y, Y + 0 * X], -1),
        "Exp(-SqDist(x,y))*(p-y)": k * (p - Y),
        "Exp(-SqDist(x,y))*(Elem(x,0)-y)": k * (X[..., :1] - Y),
        "(b-Elem(x,1))*b": (B - X[..., 1:2]) * B,
        "Exp(-SqDist(x,y))*(Elem(x,0)-b)": k * (X[..., :1] - B),
        "SumT(b,3)*x": B * X,
        "SumT(Exp(-SqDist(x,y)),4)": np.repeat(k, 4, -1),
    }
    for formula, values in table.items():
        for axis in (0, 1):
            check_sum(Genred(formula, aliases, axis=axis)(x, y, b, p), values, axis, np.float64, 40)


BACKENDS = ["CPU", "reference"]
HUGE = np.array([2e38, 3e38, -2e38, -3e38, 1e38, -1e38], np.float32)


def huge_terms(n, rng):
    """Terms near the end of float32's range, whose sum is in it, though the sums of some of them are not."""
    terms = np.zeros(n, np.float32)
    at = rng.permutation(n)[: min(n, 41) // 2 * 2 + 1]
    terms[at[:-1:2]] = rng.choice(HUGE, len(at) // 2)
    terms[at[1::2]] = -terms[at[:-1:2]]
    terms[at[-1]] = 2e38
    return rng.permutation(terms)[:, None]


@pytest.mark.parametrize("n", [3, 9, 64, 65, 130, 700, 9000])
@pytest.mark.parametrize("columns", [1, 2, 4, 5])
def test_sums_that_leave_the_range_on_the_way(n, columns, simd_level):  # noqa: F811
    rng = np.random.default_rng(n)
    big = huge_terms(n, rng)
    x, b = rng.integers(1, 3, (9, 1)).astype(np.float32), np.tile(big, columns)
    zeros, ones = np.zeros((n, 1), np.float32), np.ones((n, columns), np.float32)
    y, target = rng.integers(-2, 3, (n, columns)).astype(np.float32), rng.integers(-2, 3, (9, columns)).astype(np.float32)
    sign = big / np.float32(1e38)
    total = big.astype(float).sum()
    aliases = ["x = Vi(1)", "z = Vj(1)", f"b = Vj({columns})"]
    for axis in (0, 1):
        kinds = aliases if axis else ["x = Vj(1)", "z = Vi(1)", f"b = Vi({columns})"]
        plain = Genred("b", kinds, axis=axis)(x, zeros, b)
        np.testing.assert_allclose(plain, np.full((9, columns), total), rtol=1e-6)
        scaled = Genred("Exp(-Square(x * z)) * b", kinds, axis=axis)(x, zeros, b)
        np.testing.assert_allclose(scaled, np.full((9, columns), total), rtol=1e-6)
        paired = Genred("Sin(x * z) + b", kinds, axis=axis)(x, zeros, b)
        np.testing.assert_allclose(paired, np.full((9, columns), total), rtol=1e-6)
        by_row = Genred("Cos(x * z) * z", kinds, axis=axis)(x * 0, big, ones)
        np.testing.assert_allclose(by_row, np.full((9, 1), total), rtol=1e-6)
        vectors = [f"x = V{'ji'[axis]}({columns})", f"y = V{'ij'[axis]}({columns})", f"s = V{'ij'[axis]}(1)"]
        # the difference of a row and a column is a fold of its own
        difference = Genred("Exp(-Square(Elem(x - y, 0) * 0.001)) * s * (x - y)", vectors, axis=axis)
        terms = (target[:, None] - y[None]).astype(float)
        weights = np.exp(-((terms[..., :1] * np.float64(np.float32(0.001))) ** 2)) * sign.astype(float)[None]
        exact = (weights * terms).sum(1) * 1e38
        found = difference(target, y, sign * np.float32(1e38)).astype(float)
        inside = np.abs(exact) < 3e38
        scale = (np.abs(weights * terms).sum(1) * 1e38)[inside]
        assert (np.abs(found[inside] - exact[inside]) <= 1e-6 * scale + 1e30).all()


def test_a_row_out_of_range_changes_no_bit_of_others():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 2)).astype(np.float32), rng.normal(size=(300, 2)).astype(np.float32)
    b = rng.normal(size=(300, 4)).astype(np.float32)
    w = np.ones((8, 1), np.float32)
    f = Genred("Exp(-SqDist(x, y)) * w * Square(y) | b", ["x = Vi(2)", "y = Vj(2)", "w = Vi(1)", "b = Vj(2)"], axis=1)
    g = Genred("Exp(w - SqDist(x, y)) * b", ["x = Vi(2)", "y = Vj(2)", "w = Vi(1)", "b = Vj(4)"], axis=1)
    for function, columns in ((f, b[:, :2]), (g, b)):
        before = function(x, y, w, columns)
        high = w.copy()
        high[3] = 88.5
        after = function(x, y, high, columns)
        others = np.arange(8) != 3
        np.testing.assert_array_equal(after[others], before[others])


def masked_cases():
    inf, nan = np.inf, np.nan
    yield [1000.0, 0.0], [0.0, 1.0]
    yield [1000.0, 2.0, 1.0], [0.0, 3.0, 0.5]
    yield [inf, 0.5], [0.0, 2.0]
    yield [nan, 0.5], [0.0, 2.0]
    yield [-inf, 0.5, inf], [1.0, 2.0, 0.0]
    yield [1.0, 2.0], [0.0, 0.0]
    yield [1000.0, 3.0, 2.0], [0.0, 2.0, -1.0]
    yield [5.0, 3.0], [1.0, 0.0]
    yield [-1000.0, -1001.0], [0.0, 2.0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("more", [0, 70, 9000])
@pytest.mark.parametrize("case", list(masked_cases()), ids=str)
def test_a_weight_of_0_masks(case, more, dtype, backend):
    """As in SciPy's logsumexp, whatever the exponent: the sum is that of the other pairs."""
    f, w = (np.array(a)[:, None] for a in case)
    kept = w[:, 0] != 0
    expected = logsumexp(f[kept], b=w[kept]) if kept.any() else -np.inf
    # what is behind has the weight 0, too, and is no number half of the time
    behind = np.tile([[2000.0], [np.nan]], (more // 2, 1))
    f, w = np.concatenate([f, behind]).astype(dtype), np.concatenate([w, 0 * np.ones_like(behind)]).astype(dtype)
    turn = np.random.default_rng(1).permutation(len(f))
    f, w = f[turn], w[turn]
    x = np.zeros((3, 1), dtype)
    aliases = ["x = Vi(1)", "f = Vj(1)", "w = Vj(1)"]
    lse = Genred("f + x", aliases, "LogSumExp", axis=1, formula2="w")
    np.testing.assert_allclose(lse(x, f, w, backend=backend), np.full((3, 1), expected), rtol=1e-6)
    state = Genred("f + x", aliases, "Max_SumShiftExp", axis=1, formula2="w")(x, f, w, backend=backend)
    assert (state[:, 0] == (f[w != 0].max() if kept.any() else -np.inf)).all()
    # derivatives: of the exponents those of the others, of the weights exp(F - c), where that is a number
    df, dw, dx = (lse.gradient(x, f, w, wrt=v, grad_output=np.ones((3, 1)), backend=backend) for v in "fwx")
    with np.errstate(all="ignore"):
        slope = np.exp(f.astype(float) - expected) * (expected > -np.inf)
        exact = np.where(w == 0, 0, slope * w)
        of_weights = np.where((w == 0) & ~(slope < 1e37), 0, slope)
    np.testing.assert_allclose(df, 3 * exact, rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(dw, 3 * of_weights, rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(dx, np.full((3, 1), exact.sum()), rtol=1e-5)
    np.testing.assert_allclose(
        lse.jvp(x, f, w, tangents={"f": np.ones_like(f)}, backend=backend), np.full((3, 1), exact.sum()), rtol=1e-5
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_masked_pairs_have_no_derivative(backend):
    """Not even where that of the exponent is infinite: Log at 0."""
    x, y = np.array([[0.0], [1.0]]), np.array([[0.0], [2.0], [3.0]])
    w = np.array([[0.0], [1.0], [2.0]])
    f = Genred("Log(Square(x - y))", ["x = Vi(1)", "y = Vj(1)", "w = Vj(1)"], "LogSumExp", axis=1, formula2="w")
    r = x - y.T
    expected = np.log((r**2 * w.T).sum(1))
    np.testing.assert_allclose(f(x, y, w, backend=backend)[:, 0], expected, rtol=1e-12)
    found = f.gradient(x, y, w, wrt="x", grad_output=np.ones((2, 1)), backend=backend)
    np.testing.assert_allclose(found[:, 0], (2 * r * w.T).sum(1) / (r**2 * w.T).sum(1), rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("more", [0, 100])
def test_infinite_exponents_with_weights(more, backend):
    inf = np.inf
    for f, w, expected in (
        ([inf, inf], [0.0, 1.0], inf),
        ([inf, inf], [2.0, -1.0], inf),
        ([inf, inf], [1.0, -2.0], np.nan),
        ([inf, 1e4], [1.0, -2.0], inf),
        ([inf, np.nan], [1.0, 1.0], np.nan),
    ):
        f = np.concatenate([np.array(f), np.zeros(more)])[:, None]
        w = np.concatenate([np.array(w), np.ones(more)])[:, None]
        found = Genred("f", ["f = Vj(1)", "w = Vj(1)"], "LogSumExp", axis=1, formula2="w")(f, w, backend=backend)
        np.testing.assert_array_equal(found, [[expected]])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", [5, 64, 200, 20_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_winner_no_index(n, dtype, backend):
    """What is NaN or the worst infinity in every place has no index, and no gradient."""
    rng = np.random.default_rng(n)
    x = np.array([[0.0], [np.nan], [1.0], [np.inf]], dtype)  # the rows: as they are, NaN, masked below, infinite
    y = rng.normal(size=(n, 1)).astype(dtype)
    y[rng.random(n) < 0.3] = np.nan
    y[0] = 0.5
    kept = np.ones((4, n, 1), bool)
    kept[2] = False
    aliases = ["x = Vi(1)", "y = Vj(1)", "m = Vij(1)", "big = Pm(1)"]
    for sign, formula, names in ((1, "IfElse(m - 0.5, x + y, big)", "Min"), (-1, "IfElse(m - 0.5, -x - y, -big)", "Max")):
        args = x, y, kept, np.array([np.inf], dtype)
        both = Genred(formula, aliases, f"{names}_Arg{names}", axis=1)
        value, index = both(*args, backend=backend)
        expected = np.nanargmin(y)
        np.testing.assert_array_equal(index[:, 0], [expected, -1, -1, -1])
        np.testing.assert_allclose(value[:, 0], sign * np.array([y[expected, 0], np.inf, np.inf, np.inf]))
        np.testing.assert_array_equal(Genred(formula, aliases, f"Arg{names}", axis=1)(*args, backend=backend), index)
        for output in (None, (value, index)):
            dx, dy = both.gradient(*args, wrt=["x", "y"], grad_output=np.ones((4, 1)), output=output, backend=backend)
            np.testing.assert_array_equal(dx[:, 0], [sign, 0, 0, 0])
            np.testing.assert_array_equal(dy[:, 0], sign * (np.arange(n) == expected))
        assert not both.jvp(*args, tangents={"x": np.ones_like(x)}, backend=backend)[1:].any()
    k = 4
    fewer = kept.copy()
    fewer[0, 2:] = False  # at most two are left
    smallest = Genred("IfElse(m - 0.5, x + y, big)", aliases, "KMin_ArgKMin", axis=1, opt_arg=k)
    args = x, y, fewer, np.array([np.inf], dtype)
    value, index = smallest(*args, backend=backend)
    found = [j for j in np.argsort(y[:2, 0]) if not np.isnan(y[j, 0])]
    expected = np.full((4, k), -1)
    expected[0, : len(found)] = found
    np.testing.assert_array_equal(index, expected)
    assert (np.isinf(value) == (index < 0)).all()
    dx, dy = smallest.gradient(*args, wrt=["x", "y"], grad_output=np.ones((4, k)), backend=backend)
    np.testing.assert_array_equal(dx[:, 0], [len(found), 0, 0, 0])
    np.testing.assert_array_equal(dy[:, 0], np.isin(np.arange(n), found))


def smallest(values, k):
    """The K smallest of every column and their indices, by a stable sort; no index for what is NaN or +inf."""
    kept = np.where(np.isnan(values), np.inf, values)
    best = np.sort(kept, axis=0)[:k]
    return best, np.where(best == np.inf, -1, np.argsort(kept, axis=0, kind="stable")[:k])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "k"), [(70, 66), (257, 257), (300, 257), (1000, 320), (9000, 300), (20_000, 9000), (20_000, 20_000)])
def test_long_lists(n, k, dtype, simd_level):  # noqa: F811
    """Many ties, NaN and infinities; one row, few rows, rows that share a tile; with sizes at and beyond a segment."""
    rng = np.random.default_rng(n + k)
    y = rng.integers(0, n // 2, (n, 2)).astype(dtype)
    y[rng.random((n, 2)) < 0.05] = np.nan
    y[rng.random((n, 2)) < 0.05] = np.inf
    y[rng.random((n, 2)) < 0.05] = -np.inf
    expected = smallest(y, k)
    for rows in (1, 3, 41) if n < 5000 else (3,):
        f = Genred("y + x", ["x = Vi(1)", "y = Vj(2)"], "KMin_ArgKMin", axis=1, opt_arg=k)
        for found, exact in zip(f(np.zeros((rows, 1), dtype), y), expected, strict=True):
            np.testing.assert_array_equal(found, np.broadcast_to(exact, found.shape))
    for order in (np.argsort(y[:, 0])[::-1], np.argsort(y[:, 0])):  # everything enters; nothing after the first K
        y = y[order]
        found = Genred("y + x", ["x = Vi(1)", "y = Vj(1)"], "ArgKMin", axis=1, opt_arg=k)(np.zeros((2, 1), dtype), y[:, :1].copy())
        np.testing.assert_array_equal(found, np.broadcast_to(smallest(y[:, :1], k)[1][:, 0], found.shape))


def test_long_lists_of_any_threads(monkeypatch):
    """Lists of segments are merged as those of one thread are filled."""
    rng = np.random.default_rng(5)
    y = rng.integers(0, 3000, (50_000, 1)).astype(np.float32)
    f = Genred("y + x", ["x = Vi(1)", "y = Vj(1)"], "KMin_ArgKMin", axis=1, opt_arg=5000)
    exact = smallest(y[:, 0], 5000)
    for threads in (1, 2, 3):
        monkeypatch.setattr("skkeops.backends.cpu.threads.n_threads", lambda threads=threads: threads)
        for found, expected in zip(f(np.zeros((1, 1), np.float32), y), exact, strict=True):
            np.testing.assert_array_equal(found[0], expected)
