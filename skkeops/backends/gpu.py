"""What stands between a user and a GPU: whether it can be used, and what is missing where it cannot."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

from skkeops.arrays.devices import OnDevice, device_of, is_on_device
from skkeops.arrays.errors import WITH_NUMPY, first_line, no_device, version

__all__ = ["check_usable", "is_usable", "load_cupy", "on_device", "report"]

_INSTALL = "pip install cupy-cuda12x (or cupy-cuda13x, for a driver of CUDA 13)"


def load_cupy() -> Any:
    """Return CuPy, imported.

    Raises
    ------
    RuntimeError
        If it is absent or broken; the message has the command that mends it.
    """
    cupy = sys.modules.get("cupy")
    if cupy is None:
        if importlib.util.find_spec("cupy") is None:
            raise RuntimeError(f"a GPU is used through CuPy, which is not installed: {_INSTALL}. {WITH_NUMPY}")
        try:
            cupy = importlib.import_module("cupy")
        except Exception as error:
            raise RuntimeError(
                f"a GPU is used through CuPy, which is installed but cannot be imported ({first_line(error)}): remove all of "
                f"its packages, {_installed()}, and install one again, {_INSTALL}. {WITH_NUMPY}"
            ) from error
    if not hasattr(cupy, "ndarray") or not hasattr(cupy, "cuda"):
        raise RuntimeError(
            f"a GPU is used through CuPy, of which only an empty folder is left ({_folder(cupy)}): remove the folder, "
            f"then {_INSTALL}. {WITH_NUMPY}"
        )
    return cupy


def check_usable() -> Any:
    """Return CuPy if there is a device to use.

    Raises
    ------
    RuntimeError
        If there is none; the message says whether CuPy, the driver or the device is missing.
    """
    cupy = load_cupy()
    if not cupy.cuda.is_available():
        raise RuntimeError(no_device(cupy))
    return cupy


def is_usable() -> bool:
    """Return whether ``backend="GPU"`` can be used; `check_usable` says why it cannot."""
    try:
        check_usable()
    except Exception:
        return False
    return True


def on_device(device_id: int, arrays: Sequence[Any]) -> OnDevice:
    """Return a context in which a device is the current one.

    Raises
    ------
    ValueError
        If there is no such device, or the arrays are on another one.
    """
    cupy = check_usable()
    count = cupy.cuda.runtime.getDeviceCount()
    if not 0 <= device_id < count:
        raise ValueError(f"device_id must be the number of a device, 0 to {count - 1}, or -1: found {device_id}")
    for array in arrays:
        if is_on_device(array) and device_of(array) != device_id:
            raise ValueError(
                f"device_id must be that of the arrays, {device_of(array)}, or -1: found {device_id}; with cupy.cuda.Device"
                f"({device_id}): cupy.array(...) copies an array there"
            )
    return OnDevice(cupy, device_id)


def report() -> dict[str, object]:
    """Return what a bug report says of the GPU: device, compute capability, driver, CuPy; or why there is none."""
    try:
        cupy = load_cupy()
    except RuntimeError as error:
        return {"not available": str(error)}
    runtime = cupy.cuda.runtime
    entries: dict[str, object] = {"cupy": cupy.__version__}
    try:
        entries["driver"] = version(runtime.driverGetVersion()) or "none"
        entries["runtime"] = version(runtime.runtimeGetVersion())
        entries["nvrtc"] = ".".join(map(str, cupy.cuda.nvrtc.getVersion()))
    except Exception as error:
        entries["not complete"] = first_line(error)
    try:
        for k in range(runtime.getDeviceCount()):
            properties = runtime.getDeviceProperties(k)
            name = properties["name"]
            name = name.decode() if isinstance(name, bytes) else name
            capability = f"{properties['major']}.{properties['minor']}"
            memory = properties["totalGlobalMem"] / 2**30
            entries[f"device {k}"] = f"{name}, compute capability {capability}, {memory:.0f} GiB"
    except Exception as error:
        entries["not available"] = first_line(error)
    return entries


def _folder(module: Any) -> str:
    return ", ".join(getattr(module, "__path__", ["?"]))


def _installed() -> str:
    import importlib.metadata

    names = {d.metadata["Name"] for d in importlib.metadata.distributions() if d.metadata["Name"]}
    return "pip uninstall " + (" ".join(sorted(n for n in names if n.lower().startswith("cupy"))) or "cupy")
