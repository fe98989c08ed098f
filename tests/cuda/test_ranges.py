"""Ranges and progress on a GPU: the kernels in the emulator against NumPy with masks, and what is copied, launched and reported."""

import numpy as np
import pytest
from scipy.special import logsumexp

from skkeops import Genred, cluster
from skkeops.backends.cuda import programs
from skkeops.backends.cuda.launch import ranges as division
from skkeops.pairs.ranges import Ranges

from . import emulator, running

emulates = pytest.mark.skipif(not emulator.available(), reason="the emulator needs g++ on x86-64")
DTYPES = ["float32", "float64"]
ALIASES = ["x = Vi(2)", "y = Vj(2)", "b = Vj(2)"]
CASES = [
    Genred("Exp(-SqDist(x, y)) * b", ALIASES, "Sum", axis=1),
    Genred("-SqDist(x, y)", ALIASES, "LogSumExp", axis=1),
    Genred("-SqDist(x, y)", ALIASES, "SumSoftMaxWeight", axis=1, formula2="b"),
    Genred("SqDist(x, y)", ALIASES, "Min_ArgMin", axis=1),
    Genred("SqDist(x, y)", ALIASES, "KMin_ArgKMin", axis=1, opt_arg=3),
]
LONG = Genred("Exp(-SqDist(x, y) / 300) * b", ["x = Vi(150)", "y = Vj(150)", "b = Vj(2)"], "Sum", axis=1)


def make_arrays(m, n, dtype="float64", dim=2):
    rng = np.random.default_rng(m + n)
    return tuple(rng.normal(size=s).astype(dtype) for s in [(m, dim), (n, dim), (n, 2)])


def blocks(*given):
    """Ranges of axis 1 and 0 of blocks ``(rows, columns, columns, ...)``; the latter as KeOps has them, from the same pairs."""
    rows = np.array([r for r, *_ in given]).reshape(-1, 2)
    columns = [c for _, *cs in given for c in cs]
    slices = np.cumsum([len(cs) for _, *cs in given], dtype=int)
    return rows, slices, np.array(columns, dtype=int).reshape(-1, 2)


def one_piece_per_column(n, size=1):
    return [(k, min(k + size, n)) for k in range(0, n, 2 * size)]


KINDS = {
    "nothing": (5, 7, blocks()),
    "empty ranges": (130, 70, blocks([(0, 3), (5, 5)], [(4, 4), (0, 70)], [(10, 20)], [(30, 129), (69, 70), (3, 3)])),
    "all pairs": (129, 257, blocks([(0, 129), (0, 257)])),
    "one long range": (3, 2900, blocks([(0, 2), (1, 2900)])),  # splits
    "very long": (2, 9999, blocks([(0, 2), (3, 9000), (9001, 9999)])),  # so many that warps merge them
    "many tiny": (97, 211, blocks(*[[(k, k + 1), *one_piece_per_column(k)] for k in range(97)])),
    "uneven": (650, 1301, blocks([(0, 3), (0, 1301)], [(5, 600), (200, 600), (0, 17)], [(601, 602), (3, 1300)])),
}


def mask_of(m, n, ranges):
    mask, begin = np.zeros((m, n), bool), 0
    for (first, last), end in zip(ranges[0], ranges[1]):
        for low, high in ranges[2][begin:end]:
            mask[first:last, low:high] = True
        begin = end
    return mask


def truth(genred, arrays, mask):
    """By NumPy; NaN where 0 is divided by 0, and -1 for the index of nothing."""
    x, y, b = (a.astype(np.float64) for a in arrays)
    d = ((x[:, None] - y) ** 2).sum(-1)
    if x.shape[1] == 150:
        return (np.where(mask, np.exp(-d / 300), 0) @ b,)
    op, k = genred.reduction_op, 3
    with np.errstate(all="ignore"):
        if op == "Sum":
            return (np.where(mask, np.exp(-d), 0) @ b,)
        if op == "LogSumExp":
            return (logsumexp(np.where(mask, -d, -np.inf), axis=1, keepdims=True),)
        if op == "SumSoftMaxWeight":
            e = np.where(mask, np.exp(-d), 0)
            return (e @ b / e.sum(1, keepdims=True),)
    far = np.where(mask, d, np.inf)
    order = np.argsort(far, axis=1, kind="stable")[:, : 1 if op == "Min_ArgMin" else k]
    least = np.take_along_axis(far, order, 1)
    return least, np.where(np.isinf(least), -1, order)


