/* Accuracy and speed of the loops in cython_ext/simd_math.h.
 *
 *   driver f NAME FIRST LAST STEP   float32, every STEP-th bit pattern from FIRST to LAST (two arguments: STEP random pairs)
 *   driver d NAME COUNT             float64, COUNT random arguments of each kind
 *   driver h NAME                   float32, all arguments: a hash of the results (all NaN being the same), to compare levels
 *   driver t NAME                   ns per element: ours and libm's, float32 and float64
 *
 * prints: NAME PRECISION max_ulp wrong position worst...   `wrong` counts results of the wrong kind (NaN, infinity, sign),
 * `position` results that depend on the place in the array or on working in place.
 * References: float64 libm for float32; libquadmath (or long double) for float64. */
#include "simd_math.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <quadmath.h>
typedef __float128 wide;
#define W(name) name##q
#else
typedef long double wide;
#define W(name) name##l
#endif

#define BLOCK 1000

typedef struct {
    const char *name;
    int arity;
    void (*loop1f)(float *, const float *, int64_t);
    void (*loop1d)(double *, const double *, int64_t);
    void (*loop2f)(float *, const float *, const float *, int64_t);
    void (*loop2d)(double *, const double *, const double *, int64_t);
    double (*ref1f)(double);
    double (*ref2f)(double, double);
    wide (*ref1d)(wide);
    wide (*ref2d)(wide, wide);
    float (*libm1f)(float);
    float (*libm2f)(float, float);
    double low, high; /* the interesting range */
} function;

/* What libm has not got, in its precisions. */
#define MORE(suffix, real, exp_, cosh_, log1p_, fabs_)                                                               \
    static real sech##suffix(real x) { return 1 / cosh_(x); }                                                        \
    static real logistic##suffix(real x) { return x < 0 ? exp_(x) / (1 + exp_(x)) : 1 / (1 + exp_(-x)); }            \
    static real softplus##suffix(real x) { return (x > 0 ? x : 0) + log1p_(exp_(-fabs_(x))); }
MORE(f, float, expf, coshf, log1pf, fabsf)
MORE(, double, exp, cosh, log1p, fabs)
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
MORE(q, __float128, expq, coshq, log1pq, fabsq)
#else
MORE(l, long double, expl, coshl, log1pl, fabsl)
#endif

#define ONE(n, low, high) {#n, 1, skk_##n##_v_f, skk_##n##_v_d, 0, 0, n, 0, W(n), 0, n##f, 0, low, high}
#define TWO(n, low, high) {#n, 2, 0, 0, skk_##n##_v_f, skk_##n##_v_d, 0, n, 0, W(n), 0, n##f, low, high}
static const function functions[] = {
    ONE(exp, -750, 712), ONE(log, 0, 4), ONE(sin, -30, 30), ONE(cos, -30, 30), ONE(asin, -1, 1),
    ONE(acos, -1, 1), ONE(atan, -4, 4), TWO(atan2, -4, 4), TWO(pow, 0, 20),
    ONE(expm1, -50, 711), ONE(log1p, -1, 8), ONE(tanh, -22, 22), ONE(sinh, -712, 712), ONE(cosh, -712, 712), ONE(sech, -750, 750),
    ONE(logistic, -750, 50), ONE(softplus, -750, 60), ONE(erf, -6, 6), ONE(erfc, -6, 27.3),
};

