"""Scalar, matrix and tensor products; matrices and tensors are flattened row by row."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np

from ..errors import FormulaError
from ..expression import Constant
from ..limits import MAX_DIM
from ..registry import ops, register
from . import algebra
from .base import composite
from .families import Bilinear
from .intervals import between

__all__ = ["Kron", "MatVecMult", "Scalprod", "TensorDot", "TensorProd", "VecMatMult"]


def _check_matrix(name: str, matrix, vector) -> None:
    if matrix.dim % vector.dim:
        raise FormulaError(f"{name}: the dim of the matrix, {matrix.dim}, must be a multiple of the vector's, {vector.dim}")


@register
class Scalprod(Bilinear):
    """``Scalprod(f, g)``, also written ``f | g``: the sum of the products of components; with a side of dim 1,
    that side times the sum of the other."""

    name = "Scalprod"
    commutes = True

    @classmethod
    def check(cls, args, params):
        f, g = args
        if f.dim != g.dim and f.dim != 1 and g.dim != 1:
            raise FormulaError(f"Scalprod: the dims {f.dim} and {g.dim} do not go together: they must be equal, or 1")
        return params

    @classmethod
    def simplify(cls, args, params):
        f, g = args
        mult = ops.Mult.build
        if type(g) in (Constant, ops.SumT, ops.ElemT):
            f, g = g, f
        if f.dim == 1 or g.dim == 1:
            return mult(ops.Sum.build(f), ops.Sum.build(g))
        if type(f) is Constant:
            return mult(Constant._of(f.value), ops.Sum.build(g))
        if type(f) is ops.SumT:
            return mult(f.args[0], ops.Sum.build(g))
        if type(f) is ops.ElemT:
            return mult(f.args[0], ops.Elem.build(g, f.params[1]))
        f, g = args
        (cf, f), (cg, g) = algebra.split(f), algebra.split(g)
        factor = Constant._of(cf * cg)
        if algebra.is_scaled_vector(f):
            factor, f = mult(factor, f.args[0]), f.args[1]
        if algebra.is_scaled_vector(g):
            factor, g = mult(factor, g.args[0]), g.args[1]
        if f is g:
            core = ops.Sum.build(ops.Square.build(f))
        else:
            core = cls._new((f, g))
        return mult(factor, core)

    def terms(self):
        return (tuple((k, k) for k in range(self.args[0].dim)),)

    def tensors(self):
        return (self.args[0].dim,), (self.args[1].dim,), (0,), (0,), ()

    def numpy(self, f, g):
        return (f * g).sum(axis=-1, keepdims=True)

    def bounds(self, intervals, rounding):
        products = rounding.widen(*between(ops.Mult.build, *intervals))
        sizes = tuple(ops.Sum.build(ops.Abs.build(end)) for end in products)
        return rounding.widen(*map(ops.Sum.build, products), 4 + self.args[0].dim, sizes)

    def adjoint(self, k, e):
        return ops.Mult.build(e, self.args[1 - k])


@register
class MatVecMult(Bilinear):
    """``MatVecMult(A, b)``: the matrix ``A``, with as many columns as ``b`` has components, times ``b``."""

    name = "MatVecMult"
    arguments = ("A", "b")

    @classmethod
    def check(cls, args, params):
        matrix, vector = args
        _check_matrix(cls.name, matrix, vector)
        return params

    @classmethod
    def output_dim(cls, args, params):
        return args[0].dim // args[1].dim

    def terms(self):
        p = self.args[1].dim
        return tuple(tuple((i * p + k, k) for k in range(p)) for i in range(self.dim))

    def tensors(self):
        return (self.dim, self.args[1].dim), (self.args[1].dim,), (1,), (0,), (0,)

    def numpy(self, a, b):
        matrix = a.reshape(*a.shape[:-1], self.dim, self.args[1].dim)
        return (matrix * b[..., None, :]).sum(axis=-1)

    def adjoint(self, k, e):
        matrix, vector = self.args
        return VecMatMult.build(e, matrix) if k else TensorProd.build(e, vector)


@register
class VecMatMult(Bilinear):
    """``VecMatMult(b, A)``: the row ``b`` times the matrix ``A``, which has as many rows as ``b`` has components."""

    name = "VecMatMult"
    arguments = ("b", "A")

    @classmethod
    def check(cls, args, params):
        vector, matrix = args
        _check_matrix(cls.name, matrix, vector)
        return params

    @classmethod
    def output_dim(cls, args, params):
        return args[1].dim // args[0].dim

    def terms(self):
        n, p = self.args[0].dim, self.dim
        return tuple(tuple((k, k * p + i) for k in range(n)) for i in range(p))

    def tensors(self):
        return (self.args[0].dim,), (self.args[0].dim, self.dim), (0,), (0,), (0,)

    def numpy(self, b, a):
        matrix = a.reshape(*a.shape[:-1], self.args[0].dim, self.dim)
        return (b[..., :, None] * matrix).sum(axis=-2)

    def adjoint(self, k, e):
        vector, matrix = self.args
        return TensorProd.build(vector, e) if k else MatVecMult.build(matrix, e)


@register
class TensorProd(Bilinear):
    """``TensorProd(f, g)``: the matrix of all products, ``f`` along the rows."""

    name = "TensorProd"

    @classmethod
    def simplify(cls, args, params):
        f, g = args
        if f.dim == 1 or g.dim == 1:
            return ops.Mult.build(f, g)
        return super().simplify(args, params)

    @classmethod
    def output_dim(cls, args, params):
        return args[0].dim * args[1].dim

    def terms(self):
        f, g = self.args
        return tuple(((k, m),) for k in range(f.dim) for m in range(g.dim))

    def tensors(self):
        return (self.args[0].dim,), (self.args[1].dim,), (), (), (0, 1)

    def numpy(self, f, g):
        outer = f[..., :, None] * g[..., None, :]
        return outer.reshape(*outer.shape[:-2], self.dim)

    def adjoint(self, k, e):
        f, g = self.args
        return VecMatMult.build(f, e) if k else MatVecMult.build(e, g)


@register
class TensorDot(Bilinear):
    """``TensorDot(f, g, dimsf, dimsg, contf, contg)``: tensors of shapes ``dimsf`` and ``dimsg``, contracted over the
    axes ``contf`` of ``f`` and ``contg`` of ``g``. The axes of the result are those kept of ``f``, then those kept
    of ``g``; with ``perm``, kept axis ``k`` becomes axis ``perm[k]``."""

    name = "TensorDot"
    parameters = ("dimsf", "dimsg", "contf", "contg", "perm")
    list_parameters = parameters
    optional = 1

    @classmethod
    def check(cls, args, params):
        dims_f, dims_g, cont_f, cont_g = params[:4]
        for which, arg, dims, cont in (("f", args[0], dims_f, cont_f), ("g", args[1], dims_g, cont_g)):
            if any(not 1 <= d <= MAX_DIM for d in dims) or len(dims) > 24 or prod(dims) != arg.dim:
                raise FormulaError(
                    f"TensorDot: 'dims{which}' must be positive with product {arg.dim}, the dim of {which!r}, "
                    f"got {_shown(dims)}"
                )
            if len(set(cont)) != len(cont) or any(not 0 <= axis < len(dims) for axis in cont):
                raise FormulaError(
                    f"TensorDot: 'cont{which}' must be distinct axes in 0..{len(dims) - 1}, got {_shown(cont)}"
                )
        if [dims_f[axis] for axis in cont_f] != [dims_g[axis] for axis in cont_g]:
            raise FormulaError("TensorDot: the contracted axes of 'f' and 'g' must have the same sizes")
        n_kept = len(dims_f) + len(dims_g) - 2 * len(cont_f)
        perm = params[4] if len(params) == 5 and params[4] is not None else tuple(range(n_kept))
        if sorted(perm) != list(range(n_kept)):
            raise FormulaError(f"TensorDot: 'perm' must be a permutation of 0..{n_kept - 1}, got {_shown(perm)}")
        return (dims_f, dims_g, cont_f, cont_g, perm)

    @classmethod
    def output_dim(cls, args, params):
        kept_f, kept_g = _kept(params)
        return prod(params[0][axis] for axis in kept_f) * prod(params[1][axis] for axis in kept_g)

    def printed_params(self):
        return self.params[:4] if list(self.params[4]) == sorted(self.params[4]) else self.params

    def tensors(self):
        return self.params

    def output_shape(self) -> tuple[int, ...]:
        """The shape of the result as a tensor."""
        dims_f, dims_g, _, _, perm = self.params
        kept_f, kept_g = _kept(self.params)
        kept = [dims_f[axis] for axis in kept_f] + [dims_g[axis] for axis in kept_g]
        shape = [0] * len(kept)
        for k, size in enumerate(kept):
            shape[perm[k]] = size
        return tuple(shape)

    def terms(self):
        dims_f, dims_g, cont_f, cont_g, perm = self.params
        kept_f, kept_g = _kept(self.params)
        strides_f, strides_g = _strides(dims_f), _strides(dims_g)
        inner = [
            (
                sum(k * strides_f[axis] for k, axis in zip(index, cont_f, strict=True)),
                sum(k * strides_g[axis] for k, axis in zip(index, cont_g, strict=True)),
            )
            for index in product(*(range(dims_f[axis]) for axis in cont_f))
        ]
        out = []
        for index in product(*map(range, self.output_shape())):
            kept = [index[perm[k]] for k in range(len(perm))]
            base_f = sum(kept[k] * strides_f[axis] for k, axis in enumerate(kept_f))
            base_g = sum(kept[len(kept_f) + k] * strides_g[axis] for k, axis in enumerate(kept_g))
            out.append(tuple((base_f + a, base_g + b) for a, b in inner))
        return tuple(out)

    def numpy(self, f, g):
        dims_f, dims_g, cont_f, cont_g, perm = self.params
        n_f = len(dims_f)
        labels_f = list(range(1, n_f + 1))
        labels_g = list(range(n_f + 1, n_f + 1 + len(dims_g)))
        for a, b in zip(cont_f, cont_g, strict=True):
            labels_g[b] = labels_f[a]
        kept_f, kept_g = _kept(self.params)
        kept = [labels_f[axis] for axis in kept_f] + [labels_g[axis] for axis in kept_g]
        out = [0] * len(kept)
        for k, label in enumerate(kept):
            out[perm[k]] = label
        shape = np.broadcast_shapes(f.shape[:-1], g.shape[:-1])
        n_rows = prod(shape)
        f = np.broadcast_to(f, (*shape, f.shape[-1])).reshape(n_rows, *dims_f)
        g = np.broadcast_to(g, (*shape, g.shape[-1])).reshape(n_rows, *dims_g)
        result = np.einsum(f, [0, *labels_f], g, [0, *labels_g], [0, *out])
        return result.reshape(*shape, self.dim)

    def adjoint(self, k, e):
        dims_f, dims_g, cont_f, cont_g, perm = self.params
        kept_f, kept_g = _kept(self.params)
        at_f, at_g = perm[: len(kept_f)], perm[len(kept_f) :]  # where the kept axes are in the result
        f, g = self.args
        if k == 0:
            target = dict(zip(at_f, kept_f, strict=True))
            order = [target[place] for place in sorted(at_f)]  # axes of f in the order in which e keeps them
            partner = dict(zip(cont_g, cont_f, strict=True))
            order += [partner[axis] for axis in sorted(cont_g)]
            return TensorDot.build(e, g, self.output_shape(), dims_g, at_g, kept_g, order)
        partner = dict(zip(cont_f, cont_g, strict=True))
        order = [partner[axis] for axis in sorted(cont_f)]
        target = dict(zip(at_g, kept_g, strict=True))
        order += [target[place] for place in sorted(at_g)]
        return TensorDot.build(f, e, dims_f, self.output_shape(), kept_f, at_f, order)


def _shown(values) -> str:
    return repr(list(values))[:60]


def _kept(params) -> tuple[tuple[int, ...], tuple[int, ...]]:
    dims_f, dims_g, cont_f, cont_g = params[:4]
    kept_f = tuple(axis for axis in range(len(dims_f)) if axis not in cont_f)
    kept_g = tuple(axis for axis in range(len(dims_g)) if axis not in cont_g)
    return kept_f, kept_g


def _strides(dims) -> list[int]:
    return [prod(dims[k + 1 :]) for k in range(len(dims))]


@composite("Kron", "f g", "dimsf dimsg", list_parameters=("dimsf", "dimsg"))
def Kron(f, g, dims_f, dims_g):
    """``Kron(f, g, dimsf, dimsg)``: the Kronecker product of tensors with as many axes, flattened."""
    if len(dims_f) != len(dims_g):
        raise FormulaError(f"Kron: 'dimsf' and 'dimsg' must have the same length, got {len(dims_f)} and {len(dims_g)}")
    perm = [2 * k for k in range(len(dims_f))] + [2 * k + 1 for k in range(len(dims_g))]
    return TensorDot.build(f, g, dims_f, dims_g, (), (), perm)
