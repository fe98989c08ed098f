"""What else computes the same on a GPU: KeOps through torch, torch in chunks, CuPy's matrix product and reductions.

Each takes the same arrays on the device. A peer that is not there, or does not have the case, is skipped with a sentence.
"""

from __future__ import annotations

from collections.abc import Callable

from .cases import Row
from .run import Run, Skipped

__all__ = ["PEERS"]

_CHUNK = 2**26  # numbers of a block of the matrix of pairs


def keops(run: Run, row: Row, arrays: dict) -> Callable:
    """KeOps on CUDA tensors."""
    torch = _torch(run)
    try:
        import pykeops
        from pykeops.torch import Genred
    except Exception as error:
        raise Skipped(f"KeOps is not timed: {type(error).__name__}: {error} (pip install pykeops)") from error
    if not getattr(pykeops.config, "gpu_available", False):
        raise Skipped("KeOps is not timed: it does not see the GPU (pykeops.config.gpu_available), its CPU code is no peer")
    case = row.case
    if case.wrt is None:
        formula, aliases, kind, axis = case.formula, case.aliases, case.reduction, case.axis
    else:
        formula, aliases, kind, axis = case.keops_formula, case.aliases + case.keops_aliases, "Sum", case.keops_axis
    reduction = case._genred(Genred, formula, aliases, kind, axis)
    args = [torch.from_dlpack(arrays[name]) for name in case._names(aliases)]
    return lambda: reduction(*args, backend="GPU")


def torch_in_chunks(run: Run, row: Row, arrays: dict) -> Callable:
    """torch, in blocks of rows that fit."""
    torch = _torch(run)
    t = {name: torch.from_dlpack(a) for name, a in arrays.items()}
    x, y = t["x"], t["y"]
    step = max(1, _CHUNK // len(y))
    blocks = [x[k : k + step] for k in range(0, len(x), step)]
    if row.kind == "gauss":
        return lambda: torch.cat([torch.exp(-torch.cdist(b, y).square()) @ t["b"] for b in blocks])
    if row.kind == "lse":
        weight = (t["p"] - t["a"]).square().T
        return lambda: torch.cat([torch.logsumexp(weight * torch.exp(b + y.T), 1, keepdim=True) for b in blocks])
    if row.kind == "softmax":
        return lambda: torch.cat([torch.softmax(b @ y.T, 1) @ t["b"] for b in blocks])
    if row.kind == "argkmin":
        return lambda: torch.cat([torch.cdist(b, y).topk(10, largest=False).indices for b in blocks])
    raise Skipped(f"torch is not timed for {row.label}: no derivative is written for it")


def cupy_in_chunks(run: Run, row: Row, arrays: dict) -> Callable:
    """CuPy: a matrix product for the distances, then a reduction, in blocks of rows that fit."""
    cupy = run.cupy
    x, y = arrays["x"], arrays["y"]
    step = max(1, _CHUNK // len(y))

    def squares(b):
        return (b * b).sum(axis=1)[:, None] + (y * y).sum(axis=1)[None, :] - 2 * (b @ y.T)

    def blocks(function):
        return cupy.concatenate([function(x[k : k + step]) for k in range(0, len(x), step)])

    if row.kind == "gauss":
        return lambda: blocks(lambda b: cupy.exp(-squares(b)) @ arrays["b"])
    if row.kind == "lse":
        weight = cupy.square(arrays["p"] - arrays["a"]).T

        def lse(b):
            values = weight * cupy.exp(b + y.T)
            top = values.max(axis=1, keepdims=True)
            return top + cupy.log(cupy.exp(values - top).sum(axis=1, keepdims=True))

        return lambda: blocks(lse)
    if row.kind == "softmax":

        def softmax(b):
            values = b @ y.T
            e = cupy.exp(values - values.max(axis=1, keepdims=True))
            return e @ arrays["b"] / e.sum(axis=1, keepdims=True)

        return lambda: blocks(softmax)
    if row.kind == "argkmin":

        def nearest(b):
            d = squares(b)
            some = cupy.argpartition(d, 9, axis=1)[:, :10]
            order = cupy.argsort(cupy.take_along_axis(d, some, axis=1), axis=1)
            return cupy.take_along_axis(some, order, axis=1)

        return lambda: blocks(nearest)
    raise Skipped(f"CuPy is not timed for {row.label}: no derivative is written for it")


PEERS: dict[str, Callable[[Run, Row, dict], Callable]] = {
    "KeOps": keops,
    "torch in chunks": torch_in_chunks,
    "CuPy in chunks": cupy_in_chunks,
}


def _torch(run: Run):
    try:
        import torch
    except ImportError as error:
        raise Skipped("torch is not installed: neither it nor KeOps on device arrays is timed") from error
    if not torch.cuda.is_available():
        raise Skipped("torch does not see a GPU: neither it nor KeOps on device arrays is timed")
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch
