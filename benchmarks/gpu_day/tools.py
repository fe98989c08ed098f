"""Steps 5 and 6: compute-sanitizer and ncu, each on one small launch of every shape of kernel, in processes of their own."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
import time
from pathlib import Path

from .cases import TEMPLATES, on_device, skkeops_call
from .run import ROOT, Run, Skipped

__all__ = ["profile", "sanitize"]

_LONGEST = 120.0  # seconds of compute-sanitizer after which nothing new begins
_STALLS = ("math_pipe_throttle", "long_scoreboard", "short_scoreboard")
_INSTRUCTIONS = "smsp__inst_executed.sum"  # of warps
METRICS = (
    "smsp__issue_active.avg.pct_of_peak_sustained_active", "sm__warps_active.avg.pct_of_peak_sustained_active",
    *(f"sm__inst_executed_pipe_{pipe}.avg.pct_of_peak_sustained_active" for pipe in ("fma", "alu", "xu", "fp64", "lsu")),
    "launch__registers_per_thread", "dram__bytes.sum", "lts__t_bytes.sum", _INSTRUCTIONS,
    *(f"smsp__warp_issue_stalled_{why}_per_warp_active.pct" for why in _STALLS),
)  # fmt: skip


def sanitize(run: Run) -> bool:
    """Look for reads and writes out of bounds, and for races: all kernels in one process, one by one if there is something.

    Return whether nothing was found.
    """
    tool = _tool(run, "compute-sanitizer")
    rows, begin = [], time.monotonic()
    for check in ("memcheck", "racecheck"):
        for names in (list(TEMPLATES), *([name] for name in TEMPLATES)):
            if run.left < 20 or time.monotonic() - begin > _LONGEST:
                run.say(f"compute-sanitizer: {check} of {', '.join(names)} not run, as the time is over")
                break
            done = _launch(run, [tool, "--tool", check, "--error-exitcode", "77"], names)
            text = done.stdout + done.stderr
            summary = next((line for line in reversed(text.splitlines()) if "SUMMARY" in line), text[-200:])
            rows.append({"tool": check, "kernels": " ".join(names), "exit": done.returncode, "summary": summary.strip()})
            run.write_csv("sanitizer.csv", rows)
            if done.returncode == 0 and len(names) > 1:
                break  # there is nothing to look for more closely
    wrong = [row for row in rows if row["exit"] != 0]
    run.say(f"compute-sanitizer: {len(rows)} runs, {len(wrong)} with errors")
    for row in wrong:
        run.say(f"  {row}")
    return not wrong


def profile(run: Run) -> None:
    """Count what keeps the kernels busy, and how many instructions a pair is, which is a floor for every template."""
    tool = _tool(run, "ncu")
    rows: list[dict] = []
    for name in TEMPLATES:
        if run.left < 10:
            run.say(f"ncu: {name} not run, as the time is over")
            continue
        options = [tool, "--clock-control", "none", "--csv", "--metrics", ",".join(METRICS)]
        done = _launch(run, options, [name])
        found = figures(done.stdout)
        if not found:
            run.say(f"ncu gave no table for {name}: {(done.stderr or done.stdout).strip()[-200:]}")
        rows += [{"template": name, **figure} for figure in found]
        run.write_csv("ncu.csv", rows)
        warps = sum(float(figure["value"].replace(",", "")) for figure in found if figure["metric"] == _INSTRUCTIONS)
        m, n = TEMPLATES[name].case.size
        if warps:
            run.say(f"ncu: {name}, {m} x {n}: {32 * warps / (m * n):.2f} instructions of a thread for each pair, merging included")
    run.say(f"ncu: {len(rows)} figures in ncu.csv")


def figures(text: str) -> list[dict]:
    """Return the figures of what ``ncu --csv`` prints after the output of the program."""
    lines = text.splitlines()
    begin = next((k for k, line in enumerate(lines) if line.startswith('"ID"')), None)
    if begin is None:
        return []
    names = {"kernel": "Kernel Name", "metric": "Metric Name", "unit": "Metric Unit", "value": "Metric Value"}
    table = csv.DictReader(io.StringIO("\n".join(lines[begin:])))
    return [{key: row.get(name) for key, name in names.items()} for row in table]


def _launch(run: Run, before: list[str], names: list[str]) -> subprocess.CompletedProcess:
    command = [*before, sys.executable, "-m", "benchmarks.gpu_day", "--launch", *names]
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=max(5.0, min(90.0, run.left - 5)))
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", "took too long")


def _tool(run: Run, name: str) -> str:
    if run.dry:
        for row in TEMPLATES.values():  # what it would be shown
            row = row.shrunk()
            skkeops_call(row, on_device(run.cupy, row))()
        raise Skipped(f"{name}: not run in a dry run")
    found = shutil.which(name) or _in_toolkit(name)
    if found is None:
        raise Skipped(f"{name} is not installed, or not on PATH: what it would show is not known")
    return found


def _in_toolkit(name: str) -> str | None:
    """Where CUDA or Nsight Compute's own installer puts a tool."""
    folders = [Path("/usr/local/cuda"), *sorted(Path("/usr/local").glob("cuda-*"), reverse=True)]
    places = [place for folder in folders for place in (folder / "bin" / name, folder / "compute-sanitizer" / name)]
    places += [folder / name for folder in sorted(Path("/opt/nvidia/nsight-compute").glob("*"), reverse=True)]
    return next((str(place) for place in places if place.is_file()), None)
