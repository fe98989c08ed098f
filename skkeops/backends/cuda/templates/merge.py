"""The second kernel of a source: a thread or a warp per row merges the splits."""

from __future__ import annotations

from collections.abc import Sequence

from ..results import Output

__all__ = ["MERGE_BLOCK", "merge_kernel"]

MERGE_BLOCK = 128


def merge_kernel(name: str, parameters: Sequence[str], body: Sequence[str], outputs: tuple[Output, ...]) -> str:
    """The kernel of that name, which writes the outputs."""
    types = {"real": "real", "float64": "double", "int64": "long long"}
    written = [f"{types[output.dtype]}* __restrict__ out{k}" for k, output in enumerate(outputs)]
    sizes = ["long long rows", "long long splits", "long long lanes"]
    arguments = [*parameters, "const char* __restrict__ workspace", *written, *sizes]
    lines = [
        f'extern "C" __global__ void __launch_bounds__({MERGE_BLOCK}, 4) {name}({", ".join(arguments)})',
        "{",
        f"    const long long thread = (long long)blockIdx.x * {MERGE_BLOCK} + threadIdx.x;",
        "    const long long i = thread / lanes, lane = thread % lanes;",
        "    if (i >= rows) return;",
        *(f"    {line}" for line in body),
        "}",
    ]
    return "\n".join(lines) + "\n"
