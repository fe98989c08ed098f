"""skkeops: the formula of the case, as it is."""

from __future__ import annotations

from .base import Peer


class Skkeops(Peer):
    name = "skkeops"
    title = "skkeops"
    modules = ("skkeops",)
    note = "`Genred`, and `Genred.gradient` for derivatives"

    def prepare(self, case, arrays):
        return case.prepare_skkeops(arrays)
