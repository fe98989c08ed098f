"""The Matérn kernels: a polynomial of the distance times its exponential."""

from __future__ import annotations

import math
from numbers import Real

from .parameter import Parameter
from .stationary import Scaled

__all__ = ["Matern"]


class Matern(Scaled):
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
        """Return the coefficients of the polynomial of s that multiplies the exponential (Rasmussen and Williams, 4.16)."""
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
        # Higher powers overflow in float32. The polynomial is (1 + s)^p, whose logarithm is p log(1 + s), times a
        # polynomial of 1 / (1 + s) and s / (1 + s), which is between 0 and 1.
        shifted = f"(1+{self._scaled_distance(1e18)})"
        for k in reversed(range(p)):
            text = f"({coefficients[k]}/{shifted}**{p - k}+(1-1/{shifted})*{text})"
        return f"{p}*Log({shifted})+Log({text})"
