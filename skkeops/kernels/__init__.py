"""Kernels as objects: a formula with parameters that can be set, tuned and differentiated by.

>>> from skkeops import kernels
>>> k = 2.0 * kernels.Gaussian(length_scale=3.0) + kernels.White(0.1)
>>> k.set_params(k1__k2__length_scale=1.0)
Constant(constant_value=2.0) * Gaussian(length_scale=1.0) + White(noise_level=0.1)
>>> k([[0.0]], [[0.0], [1.0]]).round(4)
array([[2.    , 1.2131]])
"""

from . import operators  # noqa: F401  what + and * of kernels make
from .base import Kernel
from .composite import Exponentiation, Product, Sum
from .constants import Constant, White
from .convert import as_kernel
from .formula import Formula
from .histograms import AdditiveChi2, Chi2
from .matern import Matern
from .periodic import ExpSineSquared
from .products import Cosine, DotProduct, Linear, Polynomial, Sigmoid
from .sphere import sphere_points
from .stationary import (
    RBF,
    Cauchy,
    Energy,
    Exponential,
    Gaussian,
    InverseMultiquadric,
    Laplacian,
    RationalQuadratic,
)

__all__ = [
    "RBF",
    "AdditiveChi2",
    "Cauchy",
    "Chi2",
    "Constant",
    "Cosine",
    "DotProduct",
    "Energy",
    "ExpSineSquared",
    "Exponential",
    "Exponentiation",
    "Formula",
    "Gaussian",
    "InverseMultiquadric",
    "Kernel",
    "Laplacian",
    "Linear",
    "Matern",
    "Polynomial",
    "Product",
    "RationalQuadratic",
    "Sigmoid",
    "Sum",
    "White",
    "as_kernel",
    "sphere_points",
]
