"""Run the tests of the compiled engine under AddressSanitizer and UndefinedBehaviorSanitizer.

    python tests/sanitize.py [pytest arguments]          (default: tests/engine)

First the pool of threads alone, by tests/engine/pool_stress.c, under ThreadSanitizer too. Then it copies the sources to a temporary
folder, builds the engine there with ``-fsanitize=address,undefined``, and runs pytest on the copy with the sanitizers' runtime
preloaded. Any report ends the run with an error. Needs gcc on Linux, and the packages that the build and the tests need, in this
Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "skkeops", "cython_ext", "tests")
SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
SUITES = ["tests/engine"]


def main(arguments: list[str]) -> int:
    if not sys.platform.startswith("linux"):
        print("this script needs Linux and gcc")
        return 2
    with tempfile.TemporaryDirectory(prefix="skkeops-sanitize-") as folder:
        copy = Path(folder)
        stress_pool(copy)
        for name in NEEDED:
            copy_to(ROOT / name, copy / name)
        subprocess.run(
            [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
            cwd=copy,
            check=True,
            # -O1: reports point at the right lines, and the build takes a quarter of the time
            env={**os.environ, "SKKEOPS_CFLAGS": f"{SANITIZE} -O1 -g", "SKKEOPS_LDFLAGS": SANITIZE},
        )
        environment = {
            **os.environ,
            "LD_PRELOAD": " ".join(runtime(name) for name in ("libasan.so", "libubsan.so")),
            # The interpreter itself leaks by design; what matters here is every read and write.
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:strict_init_order=1",
            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
            "PYTHONPATH": str(copy),
            "PYTHONMALLOC": "malloc",  # so that arrays made by Python objects are watched too
            "OMP_NUM_THREADS": "2",
        }
        # The suite walks through the instruction sets by itself.
        options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:faulthandler", "--capture=sys"]  # show the report
        command = [sys.executable, "-m", "pytest", *options, *(arguments or SUITES)]
        return subprocess.run(command, cwd=copy, env=environment).returncode


def stress_pool(folder: Path) -> None:
    sources = [ROOT / "tests" / "engine" / "pool_stress.c", ROOT / "cython_ext" / "pool.c"]
    for sanitizer, arguments in (("thread", []), ("address,undefined", ["forks"])):
        program = folder / f"pool_{sanitizer[:6]}"
        flags = [f"-fsanitize={sanitizer}", "-O1", "-g", "-std=gnu11", "-pthread", f"-I{ROOT / 'cython_ext'}"]
        subprocess.run(["gcc", *flags, *sources, "-o", program], check=True)
        subprocess.run([program, *arguments], check=True, timeout=600)


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
