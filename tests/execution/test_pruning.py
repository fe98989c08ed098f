"""Extrema and the K smallest that skip tiles: the same bits as all pairs, whatever the data are."""

import threading

import numpy as np
import pytest
from scipy.spatial import cKDTree

from skkeops import Genred, LazyTensor, Vi, Vj
from skkeops.backends import cpu, reference
from skkeops.execution import choose
from skkeops.execution.methods import pruning, tiles
from skkeops.execution.methods.pruning import Pruning
from skkeops.execution.methods.ties import order_ties, rows_with_ties
from skkeops.formula import operations as ops
from skkeops.formula.operations.base import Operation

from ..formula.enclosing import CHOSEN, VARIABLES, random_formula

M, N = 1300, 2100
EACH = [
    ("Min", {}), ("Max", {}), ("ArgMin", {}), ("ArgMax", {}), ("Min_ArgMin", {}), ("Max_ArgMax", {}),
    ("KMin", {"opt_arg": 4}), ("ArgKMin", {"opt_arg": 4}), ("KMin_ArgKMin", {"opt_arg": 20}), ("KMin_ArgKMin", {"opt_arg": 130}),
]  # fmt: skip


@pytest.fixture
def always(monkeypatch):
    """Small calls are asked, too, and whatever can be skipped is."""
    monkeypatch.setattr(tiles.TileMethod, "least_pairs", 0)
    monkeypatch.setattr(pruning, "_PAIRS_PER_ROW", 0)
    monkeypatch.setattr(tiles, "WORTH", 1.0)
    monkeypatch.setattr(pruning, "_WORTH_IN_SAMPLE", 1.0)
    monkeypatch.setattr(Pruning, "cost_of_repeating", 0)


def points(kind, rng, n, dim):
    if kind == "uniform":
        return rng.random((n, dim))
    if kind == "clusters":
        return rng.integers(0, 5, (n, 1)) * 10 + rng.normal(size=(n, dim))
    if kind == "lattice":
        return rng.integers(0, 9, (n, dim)).astype(float)
    if kind == "one point":
        return np.full((n, dim), 0.3)
    if kind == "far away":
        return 1e6 + rng.random((n, dim))
    if kind == "two columns":  # of very different sizes
        return rng.normal(size=(n, dim)) * 1e4 ** np.arange(dim)
    found = rng.normal(size=(n, dim))
    if kind == "broken":
        found[rng.random(n) < 0.1] = np.nan
        found[rng.random(n) < 0.05, 0] = np.inf
        found[rng.random(n) < 0.05, -1] = -np.inf
    if kind == "nothing but NaN":
        found[:] = np.nan
    if kind == "huge":
        found *= 1e200
    if kind == "tiny":
        found *= 1e-40
    return found


KINDS = ["uniform", "clusters", "lattice", "one point", "far away", "two columns", "broken", "nothing but NaN", "huge", "tiny"]


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


def check(function, arrays):
    """The method and all pairs give the same bits; return the share of pairs that the method computed."""
    found = as_tuple(function(*arrays))
    report = function.last_call
    assert report.method == "pruning", report
    with np.errstate(all="ignore"):
        expected = as_tuple(function._program("auto", np).own.run(function._check(tuple(arrays)).arrays))
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    return report.share


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_all_data(kind, dtype, always):
    rng = np.random.default_rng(0)
    with np.errstate(over="ignore"):
        x, y = (points(kind, rng, n, 2).astype(dtype) for n in (M, N))
    for number, (op, options) in enumerate(EACH):
        for axis in (0, 1) if op == "KMin_ArgKMin" else (number % 2,):
            function = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], op, axis=axis, **options)
            share = check(function, (x, y))
            if kind in ("uniform", "clusters", "far away") and op in ("Min", "ArgMin", "Max"):
                assert share < 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_cuts_from_the_nearest_of_many_nodes(kind, always, monkeypatch):
    rng = np.random.default_rng(3)
    with np.errstate(over="ignore"):
        x, y = (points(kind, rng, n, 4) for n in (M, N))
    function = Genred("SqDist(x, y)", ["x = Vi(4)", "y = Vj(4)"], "KMin_ArgKMin", axis=1, opt_arg=7)
    monkeypatch.setattr(pruning, "_MANY", M * N)
    share = check(function, (x, y))
    monkeypatch.setattr(pruning, "_MANY", 2)
    tighter = check(function, (x, y))
    assert tighter < 0.9 * share if kind == "uniform" else tighter <= share


