"""Formulas and reductions whose kernels are compiled, run and counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from skkeops import Genred
from skkeops.backends import reference
from skkeops.derivatives import differentiate
from skkeops.formula import Variable
from skkeops.formula.operations import registry
from skkeops.plan.problem import Problem

from ..formula.cases import CASES

XY = ("x = Vi(3)", "y = Vj(3)")


class Entry(NamedTuple):
    """A problem with a name."""

    name: str
    problem: Problem


def entry(name: str, formula: str, aliases, reduction: str = "Sum", axis: int = 1, **options: Any) -> Entry:
    return Entry(f"{name}/{axis}", Genred(formula, list(aliases), reduction, axis=axis, **options)._problem)


def both_axes(name: str, formula: str, aliases, reduction: str = "Sum", **options: Any) -> list[Entry]:
    return [entry(name, formula, aliases, reduction, axis, **options) for axis in (1, 0)]


REDUCTIONS = [
    *both_axes("sum", "Exp(-SqDist(x, y)) * b", [*XY, "b = Vj(1)"]),
    *both_axes("sum with a factor of any sign", "Exp(g * SqDist(x, y)) * b", ["g = Pm(1)", *XY, "b = Vj(1)"]),
    *both_axes("sum of vectors", "Exp(-g * SqDist(x, y)) * (x - y)", ["g = Pm(1)", *XY]),
    *both_axes("sum with factor", "p * Exp(x) * Exp(x * y) * b", ["p = Pm(1)", "x = Vi(1)", "y = Vj(1)", "b = Vj(4)"]),
    *both_axes("logsumexp", "Square(p - a) * Exp(x + y)", ["p = Pm(1)", "a = Vj(1)", "x = Vi(1)", "y = Vj(1)"], "LogSumExp"),
    *both_axes("weighted logsumexp", "-SqDist(x, y)", [*XY, "b = Vj(2)"], "LogSumExp", formula2="Square(b)"),
    *both_axes("softmax", "x | y", [*XY, "b = Vj(2)"], "SumSoftMaxWeight", formula2="b"),
    *both_axes("raw", "x | y", XY, "Max_SumShiftExp"),
    *both_axes("raw weighted", "x | y", [*XY, "b = Vj(2)"], "Max_SumShiftExpWeight", formula2="b"),
    *both_axes("max", "x - y", XY, "Max"),
    *both_axes("min", "SqDist(x, y)", XY, "Min"),
    *both_axes("argmax", "Sin(x * y)", XY, "ArgMax"),
    *both_axes("argmin", "SqDist(x, y)", XY, "ArgMin"),
    *both_axes("max and argmax", "x | y", XY, "Max_ArgMax"),
    *both_axes("min and argmin", "x - y", XY, "Min_ArgMin"),
    *both_axes("kmin", "SqDist(x, y)", XY, "KMin", opt_arg=3),
    *both_axes("argkmin", "SqDist(x, y)", XY, "ArgKMin", opt_arg=10),
    *both_axes("kmin of vectors", "x - y", XY, "KMin_ArgKMin", opt_arg=2),
    entry("kmin in memory", "SqDist(x, y)", XY, "KMin_ArgKMin", opt_arg=40),
    entry("nothing per pair", "x * y", ["x = Vi(1)", "y = Vj(1)"]),
    entry("ones", "IntCst(1)", ["x = Vi(1)", "y = Vj(1)"]),
    entry("no row", "Sum(y)", ["y = Vj(2)"], "LogSumExp", formula2="Square(y)"),
    entry("no column", "Exp(x)", ["x = Vi(2)"]),
]
"""All reductions over both axes, and the folds' special shapes."""


LONG = ("x = Vi(150)", "y = Vj(150)")


def _turned(n: int) -> str:
    """Sums of a vector and of itself with components moved: they read one another in more and more places."""
    f = "(x - y)"
    for k in range(n):
        f = f"(Concat(Extract({f}, {k + 1}, {149 - k}), Extract({f}, 0, {k + 1})) - {f} / 2)"
    return f


