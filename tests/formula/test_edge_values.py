"""The conventions at zeros, kinks, ties, infinities and NaN."""

import math
from fractions import Fraction

import numpy as np
import pytest

from skkeops.formula import Variable, gradient, parse
from skkeops.formula import operations as ops

from .strategies import evaluate

inf, nan = np.inf, np.nan
X, A, B = (Variable(k, 1, 0) for k in range(3))
V = Variable(3, 4, 0)
NAMES = {"x": X, "a": A, "b": B, "v": V}


def value(text, **arrays):
    given = {NAMES[name]: np.atleast_1d(np.asarray(array, float)) for name, array in arrays.items()}
    return evaluate(parse(text, NAMES), given)


@pytest.mark.parametrize(
    ("text", "x", "expected"),
    [
        ("Abs(x)", -1.5, 1.5),
        ("Grad(Abs(x),x,1)", -2, -1),
        ("Sign(x)", 3, 1),
        ("Sign(x)", -0.1, -1),
        ("Floor(x)", -0.5, -1),
        ("ReLU(x)", 2, 2),
        ("x==1", 1, 1),
        ("x!=1", 1, 0),
        ("x<1", 1, 0),
        ("x<=1", 1, 1),
        ("x>1", 1, 0),
        ("x>=1", 1, 1),
        ("DiffClampInt(x,0,1)", nan, 1),
        ("Inv(x)", 0, inf),
        ("Log(x)", 0, -inf),
        ("Exp(x)", -inf, 0),
        ("XLogX(x)", 0, 0),
        ("Step(x)", 0, 1),
        ("Step(x)", -0.0, 1),
        ("Step(x)", nan, 1),
        ("Step(x)", -1, 0),
        ("Sign(x)", 0, 0),
        ("Sign(x)", nan, 0),
        ("Sign(x)", -inf, -1),
        ("ReLU(x)", nan, nan),
        ("ReLU(x)", -1, 0),
        ("Grad(ReLU(x),x,1)", 0, 1),
        ("Grad(Abs(x),x,1)", 0, 0),
        ("Rsqrt(x)", 0, 0),
        ("Rsqrt(x)", inf, 0),
        ("Rsqrt(x)", -1, nan),
        ("Rsqrt(x)", nan, nan),
        ("Grad(Rsqrt(x),x,1)", 0, 0),
        ("Grad(Sqrt(x),x,1)", 0, 0),
        ("Grad(Norm2(x),x,1)", 0, 0),
        ("Normalize(x)", 0, 0),
        ("Grad(Asin(x),x,1)", 1, 0),
        ("Grad(Acos(x),x,1)", -1, 0),
        ("Round(x,0)", 0.5, 1),
        ("Round(x,0)", 2.5, 3),
        ("Round(x,0)", -0.5, -1),
        ("Round(x,0)", 0.49999999999999994, 0),
        ("Round(x,1)", 0.25, 0.3),
        ("Round(x,-1)", 25, 30),
        ("Round(x,0)", inf, inf),
        ("Round(x,0)", nan, nan),
        ("Mod(x,3,0)", -1, 2),
        ("Mod(x,3,0)", 3, 0),
        ("Mod(x,49,0)", 49, 0),
        ("Mod(x,-3,0)", 1, -2),
        ("Mod(x,4,-2)", 3, -1),
        ("Mod(x,4,-2)", 2, -2),
        ("Floor(x/49)", 49, 1),
        ("Clamp(x,0,1)", nan, nan),
        ("Clamp(x,0,1)", inf, 1),
        ("Clamp(x,1,1)", 7, 1),
        ("Grad(Clamp(x,1,1),x,1)", 7, 0),
        ("Grad(Clamp(x,0,1),x,1)", 0, 1),
        ("Grad(Clamp(x,0,1),x,1)", 1, 1),
        ("Grad(Clamp(x,0,1),x,1)", 1.5, 0),
        ("ClampInt(x,0,1)", nan, nan),
        ("DiffClampInt(x,0,1)", 1, 1),
        ("DiffClampInt(x,0,1)", 0, 1),
        ("DiffClampInt(x,0,1)", -0.1, 0),
        ("IfElse(x,1,2)", 0, 1),
        ("IfElse(x,1,2)", -0.0, 1),
        ("IfElse(x,1,2)", nan, 2),
        ("IfElse(x,1,2)", -1, 2),
        ("x==x", nan, 0),
        ("x!=x", nan, 1),
        ("x<x", nan, 0),
        ("0*x", inf, 0),
        ("0*x", nan, 0),
        ("x-x", inf, 0),
        ("SinXDivX(x)", 0, 1),
        ("SinXDivX(x)", inf, 0),
        ("SinXDivX(x)", nan, nan),
        ("Grad(SinXDivX(x),x,1)", 0, 0),
        ("Grad(Grad(SinXDivX(x),x,1),x,1)", 0, -1 / 3),
        ("SinXDivX(x,4)", 0, 1 / 5),
        ("SinXDivX(x,4)", 1e-9, 1 / 5),
        ("x**0", nan, 1),
        ("x**-0.5", 0, inf),
        ("Powf(x,0.3)", -1, nan),
        ("Powf(x,2)", -3, 9),
        ("Pow(x,3)", -2, -8),
        ("Pow(x,-2)", 0, inf),
        ("Atan2(x,-1)", 0, np.pi),
    ],
)
def test_edge_value(text, x, expected):
    np.testing.assert_allclose(value(text, x=x), [expected], rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("name", "v", "expected"),
    [
        ("ArgMax", [1, 3, 3, 0], 1),
        ("ArgMin", [1, 0, 3, 0], 1),
        ("ArgMax", [1, nan, 3, nan], 2),
        ("ArgMax", [nan, 1, 3, 2], 0),
        ("Max", [nan, 1, 3, 2], nan),
        ("Max", [1, nan, 3, 2], 3),
        ("Min", [1, nan, -3, 2], -3),
        ("ArgMax", [-inf] * 4, 0),
    ],
)
def test_extrema(name, v, expected):
    np.testing.assert_array_equal(value(f"{name}(v)", v=v), [expected])


