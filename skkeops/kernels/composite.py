"""Kernels made of kernels: sums, products and powers."""

from __future__ import annotations

from typing import Any

from sklearn.gaussian_process.kernels import Hyperparameter

from skkeops.formula import operations as ops
from skkeops.formula.expression import Constant as Number
from skkeops.formula.expression import Expression, as_expression

from .base import Kernel, plain
from .binding import Scope
from .parameter import Parameter

__all__ = ["Exponentiation", "Product", "Sum"]


class _Composite(Kernel):
    """A kernel whose parameters are kernels; theirs are called ``k1__length_scale``."""

    def _children(self) -> dict[str, Kernel]:
        raise NotImplementedError

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters and, if `deep`, those of the kernels inside."""
        params = super().get_params(deep=False)
        if deep:
            for name, child in self._children().items():
                params.update({f"{name}__{key}": value for key, value in child.get_params().items()})
        return params

    def set_params(self, **params: Any) -> Kernel:
        """Set parameters: kernels first, then the parameters of the kernels inside."""
        super().set_params(**{name: value for name, value in params.items() if "__" not in name})
        return super().set_params(**{name: value for name, value in params.items() if "__" in name})

    @property
    def hyperparameters(self):
        """Those of the kernels inside, in their order."""
        return [
            Hyperparameter(f"{name}__{h.name}", h.value_type, h.bounds, h.n_elements)
            for name, child in self._children().items()
            for h in child.hyperparameters
        ]

    @property
    def requires_vector_input(self):
        """Whether samples have to be rows of numbers for one of the kernels inside."""
        return any(child.requires_vector_input for child in self._children().values())

    def is_stationary(self):
        """Return whether all kernels inside are stationary."""
        return all(child.is_stationary() for child in self._children().values())

    @property
    def requires_nonnegative(self):
        """Whether one of the kernels inside requires samples without negative values."""
        return any(child.requires_nonnegative for child in self._children().values())

    def has_negative(self, X: Any) -> bool:  # noqa: N803
        return any(child.has_negative(X) for child in self._children().values())

    @property
    def _nonnegative(self):
        return all(child._nonnegative for child in self._children().values())

    def check_parameters(self) -> None:
        for name, child in self._children().items():
            if not isinstance(child, Kernel):
                raise TypeError(
                    f"The {name!r} parameter of {type(self).__name__} must be a kernel of skkeops.kernels. "
                    f"Got {child!r} instead."
                )
            child.check_parameters()

    def check_columns(self, n_x: int, n_y: int) -> None:
        for child in self._children().values():
            child.check_columns(n_x, n_y)

    def columns(self, category: int) -> list[tuple[str, int]] | None:
        found = (child.columns(category) for child in self._children().values())
        return next((columns for columns in found if columns is not None), None)

    def query_columns(self, n_y: int) -> int:
        # Kernels that take any number of columns do not decide it.
        found = (child.query_columns(n_y) for child in self._children().values())
        return next((n_x for n_x in found if n_x != n_y), n_y)


class _Pair(_Composite):
    def __init__(self, k1, k2):
        self.k1 = k1
        self.k2 = k2

    def _children(self) -> dict[str, Kernel]:
        return {"k1": self.k1, "k2": self.k2}


class Sum(_Pair):
    """The sum of two kernels, as ``k1 + k2`` makes it.

    .. math:: k(x, y) = k_1(x, y) + k_2(x, y)

    Parameters
    ----------
    k1, k2 : Kernel

    Examples
    --------
    >>> from skkeops import kernels
    >>> k = kernels.Gaussian(2.0) + kernels.White(0.1)
    >>> k([[0.0]])
    array([[1.1]])
    """

    def expression(self, scope: Scope) -> Expression:
        return self.k1.expression(scope.child("k1")) + self.k2.expression(scope.child("k2"))

    def log_expression(self, scope: Scope) -> Expression:
        values = self.k1.expression(scope.child("k1")), self.k2.expression(scope.child("k2"))
        a, b = self.k1.log_expression(scope.child("k1")), self.k2.log_expression(scope.child("k2"))
        if values[0] is Number(0):
            return b
        if values[1] is Number(0):
            return a
        if not self._nonnegative:
            return ops.Log.build(values[0] + values[1])
        # The larger logarithm is taken out of the sum, so that nothing underflows. It is kept above -3e38, which is finite
        # in float32 too, as two kernels that are both zero would give inf - inf.
        largest = ops.Max.build(ops.Concat.build(ops.Concat.build(a, b), as_expression(-3e38)))
        return largest + ops.Log.build(ops.Exp.build(a - largest) + ops.Exp.build(b - largest))

    def __repr__(self) -> str:
        return f"{self.k1!r} + {self.k2!r}"


class Product(_Pair):
    """The product of two kernels, as ``k1 * k2`` makes it.

    .. math:: k(x, y) = k_1(x, y) \\, k_2(x, y)

    Parameters
    ----------
    k1, k2 : Kernel

    Examples
    --------
    >>> from skkeops import kernels
    >>> (3.0 * kernels.Linear())([[2.0]], [[5.0]])
    array([[30.]])
    """

    def expression(self, scope: Scope) -> Expression:
        return self.k1.expression(scope.child("k1")) * self.k2.expression(scope.child("k2"))

    def log_expression(self, scope: Scope) -> Expression:
        if not (self.k1._nonnegative or self.k2._nonnegative):
            return ops.Log.build(self.expression(scope))
        return self.k1.log_expression(scope.child("k1")) + self.k2.log_expression(scope.child("k2"))

    def __repr__(self) -> str:
        def bracket(kernel):
            return f"({kernel!r})" if isinstance(kernel, Sum) else repr(kernel)

        return f"{bracket(self.k1)} * {bracket(self.k2)}"


class Exponentiation(_Composite):
    """A power of a kernel, as ``kernel ** exponent`` makes it.

    .. math:: k(x, y) = k_1(x, y)^p

    Parameters
    ----------
    kernel : Kernel
    exponent : float
        The number p. Negative kernels have integer powers only.

    Examples
    --------
    >>> from skkeops import kernels
    >>> (kernels.Linear() ** 2)([[2.0]], [[3.0]])
    array([[36.]])
    """

    def __init__(self, kernel, exponent):
        self.kernel = kernel
        self.exponent = exponent

    def _children(self) -> dict[str, Kernel]:
        return {"kernel": self.kernel}

    def check_parameters(self) -> None:
        super().check_parameters()
        Parameter("exponent", "real").check(self.exponent, "Exponentiation")

    def expression(self, scope: Scope) -> Expression:
        return self.kernel.expression(scope.child("kernel")) ** _number(self.exponent)

    @property
    def _nonnegative(self):
        return self.kernel._nonnegative or self._is_even()

    def log_expression(self, scope: Scope) -> Expression:
        inner = scope.child("kernel")
        if self._is_even() and not self.kernel._nonnegative:
            return float(self.exponent) * ops.Log.build(ops.Abs.build(self.kernel.expression(inner)))
        return float(self.exponent) * self.kernel.log_expression(inner)

    def _is_even(self) -> bool:
        return float(self.exponent) % 2 == 0

    def __repr__(self) -> str:
        inner = f"({self.kernel!r})" if isinstance(self.kernel, _Composite) else repr(self.kernel)
        return f"{inner} ** {plain(self.exponent)!r}"


def _number(exponent: float) -> int | float:
    return int(exponent) if float(exponent).is_integer() else float(exponent)
