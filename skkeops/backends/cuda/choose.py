"""Which template suits a plan.

======== =============================================================================================
template when
======== =============================================================================================
columns  few rows and very many columns
dot      one sum over the components of two long vectors, and up to 16 columns
matrix   more columns or other sums over long vectors, or too many columns for registers
rows     what fits into registers
wide     the rest
======== =============================================================================================

What a template cannot do it declines when it is tried, and the next is taken.
"""

from __future__ import annotations

from math import prod

from skkeops.formula.expression import IJ, P, Variable, postorder
from skkeops.formula.operations.families import Bilinear
from skkeops.plan.plan import Plan

from .generate.slabs import find_products
from .homes import Homes
from .templates.columns import Columns
from .templates.columns_smallest import MOST_KEPT, ColumnsSmallest
from .templates.dot import LONG, Dot
from .templates.dot_smallest import DotSmallest
from .templates.matrix.template import Matrix
from .templates.rows import Rows
from .templates.wide import Wide

__all__ = ["MOST_PRESSURE", "candidates", "choose_template"]

_FEW_ROWS = 64
_MANY_COLUMNS = 8192
_MANY_PAIRS = 1024  # columns, where values of pairs are neighbours along them

#: The most numbers that a thread may hold of a vector, and of products of vectors, in registers.
_NARROW = {"float": 96, "double": 64}
_NARROW_TERMS = 1024
_NARROW_COLUMNS = {"float": 48, "double": 32}
MOST_PRESSURE = 170
_DOT_COLUMNS = 16  # few columns come out of blocks of distances or products


def choose_template(plan: Plan, rows: int, columns: int, along: bool = False) -> str:
    """Which template suits the lengths of the output's and of the reduced axis.

    With values of pairs that are neighbours `along` the reduced axis, neighbouring threads have neighbouring columns, so that
    they read memory in order.
    """
    few = rows <= _FEW_ROWS and columns >= _MANY_COLUMNS
    few |= along and columns >= _MANY_PAIRS
    return "columns" if few and _is_columns(plan) else "auto"


def candidates(plan: Plan, real: str, template: str) -> list[type]:
    """The templates to be tried, in this order, the last of which can do everything.

    Parameters
    ----------
    plan : Plan
    real : {"float", "double"}
    template : {"auto", "rows", "columns"}
        As for `source`.
    """
    kmin = plan.problem.reduction.fold == "kmin"
    wide, columns = _is_wide(plan, real), _columns(plan)
    narrow = [] if wide else [Rows]
    if template == "rows":  # alone these two know ranges
        return [*narrow, Wide]
    few = [ColumnsSmallest if kmin else Columns] if narrow and template == "columns" and _is_columns(plan) else []
    if any(IJ in value.categories for value in plan.problem.values):  # no other template reads values of pairs
        return [*few, *narrow, Wide]
    if columns > _DOT_COLUMNS and (wide or _has_long_product(plan, real)):
        return [*few, Matrix, *narrow, Wide]
    dot = [DotSmallest if kmin else Dot] if columns <= (1 if kmin else _DOT_COLUMNS) else []
    if _has_long_product(plan, real):  # one that dot does not know, such as a distance with a scale for each component
        return [*few, *dot, Matrix, *narrow, Wide]
    return [*few, *dot, *narrow, Matrix, Wide]


def _is_columns(plan: Plan) -> bool:
    """Whether the threads of a block can merge what each of them keeps."""
    reduction = plan.problem.reduction
    return reduction.fold != "kmin" or reduction.k * plan.problem.values[0].dim <= MOST_KEPT


def _has_long_product(plan: Plan, real: str) -> bool:
    """Whether the numbers of a pair are made of vectors that had better be divided among threads."""
    roots = [e for e in (plan.value, *(t.scale for t in plan.terms)) if e is not None]
    found = find_products(roots, Homes(plan.output, plan.reduced))
    return any(max(arg.dim for arg in node.args) > LONG[real] for node in found)


def _is_wide(plan: Plan, real: str) -> bool:
    """Whether the vectors are too long to be written out component by component."""
    reduction = plan.problem.reduction
    parts = [plan.value, *(part for t in plan.terms for part in (t.scale, t.vector, t.minus))]
    nodes = postorder(*[e for e in parts if e is not None])
    if max((node.dim for node in nodes), default=1) > _NARROW[real]:
        return True
    if sum(node.dim for node in nodes if isinstance(node, Variable) and node.category != P) > 2 * _NARROW[real]:
        return True
    if any(_products(node) > _NARROW_TERMS for node in nodes if isinstance(node, Bilinear)):
        return True
    columns = _columns(plan)
    return columns > _NARROW_COLUMNS[real] // (2 if reduction.fold in ("extremum", "kmin") else 1)


def _columns(plan: Plan) -> int:
    """How many numbers a row of the output keeps: sums of a sum's vector, without what leaves it by linearity."""
    if plan.problem.reduction.fold in ("extremum", "kmin"):
        return plan.problem.values[0].dim
    return sum(max([e.dim for e in (t.scale, t.vector, t.minus) if e is not None], default=1) for t in plan.terms)


def _products(node: Bilinear) -> int:
    """How many products a bilinear operation adds."""
    dims, _, contracted, *_ = node.tensors()
    f, g = node.args
    return f.dim * g.dim // prod(dims[axis] for axis in contracted)
