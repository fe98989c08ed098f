"""Reductions of formulas over JAX arrays, which `jax.grad` and `jax.vjp` differentiate, to any order, inside of `jax.jit` too.

>>> import jax, jax.numpy as jnp
>>> from skkeops.jax import Genred
>>> conv = Genred("Exp(-SqDist(x, y)) * b", ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)"], axis=1)
>>> x, y, b = jnp.zeros((5, 3)), jnp.ones((4, 3)), jnp.ones((4, 2))
>>> jax.jit(jax.grad(lambda x: (conv(x, y, b) ** 2).sum()))(x).shape
(5, 3)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from skkeops import genred
from skkeops.autodiff import adjoint, differentiable_by
from skkeops.formula.expression import IJ, P

__all__ = ["Genred"]


class Genred:
    """A reduction of a formula over all pairs (i, j) of rows of arrays: `skkeops.Genred` for JAX.

    It is called from compiled code through `jax.pure_callback`, and computes on the host. Gradients are reductions, too, so that
    those of any order exist for Sum, LogSumExp and SumSoftMaxWeight; Max, Min and KMin have first ones. Derivatives are reverse
    (`jax.grad`, `jax.vjp`), not forward (`jax.jvp`), as those of every `jax.custom_vjp`.

    Parameters
    ----------
    formula : str
        The formula F.
    aliases : sequence of str
        The arguments: see `skkeops.Genred`.
    reduction_op : str, default="Sum"
        The reduction; one that returns values or indices, not both.
    axis : {0, 1}, default=0
        The axis that is reduced.
    **options
        The others of `skkeops.Genred`: ``opt_arg``, ``formula2``, ....

    Attributes
    ----------
    function : skkeops.Genred
        The same reduction on arrays of NumPy.

    See Also
    --------
    skkeops.torch.Genred : The same for PyTorch.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from skkeops.jax import Genred
    >>> lse = Genred("x * y", ["x = Vi(1)", "y = Vj(1)"], "LogSumExp", axis=1)
    >>> x, y = jnp.zeros((2, 1)), jnp.array([[1.0], [3.0]])
    >>> jax.grad(lambda x: lse(x, y).sum())(x).tolist()
    [[2.0], [2.0]]
    """

    def __init__(self, formula: Any, aliases: Sequence[Any], reduction_op: str = "Sum", axis: int = 0, **options: Any):
        self.function = genred.Genred(formula, aliases, reduction_op=reduction_op, axis=axis, **options)
        reduction = self.function.reduction
        if reduction.returns_value and reduction.returns_index:
            raise ValueError(
                f"reduction_op={reduction_op!r} returns values and indices: expected one that returns one array"
            )

    def __call__(self, *args: Any, backend: str = "auto") -> Any:
        """Reduce the formula over arrays.

        Parameters
        ----------
        *args : array
            One for each variable, of shapes (M, dim), (N, dim), (dim,) or (M, N, dim), as for `skkeops.Genred`, without batch
            dimensions (`jax.vmap` has them); float32 or, with ``jax_enable_x64``, float64.
        backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
            Where to compute. "GPU" moves the arrays to the device and brings the result back.

        Returns
        -------
        jax.Array
            Values in the dtype of the arrays; indices as JAX's integers.
        """
        arrays = [jnp.asarray(a) for a in args]
        if len(arrays) != self.function.nargs:
            return self.function(*args)  # which raises
        for array, name, v in zip(arrays, self.function.names, self.function.variables, strict=True):
            expected = 1 if v.category == P else 3 if v.category == IJ else 2
            if array.ndim != expected or array.shape[-1] != v.dim:
                raise ValueError(f"{name} must have {expected} axes, the last of length {v.dim}: found the shape {array.shape}")
        dtype = jnp.result_type(*arrays) if arrays else np.dtype(np.float32)
        if dtype not in (np.float32, np.float64):
            raise TypeError(f"the arrays have the dtype {dtype}: expected float32 or float64")
        return _differentiable(self.function, backend)(*(a.astype(dtype) for a in arrays))

    def __repr__(self) -> str:
        return f"skkeops.jax.{self.function!r}"


@lru_cache(maxsize=256)
def _differentiable(function: genred.Genred, backend: str) -> Any:
    """Return a reduction as a function of JAX's arrays, with a gradient that is made of such functions."""

    def reduce(*arrays: Any) -> Any:
        return _callback(function, backend, arrays)

    def forward(*arrays: Any) -> Any:
        output = differentiable(*arrays)
        return output, (arrays, output)

    def backward(kept: Any, e: Any) -> Any:
        arrays, output = kept
        found = []
        for v, array in zip(function.variables, arrays, strict=True):
            if not function.reduction.derivative or not jnp.issubdtype(output.dtype, jnp.floating):
                gradient = None
            elif differentiable_by(function, v):
                gradient = adjoint(function, v, arrays, output, e, _reducer(backend), jnp, jax.lax.stop_gradient)
            else:
                gradient = _numbers(function, backend, v, arrays, e)
            found.append(jnp.zeros_like(array) if gradient is None else gradient)
        return tuple(found)

    differentiable = jax.custom_vjp(reduce)
    differentiable.defvjp(forward, backward)
    return differentiable


def _reducer(backend: str) -> Any:
    return lambda function, *arrays: _differentiable(function, backend)(*arrays)


def _rows(function: genred.Genred, arrays: Sequence[Any]) -> int:
    """Return the number of rows of the output."""
    category = 1 - function.axis
    for v, array in zip(function.variables, arrays, strict=True):
        if v.category == category:
            return array.shape[0]
        if v.category == IJ:
            return array.shape[category]
    raise ValueError(f"the formula has no variable of the axis {category}, which its output has rows of")


def _callback(function: genred.Genred, backend: str, arrays: Sequence[Any]) -> Any:
    dtype = arrays[0].dtype
    kind = np.dtype(np.int64) if not function.reduction.returns_value else dtype
    row_shape = function._outputs.row_shape
    result = jax.ShapeDtypeStruct((_rows(function, arrays), *row_shape), jax.dtypes.canonicalize_dtype(kind))

    def call(*given: Any) -> np.ndarray:
        return function(*map(np.asarray, given), backend=backend).astype(result.dtype, copy=False)

    return jax.pure_callback(call, result, *arrays, vmap_method="sequential")


def _numbers(function: genred.Genred, backend: str, v: Any, arrays: Sequence[Any], e: Any) -> Any:
    """Return a gradient that has none itself: of a reduction to winners, or by values of pairs."""
    like = arrays[function.variables.index(v)]

    def call(*given: Any) -> np.ndarray:
        *of_function, grad_output = map(np.asarray, given)
        found = function.gradient(*of_function, wrt=v, grad_output=grad_output, backend=backend)
        return found.astype(like.dtype, copy=False)

    return jax.pure_callback(call, jax.ShapeDtypeStruct(like.shape, like.dtype), *arrays, e, vmap_method="sequential")
