"""Build of the compiled tile engine; everything else about the package is in setup.cfg.

``skkeops.backends.cpu._engine`` is linked from

* ``cython_ext/engine.pyx``, the Python face of the engine, which includes the ``.pxi`` files;
* ``cython_ext/tile_*.c``, compiled once per instruction set (``-DSKK_LEVEL=baseline``, ``avx2``, ``avx512``; the
  sources suffix their symbols with it), so that one binary serves every processor and picks the widest set at import;
* any other ``cython_ext/*.c``, compiled once.

Each object is compiled when it is older than its source, a header or its flags, several at a time. All of them see
``SKK_HAVE_BASELINE``, ``SKK_HAVE_AVX2``, ``SKK_HAVE_AVX512`` (0 or 1): the levels that the compiler at hand can build.
The threads are the engine's own. OpenMP says how many there may be, where a test program that needs it links; without it, as
always on Windows, ``OMP_NUM_THREADS`` and the number of cores do.
The engine has vector types of gcc and clang: on Windows it is compiled by clang-cl, and linked by Visual Studio.

Environment: ``SKKEOPS_CFLAGS`` and ``SKKEOPS_LDFLAGS`` are appended to the flags (sanitizers, debugging);
``SKKEOPS_OPENMP=0`` leaves OpenMP out (wheels for macOS).
"""

import os
import shlex
import shutil
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent
SOURCES = Path("cython_ext")
MODULE = "skkeops.backends.cpu._engine"


@dataclass(frozen=True)
class Flags:
    """Compiler and linker arguments for one family of compilers."""

    every_object: tuple[str, ...]  # glue and kernels alike
    kernels: tuple[str, ...]  # the tile engine, at every level
    levels: dict[str, tuple[str, ...]]  # one entry per level, the widest last


GCC = Flags(
    every_object=("-std=gnu11", "-g0", "-fvisibility=hidden", "-pthread"),
    # Never -ffast-math: it changes what inf and nan mean, and at link time it switches denormals off process-wide.
    kernels=("-O3", "-fno-math-errno", "-fno-trapping-math"),
    levels={
        "baseline": (),
        "avx2": ("-mavx2", "-mfma"),
        "avx512": (
            "-mavx512f",
            "-mavx512dq",
            "-mavx512vl",
            "-mavx512bw",
            "-mfma",
            "-mprefer-vector-width=512",
        ),
    },
)
CLANG_CL = Flags(
    every_object=("/std:c11",),
    kernels=("/O2", "/clang:-fno-math-errno", "/clang:-fno-trapping-math", "/clang:-fopenmp-simd"),
    levels={"baseline": (), "avx2": ("/arch:AVX2",), "avx512": ("/arch:AVX512", "/clang:-mprefer-vector-width=512")},
)

OPENMP_PROGRAM = "#include <omp.h>\nint main(void) { return omp_get_max_threads() > 0 ? 0 : 1; }\n"


def find_clang_cl():
    """Where clang-cl is: on the path, or where LLVM puts it."""
    found = shutil.which("clang-cl")
    usual = Path(os.environ.get("PROGRAMFILES", "C:/Program Files"), "LLVM", "bin", "clang-cl.exe")
    if found is None and not usual.is_file():
        raise SystemExit(
            "skkeops is compiled by clang-cl on Windows, which was found neither on the path nor in "
            f"{usual.parent}: install LLVM, or the component 'C++ Clang Compiler' of Visual Studio"
        )
    return Path(found) if found is not None else usual


def openmp_candidates(compiler_type):
    """(compile, link) arguments that may switch OpenMP on, the likeliest first."""
    if compiler_type == "msvc":
        # LLVM's library lies on no path on which Windows looks for a module's, and where a second copy comes with PyTorch or
        # MKL, it ends the process ("OMP: Error #15"). A number is not worth that.
        return []
    if sys.platform != "darwin":
        return [(["-fopenmp"], ["-fopenmp"])]
    # Apple's clang has no OpenMP runtime of its own: look where conda and Homebrew put libomp.
    prefixes = [os.environ.get("CONDA_PREFIX"), "/opt/homebrew/opt/libomp", "/usr/local/opt/libomp"]
    found = [p for p in prefixes if p and os.path.exists(os.path.join(p, "include", "omp.h"))]
    switch = ["-Xpreprocessor", "-fopenmp"]
    return [([*switch, f"-I{p}/include"], [f"-L{p}/lib", f"-Wl,-rpath,{p}/lib", "-lomp"]) for p in found] + [
        (switch, ["-lomp"])
    ]


