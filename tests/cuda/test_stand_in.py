"""The stand-in for CuPy refuses what CuPy refuses: otherwise the tests that use it show nothing."""

import pickle

import numpy as np
import pytest


@pytest.fixture
def a(stand_in):
    return stand_in.asarray(np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    "operation",
    [
        lambda a, h: np.asarray(a),
        lambda a, h: np.array(a, dtype=np.float32),
        lambda a, h: a + h,
        lambda a, h: h * a,
        lambda a, h: a < h,
        lambda a, h: a.__iadd__(h),
        lambda a, h: np.maximum(a, h),
        lambda a, h: np.where(a > 1, a, h),
        lambda a, h: np.concatenate([a, h]),
        lambda a, h: a.__setitem__(slice(None), h),
        lambda a, h: h.__setitem__(slice(None), a),
        lambda a, h: np.exp(a, out=h),
        lambda a, h: a.dot(h),
        lambda a, h: a.max(initial=0.0),
        lambda a, h: a.sum(where=a > 1),
        lambda a, h: np.ones(3, like=a),  # NumPy passes device=, which CuPy does not have
        lambda a, h: a + object(),
    ],
)
def test_refused(operation, a):
    with pytest.raises(TypeError):
        operation(a, np.ones((2, 3)))


def test_answers_on_the_device(a, stand_in):
    kind = stand_in.ndarray
    results = [a + 1, 2 * a, np.exp(a), np.where(a > 1, 0.0, a), np.concatenate([a, a]), np.zeros(3, like=a), a.sum()]
    results += [np.linalg.norm(a, axis=0), np.float64(2) * a, stand_in.add(a, a), np.take_along_axis(a, a.argsort(1), 1)]
    results += [a[0, 0], a @ a.T, a.argsort(axis=1)]
    assert all(type(r) is kind for r in results)
    assert results[6].shape == () and float(results[6]) == 15.0
    assert stand_in.get_array_module(a) is stand_in and stand_in.get_array_module(np.ones(1)) is np
    assert a.__dlpack_device__() == (2, 0) and a.__cuda_array_interface__["shape"] == (2, 3)
    assert not hasattr(a.flags, "writeable") and a.T.flags.f_contiguous and not hasattr(a, "__array_namespace__")


def test_new_memory_is_poisoned(stand_in):
    assert np.isnan(stand_in.empty((2, 2)).get()).all() and (stand_in.empty(3, np.int64).get() == -1).all()
    assert np.isnan(stand_in.empty_like(stand_in.zeros(2)).get()).all() and np.isnan(stand_in.ndarray((2,), np.float32).get()).all()


def test_copies_are_counted(a, stand_in):
    counts = stand_in.stand_in_counts
    counts.clear()
    a.get()
    stand_in.asarray(np.ones(2, np.float32))
    bool(a.any())
    a[np.array([1, 0])]
    assert counts.to_host == [48, 1] and counts.to_device == [8, 16]
    counts.clear()
    np.flatnonzero(a)
    a[a > 2]
    assert counts.to_host == [8, 8]  # how many there are
    assert np.array_equal(pickle.loads(pickle.dumps(a)).get(), a.get())


def test_an_index_that_occurs_twice(a, stand_in):
    with pytest.raises(AssertionError, match="undefined"):
        a[stand_in.asarray(np.array([0, 0]))] = a
    stand_in.add.at(a, stand_in.asarray(np.array([0, 0])), 1.0)
    assert a.get()[0, 0] == 2.0


def test_devices(a, stand_in):
    with stand_in.cuda.Device(1):
        b = stand_in.ones((2, 3))
        assert b.device == stand_in.cuda.Device(1) and b.data.device_id == 1
        with pytest.raises(ValueError, match="array device = 0 while current = 1"):
            a + b
    with pytest.raises(stand_in.cuda.runtime.CUDARuntimeError, match="invalid device"):
        stand_in.cuda.Device(7).use()


ADD = """
typedef float real;
extern "C" __global__ void add(float* x, int n) { if (threadIdx.x < n) x[threadIdx.x] += 1.f; }
"""


def test_kernels(emulated):
    add = emulated.RawModule(code=ADD, options=("--std=c++17",)).get_function("add")
    x = emulated.zeros(40, np.float32)
    with emulated.cuda.Stream() as stream:
        add((1,), (64,), (x, np.int32(30)))
    assert (x.get() == np.arange(40).__lt__(30)).all()
    assert emulated.stand_in_counts.launches == [("add", (1,), (64,), stream.ptr, 0)]
    for args, message in (
        ((x, 30), "integer of 4 bytes"),  # Python's integers are passed as 8 bytes
        ((np.zeros(40, np.float32), np.int32(3)), "numpy.ndarray"),
        ((x[::2], np.int32(3)), "contiguous"),
        ((emulated.zeros(40), np.int32(3)), "float32"),
        ((x,), "2 arguments"),
    ):
        with pytest.raises(Exception, match=message):
            add((1,), (64,), args)
    for grid, block, shared in (((0,), (64,), 0), ((1, 65536), (64,), 0), ((1,), (1025,), 0), ((1,), (64,), 49153)):
        with pytest.raises(emulated.cuda.driver.CUDADriverError, match="INVALID_VALUE"):
            add(grid, block, (x, np.int32(3)), shared_mem=shared)
    with pytest.raises(TypeError, match="tuple"):
        add((1,), (64,), [x, np.int32(3)])
