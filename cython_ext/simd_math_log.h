/* log.  x = 2^k m with m around 1 by integer operations (denormals are scaled first).
 * float32: m in [2/3, 4/3), log m = f - f^2/2 + f^3 P(f) with f = m - 1, a minimax P.
 * float64: m in [sqrt(1/2), sqrt(2)), s = f/(2+f), log m = 2 atanh(s) = f - (h - s (h + z P(z))), h = f^2/2, z = s^2: the
 * arrangement of fdlibm's e_log.c (Sun 1993), with its two-part log 2.
 * float64 with AVX-512: m in [3/4, 3/2), a c of a few bits that is close to 1/m from a table of 16 in registers, and
 * log m = -log c + log(1 + f), f = m c - 1 (Tang 1990). c is 1 for m in [31/32, 1.018], and where the result is below 1/32 f is
 * exact. k log 2 - log c is exact too, apart from the small parts of both, and what is lost by adding f to it is kept: 26
 * instructions, none of them a division or a branch, for normal numbers and for all others.
 * Error: about 1 ulp (float32), below 1 ulp (float64). */
#ifndef SKK_SIMD_MATH_LOG_H
#define SKK_SIMD_MATH_LOG_H

#include "simd_math_core.h"
#ifdef __AVX512F__
#include <immintrin.h>
#endif

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
    SKK_LOOP void skk_log_v_##suffix(real *out, const real *in, int64_t n) {                                         \
        int64_t first, i, count;                                                                                     \
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
#ifdef __AVX512F__
SKK_INLINE __m512d skk_log_8(__m512d x) {
    /* c for m around 15/20.129 to 22/20.129, and to 30/20.129; -log c, rounded to a multiple of 2^-42; and what was lost by that */
    const __m512d inverse_0 =
        _mm512_setr_pd(1.265625, 1.1875, 1.125, 1.0625,
                       1.0, 0.953125, 0.921875, 0.875);
    const __m512d inverse_8 =
        _mm512_setr_pd(0.84375, 0.8125, 0.78125, 0.75,
                       0.71875, 0.6875, 0.671875, 1.3125);
    const __m512d minus_log_0 =
        _mm512_setr_pd(-0x1.e27076e2b0000p-3, -0x1.5ff3070a7a000p-3, -0x1.e27076e2b0000p-4, -0x1.f0a30c0118000p-5,
                       0.0, 0x1.894aa149f8000p-5, 0x1.4d3115d208000p-4, 0x1.1178e8227e000p-3);
    const __m512d minus_log_8 =
        _mm512_setr_pd(0x1.5bf406b544000p-3, 0x1.a93ed3c8ae000p-3, 0x1.f991c6cb3c000p-3, 0x1.269621134e000p-2,
                       0x1.522ae0738a000p-2, 0x1.7fafa3bd81000p-2, 0x1.973a343135000p-2, -0x1.1675cababa000p-2);
    const __m512d lost_0 =
        _mm512_setr_pd(0x1.a342c2af0003cp-44, 0x1.8586f183bebf2p-44, 0x1.a342c2af0003cp-45, 0x1.d599e83368e91p-45,
                       0.0, 0x1.9a19a8be97661p-44, -0x1.53a2582f4e1efp-48, 0x1.1ef78ce2d07f2p-45);
    const __m512d lost_8 =
        _mm512_setr_pd(-0x1.27023eb68981cp-46, -0x1.8724350562169p-45, -0x1.90d04cd7cc834p-44, -0x1.1b61f10522625p-44,
                       0x1.ebe708164c759p-45, 0x1.46fb79bf6d4cbp-44, 0x1.ab73b16bf4984p-44, -0x1.8380e731f55c4p-44);
    const __m512d one = _mm512_set1_pd(1.0);
    const __m512d m = _mm512_getmant_pd(x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_zero);
    const __m512d e = _mm512_getexp_pd(x), k = _mm512_mask_add_pd(e, _mm512_cmp_pd_mask(m, one, _CMP_LT_OQ), e, one);
    const __m512i t = _mm512_castpd_si512(_mm512_fmadd_pd(m, _mm512_set1_pd(20.129), _mm512_set1_pd(0x1.8p52)));
    const __m512d f = _mm512_fmsub_pd(m, _mm512_permutex2var_pd(inverse_0, t, inverse_8), one);
    const __m512d log2 = _mm512_set1_pd(6.93147180369123816490e-01), log2_lost = _mm512_set1_pd(1.90821492927058770002e-10);
    const __m512d a = _mm512_fmadd_pd(k, log2, _mm512_permutex2var_pd(minus_log_0, t, minus_log_8)); /* exact */
    const __m512d high = _mm512_add_pd(a, f);
    __m512d low = _mm512_fmadd_pd(k, log2_lost, _mm512_permutex2var_pd(lost_0, t, lost_8));
    __m512d p = _mm512_set1_pd(0x1.bfeb6ed7f1892p-4);
    low = _mm512_add_pd(low, _mm512_sub_pd(f, _mm512_sub_pd(high, a)));
    p = _mm512_fmadd_pd(p, f, _mm512_set1_pd(-0x1.007a1ce99bafap-3));
    p = _mm512_fmadd_pd(p, f, _mm512_set1_pd(0x1.24941679bac70p-3));
    p = _mm512_fmadd_pd(p, f, _mm512_set1_pd(-0x1.55553cfd51430p-3));
    p = _mm512_fmadd_pd(p, f, _mm512_set1_pd(0x1.999999579f729p-3));
    p = _mm512_fmadd_pd(p, f, _mm512_set1_pd(-0x1.00000000e42aap-2));
    p = _mm512_fmadd_pd(p, f, _mm512_set1_pd(0x1.5555555556a5cp-2));
    p = _mm512_fmadd_pd(p, f, _mm512_set1_pd(-0x1.fffffffffffbcp-2));
    p = _mm512_add_pd(high, _mm512_fmadd_pd(p, _mm512_mul_pd(f, f), low));
    /* by the class of x: itself where it is NaN, -inf where it is 0, NaN where it is negative, inf where it is inf */
    return _mm512_fixupimm_pd(p, x, _mm512_set1_epi64(0x03530422), 0);
}
SKK_LOOP void skk_log_v_d(double *out, const double *in, int64_t n) {
    int64_t i;
    for (i = 0; i + 8 <= n; i += 8) _mm512_storeu_pd(out + i, skk_log_8(_mm512_loadu_pd(in + i)));
    if (i < n) {
        const __mmask8 rest = (__mmask8)((1u << (n - i)) - 1);
        _mm512_mask_storeu_pd(out + i, rest, skk_log_8(_mm512_maskz_loadu_pd(rest, in + i)));
    }
}
#else
SKK_DEFINE_LOG(d, double, DBL_MIN, DBL_MAX)
#endif

#undef SKK_DEFINE_LOG

#endif
