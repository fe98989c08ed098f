"""As ``cupy.cuda.device``."""

from .._devices import Device, current_device

__all__ = ["Device", "get_device_id"]


def get_device_id():
    return current_device()
