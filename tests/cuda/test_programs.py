"""Programs on the stand-in for CuPy, whose kernels the emulator runs: from arrays to results, through the launching code."""

import sys

import numpy as np
import pytest

from skkeops import Genred
from skkeops.backends import reference
from skkeops.formula import Variable
from skkeops.formula.operations import lookup

from . import emulator, zoo
from .test_emulation import as_tuple

pytestmark = pytest.mark.skipif(not emulator.available(), reason="the emulator needs g++ on x86-64")

XYB = [*zoo.XY, "b = Vj(1)"]
CASES = [
    ("rows", Genred("Exp(-SqDist(x, y)) * b", XYB, axis=1), 100, 200),
    ("rows", Genred("Exp(-SqDist(x, y)) * b", XYB, axis=0), 100, 200),
    ("columns", Genred("Exp(-SqDist(x, y)) * b", XYB, axis=1), 3, 9000),
    ("dot", Genred("x | y", ["x = Vi(40)", "y = Vj(40)"], "LogSumExp", axis=1), 70, 150),
    ("rows", Genred("SqDist(x, y)", list(zoo.XY), "KMin_ArgKMin", axis=1, opt_arg=3), 100, 200),
    ("rows", Genred("x | y", [*zoo.XY, "w = Vj(2)"], "SumSoftMaxWeight", axis=1, formula2="w"), 5, 0),
]


@pytest.fixture
def cupy(stand_in, monkeypatch):
    """The stand-in, with an emulator for its kernels."""
    monkeypatch.setattr(sys.modules["cupy._kernels"], "emulator", emulator.RawModule)
    return stand_in


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("template", "genred", "m", "n"), CASES)
def test_results_and_states(cupy, template, genred, m, n, dtype):
    from skkeops.backends.cuda import prepare

    problem = genred._problem
    program = prepare(problem)
    arrays = zoo.random_arrays(problem, m, n, dtype)
    on_device = tuple(cupy.asarray(a) for a in arrays)
    state = reference.prepare(problem).state(tuple(a.astype(float) for a in arrays))
    truth = as_tuple(problem.reduction.finalize(state, np.dtype(dtype)))
    reported = []
    for found in (
        as_tuple(program.run(on_device)),
        as_tuple(
            problem.reduction.finalize(
                tuple(cupy.asnumpy(a) for a in program.state(on_device, None, lambda *pairs: reported.append(pairs))),
                np.dtype(dtype),
            )
        ),
    ):
        for a, b in zip(found, truth, strict=True):
            np.testing.assert_allclose(cupy.asnumpy(a), b, rtol=1e-5 if dtype == "float32" else 1e-12)
            assert a.dtype == b.dtype and a.shape == b.shape
    assert reported == [(m * n, m * n)]
    sources = [made.template for made, _ in program._modules.values()]
    assert sources == [template]


def test_ranges(cupy):
    from skkeops.backends.cuda import prepare

    genred = Genred("Exp(-SqDist(x, y)) * b", XYB, axis=1)
    arrays = zoo.random_arrays(genred._problem, 100, 200, "float64")
    ranges = np.array([[0, 50], [60, 100]]), np.array([1, 2]), np.array([[0, 100], [50, 200]])
    (found,) = prepare(genred._problem).state(tuple(cupy.asarray(a) for a in arrays), ranges)
    (truth,) = reference.prepare(genred._problem).state(arrays, ranges)
    np.testing.assert_allclose(cupy.asnumpy(found), truth, rtol=1e-12)


def test_strided_arrays_are_copied(cupy):
    from skkeops.backends.cuda import prepare

    genred = Genred("Exp(-SqDist(x, y)) * b", XYB, axis=1)
    x, y, b = zoo.random_arrays(genred._problem, 20, 30, "float64")
    program = prepare(genred._problem)
    expected = cupy.asnumpy(program.run(tuple(cupy.asarray(a) for a in (x, y, b))))
    wide = cupy.asarray(np.concatenate([x, x], axis=1))
    found = program.run((wide[:, :3], cupy.asarray(y), cupy.asarray(b)))
    np.testing.assert_array_equal(cupy.asnumpy(found), expected)


def test_points(cupy):
    from skkeops.backends.cuda import evaluate

    x, y = Variable(0, 3, 0), Variable(1, 3, 1)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 50, 3))
    found = evaluate((lookup("Exp").build(x | y), x - y), (x, y), (cupy.asarray(a), cupy.asarray(b)), 50)
    np.testing.assert_allclose(cupy.asnumpy(found[0])[:, 0], np.exp((a * b).sum(axis=1)), rtol=1e-13)
    np.testing.assert_array_equal(cupy.asnumpy(found[1]), a - b)