class BuildEngine(build_ext):
    """build_ext that compiles its objects per instruction set, in parallel, and only when something changed."""

    def compiles(self, program, compile_args, link_args=None):
        """Does this C program compile (and, with link_args, link)?  Says nothing when it does not."""
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "probe.c")
            Path(source).write_text(program)
            sys.stdout.flush()
            sys.stderr.flush()
            saved = [os.dup(1), os.dup(2)]
            silent = os.open(os.devnull, os.O_WRONLY)
            try:
                for stream in (1, 2):
                    os.dup2(silent, stream)
                objects = self.compiler.compile([source], output_dir=folder, extra_postargs=list(compile_args))
                if link_args is not None:
                    self.compiler.link_executable(
                        objects, os.path.join(folder, "probe"), extra_postargs=list(link_args)
                    )
            except Exception:  # CompileError, LinkError, DistutilsExecError: the class depends on the setuptools
                return False
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                for stream, copy in zip((1, 2), saved, strict=True):
                    os.dup2(copy, stream)
                    os.close(copy)
                os.close(silent)
        return True

    def find_openmp(self):
        wanted = os.environ.get("SKKEOPS_OPENMP", "1") != "0"
        for compile_args, link_args in openmp_candidates(self.compiler.compiler_type) if wanted else []:
            if self.compiles(OPENMP_PROGRAM, compile_args, link_args):
                return compile_args, link_args
        print("skkeops: without OpenMP; limits of threadpoolctl will not reach the engine")
        return [], []

    def find_levels(self, flags):
        if not sysconfig.get_platform().endswith(("x86_64", "amd64", "universal2")):
            return ["baseline"]  # vectors are part of the baseline on arm64
        probe = "#include <immintrin.h>\nint main(void) { return 0; }\n"
        return [
            level
            for level, args in flags.levels.items()
            if level == "baseline" or self.compiles(probe, flags.kernels + args)
        ]

    def build_extension(self, ext):
        flags = GCC
        if self.compiler.compiler_type == "msvc":
            flags = CLANG_CL
            if not self.compiler.initialized:
                self.compiler.initialize(self.plat_name)
            self.compiler.cc = str(find_clang_cl())
        openmp_compile, openmp_link = self.find_openmp()
        levels = self.find_levels(flags)
        macros = [(f"SKK_HAVE_{level.upper()}", str(int(level in levels))) for level in flags.levels]
        macros.append(("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"))
        extra = shlex.split(os.environ.get("SKKEOPS_CFLAGS", ""))
        every = [*flags.every_object, *openmp_compile]

        jobs = []  # (source, folder of the object, macros, arguments)
        for source in self.c_sources(ext):
            if source.name.startswith("tile_"):
                for level in levels:
                    arguments = [*every, *flags.kernels, *flags.levels[level], *extra]
                    jobs.append((source, level, [*macros, ("SKK_LEVEL", level)], arguments))
            else:
                jobs.append((source, "common", macros, [*every, *extra]))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(lambda job: self.compile_object(ext, *job), jobs))

        # What is left for setuptools is to link the objects, when one of them is newer than the module.
        sources, depends, ext.sources = ext.sources, ext.depends, []
        ext.extra_objects = ext.depends = objects
        threads = [] if flags is CLANG_CL else ["-pthread"]
        ext.extra_link_args = [*threads, *openmp_link, *shlex.split(os.environ.get("SKKEOPS_LDFLAGS", ""))]
        try:
            super().build_extension(ext)
        finally:
            ext.sources, ext.depends, ext.extra_objects = sources, depends, []

    def c_sources(self, ext):
        from Cython.Build import cythonize

        glue = cythonize(
            Extension(ext.name, [s for s in ext.sources if s.endswith(".pyx")]),
            build_dir=self.build_temp,
            include_path=[str(SOURCES)],
            language_level=3,
            force=self.force,
        )
        return [Path(s) for s in (*glue[0].sources, *ext.sources) if s.endswith(".c")]

    def compile_object(self, ext, source, folder, macros, arguments):
        output = os.path.join(self.build_temp, folder)
        (target,) = self.compiler.object_filenames([str(source)], output_dir=output)
        target, stamp = Path(target), Path(target + ".flags")
        settings = repr((macros, arguments, ext.include_dirs))
        if not self.force and target.exists() and stamp.exists() and stamp.read_text() == settings:
            inputs = [source, HERE / "setup.py", *map(Path, ext.depends)]
            if all(path.stat().st_mtime <= target.stat().st_mtime for path in inputs):
                return str(target)
        self.compiler.compile(
            [str(source)],
            output_dir=output,
            macros=macros,
            include_dirs=ext.include_dirs,
            extra_postargs=arguments,
        )
        stamp.write_text(settings)
        return str(target)


COMPILED = (".pyx", ".c")
files = sorted((SOURCES / path.name).as_posix() for path in (HERE / SOURCES).iterdir() if path.is_file())

os.chdir(HERE)
setup(
    ext_modules=[
        Extension(
            MODULE,
            sources=[f for f in files if f.endswith(COMPILED)],
            depends=[f for f in files if not f.endswith(COMPILED)],
            include_dirs=[str(SOURCES), np.get_include()],
        )
    ],
    cmdclass={"build_ext": BuildEngine},
)
