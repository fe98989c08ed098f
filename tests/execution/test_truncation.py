"""Sums that leave out what a tolerance allows: within the stated bounds, whatever the data and the formulas are."""

import math

import mpmath
import numpy as np
import pytest

from skkeops import Genred, Vi, Vj
from skkeops.backends import cpu, reference
from skkeops.execution import choose
from skkeops.execution.methods import tiles, truncation
from skkeops.execution.methods.truncation import Truncation, keep_largest

from ..formula.enclosing import CHOSEN, VARIABLES, random_formula

M, N = 400, 1000
EPS = {np.float32: 3e-6, np.float64: 1e-13}


@pytest.fixture
def always(monkeypatch):
    """Small calls are asked, too, and whatever can be skipped is."""
    monkeypatch.setattr(tiles.TileMethod, "least_pairs", 1)
    monkeypatch.setattr(tiles, "WORTH", 1.0)
    monkeypatch.setattr(truncation, "_PAIRS_PER_ROW", 0)
    monkeypatch.setattr(truncation, "_WORTH_IN_SAMPLE", 1.0)


def points(kind, rng, n, dim):
    if kind == "uniform":
        return rng.random((n, dim))
    if kind == "clusters":
        return rng.integers(0, 5, (n, 1)) * 2 + 0.2 * rng.normal(size=(n, dim))
    if kind == "lattice":
        return rng.integers(0, 9, (n, dim)) / 4
    if kind == "one point":
        return np.full((n, dim), 0.3)
    if kind == "far away":
        return 1e4 + rng.random((n, dim))
    found = rng.normal(size=(n, dim))
    if kind == "outliers":
        found[rng.random(n) < 0.02] *= 20
    return found


KINDS = ["uniform", "clusters", "lattice", "one point", "far away", "normal", "outliers"]


def sq(x, y):
    return ((x[:, None].astype(float) - y.astype(float)) ** 2).sum(axis=2)


CHECKED = slice(None, None, 7)  # rows that are summed exactly


def exact_sums(values):
    """The sums of some rows and of their absolute values, correctly rounded: of an array (rows, columns, dim)."""
    sums = [[math.fsum(column) for column in row.T] for row in values[CHECKED]]
    return np.array(sums), np.abs(values[CHECKED]).sum(axis=1)


#: Formulas of x, y (two components), a (i), b (j), both signed, c (j, two components) and p, and the same in NumPy.
FORMULAS = {
    "gaussian": ("Exp(-p * SqDist(x, y))", lambda d, a, b, c, p: np.exp(-p * d)[..., None]),
    "laplacian": ("Exp(-p * Norm2(x - y))", lambda d, a, b, c, p: np.exp(-p * np.sqrt(d))[..., None]),
    "signed weights": ("Exp(-p * SqDist(x, y)) * b", lambda d, a, b, c, p: (np.exp(-p * d) * b[:, 0])[..., None]),
    "matern": (
        "(1 + p * Norm2(x - y)) * Exp(-p * Norm2(x - y)) * b",
        lambda d, a, b, c, p: ((1 + p * np.sqrt(d)) * np.exp(-p * np.sqrt(d)) * b[:, 0])[..., None],
    ),
    "cauchy": ("b * Inv(1 + p * SqDist(x, y))", lambda d, a, b, c, p: (b[:, 0] / (1 + p * d))[..., None]),
    "two columns": ("Exp(-p * SqDist(x, y)) * c", lambda d, a, b, c, p: np.exp(-p * d)[..., None] * c),
    "product": (
        "a * b * Exp(-p * SqDist(x, y)) * Exp(-Square(a - b))",
        lambda d, a, b, c, p: (a * b[:, 0] * np.exp(-p * d - (a - b[:, 0]) ** 2))[..., None],
    ),
    "window": ("ReLU(1 / p - SqDist(x, y)) * c", lambda d, a, b, c, p: np.maximum(1 / p - d, 0)[..., None] * c),
}
NAMES = ["x = Vi(2)", "y = Vj(2)", "a = Vi(1)", "b = Vj(1)", "c = Vj(2)", "p = Pm(1)"]


