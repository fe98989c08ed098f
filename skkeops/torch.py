"""Reductions of formulas over PyTorch tensors, which `torch.autograd` differentiates, to any order.

Programs for ``pykeops.torch``'s `Genred` and ``generic_*`` run with this module in its place, on tensors of the CPU.

>>> import torch
>>> from skkeops.torch import Genred
>>> conv = Genred("Exp(-SqDist(x, y)) * b", ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)"], axis=1)
>>> x, y, b = torch.zeros(5, 3, requires_grad=True), torch.ones(4, 3), torch.ones(4, 2)
>>> c = conv(x, y, b)
>>> torch.autograd.grad(c.square().sum(), x)[0].shape
torch.Size([5, 3])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from skkeops import generic, genred
from skkeops.autodiff import adjoint, differentiable_by
from skkeops.formula.expression import Variable

__all__ = ["Genred", "generic_argkmin", "generic_argmin", "generic_logsumexp", "generic_sum"]


class Genred:
    """A reduction of a formula over all pairs (i, j) of rows of tensors: `skkeops.Genred` for PyTorch.

    Tensors are read where they are: nothing is copied. Gradients are reductions, too, so that those of any order exist for Sum,
    LogSumExp and SumSoftMaxWeight; Max, Min and KMin have first ones. Gradients by values of pairs (``Vij``) are first ones, too.

    Parameters
    ----------
    formula : str
        The formula F.
    aliases : sequence of str
        The arguments: see `skkeops.Genred`.
    reduction_op : str, default="Sum"
        The reduction.
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
    skkeops.jax.Genred : The same for JAX.

    Examples
    --------
    >>> import torch
    >>> from skkeops.torch import Genred
    >>> lse = Genred("x * y", ["x = Vi(1)", "y = Vj(1)"], "LogSumExp", axis=1)
    >>> x = torch.zeros(2, 1, dtype=torch.float64, requires_grad=True)
    >>> y = torch.tensor([[1.0], [3.0]], dtype=torch.float64)
    >>> (g,) = torch.autograd.grad(lse(x, y).sum(), x, create_graph=True)
    >>> g
    tensor([[2.],
            [2.]], dtype=torch.float64, grad_fn=<_ReduceBackward>)
    >>> torch.autograd.grad(g.sum(), x)[0]
    tensor([[1.],
            [1.]], dtype=torch.float64)
    """

    def __init__(self, formula: Any, aliases: Sequence[Any], reduction_op: str = "Sum", axis: int = 0, **options: Any):
        self.function = genred.Genred(formula, aliases, reduction_op=reduction_op, axis=axis, **options)

    @classmethod
    def _of(cls, function: genred.Genred) -> Genred:
        made = cls.__new__(cls)
        made.function = function
        return made

    def __call__(self, *args: Any, backend: str = "auto", ranges: Any = None, device_id: int = -1) -> Any:
        """Reduce the formula over tensors.

        Parameters
        ----------
        *args : Tensor
            One for each variable, of the shapes that `skkeops.Genred` takes, batch dimensions included; on the CPU, of dtype
            float32 or float64.
        backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
            Where to compute. "GPU" moves the tensors to the device and brings the result back.
        ranges : sequence of six arrays or tensors of int, optional
            Only some blocks of the pairs.
        device_id : int, default=-1
            Accepted for compatibility; without effect.

        Returns
        -------
        Tensor, or tuple of values and indices
            Values in the dtype of the tensors, indices in int64.

        Raises
        ------
        TypeError
            If an argument is a tensor of a GPU, or of another dtype.
        """
        tensors = [_tensor(a, name) for a, name in zip(args, self.function.names, strict=False)]
        if len(args) != self.function.nargs:
            return self.function(*args)  # which raises
        if ranges is not None:
            ranges = tuple(r.numpy() if isinstance(r, torch.Tensor) else r for r in ranges)
        if not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors)):
            return _reduced(self.function, (backend, ranges), tensors)
        return _Reduce.apply(self.function, (backend, ranges), *tensors)

    def __repr__(self) -> str:
        return f"skkeops.torch.{self.function!r}"


def generic_sum(formula: str, output: str, *aliases: str, **options: Any) -> Genred:
    """Return the sum of a formula as a function of tensors: see `skkeops.generic_sum`."""
    return Genred._of(generic.generic_sum(formula, output, *aliases, **options))


def generic_logsumexp(formula: str, output: str, *aliases: str, **options: Any) -> Genred:
    """Return the log-sum-exp of a formula as a function of tensors: see `skkeops.generic_logsumexp`."""
    return Genred._of(generic.generic_logsumexp(formula, output, *aliases, **options))


def generic_argmin(formula: str, output: str, *aliases: str, **options: Any) -> Genred:
    """Return the index of the smallest value as a function of tensors: see `skkeops.generic_argmin`."""
    return Genred._of(generic.generic_argmin(formula, output, *aliases, **options))


def generic_argkmin(formula: str, output: str, *aliases: str, **options: Any) -> Genred:
    """Return the indices of the K smallest values as a function of tensors: see `skkeops.generic_argkmin`."""
    return Genred._of(generic.generic_argkmin(formula, output, *aliases, **options))


_DTYPES = (torch.float32, torch.float64)


def _tensor(argument: Any, name: str | None) -> torch.Tensor:
    if not isinstance(argument, torch.Tensor):
        argument = torch.as_tensor(argument)
        if argument.dtype not in _DTYPES:
            argument = argument.to(torch.get_default_dtype())
    if argument.device.type != "cpu":
        raise TypeError(
            f"{name} is a tensor on {argument.device}: expected a tensor of the CPU; .cpu() brings it there, and backend='GPU' "
            "computes on the device all the same"
        )
    if argument.dtype not in _DTYPES:
        raise TypeError(f"{name} has the dtype {argument.dtype}: expected torch.float32 or torch.float64")
    return argument


def _arrays(tensors: Sequence[torch.Tensor]) -> list[Any]:
    """Return the arrays of NumPy that lie in the memory of tensors."""
    return [t.detach().numpy() for t in tensors]


def _reduced(function: genred.Genred, options: tuple, tensors: Sequence[torch.Tensor]) -> Any:
    """Return the result of a reduction, without a graph."""
    backend, ranges = options
    found = function(*_arrays(tensors), backend=backend, ranges=ranges)
    return tuple(map(torch.from_numpy, found)) if isinstance(found, tuple) else torch.from_numpy(found)


class _Reduce(torch.autograd.Function):
    """A reduction as a node of PyTorch's graph. Its gradient is made of nodes of this kind."""

    # One method for both, the forward pass and what it keeps: two of them, PyTorch's newer way, take 100 microseconds more.
    @staticmethod
    def forward(ctx, function, options, *tensors):
        outputs = _reduced(function, options, tensors)
        several = isinstance(outputs, tuple)
        ctx.function, ctx.options = function, options
        ctx.save_for_backward(*tensors, *(outputs if several else (outputs,)))
        if function.reduction.returns_index:
            ctx.mark_non_differentiable(outputs[-1] if several else outputs)
        return outputs

    @staticmethod
    def backward(ctx, e, *_):
        function, options = ctx.function, ctx.options
        n = function.nargs
        tensors, outputs = ctx.saved_tensors[:n], ctx.saved_tensors[n:]
        wanted = [v for v, needed in zip(function.variables, ctx.needs_input_grad[2:], strict=True) if needed]
        found: dict[Variable, Any] = {}
        for v in wanted:
            if differentiable_by(function, v):
                found[v] = adjoint(function, v, tensors, outputs[0], e, _reducer(options), torch, torch.Tensor.detach)
        others = [v for v in wanted if v not in found]
        if others:
            gradients = _Gradient.apply(function, options, tuple(others), len(outputs), *tensors, *outputs, e)
            found.update(zip(others, gradients, strict=True))
        return None, None, *(_like(found.get(v), t) for v, t in zip(function.variables, tensors, strict=True))


