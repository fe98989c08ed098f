"""Batch dimensions of Genred and KernelSolve, beside NumPy's broadcasting."""

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from skkeops import Genred, KernelSolve, cluster, generic_sum

M, N, D = 6, 5, 3
ALIASES = ["x = Vi(3)", "y = Vj(3)", "g = Pm(1)", "w = Vij(1)"]
FORMULA = "g * SqDist(x, y) + w"
SHAPES = {
    "the same": ((2,), (2,), (2,), (2,)),
    "of length 1": ((2, 1), (1, 3), (2, 1), (1, 1)),
    "missing ones": ((4, 2), (2,), (), (2,)),
    "shared parameter and pairs": ((2,), (), (), ()),
    "only values of pairs": ((), (), (), (2, 2)),
    "a single problem": ((1,), (1, 1), (1,), ()),
    "no problem": ((0,), (), (0,), (1,)),
}


def arrays_of(batches, rng, dtype=np.float64):
    inner = (M, D), (N, D), (1,), (M, N, 1)
    x, y, g, w = (rng.normal(size=(*batch, *shape)).astype(dtype) for batch, shape in zip(batches, inner, strict=True))
    return x, y, abs(g) + 1, w


def dense(x, y, g, w):
    x, y, g, w = (a.astype(np.float64) for a in (x, y, g, w))
    return g[..., None, :] * ((x[..., :, None, :] - y[..., None, :, :]) ** 2).sum(-1) + w[..., 0]


def close(found, expected, dtype=np.float64):
    assert found.shape == expected.shape
    tol = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(found, expected, rtol=tol, atol=tol)


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    return request.param


@pytest.fixture(params=SHAPES, ids=str)
def batches(request):
    return SHAPES[request.param]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", ["Sum", "LogSumExp", "Max", "ArgMin", "KMin", "Min_ArgMin", "KMin_ArgKMin"])
def test_reductions_are_those_of_each_problem(op, axis, batches, dtype, backend, rng):
    arrays = arrays_of(batches, rng, dtype)
    F, inner = dense(*arrays), axis - 2
    order = np.argsort(F, axis=inner, kind="stable")
    sorted_f = np.take_along_axis(F, order, inner)

    def first(a, k):
        return np.moveaxis(np.take(a, range(k), axis=inner), inner, -1)

    expected = {
        "Sum": lambda: (F.sum(inner)[..., None],),
        "LogSumExp": lambda: (logsumexp(F, axis=inner)[..., None],),
        "Max": lambda: (F.max(inner)[..., None],),
        "ArgMin": lambda: (F.argmin(inner)[..., None],),
        "Min_ArgMin": lambda: (F.min(inner)[..., None], F.argmin(inner)[..., None]),
        "KMin": lambda: (first(sorted_f, 3),),
        "KMin_ArgKMin": lambda: (first(sorted_f, 3), first(order, 3)),
    }[op]()
    f = Genred(FORMULA, ALIASES, op, axis=axis, opt_arg=3 if "K" in op else None)
    found = f(*arrays, backend=backend)
    found = found if isinstance(found, tuple) else (found,)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == (np.int64 if b.dtype.kind == "i" else dtype)
        close(a, b, dtype)
    out = tuple(np.empty_like(a) for a in found)
    given = out if len(out) > 1 else out[0]
    assert f(*arrays, backend=backend, out=given) is given
    for a, b in zip(out, found, strict=True):
        np.testing.assert_array_equal(a, b)


def sum_to(array, shape):
    array = array.sum(axis=tuple(range(array.ndim - len(shape))))
    return array.sum(axis=tuple(k for k, (a, b) in enumerate(zip(array.shape, shape, strict=True)) if a != b), keepdims=True)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", ["Sum", "LogSumExp", "Max"])
