"""What was measured, for the pages: ``.. report::``, the plots and tables of ``benchmarks.report``, and the bars of the front page.

All numbers are those of ``benchmarks/results``. Nothing is measured while the documentation is built.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from pictures import BLUE, GREY, Picture
from rst import Generated

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "cpu_2026_11"


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a table of measurements."""
    with open(RESULTS / f"{name}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def beside() -> Picture:
    """Times and memory of four kinds of work, beside scikit-learn, NumPy and SciPy."""
    learn, numpy = rows("scikit_learn"), rows("numpy")
    times = [
        ("log densities: 20 000 queries and samples", "scikit-learn", learn[0]),
        ("grid search: 20 bandwidths, 5000 samples", "scikit-learn", learn[2]),
        ("log-sum-exp of a kernel: 10 000 × 10 000", "NumPy and SciPy", numpy[1]),
    ]
    memory = [
        ("log-sum-exp of a kernel: 10 000 × 10 000", "NumPy and SciPy", numpy[1]),
        ("kernel ridge regression: 10 000 samples", "scikit-learn", learn[5]),
        ("kernel sum: 10 000 × 10 000", "NumPy and SciPy", numpy[0]),
    ]
    p = Picture(760, 330, "Time and memory of skkeops beside scikit-learn, NumPy and SciPy")
    half = 380
    for left, title, chosen, theirs, ours in (
        (0, "Time", times, None, "skkeops"),
        (half, "Memory", memory, "memory there", "memory here"),
    ):
        p.text(left + 20, 32, title, 17, anchor="start", weight="bold")
        known = [(work, library, row[theirs or library], row[ours]) for work, library, row in chosen]
        longest = max(amount(there) for _, _, there, _ in known)
        for k, (work, library, there, here) in enumerate(known):
            top = 52 + 92 * k
            p.text(left + 20, top + 12, work, 14, anchor="start")
            for line, (value, name, colour) in enumerate(((there, library, GREY), (here, "skkeops", BLUE))):
                y = top + 22 + 26 * line
                length = max(2, round(150 * amount(value) / longest))
                p.box(left + 20, y, length, 18, colour, colour, 2, 0)
                p.text(left + 28 + length, y + 14, f"{value}  {name}", 14, anchor="start")
    return p


def amount(text: str) -> float:
    """Return a duration in seconds, or a size in megabytes."""
    number, unit = text.split()
    return float(number) * {"s": 1, "MB": 1, "GB": 1000}[unit]


class Report(Generated):
    """The last ``report.json``, or how to make one."""

    package = "benchmarks"

    def lines(self):
        path = RESULTS / "report.json"
        self.env.note_dependency(str(path))
        if not path.exists():
            return [
                "The report of this version has not been measured yet, as this takes a machine that does nothing else. The command",
                "writes it to where this page looks for it; the next build shows its plots and tables here.",
            ]
        sys.path.append(str(ROOT))  # behind the installed package, which stays the one that is imported
        from benchmarks.report import markdown, plots
        from benchmarks.report.results import Results

        results = Results.from_dict(json.loads(path.read_text(encoding="utf-8")))
        folder = Path(self.env.app.srcdir) / "generated" / "measured"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"Measured on {results.about['date']}: {results.about.get('machine', '')}", ""]
        lines += ["Where another library is faster", "~" * 31, "", *as_rst(markdown.losses(results))]
        lines += ["How cost grows", "~" * 14, "", "The exponent of N between the last two sizes.", ""]
        lines += as_rst(markdown.growth(results))
        for sweep in results.sweeps:
            lines += [sweep.title, "~" * len(sweep.title), ""]
            if sweep.varied:
                lines += [f".. image:: generated/measured/{plots.draw(sweep, results, folder, 'svg')}", "   :width: 100%", ""]
            lines += as_rst(markdown.times(sweep, results))
        if results.marks:
            lines += ["Not measured", "~" * 12, ""]
            lines += [f"* {mark}: {reason}" for reason, mark in results.marks.items()]
        return lines


def as_rst(markdown: str) -> list[str]:
    """A table of Markdown as one of reStructuredText."""
    if not markdown.startswith("|"):
        return [markdown, ""]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()]
    lines = [".. list-table::", "   :header-rows: 1", "   :class: wide", ""]
    for row in (table[0], *table[2:]):
        lines += [f"   {'* -' if k == 0 else '  -'} {cell}".rstrip() for k, cell in enumerate(row)]
    return [*lines, ""]


def draw(app) -> None:
    folder = Path(app.srcdir) / "generated" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    path, text = folder / "beside.svg", beside().svg()
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def setup(app):
    app.connect("builder-inited", draw)
    app.add_directive("report", Report)
    return {"parallel_read_safe": True}
