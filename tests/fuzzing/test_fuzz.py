"""A short run of the fuzzers; `python tests/fuzz.py --seconds 600` is a long one."""

import numpy as np
import pytest

from ..fuzz import KINDS, case, fault, report, run, smallest
from . import formulas

CASES = {"formulas": 250, "lazy": 400, "estimators": 250}


@pytest.mark.parametrize("kind", KINDS)
def test_random_programs(kind):
    for _, number, failing in run([kind], 0, cases=CASES[kind]):
        pytest.fail(report(kind, 0, number, failing))


@pytest.mark.parametrize("kind", KINDS)
def test_cases_are_those_of_their_seed(kind):
    for number in range(20):
        assert case(kind, 0, number).program() == case(kind, 0, number).program()
    assert len({case(kind, 0, number).program() for number in range(20)}) == 20


@pytest.mark.parametrize("kind", KINDS)
def test_programs_are_programs(kind):
    for number in range(5):
        compile(case(kind, 3, number).program(), "program", "exec")


def test_a_fault_is_found_and_made_small(monkeypatch):
    """With a truth that is wrong for Exp alone, the smallest program is little more than Exp."""
    monkeypatch.setitem(formulas.UNARY, "Exp({})", (lambda f: np.exp(f) * 1.001, True))
    cases = (case("formulas", 1, number) for number in range(1000))
    failing = next(made for made in cases if made.op == "Sum" and "Exp" in str(made.formula) and fault(made))
    small = smallest(failing, seconds=5)
    assert fault(small) and "Exp" in str(small.formula)
    assert len(list(small.formula.nodes())) <= len(list(failing.formula.nodes()))
