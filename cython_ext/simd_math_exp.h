/* exp.  x = n log 2 + r with |r| <= log(2)/2: n by adding a large constant, r by a two-term reduction (Cody and Waite 1980),
 * exp(r) = 1 + r + r^2 q(r) with a minimax q.  The low bits of x log2(e) + magic are n: shifted left they are added to the
 * exponent field of exp(r), without any conversion to integers.  Denormal results come from the sum v + 2^23 (2^52), where v is
 * the result in units of the smallest denormal: the low bits of that sum are the result's bits, correctly rounded to
 * the denormal grid, and 0 below.  No operation has a denormal result, so that the processor's slow path for them is never taken
 * (it would cost 10 times the function itself, in the usual case of a Gaussian kernel between far-away points).
 * The lower clamp is an integer minimum in float32 (gcc makes no max instruction of a comparison that NaN may enter), and NaN is
 * put back at the end, with infinity for overflow.
 * With AVX-512, float32 has vectors of its own: the same operations, but that `scalef` scales, overflows, underflows and keeps NaN
 * in one instruction (14 instructions instead of 21; the same bits).
 * float64 with AVX-512 takes a smaller r from a table (Tang 1989): n is a multiple of 1/16, |r| <= log(2)/32, and
 * exp(r) = 1 + r q(r) with a q of degree 5. The low four bits of x log2(e) + magic choose 2^(n - floor n), which two registers
 * hold; two others hold what was lost by rounding it (half an ulp of the result), and `scalef` multiplies by 2^floor(n). That
 * instruction takes the slow path for denormal results, and for zeros not far below: it leaves such lanes out, and denormal
 * results come from the sum above, behind a branch (18 instructions instead of 25).
 * Error: 1.01 ulp at most in float32, 0.99 in float64; with AVX-512 0.61 in float64, and 0.80 where the result is denormal (it
 * is rounded twice). */
#ifndef SKK_SIMD_MATH_EXP_H
#define SKK_SIMD_MATH_EXP_H

#include "simd_math_core.h"
#ifdef __AVX512F__
#include <immintrin.h>
#endif

SKK_INLINE float skk_exp_f(float x) {
    const float magic = 0x1.8p23f;
    const uint32_t lowest = 0xc2d00000u; /* -104; more negative numbers have larger bits */
    uint32_t bits = skk_bits_f(x);
    float c = skk_from_bits_f(bits < lowest ? bits : lowest), t, n, r, q, p, y, v;
    t = SKK_FMA_F(c, 0x1.715476p+0f, magic);
    n = t - magic;
    r = SKK_FMA_F(n, -0.693359375f, c); /* 10 bits: the product is exact */
    r = SKK_FMA_F(n, 2.12194440e-4f, r);
    q = 0x1.6a25e8p-10f;
    q = SKK_FMA_F(q, r, 0x1.1239d6p-7f);
    q = SKK_FMA_F(q, r, 0x1.5558eep-5f);
    q = SKK_FMA_F(q, r, 0x1.555492p-3f);
    q = SKK_FMA_F(q, r, 0x1.fffffcp-2f);
    p = SKK_FMA_F(r * r, q, r) + 1.0f;
    bits = skk_bits_f(p) + (skk_bits_f(t) << 23);
    y = skk_from_bits_f(bits);
    v = skk_from_bits_f(bits + (149u << 23)) + 0x1p23f;
    y = x < -0x1.5d589ep+6f ? skk_from_bits_f(skk_bits_f(v) - 0x4b000000u) : y; /* below FLT_MIN */
    return x <= 0x1.62e42ep+6f ? y : x + HUGE_VALF;                            /* overflow, NaN */
}

/* (exp(r) - 1 - r) / r^2 for |r| <= log(2)/2 */
SKK_INLINE double skk_exp_tail_d(double r) {
    double q = 0x1.ad92d1e47a0d8p-26;
    q = SKK_FMA_D(q, r, 0x1.28adf8e81298cp-22);
    q = SKK_FMA_D(q, r, 0x1.71df18f7a1dd8p-19);
    q = SKK_FMA_D(q, r, 0x1.a019996298ecdp-16);
    q = SKK_FMA_D(q, r, 0x1.a01a012fed2f7p-13);
    q = SKK_FMA_D(q, r, 0x1.6c16c18475fabp-10);
    q = SKK_FMA_D(q, r, 0x1.1111111126b36p-7);
    q = SKK_FMA_D(q, r, 0x1.55555555506bfp-5);
    q = SKK_FMA_D(q, r, 0x1.55555555554fep-3);
    return SKK_FMA_D(q, r, 0x1.000000000000ap-1);
}