def arguments(kind, rng, p, dtype):
    x, y = points(kind, rng, M, 2), points(kind, rng, N, 2)
    found = x, y, rng.normal(size=(M, 1)), rng.normal(size=(N, 1)), rng.normal(size=(N, 2)), np.array([p])
    return [np.asarray(a, dtype) for a in found]


def used(arrays, formula):
    """The names and the arrays of the variables that a formula has."""
    kept = [k for k, name in enumerate(NAMES) if name[0] in formula.replace("Exp", "")]
    return [NAMES[k] for k in kept], [arrays[k] for k in kept]


@pytest.mark.parametrize("name", FORMULAS)
def test_the_error_is_below_the_bound(name, always):
    rng = np.random.default_rng(len(name))
    formula, dense = FORMULAS[name]
    for k, kind in enumerate(KINDS):
        dtype = (np.float64, np.float32)[k % 3 == 2]
        p, rtol, atol = 10 ** rng.uniform(0, 3), 10 ** rng.uniform(-12, -0.5), (0, 10 ** rng.uniform(-9, -1))[k % 2]
        if dtype == np.float32 and kind == "far away":
            continue
        arrays = arguments(kind, rng, p, dtype)
        x, y, a, b, c, p = (v.astype(float) for v in arrays)
        sums, sizes = exact_sums(dense(sq(x, y), a, b, c, p))
        names, given = used(arrays, formula)
        function = Genred(formula, names, axis=1)
        found = function(*given, rtol=rtol, atol=atol)[CHECKED]
        assert function.last_call.method == "truncation" and 0 <= function.last_call.error <= 1
        allowed = atol + (rtol * function.last_call.error if not atol else rtol) * sizes
        assert (abs(found - sums) <= allowed + EPS[dtype] * (1 + p) * sizes + 1e-300).all(), (kind, p, rtol, atol)


def test_the_bound_is_reached_where_tiles_are_points(always):
    places = np.arange(32.0)[:, None]
    x, y = np.repeat(places, 16, axis=0), np.repeat(places, 64, axis=0)
    function = Genred("Exp(-Abs(x - y))", ["x = Vi(1)", "y = Vj(1)"], axis=1)
    expected = 64 * np.exp(-abs(x - places.T)).sum(axis=1)
    for rtol in (0.3, 1e-2, 1e-4):
        errors = 1 - function(x, y, rtol=rtol)[:, 0] / expected
        assert rtol / 10 < errors.max() <= rtol and errors.min() >= -1e-15


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clusters_are_skipped_and_both_axes_are_served(axis, dtype, always):
    rng = np.random.default_rng(axis)
    arrays = arguments("clusters", rng, 200.0, dtype)
    x, y, _, b, _, p = (v.astype(float) for v in arrays)
    values = np.exp(-p * sq(x, y))[..., None]
    weighted = values * b
    for formula, terms in (("Exp(-p * SqDist(x, y))", values), ("Exp(-p * SqDist(x, y)) * b", weighted)):
        names, given = used(arrays, formula)
        function = Genred(formula, names, axis=axis)
        found = function(*given, rtol=1e-4)
        assert function.last_call.share < 0.35
        found, exact = found[CHECKED], function(*given)[CHECKED]
        terms = terms if axis == 1 else terms.swapaxes(0, 1)
        sums, sizes = exact_sums(terms)
        assert (abs(found - sums) <= (1e-4 + 200 * EPS[dtype]) * sizes).all()
        assert (abs(found - exact) <= 1e-4 * sizes + EPS[dtype]).all()


