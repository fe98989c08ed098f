"""ComplexLazyTensor against dense complex NumPy arrays of the same formulas, and against KeOps' own."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import shutil

import numpy as np
import pytest

from skkeops import ComplexLazyTensor, LazyTensor, Pm, Vi, Vj

from .waves import A, B, C, D, M, N, W, X, Y, Z, gauss, normal, random, wave

OPERATIONS = {
    "add": (lambda z, w: z + w, None),
    "subtract": (lambda z, w: z - w, None),
    "multiply": (lambda z, w: z * w, None),
    "divide": (lambda z, w: z / w, None),
    "negative": (lambda z, w: -z + w, None),
    "positive": (lambda z, w: +z * w, None),
    "real number on the left": (lambda z, w: 2.0 * z + w, None),
    "real number on the right": (lambda z, w: (z + 1) * (w - 2.5), None),
    "divided by a real number": (lambda z, w: z / 3 + w, None),
    "complex number on the right": (lambda z, w: z * 1j + w, None),
    "complex number on the left": (lambda z, w: (1 - 2j) / z - w, None),
    "subtracted from numbers": (lambda z, w: 1j - z + (2 - w), None),
    "NumPy scalars": (lambda z, w: np.complex128(1j) * z + np.float64(2) / w + np.int64(2), None),
    "0-d arrays": (lambda z, w: np.array(1j) * z + w * np.array(2.0), None),
    "parameter on the left": (lambda z, w: A * z + w, None),
    "real parameter on the right": (lambda z, w: z * A.real - w, None),
    "list": (lambda z, w: z * w + [1j, 2.0, 3 + 1j], lambda z, w: z * w + np.array([1j, 2.0, 3 + 1j])),
    "square": (lambda z, w: z**2 + w, None),
    "negative power": (lambda z, w: z**-3 * w, None),
    "root power": (lambda z, w: z**0.5 * w**-0.5, None),
    "real power": (lambda z, w: z**1.3 + w, None),
    "complex power": (lambda z, w: z**w, None),
    "power of a complex number": (lambda z, w: z ** (1 + 0.5j) + w, None),
    "power of a real base": (lambda z, w: 2 ** (z * w), None),
    "power method": (lambda z, w: (z * w).power(3), lambda z, w: (z * w) ** 3),
    "exp": (lambda z, w: (z - w).exp(), lambda z, w: np.exp(z - w)),
    "log": (lambda z, w: (z * w).log(), lambda z, w: np.log(z * w)),
    "sqrt": (lambda z, w: (z * w).sqrt(), lambda z, w: np.sqrt(z * w)),
    "rsqrt": (lambda z, w: (z * w).rsqrt(), lambda z, w: 1 / np.sqrt(z * w)),
    "square method": (lambda z, w: (z * w).square(), lambda z, w: (z * w) ** 2),
    "inv": (lambda z, w: (z + w).inv(), lambda z, w: 1 / (z + w)),
    "exp1j": (lambda z, w: (z * w).exp1j(), lambda z, w: np.exp(1j * z * w)),
    "conj": (lambda z, w: z.conj() * w, None),
    "real": (lambda z, w: (z * w).real, None),
    "imag": (lambda z, w: (z * w).imag, None),
    "abs": (lambda z, w: abs(z - w), None),
    "angle": (lambda z, w: (z * w).angle(), lambda z, w: np.angle(z * w)),
    "real and complex": (lambda z, w: abs(z) * w + z * w.real - w.imag / z, None),
    "real minus complex": (lambda z, w: w.imag - z, None),
    "sum of components": (lambda z, w: (z * w).sum(-1), lambda z, w: (z * w).sum(-1)),
    "product": (lambda z, w: z | w, lambda z, w: (z * w).sum(-1)),
    "norm": (lambda z, w: (z - w).norm(), lambda z, w: np.linalg.norm(z - w, axis=-1)),
    "sqnorm2": (lambda z, w: (z - w).sqnorm2(), lambda z, w: np.linalg.norm(z - w, axis=-1) ** 2),
    "normalize": (lambda z, w: (z - w).normalize(), lambda z, w: (z - w) / np.linalg.norm(z - w, axis=-1, keepdims=True)),
    "sqdist": (lambda z, w: z.sqdist(w), lambda z, w: np.linalg.norm(z - w, axis=-1) ** 2),
    "component": (lambda z, w: (z + w)[-1], lambda z, w: (z + w)[..., -1]),
    "components": (lambda z, w: (z + w)[1:], lambda z, w: (z + w)[..., 1:]),
    "elem": (lambda z, w: (z + w).elem(1) * w, lambda z, w: (z + w)[..., 1:2] * w),
    "concat": (lambda z, w: z.concat(w), lambda z, w: np.concatenate(np.broadcast_arrays(z, w), -1)),
    "equal": (lambda z, w: z == z.real + 1j * z.imag * (w.real > 0), lambda z, w: 1.0 * (w.real > 0) + 0 * z.real),
    "not equal": (lambda z, w: z != w, lambda z, w: 1.0 * (z != w)),
    "where": (
        lambda z, w: (z.real - w.real).ifelse(z, w),
        lambda z, w: np.where(z.real >= w.real, z, w),
    ),
    "tensor product": (
        lambda z, w: z.tensorprod(w),
        lambda z, w: np.einsum("mnk,mnl->mnkl", *np.broadcast_arrays(z, w)).reshape(M, N, 9),
    ),
    "vector times matrix": (
        lambda z, w: z.vecmatmult(z.tensorprod(w)),
        lambda z, w: (z * z).sum(-1, keepdims=True) * w,
    ),
    "exponential of NumPy": (lambda z, w: np.exp(z - w), None),
    "functions of NumPy": (lambda z, w: np.log(z) + np.sqrt(w) * np.conj(z) - np.square(w) / np.negative(z), None),
    "abs of NumPy": (lambda z, w: np.abs(z * w), None),
    "parts of NumPy": (lambda z, w: np.real(z) * np.imag(w), None),
    "arrays on the left": (lambda z, w: z * w, None),
    "from real parts": (lambda z, w: z.real.real2complex() + w.imag.imag2complex(), lambda z, w: z.real + 1j * w.imag),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name, dtype):
    lazy, dense = OPERATIONS[name]
    z, w = Z.astype(dtype), W.astype(dtype)
    tensor = lazy(LazyTensor(z[:, None]), LazyTensor(w[None]))
    with np.errstate(all="ignore"):
        expected = (dense or lazy)(z[:, None].astype(complex), w[None].astype(complex))
    assert isinstance(tensor, ComplexLazyTensor) == np.iscomplexobj(expected)
    assert tensor.shape == expected.shape
    wide = name in ("parameter on the left", "real parameter on the right", "list")  # with complex128 arrays
    like = np.zeros(1, complex if wide else dtype)
    assert tensor.dtype == (like if np.iscomplexobj(expected) else like.real).dtype
    found = tensor.dense()
    assert found.dtype == tensor.dtype
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=scale * (1e-12 if dtype == np.complex128 else 2e-4))


def test_what_is_made_complex():
    for tensor in (Vi(Z), Vj(Z), Pm(A), Pm(2j), LazyTensor(1j), LazyTensor([1j, 2 + 3j]), ComplexLazyTensor(X, axis=0),
                   LazyTensor(X, axis=0, is_complex=True), ComplexLazyTensor(2.0), LazyTensor(np.complex64(1j))):  # fmt: skip
        assert isinstance(tensor, ComplexLazyTensor)
    assert LazyTensor(Vi(Z)) is not None and isinstance(LazyTensor(Vi(Z)), ComplexLazyTensor)
    np.testing.assert_array_equal(LazyTensor([1j, 2 + 3j]).dense()[0, 0], [1j, 2 + 3j])
    np.testing.assert_array_equal(ComplexLazyTensor(X, axis=0).dense()[:, 0], X)
    assert Vi(Z).shape == (M, 1, D) and Vi(Z).ndim == D and Vi(Z[:, :1]).shape == (M, 1)
    assert Vi(Z.astype(np.complex64)).dtype == np.complex64
    assert not isinstance(Vi(X), ComplexLazyTensor) and Vi(X).real.shape == (M, 1, D)


def test_arrays_in_any_layout():
    big = random(2 * M, 2 * D)
    read_only = Z.copy()
    read_only.setflags(write=False)
    for z in (big[::2, ::2], np.asfortranarray(Z), Z.astype(">c16"), read_only, Z[::-1], big[:M, 1:2]):
        np.testing.assert_array_equal(Vi(z).sum(axis=1), z)
        np.testing.assert_array_equal(LazyTensor(z[:, None]).dense()[:, 0], z if z.shape[1] > 1 else z[:, 0])


def test_a_real_tensor_has_complex_parts():
    x = Vi(X)
    np.testing.assert_array_equal(x.imag.dense(), np.zeros((M, 1, D)))
    np.testing.assert_array_equal(x.conj().dense(), X[:, None])
    np.testing.assert_array_equal(x.angle().dense(), np.angle(X)[:, None])
    np.testing.assert_array_equal(np.conj(x).dense(), X[:, None])
    np.testing.assert_array_equal((Vi(X) * Vj(Y)).H.dense(), X[None] * Y[:, None])


# Reductions and products


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("n", [1, 2, 64, 65, 257])
def test_sums(dtype, n):
    z, w = random(5, 2).astype(dtype), random(n, 2).astype(dtype)
    K, dense = Vi(z) * Vj(w), z[:, None].astype(complex) * w[None]
    for axis in (0, 1):
        found = K.sum(axis=axis)
        assert found.dtype == dtype
        np.testing.assert_allclose(
            found, dense.sum(axis), atol=np.abs(dense).sum(axis).max() * 10 * np.finfo(dtype).eps
        )
        np.testing.assert_array_equal(K.sum_reduction(dim=axis), found)
        np.testing.assert_allclose(K.sum(axis=axis, backend="reference"), found, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(K.sum(axis=axis, call=False)(), found)
        out = np.empty_like(found)
        assert K.sum(axis=axis, out=out) is out
        np.testing.assert_array_equal(out, found)


def test_empty_axes():
    assert (Vi(Z) * Vj(W[:0])).sum(axis=1).tolist() == np.zeros((M, D), complex).tolist()
    assert (Vi(Z[:0]) * Vj(W)).sum(axis=1).shape == (0, D)


def test_products_with_arrays():
    K, dense = wave()
    for b in (B, C, B.real, C.real, B.astype(np.complex64)):
        np.testing.assert_allclose(K @ b, dense @ b, rtol=1e-12)
        np.testing.assert_allclose(K.T @ (dense @ b), dense.T @ (dense @ b), rtol=1e-12)
    np.testing.assert_allclose(Z.T @ K, Z.T @ dense, rtol=1e-12)
    np.testing.assert_allclose(Z[:, 0] @ K, Z[:, 0] @ dense, rtol=1e-12)
    np.testing.assert_allclose(K @ Vj(C), dense @ C, rtol=1e-12)
    np.testing.assert_allclose(K @ Vj(C.real), dense @ C.real, rtol=1e-12)
    real, dense = gauss(X, Y)
    found = real @ C
    assert found.dtype == complex
    np.testing.assert_allclose(found, dense @ C, rtol=1e-12)
    np.testing.assert_allclose(real @ B, dense @ B, rtol=1e-12)
    np.testing.assert_allclose(real @ Vj(C), dense @ C, rtol=1e-12)


def test_transposes():
    K, dense = wave()
    np.testing.assert_allclose(K.T.dense(), dense.T, rtol=1e-14)
    np.testing.assert_allclose(K.H.dense(), dense.conj().T, rtol=1e-14)
    np.testing.assert_allclose(K.adjoint().dense(), dense.conj().T, rtol=1e-14)


def test_rows_blocks_diagonal_and_arrays():
    K, dense = wave()
    np.testing.assert_allclose(K[3:5, [0, 2]].dense(), dense[3:5][:, [0, 2]], rtol=1e-14)
    np.testing.assert_allclose(K[2, :] @ B, dense[[2]] @ B, rtol=1e-14)
    square = Vi(Z) * Vj(Z.conj())
    np.testing.assert_allclose(square.diagonal(), Z * Z.conj(), rtol=1e-14)
    np.testing.assert_allclose((Vi(Z) | Vj(Z)).diagonal(), (Z * Z).sum(1), rtol=1e-13)
    assert np.asarray(K).dtype == complex
    np.testing.assert_allclose(np.asarray(K, dtype=np.complex64), dense, rtol=1e-6)


def test_weighted_mean_of_complex_weights():
    _, weights = gauss(X, Y)
    found = (-Vi(X).sqdist(Vj(Y))).sumsoftmaxweight(Vj(C), axis=1)
    np.testing.assert_allclose(found, weights @ C / weights.sum(1, keepdims=True), rtol=1e-12)


def test_batches():
    z, w, a = random(2, 1, 5, 1, 3), random(4, 1, 6, 3), random(2, 4, 1, 1, 3)
    K = (LazyTensor(z) * LazyTensor(w) + LazyTensor(a)).exp()
    dense = np.exp(z * w + a)
    assert K.shape == (2, 4, 5, 6, 3)
    np.testing.assert_allclose(K.sum(axis=3), dense.sum(3), rtol=1e-12)
    np.testing.assert_allclose(K.sum(axis=2), dense.sum(2), rtol=1e-12)
    np.testing.assert_allclose(K.sum(-1).dense(), dense.sum(-1), rtol=1e-12)
    b = random(2, 4, 6, 2)
    np.testing.assert_allclose(K.sum(-1) @ b, dense.sum(-1) @ b, rtol=1e-12)


def test_variables_given_later():
    function = (ComplexLazyTensor((0, D, 0)) * ComplexLazyTensor((1, D, 1))).sum(axis=1)
    np.testing.assert_allclose(function(Z, W), Z * W.sum(0), rtol=1e-13)
    np.testing.assert_allclose(function(Z[:4], C[:, :D]), Z[:4] * C[:, :D].sum(0), rtol=1e-13)
    sizes = abs(ComplexLazyTensor((0, D, 0)) - Vj(W)).sum(axis=1)
    np.testing.assert_allclose(sizes(Z), np.abs(Z[:, None] - W).sum(1), rtol=1e-13)


def test_copies():
    K, dense = wave()
    K = K * Vj(C[:, :1])
    for other in (pickle.loads(pickle.dumps(K)), copy.copy(K), copy.deepcopy(K)):
        assert isinstance(other, ComplexLazyTensor)
        np.testing.assert_allclose(other.dense(), dense * C[:, 0], rtol=1e-13)


def test_representation():
    assert repr(Vi(Z) * 2) == f"ComplexLazyTensor(shape=({M}, 1, {D}), formula=2*x0)"


# Gradients


def finite_differences(loss, z, h=1e-6):
    """dL/dRe z + i dL/dIm z."""
    out = np.zeros_like(z)
    for index in np.ndindex(z.shape):
        for direction in (1, 1j) if np.iscomplexobj(z) else (1,):
            step = np.zeros_like(z)
            step[index] = h * direction
            out[index] += direction * (loss(z + step) - loss(z - step)) / (2 * h)
    return out


FORMULAS = {
    "product": lambda z, w: (z * w).sum(-1),
    "quotient": lambda z, w: ((z + 2) / (w + 3j)).sum(-1),
    "exponential": lambda z, w: (z * w).sum(-1).exp(),
    "root": lambda z, w: (z * w + 1j).sqrt().sum(-1),
    "logarithm": lambda z, w: ((z - w) ** 2).log().sum(-1),
    "conjugate": lambda z, w: (z.conj() * w).sum(-1) * abs(z)[0],
    "power": lambda z, w: ((z + 5) ** 1.7 + w**-2).sum(-1),
    "wave": lambda z, w: (z.real | w.imag).exp1j() * w[0],
    "several components": lambda z, w: z * w - z.conj(),
}


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", FORMULAS)
def test_gradients(name, axis):
    f, z, w = FORMULAS[name], Z[:4], W[:3] + 0.1
    shape = f(Vi(z), Vj(w)).sum(axis=axis).shape
    e = random(*shape)

    def loss(z, w):
        return np.real(np.conj(e) * f(Vi(z), Vj(w)).sum(axis=axis)).sum()

    tensor = f(Vi(z), Vj(w))
    gz, gw = tensor.gradient(z, grad_output=e, axis=axis), tensor.gradient(w, grad_output=e, axis=axis)
    np.testing.assert_allclose(gz, finite_differences(lambda z: loss(z, w), z), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gw, finite_differences(lambda w: loss(z, w), w), rtol=1e-6, atol=1e-6)


def test_gradients_between_real_and_complex():
    z, x, e = Z[:4], X[:4].copy(), normal(4, 1)
    tensor = abs(Vi(z) - Vj(W)).sum(-1)

    def loss(z):
        return (e * np.abs(z[:, None] - W).sum((1, 2))[:, None]).sum()

    found = tensor.gradient(z, grad_output=e)
    assert found.dtype == complex
    np.testing.assert_allclose(found, finite_differences(loss, z), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found, tensor.gradient(Vi(z), grad_output=e))
    found = (Vi(x).exp1j() * Vj(W)).sum(-1).gradient(x)
    assert found.dtype == float

    def real_loss(x):
        return np.real((np.exp(1j * x)[:, None] * W).sum())

    np.testing.assert_allclose(found, finite_differences(real_loss, x), rtol=1e-6, atol=1e-6)


def test_gradients_at_coinciding_points_are_finite():
    for function in (abs, lambda z: z.angle(), lambda z: z.sqrt().real):
        z_i = Vi(Z)
        assert np.isfinite(function(z_i - Vj(Z)).sum(-1).gradient(z_i)).all()


def test_gradients_of_batches():
    z, w = random(2, 1, 4, 1, 2), random(3, 1, 5, 2)
    K = LazyTensor(z) * LazyTensor(w)
    np.testing.assert_allclose(K.gradient(z), np.broadcast_to(w.conj().sum((0, 2)), z.shape), rtol=1e-12)
    np.testing.assert_allclose(K.gradient(w), np.broadcast_to(z.conj().sum((0, 1, 2)), w.shape), rtol=1e-12)


# Examples


def test_non_uniform_fourier_transform(rng):
    """f(x_i) = sum_j b_j exp(i x_i . y_j), the direct sum."""
    x, y, b = rng.uniform(-3, 3, (200, 3)), rng.uniform(-3, 3, (301, 3)), random(301)
    expected = np.exp(1j * x @ y.T) @ b
    K = (Vi(x) | Vj(y)).exp1j()
    np.testing.assert_allclose(K @ b, expected, atol=1e-11)
    np.testing.assert_allclose((K * Vj(b[:, None])).sum(axis=1)[:, 0], expected, atol=1e-11)
    np.testing.assert_allclose((1j * (Vi(x) | Vj(y))).exp() @ b, expected, atol=1e-11)


def test_helmholtz_kernel(rng):
    """exp(i k r) / r between sources and receivers, and its derivative by the receivers' places."""
    x, y, b, k = rng.uniform(2, 3, (5, 3)), rng.uniform(0, 1, (9, 3)), random(9, 1), 4.0
    r = (Vi(x) - Vj(y)).norm()
    K = (k * r).exp1j() / r
    dense = np.linalg.norm(x[:, None] - y, axis=-1)
    np.testing.assert_allclose(K @ b, (np.exp(1j * k * dense) / dense) @ b, rtol=1e-12)

    def loss(x):
        r = np.linalg.norm(x[:, None] - y, axis=-1)
        return np.real((np.exp(1j * k * r) / r) @ b).sum()

    found = (K * Vj(b)).gradient(x)
    np.testing.assert_allclose(found, finite_differences(loss, x), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="KeOps needs a C++ compiler")
