"""Kernels of distances."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np

from .base import Kernel
from .parameter import Parameter

__all__ = [
    "Cauchy",
    "Energy",
    "ExpSineSquared",
    "Exponential",
    "Gaussian",
    "InverseMultiquadric",
    "Laplacian",
    "Matern",
    "RBF",
    "RationalQuadratic",
]

# Its inverse, times the factors of a formula, is finite.
_LENGTH_SCALE = Parameter("length_scale", per_feature=True, margin=64)
_SQUARED_IN_RANGE = (1e-9, 1e9)  # lengths of which the second and the fourth power are normal numbers, in float32 too


class _Scaled(Kernel):
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


class Gaussian(_Scaled):
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


class Laplacian(_Scaled):
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


class Exponential(_Scaled):
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


class Cauchy(_Scaled):
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


class InverseMultiquadric(_Scaled):
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


class Matern(_Scaled):
    r"""The Matérn kernel of a half-integer smoothness, scikit-learn's ``Matern``.

    With the scaled distance :math:`r = \|(x - y) / l\|_2` and :math:`s = \sqrt{2 \nu} \, r`:

    .. math::
        k_{1/2} = e^{-s}, \quad k_{3/2} = (1 + s) e^{-s}, \quad k_{5/2} = (1 + s + s^2/3) e^{-s}, \quad
        k_\infty = e^{-r^2/2}

    Parameters
    ----------
    length_scale : float or array-like of shape (n_features,), default=1.0
        The length l, positive: one for all features, or one for each.
    length_scale_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Where a Gaussian process looks for it.
    nu : float, default=1.5
        The smoothness: 0.5, 1.5, 2.5, ... up to 20.5, or ``inf`` for the Gaussian kernel. Not tuned by gradient.
    active_dims : sequence of int, default=None
        The columns of the samples that it compares; None means all.

    Notes
    -----
    Other values of nu need a Bessel function, which the formula language does not have: they are refused.

    References
    ----------
    C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press, 2006, chapter 4.

    Examples
    --------
    >>> from skkeops.kernels import Matern
    >>> Matern(nu=2.5)([[0.0]], [[0.0], [1.0]]).round(4)
    array([[1.   , 0.524]])
    """

    def __init__(self, length_scale=1.0, length_scale_bounds=(1e-5, 1e5), nu=1.5, active_dims=None):
        super().__init__(length_scale, length_scale_bounds, active_dims)
        self.nu = nu

    def check_parameters(self) -> None:
        super().check_parameters()
        if isinstance(self.nu, Real) and self.nu == math.inf:
            return
        Parameter("nu").check(self.nu, "Matern")
        if self.nu > 20.5 or not float(self.nu - 0.5).is_integer():
            raise ValueError(
                "The 'nu' parameter of Matern must be 0.5, 1.5, 2.5, ... up to 20.5, or inf. "
                f"Got {self.nu!r} instead."
            )

    def formula_text(self) -> str:
        # Beyond 1000 the exponential is 0 to all digits, and the polynomial has to stay finite.
        return f"Exp({self._exponent()})*{self._polynomial(1000)}"

    def log_formula_text(self) -> str:
        return f"{self._exponent()}+{self._log_polynomial()}"

    def _exponent(self) -> str:
        return f"-{self._squared_distance}/2" if self.nu == math.inf else f"-{self._distance(math.sqrt(2 * self.nu))}"

    def _coefficients(self) -> list[str]:
        """Return those of the polynomial of s in front of the exponential (Rasmussen and Williams, 4.16)."""
        p = 0 if self.nu == math.inf else int(self.nu - 0.5)
        found = []
        for k in range(p + 1):
            numerator = math.factorial(p) * math.factorial(2 * p - k) * 2**k
            found.append(f"RatCst({numerator},{math.factorial(2 * p) * math.factorial(p - k) * math.factorial(k)})")
        return found

    def _scaled_distance(self, largest: float) -> str:
        return f"Clamp({self._distance(math.sqrt(2 * self.nu))},0,{largest!r})"

    def _polynomial(self, largest: float) -> str:
        *coefficients, text = self._coefficients()
        for coefficient in reversed(coefficients):
            text = f"({coefficient}+{self._scaled_distance(largest)}*{text})"
        return text

    def _log_polynomial(self) -> str:
        # Beyond 1e18 the polynomial is nothing beside the exponent.
        *coefficients, text = self._coefficients()
        p = len(coefficients)
        if p <= 2:
            return f"Log({self._polynomial(1e18)})"
        # Higher powers overflow in float32: (1 + s)^p, which only its logarithm is needed of, times a polynomial of
        # 1 / (1 + s) and s / (1 + s).
        shifted = f"(1+{self._scaled_distance(1e18)})"
        for k in reversed(range(p)):
            text = f"({coefficients[k]}/{shifted}**{p - k}+(1-1/{shifted})*{text})"
        return f"{p}*Log({shifted})+Log({text})"


class RationalQuadratic(_Scaled):
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
        # A quotient, which is whole after whole periods; they are taken off, as the sine of a rounded multiple of pi is not
        # quite 0.
        turns = f"{'(x-y)' if is_product else 'Norm2(x-y)'}/periodicity"
        return f"-2*SqNorm2(Sin({math.pi!r}*({turns}-Round({turns},0)))*Inv(length_scale))"


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
