/* The logarithm of the absolute value of the gamma function, and its derivatives.  float32 is computed in float64 throughout.
 *
 * lgamma, x >= -1/2: x = n + t with -3/4 <= t <= 1/2; log gamma(2 + t) = t P(t), whose factor t keeps the zeros at 1 and 2, and the logarithm of the
 * product that the recurrence gamma(x + 1) = x gamma(x) asks for.  x >= 8.5: Stirling's formula.
 * digamma, x > 0: (x - x0) P(x - 3/2) on [1, 2], x0 in two parts the zero (as Cody, Strecok and Thacher do, Math. Comp. 27, 1973), and the
 * recurrence's sum of inverses as one fraction.  x >= 10: the asymptotic series.
 * Smaller x: by reflection, one by one in a pass over the blocks of 256 that contain any; close to the zeros there, errors are those
 * of the terms, so that only the absolute error is small.
 * The higher derivatives (polygamma) are rare, and scalar: n! times the sum of (x + k)^-(n + 1), by Euler and Maclaurin.
 * Error in float64 with FMA: lgamma below 4 ulp, digamma below 4 ulp for positive x. */
#ifndef SKK_SIMD_MATH_GAMMA_H
#define SKK_SIMD_MATH_GAMMA_H

#include "simd_math_core.h"
#include "simd_math_log.h"
#include "simd_math_trig.h"

#define SKK_PI 0x1.921fb54442d18p+1
#define SKK_MAX_POLYGAMMA 16

/* the integer next to 0 <= x < 2^51 */
SKK_INLINE double skk_nearest_d(double x) { return (x + 0x1.8p52) - 0x1.8p52; }

/* x >= -1/2 */
SKK_INLINE double skk_lgamma_fast_d(double x) {
    const double far = 8.5;
    double a = fabs(x), n = skk_nearest_d(a < far ? a : far), t, q, z, near, p, log_, y;
    n = a >= 1.25 && n < 2.0 ? 2.0 : n; /* where log gamma is small, it is no difference of large numbers */
    t = n == 0.0 ? x : a - n;
    q = 1.0;
    q = n >= 3.0 ? a - 1.0 : q;
    q = n >= 4.0 ? q * (a - 2.0) : q;
    q = n >= 5.0 ? q * (a - 3.0) : q;
    q = n >= 6.0 ? q * (a - 4.0) : q;
    q = n >= 7.0 ? q * (a - 5.0) : q;
    q = n >= 8.0 ? q * (a - 6.0) : q;
    q = n < 2.0 ? a : q;
    q = n == 0.0 ? a + a * x : q;
    log_ = skk_log_d(a < far ? q : a);
    p = 0x1.8128a2a1c8d18p-24;
    p = SKK_FMA_D(p, t, 0x1.79c82494a7e4dp-24);
    p = SKK_FMA_D(p, t, 0x1.b3ba0d6da88f1p-26);
    p = SKK_FMA_D(p, t, -0x1.e0e7be412be49p-23);
    p = SKK_FMA_D(p, t, 0x1.776ff7c6133a8p-23);
    p = SKK_FMA_D(p, t, -0x1.a84620854bfa2p-22);
    p = SKK_FMA_D(p, t, 0x1.0846350d1cd95p-20);
    p = SKK_FMA_D(p, t, -0x1.1345fc96af793p-19);
    p = SKK_FMA_D(p, t, 0x1.24f33ed7b57eep-18);
    p = SKK_FMA_D(p, t, -0x1.3cb26b1fd2e3ep-17);
    p = SKK_FMA_D(p, t, 0x1.5815365cd15c3p-16);
    p = SKK_FMA_D(p, t, -0x1.78de616901321p-15);
    p = SKK_FMA_D(p, t, 0x1.a1277ea14c3a0p-14);
    p = SKK_FMA_D(p, t, -0x1.d3fd4db706b48p-13);
    p = SKK_FMA_D(p, t, 0x1.0b36afea04cbap-11);
    p = SKK_FMA_D(p, t, -0x1.38ac5c286a19ep-10);
    p = SKK_FMA_D(p, t, 0x1.7add6eacdf53ep-9);
    p = SKK_FMA_D(p, t, -0x1.e404fc2196e5cp-8);
    p = SKK_FMA_D(p, t, 0x1.51322ac7d8b34p-6);
    p = SKK_FMA_D(p, t, -0x1.13e001a5575f1p-4);
    p = SKK_FMA_D(p, t, 0x1.4a34cc4a60fa6p-2);
    p = SKK_FMA_D(p, t, 0x1.b0ee6072093cep-2);
    near = SKK_FMA_D(t, p, n < 2.0 ? -log_ : log_);
    z = 1.0 / a;
    y = z;
    z *= z;
    p = 0x1.54b48ddec4cb1p-8;
    p = SKK_FMA_D(p, z, -0x1.f0f7510f4534fp-10);
    p = SKK_FMA_D(p, z, 0x1.b937259449b42p-11);
    p = SKK_FMA_D(p, z, -0x1.381360ad84c99p-11);
    p = SKK_FMA_D(p, z, 0x1.a01a018d24d5dp-11);
    p = SKK_FMA_D(p, z, -0x1.6c16c16c15b7ap-9);
    p = SKK_FMA_D(p, z, 0x1.5555555555555p-4);
    y = SKK_FMA_D(a - 0.5, log_ - 1.0, SKK_FMA_D(p, y, 0x1.acfe390c97d69p-2)); /* log(2 pi)/2 - 1/2 */
    return a < far ? near : y;
}

