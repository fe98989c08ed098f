"""The script for a day with a GPU, as a dry run on the stand-in: it must work when the day comes."""

import csv
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from . import nvrtc, zoo
from .conftest import _device_exists

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


def test_the_zoo(results):
    found = rows(results[0] / "zoo.csv")
    assert {row["template"] for row in found} == {"rows", "columns", "wide"} and all(row["ok"] == "True" for row in found)
    assert all(float(row["error"]) < 1e-5 and row["same_bits"] == "True" for row in found)  # the emulator beside itself


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
    if nvrtc.available() and nvrtc.disassembler():
        assert [float(row["slots"]) for row in ours] == pytest.approx([8.7, 5.8, 8.3, 8.7], abs=0.4)
        assert all(float(row["own_floor_ms"]) > float(row["floor_ms"]) for row in ours)
    theirs = [row for row in found if row["who"] == "CuPy in chunks"]
    assert len(theirs) == len(ours) and all(float(row["differs"]) < 1e-3 for row in theirs)


def test_skipping(results):
    found = rows(results[0] / "skipping.csv")
    assert len(found) == 4 and {row["dtype"] for row in found} == {"float32", "float64"}
    assert all(row["ok"] == "True" for row in found)
    assert all(float(row["share"]) < 0.5 for row in found if row["method"] == "truncation")
    assert {"sum, rtol=1e-06", "10 nearest"} == {row["what"] for row in found}


def test_what_is_absent_is_said(results):
    out, printed = results
    summary = json.loads((out / "summary.json").read_text())
    said = "\n".join(summary["sentences"])
    assert summary["right"] and summary["dry_run"] and "no figure below means anything" in said
    for tool in ("compute-sanitizer", "ncu"):
        assert f"{tool}: not run in a dry run" in said
    assert said in printed and (out / "env.txt").read_text()
    asked = summary["aims"]
    assert ("times KeOps", 100.0) in {(line["what"], line["aim"]) for line in asked} and len(asked) > 10
    assert all(line["found"] is None for line in asked)  # no row of a dry run has the size of an aim
    page = (out / "results.md").read_text()
    assert page.startswith("# a dry run") and page.count("| float32 | rows |") == 4 and "CuPy in chunks" in page