@pytest.mark.parametrize("formula, op", [
    ("p * Sum(Abs(x - y)) - b", "ArgKMin"),
    ("Exp(-p * SqDist(x, y)) * b", "Max_ArgMax"),
    ("Max(Abs(x - y)) + a * b", "KMin_ArgKMin"),
    ("p * (x - y)", "Max_ArgMax"),  # of three components
    ("Scalprod(x, y) / (1 + Square(a))", "ArgMax"),
    ("IfElse(b - 0.5, Norm2(x - y), Floor(10 * Norm2(x - y)))", "ArgKMin"),
    ("Norm2(x - y) + 0 * a", "ArgMin"),
])  # fmt: skip
def test_several_variables(formula, op, always):
    rng = np.random.default_rng(1)
    names = ["x = Vi(3)", "p = Pm(1)", "a = Vi(1)", "y = Vj(3)", "b = Vj(1)"]
    arrays = rng.random((M, 3)), np.array([0.7]), rng.random((M, 1)), rng.random((N, 3)), rng.random((N, 1))
    for axis, dtype in ((0, np.float32), (1, np.float64)):
        function = Genred(formula, names, op, axis=axis, opt_arg=5 if "K" in op else None)
        check(function, [a.astype(dtype) for a in arrays])


def test_random_formulas(always):
    rng = np.random.default_rng(2)
    names = [f"v{v.position} = {('Vi', 'Vj', 'Pm')[v.category]}({v.position},{v.dim})" for v in VARIABLES]
    pruned = 0
    for k, case in enumerate(CHOSEN):
        formula = random_formula(case, rng)
        if formula.dim > 3 or not {0, 1} <= formula.categories:
            continue
        function = Genred(formula, names, ("Min_ArgMin", "Max_ArgMax", "ArgKMin")[k % 3], k % 2, opt_arg=3 if k % 3 == 2 else None)
        arrays = [rng.normal(size=s).astype((np.float32, np.float64)[k // 2 % 2]) for s in ((150, 3), (200, 3), (200, 1), (2,))]
        check(function, arrays)
        pruned += 1
    assert pruned > 30


def test_neighbours_are_those_of_a_tree(always):
    rng = np.random.default_rng(3)
    x, y = rng.random((M, 3)), rng.random((N, 3))
    distances, index = cKDTree(y).query(x, 6)
    function = Genred("SqDist(x, y)", ["x = Vi(3)", "y = Vj(3)"], "KMin_ArgKMin", axis=1, opt_arg=6)
    found = function(x, y)
    np.testing.assert_allclose(found[0], distances**2, rtol=1e-12)
    np.testing.assert_array_equal(found[1], index)
    assert function.last_call.share < 0.5
    lazy = ((Vi(x) - Vj(y)) ** 2).sum(-1)
    assert isinstance(lazy, LazyTensor)
    np.testing.assert_array_equal(lazy.argKmin(6, axis=1), index)


def test_columns_are_sorted_once_and_noticed_when_they_change(always, monkeypatch):
    rng = np.random.default_rng(4)
    y = rng.random((N, 2))
    function = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], "ArgMin", axis=1)
    made = []
    monkeypatch.setattr(tiles, "SpatialOrder", lambda *args, real=tiles.SpatialOrder: made.append(args[1]) or real(*args))
    check(function, (rng.random((M, 2)), y))
    check(function, (rng.random((M, 2)), y.copy()))
    assert sorted(made) == [32, 32, 64]
    y[77] = [0.5, 0.5]
    check(function, (np.full((M, 2), 0.5), y))
    assert made.count(64) == 2
    assert (function(np.full((M, 2), 0.5), y) == 77).all()


def test_gradients_go_through_the_method(always):
    rng = np.random.default_rng(5)
    x, y = rng.random((M, 2)), rng.random((N, 2))
    function = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], "Min", axis=1)
    nearest = cKDTree(y).query(x)[1]
    np.testing.assert_allclose(function.gradient(x, y, wrt="x"), 2 * (x - y[nearest]), rtol=1e-12)


def test_progress_and_out(always):
    rng = np.random.default_rng(6)
    x, y = rng.random((M, 2)), rng.random((N, 2))
    function = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], "Min_ArgMin", axis=1)
    seen, out = [], (np.empty((M, 1)), np.empty((M, 1), np.int64))
    found = function(x, y, out=out, progress=lambda done, total: seen.append((done, total)))
    assert found[0] is out[0] and found[1] is out[1]
    np.testing.assert_array_equal(out[1][:, 0], cKDTree(y).query(x)[1])
    assert seen[-1] == (M * N, M * N) and seen == sorted(seen)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        function(x, y, progress=stop)


def test_threads_share_one_function(always):
    rng = np.random.default_rng(7)
    ys = [rng.random((N, 2)) for _ in range(4)]
    x = rng.random((M, 2))
    function = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], "ArgMin", axis=1)
    found = {}

    def work(k):
        for _ in range(5):
            found[k] = function(x, ys[k])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, y in enumerate(ys):
        np.testing.assert_array_equal(found[k][:, 0], cKDTree(y).query(x)[1])


