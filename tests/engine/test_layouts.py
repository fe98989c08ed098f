"""However the arrays lie in memory, the same bits come out."""

import numpy as np
import pytest

from skkeops import Genred

from .common import simd_level  # noqa: F401

ALIASES = ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)", "p = Pm(2)"]


def strided(a):
    wide = np.full((2 * a.shape[0], *(2 * s + 1 for s in a.shape[1:])), 7, a.dtype)
    view = wide[::2, 1::2] if a.ndim == 2 else wide[::2]
    view[...] = a
    return view


def reversed_(a):
    return np.ascontiguousarray(a[::-1])[::-1]


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def inner(a):
    wide = np.full((a.shape[0] + 4, *a.shape[1:]), np.nan, a.dtype)
    wide[2:-2] = a
    return wide[2:-2]


def broadcast_rows(a):
    return np.broadcast_to(a, a.shape)


LAYOUTS = [
    strided,
    reversed_,
    np.asfortranarray,
    read_only,
    inner,
    broadcast_rows,
    lambda a: a.astype(a.dtype.newbyteorder()),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [20, 700])
def test_layouts(layout, dtype, n, simd_level):  # noqa: F811
    rng = np.random.default_rng(n)
    arrays = [rng.standard_normal(s).astype(dtype) for s in ((11, 3), (n, 3), (n, 2), (2,))]
    for reduction, options in (("Sum", {}), ("LogSumExp", {"formula2": "b*p"}), ("ArgKMin", {"opt_arg": 4})):
        formula = "Exp(-SqDist(x,y))*b*p" if reduction == "Sum" else "-SqDist(x,y)"
        for axis in (0, 1):
            if reduction == "LogSumExp":
                options = {"formula2": "b*b*p*p"}
            operator = Genred(formula, ALIASES, reduction, axis=axis, **options)
            expected = operator(*arrays)
            np.testing.assert_array_equal(operator(*map(layout, arrays)), expected)


def test_one_row_for_all():
    """A stride of zero is a layout too."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((1, 3)), rng.standard_normal((300, 3))
    operator = Genred("SqDist(x,y)", ["x = Vi(3)", "y = Vj(3)"], axis=1)
    assert (operator(np.broadcast_to(x, (50, 3)), y) == operator(x, y)).all()


def test_memory_map(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 3)), rng.standard_normal((900, 3))
    np.save(tmp_path / "y.npy", y)
    mapped = np.load(tmp_path / "y.npy", mmap_mode="r")
    operator = Genred("SqDist(x,y)", ["x = Vi(3)", "y = Vj(3)"], axis=1)
    np.testing.assert_array_equal(operator(x, mapped), operator(x, y))


def test_misaligned_data():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 3)), rng.standard_normal((900, 3))
    raw = np.empty(y.nbytes + 1, np.uint8)
    shifted = raw[1:].view(np.float64).reshape(y.shape)
    shifted[...] = y
    assert not shifted.flags.aligned
    operator = Genred("SqDist(x,y)", ["x = Vi(3)", "y = Vj(3)"], axis=1)
    np.testing.assert_array_equal(operator(x, shifted), operator(x, y))
