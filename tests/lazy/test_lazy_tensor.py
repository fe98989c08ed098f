"""LazyTensor against dense NumPy arrays of the same formulas, and against KeOps' own."""

from __future__ import annotations

import copy
import gc
import pickle

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from skkeops import FormulaError, Genred, LazyTensor, Pm, Vi, Vj

RNG = np.random.default_rng(2)
M, N, D = 11, 7, 3
X, Y = RNG.uniform(0.2, 1.5, (M, D)), RNG.uniform(0.2, 1.5, (N, D))
P = RNG.uniform(0.5, 1.0, D)
B = RNG.normal(size=(N, 2))


def both(x=X, y=Y):
    """x_i and y_j as lazy tensors and as arrays that broadcast."""
    return LazyTensor(x[:, None, :]), LazyTensor(y[None, :, :]), x[:, None, :], y[None, :, :]


def kernel():
    x, y, dx, dy = both()
    return (-((x - y) ** 2).sum(-1)).exp(), np.exp(-((dx - dy) ** 2).sum(-1))


def keep(a):
    return np.broadcast_to(a, (M, N, *np.shape(a)[2:]))


OPERATIONS = {
    "add": (lambda x, y: x + y, lambda x, y: x + y),
    "radd": (lambda x, y: 2 + x + 0 * y, lambda x, y: 2 + x + 0 * y),
    "subtract": (lambda x, y: x - y, lambda x, y: x - y),
    "rsub": (lambda x, y: 2.5 - x * y, lambda x, y: 2.5 - x * y),
    "multiply": (lambda x, y: x * y, lambda x, y: x * y),
    "divide": (lambda x, y: x / y, lambda x, y: x / y),
    "rdivide": (lambda x, y: 1 / (x + y), lambda x, y: 1 / (x + y)),
    "power": (lambda x, y: x**y, lambda x, y: x**y),
    "integer power": (lambda x, y: (x - y) ** 3, lambda x, y: (x - y) ** 3),
    "half power": (lambda x, y: (x + y) ** 0.5, lambda x, y: (x + y) ** 0.5),
    "inverse root": (lambda x, y: (x + y) ** -0.5, lambda x, y: (x + y) ** -0.5),
    "rpower": (lambda x, y: 2 ** (x + y), lambda x, y: 2 ** (x + y)),
    "negative": (lambda x, y: -(x + y), lambda x, y: -(x + y)),
    "abs": (lambda x, y: abs(x - y), lambda x, y: abs(x - y)),
    "less": (lambda x, y: x < y, lambda x, y: (x < y) * 1.0),
    "less equal": (lambda x, y: x <= y, lambda x, y: (x <= y) * 1.0),
    "greater": (lambda x, y: x > y, lambda x, y: (x > y) * 1.0),
    "greater equal": (lambda x, y: x >= y, lambda x, y: (x >= y) * 1.0),
    "equal": (lambda x, y: (x > 1) == (y > 1), lambda x, y: ((x > 1) == (y > 1)) * 1.0),
    "not equal": (lambda x, y: (x > 1) != (y > 1), lambda x, y: ((x > 1) != (y > 1)) * 1.0),
    "scalar product": (lambda x, y: x | y, lambda x, y: (x * y).sum(-1)),
    "exp": (lambda x, y: (x - y).exp(), lambda x, y: np.exp(x - y)),
    "log": (lambda x, y: (x + y).log(), lambda x, y: np.log(x + y)),
    "xlogx": (lambda x, y: (x + y).xlogx(), lambda x, y: (x + y) * np.log(x + y)),
    "sin": (lambda x, y: (x + y).sin(), lambda x, y: np.sin(x + y)),
    "cos": (lambda x, y: (x + y).cos(), lambda x, y: np.cos(x + y)),
    "asin": (lambda x, y: (x * y / 3).asin(), lambda x, y: np.arcsin(x * y / 3)),
    "acos": (lambda x, y: (x * y / 3).acos(), lambda x, y: np.arccos(x * y / 3)),
    "atan": (lambda x, y: (x * y).atan(), lambda x, y: np.arctan(x * y)),
    "atan2": (lambda x, y: x.atan2(y), lambda x, y: np.arctan2(x, y)),
    "sinxdivx": (lambda x, y: (x * y).sinxdivx(), lambda x, y: np.sin(x * y) / (x * y)),
    "sinc": (lambda x, y: (x * y).sinc(), lambda x, y: np.sinc(x * y)),
    "sign": (lambda x, y: (x - y).sign(), lambda x, y: np.sign(x - y)),
    "step": (lambda x, y: (x - y).step(), lambda x, y: (x >= y) * 1.0),
    "relu": (lambda x, y: (x - y).relu(), lambda x, y: np.maximum(x - y, 0)),
    "floor": (lambda x, y: (5 * x - y).floor(), lambda x, y: np.floor(5 * x - y)),
    "inv": (lambda x, y: (x + y).inv(), lambda x, y: 1 / (x + y)),
    "square": (lambda x, y: (x - y).square(), lambda x, y: (x - y) ** 2),
    "sqrt": (lambda x, y: (x * y).sqrt(), lambda x, y: np.sqrt(x * y)),
    "rsqrt": (lambda x, y: (x * y).rsqrt(), lambda x, y: 1 / np.sqrt(x * y)),
    "power method": (lambda x, y: (x * y).power(2), lambda x, y: (x * y) ** 2),
    "clamp": (lambda x, y: (x - y).clamp(-0.3, 0.4), lambda x, y: np.clip(x - y, -0.3, 0.4)),
    "ifelse": (lambda x, y: (x - y).ifelse(x, 2 * y), lambda x, y: np.where(x >= y, x, 2 * y)),
    "maximum": (lambda x, y: x.maximum(y), lambda x, y: np.maximum(x, y)),
    "minimum": (lambda x, y: x.minimum(y), lambda x, y: np.minimum(x, y)),
    "mod": (lambda x, y: (7 * x - y).mod(2), lambda x, y: np.mod(7 * x - y, 2)),
    "round": (lambda x, y: (x * y).round(1), lambda x, y: np.round(x * y, 1)),
    "sum of components": (lambda x, y: (x * y).sum(-1), lambda x, y: (x * y).sum(-1)),
    "sum, dim=2": (lambda x, y: (x * y).sum(dim=2), lambda x, y: (x * y).sum(-1)),
    "min of components": (lambda x, y: (x - y).min(-1), lambda x, y: (x - y).min(-1)),
    "max of components": (lambda x, y: (x - y).max(axis=2), lambda x, y: (x - y).max(-1)),
    "argmin of components": (lambda x, y: (x - y).argmin(-1), lambda x, y: (x - y).argmin(-1) * 1.0),
    "argmax of components": (lambda x, y: (x - y).argmax(-1), lambda x, y: (x - y).argmax(-1) * 1.0),
    "sqnorm2": (lambda x, y: (x - y).sqnorm2(), lambda x, y: ((x - y) ** 2).sum(-1)),
    "norm2": (lambda x, y: (x - y).norm2(), lambda x, y: np.sqrt(((x - y) ** 2).sum(-1))),
    "norm": (lambda x, y: (x - y).norm(-1), lambda x, y: np.sqrt(((x - y) ** 2).sum(-1))),
    "normalize": (lambda x, y: (x + y).normalize(), lambda x, y: (x + y) / np.linalg.norm(x + y, axis=-1, keepdims=True)),
    "sqdist": (lambda x, y: x.sqdist(y), lambda x, y: ((x - y) ** 2).sum(-1)),
    "weightedsqnorm": (lambda x, y: (x - y).weightedsqnorm(Pm(P)), lambda x, y: (P * (x - y) ** 2).sum(-1)),
    "weightedsqdist": (lambda x, y: x.weightedsqdist(y, Pm(P)), lambda x, y: (P * (x - y) ** 2).sum(-1)),
    "elem": (lambda x, y: (x + y).elem(1), lambda x, y: (x + y)[..., 1]),
    "index": (lambda x, y: (x + y)[-1], lambda x, y: (x + y)[..., -1]),
    "slice": (lambda x, y: (x + y)[1:], lambda x, y: (x + y)[..., 1:]),
    "extract": (lambda x, y: (x + y).extract(0, 2), lambda x, y: (x + y)[..., :2]),
    "concat": (lambda x, y: x.concat(y), lambda x, y: np.concatenate([keep(x), keep(y)], -1)),
    "concatenate": (
        lambda x, y: LazyTensor.concatenate((x, y, x * y), -1),
        lambda x, y: np.concatenate([keep(x), keep(y), x * y], -1),
    ),
    "one hot": (lambda x, y: (2 * x + 0 * y)[0].one_hot(4), lambda x, y: np.eye(4)[keep(np.rint(2 * x[..., 0])).astype(int)]),
    "tensorprod": (lambda x, y: x.tensorprod(y), lambda x, y: np.einsum("ijk,ijl->ijkl", keep(x), keep(y)).reshape(M, N, 9)),
    "kron": (
        lambda x, y: x.keops_kron(y, (3,), (3,)),
        lambda x, y: np.einsum("ijk,ijl->ijkl", keep(x), keep(y)).reshape(M, N, 9),
    ),
    "tensordot": (lambda x, y: x.keops_tensordot(y, (3,), (3,), (0,), (0,)), lambda x, y: (x * y).sum(-1)),
    "parameter": (lambda x, y: (x - y) * P, lambda x, y: (x - y) * P),
    "list": (lambda x, y: (x - y) + [1.0, 2.0, 3.0], lambda x, y: x - y + np.array([1.0, 2.0, 3.0])),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name, dtype):
    lazy, dense = OPERATIONS[name]
    x, y, dx, dy = both(X.astype(dtype), Y.astype(dtype))
    tensor = lazy(x, y)
    expected = np.asarray(dense(dx.astype(float), dy.astype(float)))
    assert isinstance(tensor, LazyTensor)
    assert tensor.shape == expected.shape
    np.testing.assert_allclose(tensor.dense(), expected, rtol=1e-12 if dtype == np.float64 else 2e-5, atol=1e-6)


