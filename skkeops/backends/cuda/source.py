"""From a plan to a source: the text of its kernels, how to compile them, and how to launch them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from skkeops.formula.expression import IJ, Expression, Variable, postorder
from skkeops.plan.plan import Plan

from .folds.merge import merge_kernel
from .folds.workspace import WORKSPACE, Output
from .generate.expressions import functions
from .generate.points import POINTS_BLOCK, pairs_kernel, points_kernel
from .generate.prelude import prelude
from .launch.geometry import Geometry, Launch, blocks_of
from .launch.ranges import Work
from .options import Options
from .templates import Task, choose, choose_template

__all__ = ["PointsSource", "Source", "choose_template", "pairs_source", "points_source", "source"]

_REAL = {"float32": "float", "float64": "double"}

#: CuPy adds the first two for the default language standard and float32; they are spelled out for other compilers.
COMPILE_OPTIONS = ("--std=c++17", "-ftz=true")
FAST_OPTIONS = ("-prec-div=false", "-prec-sqrt=false")


@dataclass(frozen=True, eq=False)
class Source:
    """The CUDA source of a problem, for one dtype.

    Attributes
    ----------
    text : str
        CUDA C++ that includes nothing.
    options : tuple of str
        For NVRTC, besides the architecture.
    template : str
        Which shape the main kernel has.
    kernels : tuple of str
        The names of the kernels.
    variables : tuple of int
        Which of the problem's arrays the kernels take, first of all.
    outputs : dict of str to tuple of Output
        What the kernels write as ``"state"`` and as ``"result"``.
    geometry : callable
        ``geometry(rows, columns, final="result", work=None)`` returns the launches of a call: ``rows`` is the length of the
        output's axis, ``columns`` that of the reduced one, ``work`` the `Work` of a call with ranges.
    rows_per_block, tile : int
        How many rows a block of threads has, and how many columns it loads at a time, for calls with ranges.
    registers : int
        The most registers per thread that the main kernel may use.
    declined : dict of str to str
        The templates that were tried before, and the reasons why they declined.
    """

    text: str
    options: tuple[str, ...]
    template: str
    kernels: tuple[str, ...]
    variables: tuple[int, ...]
    outputs: dict[str, tuple[Output, ...]]
    geometry: Callable[..., Geometry]
    rows_per_block: int
    tile: int
    registers: int
    declined: dict[str, str]


def source(
    plan: Plan, dtype: np.dtype, options: Options | None = None, template: str = "auto", masks: tuple[int, ...] = ()
) -> Source:
    """The source of a plan.

    Parameters
    ----------
    plan : Plan
    dtype : {float32, float64}
    options : Options, optional
        Default: ``Options()``.
    template : str, default="auto"
        What `choose_template` says for a call: "auto", "ranges", or the name of the template that is tried first. Where it
        declines, the others are tried.
    masks : tuple of int
        Which of the problem's arrays are booleans: some of those of pairs.

    Returns
    -------
    Source

    Examples
    --------
    >>> from skkeops import Genred
    >>> from skkeops.plan.plan import make_plan
    >>> genred = Genred("Exp(-SqDist(x, y)) * b", ["x = Vi(3)", "y = Vj(3)", "b = Vj(1)"], axis=1)
    >>> found = source(make_plan(genred._problem), "float32")
    >>> found.kernels
    ('skk_rows', 'skk_merge_state', 'skk_merge_result')
    >>> [launch.grid for launch in found.geometry(1000000, 1000000).launches]
    [(1954, 1, 1), (7813,)]
    """
    return _source(plan, np.dtype(dtype).name, options or Options(), template, masks)


@lru_cache(maxsize=256)
def _source(plan: Plan, dtype: str, options: Options, template: str, masks: tuple[int, ...]) -> Source:
    real = _REAL[dtype]
    main, declined = choose(Task(plan, real, options, template == "ranges"), template)
    parameters = _parameters(main.arrays, masks)
    kernels, outputs = main.kernels(parameters), {}
    for final, (body, written) in main.merges.items():
        kernels[f"skk_merge_{final}"] = merge_kernel(final, parameters, body, written)
        outputs[final] = written
    return Source(
        text=prelude(real) + functions(main.roots) + WORKSPACE + "".join(kernels.values()),
        options=COMPILE_OPTIONS + (FAST_OPTIONS if options.fast_math else ()),
        template=main.name,
        kernels=tuple(kernels),
        variables=tuple(k for k, v in enumerate(plan.problem.variables) if v in main.arrays),
        outputs=outputs,
        geometry=main.geometry,
        rows_per_block=main.rows_per_block,
        tile=main.tile,
        registers=main.registers,
        declined=declined,
    )


def _parameters(arrays: dict[Variable, str], masks: tuple[int, ...] = ()) -> list[str]:
    """The parameters of a kernel that stand for arrays; those of pairs have strides, see `launch.pairs.taken`."""
    found = []
    for v, name in arrays.items():
        kind = "unsigned char" if int(name[1:]) in masks else "real"
        found.append(f"const {kind}* __restrict__ {name}")
        if v.category == IJ:
            found += [f"long long {name}_i", f"long long {name}_j"]
    return found


@dataclass(frozen=True, eq=False)
class PointsSource:
    """The CUDA source that evaluates expressions point by point, or an expression at all pairs.

    Attributes
    ----------
    text, options, kernels, variables
        As in `Source`.
    """

    text: str
    options: tuple[str, ...]
    kernels: tuple[str, ...]
    variables: tuple[int, ...]

    def geometry(self, rows: int, n_outputs: int, columns: int | None = None, work: Work | None = None) -> Geometry:
        """The launches for a number of points, or of rows and columns, or the items of ranges."""
        count = rows if columns is None else rows * columns
        blocks = blocks_of(count, POINTS_BLOCK) if work is None else len(work.items)
        if blocks == 0:
            return Geometry(0, ())
        sizes = (rows,) if columns is None else ("items", "segments", rows, columns)
        args = (*(f"out{k}" for k in range(n_outputs)), *sizes)
        return Geometry(0, (Launch(self.kernels[0], (blocks,), (POINTS_BLOCK,), 0, args),))


@lru_cache(maxsize=256)
def points_source(expressions: tuple[Expression, ...], variables: tuple[Variable, ...], dtype: str) -> PointsSource:
    """The source that evaluates expressions point by point."""

    def kernel(arrays: dict[Variable, str], real: str) -> str:
        parameters = [f"const real* __restrict__ {name}" for name in arrays.values()]
        return points_kernel(expressions, arrays, parameters, real)

    return _points_source("skk_points", kernel, expressions, variables, dtype)


@lru_cache(maxsize=256)
def pairs_source(expression: Expression, variables: tuple[Variable, ...], dtype: str, masks: tuple[int, ...] = ()) -> PointsSource:
    """The source that evaluates an expression at all pairs; `masks` as for `source`."""

    def kernel(arrays: dict[Variable, str], real: str) -> str:
        return pairs_kernel(expression, arrays, _parameters(arrays, masks), real)

    return _points_source("skk_pairs", kernel, (expression,), variables, dtype)


def _points_source(name: str, kernel: Callable[..., str], expressions, variables, dtype: str) -> PointsSource:
    real, used = _REAL[dtype], set(postorder(*expressions))
    places = tuple(k for k, v in enumerate(variables) if v in used)
    return PointsSource(
        text=prelude(real) + functions(expressions) + kernel({variables[k]: f"a{k}" for k in places}, real),
        options=COMPILE_OPTIONS,
        kernels=(name,),
        variables=places,
    )