WIDE = [
    *both_axes("sum", "Exp(-SqDist(x, y) / 300) * b", [*LONG, "b = Vj(2)"]),
    *both_axes("sum of long vectors", "Exp(-g * SqDist(x, y)) * (x - y)", ["g = Pm(1)", "x = Vi(135)", "y = Vj(135)"]),
    *both_axes("sum with a long factor", "f * Exp((x | y) / 150)", [*LONG, "f = Vi(70)"]),
    *both_axes("logsumexp", "(x | y) / 30 + Sum(y)", LONG, "LogSumExp"),
    *both_axes("softmax", "(x | y) / 30", ["x = Vi(3)", "y = Vj(3)", "w = Vj(140)"], "SumSoftMaxWeight", formula2="w + 1"),
    *both_axes("raw weighted", "x | y", ["x = Vi(3)", "y = Vj(3)", "w = Vj(70)"], "Max_SumShiftExpWeight", formula2="w"),
    *both_axes("max", "x - y", LONG, "Max_ArgMax"),
    *both_axes("kmin", "x * y", LONG, "KMin_ArgKMin", opt_arg=3),
    entry("kmin of distances", "SqDist(x, y)", LONG, "KMin_ArgKMin", opt_arg=20),
    entry("powers of complex numbers", "ComplexPow(Complex(Cos(x), Sin(y)), 7)", ["x = Vi(100)", "y = Vj(100)"]),
    entry("splines", "BSpline(k, b + x, 3)", ["k = Pm(110)", "b = Vj(1)", "x = Vi(1)"]),
    entry("gradients of splines", "Grad(BSpline(k, b + x, 3), k, e)", ["k = Pm(110)", "b = Vj(1)", "x = Vi(1)", "e = Vi(106)"]),
    entry(
        "selections of all kinds",
        "f * (Concat(Extract(f, 3, 100), Extract(x, 9, 50)) + ExtractT(Extract(f, 5, 90), 30, 150) + ElemT(Elem(y, 2), 150, 77))",
        ["x = Vi(150)", "y = Vj(150)", "f = Vj(150)"],
    ),
    entry("vectors that are stored", f"{_turned(6)} | w", [*LONG, "w = Vj(150)"]),
    entry("matrices", "MatVecMult(A, y)", ["A = Pm(4500)", "x = Vi(1)", "y = Vj(150)"]),
    entry("products of matrices", "VecMatMult(x, TensorProd(x, y)) | y", ["x = Vi(40)", "y = Vj(40)"]),
    entry(
        "tensors",
        "TensorDot(x, y, [3, 5, 10], [10, 2, 5], [1, 2], [2, 0]) | w",
        ["x = Vi(150)", "y = Vj(100)", "w = Vj(6)"],
    ),
    entry("permuted", "TensorDot(x, y, [15, 10], [10, 10], [1], [0], [1, 0]) | w", ["x = Vi(150)", "y = Vj(100)", "w = Vj(150)"]),
    entry(
        "pieces",
        "Elem(x * y, 7) + (Extract(x, 3, 140) | Extract(y, 10, 140)) + Sum(Square(ExtractT(x - y, 4, 160) - Concat(y, z)))"
        " + Max(x - y) * ArgMin(x * y) + (ElemT(Elem(x, 2), 150, 9) | y) + Sum(OneHot(ArgMax(x - y), 150) * x)",
        [*LONG, "z = Vi(10)"],
        "LogSumExp",
    ),
    entry("complex", "ComplexReal(ComplexSum(ComplexMult(Conj(y), x))) + Sum(ComplexImag(ComplexMult(x, y)))", LONG),
]
"""Vectors too long for registers, where loops run over their components."""


