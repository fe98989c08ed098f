"""Several reductions in one call give what NumPy gives, and sums share a sweep."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from skkeops import Genred, ManyReductions
from skkeops.backends import cpu
from skkeops.cluster import from_matrix

ALIASES = ["x = Vi(2)", "y = Vj(2)", "b = Vj(1)", "p = Pm(1)"]
KERNEL = "Exp(-p * SqDist(x, y))"


def reductions():
    return (
        Genred(f"{KERNEL} * b", ALIASES, axis=1),
        Genred("SqDist(x, y)", ALIASES, "Min_ArgMin", axis=1),
        Genred(f"Square({KERNEL})", ALIASES, axis=0),
        Genred(f"{KERNEL} * (x - y)", ALIASES, axis=1),
        Genred("-p * SqDist(x, y)", ALIASES, "LogSumExp", axis=0),
    )


def data(m, n, dtype="float64"):
    rng = np.random.default_rng(0)
    return [a.astype(dtype) for a in (rng.random((m, 2)), rng.random((n, 2)), rng.random((n, 1)), np.array([0.7]))]


def check(found, x, y, b, p, tolerance=1e-11):
    squared = cdist(x, y, "sqeuclidean")
    k = np.exp(-p * squared)
    value, (distances, indices), squares, moments, logs = found
    np.testing.assert_allclose(value, k @ b, rtol=tolerance)
    np.testing.assert_allclose(distances[:, 0], squared.min(axis=1), rtol=tolerance, atol=tolerance)
    assert (indices[:, 0] == squared.argmin(axis=1)).all()
    np.testing.assert_allclose(squares[:, 0], (k**2).sum(axis=0), rtol=tolerance)
    np.testing.assert_allclose(moments, (k[:, :, None] * (x[:, None] - y)).sum(axis=1), rtol=tolerance, atol=100 * tolerance)
    np.testing.assert_allclose(logs[:, 0], np.log(k.sum(axis=0)), rtol=tolerance)


@pytest.fixture
def sweeps(monkeypatch):
    """The numbers of outputs of the sweeps of the compiled engine."""
    seen = []
    state = cpu.CpuProgram.state
    monkeypatch.setattr(
        cpu.CpuProgram, "state", lambda self, *rest: seen.append(len(self.problem.outputs)) or state(self, *rest)
    )
    return seen


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "n"), [(1, 1), (5, 90), (90, 5), (300, 400)])
def test_results_are_those_of_numpy(m, n, dtype, backend):
    arrays = data(m, n, dtype)
    found = ManyReductions(*reductions())(*arrays, backend=backend)
    assert all(a.dtype == dtype for a in (found[0], found[1][0], *found[2:]))
    check(found, *(a.astype(float) for a in arrays), tolerance=3e-6 if dtype == "float32" else 1e-11)


def test_sums_share_a_sweep(sweeps):
    ManyReductions(*reductions())(*data(70, 80))
    assert sorted(sweeps) == [1, 1, 3]
    sweeps.clear()
    ManyReductions(*reductions()[:2])(*data(70, 80))
    assert sweeps == [1, 1]


def test_blocks_of_rows(small_blocks, sweeps):
    small_blocks(16)
    arrays = data(50, 40)
    check(ManyReductions(*reductions())(*arrays), *arrays)
    assert sweeps.count(3) == 4


def test_no_rows():
    value, *_, moments = ManyReductions(*(r for r in reductions() if r.reduction.name == "Sum"))(*data(0, 3))
    assert value.shape == (0, 1) and moments.shape == (0, 2)
    value, squares, _ = ManyReductions(*(r for r in reductions() if r.reduction.name == "Sum"))(*data(3, 0))
    assert (value == 0).all() and squares.shape == (0, 1)


def test_batches_ranges_and_values_of_pairs_are_computed_one_by_one(sweeps):
    x, y, b, p = data(6, 8)
    many = ManyReductions(*reductions())
    found = many(np.stack([x, 2 * x]), y, b, p)
    check([r[1] if not isinstance(r, tuple) else tuple(a[1] for a in r) for r in found], 2 * x, y, b, p)
    blocks = from_matrix(np.array([[0, 3], [3, 6]]), np.array([[0, 4], [4, 8]]), np.eye(2, dtype=bool))
    value = many(x, y, b, p, ranges=blocks)[0]
    np.testing.assert_allclose(value[:3], np.exp(-p * cdist(x[:3], y[:4], "sqeuclidean")) @ b[:4], rtol=1e-12)
    aliases = [*ALIASES, "w = Vij(1)"]
    masked = ManyReductions(Genred("x * w", aliases, axis=1), Genred("y * w", aliases, axis=1))
    w = np.arange(48.0).reshape(6, 8)
    np.testing.assert_allclose(masked(x, y, b, p, w)[1], w @ y, rtol=1e-13)
    assert set(sweeps) == {1}


def test_progress_is_told_for_each_sweep():
    told = []
    ManyReductions(*reductions()[:3])(*data(20, 30), progress=lambda *pairs: told.append(pairs))
    assert told.count((600, 600)) >= 2 and all(total == 600 for _, total in told)


def test_bad_input():
    with pytest.raises(ValueError, match="at least one Genred, found none"):
        ManyReductions()
    with pytest.raises(TypeError, match="expected a Genred, found str at place 1"):
        ManyReductions(reductions()[0], "Sum")
    with pytest.raises(ValueError, match="found .* at place 1, expected"):
        ManyReductions(reductions()[0], Genred("x - y", ["x = Vi(3)", "y = Vj(3)"], axis=1))
    with pytest.raises(ValueError, match="argument 'y'"):
        ManyReductions(*reductions())(*data(3, 4)[:1], np.ones((4, 3)), *data(3, 4)[2:])
    with pytest.raises(ValueError, match="backend"):
        ManyReductions(*reductions())(*data(3, 4), backend="fast")
    with pytest.raises(TypeError, match="progress"):
        ManyReductions(*reductions())(*data(3, 4), progress=1)


def test_repr():
    many = ManyReductions(reductions()[0])
    assert repr(many) == f"ManyReductions({reductions()[0]!r})"
