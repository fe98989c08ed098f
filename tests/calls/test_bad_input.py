"""Every mistake gets a ValueError or TypeError naming the argument, what was found and what was expected.

The sentences themselves are part of the interface, and are tested.
"""

import sys
import tracemalloc

import numpy as np
import pytest

from skkeops import FormulaError, Genred, backends

ALIASES = ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)", "p = Pm(1)", "q = Pm(2)"]
F = Genred("p * SqDist(x, y) + (q | b)", ALIASES, axis=1)
GOOD = {
    "x": np.ones((7, 3)),
    "y": np.ones((5, 3)),
    "b": np.ones((5, 2)),
    "p": np.ones(1),
    "q": np.ones(2),
}


class FakeCuPy:
    """What a CuPy array looks like from outside."""

    __cuda_array_interface__ = {}


class FakeSparse:
    """What a SciPy sparse matrix looks like from outside."""

    def tocsr(self):
        raise AssertionError


@pytest.fixture(autouse=True)
def nothing_is_printed(capfd):
    yield
    assert capfd.readouterr() == ("", "")


def arguments(**changes):
    return tuple({**GOOD, **changes}.values())


class TestArguments:
    def test_the_good_ones_are_good(self, backend):
        assert F(*arguments(), backend=backend).shape == (7, 1)

    @pytest.mark.parametrize(
        ("changes", "error", "fragments"),
        [
            # shapes
            ({"x": np.ones((7, 2))}, ValueError, ["'x' = Vi(3)", "(7, 2)", "(M, 3)"]),
            ({"x": np.ones(3)}, ValueError, ["'x'", "(3,)", "(M, 3)", "a[None, :]"]),
            ({"x": np.ones((1, 7, 2))}, ValueError, ["'x'", "(1, 7, 2)", "(M, 3)"]),
            ({"x": np.ones((2, 7, 3)), "y": np.ones((3, 5, 3))}, ValueError, ["'y'", "(3,)", "(2,)", "broadcast"]),
            ({"x": np.ones((2, 7, 3)), "p": np.ones((3, 1))}, ValueError, ["'p'", "(3,)", "(2,)", "broadcast"]),
            ({"x": np.ones((3, 7))}, ValueError, ["'x'", "(3, 7)", "(M, 3)"]),
            ({"x": 1.0}, ValueError, ["'x'", "()", "(M, 3)"]),
            ({"y": np.ones((5, 4))}, ValueError, ["'y' = Vj(3)", "(5, 4)", "(N, 3)"]),
            (
                {"b": np.ones((4, 2))},
                ValueError,
                ["'y'", "'b'", "indexed by j", "found 5 for 'y' and 4 for 'b'"],
            ),
            ({"p": np.ones(2)}, ValueError, ["'p' = Pm(1)", "(2,)", "(1,) or a number"]),
            ({"p": np.ones((7, 1))}, ValueError, ["'p'", "(7, 1)", "(1,)"]),
            ({"p": []}, ValueError, ["'p'", "(0,)"]),
            ({"q": 1.0}, ValueError, ["'q' = Pm(2)", "()", "(2,)"]),
            ({"q": [1.0, 2.0, 3.0]}, ValueError, ["'q'", "(3,)", "(2,)"]),
            ({"q": np.ones((2, 1))}, ValueError, ["'q'", "(2, 1)", "(2,)"]),
            # dtypes
            ({"x": np.ones((7, 3), dtype=complex)}, TypeError, ["'x'", "complex128", "real numbers"]),
            ({"x": np.ones((7, 3), dtype=object)}, TypeError, ["'x'", "object", "real numbers"]),
            ({"x": np.full((7, 3), "a")}, TypeError, ["'x'", "<U1"]),
            ({"x": np.zeros((7, 3), dtype="M8[s]")}, TypeError, ["'x'", "datetime64"]),
            ({"x": np.zeros((7, 3), dtype="V4")}, TypeError, ["'x'", "V4"]),
            ({"x": "text"}, TypeError, ["'x'", "str"]),
            ({"x": None}, TypeError, ["'x'", "NoneType"]),
            ({"x": {}}, TypeError, ["'x'", "dict"]),
            ({"y": [[1.0, 2.0, 3.0], [1.0]]}, TypeError, ["'y'", "list"]),
            ({"p": 1j}, TypeError, ["'p'", "complex"]),
            ({"p": 10**40}, TypeError, ["'p'", "int"]),
            ({"p": "0.5"}, TypeError, ["'p'", "str"]),
            # containers that would lose something
            ({"x": np.ma.masked_array(np.ones((7, 3)))}, TypeError, ["'x'", "masked array", ".filled()"]),
            ({"x": FakeCuPy()}, TypeError, ["'x'", "GPU", "FakeCuPy"]),
            ({"x": FakeSparse()}, TypeError, ["'x'", "sparse", "FakeSparse", ".toarray()"]),
        ],
    )
    def test_bad_array(self, changes, error, fragments, backend):
        for call in (
            lambda *a: F(*a, backend=backend),
            lambda *a: F.gradient(*a, wrt="x", backend=backend),
            lambda *a: F.jvp(*a, tangents={}, backend=backend),
        ):
            with pytest.raises(error) as caught:
                call(*arguments(**changes))
            for fragment in fragments:
                assert fragment in str(caught.value)

    def test_long_double(self):
        if np.dtype(np.longdouble).itemsize <= 8:
            pytest.skip("long double is double here")
        with pytest.raises(TypeError, match="'x'.*found dtype (float128|longdouble|float96)"):
            F(*arguments(x=np.ones((7, 3), dtype=np.longdouble)))

    def test_rows_of_i(self):
        f = Genred("x + z + y", ["x = Vi(1)", "z = Vi(1)", "y = Vj(1)"])
        with pytest.raises(
            ValueError, match="'x' and 'z' are both indexed by i .* found 3 for 'x' and 4 for 'z'"
        ):
            f(np.ones((3, 1)), np.ones((4, 1)), np.ones((2, 1)))

    def test_column_hint(self):
        f = Genred("x + y", ["x = Vi(1)", "y = Vj(1)"])
        with pytest.raises(
            ValueError, match=r"'x' = Vi\(1\): found shape \(3,\), expected \(M, 1\); use a\[:, None\]"
        ):
            f(np.ones(3), np.ones((2, 1)))

    @pytest.mark.parametrize(
        ("count", "message"),
        [
            (0, r"found 0, expected 5 \(x, y, b, p, q\); missing: x, y, b, p, q"),
            (4, r"found 4, expected 5 \(x, y, b, p, q\); missing: q"),
            (6, r"found 6, expected 5 \(x, y, b, p, q\)$"),
        ],
    )
    def test_count(self, count, message):
        with pytest.raises(ValueError, match=message):
            F(*(arguments() + (1.0,))[:count])

    def test_failed_call_leaves_no_trace(self, backend):
        f = Genred("x + y", ["x = Vi(1)", "y = Vj(1)"], axis=1)
        good = np.ones((3, 1)), np.ones((2, 1))
        for bad in ((good[0],), (good[0], np.ones((2, 2))), (good[0], None)):
            with pytest.raises((ValueError, TypeError)):
                f(*bad, backend=backend)
        np.testing.assert_array_equal(f(*good, backend=backend), np.full((3, 1), 4.0))


