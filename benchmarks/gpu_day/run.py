"""What all steps share: where results go, how much time is left, and how to skip with a sentence."""

from __future__ import annotations

import csv
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "Run", "Skipped", "from_tests", "milliseconds"]

ROOT = Path(__file__).resolve().parents[2]


def from_tests(name: str) -> Any:
    """Return a module of the tests of the CUDA backend."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return importlib.import_module(f"tests.cuda.{name}")


class Skipped(Exception):  # noqa: N818 (not an error)
    """A step cannot run here; the message says why."""


@dataclass
class Run:
    """One run of the script.

    Attributes
    ----------
    out : Path
        The folder of the results.
    cupy : module
        CuPy, or its stand-in.
    dry : bool
        Whether this only shows that the script works: tiny sizes, no figure means anything.
    end : float
        When the time is over, on the clock of `time.monotonic`.
    """

    out: Path
    cupy: Any
    dry: bool
    end: float
    sentences: list[str] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.end - time.monotonic()

    def say(self, sentence: str) -> None:
        """Print a sentence, and keep it for the summary."""
        print(sentence, flush=True)
        self.sentences.append(sentence)

    def write_csv(self, name: str, rows: list[dict]) -> None:
        """Write a table; called after every row, so that a time-out leaves what there is."""
        if rows:
            names = list(dict.fromkeys(key for row in rows for key in row))
            with open(self.out / name, "w", newline="") as file:
                writer = csv.DictWriter(file, names)
                writer.writeheader()
                writer.writerows(rows)

    def write_json(self, name: str, thing: Any) -> None:
        """Write figures for machines."""
        (self.out / name).write_text(json.dumps(thing, indent=1, default=str))


def milliseconds(run: Run, function: Callable[[], Any], seconds: float = 3.0, at_least: int = 10) -> dict[str, float]:
    """Return times of a function that launches on the current stream: the device's by events, and the host's by the wall.

    Parameters
    ----------
    run : Run
    function : callable
    seconds : float, default=3.0
        About how long it may take; a slow function is called less often than `at_least` times, but three times.
    at_least : int, default=10
    """
    cuda = run.cupy.cuda
    function()
    cuda.runtime.deviceSynchronize()
    on_device, on_wall, begin = [], [], time.perf_counter()
    while len(on_device) < 3 or (len(on_device) < at_least and time.perf_counter() - begin < seconds):
        start, end = cuda.Event(), cuda.Event()
        before = time.perf_counter()
        start.record()
        function()
        end.record()
        end.synchronize()
        on_wall.append(1e3 * (time.perf_counter() - before))
        on_device.append(cuda.get_elapsed_time(start, end))
        if run.dry:
            break
    return {
        "median_ms": statistics.median(on_device), "best_ms": min(on_device), "wall_ms": statistics.median(on_wall),
        "calls": len(on_device),
    }  # fmt: skip
