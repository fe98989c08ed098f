"""CuPy for these tests: the real one where there is a device, and where there is none the stand-in."""

import importlib
import importlib.util
import pathlib
import sys

import pytest

STAND_IN = pathlib.Path(__file__).parent / "stand_in"


def _device_exists():
    if importlib.util.find_spec("cupy") is None:
        return False
    try:
        import cupy

        return bool(cupy.cuda.is_available())
    except Exception:
        return False


def _is_cupy(name):
    return name.partition(".")[0] in ("cupy", "cupyx")


@pytest.fixture(scope="session")
def stand_in_modules():
    """The modules of the stand-in, by name; no longer in sys.modules, where other tests would meet them."""
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_cupy(name)}
    sys.path.insert(0, str(STAND_IN))
    try:
        for name in ("cupy", "cupyx.scipy.linalg"):
            importlib.import_module(name)
    finally:
        sys.path.remove(str(STAND_IN))
    found = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_cupy(name)}
    sys.modules.update(before)
    return found


@pytest.fixture
def stand_in(stand_in_modules, monkeypatch):
    """The stand-in for CuPy, imported."""
    for name in list(sys.modules):
        if _is_cupy(name) and name not in stand_in_modules:
            monkeypatch.delitem(sys.modules, name)
    for name, module in stand_in_modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    cupy = stand_in_modules["cupy"]
    cupy.stand_in_counts.clear()
    cupy.cuda.runtime.setDevice(0)
    from skkeops import genred
    from skkeops.lazy import reduction

    genred.compiled.cache_clear()
    reduction.reducer.cache_clear()  # its programs may be those of the double, or of kernels
    return cupy


@pytest.fixture
def double(stand_in, monkeypatch):
    """The stand-in for CuPy, and a double of the CUDA backend that computes with the reference backend."""
    from skkeops import backends
    from skkeops.backends import device

    from . import reference_backend

    monkeypatch.setattr(device, "cuda", reference_backend)
    monkeypatch.setattr(backends, "_loaded", {})
    return stand_in


@pytest.fixture(scope="session")
def emulator():
    """What the stand-in for CuPy makes kernels with."""
    from . import emulator

    if not emulator.available():
        pytest.skip("the emulator of kernels needs g++ and an x86-64 processor")

    return emulator.RawModule


@pytest.fixture
def emulated(stand_in, emulator, monkeypatch):
    """The stand-in for CuPy, whose kernels the emulator runs."""
    monkeypatch.setattr(stand_in._kernels, "emulator", emulator)
    return stand_in


@pytest.fixture
def cupy(request):
    """CuPy, or where there is no device the stand-in, whose kernels the emulator runs."""
    if _device_exists():
        return importlib.import_module("cupy")
    return request.getfixturevalue("emulated")
