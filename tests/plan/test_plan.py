"""What leaves a sum by linearity, and what is computed how often."""

import numpy as np
import pytest

from skkeops import Genred
from skkeops.formula import parse
from skkeops.formula.aliases import parse_aliases
from skkeops.formula.expression import I, J
from skkeops.plan.plan import make_plan, sum_term

ALIASES = ["x = Vi(3)", "y = Vj(3)", "b = Vj(1)", "e = Vi(1)", "p = Pm(1)"]
SIGNATURE = parse_aliases(ALIASES)
NAMES = dict(zip(SIGNATURE.names, SIGNATURE.variables, strict=True))


def term_of(text):
    return sum_term(parse(text, NAMES), I, J)


def expression(text):
    return parse(text, NAMES)


def test_a_kernel_times_a_vector_of_j():
    term = term_of("Exp(-SqDist(x,y))*b")
    assert term.factor is None and term.minus is None
    assert term.scale is expression("Exp(-SqDist(x,y))") and term.vector is NAMES["b"]


def test_what_depends_on_the_output_alone_leaves_the_sum():
    term = term_of("-2*p*e*Exp(-SqDist(x,y))*x*b")
    assert term.scale is expression("Exp(-SqDist(x,y))") and term.vector is NAMES["b"]
    assert term.factor.categories == {0, 2} and term.factor.dim == 3


def test_the_gradient_of_a_kernel_keeps_its_difference_in_the_sum():
    term = term_of("Grad(Exp(-SqDist(x,y))*b,x,e)")
    assert (term.vector, term.minus) == (NAMES["x"], NAMES["y"])
    assert term.scale is expression("b*Exp(-SqDist(x,y))")
    term = sum_term(expression("Grad(Exp(-SqDist(x,y))*b,y,e)"), J, I)  # reduced over i: y is the output's
    assert (term.vector, term.minus) == (NAMES["y"], NAMES["x"])


def test_a_difference_that_cancels_is_not_split():
    term = term_of("Exp(-SqDist(x,y))*x - Exp(-SqDist(x,y))*y + x*y")
    assert term.scale is None and term.factor is None  # one vector per pair, then one sum


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "y",
        "p",
        "3",
        "x-y",
        "x*y",
        "b*x",
        "-(x-y)",
        "Exp(-SqDist(x,y))*(y-x)*b*e*p",
        "(x-y)*(x-y)*b",
        "b*((x-y)*((x-y)*p))",  # a difference that is a factor twice
        "b*((x-y)*((x-y)*((x-y)*x)))",
        "(x-y)*((x-y)*y)",
        "Exp(x+y)*x*b",
        "x/y*b",
    ],
)
@pytest.mark.parametrize("output", [I, J])
def test_the_parts_give_the_whole(text, output):
    value = expression(text)
    term = sum_term(value, output, 1 - output)
    whole = 1 if term.factor is None else term.factor
    if term.scale is not None:
        whole = term.scale * whole
    if term.vector is not None:
        whole = (term.vector if term.minus is None else term.vector - term.minus) * whole
    rng = np.random.default_rng(0)
    data = [rng.uniform(0.5, 1, s) for s in ((4, 3), (5, 3), (5, 1), (4, 1), (1,))]
    a = Genred(str(value), ALIASES, axis=1)(*data, backend="reference")
    b = Genred(str(whole), ALIASES, axis=1)(*data, backend="reference")
    np.testing.assert_allclose(np.broadcast_to(b, a.shape), a, rtol=1e-13)


def test_explain_tells_what_is_computed_how_often():
    operator = Genred("Square(p-a)*Exp(x+y)", ["x = Vi(1)", "y = Vj(1)", "a = Vj(1)", "p = Pm(1)"], "LogSumExp", axis=1)
    text = operator.explain()
    per_j = text[text.index("once per j") : text.index("per pair")]
    assert "square(" in per_j and "exp(" not in per_j
    per_pair = text[text.index("per pair (") :]
    assert per_pair.count("exp(") == 1 and "square(" not in per_pair
    assert "2 exp" in per_pair  # the formula's and the reduction's
    assert "float64" in operator.explain(dtype="float64")
    with pytest.raises(ValueError, match="dtype"):
        operator.explain(dtype="int8")


def test_plans_are_shared():
    one = Genred("Exp(-SqDist(x,y))*b", ALIASES, axis=1)
    two = Genred("Exp(-SqDist(x,y))*b", ALIASES, axis=1)
    assert make_plan(one._problem) is make_plan(two._problem)
