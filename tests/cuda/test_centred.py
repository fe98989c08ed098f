"""Squared distances of long vectors in product form: as good as their differences, on data that cancels and data that does not."""

import importlib

import numpy as np
import pytest

from skkeops import Genred
from skkeops.backends.cuda import Options, source
from skkeops.plan.plan import make_plan

from . import emulator, running

pytestmark = pytest.mark.skipif(not emulator.available(), reason="the emulator needs g++ on x86-64")

DTYPES = ["float32", "float64"]
M, N, D = 70, 200, 75  # two tiles each way, the last ones not whole; the last slab neither
MOST_UNITS = 64  # units roundoff; differences have up to 16 on the same data. Here products are rounded, on a GPU they are not

#: The K = N smallest distances are all of them.
DISTANCES = Genred("SqDist(x, y)", [f"x = Vi({D})", f"y = Vj({D})"], "KMin_ArgKMin", axis=1, opt_arg=N)._problem
LINEAR = Genred("SqDist(s * x, y + s)", ["s = Pm(1)", f"x = Vi({D})", f"y = Vj({D})"], "KMin_ArgKMin", axis=1, opt_arg=N)._problem
SUMS = Genred("SqDist(x, y) * b", [f"x = Vi({D})", f"y = Vj({D})", "b = Vj(2)"], axis=1)._problem


@pytest.fixture(scope="module")
def built():
    """In product form, and by differences alone."""
    problems = [DISTANCES, LINEAR, SUMS]
    return {fast: running.build(problems, DTYPES, Options(fast_math=fast)) for fast in (True, False)}


def all_distances(made, module, problem, arrays, order=0):
    """A matrix of what the kernel computes for every pair; infinite where it is not smaller than infinity."""
    values, index = running.run(made, module, problem, arrays, "state", order=order)
    values, index = values[..., 0], index[..., 0]
    found = np.full((len(values), N), np.inf)
    for row, at, value in zip(found, index, values, strict=True):
        row[at[at >= 0]] = value[at >= 0]
    return found


def truth_of(x, y):
    x, y = x.astype(np.longdouble), y.astype(np.longdouble)
    with np.errstate(all="ignore"):
        return np.stack([((row - y) ** 2).sum(axis=1) for row in x])


