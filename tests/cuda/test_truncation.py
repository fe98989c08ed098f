"""Sums within a tolerance on arrays of CuPy: the order is made on the device, and errors are within what is promised."""

import math

import mpmath
import numpy as np
import pytest

from skkeops import Genred, KernelDensity, Vi, Vj
from skkeops.backends import cpu, device, transfer
from skkeops.backends.cuda.programs import CudaProgram
from skkeops.execution import choose
from skkeops.execution.methods import gates, tiles, truncation
from skkeops.execution.methods.pruning import Pruning
from skkeops.execution.methods.truncation import Truncation
from skkeops.pairs import order
from skkeops.pairs.order import SpatialOrder

M, N = 500, 900
ROUNDING = {np.float32: 3e-6, np.float64: 1e-13}
NAMES = ["x = Vi(2)", "y = Vj(2)", "b = Vj(1)", "p = Pm(1)"]


@pytest.fixture
def asked(monkeypatch):
    """Small calls are asked, too, and whatever can be skipped is."""
    monkeypatch.setattr(tiles.TileMethod, "least_pairs", 1)
    monkeypatch.setattr(tiles, "WORTH", 1.0)
    monkeypatch.setattr(gates, "_ON_DEVICE", {4: (0, 0), 8: (0, 0)})
    monkeypatch.setattr(truncation, "_WORTH_IN_SAMPLE", 1.0)


@pytest.fixture
def always(asked, monkeypatch):
    """The same with small tiles."""
    monkeypatch.setattr(CudaProgram, "tile_sizes", lambda self, dtype: None)


def clusters(rng, n, dim=2):
    return rng.integers(0, 5, (n, 1)) * 2 + 0.2 * rng.normal(size=(n, dim))


def sq(x, y):
    return ((x[:, None].astype(float) - y.astype(float)) ** 2).sum(axis=2)


def arguments(rng, dtype, p=60.0):
    return [a.astype(dtype) for a in (clusters(rng, M), clusters(rng, N), rng.normal(size=(N, 1)), np.array([p]))]


# With the kernels that a GPU runs, in the emulator


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [0, 1])
def test_kernels_of_ranges_keep_the_promise(axis, dtype, cupy, always, rng):
    x, y, b, p = arguments(rng, dtype)
    terms = np.exp(-float(p[0]) * sq(x, y)) * b[:, 0]
    sizes, sums = abs(terms).sum(axis=axis), [math.fsum(t) for t in (terms if axis else terms.T)]
    function = Genred("Exp(-p * SqDist(x, y)) * b", NAMES, axis=axis)
    for rtol in (1e-1, 1e-5):
        found = function(*map(cupy.asarray, (x, y, b, p)), rtol=rtol)
        assert type(found) is cupy.ndarray and found.dtype == dtype
        assert function.last_call.method == "truncation" and function.last_call.share < 0.5
        assert (abs(found.get()[:, 0] - sums) <= (rtol + ROUNDING[dtype] * 60) * sizes).all()
    assert "the last call: truncation" in function.explain()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_deep_tails_in_whole_blocks_of_threads(dtype, cupy, asked, rng):
    centers = np.linspace(0, 14, 8)[:, None] * np.array([0.6, -0.8])
    x = (centers[rng.integers(8, size=3000)] + 0.1 * rng.normal(size=(3000, 2))).astype(dtype)
    y = (0.1 * rng.normal(size=(3000, 2)) + rng.integers(-2, 3, (3000, 2))).astype(dtype)
    function = Genred("-SqDist(x, y) * p", [*NAMES[:2], "p = Pm(1)"], "LogSumExp", axis=1)
    given = [cupy.asarray(a) for a in (x, y, np.array([8.0], dtype))]
    found = function(*given, rtol=1e-3).get()[:, 0].astype(float)
    assert function.last_call.method == "truncation" and function.last_call.share < 0.5
    method = function._tolerant[cupy]["auto"].methods[0]
    rows, columns = method.sizes_of_tiles(np.dtype(dtype))
    assert rows % 128 == 0 and columns % 64 == 0
    assert found.min() < math.log(1e-200) and found.max() > 0
    bound, rounding = -math.log1p(-1e-3), ROUNDING[dtype] * 30
    for i in [*range(0, 3000, 400), int(found.argmin())]:
        with mpmath.workdps(30):
            near = y[np.argsort(sq(x[i : i + 1], y)[0])[:200]]  # the others are less than 1e-12 of the sum
            squares = [mpmath.fsum((mpmath.mpf(float(u)) - mpmath.mpf(float(v))) ** 2 for u, v in zip(x[i], q)) for q in near]
            total = float(mpmath.log(mpmath.fsum(mpmath.exp(-8 * square) for square in squares)))
        exact = float(np.logaddexp.reduce(-8 * sq(x[i : i + 1], y)[0]))
        assert exact - total < 0.5 and exact - total >= -1e-9
        assert abs(found[i] - exact) <= bound + rounding * max(1, abs(exact))


