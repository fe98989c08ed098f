"""What a density estimate asks of the place where samples lie: the formula of a window between two samples, and its mass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from skkeops.arrays.devices import namespace_of, to_device
from skkeops.formula.expression import Expression, I, J, P, Variable

from .windows import AnyWindow, TailedWindow

__all__ = ["Geometry", "PairFormula"]


class PairFormula(NamedTuple):
    """The formula of a pair of samples: without the factor of the reference sample, and with it."""

    unweighted: Expression
    plain: tuple[Variable, ...]
    weighted: Expression
    variables: tuple[Variable, ...]


@lru_cache(maxsize=256)
def _pair_formula(
    term: Callable[..., Expression], n_features: int, n_parameters: int, per_sample: bool, constants: tuple[int, ...],
    in_logarithms: bool, with_factors: bool,
) -> PairFormula:  # fmt: skip
    x, y = Variable(0, n_features, I), Variable(1, n_features, J)
    parameter = Variable(2, n_parameters, J if per_sample else P)
    rest = tuple(Variable(3 + k, dim, P) for k, dim in enumerate(constants))
    plain = (x, y, parameter, *rest)
    unweighted = term(*plain)
    if not with_factors:
        return PairFormula(unweighted, plain, unweighted, plain)
    factor = Variable(len(plain), 1, J)
    weighted = unweighted + factor if in_logarithms else unweighted * factor
    return PairFormula(unweighted, plain, weighted, (*plain, factor))


class Geometry(ABC):
    """Where samples lie, and what a window of a bandwidth is there.

    Parameters
    ----------
    window : TailedWindow or CompactWindow
    samples : ndarray of shape (n_samples, n_features)
        The reference samples.
    h : float, or ndarray of shape (n_features,), (n_samples, 1) or (n_samples, n_features)
        The bandwidth: one, one for each feature, one for each sample, or both.
    dtype : dtype
        That is computed with.

    Attributes
    ----------
    term : callable
        Makes the expression of a pair of its variables: the window, or its logarithm if it has tails, but for what depends on
        the reference sample alone. Equal ones have equal hashes, as expressions are kept for the next call.
    parameter : ndarray of shape (n_parameters,) or (n_samples, n_parameters)
        What the expression takes of the bandwidth, in float64: proportional to ``h ** power``.
    constants : list of ndarray
        The other parameters of the expression, of one axis.
    has_tails : bool
        Whether the expression is the logarithm of the window.
    axes : int
        How many the bandwidth has.
    per_sample : bool
        Whether it has one for each reference sample.
    """

    term: Callable[..., Expression]
    parameter: np.ndarray
    power: int = -1

    def __init__(self, window: AnyWindow, samples: np.ndarray, h: Any, dtype: np.dtype):
        self.window, self.samples, self.h, self.dtype = window, samples, h, np.dtype(dtype)
        self.has_tails = isinstance(window, TailedWindow)
        self.axes = np.ndim(h)
        self.per_sample = self.axes == 2
        self.constants: list[np.ndarray] = []

    def formula(self, with_factors: bool, value: Callable[..., Expression] | None = None) -> PairFormula:
        """Return the formula of a pair, with or without a factor of the reference sample.

        Parameters
        ----------
        with_factors : bool
        value : callable, optional
            Makes the expression, whose factor is one. Default: `term`, whose factor is a logarithm that is added if it has tails.
        """
        dims = tuple(len(c) for c in self.constants)
        in_logarithms = self.has_tails and value is None
        n_features, n_parameters = self.samples.shape[1], self.parameter.shape[-1]
        return _pair_formula(value or self.term, n_features, n_parameters, self.per_sample, dims, in_logarithms, with_factors)

    def arrays(self) -> list[np.ndarray]:
        """Return what the formula takes beside queries and factors: coordinates of the reference samples, and parameters."""
        xp = namespace_of(self.samples)
        parameters = (to_device(a.astype(self.dtype, copy=False), xp) for a in (self.parameter, *self.constants))
        return [self.enter(self.samples.astype(self.dtype, copy=False)), *parameters]

    @abstractmethod
    def enter(self, x: np.ndarray) -> np.ndarray:
        """Return the coordinates of points that the expression takes; finite ones, also of points that are `outside`."""

    def outside(self, x: np.ndarray) -> np.ndarray | None:
        """Return where points have no density, of shape (n_points,); None if they have some everywhere."""
        return None

    @abstractmethod
    def pull(self, gradient: np.ndarray) -> np.ndarray:
        """Return the gradient by points from the gradient by coordinates."""

    def by_feature(self, columns: np.ndarray) -> np.ndarray:
        """Return what there is for each parameter of the expression, of shape (rows, n_parameters), in the order of features."""
        return columns

    @abstractmethod
    def log_mass(self) -> float | np.ndarray:
        """Return the logarithm of the integral of the expression's window, a number or one for each reference sample."""

    @abstractmethod
    def mass_slope(self) -> np.ndarray:
        """Return the derivatives of `log_mass` by the logarithms of the bandwidths, of shape (1 or n_samples, 1 or n_features).
        If there is one column, it is the derivative by the logarithm of a bandwidth of all features."""

    def mass_gradient(self) -> np.ndarray | None:
        """Return the derivatives of `log_mass` by the reference samples, of their shape; None if it does not depend on them."""
        return None

    @abstractmethod
    def draw(self, chosen: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Return random points of the windows of some reference samples, given by their indices; in float64."""

    def bandwidths_of(self, chosen: np.ndarray) -> Any:
        """Return the bandwidths of some reference samples, or the number, or those of the features."""
        return self.h[chosen] if self.per_sample else self.h
