"""What a process pays for the first call: modules that are only imported when they are needed."""

import os
import subprocess
import sys
from pathlib import Path

import skkeops

CALL = """
import sys
import numpy as np
from skkeops import Genred
x = np.random.default_rng(0).random((%d, 3))
k = Genred("Exp(-SqDist(x,y))", ["x = Vi(3)", "y = Vj(3)"], axis=1)
k(x, x), k.gradient(x, x, wrt="x"), k(x, x[:4])
print(*(name for name in ("joblib", "sklearn", "scipy", "asyncio") if name in sys.modules))
"""


def imported_for(points, **more):
    """Which of the heavy modules a program has imported after a call with so many points."""
    environment = {**os.environ, "PYTHONPATH": str(Path(skkeops.__file__).resolve().parents[1]), **more}
    if "OMP_NUM_THREADS" not in more:
        environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run([sys.executable, "-P", "-c", CALL % points], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_small_call_imports_no_more_than_numpy():
    assert imported_for(100) == []


def test_who_says_how_many_threads_is_not_asked():
    assert imported_for(2000, OMP_NUM_THREADS="2") == []
