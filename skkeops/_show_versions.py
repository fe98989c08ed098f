"""What a bug report needs: versions, the instruction set in use, threads, the GPU."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Mapping

PACKAGES = (
    "skkeops",
    "numpy",
    "scipy",
    "scikit-learn",
    "joblib",
    "threadpoolctl",
    "cython",
    "matplotlib",
    "cupy",
    "pip",
    "setuptools",
)
# A distribution of CuPy is named after the CUDA release it is built for.
ALTERNATIVES = {"cupy": ("cupy", "cupy-cuda12x", "cupy-cuda13x", "cupy-cuda11x")}


def system_info() -> dict[str, str]:
    return {
        "python": sys.version.replace("\n", " "),
        "executable": sys.executable,
        "machine": platform.platform(),
    }


def package_versions() -> dict[str, str | None]:
    """Installed version of each package, without importing any; None for what is not installed."""
    return {name: _version(*ALTERNATIVES.get(name, (name,))) for name in PACKAGES}


def _version(*distributions: str) -> str | None:
    for distribution in distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def engine() -> dict[str, object]:
    """Instruction sets, OpenMP and threads of the compiled engine; the reason when it does not load."""
    try:
        from skkeops.backends.cpu import engine_info

        return dict(engine_info())
    except ImportError as error:
        return {"not available": str(error)}


def gpu() -> dict[str, object]:
    """CuPy, the driver and the devices; what is missing when there are none."""
    from skkeops.backends.gpu import report

    return report()


def thread_pools() -> list[dict[str, object]]:
    """The BLAS and OpenMP libraries that are loaded in this process."""
    from threadpoolctl import threadpool_info

    return threadpool_info()


def show_versions() -> None:
    """Print the system, the versions of the dependencies, and how the compiled engine runs here.

    Paste the output into a bug report.

    Examples
    --------
    >>> import skkeops
    >>> skkeops.show_versions()  # doctest: +SKIP
    """
    sections: dict[str, Mapping[str, object]] = {
        "System": system_info(),
        "Python dependencies": package_versions(),
        "CPU engine": engine(),
        "GPU": gpu(),
    }
    for title, entries in sections.items():
        print(f"\n{title}:")
        width = max(map(len, entries))
        for key, value in entries.items():
            print(f"{key:>{width + 2}}: {_text(value)}")
    print("\nThread pools:")
    for pool in thread_pools():
        library = f"{pool['internal_api']} {pool['version']}"
        print(f"  {pool['user_api']} ({library}): {pool['num_threads']} threads, {pool['filepath']}")


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
