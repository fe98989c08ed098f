"""The Sinkhorn divergence against dense NumPy in log space, its limits against SciPy, its gradients against differences."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning

from skkeops import energy_distance, sinkhorn_divergence

RNG = np.random.default_rng(21)
X, Y = RNG.normal(size=(15, 2)), RNG.normal(size=(12, 2)) + 0.5
A, B = RNG.random(15), RNG.random(12)


def dense_cost(x, y, a, b, blur, p):
    """The primal cost of the plan, with its entropy, after plenty of iterations."""
    C, eps = cdist(x, y) ** p / p, blur**p  # noqa: N806
    log_a, log_b, g = np.log(a), np.log(b), np.zeros(len(y))
    for _ in range(500):
        f = -eps * logsumexp(log_b + (g - C) / eps, axis=1)
        g = -eps * logsumexp(log_a[:, None] + (f[:, None] - C) / eps, axis=0)
    log_ratio = (f[:, None] + g - C) / eps
    plan = a[:, None] * b * np.exp(log_ratio)
    return (plan * C).sum() + eps * ((plan * log_ratio).sum() - plan.sum() + 1)


def dense(x, y, a, b, blur, p):
    a, b = a / a.sum(), b / b.sum()
    return dense_cost(x, y, a, b, blur, p) - dense_cost(x, x, a, a, blur, p) / 2 - dense_cost(y, y, b, b, blur, p) / 2


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("blur", [0.7, 1.5])
def test_value(p, blur, backend):
    expected = dense(X, Y, A, B, blur, p)
    assert sinkhorn_divergence(X, Y, A, B, blur=blur, p=p, max_iter=3000, backend=backend) == pytest.approx(expected, abs=1e-9)
    if backend == "CPU":
        expected = dense(X, Y, np.ones(15), np.ones(12), blur, p)
        assert sinkhorn_divergence(X, Y, blur=blur, p=p, max_iter=3000) == pytest.approx(expected, abs=1e-9)


def test_pot():
    """What POT 0.9.7 gives for ``ot.solve(C, a, b, reg=blur**p, reg_type="KL", max_iter=20000, tol=1e-12).value``."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 2)), rng.normal(size=(15, 2)) + 0.5
    a, b = rng.random(20), rng.random(15)
    recorded = {(1, 0.3): 1.0636973554655993, (1, 1.0): 0.6687563524962199, (2, 0.5): 1.1384224471909596}
    for (p, blur), expected in recorded.items():
        assert sinkhorn_divergence(x, y, a, b, blur=blur, p=p, max_iter=5000) == pytest.approx(expected, abs=1e-9)


def test_limits():
    # A small blur: the cost of the best assignment.
    x, y = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 3))
    for p in (1, 2):
        cost = cdist(x, y) ** p / p
        best = cost[linear_sum_assignment(cost)].mean()
        found = sinkhorn_divergence(x, y, blur=0.02, p=p, max_iter=20000, tol=1e-4)
        assert found == pytest.approx(best, abs=5e-3)
    # A large one: a distance of means, or half the squared energy distance.
    assert sinkhorn_divergence(X, Y, blur=1e4) == pytest.approx(((X.mean(0) - Y.mean(0)) ** 2).sum() / 2, rel=1e-5)
    assert sinkhorn_divergence(X, Y, blur=1e5, p=1) == pytest.approx(energy_distance(X, Y) ** 2 / 2, rel=1e-4)
    # A translation costs half its square, whatever the blur.
    shift = np.array([0.3, -0.4])
    assert sinkhorn_divergence(X, X + shift, A, A, blur=0.6) == pytest.approx(0.125, abs=1e-9)
    assert sinkhorn_divergence(X, X, A, A, blur=0.6) == pytest.approx(0, abs=1e-12)
    # Samples of weight 0 are not there.
    a = np.where(np.arange(15) < 10, A, 0)
    assert sinkhorn_divergence(X, Y, a, B, blur=0.8) == pytest.approx(dense(X[:10], Y, A[:10], B, 0.8, 2), abs=1e-9)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("name", ["X", "Y", "a", "b"])
def test_gradients(p, name):
    arguments = {"X": X[:10], "Y": Y[:8], "a": A[:10], "b": B[:8]}
    options = {"blur": 0.8, "p": p, "tol": 1e-13, "max_iter": 5000}
    value, gradient = sinkhorn_divergence(*arguments.values(), wrt=name, **options)
    assert gradient.shape == arguments[name].shape and value == sinkhorn_divergence(*arguments.values(), **options)
    direction, h = RNG.normal(size=gradient.shape), 1e-5
    up, down = (dense(*{**arguments, name: arguments[name] + s * h * direction}.values(), 0.8, p) for s in (1, -1))
    assert (gradient * direction).sum() == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-8)


def test_several_gradients_and_float32():
    value, (by_b, by_x) = sinkhorn_divergence(X, Y, blur=0.5, wrt=("b", "X"))
    np.testing.assert_array_equal(by_x, sinkhorn_divergence(X, Y, blur=0.5, wrt="X")[1])
    assert by_b.shape == (12,)
    small, gradient = sinkhorn_divergence(X.astype(np.float32), Y.astype(np.float32), blur=0.5, wrt="X")
    assert gradient.dtype == np.float32 and small == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(gradient, by_x, atol=1e-5)


def test_no_convergence():
    with pytest.warns(ConvergenceWarning, match="did not converge in max_iter=2 steps"):
        sinkhorn_divergence(X, Y, blur=0.05, max_iter=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sinkhorn_divergence(X, Y, blur=0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sinkhorn_divergence(X, Y, blur=0.0), "blur == 0.0, must be > 0"),
        (lambda: sinkhorn_divergence(X, Y, p=3), "p must be 1 or 2: found 3"),
        (lambda: sinkhorn_divergence(X, Y, wrt="x"), "wrt must be names among 'X', 'Y', 'a', 'b', or None: found 'x'"),
        (lambda: sinkhorn_divergence(X, Y, 0 * A), "at least one non-zero number|must have a positive sum"),
        (lambda: sinkhorn_divergence(X, Y, b=-B), "Negative values"),
        (lambda: sinkhorn_divergence(X, Y, b=A), "sample_weight.shape"),
        (lambda: sinkhorn_divergence(X, Y[:, :1]), "X and Y must have the same features"),
    ],
)
def test_mistakes(call, message):
    with pytest.raises(ValueError, match=message):
        call()
