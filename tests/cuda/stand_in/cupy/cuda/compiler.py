"""As ``cupy.cuda.compiler``."""


class CompileException(Exception):  # noqa: N818 (CuPy's name)
    def __init__(self, msg, source, name, options, backend="nvrtc"):
        super().__init__(msg)
        self._msg, self.source, self.name, self.options, self.backend = msg, source, name, options, backend