static
#if defined(__GNUC__)
__attribute__((unused, noinline))
#endif
double skk_lgamma_reflected_d(double x) {
    double y = -x, r = y < 0x1p51 ? fabs(y - skk_nearest_d(y)) : y - floor(y);
    if (!(y < HUGE_VAL) || r == 0.0) return HUGE_VAL;
    return skk_log_d(SKK_PI / (y * skk_sin_fast_d(SKK_PI * r))) - skk_lgamma_fast_d(y);
}

/* x >= +0 */
SKK_INLINE double skk_digamma_fast_d(double x) {
    const double far = 10.0;
    double m = skk_nearest_d((x < far ? x : far) - 0.5), u = x - m - 0.5, n, q, d, z, near, p;
    n = m == 0.0 ? -1.0 : 0.0; /* n / q: the sum of inverses */
    q = m == 0.0 ? x : 1.0;
#define SKK_STEP(j)                                                                                                  \
    d = x - j;                                                                                                       \
    n = m > j ? SKK_FMA_D(n, d, q) : n;                                                                              \
    q = m > j ? q * d : q;
    SKK_STEP(1.0) SKK_STEP(2.0) SKK_STEP(3.0) SKK_STEP(4.0) SKK_STEP(5.0) SKK_STEP(6.0) SKK_STEP(7.0) SKK_STEP(8.0) SKK_STEP(9.0)
#undef SKK_STEP
    p = 0x1.fc39f06578f87p-14;
    p = SKK_FMA_D(p, u, -0x1.75ff1d23022dap-13);
    p = SKK_FMA_D(p, u, 0x1.8754031ea9f52p-14);
    p = SKK_FMA_D(p, u, -0x1.2f5c5dbf6d621p-13);
    p = SKK_FMA_D(p, u, 0x1.55b4fcac7896fp-12);
    p = SKK_FMA_D(p, u, -0x1.fda554026556cp-12);
    p = SKK_FMA_D(p, u, 0x1.69e84c9af3235p-11);
    p = SKK_FMA_D(p, u, -0x1.0fb1be8359a28p-10);
    p = SKK_FMA_D(p, u, 0x1.99dce97088885p-10);
    p = SKK_FMA_D(p, u, -0x1.336deaef93520p-9);
    p = SKK_FMA_D(p, u, 0x1.cd1f7860f43afp-9);
    p = SKK_FMA_D(p, u, -0x1.5a06a32183d2ap-8);
    p = SKK_FMA_D(p, u, 0x1.03c0b0f5c1ccbp-7);
    p = SKK_FMA_D(p, u, -0x1.8635640eb198ep-7);
    p = SKK_FMA_D(p, u, 0x1.2564716239b75p-6);
    p = SKK_FMA_D(p, u, -0x1.b9f8b11b62aecp-6);
    p = SKK_FMA_D(p, u, 0x1.4de9aa17d2e29p-5);
    p = SKK_FMA_D(p, u, -0x1.fb44202a24f82p-5);
    p = SKK_FMA_D(p, u, 0x1.8512e590384e1p-4);
    p = SKK_FMA_D(p, u, -0x1.2feeeb98a78d3p-3);
    p = SKK_FMA_D(p, u, 0x1.eca189b8e6f76p-3);
    p = SKK_FMA_D(p, u, -0x1.b1cb63005ee98p-2);
    p = SKK_FMA_D(p, u, 0x1.e6f0cbb873616p-1);
    near = SKK_FMA_D((u + 0x1.3a4f395283820p-5) - 0x1.b86a722197829p-54, p, n / q);
    z = 1.0 / x;
    d = z;
    z *= z;
    p = 0x1.1e0693dfeb7d4p-4;
    p = SKK_FMA_D(p, z, -0x1.56af92e48db52p-6);
    p = SKK_FMA_D(p, z, 0x1.f068617e8ba90p-8);
    p = SKK_FMA_D(p, z, -0x1.1110ffa778f99p-8);
    p = SKK_FMA_D(p, z, 0x1.041040fcb7b55p-8);
    p = SKK_FMA_D(p, z, -0x1.11111111107bfp-7);
    p = SKK_FMA_D(p, z, 0x1.5555555555555p-4);
    return x < far ? near : skk_log_d(x) - SKK_FMA_D(z, p, 0.5 * d);
}