@pytest.mark.parametrize(
    "ufunc",
    [np.exp, np.log, np.sqrt, np.sin, np.cos, np.square, np.negative, np.absolute, np.reciprocal, np.floor, np.sign],
)
def test_functions_of_numpy(ufunc):
    K, D = kernel()
    np.testing.assert_allclose(ufunc(K + 0.1).dense(), ufunc(D + 0.1), rtol=1e-12)


def test_numpy_on_the_left():
    K, D = kernel()
    for left in (np.float64(2.0), np.float32(2.0), np.array(2.0), np.int64(2)):
        np.testing.assert_allclose((left * K).dense(), 2 * D, rtol=1e-15)
        np.testing.assert_allclose((left - K).dense(), 2 - D, rtol=1e-15)
        np.testing.assert_allclose((left / K).dense(), 2 / D, rtol=1e-15)
        np.testing.assert_allclose((left < 3 * K).dense(), (3 * D > 2) * 1.0)
    np.testing.assert_allclose((P * (Vi(X) - Vj(Y))).dense(), P * (X[:, None] - Y), rtol=1e-15)
    np.testing.assert_allclose(np.add(Y[None], Vi(X)).dense(), X[:, None] + Y, rtol=1e-15)
    np.testing.assert_allclose(np.maximum(K, 0.5).dense(), np.maximum(D, 0.5), rtol=1e-15)


