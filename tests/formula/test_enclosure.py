"""Bounds of formulas over boxes: they enclose what is computed, and are as close as they can be where that is known."""

import numpy as np
import pytest

from skkeops import Genred
from skkeops.formula import FormulaError, Variable, bounds
from skkeops.formula import operations as ops
from skkeops.formula.operations import registry
from skkeops.formula.operations.base import Operation

from .cases import CASES
from .enclosing import CHOSEN, run

X, Y, P = Variable(0, 2, 0), Variable(1, 2, 1), Variable(2, 1, 2)
NAMES = ["xl = Vi(0,2)", "xu = Vi(1,2)", "yl = Vj(2,2)", "yu = Vj(3,2)", "p = Pm(4,1)"]


def evaluate(f, x, y, p=1.0, dtype="float64"):
    """The bounds of a formula of X, Y and P over two boxes, each a pair of corners."""
    corners = [np.array([corner], dtype=float) for corner in (*x, *y)]
    lower, upper = bounds(f, dtype)[:2]
    return tuple(float(Genred(end, NAMES, "Max", axis=1)(*corners, p)[0, 0]) for end in (ops.Min(lower), ops.Max(upper)))


def test_computed_values_are_enclosed():
    # about ten million values; `python -m tests.formula.enclosing 100` checks more
    enclosed = run(1, seed=1)
    assert set(enclosed) == {case.name for case in CHOSEN}
    assert min(enclosed.values()) > 0
    assert sum(enclosed.values()) > 4e6


def test_every_operation_has_bounds():
    for case in CASES:
        args = [Variable(k, dim, k % 2) for k, dim in enumerate(case.dims)]
        assert bounds(registry[case.name].build(*args, *case.params)).boxes.keys() <= set(args)


def test_an_operation_without_bounds_is_named(monkeypatch):
    monkeypatch.setattr(ops.Exp, "bounds", Operation.bounds)
    with pytest.raises(FormulaError, match="Exp has no bounds"):
        bounds(ops.Exp(X) + 1)
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64': found 'float16'"):
        bounds(X, "float16")


BOX_X, BOX_Y = ([0.0, -1.0], [1.0, 1.0]), ([3.0, 0.5], [4.0, 0.75])
RANGES = {  # over the boxes above, by hand
    "SqDist": (ops.SqDist(X, Y), (4.0, 16 + 1.75**2)),
    "L1": (ops.Sum(ops.Abs(X - Y)), (2.0, 4 + 1.75)),
    "Chebyshev": (ops.Max(ops.Abs(X - Y)), (2.0, 4.0)),
    "Gaussian": (ops.Exp(-P * ops.SqDist(X, Y)), (np.exp(-16 - 1.75**2), np.exp(-4.0))),
    "cubic": (ops.Norm2(X - Y) ** 3, (8.0, (16 + 1.75**2) ** 1.5)),
    "dot": (X | Y, (-0.75, 4.75)),
    "sine": (ops.Sin(ops.Elem(Y, 0)), (np.sin(4.0), np.sin(3.0))),
    "crest": (ops.Cos(ops.Elem(X, 1)), (np.cos(1.0), 1.0)),
    "trough": (ops.Cos(ops.Elem(Y, 0)), (-1.0, np.cos(4.0))),
    "minimum": (ops.XLogX(ops.Elem(X, 0)), (-np.exp(-1), 0.0)),
    "choice": (ops.IfElse(ops.Elem(Y, 0) - 2, X, 100), (-1.0, 1.0)),
    "either": (ops.IfElse(ops.Elem(Y, 0) - 3.5, 7, 100), (7.0, 100.0)),
    "step": (ops.Step(ops.Elem(X, 1)), (0.0, 1.0)),
    "surely": (ops.Elem(X, 0) < ops.Elem(Y, 0), (1.0, 1.0)),
    "floor": (ops.Floor(Y), (0.0, 4.0)),
    "matrix": (ops.MatVecMult(ops.Concat(P, ops.Concat(2 * P, ops.Concat(P, P))), X), (-2.0, 3.0)),
}


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_exact_range_is_found(name, dtype):
    formula, (low, high) = RANGES[name]
    found = evaluate(formula, BOX_X, BOX_Y, 1.0, dtype)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(found, (low, high), rtol=200 * eps, atol=50 * eps)
    assert found[0] <= low
    assert found[1] >= high


@pytest.mark.parametrize(
    "formula",
    [
        ops.Log(ops.Elem(X, 1)),  # of negative numbers
        ops.Atan(ops.Sqrt(ops.Elem(X, 1))),  # NaN on the way to what would be bounded
        ops.Step(ops.Inv(ops.Elem(X, 1))),  # infinite on the way
        ops.Exp(ops.Exp(9 * ops.SqDist(X, Y))),  # overflows
        ops.Step(ops.Exp(ops.Exp(9 * ops.SqDist(X, Y))) - ops.Exp(ops.Exp(10 * ops.SqDist(X, Y)))),  # inf - inf
    ],
)
def test_nothing_is_claimed_where_a_value_may_be_nan_or_infinite(formula):
    assert evaluate(formula, BOX_X, BOX_Y) == (-np.inf, np.inf)


def test_nothing_is_claimed_of_boxes_that_are_not_finite():
    for bad in (np.nan, np.inf, -np.inf):
        assert evaluate(ops.Atan(ops.Elem(X, 0)), ([0.0, 0.0], [bad, 1.0]), BOX_Y) == (-np.inf, np.inf)
        assert evaluate(ops.Step(X | Y), ([bad, 0.0], [bad, 1.0]), BOX_Y) == (-np.inf, np.inf)


def test_overflow_is_that_of_the_computation():
    large = ops.Elem(Y, 0) * ops.IntCst(10**38)
    assert evaluate(large, BOX_X, BOX_Y, dtype="float32") == (-np.inf, np.inf)
    assert np.isfinite(evaluate(large, BOX_X, BOX_Y, dtype="float64")).all()
