"""What a reduction returns: its shapes, and the checks of arrays that users give in the place of results."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from skkeops.arrays.conversion import is_sparse, to_real_array
from skkeops.arrays.devices import is_on_device
from skkeops.pairs.values import Selected
from skkeops.reductions import Reduction

_INT64 = np.dtype(np.int64)
_ONE = np.ones((), dtype=np.float32)


class Outputs:
    """The arrays that a reduction returns.

    Parameters
    ----------
    reduction : Reduction
    dims : tuple of int
        The dimensions of the expressions that it consumes.
    """

    def __init__(self, reduction: Reduction, dims: tuple[int, ...]):
        self.row_shape = reduction.output_dim(dims)
        self._is_index = (False,) * reduction.returns_value + (True,) * reduction.returns_index

    def shape(self, rows: int, batch: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return the shape of every array returned, for a number of rows and batch dimensions."""
        return (*batch, rows, *self.row_shape)

    def allocate(
        self, rows: int, dtype: np.dtype, xp: Any = np, batch: tuple[int, ...] = ()
    ) -> tuple[np.ndarray, ...]:
        """Return arrays to be filled with results; dtype is that of values."""
        return tuple(xp.empty(self.shape(rows, batch), dtype=_INT64 if k else dtype) for k in self._is_index)

    def unpack(self, results: tuple[np.ndarray, ...]) -> Any:
        """Return what the user sees: the array, or the tuple if there are two."""
        return results[0] if len(results) == 1 else results

    def share_memory(self, results: tuple[np.ndarray, ...], arrays: tuple[Any, ...]) -> bool:
        """Return whether one of the results may lie in the memory of one of the arguments."""
        dense = [a.array if isinstance(a, Selected) else a for a in arrays if not is_sparse(a)]
        return any(np.may_share_memory(r, a) for r in results for a in dense)

    def check_out(
        self, out: Any, rows: int, dtype: np.dtype, xp: Any = np, batch: tuple[int, ...] = ()
    ) -> tuple[np.ndarray, ...]:
        """Return the arrays of the argument `out`, or raise an error that says what they should be."""
        shape = self.shape(rows, batch)
        if len(self._is_index) == 1:
            _check_out(out, shape, _INT64 if self._is_index[0] else dtype, "argument 'out'", xp)
            return (out,)
        if not isinstance(out, tuple) or len(out) != 2:
            raise TypeError(f"argument 'out': found {_kind(out)}, expected a tuple of 2 arrays")
        for k, array in enumerate(out):
            dtype_k = _INT64 if self._is_index[k] else dtype
            _check_out(array, shape, dtype_k, f"argument 'out'[{k}]", xp)
        if xp.may_share_memory(*out):
            raise ValueError("argument 'out': found two arrays that overlap, expected separate ones")
        return out

    def check_result(
        self, output: Any, rows: int, count: int, xp: Any = np, batch: tuple[int, ...] = ()
    ) -> tuple[np.ndarray, ...] | None:
        """Return the arrays of the argument `output`, a result that is given back; None if there is none.

        Parameters
        ----------
        output : object
        rows : int
            Its number of rows.
        count : int
            The length of the reduced axis, which indices are below.
        xp : module
            The namespace of the arguments, which it has to be of.
        batch : tuple of int
            Its batch dimensions.
        """
        if output is None:
            return None
        shape = self.shape(rows, batch)
        if len(self._is_index) == 1:
            return (check_like(output, shape, "argument 'output'", xp),)
        if not isinstance(output, tuple) or len(output) != 2:
            raise TypeError(f"argument 'output': found {_kind(output)}, expected the tuple (values, indices)")
        values = check_like(output[0], shape, "argument 'output'[0]", xp)
        return values, _check_indices(output[1], shape, count, "argument 'output'[1]", xp)

    def check_gradient(self, grad_output: Any, rows: int, xp: Any = np, batch: tuple[int, ...] = ()) -> np.ndarray:
        """Return the argument `grad_output`, or ones if there is none."""
        shape = self.shape(rows, batch)
        if grad_output is None:
            return np.broadcast_to(_ONE, shape) if xp is np else xp.ones(shape, dtype=np.float32)
        return check_like(grad_output, shape, "argument 'grad_output'", xp)


def store(results: tuple[np.ndarray, ...], rows: Any, found: Any) -> None:
    """Write what `finalize` returned for some rows, a slice, or for all of them, an ellipsis."""
    if len(results) == 1:
        results[0][rows] = found
    else:
        for whole, part in zip(results, found, strict=True):
            whole[rows] = part


def check_like(argument: Any, shape: tuple[int, ...], what: str, xp: ModuleType = np) -> np.ndarray:
    """Return a real array of exactly that shape in a namespace, or raise an error that begins with `what`."""
    array = to_real_array(argument, what, xp)
    if array.shape != shape:
        raise ValueError(f"{what}: found shape {array.shape}, expected {shape}")
    return array


def _check_indices(argument: Any, shape: tuple[int, ...], count: int, what: str, xp: ModuleType) -> np.ndarray:
    index = to_real_array(argument, what, xp)
    if index.shape != shape or index.dtype.kind not in "iu":
        raise ValueError(f"{what}: found shape {index.shape} and dtype {index.dtype}, expected {shape} and int64")
    if index.size and (index.min() < -1 or index.max() >= count):
        raise ValueError(f"{what}: found indices outside of 0..{count - 1} that are not -1, for no winner")
    return index.astype(np.int64, copy=False)


def _check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype, what: str, xp: Any) -> None:
    if not isinstance(out, xp.ndarray):
        kinds = ("NumPy", "CuPy") if xp is np else ("CuPy", "NumPy")
        found = f"a {kinds[1]} array" if isinstance(out, np.ndarray) or is_on_device(out) else _kind(out)
        raise TypeError(f"{what}: found {found}, expected a {kinds[0]} array")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(
            f"{what}: found shape {out.shape} and dtype {out.dtype}, expected shape {shape} and dtype {dtype}"
        )
    if not is_on_device(out) and not out.flags.writeable:
        raise ValueError(f"{what}: found a read-only array, expected one that can be written")


def _kind(thing: Any) -> str:
    return type(thing).__name__
