/* sin, cos, asin, acos, atan, atan2: libm. */
#ifndef SKK_SIMD_MATH_TRIG_H
#define SKK_SIMD_MATH_TRIG_H

#include "simd_math_core.h"

#define SKK_LIBM1(name)                                                                                              \
    SKK_INLINE float skk_##name##_f(float x) { return name##f(x); }                                                  \
    SKK_INLINE double skk_##name##_d(double x) { return name(x); }                                                   \
    SKK_DEFINE_LOOPS(name)

SKK_LIBM1(sin)
SKK_LIBM1(cos)
SKK_LIBM1(asin)
SKK_LIBM1(acos)
SKK_LIBM1(atan)

SKK_INLINE float skk_atan2_f(float y, float x) { return atan2f(y, x); }
SKK_INLINE double skk_atan2_d(double y, double x) { return atan2(y, x); }
SKK_DEFINE_LOOPS2(atan2)

#endif
