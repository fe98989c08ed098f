/* sin, cos, asin, acos, atan, atan2.
 *
 * float32 is computed in float64 throughout (error 0.51 ulp).
 * sin, cos, float32: x = n pi + r, two-part pi (Cody and Waite 1980), one odd polynomial on |r| <= pi/2.
 * sin, cos, float64: x = n pi/2 + r + r', pi/2 in three parts with FMA, four of 33 bits (fdlibm's e_rem_pio2.c, Sun 1993) without: exact
 * to 2^-110 in both cases, polynomials for sin and cos on |r| <= pi/4 with the tail r' to first order (fdlibm k_sin.c, k_cos.c).
 * Both hold for |x| <= SKK_TRIG_MAX; a block of a loop that has larger arguments is patched with libm's values.
 * asin, acos: asin(x) = x + x^3 P(x^2) for |x| <= 1/2, else by asin(sqrt((1 - |x|)/2)), whose square root carries a tail in float64.
 * atan, atan2: atan(a) = atan(c) + atan((a - c)/(1 + c a)), one division, c among 0, 1/2, 1, 3/2, inf (fdlibm s_atan.c); atan2 applies it
 * to min(|x|,|y|)/max(|x|,|y|) without forming that quotient, and adds the multiple of pi/2 with its rounding error.
 * Error in float64: sin, cos, asin, acos, atan below 1 ulp, atan2 below 1.5 ulp. */
#ifndef SKK_SIMD_MATH_TRIG_H
#define SKK_SIMD_MATH_TRIG_H

#include "simd_math_core.h"

#define SKK_TRIG_MAX 1.0e6

/* ---- sin, cos ---- */

SKK_INLINE double skk_sinpoly_f(double r) {
    double z = r * r, p = -0x1.9a67db7b5c338p-26;
    p = SKK_FMA_D(p, z, 0x1.717078aebacd1p-19);
    p = SKK_FMA_D(p, z, -0x1.a017d967a0a8p-13);
    p = SKK_FMA_D(p, z, 0x1.11110c4958c6ap-7);
    p = SKK_FMA_D(p, z, -0x1.5555554766fe9p-3);
    return r * SKK_FMA_D(p, z, 1.0);
}

SKK_INLINE float skk_sin_fast_f(float x) {
    double xd = (double)x, t = SKK_FMA_D(xd, 0x1.45f306dc9c883p-2, 0x1.8p52), n = t - 0x1.8p52, r;
    r = SKK_FMA_D(n, -0x1.921fb544p+1, xd);
    r = SKK_FMA_D(n, -0x1.0b4611a626331p-33, r);
    return (float)skk_from_bits_d(skk_bits_d(skk_sinpoly_f(r)) ^ (skk_bits_d(t) << 63));
}

SKK_INLINE float skk_cos_fast_f(float x) {
    double xd = (double)x, t = SKK_FMA_D(xd, 0x1.45f306dc9c883p-2, -0.5) + 0x1.8p52, n = (t - 0x1.8p52) + 0.5, r;
    r = SKK_FMA_D(n, -0x1.921fb544p+1, xd);
    r = SKK_FMA_D(n, -0x1.0b4611a626331p-33, r);
    return (float)skk_from_bits_d(skk_bits_d(skk_sinpoly_f(r)) ^ (~skk_bits_d(t) << 63));
}

