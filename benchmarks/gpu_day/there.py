"""``python -m benchmarks.gpu_day.there --prepared DIR``: the day on a machine with a GPU and no network.

Run in the root of the same clone, with what `prepare` made. Nothing is installed on the machine: wheels go to a folder of their
own, and the compiled engine into the clone. What has been found is packed every 15 seconds into one file, ``results.tgz`` in the
folder ``--out``, so that little is lost when the machine goes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import threading
import time
import zipfile
from pathlib import Path

from .run import ROOT

__all__ = ["environment", "main", "pack"]

_EVERY = 15.0  # seconds between two packings
_PATHS = ("/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer")


def environment(prepared: Path, site: Path) -> dict[str, str]:
    """Install what was prepared; return the variables with which the day has to be started.

    Parameters
    ----------
    prepared : Path
        The folder that `prepare` filled.
    site : Path
        The folder that takes the wheels of the peers.
    """
    wheels = sorted((prepared / "wheels").glob("*.whl"))
    ours = [wheel for wheel in wheels if wheel.name.startswith("skkeops-")]
    peers = [str(wheel) for wheel in wheels if wheel not in ours]
    if peers:
        options = ["--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--target", str(site)]
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", *options, *peers], check=True)
    for wheel in ours:  # the tests and benchmarks of the clone meet its own modules, beside which the engine has to lie
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if Path(name).name.startswith("_engine.") and not name.endswith(".pyi"):
                    archive.extract(name, ROOT)
    variables = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYKEOPS_VERBOSE": "0"}
    variables["PATH"] = os.pathsep.join([variables.get("PATH", ""), *_PATHS])
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(site), variables.get("PYTHONPATH", "")]))
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        headers = site / "python_headers"
        with tarfile.open(prepared / "python_headers.tgz") as tar:
            tar.extractall(headers, filter="data")
        variables["CPATH"] = os.pathsep.join(filter(None, [str(headers), variables.get("CPATH", "")]))
    return variables


def pack(results: Path, out: Path) -> None:
    """Write the files of a folder as one archive; the old one stays until the new one is whole."""
    out.mkdir(parents=True, exist_ok=True)
    part = out / "results.part"
    with tarfile.open(part, "w:gz") as tar:
        tar.add(results, arcname=".")
    part.replace(out / "results.tgz")


def main(argv: list[str] | None = None) -> int:
    """Install, run the day, pack; return what the day returns."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_day.there", description=__doc__.split("\n\n")[0])
    parser.add_argument("--prepared", type=Path, default=ROOT / ".gpu", help="the folder that prepare filled (default: .gpu)")
    parser.add_argument("--out", type=Path, default=Path("gpu_day"), help="the folder of results.tgz (default: gpu_day)")
    parser.add_argument("--seconds", type=float, default=575.0, help="for everything (default: 575)")
    parser.add_argument("--dry-run", action="store_true", help="on the stand-in for CuPy")
    parser.add_argument("--without", nargs="+", default=[], metavar="STEP", help="leave out these steps of the day")
    args = parser.parse_args(argv)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        site, results = Path(work) / "site", Path(work) / "results"
        results.mkdir()
        variables = environment(args.prepared, site)
        left = args.seconds - (time.monotonic() - begin)
        command = [sys.executable, "-m", "benchmarks.gpu_day", "--out", str(results), "--keep-going"]
        command += ["--seconds", f"{left - 15:.0f}"]
        command += ["--dry-run"] if args.dry_run else []
        command += ["--without", *args.without] if args.without else []
        ended = threading.Event()

        def keep() -> None:
            while not ended.wait(_EVERY):
                pack(results, args.out)

        keeper = threading.Thread(target=keep, daemon=True)
        keeper.start()
        try:
            with open(results / "log.txt", "w") as log:
                pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
                day = subprocess.Popen(command, cwd=ROOT, env=variables, **pipes)
                stop = threading.Timer(left, day.kill)
                stop.start()
                assert day.stdout is not None
                for line in day.stdout:
                    print(line, end="", flush=True)
                    log.write(line)
                    log.flush()
                code = day.wait()
                stop.cancel()
        finally:
            ended.set()
            keeper.join()
            pack(results, args.out)
            for name in ("results.md", "summary.json", "bench.csv"):
                if (results / name).exists():
                    shutil.copy(results / name, args.out / name)
    return code


if __name__ == "__main__":
    sys.exit(main())
