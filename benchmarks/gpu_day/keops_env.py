"""The environment in which KeOps finds CUDA where it comes from wheels: one folder with all headers and libraries.

KeOps 2.3 wants ``cuda.h`` and ``nvrtc.h`` in one folder, ``-lcuda -lnvrtc`` to link, and finds libraries through the linker alone,
never in site-packages. If it finds none, it computes on the CPU without an error, and a comparison with it would mean nothing.
So the headers and libraries of all wheels and toolkits are joined in a folder of links, and named by environment variables, which
have to be set before the process starts.
"""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["environment", "join"]

HEADERS = ("cuda.h", "nvrtc.h", "cuda_fp16.h", "crt/host_defines.h")
LIBRARIES = ("libcuda", "libnvrtc", "libnvrtc-builtins", "libcudart")
_DRIVER = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64")
_PARTS = ("include", "targets/x86_64-linux/include")
_LIB_PARTS = ("lib64", "lib", "targets/x86_64-linux/lib")


def driver_folders(printed: str | None = None) -> list[str]:
    """Return the folders that may hold the driver's libcuda, those of the loader's cache last.

    Parameters
    ----------
    printed : str, optional
        What ``ldconfig -p`` prints. Default: it is asked.
    """
    tool = shutil.which("ldconfig", path=os.environ.get("PATH", "") + ":/sbin:/usr/sbin")
    if printed is None:
        printed = subprocess.run([tool, "-p"], capture_output=True, text=True).stdout if tool else ""
    found = [line.split("=>")[1].strip() for line in printed.splitlines() if "libcuda.so.1 " in line and "=>" in line]
    return [*_DRIVER, *dict.fromkeys(str(Path(path).parent) for path in found)]


def toolkits(variables: Mapping[str, str]) -> list[Path]:
    """Return the folders that may hold headers and libraries of CUDA, those of wheels first."""
    found = [root for folder in _site_packages() for root in sorted(folder.glob("nvidia/*"))]
    found += [Path(variables[name]) for name in ("CUDA_PATH", "CUDA_HOME") if variables.get(name)]
    found += [Path("/usr/local/cuda"), *sorted(Path("/usr/local").glob("cuda-1*"), reverse=True)]
    nvcc = shutil.which("nvcc")
    return found + ([Path(nvcc).resolve().parents[1]] if nvcc else [])


def _site_packages() -> list[Path]:
    folders = [Path(p) for p in (*sys.path, *site.getsitepackages()) if p.endswith("-packages")]
    return list(dict.fromkeys(folders))


def join(folder: Path, roots: Iterable[Path], driver: Iterable[str | Path]) -> list[str]:
    """Make a folder with ``include`` and ``lib64`` that have everything; the first of several wins.

    Parameters
    ----------
    folder : Path
        Is made anew.
    roots : iterable of Path
    driver : iterable of path-like
        Where libcuda may lie, which belongs to the driver and not to a toolkit.

    Returns
    -------
    list of str
        The headers and libraries that KeOps needs and that were nowhere.
    """
    roots = list(roots)
    shutil.rmtree(folder, ignore_errors=True)
    headers, libraries = folder / "include", folder / "lib64"
    headers.mkdir(parents=True)
    libraries.mkdir()
    for root in roots:
        for part in _PARTS:
            if (root / part).is_dir():
                _link_tree(root / part, headers)
    places = [root / part for root in roots for part in _LIB_PARTS]
    for name in LIBRARIES:
        for place in [*map(Path, driver), *places] if name == "libcuda" else places:
            found = sorted(f for f in place.glob(f"{name}.so*") if ".alt." not in f.name)
            if found:
                names = {f.name for f in found} | {f"{name}.so"} | ({"libcuda.so.1"} if name == "libcuda" else set())
                for link in names:
                    (libraries / link).symlink_to(found[0].resolve())
                break
    missing = [header for header in HEADERS if not (headers / header).exists()]
    return missing + [name for name in LIBRARIES if not (libraries / f"{name}.so").exists()]


def _link_tree(source: Path, target: Path) -> None:
    """Link what is in a folder into another; folders that both have are joined."""
    for path in sorted(source.iterdir()):
        link = target / path.name
        if path.is_dir():
            link.mkdir(exist_ok=True)
            _link_tree(path, link)
        elif not os.path.lexists(link):
            link.symlink_to(path.resolve())


def environment(folder: Path, variables: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the variables with which a process has to be started, and what is missing nevertheless."""
    missing = join(folder, toolkits(variables), driver_folders())
    library = str(folder / "lib64")
    paths = {}
    for name in ("LIBRARY_PATH", "LD_LIBRARY_PATH"):
        paths[name] = os.pathsep.join(filter(None, [library, variables.get(name, "")]))
    return {**variables, **paths, "CUDA_PATH": str(folder), "KEOPS_CACHE_FOLDER": str(folder / "keops")}, missing
