"""Generated CUDA sources, compiled by g++ and run on the CPU: see emulator.h."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

__all__ = ["EmulatorError", "Module", "RawModule", "available", "compile_sources"]

HERE = Path(__file__).parent
FLAGS = ("-std=c++17", "-shared", "-fPIC", "-w", "-O1", "-fno-strict-aliasing", "-ffp-contract=off")
_KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\([^)]*\) )?(\w+)\(([^)]*)\)')
_INTEGERS = {"long long": (ctypes.c_longlong, 8), "int": (ctypes.c_int, 4)}


class EmulatorError(RuntimeError):
    """A kernel does not compile, is called wrongly, or does something that CUDA does not allow."""


def available() -> bool:
    """Whether there is a compiler, and a processor that the fibers are written for."""
    return shutil.which("g++") is not None and os.uname().machine == "x86_64"


def cache_folder() -> Path:
    """Where compiled sources are kept between runs."""
    folder = Path(os.environ.get("SKKEOPS_EMULATOR_CACHE") or Path(tempfile.gettempdir()) / f"skkeops-emulator-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


class Module:
    """The kernels of one source.

    Parameters
    ----------
    library : ctypes.CDLL
    prefix : str
        Of the names of its functions in the library.
    signatures : dict of str to list of str
        The types of the arguments of the kernels.
    """

    def __init__(self, library: ctypes.CDLL, prefix: str, signatures: dict[str, list[str]]):
        self._library = library
        self._prefix = prefix
        self.signatures = signatures

    def launch(self, name: str, grid: Sequence[int], block: Sequence[int], args: Sequence, order: int = 0) -> None:
        """Run a kernel as ``cupy.RawKernel.__call__`` would, but for the dynamic shared memory.

        Parameters
        ----------
        name : str
        grid, block : sequence of int
        args : sequence of ndarray and NumPy scalars
            Pointers are arrays, of the type that the kernel wants, or addresses, np.uint64; integers are int64.
        order : {0, 1, 2}
            How the threads of a block take turns: forwards, backwards, at random.
        """
        types = self.signatures[name]
        if len(args) != len(types):
            raise EmulatorError(f"{name} takes {len(types)} arguments, got {len(args)}")
        limits = zip((*grid, 1, 1), (2**31 - 1, 65535, 65535), strict=False)
        if any(not 1 <= g <= most for g, most in limits):
            raise EmulatorError(f"{name}: the grid {tuple(grid)} is not allowed")
        held = []
        for k, (value, kind) in enumerate(zip(args, types, strict=True)):
            held.append(_argument(f"argument {k} of {name}", value, kind))
        pointers = (ctypes.c_void_p * max(1, len(held)))(*[ctypes.addressof(h) for h in held])
        sizes = [(ctypes.c_uint * 3)(*(*s, 1, 1)[:3]) for s in (grid, block)]
        code = self._library[f"{self._prefix}_{name}"](*sizes, ctypes.c_int(order), pointers)
        if code:
            raise EmulatorError(f"{name}: {self._library.emulated_message().decode()}")


def _argument(where: str, value, kind: str):
    if kind.endswith("*"):
        if isinstance(value, np.uint64):  # an address, or a null pointer
            return ctypes.c_void_p(int(value))
        if not isinstance(value, np.ndarray) or not value.flags.c_contiguous:
            raise EmulatorError(f"{where} must be a contiguous array, got {type(value).__name__}")
        expected = {"float*": "float32", "double*": "float64", "long long*": "int64", "char*": "uint8",
                    "unsigned char*": "bool"}[kind]
        if value.dtype != expected:
            raise EmulatorError(f"{where} must have dtype {expected}, got {value.dtype}")
        return ctypes.c_void_p(value.ctypes.data)
    ctype, size = _INTEGERS[kind]
    # CuPy passes a Python int as 8 bytes, whatever the kernel wants
    found = value.dtype.itemsize if isinstance(value, np.integer) else 8 if type(value) is int else 0
    if found != size:
        raise EmulatorError(f"{where} must be an integer of {size} bytes, got {value!r}")
    return ctype(int(value))


class RawModule:
    """A source as ``cupy.RawModule`` would have it, for the stand-in for CuPy.

    Parameters
    ----------
    code : str
    options : tuple of str
        Of NVRTC; they mean nothing here.
    """

    def __init__(self, code: str, options: Sequence[str] = ()):
        (self._module,) = compile_sources([code])

    def get_function(self, name: str):
        """A function of (grid, block, arguments, bytes of dynamic shared memory)."""

        def call(grid, block, args, shared_mem=0):
            if shared_mem:
                raise EmulatorError(f"{name}: the emulator has no dynamic shared memory")
            self._module.launch(name, grid, block, [np.uint64(0) if a is None else a for a in args])

        return call


def compile_sources(texts: Sequence[str], flags: Sequence[str] = FLAGS, jobs: int = 2) -> list[Module]:
    """Compile sources, many in one call of the compiler, or find them in the cache."""
    modules: list[Module | None] = [None] * len(texts)
    size = max(1, -(-len(texts) // jobs))
    parts = [list(range(start, min(start + size, len(texts)))) for start in range(0, len(texts), size)]
    with ThreadPoolExecutor(max(1, len(parts))) as pool:
        libraries = list(pool.map(lambda part: _library([texts[k] for k in part], tuple(flags)), parts))
    for part, library in zip(parts, libraries, strict=True):
        for number, k in enumerate(part):
            modules[k] = Module(library, f"s{number}", {n: types for n, types, _ in _signatures(texts[k])})
    return modules


def _signatures(text: str) -> list[tuple[str, list[str], list[str]]]:
    """The kernels of a source: name, types of the arguments with ``real`` resolved, and as written."""
    real = re.search(r"typedef (\w+) real;", text).group(1)
    found = []
    for name, parameters in _KERNEL.findall(text):
        written = [re.sub(r"\b(const|__restrict__)\b", "", p).split() for p in parameters.split(",")]
        written = [" ".join(words[:-1]).replace(" *", "*") for words in written]
        found.append((name, [re.sub(r"\breal\b", real, w) for w in written], written))
    return found


def _library(texts: Sequence[str], flags: tuple[str, ...]) -> ctypes.CDLL:
    pieces = ['#include "emulator.h"\n']
    for k, text in enumerate(texts):
        pieces.append(f'#define SKK_SECTION "skk{k}"\nextern "C" char __start_skk{k}[] __attribute__((weak));')
        pieces.append(f'extern "C" char __stop_skk{k}[] __attribute__((weak));\nnamespace s{k} {{')
        pieces.append(f'#line 1 "source{k}.cu"\n' + text.replace('extern "C" __global__', "__global__"))
        for name, _, types in _signatures(text):
            arguments = ", ".join(f"*({t}*)a[{m}]" for m, t in enumerate(types))
            pieces.append(f"static void call_{name}(void **a) {{ {name}({arguments}); }}")
            pieces.append(
                f'extern "C" int s{k}_{name}(const unsigned *g, const unsigned *b, int order, void **a)'
                f" {{ return emulated::run(g, b, order, call_{name}, a, __start_skk{k}, __stop_skk{k} - __start_skk{k}); }}"
            )
        pieces.append("}\n#undef SKK_SECTION")
        pieces += [f"#undef {name}" for name in sorted(set(re.findall(r"#define (\w+)", text)))]
    code = "\n".join(pieces)
    key = hashlib.sha256(repr((code, flags, (HERE / "emulator.h").read_text())).encode()).hexdigest()[:32]
    library = cache_folder() / f"{key}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
            source, built = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
            source.write_text(code)
            command = ["g++", *flags, "-I", str(HERE), str(source), "-o", str(built)]
            # the compiler itself is not to run under a sanitizer
            environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if done.returncode:
                raise EmulatorError(done.stderr[:6000])
            os.replace(built, library)
    loaded = ctypes.CDLL(str(library))
    loaded.emulated_message.restype = ctypes.c_char_p
    return loaded
