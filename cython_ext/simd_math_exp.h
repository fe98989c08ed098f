/* exp.  x = n log 2 + r with |r| <= log(2)/2: n by adding a large constant, r by a two-term reduction (Cody and Waite 1980),
 * exp(r) = 1 + r + r^2 q(r) with a minimax q (coefficients.py), 2^n in two factors so that results overflow to inf and underflow
 * gradually with one rounding.  The low bits of x log2(e) + magic hold n + 2 bias: shifted left they are exponent fields,
 * without any conversion to integers.  Below the smallest denormal the second factor is 0, so that far-away points (the
 * usual case in a Gaussian kernel) never take the processor's slow path for denormal results.
 * Error: below 1 ulp in both precisions. */
#ifndef SKK_SIMD_MATH_EXP_H
#define SKK_SIMD_MATH_EXP_H

#include "simd_math_core.h"

SKK_INLINE float skk_exp_f(float x) {
    const float magic = 0x1.8p23f + 254.0f, low = -103.98f, high = 89.0f;
    float c = low > x ? low : x, t, n, r, q, p, s;
    uint32_t u, half;
    c = high < c ? high : c; /* NaN stays */
    t = SKK_FMA_F(c, 0x1.715476p+0f, magic);
    n = t - magic;
    r = SKK_FMA_F(n, -0.693359375f, c);
    r = SKK_FMA_F(n, 2.12194440e-4f, r);
    q = 0x1.6a25e8p-10f;
    q = SKK_FMA_F(q, r, 0x1.1239d6p-7f);
    q = SKK_FMA_F(q, r, 0x1.5558eep-5f);
    q = SKK_FMA_F(q, r, 0x1.555492p-3f);
    q = SKK_FMA_F(q, r, 0x1.fffffcp-2f);
    p = SKK_FMA_F(r * r, q, r) + 1.0f;
    u = skk_bits_f(t);
    half = (u << 22) & 0x7f800000u;
    s = skk_from_bits_f((u << 23) - half);
    s = x < low ? 0.0f : s;
    return p * skk_from_bits_f(half) * s;
}

SKK_INLINE double skk_exp_d(double x) {
    const double magic = 0x1.8p52 + 2046.0, low = -745.2, high = 710.0;
    double c = low > x ? low : x, t, n, r, q, p, s;
    uint64_t u, half;
    c = high < c ? high : c;
    t = SKK_FMA_D(c, 0x1.71547652b82fep+0, magic);
    n = t - magic;
    r = SKK_FMA_D(n, -6.93147180369123816490e-01, c); /* 33 bits: the product is exact */
    r = SKK_FMA_D(n, -1.90821492927058770002e-10, r);
    q = 0x1.a6a19a9fa69dcp-26;
    q = SKK_FMA_D(q, r, 0x1.28926ea667416p-22);
    q = SKK_FMA_D(q, r, 0x1.71e324885f061p-19);
    q = SKK_FMA_D(q, r, 0x1.a019b97cb6e39p-16);
    q = SKK_FMA_D(q, r, 0x1.a019ff9c97d6dp-13);
    q = SKK_FMA_D(q, r, 0x1.6c16c17802e54p-10);
    q = SKK_FMA_D(q, r, 0x1.1111111160f50p-7);
    q = SKK_FMA_D(q, r, 0x1.5555555553f8ep-5);
    q = SKK_FMA_D(q, r, 0x1.5555555555466p-3);
    q = SKK_FMA_D(q, r, 0.5);
    p = SKK_FMA_D(r * r, q, r) + 1.0;
    u = skk_bits_d(t);
    half = (u << 51) & 0x7ff0000000000000u;
    s = skk_from_bits_d((u << 52) - half);
    s = x < low ? 0.0 : s;
    return p * skk_from_bits_d(half) * s;
}

SKK_DEFINE_LOOPS(exp)

#endif
