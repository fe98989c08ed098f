"""For every operation: dims, parameters, and what it means, written independently of the package."""

from __future__ import annotations

from typing import NamedTuple

import mpmath
import numpy as np
import scipy.interpolate
import scipy.special


class Case(NamedTuple):
    """Arguments' dims, parameters, and the value of one pair: a function of 1-D arrays."""

    name: str
    dims: tuple[int, ...]
    params: tuple
    truth: object


def _round(x, d):
    s = x * 10.0**d
    return np.where(s >= 0, np.floor(s + 0.5), np.ceil(s - 0.5)) / 10.0**d


def _sinc_derivative(x, n):
    return np.array([float(mpmath.diff(mpmath.sinc, mpmath.mpf(float(t)), n)) for t in x])


def soft_dtw(x, y, gamma):
    """The soft minimum of the costs of all monotone paths, path by path."""
    costs = []

    def walk(i, j, cost):
        cost += (x[i] - y[j]) ** 2
        if (i, j) == (len(x) - 1, len(y) - 1):
            costs.append(cost)
        for k, m in ((i + 1, j), (i, j + 1), (i + 1, j + 1)):
            if k < len(x) and m < len(y):
                walk(k, m, cost)

    walk(0, 0, 0.0)
    return np.array([-gamma * np.log(np.exp(-np.array(costs) / gamma).sum())])


