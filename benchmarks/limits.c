/* What this machine can do at most, on all threads: exponentials by the engine's own loop, fused multiply-adds, and bytes
 * copied. Each function does its work `repeat` times and returns the number of elementary steps that all threads did. */
#ifdef _OPENMP
#include <omp.h>
#endif
#include <stdlib.h>
#include <string.h>

#include "simd_math.h"

#define LANES 2048 /* floats: two tiles stay in the first-level cache */

#define DEFINE_EXP(name, type, loop)                                          \
    double name(long repeat) {                                                \
        double steps = 0;                                                     \
        _Pragma("omp parallel reduction(+ : steps)") {                        \
            type in[LANES], out[LANES];                                       \
            for (long i = 0; i < LANES; ++i) in[i] = (type)(-8.0 * i / LANES); \
            for (long r = 0; r < repeat; ++r) {                               \
                loop(out, in, LANES);                                         \
                __asm__ volatile("" : : "r"(out), "r"(in) : "memory");        \
                steps += LANES;                                               \
            }                                                                 \
        }                                                                     \
        return steps;                                                         \
    }

DEFINE_EXP(limit_exp_f, float, skk_exp_v_f)
DEFINE_EXP(limit_exp_d, double, skk_exp_v_d)

/* Enough independent accumulators to fill both pipes: 8 vectors of 16 floats or 8 doubles. */
#define DEFINE_FMA(name, type, fma_, width)                                                     \
    double name(long repeat) {                                                                  \
        double steps = 0;                                                                       \
        _Pragma("omp parallel reduction(+ : steps)") {                                          \
            type acc[12][width];                                                                \
            type factor = (type)0.999;                                                          \
            __asm__ volatile("" : "+m"(factor));                                                \
            for (long k = 0; k < 12; ++k)                                                       \
                for (long l = 0; l < width; ++l) acc[k][l] = (type)(k + l);                     \
            for (long r = 0; r < repeat; ++r) {                                                 \
                for (long k = 0; k < 12; ++k) {                                                 \
                    _Pragma("omp simd") for (long l = 0; l < width; ++l) acc[k][l] =            \
                        fma_(acc[k][l], factor, factor);                                        \
                }                                                                               \
                steps += 12.0 * width;                                                          \
            }                                                                                   \
            __asm__ volatile("" : : "r"(acc) : "memory");                                       \
        }                                                                                       \
        return steps;                                                                           \
    }

DEFINE_FMA(limit_fma_f, float, SKK_FMA_F, 16)
DEFINE_FMA(limit_fma_d, double, SKK_FMA_D, 8)

/* Copies a buffer that no cache holds; counts the bytes read and written. */
double limit_copy(long repeat) {
    const long size = 64L << 20;
    static char *from = 0, *to = 0; /* kept: the first touch of a page costs more than copying it */
    if (!from) {
        from = malloc(size), to = malloc(size);
        if (!from || !to) abort();
        memset(from, 1, size), memset(to, 2, size);
    }
    double bytes = 0;
    for (long r = 0; r < repeat; ++r) {
#pragma omp parallel for reduction(+ : bytes)
        for (long block = 0; block < size; block += 1L << 20) {
            memcpy(to + block, from + block, 1L << 20);
            bytes += 2.0 * (1L << 20);
        }
    }
    return bytes;
}
