/* Elementary functions for the tile engine, in portable C99 that gcc and clang vectorise.
 *
 * skk_NAME_f(x), skk_NAME_d(x)            one value; exp is branch-free and vectorises inside `omp simd` loops
 * skk_NAME_v_f(out, in, n), _v_d          loops; out may be exactly in; any n
 * skk_atan2_v_f(out, y, x, n), skk_pow_v_f(out, x, y, n)
 *
 * No -ffast-math: infinities, NaN, signed zeros and denormal numbers are treated as IEEE 754 and C99 (annex F) ask.
 * Every product that is added is written as SKK_FMA_*, so that nothing is left to the compiler's contraction: a lane gets
 * the same bits in the vector body and in the remainder of a loop.
 */
#ifndef SKK_SIMD_MATH_H
#define SKK_SIMD_MATH_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "simd_math_core.h"
#include "simd_math_exp.h"
#include "simd_math_log.h"
#include "simd_math_trig.h"
#include "simd_math_pow.h"
#include "simd_math_sinc.h"
#include "simd_math_hyperbolic.h"
#include "simd_math_erf.h"
#include "simd_math_gamma.h"

#undef SKK_DEFINE_LOOP1
#undef SKK_DEFINE_LOOP2
#undef SKK_DEFINE_WIDE1
#undef SKK_DEFINE_WIDE2
#undef SKK_DEFINE_BOTH
#undef SKK_WIDE_BLOCK

#endif
