"""A formula of the user's own as a kernel: its variables, its parameters and its messages."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process import kernels as gp

import skkeops
from skkeops import Formula, FormulaError, Genred, kernels

from .truth import CASES, log_matrix, samples

X1 = np.ones((2, 1))
FOUR = ["x = Vi(1)", "y = Vj(1)", "a = Vj(1)", "p = Pm(1)"]


@pytest.fixture
def X(rng):
    return rng.normal(size=(6, 3))


@pytest.fixture
def Y(rng):
    return rng.normal(size=(4, 3))


def test_one_class():
    assert skkeops.Formula is kernels.Formula


class TestSamples:
    def test_all_columns(self, X, Y):
        kernel = Formula("Exp(-g * SqDist(x, y))", g=0.3)
        np.testing.assert_allclose(kernel(X, Y), np.exp(-0.3 * cdist(X, Y, "sqeuclidean")), rtol=1e-13)
        np.testing.assert_allclose(kernel(X[:, :1], Y[:, :1]), np.exp(-0.3 * (X[:, :1] - Y[:, 0]) ** 2), rtol=1e-13)
        np.testing.assert_array_equal(kernel.diag(X), np.ones(6))
        assert kernel.columns(0) is None and kernel.columns(1) is None
        with pytest.raises(ValueError, match="same features: found 2 .* and 3"):
            kernel(X[:, :2], Y)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_columns_of_their_own(self, X, Y, dtype):
        kernel = Formula("Square(p - a) * Exp(x + y)", FOUR, p=0.37)
        x, y = X[:, :1].astype(dtype), Y[:, :2].astype(dtype)
        expected = (0.37 - y[:, 1]) ** 2 * np.exp(x + y[:, 0])
        assert kernel.columns(0) == [("x", 1)]
        assert kernel.columns(1) == [("y", 1), ("a", 1)]
        assert kernel.query_columns(2) == 1
        found = kernel(x, y)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == np.float32 else 1e-13)

    def test_bound(self, X, Y):
        """What estimators reduce, and the same from the text of it."""
        kernel = Formula("Square(p - a) * Exp(x + y)", FOUR, p=0.37)
        bound = kernel.bind(1, 2)
        assert [v.dim for v in bound.variables] == [1, 2, 1]
        x, y = X[:, :1], Y[:, :2]
        for formula, aliases in (
            (bound.exponent, [str(v) for v in bound.variables]),
            (kernel.formula(2), ["x = Vi(1)", "y = Vj(2)", "p = Pm(1)"]),
        ):
            lse = Genred(formula, aliases, "LogSumExp", axis=1)(x, y, *bound.parameter_arrays(np.float64))
            expected = np.log(np.exp((0.37 - y[:, 1]) ** 2 * np.exp(x + y[:, 0])).sum(axis=1, keepdims=True))
            np.testing.assert_allclose(lse, expected, rtol=1e-13)

    def test_vectors_of_columns(self, X, Y):
        """Columns are taken in the order of the declarations, of each kind by itself."""
        kernel = Formula(
            "SqDist(u, v) * s - (w | w) * t",
            ["s = Vj(1)", "t = Vi(1)", "v = Vj(2)", "u = Vi(2)", "w = Pm(2)"],
            w=[1, 2],
        )
        expected = cdist(X[:, 1:], Y[:, 1:], "sqeuclidean") * Y[:, 0] - 5 * X[:, :1]
        np.testing.assert_allclose(kernel(X, Y), expected, rtol=1e-12)

    def test_positions_are_the_order(self, X, Y):
        kernel = Formula("a - 2 * b", ["a = Vi(1, 1)", "b = Vi(0, 1)", "c = Vj(2, 1)"])
        np.testing.assert_allclose(kernel(X[:, :2], Y[:, :1]), np.tile(X[:, 1:2] - 2 * X[:, :1], (1, 4)), rtol=1e-13)

    def test_only_one_side(self, X, Y):
        np.testing.assert_array_equal(Formula("a", ["a = Vj(1)"])(X, Y[:, :1]), np.tile(Y[:, 0], (6, 1)))
        np.testing.assert_array_equal(Formula("b", ["b = Vi(1)"])(X[:, :1], Y), np.tile(X[:, :1], (1, 4)))
        np.testing.assert_array_equal(Formula("2.5")(X, Y), np.full((6, 4), 2.5))

    def test_in_a_sum(self, X, Y):
        """Kernels that do not look at the columns go with any."""
        x, y = X[:, :1], Y[:, :2]
        kernel = 2.0 * Formula("x * y + a", ["x = Vi(1)", "y = Vj(1)", "a = Vj(1)"]) + kernels.White(5.0)
        kernel += Formula("p * x", ["x = Vi(1)", "z = Vj(2)"], p=3.0)
        assert kernel.query_columns(2) == 1
        assert kernel.bind(1, 2).values.keys() == {
            "k1__k1__k1__constant_value",
            "k1__k2__noise_level",
            "k2__p",
        }
        np.testing.assert_allclose(kernel(x, y), 2 * (x * y[:, 0] + y[:, 1]) + 3 * x, rtol=1e-12)
        with pytest.raises(ValueError, match="Gaussian compares samples with the same features: found 1 .* and 2"):
            (kernel + kernels.Gaussian())(x, y)

    def test_not_a_number(self, X):
        with pytest.raises(ValueError, match="a kernel must be a number: found a formula with 3 components"):
            Formula("x - y")(X)


class TestParameters:
    def test_vectors(self, X, Y):
        w = np.array([0.5, 1.0, 2.0])
        for variables in (None, ["x = Vi(3)", "y = Vj(3)", "w = Pm(3)"], ["x = Vi(3)", "y = Vj(3)"]):
            kernel = Formula("Exp(-SqDist(w * x, w * y))", variables, w=w)
            np.testing.assert_allclose(kernel(X, Y), np.exp(-cdist(w * X, w * Y, "sqeuclidean")), rtol=1e-12)

    @pytest.mark.parametrize("g", [2, 2.0, np.float32(2), [2.0], np.array(2)], ids=repr)
    def test_forms_of_a_number(self, g, X):
        np.testing.assert_array_equal(Formula("g * (x | y)", g=g)(X), Formula("2 * (x | y)")(X))

    @pytest.mark.parametrize("g", [0.0, -1.5])
    def test_any_sign(self, g, X):
        np.testing.assert_allclose(Formula("g * (x | y)", g=g)(X), g * X @ X.T, rtol=1e-12, atol=1e-14)

    def test_set_and_get(self, X):
        kernel = Formula("g * (x | y)", g=2.0)
        params = {"formula": "g * (x | y)", "variables": None, "bounds": None, "active_dims": None, "g": 2.0}
        assert kernel.get_params() == params
        assert kernel.set_params(g=3.0) is kernel
        assert kernel.g == 3.0
        np.testing.assert_allclose(kernel(X), 3 * X @ X.T)
        kernel.set_params(formula="g + x - x")
        np.testing.assert_array_equal(kernel(X1), np.full((2, 2), 3.0))

    def test_attributes(self):
        kernel = Formula("g * (x | y)", g=2.0)
        kernel.g = 5.0
        assert kernel.get_params()["g"] == 5.0
        np.testing.assert_array_equal(kernel(X1), np.full((2, 2), 5.0))
        with pytest.raises(AttributeError, match="'Formula' object has no attribute 'h'"):
            _ = kernel.h

    def test_awkward_names(self):
        kernel = Formula("theta + diag * a__b", theta=1.0, diag=2.0, a__b=3.0, bounds={"theta": (0.1, 10)})
        np.testing.assert_array_equal(kernel(X1), np.full((2, 2), 7.0))
        np.testing.assert_allclose(kernel.clone_with_theta([math.log(2)])(X1), np.full((2, 2), 8.0))
        total = kernel + kernels.White()
        np.testing.assert_array_equal(total.set_params(k1__a__b=0.0)(X1, X1), np.ones((2, 2)))

    def test_numbers_change_no_expression(self):
        a, b = Formula("g * (x | y)", g=2.0).bind(3), Formula("g * (x | y)", g=5.0).bind(3)
        assert a.expression is b.expression


class TestTuning:
    def kernel(self):
        bounds = {"w": (0.1, 10.0), "b": [(0.5, 2.0)], "f": "fixed"}
        return Formula("b * Exp(-f * SqDist(x / w, y / w)) + c", bounds=bounds, w=[0.5, 1.0, 2.0], b=1.5, c=-1.0, f=0.5)

    def test_theta(self):
        kernel = self.kernel()
        assert [(h.name, h.n_elements, h.fixed) for h in kernel.hyperparameters] == [
            ("b", 1, False),
            ("f", 1, True),
            ("w", 3, False),
        ]
        np.testing.assert_allclose(kernel.theta, np.log([1.5, 0.5, 1.0, 2.0]))
        np.testing.assert_allclose(kernel.bounds, np.log([[0.5, 2.0], *[[0.1, 10.0]] * 3]))
        moved = kernel.clone_with_theta(kernel.theta + 1)
        np.testing.assert_allclose(moved.w, np.exp(1) * np.array([0.5, 1.0, 2.0]))
        assert moved.c == -1.0
        assert kernel.b == 1.5
        assert Formula("g", g=1.0).theta.shape == (0,)

    def test_like_a_kernel_of_scikit_learn(self, X):
        ours, theirs = self.kernel().set_params(c=0.0), gp.ConstantKernel(1.5) * gp.RBF([0.5, 1.0, 2.0])
        for a, b in zip(ours(X, eval_gradient=True), theirs(X, eval_gradient=True), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)

    def test_gaussian_process(self, rng):
        X = rng.uniform(-2, 2, (30, 1))
        y = np.sin(3 * X[:, 0]) + rng.normal(size=30) / 10
        ours = Formula("Exp(-SqDist(x, y) / (2 * l * l))", bounds={"l": (1e-5, 1e5)}, l=1.0)
        found, expected = (GaussianProcessRegressor(k, alpha=0.01).fit(X, y) for k in (ours, gp.RBF(1.0)))
        assert found.kernel_.l == pytest.approx(expected.kernel_.length_scale, rel=1e-4)
        assert found.kernel_.l != 1.0
        np.testing.assert_allclose(found.predict(X), expected.predict(X), rtol=1e-3, atol=1e-4)


ERRORS = {
    "no value": (
        lambda: Formula("x * p", ["x = Vi(1)", "p = Pm(1)"]),
        ValueError,
        r"'p' of the formula has no value: expected p=\.\.\.",
    ),
    "undeclared": (lambda: Formula("x * q"), FormulaError, "q"),
    "syntax": (lambda: Formula("x * "), FormulaError, "x "),
    "no name": (
        lambda: Formula("y", ["Vi(1)", "y = Vj(1)"]),
        FormulaError,
        r"must have a name: found Var\(0,1,0\) without one",
    ),
    "nameless": (lambda: Formula("y * Var(0, 1, 0)"), FormulaError, r"must have a name\n.*\n {8}\^{12}$"),
    "nameless parameter": (lambda: Formula("p * Pm (2, 1)", p=1.0), FormulaError, "must have a name"),
    "nameless column": (lambda: Formula("x * Vi(1000, 1)", ["x = Vi(1)"]), FormulaError, "must have a name"),
    "dim": (
        lambda: Formula("x * (p | p)", ["x = Vi(1)", "p = Pm(2)"], p=[1.0] * 3),
        ValueError,
        "'p' .* must have 2 values, .* Got 3 values instead",
    ),
    "variable with a value": (
        lambda: Formula("x * a", ["x = Vi(1)", "a = Vj(1)"], a=1.0),
        ValueError,
        "'a' is a variable .* given as samples",
    ),
    "x": (lambda: Formula("x * y", x=1.0), ValueError, "'x' stands for the samples"),
    "y": (lambda: Formula("x * y", y=1.0), ValueError, "'y' stands for the samples"),
    "x beside variables": (lambda: Formula("x * a", ["a = Vi(1)"], x=1.0), ValueError, "'x' stands for the samples"),
    "declared y": (
        lambda: Formula("y * a", ["a = Vi(1)", "y = Pm(1)"], y=1.0),
        ValueError,
        "'y' stands for the samples",
    ),
    "formula": (lambda: Formula(3), TypeError, "'formula' parameter of Formula must be a string. Got 3 instead"),
    "variables": (
        lambda: Formula("x", "x = Vi(1)"),
        TypeError,
        "'variables' parameter of Formula must be a list of strings .* Got 'x = Vi",
    ),
    "variables that are a number": (lambda: Formula("x", 3), TypeError, "'variables' parameter .* Got 3 instead"),
    "declaration": (lambda: Formula("x", ["x = Vk(1)"]), FormulaError, "unknown kind of variable 'Vk'"),
    "twice": (lambda: Formula("x", ["x = Vi(1)", "x = Vj(1)"]), FormulaError, "'x' is declared twice"),
    "value": (
        lambda: Formula("g * x", g="1"),
        TypeError,
        "'g' parameter of Formula must be a float .* Got '1' instead",
    ),
    "None": (lambda: Formula("g * x", g=None), TypeError, "'g' parameter of Formula .* Got None instead"),
    "matrix": (lambda: Formula("g * x", g=[[1.0]]), TypeError, "'g' parameter of Formula .* Got .* instead"),
    "nan": (lambda: Formula("g * x", g=math.nan), ValueError, "'g' parameter of Formula .* Got nan instead"),
    "bounds of nothing": (
        lambda: Formula("x", bounds={"g": (1, 2)}),
        ValueError,
        "bounds is for parameters .* found 'g', which has no value",
    ),
    "bounds": (
        lambda: Formula("g * x", g=1.0, bounds=(1, 2)),
        TypeError,
        r"'bounds' parameter of Formula must be a dict .* Got \(1, 2\) instead",
    ),
    "bounds upside down": (
        lambda: Formula("g * x", g=1.0, bounds={"g": (2, 1)}),
        ValueError,
        r"bounds of 'g' must be .* Got \(2, 1\) instead",
    ),
    "bounds of zero": (
        lambda: Formula("g * x", g=0.0, bounds={"g": (1, 2)}),
        ValueError,
        r"'g' parameter .* \(0, inf\).* Got 0.0 instead",
    ),
}


class TestErrors:
    @pytest.mark.parametrize(("make", "error", "message"), ERRORS.values(), ids=ERRORS)
    def test_at_first_use(self, make, error, message):
        kernel = make()
        for call in (lambda: kernel(X1), lambda: kernel.bind(1), kernel.formula):
            with pytest.raises(error, match=message):
                call()

    def test_the_place_is_shown(self):
        with pytest.raises(FormulaError, match=r"\^"):
            Formula("Exp(x - z)")(X1)

    def test_columns(self):
        kernel = Formula("Square(p - a) * Exp(x + y)", FOUR, p=0.37)
        with pytest.raises(ValueError, match=r"x = Vi\(1\) .* take 1 columns of the queries \(X\): found 2 columns"):
            kernel(np.ones((3, 2)), np.ones((3, 2)))
        message = r"y = Vj\(1\), a = Vj\(1\) .* take 2 columns of the reference samples: found 3 columns"
        with pytest.raises(ValueError, match=message):
            kernel(np.ones((3, 1)), np.ones((3, 3)))
        with pytest.raises(ValueError, match="found 1 columns"):
            kernel(X1)

    @pytest.mark.parametrize("name", ["h", "g__h", "k1"])
    def test_unknown_name(self, name):
        kernel = Formula("g * x", g=1.0)
        with pytest.raises(ValueError, match=f"Invalid parameter '{name}' for Formula.*'formula', 'g', 'variables'"):
            kernel.set_params(**{"g": 2.0, name: 1.0})
        assert kernel.g == 1.0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
class TestText:
    """Every kernel can be carried on as text."""

    def test_formula(self, case, rng):
        kernel = case.make(np.array([0.7, 1.9]))
        X, Y = (samples(rng, rows, 2, nonnegative=case.nonnegative) for rows in (5, 3))
        bound = kernel.bind(2)
        aliases = ["x = Vi(2)", "y = Vj(2)", *(f"{name} = Pm({len(v)})" for name, v in bound.values.items())]
        function = Genred(kernel.formula(2), aliases, axis=1)
        assert function._problem.values[0] is bound.expression
        b = rng.normal(size=3)
        found = Genred(f"({kernel.formula(2)}) * b", [*aliases, "b = Vj(1)"], axis=1)(
            X, Y, *bound.values.values(), b[:, None]
        )
        np.testing.assert_allclose(found[:, 0], case.value(X, Y, np.array([0.7, 1.9])) @ b, rtol=1e-12, atol=1e-12)

    def test_as_a_formula_again(self, case, rng):
        """The text with its numbers is a kernel of its own, with the same logarithm."""
        kernel = case.make(np.array([0.7, 1.9]))
        X, Y = (samples(rng, rows, 2, nonnegative=case.nonnegative) for rows in (5, 3))
        for text, expected in ((kernel.formula(2), kernel(X, Y)), (kernel.log_formula(2), log_matrix(kernel, X, Y))):
            values = {name: value for name, value in kernel.bind(2).values.items() if name in text}  # White has none here
            np.testing.assert_array_equal(Formula(text, **values)(X, Y), expected)


def test_a_parameter_without_a_value_is_told(X):
    with pytest.raises(FormulaError, match=r"unknown variable 'g'; .*a parameter has its value from Formula\(\.\.\., name=value\)"):
        Formula("Exp(-g * SqDist(x, y))")(X)


def test_a_value_without_a_parameter_is_refused():
    x = np.zeros((2, 1))
    with pytest.raises(ValueError, match="has no parameter 'g': found g=1.0 in Formula"):
        Formula("Exp(-SqDist(x, y))", g=1.0)(x)
    np.testing.assert_array_equal(Formula("Exp(-0*g*SqDist(x, y))", g=1.0)(x), np.ones((2, 2)))
