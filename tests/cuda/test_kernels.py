"""Every kernel on a device, against what it is in NumPy."""

import numpy as np
import pytest

from skkeops import KernelSum

from ..kernels.truth import CASES, samples


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sums_of_kernels(case, cupy, rng):
    length = np.array([0.7, 1.3, 1.9])
    x, y = (samples(rng, rows, 3, np.float32, case.nonnegative) for rows in (9, 21))
    b = rng.normal(size=(21, 2)).astype(np.float32)
    found = KernelSum(case.make(length)).fit(*map(cupy.asarray, (y, b))).transform(cupy.asarray(x))
    assert type(found) is cupy.ndarray and found.dtype == np.float32
    expected = case.value(x.astype(float), y.astype(float), length) @ b
    np.testing.assert_allclose(found.get(), expected, rtol=1e-5, atol=2e-5)
