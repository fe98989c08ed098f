/* pow: libm. */
#ifndef SKK_SIMD_MATH_POW_H
#define SKK_SIMD_MATH_POW_H

#include "simd_math_core.h"

SKK_INLINE float skk_pow_f(float x, float y) { return powf(x, y); }
SKK_INLINE double skk_pow_d(double x, double y) { return pow(x, y); }
SKK_DEFINE_LOOPS2(pow)

#endif