DOT = [
    *both_axes("sum", "Exp(-SqDist(x, y) / 300) * b", [*LONG, "b = Vj(1)"]),
    *both_axes("sum of columns", "p * Exp((x | y) / 40) * b", ["p = Pm(1)", "x = Vi(33)", "y = Vj(33)", "b = Vj(5)"]),
    *both_axes("logsumexp", "(x | y) / 30 + Sum(y)", LONG, "LogSumExp"),
    *both_axes("weights", "-SqDist(x, y) / 40 * Exp(Elem(x, 3))", [*LONG, "b = Vj(3)"], "LogSumExp", formula2="Square(b)"),
    *both_axes("softmax", "(x | y) / 30", ["x = Vi(64)", "y = Vj(64)", "w = Vj(3)"], "SumSoftMaxWeight", formula2="w"),
    *both_axes("raw", "x | (s * y)", ["x = Vi(48)", "y = Vj(48)", "s = Pm(1)"], "Max_SumShiftExp"),
    *both_axes("nearest", "Sum(Abs(x - y))", LONG, "Min_ArgMin"),
    *both_axes("cosine", "Normalize(x) | y", LONG, "Max"),
    *both_axes("kmin", "SqDist(x, y)", LONG, "KMin_ArgKMin", opt_arg=3),
    *both_axes("argkmin", "Sqrt(SqDist(x, y)) + Elem(y, 1)", ["x = Vi(33)", "y = Vj(33)"], "ArgKMin", opt_arg=10),
    entry("kmin in memory", "-(x | y) * Elem(x, 0)", ["x = Vi(40)", "y = Vj(40)"], "KMin_ArgKMin", opt_arg=40),
]
"""Pairs that are a function of one distance or scalar product of long vectors."""


PAIRS = [
    *both_axes("weighted sum", "Exp(-SqDist(x, y)) * w", [*XY, "w = Vij(1)"]),
    *both_axes("masked logsumexp", "IfElse(w, -SqDist(x, y), v - 50)", [*XY, "w = Vij(1)", "v = Vij(1)"], "LogSumExp"),
    *both_axes("nearest", "SqDist(x, y) + w", [*XY, "w = Vij(1)"], "KMin_ArgKMin", opt_arg=3),
    *both_axes("vectors", "Exp(-SqNorm2(w)) * (x - v)", [*XY, "w = Vij(2)", "v = Vij(3)"]),
]
"""Values of pairs."""


MIDDLE = ("x = Vi(64)", "y = Vj(64)")
ATTENTION = "Exp((x | y) / 8 - m) * (e | b - L) * y"
MATRIX = [
    entry("sum", "Exp(-SqDist(x, y) / 60) * b", [*MIDDLE, "b = Vj(64)"]),
    entry("sum", "Exp(-SqDist(x, y) / 60) * b", [*MIDDLE, "b = Vi(64)"], axis=0),
    *both_axes("difference", "Exp(-g * SqDist(x, y) / 40) * b * (x - y)", ["g = Pm(1)", *MIDDLE, "b = Vj(1)"]),
    entry("softmax", "(x | y) / 8", [*MIDDLE, "b = Vj(64)"], "SumSoftMaxWeight", formula2="b"),
    entry("softmax", "(x | y) / 8", [*MIDDLE, "b = Vi(64)"], "SumSoftMaxWeight", axis=0, formula2="b"),
    entry("raw weighted", "x | y", ["x = Vi(33)", "y = Vj(33)", "b = Vj(37)"], "Max_SumShiftExpWeight", formula2="b"),
    entry("raw weighted", "x | y", ["x = Vi(33)", "y = Vj(33)", "b = Vi(37)"], "Max_SumShiftExpWeight", axis=0, formula2="b"),
    entry("gradient of a softmax", ATTENTION, [*MIDDLE, "b = Vj(70)", "e = Vi(70)", "L = Vi(70)", "m = Vi(1)"]),
    entry("weighted logsumexp", "-SqDist(x, y)", [*XY, "b = Vj(130)"], "LogSumExp", formula2="Square(b)"),
    *both_axes("scaled distance", "Exp(-SqNorm2((x - y) * s) / 60) * b", ["s = Pm(64)", *MIDDLE, "b = Vj(1)"]),
    entry("short vectors", "Exp(Elem(y, 0) / 3 - Sum(s * Square(x - y))) * b", ["s = Pm(3)", *XY, "b = Vj(100)"]),
    entry("chunks", "p * Sum(Abs(x - y)) * Concat(b, c)", ["p = Pm(1)", "x = Vi(7)", "y = Vj(7)", "b = Vj(130)", "c = Vj(120)"]),
    entry("chunks of dear numbers", "Exp(-SqDist(x, y) / 200) * b", ["x = Vi(130)", "y = Vj(130)", "b = Vj(460)"]),
    entry("dear differences", "Exp(-SqDist(x, y) / 200) * (x - y)", ["x = Vi(270)", "y = Vj(270)"]),
    entry("cosines", "Exp(Normalize(x) | Normalize(y)) * Normalize(b)", ["x = Vi(40)", "y = Vj(40)", "b = Vj(40)"]),
    entry("no product", "Exp(x * y) * b", ["x = Vi(1)", "y = Vj(1)", "b = Vj(55)"]),
    entry("loops", "Exp(-Max(x - y)) * Powf(SqDist(x, y), q) * b", ["q = Pm(1)", *XY, "b = Vj(90)"]),
    entry("softmax of loops", "Max(x - y)", [*XY, "b = Vj(50)"], "SumSoftMaxWeight", formula2="b"),
    entry("no vector", "Exp(-SqDist(x, y) / 60) * (b | e)", [*MIDDLE, "b = Vj(70)", "e = Vi(70)"]),
]
"""Many output columns, and pairs that are a function of several sums over components."""


