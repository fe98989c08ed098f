"""Step 1, through the host code: results on the device against dense NumPy in float64, outputs and workspaces full of NaN before,
several seeds."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np

from .run import ROOT, Run

__all__ = ["check", "formulas", "sizes", "tests", "with_gradient"]

ALIASES = ("x = Vi(2)", "y = Vj(2)", "b = Vj(3)", "p = Pm(1)")
GAUSS, POWER = "Exp(-p*SqDist(x,y))", "-p*SqDist(x,y)"
REDUCTIONS = {
    "Sum": (f"{GAUSS}*b", {}),
    "LogSumExp": (POWER, {}),
    "LogSumExp, weighted": (POWER, {"formula2": "Square(b)"}),
    "SumSoftMaxWeight": (POWER, {"formula2": "b"}),
    "Max_ArgMax": ("p*(x-y)", {}),
    "Min_ArgMin": ("p*SqDist(x,y)", {}),
    "KMin_ArgKMin": ("p*SqDist(x,y)", {"opt_arg": 5}),
    "KMin": ("p*(x-y)", {"opt_arg": 3}),
}
OPERATIONS = (
    "Sin(x|y)+Cos(x|y)", "Log(IntCst(1)+SqDist(x,y))", "Sqrt(SqDist(x,y))*b", "Norm2(x-y)", "Abs(x-y)+Sign(x-y)",
    "Inv(IntCst(1)+SqDist(x,y))",
    "Pow(x|y,3)", "Atan2(Elem(x,0),Elem(y,1))", "Step(x-y)*ReLU(x)", "TensorProd(x,y)", "Normalize(x-y)", "Clamp(x-y,0,1)",
)  # fmt: skip
SIZES = ((1, 1), (3, 257), (1000, 129))
LARGE = ((5, 100_003), (4099, 300))  # with one seed
DRY_SIZES = ((3, 70),)
_LONGEST = 60.0  # seconds


def formulas(dry: bool = False) -> list[tuple[str, str, Any]]:
    """Return what is compared: the name of the reduction, the formula, and the `Genred` of it; few in a dry run."""
    from skkeops import Genred

    found = []
    for op, (formula, options) in REDUCTIONS.items():
        for axis in (0, 1):
            found.append((op, formula, Genred(formula, ALIASES, op.split(",")[0], axis, **options)))
    if dry:
        return found[1:4:2]
    return found + [("Sum", formula, Genred(formula, ALIASES, "Sum", 1)) for formula in OPERATIONS]


def sizes(dry: bool = False) -> list[tuple[int, int, int]]:
    """Return the numbers of rows and of columns, and the seed, of each comparison of a formula."""
    if dry:
        return [(*size, 0) for size in DRY_SIZES]
    return [(*size, seed) for size in SIZES for seed in range(3)] + [(*size, 0) for size in LARGE]


def with_gradient(op: str, formula: str) -> bool:
    """Whether the gradient is compared, too."""
    return formula == REDUCTIONS["Sum"][0] or op.startswith("LogSumExp")


def check(run: Run) -> bool:
    """Compare; write correct.csv; return whether everything is right."""
    cases, settings = formulas(run.dry), sizes(run.dry)
    dtypes = ("float32",) if run.dry else ("float32", "float64")
    rows, right, begin = [], True, time.monotonic()
    empty = run.cupy.empty

    def poisoned(*args, **kwargs):
        a = empty(*args, **kwargs)
        if a.ndim and a.size:
            a.view(np.uint8)[...] = 0xFF
        return a

    run.cupy.empty = poisoned
    try:
        for k, (op, formula, f) in enumerate(cases):
            if time.monotonic() - begin > _LONGEST:
                run.say(f"correctness: {len(cases) - k} of {len(cases)} formulas were not compared, as {_LONGEST:.0f} s are over")
                break
            for m, n, seed in settings:
                if op.startswith("KMin") and (n, m)[1 - f.axis] < 5:
                    continue
                for dtype in dtypes:
                    rows.append(_compare(run, op, formula, f, m, n, seed, dtype))
                    right &= rows[-1]["ok"]
            run.write_csv("correct.csv", rows)
    finally:
        run.cupy.empty = empty
    wrong = [row for row in rows if not row["ok"]]
    run.say(f"correctness: {len(rows)} comparisons with dense NumPy in float64, {len(wrong)} wrong")
    for row in wrong[:10]:
        run.say(f"  WRONG {row}")
    return right


def tests(run: Run) -> bool:
    """Run the tests of the way from CuPy's arrays to kernels and back, which take the device where there is one."""
    if run.dry:
        return True
    try:
        import pytest
    except ImportError:
        run.say("pytest is not installed: the tests of the host code are not run on the device")
        return True
    names = ("test_host_code.py", "test_calls.py", "test_pairs.py", "test_ranges.py")
    tests = [str(ROOT / "tests" / "cuda" / name) for name in names]
    command = [sys.executable, "-m", pytest.__name__, "-q", "-p", "no:cacheprovider", *tests]
    if importlib.util.find_spec("xdist"):
        command += ["-n", str(min(12, os.cpu_count() or 1))]  # most of the time is compilation
    most = max(10.0, min(100.0, run.left - 10))
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=most)
    except subprocess.TimeoutExpired as late:
        so_far = late.stdout or b""
        run.say(f"tests of the host code on the device: not finished after {most:.0f} s: {so_far[-500:]!r}")
        return True
    run.say(f"tests of the host code on the device: {(done.stdout.strip().splitlines() or ['no output'])[-1]}")
    if done.returncode:
        run.say(done.stdout[-3000:] + done.stderr[-1000:])
    return done.returncode == 0


def _compare(run: Run, op: str, formula: str, f, m: int, n: int, seed: int, dtype: str) -> dict:
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in ((m, 2), (n, 2), (n, 3))] + [np.array([0.7], dtype)]
    there = [run.cupy.asarray(a) for a in arrays]
    exact = [a.astype(np.float64) for a in arrays]
    row = {"reduction": op, "formula": formula, "axis": f.axis, "M": m, "N": n, "seed": seed, "dtype": dtype}
    try:
        found = f(*there)
        found = [a.get() for a in (found if isinstance(found, tuple) else (found,))]
        expected = f(*exact, backend="reference")
        expected = expected if isinstance(expected, tuple) else (expected,)
        row["error"] = max(_error(a, b) for a, b in zip(found, expected, strict=True))
        if with_gradient(op, formula):
            g = f.gradient(*there, wrt="x").get()
            row["error"] = max(row["error"], _error(g, f.gradient(*exact, wrt="x", backend="reference")))
    except Exception as error:
        return {**row, "error": f"{type(error).__name__}: {error}"[:300], "ok": False}
    # The largest error relative to the largest value; for indices, the share that differs, as ties break by rounding.
    return {**row, "ok": bool(row["error"] <= (2e-5 if dtype == "float32" else 1e-10))}


def _error(found: np.ndarray, expected: np.ndarray) -> float:
    if expected.dtype.kind == "i":
        return 0.01 * float(np.mean(found != expected)) if expected.size > 500 else 0.0
    if not np.array_equal(np.isfinite(found), np.isfinite(expected)):
        return float("inf")
    finite = np.isfinite(expected)
    difference = np.abs(found[finite] - expected[finite]).max(initial=0.0)
    return float(difference / max(1.0, np.abs(expected[finite]).max(initial=0.0)))
