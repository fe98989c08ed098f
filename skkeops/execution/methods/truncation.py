"""Sums without the pairs that a tolerance makes negligible: cost that follows the data.

Both sides are brought into a spatial order (`skkeops.execution.methods.tiles`). The most promising tiles of columns are computed
for each tile of rows: the absolute values found there add up to a lower bound of what is summed, and the tolerance makes of it what
may be left out. Tiles of columns are left out, those with the smallest upper bounds first, as long as these bounds, times the
numbers of columns, add up to no more. The rest is computed by the backend, in blocks of pairs. So the error is proven, for every
row and every component, whatever the formula is; what may be NaN or infinite is never left out.

Everything is compared in logarithms, so that sums that are 1e-200 of others have errors that are relative to themselves.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skkeops.arrays.conversion import dtype_of
from skkeops.arrays.devices import is_on_device, to_host
from skkeops.execution.program import Backend, Program
from skkeops.formula.enclosure import bounds, without_bounds
from skkeops.formula.expression import Constant, Expression
from skkeops.formula.operations import Abs, Concat, Log, Minus, ReLU, Sum
from skkeops.formula.operations.intervals import larger
from skkeops.pairs.ranges import Blocks
from skkeops.pairs.tolerance import Tolerance
from skkeops.plan.homes import Home, home_of
from skkeops.plan.problem import Problem
from skkeops.plan.terms import sum_term
from skkeops.reductions import LogSumExp, LogSumExpWeight
from skkeops.reductions import Sum as SumReduction
from skkeops.reductions.base import State

from .tile_lists import GENERATIONS, Generation, blocks_of
from .tile_parts import NO_ROWS, Needed, Part
from .tiles import TileMethod, far_rows, has_pairs

__all__ = ["Truncation"]

#: Pairs for each row of both sides that pay for looking at the rows.
_PAIRS_PER_ROW = 15000
#: With more than this share of the pairs, or of the tiles, of a sample left, all pairs are computed.
_WORTH_IN_SAMPLE = 0.45
#: How many tiles of columns are computed for a lower bound of what is summed.
_PROMISING = 6
#: How large a part of what may be left out each generation of a search has used at most.
_UP_TO = 0.5 ** np.arange(GENERATIONS - 1, -1, -1)
#: By so much are lower bounds lowered, in logarithms, as they are computed with rounding errors.
_SLACK = 1e-5
#: Rows that may leave out less than others of their tile, in logarithms by so much, have lists of their own.
_OUTLIERS = 4.0
#: About how many pairs of such rows and of tiles a search holds.
_PAIRS_OF_ROWS = 1 << 21
#: Products are bounded by the smallest normal number at least, where a factor is 0. Sums of numbers of this size count as rounding.
_UNDERFLOW = np.log(1e-300)
_SAMPLE_ROWS, _SAMPLE_COLUMNS = 32, 2048


class Summand(NamedTuple):
    """What is summed, ``factor * exp(exponent) * weight``, the factor having left the sum.

    Attributes
    ----------
    factor : Expression or None
        What depends on the row alone.
    exponent : Expression or None
    weight : Expression
    """

    factor: Expression | None
    exponent: Expression | None
    weight: Expression

    @classmethod
    def of(cls, problem: Problem) -> Summand:
        """Return what the reduction of a problem sums."""
        exponent, weight = problem.reduction.summand(problem.values)
        if exponent is not None:
            return cls(None, exponent, weight)
        term = sum_term(weight, 1 - problem.axis)
        parts = [term.vector if term.minus is None or term.vector is None else term.vector - term.minus, term.scale]
        rest: Expression | None = None
        for part in parts:
            if part is not None:
                rest = part if rest is None else rest * part
        return cls(term.factor, None, Constant(1) if rest is None else rest)

    @property
    def formulas(self) -> tuple[Expression, ...]:
        """The exponent, if there is one, and the weight."""
        return (self.weight,) if self.exponent is None else (self.exponent, self.weight)

    @property
    def log_size(self) -> Expression:
        """The logarithm of its absolute value, without the factor."""
        log = Log.build(Abs.build(self.weight))
        return log if self.exponent is None else self.exponent + log

    def sums_of_sizes(self, problem: Problem) -> Problem:
        """Return the problem of the sums of its absolute values, without the factor."""
        size = Abs.build(self.weight)
        if self.exponent is None:
            return Problem.of(SumReduction(), (size,), problem.axis, problem.variables)
        reduction = LogSumExp() if isinstance(size, Constant) else LogSumExpWeight()
        values = reduction.values(self.exponent, None if isinstance(size, Constant) else size)
        return Problem.of(reduction, values, problem.axis, problem.variables)


class Truncation(TileMethod):
    """A sum, up to a tolerance, at the cost of the tiles that are not negligible."""

    name = "truncation"
    takes = "a tolerance is given, there are many pairs, and bounds on a sample of tiles say that most of them are negligible"
    takes_tolerances = True
    sample_size = 1 << 13

    def __init__(self, problem: Problem, backend: Backend, options: Any = None):
        super().__init__(problem, backend, options)
        self._summand = Summand.of(problem)
        self.formula = self._summand.formulas[0]
        for other in self._summand.formulas[1:]:
            self.formula = Concat.build(self.formula, other)
        weight = Log.build(Sum.build(Abs.build(self._summand.weight)))
        self.ranked = weight if self._summand.exponent is None else self._summand.exponent + weight
        self._own = backend.prepare(problem, options)
        self._sizes = backend.prepare(self._summand.sums_of_sizes(problem), options)

    @classmethod
    def declines(cls, problem: Problem, backend: Backend) -> str | None:
        if not backend.truncates:
            return "the backend computes all pairs, of arrays of NumPy"
        if len(problem.outputs) > 1 or not problem.reduction.tolerances:
            return "it is for a single sum"
        if has_pairs(problem):
            return "an argument has a value for each pair"
        formulas = Summand.of(problem).formulas
        if not any(home_of(f, 1 - problem.axis) is Home.PAIR for f in formulas):
            return "the formula does not depend on both indices"
        missing = next(filter(None, map(without_bounds, formulas)), None)
        return None if missing is None else f"{missing} has no bounds"

    def declines_call(self, arrays: tuple[Any, ...], pairs: Any) -> str | None:
        if not isinstance(pairs, Tolerance):
            return "ranges are given"
        reason = self.declines_sizes(arrays, _PAIRS_PER_ROW)
        if reason is not None:
            return reason
        rng = np.random.default_rng(0)
        kept = self._sample_pairs(arrays, rng, pairs)[2]
        if kept.mean() > _WORTH_IN_SAMPLE:
            return f"in a sample {kept.mean():.0%} of the pairs are not negligible"
        share = self._sample_share(arrays, dtype_of(arrays), rng, pairs)
        return None if share <= _WORTH_IN_SAMPLE else f"in a sample {share:.0%} of the tiles are not negligible"

    # Of a problem

    def boxed(self, turned, dtype):
        weight = bounds(turned(self._summand.weight), dtype)
        boxes = dict(weight.boxes)
        lower = Log.build(ReLU.build(larger(weight.lower, Minus.build(weight.upper))))
        upper = Log.build(larger(Minus.build(weight.lower), weight.upper))
        if self._summand.exponent is not None:
            exponent = bounds(turned(self._summand.exponent), dtype)
            boxes |= exponent.boxes
            lower, upper = exponent.lower + lower, exponent.upper + upper
        return {"lower": lower, "upper": upper, "both": Concat.build(lower, upper)}, boxes

    def promise(self, evaluate):
        def promise(rows, columns):
            # The middle of what there may be. Where next to nothing is certain, as with weights of both signs, it is as far below
            # the most as it usually is: then the most decides.
            with np.errstate(invalid="ignore"):
                both = evaluate("both", rows, columns)  # what they have in common is computed once
                certain, most = (np.fmax.reduce(part, axis=1) for part in np.split(both, 2, axis=1))
                unknown = most - certain
            unknown[np.isnan(unknown)] = np.inf
            known = unknown[:: max(1, len(unknown) // 4096)]
            known = known[known < np.inf]
            usual = np.quantile(known, 0.25) if len(known) else 0.0
            return np.minimum(unknown, 4 * usual) / 2 - np.where(np.isnan(most), np.inf, np.minimum(most, np.finfo(float).max))

        return promise

    # Of a call

    def _log_sums(self, arrays: tuple[Any, ...], blocks: Any = None) -> np.ndarray:
        """Return the logarithms of the sums of absolute values, (rows, components); -inf where one is not finite."""
        program = self._sizes
        with np.errstate(all="ignore"):
            state = tuple(map(to_host, program.state(arrays, blocks)))
            found = program.reduction.finalize(state, np.dtype(np.float64))
            found = np.log(found) if program.reduction.fold == "sum" else found
        return np.where(np.isfinite(found), found, -np.inf)

    def _log_allowed(self, arrays: tuple[Any, ...], log_sums: np.ndarray, tolerance: Tolerance) -> np.ndarray:
        """Return the logarithms of what may be left out for each row and component."""
        with np.errstate(all="ignore"):
            allowed = log_sums + np.log(self.reduction.rtol_of_sums(tolerance.rtol)) - _SLACK
            if self._summand.exponent is None:
                allowed = np.maximum(allowed, _UNDERFLOW)
            if not tolerance.atol:
                return allowed
            absolute: Any = np.log(tolerance.atol)
            if self._summand.factor is not None:
                absolute = absolute - self._log_factor(arrays, len(log_sums))
            return np.logaddexp(allowed, np.where(np.isnan(absolute), -np.inf, absolute))

    def _log_factor(self, arrays: tuple[Any, ...], n: int) -> np.ndarray:
        """Return the logarithms of the factors of rows: of each component, or of the largest one."""
        factor = self._summand.factor
        assert factor is not None
        backend = self.backend if is_on_device(arrays[0]) else self.on_host
        values = to_host(backend.evaluate((factor,), self.problem.variables, arrays, n)[0])
        logs = np.log(np.abs(values.astype(np.float64)))
        return logs if logs.shape[1] == self._summand.weight.dim else logs.max(axis=1, keepdims=True)

    def _sample_pairs(
        self, arrays: tuple[Any, ...], rng: np.random.Generator, tolerance: Tolerance
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return some rows, some columns, and which of their pairs are not negligible: no way to skip pairs can compute fewer."""
        n_out, n_reduced = self.sizes(arrays)
        rows, columns = rng.integers(n_out, size=_SAMPLE_ROWS), rng.integers(n_reduced, size=_SAMPLE_COLUMNS)
        sample = tuple(map(to_host, self.take(self.take(arrays, 0, rows), 1, columns)))
        shape = (len(rows), len(columns)) if self.axis == 1 else (len(columns), len(rows))
        with np.errstate(all="ignore"):
            logs = self.on_host.evaluate_pairs(self._summand.log_size, self.problem.variables, sample, *shape).astype(np.float64)
            logs = logs if self.axis == 1 else logs.swapaxes(0, 1)
            largest = np.fmax.reduce(logs, axis=1)
            sizes = np.exp(logs - np.where(np.isfinite(largest), largest, 0.0)[:, None])
            log_sums = np.log(sizes.sum(axis=1)) + largest + np.log(n_reduced / len(columns))
            allowed = self._log_allowed(sample, np.where(np.isfinite(log_sums), log_sums, -np.inf), tolerance)
            scores = np.exp(logs + np.log(n_reduced / len(columns)) - allowed[:, None])
        scores = np.where(logs == -np.inf, 0.0, np.where(np.isnan(scores), np.inf, scores)).max(axis=2)
        ranked = np.sort(scores, axis=1)
        n_dropped = (ranked.cumsum(axis=1) <= 1).sum(axis=1)
        least = np.take_along_axis(np.pad(ranked, ((0, 0), (0, 1)), constant_values=np.inf), n_dropped[:, None], axis=1)
        return rows, columns, scores >= least

    def telling_pairs(self, arrays, rng, pairs):
        rows, columns, kept = self._sample_pairs(arrays, rng, pairs)
        i, j = np.nonzero(kept)
        return rows[i], columns[j]

    def _sample_share(
        self, arrays: tuple[Any, ...], dtype: np.dtype, rng: np.random.Generator, tolerance: Tolerance
    ) -> float:
        """Return about which share of pairs of tiles is not negligible, from a sample of rows, columns and tiles."""
        scales = self.scales(arrays, rng, tolerance)
        rows = self.sample_of_side(arrays, dtype, 0, scales[0], 8, rng)
        columns = self.sample_of_side(arrays, dtype, 1, scales[1], 64, rng)
        if rows is None or columns is None:
            return 1.0
        some = self.take(arrays, 0, rows.rows)
        allowed = self._log_allowed(some, self._log_sums(some), tolerance)
        allowed = np.minimum.reduceat(allowed, rows.edges[:-1], axis=0)
        i, j = (a.ravel() for a in np.indices([rows.n_tiles, columns.n_tiles]))
        pairs = [[(lower[at], upper[at]) for lower, upper in side.boxes] for side, at in ((rows, i), (columns, j))]
        upper = self.evaluator(arrays, dtype)("upper", *pairs)
        per_tile = self.sizes(arrays)[1] / columns.n_tiles  # each stands for so many columns
        scores = np.sort(_scores(upper, np.log(per_tile), allowed[i]).reshape(rows.n_tiles, -1), axis=1)
        return float((scores.cumsum(axis=1) > 1).mean())

    def program_of_rest(self) -> Program:
        return self._own

    def needed(self, part: Part) -> Needed:
        search, arrays, edges, columns, nodes, n_reduced, tolerance = part
        n_ordered = columns.n_ordered  # others, which are not finite, are met by all rows, and tell nothing of the sums
        count = min(_PROMISING, 2**columns.depth)
        log_sums = self._log_sums(arrays, blocks_of(*search.promising(*nodes, count), edges, columns.edges, n_ordered))
        # rows that are alone leave most threads of a block idle
        far = NO_ROWS if is_on_device(arrays[0]) else far_rows(-log_sums, edges)
        if len(far):
            some = self.take(arrays, 0, far)
            points = self.boxes_of_rows(some)
            own = blocks_of(*search.promising_for(points, count), np.arange(len(far) + 1), columns.edges, n_ordered)
            log_sums[far] = np.maximum(log_sums[far], self._log_sums(some, own))
        allowed = self._log_allowed(arrays, log_sums, tolerance)
        # The least that a row of a tile may leave out holds for all of them: outliers are not to decide for the others.
        own_rows = np.intersect1d(far, far_rows(-allowed, edges, _OUTLIERS)) if len(far) else far
        of_tiles = allowed.copy()
        of_tiles[own_rows] = np.inf
        sizes = [np.log(np.diff(columns.edges[:: 2 ** (columns.depth - level)])) for level in range(columns.depth + 1)]
        budget = _Budget(np.minimum.reduceat(of_tiles, edges[:-1], axis=0), sizes)
        blocks = blocks_of(*search.descend(*nodes, budget.keep), edges, columns.edges, n_reduced)
        if not len(own_rows):
            return Needed(blocks, budget.error)
        found, error = [], budget.error
        step = max(1, _PAIRS_OF_ROWS // 2**columns.depth)
        for start in range(0, len(own_rows), step):
            these = own_rows[start : start + step]
            budget = _Budget(allowed[these], sizes)
            i, j = search.descend_for(self.boxes_of_rows(self.take(arrays, 0, these)), budget.keep)
            found.append((i + start, j))
            error = max(error, budget.error)
        i, j = (np.concatenate(side) for side in zip(*found, strict=True))
        return Needed(blocks, error, own_rows, blocks_of(i, j, np.arange(len(own_rows) + 1), columns.edges, n_reduced))

    def compute(self, part: Part, blocks: Blocks, known: Any) -> tuple[State, int]:
        return self._own.state(part.arrays, blocks), 0


class _Budget:
    """What tiles of rows may leave out, and how much of it they have used.

    Parameters
    ----------
    log_allowed : ndarray of shape (tiles, components)
        The logarithms of what each tile may leave out.
    log_sizes : list of ndarray
        For each level of the tree of columns the logarithms of how many there are in its nodes.
    """

    def __init__(self, log_allowed: np.ndarray, log_sizes: list[np.ndarray]):
        self._allowed = log_allowed
        self._sizes = log_sizes
        #: For each node of rows the part of what it may leave out that is used.
        self.spent = np.zeros(1)

    @property
    def error(self) -> float:
        """The largest part that is used."""
        return float(self.spent.max())

    def keep(self, pairs: Generation) -> np.ndarray:
        """Return which pairs of nodes are kept: all but the smallest ones, which are left out, as far as is allowed by now."""
        allowed = self._allowed.reshape(-1, pairs.below, self._allowed.shape[1]).min(axis=1)
        self.spent = np.repeat(self.spent, len(allowed) // len(self.spent))
        counts = self._sizes[pairs.column_level]

        def part(upper: np.ndarray, some: slice) -> np.ndarray:
            return _scores(upper, counts[pairs.columns[some]], allowed[pairs.rows[some]])

        scores = pairs.map("upper", part)
        kept, self.spent = keep_largest(pairs.rows, scores, self.spent, _UP_TO[pairs.number])
        return kept


def _scores(log_sizes: np.ndarray, log_counts: Any, log_allowed: np.ndarray) -> np.ndarray:
    """Return which part of what is allowed so many pairs of such sizes would use, in the component where it is the largest."""
    with np.errstate(over="ignore", invalid="ignore"):
        counts = log_counts[:, None] if np.ndim(log_counts) else log_counts
        logs = log_sizes + 4 * np.finfo(np.float64).eps * np.abs(log_sizes) + counts - log_allowed
        scores = np.exp(logs)
    scores[np.isnan(scores)] = np.inf
    scores[log_sizes == -np.inf] = 0.0  # they are zero, whatever is allowed
    return scores.max(axis=1)


#: Scores are sorted by their first bits into buckets, four to a factor of two, from 2**-62 to 4.
_FIRST_BUCKET, _BUCKETS = (1023 - 62) << 2, 256


def keep_largest(rows: np.ndarray, scores: np.ndarray, spent: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Return which scores are kept, where the smallest of each row are left out as long as they add up to no more than a limit.

    Parameters
    ----------
    rows : ndarray of int64
        The row of each score.
    scores : ndarray of float64
        From 0 on, also infinite.
    spent : ndarray of float64
        What each row has used already.
    limit : float
        At most 1.

    Returns
    -------
    kept : ndarray of bool
    spent : ndarray of float64
        What each row has used now.
    """
    # A sort would take most of the time of a search. Scores in one bucket are left out together.
    bucket = np.clip((scores.view(np.int64) >> 50) - _FIRST_BUCKET, 0, _BUCKETS - 1)
    sums = np.bincount(rows * _BUCKETS + bucket, scores, len(spent) * _BUCKETS).reshape(-1, _BUCKETS).cumsum(axis=1)
    sums = spent[:, None] + sums * (1 + 1e-9)  # whatever their rounding
    n_dropped = (sums[:, :-1] <= limit).sum(axis=1)
    before = np.take_along_axis(sums, np.maximum(n_dropped - 1, 0)[:, None], axis=1)[:, 0]
    return bucket >= n_dropped[rows], np.where(n_dropped > 0, before, spent)