REDUCTIONS = {
    "sum": (lambda K, a: K.sum(axis=a), lambda D, a: D.sum(a)),
    "sum_reduction": (lambda K, a: K.sum_reduction(dim=a), lambda D, a: D.sum(a)),
    "logsumexp": (lambda K, a: K.logsumexp(a), lambda D, a: logsumexp(D, a)),
    "max": (lambda K, a: K.max(axis=a), lambda D, a: D.max(a)),
    "min": (lambda K, a: K.min_reduction(axis=a), lambda D, a: D.min(a)),
    "argmax": (lambda K, a: K.argmax(dim=a), lambda D, a: D.argmax(a)),
    "argmin": (lambda K, a: K.argmin_reduction(axis=a), lambda D, a: D.argmin(a)),
    "max_argmax": (lambda K, a: K.max_argmax(axis=a)[1], lambda D, a: D.argmax(a)),
    "min_argmin": (lambda K, a: K.min_argmin(axis=a)[0], lambda D, a: D.min(a)),
}


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, axis):
    K, D = kernel()
    lazy, dense = REDUCTIONS[name]
    result = lazy(K, axis)
    assert result.shape == ((N, M)[axis], 1)
    np.testing.assert_allclose(result[:, 0], dense(D, axis), rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1])
def test_k_smallest(axis):
    K, D = kernel()
    order = np.argsort(D, axis=axis)
    order = (order if axis else order.T)[:, :3]
    values = np.take_along_axis(D if axis else D.T, order, 1)
    np.testing.assert_array_equal(K.argKmin(3, axis=axis), order)
    np.testing.assert_allclose(K.Kmin(3, dim=axis), values, rtol=1e-12)
    np.testing.assert_allclose(K.Kmin_argKmin(3, axis=axis)[0], values, rtol=1e-12)


