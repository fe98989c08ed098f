"""The rows of the table: one Case each, with the same work written for skkeops and for KeOps.

pykeops.numpy has no automatic differentiation, so the KeOps half of a derivative is the formula that KeOps itself
would generate: ``Grad(F,v,e)``, and for a log-sum-exp ``Grad(F,v,e*Exp(F-L))`` with the forward result L given.
skkeops is asked for ``.gradient(...)`` and is given the same L.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Work:
    """What one pair costs at the very least, for the machine's limit."""

    functions: int = 0  # exponentials, logarithms, square roots
    flops: int = 0  # additions and products, two to a fused multiply-add
    gemm_flops: int = 0  # those that a matrix product can do


@dataclass(frozen=True)
class Case:
    name: str  # the word for --rows
    title: str
    at_least: float
    aim: float
    formula: str
    aliases: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    work: Work
    reduction: str = "Sum"
    axis: int = 1
    opt_arg: int | None = None
    formula2: str | None = None  # what a softmax averages
    wrt: str | None = None  # the derivative with respect to this variable is timed, applied to a random e
    keops_formula: str | None = None  # where KeOps must be told the derivative
    keops_aliases: tuple[str, ...] = ()
    keops_axis: int = 1
    scale: float = 1.0  # of the points
    first_call: bool = field(default=False, kw_only=True)

    @property
    def size(self) -> tuple[int, int]:
        """Rows of the variables indexed by i, and by j."""
        names = {a.split("=")[1].strip()[:2]: a.split("=")[0].strip() for a in self.aliases}
        return self.shapes[names["Vi"]][0], self.shapes[names["Vj"]][0]

    @property
    def label(self) -> str:
        return "{}, {} x {}".format(self.title, *self.size)

    def shrunk(self, factor: int) -> Case:
        """The same case on fewer points (never fewer than 10)."""

        def smaller(shape: tuple[int, ...]) -> tuple[int, ...]:
            return shape if len(shape) == 1 else (max(shape[0] // factor, min(shape[0], 10)), *shape[1:])

        return replace(self, shapes={name: smaller(shape) for name, shape in self.shapes.items()})

    def arrays(self, dtype: str) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(0)
        arrays = {}
        for name, shape in self.shapes.items():
            draw = rng.random(shape) if name in ("a", "p") else rng.standard_normal(shape)
            arrays[name] = (draw * (self.scale if name in ("x", "y") else 1.0)).astype(dtype)
        return arrays

    def prepare_skkeops(self, arrays: Arrays) -> Callable[[], np.ndarray]:
        from skkeops import Genred

        reduction = self._genred(Genred, self.formula, self.aliases, self.reduction, self.axis)
        args = [arrays[name] for name in self._names(self.aliases)]
        if self.wrt is None:
            return lambda: reduction(*args, backend="CPU")
        extra = {"output": arrays["L"]} if "L" in arrays else {}
        return lambda: reduction.gradient(*args, wrt=self.wrt, grad_output=arrays["e"], backend="CPU", **extra)

    def prepare_keops(self, arrays: Arrays) -> Callable[[], np.ndarray]:
        from pykeops.numpy import Genred

        if self.wrt is None:
            formula, aliases, kind, axis = self.formula, self.aliases, self.reduction, self.axis
        else:
            formula, aliases, kind, axis = self.keops_formula, self.aliases + self.keops_aliases, "Sum", self.keops_axis
        reduction = self._genred(Genred, formula, aliases, kind, axis)
        args = [arrays[name] for name in self._names(aliases)]
        return lambda: reduction(*args, backend="CPU")

    def complete(self, arrays: dict[str, np.ndarray]) -> None:
        """Adds what a derivative needs: the direction e, and the forward result L of a log-sum-exp."""
        if self.wrt is None:
            return
        from skkeops import Genred

        output = self._genred(Genred, self.formula, self.aliases, self.reduction, self.axis)(
            *[arrays[name] for name in self._names(self.aliases)], backend="CPU"
        )
        if self.reduction == "LogSumExp":
            arrays["L"] = output
        arrays["e"] = np.random.default_rng(1).standard_normal(output.shape).astype(output.dtype)

    def disagreement(self, ours: np.ndarray, theirs: np.ndarray) -> float:
        """Largest difference relative to the largest value; for indices, the share of those that differ."""
        if self.reduction.startswith("Arg"):
            return float(np.mean(np.asarray(ours, dtype="int64") != np.asarray(theirs).astype("int64")))
        ours, theirs = ours.astype("float64"), theirs.astype("float64")
        return float(np.abs(ours - theirs).max() / np.abs(theirs).max())

    def never_seen(self) -> Case:
        """This case with a constant in its formula that no earlier run has used."""
        constant = time.time_ns() // 1000 % 16_000_000 + 3  # below 2**24: KeOps' constants are in single precision
        return replace(self, formula=f"IntCst({constant})*" + self.formula)

    def _genred(self, genred, formula, aliases, kind, axis):
        given = {"opt_arg": self.opt_arg, "formula2": self.formula2}
        options = {name: value for name, value in given.items() if value is not None}
        return genred(formula, list(aliases), reduction_op=kind, axis=axis, **options)

    @staticmethod
    def _names(aliases):
        return [alias.split("=")[0].strip() for alias in aliases]


def points(d: int, columns: int | None = None) -> tuple[str, ...]:
    aliases = (f"x = Vi({d})", f"y = Vj({d})")
    return aliases if columns is None else (*aliases, f"b = Vj({columns})")


def gaussian(m: int, n: int, d: int, columns: int = 1, **options) -> dict:
    shapes = {"x": (m, d), "y": (n, d), "b": (n, columns)}
    return {"formula": "Exp(-SqDist(x,y))*b", "aliases": points(d, columns), "shapes": shapes, **options}


def gaussian_gradient(m: int, n: int, d: int, **options) -> dict:
    return gaussian(
        m, n, d, wrt="x", keops_formula="Grad(Exp(-SqDist(x,y))*b,x,e)", keops_aliases=("e = Vi(1)",), **options
    )


PAGE = {
    "formula": "Square(p-a)*Exp(x+y)",
    "aliases": ("x = Vi(1)", "y = Vj(1)", "a = Vj(1)", "p = Pm(1)"),
    "shapes": {"x": (3000, 1), "y": (5000, 1), "a": (5000, 1), "p": (1,)},
    "reduction": "LogSumExp",
}
RADIUS = "Sqrt(IntCst(3))*Norm2(x-y)"

CASES = (
    Case("lse", "LogSumExp of Square(p-a)*Exp(x+y)", 10, 15, **PAGE, work=Work(functions=2, flops=5)),
    Case(
        "lse-adjoint",
        "its adjoint in y",
        6,
        12,
        **PAGE,
        work=Work(functions=2, flops=6),
        wrt="y",
        keops_formula="Grad({0},y,e*Exp({0}-L))".format(PAGE["formula"]),
        keops_aliases=("L = Vi(1)", "e = Vi(1)"),
        keops_axis=0,
    ),
    Case(
        "gauss3",
        "Sum of Exp(-SqDist(x,y))*b, D=3",
        10,
        14,
        **gaussian(10_000, 10_000, 3),
        work=Work(functions=1, flops=10),
    ),
    Case(
        "gauss3-gradient",
        "its gradient in x",
        8,
        14,
        **gaussian_gradient(10_000, 10_000, 3),
        work=Work(functions=1, flops=17),
    ),
    Case(
        "matern",
        "LogSumExp of a Matern-3/2 log-kernel, D=5",
        8,
        15,
        formula=f"Log(IntCst(1)+{RADIUS})-{RADIUS}",
        aliases=points(5),
        shapes={"x": (5000, 5), "y": (5000, 5)},
        reduction="LogSumExp",
        work=Work(functions=3, flops=20),
    ),
    Case(
        "gauss64",
        "Sum of Exp(-SqDist(x,y))*b, D=64",
        10,
        30,
        **gaussian(5000, 5000, 64, scale=0.1),
        work=Work(functions=1, flops=5, gemm_flops=128),
    ),
    Case(
        "gauss64-gradient",
        "its gradient in x",
        10,
        30,
        **gaussian_gradient(5000, 5000, 64, scale=0.1),
        work=Work(functions=1, flops=5, gemm_flops=256),
    ),
    Case(
        "argkmin",
        "ArgKMin of SqDist(x,y), K=10, D=3",
        3,
        8,
        formula="SqDist(x,y)",
        aliases=points(3),
        shapes={"x": (5000, 3), "y": (5000, 3)},
        reduction="ArgKMin",
        opt_arg=10,
        work=Work(flops=9),
    ),
    Case(
        "argmin",
        "ArgMin of SqDist(x,y), D=3",
        4,
        10,
        formula="SqDist(x,y)",
        aliases=points(3),
        shapes={"x": (200_000, 3), "y": (10, 3)},
        reduction="ArgMin",
        work=Work(flops=9),
    ),
    Case(
        "few-rows",
        "Sum of Exp(-SqDist(x,y))*b, D=3",
        6,
        12,
        **gaussian(4, 1_000_000, 3),
        work=Work(functions=1, flops=10),
    ),
    Case(
        "columns",
        "Sum of Exp(-SqDist(x,y))*b to 32 columns, D=3",
        6,
        15,
        **gaussian(5000, 5000, 3, columns=32),
        work=Work(functions=1, flops=8, gemm_flops=64),
    ),
    Case("small", "one small call, Python overhead included", 2, 4, **gaussian(10, 10, 3), work=Work()),
    Case(
        "first-call",
        "first call of a formula never seen",
        200,
        2000,
        **gaussian(10, 10, 3),
        work=Work(),
        first_call=True,
    ),
)
