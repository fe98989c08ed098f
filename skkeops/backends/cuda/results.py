"""What merges the partial states of the splits, in their order, and turns them into states or results.

The second kernel of a source. A thread has one row ``i`` of ``rows``; it writes the state, as the reductions define it, or
what their `finalize` makes of it. So a call needs no operation on arrays besides the kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from skkeops.plan.plan import Plan

__all__ = ["Output", "WORKSPACE", "merge_extremum", "merge_kmin", "merge_shift_exp", "merge_sum"]

WORKSPACE = """
// The workspace of sums: columns of rows of float64, for every split.
static __device__ __forceinline__ void skk_put(char* workspace, long long split, int column, int columns, long long rows,
                                               long long i, double value)
{
    ((double*)workspace)[(split * columns + column) * rows + i] = value;
}
static __device__ __forceinline__ double skk_get(const char* workspace, long long split, int column, int columns,
                                                 long long rows, long long i)
{
    return ((const double*)workspace)[(split * columns + column) * rows + i];
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
static __device__ __forceinline__ real skk_get_found(const char* workspace, long long split, int column, int columns,
                                                     long long rows, long long splits, long long i, long long* index)
{
    const long long at = (split * columns + column) * rows + i;
    *index = ((const long long*)workspace)[at];
    return ((const real*)(workspace + 8 * splits * columns * rows))[at];
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


def merge_sum(plan: Plan, columns: int, factor: Sequence[str], lines: Sequence[str]) -> Merge:
    """Sums, times what left them by linearity."""
    dim = max(columns, len(factor), plan.problem.values[0].dim)
    merges: Merge = {}
    for kind, dtype, cast in (("state", "float64", "double"), ("result", "real", "real")):
        body = [*lines]
        for c in range(columns):
            body += [
                f"double s{c} = 0.0;",
                f"for (long long k = 0; k < splits; ++k) s{c} += skk_get(workspace, k, {c}, {columns}, rows, i);",
            ]
        for d in range(dim):
            s = f"s{d if columns > 1 else 0}"
            value = f"(double){factor[d if len(factor) > 1 else 0]} * {s}" if factor else s
            body.append(f"out0[i * {dim} + {d}] = ({cast})({value});")
        merges[kind] = (body, (Output(dtype, (dim,)),))
    return merges


def merge_shift_exp(plan: Plan, weights: int, base_2: bool, exact_max: bool) -> Merge:
    """Sums of exponentials: rescaled to the largest reference, then what the reduction makes of them."""
    reduction = plan.problem.reduction
    columns = weights + 1
    stored = columns + 1 + exact_max
    get = f"skk_get(workspace, k, {{}}, {stored}, rows, i)"
    body = [
        "double m = -SKK_DOUBLE_INF;",
        f"for (long long k = 0; k < splits; ++k) {{ const double other = {get.format(0)}; if (other > m) m = other; }}",
        f"double s[{columns}];",
        f"for (int c = 0; c < {columns}; ++c) s[c] = 0.0;",
        "for (long long k = 0; k < splits; ++k) {",
        f"    const double scale = {'exp2' if base_2 else 'exp'}({get.format(0)} - skk_finite(m));",
        f"    for (int c = 0; c < {columns}; ++c) s[c] += {get.format('1 + c')} * scale;",
        "}",
    ]
    if base_2:
        body.append("m *= 0.69314718055994530942;")
    if exact_max:
        body += [
            "double top = -SKK_DOUBLE_INF;",
            f"for (long long k = 0; k < splits; ++k) {{ const double other = {get.format(columns + 1)}; "
            "if (other > top) top = other; }",
            f"for (int c = 0; c < {columns}; ++c) s[c] *= exp(skk_finite(m) - skk_finite(top));",
            "m = top;",
            "if (s[0] != s[0]) m = s[0];  // a NaN among the exponents",
        ]
    first = 0 if reduction.unit_column else 1
    width = columns - first
    state = [
        *body,
        *([] if exact_max else _NORMALISE.format(columns=columns).splitlines()),
        "out0[i] = m;",
        f"for (int c = 0; c < {width}; ++c) out1[i * {width} + c] = s[c + {first}];",
    ]
    if exact_max:
        result = [*body, f"out0[i * {width + 1}] = (real)m;"]
        result.append(f"for (int c = 0; c < {width}; ++c) out0[i * {width + 1} + 1 + c] = (real)s[c + {first}];")
        outputs = (Output("real", (width + 1,)),)
    else:
        begin, dim = (1, weights) if weights else (0, 1)
        value = reduction.cuda.format(m="m", s=f"s[{begin} + c]", unit="s[0]")
        result = [*body, f"for (int c = 0; c < {dim}; ++c) out0[i * {dim} + c] = (real)({value});"]
        outputs = (Output("real", (dim,)),)
    return {
        "state": (state, (Output("float64", (1,)), Output("float64", (width,)))),
        "result": (result, outputs),
    }


# The reference m is not the largest F. Derivatives rely on exp(F - m) <= 1, which the logarithm of the sum gives.
_NORMALISE = """\
if (s[0] > 0.0 && s[0] < SKK_DOUBLE_INF && fabs(m) < SKK_DOUBLE_INF) {{
    const double unit = s[0];
    m += log(unit);
    for (int c = 0; c < {columns}; ++c) s[c] /= unit;
}}
if (s[0] != s[0]) m = s[0];"""


def merge_extremum(plan: Plan, dim: int, better: str, worst: str) -> Merge:
    """The best value of the splits, the first of equals."""
    merges: Merge = {}
    for kind, dtype in (("state", "float64"), ("result", "real")):
        put, outputs = _choose(plan, kind, dtype, (dim,))
        body = [
            f"for (int d = 0; d < {dim}; ++d) {{",
            f"    real best = {worst}; long long place = 0;",
            "    for (long long k = 0; k < splits; ++k) {",
            f"        long long index; const real value = skk_get_found(workspace, k, d, {dim}, rows, splits, i, &index);",
            f"        if (value {better} best) {{ best = value; place = index; }}",
            "    }",
            *(f"    {line}" for line in put(f"i * {dim} + d", "best", "place")),
            "}",
        ]
        merges[kind] = (body, outputs)
    return merges


def merge_kmin(plan: Plan, dim: int, k: int) -> Merge:
    """The K smallest values of the splits' ascending lists. In a result, places without a value get the smallest indices
    that are not in the list."""
    shape = (k,) if dim == 1 else (k, dim)
    merges: Merge = {}
    for kind, dtype in (("state", "float64"), ("result", "real")):
        put, outputs = _choose(plan, kind, dtype, (k, dim) if kind == "state" else shape)
        columns = k * dim
        body = [
            f"for (int d = 0; d < {dim}; ++d) {{",
            f"    real kept[{k}]; long long place[{k}];",
            f"    for (int q = 0; q < {k}; ++q) {{ kept[q] = SKK_INF; place[q] = -1; }}",
            "    for (long long s = 0; s < splits; ++s)",
            f"        for (int r = 0; r < {k}; ++r) {{",
            "            long long index;",
            f"            const real value = skk_get_found(workspace, s, d * {k} + r, {columns}, rows, splits, i, &index);",
            f"            if (!(value < kept[{k - 1}])) break;  // the rest is larger",
            f"            int q = {k - 1};",
            "            for (; q > 0 && kept[q - 1] > value; --q) { kept[q] = kept[q - 1]; place[q] = place[q - 1]; }",
            "            kept[q] = value; place[q] = index;",
            "        }",
        ]
        if kind == "result" and plan.problem.reduction.returns_index:
            body += [
                "    long long next = 0;",
                f"    for (int q = 0; q < {k}; ++q) if (place[q] < 0) {{",
                f"        for (int r = 0; r < {k}; ++r) if (place[r] == next) {{ ++next; r = -1; }}",
                "        place[q] = next;",
                "    }",
            ]
        body.append(f"    for (int q = 0; q < {k}; ++q) {{")
        body += [f"        {line}" for line in put(f"(i * {k} + q) * {dim} + d", "kept[q]", "place[q]")]
        merges[kind] = ([*body, "    }", "}"], outputs)
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
