"""Checks of the arrays that a formula is called with: every mistake gets a sentence that names the
argument."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from skkeops.arrays.conversion import common_dtype, is_sparse, is_weak, to_native, to_native_pairs, to_real_array
from skkeops.arrays.devices import OnDevice, device_of, is_on_device, namespace_of
from skkeops.formula.expression import IJ, P, Variable
from skkeops.pairs.values import NOT_ON_DEVICE, Selected, check_pairs
from skkeops.reductions import Reduction

_NDARRAY = np.ndarray
_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)
_KINDS = ("Vi", "Vj", "Pm", "Vij")
_ROWS = ("M", "N")

#: For each category, how many axes an array has after its batch dimensions.
INNER_AXES = (2, 2, 1, 3)


class CheckedCall(NamedTuple):
    """The arguments of a call, as backends read them.

    Attributes
    ----------
    arrays : tuple of ndarray
        Native, aligned, of one dtype, (n, dim) or (dim,); strided or read-only as they came. Not copied
        unless the dtype or the byte order has to change. Those of pairs are (M, N, dim), and stay booleans, or a
        csr_array. Their batch dimensions are as they came.
    m, n : int
        The numbers of rows of the variables indexed by i and by j, 1 if there are none.
    dtype : dtype
        float32 or float64.
    xp : module
        The namespace of the arrays: NumPy or CuPy.
    batch : tuple of int
        The common batch dimensions, () if there are none.
    """

    arrays: tuple[Any, ...]
    m: int
    n: int
    dtype: np.dtype
    xp: ModuleType
    batch: tuple[int, ...] = ()

    def rows(self, axis: int) -> int:
        """Return the number of rows of the output of a reduction over an axis."""
        return self.m if axis else self.n

    def count(self, axis: int) -> int:
        """Return the length of a reduced axis."""
        return self.n if axis else self.m


# Makes a `CheckedCall` of a tuple without the time of a Python function.
_new, _Call = tuple.__new__, CheckedCall


class Arguments:
    """What a formula expects to be called with, and the check of what it gets.

    Parameters
    ----------
    variables : sequence of Variable
        In the order of the arguments.
    names : sequence of str
        Their names, for messages.
    """

    def __init__(self, variables: Sequence[Variable], names: Sequence[str]):
        self.variables = tuple(variables)
        self.names = tuple(names)
        # Per argument: category, dimension, and the shape of a parameter.
        self._specs = tuple((v.category, v.dim, (v.dim,)) for v in self.variables)
        self._count = len(self._specs)

    def check(self, args: tuple) -> CheckedCall:
        """Return the arguments as arrays that a backend can read.

        Parameters
        ----------
        args : tuple of array-like
            (M, dim) for a variable indexed by i, (N, dim) for one indexed by j; for a parameter (dim,), (1,
            dim), or a scalar if dim is 1; for one of pairs (M, N, dim), or
            (M, N), dense or sparse, if dim is 1. Batch dimensions may come first, and broadcast. Real dtypes: float32
            and float64 are promoted together, float16 becomes float32, integers, booleans and Python numbers follow the
            others (float64 if there are none). All of NumPy, or all of CuPy and on one device; Python numbers follow
            here, too.

        Returns
        -------
        CheckedCall

        Raises
        ------
        ValueError
            If the number of arguments, a shape or a number of rows is wrong, or arrays are on several devices.
        TypeError
            If an argument is not a real array, or some are of NumPy and some of CuPy.
        """
        # The normal case takes about a microsecond; anything unusual goes the slow way, which knows all the
        # messages.
        if len(args) == self._count and self._count:
            dtype = getattr(args[0], "dtype", None)
            if dtype is _FLOAT64 or dtype is _FLOAT32:
                m = n = -1
                for array, (category, dim, shape) in zip(args, self._specs):  # noqa: B905 (equal lengths; speed)
                    if type(array) is not _NDARRAY or array.dtype is not dtype or not array.flags.aligned:
                        break
                    found = array.shape
                    if category == 2:
                        if found != shape:
                            break
                    elif category == IJ or len(found) != 2 or found[1] != dim:
                        break
                    elif category == 0:
                        if m != found[0] and m >= 0:
                            break
                        m = found[0]
                    else:
                        if n != found[0] and n >= 0:
                            break
                        n = found[0]
                else:
                    return _new(_Call, (args, m if m >= 0 else 1, n if n >= 0 else 1, dtype, np, ()))
                if is_on_device(args[0]):
                    checked = self._check_on_device(args, sys.modules["cupy"])
                    if checked is not None:
                        return checked
        return self._check_slowly(args)

    def describe(self, k: int) -> str:
        """Return how messages call argument k, such as ``argument 'x' = Vi(3)``."""
        return _describe(self.names[k], self.variables[k])

    def find(self, wrt: Any) -> tuple[Variable, ...]:
        """Return the variables that a name, a variable, or a tuple or list of them stand for."""
        wanted = (wrt,) if isinstance(wrt, (str, Variable)) else wrt
        if not isinstance(wanted, (tuple, list)):
            raise TypeError(f"wrt must be a name or a tuple of names: found {type(wrt).__name__}")
        found = []
        for name in wanted:
            if isinstance(name, Variable) and name in self.variables:
                found.append(name)
            elif isinstance(name, str) and name.replace(" ", "") in self.names:
                found.append(self.variables[self.names.index(name.replace(" ", ""))])
            else:
                raise ValueError(
                    f"{name!r} is not an argument of this formula: expected one of {', '.join(self.names)}"
                )
        if len(set(found)) < len(found):
            raise ValueError(f"every name may occur once: found {list(wanted)!r}")
        return tuple(found)

    def direction(self, tangent: Any, v: Variable, call: CheckedCall) -> np.ndarray:
        """Return a direction along which an argument moves: of its shape, in the common dtype."""
        what = f"tangents[{self.names[v.position]!r}]"
        array, xp = call.arrays[v.position], call.xp
        if v.category == IJ:
            found = check_pairs(tangent if is_sparse(tangent) else to_real_array(tangent, what, xp), v.dim, what)
            if is_sparse(found) and not is_sparse(array):
                found = found.toarray()[:, :, None]
            elif is_sparse(array) and not is_sparse(found):
                raise ValueError(f"{what}: the direction of a sparse array is a sparse array: found a dense one")
        else:
            found = to_real_array(tangent, what, xp)
        if v.category == 2 and found.size == v.dim and found.ndim <= 2:
            found = found.reshape(-1)
        expected = array.shape
        if found.shape != expected:
            raise ValueError(f"{what}: found shape {found.shape}, expected {expected}")
        return to_native(found, call.dtype)

    def too_short(self, axis: int, count: int, reduction: Reduction) -> ValueError:
        """Return the error of an axis that has fewer values than its reduction needs."""
        letter = "ij"[axis]
        if reduction.fold == "kmin":
            return ValueError(
                f"opt_arg (K) must not exceed the number of values along {letter}: "
                f"found K = {reduction.smallest_axis}, expected at most {count}"
            )
        reduced = [name for v, name in zip(self.variables, self.names, strict=True) if v.category == axis]
        return ValueError(
            f"reduction_op={reduction.name!r} needs at least one value to return an index: "
            f"found no row along {letter} (arguments: {', '.join(reduced)})"
        )

    def _check_slowly(self, args: tuple) -> CheckedCall:
        if len(args) != self._count:
            raise ValueError(self._wrong_count(len(args)))
        xp = namespace_of(*args)
        if xp is np:
            return self._check_all(args, xp)
        with self._one_device(args, xp):
            return self._check_all(args, xp)

    def _check_on_device(self, args: tuple, cupy: Any) -> CheckedCall | None:
        """Return the arguments of CuPy if they need nothing, else None: the normal case, in few microseconds."""
        kind, dtype, device = cupy.ndarray, args[0].dtype, args[0].data.device_id
        if dtype is not _FLOAT32 and dtype is not _FLOAT64:
            return None
        m = n = -1
        for array, (category, dim, shape) in zip(args, self._specs):  # noqa: B905 (equal lengths; speed)
            if type(array) is not kind or array.data.device_id != device:
                return None
            found = array.shape
            if category == IJ:  # booleans are read as they are, in any order
                if len(found) != 3 or found[2] != dim or (array.dtype is not dtype and array.dtype.kind != "b"):
                    return None
                if (m != found[0] and m >= 0) or (n != found[1] and n >= 0):
                    return None
                m, n = found[:2]
                continue
            if array.dtype is not dtype:
                return None
            if category == 2:
                if found != shape:
                    return None
            elif len(found) != 2 or found[1] != dim:
                return None
            elif category == 0:
                if m != found[0] and m >= 0:
                    return None
                m = found[0]
            else:
                if n != found[0] and n >= 0:
                    return None
                n = found[0]
        return _new(_Call, (args, m if m >= 0 else 1, n if n >= 0 else 1, dtype, cupy, ()))

    def _check_all(self, args: tuple, xp: ModuleType) -> CheckedCall:
        arrays = [self._as_array(argument, k, xp) for k, argument in enumerate(args)]
        for k, variable in enumerate(self.variables):
            if variable.category == IJ:
                arrays[k] = check_pairs(arrays[k], variable.dim, self.describe(k))
            else:
                arrays[k] = _check_shape(arrays[k], variable, self.describe(k))
        batch = self._common_batch(arrays)
        sizes = [self._common_rows(arrays, category) for category in (0, 1)]
        dtype = common_dtype([(a, is_weak(argument)) for a, argument in zip(arrays, args, strict=True)])
        native = (
            to_native_pairs(a, dtype) if v.category == IJ else to_native(a, dtype)
            for a, v in zip(arrays, self.variables, strict=True)
        )
        return CheckedCall(tuple(native), sizes[0], sizes[1], dtype, xp, batch)

    def _as_array(self, argument: Any, k: int, xp: ModuleType) -> Any:
        if self.variables[k].category == IJ and isinstance(argument, Selected):
            to_real_array(argument.array, self.describe(k), xp)
            return argument
        if self.variables[k].category == IJ and is_sparse(argument):
            if xp is np:
                return argument
            raise TypeError(f"{self.describe(k)}: {NOT_ON_DEVICE}")
        return to_real_array(argument, self.describe(k), xp)

    def _one_device(self, args: tuple, xp: Any) -> OnDevice:
        """Return the device that the arrays of CuPy are on, as a context; raise if there are several, or arrays of NumPy."""
        there = [k for k, argument in enumerate(args) if is_on_device(argument)]
        for k, argument in enumerate(args):
            if isinstance(argument, np.ndarray):
                raise TypeError(
                    f"{self.describe(k)}: found a NumPy array, and for {self.names[there[0]]!r} a CuPy array; expected all of "
                    "one kind: cupy.asarray(...) moves an array to the device, .get() to the host"
                )
            if k in there and device_of(argument) != device_of(args[there[0]]):
                raise ValueError(
                    f"{self.describe(k)}: found an array on device {device_of(argument)}, and for {self.names[there[0]]!r} "
                    f"one on device {device_of(args[there[0]])}; expected all on one device"
                )
        return OnDevice(xp, device_of(args[there[0]]))

    def _wrong_count(self, found: int) -> str:
        message = f"wrong number of arguments: found {found}, expected {self._count}"
        if self._count:
            message += f" ({', '.join(self.names)})"
        if found < self._count:
            message += f"; missing: {', '.join(self.names[found:])}"
        return message

    def _common_batch(self, arrays: list[Any]) -> tuple[int, ...]:
        """Return the shape that the batch dimensions of all arrays broadcast to.

        Parameters have some only where points or values of pairs have: a column of values, one for each row, is an argument
        of another kind.
        """
        batch: tuple[int, ...] = ()
        for k in sorted(range(self._count), key=lambda k: self.variables[k].category == P):
            variable, array = self.variables[k], arrays[k]
            own = () if is_sparse(array) else array.shape[: array.ndim - INNER_AXES[variable.category]]
            if not own:
                continue
            if variable.category == P and not batch and any(v.category != P for v in self.variables):
                raise ValueError(_wrong_parameter(array, variable, self.describe(k)))
            try:
                batch = np.broadcast_shapes(batch, own)
            except ValueError:
                raise ValueError(
                    f"batch dimensions must broadcast: found {own} for {self.names[k]!r} and {batch} for other arguments"
                ) from None
        if batch and any(map(is_sparse, arrays)):
            raise ValueError(f"sparse arrays are for calls without batch dimensions: found {batch}")
        return batch

    def _common_rows(self, arrays: list[np.ndarray], category: int) -> int:
        first, rows = None, 1
        for k, variable in enumerate(self.variables):
            if variable.category not in (category, IJ):
                continue
            of_pairs = category - (2 if is_sparse(arrays[k]) else 3)
            here = arrays[k].shape[of_pairs if variable.category == IJ else -2]
            if first is None:
                first, rows = k, here
            elif here != rows:
                a, b = self.names[first], self.names[k]
                what = "columns" if category == 1 and variable.category == IJ else "rows"
                raise ValueError(
                    f"arguments {a!r} and {b!r} are both indexed by {'ij'[category]} and must have the same "
                    f"number of {what}: found {rows} for {a!r} and {here} for {b!r}"
                )
        return rows


def _check_shape(array: np.ndarray, variable: Variable, what: str) -> np.ndarray:
    dim = variable.dim
    if variable.category == 2:
        if array.shape == (dim,):
            return array
        if array.shape == (1, dim) or (array.ndim == 0 and dim == 1):
            return array.reshape(dim)
        if array.ndim >= 2 and array.shape[-1] == dim:
            return array
        raise ValueError(_wrong_parameter(array, variable, what))
    if array.ndim >= 2 and array.shape[-1] == dim:
        return array
    rows = _ROWS[variable.category]
    hint = ""
    if array.ndim == 1 and (dim == 1 or array.shape[0] == dim):
        hint = "; use a[:, None] for a column" if dim == 1 else "; use a[None, :] for a single row"
    raise ValueError(f"{what}: found shape {array.shape}, expected ({rows}, {dim}){hint}")


def _wrong_parameter(array: Any, variable: Variable, what: str) -> str:
    number = " or a number" if variable.dim == 1 else ""
    return f"{what}: found shape {array.shape}, expected ({variable.dim},){number}"


def _describe(name: str, variable: Variable) -> str:
    return f"argument {name!r} = {_KINDS[variable.category]}({variable.dim})"