def test_gradient_of_an_extremum_goes_to_the_first():
    np.testing.assert_array_equal(value("Grad(Max(v),v,2)", v=[1, 3, 3, 0]), [0, 2, 0, 0])
    np.testing.assert_array_equal(value("Grad(Min(v),v,2)", v=[1, 0, 3, 0]), [0, 2, 0, 0])
    np.testing.assert_array_equal(value("Grad(ArgMin(v),v,2)", v=[1, 0, 3, 0]), [0, 0, 0, 0])


@pytest.mark.parametrize(
    ("index", "expected"),
    [(0, 0), (1.4, 1), (1.5, 2), (-0.4, 0), (-1.4, 0), (-1.5, None), (4, None), (nan, None)],
)
def test_one_hot(index, expected):
    np.testing.assert_array_equal(
        value("OneHot(x,4)", x=index), np.zeros(4) if expected is None else np.eye(4)[expected]
    )


def test_selection_of_a_branch_hides_the_other():
    """The gradient of the branch that is not taken does not leak, even if it is infinite."""
    np.testing.assert_array_equal(value("Grad(IfElse(x,1,Log(x)),x,1)", x=2.0), [0])
    e = Variable(5, 1, 0)
    g = gradient(ops.IfElse(X, A, B), A, e)
    given = {X: np.array([-1.0]), e: np.array([inf])}
    np.testing.assert_array_equal(evaluate(g, given), [0])


@pytest.mark.parametrize("n", range(8))
def test_sinc_derivatives_meet_where_methods_change(n):
    mpmath = pytest.importorskip("mpmath")
    x = np.array([n + 1.0, np.nextafter(n + 1.0, 99), -(n + 1.0), n + 3.5, 0.1, 50.0])
    expected = [
        float(mpmath.quad(lambda t, x=x: t**n * mpmath.cos(x * t + n * mpmath.pi / 2), range(2))) for x in x[:5]
    ]
    got = value(f"SinXDivX(x,{n})", x=x[:, None])[:, 0]
    np.testing.assert_allclose(got[:5], expected, rtol=1e-11, atol=1e-14)


