"""Arrays beside lazy tensors broadcast as NumPy's: all small shapes, sizes that happen to be equal among them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from skkeops import LazyTensor, Pm, Vi, Vj, where

SIZES = (1, 2, 3)
TWO = "can mean two things: write"


def values(shape, first=0.5):
    return np.arange(np.prod(shape)).reshape(shape) * 0.25 + first


def tensor_of_pairs(batch, m, n, dim):
    """A tensor with m rows and n columns, also where these are 1, and its values with an axis of components."""
    x, y = values((*batch, m, dim)), values((*batch, n, dim), 7.0) ** 2
    return Vi(x) + Vj(y), x[..., :, None, :] + y[..., None, :, :]


def broadcast(function, dense, array, pairs):
    """NumPy's answer, None if there is none, or none with as many pairs."""
    try:
        found = function(dense, array)
    except ValueError:
        return None
    return found if found.shape[pairs] == dense.shape[pairs] else None


def expected_of(function, dense, a):
    """What is to come out, or the error; `dense` has an axis of components."""
    dim = dense.shape[-1]
    several = dense if dim > 1 else dense[..., 0]
    if a.size == 1:
        return function(several, a.item())
    with_components = broadcast(function, dense, a, slice(-3, -1))
    if with_components is not None and with_components.shape[-1] == 1:
        with_components = with_components[..., 0]
    if dim > 1:
        ambiguous = a.ndim == 2 and a.shape[0] != 1
        return "can mean several things" if ambiguous else with_components
    as_numpy = broadcast(function, several, a, slice(-2, None))
    if a.ndim <= several.ndim:
        return as_numpy
    if with_components is not None and as_numpy is not None:
        return TWO
    return with_components if as_numpy is None else as_numpy


def check(function, K, dense, a):
    expected = expected_of(function, dense, a)
    if expected is None or isinstance(expected, str):
        with pytest.raises(ValueError, match=expected):
            function(K, a).dense()
        return
    found = function(K, a)
    assert isinstance(found, LazyTensor)
    assert found.shape == expected.shape, (K, a.shape)
    np.testing.assert_allclose(found.dense(), expected, rtol=1e-14, err_msg=f"{K} beside {a.shape}")


def shapes(lengths):
    return [shape for n in lengths for shape in product(SIZES, repeat=n)]


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("batch", [(), (1,), (2,), (3,)])
def test_all_small_shapes(batch, dim):
    arrays = [values(shape, -1.3) for shape in shapes((2, 3, 4))]
    for m, n in product(SIZES, repeat=2):
        K, dense = tensor_of_pairs(batch, m, n, dim)
        for a in arrays:
            check(np.add, K, dense, a)


OPERATIONS = {
    "K - a": lambda K, a: K - a,
    "a - K": lambda K, a: a - K,
    "K * a": lambda K, a: K * a,
    "a * K": lambda K, a: a * K,
    "K / a": lambda K, a: K / a,
    "a / K": lambda K, a: a / K,
    "K ** a": lambda K, a: K**a,
    "a ** K": lambda K, a: (a + 2) ** K,
    "K < a": lambda K, a: (a > K) * 1.0,
    "a >= K": lambda K, a: (a >= K) * 1.0,
    "K == a": lambda K, a: (a == K) * 1.0,
    "maximum": np.maximum,
    "minimum, array first": lambda K, a: np.minimum(a, K),
    "arctan2, array first": lambda K, a: np.arctan2(a, K),
    "clip, lower": lambda K, a: np.clip(K, a, 9.0),
    "clip, upper": lambda K, a: np.clip(K, 3.0, a + 10),
    "where, first": lambda K, a: np.where(K > 51, a, K),
    "where, second": lambda K, a: np.where(K > 51, K, a),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name):
    some = [(2, 3), (2, 1), (1, 3), (2, 1, 1), (1, 2, 3), (2, 2, 1), (2, 2, 3), (3, 1, 1), (3, 2, 3)]
    arrays = [values(shape, 0.3) for shape in some]
    for batch in ((), (2,)):
        K, dense = tensor_of_pairs(batch, 2, 3, 1)
        for a in arrays:
            check(OPERATIONS[name], K, dense, a)


