"""``python -m benchmarks.report.measure``: one library, the cases of one sweep, in a process of its own.

Reads the name of the peer and the cases from its standard input, as JSON, and writes a line of JSON for each.
"""

from __future__ import annotations

import ctypes
import gc
import json
import resource
import sys
import time

import numpy as np

from ..cases import Case
from ..peers import PEERS, Peer
from ..peers.numpy_dense import Exact
from .sweeps import Spec

CHECKED_ROWS = 100
LONG = 2.0  # seconds


class PeakMemory:
    """How far the resident size of this process rises above its present size: by Linux' own mark, which can be put back."""

    def __init__(self):
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)  # what was freed counts as free
        self.resettable = self._reset()
        self.before = self._now() if self.resettable else self._largest()

    @staticmethod
    def _reset() -> bool:
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
        except OSError:
            return False
        return True

    @staticmethod
    def _status(name: str) -> int:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

    def _now(self) -> int:
        return self._status("VmRSS:")

    @staticmethod
    def _largest() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    def read(self) -> int:
        return max(0, (self._status("VmHWM:") if self.resettable else self._largest()) - self.before)


def error(case: Case, arrays: dict, result: np.ndarray) -> float:
    """Largest difference from float64 on some rows, relative to the largest value; for indices: the share of the rows where the
    distances of what was found are not the smallest, to a millionth."""
    rows = np.unique(np.linspace(0, case.size[0] - 1, CHECKED_ROWS).astype(int))
    exact = {}
    indexed_by_i = {alias.split("=")[0].strip() for alias in case.aliases if "Vi" in alias} | {"e"}
    for name, array in arrays.items():
        exact[name] = (array[rows] if name in indexed_by_i else array).astype("float64")
    truth, found = Exact().prepare(case, exact)(), result[rows]
    if case.reduction.startswith("Arg"):
        distances = Exact.squared_distances(exact["x"], exact["y"])
        least, ours = (
            np.take_along_axis(distances, i.reshape(len(rows), -1).astype(int), axis=1) for i in (truth, found)
        )
        return float(np.mean(np.any(np.sort(ours, axis=1) > least * (1 + 1e-6) + 1e-12, axis=1)))
    return float(np.abs(found.astype("float64") - truth).max() / np.abs(truth).max())


def measure(peer: Peer, spec: Spec, seconds: float) -> dict | None:
    """Shortest time of the calls, peak memory beyond the arrays, and error; None if the peer cannot do the case."""
    case = spec.case
    few = case.shrunk(max(1, max(case.size) // 100))
    small = few.arrays(spec.dtype)
    few.complete(small)
    loaded = peer.prepare(few, small)
    if loaded is None:
        return None
    loaded()
    arrays = case.arrays(spec.dtype)
    case.complete(arrays)
    function = peer.prepare(case, arrays)
    peak = PeakMemory()
    result = None
    times: list[float] = []
    while True:
        result = None  # the last one's memory
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
        # The first call of a shape sets things up, and counts only where a second one would last.
        lasts = times[0] > LONG and not peer.compiles_each_shape
        if lasts or (len(times) > 1 and (sum(times[1:]) > seconds or len(times) > 1000)):
            break
    memory = peak.read()
    found = peer.to_numpy(result)
    return {"seconds": min(times), "calls": len(times), "bytes": memory, "error": error(case, arrays, found)}


class Forecast:
    """How long a case will take, from smaller ones of its kind: the growth with pairs times columns goes on."""

    def __init__(self):
        self.known: list[tuple[float, float]] = []  # pairs times columns, seconds

    def learn(self, spec: Spec, seconds: float) -> None:
        self.known.append((spec.pairs * spec.dim, seconds))

    def seconds(self, spec: Spec) -> float:
        if not self.known:
            return 0.0
        work, last = self.known[-1]
        power = 1.0
        if len(self.known) > 1 and work > 1.5 * self.known[-2][0]:
            before, seconds = self.known[-2]
            power = float(np.clip(np.log(last / seconds) / np.log(work / before), 0.5, 1.0))
        return last * (spec.pairs * spec.dim / work) ** power


def main() -> int:
    task = json.load(sys.stdin)
    peer = PEERS[task["peer"]]
    reason = peer.missing()  # imports it
    if reason is not None:
        print(json.dumps({"skipped": reason}), flush=True)
        return 0
    forecasts: dict[str, Forecast] = {}
    for numbers in task["specs"]:
        spec = Spec(**numbers)
        forecast = forecasts.setdefault(spec.kind, Forecast())
        needed, foreseen = peer.bytes_needed(spec.case, spec.dtype), forecast.seconds(spec)
        if needed > task["bytes"]:
            row = {"skipped": f"would take about {needed / 1e9:.0f} GB"}
        elif foreseen > task["longest"]:
            row = {"skipped": f"would take about {foreseen:.0f} s"}
        else:
            row = measure(peer, spec, task["seconds"]) or {"skipped": "has no such function"}
            if "seconds" in row:
                forecast.learn(spec, row["seconds"])
        print(json.dumps({**numbers, **row}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
