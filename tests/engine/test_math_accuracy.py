"""The elementary functions of the installed engine: accuracy, special values, position independence.

A sample at every SIMD level, without a compiler; ``math_accuracy/run.py`` goes through all float32 arguments.
References: NumPy in float64 for float32, mpmath for float64.
"""

import functools
import itertools
import math

import mpmath
import numpy as np
import pytest
import scipy.special

from skkeops.backends.cpu import _engine

from .common import simd_level  # noqa: F401

UNARY = ("exp", "log", "sin", "cos", "asin", "acos", "atan", "sqrt")
UNARY += ("expm1", "log1p", "tanh", "sinh", "cosh", "sech", "logistic", "softplus", "erf", "erfc", "lgamma", "digamma")
BINARY = ("atan2", "powf")
FUNCTIONS = UNARY + BINARY
DTYPES = (np.float32, np.float64)

# Largest error in ulp; docs/design/accuracy_math.md has what was measured over all arguments.
LIMITS = {np.float32: 1.0, np.float64: 1.5}
PRECISE = {
    "sin",
    "cos",
    "asin",
    "acos",
    "atan",
    "atan2",
    "powf",
    "sqrt",
}  # in float32: computed in float64, rounded once

# Computed in float64 for float32; largest errors in float64.
WIDE = {
    "expm1": 2.0,
    "log1p": 1.0,
    "tanh": 2.5,
    "sinh": 2.5,
    "cosh": 1.5,
    "sech": 2.5,
    "logistic": 2.5,
    "softplus": 1.5,
    "erf": 1.6,
    "erfc": 3.5,
    "lgamma": 4.0,
    "digamma": 3.5,
}
PRECISE |= set(WIDE)
GAMMA = ("lgamma", "digamma")  # relative errors are promised for positive arguments

# Intervals in which results are neither trivial nor NaN.
RANGES = {"exp": (-750, 711), "log": (0, 4), "sin": (-40, 40), "cos": (-40, 40), "asin": (-1, 1), "acos": (-1, 1)}
RANGES.update({"atan": (-5, 5), "sqrt": (0, 9), "atan2": (-4, 4), "powf": (0, 20)})

RANGES.update({"expm1": (-50, 711), "log1p": (-1, 8), "tanh": (-22, 22), "sinh": (-712, 712), "cosh": (-712, 712)})
RANGES.update({"sech": (-750, 750), "logistic": (-750, 50), "softplus": (-750, 60), "erf": (-6, 6), "erfc": (-6, 27.3)})
RANGES.update({"lgamma": (0, 20), "digamma": (0, 20)})

SPECIALS = [
    0.0,
    1.0,
    2.0,
    3.0,
    4.0,
    0.5,
    0.25,
    1.5,
    2.5,
    10.0,
    0.4375,
    0.6875,
    1.1875,
    2.4375,
    1e-3,
    1e3,
    1e10,
    1e22,
    1e30,
    1e-30,
]
SPECIALS += [2.0**24 - 1, 2.0**24, 2.0**24 + 2, 2.0**52 + 1, 2.0**53 - 1, 2.0**53, 2.0**53 + 2, 2.0**52 - 0.5]
SPECIALS += [
    math.pi / 4,
    math.pi / 2,
    math.pi,
    0.5**0.5,
    2**0.5,
    2 / 3,
    4 / 3,
    1e6,
    1e6 + 1,
    6381956970095103.0 * 2.0**797,
]
SPECIALS += [2.0**-126, 2.0**-127, 2.0**-149, 2.0**127, float(np.finfo(np.float32).max)]
SPECIALS += [2.0**-1022, 2.0**-1023, 5e-324, 2.0**1000, 2.0**-1000, float(np.finfo(np.float64).max)]
SPECIALS += [88.72283, 88.72284, 87.33654, 87.336548, 103.97208, 103.97209, 709.782712893384, 709.7827128933841]
SPECIALS += [
    708.3964185322641,
    745.1332191019411,
    745.1332191019412,
    1 + 2.0**-52,
    1 - 2.0**-53,
    1 + 2.0**-23,
    1 - 2.0**-24,
]
SPECIALS += [math.inf, math.nan]