/* sin(|x| + quarter pi/2) */
SKK_INLINE double skk_sincos_d(double x, uint64_t quarter) {
    double a = fabs(x), t = SKK_FMA_D(a, 0x1.45f306dc9c883p-1, 0x1.8p52), n = t - 0x1.8p52, r, w, hi, lo, b, z, p, s, c, h;
    uint64_t q = skk_bits_d(t) + quarter, mask = 0u - (q & 1u);
#if SKK_HAS_FMA
    r = SKK_FMA_D(-n, 0x1.921fb54442d18p+0, a); /* exact */
    w = n * 0x1.1a62633145c07p-54;
    lo = -SKK_FMA_D(n, 0x1.1a62633145c07p-54, -w);
    hi = r - w;
    b = hi - r;
    lo += (r - (hi - b)) + (-w - b);
    lo = SKK_FMA_D(n, 0x1.f1976b7ed8fbcp-110, lo);
#else
    r = a - n * 1.57079632673412561417e+00; /* exact */
    w = n * 6.07710050630396597660e-11;
    hi = r - w;
    b = hi - r;
    lo = (r - (hi - b)) + (-w - b);
    r = hi;
    w = n * 2.02226624871116645580e-21;
    hi = r - w;
    b = hi - r;
    lo += (r - (hi - b)) + (-w - b);
    lo -= n * 8.47842766036889956997e-32;
#endif
    z = hi * hi;
    p = 0x1.5d8e3511cda67p-33;
    p = SKK_FMA_D(p, z, -0x1.ae5e5471f55p-26);
    p = SKK_FMA_D(p, z, 0x1.71de355f05599p-19);
    p = SKK_FMA_D(p, z, -0x1.a01a019bf222ep-13);
    p = SKK_FMA_D(p, z, 0x1.111111110f75dp-7);
    p = SKK_FMA_D(p, z, -0x1.5555555555548p-3);
    s = hi + SKK_FMA_D(z * hi, p, lo * SKK_FMA_D(z, -0.5, 1.0));
    p = -0x1.8fa681e385241p-37;
    p = SKK_FMA_D(p, z, 0x1.1ee9dbd0d86a6p-29);
    p = SKK_FMA_D(p, z, -0x1.27e4f7f19d4b2p-22);
    p = SKK_FMA_D(p, z, 0x1.a01a019c8f3eep-16);
    p = SKK_FMA_D(p, z, -0x1.6c16c16c15016p-10);
    p = SKK_FMA_D(p, z, 0x1.555555555554bp-5);
    h = 0.5 * z;
    w = 1.0 - h;
    c = w + SKK_FMA_D(z * z, p, SKK_FMA_D(-hi, lo, (1.0 - w) - h));
    return skk_from_bits_d(((skk_bits_d(c) & mask) | (skk_bits_d(s) & ~mask)) ^ ((q & 2u) << 62));
}

SKK_INLINE double skk_sin_fast_d(double x) {
    return skk_from_bits_d(skk_bits_d(skk_sincos_d(x, 0)) ^ (skk_bits_d(x) & 0x8000000000000000u));
}

SKK_INLINE double skk_cos_fast_d(double x) { return skk_sincos_d(x, 1); }

/* Large arguments, by libm; in long double where it is longer, since glibc's float64 reduction errs by up to 8 ulp close to
 * multiples of pi/2 (6381956970095103 2^797). */
#if LDBL_MANT_DIG > 53
SKK_INLINE double skk_sin_large_d(double x) { return (double)sinl((long double)x); }
SKK_INLINE double skk_cos_large_d(double x) { return (double)cosl((long double)x); }
#else
SKK_INLINE double skk_sin_large_d(double x) { return sin(x); }
SKK_INLINE double skk_cos_large_d(double x) { return cos(x); }
#endif

/* SKK_DEFINE_TRIG(sin, f, float, sinf, fabsf) defines skk_sin_f(x), which is sinf(x) where fabsf(x) is large and skk_sin_fast_f(x)
 * elsewhere, and its loop skk_sin_v_f(out, in, n), which takes skk_sin_fast_f for 256 numbers and then puts sinf where one is large. */
#define SKK_DEFINE_TRIG(name, suffix, real, libm, fabs_)                                                             \
    SKK_INLINE real skk_##name##_##suffix(real x) {                                                                  \
        return fabs_(x) > (real)SKK_TRIG_MAX ? libm(x) : skk_##name##_fast_##suffix(x);                              \
    }                                                                                                                \
    SKK_LOOP void skk_##name##_v_##suffix(real *out, const real *in, int64_t n) {                                    \
        int64_t first, i, count;                                                                                     \
        for (first = 0; first < n; first += 256) {                                                                   \
            real kept[256], *o = out + first;                                                                        \
            const real *x = in + first;                                                                              \
            int large = 0;                                                                                           \
            count = n - first < 256 ? n - first : 256;                                                               \
            SKK_SIMD_OR(large) for (i = 0; i < count; ++i) large |= fabs_(x[i]) > (real)SKK_TRIG_MAX;                \
            if (large) memcpy(kept, x, (size_t)count * sizeof(real));                                                \
            SKK_SIMD for (i = 0; i < count; ++i) o[i] = skk_##name##_fast_##suffix(x[i]);                            \
            if (large)                                                                                               \
                for (i = 0; i < count; ++i)                                                                          \
                    if (fabs_(kept[i]) > (real)SKK_TRIG_MAX) o[i] = libm(kept[i]);                                   \
        }                                                                                                            \
    }

