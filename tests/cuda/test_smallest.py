"""K smallest by the templates "dot", "columns" and "rows": ties, infinities, NaN, short and long axes."""

import numpy as np
import pytest

from skkeops import Genred

from . import emulator, running
from .test_emulation import lengths

pytestmark = pytest.mark.skipif(not emulator.available(), reason="the emulator needs g++ on x86-64")

DTYPES = ["float32", "float64"]


def problem_of(d, k, axis=1, formula="Sum(Abs(x - y))"):
    return Genred(formula, [f"x = Vi({d})", f"y = Vj({d})"], "KMin_ArgKMin", axis=axis, opt_arg=k)._problem


CASES = {  # whole numbers have exact distances: the indices must be NumPy's
    "dot": [problem_of(34, 1), problem_of(34, 10), problem_of(34, 16, 0), problem_of(34, 25), problem_of(40, 7, 1, "-(x | y)")],
    "columns": [problem_of(2, k, axis) for k, axis in ((1, 1), (3, 0), (10, 1), (16, 1), (33, 0), (64, 1))],
    "rows": [problem_of(2, 10), problem_of(2, 20)],
}
SIZES = {
    "dot": [(1, 26), (65, 127), (63, 128), (2, 129), (3, 800), (2, 8448)],
    "columns": [(1, 64), (9, 2048), (3, 2049), (2, 20000)],
    "rows": [(3, 257), (2, 16800)],
}


@pytest.fixture(scope="module", params=list(CASES))
def cases(request):
    name = request.param
    built = running.build(CASES[name], DTYPES, template="columns" if name == "columns" else "auto")
    assert {made.template for made, _ in built.values()} == {name}
    return name, built


def values_of(problem, x, y):
    """The values of all pairs in float64, output by reduced index."""
    with np.errstate(all="ignore"):
        if "Abs" in str(problem.values[0]):
            values = np.abs(x[:, None].astype(float) - y[None]).sum(axis=2)
        else:
            values = -(x.astype(float) @ y.T.astype(float))
    return values if problem.axis == 1 else values.T


def check(problem, made, module, x, y, where, order=0):
    """Like NumPy's stable sort; NaN and what is not smaller than infinity have no place."""
    k = problem.reduction.k
    values, index = running.run(made, module, problem, (x, y), "state", order=order)
    values, index = values[..., 0], index[..., 0]
    truth = values_of(problem, x, y)
    truth = np.where(np.isnan(truth), np.inf, truth)
    places = truth.argsort(axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(truth, places, axis=1)
    np.testing.assert_array_equal(values, best, err_msg=where)
    np.testing.assert_array_equal(index, np.where(best == np.inf, -1, places), err_msg=where)


@pytest.mark.parametrize("dtype", DTYPES)
def test_whole_numbers(cases, dtype):
    name, built = cases
    rng = np.random.default_rng(0)
    for k, problem in enumerate(CASES[name]):
        made, module = built[k, dtype]
        for rows, columns in SIZES[name]:
            if columns < problem.reduction.k or (columns > 5000 and k % 2 == 0 and name == "dot"):
                continue
            m, n = lengths(problem, rows, columns)
            d = problem.variables[0].dim
            for most in (2, 30):  # many ties, and few
                x, y = (rng.integers(0, most, (size, d)).astype(dtype) for size in (m, n))
                check(problem, made, module, x, y, f"{name} {problem} {rows} x {columns}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_value_falling_and_rising_values(cases, dtype):
    """All equal; every column better than all before; every column worse."""
    name, built = cases
    for k, problem in enumerate(CASES[name]):
        made, module = built[k, dtype]
        m, n = lengths(problem, *SIZES[name][-2])
        d = problem.variables[0].dim
        for sign in (0, 1, -1):
            x, y = np.zeros((m, d), dtype), np.zeros((n, d), dtype)
            x[:, 0] = 4000 if m > n else 1
            y[:, 0] = 4000 if n > m else 1
            longer = x if m > n else y
            longer[:, 0] += sign * np.arange(max(m, n))
            check(problem, made, module, x, y, f"{name} {problem} {sign}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinities_and_nan(cases, dtype):
    name, built = cases
    rng = np.random.default_rng(1)
    for k, problem in enumerate(CASES[name]):
        made, module = built[k, dtype]
        rows, columns = SIZES[name][1]
        m, n = lengths(problem, rows, columns)
        d = problem.variables[0].dim
        for special in (np.nan, np.inf, -np.inf):
            for share in (0.1, 0.999, 1.0):
                x, y = (rng.integers(1, 9, (size, d)).astype(dtype) for size in (m, n))
                longer = y if problem.axis == 1 else x
                longer[rng.random(len(longer)) < share, d - 1] = special
                check(problem, made, module, x, y, f"{name} {problem} {special} {share}")
        x[0], y[0] = np.inf, np.nan
        check(problem, made, module, x, y, f"{name} {problem}")


def test_the_order_of_the_threads_changes_nothing(cases):
    name, built = cases
    rng = np.random.default_rng(2)
    for k, problem in enumerate(CASES[name]):
        for dtype in DTYPES:
            made, module = built[k, dtype]
            m, n = lengths(problem, *SIZES[name][-2])
            x, y = (rng.integers(0, 3, (size, problem.variables[0].dim)).astype(dtype) for size in (m, n))
            for order in (1, 2):
                check(problem, made, module, x, y, f"{name} {problem} {order}", order)


def test_many_splits_are_merged_by_warps(cases):
    name, built = cases
    made, _ = built[0, "float32"]
    main, merge = made.geometry(2, SIZES[name][-1][1] * 10).launches
    assert main.grid[1] > 16 and merge.args[-1] == 32