def test_deep_tails_are_right_relative_to_themselves(always):
    rng = np.random.default_rng(3)
    y = rng.normal(size=(N, 2))
    centers = np.linspace(0, 14, 8)[:, None] * np.array([0.6, -0.8])
    x = centers[rng.integers(8, size=M)] + 0.1 * rng.normal(size=(M, 2))
    function = Genred("-SqDist(x, y) * p", ["x = Vi(2)", "y = Vj(2)", "p = Pm(1)"], "LogSumExp", axis=1)
    found = function(x, y, 8.0, rtol=1e-3)[:, 0]
    assert function.last_call.method == "truncation" and function.last_call.share < 0.5
    assert found.min() < math.log(1e-200) and found.max() > -1
    bound = -math.log1p(-1e-3)
    for i in [*range(0, M, 40), int(found.argmin())]:
        with mpmath.workdps(30):
            squares = [mpmath.fsum((mpmath.mpf(u) - mpmath.mpf(v)) ** 2 for u, v in zip(x[i], q, strict=True)) for q in y]
            total = mpmath.fsum(mpmath.exp(-8 * square) for square in squares)
            assert abs(found[i] - mpmath.log(total)) <= bound + 1e-12 * abs(found[i])
    exact = function(x, y, 8.0)[:, 0]
    assert 0 < (exact - found).max() <= bound  # something was left out


@pytest.mark.parametrize("axis", [0, 1])
def test_log_sum_exp_with_weights_and_averages(axis, always):
    rng = np.random.default_rng(4)
    arrays = arguments("clusters", rng, 20.0, np.float64)
    x, y, _, _, c, p = arrays
    names = ["x = Vi(2)", "y = Vj(2)", "c = Vj(2)", "p = Pm(1)"]
    c = c if axis == 1 else c[:M]
    y, names = (y, names) if axis == 1 else (y[:M], ["x = Vi(2)", "y = Vj(2)", "c = Vi(2)", "p = Pm(1)"])
    k = np.exp(-p * sq(x, y)).T if axis == 0 else np.exp(-p * sq(x, y))
    rtol = 1e-3
    function = Genred("-p * SqDist(x, y)", names, "LogSumExp", axis=axis, formula2="Square(c)")
    found = function(x, y, c, p, rtol=rtol)
    assert function.last_call.method == "truncation" and function.last_call.share < 0.6
    assert (abs(np.expm1(found - np.log(k @ c**2))) <= rtol + 1e-12).all()
    function = Genred("-p * SqDist(x, y)", names, "SumSoftMaxWeight", axis=axis, formula2="c")
    found = function(x, y, c, p, rtol=rtol)
    assert function.last_call.method == "truncation" and function.last_call.share < 0.6
    average = (k @ abs(c)) / k.sum(axis=1, keepdims=True)
    assert (abs(found - (k @ c) / k.sum(axis=1, keepdims=True)) <= rtol * average + 1e-13).all()


def test_an_absolute_tolerance_of_exponentials(always):
    rng = np.random.default_rng(5)
    x, y = 6 * rng.random((M, 2)), rng.random((N, 2))
    function = Genred("-8 * SqDist(x, y)", NAMES[:2], "LogSumExp", axis=1)
    found = np.exp(function(x, y, atol=1e-3))
    assert function.last_call.share < 0.2  # most rows are far from everything
    assert (abs(found[:, 0] - np.exp(-8 * sq(x, y)).sum(axis=1)) <= 1e-3).all()


def test_rows_that_a_factor_makes_zero_do_not_spoil_their_tiles(always):
    rng = np.random.default_rng(6)
    x, y, _, b, _, p = arguments("clusters", rng, 100.0, np.float64)
    a = np.where(rng.random((M, 1)) < 0.5, 0.0, rng.normal(size=(M, 1)) * 1e-3)
    function = Genred("a * Exp(-p * SqDist(x, y)) * b", ["a = Vi(1)", *NAMES[:2], "b = Vj(1)", "p = Pm(1)"], axis=1)
    k = np.exp(-p * sq(x, y))
    for rtol, atol in ((1e-4, 0), (1e-9, 1e-6)):
        found = function(a, x, y, b, p, rtol=rtol, atol=atol)
        assert function.last_call.share < 0.35
        assert (abs(found[:, 0] - a[:, 0] * (k @ b[:, 0])) <= atol + rtol * abs(a[:, 0]) * (k @ abs(b[:, 0])) + 1e-14).all()


