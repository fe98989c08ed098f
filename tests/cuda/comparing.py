"""Results of kernels beside those of the reference backend, with tolerances that follow from the dtype."""

from __future__ import annotations

import numpy as np

from skkeops.backends import reference


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


def lengths(problem, rows, columns):
    return (rows, columns) if problem.axis == 1 else (columns, rows)


def expected(problem, arrays, dtype, wide=np.float64):
    """The finalised result of the reference, on the same data in float64."""
    arrays = tuple(a.astype(wide) for a in arrays)
    return as_tuple(problem.reduction.finalize(reference.prepare(problem).state(arrays), np.dtype(dtype)))


def check(problem, found, arrays, dtype, where, slack=4):
    """`found` is the result, to some units of the last place; where that asks too much, because the formula amplifies
    rounding errors, to a few times the error of NumPy in the same dtype. Return the largest error, relative to the largest
    value."""
    truth = expected(problem, arrays, dtype)
    assert len(found) == len(truth), where
    values = []
    for a, b, same in zip(found, truth, expected(problem, arrays, dtype, dtype), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype, (where, a.shape, b.shape, a.dtype, b.dtype)
        if a.dtype.kind == "i":
            check_indices(problem, a, b, arrays, dtype, where)
        else:
            values.append((a, b, same))
    worst = 0.0
    for a, b, same in values:
        scale = np.abs(b[np.isfinite(b)]).max(initial=1.0)
        np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b), err_msg=where)
        np.testing.assert_array_equal(a[~np.isfinite(b)], b[~np.isfinite(b)], err_msg=where)
        finite = np.isfinite(b)
        error, usual = (np.abs(c[finite].astype(float) - b[finite]).max(initial=0) for c in (a, same))
        bound = (40 if dtype == "float32" else 200) * np.finfo(dtype).eps * scale + slack * usual
        assert error <= bound, (where, error, bound)
        worst = max(worst, float(error / scale))
    return worst


def check_indices(problem, found, truth, arrays, dtype, where):
    """Indices may differ only where the values are equal but for rounding."""
    if (found == truth).all():
        return
    m, n = ([len(a) for v, a in zip(problem.variables, arrays, strict=True) if v.category == c] for c in (0, 1))
    values = reference.dense.evaluate(
        problem.values,
        {
            v.position: a.astype(float)[{0: (slice(None), None), 1: (None, slice(None)), 2: (None, None)}[v.category]]
            for v, a in zip(problem.variables, arrays, strict=True)
        },
        np.dtype(float),
    )[0]
    values = np.broadcast_to(values, (m[0], n[0], values.shape[-1]))
    values = values if problem.axis == 1 else values.swapaxes(0, 1)
    index = found.reshape(len(found), -1, values.shape[2])
    other = truth.reshape(index.shape)
    a, b = (np.take_along_axis(values, i, axis=1) for i in (index, other))
    assert np.abs(a - b).max() <= 20 * np.finfo(dtype).eps * np.abs(values).max(), where