def test_gradients(op, axis, batches, dtype, backend, rng):
    """What flows back to each pair, by hand, and from there to the arrays, added where problems share them."""
    arrays = x, y, g, w = arrays_of(batches, rng, dtype)
    F, inner = dense(*arrays), axis - 2
    batch, rows = F.shape[:-2], (N, M)[axis]
    e = rng.normal(size=(*batch, rows, 1))
    share = {
        "Sum": lambda: np.ones_like(F),
        "LogSumExp": lambda: softmax(F, axis=inner),
        "Max": lambda: F.max(inner, keepdims=True) == F,
    }[op]()
    pairs = (share * np.expand_dims(e[..., 0], inner))[..., None]
    difference = x[..., :, None, :].astype(np.float64) - y[..., None, :, :]
    factor = np.broadcast_to(g.astype(np.float64)[..., None, None, :], pairs.shape)
    expected = (
        sum_to((2 * factor * difference * pairs).sum(-2), x.shape),
        sum_to((-2 * factor * difference * pairs).sum(-3), y.shape),
        sum_to((pairs * (difference**2).sum(-1, keepdims=True)).sum((-2, -3)), g.shape),
        sum_to(np.broadcast_to(pairs, (*batch, M, N, 1)), w.shape),
    )
    f = Genred(FORMULA, ALIASES, op, axis=axis)
    names, tol = ("x", "y", "g", "w"), 2e-4 if dtype == np.float32 else 1e-10
    e_given = e.astype(dtype)
    value = f(*arrays, backend=backend)
    for output in (None, value):
        found = f.gradient(*arrays, wrt=names, grad_output=e_given, output=output, backend=backend)
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == dtype
            np.testing.assert_allclose(a, b, rtol=tol, atol=tol)
    both = f.value_and_gradient(*arrays, wrt=("x", "g"), grad_output=e_given, backend=backend)
    np.testing.assert_array_equal(both[0], value)
    for a, b in zip(both[1], (expected[0], expected[2]), strict=True):
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol)
    single = f.gradient(*arrays, wrt="x", grad_output=e_given, backend=backend)
    assert isinstance(single, np.ndarray) and single.shape == x.shape
    # the product with directions is that of the gradients
    tangents = {"x": rng.normal(size=x.shape), "g": rng.normal(size=g.shape), "w": rng.normal(size=w.shape)}
    moved = f.jvp(*arrays, tangents=tangents, backend=backend)
    assert moved.shape == (*batch, rows, 1) and moved.dtype == dtype
    along = sum((expected[k] * tangents[name]).sum() for k, name in ((0, "x"), (2, "g"), (3, "w")))
    np.testing.assert_allclose((moved * e).sum(), along, rtol=5 * tol, atol=5 * tol)


def test_the_call_of_keops(backend, rng):
    x, y = rng.normal(size=(2, 6, 3)), rng.normal(size=(2, 5, 3))
    found = Genred("SqDist(x, y)", ["x = Vi(3)", "y = Vj(3)"], axis=1)(x, y, backend=backend)
    close(found, ((x[:, :, None] - y[:, None]) ** 2).sum((-1, -2))[..., None])
    close(generic_sum("SqDist(x, y)", "a = Vi(1)", "x = Vi(3)", "y = Vj(3)")(x, y), found)


def test_weights_and_formulas_of_one_index(backend, rng):
    x, b = rng.normal(size=(2, M, D)), rng.normal(size=(3, 1, N, 2))
    y = rng.normal(size=(N, D))
    average = Genred("-SqDist(x, y)", ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)"], "SumSoftMaxWeight", axis=1, formula2="b")
    weights = softmax(-((x[:, :, None] - y) ** 2).sum(-1), axis=-1)
    close(average(x, y, b, backend=backend), weights @ b)
    of_j = Genred("b", ["b = Vj(2)"], axis=1)
    close(of_j(b, backend=backend), b.sum(-2, keepdims=True))
    of_i = Genred("p * x", ["x = Vi(3)", "p = Pm(3)"], axis=1)
    p = rng.normal(size=(4, 1, 3))
    close(of_i(x, p, backend=backend), p[..., None, :] * x)