# What it declines, and says of it


NAMES = ["x = Vi(2)", "y = Vj(2)", "w = Vij(1)"]


@pytest.mark.parametrize("formula, op, options, reason", [
    ("SqDist(x, y)", "Sum", {}, "every pair counts in a sum"),
    ("SqDist(x, y) * w", "Min", {}, "an argument has a value for each pair"),
    ("SqNorm2(y)", "Min", {}, "the formula does not depend on both indices"),
    ("SqDist(x, y)", "KMin", {"opt_arg": 257}, "more than 256 smallest values are asked for"),
])  # fmt: skip
def test_problems_that_it_declines(formula, op, options, reason):
    names = NAMES if "w" in formula else NAMES[:2]
    function = Genred(formula, names, op, axis=1, **options)
    assert Pruning.declines(function._problem, cpu) == reason


def test_an_operation_without_bounds_is_declined(monkeypatch):
    function = Genred("Norm2(x - y)", NAMES[:2], "Min", axis=1)
    assert Pruning.declines(function._problem, cpu) is None
    assert "all pairs" in Pruning.declines(function._problem, reference)
    monkeypatch.setattr(ops.Sqrt, "bounds", Operation.bounds)
    assert Pruning.declines(function._problem, cpu) == "Sqrt has no bounds"
    assert type(choose.prepare(function._problem, cpu)) is cpu.CpuProgram


def test_calls_that_it_declines(monkeypatch):
    function = Genred("SqDist(x, y)", NAMES[:2], "ArgMin", axis=1)
    rng = np.random.default_rng(8)
    x, y = rng.random((M, 2)), rng.random((N, 2))
    assert function.last_call is None
    function(x, y)
    assert function.last_call == ("all pairs", 1.0, {"pruning": "few pairs"}, 0.0)
    assert function.explain().splitlines()[-2:] == [
        "the last call: all pairs, 100.000% of the pairs",
        "  pruning did not take it: few pairs",
    ]
    monkeypatch.setattr(tiles.TileMethod, "least_pairs", 0)
    function = Genred("SqDist(x, y)", NAMES[:2], "ArgMin", axis=1)
    everything = (np.array([[0, M]]), np.array([1]), np.array([[0, N]]), np.array([[0, N]]), np.array([1]), np.array([[0, M]]))
    function(x, y, ranges=everything)
    assert function.last_call.declined == {"pruning": "ranges are given"}
    function(x, y)
    assert function.last_call.declined == {"pruning": "one side has few rows"}
    monkeypatch.setattr(pruning, "_PAIRS_PER_ROW", 0)
    x, y = rng.normal(size=(M, 12)), rng.normal(size=(N, 12))
    function = Genred("SqDist(x, y)", ["x = Vi(12)", "y = Vj(12)"], "ArgMin", axis=1)
    function(x, y)
    assert function.last_call.method == "all pairs"
    assert "of the tiles may hold a winner" in function.last_call.declined["pruning"]


def test_it_gives_up_where_little_can_be_skipped(monkeypatch):
    monkeypatch.setattr(tiles.TileMethod, "least_pairs", 0)
    monkeypatch.setattr(pruning, "_PAIRS_PER_ROW", 0)
    monkeypatch.setattr(pruning, "_WORTH_IN_SAMPLE", 1.0)
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(M, 8)), rng.normal(size=(N, 8))
    function = Genred("SqDist(x, y)", ["x = Vi(8)", "y = Vj(8)"], "KMin_ArgKMin", axis=1, opt_arg=5)
    assert check(function, (x, y)) == 1.0
    lattice = rng.integers(0, 3, (4 * M, 2)).astype(float)
    function = Genred("SqDist(x, y)", NAMES[:2], "ArgKMin", axis=1, opt_arg=5)
    assert check(function, (lattice, rng.integers(0, 3, (N, 2)).astype(float))) > 0.5  # nearly all values are tied


# Ties


def test_equal_values_are_sorted_by_index():
    values = np.array([[1.0, 1, 2, 2, 2], [0, 1, 2, np.inf, np.inf]])[:, :, None]
    index = np.array([[7, 3, 9, 1, 4], [5, 4, 3, -1, -1]])[:, :, None]
    found = order_ties(values, index)
    np.testing.assert_array_equal(found[0], values)
    np.testing.assert_array_equal(found[1][:, :, 0], [[3, 7, 1, 4, 9], [5, 4, 3, -1, -1]])
    np.testing.assert_array_equal(rows_with_ties(values, 3), [0])
    np.testing.assert_array_equal(rows_with_ties(values, 2), [])
