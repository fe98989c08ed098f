"""Times of skkeops beside KeOps' CPU backend and beside the machine's own limit: ``python -m benchmarks``."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# ``-m`` puts the current folder first on the path. Where that is the source tree and the engine has not been built in it,
# the package to be timed is the one that is installed.
if not any((ROOT / "skkeops" / "backends" / "cpu").glob("_engine.*[!i]")):
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != ROOT]