static
#if defined(__GNUC__)
__attribute__((unused, noinline))
#endif
double skk_digamma_reflected_d(double x) {
    double y = -x, r = y < 0x1p51 ? y - skk_nearest_d(y) : y - floor(y);
    if (y == 0.0) return HUGE_VAL;
    if (!(y < HUGE_VAL) || r == 0.0) return (double)NAN;
    r *= SKK_PI;
    return skk_digamma_fast_d(y) + (1.0 / y + SKK_PI * skk_cos_fast_d(r) / skk_sin_fast_d(r));
}

/* The n-th derivative of digamma.  For x < 0 it is pi^(n+1) Q(cot(pi |x|)) less the sum from 1 on, where (-1)^n Q is the n-th derivative of
 * cot in powers of cot: all its coefficients are of one sign. */
static
#if defined(__GNUC__)
__attribute__((unused, noinline))
#endif
double skk_polygamma_d(double x, int n) {
    static const double bernoulli[10] = { /* B_2j / (2j)! */
        0x1.5555555555555p-4, -0x1.6c16c16c16c17p-10, 0x1.1566abc011567p-15, -0x1.bbd779334ef0bp-21, 0x1.66a8f2bf70ebep-26,
        -0x1.22805d644267fp-31, 0x1.d6db2c4e09162p-37, -0x1.7da4e1f79955cp-42, 0x1.355871d652e9ep-47, -0x1.f57d968caacf1p-53};
    int below = (int)(skk_bits_d(x) >> 63), j;
    double a = fabs(x), big = below ? a + 1.0 : a, sum = 0.0, term, inverse, c, tail, value;
    if (x != x) return x;
    if (n == 0) return below ? skk_digamma_reflected_d(x) : skk_digamma_fast_d(x);
    if (a > DBL_MAX) return below ? (double)NAN : 0.0;
    for (; big < n + 10.0; big += 1.0) {
        inverse = term = 1.0 / big;
        for (j = 1; j <= n; ++j) term *= j * inverse;
        sum += term;
    }
    inverse = term = 1.0 / big;
    for (j = 1; j < n; ++j) term *= j * inverse;
    c = n * inverse * ((n + 1) * inverse);
    tail = 0.0;
    for (j = 0; j < 10; ++j) {
        tail += bernoulli[j] * c;
        c *= (n + 2 * j + 2) * inverse * ((n + 2 * j + 3) * inverse);
    }
    value = sum + term * (1.0 + (0.5 * n * inverse + tail));
    if (!below) return n % 2 ? value : -value;
    {
        double q[SKK_MAX_POLYGAMMA + 2] = {0.0, 1.0}, next[SKK_MAX_POLYGAMMA + 2], r = a < 0x1p51 ? a - skk_nearest_d(a) : a - floor(a);
        int k;
        if (r == 0.0) return a == 0.0 || n % 2 ? HUGE_VAL : (double)NAN;
        c = SKK_PI * skk_cos_fast_d(SKK_PI * r) / skk_sin_fast_d(SKK_PI * r);
        /* in powers of pi cot: each derivative is (pi^2 + c^2) times that by c */
        for (j = 0; j < n; ++j) {
            for (k = 0; k <= j + 2; ++k) next[k] = (k <= j ? SKK_PI * SKK_PI * (k + 1) * q[k + 1] : 0.0) + (k > 1 ? (k - 1) * q[k - 1] : 0.0);
            memcpy(q, next, (size_t)(j + 3) * sizeof(double));
        }
        term = 0.0;
        for (k = n + 1; k >= 0; --k) term = term * c + q[k];
        return term - value;
    }
}

