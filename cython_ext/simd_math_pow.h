/* pow, with the special cases of C99 annex F (F.9.4.4) by selections at the end.
 * float32: exp(y log|x|) in float64.
 * float64: log|x| as a sum of two doubles (double-double arithmetic, Dekker 1971): s = (m-1)/(m+1) with its rounding error,
 * log m = 2s + s z (2/3 + z P(z)), z = s^2, where z P(z) is so small that its own rounding (2^-59.4) does not matter; relative error
 * below 2^-64, so that y log|x| < 745 is known to 2^-54; exp of the sum to first order in the low part.
 * Error: 0.51 ulp (float32), about 1 ulp (float64).  Without FMA libm is faster, and used. */
#ifndef SKK_SIMD_MATH_POW_H
#define SKK_SIMD_MATH_POW_H

#include "simd_math_core.h"
#include "simd_math_exp.h"
#include "simd_math_log.h"

#if SKK_HAS_FMA

/* ab - p for p = ab rounded */
SKK_INLINE double skk_product_error_d(double a, double b, double p) { return SKK_FMA_D(a, b, -p); }

SKK_INLINE double skk_pow_wide(double x, double y) {
    double ax = fabs(x), ay = fabs(y), yc, m, k, s, z, p, v, t, n, r;
    uint64_t odd;
    ay = ay > 0x1p40 ? 0x1p40 : ay; /* inf: even, and x^y is already 0, 1 or inf */
    yc = skk_from_bits_d(skk_bits_d(ay) | (skk_bits_d(y) & 0x8000000000000000u));
    k = skk_split_d(ax, &m);
    s = (m - 1.0) / (m + 1.0);
    z = s * s;
    p = 0x1.9114d1a4635d6p-3;
    p = SKK_FMA_D(p, z, 0x1.c62b2168319d7p-3);
    p = SKK_FMA_D(p, z, 0x1.249411c7ec5c5p-2);
    p = SKK_FMA_D(p, z, 0x1.999996a9a6407p-2);
    p = SKK_FMA_D(p, z, 0x1.555555561e1f5p-1);
    p = SKK_FMA_D(p, z, 2.0);
    v = yc * SKK_FMA_D(k, 0x1.62e42fefa39efp-1, s * p);
    v = v > 200.0 ? 200.0 : v;
    v = v < -200.0 ? -200.0 : v;
    t = SKK_FMA_D(v, 0x1.71547652b82fep+0, 0x1.8p52 + 1023.0);
    n = t - (0x1.8p52 + 1023.0);
    r = SKK_FMA_D(n, -0x1.62e42fefa39efp-1, v);
    p = 0x1.9e8ede09bf266p-13;
    p = SKK_FMA_D(p, r, 0x1.6d955987e3dcdp-10);
    p = SKK_FMA_D(p, r, 0x1.11130af9a246ep-7);
    p = SKK_FMA_D(p, r, 0x1.555481ba96f52p-5);
    p = SKK_FMA_D(p, r, 0x1.55555350e5075p-3);
    p = SKK_FMA_D(p, r, 0x1.00000042467d2p-1);
    p = SKK_FMA_D(p, r, 0x1.00000000e5632p0);
    p = SKK_FMA_D(p, r, 1.0) * skk_from_bits_d(skk_bits_d(t) << 52);
    p = v < -104.0 ? 0.0 : p;
    /* special cases; t holds |y| rounded to an integer in its low bits */
    p = ax == 0.0 ? (y > 0.0 ? 0.0 : HUGE_VAL) : p;
    p = ax > DBL_MAX ? (y > 0.0 ? HUGE_VAL : 0.0) : p;
    t = ay + 0x1p52;
    t = t - 0x1p52 == ay ? t : 0.0;
    v = t == 0.0 ? (double)NAN : p;
    v = ax <= DBL_MAX ? v : p;
    p = x < 0.0 ? v : p;
    odd = skk_bits_d(t) << 63;
    p = skk_from_bits_d(skk_bits_d(p) ^ (odd & skk_bits_d(x)));
    p = x != x ? x : p;
    p = y != y ? y : p;
    p = y == 0.0 ? 1.0 : p;
    p = x == 1.0 ? 1.0 : p;
    return p;
}

