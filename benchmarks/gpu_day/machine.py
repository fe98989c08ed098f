"""Step 0: what machine this is, and what is installed (env.txt)."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
from importlib import metadata
from typing import Any

from .run import Run

__all__ = ["describe", "device_name"]


def device_name(cupy: Any) -> str:
    """The name of the current device, and the driver's CUDA version."""
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    version = cupy.cuda.runtime.driverGetVersion()
    return f"{properties['name'].decode()}, CUDA {version // 1000}.{version % 1000 // 10}"


def describe(run: Run) -> None:
    """Write down what machine this is, and what is installed."""
    import skkeops

    parts = []
    smi = shutil.which("nvidia-smi")
    if smi is None:
        run.say("nvidia-smi is not on PATH: clocks and driver are not recorded")
    else:
        parts.append(subprocess.run([smi, "-q"], capture_output=True, text=True).stdout)
    for show in (skkeops.show_versions, run.cupy.show_config):
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            show()
        parts.append(text.getvalue())
    parts.append("\n".join(sorted({f"{found.name} {found.version}" for found in metadata.distributions()}, key=str.lower)))
    (run.out / "env.txt").write_text("\n\n".join(parts))
