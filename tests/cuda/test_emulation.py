"""The generated kernels, executed on the CPU, against the reference backend."""

import numpy as np
import pytest

from skkeops.backends import reference

from . import emulator, running, zoo
from .comparing import as_tuple, check, lengths

pytestmark = pytest.mark.skipif(not emulator.available(), reason="the emulator needs g++ on x86-64")

DTYPES = ["float32", "float64"]
SIZES = [(1, 1), (5, 0), (0, 3), (3, 15), (129, 255), (2, 256), (7, 257), (513, 545), (1025, 16)]
# (rows, columns) of the output's and the reduced axis: 1, 3 and 33 splits with two tiles or more
SPLITS = {1: (130, 700), 3: (3, 1700), 33: (2, 16800)}


@pytest.fixture(scope="module")
def reductions():
    return running.build([e.problem for e in zoo.REDUCTIONS], DTYPES)


@pytest.mark.parametrize("dtype", DTYPES)
def test_reductions_over_sizes(reductions, dtype):
    for k, (name, problem) in enumerate(zoo.REDUCTIONS):
        made, module = reductions[k, dtype]
        for rows, columns in [*SIZES, *SPLITS.values()]:
            if columns < problem.reduction.smallest_axis:
                continue
            arrays = zoo.random_arrays(problem, *lengths(problem, rows, columns), dtype)
            found = running.run(made, module, problem, arrays, "result")
            check(problem, found, arrays, dtype, f"{name} {rows} x {columns}")


def test_the_splits_are_those_of_the_sizes_above(reductions):
    made, _ = reductions[0, "float32"]
    for splits, (rows, columns) in SPLITS.items():
        launches = made.geometry(rows, columns).launches
        assert launches[0].grid[1] == splits == launches[1].args[-2]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_state_finalises_to_the_result(reductions, dtype):
    for k, (name, problem) in enumerate(zoo.REDUCTIONS):
        made, module = reductions[k, dtype]
        arrays = zoo.random_arrays(problem, *lengths(problem, 3, 1700), dtype, seed=1)
        state = running.run(made, module, problem, arrays, "state")
        truth = reference.prepare(problem).state(tuple(a.astype(float) for a in arrays))
        assert [(a.shape, a.dtype) for a in state] == [(a.shape, a.dtype) for a in truth], name
        check(problem, as_tuple(problem.reduction.finalize(state, np.dtype(dtype))), arrays, dtype, name)


