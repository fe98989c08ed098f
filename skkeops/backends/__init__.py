"""Backends: what runs a problem over arrays. Each has what `skkeops.execution.program.Backend` lists, and is found by `get`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from skkeops.formula.errors import suggestion
from skkeops.locks import import_module

#: The backends of this version, by the names that a user can ask for: for arrays of NumPy, and for those of CuPy.
_GPU = ("skkeops.backends.transfer", "skkeops.backends.device")
_MODULES = {
    "auto": ("skkeops.backends.cpu", "skkeops.backends.device"),
    "CPU": ("skkeops.backends.cpu", None),
    "GPU": _GPU,
    "reference": ("skkeops.backends.reference", None),
}

# KeOps' names of the ways in which it runs on a GPU.
_KEOPS_GPU = ("GPU_1D", "GPU_1D_device", "GPU_1D_host", "GPU_2D", "GPU_2D_device", "GPU_2D_host")
_MODULES_AND_KEOPS = {**_MODULES, **dict.fromkeys(_KEOPS_GPU, _GPU)}

#: Where the package is; in a clone setup.py stands there.
_BESIDE_THE_PACKAGE = Path(__file__).resolve().parents[2]

_loaded: dict[tuple[str, bool], ModuleType] = {}


def is_gpu(name: str, xp: ModuleType = np) -> bool:
    """Return whether a backend computes on a GPU with arrays of a namespace."""
    return name in _MODULES_AND_KEOPS and _MODULES_AND_KEOPS[name][xp is not np] in _GPU


def on_device(name: str, xp: ModuleType, device_id: int, arrays: Sequence[Any]) -> AbstractContextManager:
    """Return the context in which a device is the current one, for a backend that computes on a GPU."""
    if not is_gpu(name, xp):
        return nullcontext()
    from .gpu import on_device

    return on_device(int(device_id), arrays)


def get(name: str, xp: ModuleType = np) -> ModuleType:
    """Return the module of a backend, imported on first use.

    Parameters
    ----------
    name : {"auto", "CPU", "GPU", "reference"}
        ``"auto"`` follows the arrays; ``"CPU"`` is the compiled engine, for arrays of NumPy; ``"GPU"`` computes on CuPy's
        arrays where they are, and on those of NumPy between two copies; ``"reference"`` is dense NumPy, slow, for checking.
    xp : module
        The namespace of the arrays, NumPy or CuPy.

    Raises
    ------
    ValueError
        If there is no backend of that name.
    TypeError
        If the backend does not compute with arrays of that namespace.
    RuntimeError
        If the backend exists but cannot work here: the message says what is missing.
    """
    there = xp is not np
    try:
        return _loaded[name, there]
    except (KeyError, TypeError):
        pass
    if not isinstance(name, str) or name not in _MODULES_AND_KEOPS:
        expected = ", ".join(map(repr, _MODULES))
        close = suggestion(name, _MODULES) if isinstance(name, str) else ""
        raise ValueError(f"backend={name!r} is not known: expected one of {expected}{close}")
    home = _MODULES_AND_KEOPS[name][there]
    if home is None:
        raise TypeError(
            f"backend={name!r} computes with NumPy arrays: found CuPy arrays; expected backend='auto' or 'GPU', or arrays "
            "brought to the host by .get()"
        )
    if home in _GPU:
        from .gpu import check_usable

        try:
            check_usable()
        except RuntimeError as error:
            raise RuntimeError(f"backend={name!r} cannot be used: {error}") from error
        return import_module(home)
    try:
        module = import_module(home)
    except ImportError as error:
        remedy = "Reinstall skkeops"
        if (_BESIDE_THE_PACKAGE / "setup.py").is_file():
            remedy = (
                f"Python found the sources of skkeops in {_BESIDE_THE_PACKAGE}, which hide an installed package: leave this "
                "folder, or install with pip install -e ."
            )
        raise RuntimeError(
            f"backend={name!r} cannot be used: its compiled engine is missing or was not built for this "
            f"Python ({error}). {remedy}, or use backend='reference' for small checks."
        ) from error
    _loaded[name, there] = module
    return module
