"""NumPy's functions of lazy tensors: NaN, infinities, signed zeros, halves, remainders, as NumPy has them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

from skkeops import Vi, Vj
from skkeops.lazy.numpy_api import OPERATIONS, UFUNCS

VALUES = [
    0.0, -0.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.1, -0.1, 7.25, -7.25, 1e5 + 0.5, 12345.678,
    1e9, -1e9, np.nan, np.inf, -np.inf,
]  # fmt: skip
OF_CONDITIONS = {"bitwise_and", "bitwise_or", "bitwise_xor", "invert"}
OF_NUMBERS = sorted({*UFUNCS, *OPERATIONS} - OF_CONDITIONS - {"matmul", "divmod"})


def ufunc(name):
    return getattr(np, name, None) or getattr(scipy.special, name)


def equal(found, expected, dtype):
    rtol = 1e-13 if dtype == np.float64 else 3e-6
    np.testing.assert_allclose(found, expected.astype(dtype), rtol=rtol, atol=0, equal_nan=True)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [name for name in OF_NUMBERS if ufunc(name).nin == 1])
def test_special_values(name, dtype):
    s = np.array(VALUES, dtype)
    if name == "gammaln":  # where C has +inf at -inf, and we
        s = s[:-1]
    equal(ufunc(name)(Vi(s[:, None])).dense()[:, 0], ufunc(name)(s.astype(np.float64)), dtype)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [name for name in OF_NUMBERS if ufunc(name).nin == 2])
def test_special_values_of_two(name, dtype):
    """Of arrays, and of an array and a number on either side, which becomes a constant of the formula."""
    function, s = ufunc(name), np.array(VALUES, dtype)
    expected = function(s[:, None], s[None])
    equal(function(Vi(s[:, None]), Vj(s[:, None])).dense(), expected, dtype)
    for k, number in enumerate(s.tolist()):
        if "power" not in name or number not in (0.5, -0.5):  # square roots, as with NumPy's **: of -inf and -0.0 no powers
            equal(function(Vi(s[:, None]), number).dense()[:, 0], expected[:, k], dtype)
        equal(np.broadcast_to(function(number, Vi(s[:, None])).dense()[:, 0], s.shape), expected[k], dtype)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding(dtype):
    s = np.array([*VALUES, 0.25, 0.35, 2.675, 0.125, 1e5 + 1.5, 25, 35, -45, 0.49999997, 8388609.0, 1e15 + 0.5], dtype)
    K = Vi(s[:, None])
    for d in (0, 1, 2, 3, -1, -2):
        np.testing.assert_array_equal(np.round(K, d).dense()[:, 0], np.round(s, d))
        np.testing.assert_array_equal(np.around(K, decimals=d).dense()[:, 0], np.round(s, d))
    np.testing.assert_array_equal(K.round().dense()[:6, 0], [0, 0, 1, -1, 2, -2])  # KeOps' method


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_clipping():
    s = np.array(VALUES)
    for low, high in [(-1, 1), (1, 0), (None, 0), (0.5, None), (np.nan, 1), (0, np.nan), (-np.inf, np.inf), (2, -np.inf)]:
        np.testing.assert_array_equal(np.clip(Vi(s[:, None]), low, high).dense()[:, 0], np.clip(s, low, high))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_remainders_by_operators(dtype):
    s = np.array([*VALUES, 1e15, 123456.7], dtype)
    x, y, a, b = Vi(s[:, None]), Vj(s[:, None]), s[:, None], s[None]
    for found, expected in (
        (x % y, a % b), (x // y, a // b), (x % 0.1, a % dtype(0.1)), (-7 % x, -7 % a), (7.5 // x, 7.5 // a), (x // 3, a // 3),
        (divmod(x, y)[0], np.divmod(a, b)[0]), (divmod(x, y)[1], np.divmod(a, b)[1]), (divmod(5, x)[1], np.divmod(5, a)[1]),
        (np.divmod(x, y)[0], np.divmod(a, b)[0]), (b % x, b % a), (np.fmod(x, -y), np.fmod(a, -b)),
    ):  # fmt: skip
        equal(found.dense(), expected, dtype)


def test_gradients_of_numpys_functions():
    """By differences: of remainders, and of the larger one."""
    x, y = np.array([[2.3], [-1.7], [0.4]]), np.array([[0.9], [-0.7]])
    for function in (np.remainder, np.fmod, np.maximum, np.minimum, np.fmax, np.clip, np.floor_divide):
        def total(a, b, f=function):
            return f(a, b, 9.0).sum() if f is np.clip else f(a, b).sum()

        K = np.clip(Vi(x), Vj(y), 9.0) if function is np.clip else function(Vi(x), Vj(y))
        by_y = (total(x[:, None, 0], y[None, :, 0] + [1e-6, 0]) - total(x[:, None, 0], y[None, :, 0])) / 1e-6
        by_x = (total(x[:, None, 0] + [[1e-6], [0], [0]], y[None, :, 0]) - total(x[:, None, 0], y[None, :, 0])) / 1e-6
        np.testing.assert_allclose(K.gradient(x)[0], by_x, atol=1e-6)
        np.testing.assert_allclose(K.gradient(y)[0], by_y, atol=1e-6)
