"""What merges the partial states of the splits, in their order, and turns them into states or results.

The second kernel of a source. A thread, or a warp where there are many splits, has one row ``i`` of ``rows``; it writes
the state, as the reductions define it, or what the `finalize` of the fold makes of it. So a call needs no operation on arrays
besides the kernels.
"""

from __future__ import annotations

from typing import NamedTuple

from skkeops.plan.plan import Plan

from ..generate.loops import LoopBlock
from .tracing import result_text

__all__ = ["Output", "WORKSPACE", "merge_extremum", "merge_kmin", "merge_shift_exp", "merge_sum"]

WORKSPACE = """
// The workspace of sums: columns of rows of float64, for every split.
static __device__ __forceinline__ void skk_put(char* workspace, long long split, int column, int columns, long long rows,
                                               long long i, double value)
{
    ((double*)workspace)[(split * columns + column) * rows + i] = value;
}
// Where the parts of a row are that is merged: those of splits, or those of items, which are `apart` rows from each other.
struct skk_parts { long long rows, splits, first, apart; };
static __device__ __forceinline__ long long skk_at(const skk_parts& parts, long long k, int column, int columns)
{
    return column * parts.rows + parts.first + k * (parts.apart ? parts.apart : columns * parts.rows);
}
static __device__ __forceinline__ double skk_get(const char* workspace, const skk_parts& parts, long long k, int column,
                                                 int columns)
{
    return ((const double*)workspace)[skk_at(parts, k, column, columns)];
}
// The workspace of values with an index: all indices first, then all values.
static __device__ __forceinline__ void skk_put_found(char* workspace, long long split, int column, int columns,
                                                     long long rows, long long splits, long long i, real value,
                                                     long long index)
{
    const long long at = (split * columns + column) * rows + i;
    ((long long*)workspace)[at] = index;
    ((real*)(workspace + 8 * splits * columns * rows))[at] = value;
}
static __device__ __forceinline__ real skk_get_found(const char* workspace, const skk_parts& parts, long long k, int column,
                                                     int columns, long long* index)
{
    const long long at = skk_at(parts, k, column, columns);
    *index = ((const long long*)workspace)[at];
    return ((const real*)(workspace + 8 * parts.splits * columns * parts.rows))[at];
}
// Of the threads that merge one row: `lanes` is 1, or 32 for a warp.
static __device__ __forceinline__ double skk_sum_of(double s, long long lanes)
{
    if (lanes > 1) for (int d = 16; d > 0; d /= 2) s += __shfl_xor_sync(0xffffffffu, s, d);
    return s;
}
static __device__ __forceinline__ double skk_max_of(double s, long long lanes)
{
    if (lanes > 1) for (int d = 16; d > 0; d /= 2) s = fmax(s, __shfl_xor_sync(0xffffffffu, s, d));
    return s;
}
static __device__ __forceinline__ void skk_compensated(real& sum, real& lost, real term)
{
    const real y = term - lost;
    const real t = sum + y;
    lost = (t - sum) - y;
    if (!(fabs(t) < SKK_INF)) lost = 0;  // an infinite sum has lost nothing
    sum = t;
}
"""


class Output(NamedTuple):
    """An array that a merge writes: ``rows`` times `shape`.

    Attributes
    ----------
    dtype : {"real", "float64", "int64"}
        "real" is the dtype of the data.
    shape : tuple of int
    """

    dtype: str
    shape: tuple[int, ...]


Merge = dict[str, tuple[list[str], tuple[Output, ...]]]


def merge_sum(plan: Plan, columns: int, factor: LoopBlock | None) -> Merge:
    """Sums, times what left them by linearity: ``factor`` is a block that can compute the plan's factor for row ``i``."""
    expression = plan.terms[0].factor
    dim = max(columns, 0 if expression is None else expression.dim, plan.problem.values[0].dim)
    before: list[str] = []
    inside: list[str] = []
    product = "s"
    if expression is not None and factor is not None:
        if expression.dim == 1:
            (text,) = factor.compute([(expression, 0)])
            before = factor.lines
        else:
            factor.compute_numbers([expression])
            before, factor.lines = factor.lines, []
            text = factor.component(expression, "d")
            inside = factor.lines
        product = f"(double)({text}) * s"
    merges: Merge = {}
    for kind, dtype, cast in (("state", "float64", "double"), ("result", "real", "real")):
        column = "d" if columns > 1 else "0"
        body = [
            *before,
            f"for (int d = 0; d < {dim}; ++d) {{",
            "    double s = 0.0;",
            f"    for (long long k = lane; k < splits; k += lanes) s += skk_get(workspace, parts, k, {column}, {columns});",
            "    s = skk_sum_of(s, lanes);",
            *(f"    {line}" for line in inside),
            f"    if (lane == 0) out0[i * {dim} + d] = ({cast})({product});",
            "}",
        ]
        merges[kind] = (body, (Output(dtype, (dim,)),))
    return merges


