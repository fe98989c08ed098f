"""Values of pairs on a GPU: the generated kernels in the emulator, and Genred and LazyTensor on arrays of CuPy, against NumPy."""

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array
from scipy.special import logsumexp

from skkeops import Genred, LazyTensor, Vi, Vij, Vj, where
from skkeops.backends.cuda.source import choose_template
from skkeops.plan.plan import make_plan

from . import emulator, nvrtc, running

emulates = pytest.mark.skipif(not emulator.available(), reason="the emulator needs g++ on x86-64")
DTYPES = ["float32", "float64"]

ALIASES = ["x = Vi(2)", "y = Vj(2)", "w = Vij(1)", "q = Vij(1)", "v = Vij(2)", "b = Vj(2)"]
FORMULA = "Exp(-SqDist(x, y)) * w + q * (v | (x - y))"
CASES = [
    Genred(FORMULA, ALIASES, op, axis, **options)
    for op, options in [
        ("Sum", {}),
        ("LogSumExp", {}),
        ("SumSoftMaxWeight", {"formula2": "q * v + b"}),
        ("Max_ArgMax", {}),
        ("KMin_ArgKMin", {"opt_arg": 3}),
    ]
    for axis in (1, 0)
]
MASKS = (3,)
SIZES = [(1, 3), (5, 7), (127, 257), (130, 63), (3, 0), (0, 4), (513, 17)]
LAYOUTS = {
    "C": lambda a: a,
    "Fortran": np.asfortranarray,
    "turned": lambda a: np.ascontiguousarray(a.swapaxes(0, 1)).swapaxes(0, 1),
    "strided": lambda a: np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3][::-1, ::-1],
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
}


def make_arrays(m, n, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    x, y, w, v, b = (rng.normal(size=s).astype(dtype) for s in [(m, 2), (n, 2), (m, n, 1), (m, n, 2), (n, 2)])
    return x, y, w, rng.random((m, n, 1)) < 0.6, v, b


def values(arrays):
    """The formula by NumPy, and its weight."""
    x, y, w, q, v, b = (a.astype(np.float64) for a in arrays)
    difference = x[:, None] - y
    f = np.exp(-(difference**2).sum(-1)) * w[..., 0] + q[..., 0] * (v * difference).sum(-1)
    return f, q * v + b


def truth(genred, arrays):
    """The result by NumPy."""
    f, weight = values(arrays)
    if genred.axis == 0:
        f, weight = f.T, weight.swapaxes(0, 1)
    rows = len(f)
    op = genred.reduction_op
    with np.errstate(all="ignore"):
        if op == "Sum":
            return (f.sum(1, keepdims=True),)
        if op == "LogSumExp":
            return (logsumexp(f, axis=1, keepdims=True) if f.shape[1] else np.full((rows, 1), -np.inf),)
        if op == "SumSoftMaxWeight":
            e = np.exp(f - f.max(initial=0))
            return (np.einsum("ij,ijk->ik", e, weight) / e.sum(1, keepdims=True),)
    if op == "Max_ArgMax":
        return f.max(1, keepdims=True), f.argmax(1)[:, None]
    order = np.argsort(f, axis=1, kind="stable")[:, :3]
    return np.take_along_axis(f, order, 1), order


def assert_close(found, expected, dtype, f, where):
    found = found if isinstance(found, tuple) else (found,)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape, where
        if a.dtype.kind == "i":  # equal, or of values that are equal but for rounding
            same = np.abs(np.take_along_axis(f, a, 1) - np.take_along_axis(f, b, 1))
            assert same.max(initial=0) <= 1e-5, where
        else:
            assert a.dtype == dtype, where
            tolerance = 2e-6 if dtype == "float32" else 1e-13
            np.testing.assert_allclose(a, b, rtol=20 * tolerance, atol=tolerance * (1 + f.shape[1] ** 0.5), err_msg=where)


@pytest.fixture(scope="module")
def built():
    return {
        template: running.build([g._problem for g in CASES], DTYPES, template=template, masks=MASKS)
        for template in ("rows", "columns")
    }


@emulates
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("template", ["rows", "columns"])
def test_kernels(built, template, dtype):
    for k, genred in enumerate(CASES):
        made, module = built[template][k, dtype]
        layouts = iter(list(LAYOUTS) * 10)
        for m, n in [*SIZES, (2, 4500) if genred.axis else (4500, 2)]:
            reduced = n if genred.axis else m
            if reduced < genred.reduction.smallest_axis:
                continue
            turn = LAYOUTS[next(layouts)] if m * n else LAYOUTS["C"]
            arrays = tuple(turn(a) if a.ndim == 3 else a for a in make_arrays(m, n, dtype))
            found = running.run(made, module, genred._problem, arrays, "result", order=m % 3)
            f = values(arrays)[0]
            where = f"{made.template} {genred.reduction_op} {m} x {n}"
            assert_close(found, truth(genred, arrays), dtype, f if genred.axis else f.T, where)


@emulates
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(built, layout):
    arrays = tuple(LAYOUTS[layout](a) if a.ndim == 3 else a for a in make_arrays(70, 131))
    for k, genred in enumerate(CASES[:2]):
        made, module = built["rows"][k, "float64"]
        found = running.run(made, module, genred._problem, arrays, "result")
        assert_close(found, truth(genred, arrays), "float64", values(arrays)[0], layout)


@emulates
@pytest.mark.parametrize("dtype", DTYPES)
def test_long_vectors(dtype):
    genred = Genred("Exp(-SqDist(x, y) / 300) * q * (w | x)", ["x = Vi(150)", "y = Vj(150)", "q = Vij(1)", "w = Vij(150)"], axis=1)
    many = Genred("(w + x) * q", genred.aliases, axis=1)  # more columns than a thread has
    built = running.build([genred._problem, many._problem], [dtype], masks=(2,))
    (made, module), (other, of_other) = built.values()
    assert made.template == other.template == "wide"
    rng = np.random.default_rng(0)
    x, y, w = (rng.normal(size=s).astype(dtype) for s in [(5, 150), (37, 150), (5, 37, 150)])
    q = rng.random((5, 37, 1)) < 0.5
    (found,) = running.run(made, module, genred._problem, (x, y, q, w), "result")
    a, b = x.astype(float), y.astype(float)
    k = np.exp(-((a[:, None] - b) ** 2).sum(-1) / 300) * q[..., 0] * np.einsum("ijk,ik->ij", w.astype(float), a)
    np.testing.assert_allclose(found, k.sum(1, keepdims=True), rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-5)
    (found,) = running.run(other, of_other, many._problem, (x, y, q, w), "result")
    expected = ((w.astype(float) + a[:, None]) * q).sum(1)
    np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-5)