@pytest.mark.parametrize("batch", [(), (2,), (3,)])
def test_conditions(batch):
    K, dense = tensor_of_pairs(batch, 2, 3, 1)
    choose = lambda K, a: np.where(a > 0.6, K, -1.0)  # noqa: E731
    for shape in shapes((2, 3)):
        check(choose, K, dense, values(shape, 0.3))
    points, dense = tensor_of_pairs((), 2, 3, 2)
    mask = values((2, 3)) > 1
    np.testing.assert_array_equal(where(mask, points, 0).dense(), np.where(mask[..., None], dense, 0))


def test_masks_of_a_batch():
    K, dense = tensor_of_pairs((2,), 3, 3, 1)
    mask = values((2, 3, 3)) % 0.75 > 0.3
    for axis in (1, 2):
        np.testing.assert_allclose((K * mask).sum(axis=axis)[..., 0], (dense[..., 0] * mask).sum(axis), rtol=1e-14)
    assert any(s.array.dtype == bool for s in (K * mask).symbols.values())


@pytest.mark.parametrize("change", [np.ndarray.tolist, lambda a: a.astype(np.float32), lambda a: a.astype(int), lambda a: a * 1j])
def test_lists_integers_and_complex_numbers(change):
    for batch, shape in product([(), (2,)], [(2, 3), (2, 1), (1, 3), (2, 1, 1), (2, 2, 3)]):
        K, dense = tensor_of_pairs(batch, 2, 3, 1)
        a = change(values(shape, 2.0) * 4)
        expected = expected_of(np.multiply, dense, np.asarray(a))
        if isinstance(expected, str):
            with pytest.raises(ValueError, match=expected):
                K * a
        else:
            np.testing.assert_allclose((K * a).dense(), expected, rtol=1e-6)


def test_vectors_are_parameters_as_in_keops():
    """What the guide says where it says how arrays broadcast."""
    K, dense = tensor_of_pairs((), 2, 3, 1)
    v = values((3,))
    np.testing.assert_allclose((K * v).dense(), dense * v)  # a component each, not a row
    np.testing.assert_allclose((K * v[None]).dense(), dense[..., 0] * v)
    points, dense = tensor_of_pairs((), 3, 3, 3)
    np.testing.assert_allclose((points * v).dense(), dense * v)


def test_points_have_components_whatever_their_number():
    """x[:, None] - y[None] of points of D components, with D = 1, too, and as many points on both sides."""
    for dim, n in product((1, 2, 3), SIZES):
        x, y = values((3, dim)), values((n, dim), 5.0)
        expected = x[:, None] - y[None]
        expected = expected[..., 0] if dim == 1 else expected
        for found in (Vi(x) - y[None], LazyTensor(x[:, None]) - y[None], x[:, None] - Vj(y), Vi(x) - Pm(0.0) - y[None]):
            np.testing.assert_allclose(found.dense(), expected)


def test_what_the_messages_propose_works():
    K, dense = tensor_of_pairs((), 3, 2, 1)
    a = values((3, 1, 1))
    with pytest.raises(ValueError, match=TWO):
        K * a
    np.testing.assert_allclose((K * LazyTensor(a)).dense(), dense[..., 0] * a[..., 0])
    np.testing.assert_allclose((K * LazyTensor(a[..., None])).dense(), dense[..., 0] * a)
    assert (K * LazyTensor(a[..., None])).shape == (3, 3, 2)


def test_weights_broadcast_as_operands_do():
    from scipy.special import logsumexp

    some = [((), (1, 3)), ((), (2, 1)), ((), (2, 3)), ((2,), (1, 3)), ((2,), (2, 1, 1)), ((2,), (2, 1, 3)), ((2,), (2, 2, 3))]
    for batch, shape in some:
        K, dense = tensor_of_pairs(batch, 2, 3, 1)
        w = values(shape)
        found = K.logsumexp(axis=len(batch) + 1, weight=w)[..., 0]
        np.testing.assert_allclose(found, logsumexp(dense[..., 0], axis=-1, b=np.broadcast_to(w, dense.shape[:-1])), rtol=1e-13)
