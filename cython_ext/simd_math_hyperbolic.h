/* expm1, log1p, the hyperbolic functions, the logistic function and softplus.  float32 is computed in float64 throughout.
 *
 * expm1: x = n log 2 + r as in exp, exp(x) - 1 = 2^n q + (2^n - 1) with q = exp(r) - 1 = r + r^2 P(r): the sum of two terms of which
 * the larger is exact (fdlibm s_expm1.c, Sun 1993).  A quarter of it is formed, so that nothing overflows before the result does.
 * log1p: u = 1 + x = 2^k m, log m from m - 1, which is x itself where k = 0; else the rounding error of u comes in to first order
 * (Kahan; fdlibm s_log1p.c).
 * tanh, sinh from E = exp(2|x|) - 1 or exp(|x|) - 1 (fdlibm s_tanh.c, e_sinh.c), cosh from exp(|x|) / 4, sech, logistic and
 * softplus from exp(-|x|), which never overflows.
 * Error in float64: below 2.5 ulp (docs/design/accuracy_math.md). */
#ifndef SKK_SIMD_MATH_HYPERBOLIC_H
#define SKK_SIMD_MATH_HYPERBOLIC_H

#include "simd_math_core.h"
#include "simd_math_exp.h"
#include "simd_math_log.h"

/* exp(x) = 4 scale (1 + q), scale a power of 2, for -50 <= x <= 710.7; what is beyond, and NaN, counts as the border. */
SKK_INLINE double skk_expm1_parts_d(double x, double *scale) {
    const double magic = 0x1.8p52;
    double c = x > -50.0 ? x : -50.0, t, n, r;
    c = c < 710.7 ? c : 710.7;
    t = SKK_FMA_D(c, 0x1.71547652b82fep+0, magic);
    n = t - magic;
    r = SKK_FMA_D(n, -6.93147180369123816490e-01, c); /* 33 bits: the product is exact */
    r = SKK_FMA_D(n, -1.90821492927058770002e-10, r);
    *scale = skk_from_bits_d((skk_bits_d(t) + 1021u) << 52);
    return SKK_FMA_D(r * r, skk_exp_tail_d(r), r);
}

/* (exp(x) - 1) / 4, within the same borders; not exact for denormal numbers */
SKK_INLINE double skk_expm1_quarter_d(double x) {
    double scale, q = skk_expm1_parts_d(x, &scale);
    return SKK_FMA_D(scale, q, scale - 0.25);
}

/* Where a function is x to the last digit: denormal numbers, and the sign of 0. */
#define SKK_TINY_D 0x1p-55

SKK_INLINE double skk_expm1_d(double x) {
    double y = 4.0 * skk_expm1_quarter_d(x);
    y = fabs(x) < SKK_TINY_D ? x : y;
    return x == x ? y : x;
}

SKK_INLINE double skk_log1p_d(double x) {
    double z = fabs(x) < SKK_TINY_D ? 0.0 : x, u = 1.0 + z, m, k, f, rest, y; /* denormal numbers are slow */
    k = skk_split_bits_d(skk_bits_d(u), 0x1p52 + 1023.0, &m);
    rest = (z > 1.0 ? 1.0 - (u - z) : z - (u - 1.0)) / u;
    f = k == 0.0 ? z : m - 1.0;
    rest = k == 0.0 ? 0.0 : rest;
    y = skk_log_fraction_d(k, f, rest);
    y = fabs(x) < SKK_TINY_D ? x : y;
    y = x <= DBL_MAX ? y : x;
    y = x == -1.0 ? -HUGE_VAL : y;
    return x < -1.0 ? (double)NAN : y;
}

SKK_INLINE double skk_tanh_d(double x) {
    double a = fabs(x), e = 4.0 * skk_expm1_quarter_d(a < 22.0 ? 2.0 * a : 44.0), near, y;
    near = a < 0.5 ? e : -2.0; /* e / (e + 2) or 1 - 2 / (e + 2) */
    y = (a < 0.5 ? 0.0 : 1.0) + near / (e + 2.0);
    y = a < SKK_TINY_D ? a : y;
    return x == x ? skk_copysign_d(y, x) : x;
}

SKK_INLINE double skk_sinh_d(double x) {
    double a = fabs(x), h = skk_expm1_quarter_d(a), y = 2.0 * (h + h / SKK_FMA_D(4.0, h, 1.0));
    y = a < SKK_TINY_D ? a : y;
    return x == x ? skk_copysign_d(y, x) : x;
}

SKK_INLINE double skk_cosh_d(double x) {
    double scale, q = skk_expm1_parts_d(fabs(x), &scale), e = SKK_FMA_D(scale, q, scale);
    return x == x ? SKK_FMA_D(2.0, e, 0.125 / e) : x;
}

SKK_INLINE double skk_sech_d(double x) {
    double e = skk_exp_d(-fabs(x));
    return 2.0 * e / SKK_FMA_D(e, e, 1.0);
}

SKK_INLINE double skk_logistic_d(double x) {
    double e = skk_exp_d(-fabs(x));
    return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

SKK_INLINE double skk_softplus_d(double x) { return (x > 0.0 ? x : 0.0) + skk_log1p_d(skk_exp_d(-fabs(x))); }

SKK_DEFINE_BOTH(expm1)
SKK_DEFINE_BOTH(log1p)
SKK_DEFINE_BOTH(tanh)
SKK_DEFINE_BOTH(sinh)
SKK_DEFINE_BOTH(cosh)
SKK_DEFINE_BOTH(sech)
SKK_DEFINE_BOTH(logistic)
SKK_DEFINE_BOTH(softplus)

#undef SKK_TINY_D

#endif