UNARY = {
    "Minus": lambda x: -x,
    "Inv": lambda x: 1 / x,
    "Exp": np.exp,
    "Log": np.log,
    "XLogX": lambda x: scipy.special.xlogy(x, x),
    "Sin": np.sin,
    "Cos": np.cos,
    "Asin": np.arcsin,
    "Acos": np.arccos,
    "Atan": np.arctan,
    "Sqrt": lambda x: x**0.5,
    "Rsqrt": lambda x: x**-0.5,
    "Square": lambda x: x**2,
    "Abs": np.abs,
    "Sign": np.sign,
    "Step": lambda x: np.heaviside(x, 1.0),
    "ReLU": lambda x: np.maximum(x, 0),
    "Floor": np.floor,
    "AutoFactorize": lambda x: x,
    "SinXDivX": lambda x: np.sinc(x / np.pi),
    "Expm1": lambda x: 2 * np.exp(x / 2) * np.sinh(x / 2),
    "Log1p": lambda x: scipy.special.xlog1py(1, x),
    "Tanh": np.tanh,
    "Sinh": np.sinh,
    "Cosh": np.cosh,
    "Sech": lambda x: 1 / np.cosh(x),
    "Logistic": scipy.special.expit,
    "Softplus": lambda x: np.logaddexp(0, x),
    "Erf": lambda x: 2 * scipy.special.ndtr(x * 2**0.5) - 1,
    "Erfc": scipy.special.erfc,
    "LogGamma": lambda x: np.log(scipy.special.gamma(x)),
    "Digamma": scipy.special.digamma,
}
BINARY = {
    "Add": lambda x, y: x + y,
    "Subtract": lambda x, y: x - y,
    "Mult": lambda x, y: x * y,
    "Divide": lambda x, y: x / y,
    "Atan2": lambda x, y: np.angle(y + 1j * x),
    "Powf": lambda x, y: np.exp(y * np.log(x)),
    "Fmod": lambda x, n: x - n * np.trunc(x / n),
    "Equal": lambda x, y: 1.0 * (x == y),
    "NotEqual": lambda x, y: 1.0 * (x != y),
    "LessThan": lambda x, y: 1.0 * (x < y),
    "LessOrEqual": lambda x, y: 1.0 * (x <= y),
}
TERNARY = {
    "IfElse": lambda f, a, b: np.where(f >= 0, a, b),
    "Clamp": np.clip,
    "Mod": lambda x, n, d: d + np.mod(x - d, n),
}
WITH_PARAMS = [
    Case("Pow", (3,), (3,), lambda x: x * x * x),
    Case("Pow", (3,), (-2,), lambda x: 1 / (x * x)),
    Case("Pow", (3,), (5,), lambda x: x**5),
    Case("Round", (3,), (1,), lambda x: _round(x, 1)),
    Case("Round", (3,), (0,), lambda x: _round(x, 0)),
    Case("ClampInt", (3,), (-1, 1), lambda x: np.clip(x, -1, 1)),
    Case("DiffClampInt", (3,), (-1, 1), lambda x: 1.0 * (np.abs(x) <= 1)),
    *(Case("Digamma", (3,), (n,), lambda x, n=n: scipy.special.polygamma(n, x)) for n in (1, 2, 5)),
    *(Case("SinXDivX", (3,), (n,), lambda x, n=n: _sinc_derivative(x, n)) for n in (1, 2, 3)),
]
VECTORS = [
    Case("Sum", (4,), (), lambda x: [x.sum()]),
    Case("SumT", (1,), (3,), lambda x: [x[0]] * 3),
    Case("Scalprod", (3, 3), (), lambda x, y: [x @ y]),
    Case("Scalprod", (1, 3), (), lambda x, y: [x[0] * y.sum()]),
    Case("Scalprod", (3, 1), (), lambda x, y: [y[0] * x.sum()]),
    Case("SqNorm2", (3,), (), lambda x: [x @ x]),
    Case("Norm2", (3,), (), lambda x: [np.linalg.norm(x)]),
    Case("Normalize", (3,), (), lambda x: x / np.linalg.norm(x)),
    Case("SqDist", (3, 3), (), lambda x, y: [np.linalg.norm(x - y) ** 2]),
    Case("SqDist", (1, 3), (), lambda x, y: [np.linalg.norm(x - y) ** 2]),
    Case("SqNormIso", (1, 3), (), lambda s, x: [s[0] * (x @ x)]),
    Case("SqNormDiag", (3, 3), (), lambda s, x: [x @ np.diag(s) @ x]),
    Case("SymSqNorm", (9, 3), (), lambda a, x: [x @ a.reshape(3, 3) @ x]),
    Case("WeightedSqNorm", (1, 3), (), lambda s, x: [s[0] * (x @ x)]),
    Case("WeightedSqNorm", (3, 3), (), lambda s, x: [x @ np.diag(s) @ x]),
    Case("WeightedSqNorm", (9, 3), (), lambda a, x: [x @ a.reshape(3, 3) @ x]),
    Case("WeightedSqDist", (1, 3, 3), (), lambda s, x, y: [s[0] * np.linalg.norm(x - y) ** 2]),
    Case("WeightedSqDist", (3, 3, 3), (), lambda s, x, y: [(x - y) @ np.diag(s) @ (x - y)]),
    Case("WeightedSqDist", (9, 3, 3), (), lambda a, x, y: [(x - y) @ a.reshape(3, 3) @ (x - y)]),
    *(Case("Prod", (n,), (), lambda x: [np.prod(x)]) for n in (1, 2, 3, 4, 7)),
    Case("Max", (5,), (), lambda x: [max(x)]),
    Case("Min", (5,), (), lambda x: [min(x)]),
    Case("ArgMax", (5,), (), lambda x: [list(x).index(max(x))]),
    Case("ArgMin", (5,), (), lambda x: [list(x).index(min(x))]),
    Case("OneHot", (1,), (4,), lambda x: np.eye(4)[int(x[0] + 0.5)]),
    Case("Elem", (4,), (2,), lambda x: [x[2]]),
    Case("ElemT", (1,), (4, 2), lambda x: [0, 0, x[0], 0]),
    Case("Extract", (5,), (1, 3), lambda x: x[1:4]),
    Case("ExtractT", (2,), (1, 4), lambda x: [0, x[0], x[1], 0]),
    Case("Concat", (2, 3), (), lambda x, y: np.r_[x, y]),
    Case("MatVecMult", (6, 3), (), lambda a, b: a.reshape(2, 3) @ b),
    Case("VecMatMult", (2, 6), (), lambda b, a: b @ a.reshape(2, 3)),
    Case("TensorProd", (2, 3), (), lambda x, y: np.outer(x, y).ravel()),
    Case("TensorProd", (1, 3), (), lambda x, y: x[0] * y),
    Case("Kron", (4, 6), ([2, 2], [2, 3]), lambda x, y: np.kron(x.reshape(2, 2), y.reshape(2, 3)).ravel()),
    Case(
        "Kron",
        (8, 4),
        ([2, 2, 2], [1, 2, 2]),
        lambda x, y: np.kron(x.reshape(2, 2, 2), y.reshape(1, 2, 2)).ravel(),
    ),
    Case(
        "TensorDot",
        (6, 6),
        ([2, 3], [3, 2], [1], [0]),
        lambda x, y: (x.reshape(2, 3) @ y.reshape(3, 2)).ravel(),
    ),
    Case(
        "TensorDot",
        (24, 12),
        ([2, 3, 4], [4, 3], [2, 1], [0, 1]),
        lambda x, y: np.einsum("abc,cb->a", x.reshape(2, 3, 4), y.reshape(4, 3)),
    ),
    Case(
        "TensorDot",
        (12, 30),
        ([2, 2, 3], [5, 3, 2], [2], [1], [3, 0, 1, 2]),
        # kept axes a b d e go to the places 3 0 1 2
        lambda x, y: np.einsum("abc,dce->bdea", x.reshape(2, 2, 3), y.reshape(5, 3, 2)).ravel(),
    ),
    Case(
        "TensorDot",
        (4, 6),
        ([2, 2], [2, 3], [], [], [2, 0, 1, 3]),
        lambda x, y: np.einsum("ab,cd->bcad", x.reshape(2, 2), y.reshape(2, 3)).ravel(),
    ),
    *(Case("SoftDTW_SqDist", (n, m, 1), (), lambda x, y, g: soft_dtw(x, y, g[0])) for n, m in ((1, 1), (2, 3), (3, 2))),
    Case("Factorize", (3, 1), (), lambda x, y: x),
    Case(
        "BSpline",
        (7, 1),
        (2,),
        lambda t, x: [
            float(np.nan_to_num(scipy.interpolate.BSpline.basis_element(t[i : i + 4], extrapolate=False)(x[0])))
            for i in range(4)
        ],
    ),
]


