"""What ends a reduction, as CUDA: functions of NumPy called with texts in the place of arrays.

`ShiftExp.result` is code for arrays. Called with `Text` objects it writes the same as an expression of doubles, so that no
reduction has to say twice what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from skkeops.reductions import Reduction
from skkeops.reductions.extremum import Extremum
from skkeops.reductions.kmin import KSmallest
from skkeops.reductions.shift_exp import MaxSumShiftExp, ShiftExp
from skkeops.reductions.sum import Sum

__all__ = ["result_text", "writes_result"]

#: The functions that are written, NaN for NaN as in NumPy.
_TEMPLATES: dict[Any, str] = {
    np.add: "({0} + {1})",
    np.subtract: "({0} - {1})",
    np.multiply: "({0} * {1})",
    np.true_divide: "({0} / {1})",
    np.negative: "(-{0})",
    np.absolute: "fabs({0})",
    np.exp: "exp({0})",
    np.expm1: "expm1({0})",
    np.log: "log({0})",
    np.log1p: "log1p({0})",
    np.sqrt: "sqrt({0})",
    np.maximum: "({0} < {1} || {1} != {1} ? {1} : {0})",
    np.minimum: "({0} > {1} || {1} != {1} ? {1} : {0})",
    np.equal: "({0} == {1})",
    np.not_equal: "({0} != {1})",
    np.less: "({0} < {1})",
    np.less_equal: "({0} <= {1})",
    np.greater: "({0} > {1})",
    np.greater_equal: "({0} >= {1})",
    np.where: "({0} ? {1} : {2})",
}

#: What the kernels write as the result of a fold. A reduction with a `finalize` of its own is ended by that, on its state.
_WRITTEN: frozenset[Callable] = frozenset(
    cls.finalize for cls in (Sum, ShiftExp, MaxSumShiftExp, Extremum, KSmallest)
)


class Text(NDArrayOperatorsMixin):
    """A number of the kernel, which functions of NumPy take for an array.

    Parameters
    ----------
    text : str
        Its name, or an expression in parentheses.
    """

    def __init__(self, text: str):
        self.text = text

    def __array_ufunc__(self, function: Any, method: str, *args: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            return NotImplemented
        return self.__array_function__(function, (), args, {})

    def __array_function__(self, function: Any, types: Any, args: tuple, options: dict[str, Any]) -> Any:
        template = _TEMPLATES.get(function)
        if template is None or options or f"{{{len(args)}}}" in template or f"{{{len(args) - 1}}}" not in template:
            return NotImplemented
        return Text(template.format(*map(_text, args)))


def _text(x: Any) -> str:
    if isinstance(x, Text):
        return x.text
    number = float(x)
    if math.isnan(number):
        return "(SKK_DOUBLE_INF - SKK_DOUBLE_INF)"
    if math.isinf(number):
        return "SKK_DOUBLE_INF" if number > 0 else "(-SKK_DOUBLE_INF)"
    return f"({number!r})"


def result_text(reduction: ShiftExp) -> str | None:
    """Return `ShiftExp.result` of the doubles ``final``, ``s`` and ``unit``; None if it calls what is not written here."""
    try:
        return _text(reduction.result(Text("final"), Text("s"), Text("unit")))
    except (TypeError, AttributeError, ValueError):
        return None


def writes_result(reduction: Reduction) -> bool:
    """Return whether kernels write what the reduction shows: `finalize` is that of its fold."""
    if type(reduction).finalize not in _WRITTEN:
        return False
    return not isinstance(reduction, ShiftExp) or reduction.returns_state or result_text(reduction) is not None