def test_against_keops(tmp_path):
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        pykeops = pytest.importorskip("pykeops")
        pykeops.set_verbose(False)
        pykeops.set_build_folder(str(tmp_path))
        import pykeops.numpy as keops

        import skkeops

        x, y = X.astype(np.float32), Y.astype(np.float32)
        z, w, b = Z.astype(np.complex64), W.astype(np.complex64), C[:, :1].astype(np.complex64)

        def formulas(module, **options):
            lazy = module.LazyTensor
            z_i, w_j = lazy(z[:, None]), lazy(w[None])
            wave = (lazy(x[:, None]) | lazy(y[None])).exp1j() * lazy(b[None])
            mixed = ((z_i - w_j) * z_i.conj() / (w_j + z_i) + (z_i * w_j).exp()).sum(-1)
            return [t.sum(axis=1, **options) for t in (wave, mixed)]

        try:
            theirs = formulas(keops, backend="CPU")
        except (OSError, RuntimeError, ImportError, AttributeError) as error:
            pytest.skip(f"KeOps does not compile here: {error}")
        for ours, other in zip(formulas(skkeops), theirs, strict=True):
            assert ours.dtype == other.dtype
            np.testing.assert_allclose(ours, other, rtol=2e-4, atol=2e-5)


# Bad input

