"""The operations and reductions of LazyTensor, by KeOps' names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skkeops.devices import as_array
from skkeops.formula import operations as ops

if TYPE_CHECKING:
    from .tensor import LazyTensor

__all__ = ["Methods"]


class Methods:
    """Operators, functions, operations on vectors, and reductions.

    Operands may be LazyTensors, arrays with the shapes that `LazyTensor` takes, and numbers. Components of two operands
    are equal in number, or one of them has a single component.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def _apply(self, build: Any, *others: Any, params: Sequence[Any] = ()) -> LazyTensor: ...
        def _reduce(self, op: str, axis: Any, **options: Any) -> Any: ...

    # Operators

    def __neg__(self):
        return self._apply(ops.Minus.build)

    def __pos__(self):
        return self

    def __abs__(self):
        return self._apply(ops.Abs.build)

    def __add__(self, other):
        if _is_operator(other):
            return NotImplemented
        return self._apply(ops.Add.build, other)

    def __radd__(self, other):
        return _tensor(other, self)._apply(ops.Add.build, self)

    def __sub__(self, other):
        if _is_operator(other):
            return NotImplemented
        return self._apply(ops.Subtract.build, other)

    def __rsub__(self, other):
        return _tensor(other, self)._apply(ops.Subtract.build, self)

    def __mul__(self, other):
        return self._apply(ops.Mult.build, other)

    def __rmul__(self, other):
        return _tensor(other, self)._apply(ops.Mult.build, self)

    def __truediv__(self, other):
        return self._apply(ops.Divide.build, other)

    def __rtruediv__(self, other):
        return _tensor(other, self)._apply(ops.Divide.build, self)

    def __pow__(self, other):
        return self._apply(ops.Powf.build, other)

    def __rpow__(self, other):
        return _tensor(other, self)._apply(ops.Powf.build, self)

    def __or__(self, other):
        return self._apply(ops.Scalprod.build, other)

    def __ror__(self, other):
        return _tensor(other, self)._apply(ops.Scalprod.build, self)

    def __lt__(self, other):
        return self._apply(ops.LessThan.build, other)

    def __le__(self, other):
        return self._apply(ops.LessOrEqual.build, other)

    def __gt__(self, other):
        return _tensor(other, self)._apply(ops.LessThan.build, self)

    def __ge__(self, other):
        return _tensor(other, self)._apply(ops.LessOrEqual.build, self)

    def __eq__(self, other):
        return self._apply(ops.Equal.build, other)

    def __ne__(self, other):
        return self._apply(ops.NotEqual.build, other)

    # Functions

    def exp(self):
        """Return the exponential."""
        return self._apply(ops.Exp.build)

    def log(self):
        """Return the natural logarithm."""
        return self._apply(ops.Log.build)

    def xlogx(self):
        """Return x log x, 0 at 0."""
        return self._apply(ops.XLogX.build)

    def sin(self):
        """Return the sine."""
        return self._apply(ops.Sin.build)

    def cos(self):
        """Return the cosine."""
        return self._apply(ops.Cos.build)

    def asin(self):
        """Return the arc sine."""
        return self._apply(ops.Asin.build)

    def acos(self):
        """Return the arc cosine."""
        return self._apply(ops.Acos.build)

    def atan(self):
        """Return the arc tangent."""
        return self._apply(ops.Atan.build)

    def atan2(self, other):
        """Return the angle of the point (other, self)."""
        return self._apply(ops.Atan2.build, other)

    def sinxdivx(self):
        """Return sin x / x, 1 at 0."""
        return self._apply(ops.SinXDivX.build)

    def sinc(self):
        """Return sin(pi x) / (pi x), 1 at 0, as NumPy does."""
        return (math.pi * self).sinxdivx()

    def abs(self):
        """Return the absolute value."""
        return self._apply(ops.Abs.build)

    def sign(self):
        """Return -1, 0 or 1."""
        return self._apply(ops.Sign.build)

    def step(self):
        """Return 1 where x >= 0, else 0."""
        return self._apply(ops.Step.build)

    def relu(self):
        """Return x where it is positive, else 0."""
        return self._apply(ops.ReLU.build)

    def floor(self):
        """Return the largest integer that is not larger."""
        return self._apply(ops.Floor.build)

    def inv(self):
        """Return 1 / x."""
        return self._apply(ops.Inv.build)

    def square(self):
        """Return the square."""
        return self._apply(ops.Square.build)

    def sqrt(self):
        """Return the square root."""
        return self._apply(ops.Sqrt.build)

    def rsqrt(self):
        """Return 1 / sqrt(x), 0 at 0."""
        return self._apply(ops.Rsqrt.build)

    def power(self, other):
        """Return x ** other."""
        return self**other

    def clamp(self, low, high):
        """Return x kept between two operands."""
        return self._apply(ops.Clamp.build, low, high)

    def ifelse(self, a, b):
        """Return a where x >= 0, else b."""
        return self._apply(ops.IfElse.build, a, b)

    def maximum(self, other):
        """Return the larger of two operands."""
        return self._apply(_maximum, other)

    def minimum(self, other):
        """Return the smaller of two operands."""
        return self._apply(_minimum, other)

    def mod(self, modulus, offset=0):
        """Return x - modulus * floor((x - offset) / modulus)."""
        return self._apply(ops.Mod.build, modulus, offset)

    def round(self, d=0):
        """Return x rounded to d decimals."""
        return self._apply(ops.Round.build, params=(d,))

    # Vectors

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

    def weightedsqnorm(self, weights):
        """Return the squared norm with weights: one, one for each component, or a symmetric matrix row by row."""
        return _tensor(weights)._apply(ops.WeightedSqNorm.build, self)

    def weightedsqdist(self, other, weights):
        """Return the squared distance with weights, as `weightedsqnorm`."""
        return _tensor(weights)._apply(ops.WeightedSqDist.build, self, other)

    def elem(self, k):
        """Return component k."""
        return self._apply(ops.Elem.build, params=(k,))

    def extract(self, start, dim):
        """Return `dim` components from `start` on."""
        return self._apply(ops.Extract.build, params=(start, dim))

    def concat(self, other):
        """Return the components of both, one behind the other."""
        return self._apply(ops.Concat.build, other)

    @staticmethod
    def concatenate(tensors, axis=-1):
        """Return the components of several tensors, one behind the other; axis is -1."""
        tensors = [_tensor(t) for t in tensors]
        if not tensors or axis not in (-1, len(tensors[0]._shape) - 1):
            raise ValueError(f"components of at least one tensor are concatenated along axis=-1: found axis={axis!r}")
        first, *others = tensors
        for other in others:
            first = first.concat(other)
        return first

    cat = concatenate

    def one_hot(self, dim):
        """Return `dim` components, 1 at the index that x rounds to, else 0."""
        return self._apply(ops.OneHot.build, params=(dim,))

    def bspline(self, x, k):
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

    def keops_kron(self, other, dimfa, dimfb):
        """Return the Kronecker product of two tensors of the given shapes."""
        return self._apply(ops.Kron.build, other, params=(dimfa, dimfb))

    # Choices of pairs

    def where(self, a, b):
        """Return a where the tensor is not 0, else b; see `skkeops.where`."""
        return _masks().where(self, a, b)

    def tril(self, k=0, fill=0):
        """Return the tensor where j <= i + k, `fill` elsewhere. Nothing is stored for a pair.

        Every pair is still visited; reductions that skip those of the fill take
        ``ranges=skkeops.cluster.band_ranges(M, N, None, k)``.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Vi, Vj
        >>> (Vi(np.ones((2, 1))) * Vj(np.ones((3, 1)))).tril().dense()
        array([[1., 0., 0.],
               [1., 1., 0.]])
        """
        return _masks().tril(self, k, fill)

    def triu(self, k=0, fill=0):
        """Return the tensor where j >= i + k, `fill` elsewhere; see `tril`."""
        return _masks().triu(self, k, fill)

    def band(self, lower, upper, fill=0):
        """Return the tensor where i - lower <= j <= i + upper, `fill` elsewhere; see `tril`.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Vi, Vj
        >>> (Vi(np.ones((3, 1))) * Vj(np.ones((3, 1)))).band(0, 1, fill=-np.inf).max(axis=0).ravel()
        array([1., 1., 1.])
        """
        return _masks().band(self, lower, upper, fill)

    # Reductions: over the components (axis=-1), i or j

    def sum(self, axis=-1, dim=None, **options):
        """Return the sum over the components (axis=-1, lazily), i or j."""
        axis = _axis(axis, dim)
        return self._apply(ops.Sum.build) if _is_last(self, axis) else self._reduce("Sum", axis, **options)

    def sum_reduction(self, axis=None, dim=None, **options):
        """Return the sum over i or j."""
        return self._reduce("Sum", _axis(axis, dim), **options)

    def mean(self, axis=-1, dim=None, **options):
        """Return the mean over the components (axis=-1, lazily), i or j."""
        axis = _axis(axis, dim)
        if _is_last(self, axis):
            return self.sum(-1) / self.ndim
        return self.sum(axis, **options) / (self._shape[axis] or 1)

    def logsumexp(self, axis=None, dim=None, weight=None, **options):
        """Return the logarithm of the sum of exponentials over i or j, weighted if there is a weight."""
        return self._reduce("LogSumExp", _axis(axis, dim), weight=weight, **options)

    logsumexp_reduction = logsumexp

    def sumsoftmaxweight(self, weight, axis=None, dim=None, **options):
        """Return the mean of a weight with the softmax of the tensor over i or j."""
        return self._reduce("SumSoftMaxWeight", _axis(axis, dim), weight=weight, **options)

    sumsoftmaxweight_reduction = sumsoftmaxweight

    def min(self, axis=-1, dim=None, **options):
        """Return the least value over the components, i or j."""
        axis = _axis(axis, dim)
        return self._apply(ops.Min.build) if _is_last(self, axis) else self._reduce("Min", axis, **options)

    def max(self, axis=-1, dim=None, **options):
        """Return the largest value over the components, i or j."""
        axis = _axis(axis, dim)
        return self._apply(ops.Max.build) if _is_last(self, axis) else self._reduce("Max", axis, **options)

    def argmin(self, axis=-1, dim=None, **options):
        """Return the index of the least value over the components, i or j."""
        axis = _axis(axis, dim)
        return self._apply(ops.ArgMin.build) if _is_last(self, axis) else self._reduce("ArgMin", axis, **options)

    def argmax(self, axis=-1, dim=None, **options):
        """Return the index of the largest value over the components, i or j."""
        axis = _axis(axis, dim)
        return self._apply(ops.ArgMax.build) if _is_last(self, axis) else self._reduce("ArgMax", axis, **options)

    def min_reduction(self, axis=None, dim=None, **options):
        """Return the least value over i or j."""
        return self._reduce("Min", _axis(axis, dim), **options)

    def max_reduction(self, axis=None, dim=None, **options):
        """Return the largest value over i or j."""
        return self._reduce("Max", _axis(axis, dim), **options)

    def argmin_reduction(self, axis=None, dim=None, **options):
        """Return the index of the least value over i or j."""
        return self._reduce("ArgMin", _axis(axis, dim), **options)

    def argmax_reduction(self, axis=None, dim=None, **options):
        """Return the index of the largest value over i or j."""
        return self._reduce("ArgMax", _axis(axis, dim), **options)

    def min_argmin(self, axis=None, dim=None, **options):
        """Return the least value over i or j, and its index."""
        return self._reduce("Min_ArgMin", _axis(axis, dim), **options)

    min_argmin_reduction = min_argmin

    def max_argmax(self, axis=None, dim=None, **options):
        """Return the largest value over i or j, and its index."""
        return self._reduce("Max_ArgMax", _axis(axis, dim), **options)

    max_argmax_reduction = max_argmax

    def Kmin(self, K, axis=None, dim=None, **options):  # noqa: N802, N803 (KeOps' names)
        """Return the K least values over i or j."""
        return self._reduce("KMin", _axis(axis, dim), opt_arg=K, **options)

    Kmin_reduction = Kmin

    def argKmin(self, K, axis=None, dim=None, **options):  # noqa: N802, N803
        """Return the indices of the K least values over i or j."""
        return self._reduce("ArgKMin", _axis(axis, dim), opt_arg=K, **options)

    argKmin_reduction = argKmin

    def Kmin_argKmin(self, K, axis=None, dim=None, **options):  # noqa: N802, N803
        """Return the K least values over i or j, and their indices."""
        return self._reduce("KMin_ArgKMin", _axis(axis, dim), opt_arg=K, **options)

    Kmin_argKmin_reduction = Kmin_argKmin

    def __matmul__(self, v: Any, **options: Any) -> Any:
        """Return the sums over j of the tensor, of one component, times rows of v: (N,), (N, k) or (..., N, k).

        With a tensor of points i and j, or one of SciPy's operators, it is their product as a `LazyOperator`.
        """
        if isinstance(v, Methods):
            if v._rows[0] is None:
                return (self * v).sum(axis=len((self * v).batch) + 1, **options)
            return self.operator @ v
        if _is_operator(v):
            return self.operator @ v
        v = v.toarray() if hasattr(v, "toarray") else as_array(v)
        if self.ndim != 1:
            raise ValueError(f"K @ v is for tensors of one component: found {self.ndim}; see .sum() and (K * v).sum()")
        columns = v[:, None] if v.ndim == 1 else v
        product = self * type(self)(columns, axis=1)
        result = product.sum(axis=len(product.batch) + 1, **options)
        return result[..., 0] if v.ndim == 1 else result

    def __rmatmul__(self, v: Any) -> Any:
        if _is_operator(v) or hasattr(v, "tocsr"):
            from .operator import as_operator

            return as_operator(v) @ self
        v = as_array(v)
        return self.t() @ v if v.ndim == 1 else np.swapaxes(self.t() @ np.swapaxes(v, -1, -2), -1, -2)

    def matvec(self, v):
        """Return K @ v."""
        return self @ v

    def matmat(self, v):
        """Return K @ v."""
        return self @ v

    def rmatmat(self, v):
        """Return K.T @ v."""
        return self.t() @ v

    def rmatvec(self, v):
        """Return K.T @ v."""
        return self.t() @ v


def _tensor(x: Any, beside: Any = None) -> LazyTensor:
    from .tensor import as_tensor

    return as_tensor(x, 1 if beside is None else beside.ndim)


def _maximum(a, b):
    return ops.IfElse.build(a - b, a, b)


def _minimum(a, b):
    return ops.IfElse.build(b - a, a, b)


def _masks() -> Any:
    from . import masks

    return masks


def _is_operator(x: Any) -> bool:
    """Return whether it is one of SciPy's linear operators, without importing them."""
    return hasattr(x, "rmatmat") and not hasattr(x, "symbols")


def _axis(axis: Any, dim: Any) -> Any:
    return axis if dim is None else dim


def _is_last(tensor: Any, axis: Any) -> bool:
    return axis == -1 or axis == len(tensor.batch) + 2
