"""From a plan to a source: the text of its kernels, how to compile them, and how to launch them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from skkeops.formula.derivative import substitute
from skkeops.formula.expression import IJ, Expression, Variable, postorder
from skkeops.formula.operations import lookup
from skkeops.plan.plan import Plan

from .choose import MOST_PRESSURE, candidates, choose_template
from .folds.make import make_fold
from .folds.merge import MERGE_BLOCK, merge_kernel
from .folds.workspace import WORKSPACE, Output
from .generate.expressions import functions
from .generate.folding import Folding
from .generate.loops import LoopBlock
from .generate.points import POINTS_BLOCK, pairs_kernel, points_kernel
from .generate.prelude import prelude
from .homes import Homes
from .launch.geometry import Geometry, Launch, blocks_of, split
from .launch.ranges import Work
from .options import Options
from .templates.centred import Centred
from .templates.columns import Columns
from .templates.columns_smallest import ColumnsSmallest
from .templates.dot import LEAF, Dot, find, is_squared_distance
from .templates.dot_smallest import DotSmallest
from .templates.matrix.sizes import matrix_arguments
from .templates.matrix.template import Matrix
from .templates.rows import BLOCK, SHARED_MOST, Rows
from .templates.wide import COLUMNS, Wide

__all__ = ["PointsSource", "Source", "choose_template", "pairs_source", "points_source", "source"]

_MOST_SERIAL = 16  # splits that one thread merges
_MOST_CHUNKS = 65535  # the third dimension of a grid
_MOST_LINES = 160  # statements of a pair that are written out for the columns of a thread: more of them spill registers

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
    template : {"auto", "rows", "columns"}, default="auto"
        What `choose_template` says for sizes; "rows" for calls with ranges. "auto" and "columns" fall back to what fits
        the formula.
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


_CENTRED = {base: type(f"Centred{base.__name__}", (Centred, base), {}) for base in (Dot, DotSmallest)}
_NARROW_TEMPLATES = (Rows, Columns, ColumnsSmallest)  # expressions are written out component by component


@lru_cache(maxsize=256)
def _source(plan: Plan, dtype: str, options: Options, template: str, masks: tuple[int, ...]) -> Source:
    real = {"float32": "float", "float64": "double"}[dtype]
    for candidate in candidates(plan, real, template):
        found = _generate(plan, real, options, candidate, masks)
        if found is not None:
            return found
    raise AssertionError("the last template can do everything")


def _generate(plan: Plan, real: str, options: Options, template: type, masks: tuple[int, ...] = ()) -> Source | None:
    """Return the source that a template makes; None if the template declines: the plan lacks the form that the template is for, or
    the kernel needs more registers or shared memory than there are."""
    homes = Homes(plan.output, plan.reduced)
    value, terms, base_2 = _rewritten(plan, homes, real, options, template)
    product, matrix = None, None
    if issubclass(template, Dot):
        parts = [e for e in (value, *(part for term in terms for part in term)) if e is not None]
        product = find(parts, homes, real)
        if product is None:
            return None
        if options.fast_math and is_squared_distance(product):
            template = _CENTRED[template]
    if template is Matrix:
        matrix = matrix_arguments(plan, homes, real, options, value, terms)
        if matrix is None:
            return None
    factors = [term.factor for term in plan.terms if term.factor is not None]
    roots = [e for e in (value, *(part for term in terms for part in term), *factors) if e is not None]
    used = {node for node in postorder(*roots) if isinstance(node, Variable)}
    arrays = {v: f"a{k}" for k, v in enumerate(plan.problem.variables) if v in used}
    parameters = _parameters(arrays, masks)
    if product is not None:
        value = None if value is None else substitute(value, {product: LEAF})
        terms = [tuple(None if e is None else substitute(e, {product: LEAF}) for e in part) for part in terms]
    chunk = None if template in _NARROW_TEMPLATES else _chunk(plan, real) if template is Wide else 2
    if matrix is not None:
        chunk = matrix[0].chunk
    fold = make_fold(plan, value, terms, base_2, options, real, chunk)
    extra = () if product is None else (product,)
    main = template(fold, homes, arrays, real, (plan.output, plan.reduced), *(matrix or extra))
    while template is Wide and fold.chunk is not None and fold.chunk > 1 and len(main.pair_lines) > _MOST_LINES:
        fold = make_fold(plan, value, terms, base_2, options, real, fold.chunk // 2)
        main = template(fold, homes, arrays, real, (plan.output, plan.reduced))
    if fold.chunks > _MOST_CHUNKS:
        raise ValueError(f"on a GPU the output can have at most {_MOST_CHUNKS * fold.chunk} columns, found {fold.all_columns}")
    if template in _NARROW_TEMPLATES and main.pressure > MOST_PRESSURE:
        return None
    if issubclass(template, (Dot, Matrix)) and main.shared_bytes > SHARED_MOST:
        return None
    if template is Matrix and not main.fits:
        return None
    name = {"columns": "skk_columns", "dot": "skk_dot", "matrix": "skk_matrix"}.get(main.name, "skk_rows")
    kernels = {name: main.text(parameters)}
    if issubclass(template, Centred):
        kernels["skk_norms"] = main.norms_text(parameters)
    outputs = {}
    factor = LoopBlock(real, "f", index={plan.output: "i"}, arrays=arrays)
    for kind, (body, written) in fold.merge(factor).items():
        kernels[f"skk_merge_{kind}"] = merge_kernel(f"skk_merge_{kind}", parameters, body, written)
        outputs[kind] = written
    text = prelude(real) + functions(roots) + WORKSPACE + "".join(kernels.values())

    if issubclass(template, (Dot, Matrix)):
        rows_per_block = main.rows
    else:
        rows_per_block = main.rows_per_thread * (1 if issubclass(template, Columns) else BLOCK)

    def geometry(rows: int, columns: int, final: str = "result", work: Work | None = None) -> Geometry:
        row_blocks = blocks_of(rows, rows_per_block)
        if work is None:
            splits, chunk = split(max(row_blocks * fold.chunks, 1), columns, main.tile, main.blocks)
            most = splits
        else:
            row_blocks, splits, chunk, most = len(work.items), 1, 0, work.most
        launches = []
        kept = rows if work is None else work.rows  # in the workspace, for every split
        workspace = splits * kept * fold.bytes_per_row
        norms = ()
        if row_blocks and splits and issubclass(template, Centred):
            norms = (-(-workspace // 16) * 16,)
            workspace = norms[0] + main.norms_bytes(rows, columns)
            launches.append(main.norms_launch(rows, columns, *norms))
        if row_blocks and splits:
            pointers = ("workspace",) if issubclass(template, (Columns, Dot, Matrix)) else ("workspace", "items", "segments")
            grid = (row_blocks, splits, fold.chunks)
            launches.append(Launch(name, grid, (main.threads,), 0, (*pointers, kept, columns, chunk, splits, *norms)))
        if rows:
            written = tuple(f"out{k}" for k in range(len(outputs[final])))
            lanes = 32 if most > _MOST_SERIAL else 1
            grid = (blocks_of(rows * lanes, MERGE_BLOCK),)
            if work is not None:
                grid = (len(work.blocks), blocks_of(work.tallest * lanes, MERGE_BLOCK))
            args = ("workspace", *written, "blocks", kept, splits, lanes)
            launches.append(Launch(f"skk_merge_{final}", grid, (MERGE_BLOCK,), 0, args))
        return Geometry(workspace, tuple(launches))

    return Source(
        text=text,
        options=COMPILE_OPTIONS + (FAST_OPTIONS if options.fast_math else ()),
        template=main.name,
        kernels=tuple(kernels),
        variables=tuple(k for k, v in enumerate(plan.problem.variables) if v in used),
        outputs=outputs,
        geometry=geometry,
        rows_per_block=rows_per_block,
        tile=main.tile,
        registers=main.registers,
    )


def _parameters(arrays: dict[Variable, str], masks: tuple[int, ...]) -> list[str]:
    """The parameters of a kernel that stand for arrays; those of pairs have strides, see `pairs.taken`."""
    found = []
    for v, name in arrays.items():
        kind = "unsigned char" if int(name[1:]) in masks else "real"
        found.append(f"const {kind}* __restrict__ {name}")
        if v.category == IJ:
            found += [f"long long {name}_i", f"long long {name}_j"]
    return found


def _chunk(plan: Plan, real: str) -> int:
    """The most columns of a thread of the wide template."""
    kind = plan.problem.reduction.fold
    return 1 if kind == "kmin" else COLUMNS[real] // 4 if kind == "extremum" else COLUMNS[real]


def _rewritten(plan: Plan, homes: Homes, real: str, options: Options, template: type):
    """The value and the terms of the plan as the kernel computes them, and whether the value is in base 2."""
    parts = [(term.scale, term.vector, term.minus) for term in plan.terms]
    value = plan.value
    base_2 = False
    if real == "float" and options.fast_math:
        folding = Folding(homes, _users(value, parts), template in _NARROW_TEMPLATES, template is Rows)

        def rewrite(e: Expression | None) -> Expression | None:
            return None if e is None else folding.rewrite(e)[0]

        value = rewrite(value)
        parts = [tuple(rewrite(e) for e in part) for part in parts]
        if plan.problem.reduction.fold == "shift_exp" and not plan.problem.reduction.returns_state:
            value, base_2 = folding.in_base_2(value), True
    return value, parts, base_2


def _users(value: Expression | None, parts: Sequence[tuple[Expression | None, ...]]) -> Counter[Expression]:
    """How many expressions take the value of an expression; the difference of a term's vectors is one."""
    roots = [e for e in (value, *(e for part in parts for e in part)) if e is not None]
    users: Counter[Expression] = Counter(roots)
    for node in postorder(*roots):
        users.update(node.args)
    for _, vector, minus in parts:
        if minus is not None:
            users.update([lookup("Subtract")._new(sides) for sides in ((vector, minus), (minus, vector))])
    return users


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
    real = {"float32": "float", "float64": "double"}[dtype]
    used = {node for node in postorder(*expressions) if isinstance(node, Variable)}
    arrays = {v: f"a{k}" for k, v in enumerate(variables) if v in used}
    parameters = [f"const real* __restrict__ {name}" for name in arrays.values()]
    kernel = points_kernel(expressions, arrays, parameters, real)
    return _points_source("skk_points", kernel, expressions, variables, real)


@lru_cache(maxsize=256)
def pairs_source(expression: Expression, variables: tuple[Variable, ...], dtype: str, masks: tuple[int, ...] = ()) -> PointsSource:
    """The source that evaluates an expression at all pairs; `masks` as for `source`."""
    real = {"float32": "float", "float64": "double"}[dtype]
    used = {node for node in postorder(expression) if isinstance(node, Variable)}
    arrays = {v: f"a{k}" for k, v in enumerate(variables) if v in used}
    kernel = pairs_kernel(expression, arrays, _parameters(arrays, masks), real)
    return _points_source("skk_pairs", kernel, (expression,), variables, real)


def _points_source(name, kernel, expressions, variables, real) -> PointsSource:
    used = {node for node in postorder(*expressions) if isinstance(node, Variable)}
    return PointsSource(
        text=prelude(real) + functions(expressions) + kernel,
        options=COMPILE_OPTIONS,
        kernels=(name,),
        variables=tuple(k for k, v in enumerate(variables) if v in used),
    )