def test_windows_that_end_cost_nothing_beyond(always):
    rng = np.random.default_rng(7)
    x, y = 1.5 * rng.random((M, 2)), rng.random((N, 2))  # some rows have no neighbour at all
    inside = sq(x, y) < 0.01
    b = rng.random((N, 1))
    cases = [("SqDist(x, y) < 0.01", inside * 1.0), ("ReLU(0.01 - SqDist(x, y))", np.maximum(0.01 - sq(x, y), 0))]
    for formula, values in (*cases, ("(SqDist(x, y) < 0.01) * b", inside * b[:, 0])):
        function = Genred(formula, [*NAMES[:2], "b = Vj(1)"], axis=1)
        found = function(x, y, b, rtol=1e-14)
        assert function.last_call.share < 0.35
        np.testing.assert_allclose(found[:, 0], values.sum(axis=1), rtol=1e-12, atol=1e-15)
        assert (found[~inside.any(axis=1)] == 0).all()


@pytest.mark.parametrize("op", ["Sum", "LogSumExp"])
def test_points_that_are_not_finite(op, always):
    rng = np.random.default_rng(8)
    x, y = points("clusters", rng, M, 2), points("clusters", rng, N, 2)
    x[rng.random(M) < 0.1] = np.nan
    x[rng.random(M) < 0.1, 1] = np.inf
    y[rng.random(N) < 0.1, 0] = np.inf  # far from everything
    formula = "-30 * SqDist(x, y)"
    function = Genred(formula if op == "LogSumExp" else f"Exp({formula})", NAMES[:2], op, axis=1)
    for broken in (False, True):
        if broken:
            y[77] = np.nan  # then no sum is a number
        with np.errstate(all="ignore"):
            expected = np.exp(-30 * sq(x, y)).sum(axis=1)
            found = function(x, y, rtol=1e-5)[:, 0]
            assert function.last_call.method == "truncation"
            np.testing.assert_allclose(np.exp(found) if op == "LogSumExp" else found, expected, rtol=1e-5)
        assert np.isnan(found).all() if broken else function.last_call.share < 0.6
    huge = np.full((N, 2), 1e200)
    with np.errstate(all="ignore"):
        assert (Genred("SqDist(x, y)", NAMES[:2], axis=1)(np.zeros((M, 2)), huge, rtol=0.5) == np.inf).all()


def test_random_formulas(always):
    rng = np.random.default_rng(9)
    names = [f"v{v.position} = {('Vi', 'Vj', 'Pm')[v.category]}({v.dim})" for v in VARIABLES]
    text = {v: f"v{v.position}" for v in VARIABLES}
    skipped = 0
    for k, case in enumerate(CHOSEN[::9]):
        formula = random_formula(case, rng)
        if formula.dim > 3:
            continue
        formula = f"({formula.to_text(text)}) * Exp(-4 * SqDist(v0, v1))"
        function = Genred(formula, names, axis=k % 2)
        arrays = [points("clusters", rng, n, dim) for n, dim in ((120, 3), (150, 3), (150, 1))]
        arrays.append(rng.normal(size=2))
        rtol = 10 ** rng.uniform(-6, -0.3)
        with np.errstate(all="ignore"):
            found = function(*arrays, rtol=rtol)
            assert function.last_call.method == "truncation"
            skipped += function.last_call.share < 0.8
            sizes = Genred(f"Abs({formula})", names, axis=k % 2)(*arrays, backend="reference")
            expected = function(*arrays, backend="reference")
        usual = np.isfinite(sizes)
        assert (abs(found[usual] - expected[usual]) <= (rtol + 1e-10) * sizes[usual] + 1e-300).all(), formula
        np.testing.assert_array_equal(np.isnan(found[~usual]), np.isnan(expected[~usual]))
    assert skipped > 8


# Derivatives and lazy tensors


