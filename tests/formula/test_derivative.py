"""Derivatives of formulas: names of the language, linear operators, errors."""

import mpmath
import numpy as np
import pytest

from skkeops.formula import (
    FormulaError,
    Variable,
    divergence,
    gradient,
    gradient_matrix,
    gradients,
    laplacian,
    parse,
    postorder,
    substitute,
    tangent,
    variables_of,
)
from skkeops.formula import operations as ops

from .strategies import evaluate

X, Y, S, E, M = Variable(0, 3, 0), Variable(1, 3, 1), Variable(2, 1, 2), Variable(3, 3, 0), Variable(4, 9, 2)
NAMES = {"x": X, "y": Y, "s": S, "e": E, "M": M}


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {v: rng.uniform(0.3, 1.2, v.dim) for v in NAMES.values()}


def value(text, arrays):
    return evaluate(parse(text, NAMES), arrays)


def jacobian_by_differences(text, arrays, name, h=1e-5):
    v = NAMES[name]
    columns = []
    for k in range(v.dim):
        step = h * np.eye(v.dim)[k]
        up = value(text, {**arrays, v: arrays[v] + step})
        columns.append((up - value(text, {**arrays, v: arrays[v] - step})) / (2 * h))
    return np.stack(columns, -1)


FORMULAS = [
    "x*x*y",
    "Sin(x)*Sum(x*y)",
    "MatVecMult(M,x)",
    "VecMatMult(Exp(x),M)",
    "Exp(-SqDist(x,y)/s)*(x-y)",
    "Normalize(x)",
    "Concat(x|y,Concat(Sum(x),Elem(x,1)))",
    "TensorDot(M,x,[3,3],[3],[1],[0])/s",
    "IfElse(x-y,x*x,Sin(x))",
    "SumT(Max(x),3)+x",
    "Extract(TensorProd(x,x),2,3)",
    "x/Sum(x)-(y-x)/s",
    "-SumT(x|y,3)*(s*x)",
    "Zero(3)",
    "y",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_matrix_of_derivatives(text, arrays):
    expected = jacobian_by_differences(text, arrays, "x")
    np.testing.assert_allclose(value(f"GradMatrix({text},x)", arrays), expected.ravel(), atol=1e-8)
    np.testing.assert_allclose(value(f"Divergence({text},x)", arrays), [np.trace(expected)], atol=1e-8)
    np.testing.assert_allclose(value(f"Diff({text},x,e)", arrays), expected @ arrays[E], atol=1e-8)
    np.testing.assert_allclose(value(f"Grad({text},x,e)", arrays), expected.T @ arrays[E], atol=1e-8)


@pytest.mark.parametrize(
    "text", ["Exp(-SqNorm2(x-y)/s)", "Sum(Sin(x)*y)", "Norm2(x)", "(x|y)**3", "Sum(MatVecMult(M,x)*x)"]
)
def test_laplacian(text, arrays):
    hessian = jacobian_by_differences(f"Grad({text},x,1)", arrays, "x")
    np.testing.assert_allclose(value(f"Laplacian({text},x)", arrays), [np.trace(hessian)], atol=1e-7)
    np.testing.assert_allclose(value(f"GradMatrix(Grad({text},x,1),x)", arrays), hessian.ravel(), atol=1e-7)


def test_laplacian_of_a_gaussian_does_not_grow_with_the_dim():
    sizes = []
    for dim in (3, 100):
        x, y = Variable(0, dim, 0), Variable(1, dim, 1)
        sizes.append(len(postorder(laplacian(ops.Exp(-ops.SqDist(x, y)), x))))
    assert sizes[0] == sizes[1] < 20


def test_linear_operators(arrays):
    matrix = arrays[M].reshape(3, 3)
    np.testing.assert_allclose(value("TraceOperator(MatVecMult(M,x),x)", arrays), [np.trace(matrix)])
    np.testing.assert_allclose(value("TraceOperator(s*x-y*x,x)", arrays), [3 * arrays[S][0] - arrays[Y].sum()])
    np.testing.assert_allclose(value("TraceOperator((x|y)*e,x)", arrays), [arrays[Y] @ arrays[E]])
    np.testing.assert_allclose(value("AdjointOperator(MatVecMult(M,x),x,y)", arrays), matrix.T @ arrays[Y])


LINEAR = [
    "x/s",
    "s*x+Sum(x)*y/s",
    "TensorDot(M,x-2*x/y,[3,3],[3],[0],[0])",
    "Concat(Sum(x),Concat(0,Elem(x,1)/s))",
    "ExtractT(Extract(x,1,2),1,3)-Zero(3)",
    "IfElse(y-e,x,0)-IfElse(s,0,MatVecMult(M,x))",
    "VecMatMult(x,M)",
    "SumT(x|y,3)",
    "Zero(3)",
]


@pytest.mark.parametrize("text", LINEAR)
def test_trace_and_adjoint(text, arrays):
    matrix = jacobian_by_differences(text, arrays, "x")
    expected = np.trace(matrix)
    np.testing.assert_allclose(value(f"TraceOperator({text},x)", arrays), [expected], atol=1e-9)
    np.testing.assert_allclose(value(f"TraceOperator({text},x,s)", arrays), arrays[S] * expected, atol=1e-9)
    weighted = np.trace(np.diag(arrays[Y]) @ matrix)
    np.testing.assert_allclose(value(f"TraceOperator({text},x,y)", arrays), [weighted], atol=1e-9)
    weighted = np.trace(np.diag(arrays[X]) @ matrix)
    np.testing.assert_allclose(value(f"TraceOperator({text},x,x)", arrays), [weighted], atol=1e-9)
    np.testing.assert_allclose(value(f"AdjointOperator({text},x,e)", arrays), matrix.T @ arrays[E], atol=1e-9)


def test_trace_of_one_component_replicates_it(arrays):
    np.testing.assert_allclose(value("TraceOperator(x|y,x)", arrays), [arrays[Y].sum()])
    np.testing.assert_allclose(value("TraceOperator(x|y,x,e)", arrays), [arrays[Y] @ arrays[E]])


@pytest.mark.parametrize(
    "text",
    ["Exp(x)", "x+1", "x+y", "x*x", "y/x", "Concat(Elem(x,0),Extract(y,0,2))", "IfElse(x,x,x*2)", "IfElse(s,x,y)", "y"],
)
def test_linear_operators_refuse_what_is_not_linear(text):
    for call in (f"AdjointOperator({text},x,y)", f"TraceOperator({text},x)"):
        with pytest.raises(FormulaError, match="must be linear in Var"):
            parse(call, NAMES)


def test_linear_operators_refuse_dims():
    for call in ("TraceOperator(Extract(x,0,2),x)", "TraceOperator(x,x,M)", "AdjointOperator(x,x,s)"):
        with pytest.raises(FormulaError, match="dim"):
            parse(call, NAMES)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_nested_gradients(order):
    names = {"s": S}
    text = "Exp(2*s)*Sin(s)"
    for _ in range(order):
        text = f"Grad({text},s,1)"
    at = 0.7
    expected = ((2 + 1j) ** order * np.exp((2 + 1j) * at)).imag
    np.testing.assert_allclose(evaluate(parse(text, names), {S: np.array([at])}), [expected], rtol=1e-12)


def test_gradient_without_a_direction_invents_a_variable():
    g = parse("Grad(Sum(x*y),x)", {"x": X, "y": Y})
    new = Variable(2, 1, 1)  # next position, the other category than x
    assert g is gradient(ops.Sum(X * Y), X, new)
    assert variables_of(parse("Grad(x*x,x)", NAMES)) == (X, Variable(5, 3, 1))
    nested = parse("Grad(Grad(Sum(x*x*y),x),y)", {"x": X, "y": Y})
    assert [v.params for v in variables_of(nested)] == [(0, 3, 0)] + [(2, 1, 1), (3, 3, 0)]
    with pytest.raises(FormulaError, match="third argument"):
        parse("Grad(s*s,s)", NAMES)


def test_several_gradients_at_once():
    f = ops.Exp(-ops.SqDist(X, Y) * S)
    assert gradients(f, (X, Y, S), 1) == tuple(gradient(f, v, 1) for v in (X, Y, S))
    assert gradients(f, (E,), 1) == (ops.Zero(3),)
    assert gradient(X, X, E) is E
    assert tangent(f, {E: X}) is ops.Zero(1)


def test_gradient_of_a_gaussian_is_compact():
    f = parse("Exp(-SqDist(x,y))", NAMES)
    assert gradient(f, X, S).to_text({v: n for n, v in NAMES.items()}) == "-2*(Exp(-Sum(Square(x-y)))*s)*(x-y)"
    assert gradient(f, Y, S) is -gradient(f, X, S)


def test_substitute():
    f = ops.Exp(X) * Y
    assert substitute(f, {X: Y}) is ops.Exp(Y) * Y
    assert substitute(f, {S: X}) is f
    assert substitute(f, {ops.Exp(X): Y}) is ops.Square(Y)


def test_errors():
    with pytest.raises(FormulaError, match="expected a variable"):
        gradient(X, X + Y, X)
    with pytest.raises(FormulaError, match="dim of the formula, 3, got 1"):
        gradient(X, X, 1)
    with pytest.raises(FormulaError, match="same dim, got 1"):
        tangent(X, {X: S})
    with pytest.raises(FormulaError, match="dim of the variable"):
        divergence(S * X, S)
    with pytest.raises(FormulaError, match="too large for its Jacobian"):
        gradient_matrix(ops.SumT(ops.Sin(S), 2**21), S)


def _series(function):
    """The derivatives of orders 0 to 4, by numerical differentiation in many digits."""

    def derivatives(p):
        with mpmath.workdps(350):
            return [c * mpmath.factorial(n) for n, c in enumerate(mpmath.taylor(function, mpmath.mpf(p), 4))]

    return derivatives


def _bell(p):
    return [0, *(2 / mpmath.sqrt(mpmath.pi) * (-1) ** n * mpmath.hermite(n, p) * mpmath.exp(-mpmath.mpf(p) ** 2) for n in range(4))]


FUNCTIONS = {
    # name: (its derivatives, points where they are small or large)
    "Expm1": (lambda p: [mpmath.exp(p)] * 5, [-700, -30, -1e-9, 0, 0.7, 30]),
    "Log1p": (_series(mpmath.log1p), [-0.999, -1e-9, 0, 0.7, 1e9]),
    "Tanh": (_series(mpmath.tanh), [-300, -20, -1e-4, 0, 0.7, 20, 300]),
    "Sinh": (_series(mpmath.sinh), [-30, 0, 0.7, 300]),
    "Cosh": (_series(mpmath.cosh), [-30, 0, 0.7, 300]),
    "Sech": (_series(mpmath.sech), [-700, -20, 0, 0.7, 20, 700]),
    "Logistic": (_series(lambda x: 1 / (1 + mpmath.exp(-x))), [-700, -40, 0, 0.7, 40, 700]),
    "Softplus": (_series(lambda x: mpmath.log1p(mpmath.exp(x))), [-700, -40, 0, 0.7, 40, 700]),
    "Erf": (_bell, [-20, -5, 0, 0.7, 5, 20]),
    "Erfc": (lambda p: [-d for d in _bell(p)], [-20, -5, 0, 0.7, 5, 20]),
    "LogGamma": (lambda p: [0, *(mpmath.psi(n, p) for n in range(4))], [1e-5, 0.3, 1, 2, 7.5, 1e6]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_of_functions_keep_their_digits(name):
    """Nothing overflows on the way, and nothing cancels but what is 0 close by."""
    derivatives, points = FUNCTIONS[name]
    x = Variable(0, 1, 0)
    f = ops.lookup(name)(x)
    exact = [derivatives(p) for p in points]
    for order in range(1, 5):
        f = gradient(f, x, 1)
        got = np.broadcast_to(evaluate(f, {x: np.array(points, float)[:, None]}), (len(points), 1))[:, 0]
        for p, value, expected in zip(points, got, exact, strict=True):
            scale = abs(expected[order]) + (abs(expected[1]) if abs(p) < 1 else 0)
            assert abs(value - expected[order]) <= 3e-14 * (1 + abs(p)) * scale + mpmath.mpf(1e-307), (order, p, value)


def test_an_order_that_is_too_high_is_refused():
    f = x = Variable(0, 1, 0)
    f = ops.Digamma(x, 16)
    with pytest.raises(FormulaError, match=r"Digamma: the order of the derivative must be in 0..16, got 17"):
        gradient(f, x, 1)


def test_products_at_zeros():
    """The derivatives of a product divide by nothing."""
    x = Variable(0, 4, 0)
    f = ops.Prod(x)
    points = np.array([[0, 2, 3, 4], [0, 0, 3, 4], [0, 0, 0, 0], [1, 2, 3, 4], [np.inf, 2, 3, 4], [-0.5, 0, 1e200, 1e200]])
    with np.errstate(over="ignore"):
        others = np.array([[np.prod(np.delete(p, k)) for k in range(4)] for p in points])
    np.testing.assert_array_equal(evaluate(gradient(f, x, 1), {x: points}), others)
    second = evaluate(gradient_matrix(gradient(f, x, 1), x), {x: points[:4]}).reshape(4, 4, 4)
    for p, matrix in zip(points, second, strict=False):
        expected = [[0 if k == m else np.prod(np.delete(p, [k, m])) for m in range(4)] for k in range(4)]
        np.testing.assert_array_equal(matrix, expected)