def test_threads_follow_the_layout():
    plan = make_plan(CASES[0]._problem)
    assert choose_template(plan, 5000, 5000, along=True) == "columns" and choose_template(plan, 5000, 5000) == "auto"
    assert choose_template(plan, 5000, 1023, along=True) == "auto" and choose_template(plan, 5000, 1024, along=True) == "columns"
    many = Genred("SqDist(x, y) * w", ALIASES, "KMin", axis=1, opt_arg=65)
    assert choose_template(make_plan(CASES[-1]._problem), 5000, 5000, along=True) == "columns"
    assert choose_template(make_plan(many._problem), 5000, 5000, along=True) == "auto"


@pytest.mark.skipif(not nvrtc.available(), reason="needs the wheel nvidia-cuda-nvrtc: pip install '.[gpu-test]'")
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_kernel_spills(dtype):
    from skkeops.backends.cuda import source
    from skkeops.backends.cuda.source import pairs_source

    from .test_compilation import check_usage, compile_all

    problems = [(g, t) for g in CASES[::4] for t in ("rows", "columns")] + [(CASES[2], "rows")]
    sources = [source(make_plan(g._problem), dtype, None, t, MASKS) for g, t in problems]
    for (genred, template), made, compiled in zip(problems, sources, compile_all(sources, "sm_90"), strict=True):
        check_usage(f"{template} {genred}", made, compiled)
    made = pairs_source(CASES[0]._problem.values[0], CASES[0].variables, dtype, MASKS)
    (compiled,) = compile_all([made], "sm_90")
    assert compiled.kernels["skk_pairs"].spilled == 0


