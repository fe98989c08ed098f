"""Methods: which of them takes a call, and what is said of those that decline it."""

import numpy as np
import pytest
import scipy.sparse

from skkeops import Genred
from skkeops.backends import cpu, reference
from skkeops.execution import choose
from skkeops.execution.methods.base import Method
from skkeops.execution.methods.sparse_pairs import SparsePairs

PLAIN = Genred("Exp(-SqDist(x, y) * y)", ["x = Vi(2)", "y = Vj(2)"], axis=1)
MASKED = Genred("Exp(-SqDist(x, y)) * w", ["x = Vi(2)", "y = Vj(2)", "w = Vij(1)"], axis=1)


class Zero(Method):
    """Takes short axes, for which it answers 0: so that tests see who has answered."""

    name = "zero"
    takes = "few values are reduced"

    @classmethod
    def declines(cls, problem, backend):
        if len(problem.outputs) > 1:
            return "one sum is 0"
        return None if problem.reduction.fold == "sum" else "only sums are 0"

    def declines_call(self, arrays, pairs):
        return None if self.sizes(arrays)[1] < 3 else "many values are reduced"

    def state(self, arrays, pairs=None, progress=None):
        return (np.zeros((self.sizes(arrays)[0], 1)),)


def data(m, n):
    rng = np.random.default_rng(0)
    return rng.random((m, 2)), rng.random((n, 2))


def test_a_problem_that_no_method_takes_is_left_to_the_backend():
    assert type(choose.prepare(PLAIN._problem, cpu)) is cpu.CpuProgram
    assert type(choose.prepare(MASKED._problem, reference)) is reference.ReferenceProgram  # it makes them dense
    assert any(line.startswith("  truncation: if a tolerance is given") for line in PLAIN.explain().splitlines())
    assert not choose.explain_methods(MASKED._problem, reference)


def test_the_first_method_that_takes_a_call_computes_it(monkeypatch):
    monkeypatch.setattr(choose, "METHODS", (Zero, SparsePairs))
    function = Genred("Exp(-SqDist(x, y))", ["x = Vi(2)", "y = Vj(2)"], axis=1)
    x, y = data(4, 2)
    assert (function(x, y) == 0).all()
    x, y = data(4, 3)
    np.testing.assert_allclose(function(x, y)[:, 0], np.exp(-((x[:, None] - y) ** 2).sum(axis=2)).sum(axis=1), rtol=1e-13)
    assert function.explain().splitlines()[-6:] == [
        "by the first method that takes the call",
        "  zero: if few values are reduced",
        "  sparse pairs: no argument has a value for each pair",
        "  all pairs: every other call",
        "the last call: all pairs, 100.000% of the pairs",
        "  zero did not take it: many values are reduced",
    ]
    assert function.last_call == choose.CallReport("all pairs", 1.0, {"zero": "many values are reduced"})
    _, (by_x, by_y) = function.value_and_gradient(x, y, wrt=("x", "y"))  # the value and one of them are computed together
    assert by_x.any() and by_y.any()
    largest = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], "Max", axis=1)
    assert (largest(*data(4, 2)) > 0).all()


@pytest.mark.parametrize("make", [scipy.sparse.csr_array, np.asarray], ids=["sparse", "dense"])
def test_sparse_arrays_of_pairs_are_for_the_method_of_sparse_pairs(make):
    x, y = data(4, 5)
    w = np.where(np.arange(20).reshape(4, 5) % 3 == 0, 0.5, 0.0)
    program = choose.prepare(MASKED._problem, cpu)
    given = MASKED._check((x, y, make(w))).arrays
    assert isinstance(program.choose(given), SparsePairs) == (make is scipy.sparse.csr_array)
    expected = (np.exp(-((x[:, None] - y) ** 2).sum(axis=2)) * w).sum(axis=1)
    np.testing.assert_allclose(program.run(given)[:, 0], expected, rtol=1e-13)