SKK_INLINE double skk_exp_d(double x) {
    const double magic = 0x1.8p52, lowest = -745.14;
    double c = x > lowest ? x : lowest, t, n, r, q, p, y, v; /* NaN is put back at the end */
    uint64_t bits;
    t = SKK_FMA_D(c, 0x1.71547652b82fep+0, magic);
    n = t - magic;
    r = SKK_FMA_D(n, -6.93147180369123816490e-01, c); /* 33 bits: the product is exact */
    r = SKK_FMA_D(n, -1.90821492927058770002e-10, r);
    q = skk_exp_tail_d(r);
    p = SKK_FMA_D(r * r, q, r) + 1.0;
    bits = skk_bits_d(p) + (skk_bits_d(t) << 52);
    y = skk_from_bits_d(bits);
    v = skk_from_bits_d(bits + ((uint64_t)1074 << 52)) + 0x1p52;
    y = x < -0x1.6232bdd7abcd2p+9 ? skk_from_bits_d(skk_bits_d(v) - 0x4330000000000000u) : y; /* below DBL_MIN */
    return x <= 0x1.62e42fefa39efp+9 ? y : x + HUGE_VAL;                                      /* overflow, NaN */
}

#ifdef __AVX512F__
#define SKK_EXP_16
SKK_INLINE __m512 skk_exp_16(__m512 x) {
    const __m512 magic = _mm512_set1_ps(0x1.8p23f), one = _mm512_set1_ps(1.0f);
    /* the second operand stands where one is NaN */
    const __m512 c = _mm512_min_ps(_mm512_set1_ps(89.0f), _mm512_max_ps(_mm512_set1_ps(-104.0f), x));
    const __m512 n = _mm512_sub_ps(_mm512_fmadd_ps(c, _mm512_set1_ps(0x1.715476p+0f), magic), magic);
    __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-0.693359375f), c), q = _mm512_set1_ps(0x1.6a25e8p-10f);
    r = _mm512_fmadd_ps(n, _mm512_set1_ps(2.12194440e-4f), r);
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(0x1.1239d6p-7f));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(0x1.5558eep-5f));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(0x1.555492p-3f));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(0x1.fffffcp-2f));
    return _mm512_scalef_ps(_mm512_add_ps(_mm512_fmadd_ps(_mm512_mul_ps(r, r), q, r), one), n);
}
SKK_LOOP void skk_exp_v_f(float *out, const float *in, int64_t n) {
    int64_t i;
    for (i = 0; i + 16 <= n; i += 16) _mm512_storeu_ps(out + i, skk_exp_16(_mm512_loadu_ps(in + i)));
    if (i < n) {
        const __mmask16 rest = (__mmask16)((1u << (n - i)) - 1);
        _mm512_mask_storeu_ps(out + i, rest, skk_exp_16(_mm512_maskz_loadu_ps(rest, in + i)));
    }
}

