"""Genred on arrays of CuPy: the same results as on arrays of NumPy, on the device, and nothing copied through the host."""

import numpy as np
import pytest

from ..execution.cases import CASES, DIFFERENTIABLE, as_tuple, make, make_arrays

DTYPES = [np.float32, np.float64]


def assert_same(found, expected, cupy, tolerance=None):
    """Same results: of CuPy, in dtype, shape and value."""
    found, expected = as_tuple(found), as_tuple(expected)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert type(a) is cupy.ndarray and a.dtype == b.dtype and a.shape == b.shape
        small = tolerance or (1e-5 if b.dtype == np.float32 else 1e-12)
        np.testing.assert_allclose(a.get(), b, rtol=small, atol=small)


@pytest.fixture
def moved(double):
    """A function that moves arrays to the device and then starts to count."""

    def move(*arrays):
        there = tuple(double.asarray(a) for a in arrays)
        double.stand_in_counts.clear()
        return there

    return move


def assert_stayed(cupy, numbers=0):
    """Nothing but a few numbers, such as the length of a list of winners, passed between host and device."""
    counts = cupy.stand_in_counts
    assert counts.to_device == [] and all(n <= 8 for n in counts.to_host), counts
    assert len(counts.to_host) <= numbers, counts


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", CASES)
def test_call(op, axis, dtype, double, moved, rng):
    arrays = make_arrays(rng, dtype=dtype)
    expected = make(op, axis)(*arrays, backend="reference")
    there = moved(*arrays)
    found = make(op, axis)(*there)
    assert_stayed(double)
    assert_same(found, expected, double)
    assert_same(make(op, axis)(*there, backend="GPU"), expected, double)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wrt", ["x", "y", "p", ("b", "x")])
@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_gradient(op, wrt, dtype, double, moved, rng):
    arrays = make_arrays(rng, dtype=dtype)
    f = make(op)
    c = f(*arrays, backend="reference")
    e = rng.normal(size=as_tuple(c)[0].shape).astype(dtype)
    for grad_output in (None, e):
        expected = f.gradient(*arrays, wrt=wrt, grad_output=grad_output, backend="reference")
        (*there,) = moved(*arrays)
        upstream = None if grad_output is None else moved(e)[0]
        found = f.gradient(*there, wrt=wrt, grad_output=upstream)
        assert_stayed(double, numbers=4)
        assert_same(found, expected, double)


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_gradient_from_a_known_result(op, double, moved, rng):
    arrays = make_arrays(rng)
    f = make(op)
    output = f(*arrays, backend="reference")
    expected = f.gradient(*arrays, wrt="x", output=output, backend="reference")
    there = moved(*arrays)
    known = moved(*as_tuple(output))
    found = f.gradient(*there, wrt="x", output=known if len(known) > 1 else known[0])
    assert_stayed(double, numbers=8)
    assert_same(found, expected, double)


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_value_and_gradient_and_jvp(op, double, moved, rng):
    arrays = make_arrays(rng)
    f = make(op)
    value, gradient = f.value_and_gradient(*arrays, wrt="x", backend="reference")
    u = rng.normal(size=arrays[0].shape)
    tangent = f.jvp(*arrays, tangents={"x": u, "p": 2.0}, backend="reference")
    *there, there_u = moved(*arrays, u)
    found_value, found_gradient = f.value_and_gradient(*there, wrt="x")
    assert_stayed(double, numbers=4)
    assert_same(found_value, value, double)
    assert_same(found_gradient, gradient, double)
    assert_same(f.jvp(*there, tangents={"x": there_u, "p": 2.0}), tangent, double)


@pytest.mark.parametrize("op", ["Sum", "LogSumExp", "ArgMin", "KMin_ArgKMin"])
def test_ranges(op, double, moved, rng):
    from skkeops import cluster

    ranges_i, ranges_j = np.array([[0, 5], [5, 13]]), np.array([[0, 4], [4, 9]])
    ranges = cluster.from_matrix(ranges_i, ranges_j, np.array([[True, False], [False, False]]))
    arrays = make_arrays(rng)
    expected = make(op)(*arrays, backend="reference", ranges=ranges)
    there = moved(*arrays)
    assert_same(make(op)(*there, ranges=ranges), expected, double)
    assert_same(make(op)(*there, ranges=tuple(double.asarray(r) for r in ranges)), expected, double)
    if op in DIFFERENTIABLE:
        expected = make(op).gradient(*arrays, wrt="y", backend="reference", ranges=ranges)
        assert_same(make(op).gradient(*there, wrt="y", ranges=ranges), expected, double)


