"""NVRTC and the disassembler without CuPy, a driver or a device: compile sources, count instructions."""

from __future__ import annotations

import ctypes
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["Compiled", "CompileError", "Loop", "Usage", "available", "compile_source", "disassembler", "loops"]


class CompileError(RuntimeError):
    """NVRTC refuses a source."""


def _folders(part: str) -> list[Path]:
    found = importlib.util.find_spec("nvidia")
    roots = [Path(p) for p in found.submodule_search_locations] if found else []
    return [folder for root in roots for folder in sorted(root.glob(f"*/{part}"))]


@cache
def _library():
    toolkits = sorted(Path("/usr/local").glob("cuda*/lib64"), reverse=True)
    for folder in [*_folders("lib"), *toolkits]:
        for path in sorted(folder.glob("libnvrtc.so.1[0-9]")):
            for builtins in folder.glob("libnvrtc-builtins.so.1*"):
                ctypes.CDLL(str(builtins), ctypes.RTLD_GLOBAL)  # it would be looked for on the library path alone
            library = ctypes.CDLL(str(path))
            library.nvrtcGetErrorString.restype = ctypes.c_char_p
            return library
    return None


def available() -> bool:
    """Whether NVRTC is installed: the wheel nvidia-cuda-nvrtc, or a toolkit."""
    return _library() is not None


@cache
def disassembler() -> str | None:
    """The path of nvdisasm, from the wheel nvidia-cuda-nvdisasm, a toolkit or on PATH."""
    for folder in [*_folders("bin"), *sorted(Path("/usr/local").glob("cuda*/bin"), reverse=True)]:
        if (folder / "nvdisasm").exists():
            return str(folder / "nvdisasm")
    return shutil.which("nvdisasm")


class Usage(NamedTuple):
    """What ptxas says of a kernel."""

    registers: int
    spilled: int
    shared: int
    stack: int


class Compiled(NamedTuple):
    """A cubin, and what its kernels use."""

    cubin: bytes
    kernels: dict[str, Usage]


def compile_source(text: str, options: tuple[str, ...], arch: str = "sm_90") -> Compiled:
    """Compile a source to machine code, with CuPy's options.

    Parameters
    ----------
    text : str
    options : tuple of str
        Of the source, besides the architecture.
    arch : str
        For example ``"sm_90"``.
    """
    library = _library()
    options = (*options, "--device-as-default-execution-space", f"-arch={arch}", "--ptxas-options=-v")
    program = ctypes.c_void_p()
    _check(library, library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"source.cu", 0, None, None))
    try:
        array = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
        code = library.nvrtcCompileProgram(program, len(options), array)
        log = _get(library, program, "ProgramLog").rstrip(b"\0").decode()
        _check(library, code, log)
        return Compiled(_get(library, program, "CUBIN"), _usage(log))
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _check(library, code: int, log: str = "") -> None:
    if code:
        raise CompileError(f"{library.nvrtcGetErrorString(code).decode()}\n{log[:4000]}")


def _get(library, program, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(library, getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(library, getattr(library, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


def _usage(log: str) -> dict[str, Usage]:
    found = {}
    for block in log.split("Compiling entry function '")[1:]:
        name = block[: block.index("'")]

        def number(pattern, block=block):
            match = re.search(pattern, block)
            return int(match.group(1)) if match else 0

        spilled = number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads")
        found[name] = Usage(
            number(r"Used (\d+) registers"), spilled, number(r"(\d+) bytes smem"), number(r"(\d+) bytes stack frame")
        )
    return found


# -- machine code ---------------------------------------------------------------------------------------------------

_INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:\{\s*)?(@!?U?P\w+\s+)?([A-Z0-9_.]+)(.*?);")


class Instruction(NamedTuple):
    name: str
    predicated: bool
    rest: str


class Loop(NamedTuple):
    """A loop of the machine code, on its hot path: inner loops that a forward branch can skip are skipped; of two ways, one if
    and one else, the longer is taken.

    Attributes
    ----------
    counts : Counter
        How often each instruction (without its modifiers) is issued in one turn.
    names : list of str
        The instructions in full.
    """

    counts: Counter
    names: list[str]

    @property
    def slots(self) -> int:
        """Instructions issued in one turn."""
        return sum(self.counts.values())


def loops(cubin: bytes, kernel: str, way: Callable[..., Loop] | None = None) -> list[Loop]:
    """The loops of a kernel, in the order of their ends; of each the instructions on a way through it, by default the hot path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        text = subprocess.run([disassembler(), "-c", str(path)], capture_output=True, text=True, check=True).stdout
    code: list[Instruction] = []
    labels: dict[str, int] = {}
    inside = False
    for line in text.splitlines():
        section = re.match(r"^\.text\.(\w+):", line)
        if section:
            inside = section.group(1) == kernel
        label = re.match(r"^(\.L_x_\w+):", line)
        if label and inside:
            labels[label.group(1)] = len(code)
        match = _INSTRUCTION.match(line)
        if match and inside:
            code.append(Instruction(match.group(2), bool(match.group(1)), match.group(3)))

    def target(k: int) -> int | None:
        found = re.search(r"(\.L_x_\w+)", code[k].rest) if code[k].name.startswith("BRA") else None
        return labels.get(found.group(1)) if found else None

    ends = [(target(k), k) for k in range(len(code)) if target(k) is not None and target(k) <= k]
    return [(way or _hot_path)(code, begin, end, ends, target) for begin, end in ends]


def _hot_path(code, begin, end, ends, target) -> Loop:
    inner = [loop for loop in ends if loop != (begin, end) and begin <= loop[0] and loop[1] <= end]
    counts: Counter = Counter()
    names = []
    k = begin
    while k <= end:
        counts[code[k].name.split(".")[0]] += 1
        names.append(code[k].name)
        to = target(k)
        if to is not None and k < to <= end + 1 and k != end:
            skipped = range(k + 1, to)
            after = target(to - 1)  # of an if with an else
            otherwise = range(to, after) if after is not None and not code[to - 1].predicated and to < after <= end + 1 else []
            rare = [any(loop[0] in way for loop in inner) for way in (skipped, otherwise)]
            if not code[k].predicated or rare[0] or (len(otherwise) > len(skipped) and not rare[1]):
                k = to
                continue
        k += 1
    return Loop(counts, names)


def longest_way(code, begin, end, ends, target) -> Loop:
    """The longest way through a loop that enters none of the loops within, which are for rare cases, if there is one."""
    within = {k for b, e in ends if (b, e) != (begin, end) and begin <= b and e <= end for k in range(b, e + 1)}
    for closed in (within, set()):
        length, following = {end: 1}, {}
        for k in range(end - 1, begin - 1, -1):
            to = target(k)
            ways = [to] if to is not None else []
            if not code[k].name.startswith("BRA") or code[k].predicated:
                ways.append(k + 1)
            ways = [way for way in ways if k < way and way in length]
            if k not in closed and ways:
                following[k] = max(ways, key=length.__getitem__)
                length[k] = 1 + length[following[k]]
        if begin in length:
            break
    names, k = [], begin
    while k is not None:
        names.append(code[k].name)
        k = following.get(k)
    return Loop(Counter(name.split(".")[0] for name in names), names)
