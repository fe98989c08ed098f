"""Derivatives of choices: of what is chosen alone, whatever the rest is, in every order and direction."""

import itertools

import mpmath
import numpy as np
import pytest

from skkeops.formula import Variable, gradient, parse, postorder, tangent
from skkeops.formula import operations as ops

from .strategies import evaluate

X, T, U = Variable(0, 1, 0), Variable(1, 1, 0), Variable(2, 1, 0)
NAMES = {"x": X, "t": T, "u": U}

# at these points they, or their derivatives, are infinite or not a number; first those that are not a number themselves
NAN = [("Sqrt(x)", -2.0), ("Log(x)", -2.0), ("Acos(x)", 2.0), ("Powf(x,0.3)", -1.0), ("Rsqrt(x)", -1.0), ("x-x/Abs(x)", 0.0)]
LOW = [("Log(x)", 0.0), ("-Inv(Square(x))", 0.0), ("-Exp(x*x*x)", 30.0), ("x-Exp(Inv(x))", 0.0)]
FINITE = [("XLogX(x)-9", 0.0), ("Powf(x,0.3)-9", 0.0), ("Acos(x)-9", 1.0), ("Sqrt(Powf(x,1.5))-9", 0.0)]
TAKEN = "(x*x*x+Sin(x)+2)"

# the choice, and its value as a function of what is chosen, t being -1
ANY = [
    ("IfElse(t,{f},{g})", lambda g: g),
    ("IfElse(-t,{g},{f})", lambda g: g),
    ("IfElse(t,{f},0)+{g}", lambda g: g),
    ("Square(IfElse(t,{f},{g}))", lambda g: g * g),
    ("IfElse(t,Exp({f}),IfElse(-t,{g},Sin({f})))", lambda g: g),
    ("IfElse(-t,IfElse(t,{f},{g}),{f}*x)", lambda g: g),
    ("IfElse(t,{f},{g})*IfElse(-t,{g},Square({f}))", lambda g: g * g),
    ("IfElse(t,{f}*{g},{g})*{g}", lambda g: g * g),
    ("IfElse(t,{f},IfElse(t-1,{f},x))*0.5 + {g}-x/2", lambda g: g),
    ("Sum(IfElse(Concat(t,-t),Concat({f},{g}),Concat({g},{f})))", lambda g: 2 * g),
    ("Sum(IfElse(Concat(t,-t),SumT({g},2),Concat(Inv({g}),{f})))", lambda g: 1 / g + g),
    ("Sum(IfElse(Concat(t,-t),MatVecMult(Concat(SumT({f},2),SumT({g},2)),Concat({g},1)),0))", lambda g: g * g + g),
    ("Sum(IfElse(Concat(t,-t),VecMatMult(Concat({g},2),Concat(Concat({f},{g}),Concat({f},{g}))),1))", lambda g: g * g + 2 * g + 1),
    ("Elem(ComplexMult(Complex(IfElse(t,{f},{g}),0),Complex({g},1)),1)", lambda g: g),
]
LARGEST = [
    ("Max(Concat({g},{f}))", lambda g: g),
    ("Max(Concat({f},Concat(-4,{g})))", lambda g: g),
    ("Min(Concat(-({f}),{g}))*Min(Concat({g},2-({f})))", lambda g: g * g),
    ("Clamp({f},{g},Inv(Square(x)))", lambda g: g),
    ("Clamp({g},{f},99000)", lambda g: g),
    ("Clamp({g},-99000,-({f}))", lambda g: g),
    ("Clamp(-({f}),-1,{g})", lambda g: g),
    ("{g}+ReLU({f})", lambda g: g),
    ("{g}+ClampInt({f},-1,1)", lambda g: g - 1),
    ("IfElse({f},{f},{g})", lambda g: g),
]


