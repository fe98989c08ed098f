"""As much of ``cupy.lib`` as the project uses."""

from . import stride_tricks

assert stride_tricks
