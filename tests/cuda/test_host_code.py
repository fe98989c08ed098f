"""The whole way from a call on CuPy's arrays to generated kernels, and back: on a device, or in the emulator."""

import importlib.util
import re
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from skkeops import Genred

from .test_faces import CASES, as_tuple, assert_same, make, make_arrays


@contextmanager
def nothing_copied(cupy):
    """Where the stand-in counts: something is launched, and only a few numbers pass between host and device."""
    counts = getattr(cupy, "stand_in_counts", None)
    if counts is not None:
        counts.clear()
    yield
    if counts is not None:
        assert counts.launches and counts.to_device == [] and all(n <= 8 for n in counts.to_host)


# Each kernel is compiled for the emulator, which takes a second: reductions take turns in dtype.
DTYPES = {op: (np.float32, np.float64)[k % 2] for k, op in enumerate(CASES)}


@pytest.mark.parametrize(("op", "dtype"), DTYPES.items())
def test_call(op, dtype, cupy, rng):
    arrays = make_arrays(rng, 37, 70, dtype)
    expected = make(op)(*(a.astype(np.float64) for a in arrays), backend="reference")
    there = tuple(map(cupy.asarray, arrays))
    with nothing_copied(cupy):
        found = as_tuple(make(op)(*there))
    for a, b in zip(found, as_tuple(expected), strict=True):
        assert a.dtype == (b.dtype if b.dtype.kind == "i" else dtype)
        tolerance = 3e-6 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(a.get(), b, rtol=tolerance, atol=tolerance * 10)


@pytest.mark.parametrize("op", ["Sum", "LogSumExp", "SumSoftMaxWeight", "KMin_ArgKMin"])
def test_gradient(op, cupy, rng):
    arrays = make_arrays(rng, 21, 33)
    f = make(op)
    expected = f.gradient(*arrays, wrt=("x", "y", "p"), backend="reference")
    there = tuple(map(cupy.asarray, arrays))
    with nothing_copied(cupy):
        found = f.gradient(*there, wrt=("x", "y", "p"))
    assert_same(found, expected, cupy)


def test_numpy_arrays_and_ranges(cupy, rng):
    from skkeops import cluster

    ranges = cluster.from_matrix(np.array([[0, 5], [5, 13]]), np.array([[0, 4], [4, 9]]), np.array([[True, False], [False, True]]))
    arrays = make_arrays(rng)
    for op in ("LogSumExp", "KMin_ArgKMin"):
        expected = as_tuple(make(op)(*arrays, backend="reference", ranges=ranges))
        for a, b in zip(as_tuple(make(op)(*arrays, backend="GPU", ranges=ranges)), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("name", ["density", "ridge"])
def test_estimators(name, cupy, rng):
    from skkeops import KernelDensity, KernelRidge, kernels

    X, y, queries = rng.normal(size=(30, 2)), rng.normal(size=30), rng.normal(size=(7, 2))
    estimator, method = {
        "density": (KernelDensity(bandwidth="cv"), "score_samples"),
        "ridge": (KernelRidge(kernel=kernels.Gaussian(1.0), alpha=0.1), "predict"),
    }[name]
    expected = getattr(estimator.fit(X, y), method)(queries)
    found = getattr(estimator.fit(*map(cupy.asarray, (X, y))), method)(cupy.asarray(queries))
    assert_same(found, expected.astype(np.float64), cupy, 1e-6)


def test_options_reach_the_generator():
    def text(**options):
        return Genred("Exp(-SqDist(x, y))", ["x = Vi(3)", "y = Vj(3)"], axis=1, **options).cuda_source().text

    texts = [text(), text(dtype_acc="float64"), text(sum_scheme="kahan_scheme"), text(use_fast_math=False)]
    assert len(set(texts)) == 4
    assert text(use_double_acc=True) == texts[1] and text(sum_scheme="block_sum") == texts[0]


def test_cuda_source_needs_no_cupy(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "cupy", None)
    made = make("LogSumExp").cuda_source(dtype="float64")
    assert "double" in made.text and all(f"{name}(" in made.text for name in made.kernels)
    assert isinstance(made.options, tuple) and all(isinstance(o, str) for o in made.options)
    for dtype in ("float16", int, "numbers", None):
        with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64': found"):
            make("Sum").cuda_source(dtype=dtype)


def test_the_first_page(cupy, capsys, monkeypatch):
    """What examples/plot_log_sum_exp.py does where there is a GPU, on fewer points."""
    path = Path(__file__).parents[2] / "examples" / "plot_log_sum_exp.py"
    spec = importlib.util.spec_from_file_location("page", path)
    page = importlib.util.module_from_spec(spec)
    with monkeypatch.context() as context, suppress(SystemExit):
        context.setenv("SKKEOPS_DOCS_BUILD", "1")  # nothing is timed
        context.setattr(importlib.util, "find_spec", lambda name: None)  # neither Matplotlib nor CuPy: it stops before them
        spec.loader.exec_module(page)
    data = page.data
    monkeypatch.setattr(page, "data", lambda dtype, spread: data(dtype, spread, M=40, N=60))
    page.compare_with_gpu("float32", 1.5)
    differences = re.findall(r"[cg]: differs from the CPU's by (\S+),", capsys.readouterr().out)
    assert len(differences) == 2
    assert all(float(d) < 1e-5 for d in differences)