@pytest.fixture
def reports(monkeypatch):
    """What choices say of their calls, in their order."""
    seen = []

    def state(self, *args, real=choose.Choice.state):
        found = real(self, *args)
        seen.append(self.report)
        return found

    monkeypatch.setattr(choose.Choice, "state", state)
    return seen


@pytest.mark.parametrize("op", ["Sum", "LogSumExp", "SumSoftMaxWeight"])
def test_gradients(op, always, reports):
    rng = np.random.default_rng(15)
    x, y, _, b, _, p = arguments("clusters", rng, 30.0, np.float64)
    e = rng.normal(size=(M, 1)) * (rng.random((M, 1)) < 0.7)
    formula = {"Sum": "Exp(-p * SqDist(x, y)) * b", "LogSumExp": "b - p * SqDist(x, y)", "SumSoftMaxWeight": "-p * SqDist(x, y)"}
    options = {"formula2": "b"} if op == "SumSoftMaxWeight" else {}
    function = Genred(formula[op], [*NAMES[:2], "b = Vj(1)", "p = Pm(1)"], op, axis=1, **options)
    k, d = np.exp(-p * sq(x, y)), sq(x, y)
    w = e * k * (np.exp(b[:, 0]) if op == "LogSumExp" else 1)
    if op != "Sum":
        w = w / (k * (np.exp(b[:, 0]) if op == "LogSumExp" else 1)).sum(axis=1, keepdims=True)
    factor = {"Sum": b[:, 0], "LogSumExp": 1.0, "SumSoftMaxWeight": b[:, 0] - (k @ b) / k.sum(axis=1, keepdims=True)}[op]
    slopes = (w * factor)[..., None] * -2 * p * (x[:, None] - y)
    terms = {"x": (slopes, 1), "y": (-slopes, 0), "p": (-(w * factor * d)[..., None], (0, 1)), "b": (w[..., None], 0)}
    rtol = 1e-2
    value, found = function.value_and_gradient(x, y, b, p, wrt=tuple(terms), grad_output=e, rtol=rtol)
    summed = reports if op != "SumSoftMaxWeight" else reports[-4:]  # its forward pass is exact
    assert all(report.method == "truncation" and report.share < 0.8 for report in summed)
    np.testing.assert_allclose(value, function(x, y, b, p), rtol=rtol, atol=rtol * 4)
    for gradient, (values, axes) in zip(found, terms.values(), strict=True):
        assert (abs(gradient - values.sum(axis=axes)) <= rtol * abs(values).sum(axis=axes) + 1e-12).all()
    np.testing.assert_array_equal(function.gradient(x, y, b, p, wrt="x", grad_output=e, rtol=rtol), found[0])
    moved = rng.normal(size=x.shape)
    tangents = ((slopes / np.where(e, e, np.nan)[..., None]) * moved[:, None]).sum(axis=2)
    found = function.jvp(x, y, b, p, tangents={"x": moved}, rtol=1e-3)[:, 0]
    usual = e[:, 0] != 0
    assert (abs(found - tangents.sum(axis=1))[usual] <= 1e-3 * abs(tangents).sum(axis=1)[usual] + 1e-12).all()


def test_gradients_refuse_what_calls_refuse():
    x = np.zeros((3, 2))
    with pytest.raises(ValueError, match="rtol must be at least 0 and below 1: found 2"):
        Genred("SqDist(x, y)", NAMES[:2], axis=1).gradient(x, x, wrt="x", rtol=2)
    with pytest.raises(ValueError, match="rtol=0.5 is for sums: reduction_op='Max' has no tolerance"):
        Genred("SqDist(x, y)", NAMES[:2], "Max", axis=1).gradient(x, x, wrt="x", rtol=0.5)


