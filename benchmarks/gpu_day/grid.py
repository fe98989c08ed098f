"""Steps 3 and 4: times of skkeops with each row's floor and the share of it, and of the peers in the same run."""

from __future__ import annotations

import numpy as np

from .cases import ROWS, on_device, skkeops_call
from .peers import PEERS
from .rates import Rates
from .run import Run, Skipped, milliseconds

__all__ = ["time_all"]

TOLERANCE = {"float32": 1e-3, "float64": 1e-9}
_DRY = 4  # rows of a dry run


def time_all(run: Run, rates: Rates) -> list[dict]:
    """Time every row while there is time; write bench.csv after each."""
    table: list[dict] = []
    said: set[str] = set()
    for row in ROWS[:_DRY] if run.dry else ROWS:
        if run.left < 150 and not run.dry:
            run.say(f"not timed, as the time is over: {row.label}")
            continue
        row = row.shrunk() if run.dry else row
        arrays = on_device(run.cupy, row)
        ours = skkeops_call(row, arrays)
        expected = ours().get()
        m, n = row.case.size
        floor = 1e3 * rates.floor(row.pair, m, n)
        times = milliseconds(run, ours)
        reached = floor / times["median_ms"] if times["median_ms"] else float("nan")
        about = {"case": row.case.name, "title": row.case.title, "dtype": row.dtype, "M": m, "N": n}
        table.append({**about, "who": "skkeops", **times, "floor_ms": floor, "share_of_floor": reached})
        for name, prepare in PEERS.items():
            try:
                theirs = prepare(run, row, arrays)
                difference = _disagreement(expected, theirs(), row)
                if difference > TOLERANCE[row.dtype]:
                    raise Skipped(f"{name} is not timed for {row.label}: its result differs by {difference:.1e}")
                found = milliseconds(run, theirs)
            except Skipped as reason:
                if str(reason) not in said:
                    said.add(str(reason))
                    run.say(str(reason))
                continue
            except Exception as error:  # a peer that fails, such as for want of memory, is a row without a time
                run.say(f"{name} failed for {row.label}: {type(error).__name__}: {str(error)[:200]}")
                continue
            ratio = found["median_ms"] / times["median_ms"] if times["median_ms"] else float("nan")
            aim = row.aim if name == "KeOps" else None
            table.append({**about, "who": name, **found, "times_skkeops": ratio, "aim": aim, "differs": difference})
        run.write_csv("bench.csv", table)
        del arrays, ours
        run.cupy.get_default_memory_pool().free_all_blocks()
    return table


def _disagreement(expected: np.ndarray, found, row) -> float:
    found = found.get() if hasattr(found, "get") else found.cpu().numpy()
    if row.kind == "argkmin":
        return 1e-2 * float(np.mean(np.sort(found) != np.sort(expected)))  # ties and the rounding of expanded squares
    found, expected = found.astype(np.float64).reshape(expected.shape), expected.astype(np.float64)
    return float(np.abs(found - expected).max() / np.abs(expected).max())
