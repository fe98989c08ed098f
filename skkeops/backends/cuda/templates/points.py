"""Expressions point by point: a thread per point."""

from __future__ import annotations

from collections.abc import Sequence

from skkeops.formula.expression import Expression, I, J, Variable

from ..expressions import Block

__all__ = ["POINTS_BLOCK", "points_kernel"]

POINTS_BLOCK = 128


def points_kernel(
    expressions: Sequence[Expression], arrays: dict[Variable, str], parameters: Sequence[str], real: str
) -> str:
    """The kernel ``skk_points``: row i of every expression from row i of every array that is no parameter."""
    block = Block(real, "v", index={I: "i", J: "i"}, arrays=arrays)
    values = iter(block.compute([(e, k) for e in expressions for k in range(e.dim)]))
    stores = [
        f"out{number}[i * {e.dim} + {k}] = {next(values)};" for number, e in enumerate(expressions) for k in range(e.dim)
    ]
    written = [f"real* __restrict__ out{k}" for k in range(len(expressions))]
    lines = [
        f'extern "C" __global__ void __launch_bounds__({POINTS_BLOCK}, 2) skk_points('
        f"{', '.join([*parameters, *written, 'long long rows'])})",
        "{",
        f"    const long long i = (long long)blockIdx.x * {POINTS_BLOCK} + threadIdx.x;",
        "    if (i >= rows) return;",
        *(f"    {line}" for line in (*block.lines, *stores)),
        "}",
    ]
    return "\n".join(lines) + "\n"
