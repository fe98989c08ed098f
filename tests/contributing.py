"""The worked examples of docs/contributing, carried out: each is applied to a copy of the package, built and tested.

    python tests/contributing.py                    # all of them, a few minutes
    python tests/contributing.py kernel reduction   # some

Needs what a change of the package needs: pip install -e ".[test]" cython setuptools, a C compiler, and `patch`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ["cython_ext", "docs", "examples", "skkeops", "tests", "pyproject.toml", "setup.cfg", "setup.py", "README.md", "LICENSE"]
#: What each example says that has to pass.
TESTS = {
    "operation": ["tests/formula", "tests/engine/test_operations.py", "tests/cuda/test_emulation.py::test_operations"],
    "reduction": [
        "tests/reductions",
        "tests/test_gradients.py",
        "tests/cuda/test_emulation.py::test_reductions_over_sizes",
        "tests/cuda/test_emulation.py::test_the_state_finalises_to_the_result",
    ],
    "kernel": ["tests/kernels", "--doctest-modules", "skkeops/kernels/stationary.py"],
    "cuda_template": [
        "tests/cuda/test_templates.py",
        "tests/cuda/test_sources.py",
        "tests/cuda/test_emulation.py::test_reductions_over_sizes",
        "tests/cuda/test_emulation.py::test_the_state_finalises_to_the_result",
    ],
    "estimator": ["tests/estimators/test_common.py", "tests/estimators/test_reductions.py"],
}


def carry_out(name):
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "skkeops"
        copy.mkdir()
        for part in PARTS:
            source = ROOT / part
            ignore = shutil.ignore_patterns("__pycache__", "_build", "auto_examples", "generated")
            shutil.copytree(source, copy / part, ignore=ignore) if source.is_dir() else shutil.copy(source, copy)
        if (ROOT / "build").is_dir():  # objects that are up to date are not compiled again
            shutil.copytree(ROOT / "build", copy / "build")
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}

        def run(*command):
            subprocess.run(command, cwd=copy, env=environment, check=True)

        run("patch", "-p1", "--no-backup-if-mismatch", "-i", str(ROOT / "docs" / "contributing" / f"{name}.diff"))
        run(sys.executable, "setup.py", "-q", "build_ext", "--inplace")
        run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS[name])


if __name__ == "__main__":
    for example in sys.argv[1:] or TESTS:
        print(f"=== {example}", flush=True)
        carry_out(example)