def assert_close(found, expected, dtype, d, where):
    found = found if isinstance(found, tuple) else (found,)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape, where
        if a.dtype.kind == "i":
            np.testing.assert_array_equal(a < 0, b < 0, err_msg=where)
            same = np.take_along_axis(d, np.maximum(a, 0), 1) - np.take_along_axis(d, np.maximum(b, 0), 1)
            assert np.abs(same).max(initial=0) <= 1e-5, where
        else:
            tolerance = 3e-6 if dtype == "float32" else 1e-13
            np.testing.assert_allclose(a, b, rtol=10 * tolerance, atol=10 * tolerance, err_msg=where)


def distances(arrays):
    x, y = (a.astype(np.float64) for a in arrays[:2])
    return ((x[:, None] - y) ** 2).sum(-1)


@pytest.fixture(scope="module")
def built():
    return running.build([g._problem for g in CASES], DTYPES, template="ranges")


@emulates
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_kernels(built, kind, dtype):
    m, n, ranges = KINDS[kind]
    arrays = make_arrays(m, n, dtype)
    for k, genred in enumerate(CASES):
        made, module = built[k, dtype]
        found = running.run(made, module, genred._problem, arrays, "result", Ranges((*ranges, *ranges), m, n).of_axis(1))
        assert_close(found, truth(genred, arrays, mask_of(m, n, ranges)), dtype, distances(arrays), f"{kind} {genred.reduction_op}")


@emulates
@pytest.mark.parametrize("dtype", DTYPES)
def test_long_vectors(dtype):
    ((made, module),) = running.build([LONG._problem], [dtype], template="ranges").values()
    assert made.template == "wide"
    for kind in ("empty ranges", "one long range"):
        m, n, ranges = KINDS[kind]
        arrays = make_arrays(m, n, dtype, 150)
        found = running.run(made, module, LONG._problem, arrays, "result", Ranges((*ranges, *ranges), m, n).of_axis(1))
        assert_close(found, truth(LONG, arrays, mask_of(m, n, ranges)), dtype, None, kind)


@emulates
def test_the_division_and_the_order_of_threads_change_little_or_nothing(built, monkeypatch):
    m, n, ranges = KINDS["uneven"]
    arrays = make_arrays(m, n)
    checked = Ranges((*ranges, *ranges), m, n).of_axis(1)
    for k, genred in enumerate(CASES):
        made, module = built[k, "float64"]
        first, *others = (running.run(made, module, genred._problem, arrays, "state", checked, order) for order in (0, 1, 2))
        for other in others:
            for a, b in zip(first, other, strict=True):
                np.testing.assert_array_equal(a, b)
        with monkeypatch.context() as patch:
            patch.setattr(division, "_SHARES", 1)  # undivided
            whole = running.run(made, module, genred._problem, arrays, "result", checked)
        found = running.run(made, module, genred._problem, arrays, "result", checked)
        for a, b in zip(found, whole, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)


# On arrays of CuPy


@emulates
@pytest.mark.parametrize("of_cupy", [False, True])
def test_a_second_call_copies_nothing(of_cupy, emulated):
    m, n = 40, 600
    there = tuple(map(emulated.asarray, make_arrays(m, n)))
    keep = np.random.default_rng(0).random((4, 6)) < 0.5
    cut_i, cut_j = (np.stack([np.arange(k), np.arange(1, k + 1)], axis=1) * size for k, size in ((4, 10), (6, 100)))
    ranges = cluster.from_matrix(cut_i, cut_j, keep)
    if of_cupy:
        ranges = tuple(map(emulated.asarray, ranges))
    checked = Ranges(tuple(r.copy() for r in ranges), m, n)
    expected = None
    for given, second_host in ((ranges, 3 * of_cupy), (checked, 0)):
        for call in range(3):
            emulated.stand_in_counts.clear()
            found = CASES[0](*there, ranges=given)
            counts = emulated.stand_in_counts
            if call:
                # ranges of CuPy are few numbers, which are read and compared with those of before
                assert counts.to_device == [] and len(counts.to_host) == second_host
                assert len(counts.launches) == 2
            expected = found if expected is None else expected
            np.testing.assert_array_equal(found.get(), expected.get())
    np.testing.assert_allclose(expected.get(), truth(CASES[0], make_arrays(m, n), np.kron(keep, np.ones((10, 100)))> 0)[0])