def test_blocks_of_every_problem(backend, rng):
    x, y = rng.normal(size=(2, M, D)), rng.normal(size=(3, 1, N, D))
    kept = np.zeros((M, N), bool)
    kept[:2, :3] = kept[2:, 3:] = True
    ranges = cluster.from_matrix([[0, 2], [2, M]], [[0, 3], [3, N]], [[1, 0], [0, 1]])
    F = ((x[:, :, None] - y[..., None, :, :]) ** 2).sum(-1)
    for axis in (0, 1):
        f = Genred("SqDist(x, y)", ALIASES[:2], axis=axis)
        close(f(x, y, ranges=ranges, backend=backend), np.where(kept, F, 0).sum(axis - 2)[..., None])
        found = Genred("SqDist(x, y)", ALIASES[:2], "ArgMax", axis=axis)(x, y, ranges=ranges, backend=backend)
        np.testing.assert_array_equal(found[..., 0], np.where(kept, F, -np.inf).argmax(axis - 2))
        g = f.gradient(x, y, wrt="y", ranges=ranges, backend=backend)
        close(g, (np.where(kept, 2.0, 0.0)[..., None] * (y[..., None, :, :] - x[:, :, None])).sum((1, -3))[:, None])


def test_layouts_and_dtypes(backend, rng):
    x, y, g, w = arrays_of(((2,), (2,), (2,), (2,)), rng)
    f = Genred(FORMULA, ALIASES, axis=1)
    expected = f(x, y, g, w, backend=backend)
    strided = np.asfortranarray(x), y[:, ::-1][:, ::-1], np.repeat(g, 2, axis=1)[:, ::2], np.asfortranarray(w)
    np.testing.assert_array_equal(f(*strided, backend=backend), expected)
    np.testing.assert_array_equal(f(x.astype(">f8"), y.tolist(), g, w[..., 0][..., None], backend=backend), expected)
    mask = w > 0
    close(f(x, y, g, mask, backend=backend), dense(x, y, g, mask).sum(-1)[..., None])
    assert f(x.astype(np.float16), *(a.astype(np.float32) for a in (y, g, w)), backend=backend).dtype == np.float32


def test_many_small_problems_run_as_one(backend, rng):
    x, y = rng.normal(size=(500, 4, D)), rng.normal(size=(500, 7, D))
    seen = []
    f = Genred("SqDist(x, y)", ALIASES[:2], axis=1)
    found = f(x, y, backend=backend, progress=lambda *pairs: seen.append(pairs))
    close(found[..., 0], ((x[:, :, None] - y[:, None]) ** 2).sum((-1, -2)))
    assert seen[-1][0] == seen[-1][1]


def test_mistakes(backend, rng):
    x, y = rng.normal(size=(2, M, D)), rng.normal(size=(2, N, D))
    f = Genred("g * SqDist(x, y)", ALIASES[:3], "ArgKMin", axis=1, opt_arg=6)
    with pytest.raises(ValueError, match="found K = 6, expected at most 5"):  # of a problem, not of all of them
        f(x, y, 1.0, backend=backend)
    f = Genred("g * SqDist(x, y)", ALIASES[:3], axis=1)
    with pytest.raises(ValueError, match=r"'y' and .*|batch dimensions must broadcast: found \(3,\) for 'y' and \(2,\)"):
        f(x, np.ones((3, N, D)), 1.0, backend=backend)
    with pytest.raises(ValueError, match=r"'g' = Pm\(1\): found shape \(6, 1\), expected \(1,\) or a number"):
        f(x[0], y[0], np.ones((M, 1)), backend=backend)
    with pytest.raises(ValueError, match=r"'out': found shape \(6, 1\) .* expected shape \(2, 6, 1\)"):
        f(x, y, 1.0, backend=backend, out=np.empty((M, 1)))
    with pytest.raises(ValueError, match=r"'grad_output': found shape \(6, 1\), expected \(2, 6, 1\)"):
        f.gradient(x, y, 1.0, wrt="x", backend=backend, grad_output=np.ones((M, 1)))
    with pytest.raises(ValueError, match=r"tangents\['x'\]: found shape \(6, 3\), expected \(2, 6, 3\)"):
        f.jvp(x, y, 1.0, tangents={"x": x[0]}, backend=backend)
    with pytest.raises(ValueError, match="backend='nowhere' is not known"):
        f(x, y, 1.0, backend="nowhere")
    with pytest.raises(TypeError, match="progress must be a function"):
        f(x, y, 1.0, backend=backend, progress=3)


