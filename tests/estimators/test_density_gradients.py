"""Gradients of log densities, beside differences."""

import copy

import numpy as np
import pytest

from skkeops import KernelDensity

from .windows import COMPACT, NAMES, SPACES, fitted


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_gradient(name, space, weighted, rng):
    samples, queries = rng.standard_normal((40, 2)) + 7, rng.standard_normal((15, 2)) + 7
    weights = rng.random(40) + 0.1 if weighted else None
    density = fitted(name, space, 1.3, samples, sample_weight=weights)
    names = ("X", "X_fit", "sample_weight", "bandwidth")
    e = rng.standard_normal(15)
    finite = np.isfinite(density.score_samples(queries))
    assert finite.sum() > 10
    shapes = (queries.shape, samples.shape, (40,), np.shape(density.bandwidth_))
    directions = dict(zip(names, (rng.standard_normal(s) for s in shapes), strict=True))

    def moved(name, step):
        other, q = copy.copy(density), queries
        if name == "X":
            q = queries + step * directions[name]
        elif name == "sample_weight":
            other.sample_weight_fit_ = (np.ones(40) if weights is None else weights) + step * directions[name]
        elif name == "bandwidth":
            other.bandwidth_ = density.bandwidth_ + step * directions[name]
        else:
            other.X_fit_ = samples + step * directions[name]
        return (e * other.score_samples(q))[finite].sum()

    gradients = density.gradient(queries, e, wrt=names)
    for wrt, gradient, shape in zip(names, gradients, shapes, strict=True):
        assert np.shape(gradient) == shape
        step = 1e-6
        numeric = (moved(wrt, step) - moved(wrt, -step)) / (2 * step)
        exact = float(np.sum(gradient * directions[wrt]))
        assert exact == pytest.approx(numeric, rel=1e-6, abs=2e-6)
        np.testing.assert_allclose(density.gradient(queries, e, wrt=wrt), gradient, rtol=1e-11, atol=1e-12)


def test_gradient_by_weights_that_are_zero(rng):
    samples, queries = rng.standard_normal((20, 2)), rng.standard_normal((5, 2))
    weights = np.repeat([0.0, 1.0], 10)
    for name in ("gaussian", "linear"):
        density = KernelDensity(kernel=name, bandwidth=5.0).fit(samples, sample_weight=weights)
        before = density.score(queries)
        gradient = density.gradient(queries, wrt="sample_weight")
        weights_after = weights.copy()
        weights_after[3] = 1e-6
        after = KernelDensity(kernel=name, bandwidth=5.0).fit(samples, sample_weight=weights_after).score(queries)
        assert gradient[3] == pytest.approx((after - before) / 1e-6, rel=1e-4)
        assert gradient[3] != 0


@pytest.mark.parametrize("name", COMPACT)
def test_gradient_without_support(name):
    density = KernelDensity(kernel=name).fit(np.zeros((3, 2)))
    for wrt in ("X", "X_fit", "sample_weight", "bandwidth"):
        assert np.all(np.asarray(density.gradient([[9.0, 9.0]], wrt=wrt)) == 0)


def test_gradient_names():
    density = KernelDensity().fit(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="'bandwidth': found 'h'"):
        density.gradient(np.zeros((1, 2)), wrt="h")