def test_lazy_tensors(always, reports):
    rng = np.random.default_rng(16)
    x, y, _, b, *_ = arguments("clusters", rng, 1.0, np.float64)
    squares = ((Vi(x) - Vj(y)) ** 2).sum(-1)
    k = np.exp(-30 * sq(x, y))
    kernel = (-30 * squares).exp()
    assert (abs(kernel.sum(axis=1, rtol=1e-3)[:, 0] - k.sum(axis=1)) <= 1e-3 * k.sum(axis=1)).all()
    assert (abs((kernel * Vj(b)).sum(axis=1, atol=1e-3)[:, 0] - k @ b[:, 0]) <= 1e-3).all()
    found = (-30 * squares).logsumexp(axis=0, rtol=1e-3)[:, 0]
    assert (abs(np.expm1(found - np.log(k.sum(axis=0)))) <= 1e-3 + 1e-12).all()
    found = (-30 * squares).sumsoftmaxweight(Vj(b), axis=1, rtol=1e-3)
    assert (abs(found - k @ b / k.sum(axis=1, keepdims=True)) <= 1e-3 * (k @ abs(b) / k.sum(axis=1, keepdims=True)) + 1e-13).all()
    assert abs(kernel.sum(rtol=1e-3) / k.sum() - 1) <= 1e-3
    with pytest.raises(ValueError, match="rtol=0.1 is for sums: a variance has no tolerance"):
        kernel.var(axis=1, rtol=0.1)
    with pytest.raises(ValueError, match="reduction_op='Max' has no tolerance"):
        kernel.max(axis=1, rtol=0.1)


# Edges, and what it says


def test_few_rows_and_empty_sides(always):
    function = Genred("Exp(-SqDist(x, y))", NAMES[:2], axis=1)
    rng = np.random.default_rng(10)
    for m, n in ((0, 5), (5, 0), (1, 1), (1, 300), (300, 1), (3, 2)):
        x, y = rng.random((m, 2)), rng.random((n, 2))
        np.testing.assert_allclose(function(x, y, rtol=1e-3)[:, 0], np.exp(-sq(x, y)).sum(axis=1), rtol=1e-3)


def test_columns_that_are_used_again(always, monkeypatch):
    rng = np.random.default_rng(17)
    function = Genred("Exp(-9 * SqDist(x, y))", NAMES[:2], axis=1)
    made = []
    monkeypatch.setattr(tiles, "SpatialOrder", lambda *args, real=tiles.SpatialOrder: made.append(args[1]) or real(*args))
    y = rng.random((N, 2))
    for _ in range(3):
        x = rng.random((M, 2))
        np.testing.assert_allclose(function(x, y.copy(), rtol=1e-3)[:, 0], np.exp(-9 * sq(x, y)).sum(axis=1), rtol=1e-3)
    assert made.count(64) == 1 and made.count(32) == 3
    y[5] = 0.5
    np.testing.assert_allclose(function(x, y, rtol=1e-3)[:, 0], np.exp(-9 * sq(x, y)).sum(axis=1), rtol=1e-3)
    assert made.count(64) == 2


def test_batches_problem_by_problem(always, monkeypatch):
    rng = np.random.default_rng(19)
    x, y = points("clusters", rng, 6 * M, 2).reshape(3, 2, M, 2), points("clusters", rng, 2 * N, 2).reshape(2, N, 2)
    p, b = 20 + 100 * rng.random((3, 1, 1)), rng.normal(size=(3, 1, N, 1))
    function = Genred("Exp(-p * SqDist(x, y)) * b", [*NAMES[:2], "p = Pm(1)", "b = Vj(1)"], axis=1)
    seen, out = [], np.empty((3, 2, M, 1))
    assert function(x, y, p, b, rtol=1e-3, out=out, progress=lambda *done: seen.append(done)) is out
    report = function.last_call
    assert report.method == "truncation" and 0 < report.share < 0.5 and 0 < report.error <= 1
    assert seen == sorted(seen) and seen[-1] == (6 * M * N, 6 * M * N)
    terms = np.exp(-p[..., None] * ((x[..., :, None, :] - y[:, None]) ** 2).sum(axis=-1)) * b[..., None, :, 0]
    errors = abs(out[..., 0] - terms.sum(axis=-1))
    assert errors.max() > 1e-12 and (errors <= 1e-3 * abs(terms).sum(axis=-1) + 1e-13).all()
    everything = (np.array([[0, M]]), np.array([1]), np.array([[0, N]]), np.array([[0, N]]), np.array([1]), np.array([[0, M]]))
    exact = function(x, y, p, b)
    assert function.last_call.method == "all pairs" and function.last_call.share == 1.0
    np.testing.assert_array_equal(function(x, y, p, b, rtol=1e-3, ranges=everything), exact)
    monkeypatch.setattr(tiles.TileMethod, "least_pairs", M * N + 1)  # then all problems are one call
    np.testing.assert_array_equal(function(x, y, p, b, rtol=1e-3), exact)


