"""Genred as an object: equality, pickling, text, options, and where the result is written."""

import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import skkeops
from skkeops import Genred
from skkeops.formula.parser import parse

ALIASES = ["x = Vi(2)", "y = Vj(2)"]
X, Y = np.arange(6.0).reshape(3, 2), np.ones((4, 2))

EXAMPLES = [
    Genred("SqDist(x, y)", ALIASES),
    Genred("SqDist(x, y)", ALIASES, axis=1),
    Genred("SqDist(x, y)", ALIASES, "LogSumExp"),
    Genred("SqDist(x, y)", ALIASES, "LogSumExp", formula2="y"),
    Genred("SqDist(x, y)", ALIASES, "KMin", opt_arg=2),
    Genred("SqDist(x, y)", ALIASES, "KMin", opt_arg=3),
    Genred("SqDist(x, y) + 1", ALIASES),
    Genred("SqDist(x, z)", ["x = Vi(2)", "z = Vj(2)"]),
    Genred("SqDist(x, Var(1,2,1))", ["x = Vi(2)"]),
]


@pytest.mark.parametrize("f", EXAMPLES, ids=repr)
class TestValue:
    def test_equality(self, f):
        assert sum(f == g for g in EXAMPLES) == 1
        assert f != "SqDist(x, y)"

    def test_pickle_and_copy(self, f):
        f(X, Y, backend="reference")
        for same in (pickle.loads(pickle.dumps(f)), copy.deepcopy(f), copy.copy(f)):
            assert same == f
            assert hash(same) == hash(f)
            assert repr(same) == repr(f)

    def test_repr_evaluates(self, f):
        assert eval(repr(f)) == f


def test_pickle_keeps_options():
    f = Genred("SqDist(x, y)", ALIASES, sum_scheme="kahan_scheme", use_double_acc=True)
    assert pickle.loads(pickle.dumps(f))._options == f._options


def test_spaces_do_not_matter():
    assert Genred("SqDist( x,y )", ["x=Vi(2)", " y = Vj( 2 ) "]) == EXAMPLES[0]


def test_expression_instead_of_text(backend):
    f = EXAMPLES[1]
    expression = parse("SqDist(x, y)", dict(zip(f.names, f.variables, strict=True)))
    g = Genred(expression, ALIASES, axis=1)
    assert g == f
    assert pickle.loads(pickle.dumps(g)) == f
    np.testing.assert_array_equal(g(X, Y, backend=backend), f(X, Y, backend=backend))


def test_positions_in_aliases(backend):
    """The arguments come in the order of the positions, not of the list."""
    f = Genred("SqDist(x, y)", ["y = Vj(1, 2)", "x = Vi(0, 2)"], axis=1)
    assert f.names == ("x", "y")
    np.testing.assert_array_equal(f(X, Y, backend=backend), EXAMPLES[1](X, Y, backend=backend))


def test_attributes():
    f = EXAMPLES[4]
    assert (f.formula, f.aliases, f.reduction_op, f.axis, f.opt_arg, f.nargs) == (
        "SqDist(x, y)",
        ALIASES,
        "KMin",
        0,
        2,
        2,
    )
    assert EXAMPLES[3].output_dim == 2


def test_explain_says_of_which_dtype_it_is():
    f = Genred("x * y", ["x = Vi(1)", "y = Vj(1)"], axis=1)
    assert f.explain().splitlines()[0].endswith("float32, as before the first call")
    f(np.ones((2, 1)), np.ones((3, 1)))
    assert f.explain().splitlines()[0].endswith("float64, the dtype of the last call")
    f.gradient(np.ones((2, 1), np.float32), np.ones((3, 1), np.float32), wrt="x")
    assert f.explain().splitlines()[0].endswith("float32, the dtype of the last call")
    assert f.explain(np.float64).splitlines()[0].endswith("float64")
    assert f.explain("float32", n_reduced=3).splitlines()[0].endswith("float32")


@pytest.mark.parametrize("dtype", ["float16", "nothing", 3, complex, "int8"])
def test_explain_refuses_other_dtypes(dtype):
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64': found"):
        EXAMPLES[1].explain(dtype)
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64': found"):
        EXAMPLES[1].cuda_source(dtype)


