"""Problems: what is to be computed, as a value."""

import pytest

from skkeops.formula.expression import Variable
from skkeops.plan.problem import Output, Problem
from skkeops.reductions import Sum

X = Variable(0, 2, 0)


def test_equal_problems_are_one_key():
    a, b = (Problem.of(Sum(), (X,), 1, (X,)) for _ in range(2))
    assert a == b and hash(a) == hash(b) and a != Problem.of(Sum(), (X,), 0, (X,))
    assert (a.reduction, a.values, a.axis, a.output.dims) == (Sum(), (X,), 1, (2,))


def test_the_single_output_is_that_of_a_problem_with_one():
    two = Problem((Output(Sum(), (X,), 1), Output(Sum(), (X,), 1)), (X,))
    with pytest.raises(ValueError):
        _ = two.reduction
