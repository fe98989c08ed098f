"""Steps 3 and 4: times of skkeops with each row's floor and the share of it, and of the peers in the same run.

A row has two floors: ``floor_ms``, the least for the best known form of the formula, which the aims speak of; and
``own_floor_ms``, the least for the instructions of our own kernel, counted in its machine code where there is a disassembler.
"""

from __future__ import annotations

import numpy as np

from . import slots
from .cases import ROWS, on_device, skkeops_call, timed_source
from .peers import PEERS
from .rates import Rates
from .run import Run, Skipped, milliseconds

__all__ = ["aims", "time_all"]

TOLERANCE = {"float32": 1e-3, "float64": 1e-9}
_DRY = 4  # rows of a dry run
_MOST_PAIRS = 2 * 10**10  # of peers that write the matrix of pairs


def time_all(run: Run, rates: Rates, table: list[dict], peers: tuple[str, ...] = ("KeOps",)) -> list[dict]:
    """Time every row while there is time, once with us and KeOps, and a second time with those that write the matrix of pairs,
    whose largest rows take minutes; write bench.csv after each."""
    said: set[str] = set()
    first = not table
    for row in ROWS[:_DRY] if run.dry else ROWS:
        m, n = row.case.size
        if not first and m * n > _MOST_PAIRS and not run.dry:
            continue
        if run.left < (60 if first else 30) and not run.dry:
            run.say(f"not timed, as the time is over: {row.label}")
            continue
        try:
            _time_row(run, rates, row.shrunk() if run.dry else row, table, peers, said)
        except Exception as error:  # the other rows are worth as much
            run.say(f"FAILED {row.label}: {type(error).__name__}: {str(error)[:300]}")
        run.write_csv("bench.csv", table)
        run.cupy.get_default_memory_pool().free_all_blocks()
    return table


def _time_row(run: Run, rates: Rates, row, table: list[dict], peers: tuple[str, ...], said: set[str]) -> None:
    arrays = on_device(run.cupy, row)
    ours = skkeops_call(row, arrays)
    expected = ours().get()
    m, n = row.case.size
    about = {"case": row.case.name, "title": row.case.title, "dtype": row.dtype, "M": m, "N": n}
    times = next((line for line in table if _key(line) == _key(about) and line["who"] == "skkeops"), None)
    if times is None:
        times = milliseconds(run, ours)
        found = _floor(rates, row, times["median_ms"])
        table.append({**about, "who": "skkeops", **times, **found, **_own_floor(run, rates, row, times["median_ms"])})
        run.write_csv("bench.csv", table)
    for name in peers:
        try:
            theirs = PEERS[name](run, row, arrays)
            result = theirs()
            if not getattr(result, "is_cuda", True):
                raise Skipped(f"{name} is not timed: its result is not on the GPU")
            difference = _disagreement(expected, result, row)
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


def _floor(rates: Rates, row, median_ms: float) -> dict:
    """Return the floor of the best known form."""
    floor = 1e3 * rates.floor(row.pair, *row.case.size)
    return {"floor_ms": floor, "share_of_floor": floor / median_ms if median_ms else float("nan"), "aim_share": row.share}


def _own_floor(run: Run, rates: Rates, row, median_ms: float) -> dict:
    """Return the instructions of a pair in our own kernel, and the floor that they make."""
    made = timed_source(row)
    arch = f"sm_{run.cupy.cuda.Device().compute_capability}"
    pair = slots.count(made, arch, row.pair.bytes_per_column)
    about = {"template": made.template}
    if pair is None:
        return about
    own = 1e3 * rates.floor(pair, *row.case.size)
    counted = {"slots": round(pair.slots, 2), "special": round(pair.mufu, 2), "fp64": round(pair.fp64, 2)}
    return {**about, **counted, "own_floor_ms": own, "share_of_own_floor": own / median_ms if median_ms else float("nan")}


def aims(table: list[dict]) -> list[dict]:
    """Return what is asked for, with what was found; None for a row that was not timed, or has no KeOps beside it."""
    ours = {_key(line): line for line in table if line["who"] == "skkeops"}
    keops = {_key(line): line for line in table if line["who"] == "KeOps"}
    found = []
    for row in ROWS:
        m, n = row.case.size
        key = (row.case.title, m, n, row.dtype)
        for what, aim, line, name in (
            ("times KeOps", row.aim, keops.get(key), "times_skkeops"),
            ("of the floor", row.share, ours.get(key), "share_of_floor"),
        ):
            if aim is not None:
                value = None if line is None else line[name]
                reached = None if value is None else bool(value >= aim)
                found.append({"row": row.label, "what": what, "aim": aim, "found": value, "reached": reached})
    return found


def _key(line: dict) -> tuple:
    return line["title"], line["M"], line["N"], line["dtype"]


def _disagreement(expected: np.ndarray, found, row) -> float:
    found = found.get() if hasattr(found, "get") else found.cpu().numpy()
    if row.kind == "argkmin":
        return 1e-2 * float(np.mean(np.sort(found) != np.sort(expected)))  # ties and the rounding of expanded squares
    found, expected = found.astype(np.float64).reshape(expected.shape), expected.astype(np.float64)
    return float(np.abs(found - expected).max() / np.abs(expected).max())
