"""Evaluation of expressions on dense NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skkeops.formula.expression import Constant, Expression, Variable, postorder
from skkeops.formula.operations.base import Operation


def evaluate(
    expressions: Sequence[Expression], arrays: dict[int, np.ndarray], dtype: np.dtype
) -> list[np.ndarray]:
    """Return the values of expressions, every operation taken at its word (its `numpy` method).

    Parameters
    ----------
    expressions : sequence of Expression
    arrays : dict of int to ndarray of shape (..., dim)
        The values of the variables by position. Their leading axes must broadcast.
    dtype : dtype
        The dtype of constants.

    Returns
    -------
    list of ndarray of shape (..., dim)
        The leading axes are only those that the expression depends on: broadcast them where needed.
    """
    values: dict[Expression, np.ndarray] = {}
    with np.errstate(all="ignore"):
        for node in postorder(*expressions):
            if isinstance(node, Variable):
                values[node] = arrays[node.position]
            elif isinstance(node, Constant):
                values[node] = np.full(node.dim, float(node), dtype=dtype)
            else:
                assert isinstance(node, Operation)
                values[node] = node.numpy(*[values[argument] for argument in node.args])
    return [values[expression] for expression in expressions]
