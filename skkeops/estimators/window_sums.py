"""Sums of a window over reference samples: densities, and their gradients."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np

from skkeops.arrays.devices import namespace_of, to_device, to_host
from skkeops.formula import operations as ops
from skkeops.formula.expression import I, Variable

from .density_geometry import Geometry
from .reduction import PairReduction, reduction_of
from .rows import over_rows
from .scaling import power_of_two

__all__ = ["WindowSums", "choose"]


def choose(size: int, n_samples: int, weights: np.ndarray | None, rng: np.random.RandomState) -> np.ndarray:
    """Return the indices of random reference samples, by their weights."""
    u = rng.uniform(size=size)
    if weights is None:
        return (u * n_samples).astype(np.int64)
    w = to_host(weights).astype(np.float64)
    steps = np.cumsum(w / power_of_two(float(w.max())))  # whose sum is finite
    # Rounding must not choose the last sample if it weighs nothing.
    return np.searchsorted(steps, np.minimum(u * steps[-1], np.nextafter(steps[-1], 0)), side="right")


class WindowSums:
    """The sums over j of ``w_j k(x, x'_j) / mass_j`` as a function of queries x; for a window with tails, their logarithms.

    Parameters
    ----------
    geometry : Geometry
        The windows on the reference samples x'_j.
    weights : ndarray of shape (n_samples,) or None
        The weights w_j.
    """

    def __init__(self, geometry: Geometry, weights: np.ndarray | None):
        dtype, samples = geometry.dtype, geometry.samples
        self._geometry, self._has_tails = geometry, geometry.has_tails
        self._largest_weight, self._weights = 1.0, None
        if weights is not None:
            weights = weights.astype(np.float64)
            self._largest_weight = float(weights.max())
            weights /= self._largest_weight
            self._weights = weights
        log_mass = geometry.log_mass()
        log_inverse_masses: Any = 0.0
        self._inverse_masses: np.ndarray | None = None  # up to the factor of the smallest mass
        if isinstance(log_mass, float):
            least = log_mass
        else:
            least = float(log_mass.min())
            log_inverse_masses = to_device(least - log_mass, namespace_of(samples))
            self._inverse_masses = np.exp(log_inverse_masses)
        total = len(samples) if weights is None else float(weights.sum())
        self._log_mass = math.log(total) + least
        with_factors = weights is not None or self._inverse_masses is not None
        self._formula = geometry.formula(with_factors)
        arrays = geometry.arrays()
        if with_factors:
            with np.errstate(divide="ignore"):
                log_factors = log_inverse_masses if weights is None else np.log(weights) + log_inverse_masses
            arrays.append((log_factors if self._has_tails else np.exp(log_factors)).astype(dtype)[:, None])
        self.reduction = PairReduction(
            self._formula.weighted, self._formula.variables, arrays, "LogSumExp" if self._has_tails else "Sum"
        )

    def within(self, rtol: float, atol: float) -> WindowSums:
        """Return the sums themselves, which from now on leave out what makes a density off by at most ``atol + rtol * density``."""
        with np.errstate(over="ignore"):
            of_sums = float(atol * np.exp(self._log_mass)) if atol else 0.0
        self.reduction.within(rtol, min(of_sums, float(np.finfo(np.float64).max)))
        return self

    def log_densities(self, x: np.ndarray, backend: str, n_jobs: int | None, verbose: Any, title: str) -> np.ndarray:
        """Return the logarithms of densities at queries, in float64, of shape (n_queries,): all pairs are gone over here.

        Parameters
        ----------
        x : ndarray of shape (n_queries, n_features)
        backend, n_jobs, verbose, title
            As for `over_rows`.
        """
        sums = over_rows(self.reduction, self._geometry.enter(x), backend, n_jobs, verbose, title)[:, 0]
        if not self._has_tails:
            with np.errstate(divide="ignore"):
                sums = np.log(sums, dtype=np.float64)
        found = sums.astype(np.float64, copy=False) - self._log_mass
        outside = self._geometry.outside(x)
        return found if outside is None else np.where(outside, -np.inf, found)

    def gradients(self, x: np.ndarray, e: np.ndarray, names: Collection[str], backend: str) -> dict[str, Any]:
        """Return the gradients of ``(log_density * e).sum()`` at queries by "X", "X_fit", "bandwidth" and "sample_weight".

        A query whose density is zero has the gradient zero.
        """
        geometry = self._geometry
        z = geometry.enter(x)
        sums = self.reduction(z, backend)
        with np.errstate(divide="ignore", invalid="ignore"):
            alive = np.isfinite(sums) if self._has_tails else sums > 0
            outside = geometry.outside(x)
            if outside is not None:
                alive &= ~outside[:, None]
            e = np.where(alive, e, 0)
            by_sums = e if self._has_tails else np.where(alive, e / sums, 0).astype(sums.dtype)
        total = float(e.sum(dtype=np.float64))
        variables = dict(zip(("X", "X_fit", "bandwidth"), self._formula.plain, strict=False))
        wanted = {name: v for name, v in variables.items() if name in names}
        of_samples = self._inverse_masses is not None and not wanted.keys().isdisjoint(("X_fit", "bandwidth"))
        if of_samples:  # the masses vary with the samples or their bandwidths
            wanted["factor"] = self._formula.variables[-1]
        found: dict[str, Any] = {}
        if wanted:
            gradients = self.reduction.function.gradient(
                z, *self.reduction.arrays, wrt=tuple(wanted.values()), grad_output=by_sums,
                output=sums if self._has_tails else None, backend=backend, rtol=self.reduction.rtol,
            )  # fmt: skip
            found = dict(zip(wanted, gradients, strict=True))
        for name in ("X", "X_fit"):
            if name in found:
                found[name] = geometry.pull(found[name])
        shares = self._shares(found.pop("factor")) if of_samples else None
        slopes = geometry.mass_gradient() if "X_fit" in found else None
        if slopes is not None:
            found["X_fit"] = found["X_fit"] - (shares * to_device(slopes, namespace_of(x))).astype(found["X_fit"].dtype)
        if "bandwidth" in found:
            found["bandwidth"] = self._bandwidth_gradient(found["bandwidth"].astype(np.float64), total, shares)
        if "sample_weight" in names:
            found["sample_weight"] = self._weight_gradient(z, sums, by_sums, total, backend)
        return found

    def _shares(self, by_factor: np.ndarray) -> np.ndarray:
        """Return which part of the densities, times e, is that of each reference sample, of shape (n_samples, 1): the gradient
        by the logarithm of its factor."""
        by_factor = by_factor.astype(np.float64)
        return by_factor if self._has_tails else by_factor * self.reduction.arrays[-1]

    def _bandwidth_gradient(self, by_parameter: np.ndarray, total: float, shares: np.ndarray | None) -> Any:
        """Return the gradient by the bandwidth, from that of the sums by the parameter of the formula, which is proportional to
        a power of it, and from the slopes of the masses, in the shape of the bandwidth."""
        geometry, h, xp = self._geometry, self._geometry.h, namespace_of(by_parameter)
        by_sums = geometry.by_feature(np.atleast_2d(geometry.power * by_parameter * to_device(geometry.parameter, xp)))
        slope = to_device(geometry.mass_slope(), xp)
        by_masses = total * slope if shares is None else shares * slope
        by_logarithm = _like(by_sums, h) - _like(by_masses, h)
        return by_logarithm / h if np.ndim(h) else float(by_logarithm) / h

    def _weight_gradient(
        self, z: np.ndarray, sums: np.ndarray, by_sums: np.ndarray, total: float, backend: str
    ) -> np.ndarray:
        """Return the gradient by the weights, some of which may be zero: their logarithms would have none."""
        plain = self._formula.plain
        factor = Variable(len(plain), 1, I)
        arrays = [z, *self.reduction.arrays[: len(plain) - 1], by_sums]
        if self._has_tails:
            shift = Variable(len(plain) + 1, 1, I)
            expression = ops.Exp.build(self._formula.unweighted - shift) * factor
            variables = (*plain, factor, shift)
            arrays.append(np.where(np.isfinite(sums), sums, np.inf).astype(sums.dtype))
        else:
            expression, variables = self._formula.unweighted * factor, (*plain, factor)
        by_scaled = reduction_of(expression, variables, "Sum", 0)(*arrays, backend=backend, rtol=self.reduction.rtol)[:, 0]
        by_weight = by_scaled if self._inverse_masses is None else (by_scaled * self._inverse_masses).astype(by_scaled.dtype)
        if self._weights is None:
            return by_weight - total / len(by_weight)
        return ((by_weight - total / self._weights.sum()) / self._largest_weight).astype(by_scaled.dtype)


def _like(terms: np.ndarray, h: Any) -> np.ndarray:
    """Return the derivatives by bandwidths, from those by all of their copies, of shape (1 or n_samples, 1 or n_features)."""
    if np.ndim(h) == 0:
        return terms.sum()
    if np.ndim(h) == 1:
        return terms.sum(axis=0)
    return terms if terms.shape[1] == h.shape[1] else terms.sum(axis=1, keepdims=True)
