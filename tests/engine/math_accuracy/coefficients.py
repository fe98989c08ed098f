"""Minimax polynomials of cython_ext/simd_math.h: weighted Remez exchange in multiple precision (the others: coefficients.sollya).

``python coefficients.py [NAME ...]`` prints, for each polynomial, its coefficients (constant term first, rounded to the
precision in which they are used) and the maximal weighted error after rounding.  The header only holds the result.
"""

import sys

import mpmath as mp

mp.mp.dps = 60


def remez(target, weight, low, high, degree, rounding):
    """Polynomial p minimising max |weight * (p - target)| over [low, high], and that maximum, after rounding."""
    low, high = mp.mpf(low), mp.mpf(high)
    count = degree + 2
    nodes = [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * (2 * k + 1) / (2 * count)) for k in range(count)]
    grid = [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * k / (24 * count)) for k in range(24 * count + 1)]
    grid = [t for t in grid if t != 0]
    values = [(target(t), weight(t)) for t in grid]

    def error(coefficients, t, v):
        return v[1] * (mp.polyval(coefficients[::-1], t) - v[0])

    nodes = [t if abs(t) > (high - low) / 50 else t + (high - low) / 30 for t in nodes]  # the weight may vanish at 0
    coefficients, scale = None, weight(high)
    for _ in range(12):
        matrix, right = mp.matrix(count), mp.matrix(count, 1)
        for row, t in enumerate(nodes):
            w = weight(t) / scale
            for k in range(degree + 1):
                matrix[row, k] = w * (t / high) ** k
            matrix[row, degree + 1] = (-1) ** row
            right[row] = w * target(t)
        solution = mp.lu_solve(matrix, right)
        coefficients = [solution[k] / high ** k for k in range(degree + 1)]
        errors = [error(coefficients, t, v) for t, v in zip(grid, values)]
        # One extremum for each run of equal signs; keep the count alternating ones around the largest.
        extrema = []
        for t, e in zip(grid, errors):
            if extrema and (e > 0) == (extrema[-1][1] > 0):
                if abs(e) > abs(extrema[-1][1]):
                    extrema[-1] = (t, e)
            else:
                extrema.append((t, e))
        while len(extrema) > count:
            extrema.pop(0 if abs(extrema[0][1]) < abs(extrema[-1][1]) else -1)
        if len(extrema) < count:
            break
        nodes = [t for t, _ in extrema]
        sizes = [abs(e) for _, e in extrema]
        if max(sizes) < mp.mpf("1.001") * min(sizes):
            break
    rounded = [rounding(c) for c in coefficients]
    return rounded, max(abs(error([mp.mpf(c) for c in rounded], t, v)) for t, v in zip(grid, values))


def single(c):
    import struct

    return struct.unpack("f", struct.pack("f", float(c)))[0]


LN2_2 = mp.log(2) / 2
LN2_32 = mp.log(2) / 32 * mp.mpf("1.0001")  # r goes a little beyond
SQRT2M1 = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)


def of_square(f):
    return lambda z: f(mp.sqrt(z))


def atan_tail(x):
    return (mp.atan(x) / x - 1) / x**2


def atanh_tail(s):
    return (2 * mp.atanh(s) / s - 2) / s**2


def erfc_bounded(t):
    """(1 + 2x) exp(x^2) erfc(x) at x = 4 (1 + t) / (1 - t): between 1 and 1.3 for all x >= 0."""
    x = 4 * (1 + t) / (1 - t)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


def lgamma_slope(t):
    return mp.loggamma(2 + t) / t if abs(t) > 1e-30 else 1 - mp.euler


def lgamma_rest(z):
    """x (log gamma(x) - Stirling's formula) at z = 1 / x^2."""
    if not z:
        return mp.mpf(1) / 12
    x = 1 / mp.sqrt(z)
    return x * (mp.loggamma(x) - (x - mp.mpf(1) / 2) * mp.log(x) + x - mp.log(2 * mp.pi) / 2)


DIGAMMA_ROOT = mp.findroot(mp.digamma, mp.mpf("1.4616321"))


def digamma_slope(u):
    x = mp.mpf(3) / 2 + u
    return mp.digamma(x) / (x - DIGAMMA_ROOT)


def digamma_rest(z):
    if not z:
        return mp.mpf(1) / 12
    x = 1 / mp.sqrt(z)
    return (mp.log(x) - 1 / (2 * x) - mp.digamma(x)) / z


def log1p_tail(f):
    return (mp.log1p(f) - f) / f**2


def log1p_weight(f):
    """Beyond 0.0184 the logarithm of another number is added to log(1 + f); the sum is at least 0.0317."""
    if f < 0.0185:
        return f**2 / abs(mp.log1p(f))
    return f**2 / (mp.mpf("0.0317") if f < 0.0293 else mp.mpf("0.1"))


ATAN = (of_square(atan_tail), of_square(lambda x: x**3 / mp.atan(x)), 0)
TABLE = {
    # name: (target, weight, low, high, degree, rounding)
    "exp_f": (lambda r: (mp.exp(r) - 1 - r) / r**2, lambda r: r**2 / mp.exp(r), -LN2_2, LN2_2, 4, single),
    "exp_8": (lambda r: (mp.exp(r) - 1) / r, lambda r: r / mp.exp(r), -LN2_32, LN2_32, 5, float),
    "log_8": (log1p_tail, log1p_weight, "-0.03125", "0.03745", 7, float),
    "log in pow_wide": (of_square(atanh_tail), lambda z: z / 2, 0, SQRT2M1**2, 4, float),
    "atan_wide, atan2_wide": ATAN + (mp.tan(mp.pi / 8) ** 2, 5, float),
    "atan_d, atan2_d": ATAN + (mp.mpf("0.4376") ** 2, 11, float),
    "erf near 0": (of_square(lambda x: mp.erf(x) / x - 1), of_square(lambda x: x / mp.erf(x)), 0, mp.mpf("0.5625"), 10, float),
    "erfc": (erfc_bounded, lambda t: 1 / erfc_bounded(t), -1, mp.mpf(23) / 31, 22, float),
    "lgamma near 2": (lgamma_slope, lambda t: 1 / lgamma_slope(t), "-0.75", "0.5", 21, float),
    "lgamma far": (lgamma_rest, lambda z: mp.mpf(1), 0, mp.mpf("8.5") ** -2, 6, float),
    "digamma on [1, 2]": (digamma_slope, lambda u: 1 / digamma_slope(u), "-0.5", "0.5", 22, float),
    "digamma far": (digamma_rest, lambda z: mp.mpf(1), 0, "0.01", 6, float),
}


def main(names):
    for name in names or TABLE:
        coefficients, bound = remez(*TABLE[name])
        print(f"{name}: 2^{float(mp.log(bound, 2)):.1f}")
        suffix = "f" if TABLE[name][-1] is single else ""
        for c in coefficients:
            print(f"    {float(c).hex()}{suffix}  /* {float(c):.9g} */")


if __name__ == "__main__":
    main(sys.argv[1:])
