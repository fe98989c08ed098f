"""Kernels of distances, in units of a length."""

from __future__ import annotations

import numpy as np

from .base import Kernel
from .parameter import Parameter

__all__ = [
    "Cauchy",
    "Energy",
    "Exponential",
    "Gaussian",
    "InverseMultiquadric",
    "Laplacian",
    "RBF",
    "RationalQuadratic",
]

# The margin keeps the inverse of the length finite, also times the factors of a formula.
_LENGTH_SCALE = Parameter("length_scale", per_feature=True, margin=64)
_SQUARED_IN_RANGE = (1e-9, 1e9)  # lengths whose second and fourth powers are normal numbers, in float32 too


class Scaled(Kernel):
    """A kernel of distances in units of a length, or of a length for each feature.

    Differences are taken first, of the samples as they are: rounded quotients would lose the digits of samples that are
    far from the origin. A common length divides their norm. Lengths of each feature, and one whose square could overflow or
    underflow, divide the differences.
    """

    _parameters = (_LENGTH_SCALE,)
    _nonnegative = True

    def __init__(self, length_scale=1.0, length_scale_bounds=(1e-5, 1e5), active_dims=None):
        self.length_scale = length_scale
        self.length_scale_bounds = length_scale_bounds
        self.active_dims = active_dims

    @property
    def anisotropic(self):
        """Whether each feature has a length of its own."""
        return np.size(self.length_scale) > 1

    @property
    def _divides_differences(self) -> bool:
        low, high = _SQUARED_IN_RANGE
        return self.anisotropic or not low <= np.max(self.length_scale) <= high

    @property
    def _squared_distance(self) -> str:
        """The square of the distance in units of the length, as a formula."""
        if self._divides_differences:
            return "SqNorm2((x-y)*Inv(length_scale))"
        return "(Square(1/length_scale)*SqDist(x,y))"

    def _distance(self, factor: float = 1) -> str:
        """Return a factor times the distance in units of the length, as a formula."""
        if self._divides_differences:
            return f"({factor!r}*Norm2((x-y)*Inv(length_scale)))"
        return f"({factor!r}/length_scale*Norm2(x-y))"

    @property
    def _city_block_distance(self) -> str:
        if self._divides_differences:
            return "Sum(Abs((x-y)*Inv(length_scale)))"
        return "(1/length_scale*Sum(Abs(x-y)))"


class Gaussian(Scaled):
    r"""The Gaussian kernel, scikit-learn's ``RBF``.

    .. math:: k(x, y) = \exp\left(-\tfrac12 \|(x - y) / l\|_2^2\right)

    Parameters
    ----------
    length_scale : float or array-like of shape (n_features,), default=1.0
        The length l, positive: one for all features, or one for each.
    length_scale_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Where a Gaussian process looks for it.
    active_dims : sequence of int, default=None
        The columns of the samples that it compares; None means all.

    References
    ----------
    C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press, 2006, chapter 4.

    Examples
    --------
    >>> from skkeops.kernels import Gaussian
    >>> Gaussian()([[0.0]], [[0.0], [1.0]]).round(4)
    array([[1.    , 0.6065]])
    """

    def formula_text(self) -> str:
        return f"Exp(-{self._squared_distance}/2)"

    def log_formula_text(self) -> str:
        return f"-{self._squared_distance}/2"


RBF = Gaussian


class Laplacian(Scaled):
    r"""The Laplacian kernel, of the L1 distance, as scikit-learn's ``laplacian_kernel``.

    .. math:: k(x, y) = \exp\left(-\|(x - y) / l\|_1\right)

    Parameters
    ----------
    length_scale : float or array-like of shape (n_features,), default=1.0
        The length l, positive: one for all features, or one for each.
    length_scale_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Where a Gaussian process looks for it.
    active_dims : sequence of int, default=None
        The columns of the samples that it compares; None means all.

    References
    ----------
    B. Schölkopf, A. J. Smola, "Learning with Kernels", MIT Press, 2002.

    Examples
    --------
    >>> from skkeops.kernels import Laplacian
    >>> Laplacian()([[0.0, 0.0]], [[1.0, 1.0]]).round(4)
    array([[0.1353]])
    """

    def formula_text(self) -> str:
        return f"Exp(-{self._city_block_distance})"

    def log_formula_text(self) -> str:
        return f"-{self._city_block_distance}"


class Exponential(Scaled):
    r"""The exponential kernel, of the Euclidean distance; the same as ``Matern(nu=0.5)``.

    .. math:: k(x, y) = \exp\left(-\|(x - y) / l\|_2\right)

    Parameters
    ----------
    length_scale : float or array-like of shape (n_features,), default=1.0
        The length l, positive: one for all features, or one for each.
    length_scale_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Where a Gaussian process looks for it.
    active_dims : sequence of int, default=None
        The columns of the samples that it compares; None means all.

    References
    ----------
    C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press, 2006, chapter 4.

    Examples
    --------
    >>> from skkeops.kernels import Exponential
    >>> Exponential()([[0.0, 0.0]], [[3.0, 4.0]]).round(4)
    array([[0.0067]])
    """

    def formula_text(self) -> str:
        return f"Exp(-{self._distance()})"

    def log_formula_text(self) -> str:
        return f"-{self._distance()}"


