"""What expressions depend on."""

import pytest

from skkeops.formula import parse
from skkeops.formula.aliases import parse_aliases
from skkeops.formula.expression import I, J
from skkeops.plan.homes import Home, home_of

SIGNATURE = parse_aliases(["x = Vi(3)", "y = Vj(3)", "p = Pm(3)", "w = Vij(3)"])
NAMES = dict(zip(SIGNATURE.names, SIGNATURE.variables, strict=True))


@pytest.mark.parametrize(
    ("formula", "over_j", "over_i"),
    [
        ("3", Home.CONSTANT, Home.CONSTANT),
        ("p", Home.CONSTANT, Home.CONSTANT),
        ("Exp(p)*2", Home.CONSTANT, Home.CONSTANT),
        ("x", Home.OUTPUT, Home.REDUCED),
        ("Square(x)*p", Home.OUTPUT, Home.REDUCED),
        ("y", Home.REDUCED, Home.OUTPUT),
        ("(y|p)+1", Home.REDUCED, Home.OUTPUT),
        ("x-y", Home.PAIR, Home.PAIR),
        ("w", Home.PAIR, Home.PAIR),
        ("w*x", Home.PAIR, Home.PAIR),
        ("w*y*p", Home.PAIR, Home.PAIR),
    ],
)
def test_homes_in_reductions_over_either_index(formula, over_j, over_i):
    node = parse(formula, NAMES)
    assert home_of(node, output=I) is over_j
    assert home_of(node, output=J) is over_i