static uint64_t state = 88172645463325252u;
static uint64_t random_bits(void) {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static double uniform(double low, double high) { return low + (high - low) * (double)(random_bits() >> 11) * 0x1p-53; }

typedef struct {
    double ulp, x, y;
    unsigned long blocks, wrong, position;
    double wrong_x, wrong_y;
} report;

static void note(report *r, double error, int wrong, double x, double y) {
    if (wrong) {
        if (!r->wrong++) r->wrong_x = x, r->wrong_y = y;
    } else if (error > r->ulp)
        r->ulp = error, r->x = x, r->y = y;
}

static void check_f(report *r, float got, double want, double x, double y) {
    double scale, error;
    int exponent;
    if (want != want || got != got) {
        note(r, 0, (want != want) != (got != got), x, y);
        return;
    }
    if (!signbit(got) != !signbit(want)) {
        note(r, 0, 1, x, y);
        return;
    }
    if (isinf(want) && isinf(got)) return;
    if (fabs(want) > 0x1p128) want = copysign(0x1p128, want); /* beyond: infinity is right */
    exponent = (int)(skk_bits_d(want) >> 52 & 0x7ff); /* one binade of 2^128 at most */
    if (exponent > 1023 + 127) exponent = 1023 + 127;
    if (exponent < 1023 - 126) exponent = 1023 - 126;
    scale = skk_from_bits_d((uint64_t)(exponent - 23) << 52);
    error = fabs((isinf(got) ? copysign(0x1p128, got) : (double)got) - want) / scale;
    note(r, error, 0, x, y);
}

static void check_d(report *r, double got, wide want, double x, double y) {
    double rounded = (double)want, scale, error;
    int exponent;
    if (rounded != rounded || got != got) {
        note(r, 0, (rounded != rounded) != (got != got), x, y);
        return;
    }
    if (!signbit(got) != !signbit(rounded)) {
        note(r, 0, 1, x, y);
        return;
    }
    if (isinf(rounded) || isinf(got)) { /* near the overflow threshold both are within an ulp */
        double other = isinf(rounded) ? got : rounded;
        note(r, isinf(rounded) && isinf(got) ? 0 : 1, fabs(other) < DBL_MAX, x, y);
        return;
    }
    frexp(rounded, &exponent);
    scale = rounded == 0 || exponent < -1021 ? 0x1p-1074 : ldexp(1.0, exponent - 53);
    error = (double)(((wide)got - want) / (wide)scale); /* the difference itself may be too small for a double */
    note(r, fabs(error), 0, x, y);
}

/* Different results, all NaN being the same. */
static int differ_f(const float *a, const float *b, int64_t n) {
    int64_t i;
    for (i = 0; i < n; ++i)
        if (skk_bits_f(a[i]) != skk_bits_f(b[i]) && (a[i] == a[i] || b[i] == b[i])) return 1;
    return 0;
}
static int differ_d(const double *a, const double *b, int64_t n) {
    int64_t i;
    for (i = 0; i < n; ++i)
        if (skk_bits_d(a[i]) != skk_bits_d(b[i]) && (a[i] == a[i] || b[i] == b[i])) return 1;
    return 0;
}

static void run_f(const function *g, const float *a, const float *b, int64_t n, report *r) {
    static float out[BLOCK], again[BLOCK];
    int64_t i;
    if (g->arity == 1) {
        int often = r->blocks++ % 64 == 0 || n < BLOCK;
        g->loop1f(out, a, n);
        if (often) {
            memcpy(again, a, sizeof(float) * n);
            g->loop1f(again, again, n);
            if (differ_f(out, again, n)) r->position++;
        }
        for (i = n % 7; often && i < n; i += 61) { /* a short loop has another remainder */
            long m = n - i < 5 ? n - i : 5;
            g->loop1f(again, a + i, m);
            if (differ_f(out + i, again, m)) r->position++;
        }
        for (i = 0; i < n; ++i) check_f(r, out[i], g->ref1f(a[i]), a[i], 0);
    } else {
        g->loop2f(out, a, b, n);
        for (i = n % 7; i < n; i += 61) {
            long m = n - i < 5 ? n - i : 5;
            g->loop2f(again, a + i, b + i, m);
            if (differ_f(out + i, again, m)) r->position++;
        }
        memcpy(again, b, sizeof(float) * n);
        g->loop2f(again, a, again, n);
        if (differ_f(out, again, n)) r->position++;
        for (i = 0; i < n; ++i) check_f(r, out[i], g->ref2f(a[i], b[i]), a[i], b[i]);
    }
}

static void run_d(const function *g, const double *a, const double *b, int64_t n, report *r) {
    static double out[BLOCK], again[BLOCK];
    int64_t i;
    if (g->arity == 1) {
        int often = r->blocks++ % 64 == 0 || n < BLOCK;
        g->loop1d(out, a, n);
        if (often) {
            memcpy(again, a, sizeof(double) * n);
            g->loop1d(again, again, n);
            if (differ_d(out, again, n)) r->position++;
        }
        for (i = n % 7; often && i < n; i += 31) {
            long m = n - i < 3 ? n - i : 3;
            g->loop1d(again, a + i, m);
            if (differ_d(out + i, again, m)) r->position++;
        }
        for (i = 0; i < n; ++i) check_d(r, out[i], g->ref1d(a[i]), a[i], 0);
    } else {
        g->loop2d(out, a, b, n);
        for (i = n % 7; i < n; i += 31) {
            long m = n - i < 3 ? n - i : 3;
            g->loop2d(again, a + i, b + i, m);
            if (differ_d(out + i, again, m)) r->position++;
        }
        memcpy(again, b, sizeof(double) * n);
        g->loop2d(again, a, again, n);
        if (differ_d(out, again, n)) r->position++;
        for (i = 0; i < n; ++i) check_d(r, out[i], g->ref2d(a[i], b[i]), a[i], b[i]);
    }
}

/* Arguments where things happen; both signs of each are used. */
static const double special[] = {
    0, 1, 2, 3, 0.5, 0.25, 1.5, 2.5, 4, 10, 0.4375, 0.6875, 1.1875, 2.4375, 1e-3, 7, 8, 1e10, 16777216.0, 16777217.0, 33554432.0,
    4503599627370495.5, 4503599627370497.0, 9007199254740991.0, 9007199254740992.0, 9007199254740994.0, 1e300, 1e-300, 1e30, 1e-30,
    0x1p-126, 0x1p-127, 0x1p-149, 0x1p-150, 0x1.fffffep127, 0x1p-1022, 0x1p-1023, 0x1p-1074, 0x1.fffffffffffffp1023,
    1 + 0x1p-52, 1 - 0x1p-53, 1 + 0x1p-23, 1 - 0x1p-24, 1.5707963267948966, 3.141592653589793, 0.7853981633974483,
    0.7071067811865476, 1.4142135623730951, 0.6666666666666666, 1e6, 1000001, 1e22, 0x1p1000, 0x1p-900, 0x1p-1000,
    88.72283, 88.72284, 87.33654, 103.97208, 103.97209, 709.782712893384, 709.7827128933841, 745.1332191019412, 745.1332191019411,
    708.3964185322641, 6381956970095103.0 * 0x1p797, HUGE_VAL, NAN,
};
#define SPECIALS ((long)(2 * sizeof special / sizeof special[0]))
static double special_value(int64_t i) { return i & 1 ? -special[i / 2] : special[i / 2]; }

/* Signalling NaN are made quiet: libm's pow(sNaN, 0) is NaN. */
static float float_of(uint32_t u) { return skk_from_bits_f((u & 0x7fffffffu) > 0x7f800000u ? u | 0x00400000u : u); }

static void test_f(const function *g, uint64_t first, uint64_t last, uint64_t step, report *r) {
    static float a[BLOCK], b[BLOCK];
    int64_t n = 0, i, j;
    if (g->arity == 1) {
        uint64_t u;
        for (u = first; u <= last; u += step) {
            a[n++] = float_of((uint32_t)u);
            if (n == BLOCK) run_f(g, a, b, n, r), n = 0;
        }
        for (i = 0; i < SPECIALS; ++i) {
            a[n++] = (float)special_value(i);
            if (n == BLOCK) run_f(g, a, b, n, r), n = 0;
        }
    } else {
        uint64_t k;
        for (k = 0; k < step; ++k) {
            uint64_t u = random_bits();
            switch (k & 3) {
            case 0: a[n] = float_of((uint32_t)u); b[n] = float_of((uint32_t)(u >> 32)); break;
            case 1: a[n] = (float)uniform(g->low, g->high); b[n] = (float)uniform(-g->high, g->high); break;
            case 2: a[n] = 1.0f + (float)uniform(-1, 1) * 0x1p-10f; b[n] = (float)uniform(-1e5, 1e5); break;
            default: a[n] = float_of((uint32_t)u); b[n] = floorf((float)uniform(-6, 6)) * 0.5f; break;
            }
            if (++n == BLOCK) run_f(g, a, b, n, r), n = 0;
        }
        for (i = 0; i < SPECIALS; ++i)
            for (j = 0; j < SPECIALS; ++j) {
                a[n] = (float)special_value(i), b[n] = (float)special_value(j);
                if (++n == BLOCK) run_f(g, a, b, n, r), n = 0;
            }
    }
    run_f(g, a, b, n, r);
}

static void test_d(const function *g, long count, report *r) {
    static double a[BLOCK], b[BLOCK];
    int64_t n = 0, i, j, k, kind;
    for (kind = 0; kind < 6; ++kind)
        for (k = 0; k < count; ++k) {
            uint64_t u = random_bits();
            double x = skk_from_bits_d(u), y = skk_from_bits_d(random_bits());
            switch (kind) {
            case 0: break; /* all bit patterns */
            case 1: x = uniform(g->low, g->high), y = uniform(-g->high, g->high); break;
            case 2: /* near 1, with large exponents for pow */
                x = 1.0 + uniform(-1, 1) * ldexp(1.0, -(int)(u % 30)), y = uniform(-1, 1) * 700.0 / (fabs(x - 1.0) + 1e-300);
                if (g->arity == 2 && g->low < 0) y = uniform(-2, 2);
                break;
            case 3: /* near multiples of pi/2, near the borders of intervals, for pow near over- and underflow */
                x = 1.5707963267948966 * (double)(long)uniform(-600000, 600000) * (1 + uniform(-4, 4) * 0x1p-52);
                if (g->low >= -1) x = special[u % 60] * (1 + uniform(-4, 4) * 0x1p-52);
                if (g->arity == 2) x = fabs(y), y = uniform(-746, 711) / log(x);
                if (g->arity == 2 && g->low < 0) x = uniform(-4, 4), y = x * uniform(0.4, 0.75);
                break;
            case 4: /* small and denormal */
                x = ldexp(uniform(-2, 2), -(int)(u % 1074)), y = ldexp(uniform(-2, 2), -(int)(u >> 20) % 1074);
                break;
            default:
                x = uniform(-1, 1) * ldexp(1.0, (int)(u % 20)), y = floor(uniform(-40, 40)) * 0.5;
            }
            a[n] = x != x ? (double)NAN : x, b[n] = y != y ? (double)NAN : y;
            if (++n == BLOCK) run_d(g, a, b, n, r), n = 0;
        }
    for (i = 0; i < SPECIALS; ++i)
        for (j = 0; j < (g->arity == 2 ? SPECIALS : 1); ++j) {
            a[n] = special_value(i), b[n] = special_value(j);
            if (++n == BLOCK) run_d(g, a, b, n, r), n = 0;
        }
    run_d(g, a, b, n, r);
}

static uint64_t hash_f(const function *g) {
    static float a[BLOCK];
    uint64_t u, h = 0;
    int64_t i, n = 0;
    for (u = 0; u <= 0xffffffffu; ++u) {
        a[n++] = float_of((uint32_t)u);
        if (n < BLOCK && u < 0xffffffffu) continue;
        g->loop1f(a, a, n);
        for (i = 0; i < n; ++i) h = h * 6364136223846793005u + (a[i] == a[i] ? skk_bits_f(a[i]) : 1u);
        n = 0;
    }
    return h;
}

/* ---- speed ---- */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

#define BEST(result, statement)                                                                                      \
    do {                                                                                                             \
        int round_, k_;                                                                                              \
        result = 1e30;                                                                                               \
        for (round_ = 0; round_ < 200; ++round_) {                                                                   \
            double t_ = now();                                                                                       \
            for (k_ = 0; k_ < 8; ++k_) { statement; __asm__ volatile("" ::: "memory"); }                             \
            t_ = (now() - t_) / (8 * 1024.0);                                                                        \
            if (t_ < result) result = t_;                                                                            \
        }                                                                                                            \
    } while (0)

static float fa[1024], fb[1024], fo[1024];
static double da[1024], db[1024], dout[1024];

static void timing(const function *g) {
    double ours_f, ours_d, libm_f, libm_d, low = g->low, high = g->high;
    int i;
    if (!strcmp(g->name, "exp")) low = -20, high = 5;
    else if (low < -100) low = -20, high = 20; /* as in exp: no denormal results */
    for (i = 0; i < 1024; ++i) {
        fa[i] = (float)(da[i] = uniform(low, high));
        fb[i] = (float)(db[i] = uniform(-3, 3));
    }
    if (g->arity == 1) {
        double (*volatile fd)(double) = g->ref1f;
        float (*volatile ff)(float) = g->libm1f;
        BEST(ours_f, g->loop1f(fo, fa, 1024));
        BEST(libm_f, for (i = 0; i < 1024; ++i) fo[i] = ff(fa[i]));
        BEST(ours_d, g->loop1d(dout, da, 1024));
        BEST(libm_d, for (i = 0; i < 1024; ++i) dout[i] = fd(da[i]));
    } else {
        double (*volatile fd)(double, double) = g->ref2f;
        float (*volatile ff)(float, float) = g->libm2f;
        BEST(ours_f, g->loop2f(fo, fa, fb, 1024));
        BEST(libm_f, for (i = 0; i < 1024; ++i) fo[i] = ff(fa[i], fb[i]));
        BEST(ours_d, g->loop2d(dout, da, db, 1024));
        BEST(libm_d, for (i = 0; i < 1024; ++i) dout[i] = fd(da[i], db[i]));
    }
    printf("%s t %.3f %.3f %.3f %.3f\n", g->name, ours_f, libm_f, ours_d, libm_d);
}

int main(int argc, char **argv) {
    size_t k;
    if (argc < 3) return 2;
    for (k = 0; k < sizeof functions / sizeof functions[0]; ++k) {
        const function *g = &functions[k];
        report r = {0};
        if (strcmp(g->name, argv[2])) continue;
        if (*argv[1] == 't') {
            timing(g);
            return 0;
        }
        if (*argv[1] == 'h') {
            printf("%s h %016llx\n", g->name, (unsigned long long)hash_f(g));
            return 0;
        }
        if (*argv[1] == 'f')
            test_f(g, strtoull(argv[3], 0, 0), strtoull(argv[4], 0, 0), strtoull(argv[5], 0, 0), &r);
        else
            test_d(g, atol(argv[3]), &r);
        printf("%s %s %.4f %lu %lu worst %a %a wrong %a %a\n", g->name, argv[1], r.ulp, r.wrong, r.position, r.x, r.y, r.wrong_x, r.wrong_y);
        return 0;
    }
    return 2;
}
