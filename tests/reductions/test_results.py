"""Reductions of dense blocks against NumPy and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import logsumexp, softmax

from skkeops import reductions as red

INF, NAN = np.inf, np.nan


def result(reduction, *values, dtype=np.float64):
    return reduction.finalize(reduction.reduce(values), np.dtype(dtype))


def row(*values):
    """One row of scalar values."""
    return np.array(values, dtype=np.float64).reshape(1, -1, 1)


def test_sum(rng):
    values = rng.normal(size=(5, 8, 3))
    np.testing.assert_allclose(result(red.Sum(), values), values.sum(axis=1))


def test_sum_accumulates_in_double():
    values = np.full((1, 1_000_000, 1), 0.1, dtype=np.float32)
    expected = np.float64(np.float32(0.1)) * 1e6
    np.testing.assert_allclose(result(red.Sum(), values), expected, rtol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1000.0, -1000.0])
def test_logsumexp(rng, offset):
    f = rng.normal(size=(5, 8, 1)) * 10 + offset
    np.testing.assert_allclose(result(red.LogSumExp(), f), logsumexp(f, axis=1), rtol=1e-14)


def test_weighted_logsumexp(rng):
    f, g = rng.normal(size=(5, 8, 1)) * 10 + 900, rng.uniform(size=(5, 8, 3))
    np.testing.assert_allclose(result(red.LogSumExpWeight(), f, g), logsumexp(f, b=g, axis=1), rtol=1e-14)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((-INF, -INF), -INF),
        ((-INF, 0.0), 0.0),
        ((0.0, -INF), 0.0),
        ((INF, 0.0), INF),
        ((-INF, INF, 1.0), INF),
        ((INF, INF), INF),
        ((NAN, 0.0), NAN),
        ((INF, NAN), NAN),
        ((-INF, NAN), NAN),
        ((), -INF),
        ((1e308, 1e308), 1e308),
    ],
)
def test_logsumexp_edges(values, expected):
    with np.errstate(all="raise"):
        found = result(red.LogSumExp(), row(*values))
    np.testing.assert_array_equal(found, [[expected]])


def test_weighted_logsumexp_edges():
    def weighted(f, g):
        return result(red.LogSumExpWeight(), row(*f), row(*g))[0, 0]

    assert np.isnan(weighted((0.0, 0.0), (1.0, -2.0)))
    assert weighted((0.0, 0.0), (1.0, -1.0)) == -INF
    assert weighted((-INF, -INF), (1.0, 2.0)) == -INF
    assert weighted((INF, 0.0), (1.0, 2.0)) == INF
    assert weighted((), ()) == -INF
    assert weighted((1000.0, -INF), (2.0, 3.0)) == pytest.approx(1000 + np.log(2))


def test_softmax(rng):
    f, g = rng.normal(size=(5, 8, 1)) * 10 + 900, rng.normal(size=(5, 8, 3))
    expected = (softmax(f, axis=1) * g).sum(axis=1)
    np.testing.assert_allclose(result(red.SumSoftMaxWeight(), f, g), expected, rtol=1e-13)


def test_softmax_edges():
    average = red.SumSoftMaxWeight()
    assert np.isnan(result(average, row(), row())).all()
    assert np.isnan(result(average, row(-INF, -INF), row(1.0, 2.0))).all()
    np.testing.assert_array_equal(result(average, row(-INF, 0.0), row(1.0, 2.0)), [[2.0]])
    assert np.isnan(result(average, row(INF, 0.0), row(1.0, 2.0))).all()
    assert np.isnan(result(average, row(NAN, 0.0), row(1.0, 2.0))).all()


def test_raw_states_edges():
    raw = red.MaxSumShiftExp()
    np.testing.assert_array_equal(result(raw, row(INF, 0.0)), [[INF, NAN]])  # inf - inf
    np.testing.assert_array_equal(result(raw, row(NAN, 2.0)), [[2.0, NAN]])
    np.testing.assert_array_equal(result(raw, row(NAN, NAN)), [[-INF, NAN]])
    np.testing.assert_array_equal(result(raw, row(-INF, 2.0, 2.0)), [[2.0, 2.0]])


def test_raw_states(rng):
    f, g = rng.normal(size=(5, 8, 1)), rng.normal(size=(5, 8, 3))
    m = f.max(axis=1)
    weights = np.exp(f - m[:, None])
    expected = np.concatenate([m, weights.sum(axis=1)], axis=1)
    np.testing.assert_allclose(result(red.MaxSumShiftExp(), f), expected)
    expected = np.concatenate([m, (weights * g).sum(axis=1)], axis=1)
    np.testing.assert_allclose(result(red.MaxSumShiftExpWeight(), f, g), expected)


def test_extrema(rng):
    values = rng.integers(0, 4, (6, 9, 3)).astype(np.float64)
    np.testing.assert_array_equal(result(red.Max(), values), values.max(axis=1))
    np.testing.assert_array_equal(result(red.Min(), values), values.min(axis=1))
    np.testing.assert_array_equal(result(red.ArgMax(), values), values.argmax(axis=1))
    np.testing.assert_array_equal(result(red.ArgMin(), values), values.argmin(axis=1))
    value, index = result(red.MaxArgMax(), values)
    np.testing.assert_array_equal(value, values.max(axis=1))
    np.testing.assert_array_equal(index, values.argmax(axis=1))
    value, index = result(red.MinArgMin(), values)
    np.testing.assert_array_equal(value, values.min(axis=1))
    np.testing.assert_array_equal(index, values.argmin(axis=1))


@pytest.mark.parametrize(
    ("reduction", "values", "expected"),
    [
        (red.MaxArgMax(), (NAN, 1.0, 2.0, NAN), (2.0, 2)),
        (red.MaxArgMax(), (NAN, NAN), (-INF, -1)),
        (red.MaxArgMax(), (NAN, -INF), (-INF, -1)),
        (red.MaxArgMax(), (0.0, INF, INF), (INF, 1)),
        (red.MinArgMin(), (NAN, 1.0, -2.0, -2.0), (-2.0, 2)),
        (red.MinArgMin(), (NAN, NAN), (INF, -1)),
        (red.MinArgMin(), (INF, INF), (INF, -1)),
        (red.MinArgMin(), (INF, 3.0), (3.0, 1)),
        (red.MinArgMin(), (1.0, -INF), (-INF, 1)),
    ],
)
def test_extremum_edges(reduction, values, expected):
    value, index = result(reduction, row(*values))
    assert (value[0, 0], index[0, 0]) == expected


def test_empty_extrema():
    assert result(red.Max(), row()) == -INF
    assert result(red.Min(), row()) == INF


@pytest.mark.parametrize("k", [1, 3, 9])
@pytest.mark.parametrize("dim", [1, 2])
def test_kmin(rng, k, dim):
    values = rng.integers(0, 5, (6, 9, dim)).astype(np.float64)
    order = values.argsort(axis=1, kind="stable")[:, :k]
    expected = np.sort(values, axis=1)[:, :k]
    if dim == 1:
        order, expected = order[:, :, 0], expected[:, :, 0]
    np.testing.assert_array_equal(result(red.KMin(k), values), expected)
    np.testing.assert_array_equal(result(red.ArgKMin(k), values), order)
    value, index = result(red.KMinArgKMin(k), values)
    np.testing.assert_array_equal(value, expected)
    np.testing.assert_array_equal(index, order)


def test_kmin_edges():
    value, index = result(red.KMinArgKMin(3), row(NAN, INF, 1.0, -INF))
    np.testing.assert_array_equal(value, [[-INF, 1.0, INF]])
    np.testing.assert_array_equal(index, [[3, 2, -1]])
    state = red.KMin(3).reduce((row(NAN, 2.0),))
    np.testing.assert_array_equal(state[1][0, :, 0], [1, -1, -1])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((INF, INF, INF, INF), (-1, -1, -1)),
        ((NAN, NAN, NAN), (-1, -1, -1)),
        ((INF, INF, 5.0, 1.0), (3, 2, -1)),
        ((5.0, NAN, INF), (0, -1, -1)),
        ((INF, 5.0, NAN, INF), (1, -1, -1)),
        ((INF, INF, INF, INF, 2.0), (4, -1, -1)),
        ((3.0, 2.0, 1.0), (2, 1, 0)),
    ],
)
def test_places_that_nothing_won_have_no_index(values, expected):
    np.testing.assert_array_equal(result(red.ArgKMin(3), row(*values)), [expected])


@given(
    values=hnp.arrays(
        np.float64, st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 2)),
        elements=st.sampled_from([-INF, 0.0, 1.0, INF, NAN]),
    ),
    data=st.data(),
)
@settings(max_examples=100, deadline=None)
def test_kmin_is_a_stable_sort(values, data):
    """A sort of what is below +inf, NaN counting as +inf; what else there is has the index -1."""
    k = data.draw(st.integers(1, values.shape[1]))
    value, index = result(red.KMinArgKMin(k), values)
    value, index = (a.reshape(len(values), k, values.shape[2]) for a in (value, index))
    values = np.where(np.isnan(values), INF, values)
    np.testing.assert_array_equal(value, np.sort(values, axis=1)[:, :k])
    np.testing.assert_array_equal(index, np.where(value == INF, -1, values.argsort(axis=1, kind="stable")[:, :k]))


def test_finalize_leaves_the_state_alone():
    state = red.KMinArgKMin(2).reduce((row(NAN, 2.0),))
    kept = [part.copy() for part in state]
    for reduction in (red.KMin(2), red.ArgKMin(2), red.KMinArgKMin(2)):
        reduction.finalize(state, np.dtype(np.float32))
    for a, b in zip(state, kept, strict=True):
        np.testing.assert_array_equal(a, b)


class TestRegistry:
    def test_names(self):
        for name, cls in red.registry.items():
            reduction = red.get_reduction(name, 2 if issubclass(cls, red.KSmallest) else None)
            assert type(reduction) is cls
            assert name == cls.name or name in cls.aliases

    def test_aliases(self):
        assert red.get_reduction("SoftMax") == red.SumSoftMaxWeight()
        assert red.get_reduction("LogSumExp", weighted=True) == red.LogSumExpWeight()
        assert red.get_reduction("Max_SumShiftExp", weighted=True) == red.MaxSumShiftExpWeight()

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            (("Mean",), ValueError, "'Mean' is not known"),
            (("sum",), ValueError, "did you mean 'Sum'"),
            (("logsumexp",), ValueError, "did you mean 'LogSumExp'"),
            ((3,), TypeError, "reduction_op must be a string"),
            (("KMin",), ValueError, "opt_arg is missing"),
            (("KMin", 0), ValueError, "at least 1: found 0"),
            (("KMin", 2.5), TypeError, "opt_arg.*found 2.5"),
            (("Sum", 2), ValueError, "opt_arg must be None"),
        ],
    )
    def test_errors(self, arguments, error, message):
        with pytest.raises(error, match=message):
            red.get_reduction(*arguments)

    def test_numpy_integer(self):
        assert red.get_reduction("KMin", np.int64(3)) == red.KMin(3)
