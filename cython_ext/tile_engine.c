/* The tile engine, built once per instruction set (-DSKK_LEVEL=baseline|avx2|avx512).

   Everything here is static but the one function that hands out the entry points, so that no symbol
   compiled for one instruction set can be linked into another's. */
#include "tile_engine.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "simd_math.h"

#define SKK_CAT_(a, b) a##b
#define SKK_CAT(a, b) SKK_CAT_(a, b)

#if defined(_MSC_VER)
#define SKK_NOINLINE static __declspec(noinline)
#define SKK_UNROLL
#define SKK_PREFETCH(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
#include <intrin.h>
SKK_INLINE int SKK_LOWEST(uint64_t mask)
{
    unsigned long k;
    _BitScanForward64(&k, mask);
    return (int)k;
}
#else
#define SKK_NOINLINE static __attribute__((noinline))
#define SKK_UNROLL SKK_PRAGMA(GCC unroll 16)
#define SKK_PREFETCH(p) __builtin_prefetch(p)
#define SKK_LOWEST(mask) __builtin_ctzll(mask)
#endif

#if defined(__AVX512F__)
#define SKK_VEC_BYTES 64
#define SKK_VECS 4 /* vectors of lanes that a register block holds: 4 rows x 4 vectors of 32 registers */
#elif defined(__AVX2__)
#define SKK_VEC_BYTES 32
#define SKK_VECS 2
#else
#define SKK_VEC_BYTES 16
#define SKK_VECS 2
#endif

#if (defined(__GNUC__) || defined(__clang__)) && defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SKK_SHUFFLES
#endif
#endif

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#elif defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#endif

/* Whether an instruction computes every number of its result from the numbers at the same place in its arguments. */
static const char skk_is_elementwise[] = {
#define OP(ID, name, arity, elementwise) elementwise,
#include "opcodes.def"
};

/* total += part, for one row of sum and shift_exp states. One function for tasks and for the merge of split
   tasks, never inlined: the same arithmetic, to the bit, wherever segments are combined. */
SKK_NOINLINE void merge_row(const skk_program *p, double *m, double *s, double part_m, const double *part)
{
    double old_factor = 1, new_factor = 1;
    if (p->fold == SKK_FOLD_SHIFT_EXP) {
        const double top = part_m > *m ? part_m : *m;
        old_factor = *m == top ? 1 : exp(*m - top);
        new_factor = part_m == top ? 1 : exp(part_m - top);
        *m = top;
    }
    for (int64_t c = 0; c < p->width; c++)
        s[c] = s[c] * old_factor + part[c] * new_factor;
}

#define REAL float
#define INT int32_t
#define NAME(x) x##_f
#define SKK_IS_DOUBLE 0
#include "tile_parts.inc"
#undef REAL
#undef INT
#undef NAME
#undef SKK_IS_DOUBLE

#define REAL double
#define INT int64_t
#define NAME(x) x##_d
#define SKK_IS_DOUBLE 1
#include "tile_parts.inc"

static int64_t scratch_bytes(const skk_program *p, int is_double)
{
    return is_double ? scratch_bytes_d(p) : scratch_bytes_f(p);
}

static void consts(const skk_program *p, const skk_array *arrays, void *out, void *scratch, int is_double)
{
    if (is_double)
        consts_d(p, arrays, (double *)out, (double *)scratch);
    else
        consts_f(p, arrays, (float *)out, (float *)scratch);
}

static void task(const skk_program *p, const skk_call *c, const skk_task *t, void *scratch, int is_double)
{
    if (is_double) {
        task_d(p, c, t, (double *)scratch);
        return;
    }
#if defined(__SSE2__) || defined(_M_X64)
    /* float32 results below 1.2e-38 count as zero, for this task only: an exponential of -90 would otherwise
       slow every instruction that meets it by a hundred cycles. float64 keeps its denormals. */
    const unsigned control = _mm_getcsr();
    _mm_setcsr(control | 0x8000);
    task_f(p, c, t, (float *)scratch);
    _mm_setcsr(control);
#else
    task_f(p, c, t, (float *)scratch);
#endif
}

/* total = total combined with part, row by row. */
static void merge(const skk_program *p, skk_state *total, const skk_state *part, int64_t rows)
{
    const int64_t w = p->width;
    for (int64_t r = 0; r < rows; r++) {
        switch (p->fold) {
        case SKK_FOLD_SUM:
            merge_row(p, 0, total->first + r * w, 0, part->first + r * w);
            break;
        case SKK_FOLD_SHIFT_EXP:
            merge_row(p, total->first + r, total->second + r * w, part->first[r], part->second + r * w);
            break;
        case SKK_FOLD_EXTREMUM:
            for (int64_t c = r * w; c < (r + 1) * w; c++)
                if (p->largest ? part->first[c] > total->first[c] : part->first[c] < total->first[c]) {
                    total->first[c] = part->first[c];
                    total->index[c] = part->index[c];
                }
            break;
        default: { /* sorted lists: the part's values come behind equals */
            const int64_t dim = w / p->k;
            const indices_d same = {0, NULL};
            for (int64_t c = r * w; c < r * w + dim; c++) {
                int64_t n = 0; /* of the part, what is below the last of the list */
                while (n < p->k && part->first[c + n * dim] < total->first[c + (p->k - 1) * dim])
                    n++;
                merge_list_d(total->first + c, total->index + c, p->k, dim, part->first + c, part->index + c, dim, n, &same);
            }
        }
        }
    }
}

/* One instruction over plain arrays: what the accuracy tests and the benchmarks of single loops call. */
static void unary(int op, const double *imm, const void *a, void *out, int64_t n, int is_double)
{
    if (is_double)
        apply_d(op, imm, (const double *)a, 0, (double *)out, n);
    else
        apply_f(op, imm, (const float *)a, 0, (float *)out, n);
}

static void binary(int op, const void *a, const void *b, void *out, int64_t n, int is_double)
{
    static const double none[2] = {0, 0};
    if (is_double)
        apply_d(op, none, (const double *)a, (const double *)b, (double *)out, n);
    else
        apply_f(op, none, (const float *)a, (const float *)b, (float *)out, n);
}

#define SKK_STRING_(x) #x
#define SKK_STRING(x) SKK_STRING_(x)

const skk_level *SKK_CAT(skk_level_, SKK_LEVEL)(void)
{
    static const skk_level level = {SKK_STRING(SKK_LEVEL), scratch_bytes, consts, task, merge, unary, binary};
    return &level;
}
