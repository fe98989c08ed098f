/* log.  x = 2^k m with m around 1 by integer operations (denormals are scaled first).
 * float32: m in [2/3, 4/3), log m = f - f^2/2 + f^3 P(f) with f = m - 1, a minimax P.
 * float64: m in [sqrt(1/2), sqrt(2)), s = f/(2+f), log m = 2 atanh(s) = f - (h - s (h + z P(z))), h = f^2/2, z = s^2: the
 * arrangement of fdlibm's e_log.c (Sun 1993), with its two-part log 2.
 * Error: about 1 ulp (float32), below 1 ulp (float64). */
#ifndef SKK_SIMD_MATH_LOG_H
#define SKK_SIMD_MATH_LOG_H

#include "simd_math_core.h"

/* k as a double and m in [sqrt(1/2), sqrt(2)), for bits u of a normal number x > 0 and 2^52 + 1023. */
SKK_INLINE double skk_split_bits_d(uint64_t u, double bias, double *m) {
    uint64_t e;
    u += 0x3ff0000000000000u - 0x3fe6a09e667f3bcdu;
    e = (u >> 52) | 0x4330000000000000u; /* 2^52 + exponent field */
    *m = skk_from_bits_d((u & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu);
    return skk_from_bits_d(e) - bias;
}

/* The same for finite x > 0 (denormal too). */
SKK_INLINE double skk_split_d(double x, double *m) {
    return skk_split_bits_d(skk_bits_d(x < DBL_MIN ? x * 0x1p54 : x), x < DBL_MIN ? 0x1p52 + 1077.0 : 0x1p52 + 1023.0, m);
}

/* k log 2 + log(1 + f) + more, for a small `more` */
SKK_INLINE double skk_log_fraction_d(double k, double f, double more) {
    double s = f / (2.0 + f), z = s * s, g = 0.5 * f, p, y;
    p = 0x1.2f041b8e6ae83p-3;
    p = SKK_FMA_D(p, z, 0x1.39a1e2daf37a4p-3);
    p = SKK_FMA_D(p, z, 0x1.74663d04574f6p-3);
    p = SKK_FMA_D(p, z, 0x1.c71c5214811cdp-3);
    p = SKK_FMA_D(p, z, 0x1.24924941e0829p-2);
    p = SKK_FMA_D(p, z, 0x1.999999997ff2bp-2);
    p = SKK_FMA_D(p, z, 0x1.5555555555592p-1);
    y = SKK_FMA_D(s, SKK_FMA_D(g, f, z * p), SKK_FMA_D(k, 1.90821492927058770002e-10, more));
    y = f - SKK_FMA_D(g, f, -y);
    return SKK_FMA_D(k, 6.93147180369123816490e-01, y); /* the product is exact */
}

/* log(2^k m) */
SKK_INLINE double skk_log_parts_d(double k, double m) { return skk_log_fraction_d(k, m - 1.0, 0.0); }

SKK_INLINE double skk_log_normal_d(double x) {
    double m, k = skk_split_bits_d(skk_bits_d(x), 0x1p52 + 1023.0, &m);
    return skk_log_parts_d(k, m);
}

SKK_INLINE double skk_log_d(double x) {
    double m, k = skk_split_d(x, &m), y = skk_log_parts_d(k, m);
    y = x <= DBL_MAX ? y : x;
    y = x == 0.0 ? -HUGE_VAL : y;
    return x < 0.0 ? (double)NAN : y;
}

/* log of the number with bits u, times 2^bias */
SKK_INLINE float skk_log_bits_f(uint32_t u, float bias) {
    uint32_t e = (u - 0x3f2aaaabu) & 0xff800000u; /* 2/3 */
    float k = SKK_FMA_F((float)(int32_t)e, 0x1p-23f, bias), f = skk_from_bits_f(u - e) - 1.0f, s = f * f, p;
    p = -0x1.080caap-3f;
    p = SKK_FMA_F(p, f, 0x1.1e73b8p-3f);
    p = SKK_FMA_F(p, f, -0x1.f30e34p-4f);
    p = SKK_FMA_F(p, f, 0x1.1ed422p-3f);
    p = SKK_FMA_F(p, f, -0x1.559de4p-3f);
    p = SKK_FMA_F(p, f, 0x1.99d05ep-3f);
    p = SKK_FMA_F(p, f, -0x1.fffefp-3f);
    p = SKK_FMA_F(p, f, 0x1.555506p-2f);
    p = SKK_FMA_F(p, f, -0.5f);
    p = SKK_FMA_F(p, s, k * -2.12194440e-4f);
    return SKK_FMA_F(k, 0.693359375f, p + f); /* 10 bits: the product is exact */
}

SKK_INLINE float skk_log_normal_f(float x) { return skk_log_bits_f(skk_bits_f(x), 0.0f); }

SKK_INLINE float skk_log_f(float x) {
    float y = skk_log_bits_f(skk_bits_f(x < FLT_MIN ? x * 0x1p23f : x), x < FLT_MIN ? -23.0f : 0.0f);
    y = x <= FLT_MAX ? y : x;
    y = x == 0.0f ? -HUGE_VALF : y;
    return x < 0.0f ? (float)NAN : y;
}

/* Blocks of normal positive numbers need neither scaling nor special cases: a fifth of the time.  The arithmetic is the same.
 * SKK_DEFINE_LOG(f, float, FLT_MIN, FLT_MAX) defines the loop skk_log_v_f(out, in, n), which takes skk_log_normal_f for blocks within
 * these two numbers and skk_log_f for others. */
#define SKK_DEFINE_LOG(suffix, real, low, high)                                                                      \
    SKK_LOOP void skk_log_v_##suffix(real *out, const real *in, long n) {                                            \
        long first, i, count;                                                                                        \
        for (first = 0; first < n; first += 256) {                                                                   \
            real *o = out + first;                                                                                   \
            const real *x = in + first;                                                                              \
            int special = 0;                                                                                         \
            count = n - first < 256 ? n - first : 256;                                                               \
            SKK_SIMD_OR(special) for (i = 0; i < count; ++i) special |= !(x[i] >= low) | !(x[i] <= high);            \
            if (special) {                                                                                           \
                SKK_SIMD for (i = 0; i < count; ++i) o[i] = skk_log_##suffix(x[i]);                                  \
            } else {                                                                                                 \
                SKK_SIMD for (i = 0; i < count; ++i) o[i] = skk_log_normal_##suffix(x[i]);                           \
            }                                                                                                        \
        }                                                                                                            \
    }

SKK_DEFINE_LOG(f, float, FLT_MIN, FLT_MAX)
SKK_DEFINE_LOG(d, double, DBL_MIN, DBL_MAX)

#undef SKK_DEFINE_LOG

#endif
