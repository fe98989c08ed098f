"""Kernels by other names: scikit-learn's strings and objects, formulas as text."""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.gaussian_process import kernels as gp

from . import composite, constants, histograms, matern, periodic, products, stationary
from .base import Kernel
from .formula import Formula
from .parameter import Parameter

__all__ = ["PAIRWISE", "as_kernel"]

# How each name of sklearn.metrics.pairwise is made of gamma, degree and coef0.
PAIRWISE: dict[str, Callable[[float, float, float], Kernel]] = {
    "additive_chi2": lambda gamma, degree, coef0: histograms.AdditiveChi2(),
    "chi2": lambda gamma, degree, coef0: histograms.Chi2(gamma),
    "cosine": lambda gamma, degree, coef0: products.Cosine(),
    "laplacian": lambda gamma, degree, coef0: stationary.Laplacian(min(1 / gamma, _LARGEST)),
    "linear": lambda gamma, degree, coef0: products.Linear(),
    "poly": lambda gamma, degree, coef0: products.Polynomial(degree, gamma, coef0),
    "polynomial": lambda gamma, degree, coef0: products.Polynomial(degree, gamma, coef0),
    "rbf": lambda gamma, degree, coef0: stationary.Gaussian(math.sqrt(0.5) / math.sqrt(gamma)),
    "sigmoid": lambda gamma, degree, coef0: products.Sigmoid(gamma, coef0),
}
_LARGEST = sys.float_info.max
_WITH_GAMMA = {"chi2", "laplacian", "poly", "polynomial", "rbf", "sigmoid"}


def as_kernel(
    kernel: Any, *, gamma: float | None = None, degree: float = 3, coef0: float = 1, n_features: int | None = None
) -> Kernel:
    """Return a kernel of skkeops for anything that means one.

    Parameters
    ----------
    kernel : str or Kernel
        A name of `sklearn.metrics.pairwise` (``"rbf"``, ``"laplacian"``, ``"poly"``, ``"polynomial"``, ``"sigmoid"``,
        ``"linear"``, ``"cosine"``, ``"chi2"``, ``"additive_chi2"``), a formula of ``x`` and ``y`` as text, a kernel of
        `sklearn.gaussian_process.kernels`, or one of `skkeops.kernels`, which is returned itself.
    gamma : float, optional
        For a name: its factor. Default: 1 for ``"chi2"``, else ``1 / n_features``, as in scikit-learn.
    degree : float, default=3
        For ``"poly"``.
    coef0 : float, default=1
        For ``"poly"`` and ``"sigmoid"``.
    n_features : int, optional
        The number of columns of the samples, for the default of `gamma`.

    Returns
    -------
    Kernel

    Raises
    ------
    ValueError
        If the name is unknown or a number is invalid.
    TypeError
        If it is something else, such as a function.

    Notes
    -----
    In `skkeops.KernelDensity`, ``"linear"`` and ``"cosine"`` are windows, as in scikit-learn's, and no kernels. There only is
    ``"gaussian"`` a name: elsewhere it would have a gamma, or a bandwidth, that nobody has said, and scikit-learn's own
    estimators, which take ``"rbf"``, would refuse it.

    Examples
    --------
    >>> from skkeops.kernels import as_kernel
    >>> as_kernel("rbf", gamma=0.5)
    Gaussian(length_scale=1.0)
    >>> from sklearn.gaussian_process.kernels import RBF, WhiteKernel
    >>> as_kernel(RBF(2.0) + WhiteKernel(0.1))
    Gaussian(length_scale=2.0) + White(noise_level=0.1)
    """
    if isinstance(kernel, Kernel):
        return kernel
    if isinstance(kernel, str):
        if kernel in PAIRWISE:
            return _pairwise(kernel, gamma, degree, coef0, n_features)
        if not kernel.isidentifier() or kernel in ("x", "y"):
            return Formula(kernel)
        raise ValueError(
            f"The 'kernel' parameter must be one of {sorted(PAIRWISE)}, a formula of x and y, or a kernel object. "
            f"Got {kernel!r} instead.{_suggestion(kernel)}"
        )
    if isinstance(kernel, type) and issubclass(kernel, gp.Kernel):
        raise TypeError(
            f"The 'kernel' parameter must be a kernel object, such as {kernel.__name__}(), with the parentheses. Got the class "
            f"{kernel.__name__} instead."
        )
    if isinstance(kernel, gp.Kernel):
        return _gaussian_process(kernel, n_features)
    raise TypeError(
        f"The 'kernel' parameter must be one of {sorted(PAIRWISE)}, a formula of x and y, or a kernel object. Python "
        "functions cannot be compiled: write one as a formula, such as skkeops.Formula('Exp(-g*SqDist(x,y))', g=0.5). "
        f"Got {kernel!r} instead."
    )