def _c(x):
    """Interleaved real and imaginary parts as complex numbers."""
    return np.asarray(x[0::2] + 1j * x[1::2])


def _r(z):
    """Complex numbers as real and imaginary parts, interleaved."""
    return np.stack([np.real(z), np.imag(z)], axis=-1).ravel()


COMPLEX_UNARY = {
    "Conj": np.conj,
    "ComplexInv": lambda z: 1 / z,
    "ComplexExp": np.exp,
    "ComplexLog": np.log,
    "ComplexSqrt": np.sqrt,
}
COMPLEX_BINARY = {
    "ComplexAdd": lambda z, w: z + w,
    "ComplexSubtract": lambda z, w: z - w,
    "ComplexMult": lambda z, w: z * w,
    "ComplexDivide": lambda z, w: z / w,
    "ComplexPow": lambda z, w: z**w,
}
COMPLEX_TO_REAL = {
    "ComplexReal": np.real,
    "ComplexImag": np.imag,
    "ComplexAbs": np.abs,
    "ComplexSquareAbs": lambda z: np.abs(z) ** 2,
    "ComplexAngle": np.angle,
}
REAL_TO_COMPLEX = {
    "Real2Complex": lambda x: x + 0j,
    "Imag2Complex": lambda x: 1j * x,
    "ComplexExp1j": lambda x: np.exp(1j * x),
}
COMPLEX = [
    *(Case(n, (d,), (), lambda x, f=f: _r(f(_c(x)))) for n, f in COMPLEX_UNARY.items() for d in (2, 6)),
    *(Case(n, (d,), (), lambda x, f=f: f(_c(x))) for n, f in COMPLEX_TO_REAL.items() for d in (2, 6)),
    *(Case(n, (d,), (), lambda x, f=f: _r(f(x))) for n, f in REAL_TO_COMPLEX.items() for d in (1, 3)),
    *(
        Case(n, dims, (), lambda x, y, f=f: _r(f(_c(x), _c(y))))
        for n, f in COMPLEX_BINARY.items()
        for dims in ((2, 2), (6, 6), (2, 6), (6, 2))
    ),
    *(Case("Complex", dims, (), lambda x, y: _r(x + 1j * y)) for dims in ((1, 1), (3, 3), (1, 3), (3, 1))),
    *(Case("ComplexPow", (d, 1), (), lambda x, p: _r(_c(x) ** p)) for d in (2, 6)),
    *(Case("ComplexScal", dims, (), lambda x, y: _r(_c(x) * _c(y))) for dims in ((2, 2), (2, 6), (6, 2))),
    Case("ComplexRealScal", (1, 6), (), lambda s, x: s * x),
    Case("ComplexRealScal", (6, 1), (), lambda x, s: s * x),
    Case("ComplexSum", (2,), (), lambda x: x),
    Case("ComplexSum", (6,), (), lambda x: _r(_c(x).sum())),
    Case("ComplexSumT", (2,), (6,), lambda x: np.tile(x, 3)),
    Case("ComplexSumT", (6,), (6,), lambda x: x),
]
CASES = (
    [Case(name, (d,), (), f) for name, f in UNARY.items() for d in (1, 3)]
    + [Case(name, dims, (), f) for name, f in BINARY.items() for dims in ((1, 1), (3, 3), (1, 3), (3, 1))]
    + [
        Case(name, dims, (), f)
        for name, f in TERNARY.items()
        for dims in ((1, 1, 1), (3, 3, 3), (1, 3, 3), (3, 1, 1), (3, 3, 1), (1, 1, 3), (3, 1, 3), (1, 3, 1))
    ]
    + WITH_PARAMS
    + VECTORS
    + COMPLEX
)
# names whose arguments are not arrays; test_literals.py and test_derivative.py are about them
NOT_ARRAYS = {
    *("IntCst", "RatCst", "IntInv", "Zero", "Var", "Vi", "Vj", "Vij", "Pm"),
    *("Grad", "GradMatrix", "Diff", "Divergence", "Laplacian", "TraceOperator", "AdjointOperator"),
}