OTHERS = {
    # name: (the function in float64, in mpmath)
    "sech": (lambda x: 1 / np.cosh(x), mpmath.sech),
    "logistic": (scipy.special.expit, lambda x: 1 / (1 + mpmath.exp(-x))),
    "softplus": (lambda x: np.logaddexp(0, x), lambda x: mpmath.log1p(mpmath.exp(x))),
    "erf": (scipy.special.erf, mpmath.erf),
    "erfc": (scipy.special.erfc, mpmath.erfc),
    "lgamma": (scipy.special.gammaln, mpmath.loggamma),
    "digamma": (scipy.special.digamma, mpmath.digamma),
}


def numpy_function(name):
    if name in OTHERS:
        return OTHERS[name][0]
    names = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "powf": "power"}
    return getattr(np, names.get(name, name))


def specials(dtype):
    with np.errstate(over="ignore"):
        values = np.array(SPECIALS).astype(dtype)
    return np.unique(np.concatenate([values, -values]).view(np.int32 if dtype == np.float32 else np.int64)).view(dtype)


@functools.cache
def arguments(name, dtype, count):
    """Bit patterns at random, the interesting range, values close to 1 and to multiples of pi/2, special values."""
    rng = np.random.default_rng(1)
    bits, real = (np.uint32, np.finfo(np.float32)) if dtype == np.float32 else (np.uint64, np.finfo(np.float64))
    low, high = RANGES[name]

    def patterns():
        return rng.integers(0, np.iinfo(bits).max, count, dtype=bits, endpoint=True).view(dtype)

    x = [patterns(), rng.uniform(low, high, count), 1 + rng.uniform(-1, 1, count) * 2.0 ** -rng.integers(0, 22, count)]
    x.append(np.pi / 2 * rng.integers(-1000, 1000, count) * (1 + rng.integers(-3, 4, count) * real.eps))
    with np.errstate(over="ignore", invalid="ignore"):
        first = np.concatenate([np.asarray(v, dtype=dtype) for v in x] + [specials(dtype)])
    if name in GAMMA:
        return (first[~np.signbit(first)],)
    if name in UNARY:
        return (first,)
    if name == "atan2":
        y = [
            patterns(),
            rng.uniform(-4, 4, count),
            x[2] * rng.uniform(-2, 2, count),
            x[3] * rng.uniform(0.3, 0.8, count),
        ]
    else:
        # exponents that fill the range of results, whole and half numbers
        y = [
            patterns(),
            np.floor(rng.uniform(-40, 40, count)) / 2,
            rng.uniform(-700, 700, count) / (np.abs(np.log(np.abs(x[2]))) + 1e-9),
        ]
        x[3] = rng.uniform(0, 1e6, count)
        y.append(rng.uniform(-1.03, 1.01, count) * math.log(float(real.max)) / np.log(x[3]))
        with np.errstate(over="ignore", invalid="ignore"):
            first = np.concatenate([np.asarray(v, dtype=dtype) for v in x] + [specials(dtype)])
    with np.errstate(over="ignore", invalid="ignore"):
        second = np.concatenate([np.asarray(v, dtype=dtype) for v in y])
    pairs = np.array(list(itertools.product(specials(dtype), repeat=2)), dtype=dtype)
    return np.concatenate([first[: len(second)], pairs[:, 0]]), np.concatenate([second, pairs[:, 1]])


def exact(name, *x):
    """(high, low): the float64 nearest to the true value, and the rest."""
    finite = all(map(math.isfinite, x))
    if name == "powf":
        special = not finite or x[0] == 0 or x[1] == 0 or abs(x[1] * math.log2(abs(x[0]) or 1.0)) > 1200
        special = special or (x[0] < 0 and x[1] != math.floor(x[1]))
    elif name in ("exp", *WIDE) and name not in ("log1p", *GAMMA):
        special = not finite or abs(x[0]) > 800
    elif name in ("log", *GAMMA):
        special = not finite or x[0] <= 0
    elif name == "log1p":
        special = not finite or x[0] <= -1
    elif name in ("asin", "acos"):
        special = not abs(x[0]) <= 1
    elif name == "sqrt":
        special = not finite or x[0] < 0
    else:
        special = not finite
    if special or (name != "cos" and x[0] == 0):  # what C says (F.10)
        with np.errstate(all="ignore"):
            return float(numpy_function(name)(*([v] for v in x))[0]), 0.0
    f = mpmath.power if name == "powf" else OTHERS[name][1] if name in OTHERS else getattr(mpmath, name)
    value = f(*map(mpmath.mpf, x))
    high = float(value)
    return high, 0.0 if math.isinf(high) else float(value - high)


