"""What the report measures: kinds of work (one Case each, for any size), and the sweeps over sizes, dimensions and dtypes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..cases import PAGE, Case, Work, gaussian, gaussian_gradient, points

NEIGHBOURS = 10
CENTRES = 10


@dataclass(frozen=True)
class Spec:
    """A case by its numbers: what a process is told to measure."""

    kind: str
    rows: int
    columns: int
    dim: int
    dtype: str

    @property
    def case(self) -> Case:
        return KINDS[self.kind](self.rows, self.columns, self.dim)

    @property
    def pairs(self) -> float:
        return float(self.rows) * self.columns


@dataclass(frozen=True)
class Sweep:
    name: str
    title: str
    varied: str  # the attribute of Spec along the horizontal axis; "" for a table of kinds
    specs: tuple[Spec, ...]  # the small ones first: what gets too long is skipped from there on


def _distances(dim: int, functions: int, flops: int) -> Work:
    """Squared distances cost three operations a component, or two in a matrix product and five more."""
    if dim <= 5:
        return Work(functions=functions, flops=3 * dim + flops)
    return Work(functions=functions, flops=5 + flops, gemm_flops=2 * dim)


def _gauss(m: int, n: int, dim: int) -> Case:
    return Case("gauss", "Gaussian sum", 0, 0, **gaussian(m, n, dim, scale=dim**-0.5), work=_distances(dim, 1, 1))


def _gauss_gradient(m: int, n: int, dim: int) -> Case:
    work = Work(1, 6 * dim + 2) if dim <= 5 else Work(1, 8, 4 * dim)
    return Case("gauss-gradient", "its gradient in x", 0, 0, **gaussian_gradient(m, n, dim, scale=dim**-0.5), work=work)


def _logsumexp(m: int, n: int, dim: int) -> Case:
    shapes = {"x": (m, dim), "y": (n, dim)}
    return Case(
        "logsumexp", "log-sum-exp of -SqDist", 0, 0, "-SqDist(x,y)", points(dim), shapes, _distances(dim, 1, 2),
        reduction="LogSumExp", scale=dim**-0.5,
    )  # fmt: skip


def _page(m: int, n: int, dim: int) -> Case:
    shapes = {"x": (m, 1), "y": (n, 1), "a": (n, 1), "p": (1,)}
    return Case("page", "log-sum-exp of Square(p-a)*Exp(x+y)", 0, 0, **{**PAGE, "shapes": shapes}, work=Work(2, 5))


def _laplacian(m: int, n: int, dim: int) -> Case:
    given = {**gaussian(m, n, dim, scale=1 / dim), "formula": "Exp(-Sum(Abs(x-y)))*b"}
    return Case("laplacian", "Laplacian sum (Manhattan distance)", 0, 0, **given, work=Work(1, 3 * dim + 1))


def _nearest(m: int, n: int, dim: int) -> Case:
    shapes = {"x": (m, dim), "y": (n, dim)}
    return Case(
        "nearest", f"{NEIGHBOURS} nearest neighbours", 0, 0, "SqDist(x,y)", points(dim), shapes, _distances(dim, 0, 0),
        reduction="ArgKMin", opt_arg=NEIGHBOURS,
    )  # fmt: skip


def _centres(m: int, n: int, dim: int) -> Case:
    shapes = {"x": (m, dim), "y": (n, dim)}
    return Case(
        "centres", f"nearest of {CENTRES} centres", 0, 0, "SqDist(x,y)", points(dim), shapes, _distances(dim, 0, 0),
        reduction="ArgMin",
    )  # fmt: skip


def _attention(m: int, n: int, dim: int) -> Case:
    shapes = {"x": (m, dim), "y": (n, dim), "b": (n, dim)}
    return Case(
        "attention", f"attention, {dim} columns", 0, 0, "(x|y)", points(dim, dim), shapes, Work(1, 2, 4 * dim),
        reduction="SumSoftMaxWeight", formula2="b", scale=dim**-0.25,
    )  # fmt: skip


KINDS: dict[str, Callable[[int, int, int], Case]] = {
    "gauss": _gauss,
    "gauss-gradient": _gauss_gradient,
    "logsumexp": _logsumexp,
    "page": _page,
    "laplacian": _laplacian,
    "nearest": _nearest,
    "centres": _centres,
    "attention": _attention,
}


def sweeps(quick: bool) -> tuple[Sweep, ...]:
    """All that is measured. A quick report is for checking the report, not for its figures."""
    sizes = (100, 1000) if quick else (100, 300, 1000, 3000, 10_000, 30_000, 100_000)
    long = (1000, 5000) if quick else (1000, 10_000, 100_000, 1_000_000)
    dims = (1, 20) if quick else (1, 3, 10, 64, 256, 784)
    n, rows = (500, 100) if quick else (5000, 1000)
    found = [
        Sweep(f"size-{kind}", f"{title}, N x N points, D = 3, float32", "rows",
              tuple(Spec(kind, size, size, 3, "float32") for size in sizes))
        for kind, title in (("gauss", "Gaussian sum"), ("logsumexp", "Log-sum-exp"), ("nearest", "10 nearest neighbours"))
    ]  # fmt: skip
    found.append(
        Sweep("long-gauss", f"Gaussian sum of N points at {rows} places, D = 3, float32", "columns",
              tuple(Spec("gauss", rows, size, 3, "float32") for size in long))
    )  # fmt: skip
    found += [
        Sweep(f"dim-{kind}", f"{title}, {n} x {n} points, D columns, float32", "dim",
              tuple(Spec(kind, n, n, dim, "float32") for dim in dims))
        for kind, title in (("gauss", "Gaussian sum"), ("nearest", "10 nearest neighbours"))
    ]  # fmt: skip
    tables = (
        ("gauss", n, n, 3), ("gauss", n, n, 64), ("gauss-gradient", n, n, 3), ("logsumexp", n, n, 3), ("page", n, n, 1),
        ("laplacian", n, n, 3), ("nearest", n, n, 3), ("centres", 20 * n, CENTRES, 3), ("attention", n, n, 64),
        ("gauss", 10, 10, 3),
    )  # fmt: skip
    found += [
        Sweep(f"kinds-{dtype}", f"Reductions, {dtype}", "", tuple(Spec(*row, dtype) for row in tables))
        for dtype in ("float32", "float64")
    ]
    some = ("size-gauss", "dim-nearest", "kinds-float32")
    return tuple(sweep for sweep in found if not quick or sweep.name in some)
