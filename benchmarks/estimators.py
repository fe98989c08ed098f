"""``python -m benchmarks.estimators``: the estimators beside those of scikit-learn and statsmodels, one table after the other."""

from __future__ import annotations

import subprocess
import sys

MODULES = ("kernel_sum", "kernel_density", "kernel_ridge", "local_regression")


def main() -> int:
    """Run each module with the same options; return whether one of them missed what it should reach."""
    missed = 0
    for module in MODULES:
        missed |= subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *sys.argv[1:]], check=False).returncode
        print(flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