@emulates
def test_ranges_that_were_changed_in_place(emulated):
    arrays = make_arrays(10, 20)
    there = tuple(map(emulated.asarray, arrays))
    ranges = blocks([(0, 10), (0, 5)]) * 2
    CASES[0](*there, ranges=ranges)
    ranges[2][0, 1] = 20
    np.testing.assert_allclose(CASES[0](*there, ranges=ranges).get(), CASES[0](*there).get(), rtol=1e-13)


@emulates
@pytest.mark.parametrize("axis", [0, 1])
def test_gradients(axis, cupy):
    rng = np.random.default_rng(1)
    m, n = 23, 31
    keep = rng.random((3, 4)) < 0.6
    keep[1] = False
    rows, columns = np.array([[0, 5], [6, 11], [11, 23]]), np.array([[0, 7], [9, 10], [10, 20], [22, 31]])
    ranges = cluster.from_matrix(rows, columns, keep)
    mask = np.zeros((m, n))
    for (a, b), line in zip(rows, keep, strict=True):
        for (c, d), kept in zip(columns, line, strict=True):
            mask[a:b, c:d] = kept
    x, y, b = arrays = make_arrays(m, n)
    e = rng.normal(size=(m if axis else n, 1))
    genred = Genred("Exp(-SqDist(x, y)) * Elem(b, 0)", ALIASES, "Sum", axis=axis)
    found = genred.gradient(*map(cupy.asarray, arrays), wrt=("x", "y", "b"), grad_output=cupy.asarray(e), ranges=ranges)
    k = np.exp(-((x[:, None] - y) ** 2).sum(-1)) * mask
    g = k * (e if axis else e.T)
    weighted = g * b[:, 0]
    expected = [
        -2 * (weighted.sum(1)[:, None] * x - weighted @ y),
        -2 * (weighted.sum(0)[:, None] * y - weighted.T @ x),
        np.stack([g.sum(0), np.zeros(n)], axis=1),
    ]
    for a, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.get(), want, rtol=1e-11, atol=1e-13)


@emulates
def test_winners_and_out(cupy):
    m, n, ranges = KINDS["empty ranges"]
    arrays = make_arrays(m, n)
    there = tuple(map(cupy.asarray, arrays))
    six = (*ranges, *blocks([(0, n), (0, m)]))
    mask = mask_of(m, n, ranges)
    for genred in CASES[3:]:
        expected = truth(genred, arrays, mask)
        found = genred(*there, ranges=six)
        assert_close(tuple(a.get() for a in found), expected, "float64", distances(arrays), genred.reduction_op)
        out = tuple(cupy.empty(a.shape, a.dtype) for a in expected)
        assert genred(*there, ranges=six, out=out) is out
        assert_close(tuple(a.get() for a in out), expected, "float64", distances(arrays), genred.reduction_op)
    value, gradient = CASES[3].value_and_gradient(*there, wrt="x", ranges=six)
    least, index = truth(CASES[3], arrays, mask)
    assert_close(tuple(a.get() for a in value), (least, index), "float64", distances(arrays), "value")
    met = index[:, 0] >= 0
    expected = np.where(met[:, None], 2 * (arrays[0] - arrays[1][index[:, 0]]), 0)
    np.testing.assert_allclose(gradient.get(), expected, rtol=1e-12, atol=1e-14)


def test_clusters_of_cupy(double):
    """Points stay on the device, labels and ranges are the host's: the same sums as with everything on the host."""
    x = np.random.default_rng(0).random((60, 2))

    def compute(x):
        labels = cluster.grid_cluster(x, 0.3)
        (x, doubled), labels = cluster.sort_clusters((x, 2 * x), labels)
        ranges, centroids, counts = cluster.cluster_ranges_centroids(x, labels)
        near = ((centroids[:, None] - centroids) ** 2).sum(2) < 0.5**2
        six = cluster.from_matrix(ranges, ranges, near)
        assert all(type(a) is np.ndarray for a in (*six, labels, centroids, counts))
        some = cluster.ranges_from_tolerance(lambda r: np.exp(-(r**2) / 0.01), 1e-3, x, labels)
        f = Genred("Exp(-SqDist(x, y) / 0.01)", ["x = Vi(2)", "y = Vj(2)"], axis=1)
        return x, doubled, f(x, x, ranges=six), f(x, x, ranges=some)

    for found, expected in zip(compute(double.asarray(x)), compute(x), strict=True):
        assert type(found) is double.ndarray
        np.testing.assert_allclose(found.get(), expected, rtol=1e-12)