K1 = Vi(Z[:, :1]) * Vj(W[:, :1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: K1.max(axis=1), TypeError, "complex numbers have no order: take .abs.., .real or .imag first"),
        (lambda: K1.argKmin(3, axis=1), TypeError, "have no order"),
        (lambda: K1.min_argmin(axis=0), TypeError, "have no order"),
        (lambda: K1.logsumexp(axis=1), TypeError, r"LogSumExp is for real tensors; .* K.exp\(\).sum\(axis\)"),
        (lambda: K1.sumsoftmaxweight(Vj(B[:, None]), axis=1), TypeError, "SumSoftMaxWeight is for real tensors"),
        (lambda: K1.real.logsumexp(axis=1, weight=Vj(B[:, None])), TypeError, "weight of LogSumExp must be real"),
        (lambda: K1 < 1, TypeError, "have no order"),
        (lambda: K1.real < 1j, TypeError, "have no order"),
        (lambda: Vi(Z).max(-1), TypeError, "have no order"),
        (lambda: K1.maximum(2), TypeError, "this operation is not defined for complex numbers"),
        (lambda: K1.ifelse(1, 2), TypeError, "the condition of a choice must be real"),
        (lambda: K1.sin(), TypeError, "Sin is not defined for complex numbers: take"),
        (lambda: np.floor(K1), TypeError, "Floor is not defined for complex numbers"),
        (lambda: K1.clamp(0, 1), TypeError, "Clamp is not defined"),
        (lambda: K1.real.atan2(1j), TypeError, "Atan2 is not defined"),
        (lambda: K1.imag2complex(), TypeError, "multiply a complex one by 1j"),
        (lambda: K1.solve(B), TypeError, "gmres"),
        (lambda: K1.gradient(Z, reduction="Max"), TypeError, "have no order"),
        (lambda: K1.gradient(W, axis=1), ValueError, "wrt must be one of the arrays"),
        (lambda: K1.sum(axis=1, out=np.empty((M, 1))), TypeError, "'out': found dtype float64, expected .* complex128"),
        (lambda: K1.sum(axis=1, out=[0]), TypeError, "'out': found list"),
        (lambda: Vi(Z) @ B, ValueError, "for tensors of one component: found 3"),
        (lambda: Vi(Z) + Vi(Z[:5]), ValueError, "different numbers of rows"),
        (lambda: Vi(Z) + Vi(Z[:, :2]), ValueError, "dims 6 and 4 do not go together"),
        (lambda: Vi(Z)[3], IndexError, "component 3 of a tensor with 3 components"),
        (lambda: bool(K1), TypeError, "has no truth value"),
        (lambda: LazyTensor(Z), ValueError, r"or needs axis=: found \(11, 3\)"),
        (lambda: LazyTensor(A, axis=0), ValueError, r"points have the shape \(..., n, D\): found \(3,\)"),
        (lambda: Vi(Z.astype(np.clongdouble)), TypeError, "complex64 or complex128: found dtype"),
        (lambda: Vi(np.ma.masked_array(Z)), TypeError, "masked array"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