def test_systems(rng):
    x, b = rng.normal(size=(2, 1, 20, 2)), rng.normal(size=(3, 20, 2))
    g = np.array([[[0.5]], [[2.0]]])
    invert = KernelSolve("Exp(-g * SqDist(x, y)) * a", ["x = Vi(2)", "y = Vj(2)", "a = Vj(2)", "g = Pm(1)"], "a", axis=1)
    K = np.exp(-g[..., None] * ((x[..., :, None, :] - x[..., None, :, :]) ** 2).sum(-1)) + 0.1 * np.eye(20)
    truth = np.linalg.solve(K, np.broadcast_to(b, (2, 3, 20, 2)))
    found = invert(x, x, b, g, alpha=0.1, eps=1e-12)
    assert found.shape == (2, 3, 20, 2)
    np.testing.assert_allclose(found, truth, atol=1e-9)
    np.testing.assert_allclose(invert(x, x, b, g, alpha=0.1, eps=1e-12, n_components=5), truth, atol=1e-9)
    e = rng.normal(size=truth.shape)
    by_b, by_g = invert.gradient(x, x, b, g, wrt=("a", "g"), grad_output=e, alpha=0.1, eps=1e-12)
    u = np.linalg.solve(K, e)
    np.testing.assert_allclose(by_b, u.sum(0), atol=1e-8)
    derivative = -((x[..., :, None, :] - x[..., None, :, :]) ** 2).sum(-1) * (K - 0.1 * np.eye(20))
    np.testing.assert_allclose(by_g, -(u * (derivative @ truth)).sum((-1, -2)).sum(1)[:, None, None], rtol=1e-6)
    with pytest.raises(ValueError, match="a preconditioner is that of one system"):
        invert.preconditioner(x, x, b, g)


@pytest.mark.parametrize("shape", [(), (1,), (2,), (20, 1), (20, 2), (2, 1, 1, 1), (3, 1, 1), (1, 3, 20, 1), (2, 3, 20, 2)])
def test_alpha_broadcasts_to_the_batch(shape, rng):
    x, b = rng.normal(size=(2, 1, 20, 2)), rng.normal(size=(3, 20, 2))
    alpha = rng.uniform(0.1, 1, shape)
    invert = KernelSolve("Exp(-SqDist(x, y)) * a", ["x = Vi(2)", "y = Vj(2)", "a = Vj(2)"], "a", axis=1)
    K = np.exp(-((x[..., :, None, :] - x[..., None, :, :]) ** 2).sum(-1))
    shifts, e = np.broadcast_to(alpha, (2, 3, 20, 2)), rng.normal(size=(2, 3, 20, 2))

    def solved(right):
        found = np.empty((2, 3, 20, 2))
        for p, q, c in np.ndindex(2, 3, 2):
            found[p, q, :, c] = np.linalg.solve(K[p, 0] + np.diag(shifts[p, q, :, c]), right[p, q, :, c])
        return found

    np.testing.assert_allclose(invert(x, x, b, alpha=alpha, eps=1e-12), solved(np.broadcast_to(b, (2, 3, 20, 2))), atol=1e-9)
    by_b = invert.gradient(x, x, b, wrt="a", grad_output=e, alpha=alpha, eps=1e-12)
    np.testing.assert_allclose(by_b, solved(e).sum(0), atol=1e-8)
    with pytest.raises(ValueError, match=r"broadcast to the shape of b, \(2, 3, 20, 2\): found the shape \(3,\)"):
        invert(x, x, b, alpha=np.ones(3))
