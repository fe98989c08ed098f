"""NumPy's functions and scalars with lazy tensors."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

from skkeops import KernelSum, LazyTensor, Pm, Vi, Vj

RNG = np.random.default_rng(9)
M, N = 9, 13
X, Y = RNG.uniform(0.2, 0.9, (M, 3)), RNG.uniform(0.2, 0.9, (N, 3))
DX, DY = X[:, None], Y[None]
K = (Vi(X) | Vj(Y)) / 3
DENSE = (X @ Y.T) / 3

UNARY = [
    "negative", "positive", "absolute", "fabs", "exp", "log", "sqrt", "square", "reciprocal", "sin", "cos", "arcsin", "arccos",
    "arctan", "sign", "floor", "sinc", "expm1", "log1p", "sinh", "cosh", "tanh",
]
SPECIAL = ["erf", "erfc", "expit", "gammaln", "psi", "digamma", "expm1", "log1p", "softplus"]  # fmt: skip
BINARY = [
    "add", "subtract", "multiply", "true_divide", "power", "float_power", "arctan2", "less", "less_equal", "greater",
    "greater_equal", "equal", "not_equal", "maximum", "minimum", "remainder", "logaddexp",
]  # fmt: skip
SCALARS = {
    "python": 2.5, "integer": 2, "float64": np.float64(2.5), "float32": np.float32(2.5), "int64": np.int64(2),
    "0-d": np.array(2.5), "0-d integer": np.array(3), "bool": np.True_,
}  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    function = getattr(np, name)
    np.testing.assert_allclose(function(K).dense(), function(DENSE), rtol=1e-12)
    np.testing.assert_allclose(function((Vi(X) - Vj(Y) + 2) / 3).dense(), function((DX - DY + 2) / 3), rtol=1e-12)


@pytest.mark.parametrize("name", SPECIAL)
def test_special_functions_of_scipy(name):
    function = getattr(scipy.special, name, None)
    if function is None:
        pytest.skip("not in this SciPy")
    np.testing.assert_allclose(function(K).dense(), function(DENSE), rtol=1e-12)
    np.testing.assert_allclose(function(Vi(X) + Vj(Y)).dense(), function(DX + DY), rtol=1e-12, atol=1e-15)


def test_a_function_that_is_not_there_is_named():
    with pytest.raises(TypeError, match="the ufunc ndtri is not defined for lazy tensors"):
        scipy.special.ndtri(K)
    with pytest.raises(TypeError, match="np.tan is not defined"):
        np.tan(K)


def test_logaddexp_of_infinities():
    a = np.array([[-np.inf], [np.inf], [np.inf], [-np.inf], [0.0], [1e4], [np.nan]])
    b = np.array([[-np.inf], [np.inf], [-np.inf], [2.0], [0.0], [1e4], [1.0]])
    with np.errstate(invalid="ignore"):
        expected = np.logaddexp(a, b.T)
    np.testing.assert_allclose(np.logaddexp(Vi(a), Vj(b)).dense(), expected, rtol=1e-15)
    x = np.array([[0.5], [0.75]])
    slopes = np.logaddexp(Vi(x), Vj(np.array([[0.5]]))).gradient(x)
    np.testing.assert_allclose(slopes, scipy.special.expit(x - 0.5))


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("axis", [-1, 2, 0, 1])
def test_variances(axis, ddof):
    points, dense = Vi(X) * Vj(Y) + 1e4, DX * DY + 1e4
    for name in ("var", "std"):
        expected = getattr(np, name)(dense, axis=axis, ddof=ddof)
        for found in (getattr(np, name)(points, axis=axis, ddof=ddof), getattr(points, name)(axis, ddof=ddof)):
            found = found.dense() if axis in (-1, 2) else found
            np.testing.assert_allclose(found, expected, rtol=1e-9)
    z = (Vi(X) * Vj(Y)).exp1j()
    found = z.var(axis, ddof=ddof)
    expected = np.exp(1j * DX * DY).var(axis, ddof=ddof)
    np.testing.assert_allclose(found.dense() if axis in (-1, 2) else found, expected, rtol=1e-12)


def test_variances_of_batches():
    a, b = RNG.random((2, 5, 1, 3)), RNG.random((2, 1, 4, 3))
    for axis in (-1, 1, 2):
        found = (LazyTensor(a) - LazyTensor(b)).std(axis)
        np.testing.assert_allclose(found.dense() if axis == -1 else found, (a - b).std(axis), rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_signed_logsumexp(dtype, axis):
    x, y = (1000 * a.astype(dtype) for a in (X, Y))
    w = RNG.standard_normal((N if axis else M, 2)).astype(dtype)
    points = (Vi(x) | Vj(y)) / 1000
    found = points.logsumexp(axis, weight=Vj(w) if axis else Vi(w), return_sign=True)
    exponents = (x.astype(float) @ y.T.astype(float) / 1000)[..., None]
    weights = w[None] if axis else w[:, None]
    expected = scipy.special.logsumexp(exponents, axis=axis, b=weights.astype(float), return_sign=True)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5 if dtype is np.float32 else 1e-13)
    np.testing.assert_array_equal(found[1], expected[1])
    assert found[0].dtype == found[1].dtype == dtype
    alone = points.logsumexp(axis, return_sign=True)
    np.testing.assert_allclose(alone[0], points.logsumexp(axis), rtol=1e-6 if dtype is np.float32 else 1e-14)
    np.testing.assert_array_equal(alone[1], np.ones_like(alone[0]))


def test_signed_logsumexp_of_sums_that_vanish():
    log_sum, sign = Vi(np.zeros((2, 1))).logsumexp(1, weight=Vj(np.array([[1.0, 2.0], [-1.0, 2.0]])), return_sign=True)
    np.testing.assert_array_equal(log_sum, [[-np.inf, np.log(4)]] * 2)
    np.testing.assert_array_equal(sign, [[0, 1]] * 2)
    with pytest.raises(ValueError, match="return_sign=True needs arrays"):
        K.logsumexp(1, return_sign=True, call=False)


def test_products_of_components():
    points, dense = Vi(X) - Vj(Y), DX - DY
    for found in (np.prod(points, axis=-1), points.prod(-1), points.prod(dim=2), np.multiply.reduce(points, axis=-1)):
        np.testing.assert_allclose(found.dense(), dense.prod(-1), rtol=1e-13)


def test_what_variances_and_products_refuse():
    with pytest.raises(ValueError, match="ddof must be less than the number of values, 3: found 3"):
        np.var(Vi(X) - Vj(Y), axis=-1, ddof=3)
    with pytest.raises(ValueError, match="np.std of a LazyTensor needs an axis"):
        np.std(K)
    with pytest.raises(TypeError, match="np.var of a LazyTensor takes axis= and ddof="):
        np.var(K, axis=0, keepdims=True)
    with pytest.raises(ValueError, match="found axis=0"):
        K.prod(0)
    with pytest.raises(TypeError, match="np.prod of a LazyTensor"):
        np.prod(K)


@pytest.mark.parametrize("name", BINARY)
def test_binary(name):
    function = getattr(np, name)
    for left, right, a, b in ((Vi(X), Vj(Y), DX, DY), (Vi(X), 0.5, DX, 0.5), (0.5, Vj(Y), 0.5, DY)):
        expected = np.broadcast_to(function(a, b), np.broadcast_shapes(np.shape(a), np.shape(b)))
        np.testing.assert_allclose(function(left, right).dense(), expected, rtol=1e-12)
    np.testing.assert_allclose(function(X[:, None], Vj(Y)).dense(), function(DX, DY), rtol=1e-12)
    np.testing.assert_allclose(function(K, DENSE + 0.1).dense(), function(DENSE, DENSE + 0.1), rtol=1e-12)


@pytest.mark.parametrize("kind", SCALARS)
def test_scalars_on_either_side(kind):
    s = SCALARS[kind]
    f = float(s)
    for found, expected in (
        (K + s, DENSE + f), (s + K, f + DENSE), (K - s, DENSE - f), (s - K, f - DENSE), (K * s, DENSE * f), (s * K, f * DENSE),
        (K / s, DENSE / f), (s / K, f / DENSE), (K**s, DENSE**f), (s**K, f**DENSE), (s > K, f > DENSE), (s <= K, f <= DENSE),
        (s == K, f == DENSE), (s != K, f != DENSE), (s < K, f < DENSE), (s >= K, f >= DENSE),
    ):  # fmt: skip
        assert isinstance(found, LazyTensor)
        np.testing.assert_allclose(found.dense(), expected * 1.0, rtol=1e-12)


def test_reductions():
    for axis in (0, 1):
        np.testing.assert_allclose(np.sum(K, axis=axis)[:, 0], DENSE.sum(axis), rtol=1e-12)
        np.testing.assert_allclose(np.max(K, axis=axis)[:, 0], DENSE.max(axis), rtol=1e-12)
        np.testing.assert_allclose(np.amin(K, axis)[:, 0], DENSE.min(axis), rtol=1e-12)
        np.testing.assert_allclose(np.mean(K, axis=axis)[:, 0], DENSE.mean(axis), rtol=1e-12)
        np.testing.assert_array_equal(np.argmax(K, axis=axis)[:, 0], DENSE.argmax(axis))
        np.testing.assert_array_equal(np.argmin(K, axis=axis)[:, 0], DENSE.argmin(axis))
        np.testing.assert_allclose(np.add.reduce(K, axis=axis)[:, 0], DENSE.sum(axis), rtol=1e-12)
        np.testing.assert_allclose(np.maximum.reduce(K, axis=axis)[:, 0], DENSE.max(axis), rtol=1e-12)
    np.testing.assert_allclose(np.sum(K), DENSE.sum(), rtol=1e-12)
    np.testing.assert_allclose(np.max(K), DENSE.max(), rtol=1e-12)
    np.testing.assert_allclose(np.mean(K), DENSE.mean(), rtol=1e-12)
    difference = Vi(X) - Vj(Y)
    np.testing.assert_allclose(np.sum(difference**2, axis=-1).dense(), ((DX - DY) ** 2).sum(-1), rtol=1e-12)
    np.testing.assert_allclose(np.mean(difference, axis=-1).dense(), (DX - DY).mean(-1), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(np.linalg.norm(difference, axis=-1).dense(), np.linalg.norm(DX - DY, axis=-1), rtol=1e-12)
    out = np.empty((M, 1))
    assert np.sum(K, axis=1, out=out) is out


def test_other_functions():
    x, y = Vi(X), Vj(Y)
    np.testing.assert_allclose(np.clip(K, 0.1, 0.3).dense(), np.clip(DENSE, 0.1, 0.3))
    np.testing.assert_allclose(np.clip(K, None, 0.3).dense(), np.clip(DENSE, None, 0.3))
    np.testing.assert_allclose(np.round(K, 1).dense(), np.round(DENSE, 1))
    np.testing.assert_allclose(np.transpose(K).dense(), DENSE.T)
    wide = np.concatenate([x, y, x * y], axis=-1)
    expected = np.concatenate([np.broadcast_to(a, (M, N, 3)) for a in (DX, DY, DX * DY)], axis=-1)
    np.testing.assert_allclose(wide.dense(), expected)
    np.testing.assert_allclose(np.dot(K, Y), DENSE @ Y)
    np.testing.assert_allclose(np.matmul(K, Y), DENSE @ Y)
    np.testing.assert_allclose(np.ones(M) @ K, DENSE.sum(0))
    np.testing.assert_allclose(np.ones((2, M)) @ K, np.ones((2, M)) @ DENSE)
    assert np.shape(K) == (M, N)
    assert np.size(K) == M * N
    assert np.ndim(K) == 2
    np.testing.assert_allclose((x + y)[-1].dense(), (DX + DY)[..., -1])
    np.testing.assert_allclose((x + y)[..., 0:-1].dense(), (DX + DY)[..., 0:-1])


def test_as_arrays():
    np.testing.assert_allclose(np.asarray(K), DENSE)
    assert np.asarray(K, dtype=np.float32).dtype == np.float32
    np.testing.assert_allclose(np.array(K), DENSE)
    assert (Vi(X.astype(np.float32)) | Vj(Y.astype(np.float32))).dense().dtype == np.float32
    np.testing.assert_allclose(Vi(X).dense(), X[:, None])
    np.testing.assert_allclose(Pm(2.0).dense(), [[2.0]])


def test_half_precision_and_integers_are_promoted():
    x, y = X.astype(np.float16), Y.astype(np.float16)
    found = (Vi(x) | Vj(y)).sum(axis=1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], (x.astype(np.float64) @ y.astype(np.float64).T).sum(1), rtol=1e-6)
    i = np.arange(5)[:, None]
    assert (Vi(i) * Vj(i)).sum(axis=1).dtype == np.float64
    np.testing.assert_array_equal((Vi(i) * Vj(i)).sum(axis=1)[:, 0], 10 * np.arange(5))


LARGE = Vi(np.zeros((200_000, 3))) | Vj(np.zeros((100_000, 3)))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: np.asarray(LARGE), ValueError, r"array of 20,000,000,000 numbers \(160 GB\): reduce it .* or call .dense\(\)"),
        (lambda: np.asarray(K, copy=False), ValueError, "without a copy"),
        (lambda: np.linalg.solve(LARGE, np.ones(3)), TypeError, r"np.solve is not defined for lazy tensors: .*160 GB"),
        (lambda: np.linalg.cholesky(K), TypeError, "np.cholesky is not defined"),
        (lambda: KernelSum().fit(LARGE), (TypeError, ValueError), "a LazyTensor of shape"),
        (lambda: np.sum(K, axis=1, keepdims=True), TypeError, "takes axis= and out="),
        (lambda: np.argmax(K), ValueError, "needs an axis"),
        (lambda: np.linalg.norm(K), TypeError, "Euclidean one of the components"),
        (lambda: np.where(K), TypeError, "a condition and two choices"),
        (lambda: np.arctanh(K), TypeError, "arctanh"),
        (lambda: np.add.accumulate(K), TypeError, "accumulate|not supported|returned NotImplemented"),
        (lambda: np.exp(K, out=np.empty((M, N))), TypeError, "exp"),
        (lambda: float(K), TypeError, "float"),
        (lambda: bool(K), TypeError, "no truth value"),
        (lambda: np.transpose(Vi(X) - Vj(Y)), ValueError, "np.transpose is for tensors of shape"),
        (lambda: np.diagonal(K, 1), ValueError, "that of pairs"),
        (lambda: np.diagonal(K), ValueError, "a diagonal is that of a square tensor"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