def data():
    """Pairs of clouds, by name."""
    rng = np.random.default_rng(0)

    def cloud(n):
        return rng.standard_normal((n, D))

    centres = 10 * cloud(10)
    labels = [rng.integers(0, 10, n) for n in (M, N)]
    x = cloud(M)
    powers = 10.0 ** rng.uniform(-6, 6, (M, 1)), 10.0 ** rng.uniform(-6, 6, (N, 1)), 10.0 ** rng.uniform(-4, 4, (1, D))
    near = x[rng.integers(0, M, N)] + 10.0 ** rng.uniform(-6, 0, (N, 1)) * cloud(N)
    plane = rng.standard_normal((4, D))
    outlier = cloud(N)
    outlier[0] = 1e6
    return {
        "normal": (x, cloud(N)),
        "far from the origin": (1e4 + x, 1e4 + cloud(N)),
        "positive": (rng.exponential(size=(M, D)), rng.exponential(size=(N, D))),
        "clusters": tuple(centres[k] + 0.1 * cloud(len(k)) for k in labels),
        "duplicates": (x, x[rng.integers(0, M, N)]),
        "points of all sizes": (powers[0] * x, powers[1] * cloud(N)),
        "components of all sizes": (powers[2] * x, powers[2] * cloud(N)),
        "close pairs": (x, near),
        "in a space of four dimensions": (rng.standard_normal((M, 4)) @ plane, rng.standard_normal((N, 4)) @ plane),
        "on a line": (rng.uniform(size=(M, 1)) * plane[0], rng.uniform(size=(N, 1)) * plane[0]),
        "an outlier": (x, outlier),
        "two far clouds": (x, 1e3 + cloud(N)),
        "all equal": (np.ones((M, D)) / 3, np.ones((N, D)) / 3),
        "close in the first tile": (x, np.concatenate([near[:128], 3 + cloud(N - 128)])),
        "close in the last tile": (x, np.concatenate([3 + cloud(128), near[128:]])),
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", list(data()))
def test_distances_are_accurate(built, name, dtype):
    x, y = (a.astype(dtype) for a in data()[name])
    truth = truth_of(x, y)
    found = all_distances(*built[True][0, dtype], DISTANCES, (x, y))
    np.testing.assert_array_equal(found[truth == 0], 0)
    unit = np.finfo(dtype).eps / 2
    positive = truth > 0
    errors = np.abs(found - truth)[positive] / truth[positive]
    assert errors.max(initial=0) <= MOST_UNITS * unit, errors.max() / unit
    for order in (1, 2):
        np.testing.assert_array_equal(all_distances(*built[True][0, dtype], DISTANCES, (x, y), order), found)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_computed_again(built, dtype):
    """Single pairs, or whole tiles: which these are is seen from the bits, which are those of differences."""

    def same_bits(x, y):
        arrays = x.astype(dtype), y.astype(dtype)
        return np.equal(*(all_distances(*built[fast][0, dtype], DISTANCES, arrays) for fast in (True, False)))

    clouds = data()
    assert same_bits(*clouds["normal"]).mean() < 0.3
    # two columns of the last tile of float64 may be in order
    assert same_bits(*clouds["clusters"])[:, :192].all()
    x, y = clouds["normal"]
    y = y.copy()
    y[[5, 150]] = x[[3, 69]]
    same = same_bits(x, y)
    assert same[3, 5] and same[69, 150] and same.mean() < 0.3
    # a tile of close pairs between tiles of others
    y = np.concatenate([clouds["normal"][1][:128], x[:64], clouds["normal"][1][:8]])
    same = same_bits(x, y)
    size = 64 if dtype == "float64" else 128
    last = slice(128, 128 + 64) if dtype == "float64" else slice(128, None)
    assert same[:32, last].all() and same[:, :size].mean() < 0.3


@pytest.mark.parametrize("dtype", DTYPES)
def test_vectors_that_are_computed(built, dtype):
    x, _ = data()["close pairs"]
    s = np.asarray([1.7], dtype)
    x = (1e3 + x).astype(dtype)
    y = np.resize(s * x - s, (N, D)).astype(dtype)
    arrays = s, x, y
    with np.errstate(all="ignore"):
        truth = truth_of(s * x, y + s)
    found = all_distances(*built[True][1, dtype], LINEAR, arrays)
    np.testing.assert_array_equal(found[truth == 0], 0)
    np.testing.assert_allclose(found, truth.astype(float), rtol=MOST_UNITS * np.finfo(dtype).eps / 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinities_and_nan_are_those_of_differences(built, dtype):
    rng = np.random.default_rng(3)
    x, y, b = (rng.standard_normal(shape).astype(dtype) for shape in ((M, D), (N, D), (N, 2)))
    huge = np.finfo(dtype).max
    for value in (np.inf, -np.inf, np.nan, huge, huge / 4, np.sqrt(huge) / 8):
        for rows, columns in (([3, 40], []), ([], [7, 130, 199]), ([69], [0]), ([], range(N)), (range(M), [])):
            p, q = x.copy(), y.copy()
            p[rows, D - 1] = value
            q[columns, 2] = value
            where = f"{value} {rows} {columns}"
            found, truth = (running.run(*built[fast][2, dtype], SUMS, (p, q, b), "state")[0] for fast in (True, False))
            np.testing.assert_allclose(found, truth, rtol=1e-3 if dtype == "float32" else 1e-11, err_msg=where)
            found, truth = (all_distances(*built[fast][0, dtype], DISTANCES, (p, q)) for fast in (True, False))
            np.testing.assert_allclose(found, truth, rtol=1e-5 if dtype == "float32" else 1e-13, err_msg=where)


def test_many_tiles(monkeypatch):
    """Tiles that need differences come and go: trials in longer and longer intervals, and their end."""
    base = importlib.import_module("skkeops.backends.cuda.templates.base")
    monkeypatch.setattr(base, "split", lambda row_blocks, n, tile, blocks: (1, -(-n // tile) * tile))
    genred = Genred("SqDist(x, y)", ["x = Vi(36)", "y = Vj(36)"], "Min_ArgMin", axis=1)
    built = [running.build([genred._problem], ["float32"], Options(fast_math=fast))[0, "float32"] for fast in (True, False)]
    rng = np.random.default_rng(4)

    def cloud(n, scale):
        return scale * rng.standard_normal((n, 36))

    centres = cloud(3, 30)
    near = [centres[rng.integers(0, 3, n)] + cloud(n, 0.01) for n in (5, 9 * 128, 40 * 128)]
    x, y = near[0].astype("float32"), np.concatenate([near[1], cloud(700, 30), near[2], cloud(300, 30)]).astype("float32")
    truth = truth_of(x, y)
    found = [running.run(*each, genred._problem, (x, y), "state") for each in built]
    for values, index in found:
        np.testing.assert_array_equal(index[:, 0], truth.argmin(axis=1))
        np.testing.assert_allclose(values[:, 0], truth.min(axis=1).astype(float), rtol=MOST_UNITS * 6e-8)
    np.testing.assert_array_equal(found[0][0], found[1][0])  # close pairs: from their differences


def test_only_with_fast_math_and_for_squares():
    aliases = ["x = Vi(64)", "y = Vj(64)"]
    for formula, options, kernels in (
        ("Exp(-SqDist(x, y))", Options(), True),
        ("Exp(-SqDist(x, y))", Options(fast_math=False), False),
        ("Exp(-Sum(Abs(x - y)))", Options(), False),
        ("Exp(x | y)", Options(), False),
    ):
        made = source(make_plan(Genred(formula, aliases, axis=1)._problem), "float32", options)
        assert made.template == "dot" and ("skk_norms" in made.kernels) == kernels
        assert len(made.geometry(100, 1000).launches) == 2 + kernels
        assert [launch.kernel for launch in made.geometry(100, 0).launches] == ["skk_merge_result"]
