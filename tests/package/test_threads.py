"""Many threads at once: the same formulas, tensors, programs and estimators, made and used at the same moment.

With the interpreter lock threads are made to change places every few instructions; builds of Python without it need no help.
Whatever is made once and kept (interned expressions, symbols of arrays, plans, programs) is met by several threads first here.
"""

import itertools
import subprocess
import sys
import sysconfig
import threading
import time
import weakref

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn import neighbors as in_sklearn
from sklearn.base import clone
from sklearn.kernel_ridge import KernelRidge as KernelRidgeOfSklearn

import skkeops
from skkeops import Genred, LazyTensor, Vi, Vj
from skkeops.formula.parser import parse
from skkeops.lazy import symbols
from skkeops.lazy.symbols import symbol

N_THREADS = 8
_fresh = itertools.count(1)  # numbers for formulas that nobody has met before


@pytest.fixture(autouse=True)
def threads_change_places():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def helpers(monkeypatch):
    """Calls have helpers of the engine's pool, however few processors there are."""
    monkeypatch.setattr("skkeops.backends.cpu.threads.n_threads", lambda: 3)


def together(work, *arguments):
    """What `work` returns in each of some threads that begin at the same moment; `arguments` have a value for each thread."""
    found, failed = [None] * N_THREADS, []
    barrier = threading.Barrier(N_THREADS)

    def run(k):
        try:
            barrier.wait(60)
            found[k] = work(*(values[k] for values in arguments))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(N_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return found


def assert_same_bits(results):
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_equal_formulas_are_one_object():
    for _ in range(20):
        texts = [f"Exp(-{next(_fresh)} * SqDist(Var(0,3,0), Var(1,3,1))) * Var(2,2,1)" for _ in range(5)]
        for made in zip(*together(lambda texts=texts: [parse(text) for text in texts]), strict=True):
            assert all(expression is made[0] for expression in made)


def test_formulas_that_come_and_go():
    """An expression that the last thread forgets is made again by the next one, while others look for it."""
    texts = [f"Sin({next(_fresh)} + Var(0,1,0)) + Cos({next(_fresh)} * Var(1,1,1))" for _ in range(4)]

    def build():
        for _ in range(60):
            for text in texts:
                made = parse(text)
                assert parse(text) is made and parse(str(made)) is made
                del made

    together(build)


def test_a_formula_is_planned_and_called(rng, helpers):
    x, y, b = rng.normal(size=(150, 3)), rng.normal(size=(70, 3)), rng.normal(size=(70, 2))
    for _ in range(10):
        number = next(_fresh)

        def work(number=number):
            f = Genred(f"Exp(-SqDist(x, y) / {number}) * b", ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)"], axis=1)
            return np.concatenate([f(x, y, b), f.gradient(x, y, b, wrt="x")], axis=1)

        results = together(work)
        assert_same_bits(results)
        kernel = np.exp(-cdist(x, y, "sqeuclidean") / number)
        np.testing.assert_allclose(results[0][:, :2], kernel @ b, rtol=1e-12)
        weighted = -2 / number * kernel * b.sum(axis=1)
        np.testing.assert_allclose(results[0][:, 2:], weighted.sum(1)[:, None] * x - weighted @ y, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("op", ["Sum", "LogSumExp", "ArgKMin"])
def test_the_first_calls_of_one_object(op, rng, helpers):
    """Large enough for the helpers of the pool, which all threads share."""
    x, y = rng.normal(size=(1500, 2)), rng.normal(size=(1500, 2))
    f = Genred(f"SqDist(x, y) / {next(_fresh)}", ["x = Vi(2)", "y = Vj(2)"], op, axis=1, opt_arg=4 if op == "ArgKMin" else None)
    results = together(lambda: f(x, y))
    assert_same_bits(results)
    values = cdist(x, y, "sqeuclidean") / float(f.formula.rpartition("/")[2])
    if op == "ArgKMin":
        np.testing.assert_array_equal(results[0], np.argsort(values, axis=1)[:, :4])
    else:
        dense = values.sum(axis=1) if op == "Sum" else logsumexp(values, axis=1)
        np.testing.assert_allclose(results[0][:, 0], dense, rtol=1e-12)


def test_an_array_has_one_symbol(rng):
    for _ in range(100):
        array = rng.normal(size=(3, 2))
        found = together(lambda array=array: symbol(array, 0))
        assert all(s is found[0] for s in found)


def test_positions_are_free_when_nobody_can_find_their_symbol(rng):
    array = rng.normal(size=(3, 2))
    made = symbol(array, 0)
    position, was_free = made.variable.position, []
    last_look = weakref.ref(made, lambda _: was_free.append(position in {*symbols._returned, *symbols._free}))
    del made
    assert last_look() is None and was_free == [False]
    assert position in symbols._returned


def test_a_symbol_that_is_found_keeps_its_position(rng):
    """While one thread drops the symbol of an array, others find it, and take positions for arrays of their own."""
    shared, own = rng.normal(size=(4, 2)), rng.normal(size=(N_THREADS, 3, 2))

    def work(array):
        for _ in range(1500):
            mine, found = symbol(array, 0), symbol(shared, 0)
            assert mine.variable is not found.variable
            del found, mine

    together(work, own)


def test_lazy_tensors_that_come_and_go(rng):
    """Positions of variables are given back and taken again: no two arrays may ever have the same one."""
    x = rng.normal(size=(20, 2))
    own = [rng.normal(size=(15, 2)) for _ in range(N_THREADS)]
    expected = [np.exp(-cdist(x, y, "sqeuclidean")) @ y for y in own]

    def work(y, dense):
        end = time.monotonic() + 1.5
        for _ in range(200):
            kernel = (-((Vi(x) - Vj(y)) ** 2).sum(-1)).exp()
            np.testing.assert_allclose(kernel @ y, dense, rtol=1e-12)
            if time.monotonic() > end:  # slow machines have had their chance
                return

    together(work, own, expected)


def test_variables_that_are_given_later():
    for _ in range(20):
        dim = next(_fresh)
        found = together(lambda dim=dim: LazyTensor((0, dim, 0)).expression)
        assert all(e is found[0] for e in found)


#: Estimators of ours beside scikit-learn's, and the method that predicts.
ESTIMATORS = {
    "density": (skkeops.KernelDensity(bandwidth=0.7), in_sklearn.KernelDensity(bandwidth=0.7), "score_samples"),
    "ridge": (
        skkeops.KernelRidge(kernel=skkeops.kernels.Gaussian(length_scale=1.0), alpha=1.0),
        KernelRidgeOfSklearn(kernel="rbf", gamma=0.5, alpha=1.0),
        "predict",
    ),
    "regressor": (skkeops.KNeighborsRegressor(n_neighbors=3), in_sklearn.KNeighborsRegressor(n_neighbors=3), "predict"),
    "classifier": (
        skkeops.KNeighborsClassifier(n_neighbors=3),
        in_sklearn.KNeighborsClassifier(n_neighbors=3),
        "predict_proba",
    ),
}


@pytest.mark.parametrize("shared", [True, False], ids=["one", "one each"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators(name, shared, rng):
    ours, theirs, method = ESTIMATORS[name]
    X, queries = rng.normal(size=(120, 3)), rng.normal(size=(90, 3))
    y = (X[:, 0] > 0).astype(int) if name == "classifier" else X[:, 0] * X[:, 1]
    expected = getattr(clone(theirs).fit(X, y), method)(queries)
    one = clone(ours).fit(X, y)

    def work():
        estimator = one if shared else clone(ours).fit(X, y)
        return getattr(estimator, method)(queries)

    results = together(work)
    assert_same_bits(results)
    np.testing.assert_allclose(results[0], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this build of Python has the GIL")
def test_the_engine_does_not_bring_the_gil_back():
    program = "import sys, numpy, skkeops.backends.cpu._engine; print(sys._is_gil_enabled())"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
