"""The machine's own limit, measured in the same run: what a perfect loop over the pairs could not beat."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .cases import Case

HERE = Path(__file__).resolve().parent
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")


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
        return case.pairs * pair

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def measure(dtype: str) -> Limits | str:
    """The rates, or a sentence that says why they cannot be measured."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return "the machine's limit needs a C compiler (it is measured by benchmarks/limits.c)"
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "limits.so")
        command = [*compiler.split(), *FLAGS, f"-I{HERE.parent / 'cython_ext'}", str(HERE / "limits.c"), "-o", library]
        done = subprocess.run([*command, "-mprefer-vector-width=512"], capture_output=True)
        if done.returncode != 0:  # not an x86 compiler
            done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            return f"the machine's limit could not be measured: {done.stderr.strip()[-300:]}"
        loops = ctypes.CDLL(library)
        kind = {"float32": "f", "float64": "d"}[dtype]
        return Limits(
            exponentials=rate(loops, f"limit_exp_{kind}"),
            flops=2 * rate(loops, f"limit_fma_{kind}"),
            gemm_flops=gemm_rate(dtype),
            bytes=rate(loops, "limit_copy"),
        )


def rate(library: ctypes.CDLL, name: str, rounds: int = 5) -> float:
    function = getattr(library, name)
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_long]

    def timed(repeat: int) -> tuple[float, float]:
        start = time.perf_counter()
        steps = function(repeat)
        return time.perf_counter() - start, steps

    repeat = 1
    while timed(repeat)[0] < 0.02:
        repeat *= 2
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
