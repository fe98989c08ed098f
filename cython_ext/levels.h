/* What engine.pyx asks about this build and this processor: the levels, the names of the instructions, and OpenMP's number of
   threads. */
#ifndef SKK_LEVELS_H
#define SKK_LEVELS_H

#include <string.h>

#include "tile_engine.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#if SKK_HAVE_AVX2 || SKK_HAVE_AVX512
#ifdef _MSC_VER
#include <immintrin.h>
#include <intrin.h>
static int skk_cpu_has(int avx512)
{
    int r[4];
    __cpuid(r, 0);
    if (r[0] < 7)
        return 0;
    __cpuid(r, 1);
    if (!(r[2] & (1 << 27)) || !(r[2] & (1 << 12))) /* OSXSAVE, FMA */
        return 0;
    const unsigned long long state = _xgetbv(0);
    __cpuidex(r, 7, 0);
    if (!avx512)
        return (state & 6) == 6 && (r[1] & (1 << 5));
    return (state & 0xe6) == 0xe6 && (r[1] & (1 << 16)) && (r[1] & (1 << 17)) && (r[1] & (1 << 30)) && (r[1] & (1u << 31));
}
#else
static int skk_cpu_has(int avx512)
{
    __builtin_cpu_init();
    if (!avx512)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
}
#endif
#endif

/* The level of that name, or NULL where this build or this processor has not got it. */
static const skk_level *skk_find_level(const char *name)
{
    if (!strcmp(name, "baseline"))
        return skk_level_baseline();
#if SKK_HAVE_AVX2
    if (!strcmp(name, "avx2") && skk_cpu_has(0))
        return skk_level_avx2();
#endif
#if SKK_HAVE_AVX512
    if (!strcmp(name, "avx512") && skk_cpu_has(0) && skk_cpu_has(1))
        return skk_level_avx512();
#endif
    return 0;
}

static const struct {
    const char *name;
    int arity, elementwise;
} skk_opcodes[] = {
#define OP(ID, name, arity, elementwise) {name, arity, elementwise},
#include "opcodes.def"
};

static const char *skk_opcode_name(int k) { return skk_opcodes[k].name; }
static int skk_opcode_arity(int k) { return skk_opcodes[k].arity; }
static int skk_opcode_is_elementwise(int k) { return skk_opcodes[k].elementwise; }

static int skk_openmp(void)
{
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

static int skk_max_threads(void)
{
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 0;
#endif
}

#endif