class TestCallOptions:
    @pytest.mark.parametrize("name", ["gpu", "cuda", "", 3, None, ["CPU"]])
    def test_unknown_backend(self, name):
        with pytest.raises(
            ValueError, match="backend=.* is not known: expected one of 'auto', 'CPU', 'GPU', 'reference'"
        ):
            F(*arguments(), backend=name)
        for call in (
            lambda: F.gradient(*arguments(), wrt=(), backend=name),
            lambda: F.value_and_gradient(*arguments(), wrt=(), backend=name),
            lambda: F.jvp(*arguments(), tangents={}, backend=name),
        ):
            with pytest.raises(ValueError, match="backend=.* is not known"):
                call()

    @pytest.mark.parametrize(("name", "close"), [("cpu", "CPU"), ("gpu", "GPU"), ("Auto", "auto"), ("referece", "reference")])
    def test_backend_in_other_letters(self, name, close):
        with pytest.raises(ValueError, match=f"backend='{name}' is not known: .*; did you mean '{close}'"):
            F(*arguments(), backend=name)

    @pytest.mark.parametrize(
        "name", ["GPU", "GPU_1D", "GPU_1D_device", "GPU_1D_host", "GPU_2D", "GPU_2D_host"]
    )
    def test_gpu(self, name, monkeypatch):
        monkeypatch.setitem(sys.modules, "cupy", None)
        with pytest.raises(RuntimeError, match=f"backend='{name}' cannot be used: .*CuPy, which is not installed: pip install"):
            F(*arguments(), backend=name)

    @pytest.mark.parametrize(
        ("beside", "remedy"),
        [("setup.py", "leave this folder, or install with pip install -e"), ("numpy", "Reinstall skkeops")],
    )
    def test_the_engine_is_missing(self, beside, remedy, tmp_path, monkeypatch):
        """As in the folder of a clone, whose sources are found before the installed package."""
        (tmp_path / beside).touch()
        monkeypatch.setattr(backends, "_BESIDE_THE_PACKAGE", tmp_path)
        monkeypatch.setattr(backends, "_loaded", {})
        monkeypatch.setitem(backends._MODULES_AND_KEOPS, "CPU", ("skkeops.no_such_engine", None))
        with pytest.raises(RuntimeError, match=f"backend='CPU' cannot be used: its compiled engine is missing .*{remedy}"):
            backends.get("CPU")

    def test_ranges(self, backend):
        with pytest.raises(TypeError, match="ranges must be six arrays of integers"):
            F(*arguments(), backend=backend, ranges=(1, 2, 3))

    @pytest.mark.parametrize("progress", [True, 3, "print", [print]])
    def test_progress(self, progress, backend):
        with pytest.raises(TypeError, match="progress must be a function .* found"):
            F(*arguments(), backend=backend, progress=progress)

    @pytest.mark.parametrize("device_id", ["0", None, 1.5, True])
    def test_device_id(self, device_id, backend):
        with pytest.raises(TypeError, match="device_id must be an integer: found"):
            F(*arguments(), backend=backend, device_id=device_id)

    def test_unknown_keyword(self):
        with pytest.raises(TypeError, match="wrong"):
            F(*arguments(), wrong=1)

    def test_too_few_values(self, backend):
        x, y = np.ones((7, 1)), np.ones((2, 1))
        f = Genred("x + y", ["x = Vi(1)", "y = Vj(1)"], "ArgKMin", axis=1, opt_arg=3)
        with pytest.raises(ValueError, match=r"K.*along j: found K = 3, expected at most 2"):
            f(x, y, backend=backend)
        for op in ("ArgMin", "ArgMax", "Min_ArgMin", "Max_ArgMax"):
            f = Genred("x + y", ["x = Vi(1)", "y = Vj(1)"], op, axis=0)
            with pytest.raises(
                ValueError, match=rf"'{op}' needs at least one value.*along i \(arguments: x\)"
            ):
                f(x[:0], y, backend=backend)

    @pytest.mark.parametrize(
        ("out", "error", "message"),
        [
            (np.empty((7, 2)), ValueError, r"'out': found shape \(7, 2\) .* expected shape \(7, 1\)"),
            (np.empty((7, 1), dtype=np.float32), ValueError, "'out': .* dtype float32, expected .* float64"),
            ([[0.0]] * 7, TypeError, "'out': found list"),
            (np.broadcast_to(np.zeros(1), (7, 1)), ValueError, "'out': found a read-only array"),
            ((np.empty((7, 1)),), TypeError, "'out': found tuple"),
        ],
    )
    def test_out(self, out, error, message, backend):
        with pytest.raises(error, match=message):
            F(*arguments(), backend=backend, out=out)

    @pytest.mark.parametrize(
        ("out", "error", "message"),
        [
            (np.empty((7, 1)), TypeError, "'out': found ndarray, expected a tuple of 2"),
            ((np.empty((7, 1)),), TypeError, "expected a tuple of 2"),
            ((np.empty((7, 1)), np.empty((7, 1))), ValueError, r"'out'\[1\]: .* float64, expected .* int64"),
        ],
    )
    def test_out_of_two(self, out, error, message, backend):
        f = Genred(F.formula, ALIASES, "Min_ArgMin", axis=1)
        with pytest.raises(error, match=message):
            f(*arguments(), backend=backend, out=out)

    def test_out_that_overlaps_itself(self, backend):
        f = Genred(F.formula, ALIASES, "Min_ArgMin", axis=1)
        out = np.empty((7, 1))
        with pytest.raises(ValueError, match="'out': found two arrays that overlap"):
            f(*arguments(), backend=backend, out=(out, out.view(np.int64)))

    def test_out_is_left_alone_by_a_failed_call(self, backend):
        out = np.full((7, 1), 5.0)
        with pytest.raises(ValueError, match="'x'"):
            F(*arguments(x=np.ones((7, 2))), backend=backend, out=out)
        assert (out == 5).all()


