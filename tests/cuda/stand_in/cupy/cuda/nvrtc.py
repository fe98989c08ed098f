"""As ``cupy.cuda.nvrtc``."""


class NVRTCError(RuntimeError):
    pass


def getVersion():  # noqa: N802
    return 12, 9