def test_bspline_with_repeated_knots_and_outside():
    knots, x = Variable(0, 6, 2), Variable(1, 1, 0)
    e = ops.BSpline(knots, x, 2)
    t = np.array([0, 0, 0, 1, 1, 1.0])
    x_values = np.array([0.0, 0.25, 0.9, -0.5, 1.5])[:, None]
    s = np.clip(x_values, 0, 1)
    inside = (x_values >= 0) & (x_values < 1)
    bernstein = np.hstack([(1 - s) ** 2, 2 * s * (1 - s), s**2]) * inside
    np.testing.assert_allclose(evaluate(e, {knots: t, x: x_values}), bernstein, atol=1e-15)
    g = gradient(e, x, ops.Concat(ops.Concat(1, 0), 0))
    np.testing.assert_allclose(evaluate(g, {knots: t, x: x_values}), -2 * (1 - s) * inside, atol=1e-14)
    assert np.isfinite(evaluate(gradient(ops.Sum(e), knots, 1), {knots: t, x: x_values})).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [-300, -50, -39, -38, -5, -1, 0, 1, 7, 20, 37, 38, 39, 45, 60, 300])
def test_round_at_any_number_of_decimals(d, dtype):
    """The multiple of a power of ten that is nearest to the number as it is stored, of the two if there are two: exactly."""
    numbers = [0.0, -0.0, 1.0, -2.5, 123456.78, 3e38, -1.7e38, 9.6e-30, 1.23456e-38, -7e-42, 6.5e-45, 2.4999999]
    numbers += [1.5e300, -2.2e-300] if dtype is np.float64 else []
    x = np.array(numbers, dtype)
    special = np.array([inf, -inf, nan], dtype)
    with np.errstate(all="ignore"):
        found = ops.Round(X, d).numpy(x)
        np.testing.assert_array_equal(ops.Round(X, d).numpy(special), special)
    assert found.dtype == dtype
    unit = Fraction(10) ** -d
    with np.errstate(over="ignore"):
        expected = np.array([float(math.floor(abs(Fraction(float(v))) / unit + Fraction(1, 2)) * unit) for v in x]).astype(dtype)
    info = np.finfo(dtype)
    np.testing.assert_allclose(found, np.copysign(expected, x), rtol=2 * info.eps, atol=2 * float(info.smallest_subnormal))
    np.testing.assert_array_equal(np.signbit(found), np.signbit(x))


@pytest.mark.parametrize("g", [0.0, 0.5, 1.0, 2.5])
def test_derivatives_of_a_power_of_zero(g):
    assert value("Grad(Powf(x,a),a,1)", x=0.0, a=g) == 0
    assert value("Grad(Powf(x,a),x,1)", x=0.0, a=g) == {0.0: 0, 0.5: inf, 1.0: 1, 2.5: 0}[g]
    assert value("Diff(Powf(x,a),a,1)", x=0.0, a=g) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_digits_are_lost_where_a_difference_is_small(dtype):
    """Slopes of the arc sine near its ends, splines near the ends of their supports: against exact arithmetic."""
    eps = np.finfo(dtype).eps
    x = (1 - np.array([1, 3, 1000, 1e5]) * eps).astype(dtype)
    for sign in (1, -1):
        for text, factor in (("Grad(Asin(x),x,1)", 1), ("Grad(Acos(x),x,1)", -1)):
            found = evaluate(parse(text, NAMES), {X: sign * x[:, None]})[:, 0]
            exact = [factor / math.sqrt(1 - Fraction(float(v)) ** 2) for v in x]
            np.testing.assert_allclose(found, exact, rtol=8 * eps)
    knots = Variable(0, 4, 2)
    spline = ops.BSpline(knots, Variable(1, 1, 0), 2)
    near = (3 - np.array([1, 2, 100]) * 2 * eps).astype(dtype)
    found = evaluate(spline, {knots: np.arange(4).astype(dtype), Variable(1, 1, 0): near[:, None]})[:, 0]
    np.testing.assert_allclose(found, [(3 - float(v)) ** 2 / 2 for v in near], rtol=8 * eps)
