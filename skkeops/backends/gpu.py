"""What stands between a user and a GPU: whether it can be used, and what is missing where it cannot."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

from skkeops.devices import OnDevice, device_of, is_on_device

__all__ = ["GPUError", "GPUMemoryError", "check_usable", "explain", "load_cupy", "on_device", "report"]

_INSTALL = "pip install cupy-cuda12x (or cupy-cuda13x, for a driver of CUDA 13)"
_WITH_NUMPY = "With NumPy arrays, backend='CPU' (or 'auto') computes without a GPU."


class GPUError(RuntimeError):
    """Something went wrong on a device; the message says what, and what to do."""


class GPUMemoryError(MemoryError):
    """The memory of a device does not suffice."""


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
            raise RuntimeError(f"a GPU is used through CuPy, which is not installed: {_INSTALL}. {_WITH_NUMPY}")
        try:
            cupy = importlib.import_module("cupy")
        except Exception as error:
            raise RuntimeError(
                f"a GPU is used through CuPy, which is installed but cannot be imported ({_first_line(error)}): remove all of "
                f"its packages, {_installed()}, and install one again, {_INSTALL}. {_WITH_NUMPY}"
            ) from error
    if not hasattr(cupy, "ndarray") or not hasattr(cupy, "cuda"):
        raise RuntimeError(
            f"a GPU is used through CuPy, of which only an empty folder is left ({_folder(cupy)}): remove the folder, "
            f"then {_INSTALL}. {_WITH_NUMPY}"
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
        raise RuntimeError(_no_device(cupy))
    return cupy


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


def explain(error: Exception) -> Exception | None:
    """Return an error of CuPy as one of ours, whose message says what to do; None if it is nothing of CuPy's."""
    cupy = sys.modules.get("cupy")
    if cupy is None or isinstance(error, (TypeError, ValueError, GPUError, GPUMemoryError)):
        return None
    cuda, text = cupy.cuda, str(error)
    told: Exception
    if isinstance(error, cuda.memory.OutOfMemoryError):
        told = GPUMemoryError(
            f"the memory of the GPU does not suffice: {_first_line(error)} Free arrays, then "
            "cupy.get_default_memory_pool().free_all_blocks(); or take fewer rows at a time."
        )
    elif isinstance(error, cuda.compiler.CompileException):
        told = GPUError(
            "the CUDA kernel of this formula could not be compiled. Please report it with the formula, the output of "
            f"skkeops.show_versions() and this message of the compiler: {text[-2000:]}"
        )
    elif "CUDA headers" in text or "CUDA root directory" in text:
        told = GPUError(
            f"kernels cannot be compiled: CuPy finds no CUDA headers ({_first_line(error)}): {_toolkit(cupy)}; or set CUDA_PATH to "
            "the folder of a CUDA toolkit"
        )
    elif "nvrtc" in text.lower() and isinstance(error, (RuntimeError, OSError)):
        told = GPUError(f"kernels cannot be compiled: NVRTC, the compiler, is missing ({_first_line(error)}): {_toolkit(cupy)}")
    elif type(error).__name__ == "DynamicLibNotFoundError":
        told = GPUError(f"a library of CUDA is missing ({_first_line(error)}): {_toolkit(cupy)}")
    elif isinstance(error, (cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError)):
        if any(word in text for word in ("InsufficientDriver", "NoDevice", "NO_DEVICE", "SystemDriverMismatch")):
            told = GPUError(_no_device(cupy, error))
        else:
            told = GPUError(
                f"a computation on the GPU failed: {_first_line(error)}. After an illegal address or a launch failure, the "
                "process has to be started again. Please report it with the formula, the shapes and skkeops.show_versions()."
            )
    else:
        return None
    return told


def report() -> dict[str, object]:
    """Return what a bug report says of the GPU: device, compute capability, driver, CuPy; or why there is none."""
    try:
        cupy = load_cupy()
    except RuntimeError as error:
        return {"not available": str(error)}
    runtime = cupy.cuda.runtime
    entries: dict[str, object] = {"cupy": cupy.__version__}
    try:
        entries["driver"] = _version(runtime.driverGetVersion()) or "none"
        entries["runtime"] = _version(runtime.runtimeGetVersion())
        entries["nvrtc"] = ".".join(map(str, cupy.cuda.nvrtc.getVersion()))
    except Exception as error:
        entries["not complete"] = _first_line(error)
    try:
        for k in range(runtime.getDeviceCount()):
            properties = runtime.getDeviceProperties(k)
            name = properties["name"]
            name = name.decode() if isinstance(name, bytes) else name
            capability = f"{properties['major']}.{properties['minor']}"
            memory = properties["totalGlobalMem"] / 2**30
            entries[f"device {k}"] = f"{name}, compute capability {capability}, {memory:.0f} GiB"
    except Exception as error:
        entries["not available"] = _first_line(error)
    return entries


def _no_device(cupy: Any, error: Exception | None = None) -> str:
    try:
        driver = cupy.cuda.runtime.driverGetVersion()
        runtime = cupy.cuda.runtime.runtimeGetVersion()
    except Exception:
        driver = runtime = 0
    if driver == 0:
        found = "there is no NVIDIA driver: install one (on Linux, nvidia-smi shows it; a container needs --gpus all)"
    elif driver // 1000 < runtime // 1000:
        found = (
            f"the driver knows CUDA {_version(driver)} and this CuPy is for CUDA {_version(runtime)}: update the driver, or "
            f"pip install cupy-cuda{driver // 1000}x in the place of the other"
        )
    else:
        found = "the driver shows no device: see nvidia-smi, and the environment variable CUDA_VISIBLE_DEVICES"
    told = "" if error is None else f" ({_first_line(error)})"
    return f"no GPU can be used{told}: {found}. {_WITH_NUMPY}"


def _toolkit(cupy: Any) -> str:
    """Return how the parts of CUDA are installed that this CuPy needs."""
    try:
        major = cupy.cuda.runtime.runtimeGetVersion() // 1000
    except Exception:
        major = 12
    wheels = [f"nvidia-cuda-{name}" + ("-cu12" if major == 12 else "") for name in ("nvrtc", "runtime")]
    return f'pip install "cupy-cuda{major}x[ctk]", or the wheels {wheels[0]} and {wheels[1]}'


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}" if number else ""


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _folder(module: Any) -> str:
    return ", ".join(getattr(module, "__path__", ["?"]))


def _installed() -> str:
    import importlib.metadata

    names = {d.metadata["Name"] for d in importlib.metadata.distributions() if d.metadata["Name"]}
    return "pip uninstall " + (" ".join(sorted(n for n in names if n.lower().startswith("cupy"))) or "cupy")
