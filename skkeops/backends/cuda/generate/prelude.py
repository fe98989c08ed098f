"""What every generated source begins with: types and a few device functions. Nothing is included."""

from __future__ import annotations

__all__ = ["FINITE_MAX", "prelude"]

FINITE_MAX = {"float": "3.402823466e+38f", "double": "1.7976931348623157e+308"}

_FLOAT = """
typedef float real;
typedef float2 real2;
typedef float4 real4;
#define SKK_INF __int_as_float(0x7f800000)
static __device__ __forceinline__ real4 skk_pack(real a, real b, real c, real d) { return make_float4(a, b, c, d); }
static __device__ __forceinline__ real2 skk_pack(real a, real b) { return make_float2(a, b); }
// Exponentials of differences: one MUFU instruction, with flush to zero.
static __device__ __forceinline__ real skk_exp(real x) { return exp2f(x * 1.4426950408889634f); }
// A difference that is rounded, whatever is made of it.
static __device__ __forceinline__ real skk_minus(real a, real b) { return __fsub_rn(a, b); }
// Larger than b, if b is finite, by one or two units in the last place.
static __device__ __forceinline__ real skk_above(real b) { return b + (fabsf(b) * 1.1920929e-7f + 1.1754944e-38f); }
"""

_DOUBLE = """
typedef double real;
typedef double2 real2;
#define SKK_INF __longlong_as_double(0x7ff0000000000000LL)
static __device__ __forceinline__ real2 skk_pack(real a, real b) { return make_double2(a, b); }
static __device__ __forceinline__ real skk_exp(real x) { return exp(x); }
static __device__ __forceinline__ real skk_minus(real a, real b) { return __dsub_rn(a, b); }
static __device__ __forceinline__ real skk_above(real b) { return b + (fabs(b) * 2.220446049250313e-16 + 2.2250738585072014e-308); }
"""

_COMMON = """
static __device__ __forceinline__ real skk_pack(real a) { return a; }
#define SKK_DOUBLE_INF __longlong_as_double(0x7ff0000000000000LL)
// 2^d for d <= 0, exact; 0 below the smallest normal number
static __device__ __forceinline__ double skk_power_of_2(double d)
{
    return d < -1022.0 ? 0.0 : __longlong_as_double((1023LL + (long long)d) << 52);
}
static __device__ __forceinline__ double skk_finite(double m) { return fabs(m) == SKK_DOUBLE_INF ? 0.0 : m; }
"""


def prelude(real: str) -> str:
    """The text before the kernels, for a type."""
    return (_FLOAT if real == "float" else _DOUBLE).lstrip() + _COMMON
