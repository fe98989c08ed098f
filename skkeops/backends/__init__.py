"""Backends: what runs a problem over arrays. Each has `prepare(problem)` and `evaluate(...)`, and is found by
`get`."""

from __future__ import annotations

import importlib
from types import ModuleType

#: The backends of this version, by the names that a user can ask for.
_MODULES = {
    "auto": "skkeops.backends.cpu",
    "CPU": "skkeops.backends.cpu",
    "reference": "skkeops.backends.reference",
}

_GPU_NAMES = frozenset(
    ["GPU", "GPU_1D", "GPU_1D_device", "GPU_1D_host", "GPU_2D", "GPU_2D_device", "GPU_2D_host"]
)

_loaded: dict[str, ModuleType] = {}


def get(name: str) -> ModuleType:
    """Return the module of a backend, imported on first use.

    Parameters
    ----------
    name : {"auto", "CPU", "reference"}
        ``"auto"`` and ``"CPU"`` are the compiled engine; ``"reference"`` is dense NumPy, slow, for checking.

    Raises
    ------
    ValueError
        If there is no backend of that name.
    RuntimeError
        If the backend exists but cannot work here: the message says what is missing.
    """
    try:
        return _loaded[name]
    except (KeyError, TypeError):
        pass
    if name in _GPU_NAMES if isinstance(name, str) else False:
        raise RuntimeError(
            f"backend={name!r} cannot be used: this version of skkeops has no GPU backend. "
            "Use backend='CPU' (or 'auto') with NumPy arrays."
        )
    if not isinstance(name, str) or name not in _MODULES:
        expected = ", ".join(map(repr, _MODULES))
        raise ValueError(f"backend={name!r} is not known: expected one of {expected}")
    try:
        module = importlib.import_module(_MODULES[name])
    except ImportError as error:
        raise RuntimeError(
            f"backend={name!r} cannot be used: its compiled engine is missing or was not built for this "
            f"Python ({error}). Reinstall skkeops, or use backend='reference' for small checks."
        ) from error
    _loaded[name] = module
    return module
