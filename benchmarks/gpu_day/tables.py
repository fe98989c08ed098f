"""The times and the aims, as tables to be printed and as a page."""

from __future__ import annotations

from collections.abc import Iterable

from . import grid
from .run import Run

__all__ = ["say_aims", "say_times", "write_page"]


def say_times(run: Run, rows: list[dict]) -> None:
    """Print the times as one table, what was timed together one below the other."""
    run.say(f"{'':52} {'who':16} {'ms':>10} {'floor':>10} {'reached':>8} {'x skkeops':>9}")
    for row in _ordered(rows):
        title = _title(row)[:52] if row["who"] == "skkeops" else ""
        floor = f"{row['floor_ms']:.4g}" if "floor_ms" in row else ""
        reached = f"{row['share_of_floor']:.0%}" if "share_of_floor" in row else ""
        ratio = f"{row['times_skkeops']:.2f}" if "times_skkeops" in row else ""
        run.say(f"{title:52} {row['who']:16} {row['median_ms']:10.4g} {floor:>10} {reached:>8} {ratio:>9}")


def say_aims(run: Run, rows: list[dict]) -> None:
    """Print what is asked for beside what was found."""
    run.say(f"{'aims':58} {'':14} {'aim':>7} {'found':>7}")
    for line in grid.aims(rows):
        value = "-" if line["found"] is None else f"{line['found']:.2f}"
        verdict = "" if line["reached"] is None else "reached" if line["reached"] else "MISSED"
        run.say(f"{line['row'][:58]:58} {line['what']:14} {line['aim']:7.2f} {value:>7} {verdict}")


def write_page(run: Run, device: str, rows: list[dict]) -> None:
    """Write ``results.md``: a line for each row of the table, with the times of the peers divided by ours."""
    peers = list(dict.fromkeys(row["who"] for row in rows if row["who"] != "skkeops"))
    lines = [
        f"# {device}",
        "",
        "Times are medians of the device's own clock, for arrays that are there. A peer's column is its time divided by ours:",
        "above 1 we are faster. *floor* is the share of what the best known form of the formula can reach, at the rates measured",
        "in this run.",
        "",
        f"| work | dtype | template | ms | floor | {' | '.join(peers)} |",
        f"|---|---|---|---|---|{'---|' * len(peers)}",
    ]
    for row in rows:
        if row["who"] != "skkeops":
            continue
        beside = {other["who"]: other for other in rows if _key(other) == _key(row)}
        ratios = [_short(beside[who]["times_skkeops"]) if who in beside else "" for who in peers]
        reached = f"{row['share_of_floor']:.0%}" if "share_of_floor" in row else ""
        work = f"{row['title']}, {row['M']} x {row['N']}".replace("|", "\\|")
        cells = [work, row["dtype"], row.get("template", ""), f"{row['median_ms']:.4g}", reached, *ratios]
        lines.append(f"| {' | '.join(cells)} |")
    kept = ("comparisons", "compute-sanitizer", "tests of")
    lines += ["", *[f"* {sentence}" for sentence in run.sentences if any(word in sentence for word in kept)]]
    (run.out / "results.md").write_text("\n".join(lines) + "\n")


def _ordered(rows: list[dict]) -> Iterable[dict]:
    """Each row of ours, followed by those of the peers."""
    for row in rows:
        if row["who"] == "skkeops":
            yield row
            yield from (other for other in rows if other["who"] != "skkeops" and _key(other) == _key(row))


def _key(row: dict) -> tuple:
    return row["title"], row["M"], row["N"], row["dtype"]


def _title(row: dict) -> str:
    return f"{row['title']}, {row['M']} x {row['N']}, {row['dtype']}"


def _short(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.3g}"