SKK_DEFINE_TRIG(sin, f, float, sinf, fabsf)
SKK_DEFINE_TRIG(cos, f, float, cosf, fabsf)
SKK_DEFINE_TRIG(sin, d, double, skk_sin_large_d, fabs)
SKK_DEFINE_TRIG(cos, d, double, skk_cos_large_d, fabs)

/* ---- asin, acos ---- */

SKK_INLINE double skk_asinpoly_f(double z) {
    double p = 0x1.3370d4259c1c7p-5;
    p = SKK_FMA_D(p, z, 0x1.d8d63b36576c7p-7);
    p = SKK_FMA_D(p, z, 0x1.049638ea38c43p-5);
    p = SKK_FMA_D(p, z, 0x1.6cae4dc24dafp-5);
    p = SKK_FMA_D(p, z, 0x1.33387fd3c64b2p-4);
    p = SKK_FMA_D(p, z, 0x1.55554c594b4e9p-3);
    return SKK_FMA_D(p, z, 1.0);
}

SKK_INLINE double skk_asin_wide(double x) {
    double a = fabs(x), z, s, y;
    z = a > 0.5 ? SKK_FMA_D(a, -0.5, 0.5) : a * a;
    s = a > 0.5 ? sqrt(z) : a;
    y = s * skk_asinpoly_f(z);
    y = a > 0.5 ? SKK_FMA_D(y, -2.0, 0x1.921fb54442d18p+0) : y;
    return skk_copysign_d(y, x);
}

SKK_INLINE double skk_acos_wide(double x) {
    double a = fabs(x), z, s, y;
    z = a > 0.5 ? SKK_FMA_D(a, -0.5, 0.5) : a * a;
    s = a > 0.5 ? -2.0 * sqrt(z) : a;
    y = skk_copysign_d(1.0, x) * (s * skk_asinpoly_f(z)); /* asin x, or -+2 asin(sqrt((1-|x|)/2)) */
    s = x < 0.0 ? 0x1.921fb54442d18p+1 : 0.0;
    s = a > 0.5 ? s : 0x1.921fb54442d18p+0;
    return s - y;
}

SKK_INLINE double skk_asinpoly_d(double z) {
    double p = 0x1.056d6c811bcb5p-5;
    p = SKK_FMA_D(p, z, -0x1.09d3283354289p-6);
    p = SKK_FMA_D(p, z, 0x1.3ff4a9908979ep-6);
    p = SKK_FMA_D(p, z, 0x1.abcf5cd7f42b6p-8);
    p = SKK_FMA_D(p, z, 0x1.8ec2fca6002c5p-7);
    p = SKK_FMA_D(p, z, 0x1.c6fdc1aaa59bcp-7);
    p = SKK_FMA_D(p, z, 0x1.1c6be1a68770bp-6);
    p = SKK_FMA_D(p, z, 0x1.6e89f440197a8p-6);
    p = SKK_FMA_D(p, z, 0x1.f1c72c38fb342p-6);
    p = SKK_FMA_D(p, z, 0x1.6db6db427a4f8p-5);
    p = SKK_FMA_D(p, z, 0x1.333333336e80fp-4);
    p = SKK_FMA_D(p, z, 0x1.555555555539p-3);
    return z * p;
}

/* s = sqrt(z) with 21 bits and the rest, sqrt(z) = s + tail (z = 0 included). */
SKK_INLINE double skk_sqrt_parts_d(double z, double *tail) {
    double root = sqrt(z), s = skk_from_bits_d(skk_bits_d(root) & 0xffffffff00000000u);
    *tail = SKK_FMA_D(-s, s, z) / (root + s + 1e-300);
    return s;
}

SKK_INLINE double skk_asin_d(double x) {
    double a = fabs(x), z, root, s, tail, small_, large, p;
    z = a > 0.5 ? SKK_FMA_D(a, -0.5, 0.5) : a * a;
    p = skk_asinpoly_d(z);
    small_ = SKK_FMA_D(a, p, a);
    s = skk_sqrt_parts_d(z, &tail);
    root = s + tail;
    /* pi/2 - 2 (root + root p) */
    large = SKK_FMA_D(2.0 * root, p, 2.0 * tail - 0x1.1a62633145c07p-54);
    large = 0x1.921fb54442d18p-1 - (large - SKK_FMA_D(s, -2.0, 0x1.921fb54442d18p-1));
    return skk_copysign_d(a > 0.5 ? large : small_, x);
}

