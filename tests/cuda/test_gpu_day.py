"""The script for a day with a GPU, as a dry run on the stand-in: it must work when the day comes."""

import csv
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory, emulator):
    out = tmp_path_factory.mktemp("gpu_day")
    command = [sys.executable, "-m", "benchmarks.gpu_day", "--dry-run", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_correctness(results):
    found = rows(results[0] / "correct.csv")
    assert found and all(row["ok"] == "True" and float(row["error"]) < 1e-4 for row in found)


def test_rates(results):
    found = json.loads((results[0] / "rates.json").read_text())
    names = {"ex2", "ffma", "fmnmx", "f2f", "dfma", "lds128", "copy", "launch_8_arguments_us", "genred_call_us", "compile_ms"}
    assert names <= found["per_second"].keys() and all(rate > 0 for rate in found["per_second"].values())
    assert "graph_replay_us" in found["per_second"]


def test_times(results):
    found = rows(results[0] / "bench.csv")
    ours = [row for row in found if row["who"] == "skkeops"]
    assert {row["case"] for row in ours} == {"gauss3", "lse", "argkmin"}
    assert all(float(row["median_ms"]) > 0 and float(row["floor_ms"]) > 0 for row in ours)
    theirs = [row for row in found if row["who"] == "CuPy in chunks"]
    assert len(theirs) == len(ours) and all(float(row["differs"]) < 1e-3 for row in theirs)


def test_what_is_absent_is_said(results):
    out, printed = results
    summary = json.loads((out / "summary.json").read_text())
    said = "\n".join(summary["sentences"])
    assert summary["right"] and summary["dry_run"] and "no figure below means anything" in said
    for tool in ("compute-sanitizer", "ncu"):
        assert f"{tool}: not run in a dry run" in said
    assert said in printed and (out / "env.txt").read_text()


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.gpu_day import correct, rates, tools

    return correct, rates, tools


def test_wrong_results_are_found(scripts):
    correct, *_ = scripts
    assert correct._error(np.array([1.0, 2.0]), np.array([1.0, 2.1])) > 1e-2
    assert correct._error(np.array([np.nan]), np.array([1.0])) == float("inf")
    assert correct._error(np.arange(1000), np.arange(1000)[::-1]) > 1e-3


def test_floors(scripts):
    """The floor is that of the unit that a formula keeps busiest, or of the memory."""
    _, rates, _ = scripts
    from benchmarks.gpu_day.cases import Pair

    found = rates.Rates({}, 100, 1e9)
    assert found.floor(Pair(slots=12.8), 1000, 1000) == pytest.approx(1e6 * 12.8 / 128e11)
    assert found.floor(Pair(slots=1, mufu=1), 1000, 1000) == pytest.approx(1e6 / 16e11)
    assert found.floor(Pair(slots=1, fp64=10), 1000, 1000) == pytest.approx(1e6 * 10 / 64e11)
    assert found.floor(Pair(slots=1, bytes_per_column=16), 1, 10**7) == pytest.approx(16e7 / 4.3e12)


def test_the_table_of_ncu_is_read(scripts):
    *_, tools = scripts
    text = (
        "==PROF== Connected\nsome output\n"
        '"ID","Process ID","Kernel Name","Metric Name","Metric Unit","Metric Value"\n'
        '"0","12","rows","dram__bytes.sum","byte","1,024"\n'
        '"0","12","rows","launch__registers_per_thread","register/thread","40"\n'
    )
    assert tools.figures(text)[0] == {"kernel": "rows", "metric": "dram__bytes.sum", "unit": "byte", "value": "1,024"}
    assert len(tools.figures(text)) == 2 and tools.figures("==ERROR== no permission") == []
