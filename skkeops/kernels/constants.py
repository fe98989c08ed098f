"""Kernels that do not look at the features."""

from __future__ import annotations

from skkeops.formula import operations as ops
from skkeops.formula.expression import Constant as Number
from skkeops.formula.expression import Expression

from .base import Kernel
from .binding import Scope
from .parameter import Parameter

__all__ = ["Constant", "White"]


class _Blind(Kernel):
    """A kernel that does not look at the features, of which there may be any number, or none: samples may be texts."""

    def __init__(self):
        pass

    @property
    def requires_vector_input(self):
        """Whether samples have to be rows of numbers: False."""
        return False

    def check_columns(self, n_x: int, n_y: int) -> None:
        pass


class Constant(_Blind):
    """The same number for every pair, scikit-learn's ``ConstantKernel``.

    .. math:: k(x, y) = c

    Parameters
    ----------
    constant_value : float, default=1.0
        The number c, positive.
    constant_value_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Where a Gaussian process looks for it.

    Examples
    --------
    >>> from skkeops.kernels import Constant
    >>> Constant(2.0)([[0.0], [1.0]])
    array([[2., 2.],
           [2., 2.]])
    """

    _parameters = (Parameter("constant_value"),)
    _nonnegative = True

    def __init__(self, constant_value=1.0, constant_value_bounds=(1e-5, 1e5)):
        self.constant_value = constant_value
        self.constant_value_bounds = constant_value_bounds

    def formula_text(self) -> str:
        return "constant_value"


class White(_Blind):
    """Noise: positive for a sample with itself, zero between two samples, scikit-learn's ``WhiteKernel``.

    .. math:: k(x_i, x_j) = s \\, [i = j]

    Two samples with the same features are two samples: only ``k(X)``, without a second argument, ``k.diag(X)`` and the system
    that `skkeops.KernelRidge` solves in its fit know which are the same. Queries are other samples than those of a fit.

    Parameters
    ----------
    noise_level : float, default=1.0
        The variance s of the noise, positive.
    noise_level_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Where a Gaussian process looks for it.

    Examples
    --------
    >>> from skkeops.kernels import White
    >>> White(0.5)([[0.0], [0.0]])
    array([[0.5, 0. ],
           [0. , 0.5]])
    """

    _parameters = (Parameter("noise_level"),)
    _nonnegative = True

    def __init__(self, noise_level=1.0, noise_level_bounds=(1e-5, 1e5)):
        self.noise_level = noise_level
        self.noise_level_bounds = noise_level_bounds

    def formula_text(self) -> str:
        return "noise_level"

    def expression(self, scope: Scope) -> Expression:
        level = super().expression(scope)
        return level if scope.on_diagonal else Number(0)

    def log_expression(self, scope: Scope) -> Expression:
        return ops.Log.build(self.expression(scope))