CASES = [*itertools.product(NAN + LOW + FINITE, ANY), *itertools.product(LOW + FINITE, LARGEST)]
DIRECTIONS = ["", "g", "t", "gg", "gt", "tg", "tt", "ggg", "gtg", "tgt"]  # gradients and tangents, one after the other


def true_derivatives(value, x):
    coefficients = mpmath.taylor(lambda z: value(z**3 + mpmath.sin(z) + 2), x, 3)
    return [float(c * mpmath.factorial(k)) for k, c in enumerate(coefficients)]


@pytest.mark.parametrize(("bad", "choice"), CASES, ids=[f"{text.format(f=f, g='g')} at {x}" for (f, x), (text, _) in CASES])
def test_derivatives_of_what_is_chosen(bad, choice):
    (f, x), (text, value) = bad, choice
    expected = true_derivatives(value, x)
    formulas = {"": parse(text.format(f=f, g=TAKEN), NAMES)}
    arrays = {X: np.array([x]), T: np.array([-1.0]), U: np.array([1.0])}
    for which in DIRECTIONS:
        if which:
            e = formulas[which[:-1]]
            formulas[which] = gradient(e, X, 1) if which[-1] == "g" else tangent(e, {X: U})
        got = np.broadcast_to(evaluate(formulas[which], arrays), 1)
        np.testing.assert_allclose(got, expected[len(which) : len(which) + 1], rtol=1e-10, atol=1e-10, err_msg=which)


def test_the_derivative_by_what_is_not_chosen_is_zero():
    v = Variable(3, 3, 0)
    arrays = {v: np.array([0.0, 4.0, 0.0]), X: np.array([1.0])}
    for text, expected in [
        ("Max(Sqrt(v)-1/v)", [0, 0.25 + 1 / 16, 0]),
        ("Sum(IfElse(v-1,Log(v),x))", [0, 0.25, 0]),
        ("Sum(ReLU(Log(v)))", [0, 0.25, 0]),
        ("Sum(Clamp(-Inv(v),-1,1))", [0, 1 / 16, 0]),
        ("Sum(ClampInt(Log(v),0,2))", [0, 0.25, 0]),
    ]:
        formula = parse(text, {"v": v, "x": X})
        np.testing.assert_allclose(evaluate(gradient(formula, v, 1), arrays), expected, err_msg=text)
        for k in range(3):
            along = evaluate(tangent(formula, {v: ops.ElemT(1, 3, k)}), arrays)
            np.testing.assert_allclose(along, expected[k : k + 1], err_msg=text)


def test_infinite_directions_do_not_meet_zeros():
    for text in ("Grad(ReLU(x),x,u)", "Grad(Clamp(x,0,1),x,u)", "Grad(ClampInt(x,0,1),x,u)", "Grad(IfElse(x,x,2),x,u)"):
        arrays = {X: np.array([-1.0]), U: np.array([np.inf])}
        np.testing.assert_array_equal(evaluate(parse(text, NAMES), arrays), [0], err_msg=text)


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize(
    "step",
    [
        lambda f: ops.IfElse(f, ops.Sin(f), ops.Cos(f)),
        lambda f: ops.IfElse(T, ops.Sin(f), f * X),
        lambda f: ops.Max(ops.Concat(ops.Sin(f), X)),
        lambda f: ops.Clamp(ops.Sin(f), f * f, X),
        lambda f: ops.IfElse(f - 1, ops.Sin(f), ops.IfElse(f, ops.ReLU(f), X * f)),
        lambda f: ops.ReLU(ops.Sin(f) * f),
    ],
)
def test_chains_of_choices_have_derivatives_as_large_as_they_are(step, second):
    sizes = []
    for n in (20, 40):
        f = X
        for _ in range(n):
            f = step(f)
        g = gradient(f, X, 1)
        sizes.append(len(postorder(tangent(g, {X: U}) if second else g)))
    assert sizes[1] <= 2.2 * sizes[0] + 10 if not second else sizes[1] <= 5 * sizes[0]
