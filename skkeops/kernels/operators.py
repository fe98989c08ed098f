"""What ``+``, ``*`` and ``**`` make of kernels and numbers."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.gaussian_process import kernels as gp

from . import composite
from .base import OPERATORS
from .constants import Constant
from .convert import as_kernel

__all__: list[str] = []


def _is_number(x: Any) -> bool:
    return isinstance(x, (Real, np.bool_))


def _combine(name: str, a: Any, b: Any) -> Any:
    """Return the sum or the product of two operands, or NotImplemented."""
    library: Any = composite
    operands = []
    for operand in (a, b):
        if _is_number(operand):
            operands.append(Constant(operand))
        elif isinstance(operand, gp.Kernel):
            try:
                operands.append(as_kernel(operand))
            except TypeError:  # A class of somebody's own has no formula. Scikit-learn's sums take it, and our kernels too.
                library = gp
                operands.append(operand)
        elif isinstance(operand, type) and issubclass(operand, gp.Kernel):
            cls = operand.__name__
            raise TypeError(f"{cls} is a class: expected a kernel object, such as {cls}(), with the parentheses")
        else:
            return NotImplemented
    return getattr(library, name)(*operands)


def _add(a: Any, b: Any) -> Any:
    return _combine("Sum", a, b)


def _multiply(a: Any, b: Any) -> Any:
    return _combine("Product", a, b)


def _power(kernel: Any, exponent: Any) -> Any:
    return composite.Exponentiation(kernel, exponent) if _is_number(exponent) else NotImplemented


OPERATORS.update({"+": _add, "*": _multiply, "**": _power})