class TestDerivativeOptions:
    @pytest.mark.parametrize(
        ("wrt", "error", "message"),
        [
            ("z", ValueError, "'z' is not an argument of this formula: expected one of x, y, b, p, q"),
            (("x", "z"), ValueError, "'z' is not an argument"),
            (("x", 3), ValueError, "3 is not an argument"),
            (("x", "x"), ValueError, "may occur once"),
            (3, TypeError, "wrt must be a name or a tuple of names: found int"),
            (None, TypeError, "wrt must be .* found NoneType"),
        ],
    )
    def test_wrt(self, wrt, error, message):
        for method in (F.gradient, F.value_and_gradient):
            with pytest.raises(error, match=message):
                method(*arguments(), wrt=wrt)

    @pytest.mark.parametrize(
        ("grad_output", "error", "message"),
        [
            (np.ones(7), ValueError, r"'grad_output': found shape \(7,\), expected \(7, 1\)"),
            (1.0, ValueError, r"'grad_output': found shape \(\), expected \(7, 1\)"),
            (np.ones((5, 1)), ValueError, r"'grad_output': found shape \(5, 1\), expected \(7, 1\)"),
            (np.ones((7, 1), dtype=complex), TypeError, "'grad_output': found dtype complex128"),
            ("ones", TypeError, "'grad_output': found str"),
        ],
    )
    def test_grad_output(self, grad_output, error, message, backend):
        with pytest.raises(error, match=message):
            F.gradient(*arguments(), wrt="x", grad_output=grad_output, backend=backend)

    def test_output(self, backend):
        f = Genred("x * y", ["x = Vi(1)", "y = Vj(1)"], "LogSumExp", axis=1)
        arrays = np.ones((7, 1)), np.ones((5, 1))
        with pytest.raises(ValueError, match=r"'output': found shape \(5, 1\), expected \(7, 1\)"):
            f.gradient(*arrays, wrt="x", output=np.ones((5, 1)), backend=backend)

    @pytest.mark.parametrize(
        ("output", "error", "message"),
        [
            (np.ones((7, 1)), TypeError, "'output': found ndarray, expected the tuple"),
            ((np.ones((7, 1)), np.ones((7, 1))), ValueError, r"'output'\[1\]: .* float64, expected .* int64"),
            (
                (np.ones((7, 1)), np.full((7, 1), 5)),
                ValueError,
                r"'output'\[1\]: found indices outside of 0\.\.4",
            ),
            (
                (np.ones((7, 1)), np.full((7, 1), -2)),
                ValueError,
                r"'output'\[1\]: found indices outside of 0\.\.4",
            ),
            ((np.ones((6, 1)), np.zeros((7, 1), int)), ValueError, r"'output'\[0\]: found shape \(6, 1\)"),
        ],
    )
    def test_output_with_indices(self, output, error, message, backend):
        f = Genred("x * y", ["x = Vi(1)", "y = Vj(1)"], "Max_ArgMax", axis=1)
        with pytest.raises(error, match=message):
            f.gradient(np.ones((7, 1)), np.ones((5, 1)), wrt="x", output=output, backend=backend)

    @pytest.mark.parametrize(
        ("tangents", "error", "message"),
        [
            ({"z": np.ones((7, 3))}, ValueError, "'z' is not an argument"),
            ({"x": np.ones((5, 3))}, ValueError, r"tangents\['x'\]: found shape \(5, 3\), expected \(7, 3\)"),
            ({"x": np.ones((7, 3), dtype=complex)}, TypeError, r"tangents\['x'\]: found dtype complex128"),
            ({"q": np.ones(3)}, ValueError, r"tangents\['q'\]: found shape \(3,\), expected \(2,\)"),
            ([np.ones((7, 3))], TypeError, "tangents must be a dict"),
        ],
    )
    def test_tangents(self, tangents, error, message, backend):
        with pytest.raises(error, match=message):
            F.jvp(*arguments(), tangents=tangents, backend=backend)