class Cauchy(Scaled):
    r"""The Cauchy kernel.

    .. math:: k(x, y) = \frac{1}{1 + \|(x - y) / l\|_2^2}

    Parameters
    ----------
    length_scale : float or array-like of shape (n_features,), default=1.0
        The length l, positive: one for all features, or one for each.
    length_scale_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Where a Gaussian process looks for it.
    active_dims : sequence of int, default=None
        The columns of the samples that it compares; None means all.

    References
    ----------
    J. Basak, "A least square kernel machine with box constraints", ICPR 2008.

    Examples
    --------
    >>> from skkeops.kernels import Cauchy
    >>> Cauchy()([[0.0]], [[0.0], [1.0]])
    array([[1. , 0.5]])
    """

    def formula_text(self) -> str:
        return f"1/(1+{self._squared_distance})"

    def log_formula_text(self) -> str:
        return f"-Log1p({self._squared_distance})"


class InverseMultiquadric(Scaled):
    r"""The inverse multiquadric kernel.

    .. math:: k(x, y) = \left(1 + \|(x - y) / l\|_2^2\right)^{-1/2}

    Parameters
    ----------
    length_scale : float or array-like of shape (n_features,), default=1.0
        The length l, positive: one for all features, or one for each.
    length_scale_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Where a Gaussian process looks for it.
    active_dims : sequence of int, default=None
        The columns of the samples that it compares; None means all.

    References
    ----------
    C. A. Micchelli, "Interpolation of scattered data", Constructive Approximation 2, 1986.

    Examples
    --------
    >>> from skkeops.kernels import InverseMultiquadric
    >>> InverseMultiquadric()([[0.0]], [[0.0], [1.0]]).round(4)
    array([[1.    , 0.7071]])
    """

    def formula_text(self) -> str:
        return f"Rsqrt(1+{self._squared_distance})"

    def log_formula_text(self) -> str:
        return f"-Log1p({self._squared_distance})/2"


class RationalQuadratic(Scaled):
    r"""The rational quadratic kernel, a mixture of Gaussian kernels of all lengths; scikit-learn's.

    .. math:: k(x, y) = \left(1 + \frac{\|(x - y) / l\|_2^2}{2 \alpha}\right)^{-\alpha}

    Parameters
    ----------
    length_scale : float or array-like of shape (n_features,), default=1.0
        The length l, positive: one for all features, or one for each.
    alpha : float, default=1.0
        The exponent, positive: the larger, the closer to the Gaussian kernel.
    length_scale_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Where a Gaussian process looks for it.
    alpha_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Likewise.
    active_dims : sequence of int, default=None
        The columns of the samples that it compares; None means all.

    References
    ----------
    C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press, 2006, chapter 4.

    Examples
    --------
    >>> from skkeops.kernels import RationalQuadratic
    >>> RationalQuadratic()([[0.0]], [[0.0], [1.0]]).round(4)
    array([[1.    , 0.6667]])
    """

    _parameters = (_LENGTH_SCALE, Parameter("alpha", margin=64))

    def __init__(
        self,
        length_scale=1.0,
        alpha=1.0,
        length_scale_bounds=(1e-5, 1e5),
        alpha_bounds=(1e-5, 1e5),
        active_dims=None,
    ):
        super().__init__(length_scale, length_scale_bounds, active_dims)
        self.alpha = alpha
        self.alpha_bounds = alpha_bounds

    def formula_text(self) -> str:
        return f"Exp({self.log_formula_text()})"

    def log_formula_text(self) -> str:
        if self.alpha > 1e30:  # the limit, to all digits; a squared distance over alpha would underflow
            return f"-{self._squared_distance}/2"
        t = f"(0.5/alpha*{self._squared_distance})"
        if self.alpha < 1e-6:  # t may overflow
            return f"-alpha*IfElse(1-{t},Log1p({t}),Log(2*alpha+{self._squared_distance})-Log(2*alpha))"
        return f"-alpha*Log1p({t})"


class Energy(Kernel):
    r"""The kernel of the energy distance, conditionally positive definite.

    .. math:: k(x, y) = -\|x - y\|_2

    Parameters
    ----------
    active_dims : sequence of int, default=None
        The columns of the samples that it compares; None means all.

    References
    ----------
    G. J. Székely, M. L. Rizzo, "Energy statistics: a class of statistics based on distances", Journal of Statistical
    Planning and Inference 143, 2013.

    Examples
    --------
    >>> from skkeops.kernels import Energy
    >>> Energy()([[0.0, 0.0]], [[3.0, 4.0]])
    array([[-5.]])
    """

    def formula_text(self) -> str:
        return "-Norm2(x-y)"