def test_many_components(always):
    rng = np.random.default_rng(18)
    x, y, c = points("clusters", rng, M, 2), points("clusters", rng, N, 2), rng.normal(size=(N, 40))
    function = Genred("Exp(-50 * SqDist(x, y)) * c", [*NAMES[:2], "c = Vj(40)"], axis=1)
    found = function(x, y, c, rtol=1e-3)
    assert function.last_call.method == "truncation" and function.last_call.share < 0.6
    k = np.exp(-50 * sq(x, y))
    assert (abs(found - k @ c) <= 1e-3 * (k @ abs(c)) + 1e-12).all()


def test_zero_tolerances_keep_the_bits(always):
    x, y, *_ = arguments("clusters", np.random.default_rng(11), 1.0, np.float64)
    function = Genred("Exp(-9 * SqDist(x, y))", NAMES[:2], axis=1)
    expected = function(x, y)
    np.testing.assert_array_equal(function(x, y, rtol=0.0, atol=0), expected)
    assert function.last_call.method == "all pairs"
    out = np.empty((M, 1))
    seen = []
    assert function(x, y, rtol=1e-3, out=out, progress=lambda *done: seen.append(done)) is out
    np.testing.assert_allclose(out, expected, rtol=1e-3)
    assert seen == sorted(seen) and seen[-1] == (M * N, M * N)


@pytest.mark.parametrize("options, error, message", [
    ({"rtol": -1e-3}, ValueError, r"rtol must be at least 0 and below 1: found -0\.001"),
    ({"rtol": 1.0}, ValueError, r"rtol must be at least 0 and below 1: found 1\.0"),
    ({"rtol": math.nan}, ValueError, "rtol must be at least 0 and below 1: found nan"),
    ({"atol": math.inf}, ValueError, "atol must be at least 0 and below inf: found inf"),
    ({"rtol": "1e-3"}, TypeError, r"rtol must be a number: found '1e-3' \(str\)"),
    ({"rtol": True}, TypeError, r"rtol must be a number: found True \(bool\)"),
])  # fmt: skip
def test_bad_tolerances(options, error, message):
    x = np.zeros((3, 2))
    with pytest.raises(error, match=message):
        Genred("SqDist(x, y)", NAMES[:2], axis=1)(x, x, **options)


def test_reductions_without_a_tolerance():
    x = np.zeros((3, 2))
    with pytest.raises(ValueError, match="rtol=0.1 is for sums: reduction_op='Max' has no tolerance"):
        Genred("SqDist(x, y)", NAMES[:2], "Max", axis=1)(x, x, rtol=0.1)
    average = Genred("SqDist(x, y)", NAMES[:2], "SumSoftMaxWeight", axis=1, formula2="y")
    with pytest.raises(ValueError, match="atol=0.1 is for sums: reduction_op='SumSoftMaxWeight' has no other tolerance than rtol"):
        average(x, x, atol=0.1)