@functools.cache
def reference(name, dtype, count):
    x = arguments(name, dtype, count)
    if dtype == np.float32:
        with np.errstate(all="ignore"):
            high = numpy_function(name)(*(v.astype(np.float64) for v in x))
        return high, np.zeros_like(high)
    with mpmath.workprec(160):
        high, low = zip(*(exact(name, *map(float, point)) for point in zip(*x)))
    return np.array(high), np.array(low)


def errors(got, high, low):
    """In ulp of the true value; infinity where the kind (NaN, infinity, sign) is wrong."""
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        limit = 2.0**128 if got.dtype == np.float32 else math.inf
        high = np.where(np.abs(high) >= limit * (1 - 2.0**-25), np.copysign(np.inf, high), high)
        exponent = np.maximum(np.frexp(high)[1], info.minexp + 1) - info.nmant - 1
        difference = np.abs((got.astype(np.float64) - high) - low)
        error = np.where(got == high, np.abs(np.ldexp(low, -exponent)), np.ldexp(difference, -exponent))
        error = np.where(np.isinf(high) & np.isinf(got), 0.0, error)
        nearly = np.isinf(high) != np.isinf(got)  # the last number before overflow
        edge = np.where(np.isinf(high), np.abs(got), np.abs(high).astype(got.dtype)) >= info.max
        error = np.where(nearly, np.where(edge, 1.0, np.inf), error)
        kind = (np.isnan(got) == np.isnan(high)) & (np.isnan(high) | (np.signbit(got) == np.signbit(high)))
        error = np.where(np.isnan(got) & np.isnan(high), 0.0, error)
    return np.where(kind, error, np.inf)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_accuracy(name, dtype, simd_level):  # noqa: F811
    count = 20000 if dtype == np.float32 else 500
    x = arguments(name, dtype, count)
    got = _engine.apply(name, *x)
    error = errors(got, *reference(name, dtype, count))
    worst = int(np.argmax(error))
    precise = (
        dtype == np.float32 and name in PRECISE and not (name == "powf" and simd_level == "baseline")
    )  # libm's powf
    limit = 0.6 if precise else WIDE.get(name, LIMITS[dtype])
    assert error[worst] <= limit, (error[worst], [float(v[worst]).hex() for v in x], got[worst])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_position_does_not_matter(name, dtype, simd_level):  # noqa: F811
    x = [v[np.random.default_rng(0).permutation(len(v))[:400]] for v in arguments(name, dtype, 500)]
    whole = _engine.apply(name, *x)
    bits = np.uint32 if dtype == np.float32 else np.uint64
    for size in range(1, 201):
        part = _engine.apply(name, *(v[size : 2 * size] for v in x))
        same = (part.view(bits) == whole[size : 2 * size].view(bits)) | (
            np.isnan(part) & np.isnan(whole[size : 2 * size])
        )
        assert same.all(), (size, np.flatnonzero(~same))


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(dtype, simd_level):  # noqa: F811
    """What C asks for (F.10), written out."""
    nan, inf, tiny = math.nan, math.inf, float(np.finfo(dtype).smallest_subnormal)
    pi, least = dtype(np.pi), float(np.log2(np.finfo(dtype).smallest_subnormal))
    table = {
        "exp": [
            (0.0, 1),
            (-0.0, 1),
            (inf, inf),
            (-inf, 0.0),
            (nan, nan),
            (tiny, 1),
            (-tiny, 1),
            (1e5, inf),
            (-1e5, 0.0),
        ],
        "log": [(0.0, -inf), (-0.0, -inf), (1, 0.0), (inf, inf), (-1, nan), (-inf, nan), (-tiny, nan), (nan, nan)],
        "sin": [(0.0, 0.0), (-0.0, -0.0), (inf, nan), (-inf, nan), (nan, nan), (tiny, tiny), (-tiny, -tiny)],
        "cos": [(0.0, 1), (-0.0, 1), (inf, nan), (-inf, nan), (nan, nan), (tiny, 1)],
        "asin": [
            (0.0, 0.0),
            (-0.0, -0.0),
            (1.5, nan),
            (-1.5, nan),
            (inf, nan),
            (nan, nan),
            (tiny, tiny),
            (-tiny, -tiny),
        ],
        "acos": [(1, 0.0), (-1, pi), (1.5, nan), (-1.5, nan), (-inf, nan), (nan, nan)],
        "atan": [(0.0, 0.0), (-0.0, -0.0), (inf, pi / 2), (-inf, -pi / 2), (nan, nan), (tiny, tiny), (-tiny, -tiny)],
        "sqrt": [(0.0, 0.0), (-0.0, -0.0), (inf, inf), (-1, nan), (nan, nan)],
        "expm1": [(0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -1), (nan, nan), (tiny, tiny), (-tiny, -tiny), (1e5, inf)],
        "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1, -inf), (inf, inf), (-inf, nan), (-2, nan), (nan, nan), (tiny, tiny)],
        "tanh": [(0.0, 0.0), (-0.0, -0.0), (inf, 1), (-inf, -1), (nan, nan), (tiny, tiny), (-tiny, -tiny), (50, 1), (-1e30, -1)],
        "sinh": [(0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -inf), (nan, nan), (tiny, tiny), (-1e5, -inf)],
        "cosh": [(0.0, 1), (-0.0, 1), (inf, inf), (-inf, inf), (nan, nan), (tiny, 1), (-1e5, inf)],
        "sech": [(0.0, 1), (inf, 0.0), (-inf, 0.0), (nan, nan), (1e5, 0.0)],
        "logistic": [(0.0, 0.5), (inf, 1), (-inf, 0.0), (nan, nan), (1e5, 1), (-1e5, 0.0)],
        "softplus": [(inf, inf), (-inf, 0.0), (nan, nan), (1e5, 1e5), (-1e5, 0.0), (-tiny, dtype(np.log(2)))],
        "erf": [(0.0, 0.0), (-0.0, -0.0), (inf, 1), (-inf, -1), (nan, nan), (30, 1), (-30, -1)],
        "erfc": [(0.0, 1), (-0.0, 1), (inf, 0.0), (-inf, 2), (nan, nan), (tiny, 1), (30, 0.0), (-30, 2)],
        "lgamma": [(0.0, inf), (-0.0, inf), (1, 0.0), (2, 0.0), (inf, inf), (-inf, inf), (-1, inf), (-1e30, inf), (nan, nan)],
        "digamma": [(0.0, -inf), (-0.0, inf), (inf, inf), (-inf, nan), (-1, nan), (-1e30, nan), (nan, nan)],
        "atan2": [
            (0.0, -0.0, pi),
            (-0.0, -0.0, -pi),
            (0.0, 0.0, 0.0),
            (-0.0, 0.0, -0.0),
            (0.0, -1, pi),
            (-0.0, 1, -0.0),
        ]
        + [
            (1, 0.0, pi / 2),
            (-1, -0.0, -pi / 2),
            (inf, inf, pi / 4),
            (-inf, -inf, dtype(-3 * np.pi / 4)),
            (2, inf, 0.0),
        ]
        + [
            (-2, inf, -0.0),
            (2, -inf, pi),
            (inf, 2, pi / 2),
            (-inf, 2, -pi / 2),
            (nan, 1, nan),
            (1, nan, nan),
            (0.0, nan, nan),
        ],
        "powf": [(0.0, -3, inf), (-0.0, -3, -inf), (-0.0, -2, inf), (-0.0, -2.5, inf), (0.0, 2.5, 0.0), (-0.0, 3, -0.0)]
        + [
            (-0.0, 2.5, 0.0),
            (0.0, -inf, inf),
            (-0.0, -inf, inf),
            (-0.0, inf, 0.0),
            (-1, inf, 1),
            (-1, -inf, 1),
            (1, nan, 1),
        ]
        + [
            (1, inf, 1),
            (nan, 0.0, 1),
            (nan, -0.0, 1),
            (inf, 0.0, 1),
            (0.0, -0.0, 1),
            (-8, 1 / 3, nan),
            (-tiny, 0.5, nan),
        ]
        + [
            (0.5, -inf, inf),
            (2, -inf, 0.0),
            (0.5, inf, 0.0),
            (2, inf, inf),
            (-0.5, inf, 0.0),
            (-2, inf, inf),
            (-2, 3, -8),
        ]
        + [(-inf, -3, -0.0), (-inf, -2.5, 0.0), (-inf, 3, -inf), (-inf, 2.5, inf), (-inf, 0.5, inf), (inf, -1, 0.0)]
        + [(inf, 1, inf), (nan, 1, nan), (2, nan, nan), (2, least, tiny), (-2, least, -tiny if least % 2 else tiny)]
        + [
            (2, least - 2, 0.0),
            (10, 400, inf),
            (-10, 401, -inf),
            (-10, -401, -0.0),
            (-1, 2.0**60, 1),
            (tiny, -1e3, inf),
        ],
    }
    for name, rows in table.items():
        *x, want = (np.array(column, dtype) for column in zip(*rows))
        got = _engine.apply(name, *x)
        np.testing.assert_array_equal(got, want, err_msg=name)
        signs = np.signbit(got)[want == 0], np.signbit(want)[want == 0]
        np.testing.assert_array_equal(*signs, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_of_sinc(dtype, simd_level):  # noqa: F811
    x = np.array([0.0, 1e-30, 1e-8, 0.3, 1.0, 2.5, 3.1415926, 6.0, 20.0, 1e3, 1e10], dtype)
    x = np.concatenate([x, -x])
    for order in (0, 1, 2, 5, 8):
        got = _engine.apply("sinxdivx", x, immediates=(order, 0.0))
        with mpmath.workdps(40):
            # int_0^1 t^n cos(xt + n pi/2) dt is the real part of i^n / (n+1) 1F1(n+1; n+2; ix)
            factor = mpmath.mpc(0, 1) ** order / (order + 1)
            want = [(factor * mpmath.hyp1f1(order + 1, order + 2, mpmath.mpc(0, float(v)))).real for v in x]
        bound = 40 * np.finfo(dtype).eps * np.minimum(1, (order + 2) / np.maximum(np.abs(x.astype(float)), 1))
        assert (np.abs(got - np.array(want, dtype=float)) <= bound).all(), order
    assert _engine.apply("sinxdivx", np.array([np.inf, -np.inf], dtype)).tolist() == [0, 0]


NEGATIVE = [-1e-300, -1e-30, -1e-9, -0.3, -0.499, -0.5, -0.51, -0.99, -1.5]
NEGATIVE += [-2.4570247382208006, -2.5, -3.01, -17.3, -1234.5, -1e6 - 0.25]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", GAMMA)
def test_gamma_functions_of_negative_arguments(name, dtype, simd_level):  # noqa: F811
    """Between the poles there are zeros, close to which the error is that of the terms."""
    x = np.array(NEGATIVE, dtype)
    x = x[x < 0]  # what float32 has no number for is -0
    got = _engine.apply(name, x)
    with mpmath.workdps(60):
        exact = [OTHERS[name][1](mpmath.mpf(float(v))) for v in x]
        want = np.array([float(getattr(value, "real", value)) for value in exact])
    size = np.abs(want) + (np.abs(x) * np.log(np.abs(x) + 2) if name == "lgamma" else np.log(np.abs(x) + 2) + 3)
    assert (np.abs(got - want) <= 4 * np.finfo(dtype).eps * size).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_of_digamma(dtype, simd_level):  # noqa: F811
    x = np.array([1e-3, 0.3, 1, 1.5, 2.5, 9.999, 10, 11.5, 26, 100, 1e4, -0.01, -0.3, -0.5, -2.75, -30.1], dtype)
    for order in (1, 2, 3, 8, 16):
        got = _engine.apply("digamma", x, immediates=(order, 0.0))
        with mpmath.workdps(60):
            want = np.array([float(mpmath.psi(order, mpmath.mpf(float(v)))) for v in x])
            parts = np.array([float(mpmath.psi(order, abs(mpmath.mpf(float(v))))) for v in x])
        with np.errstate(over="ignore"):
            bound = (8 + 2 * order) * np.finfo(dtype).eps * (np.abs(want) + (x < 0) * np.abs(parts)) + np.finfo(dtype).tiny
            want = want.astype(dtype)
        infinite = np.isinf(want)
        assert (got[infinite] == want[infinite]).all()
        assert (np.abs(got[~infinite] - want[~infinite].astype(float)) <= bound[~infinite]).all(), order
    poles = _engine.apply("digamma", np.array([0.0, -0.0, -1, -2, np.inf, -np.inf, np.nan], dtype), immediates=(1, 0.0))
    np.testing.assert_array_equal(poles, [np.inf] * 4 + [0, np.nan, np.nan])
    poles = _engine.apply("digamma", np.array([0.0, -0.0, -1], dtype), immediates=(2, 0.0))
    np.testing.assert_array_equal(poles, [-np.inf, np.inf, np.nan])
