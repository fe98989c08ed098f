"""Kernels of histograms: samples without negative values."""

from __future__ import annotations

from .base import Kernel
from .parameter import Parameter

__all__ = ["AdditiveChi2", "Chi2"]

# A feature that is zero in both samples contributes nothing: 0 / 1 instead of 0 / 0.
_DISTANCE = "Sum(Square(x-y)/(x+y+(x+y==0)))"


class AdditiveChi2(Kernel):
    r"""The additive chi-squared kernel, as scikit-learn's ``additive_chi2_kernel``; 0/0 counts as 0.

    .. math:: k(x, y) = -\sum_d \frac{(x_d - y_d)^2}{x_d + y_d}

    Parameters
    ----------
    active_dims : sequence of int, default=None
        The columns of the samples that it compares; None means all.

    References
    ----------
    J. Zhang, M. Marszalek, S. Lazebnik, C. Schmid, "Local features and kernels for classification of texture and object
    categories", International Journal of Computer Vision 73, 2007.

    Examples
    --------
    >>> from skkeops.kernels import AdditiveChi2
    >>> AdditiveChi2()([[1.0, 0.0]], [[3.0, 0.0]])
    array([[-1.]])
    """

    _stationary = False
    requires_nonnegative = True

    def formula_text(self) -> str:
        return f"-{_DISTANCE}"


class Chi2(Kernel):
    r"""The exponential chi-squared kernel, as scikit-learn's ``chi2_kernel``; 0/0 counts as 0.

    .. math:: k(x, y) = \exp\left(-\gamma \sum_d \frac{(x_d - y_d)^2}{x_d + y_d}\right)

    Parameters
    ----------
    gamma : float, default=1.0
        The factor gamma, positive.
    gamma_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Where a Gaussian process looks for it.
    active_dims : sequence of int, default=None
        The columns of the samples that it compares; None means all.

    References
    ----------
    As for `AdditiveChi2`.

    Examples
    --------
    >>> from skkeops.kernels import Chi2
    >>> Chi2()([[1.0, 0.0]], [[3.0, 0.0]]).round(4)
    array([[0.3679]])
    """

    _parameters = (Parameter("gamma", margin=1),)
    _nonnegative = True
    _stationary = False
    requires_nonnegative = True

    def __init__(self, gamma=1.0, gamma_bounds=(1e-5, 1e5), active_dims=None):
        self.gamma = gamma
        self.gamma_bounds = gamma_bounds
        self.active_dims = active_dims

    def formula_text(self) -> str:
        return f"Exp(-gamma*{_DISTANCE})"

    def log_formula_text(self) -> str:
        return f"-gamma*{_DISTANCE}"
