"""Complex operations at the places where they are delicate, and what they cost; cases.py has their meaning elsewhere."""

import itertools

import mpmath
import numpy as np
import pytest

from skkeops import FormulaError, Genred
from skkeops.formula import Variable, gradient
from skkeops.formula import operations as ops

from .strategies import evaluate

Z, W = Variable(0, 2, 0), Variable(1, 6, 1)
X, Y, K, B = Variable(2, 3, 0), Variable(3, 3, 1), Variable(4, 1, 0), Variable(5, 2, 1)


def floats(z):
    return np.ascontiguousarray(z, dtype=complex).view(float)


def apply(e, z):
    """The values of an expression of `Z` at complex numbers, by the engine."""
    function = Genred(e, ["z = Vi(0,2)"], axis=1)
    return function(floats(np.asarray(z)[:, None])).view(complex)[:, 0]


def same(a, b):
    """Both parts equal to rounding."""
    np.testing.assert_allclose(a.real, b.real, rtol=4e-15)
    np.testing.assert_allclose(a.imag, b.imag, rtol=4e-15)


PLANE = [complex(a, b) for a, b in itertools.product([-2.0, -1e-9, -0.0, 0.0, 1e-9, 3.0], repeat=2)]


def test_branch_cuts_are_those_of_numpy():
    z = np.array([p for p in PLANE if p != 0])
    same(apply(ops.ComplexSqrt(Z), z), np.sqrt(z))
    same(apply(ops.ComplexLog(Z), z), np.log(z))
    np.testing.assert_allclose(apply(ops.ComplexPow(Z, 1.5), z), z * np.sqrt(z), rtol=1e-14, atol=1e-30)
    np.testing.assert_allclose(apply(ops.ComplexPow(Z, 0.3), z), np.exp(0.3 * np.log(z)), rtol=1e-14)
    np.testing.assert_array_equal(apply(ops.ComplexSqrt(Z), [0, -0.0]), [0, 0])
    assert apply(ops.ComplexLog(Z), [0])[0].real == -np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", ["CPU", "reference"])
def test_logarithms_near_absolute_values_of_one(backend, dtype):
    eps = np.finfo(dtype).eps
    rng = np.random.default_rng(3)
    near_axes = rng.integers(-1, 3, 300) * np.pi / 2 + rng.normal(size=300) * eps**0.6
    angles = np.concatenate([rng.uniform(-np.pi, np.pi, 300), near_axes])
    z = np.exp(1j * angles) * (1 + rng.uniform(-1, 1, 600) * 10.0 ** rng.uniform(np.log10(eps), -0.1, 600))
    parts = floats(z).reshape(-1, 2).astype(dtype)
    with mpmath.workdps(50):
        truth = np.array([float(mpmath.log(mpmath.hypot(*map(float, pair)))) for pair in parts])
    log, slope = (Genred(e, ["z = Vi(0,2)"], axis=1) for e in (ops.ComplexLog(Z), gradient(ops.ComplexLog(Z), Z, ops.Concat(1, 0))))
    error = np.abs(log(parts, backend=backend)[:, 0] - truth)
    smaller = np.abs(parts).min(1).astype(float)
    assert (error <= 3 * eps * np.abs(truth) + eps * np.where(np.abs(truth) < 0.35, smaller**2, 0)).all()
    wide = parts.astype(float)
    np.testing.assert_allclose(slope(parts, backend=backend), wide / (wide**2).sum(1, keepdims=True), rtol=10 * eps, atol=10 * eps)
    on_the_line = Genred("ComplexLog(Real2Complex(x))", ["x = Vi(1)"], axis=1)(parts[:, :1], backend=backend)
    np.testing.assert_allclose(on_the_line[:, 0], np.log(np.abs(wide[:, 0])), rtol=2 * eps)


def test_square_roots_do_not_cancel():
    z = np.array([1e6 + 1e-6j, -1e6 + 1e-6j, 1e-6 + 1e6j, -4 - 1e-13j, 1e-100 + 1e-110j, -1e100 + 1e80j])
    same(apply(ops.ComplexSqrt(Z), z), np.sqrt(z))


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 7, 64, -1, -2, -5, 0.5, -0.5, 2.5, 65, -80, 0.25, -1.7])
def test_powers_of_constant_exponents(exponent):
    z = np.exp(1j * np.linspace(-3, 3, 7)) * np.linspace(0.9, 1.1, 7)
    found = apply(ops.ComplexPow(Z, exponent), z)
    np.testing.assert_allclose(found, np.exp(exponent * np.log(z)), rtol=1e-13)


def test_powers_of_zero():
    for exponent, expected in ((0, 1), (1, 0), (2, 0), (0.5, 0), (0.3, 0), (65, 0)):
        assert apply(ops.ComplexPow(Z, exponent), [0])[0] == expected
    assert np.isnan(apply(ops.ComplexPow(Z, -1), [0])[0])
    assert np.isnan(apply(ops.ComplexInv(Z), [0])[0])


def differences(e, z, h=1e-6):
    """d(Re e + Im e)/dRe z + i d(...)/dIm z by central differences."""
    step = [(apply(e, z + d) - apply(e, z - d)) / (2 * h) for d in (h, 1j * h)]
    return step[0].real + step[0].imag + 1j * (step[1].real + step[1].imag)


