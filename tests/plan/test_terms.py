"""What leaves a sum by linearity, and what is summed for every pair."""

import numpy as np
import pytest

from skkeops import Genred
from skkeops.formula import parse
from skkeops.formula.aliases import parse_aliases
from skkeops.formula.expression import Constant, I, J
from skkeops.plan.terms import sum_term

ALIASES = ["x = Vi(3)", "y = Vj(3)", "b = Vj(1)", "e = Vi(1)", "p = Pm(1)"]
SIGNATURE = parse_aliases(ALIASES)
NAMES = dict(zip(SIGNATURE.names, SIGNATURE.variables, strict=True))


def expression(text):
    return parse(text, NAMES)


def term_of(text):
    return sum_term(expression(text), I)


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
    term = sum_term(expression("Grad(Exp(-SqDist(x,y))*b,y,e)"), J)  # reduced over i: y is the output's
    assert (term.vector, term.minus) == (NAMES["y"], NAMES["x"])


def test_numbers_of_the_reduced_index_go_with_its_vector():
    term = term_of("Exp(x|y)*b*y")
    assert (term.factor, term.scale, term.vector) == (None, expression("Exp(x|y)"), expression("b*y"))


def test_without_a_vector_of_the_reduced_index_its_numbers_scale():
    """A vector that has to be formed for every pair is multiplied by all numbers together, those of the reduced index first."""
    term = term_of("Exp(x|y)*b*Exp(x+y)")
    assert (term.factor, term.scale, term.vector) == (None, expression("b*Exp(x|y)"), expression("Exp(x+y)"))


def test_what_does_not_depend_on_the_reduced_index_is_the_factor_of_a_sum_of_ones():
    term = term_of("p*x")
    assert (term.factor, term.scale, term.vector) == (expression("p*x"), None, Constant(1, 3))


def test_signs_leave_the_sum():
    term = term_of("-(b*(y-x))")  # the difference is that of the output's vector and the reduced index's: -1 once more
    assert (term.factor, term.scale) == (Constant(1), NAMES["b"])
    assert (term.vector, term.minus) == (NAMES["x"], NAMES["y"])


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
    term = sum_term(value, output)
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
