/* Macros and bit casts shared by the simd_math_*.h headers. */
#ifndef SKK_SIMD_MATH_CORE_H
#define SKK_SIMD_MATH_CORE_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#define SKK_INLINE static __forceinline
#define SKK_LOOP static
#define SKK_SIMD __pragma(loop(ivdep))
#define SKK_SIMD_OR(variable)
#elif defined(__GNUC__)
#define SKK_INLINE static inline __attribute__((always_inline, unused))
#define SKK_LOOP static __attribute__((noinline, unused))
#define SKK_PRAGMA(text) _Pragma(#text)
#define SKK_SIMD SKK_PRAGMA(omp simd)
#define SKK_SIMD_OR(variable) SKK_PRAGMA(omp simd reduction(| : variable))
#else
#define SKK_INLINE static inline
#define SKK_LOOP static
#define SKK_SIMD
#define SKK_SIMD_OR(variable)
#endif

/* Fused multiply-add where the target has it; a rounded product and a rounded sum elsewhere. */
#if defined(__GNUC__) && (defined(__FMA__) || defined(__aarch64__))
#define SKK_HAS_FMA 1
#define SKK_FMA_F(a, b, c) __builtin_fmaf((a), (b), (c))
#define SKK_FMA_D(a, b, c) __builtin_fma((a), (b), (c))
#else
#define SKK_HAS_FMA 0
#define SKK_FMA_F(a, b, c) ((a) * (b) + (c))
#define SKK_FMA_D(a, b, c) ((a) * (b) + (c))
#endif

SKK_INLINE uint32_t skk_bits_f(float x) { uint32_t u; memcpy(&u, &x, sizeof u); return u; }
SKK_INLINE uint64_t skk_bits_d(double x) { uint64_t u; memcpy(&u, &x, sizeof u); return u; }
SKK_INLINE float skk_from_bits_f(uint32_t u) { float x; memcpy(&x, &u, sizeof x); return x; }
SKK_INLINE double skk_from_bits_d(uint64_t u) { double x; memcpy(&x, &u, sizeof x); return x; }

/* x >= +0 (or NaN) with the sign of y */
SKK_INLINE double skk_copysign_d(double x, double y) {
    return skk_from_bits_d(skk_bits_d(x) | (skk_bits_d(y) & 0x8000000000000000u));
}

/* Loop forms from a branch-free scalar form; out may be exactly an argument. SKK_DEFINE_LOOP1(exp, f, float) defines, with gcc,

     static __attribute__((noinline, unused)) void skk_exp_v_f(float *out, const float *in, int64_t n) {
         int64_t i;
         _Pragma("omp simd") for (i = 0; i < n; ++i) out[i] = skk_exp_f(in[i]);
     }

   SKK_DEFINE_LOOP2(atan2, d, double) the same of skk_atan2_d(a[i], b[i]). simd_math.h undoes these macros at its end. */
#define SKK_DEFINE_LOOP1(name, suffix, real)                                                                         \
    SKK_LOOP void skk_##name##_v_##suffix(real *out, const real *in, int64_t n) {                                    \
        int64_t i;                                                                                                   \
        SKK_SIMD for (i = 0; i < n; ++i) out[i] = skk_##name##_##suffix(in[i]);                                      \
    }

#define SKK_DEFINE_LOOP2(name, suffix, real)                                                                         \
    SKK_LOOP void skk_##name##_v_##suffix(real *out, const real *a, const real *b, int64_t n) {                      \
        int64_t i;                                                                                                   \
        SKK_SIMD for (i = 0; i < n; ++i) out[i] = skk_##name##_##suffix(a[i], b[i]);                                 \
    }

/* float32 forms from skk_NAME_wide, which works on float64 (exact arguments, result rounded once).  Blocks are converted apart: in one
 * loop compilers mix masks of both widths, which costs more than the function.  SKK_DEFINE_WIDE1(tanh) defines skk_tanh_f(x), which is
 * (float)skk_tanh_wide((double)x), and skk_tanh_v_f(out, in, n): blocks of 128 numbers are widened, computed and rounded. */
#define SKK_WIDE_BLOCK 128
#define SKK_DEFINE_WIDE1(name)                                                                                       \
    SKK_INLINE float skk_##name##_f(float x) { return (float)skk_##name##_wide((double)x); }                         \
    SKK_LOOP void skk_##name##_v_f(float *out, const float *in, int64_t n) {                                         \
        double x[SKK_WIDE_BLOCK];                                                                                    \
        int64_t first, i, count;                                                                                     \
        for (first = 0; first < n; first += SKK_WIDE_BLOCK) {                                                        \
            count = n - first < SKK_WIDE_BLOCK ? n - first : SKK_WIDE_BLOCK;                                         \
            SKK_SIMD for (i = 0; i < count; ++i) x[i] = (double)in[first + i];                                       \
            SKK_SIMD for (i = 0; i < count; ++i) x[i] = skk_##name##_wide(x[i]);                                     \
            SKK_SIMD for (i = 0; i < count; ++i) out[first + i] = (float)x[i];                                       \
        }                                                                                                            \
    }

/* Both loops of a function of which there is a branch-free float64 form only. */
#define SKK_DEFINE_BOTH(name)                                                                                        \
    SKK_INLINE double skk_##name##_wide(double x) { return skk_##name##_d(x); }                                      \
    SKK_DEFINE_WIDE1(name)                                                                                           \
    SKK_DEFINE_LOOP1(name, d, double)

#define SKK_DEFINE_WIDE2(name)                                                                                       \
    SKK_INLINE float skk_##name##_f(float a, float b) { return (float)skk_##name##_wide((double)a, (double)b); }     \
    SKK_LOOP void skk_##name##_v_f(float *out, const float *a, const float *b, int64_t n) {                          \
        double x[SKK_WIDE_BLOCK], y[SKK_WIDE_BLOCK];                                                                 \
        int64_t first, i, count;                                                                                     \
        for (first = 0; first < n; first += SKK_WIDE_BLOCK) {                                                        \
            count = n - first < SKK_WIDE_BLOCK ? n - first : SKK_WIDE_BLOCK;                                         \
            SKK_SIMD for (i = 0; i < count; ++i) x[i] = (double)a[first + i];                                        \
            SKK_SIMD for (i = 0; i < count; ++i) y[i] = (double)b[first + i];                                        \
            SKK_SIMD for (i = 0; i < count; ++i) x[i] = skk_##name##_wide(x[i], y[i]);                               \
            SKK_SIMD for (i = 0; i < count; ++i) out[first + i] = (float)x[i];                                       \
        }                                                                                                            \
    }

#endif
