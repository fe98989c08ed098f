/* Derivatives of sin(x)/x: s_n(x) = int_0^1 t^n cos(xt + n pi/2) dt, the n-th derivative.
 * s_n = (sin(x + n pi/2) - n s_{n-1}) / x for |x| > n + 1 (stable there), else the Taylor series
 * s_n(x) = sum_k cos((n + k) pi/2) x^k / (k! (n + k + 1)), whose odd terms vanish for even n and conversely. */
#ifndef SKK_SIMD_MATH_SINC_H
#define SKK_SIMD_MATH_SINC_H

#include "simd_math_core.h"

static
#if defined(__GNUC__)
__attribute__((unused))
#endif
double skk_sinxdivx_d(double x, int n) {
    double a = fabs(x), value, power;
    int k;
    if (!(a <= DBL_MAX)) return a > DBL_MAX ? 0.0 : x;
    if (a > n + 1.0) {
        double s = sin(x), c = cos(x), quarter[4];
        quarter[0] = s; quarter[1] = c; quarter[2] = -s; quarter[3] = -c; /* sin(x + k pi/2) */
        value = s / x;
        for (k = 1; k <= n; ++k) value = (quarter[k & 3] - k * value) / x;
        return value;
    }
    k = n & 1;
    power = k ? x : 1.0; /* x^k / k! with the sign of cos((n + k) pi/2) */
    if (((n + k) / 2) & 1) power = -power;
    value = 0.0;
    for (; k < n + 200; k += 2) {
        double term = power / (double)(n + k + 1);
        value += term;
        if (fabs(term) <= 1e-18 * fabs(value) && a <= k) break;
        power *= -(x / (k + 1)) * (x / (k + 2));
    }
    return value;
}

SKK_INLINE float skk_sinxdivx_f(float x, int n) { return (float)skk_sinxdivx_d((double)x, n); }

SKK_LOOP void skk_sinxdivx_v_f(float *out, const float *in, int order, int64_t n) {
    int64_t i;
    for (i = 0; i < n; ++i) out[i] = skk_sinxdivx_f(in[i], order);
}

SKK_LOOP void skk_sinxdivx_v_d(double *out, const double *in, int order, int64_t n) {
    int64_t i;
    for (i = 0; i < n; ++i) out[i] = skk_sinxdivx_d(in[i], order);
}

#endif