@pytest.mark.parametrize("n_reduced", ["3", -1, 2.5, True])
def test_explain_refuses_other_lengths(n_reduced):
    with pytest.raises(ValueError, match="n_reduced must be a number of rows"):
        EXAMPLES[1].explain(n_reduced=n_reduced)


class TestOptionsOfKeOps:
    @pytest.mark.parametrize("name", ["dtype", "cuda_type"])
    def test_deprecated(self, name):
        with pytest.warns(DeprecationWarning, match=name) as caught:
            f = Genred("SqDist(x, y)", ALIASES, **{name: "float64"})
        assert caught[0].filename == __file__
        assert f == EXAMPLES[0]

    @pytest.mark.parametrize(
        "options",
        [
            {"dtype_acc": "float64"},
            {"dtype_acc": "float32"},
            {"use_double_acc": True},
            {"sum_scheme": "direct_sum"},
            {"sum_scheme": "block_sum"},
            {"sum_scheme": "kahan_scheme"},
            {"enable_chunks": False, "rec_multVar_highdim": True, "use_fast_math": False},
            {"rec_multVar_highdim": None},
        ],
    )
    def test_without_effect(self, options, backend):
        f = Genred("SqDist(x, y)", ALIASES, axis=1, **options)
        np.testing.assert_array_equal(
            f(X, Y, backend=backend, device_id=0), EXAMPLES[1](X, Y, backend=backend)
        )

    def test_positional_order(self):
        f = Genred("SqDist(x, y)", ALIASES, "KMin", 1, None, 2)
        assert (f.reduction_op, f.axis, f.opt_arg) == ("KMin", 1, 2)


@pytest.mark.parametrize("op", ["Sum", "LogSumExp", "KMin"])
def test_threads_share_a_genred(op, backend, rng):
    """Calls at the same time do not disturb each other."""
    f = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], op, axis=1, opt_arg=3 if op == "KMin" else None)
    inputs = [(rng.normal(size=(40 + k, 2)), rng.normal(size=(300, 2))) for k in range(24)]

    def work(arrays):
        return f.value_and_gradient(*arrays, wrt=("x", "y"), backend=backend)

    expected = [work(arrays) for arrays in inputs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, inputs))
    for (value, gradients), (expected_value, expected_gradients) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(value, expected_value)
        for a, b in zip(gradients, expected_gradients, strict=True):
            np.testing.assert_array_equal(a, b)


class TestOut:
    def test_array(self, backend):
        f = EXAMPLES[1]
        out = np.empty((3, 1))
        assert f(X, Y, backend=backend, out=out) is out
        np.testing.assert_array_equal(out, f(X, Y, backend=backend))

    def test_strided(self, backend):
        out = np.zeros((6, 2))
        EXAMPLES[1](X, Y, backend=backend, out=out[::2, 1:])
        np.testing.assert_array_equal(out[::2, 1:], EXAMPLES[1](X, Y, backend=backend))
        assert not out[1::2].any()

    def test_overlap_with_an_argument(self, backend):
        f = Genred("x + y", ["x = Vi(1)", "y = Vj(1)"], axis=1)
        x, y = np.arange(3.0)[:, None], np.ones((2, 1))
        expected = f(x, y, backend=backend)
        f(x, y, backend=backend, out=x)
        np.testing.assert_array_equal(x, expected)

    def test_tuple(self, backend):
        f = Genred("SqDist(x, y)", ALIASES, "Min_ArgMin", axis=1)
        out = np.empty((3, 1)), np.empty((3, 1), dtype=np.int64)
        assert f(X, Y, backend=backend, out=out) is out
        for a, b in zip(out, f(X, Y, backend=backend), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_results_are_independent(self, backend):
        """Calling again does not change an array that was returned before."""
        f = EXAMPLES[1]
        first = f(X, Y, backend=backend)
        kept = first.copy()
        f(X + 1, Y, backend=backend)
        np.testing.assert_array_equal(first, kept)


class TestPackage:
    def test_names(self):
        for name in skkeops.__all__:
            if name != "show_versions":
                assert getattr(skkeops, name) is not None
            assert name in dir(skkeops)
        with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
            skkeops.nonsense  # noqa: B018

    def test_import_is_light(self):
        code = (
            "import sys, skkeops; skkeops.Genred; "
            "heavy = {'cupy', 'sklearn', 'pandas', 'scipy', 'dask', 'torch'} & set(sys.modules); "
            "assert not heavy, heavy"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