@pytest.fixture
def day(monkeypatch, emulated, tmp_path):
    """A day of steps that a test chooses."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.gpu_day import steps
    from benchmarks.gpu_day.run import Run

    def make(**functions):
        monkeypatch.setattr(steps, "STEPS", {name: steps.Step(function) for name, function in functions.items()})
        return steps.Day(Run(tmp_path, emulated, True, time.monotonic() + 100))

    return make


def test_a_step_that_breaks_leaves_the_others_theirs(day):
    begun = []

    def breaks(of):
        begun.append("breaks")
        raise ValueError("no such thing")

    found = day(breaks=breaks, wrong=lambda of: False, right=lambda of: begun.append("right"))
    assert found.go() is False and begun == ["breaks", "right"]
    assert "BROKEN breaks: ValueError: no such thing" in found.run.sentences
    assert not json.loads((found.run.out / "summary.json").read_text())["right"]


def test_a_lost_context_goes_on_in_a_new_process(day, monkeypatch):
    """An illegal address in a kernel leaves nothing usable: what is left to do is done by a new process."""
    found, started = day(first=lambda of: None, second=lambda of: None), []

    def execute(path, command):
        started.append(command)
        raise SystemExit

    def lost():
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr(os, "execv", execute)
    monkeypatch.setattr(found.run.cupy.cuda.runtime, "deviceSynchronize", lost)
    with pytest.raises(SystemExit):
        found.go()
    assert started[0][-2:] == ["--without", "first"] and "--keep-going" in started[0]


def test_the_rest_of_the_day_is_left_out_after_a_wrong_result(day, monkeypatch):
    from benchmarks.gpu_day import steps

    found = day(wrong=lambda of: False)
    monkeypatch.setitem(steps.STEPS, "times", steps.Step(lambda of: pytest.fail("timed what is wrong"), needs_right=True))
    assert found.go() is False


def test_what_is_carried_to_another_machine(monkeypatch, tmp_path):
    """The engine goes into the clone, the variables name what was brought, the results come back as one file."""
    import tarfile
    import zipfile

    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.gpu_day import there

    prepared, clone = tmp_path / "prepared", tmp_path / "clone"
    (prepared / "wheels").mkdir(parents=True)
    clone.mkdir()
    with zipfile.ZipFile(prepared / "wheels" / "skkeops-0-cp311-cp311-linux.whl", "w") as wheel:
        for name in ("_engine.cp311.so", "_engine.pyi", "codes.py"):
            wheel.writestr(f"skkeops/backends/cpu/{name}", "text")
    with tarfile.open(prepared / "python_headers.tgz", "w:gz") as tar:
        (tmp_path / "Python.h").write_text("")
        tar.add(tmp_path / "Python.h", arcname="Python.h")
    monkeypatch.setattr(there, "ROOT", clone)
    monkeypatch.setattr(there.sysconfig, "get_path", lambda name: str(tmp_path / "nothing"))
    monkeypatch.delenv("CPATH", raising=False)
    variables = there.environment(prepared, tmp_path / "site")
    assert [path.name for path in clone.rglob("*") if path.is_file()] == ["_engine.cp311.so"]
    assert pathlib.Path(variables["CPATH"], "Python.h").exists()
    assert variables["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path / "site")
    there.pack(prepared, tmp_path / "out")
    there.pack(prepared, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["results.tgz"]
    with tarfile.open(tmp_path / "out" / "results.tgz") as tar:
        assert any(name.endswith("python_headers.tgz") for name in tar.getnames())


def test_the_sources_that_are_compiled_before(scripts):
    from benchmarks.gpu_day import warm

    found = {made.text for made in warm.sources(dry=True)}
    assert 3 <= len(found) <= 8 and all("skk_" in text for text in found)


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


def test_aims_beside_what_was_found(scripts):
    from benchmarks.gpu_day import grid

    about = {"title": "Sum of Exp(-SqDist(x,y))*b, D=3", "M": 10**6, "N": 10**6, "dtype": "float32"}
    table = [{**about, "who": "skkeops", "share_of_floor": 0.8}, {**about, "who": "KeOps", "times_skkeops": 1.4}]
    found = [line for line in grid.aims(table) if line["found"] is not None]
    assert [(line["what"], line["reached"]) for line in found] == [("times KeOps", False), ("of the floor", True)]


def test_without_a_device_it_says_so(tmp_path):
    if _device_exists():
        pytest.skip("there is a device")
    command = [sys.executable, "-m", "benchmarks.gpu_day", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "there is no GPU to use: " in done.stderr and not (tmp_path / "out").exists()


def test_the_tools(scripts, stand_in, tmp_path, monkeypatch):
    """What compute-sanitizer and ncu print is read; errors are looked for kernel by kernel."""
    *_, tools = scripts
    from benchmarks.gpu_day.cases import TEMPLATES
    from benchmarks.gpu_day.run import Run

    sanitizer, ncu = tmp_path / "compute-sanitizer", tmp_path / "ncu"
    sanitizer.write_text(
        '#!/bin/sh\ncase "$*" in *racecheck*dot*) echo "========= RACECHECK SUMMARY: 1 hazard"; exit 77;; esac\n'
        'echo "========= ERROR SUMMARY: 0 errors"\n'
    )
    ncu.write_text('#!/bin/sh\necho \'"ID","Kernel Name","Metric Name","Metric Unit","Metric Value"\n"0","k","m","%","50"\'\n')
    for tool in (sanitizer, ncu):
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    run = Run(tmp_path, stand_in, False, time.monotonic() + 1000)
    tools.sanitize(run)
    tools.profile(run)
    found = rows(tmp_path / "sanitizer.csv")
    assert [row["exit"] for row in found if row["tool"] == "memcheck"] == ["0"]  # all kernels in one run
    races = [row for row in found if row["tool"] == "racecheck"]
    assert [row["kernels"] for row in races if row["exit"] != "0"] == [" ".join(TEMPLATES), "dot"]
    assert len(races) == 1 + len(TEMPLATES) and "hazard" in races[0]["summary"]
    assert [row["template"] for row in rows(tmp_path / "ncu.csv")] == list(TEMPLATES)
    assert any("with errors" in sentence for sentence in run.sentences)
    run.end = 0.0
    tools.sanitize(run)
    assert any("as the time is over" in sentence for sentence in run.sentences)


def test_the_kernels_of_the_zoo_are_all_there():
    found = zoo.kernels()
    kinds = {kernel.kind for kernel in found}
    assert kinds == {"reductions", "columns", "gradients", "dot", "matrix", "wide", "pairs", "operations"} and len(found) > 250
    kernel = next(kernel for kernel in found if kernel.name == "gaussian by x")
    assert [a.shape for a in kernel.arrays(4, 5)][1:3] == [(4, 3), (5, 3)]


def test_a_wrong_kernel_is_found(scripts, emulated, tmp_path, monkeypatch):
    """A kernel that gives something else: a sentence, a row, and the script stops."""
    from benchmarks.gpu_day import zoo as step
    from benchmarks.gpu_day.run import Run

    class Wrong(step.DeviceModule):
        def launch(self, name, grid, block, args, order=0):
            super().launch(name, grid, block, args, order)
            args[-4][...] += 1e-2  # the output

    monkeypatch.setattr(step, "DeviceModule", Wrong)
    run = Run(tmp_path, emulated, True, float("inf"))
    assert step.check_kernels(run) is False
    assert any("WRONG sum" in sentence for sentence in run.sentences)
    assert {row["ok"] for row in rows(tmp_path / "zoo.csv")} == {"False"}


def test_keops_finds_everything_in_one_folder(scripts, tmp_path):
    from benchmarks.gpu_day import keops_env

    wheel, toolkit, driver = (tmp_path / name for name in ("wheel", "toolkit", "driver"))
    files = ["include/nvrtc.h", "include/crt/host_defines.h", "lib/libnvrtc.so.13", "lib/libnvrtc-builtins.so.13.0"]
    for folder, names in (
        (wheel, files),
        (toolkit, ["include/cuda.h", "include/nvrtc.h", "include/crt/other.h", "lib64/libcudart.so.13"]),
        (driver, ["libcuda.so.1"]),
    ):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(str(folder))
    joined = tmp_path / "joined"
    assert keops_env.join(joined, [wheel, toolkit], [driver]) == ["cuda_fp16.h"]
    for name, owner in (
        ("include/cuda.h", toolkit), ("include/nvrtc.h", wheel), ("include/crt/other.h", toolkit),
        ("include/crt/host_defines.h", wheel), ("lib64/libnvrtc.so", wheel), ("lib64/libnvrtc.so.13", wheel),
        ("lib64/libcuda.so", driver), ("lib64/libcuda.so.1", driver), ("lib64/libcudart.so", toolkit),
    ):  # fmt: skip
        assert (joined / name).read_text() == str(owner), name
    assert "libcudart" in keops_env.join(joined, [wheel], [driver])
    printed = f"\tlibcuda.so.1 (libc6,x86-64) => {driver}/libcuda.so.1\n\tlibm.so.6 (libc6) => /lib/libm.so.6\n"
    assert keops_env.driver_folders(printed)[-1] == str(driver) and "/lib" not in keops_env.driver_folders(printed)
    variables, _ = keops_env.environment(joined, {"PATH": "here", "LD_LIBRARY_PATH": "there"})
    assert variables["LD_LIBRARY_PATH"] == f"{joined}/lib64:there" and variables["PATH"] == "here"
    assert variables["LIBRARY_PATH"] == f"{joined}/lib64" and variables["CUDA_PATH"] == str(joined)


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
