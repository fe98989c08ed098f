"""The grammar: precedence, literals, parameters, and errors with a caret under the place."""

import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skkeops.formula import Constant, FormulaError, Variable, gradient, parse, postorder
from skkeops.formula import operations as ops

from .strategies import evaluate

X, Y, A, S = Variable(0, 3, 0), Variable(1, 3, 1), Variable(2, 9, 2), Variable(3, 1, 2)
NAMES = {"x": X, "y": Y, "A": A, "s": S}


def p(text):
    return parse(text, NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x|y+1", X | (Y + 1)),
        ("x|y*s", X | (Y * S)),
        ("-x|y", (-X) | Y),
        ("x|y<s", ops.LessThan(X | Y, S)),
        ("x|y|s", (X | Y) | S),
        ("-x**2", -ops.Square(X)),
        ("s**-x", ops.Powf(S, -X)),
        ("s**-x*y", ops.Powf(S, -X) * Y),
        ("s**x**y", ops.Powf(S, ops.Powf(X, Y))),
        ("x-y-s", (X - Y) - S),
        ("x-(y-s)", X - (Y - S)),
        ("x/y/s", (X / Y) / S),
        ("x/y*s", (X / Y) * S),
        ("x>y", ops.LessThan(Y, X)),
        ("x>=y", ops.LessOrEqual(Y, X)),
        ("x<=y", ops.LessOrEqual(X, Y)),
        ("x==y", ops.Equal(X, Y)),
        ("x!=y", ops.NotEqual(X, Y)),
        ("(x<y)*(y<s)", ops.LessThan(X, Y) * ops.LessThan(Y, S)),
        ("(x<y)<s", ops.LessThan(ops.LessThan(X, Y), S)),
        ("--x", X),
        ("+x", X),
        ("x*-y", -(X * Y)),
        ("x**2", ops.Square(X)),
        ("x**3", ops.Pow(X, 3)),
        ("x**0.5", ops.Sqrt(X)),
        ("x**-1", ops.Inv(X)),
        ("x**1.5", ops.Powf(X, 1.5)),
        ("x**y", ops.Powf(X, Y)),
        ("2**x", ops.Powf(2, X)),
        ("Clamp(x,0,1)", ops.Clamp(X, 0, 1)),
        ("Powf(x,2)", ops.Square(X)),
        ("Mod(x,2,0)", ops.Mod(X, 2, 0)),
        ("IfElse(x,1,-1.5)", ops.IfElse(X, 1, -1.5)),
        ("TensorDot(A,x,[3,3],[3],[1],[0])", ops.TensorDot(A, X, [3, 3], [3], [1], [0])),
        ("TensorDot(A,x,(3,3),(3,),(1,),(0,),None)", ops.TensorDot(A, X, [3, 3], [3], [1], [0])),
        ("TensorDot(A,x,[3,3],[3],[],[],[2,1,0])", ops.TensorDot(A, X, [3, 3], [3], [], [], [2, 1, 0])),
        ("Var(0,3,0)+Vj(1,3)", X + Y),
        (" Exp (\n x\t) ", ops.Exp(X)),
        ("Factorize(x,y)", X),
    ],
)
def test_means(text, expected):
    assert p(text) is expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", "1/10"),
        ("1.", "1"),
        (".5", "1/2"),
        ("1e3", "1000"),
        ("2.5E-2", "1/40"),
        ("007", "7"),
        ("IntCst(-3)", "-3"),
        ("IntInv(4)", "1/4"),
        ("RatCst(2,-6)", "-1/3"),
        ("IntInv(2)+1", "3/2"),
        ("1+IntInv(2)", "3/2"),
        ("0.1+0.2", "3/10"),
        ("1/3", "1/3"),
        ("2**-2", "1/4"),
        ("(1/3)**3", "1/27"),
        ("2**0.5*2**0.5", "2*"),
        ("16777217", "16777217"),
    ],
)
def test_constants_are_exact(text, value):
    if value == "2*":
        assert float(evaluate(p(text), {})[0]) == pytest.approx(2)
        return
    assert p(text) is Constant(Fraction(value))


