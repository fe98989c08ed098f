"""What the tests of the compiled engine share."""

from __future__ import annotations

import numpy as np
import pytest

from skkeops.backends.cpu import _engine

LEVELS = _engine.available_levels()


@pytest.fixture(params=LEVELS)
def simd_level(request):
    """Every SIMD level of this machine; programs keep the level that they were built at."""
    before = _engine.selected_level()
    _engine.select_level(request.param)
    yield request.param
    _engine.select_level(before)


def dense(f, x, y):
    """The (M, N, dim) values of a function of two points' coordinates, in float64."""
    return np.asarray(f(x[:, None, :].astype(float), y[None, :, :].astype(float)))


def check_sum(result, values, axis, dtype, ulps=8.0):
    """`result` is the sum of `values` (M, N, dim) along the axis, to the accuracy promised: relative to sum |F|."""
    exact, norm = values.astype(np.longdouble).sum(axis=axis), np.abs(values).sum(axis=axis)
    error = np.abs(result.astype(float) - exact)
    bound = ulps * np.finfo(dtype).eps * norm + np.finfo(dtype).tiny
    assert result.dtype == dtype and result.shape == exact.shape
    assert (error <= bound).all(), (error / np.maximum(norm, 1e-300)).max()
