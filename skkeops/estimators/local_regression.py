"""Local regression by sums over the samples: polynomials of queries, the variances of their values, their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skkeops import backends
from skkeops.arrays.devices import namespace_of
from skkeops.formula import operations as ops
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import Constant, Expression, I, J, P, Variable
from skkeops.kernels.binding import BoundKernel

from .kernel_log_sum_exp import log_of
from .local_polynomial import LocalFit, concatenated, fit_moments, monomial_values, monomials, share_of, slopes
from .reduction import PairReduction
from .scaling import center_of

__all__ = ["LocalRegression"]

_LEAST_FREE = 1e-9  # of the samples: fewer degrees of freedom are rounding errors
_NORMAL = 1.4826  # a standard deviation in medians of absolute deviations, for a normal distribution


class LocalRegression:
    """Polynomials of least squares about queries, in x'_j - x, weighted by a kernel.

    Coordinates are in units of the spread of the samples. Moments about the centre of all samples are sums of what depends on the
    sample alone, times the kernel: they take hardly more time than the kernel itself. Where they cancel, because the kernel is
    narrow or the query lies outside, the samples are summed again about their local mean. The normal equations are solved in
    float64.

    Parameters
    ----------
    bound : BoundKernel
    samples : ndarray of shape (n_samples, n_features)
    targets : ndarray of shape (n_samples, n_targets)
        In the dtype of the samples.
    weights : ndarray of shape (n_samples,) or None
        Those of the samples, the reciprocals of the variances of their targets up to a factor.
    trust : ndarray of shape (n_samples,) or None
        Further factors, which say nothing about the variances: those of robust iterations.
    degree : int
        0, 1 or 2.
    sweep : callable
        Returns the values of a `PairReduction` for rows of queries.
    backend : str
    rtol : float
        What means, of degree 0, may leave out.
    """

    def __init__(
        self,
        bound: BoundKernel,
        samples: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray | None,
        trust: np.ndarray | None,
        degree: int,
        sweep: Callable[[PairReduction, np.ndarray], np.ndarray],
        backend: str,
        rtol: float = 0.0,
    ):
        self._rtol = rtol
        self._bound, self._samples, self._weights, self._trust = bound, samples, weights, trust
        self._degree, self._sweep, self._backend = degree, sweep, backend
        self._xp, self._dtype = namespace_of(samples), samples.dtype
        self._parameters = bound.parameter_arrays(samples.dtype, self._xp)
        self._offset: Any = 0.0
        self._targets, self._unit = targets, self._xp.ones(samples.shape[1])
        if degree > 0:
            low, high = samples.min(axis=0) / 2, samples.max(axis=0) / 2
            self._origin, spread = low + high, high - low
            self._unit = np.where(spread > 4 * np.finfo(self._dtype).tiny, spread, 1).astype(np.float64)
            # A sum with the mean of the targets would round what is left of them.
            self._offset = center_of(targets)
            self._targets = (targets - self._offset).astype(self._dtype)

    # Polynomials

    def fit(self, x: np.ndarray) -> LocalFit:
        """Return the polynomials of queries, in units of the spread of the samples."""
        if self._degree == 0:
            values = self._sweep(self.means()[0], x)
            ones = self._xp.ones((len(x), 1), dtype=x.dtype)
            return LocalFit(x, values[:, None], ones, values)
        fit, share, means = self._fit_about(x, None)
        again = share < float(np.finfo(x.dtype).eps) ** (1 / 3)  # where a third of the digits, and more, are lost
        if bool(again.any()):
            better, _, _ = self._fit_about(x[again], means[again])
            for name in ("center", "coefficients", "influence", "values"):
                getattr(fit, name)[again] = getattr(better, name)
        fit.values[...] += self._offset
        return fit

    def means(self) -> tuple[PairReduction, dict[str, Variable]]:
        """Return the weighted means of the targets, the polynomials of degree 0, and the variables that have derivatives."""
        variables, arrays, exponent = self._weighted()
        targets = variables[len(self._bound.variables)]
        names = {"X": self._bound.x, "X_fit": self._bound.y, "y": targets}
        return PairReduction(exponent, variables, arrays, "SumSoftMaxWeight", targets).within(self._rtol), names

    def log_sums(self) -> PairReduction:
        """Return the logarithms of the sums of the weighted kernel."""
        variables, arrays, exponent = self._weighted()
        return PairReduction(exponent, variables, arrays, "LogSumExp")

    def _fit_about(self, x: np.ndarray, center: np.ndarray | None) -> tuple[LocalFit, np.ndarray, np.ndarray]:
        """Return polynomials about centres, None for that of all samples, how well they are determined, and the local means."""
        n, n_features, rows = len(x), x.shape[1], [x]
        variables, arrays, exponent = self._weighted()
        targets, scale = variables[len(self._bound.variables)], Variable(len(variables), n_features, P)
        variables, arrays = [*variables, scale], [*arrays, self._scale()]
        if center is None:
            queries, to_parts, _ = self._queries([])
            origin = Variable(len(variables), n_features, P)
            shift: Expression = origin
            variables, arrays = [*variables, origin], [*arrays, self._origin]
            center = self._xp.zeros((n, n_features)) + self._origin
        else:
            rows.append(center.astype(x.dtype))
            queries, to_parts, (shift,) = self._queries([n_features])
            center = rows[1].astype(np.float64)  # as it is in the sums
        powers = monomials((self._bound.y - shift) * scale, 2 * self._degree)
        local = concatenated(powers[: self._degree])
        columns = concatenated([*powers, targets, ops.TensorProd.build(local, targets)])
        reduction = PairReduction(substitute(exponent, to_parts), [queries, *variables[1:]], arrays, "SumSoftMaxWeight", columns)
        found = self._sweep(reduction, np.concatenate(rows, axis=1)).astype(np.float64, copy=False)
        split = sum(block.dim for block in powers)
        moments = np.concatenate([self._xp.ones((n, 1)), found[:, :split]], axis=1)
        products = found[:, split:].reshape(n, 1 + local.dim, targets.dim)
        fit, share = fit_moments(moments, products, self._local(x, center), center, self._degree, share_of(x.dtype))
        return fit, share, center + moments[:, 1 : 1 + n_features] * self._unit

    # Variances

    def variance_factors(self, x: np.ndarray, fit: LocalFit, log_sums: np.ndarray) -> np.ndarray:
        """Return the variances of the values, if those of the targets are the reciprocals of the weights: shape (n,).

        A value is a sum ``sum_j l_j y_j``; this is ``sum_j l_j**2 / w_j``.
        """
        queries, to_parts, (shift, total, influence) = self._queries([x.shape[1], 1, fit.influence.shape[1]])
        first = len(self._bound.variables)
        log_factor, scale = Variable(first, 1, J), Variable(first + 1, self._samples.shape[1], P)
        exponent = 2 * (substitute(self._bound.log_expression, to_parts) - total) + log_factor
        expression = ops.Exp.build(exponent) * ops.Square.build(ops.Sum.build(self._terms(shift, scale) * influence))
        factor = self._xp.zeros(len(self._samples), dtype=self._dtype)
        if self._weights is not None:
            factor = factor + log_of(self._weights)
        if self._trust is not None:
            factor = factor + 2 * log_of(self._trust)
        arrays = [self._samples, *self._parameters, factor[:, None], self._scale()]
        variables = [queries, *self._bound.variables[1:], log_factor, scale]
        rows = np.concatenate([x, fit.center, _none_as_infinite(log_sums), fit.influence], axis=1).astype(x.dtype, copy=False)
        return self._sweep(PairReduction(expression, variables, arrays, "Sum"), rows)[:, 0]

    def own_shares(self, fit: LocalFit, log_sums: np.ndarray) -> np.ndarray:
        """Return what each target is multiplied by in the value at its own sample, of shape (n_samples,).

        Parameters
        ----------
        fit, log_sums
            Those of the samples.
        """
        bound, x = self._bound, self._samples
        own = substitute(bound.log_expression, {bound.y: bound.x})
        variables, arrays = (bound.x, *bound.parameters.values()), (x, *self._parameters)
        exponent = backends.get(self._backend, self._xp).evaluate((own,), variables, arrays, len(x))[0]
        found = np.exp(exponent - _none_as_infinite(log_sums))[:, 0]
        for factor in (self._weights, self._trust):
            found = found if factor is None else found * factor
        return found * np.einsum("nk,nk->n", monomial_values(self._local(x, fit.center), self._degree), fit.influence)

    def noise_variance(self) -> np.ndarray:
        r"""Return the variances of targets of weight 1, one for each target, from the residuals of the samples.

        With the matrix L of the smoother, whose rows are the shares of the targets in the values at the samples,

        .. math:: \hat\sigma^2 = \frac{\sum_i w_i (y_i - \hat y_i)^2}{n - 2 \sum_i L_{ii} + \sum_i w_i \sum_j L_{ij}^2 / w_j},

        which is unbiased where the polynomials are (n is the number of positive weights). With factors of robust iterations it is
        the square of 1.4826 times the median of :math:`\sqrt{w_i} \, |y_i - \hat y_i|`.

        NaN where the samples leave no residuals.
        """
        x, xp = self._samples, self._xp
        fit = self.fit(x)
        weights = xp.ones(len(x)) if self._weights is None else self._weights.astype(np.float64)
        defined = (weights > 0) & ~np.isnan(fit.values).any(axis=1)
        residuals = self._targets + self._offset - fit.values
        squares = (weights[:, None] * residuals**2)[defined]
        if self._trust is not None:
            return (_NORMAL * np.median(np.sqrt(squares), axis=0)) ** 2
        log_sums = self._sweep(self.log_sums(), x)
        of_values = weights * self.variance_factors(x, fit, log_sums)
        free = float((1 - 2 * self.own_shares(fit, log_sums) + of_values)[defined].sum())
        if not free > _LEAST_FREE * len(x):
            return xp.full(residuals.shape[1], np.nan)
        return squares.sum(axis=0) / free

    # Derivatives

    def differentiable(self, fit: LocalFit, log_sums: np.ndarray) -> tuple[PairReduction, dict[str, Variable]]:
        r"""Return a sum whose derivatives are those of the values, but for those through the place of the query, and its variables.

        The value is :math:`e^\top S^{-1} T` with moments S and products T. Their changes change it by
        :math:`a^\top (dT - dS \, \beta)` with :math:`a = S^{-1} e` and the coefficients :math:`\beta = S^{-1} T`. That is the
        change of :math:`\sum_j p_j \, (a \cdot \phi_j) \, (y_j - \phi_j \cdot \beta)` with a and :math:`\beta` held fixed.
        """
        bound, n_targets, n_terms = self._bound, self._targets.shape[1], fit.influence.shape[1]
        n, n_features = fit.center.shape
        kinds = [(n_targets, J), (1, J), (1, J), (self._samples.shape[1], P)]
        kinds += [(n_features, I), (1, I), (n_terms, I), (n_terms * n_targets, I)]
        own = [Variable(len(bound.variables) + k, dim, category) for k, (dim, category) in enumerate(kinds)]
        targets, weight, trust, scale, shift, total, influence, coefficients = own
        terms = self._terms(shift, scale)
        share = ops.Exp.build(bound.log_expression - total) * weight * trust * ops.Sum.build(terms * influence)
        expression = share * (targets - ops.VecMatMult.build(terms, coefficients))
        ones = self._xp.ones((len(self._samples), 1), dtype=self._dtype)
        factors = [ones if a is None else a[:, None] for a in (self._weights, self._trust)]
        # A query without a value has the sum +inf, so that nothing counts.
        numbers = (np.nan_to_num(a).reshape(n, -1).astype(self._dtype) for a in (fit.center, fit.influence, fit.coefficients))
        shift_array, *rest = numbers
        arrays = [self._samples, *self._parameters, self._targets, *factors, self._scale()]
        arrays += [shift_array, _none_as_infinite(log_sums), *rest]
        names = {"X": bound.x, "X_fit": bound.y, "y": targets, "sample_weight": weight}
        return PairReduction(expression, [*bound.variables, *own], arrays, "Sum"), names

    def query_slopes(self, x: np.ndarray, fit: LocalFit) -> np.ndarray:
        """Return the derivatives of the polynomials at the queries, of shape (n, n_features, n_targets); 0 where there is none."""
        found = slopes(self._local(x, fit.center), self._degree).transpose(0, 2, 1) @ fit.coefficients
        return np.nan_to_num(found) / self._unit[:, None]

    # Formulas

    def _weighted(self) -> tuple[list[Variable], list[np.ndarray], Expression]:
        """Return variables, arrays and the exponent of the weighted kernel; behind the kernel's variables are the targets."""
        bound = self._bound
        variables = [*bound.variables, Variable(len(bound.variables), self._targets.shape[1], J)]
        arrays, exponent = [self._samples, *self._parameters, self._targets], bound.log_expression
        for factor in (self._weights, self._trust):
            if factor is not None:
                log_factor = Variable(len(variables), 1, J)
                variables.append(log_factor)
                arrays.append(log_of(factor)[:, None])
                exponent = exponent + log_factor
        return variables, arrays, exponent

    def _queries(self, dims: list[int]) -> tuple[Variable, dict[Expression, Expression], list[Expression]]:
        """Return the variable of queries that have further columns behind them, what the query itself is in it, and these columns.

        Jobs cut the rows of one array.
        """
        starts = np.cumsum([self._bound.x.dim, *dims]).tolist()
        queries = Variable(0, starts[-1], I)
        parts = [ops.Extract.build(queries, start, dim) for start, dim in zip(starts, dims, strict=False)]
        return queries, {self._bound.x: ops.Extract.build(queries, 0, self._bound.x.dim)}, parts

    def _terms(self, shift: Expression, scale: Expression) -> Expression:
        """Return the monomials of a sample about a centre, the constant among them."""
        powers = monomials((self._bound.y - shift) * scale, self._degree) if self._degree > 0 else []
        return concatenated([Constant(1), *powers])

    # Units

    def _scale(self) -> np.ndarray:
        return (1 / self._unit).astype(self._dtype)

    def _local(self, x: np.ndarray, center: np.ndarray) -> np.ndarray:
        """Return queries as the polynomials about a centre see them."""
        return (x.astype(np.float64, copy=False) - center) / self._unit


def _none_as_infinite(log_sums: np.ndarray) -> np.ndarray:
    """Return logarithms of sums by which nothing is divided that has no sum: differences with them are -inf."""
    return np.where(log_sums == -np.inf, np.inf, log_sums)
