"""Run the tests of the compiled engine under the sanitizers of gcc.

    python tests/sanitize.py [pytest arguments]             AddressSanitizer and UndefinedBehaviorSanitizer; default: tests/engine
    python tests/sanitize.py --thread [pytest arguments]    ThreadSanitizer; default: the tests with threads

First the pool of threads alone, by tests/engine/pool_stress.c. Then it copies the sources to a temporary folder, builds the engine
there with ``-fsanitize=...``, and runs pytest on the copy with the sanitizers' runtime preloaded. Any report ends the run with an
error. Needs gcc on Linux, and the packages that the build and the tests need, in this Python.

ThreadSanitizer sees every read and write of the engine, and the locks of the interpreter, of which it does not see more. A Python
without the interpreter lock hands objects from thread to thread by atomic operations: it takes one that was configured with
``--with-thread-sanitizer``, as others make it report every program that one thread has made and another one runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "skkeops", "cython_ext", "tests")


class Mode(NamedTuple):
    """What is sanitized, and how."""

    flags: str
    runtimes: tuple[str, ...]
    environment: dict[str, str]
    suites: list[str]
    pool: list[tuple[str, list[str]]]  # for the pool alone: sanitizers, arguments of the program
    command: tuple[str, ...] = ()  # what the interpreter is started by


MEMORY = Mode(
    flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer",
    runtimes=("libasan.so", "libubsan.so"),
    environment={
        # The interpreter itself leaks by design; what matters here is every read and write.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:strict_init_order=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "PYTHONMALLOC": "malloc",  # so that arrays made by Python objects are watched too
        "OMP_NUM_THREADS": "2",
    },
    suites=["tests/engine"],
    pool=[("thread", []), ("address,undefined", ["forks"])],
)
THREADS = Mode(
    flags="-fsanitize=thread -fno-omit-frame-pointer",
    runtimes=("libtsan.so",),
    environment={
        # Of what was compiled without the sanitizer only the locks are known: it cannot say who is wrong there.
        "TSAN_OPTIONS": "halt_on_error=1:exitcode=66:ignore_noninstrumented_modules=1:report_signal_unsafe=0",
        "OMP_NUM_THREADS": "4",
        "OPENBLAS_NUM_THREADS": "1",
    },
    suites=["tests/package/test_threads.py", "tests/engine/test_determinism.py", "tests/engine/test_both_axes.py"],
    pool=[("thread", [])],
    command=("setarch", "--addr-no-randomize"),  # the shadow memory has its place where a random address may be
)


def main(arguments: list[str]) -> int:
    if not sys.platform.startswith("linux"):
        print("this script needs Linux and gcc")
        return 2
    mode = MEMORY
    if "--thread" in arguments:
        mode = THREADS
        arguments = [a for a in arguments if a != "--thread"]
    with tempfile.TemporaryDirectory(prefix="skkeops-sanitize-") as folder:
        copy = Path(folder)
        stress_pool(copy, mode)
        for name in NEEDED:
            copy_to(ROOT / name, copy / name)
        subprocess.run(
            [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
            cwd=copy,
            check=True,
            # -O1: reports point at the right lines, and the build takes a quarter of the time
            env={**os.environ, "SKKEOPS_CFLAGS": f"{mode.flags} -O1 -g", "SKKEOPS_LDFLAGS": mode.flags},
        )
        environment = {
            **os.environ,
            **mode.environment,
            "LD_PRELOAD": " ".join(map(runtime, mode.runtimes)),
            "PYTHONPATH": str(copy),
        }
        # The suite walks through the instruction sets by itself.
        options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:faulthandler", "--capture=sys"]  # show the report
        command = [*mode.command, sys.executable, "-m", "pytest", *options, *(arguments or mode.suites)]
        return subprocess.run(command, cwd=copy, env=environment).returncode


def stress_pool(folder: Path, mode: Mode) -> None:
    sources = [ROOT / "tests" / "engine" / "pool_stress.c", ROOT / "cython_ext" / "pool.c"]
    for sanitizer, arguments in mode.pool:
        program = folder / f"pool_{sanitizer[:6]}"
        flags = [f"-fsanitize={sanitizer}", "-O1", "-g", "-std=gnu11", "-pthread", f"-I{ROOT / 'cython_ext'}"]
        subprocess.run(["gcc", *flags, *sources, "-o", program], check=True)
        subprocess.run([*THREADS.command, program, *arguments], check=True, timeout=600)


def copy_to(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    else:
        shutil.copy(source, target)


def runtime(library: str) -> str:
    """The path of a runtime library of gcc."""
    return subprocess.run(
        ["gcc", f"-print-file-name={library}"], capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