SKK_INLINE double skk_pow_d(double x, double y) {
    double ax = fabs(x), ay = fabs(y), yc, m, k, f, dh, dl, rcp, sh, sl, zh, zl, q, ch, cl, wh, wl, uh, ul, hi, lo, a, b, v, t, n, r, p;
    uint64_t odd, bits;
    yc = ay > 0x1p66 ? 0x1p66 : ay; /* |log x| >= 2^-53: the result is already 0, 1 or inf */
    yc = skk_from_bits_d(skk_bits_d(yc) | (skk_bits_d(y) & 0x8000000000000000u));
    k = skk_split_d(ax, &m);
    /* s = f / (2 + f) */
    f = m - 1.0;
    dh = 2.0 + f;
    dl = f - (dh - 2.0);
    rcp = 1.0 / dh;
    sh = f * rcp;
    q = sh * dh;
    sl = SKK_FMA_D(-sh, dl, (f - q) - skk_product_error_d(sh, dh, q));
    sl *= rcp;
    /* z = s^2 */
    zh = sh * sh;
    zl = SKK_FMA_D(2.0 * sh, sl, skk_product_error_d(sh, sh, zh));
    q = 0x1.eac0abbd6658dp-4;
    q = SKK_FMA_D(q, zh, 0x1.de3e17473b062p-4);
    q = SKK_FMA_D(q, zh, 0x1.11206ad8481cfp-3);
    q = SKK_FMA_D(q, zh, 0x1.3b1364e71b3e8p-3);
    q = SKK_FMA_D(q, zh, 0x1.745d1828e749ep-3);
    q = SKK_FMA_D(q, zh, 0x1.c71c71c597639p-3);
    q = SKK_FMA_D(q, zh, 0x1.2492492492f4cp-2);
    q = SKK_FMA_D(q, zh, 0x1.9999999999996p-2);
    q = q * zh;
    /* c = 2/3 + q, w = z c, u = s w, log m = 2 s + u */
    ch = 0x1.5555555555555p-1 + q;
    cl = (0x1.5555555555555p-1 - ch) + q + 0x1.5555555555555p-55;
    wh = zh * ch;
    wl = skk_product_error_d(zh, ch, wh) + SKK_FMA_D(zh, cl, zl * ch);
    uh = sh * wh;
    ul = skk_product_error_d(sh, wh, uh) + SKK_FMA_D(sh, wl, sl * wh);
    hi = 2.0 * sh + uh;
    lo = (2.0 * sh - hi) + uh + (2.0 * sl + ul);
    /* + k log 2 */
    a = k * 0x1.62e42fefa38p-1; /* exact */
    b = a + hi;
    lo = ((a - b) + hi) + SKK_FMA_D(k, 0x1.ef35793c7673p-45, lo);
    hi = b + lo;
    lo = (b - hi) + lo;
    /* v + lo = y log|x| */
    v = yc * hi;
    lo = SKK_FMA_D(yc, lo, skk_product_error_d(yc, hi, v));
    lo = fabs(v) > 760.0 ? 0.0 : lo;
    v = v > 760.0 ? 760.0 : v;
    v = v < -760.0 ? -760.0 : v;
    /* exp */
    t = SKK_FMA_D(v, 0x1.71547652b82fep+0, 0x1.8p52 + 2046.0);
    n = t - (0x1.8p52 + 2046.0);
    r = SKK_FMA_D(n, -6.93147180369123816490e-01, v);
    b = SKK_FMA_D(n, -1.90821492927058770002e-10, r);
    lo += SKK_FMA_D(n, -1.90821492927058770002e-10, r - b);
    r = b + lo;
    lo = (b - r) + lo;
    q = skk_exp_tail_d(r);
    p = 1.0 + (r + SKK_FMA_D(r * r, q, SKK_FMA_D(r, lo, lo)));
    bits = (skk_bits_d(t) << 51) & 0x7ff0000000000000u; /* 2^n in two factors */
    q = skk_from_bits_d((skk_bits_d(t) << 52) - bits);
    q = v < -745.2 ? 0.0 : q;
    p = p * skk_from_bits_d(bits) * q;
    /* special cases */
    p = ax == 0.0 ? (y > 0.0 ? 0.0 : HUGE_VAL) : p;
    p = ax > DBL_MAX ? (y > 0.0 ? HUGE_VAL : 0.0) : p;
    t = ay + 0x1p52; /* |y| rounded to an integer, in the low bits, if below 2^52 */
    t = t - 0x1p52 == ay ? t : 0.0;
    t = ay < 0x1p52 ? t : ay;
    v = t == 0.0 ? (double)NAN : p;
    v = ax <= DBL_MAX ? v : p;
    p = x < 0.0 ? v : p;
    t = ay < 0x1p53 ? t : 0.0;
    odd = skk_bits_d(t) << 63;
    p = skk_from_bits_d(skk_bits_d(p) ^ (odd & skk_bits_d(x)));
    p = x != x ? x : p;
    p = y != y ? y : p;
    p = y == 0.0 ? 1.0 : p;
    return x == 1.0 ? 1.0 : p;
}

SKK_DEFINE_WIDE2(pow)

#else

SKK_INLINE float skk_pow_f(float x, float y) { return powf(x, y); }
SKK_INLINE double skk_pow_d(double x, double y) { return pow(x, y); }
SKK_DEFINE_LOOP2(pow, f, float)

#endif

SKK_DEFINE_LOOP2(pow, d, double)

#endif