def _suggestion(name: str) -> str:
    """Return the end of a message with names that resemble an unknown one."""
    classes = {
        cls.__name__.lower(): cls.__name__
        for module in (stationary, matern, periodic, products, histograms, constants)
        for cls in (getattr(module, name) for name in module.__all__)
    }
    plain = name.lower().replace("_", "").removesuffix("kernel")
    names = {pairwise.replace("_", ""): pairwise for pairwise in PAIRWISE} | {"gaussian": "rbf", "gauss": "rbf"}
    found = difflib.get_close_matches(plain, [*names, *classes], n=1, cutoff=0.75)
    if not found:
        return ""
    options = [repr(names[found[0]])] if found[0] in names else []
    if found[0] in classes:
        options.append(f"skkeops.kernels.{classes[found[0]]}()")
    return f" Did you mean {' or '.join(options)}?"


def _pairwise(name: str, gamma: Any, degree: Any, coef0: Any, n_features: int | None) -> Kernel:
    if gamma is None and name in _WITH_GAMMA:
        if name == "chi2":
            gamma = 1.0
        elif n_features is None:
            raise ValueError(f"gamma=None means 1 / n_features for {name!r}: expected gamma or n_features")
        else:
            gamma = 1.0 / n_features
    if name in _WITH_GAMMA:
        Parameter("gamma").check(gamma, f"the {name!r} kernel")
    kernel = PAIRWISE[name](gamma, degree, coef0)
    kernel.check_parameters()
    return kernel


def _gaussian_process(kernel: gp.Kernel, n_features: int | None) -> Kernel:
    """Return our kernel for one of scikit-learn's, with the same parameters and bounds."""
    p = kernel.get_params(deep=False)

    def inner(name):
        return as_kernel(p[name], n_features=n_features)

    convert = {
        gp.ConstantKernel: lambda: constants.Constant(**p),
        gp.WhiteKernel: lambda: constants.White(**p),
        gp.RBF: lambda: stationary.Gaussian(**p),
        gp.Matern: lambda: matern.Matern(**p),
        gp.RationalQuadratic: lambda: stationary.RationalQuadratic(**p),
        gp.ExpSineSquared: lambda: periodic.ExpSineSquared(**p),
        gp.DotProduct: lambda: _dot_product(**p),
        gp.PairwiseKernel: lambda: _pairwise_object(n_features=n_features, **p),
        gp.Sum: lambda: composite.Sum(inner("k1"), inner("k2")),
        gp.Product: lambda: composite.Product(inner("k1"), inner("k2")),
        gp.Exponentiation: lambda: composite.Exponentiation(inner("kernel"), p["exponent"]),
    }.get(type(kernel))
    if convert is None:
        raise TypeError(
            f"The 'kernel' parameter is a {type(kernel).__name__} of scikit-learn that has no formula here. "
            f"Got {kernel!r} instead."
        )
    return convert()


def _pairwise_object(
    gamma: Any, gamma_bounds: Any, metric: Any, pairwise_kernels_kwargs: Any, n_features: int | None
) -> Kernel:
    options = {k: v for k, v in (pairwise_kernels_kwargs or {}).items() if k in ("degree", "coef0")}
    kernel = as_kernel(metric, gamma=gamma, n_features=n_features, **options)
    if isinstance(kernel, (stationary.Gaussian, stationary.Laplacian)):  # their gamma is a power of the length
        if not isinstance(gamma_bounds, str):
            ends = [PAIRWISE[metric](float(end), 3, 1).length_scale for end in np.ravel(gamma_bounds)]
            gamma_bounds = tuple(reversed(ends))
        kernel.set_params(length_scale_bounds=gamma_bounds)
    elif "gamma" in kernel.get_params():
        kernel.set_params(gamma_bounds=gamma_bounds)
    return kernel


def _dot_product(sigma_0: float, sigma_0_bounds: Any) -> Kernel:
    return products.Linear() if sigma_0 == 0 else products.DotProduct(sigma_0, sigma_0_bounds)