def test_weights():
    K, D = kernel()
    np.testing.assert_allclose(K.sumsoftmaxweight(Vj(B), axis=1), softmax(D, axis=1) @ B, rtol=1e-12)
    weight = np.abs(B[:, :1])
    expected = logsumexp(D, axis=1, b=weight[:, 0])
    np.testing.assert_allclose(K.logsumexp(axis=1, weight=Vj(weight))[:, 0], expected, rtol=1e-12)


def test_matrix_products():
    K, D = kernel()
    np.testing.assert_allclose(K @ B, D @ B, rtol=1e-12)
    np.testing.assert_allclose(K @ B[:, 0], D @ B[:, 0], rtol=1e-12)
    np.testing.assert_allclose(K.T @ X, D.T @ X, rtol=1e-12)
    np.testing.assert_allclose(K.t() @ X[:, 0], X[:, 0] @ D, rtol=1e-12)
    np.testing.assert_allclose(X.T @ K, X.T @ D, rtol=1e-12)
    np.testing.assert_allclose(X[:, 0] @ K, X[:, 0] @ D, rtol=1e-12)
    np.testing.assert_allclose(K.rmatvec(X[:, 0]), X[:, 0] @ D, rtol=1e-12)
    assert K.T.shape == (N, M)


def test_the_backend_and_out_of_reductions():
    K, _ = kernel()
    np.testing.assert_allclose(K.sum(axis=1, backend="reference"), K.sum(axis=1), rtol=1e-14)
    out = np.empty((M, 1))
    assert K.sum(axis=1, out=out) is out
    later = K.sum(axis=1, call=False)
    np.testing.assert_array_equal(later(), out)


def test_variables_that_are_given_later():
    x, y, p = Vi(0, 3), Vj(1, 3), Pm(2, 1)
    function = ((-p * ((x - y) ** 2).sum(-1)).exp() * Vj(B)).sum(axis=1)
    expected = Genred("Exp(-p*SqDist(x,y))*b", ["x=Vi(3)", "y=Vj(3)", "p=Pm(1)", "b=Vj(2)"], axis=1)
    np.testing.assert_allclose(function(X, Y, np.array([0.7])), expected(X, Y, np.array([0.7]), B), rtol=1e-13)
    with pytest.raises(ValueError, match=r"positions of variables must be 0, 1, 2, \.\.\.: found \[1\]"):
        Vj(1, 3).sum(axis=1)


