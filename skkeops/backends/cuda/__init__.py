"""The CUDA backend: problems as generated CUDA C++, compiled by NVRTC and launched through CuPy.

What other parts of the package may rely on:

``prepare(problem, options=None) -> CudaProgram``
    ``.run(arrays, progress=None, ranges=None) -> state``: arrays are CuPy arrays (copied where they are not
    C-contiguous), the state is a tuple of CuPy arrays, float64 and int64, in the layout of `skkeops.reductions`.
    ``.results(arrays, dtype=None, progress=None, ranges=None) -> result``: what `Reduction.finalize` would make of that state,
    computed by the kernels themselves: one allocation for the workspace, one for each output, two launches.
``evaluate(expressions, variables, arrays, n) -> list``
    Expressions point by point, like the other backends.
``evaluate_pairs(expression, variables, arrays, m, n) -> array``
    An expression at all pairs.
``source(plan, dtype, options=None, template="auto") -> Source``
    The text of the kernels, their names and compile options, the shape of the launches. `Genred.cuda_source` returns this. It needs
    neither CuPy nor a device.
``Options.of_genred(dtype_acc, use_double_acc, sum_scheme, use_fast_math) -> Options``
    What KeOps' options mean here.

CuPy is imported by `launch.module` and `programs` at the first call, not before. Kernels run on the current device and stream.

This code is verified by compilation and by emulation on the CPU, not on a GPU. See ``docs/design/cuda.md``.
"""

from .options import Options
from .programs import CudaProgram, evaluate, evaluate_pairs, prepare
from .source import Source, source

__all__ = ["CudaProgram", "Options", "Source", "evaluate", "evaluate_pairs", "prepare", "source"]
