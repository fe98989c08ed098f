"""MMD, HSIC and the energy distance of arrays of CuPy: the numbers of arrays of NumPy, and no samples that pass to the host."""

import numpy as np
import pytest

from skkeops import energy_distance, hsic, hsic_test, kernels, mmd, mmd_test, sinkhorn_divergence

GAUSSIAN = kernels.Gaussian(1.0)
STATISTICS = {
    "mmd": lambda X, Y: mmd(X, Y, GAUSSIAN),
    "biased mmd": lambda X, Y: mmd(X, Y, "laplacian", unbiased=False),
    "energy distance": energy_distance,
    "sinkhorn": lambda X, Y: sinkhorn_divergence(X, Y, blur=1.0),
    "hsic": lambda X, Y: hsic(X[: len(Y)], Y, GAUSSIAN, kernels.Matern(1.0)),
}
TESTS = {
    "mmd": lambda X, Y: mmd_test(X, Y, GAUSSIAN, n_permutations=20, random_state=0),
    "hsic": lambda X, Y: hsic_test(X[: len(Y)], Y, GAUSSIAN, GAUSSIAN, n_permutations=5, random_state=0),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics(name, double, rng):
    X, Y = rng.normal(size=(40, 3)), rng.normal(size=(31, 3))
    X_d, Y_d = double.asarray(X), double.asarray(Y)
    double.stand_in_counts.clear()
    found = STATISTICS[name](X_d, Y_d)
    counts = double.stand_in_counts
    assert counts.launches and max(counts.to_host + counts.to_device, default=0) <= 8 * 3
    assert isinstance(found, float) and found == pytest.approx(STATISTICS[name](X, Y), rel=1e-9)


@pytest.mark.parametrize("name", TESTS)
def test_tests(name, double, rng):
    X, Y = rng.normal(size=(40, 3)), rng.normal(size=(31, 3))
    found, expected = TESTS[name](double.asarray(X), double.asarray(Y)), TESTS[name](X, Y)
    assert type(found.null_distribution) is np.ndarray
    np.testing.assert_allclose(found.null_distribution, expected.null_distribution, atol=1e-13)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9) and found.pvalue == expected.pvalue