def test_parts():
    K, D = kernel()
    np.testing.assert_allclose(K[2:5, [0, 6]].dense(), D[2:5][:, [0, 6]], rtol=1e-14)
    np.testing.assert_allclose(K[3, :].dense(), D[3:4], rtol=1e-14)
    np.testing.assert_allclose(np.asarray(K), D, rtol=1e-14)
    assert np.asarray(K, dtype=np.float32).dtype == np.float32


def test_gradient():
    x, y = Vi(X), Vj(Y)
    K = (-((x - y) ** 2).sum(-1)).exp()
    e = RNG.normal(size=(M, 1))
    function = Genred("Exp(-SqDist(x,y))", ["x=Vi(3)", "y=Vj(3)"], axis=1)
    for wrt, array, tensor in (("x", X, x), ("y", Y, y)):
        expected = function.gradient(X, Y, wrt=wrt, grad_output=e)
        np.testing.assert_allclose(K.gradient(array, grad_output=e), expected, rtol=1e-13)
        np.testing.assert_allclose(K.gradient(tensor, grad_output=e), expected, rtol=1e-13)
    with pytest.raises(ValueError, match="wrt must be one of the arrays"):
        K.gradient(np.zeros((M, 3)))


def numerical_gradient(function, x):
    """By central differences."""
    found = np.zeros(x.shape)
    for k in np.ndindex(x.shape):
        moved = [x.copy(), x.copy()]
        moved[0][k] += 1e-6
        moved[1][k] -= 1e-6
        found[k] = (function(moved[0]) - function(moved[1])) / 2e-6
    return found