def test_the_options_of_sums_are_kept(cupy, always, rng):
    x, y, b, p = (cupy.asarray(a) for a in arguments(rng, np.float32))
    function = Genred("Exp(-p * SqDist(x, y)) * b", NAMES, axis=1, dtype_acc="float64")
    function(x, y, b, p, rtol=1e-3)
    (method,) = function._tolerant[cupy]["auto"].methods
    assert method._own._program.options.accumulator == method._sizes._program.options.accumulator == "float64"


# With a double of the kernels


def test_everything_but_samples_tiles_and_sums_stays_on_the_device(double, always, monkeypatch, rng):
    monkeypatch.setattr(Truncation, "sample_size", 200)
    x, y, b, p = arguments(rng, np.float64)
    given = [double.asarray(a) for a in (x, y, b, p)]
    function = Genred("Exp(-p * SqDist(x, y)) * b", NAMES, axis=1)
    double.stand_in_counts.clear()
    out = double.empty((M, 1))
    assert function(*given, rtol=1e-3, out=out) is out
    copied = double.stand_in_counts.to_host
    assert function.last_call.share < 0.5
    assert not {a.nbytes for a in given[:3]} & set(copied)  # nor are they copied in the order of a tree
    exact = (np.exp(-60 * sq(x, y)) * b[:, 0]).sum(axis=1)
    assert (abs(out.get()[:, 0] - exact) <= 1e-3 * (np.exp(-60 * sq(x, y)) * abs(b[:, 0])).sum(axis=1)).all()


def test_on_another_device_than_the_current_one(double, always, rng):
    x, y, b, p = arguments(rng, np.float64)
    function = Genred("-p * SqDist(x, y)", [*NAMES[:2], NAMES[3]], "LogSumExp", axis=1)
    with double.cuda.Device(1):
        given = [double.asarray(a) for a in (x, y, p)]
    found = function(*given, rtol=1e-3)
    assert function.last_call.method == "truncation" and found.data.device_id == 1
    with double.cuda.Device(1):
        found = found.get()[:, 0]
    np.testing.assert_allclose(np.exp(found), np.exp(-60 * sq(x, y)).sum(axis=1), rtol=1e-3)