@pytest.mark.parametrize("op", CASES)
def test_out(op, double, moved, rng):
    arrays = make_arrays(rng)
    expected = as_tuple(make(op)(*arrays, backend="reference"))
    out = tuple(double.empty(a.shape, a.dtype) for a in expected)
    given = out if len(out) > 1 else out[0]
    assert make(op)(*moved(*arrays), out=given) is given
    assert_stayed(double)
    assert_same(out, expected, double)


def test_small_blocks(double, moved, rng, small_blocks):
    small_blocks(4)
    arrays = make_arrays(rng)
    there = moved(*arrays)
    for op in DIFFERENTIABLE:
        expected = make(op).gradient(*arrays, wrt=("x", "y", "p"), backend="reference")
        assert_same(make(op).gradient(*there, wrt=("x", "y", "p")), expected, double)


def test_numpy_arrays_on_the_gpu(double, rng):
    for op in CASES:
        arrays = make_arrays(rng)
        expected = as_tuple(make(op)(*arrays, backend="reference"))
        found = as_tuple(make(op)(*arrays, backend="GPU"))
        assert double.stand_in_counts.launches
        for a, b in zip(found, expected, strict=True):
            assert type(a) is np.ndarray and a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-12)
        if op in DIFFERENTIABLE:
            expected = make(op).gradient(*arrays, wrt="y", backend="reference")
            np.testing.assert_allclose(make(op).gradient(*arrays, wrt="y", backend="GPU"), expected, rtol=1e-10, atol=1e-12)
    calls = []
    make("Sum")(*arrays, backend="GPU", progress=lambda done, total: calls.append((done, total)))
    make("Sum")(*map(double.asarray, arrays), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(13 * 9, 13 * 9)] * 2


class TestArguments:
    f = staticmethod(lambda *args, **options: make("Sum")(*args, **options))

    def test_layouts_and_dtypes(self, double, rng):
        x, y, b, p = make_arrays(rng)
        expected = self.f(x, y, b, p, backend="reference")
        d = double.asarray
        for there in (
            (d(x), d(np.asfortranarray(y)), d(b), d(p)),
            (d(np.repeat(x, 2, axis=0))[::2], d(y), d(b), d(p)),
            (d(x), d(y), d(b), float(p[0])),
            (d(x), d(y), d(b), np.float64(p[0])),
            (d(x), d(y), d(b), [p[0]]),
            (d(x), d(y), d(b), d(p.reshape(1, 1))),
            (d(x), d(y), d(b), d(p.reshape(()))),
        ):
            assert_same(self.f(*there), expected, double)
        there = (d(x.astype(np.float16)), d(y.astype(np.float32)), d(np.ones((9, 3), int)), 1)
        assert self.f(*there).dtype == np.float32
        assert self.f(*map(d, (np.ones((13, 2), int), np.ones((9, 2), bool), np.ones((9, 3), int))), 2).dtype == np.float64

    def test_mixtures(self, double, rng):
        x, y, b, p = make_arrays(rng)
        d = double.asarray
        with pytest.raises(TypeError, match=r"argument 'y' = Vj\(2\): found a NumPy array, and for 'x' a CuPy array"):
            self.f(d(x), y, b, p)
        with pytest.raises(TypeError, match=r"argument 'p' = Pm\(1\): found a NumPy array, and for 'x' a CuPy array"):
            self.f(d(x), d(y), d(b), p)
        g = make("Sum").gradient
        with pytest.raises(TypeError, match="argument 'grad_output': found a NumPy array where the arguments are CuPy"):
            g(d(x), d(y), d(b), d(p), wrt="x", grad_output=np.ones((13, 3)))
        with pytest.raises(TypeError, match="argument 'grad_output': found a CuPy array where the arguments are NumPy"):
            g(x, y, b, p, wrt="x", grad_output=d(np.ones((13, 3))))
        with pytest.raises(TypeError, match="argument 'out': found a NumPy array, expected a CuPy array"):
            self.f(d(x), d(y), d(b), d(p), out=np.ones((13, 3)))
        with pytest.raises(TypeError, match="argument 'out': found a CuPy array, expected a NumPy array"):
            self.f(x, y, b, p, out=d(np.ones((13, 3))))
        with pytest.raises(TypeError, match=r"tangents\['x'\]: found a NumPy array where"):
            make("Sum").jvp(d(x), d(y), d(b), d(p), tangents={"x": x})

    @pytest.mark.parametrize("backend", ["CPU", "reference"])
    def test_backends_of_the_host(self, backend, double, rng):
        there = tuple(map(double.asarray, make_arrays(rng)))
        with pytest.raises(TypeError, match=f"backend='{backend}' computes with NumPy arrays: found CuPy arrays"):
            self.f(*there, backend=backend)
        with pytest.raises(TypeError, match=f"backend='{backend}' computes with NumPy arrays: found CuPy arrays"):
            make("Sum").gradient(*there, wrt="x", backend=backend)

    def test_bad_arrays(self, double, rng):
        x, y, b, p = map(double.asarray, make_arrays(rng))
        with pytest.raises(ValueError, match=r"argument 'x' = Vi\(2\): found shape \(13,\), expected \(M, 2\)"):
            self.f(x[:, 0], y, b, p)
        with pytest.raises(ValueError, match="arguments 'y' and 'b' are both indexed by j"):
            self.f(x, y, b[:-1], p)
        with pytest.raises(TypeError, match=r"argument 'x' = Vi\(2\): found dtype complex128"):
            self.f(x.astype(complex), y, b, p)
        with pytest.raises(ValueError, match="wrong number of arguments"):
            self.f(x, y, b)
        with pytest.raises(ValueError, match="found indices outside"):
            make("Max_ArgMax").gradient(x, y, b, p, wrt="x", output=(double.ones((13, 1)), double.full((13, 1), 9)))

    def test_arrays_of_others_on_a_gpu(self, double, rng):
        class Tensor:
            __cuda_array_interface__ = {}

        x, y, b, p = map(double.asarray, make_arrays(rng))
        with pytest.raises(TypeError, match=r"'y' = Vj\(2\): found an array on a GPU .*Tensor.*cupy.from_dlpack"):
            self.f(x, Tensor(), b, p)


