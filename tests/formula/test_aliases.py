"""Declarations of variables."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skkeops.formula import FormulaError, Signature, Variable, parse, parse_aliases


def test_positions_follow_the_list():
    s = parse_aliases(["x = Vi(3)", "y=Vj( 2 )", " p_1 =Pm(1)"])
    assert s.names == ("x", "y", "p_1")
    assert s.variables == (Variable(0, 3, 0), Variable(1, 2, 1), Variable(2, 1, 2))
    assert s.by_name["y"] is Variable(1, 2, 1)
    assert s.to_name[Variable(0, 3, 0)] == "x"
    assert s == parse_aliases(["x=Vi(3)", "y=Vj(2)", "p_1=Pm(1)"])


def test_explicit_positions():
    s = parse_aliases(["y = Vj(1,2)", "x = Vi(0,3)", "Pm(2,1)", "z = Var(3,4,0)", "Vi(5)"])
    assert s.names == ("x", "y", None, "z", None)
    assert [v.params for v in s.variables] == [(0, 3, 0), (1, 2, 1), (2, 1, 2), (3, 4, 0), (4, 5, 0)]


def test_variables_of_the_formula_are_appended():
    s = parse_aliases(["x = Vi(3)"])
    e = parse("x*Var(1,3,1)+Grad(Sum(x),x)", s.by_name)
    full = s.complete(e)
    assert full.names == ("x", None, None)
    assert full.variables == (Variable(0, 3, 0), Variable(1, 3, 1), Variable(2, 1, 1))
    assert parse_aliases([]) == Signature((), ())


@pytest.mark.parametrize(
    ("aliases", "message"),
    [
        (["x = Vx(3)"], "unknown kind of variable 'Vx'; expected"),
        (["x = Vi"], "expected 'name = Vi(dim)'"),
        (["x"], "expected 'name = Vi(dim)'"),
        ([""], "expected 'name = Vi(dim)'"),
        (["x = Vi(3) y"], "expected 'name = Vi(dim)'"),
        (["x = Vi(0)"], "dim of a variable must be in 1.."),
        (["x = Vi(-1)"], "expected 'name = Vi(dim)'"),
        (["x = Vi(1.5)"], "expected 'name = Vi(dim)'"),
        (["x = Vi(999999999)"], "dim of a variable must be in 1.."),
        (["x = Vi(0,1,2)"], "takes (dim) or (position,dim), got 3"),
        (["x = Var(0,1)"], "takes (position,dim,category), got 2"),
        (["x = Vi(3)", "x = Vj(3)"], "'x' is declared twice"),
        (["x = Vi(1,3)", "y = Vj(3)"], "position 1 is declared twice"),
        (["x = Vi(3)", "y = print(1)"], "aliases[1]: unknown kind of variable 'print'"),
    ],
)
def test_errors(aliases, message):
    with pytest.raises(FormulaError) as caught:
        parse_aliases(aliases)
    assert message in str(caught.value)
    assert "^" in str(caught.value)


def test_types():
    with pytest.raises(TypeError, match="must be a list"):
        parse_aliases("x = Vi(3)")
    with pytest.raises(TypeError, match=r"aliases\[0\] must be a string"):
        parse_aliases([3])


def test_positions_must_be_complete():
    s = parse_aliases(["x = Vi(1,3)"])
    with pytest.raises(FormulaError, match="no variable has position 0"):
        s.complete()
    s = parse_aliases(["x = Vi(3)"])
    with pytest.raises(FormulaError, match="used for both"):
        s.complete(Variable(0, 2, 0))


@given(st.one_of(st.text(max_size=30), st.text("xyVijPm()=,0123 ", max_size=20)))
@settings(max_examples=300, deadline=None)
def test_any_text(text):
    try:
        assert len(parse_aliases([text]).variables) == 1
    except FormulaError as error:
        assert str(error)
