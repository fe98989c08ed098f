"""pykeops' CPU backend: the same formula. It compiles C++ for each, which is not timed."""

from __future__ import annotations

from .base import Peer


class KeOps(Peer):
    name = "keops"
    title = "KeOps"
    modules = ("pykeops", "pykeops.numpy")
    compiles = True
    note = "`pykeops.numpy.Genred` on the CPU, compiled and warm; derivatives as `Grad(...)` in the formula"

    def missing(self):
        reason = super().missing()
        if reason is None:
            import pykeops

            pykeops.set_verbose(False)
        return reason

    def prepare(self, case, arrays):
        return case.prepare_keops(arrays)