class TestDevices:
    def test_where_the_arrays_are(self, double, rng):
        arrays = make_arrays(rng)
        with double.cuda.Device(1):
            there = tuple(map(double.asarray, arrays))
            strided = double.asarray(np.asfortranarray(arrays[0]))
        for op in DIFFERENTIABLE:
            f = make(op)
            assert all(a.data.device_id == 1 for a in as_tuple(f(*there)))
            assert f.gradient(strided, *there[1:], wrt="x").data.device_id == 1
            assert f.gradient(*there, wrt="p", grad_output=None).data.device_id == 1
            assert f.jvp(*there[:3], 1.0, tangents={"x": there[0]}).data.device_id == 1
            assert double.cuda.runtime.getDevice() == 0

    def test_several_devices(self, double, rng):
        x, y, b, p = make_arrays(rng)
        with double.cuda.Device(1):
            elsewhere = double.asarray(y)
        with pytest.raises(ValueError, match=r"argument 'y' = Vj\(2\): found an array on device 1, and for 'x' one on device 0"):
            make("Sum")(double.asarray(x), elsewhere, double.asarray(b), 1.0)

    def test_device_id(self, double, rng):
        arrays = make_arrays(rng)
        f = make("Sum")
        expected = f(*arrays, backend="reference")
        np.testing.assert_allclose(f(*arrays, backend="GPU", device_id=1), expected)
        assert f(*arrays, backend="CPU", device_id=5).shape == expected.shape  # without effect, as ever
        there = tuple(map(double.asarray, arrays))
        assert_same(f(*there, device_id=0), expected, double)
        with pytest.raises(ValueError, match="device_id must be that of the arrays, 0, or -1: found 1"):
            f(*there, device_id=1)
        with pytest.raises(ValueError, match="device_id must be the number of a device, 0 to 1, or -1: found 2"):
            f(*arrays, backend="GPU", device_id=2)

    def test_the_current_stream(self, double, rng):
        there = tuple(map(double.asarray, make_arrays(rng)))
        with double.cuda.Stream() as stream:
            make("Sum")(*there)
            assert double.cuda.get_current_stream() is stream
        stream.begin_capture()
        with stream:
            make("Sum")(*there)  # nothing waits, nothing is copied: it can be captured
        stream.end_capture()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_batches(op, axis, double, rng):
    shapes = [(2, 1, 13, 2), (3, 9, 2), (3, 9, 3), (2, 1, 1)]
    arrays = tuple(rng.normal(size=shape) for shape in shapes)
    f, there = make(op, axis), tuple(map(double.asarray, arrays))
    expected = f(*arrays)
    assert_same(f(*there), expected, double)
    e = rng.normal(size=as_tuple(expected)[0].shape)
    for wrt in ("x", "p"):
        assert_same(
            f.gradient(*there, wrt=wrt, grad_output=double.asarray(e), output=f(*there)),
            f.gradient(*arrays, wrt=wrt, grad_output=e, output=expected),
            double,
        )
    u = rng.normal(size=shapes[0])
    assert_same(f.jvp(*there, tangents={"x": double.asarray(u)}), f.jvp(*arrays, tangents={"x": u}), double)
    out = tuple(map(double.empty_like, as_tuple(f(*there))))
    f(*there, out=out if len(out) > 1 else out[0])
    assert_same(out, expected, double)
    for a, b in zip(as_tuple(f(*arrays, backend="GPU")), as_tuple(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
