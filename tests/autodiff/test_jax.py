"""skkeops.jax: JAX's own check of derivatives, dense JAX, compiled and mapped."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax.test_util import check_grads  # noqa: E402

import skkeops.jax  # noqa: E402
from skkeops.jax import Genred  # noqa: E402

ALIASES = ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)", "p = Pm(1)"]
REDUCTIONS = {
    "sum": ("Exp(-p*SqDist(x,y))*b", {}),
    "log-sum-exp": ("-p*SqDist(x,y)*Sum(Square(b))", {"reduction_op": "LogSumExp"}),
    "weighted log-sum-exp": ("-p*SqDist(x,y)", {"reduction_op": "LogSumExp", "formula2": "Square(b)+1"}),
    "softmax": ("-p*SqDist(x,y)", {"reduction_op": "SumSoftMaxWeight", "formula2": "b*(x|y)"}),
}


@pytest.fixture(autouse=True)
def in_float64():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return [jnp.array(rng.normal(size=s)) for s in ((4, 3), (5, 3), (5, 2))] + [jnp.array([0.6])]


@pytest.mark.parametrize(("name", "axis"), [*((name, 1) for name in REDUCTIONS), ("sum", 0)])
def test_first_and_second_derivatives(name, axis, arrays):
    formula, options = REDUCTIONS[name]
    check_grads(Genred(formula, ALIASES, axis=axis, **options), arrays, order=2, modes=["rev"])


@pytest.mark.parametrize("options", [{"reduction_op": "Max"}, {"reduction_op": "KMin", "opt_arg": 2}])
def test_first_derivatives_of_winners(options, arrays):
    check_grads(Genred("p*SqDist(x,y)*Sum(Square(b))", ALIASES, axis=1, **options), arrays, order=1, modes=["rev"])


def dense(x, y, b, p):
    return jnp.exp(-p * ((x[:, None] - y[None]) ** 2).sum(-1)) @ b


def test_beside_dense_jax(arrays):
    function = Genred(REDUCTIONS["sum"][0], ALIASES, axis=1)
    found, expected = (
        jax.jit(jax.value_and_grad(lambda *a, f=f: (f(*a) ** 2).sum(), argnums=(0, 1, 2, 3)))(*arrays) for f in (function, dense)
    )
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)
    x = jnp.stack([arrays[0], 2 * arrays[0]])
    for f in (jax.vmap(lambda x: function(x, *arrays[1:])), jax.vmap(jax.grad(lambda x: function(x, *arrays[1:]).sum()))):
        assert f(x).shape[0] == 2
    np.testing.assert_allclose(jax.vmap(lambda x: function(x, *arrays[1:]))(x)[1], dense(2 * arrays[0], *arrays[1:]), rtol=1e-11)


def test_indices_values_of_pairs_and_float32(arrays):
    x, y = (a.astype(np.float32) for a in arrays[:2])
    distances = ((x[:, None] - y[None]) ** 2).sum(-1)
    nearest = Genred("SqDist(x, y)", ["x = Vi(3)", "y = Vj(3)"], "ArgMin", axis=1)
    assert jnp.issubdtype(nearest(x, y).dtype, jnp.integer)
    np.testing.assert_array_equal(nearest(x, y)[:, 0], distances.argmin(1))
    total = Genred("w * SqDist(x, y)", ["w = Vij(1)", "x = Vi(3)", "y = Vj(3)"], axis=1)
    w = jnp.ones((4, 5, 1), np.float32)
    assert total(w, x, y).dtype == np.float32
    np.testing.assert_allclose(jax.grad(lambda w: total(w, x, y).sum())(w)[:, :, 0], distances, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: f(jnp.zeros((3, 2))), ValueError, "argument"),
        (lambda f: f(jnp.zeros((3, 2)), jnp.zeros((4, 3))), ValueError, r"y must have 2 axes, the last of length 2"),
        (lambda f: f(jnp.zeros((3, 2)), jnp.zeros((4, 2), complex)), TypeError, "complex128: expected float32 or float64"),
        (lambda f: Genred("x - y", ["x = Vi(1)", "y = Vj(1)"], "Max_ArgMax"), ValueError, "returns values and indices"),
    ],
)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call(Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], axis=1))


def test_examples_run():
    assert doctest.testmod(skkeops.jax).failed == 0