@pytest.mark.parametrize("op", ["Sum", "LogSumExp", "SumSoftMaxWeight"])
def test_gradients(op, double, always, monkeypatch, rng):
    seen = []

    def note(real):
        def noted(self, *args):
            found = real(self, *args)
            seen.append(self.report)
            return found

        return noted

    for name in ("state", "run"):
        monkeypatch.setattr(choose.Choice, name, note(getattr(choose.Choice, name)))
    x, y, b, p = arguments(rng, np.float64, 10.0)
    formula = {"Sum": "Exp(-p * SqDist(x, y)) * b", "LogSumExp": "b - p * SqDist(x, y)", "SumSoftMaxWeight": "-p * SqDist(x, y)"}
    options = {"formula2": "b"} if op == "SumSoftMaxWeight" else {}
    function = Genred(formula[op], NAMES, op, axis=1, **options)
    e = rng.normal(size=(M, 1))
    given = [double.asarray(a) for a in (x, y, b, p)]
    k = np.exp(-10 * sq(x, y)) * (np.exp(b[:, 0]) if op == "LogSumExp" else 1)
    w = e * (k if op == "Sum" else k / k.sum(axis=1, keepdims=True))
    factor = {"Sum": b[:, 0], "LogSumExp": 1.0, "SumSoftMaxWeight": b[:, 0] - (k @ b) / k.sum(axis=1, keepdims=True)}[op]
    slopes = (w * factor)[..., None] * -20 * (x[:, None] - y)
    for name, values, axis in (("x", slopes, 1), ("y", -slopes, 0), ("b", w[..., None], 0)):
        found = function.gradient(*given, wrt=name, grad_output=double.asarray(e), rtol=1e-2).get()
        assert (abs(found - values.sum(axis=axis)) <= 1e-2 * abs(values).sum(axis=axis) + 1e-12).all()
        assert seen[-1].method == "truncation" and seen[-1].share < 0.8


def test_points_that_are_not_finite_and_absolute_tolerances(double, always, rng):
    x, y, b, p = arguments(rng, np.float64)
    x[rng.random(M) < 0.1] = np.nan
    x[rng.random(M) < 0.1, 1] = np.inf
    y[rng.random(N) < 0.1, 0] = np.inf
    a = np.where(rng.random((M, 1)) < 0.5, 0.0, rng.normal(size=(M, 1)))
    function = Genred("a * Exp(-p * SqDist(x, y))", ["a = Vi(1)", *NAMES[:2], NAMES[3]], axis=1)
    with np.errstate(all="ignore"):
        expected = a[:, 0] * np.exp(-60 * sq(x, y)).sum(axis=1)
    for rtol, atol in ((1e-5, 0.0), (0.0, 1e-5)):
        found = function(*(double.asarray(v) for v in (a, x, y, p)), rtol=rtol, atol=atol).get()[:, 0]
        assert function.last_call.method == "truncation" and function.last_call.share < 0.7
        np.testing.assert_allclose(found, expected, rtol=rtol + 1e-12, atol=atol + 1e-12)


def test_lazy_tensors_and_densities(double, always, rng):
    x, y, *_ = arguments(rng, np.float64)
    dx, dy = double.asarray(x), double.asarray(y)
    k = np.exp(-30 * sq(x, y))
    found = (-30 * ((Vi(dx) - Vj(dy)) ** 2).sum(-1)).exp().sum(axis=1, rtol=1e-3).get()[:, 0]
    assert (k.sum(axis=1) - found).max() > 0 and (abs(found - k.sum(axis=1)) <= 1e-3 * k.sum(axis=1)).all()
    expected = KernelDensity(bandwidth=0.1, rtol=0).fit(y).score_samples(x)
    found = KernelDensity(bandwidth=0.1, rtol=1e-4).fit(dy).score_samples(dx).get()
    assert 0 < abs(found - expected).max() <= -math.log1p(-1e-4)


def test_batches(double, always, rng):
    x, y = np.stack([clusters(rng, M) for _ in range(2)]), clusters(rng, N)
    function = Genred("Exp(-60 * SqDist(x, y))", NAMES[:2], axis=1)
    found = function(double.asarray(x), double.asarray(y), rtol=1e-3)
    assert type(found) is double.ndarray and function.last_call.method == "truncation" and function.last_call.share < 0.5
    np.testing.assert_allclose(found.get()[..., 0], [np.exp(-60 * sq(part, y)).sum(axis=1) for part in x], rtol=1e-3)