@emulates
def test_errors(emulated):
    there = tuple(map(emulated.asarray, make_arrays(10, 20)))
    for bad, text in [
        (blocks([(0, 11), (0, 5)]) * 2, "ranges_i must be ranges within 0 and 10: found .0, 11."),
        (blocks([(0, 10), (0, 21)]) * 2, "redranges_j must be ranges within 0 and 20"),
        (blocks([(0, 10), (0, 5)]), "expected|six arrays of integers"),
    ]:
        for ranges in (bad, tuple(map(emulated.asarray, bad))):
            with pytest.raises((ValueError, TypeError), match=text):
                CASES[0](*there, ranges=ranges)
    with pytest.raises(TypeError, match="ranges_i must be integers: found dtype float64"):
        CASES[0](*there, ranges=tuple(emulated.asarray(r.astype(float)) for r in blocks([(0, 10), (0, 5)]) * 2))
    with pytest.raises(ValueError, match="must be shorter than 2..31, found 3000000000"):
        programs._work_on_device(blocks(), 1, 3 * 10**9, 512, 256)


# Progress


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(programs, "PIECE_PAIRS", 10)


def record(calls):
    return lambda done, total: calls.append((done, total))


@emulates
@pytest.mark.parametrize("m", [0, 1, 700, 5000])
def test_progress_by_rows(m, emulated, small_pieces):
    n = 600
    there = tuple(map(emulated.asarray, make_arrays(m, n, "float32")))
    for genred in CASES[1], CASES[4]:
        expected = genred(*there)
        calls = []
        found = genred(*there, progress=record(calls))
        for a, b in zip(*(r if isinstance(r, tuple) else (r,) for r in (found, expected)), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a.get(), b.get(), rtol=3e-7)
        done = [d for d, _ in calls]
        assert done == sorted(set(done)) and done[-1] == m * n and {t for _, t in calls} == {m * n}
        assert len(calls) <= programs.PIECES and (len(calls) > 3) == (m == 5000)


@emulates
def test_progress_waits_and_can_stop(emulated, small_pieces, monkeypatch):
    there = tuple(map(emulated.asarray, make_arrays(4000, 50)))
    waits = []
    monkeypatch.setattr(emulated.cuda.Event, "synchronize", lambda self: waits.append(self))
    CASES[0](*there)
    assert waits == []

    def stop(done, total):
        assert len(waits) == len(emulated.stand_in_counts.launches) / 2  # main and merge
        if done > total / 3:
            raise KeyboardInterrupt("enough")

    for options in ({}, {"out": emulated.empty((4000, 2))}):
        waits.clear()
        emulated.stand_in_counts.clear()
        with pytest.raises(KeyboardInterrupt, match="enough"):
            CASES[0](*there, progress=stop, **options)
        launched = len(emulated.stand_in_counts.launches)
        emulated.stand_in_counts.clear()
        CASES[0](*there, progress=lambda *_: None, **options)
        assert launched < len(emulated.stand_in_counts.launches) / 2


@emulates
def test_progress_of_ranges_and_pairs(emulated, small_pieces):
    m, n, ranges = KINDS["uneven"]
    there = tuple(map(emulated.asarray, make_arrays(m, n)))
    six = (*ranges, *ranges)
    expected = CASES[0](*there, ranges=six).get()
    calls = []
    found = CASES[0](*there, ranges=six, progress=record(calls))
    np.testing.assert_array_equal(found.get(), expected)  # the same items: the same bits
    total = int(mask_of(m, n, ranges).sum())
    done = [d for d, _ in calls]
    assert done == sorted(set(done)) and done[-1] == total and {t for _, t in calls} == {total} and len(calls) > 3
    calls.clear()
    assert CASES[0](*there, ranges=blocks() * 2, progress=record(calls)).get().max() == 0
    assert calls == [(0, 0)]
    masked = Genred("w * SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)", "w = Vij(1)"], axis=0)
    x, y, _ = make_arrays(30, 2000)
    w = np.random.default_rng(0).random((30, 2000)) < 0.5
    found = masked(*map(emulated.asarray, (x, y, w)), progress=record(calls))
    np.testing.assert_allclose(found.get()[:, 0], (w * ((x[:, None] - y) ** 2).sum(-1)).sum(0), rtol=1e-12)
    assert len(calls) > 3 and calls[-1] == (60000, 60000)


@emulates
def test_progress_from_numpy(emulated, small_pieces):
    arrays = make_arrays(3000, 40)
    calls = []
    CASES[0](*arrays, backend="GPU", progress=record(calls))
    assert len(calls) > 3 and calls[-1] == (120000, 120000)