# -- errors: message, and the text that the carets underline -----------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message", "under"),
    [
        ("Epx(x)", "did you mean 'Exp'", "Epx"),
        ("sum(x)", "did you mean 'Sum'", "sum"),
        ("x+xx", "unknown variable 'xx'; did you mean 'x'", "xx"),
        ("x+w", "the variables are x, y, A, s", "w"),
        ("Exp+x", "needs arguments", "Exp"),
        ("x+", "found the end of the formula", ""),
        ("", "empty formula", ""),
        ("   ", "empty formula", ""),
        ("x y", "expected an operator, found 'y'", "y"),
        ("2x", "expected an operator, found 'x'", "x"),
        ("x*/y", "found '/'", "/"),
        ("Exp(x", "never closed", "Exp"),
        ("(x+y", "never closed", "("),
        ("x)", "never opened", ")"),
        ("Exp()", "takes 1 argument (f), got 0", "Exp"),
        ("Clamp(x,y)", "takes 3 arguments (f, a, b), got 2", "Clamp"),
        ("Elem(x)", "takes 2 arguments (f, m), got 1", "Elem"),
        ("x,y", "unexpected ','", ","),
        ("x<y<s", "chained", "<"),
        ("x==y!=s", "chained", "!="),
        ("x=y", "'=='", "="),
        ("x^2", "'**'", "^"),
        ("x@y", "MatVecMult", "@"),
        ("x and y", "multiply comparisons", "and"),
        ("x if y else s", "IfElse", "if"),
        ("x[0]", "Elem", "["),
        ("x+[1]", "list", "["),
        ("Elem(x,3)", "in 0..2, got 3", "Elem"),
        ("Elem(x,-1)", "in 0..2, got -1", "Elem"),
        ("ElemT(s,3,3)", "in 0..2, got 3", "ElemT"),
        ("ElemT(s,3,-1)", "in 0..2, got -1", "ElemT"),
        ("Extract(x,2,2)", "must be 1, got 2", "Extract"),
        ("Elem(x,1.0)", "must be an integer, found 1.0", "1.0"),
        ("Elem(x,y)", "must be an integer, found 'y'", "y"),
        ("Elem(x,[1])", "must be an integer, found a list", "["),
        ("Elem(x,1+1)", "found an expression", "1"),
        ("Pow(x,0.5)", "must be an integer, found 0.5", "0.5"),
        ("Pow(x,y)", "must be an integer", "y"),
        ("Kron(x,y,3,[3])", "must be a list of integers", "3"),
        ("x*A", "dims 3 and 9", "*"),
        ("x+Exp(A-y)", "dims 9 and 3", "-"),
        ("Exp(x)+SqDist(x,A)", "dims 3 and 9", "SqDist"),
        ("x|A", "dims 3 and 9", "|"),
        ("IfElse(x,y,A)", "dims 3, 3 and 9", "IfElse"),
        ("MatVecMult(x,A)", "multiple", "MatVecMult"),
        ("WeightedSqNorm(Concat(x,s),x)", "dim 1, 3 or 9, got 4", "WeightedSqNorm"),
        ("TensorDot(A,x,[3,2],[3],[1],[0])", "product 9", "TensorDot"),
        ("TensorDot(A,x,[3,3],[3],[2],[0])", "distinct axes in 0..1", "TensorDot"),
        ("TensorDot(A,x,[3,3],[1,3],[0],[0])", "same sizes", "TensorDot"),
        ("TensorDot(A,x,[3,3],[3],[1],[0],[1])", "permutation of 0..0", "TensorDot"),
        ("1e999", "too large", "1e999"),
        ("1e-999", "too small", "1e-999"),
        ("10**1000000", "too large", "**"),
        ("10**10**10", "too large", "**"),
        ("10**-1000000", "too small", "**"),
        ("1e200*1e200", "too large", "*"),
        ("SumT(s,100000000000000)", "in 1..16777216", "SumT"),
        ("TensorProd(SumT(s,16777216),x)", "the limit is 16777216", "TensorProd"),
        ("Var(0,100000000000000,0)", "in 1..16777216", "Var"),
        ("Var(0,3,1)", "cannot also be", "Var"),
        ("Var(8,0,1)", "in 1..", "Var"),
        ("Var(8,1,4)", "category", "Var"),
        ("RatCst(1,0)", "division by zero", "RatCst"),
        ("Grad(x,y+1,x)", "expected a variable", "Grad"),
        ("Grad(x,y,s)", "must have the dim of the formula, 3, got 1", "Grad"),
        ("Laplacian(x,x)", "must have dim 1, got 3", "Laplacian"),
        ("Divergence(s,x)", "dim of the variable, 3, got 1", "Divergence"),
        ("TraceOperator(x*x,x)", "linear", "TraceOperator"),
        ("ComplexMult(x,y)", "an even dim (real and imaginary parts), got 3", "ComplexMult"),
        ("ComplexAdd(Concat(x,s),Var(8,6,0))", "the dims 4 and 6 do not go together: they must be equal, or 2", "ComplexAdd"),
        ("ComplexSumT(Var(8,2,0),3)", "must be even and positive, got 3", "ComplexSumT"),
        ("ComplexRealScal(x,x)", "one argument must have dim 1, got 3 and 3", "ComplexRealScal"),
        ("ComplexScal(Concat(x,s),Concat(x,s))", "one argument must have dim 2, got 4 and 4", "ComplexScal"),
        ("Complex(x,Concat(x,s))", "the dims 3 and 4 do not go together", "Complex"),
        ("BSpline(x,s,2)", "at least 4 knots, got 3", "BSpline"),
        ("é", "unexpected character", "é"),
        ("x+'y'", "unexpected", "'"),
        ("__import__('os')", "unexpected", "'"),
        ("x.T", "unexpected '.'", "."),
    ],
)
def test_errors_point_at_the_place(text, message, under):
    with pytest.raises(FormulaError) as caught:
        p(text)
    error = caught.value
    assert message in str(error)
    assert error.text == text
    assert text[error.position : error.position + error.length].startswith(under[:1])
    if under:
        assert text[error.position : error.position + len(under)] == under
    _, shown, carets = str(error).split("\n")
    column = carets.index("^")
    if text and text.isascii() and under:
        assert shown[column : column + len(under)] == under