/* SKK_DEFINE_GAMMA(lgamma, -0.5) defines skk_lgamma_d(x), which is skk_lgamma_reflected_d(x) below -0.5 and skk_lgamma_fast_d(x)
 * elsewhere, and the loops skk_lgamma_v_d and skk_lgamma_v_f, which take the fast one and then mend the negative numbers. */
#define SKK_DEFINE_GAMMA(name, limit)                                                                                \
    SKK_INLINE double skk_##name##_d(double x) {                                                                     \
        return skk_bits_d(x) >> 63 && !(x >= limit) ? (x != x ? x : skk_##name##_reflected_d(x)) : skk_##name##_fast_d(x); \
    }                                                                                                                \
    SKK_LOOP void skk_##name##_v_d(double *out, const double *in, int64_t n) {                                       \
        int64_t first, i, count;                                                                                     \
        for (first = 0; first < n; first += 256) {                                                                   \
            double kept[256], *o = out + first;                                                                      \
            int small_ = 0;                                                                                          \
            count = n - first < 256 ? n - first : 256;                                                               \
            memcpy(kept, in + first, (size_t)count * sizeof(double));                                                \
            SKK_SIMD_OR(small_) for (i = 0; i < count; ++i) small_ |= (int)(skk_bits_d(kept[i]) >> 63);              \
            SKK_SIMD for (i = 0; i < count; ++i) o[i] = skk_##name##_fast_d(kept[i]);                                \
            if (small_)                                                                                              \
                for (i = 0; i < count; ++i) o[i] = skk_bits_d(kept[i]) >> 63 ? skk_##name##_d(kept[i]) : o[i];       \
        }                                                                                                            \
    }                                                                                                                \
    SKK_LOOP void skk_##name##_v_f(float *out, const float *in, int64_t n) {                                         \
        double x[SKK_WIDE_BLOCK];                                                                                    \
        int64_t first, i, count;                                                                                     \
        for (first = 0; first < n; first += SKK_WIDE_BLOCK) {                                                        \
            count = n - first < SKK_WIDE_BLOCK ? n - first : SKK_WIDE_BLOCK;                                         \
            SKK_SIMD for (i = 0; i < count; ++i) x[i] = (double)in[first + i];                                       \
            skk_##name##_v_d(x, x, count);                                                                           \
            SKK_SIMD for (i = 0; i < count; ++i) out[first + i] = (float)x[i];                                       \
        }                                                                                                            \
    }

SKK_DEFINE_GAMMA(lgamma, -0.5)
SKK_DEFINE_GAMMA(digamma, HUGE_VAL)

SKK_LOOP void skk_polygamma_v_d(double *out, const double *in, int order, int64_t n) {
    int64_t i;
    if (order == 0) skk_digamma_v_d(out, in, n);
    else
        for (i = 0; i < n; ++i) out[i] = skk_polygamma_d(in[i], order);
}

SKK_LOOP void skk_polygamma_v_f(float *out, const float *in, int order, int64_t n) {
    int64_t i;
    if (order == 0) skk_digamma_v_f(out, in, n);
    else
        for (i = 0; i < n; ++i) out[i] = (float)skk_polygamma_d((double)in[i], order);
}

#undef SKK_PI
#undef SKK_MAX_POLYGAMMA
#undef SKK_DEFINE_GAMMA

#endif
