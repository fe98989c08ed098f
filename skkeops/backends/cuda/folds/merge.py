"""The second kernel of a source: a thread, or a warp where there are many parts, merges the parts of a row in their order.

It writes the state, as the reductions define it, or the result, what the `finalize` of the fold makes of the state. So a call
needs no operation on arrays besides the kernels. A part is what a split of the reduced axis or an item of ranges left of the row.

Without ranges all rows have the same splits. With ranges, ``blocks`` tells for each block of rows how many items it has and
where the first one left its states; the parts of a row are then as many rows apart as the block has.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..launch.geometry import Launch, blocks_of
from ..launch.ranges import ROW_BLOCK, Work
from .workspace import Output

__all__ = ["merge_kernel", "merge_launch"]

MERGE_BLOCK = 128
_MOST_SERIAL = 16  # parts that one thread merges


def merge_kernel(final: str, parameters: Sequence[str], body: Sequence[str], outputs: tuple[Output, ...]) -> str:
    """The kernel ``skk_merge_state`` or ``skk_merge_result``, which writes the outputs."""
    types = {"real": "real", "float64": "double", "int64": "long long"}
    written = [f"{types[output.dtype]}* __restrict__ out{k}" for k, output in enumerate(outputs)]
    sizes = ["const long long* __restrict__ blocks", "long long rows", "long long splits", "long long lanes"]
    arguments = [*parameters, "const char* __restrict__ workspace", *written, *sizes]
    lines = [
        f'extern "C" __global__ void __launch_bounds__({MERGE_BLOCK}, 4) skk_merge_{final}('
        f'{", ".join(arguments)})',
        "{",
        f"    const long long thread = (long long)(blocks ? blockIdx.y : blockIdx.x) * {MERGE_BLOCK} + threadIdx.x;",
        "    const long long lane = thread % lanes;",
        "    long long i = thread / lanes, end = rows;",
        "    skk_parts parts = {rows, splits, i, 0};",
        "    if (blocks) {",
        f"        const long long* block = blocks + {ROW_BLOCK} * (long long)blockIdx.x;",
        "        parts.first = block[2] + i; parts.apart = block[1] - block[0]; splits = block[3];",
        "        i += block[0]; end = block[1];",
        "    }",
        "    if (i >= end) return;",
        *(f"    {line}" for line in body),
        "}",
    ]
    return "\n".join(lines) + "\n"


def merge_launch(final: str, n_outputs: int, rows: int, kept: int, splits: int, work: Work | None) -> Launch:
    """The launch of the kernel: of `rows` rows, of which the workspace has `kept` for each of the splits."""
    lanes = 32 if (splits if work is None else work.most) > _MOST_SERIAL else 1
    if work is None:
        grid = (blocks_of(rows * lanes, MERGE_BLOCK),)
    else:
        grid = (len(work.blocks), blocks_of(work.tallest * lanes, MERGE_BLOCK))
    args = ("workspace", *(f"out{k}" for k in range(n_outputs)), "blocks", kept, splits, lanes)
    return Launch(f"skk_merge_{final}", grid, (MERGE_BLOCK,), 0, args)
