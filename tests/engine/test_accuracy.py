"""The accuracy that the documentation promises."""

import mpmath
import numpy as np
import pytest
from scipy.special import logsumexp

from skkeops import Genred

from .common import simd_level  # noqa: F401

ALIASES = ["x = Vi(3)", "y = Vj(3)", "b = Vj(1)"]


def test_ten_million_terms_in_float32(simd_level):  # noqa: F811
    y = np.full((10**7, 1), 0.1, np.float32)
    result = Genred("x*y", ["x = Vi(1)", "y = Vj(1)"], axis=1)(np.ones((1, 1), np.float32), y)
    exact = 10**7 * float(np.float32(0.1))
    assert abs(float(result[0, 0]) - exact) <= 1e-7 * exact


@pytest.mark.parametrize("m, n", [(1000, 3000), (3000, 50)])
def test_kernels_in_float32(m, n, simd_level):  # noqa: F811
    rng = np.random.default_rng(0)
    x, y, b = (rng.standard_normal(s).astype(np.float32) for s in ((m, 3), (n, 3), (n, 1)))
    d2 = ((x[:, None].astype(float) - y[None]) ** 2).sum(-1)
    r = np.sqrt(3 * d2)
    kernels = {
        "Exp(-SqDist(x,y))*b": np.exp(-d2),
        "(1+Sqrt(3*SqDist(x,y)))*Exp(-Sqrt(3*SqDist(x,y)))*b": (1 + r) * np.exp(-r),
        "Inv(1+SqDist(x,y))*b": 1 / (1 + d2),
    }
    for formula, k in kernels.items():
        values = k * b[:, 0].astype(float)
        result = Genred(formula, ALIASES, axis=1)(x, y, b)[:, 0]
        # far points: float32 distances of d2 are known to 1e-7 * d2, whoever computes them
        bound = 3e-7 * np.abs(values).sum(1) + 1e-7 * (d2 * np.abs(values)).sum(1)
        assert (np.abs(result - values.sum(1)) <= bound).all(), formula
    for formula, f in {"-SqDist(x,y)": -d2, "Log(1+Sqrt(3*SqDist(x,y)))-Sqrt(3*SqDist(x,y))": np.log1p(r) - r}.items():
        result = Genred(formula, ALIASES, "LogSumExp", axis=1)(x, y, b)[:, 0]
        expected = logsumexp(f, axis=1)
        assert (np.abs(result - expected) <= 3e-7 * (1 + np.abs(expected))).all(), formula


@pytest.mark.parametrize("dim", [3, 64, 200])
@pytest.mark.parametrize("n", [40, 500])
def test_distances_keep_their_digits_far_from_the_origin(dim, n, simd_level):  # noqa: F811
    rng = np.random.default_rng(dim)
    x, y = ((1000 + rng.standard_normal((k, dim))).astype(np.float32) for k in (20, n))
    y[:20] = np.nextafter(x, np.float32(np.inf))[: len(y[:20])]  # almost the same points
    d2 = ((x[:, None].astype(float) - y[None]) ** 2).sum(-1)
    aliases = [f"x = Vi({dim})", f"y = Vj({dim})"]
    value = Genred("SqDist(x,y)", aliases, "Min", axis=1)(x, y)[:, 0]
    np.testing.assert_allclose(value, d2.min(axis=1), rtol=2e-6)
    value = Genred("SqDist(x,y)", aliases, "KMin", axis=1, opt_arg=30)(x, y)
    np.testing.assert_allclose(value, np.sort(d2, axis=1)[:, :30], rtol=2e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dim, n_scales", [(1, 1), (3, 3), (3, 1), (64, 64)])
@pytest.mark.parametrize("n", [40, 500])
def test_scaled_differences_keep_their_digits_far_from_the_origin(dim, n_scales, n, dtype, simd_level):  # noqa: F811
    rng = np.random.default_rng(dim)
    x, y = ((1e6 + 9 * rng.standard_normal((k, dim))).astype(dtype) for k in (23, n))
    scale = rng.uniform(0.01, 0.1, n_scales).astype(dtype)
    aliases = [f"x = Vi({dim})", f"y = Vj({dim})", f"s = Pm({n_scales})"]
    z = (x[:, None].astype(np.longdouble) - y) * scale
    for formula, exact in {"Sum(Square((x-y)*s))": (z**2).sum(-1), "Sum(Abs(s*(y-x)))": abs(z).sum(-1)}.items():
        operator = Genred(formula, aliases, "KMin", axis=1, opt_arg=9)
        assert ("scaled_" in operator.explain()) == (dim > 1)  # in registers, a component at a time
        tolerance = {"rtol": 20 * np.finfo(dtype).eps, "atol": 0}
        np.testing.assert_allclose(operator(x, y, scale), np.sort(exact, axis=1)[:, :9].astype(float), **tolerance)


@pytest.mark.parametrize("n", [40, 400])
def test_float64_against_mpmath(n, simd_level):  # noqa: F811
    rng = np.random.default_rng(1)
    x, y, b = rng.standard_normal((3, 3)), rng.standard_normal((n, 3)), rng.standard_normal((n, 1))
    with mpmath.workdps(40):
        for i in range(3):
            d2 = [sum((mpmath.mpf(u) - mpmath.mpf(v)) ** 2 for u, v in zip(x[i], yj, strict=True)) for yj in y]
            terms = [mpmath.exp(-d) * mpmath.mpf(w[0]) for d, w in zip(d2, b, strict=True)]
            result = Genred("Exp(-SqDist(x,y))*b", ALIASES, axis=1)(x[i : i + 1], y, b)[0, 0]
            assert abs(mpmath.mpf(result) - mpmath.fsum(terms)) <= 1e-14 * mpmath.fsum(abs(t) for t in terms)
            lse = mpmath.log(mpmath.fsum(mpmath.exp(-d) for d in d2))
            result = Genred("-SqDist(x,y)", ALIASES, "LogSumExp", axis=1)(x[i : i + 1], y, b)[0, 0]
            assert abs(mpmath.mpf(result) - lse) <= 1e-14 * (1 + abs(lse))


def test_flush_is_confined_to_float32_results_below_the_smallest_normal():
    """float32: an exponential below 1.2e-38 counts as zero; float64 keeps denormals; the caller's mode is kept."""
    x, y = np.array([[0.0]]), np.full((70, 1), 95.0)
    operator = Genred("Exp(x-y)", ["x = Vi(1)", "y = Vj(1)"], axis=1)
    assert 0 <= operator(x.astype(np.float32), y.astype(np.float32))[0, 0] <= 70 * 1.2e-38
    np.testing.assert_allclose(operator(x, 7.6 * y)[0, 0], 70 * np.exp(-722.0), rtol=1e-2)
    assert np.float32(1e-20) * np.float32(1e-20) > 0 or np.array([1e-20], np.float32)[0] ** 2 > 0
