"""The workspace: where the main kernel leaves the parts of a row, and from where the second kernel merges them."""

from __future__ import annotations

from typing import NamedTuple

from skkeops.plan.plan import Plan

__all__ = ["WORKSPACE", "Merge", "Output", "choose_written"]

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
"""For ``"state"`` and for ``"result"``: the statements that compute row ``i``, and the arrays that they write."""


def choose_written(plan: Plan, kind: str, dtype: str, shape: tuple[int, ...]):
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