def test_caret_in_a_long_formula():
    with pytest.raises(FormulaError) as caught:
        p("x+" * 1000 + "zz" + "+x" * 1000)
    _, shown, carets = str(caught.value).split("\n")
    assert len(shown) < 200
    assert shown[carets.index("^") :].startswith("zz")


def test_not_a_string():
    with pytest.raises(TypeError, match="must be a string, got bytes"):
        parse(b"x")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 20000 + "x" + ")" * 20000,
        "Exp(" * 20000 + "x" + ")" * 20000,
        "x" * 20000,
        "1" * 100000,
        "x" * (2**20 + 1),
        "Grad(" * 190 + "Sin(s)*Sin(s)" + ",s,1)" * 190 + "+",
        "10**" * 20000 + "10",
        "0." + "1" * 100000,
        "1e" + "9" * 10000,
        "Elem(x," + "1" * 5000 + ")",
    ],
)
def test_absurd_formulas_are_refused_quickly(text):
    start = time.process_time()
    with pytest.raises(FormulaError):
        p(text)
    assert time.process_time() - start < 5


def test_long_formulas_are_read_in_linear_time():
    terms = [f"Exp({k}*s)" for k in range(1, 20001)]
    start = time.process_time()
    e = p("+".join(terms))
    g = gradient(e, S, 1)
    assert len(postorder(e)) == 1 + 19999 + 19999 + 20000 + 19999  # s, k, k*s, Exp, sums
    at = np.array([-0.3])
    k = np.arange(1, 20001)
    np.testing.assert_allclose(evaluate(g, {S: at}), [np.sum(k * np.exp(k * at))], rtol=1e-12)
    few = p("+".join(terms[:2000]))
    assert parse(str(few)) is few
    assert p("-" * 20000 + "x") is X
    assert time.process_time() - start < 10


# -- against Python ----------------------------------------------------------------------------------------------

numbers = st.integers(1, 9).map(str)


@st.composite
def arithmetic(draw, depth=4):
    if depth == 0 or draw(st.booleans()):
        return draw(numbers)
    left, right = draw(arithmetic(depth=depth - 1)), draw(arithmetic(depth=depth - 1))
    op = draw(st.sampled_from(["+", "-", "*", "/", "**"]))
    if op == "**":
        right = draw(st.sampled_from(["2", "1", "-1", "-2", "3"]))
    form = draw(st.sampled_from(["{}{}{}", "({}{}{})", "-{}{}{}", "{} {} -{}" if op != "**" else "{}{}{}"]))
    return form.format(left, op, right)


@given(arithmetic())
@settings(max_examples=300, deadline=None)
def test_precedence_is_pythons(text):
    try:
        expected = eval(text)  # a formula made of digits and operators
    except (ZeroDivisionError, OverflowError):
        return
    if isinstance(expected, complex):
        return
    try:
        value = evaluate(p(text), {})
    except FormulaError as error:
        assert "too" in str(error)
        return
    np.testing.assert_allclose(value, float(expected), rtol=1e-9)


class Symbol:
    """Python's own parser tells how operators nest."""

    def __init__(self, text):
        self.text = text

    def __neg__(self):
        return Symbol(f"Minus({self.text})")

    def _with(name, swapped=False):
        def method(self, other):
            a, b = (other, self) if swapped else (self, other)
            return Symbol(f"{name}({a.text},{b.text})")

        return method

    __add__, __sub__, __mul__, __truediv__ = map(_with, ("Add", "Subtract", "Mult", "Divide"))
    __or__, __pow__, __lt__, __le__ = map(_with, ("Scalprod", "Powf", "LessThan", "LessOrEqual"))
    __eq__, __ne__ = map(_with, ("Equal", "NotEqual"))
    __gt__, __ge__ = _with("LessThan", True), _with("LessOrEqual", True)
    __hash__ = None


