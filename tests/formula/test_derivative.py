"""Derivatives of formulas: names of the language, linear operators, errors."""

import numpy as np
import pytest

from skkeops.formula import (
    FormulaError,
    Variable,
    divergence,
    gradient,
    gradients,
    jacobian,
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
        jacobian(ops.SumT(ops.Sin(S), 2**21), S)
