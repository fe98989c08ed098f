"""The CUDA backend: problems as generated CUDA C++, compiled by NVRTC and launched through CuPy.

What other parts of the package may rely on:

``prepare(problem, options=None) -> CudaProgram``, ``evaluate``, ``evaluate_pairs``
    What `skkeops.execution.program.Backend` asks for, on arrays of CuPy and the current device. Results are computed by the
    kernels themselves: one allocation for the workspace, one for each output, two launches.
``source(plan, dtype, options=None, template="auto") -> Source``
    The text of the kernels, their names and compile options, the shape of the launches. It needs neither
    CuPy nor a device: `Genred.cuda_source` returns this.
``options_of(options) -> Options``
    What the options of a `Genred` mean for the code.

CuPy is imported by `launch.module` and `programs` at the first call, not before. Kernels run on the current device and stream.

This code is verified by compilation and by emulation on the CPU, not on a GPU. See ``docs/design/cuda.md``.
"""

from .options import Options
from .programs import CudaProgram, evaluate, evaluate_pairs, options_of, prepare
from .source import Source, source

__all__ = ["CudaProgram", "Options", "Source", "evaluate", "evaluate_pairs", "options_of", "prepare", "source"]
