"""Derivatives inside of formulas of lazy tensors, gradients of reductions, ranges and backends as attributes, options."""

from __future__ import annotations

import re

import numpy as np
import pytest

from skkeops import LazyTensor, Pm, Vi, Vj, cluster, where

RNG = np.random.default_rng(12)
M, N = 8, 11
X, Y, E = RNG.normal(size=(M, 2)), RNG.normal(size=(N, 2)), RNG.normal(size=(M, 1))
S = np.array([0.7])


def kernel(x=X, y=Y, s=S):
    return (-((Vi(x) - Vj(y)) ** 2).sum(-1) * Pm(s)).exp()


DENSE = np.exp(-0.7 * ((X[:, None] - Y) ** 2).sum(-1))
DIFFERENCE = X[:, None] - Y


def test_derivatives_in_formulas():
    x, y = Vi(X), Vj(Y)
    K = (-((x - y) ** 2).sum(-1)).exp()
    dense = np.exp(-(DIFFERENCE**2).sum(-1))
    np.testing.assert_allclose(K.grad(x, 2.0).dense(), -4 * dense[..., None] * DIFFERENCE, rtol=1e-12)
    np.testing.assert_allclose(K.grad(y, Vi(E)).dense(), 2 * (dense * E)[..., None] * DIFFERENCE, rtol=1e-12)
    u = RNG.normal(size=(M, 2))
    expected = -2 * dense * (DIFFERENCE * u[:, None]).sum(-1)
    np.testing.assert_allclose(K.diff(x, Vi(u)).dense(), expected, rtol=1e-12)
    np.testing.assert_allclose(K.laplacian(x).dense(), dense * (4 * (DIFFERENCE**2).sum(-1) - 4), rtol=1e-10)
    field = (x - y) * K
    np.testing.assert_allclose(field.divergence(x).dense(), dense * (2 - 2 * (DIFFERENCE**2).sum(-1)), rtol=1e-10)
    jacobian = dense[..., None, None] * (np.eye(2) - 2 * DIFFERENCE[..., :, None] * DIFFERENCE[..., None, :])
    np.testing.assert_allclose(field.grad_matrix(x).dense(), jacobian.reshape(M, N, 4), rtol=1e-10, atol=1e-12)
    assert K.factorize(x).expression is K.expression
    assert K.auto_factorize().expression is K.expression
    with pytest.raises(ValueError, match="derivatives are taken by the LazyTensor of an array"):
        K.grad(x - y, 1.0)
    with pytest.raises(ValueError, match="derivatives are taken by the LazyTensor of an array"):
        K.laplacian(X)


