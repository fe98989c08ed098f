"""The machine's own limit, measured in the same run: what a perfect loop over the pairs could not beat."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import numpy as np

from . import ROOT
from .cases import Case

HERE = Path(__file__).resolve().parent
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")


class LimitsError(Exception):
    """The limits cannot be measured here."""


@dataclass(frozen=True)
class Limits:
    """Rates on all threads, for one dtype."""

    exponentials: float  # per second, by the engine's exp loop on data in the first-level cache
    flops: float  # by fused multiply-adds, two each
    gemm_flops: float  # by the BLAS behind numpy.matmul, 1024 x 1024
    bytes: float  # copied, read and written both counted

    def seconds(self, case: Case) -> float:
        """Least time for the arithmetic of all pairs; functions other than exp are counted as one exp."""
        work = case.work
        pair = work.functions / self.exponentials + work.flops / self.flops + work.gemm_flops / self.gemm_flops
        rows, columns = case.size
        return rows * columns * pair

    def or_better(self, other: Limits) -> Limits:
        """The higher of each rate: a machine that does other work meanwhile is slower than it can be."""
        return Limits(*map(max, astuple(self), astuple(other)))

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


class Machine:
    """Measures the limits, any number of times, and keeps the highest rates."""

    def __init__(self, dtype: str):
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise LimitsError("the machine's limit is measured by benchmarks/limits.c: no C compiler found")
        with tempfile.TemporaryDirectory() as folder:
            library = os.path.join(folder, "limits.so")
            command = [*compiler.split(), *FLAGS, f"-I{ROOT / 'cython_ext'}", str(HERE / "limits.c"), "-o", library]
            done = subprocess.run([*command, "-mprefer-vector-width=512"], capture_output=True)
            if done.returncode != 0:  # not a compiler for x86
                done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise LimitsError(f"the machine's limit could not be measured: {done.stderr.strip()[-300:]}")
            self.loops = ctypes.CDLL(library)
        self.dtype = dtype
        self.limits = self.measure()

    def again(self) -> Limits:
        self.limits = self.limits.or_better(self.measure())
        return self.limits

    def measure(self) -> Limits:
        kind = {"float32": "f", "float64": "d"}[self.dtype]
        return Limits(
            exponentials=rate(self.loops, f"limit_exp_{kind}"),
            flops=2 * rate(self.loops, f"limit_fma_{kind}"),
            gemm_flops=gemm_rate(self.dtype),
            bytes=rate(self.loops, "limit_copy"),
        )


def rate(library: ctypes.CDLL, name: str, rounds: int = 5) -> float:
    function = getattr(library, name)
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_long]

    def timed(repeat: int) -> tuple[float, float]:
        start = time.perf_counter()
        steps = function(repeat)
        return time.perf_counter() - start, steps

    # Long enough for the clock, and much longer than the start of the threads, which may have to wait for a core.
    repeat, steps, seconds = 1, 0.0, 0.0
    while steps < 1e7 or seconds < 0.01:
        repeat *= 2
        seconds, steps = timed(repeat)
    return max(steps / seconds for seconds, steps in (timed(repeat) for _ in range(rounds)))


def gemm_rate(dtype: str, size: int = 1024, rounds: int = 10) -> float:
    a = np.full((size, size), 0.5, dtype)
    out = a @ a
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        np.matmul(a, a, out=out)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
