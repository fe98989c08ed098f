"""The worked examples of docs/contributing, carried out: each is applied to a copy of the package, built and tested.

    python tests/contributing.py                    # all of them, a quarter of an hour on two cores
    python tests/contributing.py kernel reduction   # some
    python tests/contributing.py --renew kernel     # only write the patch again, with the lines that stand around it today

Needs what a change of the package needs: pip install -e ".[test]" cython setuptools, a C compiler, and `patch`; --renew needs git.
A patch can be renewed if of the two lines before and after each change at least the nearer one is what it was; look at the result.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ["cython_ext", "docs", "examples", "skkeops", "tests", "pyproject.toml", "setup.cfg", "setup.py", "README.md", "LICENSE"]

#: The tests of each example: on the reference backend and the CPU, and on CUDA as far as it can be emulated.
TESTS = {
    "operation": ["tests/formula", "tests/engine/test_operations.py", "tests/cuda/test_emulation.py::test_operations"],
    "reduction": [
        "tests/reductions",
        "tests/genred/test_genred.py",
        "tests/derivatives/test_gradients.py",
        "tests/cuda/test_emulation.py::test_reductions_over_sizes",
        "tests/cuda/test_emulation.py::test_the_state_finalises_to_the_result",
    ],
    "kernel": ["tests/kernels", "tests/cuda/test_kernels.py", "--doctest-modules", "skkeops/kernels/stationary.py"],
    "cuda_template": [
        "tests/cuda/test_templates.py",
        "tests/cuda/test_sources.py",
        "tests/cuda/test_emulation.py::test_reductions_over_sizes",
        "tests/cuda/test_emulation.py::test_the_state_finalises_to_the_result",
    ],
    "estimator": ["tests/estimators/test_common.py", "tests/estimators/test_reductions.py", "tests/cuda/test_estimators.py"],
    "method": ["tests/execution", "tests/cuda/test_programs.py"],
}
#: Those that use whatever instruction set the process has; they are run again at the lower ones that the processor knows.
AT_LOWER_LEVELS = {
    "reduction": ["tests/genred/test_genred.py", "tests/derivatives/test_gradients.py"],
    "kernel": ["tests/kernels/test_values.py"],
    "estimator": ["tests/estimators/test_reductions.py"],
    "method": ["tests/execution"],
}
LOWER_LEVELS = "from skkeops.backends.cpu import _engine; print(*_engine.available_levels()[:-1])"


def patch_of(name):
    return ROOT / "docs" / "contributing" / f"{name}.diff"


def apply(name, folder, fuzz=0):
    """Apply a patch; what stands around a change has to be what the patch says, but for `fuzz` lines, anywhere in the file."""
    command = ["patch", "-p1", f"--fuzz={fuzz}", "--no-backup-if-mismatch", "-i", str(patch_of(name))]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name}.diff does not fit the files any more:\n{done.stdout}{done.stderr}")


def copy_to(folder):
    """Copy the sources."""
    for part in PARTS:
        source = ROOT / part
        ignore = shutil.ignore_patterns("__pycache__", "_build", "auto_examples", "generated")
        shutil.copytree(source, folder / part, ignore=ignore) if source.is_dir() else shutil.copy(source, folder)


def carry_out(name, folder):
    """Apply a patch to the copy in a folder, build it, run the tests."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}

    def python(*arguments, **options):
        return subprocess.run([sys.executable, *arguments], cwd=folder, check=True, text=True, **{"env": environment, **options})

    def pytest(tests, **options):
        python("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, **options)

    apply(name, folder)
    if (ROOT / "build").is_dir():  # what is compiled already and has not changed
        shutil.copytree(ROOT / "build", folder / "build")
    python("setup.py", "-q", "build_ext", "--inplace")
    pytest(TESTS[name])
    if name in AT_LOWER_LEVELS:
        for level in python("-c", LOWER_LEVELS, stdout=subprocess.PIPE).stdout.split():
            print(f"--- {name} at {level}", flush=True)
            pytest(AT_LOWER_LEVELS[name], env={**environment, "SKKEOPS_SIMD_LEVEL": level})


def renew(name, folder):
    """Write a patch again: the same changes, with the lines that stand around them today."""
    changed = re.findall(r"^\+\+\+ b/(.*)$", patch_of(name).read_text(), re.MULTILINE)

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=folder, check=True, text=True, stdout=subprocess.PIPE).stdout

    git("init", "-q")
    git("add", *(path for path in changed if (folder / path).exists()))
    apply(name, folder, fuzz=1)
    git("add", "--intent-to-add", *changed)
    text = "".join(git("diff", "--unified=2", "--no-ext-diff", "--no-color", path) for path in changed)  # in the order that it had
    lines = text.splitlines(keepends=True)
    patch_of(name).write_text("".join(line for line in lines if not line.startswith(("diff --git ", "index ", "new file "))))


def main(arguments):
    work = renew if "--renew" in arguments else carry_out
    for name in [a for a in arguments if a != "--renew"] or TESTS:
        print(f"=== {name}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            copy_to(Path(folder))
            work(name, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
