"""Kernels of scalar products."""

from __future__ import annotations

from .base import Kernel
from .parameter import Parameter

__all__ = ["Cosine", "DotProduct", "Linear", "Polynomial", "Sigmoid"]


class Linear(Kernel):
    r"""The scalar product, as scikit-learn's ``linear_kernel``.

    .. math:: k(x, y) = \langle x, y \rangle

    Examples
    --------
    >>> from skkeops.kernels import Linear
    >>> Linear()([[1.0, 2.0]], [[3.0, 4.0]])
    array([[11.]])
    """

    _stationary = False

    def formula_text(self) -> str:
        return "(x|y)"


class DotProduct(Kernel):
    r"""The scalar product and a constant, scikit-learn's ``DotProduct``.

    .. math:: k(x, y) = \sigma_0^2 + \langle x, y \rangle

    Parameters
    ----------
    sigma_0 : float, default=1.0
        The number sigma_0, positive. See `Linear` for zero.
    sigma_0_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Where a Gaussian process looks for it.

    Examples
    --------
    >>> from skkeops.kernels import DotProduct
    >>> DotProduct(2.0)([[1.0, 2.0]], [[3.0, 4.0]])
    array([[15.]])
    """

    _parameters = (Parameter("sigma_0"),)
    _stationary = False

    def __init__(self, sigma_0=1.0, sigma_0_bounds=(1e-5, 1e5)):
        self.sigma_0 = sigma_0
        self.sigma_0_bounds = sigma_0_bounds

    def formula_text(self) -> str:
        return "Square(sigma_0)+(x|y)"


class Polynomial(Kernel):
    r"""The polynomial kernel, as scikit-learn's ``polynomial_kernel``.

    .. math:: k(x, y) = (\gamma \langle x, y \rangle + c_0)^d

    Parameters
    ----------
    degree : float, default=3
        The exponent d, positive. Unless it is an integer, a negative base gives NaN. Not tuned by gradient.
    gamma : float, default=1.0
        The factor gamma, positive.
    coef0 : float, default=1.0
        The constant c_0.
    gamma_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Where a Gaussian process looks for it.

    References
    ----------
    B. Schölkopf, A. J. Smola, "Learning with Kernels", MIT Press, 2002.

    Examples
    --------
    >>> from skkeops.kernels import Polynomial
    >>> Polynomial(degree=2)([[1.0, 2.0]], [[3.0, 4.0]])
    array([[144.]])
    """

    _parameters = (Parameter("gamma"), Parameter("coef0", "real"))
    _stationary = False

    def __init__(self, degree=3, gamma=1.0, coef0=1.0, gamma_bounds=(1e-5, 1e5)):
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.gamma_bounds = gamma_bounds

    def check_parameters(self) -> None:
        super().check_parameters()
        Parameter("degree").check(self.degree, "Polynomial")

    def formula_text(self) -> str:
        degree = float(self.degree)
        return f"(gamma*(x|y)+coef0)**{int(degree) if degree.is_integer() else repr(degree)}"


class Sigmoid(Kernel):
    r"""The sigmoid kernel, as scikit-learn's ``sigmoid_kernel``. It is not positive semi-definite.

    .. math:: k(x, y) = \tanh(\gamma \langle x, y \rangle + c_0)

    Parameters
    ----------
    gamma : float, default=1.0
        The factor gamma, positive.
    coef0 : float, default=1.0
        The constant c_0.
    gamma_bounds : pair of floats or "fixed", default=(1e-5, 1e5)
        Where a Gaussian process looks for it.

    References
    ----------
    H.-T. Lin, C.-J. Lin, "A study on sigmoid kernels for SVM and the training of non-PSD kernels by SMO-type methods",
    National Taiwan University, 2003.

    Examples
    --------
    >>> from skkeops.kernels import Sigmoid
    >>> Sigmoid(coef0=0.0)([[1.0]], [[0.5]]).round(4)
    array([[0.4621]])
    """

    _parameters = (Parameter("gamma"), Parameter("coef0", "real"))
    _stationary = False

    def __init__(self, gamma=1.0, coef0=1.0, gamma_bounds=(1e-5, 1e5)):
        self.gamma = gamma
        self.coef0 = coef0
        self.gamma_bounds = gamma_bounds

    def formula_text(self) -> str:
        z, t = "(gamma*(x|y)+coef0)", "Square(gamma*(x|y)+coef0)"
        # Near 0 the exponential loses the digits of a small z: the continued fraction has them all.
        near = "13"
        for k in range(11, 0, -2):
            near = f"({k}+{t}/{near})"
        # Beyond 20 the hyperbolic tangent is 1 to all digits, and the square of the exponential stays finite.
        return f"IfElse(1/4-{t},{z}/{near},1-2/(1+Exp(2*Clamp({z},-20,20))))"


class Cosine(Kernel):
    r"""The cosine of the angle, as scikit-learn's ``cosine_similarity``; 0 for a row of zeros.

    .. math:: k(x, y) = \frac{\langle x, y \rangle}{\|x\|_2 \|y\|_2}

    Examples
    --------
    >>> from skkeops.kernels import Cosine
    >>> Cosine()([[1.0, 0.0]], [[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0. ]])
    """

    _stationary = False

    def formula_text(self) -> str:
        return "(Normalize(x)|Normalize(y))"
