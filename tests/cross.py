"""The engine's C code, compiled for another machine than this one and run here.

    python tests/cross.py arm64        Linux on arm64: aarch64-linux-gnu-gcc, qemu-user
    python tests/cross.py windows      Windows on x86-64: mingw-w64, Wine
    python tests/cross.py macos        macOS on arm64 and x86-64: clang as the package ziglang has it; compiled and linked, not run
    python tests/cross.py arm64 --module ROOT [--packages FOLDER] [pytest arguments]

The first three: the pool of threads with many callers (tests/engine/pool_stress.c), every engine source at every level with all
warnings as errors, and the accuracy of the elementary functions (tests/engine/math_accuracy/run.py). The last one: the compiled
module and tests/engine, by the Python of the same minor version in ROOT, a folder with a Debian system for arm64, with the packages
for arm64 in FOLDER; docs/design/platforms.md says how to make both. From Debian: gcc-aarch64-linux-gnu, qemu-user,
gcc-mingw-w64-x86-64, wine; from PyPI: ziglang.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent / "engine" / "math_accuracy"))
import run as accuracy  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
ENGINE = ROOT / "cython_ext"
X86 = {
    "baseline": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma", "-mprefer-vector-width=512"],
}
KERNELS = ["-O3", "-fno-math-errno", "-fno-trapping-math"]  # those of setup.py
#: clang does not know all pragmas of gcc, and finds functions of a level unused that another level uses.
WARNINGS = ["-Wall", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-function"]


class Target(NamedTuple):
    """A machine, and what compiles and runs programs for it."""

    compiler: str
    runner: str | None  # None: nothing here can run its programs
    levels: dict[str, list[str]]
    link: tuple[str, ...] = ("-static",)
    left_out: tuple[str, ...] = ()  # elementary functions whose accuracy is not asked for


TARGETS = {
    "arm64": [Target("aarch64-linux-gnu-gcc", "qemu-aarch64", {"baseline": []})],
    # The C library has the sines of large arguments, and powers without FMA. mingw-w64's, by x87 instructions, are wrong: 300 times
    # too large at 1e144, 1 + 7e-9 where it is 1 + 4e-9. The wheels' compiler, clang-cl, takes Microsoft's, which has not been run.
    "windows": [Target("x86_64-w64-mingw32-gcc", "wine", X86, ("-static", "-pthread"), ("sin", "cos", "pow"))],
    "macos": [
        Target(f"{sys.executable} -m ziglang cc -target aarch64-macos.11.0", None, {"baseline": []}, ()),
        Target(f"{sys.executable} -m ziglang cc -target x86_64-macos.11.0", None, X86, ()),
    ],
}


def compile_everything(target: Target, folder: Path) -> None:
    """Every engine source as setup.py compiles it, with warnings as errors."""
    for level, flags in target.levels.items():
        have = [f"-DSKK_HAVE_{name.upper()}={int(name in target.levels)}" for name in X86]
        for source in sorted(ENGINE.glob("*.c")):
            at_level = [f"-DSKK_LEVEL={level}", *KERNELS, *flags] if source.name.startswith("tile_") else ["-O2"]
            command = [
                *target.compiler.split(),
                "-std=gnu11",
                *at_level,
                *have,
                *WARNINGS,
                f"-I{ENGINE}",
                "-c",
                str(source),
            ]
            subprocess.run([*command, "-o", str(folder / f"{level}_{source.stem}.o")], check=True)
        print(f"{target.compiler}: {level} compiled", flush=True)


def run_programs(target: Target, folder: Path) -> None:
    """The pool with many callers, and the accuracy of the elementary functions."""
    compiler = [*target.compiler.split(), *target.link]
    program = folder / "pool_stress.exe"
    sources = [str(ROOT / "tests" / "engine" / "pool_stress.c"), str(ENGINE / "pool.c")]
    flags = ["-O2", "-std=gnu11", "-pthread", f"-I{ENGINE}"]
    subprocess.run([*compiler, *flags, *sources, "-o", str(program)], check=True)
    if target.runner is None:
        return
    # Without forks: qemu does not survive those of programs with threads, and Windows has none.
    environment = {**os.environ, "CC": " ".join(compiler), "RUNNER": target.runner, "WINEDEBUG": "-all"}
    subprocess.run([target.runner, str(program)], check=True, timeout=600, env=environment)
    names = [name for name in accuracy.NAMES if name not in target.left_out]
    subprocess.run([sys.executable, accuracy.__file__, *names], check=True, env=environment)


def run_module(target: Target, system: Path, packages: Path | None, arguments: list[str], folder: Path) -> None:
    """The compiled module by the emulated Python of a folder, with tests."""
    suffix = f".cpython-{sys.version_info.major}{sys.version_info.minor}-aarch64-linux-gnu.so"
    environment = {
        **os.environ,
        "CC": target.compiler,
        "LDSHARED": f"{target.compiler} -shared",
        "_PYTHON_HOST_PLATFORM": "linux-aarch64",  # what sysconfig says to setup.py
        "SETUPTOOLS_EXT_SUFFIX": suffix,
    }
    build = ["build_ext", "--build-lib", str(folder / "lib"), "--build-temp", str(folder / "temp")]
    subprocess.run([sys.executable, "setup.py", "-q", *build], cwd=ROOT, check=True, env=environment)
    (module,) = (folder / "lib").rglob(f"*{suffix}")
    copy = folder / "copy"
    for name in ("skkeops", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    shutil.copy(module, copy / "skkeops" / "backends" / "cpu")
    path = os.pathsep.join(str(p.resolve()) for p in (copy, packages) if p is not None)
    python = system / "usr" / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    command = [target.runner, "-L", str(system), str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    # What starts other programs would start those of this machine.
    chosen = arguments or ["tests/engine", "-k", "not fork and not process and not accuracy and not gil"]
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([*command, *chosen], cwd=copy, check=True, env=environment)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument(
        "--module", type=Path, metavar="ROOT", help="a system for arm64 that has Python, to run the module itself"
    )
    parser.add_argument(
        "--packages", type=Path, metavar="FOLDER", help="with NumPy, SciPy, scikit-learn and pytest for arm64"
    )
    arguments, others = parser.parse_known_args()
    if arguments.module and arguments.target != "arm64":
        parser.error("--module is for arm64")
    with tempfile.TemporaryDirectory(prefix="skkeops-cross-") as name:
        for target in TARGETS[arguments.target]:
            for program in (target.compiler.split()[0], target.runner):
                if program and not shutil.which(program):
                    parser.error(f"{program} was not found")
            if arguments.module:
                run_module(target, arguments.module.resolve(), arguments.packages, others, Path(name))
                continue
            compile_everything(target, Path(name))
            run_programs(target, Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
