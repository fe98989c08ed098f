"""Sums of a window over reference samples: the formula of a pair, the units that keep it finite, densities and gradients."""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from skkeops.arrays.devices import namespace_of, to_device
from skkeops.formula import operations as ops
from skkeops.formula.expression import Constant, Expression, I, J, P, Variable

from .reduction import PairReduction, reduction_of
from .scaling import Space, center_of, power_of_two
from .windows import AnyWindow, CompactWindow, TailedWindow

__all__ = ["WindowSums", "space_of"]

_SQUARED_IN_RANGE = (1e-9, 1e9)  # bandwidths whose squares are normal numbers, in float32 too


def space_of(samples: np.ndarray, h: Any, scaling: np.ndarray | None, dtype: Any) -> Space:
    """Return the coordinates in which distances to reference samples are measured.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, n_features)
    h : float or ndarray of shape (n_features,)
        The bandwidth.
    scaling : ndarray or None
        The standard deviations of the features, or their covariance.
    dtype : dtype
        Of the coordinates.
    """
    unit = 1.0
    if not np.ndim(h) and not _SQUARED_IN_RANGE[0] <= h <= _SQUARED_IN_RANGE[1]:
        # Its square may overflow or underflow: distances are measured in a unit of the bandwidth's size.
        unit = _unit(h, float(abs(samples).max()) if scaling is None else float(len(samples)), dtype)
    if scaling is None:
        # The samples stay as they are: rounding must not decide whether one is within the bandwidth.
        return Space(None, None, unit, dtype)
    return Space(center_of(samples).astype(dtype), scaling, unit, dtype)


def _unit(h: float, largest: float, dtype: np.dtype) -> float:
    """Return the power of two of the dtype that is nearest to a bandwidth, and by which the largest coordinate can be divided."""
    last = np.finfo(dtype).maxexp
    least = math.ldexp(power_of_two(largest), 3 - last)  # quotients, and their differences, are finite
    return min(max(power_of_two(h), least), math.ldexp(1.0, last - 1))


def _in_unit(h: float, unit: float, dtype: np.dtype) -> float:
    """Return a bandwidth in a unit, or the nearest number whose square is a normal one."""
    info = np.finfo(dtype)
    return min(max(h / unit, 64 * float(info.tiny) ** 0.5), float(info.max) ** 0.5 / 64)


def _scale_of(window: AnyWindow, h: Any, unit: float, dtype: np.dtype) -> np.ndarray:
    """Return what differences are multiplied by. It is finite, so that equal samples have the distance 0."""
    factor = window.factor if isinstance(window, TailedWindow) else 1.0
    if not np.ndim(h):
        return np.array([factor / _in_unit(h, unit, dtype)])
    largest = float(np.finfo(dtype).max) / 64
    with np.errstate(over="ignore", divide="ignore"):
        return np.minimum(factor / h, largest)


class _Terms(NamedTuple):
    """The formula of a pair: without the weights, and with them."""

    unweighted: Expression
    plain: tuple[Variable, ...]
    weighted: Expression
    variables: tuple[Variable, ...]


@lru_cache(maxsize=256)
def _terms(window: AnyWindow, n_features: int, per_feature: bool, with_weights: bool) -> _Terms:
    """Return the formula of a pair; bandwidths are a variable of it."""
    x, y = Variable(0, n_features, I), Variable(1, n_features, J)
    parameter, weight = Variable(2, n_features if per_feature else 1, P), Variable(3, 1, J)
    plain = (x, y, parameter)
    if isinstance(window, TailedWindow):
        unweighted = window.exponent(x, y, parameter)
        weighted = unweighted + weight
    else:
        limit: Expression = Constant(1) if per_feature else parameter
        difference = (x - y) * parameter if per_feature else x - y
        unweighted = window.value(ops.SqNorm2(difference) if window.squared else ops.Norm2(difference), limit)
        weighted = unweighted * weight
    return _Terms(unweighted, plain, *((weighted, (*plain, weight)) if with_weights else (unweighted, plain)))