@given(
    st.lists(st.sampled_from("abcd"), min_size=2, max_size=7),
    st.lists(st.sampled_from(["+", "-", "*", "/", "|", "**", "+-", "*-", "**-"]), min_size=6, max_size=6),
    st.sampled_from(["", "-"]),
    st.sampled_from(["", "<", "<=", ">", ">=", "==", "!="]),
)
@settings(max_examples=300, deadline=None)
def test_operators_nest_as_in_python(names, symbols, sign, comparison):
    text = sign + names[0] + "".join(s + n for s, n in zip(symbols, names[1:], strict=False))
    if comparison:
        text = text + comparison + text
    variables = {name: Variable(k, 1, 0) for k, name in enumerate("abcd")}
    python = eval(text, {name: Symbol(name) for name in "abcd"}).text
    assert parse(text, variables) is parse(python, variables)


# -- any text ----------------------------------------------------------------------------------------------------

pieces = st.sampled_from(
    [
        *ops.registry,
        "x",
        "y",
        "A",
        "s",
        "q",
        "0",
        "1",
        "2",
        "3",
        "7",
        "0.5",
        "1e9",
        "1e-300",
        "(",
        ")",
        "(",
        ")",
        ",",
        ",",
    ]
    + ["[", "]", "+", "-", "*", "/", "|", "**", "<", "<=", "==", "!=", "=", ">", " ", ".", "é", "\x00", "\n", "@"]
)


def read(text):
    start = time.process_time()
    try:
        e = p(text)
    except FormulaError as error:
        assert str(error)
    else:
        assert e.dim >= 1
        if "SoftDTW" not in text:  # what its cells share, a text repeats
            assert parse(str(e)) is e
    assert time.process_time() - start < 5


@given(st.lists(pieces, max_size=30).map("".join))
@settings(max_examples=500, deadline=None)
@example("x**2**0.5**-1")
def test_token_soup(text):
    read(text)


@given(st.one_of(st.text(max_size=60), st.binary(max_size=60).map(lambda b: b.decode("latin-1"))))
@settings(max_examples=300, deadline=None)
def test_any_text(text):
    read(text)


@st.composite
def calls(draw, depth=4):
    """Formulas that are often right."""
    if depth == 0:
        return draw(st.sampled_from(["x", "y", "s", "A", "2", "0", "0.5", "1", "Zero(3)"]))
    name = draw(st.sampled_from([*ops.registry, "+", "-", "*", "/", "|", "**"]))
    if name in ops.registry:
        operation = ops.registry[name]
        arguments = [draw(calls(depth=depth - 1)) for _ in operation.arguments]
        for parameter in operation.parameters:
            if parameter in operation.list_parameters:
                arguments.append(str(draw(st.lists(st.integers(0, 3), max_size=3))))
            else:
                arguments.append(str(draw(st.integers(-1, 4))))
        if name in ("Grad", "Diff", "GradMatrix", "Divergence", "Laplacian", "TraceOperator", "AdjointOperator"):
            arguments[1] = draw(st.sampled_from(["x", "y", "s"]))
        return f"{name}({','.join(arguments)})"
    return f"({draw(calls(depth=depth - 1))}){name}({draw(calls(depth=depth - 1))})"


@given(st.integers(1, 3).flatmap(lambda depth: calls(depth=depth)))
@settings(max_examples=600, deadline=None)
def test_likely_formulas(text):
    read(text)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Exp(x,)", "Exp(x)"),
        ("Clamp(x,0,y-1,)", "Clamp(x,0,y-1)"),
        ("Elem(x,0,)", "Elem(x,0)"),
        ("TensorDot(x,y,[3,],[3],[0],[0],)", "TensorDot(x,y,[3],[3],[0],[0])"),
        ("Exp(Square(x, ) , )", "Exp(Square(x))"),
    ],
)
def test_a_comma_may_end_the_arguments_of_a_call(text, same):
    names = {"x": Variable(0, 3, 0), "y": Variable(1, 3, 1)}
    assert parse(text, names) is parse(same, names)


@pytest.mark.parametrize("text", ["Exp(,)", "Exp(x,,)", "Elem(x,0,,)", "(x,)", "Elem(x,,)"])
def test_other_commas_are_refused(text):
    with pytest.raises(FormulaError):
        parse(text, {"x": Variable(0, 3, 0)})


@pytest.mark.parametrize("text", ["np.exp(x)", "numpy.sqrt(x)", "x.exp()", "math.exp(x)"])
def test_a_dot_is_told_how_operations_are_written(text):
    with pytest.raises(FormulaError, match=r"Exp\(f\), not np.exp\(f\)"):
        parse(text, {"x": Variable(0, 3, 0)})