#define SKK_EXP_8
SKK_INLINE __m512d skk_exp_8(__m512d x) {
    /* 2^(j/16) for j = 0 to 7 and for j = 8 to 15, and what was lost by rounding them */
    const __m512d root_0 =
        _mm512_setr_pd(0x1.0000000000000p+0, 0x1.0b5586cf9890fp+0, 0x1.172b83c7d517bp+0, 0x1.2387a6e756238p+0,
                       0x1.306fe0a31b715p+0, 0x1.3dea64c123422p+0, 0x1.4bfdad5362a27p+0, 0x1.5ab07dd485429p+0);
    const __m512d root_8 =
        _mm512_setr_pd(0x1.6a09e667f3bcdp+0, 0x1.7a11473eb0187p+0, 0x1.8ace5422aa0dbp+0, 0x1.9c49182a3f090p+0,
                       0x1.ae89f995ad3adp+0, 0x1.c199bdd85529cp+0, 0x1.d5818dcfba487p+0, 0x1.ea4afa2a490dap+0);
    const __m512d lost_0 =
        _mm512_setr_pd(0.0, 0x1.8a62e4adc610bp-54, -0x1.19041b9d78a76p-55, 0x1.9b07eb6c70573p-54,
                       0x1.6f46ad23182e4p-55, 0x1.ada0911f09ebcp-55, 0x1.d4397afec42e2p-56, 0x1.6324c054647adp-54);
    const __m512d lost_8 =
        _mm512_setr_pd(-0x1.bdd3413b26456p-54, -0x1.41577ee04992fp-55, 0x1.6e9f156864b27p-54, 0x1.c7c46b071f2bep-56,
                       0x1.7a1cd345dcc81p-54, 0x1.11065895048ddp-55, 0x1.2ed02d75b3707p-55, -0x1.e9c23179c2893p-54);
    const __m512d magic = _mm512_set1_pd(0x1.8p48); /* whose last bit is 1/16 */
    const __m512d c = _mm512_min_pd(_mm512_set1_pd(710.0), x); /* the second operand stands where one is NaN */
    const __m512d t = _mm512_fmadd_pd(c, _mm512_set1_pd(0x1.71547652b82fep+0), magic), n = _mm512_sub_pd(t, magic);
    const __m512d root = _mm512_permutex2var_pd(root_0, _mm512_castpd_si512(t), root_8);
    const __m512d lost = _mm512_permutex2var_pd(lost_0, _mm512_castpd_si512(t), lost_8);
    /* NaN counts as normal, and as not zero */
    const __mmask8 normal = _mm512_cmp_pd_mask(x, _mm512_set1_pd(-0x1.6232bdd7abcd2p+9), _CMP_NLT_UQ);
    const __mmask8 nonzero = _mm512_cmp_pd_mask(x, _mm512_set1_pd(-0x1.74910d52d3051p+9), _CMP_NLT_UQ);
    __m512d r = _mm512_fmadd_pd(n, _mm512_set1_pd(-6.93147180369123816490e-01), c), q = _mm512_set1_pd(0x1.6c1ae747fae86p-10), y;
    r = _mm512_fmadd_pd(n, _mm512_set1_pd(-1.90821492927058770002e-10), r);
    q = _mm512_fmadd_pd(q, r, _mm512_set1_pd(0x1.111270ea4f640p-7));
    q = _mm512_fmadd_pd(q, r, _mm512_set1_pd(0x1.55555551ff25dp-5));
    q = _mm512_fmadd_pd(q, r, _mm512_set1_pd(0x1.555555540151dp-3));
    q = _mm512_fmadd_pd(q, r, _mm512_set1_pd(0x1.0000000000012p-1));
    q = _mm512_fmadd_pd(q, r, _mm512_set1_pd(0x1.000000000000ap+0));
    r = _mm512_fmadd_pd(_mm512_fmadd_pd(root, r, lost), q, root);
    y = _mm512_maskz_scalef_pd(normal, r, n);
    if (!_ktestc_mask8_u8(normal, nonzero)) { /* a lane is nonzero and not normal */
        const __mmask8 denormal = (__mmask8)(nonzero & ~normal);
        const __m512d units = _mm512_maskz_scalef_pd(denormal, r, _mm512_add_pd(n, _mm512_set1_pd(1074.0)));
        const __m512i sum = _mm512_castpd_si512(_mm512_add_pd(units, _mm512_set1_pd(0x1p52)));
        const __m512i sum_of_none = _mm512_set1_epi64(0x4330000000000000); /* 2^52 */
        y = _mm512_castsi512_pd(_mm512_mask_sub_epi64(_mm512_castpd_si512(y), denormal, sum, sum_of_none));
    }
    return y;
}
SKK_LOOP void skk_exp_v_d(double *out, const double *in, int64_t n) {
    int64_t i;
    for (i = 0; i + 8 <= n; i += 8) _mm512_storeu_pd(out + i, skk_exp_8(_mm512_loadu_pd(in + i)));
    if (i < n) {
        const __mmask8 rest = (__mmask8)((1u << (n - i)) - 1);
        _mm512_mask_storeu_pd(out + i, rest, skk_exp_8(_mm512_maskz_loadu_pd(rest, in + i)));
    }
}
#else
SKK_DEFINE_LOOP1(exp, f, float)
SKK_DEFINE_LOOP1(exp, d, double)
#endif

#endif
