"""What those who come from NumPy or KeOps try with a lazy tensor, and what they are told."""

from __future__ import annotations

import re

import numpy as np
import pytest

from skkeops import LazyTensor, Vi, Vj, where

RNG = np.random.default_rng(3)
X, Y, V = RNG.normal(size=(20, 3)), RNG.normal(size=(30, 3)), RNG.normal(size=(30, 2))
D2 = ((Vi(X) - Vj(Y)) ** 2).sum(-1)


def test_components_one_behind_the_other_by_keops_names():
    expected = np.concatenate(np.broadcast_arrays(X[:, None], Y), axis=-1).sum(axis=1)
    for option in ({}, {"axis": -1}, {"dim": -1}, {"dim": 2}):
        np.testing.assert_allclose(LazyTensor.cat((Vi(X), Vj(Y)), **option).sum(axis=1), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="along axis=-1: found axis=0"):
        LazyTensor.cat((Vi(X), Vj(Y)), dim=0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LazyTensor(X), ValueError, "found (20, 3); Vi(a) are points x_i, Vj(a) points y_j"),
        (lambda: Vi(X[:, 0]), ValueError, "found (20,); numbers, one for each point, are a column: a[:, None]"),
        (lambda: Vi(X)["a"], TypeError, "selected by an integer or a slice: found 'a' (str)"),
        (lambda: Vi(X)[1.5], TypeError, "selected by an integer or a slice: found 1.5 (float)"),
        (lambda: Vi(X)[True], TypeError, "selected by an integer or a slice: found True (bool)"),
        (lambda: Vi(X)[None], TypeError, "selected by an integer or a slice: found None (NoneType)"),
        (lambda: D2[D2 < 1], TypeError, "where(mask, K, 0)"),
        (lambda: np.arctanh(D2), TypeError, "np.arctanh is not defined for lazy tensors"),
        (lambda: np.hypot(X, D2), TypeError, "np.hypot is not defined for lazy tensors"),
        (lambda: np.add.accumulate(D2), TypeError, "np.add.accumulate is not defined for lazy tensors"),
        (lambda: np.exp(D2, out=np.zeros(3)), TypeError, "np.exp with out= is not defined for lazy tensors"),
        (lambda: np.linalg.det(D2), TypeError, "would be an array of 600 numbers (4.8 kB)"),
        (lambda: (-D2).sumsoftmaxweight(V, axis=1), ValueError, "holds values of pairs: points are Vi(a) or Vj(a)"),
    ],
)  # fmt: skip
def test_what_is_told(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_what_the_messages_say_works():
    np.testing.assert_allclose(where(D2 < 1, D2, 0).sum(axis=1)[:, 0], np.where(D2.dense() < 1, D2.dense(), 0).sum(axis=1))
    weights = np.exp(-D2.dense())
    np.testing.assert_allclose((-D2).sumsoftmaxweight(Vj(V), axis=1), weights @ V / weights.sum(axis=1, keepdims=True))
    assert Vi(X)[np.int64(1)].ndim == 1


def test_ufuncs_leave_other_libraries_their_turn():
    class Other:
        def __array_ufunc__(self, ufunc, method, *inputs, **options):
            return ufunc.__name__ if method == "__call__" else NotImplemented

    assert np.hypot(D2, Other()) == "hypot"


def misaligned(a):
    """The same numbers at an address that is no multiple of their size."""
    found = np.zeros(a.nbytes + 1, dtype=np.uint8)[1:].view(a.dtype).reshape(a.shape)
    found[...] = a
    assert not found.flags.aligned
    return found


@pytest.mark.parametrize("change", [misaligned, lambda a: a.astype(">f8"), lambda a: a[::-1][::-1], np.asfortranarray])
def test_arrays_wherever_they_are_in_memory(change):
    x, y, w = change(X), change(Y), change(RNG.random((20, 30)))
    K = ((Vi(x) - Vj(y)) ** 2).sum(-1) * w
    truth = ((X[:, None] - Y) ** 2).sum(-1) * w
    np.testing.assert_allclose(K.dense(), truth, rtol=1e-12)
    np.testing.assert_allclose(K.sum(axis=1)[:, 0], truth.sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose((Vi(x) * Vj(change(X))).diagonal(), X * X, rtol=1e-12)
    np.testing.assert_allclose(K @ change(V), truth @ V, rtol=1e-12)
    np.testing.assert_allclose(np.asarray(K[3:9, ::2]), truth[3:9, ::2], rtol=1e-12)
    batch = LazyTensor(change(RNG.random((2, 4, 1, 3)))) + LazyTensor(change(np.ones((2, 1, 5, 3))))
    assert batch.dense().shape == (2, 4, 5, 3)
    square = (-((Vi(x) - Vj(x)) ** 2).sum(-1)).exp()
    b = np.sin(X[:, :1])
    expected = np.linalg.solve(np.exp(-((X[:, None] - X) ** 2).sum(-1)) + np.eye(20), b)
    np.testing.assert_allclose(square.solve(change(b), alpha=1.0, n_components=5, eps=1e-12), expected, rtol=1e-8)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: object() @ D2, TypeError, "the product with a LazyTensor takes an array of real or complex numbers: found object"),
        (lambda: D2 @ object(), TypeError, "the product with a LazyTensor takes an array of real or complex numbers: found object"),
        (lambda: D2 @ "a", TypeError, "found str"),
        (lambda: D2 @ 3.0, ValueError, "the product with a LazyTensor takes an array of at least one axis: found ()"),
        (lambda: 3.0 @ D2, ValueError, "the product with a LazyTensor takes an array of at least one axis: found ()"),
        (lambda: D2.Kmin(3, axis=np.ones(3)), ValueError, "is reduced over i (axis=0) or j (axis=1): found axis=array"),
        (lambda: D2.sum(axis=np.ones(3)), ValueError, "is reduced over i (axis=0) or j (axis=1): found axis=array"),
        (lambda: D2.sum(axis="j"), ValueError, "is reduced over i (axis=0) or j (axis=1): found axis='j'"),
        (lambda: D2.sum(axis=True), ValueError, "is reduced over i (axis=0) or j (axis=1): found axis=True"),
        (lambda: D2.sum(axis=1.0), ValueError, "is reduced over i (axis=0) or j (axis=1): found axis=1.0"),
    ],
)  # fmt: skip
def test_what_random_input_found(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_messages_have_the_shapes_that_were_given():
    K = (Vi(np.ones((4, 2))) | Vj(np.ones((5, 2)))).exp()
    with pytest.raises(ValueError, match=r"K @ v: found v of shape \(4,\) for K of shape \(4, 5\), expected \(5,\) or \(5, k\)"):
        K @ np.ones(4)
    with pytest.raises(TypeError, match=r"np\.linalg\.solve is not defined"):
        np.linalg.solve(K, np.ones(5))
