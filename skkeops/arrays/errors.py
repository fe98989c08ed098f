"""What goes wrong on a device, told in a sentence that says what to do."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["WITH_NUMPY", "GPUError", "GPUMemoryError", "explain", "first_line", "no_device", "version"]

WITH_NUMPY = "With NumPy arrays, backend='CPU' (or 'auto') computes without a GPU."


class GPUError(RuntimeError):
    """Something went wrong on a device; the message says what, and what to do."""


class GPUMemoryError(MemoryError):
    """The memory of a device does not suffice."""


def explain(error: Exception) -> Exception | None:
    """Return an error of CuPy as one of ours, whose message says what to do; None if it is nothing of CuPy's."""
    cupy = sys.modules.get("cupy")
    if cupy is None or isinstance(error, (TypeError, ValueError, GPUError, GPUMemoryError)):
        return None
    cuda, text = cupy.cuda, str(error)
    told: Exception
    if isinstance(error, cuda.memory.OutOfMemoryError):
        told = GPUMemoryError(
            f"the memory of the GPU does not suffice: {first_line(error)} Free arrays, then "
            "cupy.get_default_memory_pool().free_all_blocks(); or take fewer rows at a time."
        )
    elif isinstance(error, cuda.compiler.CompileException):
        told = GPUError(
            "the CUDA kernel of this formula could not be compiled. Please report it with the formula, the output of "
            f"skkeops.show_versions() and this message of the compiler: {text[-2000:]}"
        )
    elif "CUDA headers" in text or "CUDA root directory" in text:
        told = GPUError(
            f"kernels cannot be compiled: CuPy finds no CUDA headers ({first_line(error)}): {_toolkit(cupy)}; or set CUDA_PATH to "
            "the folder of a CUDA toolkit"
        )
    elif "nvrtc" in text.lower() and isinstance(error, (RuntimeError, OSError)):
        told = GPUError(f"kernels cannot be compiled: NVRTC, the compiler, is missing ({first_line(error)}): {_toolkit(cupy)}")
    elif type(error).__name__ == "DynamicLibNotFoundError":
        told = GPUError(f"a library of CUDA is missing ({first_line(error)}): {_toolkit(cupy)}")
    elif isinstance(error, (cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError)):
        if any(word in text for word in ("InsufficientDriver", "NoDevice", "NO_DEVICE", "SystemDriverMismatch")):
            told = GPUError(no_device(cupy, error))
        else:
            told = GPUError(
                f"a computation on the GPU failed: {first_line(error)}. After an illegal address or a launch failure, the "
                "process has to be started again. Please report it with the formula, the shapes and skkeops.show_versions()."
            )
    else:
        return None
    return told


def no_device(cupy: Any, error: Exception | None = None) -> str:
    """Return why CuPy finds no device, and what to do."""
    try:
        driver = cupy.cuda.runtime.driverGetVersion()
        runtime = cupy.cuda.runtime.runtimeGetVersion()
    except Exception:
        driver = runtime = 0
    if driver == 0:
        found = "there is no NVIDIA driver: install one (on Linux, nvidia-smi shows it; a container needs --gpus all)"
    elif driver // 1000 < runtime // 1000:
        found = (
            f"the driver knows CUDA {version(driver)} and this CuPy is for CUDA {version(runtime)}: update the driver, or "
            f"pip install cupy-cuda{driver // 1000}x in the place of the other"
        )
    else:
        found = "the driver shows no device: see nvidia-smi, and the environment variable CUDA_VISIBLE_DEVICES"
    told = "" if error is None else f" ({first_line(error)})"
    return f"no GPU can be used{told}: {found}. {WITH_NUMPY}"


def _toolkit(cupy: Any) -> str:
    """Return how the parts of CUDA are installed that this CuPy needs."""
    try:
        major = cupy.cuda.runtime.runtimeGetVersion() // 1000
    except Exception:
        major = 12
    wheels = [f"nvidia-cuda-{name}" + ("-cu12" if major == 12 else "") for name in ("nvrtc", "runtime")]
    return f'pip install "cupy-cuda{major}x[ctk]", or the wheels {wheels[0]} and {wheels[1]}'


def version(number: int) -> str:
    """Return a version of CUDA, one number, as text."""
    return f"{number // 1000}.{number % 1000 // 10}" if number else ""


def first_line(error: Exception) -> str:
    """Return the first line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
