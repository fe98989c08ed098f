"""Expressions point by point, or at all pairs: a thread for each."""

from __future__ import annotations

from collections.abc import Sequence

from skkeops.formula.expression import IJ, Expression, I, J, Variable, postorder

from ..launch.ranges import ITEM
from .expressions import Block
from .loops import LoopBlock

__all__ = ["POINTS_BLOCK", "pairs_kernel", "points_kernel"]

POINTS_BLOCK = 128

_WRITTEN_OUT = 128  # the most components that are written out one by one


def points_kernel(
    expressions: Sequence[Expression], arrays: dict[Variable, str], parameters: Sequence[str], real: str
) -> str:
    """The kernel ``skk_points``: row i of every expression from row i of every array that is no parameter."""
    body = [
        f"const long long i = (long long)blockIdx.x * {POINTS_BLOCK} + threadIdx.x;",
        "if (i >= rows) return;",
        *_values(expressions, arrays, real, {I: "i", J: "i", IJ: "i"}),
    ]
    return _kernel("skk_points", parameters, len(expressions), "long long rows", body)


def pairs_kernel(expression: Expression, arrays: dict[Variable, str], parameters: Sequence[str], real: str) -> str:
    """The kernel ``skk_pairs``: the expression at all pairs, row after row, or at the pairs of the items of ranges."""
    body = [
        "long long first_row = 0, begin = 0, width = columns, count = rows * columns, segment = 0, end_segment = 1;",
        f"long long start = (long long)blockIdx.x * {POINTS_BLOCK} + threadIdx.x, step = count, height = rows;",
        "if (items) {",
        f"    const long long* item = items + {ITEM} * (long long)blockIdx.x;",
        "    first_row = item[0]; height = item[1] - item[0]; segment = item[2]; end_segment = item[3];",
        f"    start = threadIdx.x; step = {POINTS_BLOCK};",
        "}",
        "for (; segment < end_segment; ++segment) {",
        "    if (items) {",
        "        begin = segments[2 * segment]; width = segments[2 * segment + 1] - begin; count = height * width;",
        "    }",
        "    for (long long p = start; p < count; p += step) {",
        "        const long long row = first_row + p / width, j = begin + p % width, i = row * columns + j;",
        *(f"        {line}" for line in _values((expression,), arrays, real, {I: "row", J: "j"})),
        "    }",
        "}",
    ]
    tables = "const long long* __restrict__ items, const long long* __restrict__ segments, "
    return _kernel("skk_pairs", parameters, 1, tables + "long long rows, long long columns", body)


def _values(
    expressions: Sequence[Expression], arrays: dict[Variable, str], real: str, index: dict[int, str]
) -> list[str]:
    """Statements that write the expressions to row i of the outputs."""
    if max((node.dim for node in postorder(*expressions)), default=1) <= _WRITTEN_OUT:
        block = Block(real, "v", index=index, arrays=arrays)
        values = iter(block.compute([(e, k) for e in expressions for k in range(e.dim)]))
        return block.lines + [
            f"out{n}[i * {e.dim} + {k}] = {next(values)};" for n, e in enumerate(expressions) for k in range(e.dim)
        ]
    loops = LoopBlock(real, "v", index=index, arrays=arrays)
    loops.compute_numbers(expressions)
    for n, e in enumerate(expressions):
        loops.lines.append(f"for (int k = 0; k < {e.dim}; ++k) {{")
        value = loops.component(e, "k")
        loops.lines += [f"out{n}[i * {e.dim}LL + k] = {value};", "}"]
    return loops.lines


def _kernel(name: str, parameters: Sequence[str], n_outputs: int, sizes: str, body: Sequence[str]) -> str:
    written = [f"real* __restrict__ out{k}" for k in range(n_outputs)]
    lines = [
        f'extern "C" __global__ void __launch_bounds__({POINTS_BLOCK}, 2) {name}({", ".join([*parameters, *written, sizes])})',
        "{",
        *(f"    {line}" for line in body),
        "}",
    ]
    return "\n".join(lines) + "\n"
