"""Kernels that repeat."""

from __future__ import annotations

import math

import numpy as np

from .base import Kernel
from .parameter import Parameter

__all__ = ["ExpSineSquared"]


class ExpSineSquared(Kernel):
    r"""The periodic kernel, of the sine of the Euclidean distance, scikit-learn's; or, with a length or a period for each
    feature, the product of such kernels.

    .. math::
        k(x, y) = \exp\left(-\frac{2 \sin^2(\pi \|x - y\|_2 / p)}{l^2}\right), \quad
        k(x, y) = \exp\left(-\sum_d \frac{2 \sin^2(\pi (x_d - y_d) / p_d)}{l_d^2}\right)

    Parameters
    ----------
    length_scale : float or array-like of shape (n_features,), default=1.0
        The length l, positive. An array means the product.
    periodicity : float or array-like of shape (n_features,), default=1.0
        The period p, positive. An array means the product.
    length_scale_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Where a Gaussian process looks for it.
    periodicity_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Likewise.
    active_dims : sequence of int, default=None
        The columns of the samples that it compares; None means all.

    Notes
    -----
    The sine of the Euclidean distance is positive semi-definite for one feature only: with two or more, matrices may have
    negative eigenvalues, as scikit-learn's have, and neither Cholesky factors nor Gaussian processes are sure to exist. The product
    is positive semi-definite for any number of features, and periodic along each of them.

    References
    ----------
    D. J. C. MacKay, "Introduction to Gaussian processes", NATO ASI Series F 168, 1998.

    Examples
    --------
    >>> from skkeops.kernels import ExpSineSquared
    >>> ExpSineSquared(periodicity=2.0)([[0.0]], [[1.0], [2.0]]).round(4)
    array([[0.1353, 1.    ]])
    >>> ExpSineSquared(periodicity=[24.0, 7.0])([[0.0, 0.0]], [[24.0, 7.0], [12.0, 7.0]]).round(4)
    array([[1.    , 0.1353]])
    """

    _parameters = (
        Parameter("length_scale", per_feature=True, margin=64),
        Parameter("periodicity", per_feature=True, margin=64),
    )
    _nonnegative = True

    def __init__(
        self,
        length_scale=1.0,
        periodicity=1.0,
        length_scale_bounds=(1e-5, 1e5),
        periodicity_bounds=(1e-5, 1e5),
        active_dims=None,
    ):
        self.length_scale = length_scale
        self.periodicity = periodicity
        self.length_scale_bounds = length_scale_bounds
        self.periodicity_bounds = periodicity_bounds
        self.active_dims = active_dims

    @property
    def anisotropic(self):
        """Whether features have lengths or periods of their own."""
        return max(np.size(self.length_scale), np.size(self.periodicity)) > 1

    def formula_text(self) -> str:
        return f"Exp({self.log_formula_text()})"

    def log_formula_text(self) -> str:
        is_product = np.ndim(self.length_scale) > 0 or np.ndim(self.periodicity) > 0
        # Whole turns are subtracted before the sine, as that of a rounded multiple of pi is not 0. After a whole period the
        # quotient is exactly a whole number.
        turns = f"{'(x-y)' if is_product else 'Norm2(x-y)'}/periodicity"
        return f"-2*SqNorm2(Sin({math.pi!r}*({turns}-Round({turns},0)))*Inv(length_scale))"