SHORT_FORWARD = (
    ("gaussian", "Exp(-g * SqDist(x, y)) * b", ["g = Pm(1)", *XY, "b = Vj(1)"], "Sum", {}),
    ("logsumexp", "Square(p - a) * Exp(x + y)", ["p = Pm(1)", "a = Vj(1)", "x = Vi(1)", "y = Vj(1)"], "LogSumExp", {}),
    ("softmax", "-SqDist(x, y)", [*XY, "b = Vj(2)"], "SumSoftMaxWeight", {"formula2": "b"}),
    ("matern", "(1 + Norm2(x - y)) * Exp(-Norm2(x - y)) * b", [*XY, "b = Vj(2)"], "Sum", {}),
)
LONG_FORWARD = (
    ("gaussian of long vectors", "Exp(-g * SqDist(x, y) / 40) * b", ["g = Pm(1)", *MIDDLE, "b = Vj(1)"], "Sum", {}),
    ("attention", "(x | y) / 8", [*MIDDLE, "b = Vj(64)"], "SumSoftMaxWeight", {"formula2": "b"}),
)


def gradients(forward=SHORT_FORWARD) -> list[tuple[Entry, Genred]]:
    """The problems of the derivatives of golden formulas, and what they are derived from."""
    found = []
    for name, formula, aliases, reduction, options in forward:
        genred = Genred(formula, aliases, reduction, axis=1, **options)
        derivatives = differentiate(genred._problem, genred._program)
        for v, alias in zip(genred.variables, aliases, strict=True):
            problem = derivatives._adjoint_problem(v)
            if problem is not None:
                found.append((Entry(f"{name} by {alias.split()[0]}", problem), genred))
    return found


