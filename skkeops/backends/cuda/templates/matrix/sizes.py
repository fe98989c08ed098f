"""Which plans are products of matrices, and how such a product is divided among blocks and threads."""

from __future__ import annotations

from skkeops.plan.plan import Plan

from ...generate.slabs import Shape, find_products
from ...homes import CONST, LANE, ROW, Homes
from ...options import Options

__all__ = ["Sizes", "matrix_arguments"]

_FEW = 16  # With so few output columns, sharing the numbers of pairs through shared memory costs more than it saves.
_DEAR = 128  # With so many components, the number of a pair costs so much that as few blocks as possible compute it.


class Sizes:
    """How the work is divided.

    Parameters
    ----------
    columns : int
        Of the output.
    real : {"float", "double"}
    kind : {"sum", "difference", "softmax"}
        What a thread has in registers besides.
    length : int
        Components from which the number of a pair is computed.

    Attributes
    ----------
    shape : Shape
        Of the pairs.
    per_thread : int
        Output columns of a thread.
    chunk : int
        Output columns of a block.
    """

    #: The most output columns of a thread, by the lanes of a row: what registers and shared memory have room for.
    _MOST = {
        "float": {"sum": {16: 8, 32: 7, 64: 7}, "difference": {16: 4, 32: 4, 64: 4}, "softmax": {16: 6, 32: 6}},
        "double": {"sum": {16: 8, 32: 6}, "difference": {16: 5, 32: 5}, "softmax": {16: 8, 32: 6}},
    }

    def __init__(self, columns: int, real: str, kind: str, length: int = 0):
        most = self._MOST[real][kind]
        lanes = 16 if columns <= 16 * most[16] else 32
        # blocks of few rows read the vectors from memory more often: worth while where the numbers are dear
        if 64 in most and columns > 32 * most[32] and length >= _DEAR:
            lanes = 64
        chunks = -(-columns // (lanes * most[lanes]))
        self.chunk = -(-columns // chunks)
        self.per_thread = -(-self.chunk // lanes)
        # two or three small blocks of a multiprocessor do different things at a time; large ones load less
        threads = 128 if lanes == 16 else 256
        self.shape = Shape(threads, lanes, 8 if real == "float" else 4, 4, 4 if real == "float" else 2)

    @property
    def columns(self) -> int:
        """Columns that a block has room for."""
        return self.shape.lanes * self.per_thread


def matrix_arguments(plan: Plan, homes: Homes, real: str, options: Options, value, terms):
    """What a `Matrix` takes besides the rest: sizes, number, vector, minus and products; None if the plan has another form.

    Parameters
    ----------
    plan : Plan
    homes : Homes
    real : {"float", "double"}
    options : Options
    value, terms
        Of the plan, rewritten.
    """
    fold = plan.problem.reduction.fold
    if fold not in ("sum", "shift_exp") or options.accumulator not in ("block", "float64" if real == "double" else "block"):
        return None
    if fold == "sum":
        number, vector, minus = terms[0]
    else:
        weights = [v for _, v, _ in terms if v is not None]
        number, vector, minus = (value, weights[0], None) if weights else (None, None, None)
    if number is None or number.dim != 1:
        return None
    found = [homes(e) for e in (vector, minus) if e is not None]
    if minus is None and not set(found) <= {LANE, CONST}:
        return None
    if minus is not None and found != [ROW, LANE]:
        return None
    columns = max([e.dim for e in (vector, minus) if e is not None], default=1)
    products = find_products([number], homes)
    if not products and columns <= _FEW:
        return None
    kind = "softmax" if fold == "shift_exp" else "sum" if minus is None else "difference"
    length = sum(max(arg.dim for arg in e.args) for e in products)
    return Sizes(columns, real, kind, length), number, vector, minus, products
