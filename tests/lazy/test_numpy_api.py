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


@pytest.mark.parametrize("axis", [0, 1])
def test_variances_of_numbers(axis):
    """A tensor without an axis of components, whose mean has NumPy's shape."""
    for options in ({}, {"ddof": 1}, {"keepdims": True}):
        for function in (np.var, np.std):
            expected = function(DENSE, axis=axis, **options)
            np.testing.assert_allclose(function(K, axis=axis, **options), expected, rtol=1e-12, strict=True)
    np.testing.assert_allclose(K.std(axis), DENSE.std(axis)[:, None], rtol=1e-12, strict=True)
    square = (Vi(X[:, :1]) - Vj(X[:, 1:2])).std(axis)  # as many rows as columns
    np.testing.assert_allclose(square[:, 0], (X[:, :1] - X[:, 1]).std(axis), rtol=1e-12)
    np.testing.assert_allclose((1j * K).var(axis), (1j * DENSE).var(axis)[:, None], rtol=1e-12)


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
    with pytest.raises(TypeError, match="np.var of a LazyTensor takes axis=, ddof=, out= and keepdims=: found dtype"):
        np.var(K, axis=0, dtype=float)
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



def test_conditions():
    a, b = DENSE > 0.3, DENSE < 0.5
    c = DENSE - 0.4
    for found, expected in (
        ((K > 0.3) & (K < 0.5), a & b), (~(K > 0.3), ~a), ((K > 0.3) ^ (K < 0.5), a ^ b), ((K > 0.3) & b, a & b),
        (b & (K > 0.3), a & b), (np.logical_or(K > 0.3, ~b), a | ~b), (np.logical_and(K - 0.4, 1), np.logical_and(c, 1)),
        (np.logical_not(np.floor(2 * K)), np.logical_not(np.floor(2 * DENSE))), (~~(K > 0.3), a),
        (np.isnan(np.log(K - 0.4)), c < 0),
    ):  # fmt: skip
        np.testing.assert_array_equal(found.dense(), expected)
    np.testing.assert_array_equal(np.where((K > 0.3) & (K < 0.5), K, 0).dense(), np.where(a & b, K.dense(), 0))
    with pytest.raises(TypeError, match=r"is the scalar product: write np.logical_or"):
        (K > 0.3) | (K < 0.1)
    with pytest.raises(TypeError, match=r"is the scalar product: write np.logical_or"):
        a | (K < 0.1)
    with pytest.raises(TypeError, match="& is for conditions"):
        K & (K > 0)


REDUCTIONS = ["sum", "max", "min", "amax", "amin", "mean", "argmax", "argmin"]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_have_numpys_shapes(name):
    function = getattr(np, name)
    batch = np.stack([X, X[::-1] ** 2])
    in_batch = (LazyTensor(batch[:, :, None]) | Vj(Y)) / 3
    components = Vi(X) - Vj(Y)
    for T, dense in ((K, DENSE), (in_batch, (batch @ Y.T) / 3), (components, X[:, None] - Y)):
        first = len(T.batch)
        for axis in (first, first + 1, (first,)):
            for options in ({}, {"keepdims": True}, {"keepdims": False}):
                expected = function(dense, axis=axis[0] if "arg" in name and isinstance(axis, tuple) else axis, **options)
                found = function(T, axis=axis, **options)
                assert found.shape == expected.shape
                np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
        if "arg" not in name:
            for axis in (None, (first, first + 1)):
                np.testing.assert_allclose(function(T, axis=axis), function(dense, axis=axis), rtol=1e-12, atol=1e-14)
                expected = function(dense, axis=axis, keepdims=True)
                found = function(T, axis=axis, keepdims=True)
                assert found.shape == expected.shape
    out = np.empty(M, dtype=np.argmax(K, axis=1).dtype if "arg" in name else float)
    assert function(K, axis=1, out=out) is out
    np.testing.assert_allclose(out, function(DENSE, axis=1), rtol=1e-12)


