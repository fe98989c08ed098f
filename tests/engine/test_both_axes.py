"""Sums over i and sums over j of one sweep, at every instruction set, beside dense NumPy."""

import numpy as np
import pytest

from skkeops.backends import cpu
from skkeops.formula.expression import Variable
from skkeops.formula.operations import lookup
from skkeops.plan.problem import Output, Problem
from skkeops.reductions import Sum

from .common import simd_level  # noqa: F401


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "n"), [(0, 3), (3, 0), (1, 1), (31, 33), (129, 257), (140, 8200), (8200, 140), (64, 65), (65, 64)])
def test_sums_over_both_axes_of_every_form(m, n, dtype, simd_level):  # noqa: F811
    """What a fold reads may lie in rows, lanes, tiles or in none of them, on either axis."""
    x, y, b, w, p = (Variable(k, dim, c) for k, (dim, c) in enumerate(((3, 0), (3, 1), (2, 1), (1, 0), (1, 2))))
    k = lookup("Exp").build(-p * lookup("SqDist").build(x, y))
    forms = {  # each with the same in NumPy, for k (m, n, 1), arrays (m, 1, dim), (1, n, dim), (dim,)
        "a number": (k, lambda k, x, y, b, w, p: k),
        "rows": (k * w, lambda k, x, y, b, w, p: k * w),
        "lanes": (k * b, lambda k, x, y, b, w, p: k * b),
        "a difference": (k * (x - y), lambda k, x, y, b, w, p: k * (x - y)),
        "the other difference": (k * w * (y - x), lambda k, x, y, b, w, p: k * w * (y - x)),
        "two numbers": (k * (x | y) * (x - y), lambda k, x, y, b, w, p: k * (x * y).sum(-1, keepdims=True) * (x - y)),
        "pairs": (lookup("Sin").build(x * y), lambda k, x, y, b, w, p: np.sin(x * y)),
        "number times pairs": (k * lookup("Sin").build(x * y), lambda k, x, y, b, w, p: k * np.sin(x * y)),
        "one side": (x, lambda k, x, y, b, w, p: x + 0 * k),
        "nothing": (p, lambda k, x, y, b, w, p: p + 0 * k),
    }
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in ((m, 3), (n, 3), (n, 2), (m, 1), (1,))]
    arrays[4] = abs(arrays[4])
    wide = [a.astype(float) for a in arrays]
    wide = [wide[0][:, None], wide[1][None], wide[2][None], wide[3][:, None], wide[4]]
    kernel = np.exp(-wide[4] * ((wide[0] - wide[1]) ** 2).sum(-1, keepdims=True))
    names = [(name, axis) for name in forms for axis in (1, 0)]
    problem = Problem(tuple(Output(Sum(), (forms[name][0],), axis) for name, axis in names), (x, y, b, w, p))
    found = cpu.prepare(problem).state(tuple(arrays))
    for (name, axis), sums in zip(names, found, strict=True):
        pairs = forms[name][1](kernel, *wide)
        scale = abs(pairs).sum(axis=axis).max(initial=1e-30)
        np.testing.assert_allclose(sums, pairs.sum(axis=axis), rtol=0, atol=scale * (3e-6 if dtype == "float32" else 1e-12))


def test_large_terms_that_cancel_are_summed_again_in_float64(simd_level):  # noqa: F811
    """Sums of sixteen rows leave float32's range on the way, and what is summed does not."""
    x, y = Variable(0, 1, 0), Variable(1, 1, 1)
    problem = Problem((Output(Sum(), (x * y,), 1), Output(Sum(), (x * y,), 0)), (x, y))
    a = np.tile(np.array([3e38, 3e38, -3e38, -3e38, 1.0], dtype="float32"), 60)[:, None]
    ones = np.ones((70, 1), dtype="float32")
    for arrays in ((a, ones), (ones, a)):
        by_i, by_j = cpu.prepare(problem).state(arrays)
        assert (by_i == arrays[0].astype(float) * arrays[1].astype(float).sum()).all()
        assert (by_j == arrays[1].astype(float) * arrays[0].astype(float).sum()).all()
