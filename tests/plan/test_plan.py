"""Plans: what a fold consumes, and what is computed how often."""

import pytest

from skkeops import Genred
from skkeops.formula.expression import I, J, Variable
from skkeops.plan.homes import Home
from skkeops.plan.plan import make_plan
from skkeops.plan.problem import Problem
from skkeops.plan.terms import SumTerm
from skkeops.reductions import get_reduction

X, Y, B = Variable(0, 3, I), Variable(1, 3, J), Variable(2, 2, J)
VALUE = X | Y


def plan_of(name, *formulas, axis=1):
    reduction = get_reduction(name, weighted=len(formulas) > 1)
    return make_plan(Problem.of(reduction, reduction.values(*formulas), axis, (X, Y, B)))


def test_the_output_has_rows_of_the_index_that_is_not_reduced():
    over_j, over_i = plan_of("Sum", VALUE, axis=1), plan_of("Sum", VALUE, axis=0)
    assert (over_j.output, over_j.reduced, over_i.output, over_i.reduced) == (I, J, J, I)
    assert (over_j.home(X), over_j.home(Y)) == (Home.OUTPUT, Home.REDUCED)
    assert (over_i.home(X), over_i.home(Y)) == (Home.REDUCED, Home.OUTPUT)


def test_a_sum_has_one_term_and_no_value():
    plan = plan_of("Sum", VALUE * B)
    assert plan.value is None and plan.terms == (SumTerm(None, VALUE, B),)


def test_an_extremum_has_a_value_and_no_terms():
    plan = plan_of("Max", VALUE)
    assert plan.value is VALUE and plan.terms == ()


def test_a_log_sum_exp_sums_ones_and_a_softmax_its_weights_too():
    one = SumTerm(None, None, None)
    assert (plan_of("LogSumExp", VALUE).value, plan_of("LogSumExp", VALUE).terms) == (VALUE, (one,))
    assert plan_of("SumSoftMaxWeight", VALUE, B).terms == (one, SumTerm(None, None, B))


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
    one = Genred("Exp(-SqDist(x,y))*b", ["x = Vi(3)", "y = Vj(3)", "b = Vj(1)"], axis=1)
    two = Genred("Exp(-SqDist(x,y))*b", ["x = Vi(3)", "y = Vj(3)", "b = Vj(1)"], axis=1)
    assert make_plan(one._problem) is make_plan(two._problem)