FUNCTIONS = {
    "Sqrt": ops.ComplexSqrt(Z),
    "Log": ops.ComplexLog(Z),
    "Exp": ops.ComplexExp(Z),
    "Inv": ops.ComplexInv(Z),
    "Pow(3)": ops.ComplexPow(Z, 3),
    "Pow(-1.3)": ops.ComplexPow(Z, -1.3),
    "Pow(z)": ops.ComplexPow(Z, Z),
    "Divide": ops.ComplexDivide(ops.ComplexExp(Z), Z),
    "Abs": ops.Real2Complex(ops.ComplexAbs(Z)),
    "Angle": ops.Imag2Complex(ops.ComplexAngle(Z)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_on_the_axes(name):
    """On the axes the formulas change their branch, and the derivatives must not."""
    e, z = FUNCTIONS[name], np.array([2j, -3j, 0.5 + 0j, 1j, 1e-3 - 1j, -1 + 1j, -1 - 1e-3j])
    first = gradient(e, Z, ops.SumT(1, 2))
    np.testing.assert_allclose(apply(first, z), differences(e, z), rtol=1e-6)
    second = gradient(ops.Sum(first), Z, 1)
    np.testing.assert_allclose(apply(second, z), differences(first, z), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["Sqrt", "Abs", "Angle", "Pow(3)"])
def test_gradients_at_zero_are_zero(name):
    assert apply(gradient(FUNCTIONS[name], Z, ops.SumT(1, 2)), [0])[0] == 0


def test_gradients_on_the_cut_are_those_from_above():
    z = np.array([-2.0 + 0j])
    above = apply(gradient(ops.ComplexSqrt(Z), Z, ops.SumT(1, 2)), z)
    np.testing.assert_allclose(above, (1 + 1j) * np.conj(1 / (2 * np.sqrt(z))), rtol=1e-14)


def test_gradients_are_conjugate_derivatives():
    """Of a holomorphic f: e times the conjugate of f', in interleaved form."""
    e = Variable(9, 2, 0)
    z, g = np.array([0.3 - 0.8j]), np.array([1.5 + 0.7j])
    arrays = {Z: floats(z)[None], e: floats(g)[None]}
    for f, derivative in (
        (ops.ComplexExp, np.exp),
        (ops.ComplexLog, lambda z: 1 / z),
        (ops.ComplexSqrt, lambda z: z**-0.5 / 2),
    ):
        found = evaluate(gradient(f(Z), Z, e), arrays).view(complex)
        np.testing.assert_allclose(found[0], g * np.conj(derivative(z)), rtol=1e-14)


def test_products_with_what_is_real_stay_products():
    assert ops.ComplexMult(ops.Real2Complex(K), B) is K * B
    assert ops.ComplexDivide(W, ops.Real2Complex(K)) is ops.Complex(ops.ComplexReal(W) / K, ops.ComplexImag(W) / K)
    assert ops.Complex(ops.ComplexReal(W), ops.ComplexImag(W)) is W
    assert ops.Conj(ops.Conj(W)) is W
    assert ops.ComplexAdd(ops.Real2Complex(X), ops.Imag2Complex(Y)) is ops.Complex(X, Y)
    assert ops.Elem(ops.Complex(X, Y), 3) is ops.Elem(Y, 1)
    assert ops.Elem(ops.ComplexImag(W), 2) is ops.Elem(W, 5)
    assert ops.ComplexReal(ops.Complex(X, Y)) is X


def test_nothing_is_copied_per_pair():
    formulas = {
        "ComplexMult(ComplexExp1j(x|y), b)": ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)"],
        "ComplexMult(z, w)": ["z = Vi(6)", "w = Vj(6)"],
        "ComplexMult(z, ComplexExp(w))": ["z = Vi(2)", "w = Vj(6)"],
        "ComplexDivide(ComplexAdd(z, w), ComplexSubtract(z, w))": ["z = Vi(4)", "w = Vj(4)"],
        "Concat(x + y, Concat(x * y, x / y))": ["x = Vi(3)", "y = Vj(3)"],
    }
    for formula, aliases in formulas.items():
        text = Genred(formula, aliases, axis=1).explain()
        assert "copy" not in text, text
    assert "mul" not in Genred("ComplexRealScal(k, b)", ["k = Vi(1)", "b = Vj(2)"], axis=1).explain()


def test_many_components_of_one():
    """More columns than planes: what is replicated is read, and cleared, as one."""
    for n in (1, 65, 130):
        b = np.arange(n, dtype=np.float32)[:, None]
        found = Genred("SumT(b, 5000)", ["b = Vj(1)", "x = Vi(1)"], axis=1)(b, np.zeros((3, 1), np.float32))
        np.testing.assert_array_equal(found, np.full((3, 5000), b.sum()))


def test_complex_arrays_are_refused_with_advice():
    function = Genred("ComplexMult(z, w)", ["z = Vi(2)", "w = Vj(2)"], axis=1)
    z = np.array([[1 + 2j]])
    with pytest.raises(
        TypeError, match=r"'z' = Vi\(2\): found dtype complex128.*a\.view\(a\.real\.dtype\).*LazyTensor"
    ):
        function(z, z)
    np.testing.assert_array_equal(function(z.view(z.real.dtype), z.view(z.real.dtype)).view(complex), z * z)


@pytest.mark.parametrize("text", ["ComplexReal(x)", "Conj(x)", "ComplexExp(k)", "ComplexSum(x)", "ComplexPow(x, 2)"])
def test_odd_dims_are_refused(text):
    with pytest.raises(FormulaError, match="has an even dim .real and imaginary parts., got [13]"):
        Genred(text, ["x = Vi(3)", "k = Vj(1)"])