@pytest.mark.skipif(
    not nvrtc.available() or nvrtc.disassembler() is None,
    reason="needs the wheels nvidia-cuda-nvrtc and nvidia-cuda-nvdisasm: pip install '.[gpu-test]'",
)
def test_what_a_pair_costs():
    """Instructions for each value of a pair that is read, in the innermost loop of the template rows."""
    from skkeops.backends.cuda import source

    from .test_compilation import compile_all

    aliases = ["x = Vi(3)", "y = Vj(3)", "b = Vj(1)", "w = Vij(1)"]
    gaussian = make_plan(Genred("Exp(-SqDist(x, y)) * b * w", aliases, axis=1)._problem)
    sources = [source(gaussian, "float32", None, "rows", masks) for masks in ((), (3,))]
    for compiled in compile_all(sources, "sm_90"):
        found = [loop for loop in nvrtc.loops(compiled.cubin, "skk_rows") if not loop.counts["BAR"]]
        loop = max(found, key=lambda loop: loop.slots)
        assert loop.counts["LDG"] and not loop.counts["LDL"] and loop.slots <= 15.5 * loop.counts["LDG"], loop


# On arrays of CuPy


def on_device(cupy, arrays):
    return tuple(map(cupy.asarray, arrays))


@emulates
@pytest.mark.parametrize(("axis", "dtype"), [(0, "float64"), (1, "float32")])
def test_genred(axis, dtype, cupy):
    for genred in CASES:
        if genred.axis != axis:
            continue
        arrays = make_arrays(19, 23, dtype)
        there = on_device(cupy, arrays)
        counts = getattr(cupy, "stand_in_counts", None)
        if counts is not None:
            counts.clear()
        found = genred(*there)
        if counts is not None:
            assert counts.to_device == counts.to_host == []
        found = found if isinstance(found, tuple) else (found,)
        f = values(arrays)[0]
        assert_close(tuple(a.get() for a in found), truth(genred, arrays), dtype, f if axis else f.T, genred.reduction_op)
        turned = tuple(a.swapaxes(0, 1).copy().swapaxes(0, 1) if a.ndim == 3 else a for a in there)
        again = genred(*turned)
        for a, b in zip(again if isinstance(again, tuple) else (again,), found, strict=True):
            np.testing.assert_allclose(a.get(), b.get(), rtol=1e-4, atol=1e-5)


@emulates
@pytest.mark.parametrize(("op", "axis"), [("Sum", 1), ("LogSumExp", 0), ("Max_ArgMax", 1)])
def test_gradients(op, axis, cupy):
    """Against differences of the truth, by points and by values of pairs."""
    genred = next(g for g in CASES if (g.reduction_op, g.axis) == (op, axis))
    arrays = make_arrays(6, 9)
    rng = np.random.default_rng(3)
    e = rng.normal(size=truth(genred, arrays)[0].shape)
    names = ("x", "y", "w", "v")
    found = genred.gradient(*on_device(cupy, arrays), wrt=names, grad_output=cupy.asarray(e))
    for name, gradient in zip(names, found, strict=True):
        k = [a.split()[0] for a in ALIASES].index(name)
        u = rng.normal(size=arrays[k].shape)
        sides = [truth(genred, tuple(a + s * 1e-6 * u if n == k else a for n, a in enumerate(arrays)))[0] for s in (1, -1)]
        difference = ((sides[0] - sides[1]) * e).sum() / 2e-6
        assert gradient.shape == arrays[k].shape
        assert (gradient.get() * u).sum() == pytest.approx(difference, rel=1e-6, abs=1e-6), name
    tangent = genred.jvp(*on_device(cupy, arrays), tangents={"w": cupy.asarray(arrays[2])})
    sides = [truth(genred, (*arrays[:2], arrays[2] * (1 + s * 1e-6), *arrays[3:]))[0] for s in (1, -1)]
    np.testing.assert_allclose(tangent.get(), (sides[0] - sides[1]) / 2e-6, rtol=1e-6, atol=1e-6)


@emulates
def test_numpy_arrays_on_the_gpu(cupy):
    arrays = make_arrays(11, 8)
    np.testing.assert_allclose(CASES[0](*arrays, backend="GPU"), truth(CASES[0], arrays)[0], rtol=1e-12)
    found = CASES[0].gradient(*arrays, wrt="w", backend="GPU")
    np.testing.assert_allclose(found, CASES[0].gradient(*arrays, wrt="w", backend="reference"), rtol=1e-12)


@emulates
def test_ranges_and_pairs(cupy):
    from skkeops import cluster

    ranges = cluster.from_matrix([[0, 5], [7, 13]], [[0, 4], [4, 9]], [[1, 0], [1, 1]])
    mask = np.zeros((13, 9))
    mask[:5, :4] = mask[7:] = 1
    arrays = make_arrays(13, 9)
    f = values(arrays)[0]
    there = on_device(cupy, arrays)
    np.testing.assert_allclose(CASES[0](*there, ranges=ranges).get(), (f * mask).sum(1, keepdims=True), rtol=1e-12)
    gradient = CASES[0].gradient(*there, wrt="w", ranges=ranges).get()[..., 0]
    k = np.exp(-((arrays[0][:, None] - arrays[1]) ** 2).sum(-1))
    np.testing.assert_allclose(gradient, k * mask, rtol=1e-12)


