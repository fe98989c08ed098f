"""Ranges from a tolerance: the error of sums stays below it, and far pairs are left out."""

from __future__ import annotations

import numpy as np
import pytest

from skkeops import Genred
from skkeops.cluster import grid_cluster, ranges_from_tolerance, sort_clusters

RNG = np.random.default_rng(8)
PROFILES = {
    "gaussian": (lambda r: np.exp(-(r**2)), "Exp(-SqDist(x, y))"),
    "laplacian": (lambda r: np.exp(-r), "Exp(-Norm2(x - y))"),
    "cauchy": (lambda r: 1 / (1 + r**2), "Inv(1 + SqDist(x, y))"),
    "bump": (lambda r: np.maximum(1 - r, 0), "ReLU(1 - Norm2(x - y))"),
    "oscillating, bounded": (lambda r: np.exp(-r), "Exp(-Norm2(x - y)) * Cos(5 * Norm2(x - y))"),
}


def clustered(n, size, dim=2, scale=20.0):
    x = RNG.uniform(0, scale, (n, dim))
    return sort_clusters(x, grid_cluster(x, size))


@pytest.mark.parametrize("tol", [0.0, 1e-8, 1e-3, 0.5])
@pytest.mark.parametrize("name", PROFILES)
def test_the_error_is_below_the_tolerance(name, tol):
    profile, formula = PROFILES[name]
    (x, lab_x), (y, lab_y) = clustered(700, 1.3), clustered(900, 1.1)
    w, v = RNG.normal(size=900), RNG.normal(size=700)
    ranges = ranges_from_tolerance(profile, tol, x, lab_x, y, lab_y, weights_x=v, weights_y=w)
    aliases = ["x = Vi(2)", "y = Vj(2)"]
    for axis, b, alias in ((1, w, "b = Vj(1)"), (0, v, "b = Vi(1)")):
        f = Genred(f"{formula} * b", [*aliases, alias], axis=axis)
        error = np.abs(f(x, y, b[:, None], ranges=ranges) - f(x, y, b[:, None])).max()
        assert error <= tol + 1e-12
    pairs = Genred("1 + 0 * x", ["x = Vi(1)", "y = Vj(1)"], axis=1)(x[:, :1], y[:, :1], ranges=ranges).sum()
    if tol >= 1e-8 and name in ("gaussian", "bump"):
        assert pairs < 0.5 * 700 * 900
    if tol == 0.0 and name == "cauchy":
        assert pairs == 700 * 900


def test_one_set_of_points_and_several_columns():
    x, lab = clustered(800, 1.0, dim=3)
    w = RNG.normal(size=(800, 4))
    ranges = ranges_from_tolerance(lambda r: np.exp(-r), 1e-4, x, lab, weights_y=w)
    f = Genred("Exp(-Norm2(x - y)) * b", ["x = Vi(3)", "y = Vj(3)", "b = Vj(4)"], axis=1)
    assert np.abs(f(x, x, w, ranges=ranges) - f(x, x, w)).max() <= 1e-4


def test_labels_without_points_and_no_points():
    x = np.array([[0.0], [0.1], [50.0]])
    ranges = ranges_from_tolerance(lambda r: np.exp(-r), 1e-9, x, [0, 0, 7])
    f = Genred("Exp(-Norm2(x - y))", ["x = Vi(1)", "y = Vj(1)"], axis=1)
    np.testing.assert_allclose(f(x, x, ranges=ranges)[:, 0], [1 + np.exp(-0.1), 1 + np.exp(-0.1), 1], rtol=1e-12)
    empty = ranges_from_tolerance(lambda r: np.exp(-r), 1e-9, np.zeros((0, 1)), [])
    assert f(np.zeros((0, 1)), np.zeros((0, 1)), ranges=empty).shape == (0, 1)


X, LAB = clustered(50, 2.0)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((np.exp, 1e-3, X, LAB), {}, "profile must not increase"),
        ((lambda r: -r, 1e-3, X, LAB), {}, "not negative"),
        ((lambda r: 1.0, 1e-3, X, LAB), {}, "a number, not negative, for each"),
        ((np.ones_like, -1, X, LAB), {}, "tol must be a number, not negative: found -1"),
        ((np.ones_like, "a", X, LAB), {}, "could not convert|tol must be"),
        ((np.ones_like, 1, X, LAB[::-1]), {}, "x must be sorted by lab_x"),
        ((np.ones_like, 1, X, LAB[1:]), {}, "a label for each of the 50 points: found 49"),
        ((np.ones_like, 1, X, LAB, X), {}, "y and lab_y are given together"),
        ((np.ones_like, 1, X, LAB, X[:, :1], LAB), {}, "one dimension: found 2 and 1"),
        ((np.ones_like, 1, X * np.nan, LAB), {}, "x must be finite"),
        ((np.ones_like, 1, X, LAB), {"weights_y": np.ones(3)}, "weights_y must be finite, one for each of the 50"),
    ],
)
def test_bad_input(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        ranges_from_tolerance(*arguments, **options)
