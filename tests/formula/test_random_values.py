"""Random formulas: what NumPy says, what the expression means, and what it would mean without simplification."""

import numpy as np
import pytest
from hypothesis import given, settings

from skkeops.formula import Variable, parse, postorder
from skkeops.formula import operations as ops
from skkeops.formula.operations import families, registry

from .strategies import evaluate, texts

X, Y, S, B = Variable(0, 3, 0), Variable(1, 3, 1), Variable(2, 1, 2), Variable(3, 1, 1)
NAMES = {"x": X, "y": Y, "s": S, "b": B}
N = 4


@pytest.fixture(scope="module")
def unsimplified():
    """A parser whose operations are built as they are written."""

    def parse_as_written(text):
        with pytest.MonkeyPatch.context() as patch:
            for operation in registry.values():
                if isinstance(operation, type):
                    patch.setattr(operation, "simplify", classmethod(lambda cls, args, params: None))
            patch.setattr(families, "_replicated", lambda arg: arg)
            return parse(text, NAMES)

    return parse_as_written


def random_arrays():
    rng = np.random.default_rng(0)
    return {name: rng.uniform(-1.5, 1.5, (N, v.dim)) for name, v in NAMES.items()}


def largest(e, arrays):
    """The largest magnitude below ``e``: what rounding errors are relative to."""
    return max(np.abs(evaluate(node, arrays)).max() for node in postorder(e))


@given(texts({name: v.dim for name, v in NAMES.items()}))
@settings(max_examples=250, deadline=None)
def test_value_with_and_without_simplification(unsimplified, written):
    by_name = random_arrays()
    with np.errstate(all="ignore"):
        expected = written.value(by_name)
    arrays = {NAMES[name]: array for name, array in by_name.items()}
    plain, simple = unsimplified(written.text), parse(written.text, NAMES)
    assert plain.dim == simple.dim == written.dim == expected.shape[1]
    tolerance = 1e-11 * max(1, largest(plain, arrays))
    for e in (plain, simple):
        value = np.broadcast_to(evaluate(e, arrays), expected.shape)
        np.testing.assert_allclose(value, expected, rtol=1e-11, atol=tolerance)


def test_nothing_is_simplified_as_written(unsimplified):
    e = unsimplified("x-x+0*x")
    assert isinstance(e, ops.Add)
    assert len(postorder(e)) == 5
    assert len(postorder(parse("x-x+0*x", NAMES))) == 1
