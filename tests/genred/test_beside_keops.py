"""The same numbers as KeOps, where it can compile: three formulas, each of which it compiles for some seconds."""

import shutil

import numpy as np
import pytest

from skkeops import Genred

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="KeOps needs a C++ compiler"),
]
M, N = 70, 50


def from_keops(keops, arguments, options, arrays):
    try:
        return keops.Genred(*arguments, **options)(*arrays, backend="CPU")
    except (OSError, RuntimeError, ImportError, AttributeError) as error:
        pytest.skip(f"KeOps does not compile here: {error}")


@pytest.fixture
def arrays(rng):
    return [rng.normal(size=s).astype(np.float32) for s in [(M, 3), (N, 3), (N, 2)]] + [np.float32([0.7])]


ALIASES = ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)", "p = Pm(1)"]


def test_softmax(keops, arrays, backend):
    arguments = "-p * SqDist(x, y)", ALIASES, "SumSoftMaxWeight"
    options = {"axis": 1, "formula2": "b * Sin(Elem(x, 1))"}
    expected = from_keops(keops, arguments, options, arrays)
    found = Genred(*arguments, **options)(*arrays, backend=backend)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_nearest(keops, arrays, backend):
    arguments = "p * SqDist(x, y) + Elem(b, 0)", ALIASES, "ArgKMin"
    options = {"opt_arg": 4}  # the default axis
    expected = from_keops(keops, arguments, options, arrays)
    found = Genred(*arguments, **options)(*arrays, backend=backend)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(found, expected)


def test_gradient(keops, arrays, backend, rng):
    """KeOps' ``Grad`` in the formula is our method `gradient`."""
    e = rng.normal(size=(M, 2)).astype(np.float32)
    formula = "Exp(-p * SqDist(x, y)) * b * Square(Elem(x, 2))"
    by_hand = f"Grad({formula}, x, e)", [*ALIASES, "e = Vi(2)"]
    expected = from_keops(keops, by_hand, {"axis": 1}, [*arrays, e])
    found = Genred(formula, ALIASES, axis=1).gradient(*arrays, wrt="x", grad_output=e, backend=backend)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        Genred(*by_hand, axis=1)(*arrays, e, backend=backend), expected, rtol=1e-4, atol=1e-5
    )


def test_what_simplification_removes_stays_an_argument():
    rng = np.random.default_rng(0)
    x, y, z = rng.standard_normal((4, 3)), rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
    for formula, expected in [
        ("x - y + 0*Var(2,3,1)", 5 * x - y.sum(axis=0)),
        ("Var(2,3,1)*0 + x", 5 * x),
        ("Var(2,3,1) - Var(2,3,1) + y", np.tile(y.sum(axis=0), (4, 1))),
    ]:
        found = Genred(formula, ["x = Vi(3)", "y = Vj(3)"], axis=1)(x, y, z)
        np.testing.assert_allclose(found, expected, atol=1e-12)
    # the gradient of what does not depend on x is 0, whatever the direction that is passed
    found = Genred("Grad(Sum(y*y), x)", ["x = Vi(3)", "y = Vj(3)"], axis=1)(x, y, np.ones((5, 1)))
    np.testing.assert_array_equal(found, np.zeros((4, 3)))
