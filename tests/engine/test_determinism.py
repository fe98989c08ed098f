"""The bits of a row depend on its data alone: not on threads, on the other rows, or on the moment."""

import threading

import numpy as np
import pytest

from skkeops import Genred

from .common import simd_level  # noqa: F401

FORMULAS = [
    ("Exp(-SqDist(x,y))*b", "Sum", {}),
    ("Exp(-SqDist(x,y))*(x-y)", "Sum", {}),
    ("-SqDist(x,y)", "LogSumExp", {}),
    ("-SqDist(x,y)", "SumSoftMaxWeight", {"formula2": "b"}),
    ("SqDist(x,y)", "KMin_ArgKMin", {"opt_arg": 5}),
    ("x*y", "Max_ArgMax", {}),
]
ALIASES = ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)"]


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


def same(a, b):
    for u, v in zip(as_tuple(a), as_tuple(b), strict=True):
        np.testing.assert_array_equal(u, v)


@pytest.mark.parametrize("formula, reduction, options", FORMULAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m, n", [(2, 600000), (1100, 1000), (27000, 40), (140, 8200)])
def test_threads(formula, reduction, options, dtype, m, n, monkeypatch):
    rng = np.random.default_rng(m)
    arrays = [rng.standard_normal(s).astype(dtype) for s in ((m, 3), (n, 3), (n, 2))]
    operator = Genred(formula, ALIASES, reduction, axis=1, **options)
    results = []
    for threads in (1, 2, 3, 5, 16):
        monkeypatch.setattr("skkeops.backends.cpu.threads.n_threads", lambda threads=threads: threads)
        results.append(operator(*arrays))
    for result in results[1:]:
        same(result, results[0])


@pytest.mark.parametrize("formula, reduction, options", FORMULAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [40, 300, 20000])
def test_other_rows(formula, reduction, options, dtype, n, simd_level):  # noqa: F811
    rng = np.random.default_rng(n)
    x, y, b = (rng.standard_normal(s).astype(dtype) for s in ((600, 3), (n, 3), (n, 2)))
    operator = Genred(formula, ALIASES, reduction, axis=1, **options)
    whole = as_tuple(operator(x, y, b))
    for rows in (slice(0, 7), slice(3, 4), slice(597, 600), slice(100, 371), slice(0, 600, 59)):
        part = as_tuple(operator(x[rows], y, b))
        same(part, tuple(w[rows] for w in whole))


def test_many_python_threads_at_once():
    rng = np.random.default_rng(0)
    operator = Genred("Exp(-SqDist(x,y))*b", ALIASES, axis=1)
    cases = []
    for n in (50, 300, 2000, 9000):
        arrays = [rng.standard_normal(s) for s in ((200, 3), (n, 3), (n, 2))]
        cases.append((arrays, operator(*arrays)))
    wrong = []

    def work(k):
        for repeat in range(20):
            arrays, expected = cases[(k + repeat) % len(cases)]
            if not (operator(*arrays) == expected).all():
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
