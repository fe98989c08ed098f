"""Reductions are monoids: blocks can be reduced in any grouping, and nothing changes."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skkeops import reductions as red

ALL = [
    red.Sum(),
    red.LogSumExp(),
    red.LogSumExpWeight(),
    red.SumSoftMaxWeight(),
    red.Max(),
    red.Min(),
    red.ArgMax(),
    red.ArgMin(),
    red.MaxArgMax(),
    red.MinArgMin(),
    red.KMin(3),
    red.ArgKMin(3),
    red.KMinArgKMin(2),
    red.MaxSumShiftExp(),
    red.MaxSumShiftExpWeight(),
]


def random_values(reduction, rows, cols, rng):
    """The values of a dense block: small integers, so that ties happen and sums are exact."""
    if reduction.fold != "shift_exp":
        return (rng.integers(-3, 4, (rows, cols, 2)).astype(np.float64),)
    values = (rng.integers(-3, 4, (rows, cols, 1)).astype(np.float64),)
    if reduction.needs_formula2:
        values += (rng.integers(1, 4, (rows, cols, 2)).astype(np.float64),)
    return values


def assert_same_state(a, b):
    assert len(a) == len(b)
    for left, right in zip(a, b, strict=True):
        assert left.shape == right.shape
        assert left.dtype == right.dtype
        np.testing.assert_allclose(left, right, rtol=1e-14)


@pytest.mark.parametrize("reduction", ALL, ids=repr)
class TestLaws:
    def test_blocks(self, reduction, rng):
        values = random_values(reduction, 4, 11, rng)
        whole = reduction.reduce(values)
        for cut in (1, 5, 10):
            left = reduction.reduce(tuple(v[:, :cut] for v in values))
            right = reduction.reduce(tuple(v[:, cut:] for v in values), first_index=cut)
            assert_same_state(reduction.combine(left, right), whole)

    def test_associative(self, reduction, rng):
        values = random_values(reduction, 3, 9, rng)
        a, b, c = (reduction.reduce(tuple(v[:, k : k + 3] for v in values), first_index=k) for k in (0, 3, 6))
        left = reduction.combine(reduction.combine(a, b), c)
        right = reduction.combine(a, reduction.combine(b, c))
        assert_same_state(left, right)

    def test_identity(self, reduction, rng):
        values = random_values(reduction, 3, 7, rng)
        state = reduction.reduce(values)
        nothing = reduction.identity(3, tuple(v.shape[2] for v in values))
        assert_same_state(reduction.combine(nothing, state), state)
        assert_same_state(reduction.combine(state, nothing), state)
        assert_same_state(reduction.reduce(tuple(v[:, :0] for v in values)), nothing)

    def test_state_dtypes(self, reduction, rng):
        values = tuple(v.astype(np.float32) for v in random_values(reduction, 2, 6, rng))
        state = reduction.reduce(values)
        expected = (
            [np.float64, np.int64] if reduction.fold in ("extremum", "kmin") else [np.float64] * len(state)
        )
        assert [s.dtype for s in state] == expected

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_finalize(self, reduction, dtype, rng):
        values = random_values(reduction, 4, 6, rng)
        dims = tuple(v.shape[2] for v in values)
        result = reduction.finalize(reduction.reduce(values), np.dtype(dtype))
        results = result if isinstance(result, tuple) else (result,)
        kinds = [dtype] * reduction.returns_value + [np.int64] * reduction.returns_index
        assert [r.dtype for r in results] == kinds
        assert all(r.shape == (4, *reduction.output_dim(dims)) for r in results)

    def test_value_object(self, reduction):
        same = pickle.loads(pickle.dumps(reduction))
        assert same == reduction
        assert hash(same) == hash(reduction)
        assert eval(repr(reduction), vars(red)) == reduction
        assert sum(reduction == other for other in ALL) == 1
        assert reduction != reduction.name


@pytest.mark.parametrize("reduction", [red.Min(), red.MaxArgMax(), red.KMin(2), red.LogSumExp(), red.MaxSumShiftExp()], ids=repr)
@given(
    values=hnp.arrays(
        np.float64, (2, 7, 1), elements=st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0, 700.0, np.inf, np.nan])
    ),
    cut=st.integers(0, 7),
)
@settings(max_examples=60, deadline=None)
def test_blocks_of_anything(reduction, values, cut):
    """Infinities and NaN in any place do not depend on where the blocks are cut."""
    whole = reduction.reduce((values,))
    left = reduction.reduce((values[:, :cut],))
    right = reduction.reduce((values[:, cut:],), first_index=cut)
    merged = reduction.combine(left, right)
    for a, b in zip(
        np.atleast_2d(reduction.finalize(merged, np.float64)),
        np.atleast_2d(reduction.finalize(whole, np.float64)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-14)