class WindowSums:
    """The sums over j of ``w_j k(|x - x'_j| / h)`` as a function of queries x; for a window with tails, their logarithms.

    Parameters
    ----------
    window : TailedWindow or CompactWindow
    samples : ndarray of shape (n_samples, n_features)
        The reference samples x'_j.
    weights : ndarray of shape (n_samples,) or None
        The weights w_j.
    h : float or ndarray of shape (n_features,)
        The bandwidth.
    space : Space
        The coordinates of `space_of`, in the dtype that is computed with.
    """

    def __init__(self, window: AnyWindow, samples: np.ndarray, weights: np.ndarray | None, h: Any, space: Space):
        n_samples, n_features = samples.shape
        dtype = np.dtype(space.dtype)
        self._window, self._h, self._space = window, h, space
        self._has_tails = isinstance(window, TailedWindow)
        self._largest_weight, self._weights = 1.0, None
        if weights is not None:
            weights = weights.astype(np.float64)
            self._largest_weight = float(weights.max())
            weights /= self._largest_weight
            self._weights = weights
        self._terms = _terms(window, n_features, np.ndim(h) > 0, weights is not None)
        degree = 0
        if self._has_tails or np.ndim(h):
            parameter = _scale_of(window, h, space.unit, dtype)
        else:
            assert isinstance(window, CompactWindow)
            parameter, degree = np.atleast_1d(window.limit(_in_unit(h, space.unit, dtype), dtype)), window.degree
        arrays = [space.enter(samples.astype(dtype, copy=False)), to_device(parameter.astype(dtype), namespace_of(samples))]
        if weights is not None:
            with np.errstate(divide="ignore"):
                arrays.append((np.log(weights) if self._has_tails else weights).astype(dtype)[:, None])
        log_mass = math.log(n_samples if weights is None else float(weights.sum())) + window.log_mass(n_features)
        log_mass += space.log_volume + (float(np.log(h).sum()) if np.ndim(h) else n_features * math.log(h))
        if degree:
            log_mass += degree * math.log(_in_unit(h, space.unit, dtype))
        self._log_mass = float(log_mass)
        self.reduction = PairReduction(
            self._terms.weighted, self._terms.variables, arrays, "LogSumExp" if self._has_tails else "Sum"
        )

    def within(self, rtol: float, atol: float) -> WindowSums:
        """Return the sums themselves, which from now on leave out what makes a density off by at most ``atol + rtol * density``."""
        with np.errstate(over="ignore"):
            of_sums = float(atol * np.exp(self._log_mass)) if atol else 0.0
        self.reduction.within(rtol, min(of_sums, float(np.finfo(np.float64).max)))
        return self

    def enter(self, x: np.ndarray) -> np.ndarray:
        """Return the coordinates of queries, which `reduction` takes."""
        return self._space.enter(x)

    def log_density(self, sums: np.ndarray) -> np.ndarray:
        """Return the logarithms of densities, in float64, from values of `reduction`."""
        if self._has_tails:
            return sums.astype(np.float64) - self._log_mass
        with np.errstate(divide="ignore"):
            return np.log(sums, dtype=np.float64) - self._log_mass

    def gradients(self, x: np.ndarray, e: np.ndarray, names: Collection[str], backend: str) -> dict[str, Any]:
        """Return the gradients of ``(log_density * e).sum()`` at queries by "X", "X_fit", "bandwidth" and "sample_weight".

        A query whose density is zero has the gradient zero.
        """
        z = self._space.enter(x)
        sums = self.reduction(z, backend)
        with np.errstate(divide="ignore", invalid="ignore"):
            alive = np.isfinite(sums) if self._has_tails else sums > 0
            e = np.where(alive, e, 0)
            by_sums = e if self._has_tails else np.where(alive, e / sums, 0).astype(sums.dtype)
        total = float(e.sum(dtype=np.float64))
        variables = dict(zip(("X", "X_fit", "bandwidth"), self._terms.variables, strict=False))
        wanted = [name for name in variables if name in names]
        found: dict[str, Any] = {}
        if wanted:
            gradients = self.reduction.function.gradient(
                z, *self.reduction.arrays, wrt=tuple(variables[name] for name in wanted), grad_output=by_sums,
                output=sums if self._has_tails else None, backend=backend, rtol=self.reduction.rtol,
            )  # fmt: skip
            found = dict(zip(wanted, gradients, strict=True))
        for name in ("X", "X_fit"):
            if name in found:
                found[name] = self._space.pull(found[name])
        if "bandwidth" in found:
            found["bandwidth"] = self._bandwidth_gradient(found["bandwidth"].astype(np.float64), total)
        if "sample_weight" in names:
            found["sample_weight"] = self._weight_gradient(z, sums, by_sums, total, backend)
        return found

    def _bandwidth_gradient(self, by_parameter: np.ndarray, total: float) -> Any:
        """Return the gradient by the bandwidth, from that of the sums by the parameter of the formula."""
        window, h, unit, n_features = self._window, self._h, self._space.unit, self._terms.plain[0].dim
        if isinstance(window, TailedWindow) or np.ndim(h):
            scale = to_device(_scale_of(window, h, unit, np.dtype(np.float64)), namespace_of(by_parameter))
            axes = 1 if np.ndim(h) else n_features  # that each bandwidth scales
            gradient = (-by_parameter * scale - total * axes) / h
            return gradient if np.ndim(h) else float(gradient[0])
        limit = _in_unit(h, unit, self.reduction.arrays[0].dtype)
        slope = float(by_parameter[0]) * (2 * limit**2 if window.squared else limit) / h
        return slope - total * (n_features + window.degree) / h

    def _weight_gradient(
        self, z: np.ndarray, sums: np.ndarray, by_sums: np.ndarray, total: float, backend: str
    ) -> np.ndarray:
        """Return the gradient by the weights, some of which may be zero: their logarithms would have none."""
        terms = self._terms
        n_plain = len(terms.plain)
        factor = Variable(n_plain, 1, I)
        arrays = [z, *self.reduction.arrays[: n_plain - 1], by_sums]
        if self._has_tails:
            shift = Variable(n_plain + 1, 1, I)
            expression = ops.Exp.build(terms.unweighted - shift) * factor
            variables = (*terms.plain, factor, shift)
            arrays.append(np.where(np.isfinite(sums), sums, np.inf).astype(sums.dtype))
        else:
            expression, variables = terms.unweighted * factor, (*terms.plain, factor)
        by_scaled = reduction_of(expression, variables, "Sum", 0)(*arrays, backend=backend, rtol=self.reduction.rtol)[:, 0]
        if self._weights is None:
            return by_scaled - total / len(by_scaled)
        return ((by_scaled - total / self._weights.sum()) / self._largest_weight).astype(by_scaled.dtype)
