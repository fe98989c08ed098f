"""The rows of the table: formulas and sizes, and the least that a pair costs on a multiprocessor."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..cases import PAGE, Case, Work, gaussian, gaussian_gradient, points

__all__ = ["ROWS", "TEMPLATES", "Pair", "Row", "on_device", "skkeops_call", "timed_source"]


@dataclass(frozen=True)
class Pair:
    """What one pair costs at the very least: instructions of each unit, and bytes of each point that is read once.

    The counts are those of the best known form of the formula, not of our own kernels. An exponential in float64 is 18 of its
    instructions and 16 others, as the machine code of a Gaussian sum has them.
    """

    slots: float  # all instructions
    mufu: float = 0.0  # exponentials, roots, conversions to float64
    fp64: float = 0.0
    bytes_per_column: float = 0.0


@dataclass(frozen=True)
class Row:
    """A case at a size."""

    case: Case
    dtype: str
    pair: Pair
    kind: str  # for the peers: what they have to write by hand
    aim: float | None = None  # times KeOps, what is asked for on an H200
    share: float | None = None  # of the floor, likewise

    @property
    def label(self) -> str:
        return f"{self.case.label}, {self.dtype}"

    def shrunk(self) -> Row:
        """Return the row at a size for the stand-in."""
        shapes = {n: s if len(s) == 1 else (min(s[0], 70 if s[0] > 100 else s[0]), *s[1:]) for n, s in self.case.shapes.items()}
        return replace(self, case=replace(self.case, shapes=shapes))


def _lse(m: int, n: int, **options) -> Case:
    shapes = {"x": (m, 1), "y": (n, 1), "a": (n, 1), "p": (1,)}
    return Case("lse", "LogSumExp of Square(p-a)*Exp(x+y)", 0, 0, **{**PAGE, "shapes": shapes}, work=Work(), **options)


def _gauss(m: int, n: int, d: int, columns: int = 1) -> Case:
    scale = 1.0 if d < 10 else d**-0.5
    name, title = f"gauss{d}", f"Sum of Exp(-SqDist(x,y))*b, D={d}"
    if columns > 1:
        name, title = f"{name}-{columns}", f"{title}, {columns} columns"
    return Case(name, title, 0, 0, **gaussian(m, n, d, columns, scale=scale), work=Work())


def _gradient(m: int, n: int, d: int) -> Case:
    scale = 1.0 if d < 10 else d**-0.5
    options = gaussian_gradient(m, n, d, scale=scale)
    return Case(f"gauss{d}-gradient", f"gradient in x of the Gaussian sum, D={d}", 0, 0, **options, work=Work())


def _attention(m: int, n: int, d: int) -> Case:
    return Case(
        f"attention{d}", f"SumSoftMaxWeight of (x|y), D={d}, {d} columns", 0, 0, formula="x | y", aliases=points(d, d),
        shapes={"x": (m, d), "y": (n, d), "b": (n, d)}, reduction="SumSoftMaxWeight", formula2="b", scale=d**-0.25,
        work=Work(),
    )  # fmt: skip


def _argkmin(m: int, n: int, d: int) -> Case:
    return Case(
        "argkmin", f"ArgKMin of SqDist(x,y), K=10, D={d}", 0, 0, formula="SqDist(x,y)", aliases=points(d),
        shapes={"x": (m, d), "y": (n, d)}, reduction="ArgKMin", opt_arg=10, work=Work(),
    )  # fmt: skip


def _wide(m: int, n: int, d: int) -> Case:
    return Case(
        "wide", f"Sum of Sum(Exp(-Square(x-y))), D={d}", 0, 0, formula="Sum(Exp(-Square(x-y)))", aliases=points(d),
        shapes={"x": (m, d), "y": (n, d)}, work=Work(),
    )  # fmt: skip


_LSE_ADJOINT = replace(
    _lse(10**5, 10**5), name="lse-adjoint", title="adjoint in y of the LogSumExp", wrt="y", keops_axis=0,
    keops_formula="Grad({0},y,e*Exp({0}-L))".format(PAGE["formula"]), keops_aliases=("L = Vi(1)", "e = Vi(1)"),
)  # fmt: skip

GAUSS3, LSE, ARGKMIN = Pair(5.34, 1), Pair(3.7, 1), Pair(8.0)
ROWS: tuple[Row, ...] = (
    Row(_gauss(10**6, 10**6, 3), "float32", GAUSS3, "gauss", 1.5, 0.75),
    Row(_lse(10**6, 10**6), "float32", LSE, "lse", 2.0),
    Row(_argkmin(10**5, 10**5, 3), "float32", ARGKMIN, "argkmin", 2.5),
    Row(_gauss(10, 10**7, 3), "float32", Pair(8.55, 1, bytes_per_column=16), "gauss", 100.0),
    Row(_gauss(10**4, 10**4, 3), "float32", GAUSS3, "gauss", 5.0),
    Row(_gauss(10**5, 10**5, 64), "float32", Pair(68, 1), "gauss", 2.5),
    Row(_gauss(10**5, 10**5, 64, 64), "float32", Pair(132, 1), "gauss", 2.5),
    Row(_attention(10**5, 10**5, 64), "float32", Pair(132, 1), "softmax", 2.5),
    Row(_gradient(10**5, 10**5, 64), "float32", Pair(132, 1), "gradient", 2.5),
    Row(_gauss(10**5, 10**5, 3), "float64", Pair(41, 0, fp64=25), "gauss", None, 0.75),
    Row(_gradient(10**5, 10**5, 3), "float32", Pair(11.3, 1), "gradient", 1.5),
    Row(_LSE_ADJOINT, "float32", Pair(6.0, 2), "lse-adjoint", 2.0),
    Row(_gauss(10**3, 10**3, 3), "float32", GAUSS3, "gauss", 5.0),
    Row(_gauss(10**5, 10**5, 3), "float32", GAUSS3, "gauss", 1.5),
    Row(_lse(10**5, 10**5), "float32", LSE, "lse", 2.0),
    Row(_argkmin(10**6, 10**6, 3), "float32", ARGKMIN, "argkmin", 2.5),
    Row(_gauss(2 * 10**4, 2 * 10**4, 784), "float32", Pair(788, 1), "gauss", 2.0),
    Row(_argkmin(10, 10**7, 3), "float32", Pair(8.0, bytes_per_column=12), "argkmin", 100.0),
    Row(_argkmin(10**5, 10**5, 100), "float32", Pair(104), "argkmin", 2.5),
    Row(_argkmin(2 * 10**4, 2 * 10**4, 784), "float32", Pair(788), "argkmin", 2.0),
    Row(_gauss(10**5, 10**5, 3, 128), "float32", Pair(133, 1), "gauss"),
    Row(_gauss(10**4, 10**4, 784, 784), "float32", Pair(1572, 1), "gauss"),
    Row(_lse(10**5, 10**5), "float64", Pair(37, 0, fp64=21), "lse"),
    Row(_gradient(10**5, 10**5, 3), "float64", Pair(45, 0, fp64=28), "gradient"),
    Row(_argkmin(10**5, 10**5, 3), "float64", Pair(8, 0, fp64=7), "argkmin"),
    Row(_gauss(2 * 10**4, 2 * 10**4, 64), "float64", Pair(68, 0, fp64=86), "gauss"),
    Row(_gauss(2 * 10**4, 2 * 10**4, 64, 64), "float64", Pair(150, 0, fp64=150), "gauss"),
    Row(_attention(2 * 10**4, 2 * 10**4, 64), "float64", Pair(150, 0, fp64=150), "softmax"),
)

#: One row for each shape of kernel, at a size that sanitizer and profiler can bear.
TEMPLATES: dict[str, Row] = {
    "rows": Row(_gauss(5000, 3000, 3), "float32", GAUSS3, "gauss"),
    "log-sum-exp": Row(_lse(5000, 3000), "float32", LSE, "lse"),
    "k-smallest": Row(_argkmin(3000, 3000, 3), "float32", ARGKMIN, "argkmin"),
    "columns": Row(_gauss(4, 100_000, 3), "float32", GAUSS3, "gauss"),
    "dot": Row(_gauss(2000, 2000, 64), "float32", Pair(68, 1), "gauss"),
    "k-smallest of long vectors": Row(_argkmin(2000, 2000, 100), "float32", Pair(104), "argkmin"),
    "k-smallest of few rows": Row(_argkmin(4, 100_000, 3), "float32", ARGKMIN, "argkmin"),
    "matrix": Row(_gauss(2000, 2000, 64, 64), "float32", Pair(132, 1), "gauss"),
    "matrix, softmax": Row(_attention(2000, 2000, 64), "float32", Pair(132, 1), "softmax"),
    "wide": Row(_wide(1000, 1000, 200), "float32", Pair(400, 200), "wide"),
    "gradient": Row(_gradient(3000, 3000, 3), "float32", Pair(11.3, 1), "gradient"),
}


def on_device(cupy, row: Row) -> dict:
    """Return the arrays of a row, with what its derivative needs, on the device."""
    arrays = {name: cupy.asarray(a) for name, a in row.case.arrays(row.dtype).items()}
    if row.case.wrt is not None:
        output = _genred(row)(*_arguments(row, arrays))
        if row.case.reduction == "LogSumExp":
            arrays["L"] = output
        arrays["e"] = cupy.asarray(np.random.default_rng(1).standard_normal(output.shape).astype(row.dtype))
    return arrays


def skkeops_call(row: Row, arrays: dict):
    """Return the function to be timed."""
    reduction, args, case = _genred(row), _arguments(row, arrays), row.case
    if case.wrt is None:
        return lambda: reduction(*args)
    extra = {"output": arrays["L"]} if "L" in arrays else {}
    return lambda: reduction.gradient(*args, wrt=case.wrt, grad_output=arrays["e"], **extra)


def timed_source(row: Row):
    """Return the source of the kernel that a row's call launches."""
    from skkeops.backends.cuda import source
    from skkeops.backends.cuda.source import choose_template
    from skkeops.plan.plan import make_plan

    reduction = _genred(row)
    problem = reduction._problem
    if row.case.wrt is not None:
        (variable,) = reduction._arguments.find(row.case.wrt)
        problem = reduction._get_derivatives()._adjoint_problem(variable)
    m, n = row.case.size
    plan = make_plan(problem)
    return source(plan, row.dtype, None, choose_template(plan, *((m, n) if problem.axis == 1 else (n, m))))


def _genred(row: Row):
    from skkeops import Genred

    case = row.case
    return case._genred(Genred, case.formula, case.aliases, case.reduction, case.axis)


def _arguments(row: Row, arrays: dict) -> list:
    return [arrays[name] for name in row.case._names(row.case.aliases)]