def gradient_arrays(genred: Genred, m: int, n: int, dtype, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Arrays of the forward problem, what its state leaves for the derivative, and a direction."""
    problem, reduction = genred._problem, genred.reduction
    arrays = random_arrays(problem, m, n, dtype, seed)
    state = reference.prepare(problem).state(tuple(a.astype(float) for a in arrays))
    saved, scale = reduction.save(state, np.dtype(dtype))
    e = np.random.default_rng(seed + 1).standard_normal((len(state[0]), genred.output_dim))
    e = e if scale is None else e * scale
    return (*arrays, *(np.ascontiguousarray(a, dtype) for a in saved), e.astype(dtype))


def operations(most: int = 24) -> list[tuple[Problem, list]]:
    """Every operation at work on pairs: some cases together, their values side by side in one sum of about that many
    columns. With every problem comes what `operation_arrays` needs."""
    groups: list[list] = [[]]
    columns = 0
    for case in CASES:
        variables = [Variable(k, dim, 0) for k, dim in enumerate(case.dims)]
        dim = registry[case.name].build(*variables, *case.params).dim
        if groups[-1] and columns + dim > most:
            groups.append([])
            columns = 0
        groups[-1].append(case)
        columns += dim
    found = []
    for cases in groups:
        aliases, parts, needs = ["zi = Vi(1)", "zj = Vj(1)"], [], []
        for case in cases:
            places = []
            for k, dim in enumerate(case.dims):
                kind, zero = (("Vi", "zj"), ("Vj", "zi"))[(k + len(parts)) % 2]
                name = f"v{len(aliases)}"
                aliases.append(f"{name} = {kind}({dim})")
                places.append(f"({name} + {zero})")  # of both indices, so that it is computed for every pair
                needs.append((case, k, kind, dim))
            parts.append(f"{case.name}({','.join([*places, *map(str, case.params)])})")
        formula = parts[0]
        for part in parts[1:]:
            formula = f"Concat({formula}, {part})"
        found.append((Genred(formula, aliases, axis=1)._problem, needs))
    return found


def operation_arrays(needs: list, m: int, n: int, dtype, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Arrays within the domains of the operations."""
    rng = np.random.default_rng(seed)
    arrays = [np.zeros((m, 1), dtype), np.zeros((n, 1), dtype)]
    for case, k, kind, dim in needs:
        low, high = registry[case.name].domain[k]
        values = rng.uniform(low, high, (m if kind == "Vi" else n, dim))
        if case.name in ("Equal", "NotEqual", "LessOrEqual"):
            values = np.round(values)
        if case.name == "BSpline" and k == 0:
            values = np.sort(values, axis=-1)
        arrays.append(values.astype(dtype))
    return tuple(arrays)


def random_arrays(problem: Problem, m: int, n: int, dtype, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Normal data; parameters are positive."""
    rng = np.random.default_rng(seed)
    shapes = {0: (m,), 1: (n,), 3: (m, n)}
    return tuple(
        (rng.uniform(0.3, 1.0, v.dim) if v.category == 2 else rng.standard_normal((*shapes[v.category], v.dim))).astype(dtype)
        for v in problem.variables
    )


class Kernel(NamedTuple):
    """A problem with a dtype and a template, and its arrays for lengths of the axes i and j.

    Attributes
    ----------
    kind : {"reductions", "columns", "gradients", "dot", "matrix", "wide", "pairs", "operations"}
    """

    kind: str
    name: str
    problem: Problem
    dtype: str
    template: str
    arrays: Callable[[int, int], tuple[np.ndarray, ...]]


def kernels(dtypes: tuple[str, ...] = ("float32", "float64")) -> list[Kernel]:
    """The whole zoo."""
    found: list[Kernel] = []
    for dtype in dtypes:

        def add(kind, name, problem, template, arrays=None, dtype=dtype):
            found.append(Kernel(kind, name, problem, dtype, template, arrays or (lambda m, n: random_arrays(problem, m, n, dtype))))

        for name, problem in REDUCTIONS:
            add("reductions", name, problem, "auto")
            if name.endswith("/1"):
                add("columns", name, problem, "columns")
        for (name, problem), genred in gradients():
            add("gradients", name, problem, "auto", lambda m, n, g=genred, d=dtype: gradient_arrays(g, m, n, d))
        for kind, entries in (("dot", DOT), ("matrix", MATRIX), ("wide", WIDE)):
            for name, problem in entries:
                add(kind, name, problem, "wide" if kind == "wide" else "auto")
        for name, problem in PAIRS:
            for template in ("rows", "columns"):
                add("pairs", name, problem, template)
        for k, (problem, needs) in enumerate(operations()):
            add("operations", str(k), problem, "auto", lambda m, n, needs=needs, d=dtype: operation_arrays(needs, m, n, d))
    return found