def test_gradient_by_points_on_both_sides():
    """By the array: all places where it stands. By the tensor of points i: these alone."""
    e = RNG.normal(size=(M, 1))
    x_i, x_j = Vi(X), Vj(X)
    K = (-((x_i - x_j) ** 2).sum(-1) / 2).exp() * (1 + x_i[0] * x_j[1])

    def total(a, b=None):
        b = a if b is None else b
        return ((np.exp(-((a[:, None] - b) ** 2).sum(-1) / 2) * (1 + a[:, None, 0] * b[:, 1])).sum(1) * e[:, 0]).sum()

    np.testing.assert_allclose(K.gradient(X, grad_output=e), numerical_gradient(total, X), rtol=1e-6, atol=1e-8)
    by_i = numerical_gradient(lambda a: total(a, X), X)
    np.testing.assert_allclose(K.gradient(x_i, grad_output=e), by_i, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(K.gradient(X, grad_output=e), K.gradient(x_i, grad_output=e) + K.gradient(x_j, grad_output=e))
    w = RNG.normal(size=M)  # a column, a row and a vector of one memory
    both = (Vi(X) | Vj(X)) * w[:, None] * w[None] * Pm(w).sum()
    expected = numerical_gradient(lambda v: ((X @ X.T) * v[:, None] * v * v.sum()).sum(), w)
    np.testing.assert_allclose(both.gradient(w[:, None])[:, 0], expected, rtol=1e-6)
    square = RNG.normal(size=(4, 4))  # the transposed array is another one, of the same memory
    S = Vi(square) * Vj(square.T)
    np.testing.assert_allclose(S.gradient(square), np.tile(square.T.sum(0), (4, 1)))
    np.testing.assert_allclose(S.gradient(square.T), np.tile(square.sum(0), (4, 1)))
    z = X[:, :2] + 1j * X[:, 1:]
    both = (Vi(z) * Vj(z)).sum(-1)
    np.testing.assert_allclose(both.gradient(z), np.tile(2 * z.sum(0).conj(), (M, 1)), rtol=1e-12)


@pytest.mark.parametrize("make", [lambda a: a, np.ndarray.tolist, lambda a: a.astype(np.float32)])
def test_gradients_by_what_tensors_hold_copies_of(make):
    n = make(np.arange(6).reshape(3, 2))
    n_i = Vi(n)
    K = (n_i * Vj(n)).sum(-1)
    np.testing.assert_allclose(K.gradient(n_i), np.tile([6, 9], (3, 1)))
    if getattr(n, "dtype", None) != np.float32:
        for wrt in (n, Vi(n)):
            with pytest.raises(ValueError, match=r"arrays of floats .* of lists and integers it holds copies"):
                K.gradient(wrt)


def test_one_array_is_one_variable():
    x = Vi(X)
    assert (x + Vi(X)).expression == 2 * x.expression
    assert len((x * Vi(X) + Vj(X)).symbols) == 2  # as points x_i and as points y_j
    assert len((x + Vi(X[::-1])).symbols) == 2


def test_positions_are_used_again():
    """A loop builds the same expression, so that nothing is compiled twice."""
    gc.collect()

    def build():
        return (-((Vi(X.copy()) - Vj(Y.copy())) ** 2).sum(-1)).exp()

    first = str(build().expression)
    gc.collect()
    assert str(build().expression) == first


def test_copies():
    K, _ = kernel()
    for other in (pickle.loads(pickle.dumps(K)), copy.copy(K), copy.deepcopy(K)):
        np.testing.assert_array_equal(other @ B, K @ B)
    assert repr(K) == "LazyTensor(shape=(11, 7), formula=Exp(-Sum(Square(x0-y0))))"


# Batches


@pytest.mark.parametrize(
    ("bx", "by", "bp"), [((4,), (4,), ()), ((4,), (1,), (4,)), ((2, 1), (1, 3), (2, 3)), ((), (5,), ()), ((1,), (1,), (1,))]
)
def test_batches(bx, by, bp):
    x, y = RNG.normal(size=(*bx, 5, 1, 2)), RNG.normal(size=(*by, 1, 6, 2))
    p = RNG.uniform(0.5, 1, size=(*bp, 1, 1, 1))
    b = RNG.normal(size=(*by, 6, 2))
    K = (-LazyTensor(p) * ((LazyTensor(x) - LazyTensor(y)) ** 2).sum(-1)).exp()
    D = np.exp(-p[..., 0] * ((x - y) ** 2).sum(-1))
    batch = np.broadcast_shapes(bx, by, bp)
    n = len(batch)
    assert K.shape == D.shape == (*batch, 5, 6)
    for axis in (0, 1):
        np.testing.assert_allclose(K.sum(axis=n + axis)[..., 0], D.sum(n + axis), rtol=1e-12)
        np.testing.assert_array_equal(K.argmax(axis=n + axis)[..., 0], D.argmax(n + axis))
        np.testing.assert_allclose(K.logsumexp(axis=n + axis)[..., 0], logsumexp(D, n + axis), rtol=1e-12)
    order = np.argsort(D, axis=-1)[..., :3]
    np.testing.assert_array_equal(K.argKmin(3, axis=n + 1), order)
    np.testing.assert_allclose(K @ b, D @ b, rtol=1e-12)
    np.testing.assert_allclose(K.dense(), D, rtol=1e-12)
    if n:
        with pytest.raises(ValueError, match=f"is reduced over i .axis={n}. or j .axis={n + 1}."):
            K.max_reduction(axis=n - 1)


@pytest.mark.parametrize("shape", [(2, 1, 4, 3), (2, 4, 1, 3), (2, 1, 1, 3), (1, 1, 4, 3), (2, 3, 4, 1, 3), (2, 3, 1, 1, 3)])
def test_batches_of_one_side(shape):
    """Nothing depends on i, or on j, or on both: as unbatched."""
    a = RNG.normal(size=shape)
    T, n = LazyTensor(a), len(shape) - 3
    assert T.shape == shape
    for axis in (n, n + 1):
        np.testing.assert_allclose(T.sum(axis=axis), a.sum(axis), rtol=1e-13)
        np.testing.assert_allclose(T.max(axis=axis), a.max(axis), rtol=1e-13)
        np.testing.assert_array_equal(T.argmin(axis=axis), a.argmin(axis))
        np.testing.assert_allclose(T[0].logsumexp(axis=axis)[..., 0], logsumexp(a[..., 0], axis), rtol=1e-13)
        np.testing.assert_allclose(T.gradient(a, axis=axis).ravel(), np.ones(a.size))
        np.testing.assert_allclose(T.sum(axis=axis, backend="reference"), a.sum(axis), rtol=1e-13)
        if shape[axis] > 1:
            nearest = np.sort(a, axis=axis).take([0, 1], axis)
            np.testing.assert_allclose(T.Kmin(2, axis=axis), np.moveaxis(nearest, axis, -2).reshape(T.Kmin(2, axis=axis).shape))
    v = RNG.normal(size=shape[-2])
    np.testing.assert_allclose(T[0] @ v, a[..., 0] @ v, rtol=1e-13)
    np.testing.assert_allclose(T.dense(), a)
    z = LazyTensor(a * (1 + 2j))
    np.testing.assert_allclose(z.sum(axis=n + 1), (a * (1 + 2j)).sum(n + 1), rtol=1e-13)


def test_batches_that_do_not_broadcast():
    with pytest.raises(ValueError, match=r"batch dimensions must broadcast: found \(2,\) and \(3,\)"):
        LazyTensor(np.zeros((2, 5, 1, 1))) + LazyTensor(np.zeros((3, 1, 5, 1)))


# Beside KeOps


def test_against_keops():
    keops = pytest.importorskip("pykeops.numpy")
    x, y = X.astype(np.float32), Y.astype(np.float32)

    def formula(module):
        x_i, y_j = module.LazyTensor(x[:, None, :]), module.LazyTensor(y[None])
        K = (1 + ((x_i - y_j) ** 2).sum(-1)).sqrt()
        return K @ B.astype(np.float32), K.argKmin(2, dim=1), K.logsumexp(axis=1)

    try:
        theirs = formula(keops)
    except Exception as error:  # it has to compile
        pytest.skip(f"KeOps does not run here: {error}")
    import skkeops

    for ours, other in zip(formula(skkeops), theirs, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-5)


# Bad input


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LazyTensor(np.zeros((3, 2))), ValueError, r"or needs axis=: found \(3, 2\)"),
        (lambda: LazyTensor(np.zeros(3), axis=0), ValueError, r"points have the shape \(..., n, D\): found \(3,\)"),
        (lambda: LazyTensor(np.zeros((3, 1)), axis=3), ValueError, "axis must be 0 .* found 3"),
        (lambda: LazyTensor("text"), TypeError, "a LazyTensor is made of real numbers: found str"),
        (lambda: LazyTensor(np.zeros((2, 1, 1), "S1")), TypeError, "real numbers: found ndarray .dtype .S1."),
        (lambda: Vi(X) + Vi(X[:5]), ValueError, r"different numbers of rows: found shapes \(11, 1, 3\) and \(5, 1, 3\)"),
        (lambda: Vi(X) + Vi(X[:, :2]), FormulaError, "dim"),
        (lambda: bool(Vi(X)), TypeError, "has no truth value"),
        (lambda: Vi(X)[5], IndexError, "component 5 of a tensor with 3 components"),
        (lambda: Vi(X) @ B, ValueError, "K @ v is for tensors of one component: found 3"),
        (lambda: Vi(X).sum(axis=4), ValueError, r"is reduced over i \(axis=0\) or j \(axis=1\): found axis=4"),
        (lambda: np.asarray(Vi(np.zeros((20_000, 1))) + Vj(np.zeros((20_000, 1)))), ValueError, "400,000,000 numbers"),
        (lambda: Vi(0, 3).t(), ValueError, "without arrays cannot be transposed"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
