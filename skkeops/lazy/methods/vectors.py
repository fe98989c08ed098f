"""Lazy tensors as vectors: norms, products and parts of their components."""

from __future__ import annotations

from skkeops.formula import operations as ops

from .base import Methods

__all__ = ["Vectors"]


class Vectors(Methods):
    """Operations on the components of a value. Those of two operands are equal in number, or one has a single one."""

    __slots__ = ()

    def sqnorm2(self):
        """Return the sum of the squared components."""
        return self._apply(ops.SqNorm2.build)

    def norm2(self):
        """Return the Euclidean norm of the components."""
        return self._apply(ops.Norm2.build)

    def norm(self, dim=-1):
        """Return the Euclidean norm of the components; dim is -1."""
        if dim not in (-1, len(self._shape) - 1):
            raise ValueError(f"a norm is one of the components, dim=-1: found dim={dim!r}")
        return self.norm2()

    def normalize(self):
        """Return the vector divided by its Euclidean norm."""
        return self._apply(ops.Normalize.build)

    def sqdist(self, other):
        """Return the squared Euclidean distance."""
        return self._apply(ops.SqDist.build, other)

    def weightedsqnorm(self, other):
        """Return the squared norm with weights: one, one for each component, or a symmetric matrix row by row."""
        return self._operand(other)._apply(ops.WeightedSqNorm.build, self)

    def weightedsqdist(self, g, s):
        """Return the squared distance to `g` with weights `s`, as `weightedsqnorm`."""
        return self._operand(s, g)._apply(ops.WeightedSqDist.build, self, g)

    def elem(self, i):
        """Return component i."""
        return self._apply(ops.Elem.build, params=(i,))

    def extract(self, i, d):
        """Return `d` components from `i` on."""
        return self._apply(ops.Extract.build, params=(i, d))

    def concat(self, other):
        """Return the components of both, one behind the other."""
        return self._apply(ops.Concat.build, other)

    @classmethod
    def concatenate(cls, tensors, axis=-1, dim=None):
        """Return the components of several tensors, one behind the other; axis, or dim, is -1."""
        axis = axis if dim is None else dim
        among = [t for t in tensors if isinstance(t, Methods)]
        tensors = [among[0]._operand(t, *among) if among else cls(t) for t in tensors]
        if not tensors or axis not in (-1, len(tensors[0]._shape) - 1):
            raise ValueError(f"components of at least one tensor are concatenated along axis=-1: found axis={axis!r}")
        first, *others = tensors
        for other in others:
            first = first.concat(other)
        return first

    cat = concatenate

    def one_hot(self, D):  # noqa: N803  KeOps' name
        """Return `D` components, 1 at the index that x rounds to, else 0."""
        return self._apply(ops.OneHot.build, params=(D,))

    def bspline(self, x, k=0):
        """Return the values at x of the B-splines of order k, whose knots are the components."""
        return self._apply(ops.BSpline.build, x, params=(k,))

    def matvecmult(self, other):
        """Return the product of a matrix, row by row, with a vector."""
        return self._apply(ops.MatVecMult.build, other)

    def vecmatmult(self, other):
        """Return the product of a vector with a matrix, row by row."""
        return self._apply(ops.VecMatMult.build, other)

    def tensorprod(self, other):
        """Return the tensor product of two vectors, row by row."""
        return self._apply(ops.TensorProd.build, other)

    def keops_tensordot(self, other, dimfa, dimfb, contfa, contfb, *permutation):
        """Return the contraction of two tensors of the given shapes over the given axes."""
        return self._apply(ops.TensorDot.build, other, params=(dimfa, dimfb, contfa, contfb, *permutation))

    def keops_kron(self, other, dimfself, dimfother):
        """Return the Kronecker product of two tensors of the given shapes."""
        return self._apply(ops.Kron.build, other, params=(dimfself, dimfother))

    def softdtw_sqdist(self, other, gamma):
        """Return the soft dynamic time warping of two series, with squared distances; see `skkeops.formula`."""
        return self._apply(ops.SoftDTW_SqDist.build, other, gamma)