def merge_shift_exp(plan: Plan, weights: int, base_2: bool, exact_max: bool) -> Merge:
    """Sums of exponentials: rescaled to the largest reference, then what the reduction makes of them."""
    reduction = plan.problem.reduction
    columns = weights + 1
    stored = columns + 1 + exact_max
    get = f"skk_get(workspace, parts, k, {{}}, {stored})"
    body = [
        "double m = -SKK_DOUBLE_INF;",
        f"for (long long k = lane; k < splits; k += lanes) {{ const double other = {get.format(0)}; if (other > m) m = other; }}",
        "m = skk_max_of(m, lanes);",
        "double unit = 0.0, by = 1.0;",
        *_sum_of_column("unit", get, base_2, "1"),
    ]
    rest = list(_sum_of_column("s", get, base_2, "1 + c"))
    if exact_max:
        body += [
            "double top = -SKK_DOUBLE_INF;",
            f"for (long long k = lane; k < splits; k += lanes) {{ const double other = {get.format(columns + 1)}; "
            "if (other > top) top = other; }",
            "top = skk_max_of(top, lanes);",
            "by = exp(skk_finite(m) - skk_finite(top));",
            "double final = top;",
        ]
    else:
        body.append("double final = m;")
    if base_2:
        body.append("final *= 0.69314718055994530942;")

    def columns_of(first: int, last: int, target: str) -> list[str]:
        return [
            f"for (int c = {first}; c < {last}; ++c) {{",
            "    double s = 0.0;",
            *(f"    {line}" for line in rest),
            f"    {target}",
            "}",
        ]

    first = 0 if reduction.unit_column else 1
    width = columns - first
    state = [
        *body,
        *([] if exact_max else _NORMALISE.splitlines()),
        "if (lane == 0) out0[i] = final;",
        *columns_of(first, columns, f"if (lane == 0) out1[i * {width} + c - {first}] = s * by;"),
    ]
    if exact_max:
        value = "final == SKK_DOUBLE_INF ? final - final : s * by"  # NaN where the largest is infinite
        target = f"if (lane == 0) out0[i * {width + 1} + 1 + c - {first}] = (real)({value});"
        result = [*body, f"if (lane == 0) out0[i * {width + 1}] = (real)final;", *columns_of(first, columns, target)]
        outputs = (Output("real", (width + 1,)),)
    else:
        value = result_text(reduction)
        if value is None:
            return {"state": (state, (Output("float64", (1,)), Output("float64", (width,))))}
        begin, dim = (1, weights) if weights else (0, 1)
        result = [*body, *columns_of(begin, begin + dim, f"if (lane == 0) out0[i * {dim} + c - {begin}] = (real)({value});")]
        outputs = (Output("real", (dim,)),)
    return {
        "state": (state, (Output("float64", (1,)), Output("float64", (width,)))),
        "result": (result, outputs),
    }


def _sum_of_column(name: str, get: str, base_2: bool, column: str) -> list[str]:
    """Add a column of the splits, rescaled."""
    function = "exp2" if base_2 else "exp"
    return [
        "for (long long k = lane; k < splits; k += lanes)",
        f"    {name} += {get.format(column)} * ({get.format(0)} == m ? 1.0 : {function}({get.format(0)} - m));",
        f"{name} = skk_sum_of({name}, lanes);",
    ]


# The reference m is not the largest F. Derivatives rely on exp(F - m) <= 1, which the logarithm of the sum gives.
_NORMALISE = """\
if (unit > 0.0 && unit < SKK_DOUBLE_INF && fabs(final) < SKK_DOUBLE_INF) {
    final += log(unit);
    by = 1.0 / unit;
}
if (unit != unit) final = unit;"""