SKK_INLINE double skk_acos_d(double x) {
    double a = fabs(x), z, root, s, tail, y, p, w;
    z = a > 0.5 ? SKK_FMA_D(a, -0.5, 0.5) : a * a;
    p = skk_asinpoly_d(z);
    y = 0x1.921fb54442d18p+0 - (x - SKK_FMA_D(-x, p, 0x1.1a62633145c07p-54));
    s = skk_sqrt_parts_d(z, &tail);
    root = s + tail;
    w = x < 0.0 ? 0x1.921fb54442d18p+1 - 2.0 * (s + (SKK_FMA_D(root, p, tail) - 0x1.1a62633145c07p-54))
                : 2.0 * (s + SKK_FMA_D(root, p, tail));
    return a > 0.5 ? w : y;
}

/* ---- atan, atan2 ---- */

/* c + atan t */
SKK_INLINE double skk_atanpoly_f(double t, double c) {
    double z = t * t, p = 0x1.84a21e795c9fcp-5;
    p = SKK_FMA_D(p, z, -0x1.5b302ab4ca391p-4);
    p = SKK_FMA_D(p, z, 0x1.c463fd8db4dacp-4);
    p = SKK_FMA_D(p, z, -0x1.247eda5662156p-3);
    p = SKK_FMA_D(p, z, 0x1.999918a068656p-3);
    p = SKK_FMA_D(p, z, -0x1.555554c604726p-2);
    return c + SKK_FMA_D(t * z, p, t);
}

/* atan t - t + lo */
SKK_INLINE double skk_atantail_d(double t, double lo) {
    double z = t * t, p = 0x1.c02a875e48868p-7;
    p = SKK_FMA_D(p, z, -0x1.054fcd11218bcp-5);
    p = SKK_FMA_D(p, z, 0x1.6b13cb28acd08p-5);
    p = SKK_FMA_D(p, z, -0x1.a9f878adee3d6p-5);
    p = SKK_FMA_D(p, z, 0x1.e132173228b12p-5);
    p = SKK_FMA_D(p, z, -0x1.1108fe772244p-4);
    p = SKK_FMA_D(p, z, 0x1.3b132eb8d3e92p-4);
    p = SKK_FMA_D(p, z, -0x1.745d11bfcac5p-4);
    p = SKK_FMA_D(p, z, 0x1.c71c71a0e0ebep-4);
    p = SKK_FMA_D(p, z, -0x1.24924924448e6p-3);
    p = SKK_FMA_D(p, z, 0x1.9999999998fadp-3);
    p = SKK_FMA_D(p, z, -0x1.5555555555552p-2);
    return SKK_FMA_D(t * z, p, lo);
}

SKK_INLINE double skk_atan_wide(double x) {
    double a = fabs(x), num, den, c;
    num = a > 0x1.a827999fcef32p-2 ? a - 1.0 : a;
    den = a > 0x1.a827999fcef32p-2 ? a + 1.0 : 1.0;
    c = a > 0x1.a827999fcef32p-2 ? 0x1.921fb54442d18p-1 : 0.0;
    num = a > 2.5 ? -1.0 : num;
    den = a > 2.5 ? a : den;
    c = a > 2.5 ? 0x1.921fb54442d18p+0 : c;
    return skk_copysign_d(skk_atanpoly_f(num / den, c), x);
}

SKK_INLINE double skk_atan_d(double x) {
    double a = fabs(x), c, hi, lo, num, den, t;
    c = a < 0.4375 ? 0.0 : 0.5;
    hi = a < 0.4375 ? 0.0 : 0x1.dac670561bb4fp-2;
    lo = a < 0.4375 ? 0.0 : 0x1.a2b7f222f65e2p-56;
    c = a < 0.6875 ? c : 1.0;
    hi = a < 0.6875 ? hi : 0x1.921fb54442d18p-1;
    lo = a < 0.6875 ? lo : 0x1.1a62633145c07p-55;
    c = a < 1.1875 ? c : 1.5;
    hi = a < 1.1875 ? hi : 0x1.f730bd281f69bp-1;
    lo = a < 1.1875 ? lo : 0x1.007887af0cbbdp-56;
    num = a - c;
    den = SKK_FMA_D(c, a, 1.0);
    num = a < 2.4375 ? num : -1.0;
    den = a < 2.4375 ? den : a;
    hi = a < 2.4375 ? hi : 0x1.921fb54442d18p+0;
    lo = a < 2.4375 ? lo : 0x1.1a62633145c07p-54;
    t = num / den;
    return skk_copysign_d(hi + (t + skk_atantail_d(t, lo)), x);
}

