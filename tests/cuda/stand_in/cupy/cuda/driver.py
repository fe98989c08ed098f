"""As ``cupy.cuda.driver``."""


class CUDADriverError(RuntimeError):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status
