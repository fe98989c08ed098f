"""A sample of the accuracy of every elementary function at every SIMD level (the whole of it: run.py --exhaustive)."""

import ctypes
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run  # noqa: E402

sys.path.pop(0)

pytestmark = pytest.mark.skipif(run.compiler() is None or sys.platform == "win32", reason="no C compiler")

# Maximal error in ulp over all arguments, with a little room (docs/design/accuracy_math.md has the measured values).
LIMITS = {
    ("exp", "f"): 1.02,
    ("log", "f"): 1.0,
    ("atan2", "d"): 1.5,
    **{(name, "d"): 2.5 for name in ("expm1", "tanh", "sinh", "sech", "logistic")},
    **{(name, "d"): 1.5 for name in ("cosh", "softplus", "erf")},
    ("erfc", "d"): 3.5,
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("math_accuracy")
    with ThreadPoolExecutor() as pool:
        return dict(zip(run.supported_levels(), pool.map(lambda level: run.build(level, folder), run.supported_levels())))


@pytest.mark.parametrize("precision", ["f", "d"])
@pytest.mark.parametrize("name", run.NAMES)
def test_accuracy(programs, name, precision):
    for level, program in programs.items():
        ulp, wrong, position, line = run.accuracy(program, name, precision)
        assert wrong == 0, f"{level}: a NaN, an infinity or a sign is wrong: {line}"
        assert position == 0, f"{level}: a result depends on its place in the array: {line}"
        assert ulp <= LIMITS.get((name, precision), 0.6 if precision == "f" else 1.0), f"{level}: {line}"


def test_derivatives_of_sinc(tmp_path):
    mpmath = pytest.importorskip("mpmath")
    source, library = tmp_path / "sinc.c", tmp_path / "sinc.so"
    source.write_text('#include "simd_math.h"\ndouble sinc(double x, int n) { return skk_sinxdivx_d(x, n); }\n')
    subprocess.run(
        [*run.compiler().split(), "-O2", "-shared", "-fPIC", f"-I{run.INCLUDE}", str(source), "-o", str(library), "-lm"], check=True
    )
    sinc = ctypes.CDLL(str(library)).sinc
    sinc.restype, sinc.argtypes = ctypes.c_double, [ctypes.c_double, ctypes.c_int]
    with mpmath.workdps(40):
        for order in (0, 1, 2, 3, 5, 8):
            for x in (0.0, -0.0, 1e-300, 1e-8, 0.3, 1.0, 2.5, 3.1415926, order + 0.99, order + 1.01, 20.0, 1e3, 1e10):
                for argument in (x, -x):
                    # int_0^1 t^n cos(xt + n pi/2) dt is the real part of i^n / (n+1) 1F1(n+1; n+2; ix)
                    value = mpmath.mpc(0, 1) ** order / (order + 1)
                    value = (value * mpmath.hyp1f1(order + 1, order + 2, mpmath.mpc(0, argument))).real
                    assert abs(sinc(argument, order) - value) <= 4e-14 * min(1, (order + 2) / max(x, 1)), (order, argument)
        for order in range(5):
            assert sinc(float("inf"), order) == 0 and sinc(float("nan"), order) != sinc(float("nan"), order)