def test_it_gives_up_and_it_meets_few_rows(double, always, monkeypatch, rng):
    function = Genred("Inv(1 + SqDist(x, y))", NAMES[:2], axis=1)
    monkeypatch.setattr(tiles, "WORTH", 0.5)
    for m, n in ((0, 5), (5, 0), (1, 1), (1, 300), (300, 1), (3, 2), (M, N)):
        x, y = rng.random((m, 2)), rng.random((n, 2))
        found = function(double.asarray(x), double.asarray(y), rtol=1e-6).get()[:, 0]
        np.testing.assert_allclose(found, (1 / (1 + sq(x, y))).sum(axis=1), rtol=1e-6)
    assert function.last_call.share == 1.0


def test_what_is_declined_and_why(double, monkeypatch, rng):
    monkeypatch.setattr(tiles.TileMethod, "least_pairs", 1)
    x, y, *_ = arguments(rng, np.float64)
    function = Genred("Exp(-SqDist(x, y))", NAMES[:2], axis=1)
    found = function(double.asarray(x), double.asarray(y), rtol=0.1)
    np.testing.assert_allclose(found.get()[:, 0], np.exp(-sq(x, y)).sum(axis=1))
    assert function.last_call.declined["truncation"] == "a GPU computes fewer than 3e+11 pairs in less time than a search takes"
    assert "in less time than a search takes" in function.explain()
    np.testing.assert_allclose(function(x, y, rtol=0.1, backend="GPU"), found.get())
    assert function.last_call.declined["truncation"] == "the backend computes all pairs, of arrays of NumPy"
    nearest = Genred("SqDist(x, y)", NAMES[:2], "ArgKMin", axis=1, opt_arg=3)
    for method, asked in ((Pruning, nearest), (Truncation, function)):
        assert method.declines(asked._problem, transfer) == "the backend computes all pairs, of arrays of NumPy"
        assert method.declines(asked._problem, device) is method.declines(asked._problem, cpu) is None


# The order


@pytest.mark.parametrize("kind", ["normal", "lattice", "one point", "far away", "huge"])
def test_the_order_halves_every_node_in_its_widest_coordinate(kind, double, rng):
    points = rng.normal(size=(2077, 3)) * [1, 4, 0.1]
    if kind == "lattice":
        points = np.round(points)
    elif kind == "one point":
        points[:] = 0.3
    elif kind == "far away":
        points += 1e4
    elif kind == "huge":
        points = np.where(rng.random(points.shape) < 0.5, 1.7e308, -1.7e308)
    points[::50] = np.nan
    found = SpatialOrder(double.asarray(points), 32)
    host = SpatialOrder(points, 32)
    assert type(found.index) is double.ndarray and found.depth == host.depth and found.n_ordered == host.n_ordered
    np.testing.assert_array_equal(found.edges, host.edges)
    index = found.index.get()
    assert sorted(index) == list(range(len(points))) and np.isfinite(points[index[: found.n_ordered]]).all()
    ordered, halves = points[index[: found.n_ordered]], [0, found.n_ordered // 2, found.n_ordered]
    if kind != "huge":
        widest = np.ptp(ordered, axis=0).argmax()
        below, above = ordered[: halves[1], widest], ordered[halves[1] :, widest]
        assert below.max() <= above.min() + 1e-6 * np.ptp(ordered)
    for dtype in (np.float32, np.float64):
        with np.errstate(over="ignore"):
            array = double.asarray(ordered.astype(dtype))
        levels = found.levels([array], np.dtype(dtype))
        assert len(levels) == found.depth + 1
        (lower, upper), = levels[-1]
        np.testing.assert_array_equal(lower, np.minimum.reduceat(array.get(), found.edges[:-1], axis=0))
        np.testing.assert_array_equal(upper, np.maximum.reduceat(array.get(), found.edges[:-1], axis=0))
    if kind == "normal":  # tiles are about as small as those of SciPy's tree
        extents = [
            np.prod([hi - lo for (lo, hi), in [o.levels([a], np.dtype(float))[-1]]][0], axis=1).mean()
            for o, a in ((found, double.asarray(ordered)), (host, points[host.index[: host.n_ordered]]))
        ]
        assert extents[0] < 1.3 * extents[1]
    assert order.is_on_device(found.index)
