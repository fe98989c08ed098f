"""As ``cupy.cuda.stream``."""

from .._devices import Event, Stream, get_current_stream

__all__ = ["Event", "Stream", "get_current_stream"]
