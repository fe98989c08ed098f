"""The sum of all values."""

from __future__ import annotations

import numpy as np

from skkeops.formula.derivative import gradient, tangent

from .base import Reduction, State


class Sum(Reduction):
    r"""The sum, ``c_i = sum_j F(x_i, y_j)``, of every component of F.

    Returns an array of shape (M, D), D the dimension of F. Terms are added in float64. The sum of no term is
    0.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops.reductions import Sum
    >>> state = Sum().reduce((np.ones((2, 5, 1)),))
    >>> Sum().finalize(state, np.float64)
    array([[5.],
           [5.]])
    """

    name = "Sum"
    fold = "sum"
    derivative = "sum"
    tolerances = ("rtol", "atol")

    def identity(self, rows: int, dims: tuple[int, ...]) -> State:
        return (np.zeros((rows, dims[0])),)

    def reduce(self, values: tuple[np.ndarray, ...], first_index: int = 0) -> State:
        return (values[0].sum(axis=1, dtype=np.float64),)

    def combine(self, a: State, b: State) -> State:
        return (a[0] + b[0],)

    def finalize(self, state: State, dtype: np.dtype) -> np.ndarray:
        if state[0].dtype == dtype:
            return state[0]
        with np.errstate(over="ignore"):
            return state[0].astype(dtype)

    def summand(self, values):
        return None, values[0]

    def rtol_of_derivative(self, rtol):
        return rtol, rtol  # the derivative needs nothing of the forward pass

    def adjoint(self, values, variable, e, saved):
        return gradient(values[0], variable, e)

    def tangent(self, values, directions, saved):
        return tangent(values[0], directions)
