"""Accuracy (and speed) of the elementary functions at every SIMD level of this machine.

python tests/engine/math_accuracy/run.py                 a sample, seconds
python tests/engine/math_accuracy/run.py --exhaustive    all 2^32 float32 arguments, a million float64 ones of each kind (an hour)
python tests/engine/math_accuracy/run.py --step 257      every 257th float32 argument, float64 as with --exhaustive (minutes)
python tests/engine/math_accuracy/run.py --speed         ns per element and ratio to libm
Further words are function names (default: all); --level LEVEL restricts to one level.
CC is the compiler, RUNNER what its programs are run by: tests/cross.py has those for other machines.
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
INCLUDE = HERE.parents[2] / "cython_ext"
NAMES = ("exp", "log", "sin", "cos", "asin", "acos", "atan", "atan2", "pow")
NAMES += ("expm1", "log1p", "tanh", "sinh", "cosh", "sech", "logistic", "softplus", "erf", "erfc")
BINARY = ("atan2", "pow")
COMMON = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-std=gnu11", "-Wall", "-Wextra"]
LEVELS = {
    "baseline": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": "-mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma -mprefer-vector-width=512".split(),
}
RUNNER = shlex.split(os.environ.get("RUNNER", ""))
LIMIT = {"f": 1.0, "d": 3.5}  # ulp; float32 is nearly always better than 1


def compiler():
    return os.environ.get("CC") or next(filter(shutil.which, ("gcc", "cc", "clang")), None)


def supported_levels():
    if platform.machine().lower() not in ("x86_64", "amd64") or "aarch64" in compiler():
        return ["baseline"]
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split())
    except (OSError, IndexError):
        return ["baseline"]
    needed = {"baseline": set(), "avx2": {"avx2", "fma"}, "avx512": {"avx512f", "avx512dq", "avx512vl", "avx512bw"}}
    return [level for level in LEVELS if needed[level] <= flags]


def build(level, folder):
    """The driver compiled for `level`; its path."""
    program = Path(folder) / f"driver_{level}.exe"  # the name that Windows runs; others run it, too
    command = [*compiler().split(), *COMMON, *LEVELS[level], f"-I{INCLUDE}", str(HERE / "driver.c"), "-o", str(program)]
    for libraries in (["-lquadmath", "-lm"], ["-lm"]):
        done = subprocess.run(command + libraries, capture_output=True, text=True)
        if done.returncode == 0:
            return program
    raise RuntimeError(done.stderr)


def ask(program, *arguments):
    return subprocess.run([*RUNNER, str(program), *map(str, arguments)], capture_output=True, text=True, check=True).stdout


def parse(line):
    """-> (max ulp, results of the wrong kind, results that depend on the position, the whole line)"""
    words = line.split()
    return float(words[2]), int(words[3]), int(words[4]), line.strip()


def accuracy(program, name, precision, exhaustive=False, step=None):
    thorough = exhaustive or step is not None
    if precision == "d":
        return parse(ask(program, "d", name, 200_000 if thorough else 1_500))
    if name in BINARY:
        return parse(ask(program, "f", name, 0, 0, 400_000_000 if exhaustive else 20_000_000 if thorough else 200_000))
    return parse(ask(program, "f", name, 0, 0xFFFFFFFF, 1 if exhaustive else step or 16_411))


def main(words):
    exhaustive, speed = "--exhaustive" in words, "--speed" in words
    levels = supported_levels()
    if "--level" in words:
        levels = [words.pop(words.index("--level") + 1)]
    step = int(words.pop(words.index("--step") + 1)) if "--step" in words else None
    names = [word for word in words if not word.startswith("--")] or NAMES
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1 if speed else os.cpu_count()) as pool:
        programs = {level: build(level, folder) for level in levels}
        if speed:
            print("level     function   float32: ns  x libm   float64: ns  x libm")
            for level in levels:
                for name in names:
                    f, libm_f, d, libm_d = map(float, ask(programs[level], "t", name).split()[2:])
                    print(f"{level:9} {name:9} {f:13.2f} {libm_f / f:7.1f} {d:13.2f} {libm_d / d:7.1f}")
            return 0
        jobs = [(level, name, p) for p in "fd" for name in names for level in levels]
        results = pool.map(lambda job: accuracy(programs[job[0]], job[1], job[2], exhaustive, step), jobs)
        bad = 0
        for (level, name, precision), (ulp, wrong, position, line) in zip(jobs, results):
            failed = ulp > LIMIT[precision] + 0.2 or wrong or position
            bad += bool(failed)
            print(f"{level:9} {line}{'   FAILED' if failed else ''}", flush=True)
        return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