REDUCTIONS = {
    "Sum": lambda k: k.sum(1),
    "LogSumExp": lambda k: np.log(np.exp(k).sum(1)),
    "Max": lambda k: k.max(1),
    "Min": lambda k: k.min(1),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_gradients_of_reductions(name):
    def value(x, y, s):
        return REDUCTIONS[name](np.exp(-s * ((x[:, None] - y) ** 2).sum(-1)))

    arrays = [X.copy(), Y.copy(), S.copy()]
    K = kernel(*arrays)
    for k, array in enumerate(arrays):
        found = K.gradient(array, grad_output=E, reduction=name)
        u = RNG.normal(size=array.shape)
        moved = [[a + s * 1e-6 * u if a is array else a for a in arrays] for s in (1, -1)]
        expected = ((value(*moved[0]) - value(*moved[1])) / 2e-6 * E[:, 0]).sum()
        assert (found * u).sum() == pytest.approx(expected, rel=1e-6, abs=1e-8), k


def test_gradient_of_a_softmax_by_its_scores_and_by_its_weight():
    x, v, e = X.copy(), RNG.normal(size=(N, 3)), RNG.normal(size=(M, 3))

    def value(x, v):
        p = np.exp(x @ Y.T)
        return (p @ v / p.sum(1, keepdims=True) * e).sum()

    K = Vi(x) | Vj(Y)
    for array, moved in ((x, lambda s, u: value(x + s * u, v)), (v, lambda s, u: value(x, v + s * u))):
        found = K.gradient(array, reduction="SumSoftMaxWeight", weight=Vj(v), grad_output=e)
        u = RNG.normal(size=array.shape)
        assert (found * u).sum() == pytest.approx((moved(1e-6, u) - moved(-1e-6, u)) / 2e-6, rel=1e-6)
    with pytest.raises(ValueError, match="formula2 is missing"):
        K.gradient(x, reduction="SumSoftMaxWeight")


def test_gradients_with_batches_are_those_of_each_problem():
    x, y, s = RNG.normal(size=(4, 3, M, 2)), RNG.normal(size=(3, N, 2)), RNG.uniform(0.5, 1, size=(4, 1, 1, 1))
    e = RNG.normal(size=(4, 3, M, 1))
    K = (-((Vi(x) - Vj(y)) ** 2).sum(-1) * LazyTensor(s[..., None])).exp()
    single = np.empty_like(x), np.empty((4, 3, N, 2)), np.empty((4, 3, 1))
    for b in np.ndindex(4, 3):
        k = kernel(x[b].copy(), y[b[1]].copy(), s[b[0], 0, 0])
        variables = list(k.symbols.values())
        for out, shape in zip(single, ((M, 2), (N, 2), (1,)), strict=True):
            array = next(v.array for v in variables if v.array.shape == shape)
            out[b] = k.gradient(array, grad_output=e[b])
    np.testing.assert_allclose(K.gradient(x, grad_output=e), single[0], rtol=1e-10)
    np.testing.assert_allclose(K.gradient(y, grad_output=e), single[1].sum(0), rtol=1e-10)
    found = K.gradient(s, grad_output=e)
    np.testing.assert_allclose(found.ravel(), single[2].sum(1).ravel(), rtol=1e-10)
    with pytest.raises(ValueError, match=r"'grad_output': found shape \(8, 1\), expected \(4, 3, 8, 1\)"):
        K.gradient(x, grad_output=E)


RANGES = cluster.from_matrix([[0, 3], [3, M]], [[0, 5], [5, N]], [[1, 0], [0, 1]])
KEPT = np.zeros((M, N))
KEPT[:3, :5] = KEPT[3:, 5:] = 1


def test_ranges_as_an_attribute():
    K = kernel()
    K.ranges = RANGES
    np.testing.assert_allclose(K.sum(axis=1)[:, 0], (DENSE * KEPT).sum(1), rtol=1e-12)
    np.testing.assert_allclose((2 * K + 1).sum(axis=0)[:, 0], ((2 * DENSE + 1) * KEPT).sum(0), rtol=1e-12)
    np.testing.assert_allclose(K @ Y, (DENSE * KEPT) @ Y, rtol=1e-12)
    np.testing.assert_allclose(K.T @ X, (DENSE * KEPT).T @ X, rtol=1e-12)
    np.testing.assert_allclose(X.T @ K, X.T @ (DENSE * KEPT), rtol=1e-12)
    expected = -2 * 0.7 * ((DENSE * KEPT)[..., None] * DIFFERENCE).sum(1)
    np.testing.assert_allclose(K.gradient(X), expected, rtol=1e-12)
    np.testing.assert_allclose(kernel().gradient(X, ranges=RANGES), expected, rtol=1e-12)
    np.testing.assert_allclose(kernel().sum(axis=1, ranges=RANGES)[:, 0], (DENSE * KEPT).sum(1), rtol=1e-12)
    other = kernel()
    other.ranges = cluster.from_matrix([[0, M]], [[0, N]], [[1]])
    with pytest.raises(ValueError, match="operands have different ranges"):
        K + other
    with pytest.raises(ValueError, match="a tensor with ranges: select first"):
        K[:3, :2]


def test_ranges_of_batches_are_those_of_every_problem():
    x, y = RNG.normal(size=(3, M, 2)), RNG.normal(size=(2, 1, N, 2))
    K = kernel(x, y)
    dense = np.exp(-0.7 * ((x[:, :, None] - y[..., None, :, :]) ** 2).sum(-1)) * KEPT
    np.testing.assert_allclose(K.sum(axis=3, ranges=RANGES)[..., 0], dense.sum(-1), rtol=1e-12)
    np.testing.assert_allclose(K.sum(axis=2, ranges=RANGES)[..., 0], dense.sum(-2), rtol=1e-12)
    low = np.where(KEPT > 0, dense, np.inf)
    np.testing.assert_array_equal(K.argmin(axis=3, ranges=RANGES)[..., 0], low.argmin(-1))
    K.ranges = RANGES
    np.testing.assert_allclose(K.sum(axis=3)[..., 0], dense.sum(-1), rtol=1e-12)
    wrong = cluster.from_matrix([[0, M]], [[0, N + 1]], [[1]])  # would reach into the next problem
    with pytest.raises(ValueError, match=f"must be ranges within 0 and {N}"):
        kernel(x, y).sum(axis=3, ranges=wrong)


def test_backend_as_an_attribute():
    K = kernel()
    K.backend = "reference"
    np.testing.assert_allclose((K + 0).sum(axis=1), kernel().sum(axis=1), rtol=1e-12)
    K.backend = "nothing"
    with pytest.raises(ValueError, match="backend='nothing' is not known"):
        (2 * K).sum(axis=1)
    with pytest.raises(ValueError, match="backend='no' is not known"):
        kernel().sum(axis=1, backend="no")


def test_names_of_keops():
    K = kernel()
    assert (K.ni, K.nj, K.nbatchdims, K.batchdims) == (M, N, 0, ())
    assert len(K.variables) == 3
    assert {"x0", "y0", "p0"} <= set(re.findall(r"[xyp]0", K.formula))
    for name, axis in (("Sum", 1), ("Max", 0), ("LogSumExp", 1)):
        method = {"Sum": "sum", "Max": "max", "LogSumExp": "logsumexp"}[name]
        np.testing.assert_array_equal(K.reduction(name, axis=axis), getattr(K, method)(axis=axis))
    np.testing.assert_array_equal(K.reduction("KMin", opt_arg=2, dim=1), K.Kmin(2, dim=1))
    np.testing.assert_array_equal(K.reduction("SumSoftMaxWeight", Vj(Y), axis=1), K.sumsoftmaxweight(Vj(Y), axis=1))
    later = K.sum(axis=1, call=False)
    np.testing.assert_array_equal(later(), K.sum(axis=1))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dtype_acc": "x"}, ValueError, "dtype_acc must be one of"),
        ({"sum_scheme": "x"}, ValueError, "sum_scheme must be one of"),
        ({"use_double_acc": 3}, ValueError, "use_double_acc must be True or False"),
        ({"what": 3}, TypeError, "unknown option 'what' of a reduction: expected one of atol, backend"),
        ({"ranges": 3}, TypeError, "ranges must be six arrays"),
        ({"device_id": "a"}, TypeError, "device_id must be an integer"),
    ],
)
def test_options(options, error, message):
    with pytest.raises(error, match=message):
        kernel().sum(axis=1, **options)
    fine = kernel().sum(
        axis=1, use_double_acc=True, sum_scheme="kahan_scheme", enable_chunks=False, use_fast_math=False, device_id=0, backend="CPU"
    )
    np.testing.assert_allclose(fine[:, 0], DENSE.sum(1), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gradients_choose_and_do_not_multiply(dtype):
    """What a mask hides may be infinite or not a number: it leaves gradients alone."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0.5, 2, (6, 2)).astype(dtype), rng.uniform(0.5, 2, (70, 2)).astype(dtype)
    x[2], y[3] = -1, np.inf  # no logarithm; no distance
    mask = rng.uniform(size=(6, 70)) < 0.7
    mask[2], mask[:, 3] = False, False
    mask[0] = np.arange(70) == 5
    safe_x, safe_y = np.where(x < 0, 1.0, x), np.where(np.isinf(y), 1.0, y)
    X, Y = Vi(x), Vj(y)
    rtol = 1e-11 if dtype is np.float64 else 2e-4
    products = where(mask, (X.log() * Y).sum(-1), 0)
    expected = np.where(x < 0, 0, (mask @ safe_y) / safe_x)
    np.testing.assert_allclose(products.gradient(X), expected, rtol=rtol)
    np.testing.assert_allclose(products.gradient(Y), mask.T @ np.log(safe_x), rtol=rtol, atol=rtol)

    exponents = where(mask, -((X - Y) ** 2).sum(-1), -np.inf)
    difference = safe_x[:, None].astype(float) - safe_y
    weights = np.where(mask, np.exp(-(difference**2).sum(-1)), 0)
    weights /= np.where(mask.any(axis=1), weights.sum(axis=1), 1)[:, None]
    expected = (weights[..., None] * -2 * difference).sum(axis=1)
    np.testing.assert_allclose(exponents.gradient(X, reduction="LogSumExp"), expected, rtol=rtol, atol=rtol)
    expected = (weights[..., None] * 2 * difference).sum(axis=0)
    np.testing.assert_allclose(exponents.gradient(Y, reduction="LogSumExp"), expected, rtol=rtol, atol=rtol)
    nearest = where(mask, ((X - Y) ** 2).sum(-1), np.inf)
    winners = np.argmin(np.where(mask, (difference**2).sum(-1), np.inf), axis=1)
    expected = 2 * difference[np.arange(6), winners] * mask.any(axis=1)[:, None]
    found = nearest.gradient(X, reduction="Min")[mask.any(axis=1)]
    np.testing.assert_allclose(found, expected[mask.any(axis=1)], rtol=rtol)


def test_the_gradient_of_a_logarithm_that_is_not_chosen():
    x = np.array([[0.0], [2.0], [-3.0]])
    np.testing.assert_array_equal(where(Vi(x) > 0, Vi(x).log(), 0).gradient(x), [[0], [0.5], [0]])
