"""A Gaussian process with given parameters, by conjugate gradients: likelihood and derivative with their standard errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skkeops.arrays.devices import contiguous, namespace_of, to_device, to_host
from skkeops.calls.options import warn_caller
from skkeops.locks import cached_property
from skkeops.solvers import LowRankPreconditioner, pivoted_cholesky, solve
from skkeops.solvers.block_gradients import BlockSolution, block_gradients
from skkeops.solvers.linear_system import column_norms
from skkeops.solvers.log_determinant import quadrature, rademacher, regression, standard_error
from skkeops.solvers.square_root import square_root

from .covariance import FormulaCovariance
from .exact_process import NotPositiveDefinite
from .likelihood_slopes import inverse_diagonal, likelihood_slopes
from .process_gradients import ProcessGradients
from .training_matrix import TrainingMatrix
from .trend import LeastSquares, Trend
from .variance_bound import VarianceBound

__all__ = ["IterativeProcess", "Settings"]

_PROBE_TOL = 1e-4  # of the residuals of probes: far below what their number leaves open
_STEP_TOL, _STEP_PROBE_TOL = 1e-4, 1e-2  # the same for steps of a search: far below what the data leave open
_ROUGH = 1e-3  # of a product's norm, in the metric of the preconditioner: what float32 may miss
_ROWS = 512  # of a product, which tell what float32 misses
_MEMORY = 352 * 2**20  # of the factor of the preconditioner
_RANK = 700
_COLUMNS = 64  # right-hand sides that are solved together
_SOLVED = 512  # queries that have systems of their own
_EXCESS_TOL = 0.05  # of the residuals of systems that tell how good these bounds are
_MEASURED = 32  # queries that tell how good the bound of many others is
_DRAWN = 2**28  # bytes of the vectors from which draws are made together, for some forty steps each
_DRAWN_ERROR = 1e-3
_JITTER = 0.01  # of the least noise, and of the least variance: the noise of draws at queries, where the kernel has none
_ROUNDING = 1e-14  # of the largest variance, for each sample


@dataclass(frozen=True)
class Settings:
    """How the systems are solved, and what is drawn.

    Attributes
    ----------
    n_probes : int
    n_components : int or "auto"
    tol : float
    max_iter : int
    seed : int
    """

    n_probes: int
    n_components: int | str
    tol: float
    max_iter: int
    seed: int


class IterativeProcess(ProcessGradients):
    """The posterior of a Gaussian process, from products with ``A = K + diag(alpha)``, which is never stored.

    Parameters
    ----------
    covariance : FormulaCovariance
    alpha : float or ndarray of shape (n_samples,)
    y : ndarray of shape (n_samples, n_targets)
    trend : Trend
    settings : Settings
    is_step : bool
        Whether it is a step of a search, where less will do: systems are solved to a larger residual until `finish` is called, and
        the traces of the preconditioner are not computed. These take one more pass over the pairs, as wide as the preconditioner;
        as control variates they make the standard errors several times smaller where the preconditioner is a good one.
    start : ndarray of shape (n_samples, n_columns), optional
        Where the systems of the targets and of the trend start.

    Attributes
    ----------
    fit : LeastSquares
    log_likelihood, log_likelihood_error : float
        The estimate, and its standard error.
    n_iter : int
    residual : float
        The largest of the targets' relative residuals.
    is_definite : bool

    Notes
    -----
    With the preconditioner ``P = F F' + S`` of a pivoted Cholesky factor, ``log |A| = log |P| + trace log(P^-1 A)``. The first term
    is exact, the second is a mean over probes z of independent signs: with ``w = P^(1/2) z``, conjugate gradients on ``A u = w``
    leave the Lanczos matrix of ``P^(-1/2) A P^(-1/2)`` started from z. The same u and ``v = P^-1 w`` give the derivative,
    ``trace(A^-1 dA) = E[u' dA v]``. What is known exactly, ``trace(P^-1 A)`` and ``trace(P^-1 dA) = E[v' dA v]``, is regressed on.
    The probes are the same for all parameters of the kernel.

    References
    ----------
    J. Wenger, G. Pleiss, P. Hennig, J. Cunningham, J. Gardner, "Preconditioning for scalable Gaussian process hyperparameter
    optimization", ICML 2022. M. L. Stein, J. Chen, M. Anitescu, "Stochastic approximation of score functions for Gaussian
    processes", Annals of Applied Statistics 7, 2013.
    """

    is_exact = False

    def __init__(
        self,
        covariance: FormulaCovariance,
        alpha: Any,
        y: Any,
        trend: Trend,
        settings: Settings,
        is_step: bool = False,
        start: Any = None,
    ):
        self.covariance, self.trend, self.settings = covariance, trend, settings
        n, n_targets = y.shape
        self.matrix = TrainingMatrix(covariance.x, None, covariance.bound, covariance.backend)
        noise = np.broadcast_to(to_host(alpha), (n,))[:, None] if np.ndim(alpha) else np.array([[float(alpha)]])
        shift = self.matrix.shift(np.array(noise))
        self.shift = shift.reshape(1, 1) if shift.ndim == 1 else shift
        self._column_shift = to_device(self.shift, namespace_of(y))
        self.preconditioner = self._preconditioner()
        signs = to_device(rademacher(n, settings.n_probes, settings.seed), namespace_of(y))
        self.uses_float32 = self._is_rough_enough(signs[:, :1])
        basis = trend.basis(covariance.x)
        right = np.concatenate([y, basis, self.preconditioner.root(signs)], axis=1)
        del signs  # it is one of the large arrays
        n_exact = y.shape[1] + basis.shape[1]
        start = start if start is not None and start.shape[1] == n_exact else None
        tol = np.full(right.shape[1], _STEP_PROBE_TOL if is_step else _PROBE_TOL)
        tol[:n_exact] = max(self.settings.tol, _STEP_TOL) if is_step else self._tol
        found = self._block(right, tol, start)
        if self.uses_float32 and not found.is_definite:  # it may be the rounding of float32
            self.uses_float32 = False
            found = self._block(right, tol, start)
        self.n_iter, self.is_definite = found.n_iter, found.is_definite
        self.deviation_error = (0.0, 0.0)
        self._slope: np.ndarray | None = None
        self.slope_error: np.ndarray | None = None
        self._targets, self._is_finished = right[:, :n_exact].copy(), not is_step
        self.solved, self.residual = found.x[:, :n_exact], float(found.residuals[:n_exact].max())
        if not is_step:
            self.solved = self._refined(self._targets, self.solved)
        self._determinant = (0.0, np.inf)
        if self.is_definite:
            self._probes, self._solved_probes = self.preconditioner(right[:, n_exact:]), found.x[:, n_exact:]
            self._control = None if is_step else self._controls()
            self._determinant = self._log_determinant(found.tridiagonals[n_exact:], n)
        self._set_likelihood(n_targets)

    def finish(self) -> None:
        """Solve the systems of the targets to the tolerance, if a step of a search has left that open."""
        if self.is_definite and not self._is_finished:
            self._is_finished = True
            self.solved = self._refined(self._targets, self.solved)
            self._set_likelihood(self.fit.dual.shape[1])

    def _set_likelihood(self, n_targets: int) -> None:
        y, basis = self._targets[:, :n_targets], self._targets[:, n_targets:]
        self.fit = LeastSquares(basis, self.solved[:, n_targets:], y, self.solved[:, :n_targets])
        if not self.is_definite:
            self.log_likelihood, self.log_likelihood_error = -np.inf, np.inf
            return
        fits = np.einsum("ik,ik->k", self.fit.residual, self.fit.dual)
        determinant, error = self._determinant
        self.log_likelihood = float((-0.5 * fits - 0.5 * determinant - len(y) / 2 * math.log(2 * math.pi)).sum())
        self.log_likelihood_error = 0.5 * n_targets * error

    # The systems

    def _preconditioner(self) -> LowRankPreconditioner:
        wanted = self.settings.n_components
        shift = self.shift.reshape(-1) if len(self.shift) == 1 else self.shift
        least = float(shift.min())
        if not least > 0:
            raise NotPositiveDefinite("a sample has no noise")
        factor, is_semidefinite = pivoted_cholesky(
            self.matrix.columns,
            self.matrix.diagonal,
            min(self._rank(self.matrix.size), self.matrix.size),
            np.random.RandomState(self.settings.seed),
            least if wanted == "auto" else 0.0,
        )
        if not is_semidefinite:
            factor = factor[:, :0]
        # Below the rounding errors of its entries, what is left of the inverse would not be definite.
        rounding = _ROUNDING * self.matrix.size * float(self.matrix.diagonal.max())
        return LowRankPreconditioner(factor, np.maximum(shift, rounding))

    def _rank(self, n: int) -> int:
        wanted = self.settings.n_components
        return min(_RANK, max(1, _MEMORY // (8 * n))) if wanted == "auto" else int(wanted)

    def _is_rough_enough(self, signs: Any) -> bool:
        """Whether products in float32 will do, by some rows of one with a vector as the iterations have them."""
        rows = slice(None, None, max(1, self.matrix.size // _ROWS))
        missed = self.matrix.missed(self.preconditioner.inverse_root(signs, transposed=True), rows)
        shift = self._column_shift if len(self.shift) == 1 else self._column_shift[rows]
        return float(np.sqrt((missed**2 / shift).mean())) <= _ROUGH

    def product(self, v: Any) -> Any:
        """Return A @ v, in float64."""
        found = self.matrix.product(v)
        found += v * self._column_shift
        return found

    def _rough(self, v: Any) -> Any:
        if not self.uses_float32:
            return self.product(v)
        found = self.matrix.rough_product(v)
        found += v * self._column_shift
        return found

    def _block(self, right: Any, tol: np.ndarray, start: Any = None) -> BlockSolution:
        first = None
        if start is not None:
            first = np.zeros_like(right)
            first[:, : start.shape[1]] = start
        return block_gradients(self._rough, right, self.preconditioner, tol, self.settings.max_iter, first)

    @property
    def _tol(self) -> float:
        return max(self.settings.tol, 1e-5 if self.uses_float32 else 0.0)

    def _refined(self, right: Any, x: Any) -> Any:
        """Return solutions of systems to the tolerance, from solutions to less; set the residual."""
        norms = column_norms(right)
        norms = np.where(norms > 0, norms, 1.0)
        rest = right - self.product(x)
        self.residual = float((column_norms(rest) / norms).max())
        if self.residual > self.settings.tol and self.is_definite:
            sizes = column_norms(rest)
            sizes = np.where(sizes > 0, sizes, 1.0)
            step = solve(
                self.matrix.product,
                self.shift.reshape(-1) if len(self.shift) == 1 else np.broadcast_to(self.shift, right.shape),
                rest / sizes,
                rough=self.matrix.rough_product,
                preconditioner=self.preconditioner,
                tol=float(self.settings.tol / (sizes / norms).max()),
                max_iter=self.settings.max_iter,
            )
            self.n_iter += step.n_iter
            self.is_definite &= step.is_definite
            better = x + step.x * sizes
            left = float((column_norms(right - self.product(better)) / norms).max())
            if left < self.residual:
                x, self.residual = better, left
        return x

    def solve(self, right: Any) -> Any:
        """Return the product of the inverse of A with columns, some of them at a time."""
        found = np.empty_like(right)
        for first in range(0, right.shape[1], _COLUMNS):
            some = right[:, first : first + _COLUMNS]
            found[:, first : first + _COLUMNS] = self._block(some, np.full(some.shape[1], self._tol)).x
        return found

    def solve_cross(self, cross: Any) -> Any:
        """Return the products of the inverse of A with covariances of queries and samples, as rows."""
        return self.solve(contiguous(cross.T)).T

    # The likelihood

    def _controls(self) -> tuple[float, np.ndarray]:
        """Return the traces of P^-1 A and of P^-1 dA for each component of theta."""
        diagonal, factor = self.preconditioner.inverse_parts()
        value, slopes = self.covariance.low_rank_sums(factor)
        shift = np.broadcast_to(self._column_shift, diagonal.shape)[:, 0]
        squares = np.einsum("ij,ij->i", factor, factor)
        of_noise = float(((diagonal[:, 0] - squares) * shift).sum())
        trace = float((diagonal[:, 0] * self.matrix.diagonal).sum()) - value + of_noise
        return trace, self.covariance.diagonal_slope(diagonal[:, 0], squares) - slopes

    def _log_determinant(self, tridiagonals: list, n: int) -> tuple[float, float]:
        samples = quadrature(tridiagonals, np.full(len(tridiagonals), float(n)))
        known = float(self.preconditioner.log_determinant[0])
        if self._control is None:
            return known + float(samples.mean()), float(standard_error(samples))
        # v' A v - v' w has the mean trace(P^-1 A) - n, and is about what the logarithm is where P is close to A.
        image = self._rough(self._probes)
        linear = to_host(np.einsum("ij,ij->j", self._probes, image)) - n
        mean, error = regression(samples, linear - (self._control[0] - n))
        return known + mean, error

    def slope(self) -> np.ndarray:
        """Return the derivative of the log-likelihood by theta; set its standard error."""
        if self._slope is None:
            self._slope = self._slope_by_theta()
        return self._slope

    def _slope_by_theta(self) -> np.ndarray:
        if not self.is_definite:
            self.slope_error = np.full(len(self.covariance.kernel.theta), np.inf)
            return np.zeros_like(self.slope_error)
        values = np.concatenate([np.zeros(0), *(self.covariance.bound.values[name] for name in self.covariance.tuned)])
        known = None if self._control is None else self._control[1] / values
        slopes, errors = self._slopes(self.covariance.tuned, known)
        self.slope_error = errors * values
        return slopes * values  # theta has the logarithms

    def slopes(self, names: list[str]) -> dict[str, np.ndarray]:
        """Return the derivatives of the log-likelihood by parameters of the kernel, and by the diagonal of A as ``"alpha"``."""
        dual, inverse = self.fit.dual, inverse_diagonal(self.preconditioner, self._probes, self._solved_probes)
        found = {"alpha": to_host(0.5 * (np.einsum("ij,ij->i", dual, dual) - dual.shape[1] * inverse))}
        values = {name: self.covariance.bound.values[name] for name in self.covariance.tuned}
        of_tuned, first = {}, 0
        for name, value in values.items():  # theta has the logarithms
            of_tuned[name] = self.slope()[first : first + len(value)] / value
            first += len(value)
        for name in names:
            found[name] = of_tuned[name] if name in of_tuned else self._slopes([name], None)[0]
        return found

    def _slopes(self, names: list[str], known: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        return likelihood_slopes(
            self.covariance, names, self.fit.dual, self._probes, self._solved_probes, known, self.uses_float32
        )

    # Predictions

    def mean(self, queries: Any) -> Any:
        """Return the mean at queries, (n_queries, n_targets)."""
        found = self.covariance.times(queries, self.fit.dual)
        return found if self.trend.is_zero else found + self.trend.basis(queries) @ self.fit.beta

    def variance(self, queries: Any) -> Any:
        """Return the variance at queries, (n_queries,): by a system for each of few, a bound from above for many."""
        if len(queries) <= _SOLVED:
            self.deviation_error = (0.0, 0.0)
            return self._solved_variance(queries) + self._trend_variance(queries)
        found = self._bound.variance(queries)
        some = np.random.RandomState(self.settings.seed).choice(len(queries), _MEASURED, replace=False)
        exact = to_host(found[some]) - self._excess(queries[some])
        ratio = np.sqrt(np.maximum(to_host(found[some]), 0) / np.maximum(exact, np.finfo(np.float64).tiny)) - 1
        self.deviation_error = (float(ratio.mean()), float(ratio.max()))
        return found + self._trend_variance(queries)

    def _excess(self, queries: Any) -> np.ndarray:
        """Return by how much the bounds are above the variances."""
        told = self.product(self._bound.coefficients(queries))
        rest = contiguous(self.covariance.cross(queries).T) - told
        del told
        # Conjugate gradients from zero have an error of this product that is the square of the solution's.
        return to_host(np.einsum("ij,ij->j", rest, self._block(rest, np.full(len(queries), _EXCESS_TOL)).x))

    def _solved_variance(self, queries: Any) -> Any:
        """Return the variance at queries that a process without trend has."""
        found = self.covariance.diagonal(queries)
        for first in range(0, len(queries), _COLUMNS):
            rows = slice(first, first + _COLUMNS)
            cross = self.covariance.cross(queries[rows])
            solved = self.solve_cross(cross)
            # What the residual tells makes the error that of its square.
            rest = 2 * cross - self.product(contiguous(solved.T)).T
            found[rows] -= np.einsum("ij,ij->i", rest, solved)
        return found

    def _trend_variance(self, queries: Any) -> Any:
        if self.trend.is_zero:
            return 0.0
        return self.fit.variance(self.fit.missed(self.trend.basis(queries), lambda b: self.covariance.times(queries, b)))

    @cached_property
    def _bound(self) -> VarianceBound:
        return VarianceBound(self.covariance, self.product, self._column_shift, self.preconditioner)

    def joint(self, queries: Any) -> Any:
        """Return the covariance of queries, (n_queries, n_queries), by a system for each."""
        cross = self.covariance.cross(queries)
        found = self.covariance.among(queries) - cross @ self.solve_cross(cross).T
        if not self.trend.is_zero:
            found += self.fit.uncertainty(self.fit.missed(self.trend.basis(queries), cross.__matmul__))
        return (found + found.T) / 2

    def draw(self, queries: Any, n_samples: int, random: np.random.RandomState) -> Any:
        """Return draws of the process at queries around its mean, (n_queries, n_samples), by Matheron's rule.

        A draw of the process before it has seen data, at the samples and the queries together, plus what the noisy differences
        of its samples from the targets tell.

        References
        ----------
        J. T. Wilson, V. Borovitskiy, A. Terenin, P. Mostowsky, M. P. Deisenroth, "Pathwise conditioning of Gaussian processes",
        Journal of Machine Learning Research 22, 2021.
        """
        covariance, n, xp = self.covariance, self.matrix.size, namespace_of(queries)
        noise = to_host(covariance.noise(queries)) if covariance.has_noise else np.zeros(len(queries))
        if not noise.all():
            some = np.random.RandomState(self.settings.seed).permutation(len(queries))[:_MEASURED]
            least = np.abs(to_host(self._solved_variance(queries[some])) - noise[some]).min()
            noise = np.maximum(noise, _JITTER * min(float(self.shift.min()), float(least)))
            noise = np.maximum(noise, _ROUNDING * float(covariance.diagonal(queries).max()))
        both = np.concatenate([covariance.x, queries])
        matrix = TrainingMatrix(both, None, covariance.bound, covariance.backend)
        shift = np.concatenate([np.broadcast_to(self.shift, (n, 1)), noise[:, None]])
        factor, _ = pivoted_cholesky(
            matrix.columns, matrix.diagonal, min(self._rank(len(both)), len(both)), random, float(shift.min())
        )
        inverse = LowRankPreconditioner(factor, shift)
        shift = to_device(shift, xp)

        def between(v: Any) -> Any:
            turned = inverse.inverse_root(v, transposed=True)
            return inverse.inverse_root(matrix.product(turned) + shift * turned)

        found = xp.empty((len(queries), n_samples))
        size = max(1, min(_COLUMNS, _DRAWN // (40 * 8 * len(both))))
        for first in range(0, n_samples, size):
            columns = min(size, n_samples - first)
            normal = to_device(random.standard_normal((len(both), columns)), xp)
            half, change = square_root(between, normal)
            if change > _DRAWN_ERROR:
                warn_caller(
                    f"draws are not those of the process: their last relative change was {change:.1e}. A larger alpha makes them "
                    "easier to find",
                    ConvergenceWarning,
                )
            values = inverse.root(half)
            told = self.solve(values[:n])
            found[:, first : first + columns] = values[n:] - covariance.times(queries, told)
        return found if self.trend.is_zero else found + self._trend_draw(queries, n_samples, random)

    def _trend_draw(self, queries: Any, n_samples: int, random: np.random.RandomState) -> Any:
        missed = self.fit.missed(self.trend.basis(queries), lambda b: self.covariance.times(queries, b))
        normal = to_device(random.standard_normal((missed.shape[1], n_samples)), namespace_of(queries))
        return missed @ self.fit.root_of_uncertainty() @ normal
