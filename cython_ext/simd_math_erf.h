/* erf and erfc.  float32 is computed in float64 throughout.
 *
 * |x| < 3/4: erf x = x + x P(x^2).  Beyond: erfc x = exp(-x^2) P((x - 4) / (x + 4)) / (1 + 2x), one polynomial for all x (Shepherd and
 * Laframboise, Math. Comp. 36, 1981), with the rounding error of x^2 to first order, and erf x = 1 - erfc x.
 * Error in float64: erf below 1.5 ulp, erfc below 3.5 ulp. */
#ifndef SKK_SIMD_MATH_ERF_H
#define SKK_SIMD_MATH_ERF_H

#include "simd_math_core.h"
#include "simd_math_exp.h"

/* a^2 - square, for square = a^2 rounded */
SKK_INLINE double skk_square_error_d(double a, double square) {
#if SKK_HAS_FMA
    return SKK_FMA_D(a, a, -square);
#else
    double high = skk_from_bits_d(skk_bits_d(a) & 0xfffffffff8000000u), low = a - high; /* Dekker 1971 */
    return ((high * high - square) + 2.0 * high * low) + low * low;
#endif
}

/* erf a for 0 <= a <= 3/4 */
SKK_INLINE double skk_erf_near_d(double a) {
    double z = a * a, p = 0x1.89e330a257420p-27;
    p = SKK_FMA_D(p, z, -0x1.5641afb8ee5abp-23);
    p = SKK_FMA_D(p, z, 0x1.b90cbce330672p-20);
    p = SKK_FMA_D(p, z, -0x1.f4c5b2d43ad6cp-17);
    p = SKK_FMA_D(p, z, 0x1.f9a2ad6e89083p-14);
    p = SKK_FMA_D(p, z, -0x1.c02db11073848p-11);
    p = SKK_FMA_D(p, z, 0x1.565bcd030ff00p-8);
    p = SKK_FMA_D(p, z, -0x1.b82ce31255626p-6);
    p = SKK_FMA_D(p, z, 0x1.ce2f21a04246ep-4);
    p = SKK_FMA_D(p, z, -0x1.812746b0379e0p-2);
    p = SKK_FMA_D(p, z, 0x1.06eba8214db69p-3);
    return SKK_FMA_D(a, p, a);
}

/* erfc a for a >= 0; NaN counts as a large number */
SKK_INLINE double skk_erfc_far_d(double a) {
    double c = a < 28.0 ? a : 28.0, t = (c - 4.0) / (c + 4.0), square = c * c, e = skk_exp_d(-square), p;
    p = -0x1.f8d64fa1873c9p-30;
    p = SKK_FMA_D(p, t, -0x1.d90efc5f14ac1p-27);
    p = SKK_FMA_D(p, t, -0x1.0e964af0ef1b0p-27);
    p = SKK_FMA_D(p, t, 0x1.efbafc9fe392ap-24);
    p = SKK_FMA_D(p, t, 0x1.0f164a920f0e9p-24);
    p = SKK_FMA_D(p, t, -0x1.c047a0f4e18c9p-21);
    p = SKK_FMA_D(p, t, 0x1.43295da070df8p-22);
    p = SKK_FMA_D(p, t, 0x1.7fb3348ee118fp-18);
    p = SKK_FMA_D(p, t, -0x1.78a2bdf54011dp-17);
    p = SKK_FMA_D(p, t, -0x1.9969e26738392p-16);
    p = SKK_FMA_D(p, t, 0x1.3be0af2d46bb1p-13);
    p = SKK_FMA_D(p, t, -0x1.a1de87b26728ep-13);
    p = SKK_FMA_D(p, t, -0x1.8d4a9dcef6ba9p-11);
    p = SKK_FMA_D(p, t, 0x1.49c6719d2c47fp-8);
    p = SKK_FMA_D(p, t, -0x1.09623882eae88p-6);
    p = SKK_FMA_D(p, t, 0x1.3079edf9be45ep-5);
    p = SKK_FMA_D(p, t, -0x1.0fb06dfe4bc89p-4);
    p = SKK_FMA_D(p, t, 0x1.7fee004df8fe2p-4);
    p = SKK_FMA_D(p, t, -0x1.9ddb23c3e9323p-4);
    p = SKK_FMA_D(p, t, 0x1.16ecefcfa5f05p-4);
    p = SKK_FMA_D(p, t, 0x1.f7f5df66fd84cp-7);
    p = SKK_FMA_D(p, t, -0x1.1df1ad154a29ap-3);
    p = SKK_FMA_D(p, t, 0x1.3ba5916e9fd7fp+0);
    e = SKK_FMA_D(-e, skk_square_error_d(c, square), e);
    return e * (p / SKK_FMA_D(2.0, c, 1.0));
}

SKK_INLINE double skk_erf_d(double x) {
    double a = fabs(x), y = a < 0.75 ? skk_erf_near_d(a) : 1.0 - skk_erfc_far_d(a);
    return x == x ? skk_copysign_d(y, x) : x;
}

SKK_INLINE double skk_erfc_d(double x) {
    double a = fabs(x), y = skk_erfc_far_d(a);
    y = x < 0.0 ? 2.0 - y : y;
    y = a < 0.75 ? 1.0 - skk_copysign_d(skk_erf_near_d(a), x) : y;
    return x == x ? y : x;
}

SKK_DEFINE_BOTH(erf)
SKK_DEFINE_BOTH(erfc)

#endif
