"""As ``cupy.cuda.runtime``."""

from .._devices import N_DEVICES, CUDARuntimeError, current_device, set_device, waited

streamCaptureModeGlobal, streamCaptureModeThreadLocal, streamCaptureModeRelaxed = 0, 1, 2  # noqa: N816


def getDevice():  # noqa: N802
    return current_device()


def setDevice(device):  # noqa: N802
    set_device(device)


def getDeviceCount():  # noqa: N802
    return N_DEVICES


def driverGetVersion():  # noqa: N802
    return 12080


def runtimeGetVersion():  # noqa: N802
    return 12090


def getDeviceProperties(device):  # noqa: N802
    return {"name": b"Stand-in", "major": 9, "minor": 0, "multiProcessorCount": 132, "totalGlobalMem": 80 * 2**30}


def deviceSynchronize():  # noqa: N802
    waited("deviceSynchronize")


__all__ = ["CUDARuntimeError"]
