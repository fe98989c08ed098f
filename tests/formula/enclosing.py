"""Random formulas over all operations, and how many of their computed values their bounds enclose.

    python -m tests.formula.enclosing 100      # 900 million values, some ten minutes

prints how many values were enclosed, and stops at the first formula of which one is outside.
"""

from __future__ import annotations

import sys

import numpy as np

from skkeops import Genred
from skkeops.backends.cpu import evaluate_pairs
from skkeops.formula import Constant, FormulaError, Variable, bounds
from skkeops.formula import operations as ops
from skkeops.formula.operations import lookup
from skkeops.pairs.order import boxes_of

from .cases import CASES

VARIABLES = (Variable(0, 3, 0), Variable(1, 3, 1), Variable(2, 1, 1), Variable(3, 2, 2))
BOXES, POINTS = 5, 16  # of each index; the points in a box
_CONSTANTS = [Constant(c) for c in (-2, -1, 0.5, 1, 3, 0.1, 1e-3, 12345.678)]
#: These two are long formulas of the operations of the others.
CHOSEN = [case for case in CASES if case.name not in ("SoftDTW_SqDist", "BSpline")]


def resize(f, dim, rng):
    """A formula with so many components: some of those of ``f``, or more than those."""
    if f.dim > dim:
        return ops.Extract(f, int(rng.integers(f.dim - dim + 1)), dim)
    while f.dim < dim:
        more = VARIABLES[rng.integers(len(VARIABLES))]
        f = ops.Concat(f, more)
    return f if f.dim == dim else resize(f, dim, rng)


def random_formula(case, rng):
    """A formula whose outermost operation is that of a case, of random arguments."""
    pool = [*VARIABLES, ops.Subtract(VARIABLES[0], VARIABLES[1]), ops.SqDist(VARIABLES[0], VARIABLES[1])]
    cases = [CHOSEN[k] for k in rng.integers(len(CHOSEN), size=rng.integers(4))]
    for some in [*cases, case]:
        args = []
        for dim in some.dims:
            f = pool[-1 - min(int(rng.exponential(3)), len(pool) - 1)]
            if rng.random() < 0.15:
                f = _CONSTANTS[rng.integers(len(_CONSTANTS))]
            args.append(resize(f, dim, rng))
        try:
            built = lookup(some.name).build(*args, *some.params)
        except FormulaError:  # constants beyond the language
            continue
        if rng.random() < 0.2:
            built = built * _CONSTANTS[rng.integers(len(_CONSTANTS))]
        pool.append(built)
    return pool[-1]


def random_boxes(rng, count, dim, dtype):
    """Lower and upper corners, and points between them: (count, dim), (count, dim), (count * POINTS, dim)."""
    center = rng.normal(size=(count, dim)) * 10.0 ** rng.integers(-2, 3)
    center = np.where(rng.random((count, 1)) < 0.4, np.abs(center) + rng.choice([0, 1]), center)
    center = np.where(rng.random((count, dim)) < 0.1, np.round(center), center)
    size = 10.0 ** rng.uniform(-6, 0.5, (count, 1)) * rng.choice([0, 1, 1, 1], (count, dim))
    scale = 10.0 ** rng.choice([0, 0, 0, 0, 0, -39, -20, 9, 17, 30], (count, 1))  # so that numbers are denormal, or overflow
    lower, upper = ((center - size) * scale).astype(dtype), ((center + size) * scale).astype(dtype)
    share = rng.choice([0, 1, 0.5, -1], (count, POINTS, dim))
    share = np.where(share < 0, rng.random(share.shape), share)
    points = lower[:, None].astype(float) * (1 - share) + upper[:, None].astype(float) * share
    points = np.clip(points.astype(dtype), lower[:, None], upper[:, None])
    corners = np.stack([lower, upper], axis=1).reshape(-1, dim)
    return *boxes_of(corners, np.arange(0, 2 * count + 1, 2), corners.dtype), points.reshape(-1, dim)


def outside(formula, dtype, rng):
    """Return how many values were enclosed by bounds that say something, and a description of one that was not."""
    found = bounds(formula, np.dtype(dtype).name)
    boxed, corners, arrays = [], [], []
    for v in VARIABLES:
        if v.category == 2:
            value = (rng.normal(size=v.dim) * 10.0 ** rng.integers(-1, 2)).astype(dtype)
            arrays.append(value)
            boxed.append(Variable(2 * v.position, v.dim, v.category))
            corners.append(value.astype(float))
        else:
            lower, upper, points = random_boxes(rng, BOXES, v.dim, dtype)
            arrays.append(points)
            boxed += [Variable(2 * v.position + k, v.dim, v.category) for k in (0, 1)]
            corners += [lower, upper]
    m = n = BOXES * POINTS
    with np.errstate(all="ignore"):
        values = evaluate_pairs(formula, VARIABLES, tuple(arrays), m, n)
        lower, upper = (evaluate_pairs(f, tuple(boxed), tuple(corners), BOXES, BOXES) for f in found[:2])
        largest = _extremes(formula, arrays)
    values = values.reshape(BOXES, POINTS, BOXES, POINTS, -1).astype(float)
    low, high = lower[:, None, :, None], upper[:, None, :, None]
    known = np.isfinite(low) & np.isfinite(high)
    inside = (low <= values) & (values <= high)  # a NaN is not
    bad = known & ~inside
    if bad.any():
        i, a, j, b, c = (int(k[0]) for k in np.nonzero(bad))
        value = values[i, a, j, b, c]
        return 0, f"{dtype.__name__} {formula}: {value!r} is not in [{lower[i, j, c]!r}, {upper[i, j, c]!r}]"
    for axis, (most, ends) in largest.items():
        tops = upper.max(axis=axis)  # of all boxes that a row meets
        low = lower.min(axis=axis)
        if (np.repeat(tops, POINTS, axis=0) < most).any() or (np.repeat(low, POINTS, axis=0) > ends).any():
            return 0, f"{dtype.__name__} {formula}: an extremum over axis {axis} is outside"
    return int(np.broadcast_to(known, values.shape).sum()), ""


def _extremes(formula, arrays):
    """The largest and the smallest values by the folds of the engine, in both orders of lanes."""
    found = {}
    aliases = [f"v{v.position} = {('Vi', 'Vj', 'Pm')[v.category]}({v.position},{v.dim})" for v in VARIABLES]
    for axis in (0, 1):
        found[axis] = [Genred(formula, aliases, op, axis=axis)(*arrays) for op in ("Max", "Min")]
    return found


def run(count, seed=0, dtypes=(np.float32, np.float64)):
    """Check so many formulas for every case; return how many values were enclosed, by name of the operation."""
    rng = np.random.default_rng(seed)
    enclosed: dict[str, int] = {}
    for _ in range(count):
        for case in CHOSEN:
            formula = random_formula(case, rng)
            for dtype in dtypes:
                number, complaint = outside(formula, dtype, rng)
                if complaint:
                    raise AssertionError(complaint)
                enclosed[case.name] = enclosed.get(case.name, 0) + number
    return enclosed


if __name__ == "__main__":
    total = 0
    for seed in range(int(sys.argv[1])):
        total += sum(run(1, seed).values())
        print(f"{seed + 1} rounds, {total / 1e6:.1f} million values, none outside", end="\r", flush=True)
    print()