def merge_extremum(plan: Plan, dim: int, better: str, worst: str) -> Merge:
    """The best value of the splits, the first of equals."""
    merges: Merge = {}
    for kind, dtype in (("state", "float64"), ("result", "real")):
        put, outputs = _choose(plan, kind, dtype, (dim,))
        body = [
            f"for (int d = 0; d < {dim}; ++d) {{",
            f"    real best = {worst}; long long place = -1;",
            "    for (long long k = lane; k < splits; k += lanes) {",
            f"        long long index; const real value = skk_get_found(workspace, parts, k, d, {dim}, &index);",
            f"        if (value {better} best) {{ best = value; place = index; }}",
            "    }",
            "    if (lanes > 1) for (int d2 = 16; d2 > 0; d2 /= 2) {",
            "        const real value = __shfl_xor_sync(0xffffffffu, best, d2);",
            "        const long long index = __shfl_xor_sync(0xffffffffu, place, d2);",
            f"        if (value {better} best || (value == best && index < place)) {{ best = value; place = index; }}",
            "    }",
            *(f"    if (lane == 0) {line}" for line in put(f"i * {dim} + d", "best", "place")),
            "}",
        ]
        merges[kind] = (body, outputs)
    return merges


def merge_kmin(plan: Plan, dim: int, k: int) -> Merge:
    """The K smallest values of the splits' ascending lists; places without a value have the index -1.

    Every lane has a list of its share of the splits; then, K times, the smallest of what the lists begin with is taken.
    """
    shape = (k,) if dim == 1 else (k, dim)
    merges: Merge = {}
    for kind, dtype in (("state", "float64"), ("result", "real")):
        put, outputs = _choose(plan, kind, dtype, (k, dim) if kind == "state" else shape)
        at = f"(i * {k} + q) * {dim} + d"
        body = [
            f"for (int d = 0; d < {dim}; ++d) {{",
            f"    real kept[{k}]; long long place[{k}];",
            "    #pragma unroll 1",
            f"    for (int q = 0; q < {k}; ++q) {{ kept[q] = SKK_INF; place[q] = -1; }}",
            "    #pragma unroll 1",
            "    for (long long s = lane; s < splits; s += lanes) {",
            "        #pragma unroll 1",
            f"        for (int r = 0; r < {k}; ++r) {{",
            "            long long index;",
            f"            const real value = skk_get_found(workspace, parts, s, d * {k} + r, {k * dim}, &index);",
            f"            if (!(value < kept[{k - 1}])) break;  // the rest is larger",
            f"            int q = {k - 1};",
            "            #pragma unroll 1",
            "            for (; q > 0 && kept[q - 1] > value; --q) { kept[q] = kept[q - 1]; place[q] = place[q - 1]; }",
            "            kept[q] = value; place[q] = index;",
            "        }",
            "    }",
            "    int head = 0;",
            "    #pragma unroll 1",
            f"    for (int q = 0; q < {k}; ++q) {{",
            "        const long long own = place[head];",
            "        real best = kept[head]; long long first = own;",
            "        if (lanes > 1) for (int d2 = 16; d2 > 0; d2 /= 2) {",
            "            const real value = __shfl_xor_sync(0xffffffffu, best, d2);",
            "            const long long index = __shfl_xor_sync(0xffffffffu, first, d2);",
            "            const bool sooner = (unsigned long long)index < (unsigned long long)first;  // -1 comes last",
            "            if (value < best || (value == best && sooner)) { best = value; first = index; }",
            "        }",
            f"        if (first == own && head < {k - 1}) ++head;  // the indices of the lists are all different",
            *(f"        if (lane == 0) {line}" for line in put(at, "best", "first")),
            "    }",
        ]
        merges[kind] = ([*body, "}"], outputs)
    return merges


def _choose(plan: Plan, kind: str, dtype: str, shape: tuple[int, ...]):
    """What of a value and its index is written, and where."""
    reduction = plan.problem.reduction
    value = kind == "state" or reduction.returns_value
    index = kind == "state" or reduction.returns_index
    outputs = (*([Output(dtype, shape)] if value else []), *([Output("int64", shape)] if index else []))

    def put(at: str, value_text: str, index_text: str) -> list[str]:
        lines = [f"out0[{at}] = {value_text};"] if value else []
        if index:
            lines.append(f"out{int(value)}[{at}] = {index_text};")
        return lines

    return put, outputs
