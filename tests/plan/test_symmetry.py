"""The formula of the pair (j, i): its values are those of the formula with its arguments swapped, by NumPy."""

import numpy as np
import pytest

from skkeops.backends import reference
from skkeops.formula.expression import Variable
from skkeops.genred import Genred
from skkeops.plan.symmetry import swapped

ALIASES = ["x = Vi(2)", "y = Vj(2)", "b = Vj(2)", "p = Pm(1)"]
SYMMETRIC = [
    "SqDist(x, y)",
    "Exp(-p * SqDist(x, y))",
    "(x | y)",
    "x + y",
    "x * y",
    "Abs(x - y)",
    "Cos(x - y)",
    "Square(Sin(x - y))",
    "Sum(Square(x - y))",
    "(x - y) * Sin(x - y)",
    "Norm2(x - y)",
    "(x - y | y - x)",
]
ANTISYMMETRIC = ["x - y", "Sin(x - y)", "Sum(x - y) * SqDist(x, y)", "Tanh(p * (x - y))", "(x - y) / (IntCst(1) + SqDist(x, y))"]
NEITHER = [
    "Exp(x - y)",
    "x - IntCst(2) * y",
    "x * b",
    "Concat(x, y)",
    "Max(x)",
    "IfElse(x, y, b)",
    "x / y",
    "Exp(x) - y",
    "ReLU(x - y) + b",
]


@pytest.mark.parametrize("formula", SYMMETRIC + ANTISYMMETRIC + NEITHER)
def test_values_of_the_swapped_formula(formula):
    genred = Genred(formula, ALIASES, axis=1)
    (value,), (x, y, b, p) = genred._problem.values, genred.variables
    c = Variable(4, 2, 0)
    found = swapped(value, {x: y, y: x, b: c})
    if formula in SYMMETRIC:
        assert found is value
    if formula in ANTISYMMETRIC:
        assert found is -value
    rng = np.random.default_rng(0)
    points, weights, number = rng.normal(size=(5, 2)), rng.normal(size=(5, 2)), np.array([0.3])
    of_pairs = reference.evaluate_pairs(value, (x, y, b, p), (points, points, weights, number), 5, 5)
    turned = reference.evaluate_pairs(found, (x, y, c, p), (points, points, weights, number), 5, 5)
    np.testing.assert_allclose(turned, of_pairs.swapaxes(0, 1), rtol=1e-13, atol=1e-14)