def test_the_order_of_the_threads_changes_nothing(reductions):
    for k, (name, problem) in enumerate(zoo.REDUCTIONS):
        made, module = reductions[k, "float32"]
        arrays = zoo.random_arrays(problem, *lengths(problem, 130, 600), "float32", seed=2)
        first, *others = (running.run(made, module, problem, arrays, "state", order=order) for order in (0, 1, 2))
        for other in others:
            for a, b in zip(first, other, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ranges(reductions, dtype):
    ranges = (
        np.array([[0, 3], [5, 600], [601, 602]]),
        np.array([2, 3, 3]),
        np.array([[0, 10], [200, 500], [3, 700]]),
    )
    for k, (name, problem) in enumerate(zoo.REDUCTIONS):
        if name.startswith(("no ", "ones")):
            continue
        made, module = reductions[k, dtype]
        arrays = zoo.random_arrays(problem, *lengths(problem, 650, 700), dtype, seed=3)
        state = running.run(made, module, problem, arrays, "state", ranges)
        truth = reference.prepare(problem).state(tuple(a.astype(float) for a in arrays), ranges)
        finalize = problem.reduction.finalize
        for a, b in zip(as_tuple(finalize(state, np.dtype(dtype))), as_tuple(finalize(truth, np.dtype(dtype))), strict=True):
            if a.dtype.kind == "i":
                assert (a != b).mean() < (1e-2 if dtype == "float32" else 1e-9), name
            else:
                np.testing.assert_allclose(a, b, rtol=1e-4 if dtype == "float32" else 1e-11, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_operations(dtype):
    problems = zoo.operations()
    built = running.build([p for p, _ in problems], [dtype])
    failures = []
    for k, (problem, needs) in enumerate(problems):
        made, module = built[k, dtype]
        arrays = zoo.operation_arrays(needs, 5, 37, dtype)
        (found,) = running.run(made, module, problem, arrays, "result")
        (truth,) = reference.prepare(problem).state(tuple(a.astype(float) for a in arrays))
        error = np.abs(found - truth).max(axis=0) / (np.abs(truth).max(axis=0) + 1)
        if not error.max() <= 100 * np.finfo(dtype).eps:
            failures.append((str(problem.values[0])[:400], error))
    assert not failures


@pytest.mark.parametrize("dtype", DTYPES)
def test_few_rows(dtype):
    built = running.build([e.problem for e in zoo.REDUCTIONS], [dtype], template="columns")
    for k, (name, problem) in enumerate(zoo.REDUCTIONS):
        made, module = built[k, dtype]
        assert made.template == "columns"
        for rows, columns in [(1, 1), (5, 127), (9, 2048), (3, 2049), (10, 9000), (2, 150000), (4, 0), (0, 3)]:
            if columns < problem.reduction.smallest_axis or (columns > 10000 and k % 5):
                continue
            arrays = zoo.random_arrays(problem, *lengths(problem, rows, columns), dtype, seed=7)
            found = running.run(made, module, problem, arrays, "result")
            check(problem, found, arrays, dtype, f"{name} {rows} x {columns}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_long_vectors(dtype):
    built = running.build([e.problem for e in zoo.DOT], [dtype])
    for k, (name, problem) in enumerate(zoo.DOT):
        made, module = built[k, dtype]
        assert made.template == "dot", name
        for rows, columns in [(1, 1), (65, 127), (3, 513), (64, 129), (0, 2), (2, 0)]:
            if columns < problem.reduction.smallest_axis:
                continue
            arrays = zoo.random_arrays(problem, *lengths(problem, rows, columns), dtype, seed=6)
            found = running.run(made, module, problem, arrays, "result")
            check(problem, found, arrays, dtype, f"{name} {rows} x {columns}")


@pytest.fixture(scope="module")
def matrices():
    built = running.build([e.problem for e in zoo.MATRIX], ["float32"])
    other = running.build([e.problem for e in zoo.MATRIX[::2]], ["float64"])
    return {**built, **{(2 * k, dtype): made for (k, dtype), made in other.items()}}


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_columns(matrices, dtype):
    for k, (name, problem) in enumerate(zoo.MATRIX):
        if (k, dtype) not in matrices:
            continue
        made, module = matrices[k, dtype]
        assert made.template == "matrix", name
        for rows, columns in [(1, 1), (65, 63), (3, 257), (64, 32), (129, 127), (0, 2), (2, 0)]:
            arrays = zoo.random_arrays(problem, *lengths(problem, rows, columns), dtype, seed=6)
            found = running.run(made, module, problem, arrays, "result")
            check(problem, found, arrays, dtype, f"{name} {rows} x {columns}")


@pytest.mark.parametrize("splits", [1, 3, 33])
def test_many_columns_over_splits(matrices, splits):
    for k, (name, problem) in enumerate(zoo.MATRIX):
        if splits == 33 and k % 3:
            continue
        made, module = matrices[k, "float32"]
        tile = made.geometry(1, 1).launches[0].args[-2]
        rows, columns = 3, 2 * splits * tile - 5
        assert made.geometry(rows, columns).launches[0].grid[1] == splits
        arrays = zoo.random_arrays(problem, *lengths(problem, rows, columns), "float32", seed=8)
        orders = (0, 1, 2) if splits == 3 else (0,)
        first, *others = (running.run(made, module, problem, arrays, "result", order=order) for order in orders)
        check(problem, first, arrays, "float32", f"{name} {splits}")
        for other in others:
            for a, b in zip(first, other, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_long_vectors(dtype):
    built = running.build([e.problem for e in zoo.WIDE], [dtype], template="wide")
    for k, (name, problem) in enumerate(zoo.WIDE):
        made, module = built[k, dtype]
        assert made.template == "wide", name
        for rows, columns in [(3, 5), (130, 37), (2, 200)]:
            arrays = zoo.random_arrays(problem, *lengths(problem, rows, columns), dtype, seed=6)
            found = running.run(made, module, problem, arrays, "result")
            check(problem, found, arrays, dtype, f"{name} {rows} x {columns}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients(dtype):
    entries = [*zoo.gradients(), *zoo.gradients(zoo.LONG_FORWARD)]
    built = running.build([e.problem for e, _ in entries], [dtype])
    templates = set()
    for k, ((name, problem), genred) in enumerate(entries):
        made, module = built[k, dtype]
        templates.add(made.template)
        arrays = zoo.gradient_arrays(genred, 130, 600, dtype, seed=4)
        found = running.run(made, module, problem, arrays, "result")
        check(problem, found, arrays, dtype, name)
    assert templates == {"rows", "dot", "matrix"}