def test_reductions():
    for axis in (0, 1):
        np.testing.assert_allclose(np.add.reduce(K, axis=axis), DENSE.sum(axis), rtol=1e-12)
        np.testing.assert_allclose(np.maximum.reduce(K, axis=axis, keepdims=True), DENSE.max(axis, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(np.minimum.reduce(K), DENSE.min(0), rtol=1e-12)
    np.testing.assert_allclose(np.sum(K), DENSE.sum(), rtol=1e-12)
    np.testing.assert_allclose(np.max(K), DENSE.max(), rtol=1e-12)
    np.testing.assert_allclose(np.mean(K), DENSE.mean(), rtol=1e-12)
    difference = Vi(X) - Vj(Y)
    np.testing.assert_allclose(np.sum(difference**2, axis=-1).dense(), ((DX - DY) ** 2).sum(-1), rtol=1e-12)
    np.testing.assert_allclose(np.mean(difference, axis=-1).dense(), (DX - DY).mean(-1), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(np.linalg.norm(difference, axis=-1).dense(), np.linalg.norm(DX - DY, axis=-1), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_totals(dtype):
    """Without an axis: all pairs of a tensor of one component, as NumPy's; the components of others, lazily, as KeOps'."""
    T = ((Vi(X.astype(dtype)) | Vj(Y.astype(dtype))) / 3)
    in_batch = LazyTensor(np.stack([X, 2 * X])[:, :, None].astype(dtype)) | Vj(Y.astype(dtype))
    for name in ("sum", "mean", "min", "max"):
        for tensor, dense in ((T, DENSE), (in_batch, np.stack([DENSE * 3, DENSE * 6]))):
            found = getattr(tensor, name)()
            assert found.shape == () and found.dtype == dtype
            np.testing.assert_allclose(found, getattr(dense, name)(), rtol=1e-12 if dtype == np.float64 else 1e-6)
        difference = Vi(X) - Vj(Y)
        np.testing.assert_allclose(getattr(difference, name)().dense(), getattr(X[:, None] - Y, name)(-1), atol=1e-15)
    np.testing.assert_allclose(Vi(X[:, :1]).sum(), X[:, 0].sum())
    for name in ("argmin", "argmax"):
        with pytest.raises(ValueError, match=f"{name} of a LazyTensor of shape .9, 13. needs an axis"):
            getattr(T, name)()
    with pytest.raises(ValueError, match="a reduction with out= needs an axis"):
        T.sum(out=np.empty((M, 1)))
    with pytest.raises(ValueError, match="of variables without arrays needs an axis"):
        (Vi(0, 1) * Vj(1, 1)).sum()


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


def test_python_and_numpy_ask():
    assert len(K) == M
    assert K.shape == np.shape(K) == K.T.shape[::-1] == (M, N)
    assert K.dtype == float
    assert hash(K) == hash(K) and {K: 1}[K] == 1
    np.testing.assert_array_equal(((Vi(X) | Vj(Y)) / 3 == K).dense(), np.ones((M, N)))
    np.testing.assert_allclose(abs(-K).dense(), DENSE)
    L = K
    L += 1
    L *= 2
    L %= 0.7
    np.testing.assert_allclose(L.dense(), ((DENSE + 1) * 2) % 0.7)
    np.testing.assert_allclose(K.dense(), DENSE)
    np.testing.assert_allclose(np.dot(np.ones(M), K), DENSE.sum(0))


def test_norms():
    difference, dense = Vi(X) - Vj(Y), X[:, None] - Y
    np.testing.assert_allclose(np.linalg.norm(difference, axis=-1).dense(), np.linalg.norm(dense, axis=-1))
    for axis in (0, 1):
        np.testing.assert_allclose(np.linalg.norm(difference, axis=axis), np.linalg.norm(dense, axis=axis))
        found, expected = (np.linalg.norm(a, axis=axis, keepdims=True) for a in (K - 0.5, DENSE - 0.5))
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(np.linalg.norm(K - 0.5), np.linalg.norm(DENSE - 0.5))
    np.testing.assert_allclose(np.linalg.norm(K.exp1j() + 1, "fro"), np.linalg.norm(np.exp(1j * DENSE) + 1))
    np.testing.assert_allclose(np.fix(10 * K - 3).dense(), np.fix(10 * DENSE - 3))


def test_a_tuple_beside_a_tensor_is_a_vector():
    np.testing.assert_allclose((Vi(X) * (1, 2, 3)).dense(), X[:, None] * (1, 2, 3))
    np.testing.assert_allclose(((0, 3, 1) - Vi(X)).dense(), (0, 3, 1) - X[:, None])


def test_indexing_of_batches():
    a = np.stack([X, X[::-1] ** 2])
    T, dense = LazyTensor(a[:, :, None]) - Vj(Y), a[:, :, None] - Y
    one, one_dense = (T**2).sum(-1), (dense**2).sum(-1)
    np.testing.assert_allclose(one[:, 2:5, [1, 3]].dense(), one_dense[:, 2:5, [1, 3]])
    np.testing.assert_allclose(one[..., 2:5, 1:4].dense(), one_dense[..., 2:5, 1:4])
    np.testing.assert_allclose(T[:, 2:5, :, 1].dense(), dense[:, 2:5, :, 1])
    np.testing.assert_allclose(T[..., 1:].dense(), dense[..., 1:])
    np.testing.assert_allclose(T[..., 3:5, 0:2].dense(), dense[..., 3:5, 0:2])  # columns and components, as NumPy
    for key in ((0, 2), (slice(1), slice(2), slice(3)), (0, slice(None), slice(None))):
        with pytest.raises(IndexError, match=r"with batch dimensions K\[:, rows, columns\]"):
            one[key]
    np.testing.assert_allclose((Vi(X) - Vj(Y))[2:5, :, 1:].dense(), (X[:, None] - Y)[2:5, :, 1:])
    np.testing.assert_allclose((Vi(X) - Vj(Y))[:, :, 1].dense(), (X[:, None] - Y)[:, :, 1])


LARGE = Vi(np.zeros((200_000, 3))) | Vj(np.zeros((100_000, 3)))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: np.asarray(LARGE), ValueError, r"array of 20,000,000,000 numbers \(160 GB\): reduce it .* or call .dense\(\)"),
        (lambda: np.asarray(K, copy=False), ValueError, "without a copy"),
        (lambda: np.linalg.solve(LARGE, np.ones(3)), TypeError, r"np.linalg.solve is not defined for lazy tensors: .*160 GB"),
        (lambda: np.linalg.cholesky(K), TypeError, "np.linalg.cholesky is not defined"),
        (lambda: KernelSum().fit(LARGE), (TypeError, ValueError), "a LazyTensor of shape"),
        (lambda: np.sum(K, axis=1, where=DENSE > 0), TypeError, "takes axis=, out= and keepdims=: found where"),
        (lambda: np.sum(Vi(X), axis=-1, keepdims=True), TypeError, "is lazy, and takes no out= nor keepdims="),
        (lambda: np.sum(K, axis=-2), ValueError, r"reduced over i .axis=0. or j .axis=1.: found axis=-2"),
        (lambda: np.einsum("ij,j", K, np.ones(N)), TypeError, "einsum is not defined for lazy tensors"),
        (lambda: np.outer(K, K), TypeError, "outer"),
        (lambda: np.dot(K, 2), TypeError, "np.dot of a LazyTensor takes an array"),
        (lambda: np.matmul(K, 2), ValueError, "at least one axis"),
        (lambda: np.stack([K, K]), TypeError, "np.stack is not defined"),
        (lambda: np.allclose(K, DENSE), TypeError, "not defined for lazy tensors"),
        (lambda: np.cumsum(K, axis=1), TypeError, "np.cumsum is not defined"),
        (lambda: np.sort(K, axis=1), TypeError, "np.sort is not defined"),
        (lambda: np.reshape(K, -1), TypeError, "np.reshape is not defined"),
        (lambda: np.round(K, 1.5), TypeError, "integer"),
        (lambda: np.floor_divide(K, 2, out=np.empty((M, N))), TypeError, "np.floor_divide with out="),
        (lambda: DENSE.copy().__iadd__(K), TypeError, "np.add with out="),
        (lambda: K % "a", TypeError, "real numbers: found str"),
        (lambda: K == None, TypeError, "real numbers: found NoneType"),  # noqa: E711
        (lambda: iter(K), TypeError, "not iterable"),
        (lambda: sum(K), TypeError, "not iterable"),
        (lambda: max(K), TypeError, "not iterable"),
        (lambda: sorted(K), TypeError, "not iterable"),
        (lambda: 1.0 in K, TypeError, "not iterable|not a container"),
        (lambda: dict([K]), TypeError, "sequence|iterable"),
        (lambda: list(reversed(K)), TypeError, "not reversible"),
        (lambda: round(K), TypeError, "__round__"),
        (lambda: int(K), TypeError, "int"),
        (lambda: K if K > 0.5 else 0, TypeError, "no truth value"),
        (lambda: 0.1 < K < 0.5, TypeError, "no truth value"),
        (lambda: K and K, TypeError, "no truth value"),
        (lambda: range(10)[K], TypeError, "integers or slices"),
        (lambda: K.__setitem__((0, 0), 1), AttributeError, "__setitem__"),
        (lambda: K[:5], IndexError, r"K\[a:b\] selects components, of which there are 1, .* rows are K\[a:b, :\]"),
        (lambda: K[3], IndexError, r"a row is K\[3, :\]"),
        (lambda: K[[0, 1]], TypeError, r"rows and columns are K\[rows, columns\]"),
        (lambda: K[None], TypeError, "found None"),
        (lambda: K[DENSE > 0.3], TypeError, "selected by an integer or a slice: found array"),
        (lambda: K[:, :, :, 0], IndexError, "found 4 indices for a tensor of shape"),
        (lambda: np.argmax(K), ValueError, "needs an axis"),
        (lambda: np.linalg.norm(K, 2), TypeError, r"the Euclidean one: .* found axis=None, ord=2"),
        (lambda: np.linalg.norm(K, 1, axis=0), TypeError, r"the Euclidean one: .* found axis=0, ord=1"),
        (lambda: K + np.ones((M, N), np.longdouble), TypeError, "real numbers: found ndarray .dtype float128."),
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
