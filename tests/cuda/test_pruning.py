"""Extrema and the K smallest that skip tiles, on arrays of CuPy: with exact arithmetic alone, and with the bits of all pairs."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from skkeops import Genred
from skkeops.backends import device
from skkeops.backends.cuda.programs import CudaProgram
from skkeops.execution.methods import gates, pruning, tiles
from skkeops.execution.methods.pruning import Pruning

M, N = 200, 500
NAMES = ["x = Vi(2)", "y = Vj(2)"]
OPS = {"KMin_ArgKMin": (1, {"opt_arg": 3}), "Max_ArgMax": (0, {})}


@pytest.fixture
def asked(monkeypatch):
    """Small calls are asked, too, and whatever can be skipped is."""
    monkeypatch.setattr(tiles.TileMethod, "least_pairs", 0)
    monkeypatch.setattr(tiles, "WORTH", 1.0)
    monkeypatch.setattr(gates, "_ON_DEVICE", {4: (0, 0), 8: (0, 0)})
    monkeypatch.setattr(pruning, "_WORTH_IN_SAMPLE", 1.0)
    monkeypatch.setattr(Pruning, "cost_of_repeating", 0)


@pytest.fixture
def always(asked, monkeypatch):
    """The same with small tiles."""
    monkeypatch.setattr(CudaProgram, "tile_sizes", lambda self, dtype: (16, 64))


def points(kind, rng, n):
    if kind == "clusters":
        return rng.integers(0, 5, (n, 1)) * 10 + rng.normal(size=(n, 2))
    if kind == "lattice":
        return rng.integers(0, 9, (n, 2)).astype(float)
    if kind == "one point":
        return np.full((n, 2), 0.3)
    found = rng.normal(size=(n, 2))
    if kind == "broken":
        found[rng.random(n) < 0.1] = np.nan
        found[rng.random(n) < 0.05, 0] = np.inf
        found[rng.random(n) < 0.05, -1] = -np.inf
    return found * {"huge": 1e200, "tiny": 1e-40}.get(kind, 1.0)


KINDS = ["normal", "clusters", "lattice", "one point", "broken", "huge", "tiny"]


def check(function, cupy, arrays):
    """The method and all pairs give the same bits; return both results, on the host, and the share of pairs of the method."""
    given = [cupy.asarray(a) for a in arrays]
    found = function(*given)
    report = function.last_call
    assert report.method == "pruning" and all(type(part) is cupy.ndarray for part in found), report
    expected = function._program("auto", cupy).own.run(function._check(tuple(given)).arrays)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a.get(), b.get())
    return [part.get() for part in found], report.share


def check_beside_numpy(op, x, y, values, index):
    with np.errstate(all="ignore"):
        squares = sum(np.square(x[:, None, d] - y[None, :, d]) for d in range(2))
    if op == "Max_ArgMax":
        ranked = np.where(np.isnan(squares), -np.inf, squares).T
        expected = np.where(ranked.max(axis=1) > -np.inf, ranked.argmax(axis=1), -1)
        np.testing.assert_array_equal(index[:, 0], expected)
    else:
        ranked = np.where(np.isnan(squares), np.inf, squares)
        expected = np.argsort(ranked, axis=1, kind="stable")[:, :3]
        lost = np.take_along_axis(ranked, expected, axis=1) == np.inf
        np.testing.assert_array_equal(index, np.where(lost, -1, expected))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", OPS)
def test_kernels_have_the_bits_of_all_pairs(op, dtype, cupy, always, rng):
    axis, options = OPS[op]
    for kind in KINDS if op == "KMin_ArgKMin" else ("clusters", "lattice", "broken"):
        with np.errstate(over="ignore"):
            x, y = (points(kind, rng, n).astype(dtype) for n in (M, N))
        function = Genred("SqDist(x, y)", NAMES, op, axis=axis, use_fast_math=False, **options)
        (values, index), share = check(function, cupy, (x, y))
        if kind != "tiny" or dtype == np.float64:  # a GPU takes the squares for 0
            check_beside_numpy(op, x, y, values, index)
        if kind in ("normal", "clusters"):
            assert share < 0.7


def test_whole_blocks_of_threads(cupy, asked, rng):
    x, y = rng.random((3000, 2)), rng.random((4000, 2))
    function = Genred("SqDist(x, y)", NAMES, "KMin_ArgKMin", axis=1, opt_arg=3, use_fast_math=False)
    (values, index), share = check(function, cupy, (x, y))
    assert share < 0.5
    distances, neighbours = cKDTree(y).query(x, 3)
    np.testing.assert_array_equal(index, neighbours)
    np.testing.assert_allclose(np.sqrt(values), distances, rtol=1e-13)


@pytest.mark.parametrize("formula, op, options", [
    ("p * Sum(Abs(x - y)) - b", "KMin_ArgKMin", {"opt_arg": 5}),
    ("Exp(-p * SqDist(x, y)) * b", "Max_ArgMax", {}),
    ("p * (x - y)", "Min_ArgMin", {}),  # of two components
])  # fmt: skip
def test_several_variables(formula, op, options, double, asked, rng):
    arrays = rng.random((M, 2)), np.array([0.7]), rng.random((N, 2)), rng.random((N, 1))
    for axis, dtype in ((0, np.float32), (1, np.float64)):
        names = ["x = Vi(2)", "p = Pm(1)", "y = Vj(2)", "b = Vj(1)"]
        check(Genred(formula, names, op, axis=axis, **options), double, [a.astype(dtype) for a in arrays])


def test_arithmetic_that_is_not_exact_declines(cupy, asked, rng):
    x, y = (cupy.asarray(rng.random((n, 40)).astype("f4")) for n in (70, 90))
    why = "a GPU has exact values for use_fast_math=False alone, and for vectors that are not long"
    long = ["x = Vi(40)", "y = Vj(40)"]
    for names, a, b, options in ((NAMES, x[:, :2], y[:, :2], {}), (long, x, y, {"use_fast_math": False})):
        function = Genred("SqDist(x, y)", names, "ArgMin", axis=1, **options)
        squares = ((a.get()[:, None] - b.get()) ** 2).sum(axis=2)
        np.testing.assert_array_equal(function(a, b).get()[:, 0], squares.argmin(axis=1))
        assert function.last_call.method == "all pairs" and function.last_call.declined["pruning"] == why
        assert why in function.explain()


def test_few_pairs_decline(cupy, monkeypatch, rng):
    monkeypatch.setattr(tiles.TileMethod, "least_pairs", 0)
    function = Genred("SqDist(x, y)", NAMES, "ArgMin", axis=1, use_fast_math=False)
    function(cupy.asarray(rng.random((5, 2))), cupy.asarray(rng.random((7, 2))))
    assert function.last_call.declined["pruning"] == "a GPU computes fewer than 3e+11 pairs in less time than a search takes"
    assert Pruning.declines(function._problem, device) is None
