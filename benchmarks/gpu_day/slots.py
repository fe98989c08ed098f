"""What a pair costs in the machine code of the very kernel that is timed: instructions by unit, counted in its disassembly."""

from __future__ import annotations

import re
from typing import Any

from .cases import Pair
from .run import from_tests

__all__ = ["count"]


def count(made: Any, arch: str, bytes_per_column: float = 0.0) -> Pair | None:
    """Return the instructions of a pair; None if they cannot be counted.

    Parameters
    ----------
    made : Source
        Of the template rows or columns: the others have no single loop over pairs.
    arch : str
        For example ``"sm_90"``. NVRTC and nvdisasm are those of the wheels, or of a toolkit on PATH.
    bytes_per_column : float
        Passed on.
    """
    nvrtc = from_tests("nvrtc")
    rows = re.search(r"#define ROWS (\d+)", made.text)
    unroll = re.search(r"#pragma unroll (\d+)\s+for \(int u = 0; u < GROUP; \+\+u\)", made.text)
    if made.template not in ("rows", "columns") or not (rows and unroll and nvrtc.available() and nvrtc.disassembler()):
        return None
    group, pairs = 16, int(unroll.group(1)) * int(rows.group(1))
    if made.template == "rows" and int(unroll.group(1)) < group:
        return None
    try:
        compiled = nvrtc.compile_source(made.text, made.options, arch)
        loops = [loop for loop in nvrtc.loops(compiled.cubin, made.kernels[0]) if not loop.counts["BAR"]]
    except Exception:  # no tool, or one that speaks differently: the floor of our own code is left out
        return None
    if made.template == "columns":  # some columns of a group, read from memory
        loops = [loop for loop in loops if loop.counts["LDG"] and not loop.counts["MUFU"] % pairs]
    if not loops:
        return None
    loop = max(loops, key=lambda loop: loop.counts["MUFU"] + loop.counts["FFMA"] + loop.counts["DFMA"])
    special = loop.counts["MUFU"] + loop.counts["F2F"] + loop.counts["I2F"] + loop.counts["F2I"]
    double = sum(n for name, n in loop.counts.items() if name in ("DADD", "DMUL", "DFMA", "DSETP"))
    return Pair(loop.slots / pairs, special / pairs, double / pairs, bytes_per_column)
