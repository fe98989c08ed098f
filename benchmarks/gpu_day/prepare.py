"""``python -m benchmarks.gpu_day.prepare``: what a machine with a GPU and no network needs, in one folder of some 2 MB.

Run where there is a network and a compiler, in the root of a clone, with the Python version of the machine with the GPU
(``--python python3.12``). `there` runs on that machine. It has CuPy, NumPy, SciPy, scikit-learn and, for the peers, PyTorch.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from .run import ROOT

__all__ = ["main", "prepare"]

# KeOps comes as source distributions, which want tools that the other machine may lack: their wheels are made here.
PEERS = ("pykeops==2.3", "keopscore==2.3", "pybind11>=2.12")
_BUILD = ("setuptools>=70.1", "Cython>=3.1", "numpy>=2.0", "wheel")


def prepare(folder: Path, python: str, peers: tuple[str, ...] = PEERS) -> list[Path]:
    """Fill a folder anew: wheels of this clone and of KeOps, and the headers of Python, in case the other machine has none.

    Parameters
    ----------
    folder : Path
    python : str
        The interpreter whose version the other machine has.
    peers : tuple of str

    Returns
    -------
    list of Path
        The files.
    """
    shutil.rmtree(folder, ignore_errors=True)
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as work:
        subprocess.run([python, "-m", "venv", work], check=True)
        pip = [str(Path(work) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "-q", *_BUILD], check=True)
        # A copy, as the build leaves folders beside the sources.
        clone = Path(work) / "clone"
        ignored = shutil.ignore_patterns(".git", "build", "*.so", "*.egg-info", "__pycache__", folder.name)
        shutil.copytree(ROOT, clone, ignore=ignored)
        for what in (str(clone), *peers):
            subprocess.run([*pip, "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", str(wheels), what], check=True)
        asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('include'))"]
        headers = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
        with tarfile.open(folder / "python_headers.tgz", "w:gz") as tar:
            tar.add(headers, arcname=".")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def main(argv: list[str] | None = None) -> int:
    """Fill the folder and say what is in it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_day.prepare", description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", type=Path, default=ROOT / ".gpu", help="the folder (default: .gpu in the clone)")
    parser.add_argument("--python", default=sys.executable, help="of the other machine's version (default: this one)")
    args = parser.parse_args(argv)
    for path in prepare(args.folder, args.python):
        print(f"{path.stat().st_size:9d}  {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