def test_what_it_says_of_calls_that_it_declines(monkeypatch):
    function = Genred("Exp(-SqDist(x, y))", NAMES[:2], axis=1)
    rng = np.random.default_rng(12)
    x, y = rng.random((M, 2)), rng.random((N, 2))
    expected = function(x, y)
    np.testing.assert_array_equal(function(x, y, rtol=0.1), expected)
    assert function.last_call.declined["truncation"] == "few pairs" and function.last_call.error == 0
    assert "  truncation: if a tolerance is given, there are many pairs" in function.explain()
    monkeypatch.setattr(tiles.TileMethod, "least_pairs", 0)
    function = Genred("Exp(-SqDist(x, y))", NAMES[:2], axis=1)
    np.testing.assert_array_equal(function(x, y, rtol=0.1), expected)
    assert function.last_call.declined["truncation"] == "one side has few rows"
    monkeypatch.setattr(truncation, "_PAIRS_PER_ROW", 0)
    np.testing.assert_array_equal(function(x, y, rtol=0.1), expected)
    assert "of the pairs are not negligible" in function.last_call.declined["truncation"]
    x, y = rng.normal(size=(M, 12)), rng.normal(size=(N, 12))
    function = Genred("Exp(-SqDist(x, y))", ["x = Vi(12)", "y = Vj(12)"], axis=1)
    expected = function(x, y)
    np.testing.assert_array_equal(function(x, y, rtol=0.1), expected)
    assert "of the tiles are not negligible" in function.last_call.declined["truncation"]
    everything = (np.array([[0, M]]), np.array([1]), np.array([[0, N]]), np.array([[0, N]]), np.array([1]), np.array([[0, M]]))
    function(x, y, ranges=everything, rtol=0.1)
    assert function.last_call.declined["truncation"] == "ranges are given"


@pytest.mark.parametrize("formula, op, reason", [
    ("SqDist(x, y)", "Min", "it is for a single sum"),
    ("SqDist(x, y) * w", "Sum", "an argument has a value for each pair"),
    ("SqNorm2(y)", "Sum", "the formula does not depend on both indices"),
    ("SqNorm2(x) * SqNorm2(y)", "Sum", "the formula does not depend on both indices"),
])  # fmt: skip
def test_problems_that_it_declines(formula, op, reason):
    function = Genred(formula, [*NAMES[:2], "w = Vij(1)"][: 2 + ("w" in formula)], op, axis=1)
    assert Truncation.declines(function._problem, cpu) == reason
    assert "all pairs" in Truncation.declines(function._problem, reference)
    if op == "Sum" and "w" not in formula:
        x = np.ones((4, 2))
        expected = function(x, x)
        np.testing.assert_allclose(function(x, x, rtol=0.1), expected)
        assert function.last_call.declined["truncation"] == reason


def test_it_gives_up_where_little_can_be_skipped(always, monkeypatch):
    monkeypatch.setattr(tiles, "WORTH", 0.5)
    x, y, *_ = arguments("uniform", np.random.default_rng(13), 1.0, np.float64)
    function = Genred("Inv(1 + SqDist(x, y))", NAMES[:2], axis=1)
    found = function(x, y, rtol=1e-6)
    assert function.last_call.share == 1.0 and function.last_call.error == 0
    np.testing.assert_allclose(found[:, 0], (1 / (1 + sq(x, y))).sum(axis=1), rtol=1e-13)


def test_the_smallest_scores_are_left_out():
    rng = np.random.default_rng(14)
    rows = np.repeat(np.arange(5), 400)
    scores = 10 ** rng.uniform(-12, 1, len(rows))
    scores[::7], scores[3] = 0, np.inf
    before = np.array([0, 0.1, 0.2, 0.3, 0.4])
    kept, spent = keep_largest(rows, scores, before, 0.5)
    assert (spent >= before).all() and (spent <= 0.5).all()
    for row in range(5):
        mine, left = scores[rows == row], kept[rows == row]
        assert mine[~left].sum() <= spent[row] - before[row] <= mine[~left].sum() * (1 + 1e-8) + 1e-15
        assert mine[left].min() > mine[~left].max() and left[mine == np.inf].all()
        ranked = np.sort(mine)
        assert (~left).sum() >= 0.9 * (ranked.cumsum() <= 0.5 - before[row]).sum()
