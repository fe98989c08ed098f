"""The report as text: one table of times, one of memory and one of errors for each sweep."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from ..peers import PEERS
from .results import Results, Row
from .sweeps import Spec, Sweep

OURS = "skkeops"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{three_digits(seconds / scale)} {unit}"
    return f"{three_digits(seconds * 1e6)} µs"


def three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def size(count: float | None) -> str:
    return "" if count is None else f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def number(value: int) -> str:
    return f"{value:,}".replace(",", " ")


def table(head: Iterable[str], rows: Iterable[Iterable[str]], align: str = "--:") -> str:
    head = list(head)
    lines = [head, ["---"] + [align] * (len(head) - 1), *map(list, rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def label(sweep: Sweep, spec: Spec) -> str:
    if sweep.varied:
        return number(getattr(spec, sweep.varied))
    return f"{spec.case.title}, {number(spec.rows)} x {number(spec.columns)}, D = {spec.dim}"


def times(sweep: Sweep, results: Results) -> str:
    """A row for each spec; the shortest time in bold; the machine's limit, and the share of it that we reach."""
    peers = results.peers
    rows = []
    for spec in sweep.specs:
        found = {peer: results.get(sweep, peer, spec) for peer in peers}
        known = [row.seconds for row in found.values() if row and row.seconds]
        cells = []
        for peer in peers:
            row = found[peer]
            text = duration(row.seconds) if row and row.seconds else results.mark(row)
            cells.append(f"**{text}**" if row and row.seconds and row.seconds == min(known) else text)
        ours, limit = found.get(OURS), results.limit(spec)
        reached = f"{limit / ours.seconds:.0%}" if ours and ours.seconds and limit else ""
        rows.append([label(sweep, spec), *cells, duration(limit), reached])
    return table([sweep.varied and "size" or "", *(PEERS[p].title for p in peers), "limit", "reached"], rows)


def others(sweep: Sweep, results: Results, what: Callable[[Row], str]) -> str:
    rows = []
    for spec in sweep.specs:
        found = [results.get(sweep, peer, spec) for peer in results.peers]
        rows.append([label(sweep, spec), *(what(row) if row and row.seconds else results.mark(row) for row in found)])
    return table([sweep.varied and "size" or "", *(PEERS[p].title for p in results.peers)], rows)


def losses(results: Results) -> str:
    """Every measurement where another library took less time than skkeops."""
    rows = []
    for sweep in results.sweeps:
        for spec in sweep.specs:
            ours = results.get(sweep, OURS, spec)
            for peer in results.peers:
                theirs = results.get(sweep, peer, spec)
                if (
                    peer != OURS
                    and ours
                    and theirs
                    and ours.seconds
                    and theirs.seconds
                    and theirs.seconds < ours.seconds
                ):
                    work = (
                        f"{spec.case.title}, {number(spec.rows)} x {number(spec.columns)}, D = {spec.dim}, {spec.dtype}"
                    )
                    row = (work, PEERS[peer].title, duration(theirs.seconds), duration(ours.seconds))
                    rows.append((ours.seconds / theirs.seconds, row))
    if not rows:
        return "None in this run."
    unique = dict.fromkeys(row for _, row in sorted(rows, reverse=True))
    ratios = {row: ratio for ratio, row in rows}
    return table(["work", "library", "its time", "skkeops", "ratio"], ([*row, f"{ratios[row]:.1f}"] for row in unique))


def growth(results: Results) -> str:
    """The exponents of the last two sizes: 2 is the growth of the pairs."""
    rows = []
    for sweep in results.sweeps:
        if sweep.varied not in ("rows", "columns"):
            continue
        for what, of in (("time", lambda row: row.seconds), ("memory", lambda row: row.bytes)):
            cells = []
            for peer in results.peers:
                found = [(getattr(s, sweep.varied), results.get(sweep, peer, s)) for s in sweep.specs]
                known = [(n, of(row)) for n, row in found if row and row.seconds and of(row) and of(row) > 0]
                if len(known) < 2 or (what == "memory" and known[-1][1] < 2e6):
                    cells.append("flat" if known and what == "memory" else "")
                    continue
                (n, a), (m, b) = known[-2:]
                cells.append(f"{math.log(b / a) / math.log(m / n):.1f}")
            rows.append([f"{sweep.title.split(',')[0]}, {what}", *cells])
    return table(["exponent of N", *(PEERS[p].title for p in results.peers)], rows)


def write(results: Results, pictures: dict[str, str]) -> str:
    parts = [
        "# skkeops beside other libraries",
        table(["", ""], [[k, str(v)] for k, v in results.about.items()], "---"),
    ]
    parts.append(
        "Each library does the same work on the same arrays, sweep by sweep in a process of its own, on all cores, warm: the "
        "shortest of several calls. *Memory* is how far the process rises above its size before the calls: the result and "
        "all that is needed on the way. *Error* is the largest difference from float64 values of NumPy and SciPy on 100 rows, "
        "relative to the largest value; for indices, the share of rows whose distances are not the smallest. *Limit* is the "
        "time that the arithmetic of all pairs would take at the highest rates measured on this machine, were nothing else "
        "to be done; *reached* is skkeops' share of it (above 100 %: the caches or the rates at that moment were better)."
    )
    parts.append(
        table(
            ["library", "version", "how"],
            ([PEERS[p].title, results.versions[p], PEERS[p].note] for p in results.peers),
            "---",
        )
    )
    parts += [f"* {reason}" for reason in results.missing]
    parts += ["## Where another library is faster", losses(results)]
    parts += ["## How cost grows", "The slope between the last two sizes that were measured; the pairs grow with 2 "
              "where both sides do, with 1 where one does. *flat*: less than 2 MB.", growth(results)]  # fmt: skip
    for sweep in results.sweeps:
        parts.append(f"## {sweep.title}")
        if sweep.name in pictures:
            parts.append(f"![{sweep.title}]({pictures[sweep.name]})")
        parts += ["Time:", times(sweep, results), "Memory:", others(sweep, results, lambda row: size(row.bytes))]
        parts += ["Error:", others(sweep, results, lambda row: f"{row.error:.0e}" if row.error else "0")]
    if results.marks:
        parts.append("## Not measured")
        parts += [f"{mark}: {reason}  " for reason, mark in results.marks.items()]
    return "\n\n".join(parts) + "\n"