SKK_INLINE double skk_atan2_wide(double y, double x) {
    double ay = fabs(y), ax = fabs(x), a, b, c, num, den, r;
    ay = ay > 1e200 ? 1e200 : ay; /* infinities: inf/inf counts as 1 */
    ax = ax > 1e200 ? 1e200 : ax;
    a = ay > ax ? ax : ay;
    b = ay > ax ? ay : ax;
    num = a > 0x1.a827999fcef32p-2 * b ? a - b : a;
    den = a > 0x1.a827999fcef32p-2 * b ? a + b : b;
    c = a > 0x1.a827999fcef32p-2 * b ? 0x1.921fb54442d18p-1 : 0.0;
    den = den == 0.0 ? 1.0 : den;
    r = skk_atanpoly_f(num / den, c);
    r = ay > ax ? 0x1.921fb54442d18p+0 - r : r;
    r = b == 0.0 ? 0.0 : r;
    r = skk_bits_d(x) >> 63 ? 0x1.921fb54442d18p+1 - r : r;
    r = x != x ? x : r;
    r = y != y ? y : r;
    return skk_copysign_d(r, y);
}

SKK_INLINE double skk_atan2_d(double y, double x) {
    double ay = fabs(y), ax = fabs(x), a, b, c, off, offlo, base, baselo, sign, scale, num, den, t, hi, lo;
    a = ay > ax ? ax : ay;
    b = ay > ax ? ay : ax;
    /* infinities, and quotients that would leave the range of normal numbers halfway */
    a = b > DBL_MAX ? (a > DBL_MAX ? 1.0 : 0.0) : a;
    b = b > DBL_MAX ? 1.0 : b;
    scale = b > 0x1p1000 ? 0x1p-100 : 1.0;
    scale = b < 0x1p-900 ? 0x1p120 : scale;
    a *= scale;
    b *= scale;
    b = b == 0.0 ? 1.0 : b;
    c = a < 0.4375 * b ? 0.0 : 0.5;
    off = a < 0.4375 * b ? 0.0 : 0x1.dac670561bb4fp-2;
    offlo = a < 0.4375 * b ? 0.0 : 0x1.a2b7f222f65e2p-56;
    c = a < 0.6875 * b ? c : 1.0;
    off = a < 0.6875 * b ? off : 0x1.921fb54442d18p-1;
    offlo = a < 0.6875 * b ? offlo : 0x1.1a62633145c07p-55;
    num = SKK_FMA_D(-c, b, a); /* exact: 0, or within a factor of two of each other */
    den = SKK_FMA_D(c, a, b);
    t = num / den;
    /* base + sign (off + atan t): |angle| = r, pi/2 - r, pi/2 + r or pi - r */
    sign = ay > ax ? -1.0 : 1.0;
    base = ay > ax ? 0x1.921fb54442d18p+0 : 0.0;
    baselo = ay > ax ? 0x1.1a62633145c07p-54 : 0.0;
    sign = skk_bits_d(x) >> 63 ? -sign : sign;
    base = skk_bits_d(x) >> 63 ? 0x1.921fb54442d18p+1 - base : base; /* exact */
    baselo = skk_bits_d(x) >> 63 ? 0x1.1a62633145c07p-53 - baselo : baselo;
    off *= sign;
    hi = base + off;
    lo = (base - hi) + off; /* base is 0 or the larger */
    lo += SKK_FMA_D(sign, offlo, baselo);
    t *= sign;
    hi += t + skk_atantail_d(t, lo);
    hi = x != x ? x : hi;
    hi = y != y ? y : hi;
    return skk_copysign_d(hi, y);
}

SKK_DEFINE_WIDE1(asin)
SKK_DEFINE_WIDE1(acos)
SKK_DEFINE_WIDE1(atan)
SKK_DEFINE_WIDE2(atan2)
SKK_DEFINE_LOOP1(asin, d, double)
SKK_DEFINE_LOOP1(acos, d, double)
SKK_DEFINE_LOOP1(atan, d, double)
SKK_DEFINE_LOOP2(atan2, d, double)

#undef SKK_TRIG_MAX
#undef SKK_DEFINE_TRIG

#endif
