"""``python -m benchmarks.report --out DIR``: skkeops beside NumPy, scikit-learn, KeOps, PyTorch and JAX, as a page with plots.

Over sizes from 100 to a million, 1 to 784 columns, ten kinds of work and two dtypes: time, peak memory, error, the share
of the machine's limit. DIR gets ``report.md``, its pictures, and ``report.json`` with all figures. A library that is not
installed is left out, with a sentence.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from .. import limits
from ..__main__ import TOLERANCE, describe
from ..peers import PEERS
from . import markdown
from .results import Results, Row
from .sweeps import Sweep, sweeps


def installed(names: list[str], quick: bool) -> tuple[list[str], list[str]]:
    """The peers that can run, and sentences about those that cannot."""
    peers, missing = [], []
    for name in names:
        peer = PEERS[name]
        reason = (
            f"{peer.title} is not compared in a quick report: it compiles C++"
            if quick and peer.compiles
            else peer.missing()
        )
        if reason is None:
            peers.append(name)
        else:
            missing.append(reason)
    return peers, missing


def run_apart(peer: str, sweep: Sweep, args: argparse.Namespace, show) -> dict:
    """The rows of one library for one sweep, by a process of its own."""
    task = {
        "peer": peer,
        "seconds": args.seconds,
        "longest": args.longest,
        "bytes": args.gigabytes * 1e9,
        "specs": [asdict(spec) for spec in sweep.specs],
    }
    command = [sys.executable, "-m", "benchmarks.report.measure"]
    rows = {}
    with tempfile.TemporaryFile("w+") as complaints:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": complaints}
        with subprocess.Popen(command, text=True, **pipes) as process:
            process.stdin.write(json.dumps(task))
            process.stdin.close()
            for spec, line in zip(sweep.specs, lines_of_json(process.stdout), strict=False):
                rows[spec] = Row(**{name: line[name] for name in Row.__dataclass_fields__ if name in line})
                show(len(rows))
        complaints.seek(0)
        last = (complaints.read().strip().splitlines() or [""])[-1]
    for spec in sweep.specs:
        if spec not in rows:
            rows[spec] = Row(skipped=f"failed with exit status {process.returncode}: {last}")
    return rows


def lines_of_json(lines):
    """What a process says that is meant for us: libraries print, too."""
    for line in lines:
        if line.startswith("{"):
            yield json.loads(line)


def measure(results: Results, args: argparse.Namespace) -> None:
    start = time.perf_counter()
    total = len(results.sweeps) * len(results.peers)
    on_screen = sys.stderr.isatty()
    done = 0
    for sweep in results.sweeps:
        for machine in results.machines.values():
            machine.again()
        for peer in results.peers:
            done += 1
            head = f"[{done}/{total}, {time.perf_counter() - start:.0f} s] {sweep.name}: {PEERS[peer].title}"

            def show(k, head=head, sweep=sweep):
                if on_screen:
                    print(f"\r\033[K{head} {k}/{len(sweep.specs)}", end="", file=sys.stderr, flush=True)

            if not on_screen:
                print(head, file=sys.stderr, flush=True)
            show(0)
            rows = run_apart(peer, sweep, args, show)
            results.rows.update({(sweep.name, peer, spec): row for spec, row in rows.items()})
    if on_screen:
        print("\r\033[K", end="", file=sys.stderr)


def write(results: Results, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {}
    try:
        from . import plots

        pictures = {sweep.name: plots.draw(sweep, results, folder) for sweep in results.sweeps if sweep.varied}
    except ImportError as error:
        print(f"no pictures ({error}): pip install matplotlib", file=sys.stderr)
    page = folder / "report.md"
    page.write_text(markdown.write(results, pictures), encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(results.as_dict(), indent=1), encoding="utf-8")
    return page


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", metavar="DIR", default="report", help="where to write (default: report)")
    parser.add_argument("--quick", action="store_true", help="few and small: seconds, to see that it runs")
    others = [name for name in PEERS if name != markdown.OURS]
    parser.add_argument(
        "--peers", nargs="*", choices=others, default=others, help="the others (default: all that are installed)"
    )
    parser.add_argument("--sweeps", nargs="+", metavar="SWEEP", help="only these; their names are in the progress line")
    parser.add_argument("--seconds", type=float, help="for the calls of one measurement (default: 0.2; quick: 0.01)")
    parser.add_argument("--longest", type=float, default=4.0, help="what would take longer is not run (default: 4 s)")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="what would take more is not run (default: 4)")
    args = parser.parse_args(argv)
    args.seconds = args.seconds or (0.01 if args.quick else 0.2)

    peers, missing = installed([markdown.OURS, *args.peers], args.quick)
    for reason in missing:
        print(reason, file=sys.stderr)
    if markdown.OURS not in peers:
        return 2
    chosen = tuple(sweep for sweep in sweeps(args.quick) if not args.sweeps or sweep.name in args.sweeps)
    if not chosen:
        parser.error(
            f"--sweeps must be some of {', '.join(sweep.name for sweep in sweeps(args.quick))}: found {args.sweeps}"
        )
    about = {**describe(with_keops=False), "date": time.strftime("%Y-%m-%d")}
    if os.getloadavg()[0] > 0.5:
        busy = f"other programs kept {os.getloadavg()[0]:.1f} cores busy: wait for a quiet machine before believing the figures"
        print(busy, file=sys.stderr)
        about["note"] = busy
    machines = {}
    try:
        machines = {dtype: limits.Machine(dtype) for dtype in ("float32", "float64")}
    except limits.LimitsError as error:
        print(error, file=sys.stderr)
    results = Results(about, chosen, peers, {name: PEERS[name].version() for name in peers}, missing, machines)
    measure(results, args)
    page = write(results, Path(args.out))
    print(page.read_text(encoding="utf-8"))
    print(f"written to {page}", file=sys.stderr)
    problems = [
        f"{PEERS[peer].title}: {row.skipped}"
        for (_, peer, _), row in results.rows.items()
        if row.skipped and row.skipped.startswith("failed")
    ]
    problems += [
        f"skkeops: {spec} is wrong by {row.error:.1e}"
        for (_, peer, spec), row in results.rows.items()
        if peer == markdown.OURS and row.error is not None and not row.error <= TOLERANCE[spec.dtype]
    ]
    for problem in dict.fromkeys(problems):
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