TENSORS = {
    "mask": lambda K, w, q: where(q, K, 0).sum(axis=1),
    "infinite mask": lambda K, w, q: where(q, K, -np.inf).logsumexp(axis=0),
    "weights": lambda K, w, q: (K * Vij(w)).sum(axis=0),
    "by numpy": lambda K, w, q: np.where(q, K, 0.5).argmin(axis=1),
    "array beside": lambda K, w, q: (K * w).max(axis=1),
    "some rows": lambda K, w, q: (K * w)[2:5, :].sum(axis=1),
    "gradient": lambda K, w, q: where(q, K * Vij(w), 0).gradient(w),
    "dense": lambda K, w, q: (K * Vij(w)).dense(),
    "product": lambda K, w, q: (K * Vij(w)) @ w.sum(axis=0),
    "turned": lambda K, w, q: (K * Vij(w)).t().sum(axis=1),
    "triangle": lambda K, w, q: (K * Vij(w)).tril(fill=-np.inf).logsumexp(axis=1),
    "band": lambda K, w, q: K.band(1, 2, fill=-np.inf).logsumexp(axis=1),
    "upper": lambda K, w, q: K.triu(1).sum(axis=0),
}


@pytest.mark.parametrize("name", TENSORS)
def test_lazy_tensors(name, double, rng):
    x, y, w, q = rng.normal(size=(9, 2)), rng.normal(size=(7, 2)), rng.normal(size=(9, 7)), rng.random((9, 7)) < 0.7

    def compute(x, y, w, q):
        return TENSORS[name]((-((Vi(x) - Vj(y)) ** 2).sum(-1)).exp(), w, q)

    expected = compute(x, y, w, q)
    found = compute(*on_device(double, (x, y, w, q)))
    assert type(found) is double.ndarray and found.shape == expected.shape and found.dtype == expected.dtype
    np.testing.assert_allclose(found.get(), expected, rtol=1e-12, atol=1e-12)


def test_batches(double, rng):
    x, y, w = rng.normal(size=(3, 5, 1, 2)), rng.normal(size=(3, 1, 4, 2)), rng.normal(size=(3, 5, 4, 1))

    def compute(x, y, w):
        return (((LazyTensor(x) - LazyTensor(y)) ** 2).sum(-1) * LazyTensor(w, axis=(0, 1))).sum(2)

    found = compute(*on_device(double, (x, y, w)))
    np.testing.assert_allclose(found.get()[..., 0], (((x - y) ** 2).sum(-1) * w[..., 0]).sum(-1), rtol=1e-12)


def test_what_is_refused(double, rng):
    f = Genred("w * SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)", "w = Vij(1)"], axis=1)
    x, y, w = rng.normal(size=(5, 2)), rng.normal(size=(4, 2)), random_array((5, 4), density=0.5)
    K = Vi(double.asarray(x)[:, :1]) * Vj(double.asarray(y)[:, :1]) * Vij(csr_array(w))

    class OfCupy:  # as one of cupyx.scipy.sparse
        shape, dtype, ndim, data, tocsr = (5, 4), np.dtype(float), 2, double.ones(3), None

    for call in (
        lambda: f(double.asarray(x), double.asarray(y), w),
        lambda: f(double.asarray(x), double.asarray(y), OfCupy()),
        lambda: f(x, y, csr_array(w), backend="GPU"),
        lambda: f.gradient(x, y, csr_array(w), wrt="x", backend="GPU"),
        lambda: f(x, y, OfCupy()),
        lambda: Vij(OfCupy()),
        lambda: K.sum(axis=1),
        lambda: K.dense(),
        lambda: K[:4, :].diagonal(),
    ):
        with pytest.raises(TypeError, match="sparse arrays of pairs are not read by the kernels of a GPU: .* dense .*toarray"):
            call()
    with pytest.raises(TypeError, match="'w' = Vij.1.: found a NumPy array, and for 'x' a CuPy array"):
        f(double.asarray(x), double.asarray(y), w.toarray())
    with pytest.raises(ValueError, match="'x' and 'w' are both indexed by i"):
        f(double.asarray(x), double.asarray(y), double.asarray(w.toarray()[:4]))
