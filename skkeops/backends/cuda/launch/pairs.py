"""Arrays with a value for each pair as the kernels take them: where they are, with strides, so that none is ever copied for its
order. Booleans are read as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skkeops.arrays.devices import address_of
from skkeops.formula.expression import IJ, Variable

__all__ = ["are_along", "find_masks", "taken"]


def find_masks(variables: Sequence[Variable], arrays: Sequence[Any]) -> tuple[int, ...]:
    """Which of the arrays are booleans of pairs."""
    both = enumerate(zip(variables, arrays, strict=True))
    return tuple(k for k, (v, a) in both if v.category == IJ and a.dtype.kind == "b")


def are_along(variables: Sequence[Variable], arrays: Sequence[Any], axis: int) -> bool:
    """Whether the values of pairs are neighbours in memory along an axis, those of the largest array."""
    found = [a for v, a in zip(variables, arrays, strict=True) if v.category == IJ]
    if not found:
        return False
    largest = max(found, key=lambda a: a.itemsize * a.shape[2])
    return abs(largest.strides[axis]) < abs(largest.strides[1 - axis])


def taken(variables: Sequence[Variable], arrays: Sequence[Any], chosen: Sequence[int], contiguous: Any) -> tuple[Any, ...]:
    """The first arguments of a kernel.

    Parameters
    ----------
    variables : sequence of Variable
    arrays : sequence of array
        One per variable.
    chosen : sequence of int
        Which of them the kernel takes.
    contiguous : callable
        Returns an array in C order.

    Returns
    -------
    tuple
        Arrays in C order; after one of pairs its strides, in numbers, along i and along j. One that is not in C order is given
        as its address: it has to live until the kernel is launched.
    """
    found: list[Any] = []
    for k in chosen:
        array = arrays[k]
        if variables[k].category != IJ:
            found.append(array if array.flags.c_contiguous else contiguous(array))
            continue
        size = array.itemsize
        if array.flags.c_contiguous:
            found.append(array)
        elif (array.shape[2] == 1 or array.strides[2] == size) and not any(s % size for s in array.strides):
            found.append(np.uint64(address_of(array)))
        else:
            array = contiguous(array)
            found.append(array)
        found += [np.int64(array.strides[0] // size), np.int64(array.strides[1] // size)]
    return tuple(found)
