/* log.  x = 2^k m with m in [sqrt(1/2), sqrt(2)), s = (m-1)/(m+1), log m = 2 atanh(s) by a minimax polynomial in s^2, arranged as in
 * fdlibm's e_log.c (Sun 1993) so that the terms that matter are exact.  float32 is computed in float64.
 * Error: 0.51 ulp (float32), below 1 ulp (float64). */
#ifndef SKK_SIMD_MATH_LOG_H
#define SKK_SIMD_MATH_LOG_H

#include "simd_math_core.h"

/* k as a double and m in [sqrt(1/2), sqrt(2)), for finite x > 0 (denormal too). */
SKK_INLINE double skk_split_d(double x, double *m) {
    uint64_t u, e;
    double tiny = x < DBL_MIN ? 1.0 : 0.0;
    u = skk_bits_d(x < DBL_MIN ? x * 0x1p54 : x);
    u += 0x3ff0000000000000u - 0x3fe6a09e667f3bcdu;
    e = (u >> 52) | 0x4330000000000000u; /* 2^52 + exponent field */
    *m = skk_from_bits_d((u & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu);
    return skk_from_bits_d(e) - (0x1p52 + 1023.0) - 54.0 * tiny;
}

SKK_INLINE double skk_log_d(double x) {
    double m, k = skk_split_d(x, &m), f = m - 1.0, s = f / (2.0 + f), z = s * s, h = 0.5 * f * f, p, y;
    p = 0x1.2f057d98b0405p-3;
    p = SKK_FMA_D(p, z, 0x1.39a1b8b21d5f6p-3);
    p = SKK_FMA_D(p, z, 0x1.74663ef5454f2p-3);
    p = SKK_FMA_D(p, z, 0x1.c71c52094b793p-3);
    p = SKK_FMA_D(p, z, 0x1.24924941f0f37p-2);
    p = SKK_FMA_D(p, z, 0x1.999999997fdc2p-2);
    p = SKK_FMA_D(p, z, 0x1.5555555555592p-1);
    /* log(1+f) = f - (h - s (h + z p)) */
    y = SKK_FMA_D(s, SKK_FMA_D(z, p, h), k * 1.90821492927058770002e-10);
    y = SKK_FMA_D(k, 6.93147180369123816490e-01, f - (h - y));
    y = x > DBL_MAX ? x : y;
    y = x == 0.0 ? -HUGE_VAL : y;
    return x >= 0.0 ? y : (double)NAN;
}

SKK_INLINE float skk_log_f(float x) {
    double xd = (double)x, m, k = skk_split_d(xd, &m), s = (m - 1.0) / (m + 1.0), z = s * s, p, y;
    p = 0x1.9114d1a4635d6p-3;
    p = SKK_FMA_D(p, z, 0x1.c62b2168319d7p-3);
    p = SKK_FMA_D(p, z, 0x1.249411c7ec5c5p-2);
    p = SKK_FMA_D(p, z, 0x1.999996a9a6407p-2);
    p = SKK_FMA_D(p, z, 0x1.555555561e1f5p-1);
    p = SKK_FMA_D(p, z, 2.0);
    y = SKK_FMA_D(k, 0x1.62e42fefa39efp-1, s * p);
    y = xd > DBL_MAX ? xd : y;
    y = xd == 0.0 ? -HUGE_VAL : y;
    return (float)(xd >= 0.0 ? y : (double)NAN);
}

SKK_DEFINE_LOOPS(log)

#endif