class TestConstruction:
    @pytest.mark.parametrize(("name", "close"), [("sum", "Sum"), ("logsumexp", "LogSumExp"), ("argmin", "ArgMin")])
    def test_reduction_in_other_letters(self, name, close):
        with pytest.raises(ValueError, match=f"reduction_op='{name}' is not known: .*; did you mean .*'{close}'"):
            Genred("x + y", ["x = Vi(1)", "y = Vj(1)"], name)

    @pytest.mark.parametrize(
        ("changes", "error", "message"),
        [
            ({"formula": 3}, TypeError, "formula must be a string: found 3"),
            ({"formula": None}, TypeError, "formula must be a string: found None"),
            ({"formula": ""}, FormulaError, "formula"),
            ({"formula": "SqDist(x, z)"}, FormulaError, "'z'"),
            ({"formula": "SqDist(x, y"}, FormulaError, r"\^"),
            ({"formula": "x + b"}, FormulaError, "3.*2"),
            ({"formula": "__import__('os')"}, FormulaError, r"\^"),
            ({"formula": "x + Var(7, 3, 0)"}, FormulaError, "position"),
            ({"formula": "x + Var(0, 3, 1)"}, FormulaError, "position 0"),
            ({"aliases": "x = Vi(3)"}, TypeError, "aliases must be a list of strings"),
            ({"aliases": 3}, TypeError, "aliases must be a list of strings"),
            ({"aliases": ["x = Vi(3)", 3]}, TypeError, r"aliases\[1\]"),
            ({"aliases": ["x = Vx(3)", "y = Vj(3)"]}, FormulaError, "Vx"),
            ({"aliases": ["x = Vi(3)", "x = Vj(3)"]}, FormulaError, "'x' is declared twice"),
            ({"aliases": ["x = Vi(0)", "y = Vj(3)"]}, FormulaError, "0"),
            ({"axis": 2}, ValueError, "axis must be 0 .* or 1 .*: found 2"),
            ({"axis": -1}, ValueError, "axis must be"),
            ({"axis": "1"}, ValueError, "axis must be .* found '1'"),
            ({"axis": True}, ValueError, "axis must be .* found True"),
            ({"axis": None}, ValueError, "axis must be .* found None"),
            ({"reduction_op": "Mean"}, ValueError, "reduction_op='Mean' is not known: expected one of 'Sum'"),
            ({"reduction_op": None}, TypeError, "reduction_op must be a string"),
            ({"reduction_op": "KMin"}, ValueError, "opt_arg is missing"),
            ({"reduction_op": "ArgKMin", "opt_arg": 0}, ValueError, "opt_arg .* at least 1: found 0"),
            ({"reduction_op": "ArgKMin", "opt_arg": 1.5}, TypeError, "opt_arg .* found 1.5"),
            ({"opt_arg": 3}, ValueError, "opt_arg must be None: reduction_op='Sum'"),
            ({"reduction_op": "SumSoftMaxWeight"}, ValueError, "formula2 is missing"),
            ({"reduction_op": "LogSumExpWeight"}, ValueError, "formula2 is missing"),
            ({"formula2": "x"}, ValueError, "formula2 must be None: reduction_op='Sum'"),
            ({"reduction_op": "SoftMax", "formula2": 3}, TypeError, "formula2 must be a string: found 3"),
            (
                {"reduction_op": "LogSumExp", "formula": "x"},
                ValueError,
                "formula must be scalar .* found dim 3",
            ),
            ({"dtype_acc": "float128"}, ValueError, "dtype_acc must be one of .*: found 'float128'"),
            ({"dtype_acc": "float64", "use_double_acc": True}, ValueError, "exclude each other"),
            ({"use_double_acc": "yes"}, ValueError, "use_double_acc must be True or False: found 'yes'"),
            ({"sum_scheme": "best"}, ValueError, "sum_scheme must be one of .*: found 'best'"),
            ({"reduction_op": "Max", "dtype_acc": "float64"}, ValueError, "dtype_acc .*'Max'"),
            (
                {"reduction_op": "Max", "sum_scheme": "kahan_scheme"},
                ValueError,
                "sum_scheme='kahan_scheme' is for",
            ),
            ({"enable_chunks": "no"}, ValueError, "enable_chunks must be True or False"),
        ],
    )
    def test_bad_construction(self, changes, error, message):
        arguments = {"formula": "SqDist(x, y)", "aliases": ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)"], **changes}
        with pytest.raises(error, match=message):
            Genred(**arguments)


@pytest.mark.parametrize("reduction", ["KMin", "ArgKMin", "KMin_ArgKMin"])
def test_a_huge_k_costs_nothing_and_is_refused(reduction):
    """Before anything is allocated for it."""
    tracemalloc.start()
    try:
        nearest = Genred("SqDist(x, y)", ["x = Vi(3)", "y = Vj(3)"], reduction, axis=1, opt_arg=10**9)
        with pytest.raises(ValueError, match=r"opt_arg \(K\) must not exceed .* found K = 1000000000, expected at most 5"):
            nearest(np.ones((7, 3)), np.ones((5, 3)))
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()
    with pytest.raises(ValueError, match="opt_arg must be the number K of values to keep, at most 2147483647: found 1000"):
        Genred("SqDist(x, y)", ["x = Vi(3)", "y = Vj(3)"], reduction, axis=1, opt_arg=10**30)