class _Gradient(torch.autograd.Function):
    """The gradient of a reduction to winners, or by values of pairs: numbers, which have no gradient of their own."""

    @staticmethod
    def forward(ctx, function, options, wrt, n_outputs, *tensors):
        backend, ranges = options
        arrays = _arrays(tensors)
        known = tuple(arrays[function.nargs : -1])
        gradients = function.gradient(
            *arrays[: function.nargs], wrt=wrt, grad_output=arrays[-1], output=known[0] if n_outputs == 1 else known,
            backend=backend, ranges=ranges,
        )  # fmt: skip
        return tuple(torch.from_numpy(g) for g in gradients)

    @staticmethod
    def backward(ctx, *_):
        raise NotImplementedError(
            "skkeops.torch has second derivatives of Sum, LogSumExp and SumSoftMaxWeight, by variables of i, of j, and parameters: "
            "this is one of another reduction, or by values of pairs"
        )


def _reducer(options: tuple) -> Any:
    return lambda function, *tensors: _Reduce.apply(function, options, *tensors)


def _like(gradient: torch.Tensor | None, tensor: torch.Tensor) -> torch.Tensor | None:
    """Return a gradient in the shape and dtype of what it belongs to: batch dimensions that were broadcast are summed up."""
    if gradient is None:
        return None
    if gradient.shape != tensor.shape:
        gradient = gradient.sum_to_size(tensor.shape)
    return gradient.to(tensor.dtype)
