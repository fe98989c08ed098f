"""Expressions point by point: a thread per point."""

from __future__ import annotations

from collections.abc import Sequence

from skkeops.formula.expression import Expression, I, J, Variable, postorder

from ..expressions import Block
from ..loops import LoopBlock

__all__ = ["POINTS_BLOCK", "points_kernel"]

POINTS_BLOCK = 128

_WRITTEN_OUT = 128  # the most components that are written out one by one


def points_kernel(
    expressions: Sequence[Expression], arrays: dict[Variable, str], parameters: Sequence[str], real: str
) -> str:
    """The kernel ``skk_points``: row i of every expression from row i of every array that is no parameter."""
    index = {I: "i", J: "i"}
    if max((node.dim for node in postorder(*expressions)), default=1) <= _WRITTEN_OUT:
        block = Block(real, "v", index=index, arrays=arrays)
        values = iter(block.compute([(e, k) for e in expressions for k in range(e.dim)]))
        body = block.lines + [
            f"out{n}[i * {e.dim} + {k}] = {next(values)};" for n, e in enumerate(expressions) for k in range(e.dim)
        ]
    else:
        loops = LoopBlock(real, "v", index=index, arrays=arrays)
        loops.compute_numbers(expressions)
        for n, e in enumerate(expressions):
            loops.lines.append(f"for (int k = 0; k < {e.dim}; ++k) {{")
            value = loops.component(e, "k")
            loops.lines += [f"out{n}[i * {e.dim}LL + k] = {value};", "}"]
        body = loops.lines
    written = [f"real* __restrict__ out{k}" for k in range(len(expressions))]
    lines = [
        f'extern "C" __global__ void __launch_bounds__({POINTS_BLOCK}, 2) skk_points('
        f"{', '.join([*parameters, *written, 'long long rows'])})",
        "{",
        f"    const long long i = (long long)blockIdx.x * {POINTS_BLOCK} + threadIdx.x;",
        "    if (i >= rows) return;",
        *(f"    {line}" for line in body),
        "}",
    ]
    return "\n".join(lines) + "\n"
