"""Variables with a value for each pair, dense, boolean or sparse, against dense NumPy arrays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array, csc_array, csr_array, csr_matrix, random_array
from scipy.special import logsumexp, softmax

from skkeops import FormulaError, Genred

RNG = np.random.default_rng(7)
SIZES = [(1, 1), (5, 7), (63, 65), (130, 70), (3, 9001), (601, 513)]
FORMULA = "Exp(-SqDist(x, y)) * w - Square(x - y) | b"
ALIASES = ["x = Vi(2)", "y = Vj(2)", "w = Vij(1)", "b = Pm(2)"]
B = np.array([0.3, -0.2])


def points(m, n, dtype=np.float64):
    return RNG.normal(size=(m, 2)).astype(dtype), RNG.normal(size=(n, 2)).astype(dtype)


def kernel(x, y):
    return np.exp(-((x[:, None].astype(np.float64) - y) ** 2).sum(-1))


def sparse(m, n, dtype=np.float64, density=0.2):
    return random_array((m, n), density=density, rng=RNG, data_sampler=RNG.standard_normal).tocsr().astype(dtype)


OPERANDS = {
    "dense": lambda m, n, dtype: RNG.normal(size=(m, n)).astype(dtype),
    "fortran": lambda m, n, dtype: np.asfortranarray(RNG.normal(size=(m, n)).astype(dtype)),
    "strided": lambda m, n, dtype: RNG.normal(size=(2 * m, 3 * n)).astype(dtype)[::2, ::-3],
    "boolean": lambda m, n, dtype: RNG.random((m, n)) < 0.4,
    "turned boolean": lambda m, n, dtype: (RNG.random((n, m)) < 0.4).T,
    "integers": lambda m, n, dtype: RNG.integers(-3, 4, (m, n)),
    "sparse": sparse,
    "csc": lambda m, n, dtype: csc_array(sparse(m, n, dtype)),
    "coo with duplicates": lambda m, n, dtype: coo_array(
        (np.array([1.0, 2.0, 0.5], dtype), (np.array([0, 0, m - 1]), np.array([n - 1, n - 1, 0]))), shape=(m, n)
    ),
    "empty sparse": lambda m, n, dtype: csr_array((m, n), dtype=dtype),
    "full sparse": lambda m, n, dtype: csr_matrix(RNG.normal(size=(m, n)).astype(dtype)),
    "booleans, sparse": lambda m, n, dtype: csr_array(RNG.random((m, n)) < 0.3),
}


def whole(w):
    return np.asarray(w.toarray() if hasattr(w, "toarray") else w, dtype=np.float64)


def close(found, expected, dtype, scale=1.0):
    assert found.shape == expected.shape
    tolerance = 3e-6 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found, expected, rtol=10 * tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", OPERANDS)
def test_sum_and_logsumexp(kind, size, axis):
    for dtype in (np.float32, np.float64):
        x, y = points(*size, dtype)
        w = OPERANDS[kind](*size, dtype)
        dense = kernel(x, y) * whole(w)
        arguments = "Exp(-SqDist(x, y)) * w", ["x = Vi(2)", "y = Vj(2)", "w = Vij(1)"]
        found = Genred(*arguments, axis=axis)(x, y, w)
        assert found.dtype == dtype
        close(found[:, 0], dense.sum(axis), dtype, scale=size[axis] ** 0.5)
        close(Genred(*arguments, "LogSumExp", axis=axis)(x, y, w)[:, 0], logsumexp(dense, axis=axis), dtype, 10)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", ["dense", "sparse", "empty sparse", "full sparse", "booleans, sparse"])
def test_extrema_and_their_indices(kind, axis):
    m, n = 40, 57
    x, y = points(m, n)
    w = OPERANDS[kind](m, n, np.float64)
    dense = kernel(x, y) * whole(w)
    arguments = "Exp(-SqDist(x, y)) * w", ["x = Vi(2)", "y = Vj(2)", "w = Vij(1)"]
    for op, value, index in (("Max_ArgMax", dense.max, dense.argmax), ("Min_ArgMin", dense.min, dense.argmin)):
        found = Genred(*arguments, op, axis=axis)(x, y, w)
        close(found[0][:, 0], value(axis), np.float64)
        np.testing.assert_array_equal(found[1][:, 0], index(axis))
    values, indices = Genred(*arguments, "KMin_ArgKMin", axis=axis, opt_arg=4)(x, y, w)
    order = np.argsort(dense, axis=axis, kind="stable")
    expected = np.take_along_axis(dense, order, axis)
    close(values, expected[:, :4] if axis else expected[:4].T, np.float64)
    np.testing.assert_array_equal(indices, order[:, :4] if axis else order[:4].T)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", ["dense", "sparse", "empty sparse", "boolean", "booleans, sparse"])
def test_rows_that_nothing_wins(kind, axis):
    """Where nothing is stored, or everything is masked, there is no index, no weight and no gradient."""
    m, n = 21, 30
    x, y = points(m, n)
    w = OPERANDS[kind](m, n, np.float64)
    full = whole(w) * (RNG.random((m, n)) < 0.1)  # most rows or columns keep one or nothing
    w = type(w)(full) if hasattr(w, "toarray") else full
    dense = np.where(full != 0, kernel(x, y), np.inf)
    aliases = ["x = Vi(2)", "y = Vj(2)", "w = Vij(1)", "inf = Pm(1)"]
    formula, infinite = "IfElse(Abs(w) - 1e-300, Exp(-SqDist(x, y)), inf)", np.array([np.inf])
    best = dense.min(axis)
    value, index = Genred(formula, aliases, "Min_ArgMin", axis=axis)(x, y, w, infinite)
    np.testing.assert_allclose(value[:, 0], best, rtol=1e-12)
    np.testing.assert_array_equal(index[:, 0], np.where(best < np.inf, dense.argmin(axis), -1))
    order = np.argsort(dense, axis=axis, kind="stable")
    order = np.where(np.take_along_axis(dense, order, axis) < np.inf, order, -1)
    found = Genred(formula, aliases, "ArgKMin", axis=axis, opt_arg=5)(x, y, w, infinite)
    np.testing.assert_array_equal(found, order[:, :5] if axis else order[:5].T)
    weighted = Genred("SqDist(x, y)", aliases[:3], "LogSumExp", axis=axis, formula2="Square(w)")
    with np.errstate(divide="ignore"):
        expected = np.log((full**2 / kernel(x, y)).sum(axis))
    np.testing.assert_allclose(weighted(x, y, w)[:, 0], expected, rtol=1e-12)
    got = Genred("SqDist(x, y)", aliases[:3], "LogSumExp", axis=axis, formula2="Square(w)").gradient(
        x, y, w, wrt="x", grad_output=np.ones((len(expected), 1))
    )
    softmax_weights = full**2 / kernel(x, y) / np.expand_dims(np.where(np.isinf(expected), 1, np.exp(expected)), axis)
    np.testing.assert_allclose(got, (softmax_weights[..., None] * 2 * (x[:, None] - y)).sum(1), atol=1e-12)


def test_several_components_and_two_operands():
    m, n = 33, 150
    x, y = points(m, n)
    u, v, s = RNG.normal(size=(m, n, 2)), RNG.normal(size=(m, n)), sparse(m, n)
    t = sparse(m, n, density=0.1)
    f = Genred("Sin(u - x) * v", ["x = Vi(2)", "u = Vij(2)", "v = Vij(1)"], axis=1)
    np.testing.assert_allclose(f(x, u, v), (np.sin(u - x[:, None]) * v[..., None]).sum(1), rtol=1e-11)
    # two sparse ones are computed where either stores something
    f = Genred("(s + 2 * t) * Exp(x | y)", ["s = Vij(1)", "t = Vij(1)", "x = Vi(2)", "y = Vj(2)"], axis=0)
    expected = ((s + 2 * t).toarray() * np.exp(x @ y.T)).sum(0)
    np.testing.assert_allclose(f(s, t, x, y)[:, 0], expected, rtol=1e-11, atol=1e-12)
    # a dense one beside a sparse one
    f = Genred("s * u", ["s = Vij(1)", "u = Vij(2)"], axis=1)
    np.testing.assert_allclose(f(s, u), (s.toarray()[..., None] * u).sum(1), rtol=1e-11, atol=1e-12)


def test_alone():
    w = RNG.normal(size=(70, 90))
    for axis in (0, 1):
        np.testing.assert_allclose(Genred("Square(w)", ["w = Vij(1)"], axis=axis)(w)[:, 0], (w**2).sum(axis), rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_with_a_mask(axis):
    m, n = 30, 80
    x, y = points(m, n)
    v = RNG.normal(size=((m, n)[axis], 3))
    mask = RNG.random((m, n)) < 0.5
    mask[0], mask[:, 0] = True, True
    scores = np.where(mask, x @ y.T, -np.inf)
    weights = softmax(scores, axis=axis)
    expected = weights @ v if axis else weights.T @ v
    letter = "ij"[axis]
    f = Genred(
        "IfElse(s - 1/2, x | y, Log(0))",
        ["x = Vi(2)", "y = Vj(2)", "s = Vij(1)", f"v = V{letter}(3)"],
        "SumSoftMaxWeight",
        axis=axis,
        formula2="v",
    )
    np.testing.assert_allclose(f(x, y, mask, v), expected, rtol=1e-10)
    np.testing.assert_allclose(f(x, y, csr_array(mask), v), expected, rtol=1e-10)


def numerical(function, array, e):
    """The gradient of (function(array) * e).sum() by differences."""
    flat = array.reshape(-1)
    found = np.zeros_like(flat)
    for k in range(flat.size):
        h = 1e-6
        old = flat[k]
        flat[k] = old + h
        up = (function() * e).sum()
        flat[k] = old - h
        found[k] = ((up - (function() * e).sum()) / (2 * h)).item()
        flat[k] = old
    return found.reshape(array.shape)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", ["Sum", "LogSumExp", "Max", "KMin"])
def test_gradients(op, axis, kind):
    m, n = 6, 8
    x, y = points(m, n)
    w = OPERANDS[kind](m, n, np.float64)
    f = Genred("Exp(-SqDist(x, y)) * w * (3 + x | b)", ALIASES, op, axis=axis, opt_arg=2 if op == "KMin" else None)
    b = B.copy()
    value = f(x, y, w, b)
    e = RNG.normal(size=value.shape)
    if op in ("Max", "KMin") and kind == "sparse":
        e[np.abs(value) == 0] = 0  # 0 comes from several pairs
    found = f.gradient(x, y, w, b, wrt=("x", "y", "w", "b"), grad_output=e)
    for name, array, gradient in zip("xywb", (x, y, w, b), found, strict=True):
        if name == "w" and kind == "sparse":
            assert isinstance(gradient, csr_array)
            np.testing.assert_array_equal(gradient.indices, w.indices)
            array, gradient = w.data, gradient.data
        np.testing.assert_allclose(gradient, numerical(lambda: f(x, y, w, b), array, e), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("op", ["Sum", "LogSumExp", "Max"])
@pytest.mark.parametrize("axis", [0, 1])
def test_tangents_and_the_reference(op, axis):
    m, n = 9, 70
    x, y = points(m, n)
    w, u = RNG.normal(size=(m, n)), RNG.normal(size=(m, n))
    f = Genred("x * y * Sin(w)", ["x = Vi(2)", "y = Vj(2)", "w = Vij(1)"], op, axis=axis) if op != "LogSumExp" else Genred(
        "(x | y) * Sin(w)", ["x = Vi(2)", "y = Vj(2)", "w = Vij(1)"], op, axis=axis
    )
    h = 1e-6
    expected = (f(x, y, w + h * u) - f(x, y, w - h * u)) / (2 * h)
    for backend in ("CPU", "reference"):
        np.testing.assert_allclose(f.jvp(x, y, w, tangents={"w": u}, backend=backend), expected, rtol=1e-6, atol=1e-7)
    s, t = csr_array(w * (w > 1)), csr_array(u * (u > 1))
    if op != "Max":
        expected = (f(x, y, s.toarray() + h * t.toarray()) - f(x, y, s.toarray() - h * t.toarray())) / (2 * h)
        np.testing.assert_allclose(f.jvp(x, y, s, tangents={"w": t}), expected, rtol=1e-6, atol=1e-7)


def test_derivatives_in_the_formula():
    m, n = 5, 6
    x, y = points(m, n)
    w, e = RNG.normal(size=(m, n)), RNG.normal(size=(m, n))
    f = Genred("Grad(Sin(x | y * w), w, e)", ["x = Vi(2)", "y = Vj(2)", "w = Vij(1)", "e = Vij(1)"], axis=1)
    p = x @ y.T
    np.testing.assert_allclose(f(x, y, w, e)[:, 0], (np.cos(p * w) * p * e).sum(1), rtol=1e-10)
    with pytest.raises(FormulaError, match="a variable of pairs needs a third argument"):
        Genred("Grad(w * x, w)", ["w = Vij(1)", "x = Vi(1)"], axis=1)


def test_ranges():
    m, n = 40, 60
    x, y = points(m, n)
    w = RNG.normal(size=(m, n))
    keep = np.zeros((m, n), dtype=bool)
    keep[:10, 5:33] = keep[20:40, 50:] = True
    ranges = (
        np.array([[0, 10], [20, 40]]), np.array([1, 2]), np.array([[5, 33], [50, 60]]),
        np.array([[5, 33], [50, 60]]), np.array([1, 2]), np.array([[0, 10], [20, 40]]),
    )  # fmt: skip
    dense = np.where(keep, kernel(x, y) * w, 0)
    for axis in (0, 1):
        f = Genred("Exp(-SqDist(x, y)) * w", ["x = Vi(2)", "y = Vj(2)", "w = Vij(1)"], axis=axis)
        np.testing.assert_allclose(f(x, y, w, ranges=ranges)[:, 0], dense.sum(axis), rtol=1e-10, atol=1e-12)
        for backend in ("CPU", "reference"):
            g = f.gradient(x, y, w, wrt="w", ranges=ranges, backend=backend)
            np.testing.assert_allclose(g, np.where(keep, kernel(x, y), 0), rtol=1e-10)
    with pytest.raises(ValueError, match="ranges and sparse arrays of pairs exclude each other"):
        f(x, y, csr_array(w), ranges=ranges)


def test_large_output_in_blocks():
    m, n = 5000, 70
    x, y = points(m, n, np.float32)
    w = sparse(m, n, np.float32)
    for v in (w, w.toarray()):
        f = Genred("x * w", ["x = Vi(2)", "w = Vij(1)"], "KMin", axis=1, opt_arg=60)
        order = np.sort(w.toarray()[..., None] * x[:, None], axis=1)[:, :60]
        np.testing.assert_array_equal(f(x, v), order)


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ((np.ones((4, 2)), np.ones((3, 2)), np.ones((4, 4))), ValueError, "number of columns: found 3 for 'y' and 4 for 'w'"),
        ((np.ones((4, 2)), np.ones((3, 2)), np.ones((5, 3))), ValueError, "number of rows: found 4 for 'x' and 5 for 'w'"),
        ((np.ones((4, 2)), np.ones((3, 2)), np.ones(3)), ValueError, r"found shape \(3,\), expected \(M, N\)"),
        ((np.ones((4, 2)), np.ones((3, 2)), np.ones((4, 3, 2))), ValueError, r"found shape \(4, 3, 2\), expected \(M, N\)"),
        ((np.ones((4, 2)), np.ones((3, 2)), np.ones((4, 3)) * 1j), TypeError, "complex128"),
        ((np.ones((4, 2)), np.ones((3, 2)), csr_array(np.ones((4, 3)) * 1j)), TypeError, "complex128"),
        ((csr_array(np.ones((4, 2))), np.ones((3, 2)), np.ones((4, 3))), TypeError, "sparse matrix"),
    ],
)  # fmt: skip
def test_bad_input(arrays, error, message):
    f = Genred("x * y * w", ["x = Vi(2)", "y = Vj(2)", "w = Vij(1)"], axis=1)
    with pytest.raises(error, match=message):
        f(*arrays)


def test_sparse_arrays_need_formulas_that_are_one_number_elsewhere():
    x, y = points(4, 3)
    s = sparse(4, 3)
    aliases = ["x = Vi(2)", "y = Vj(2)", "s = Vij(1)"]
    for formula in ("(x | y) + s", "IfElse(s - 1/2, 0, x | y)"):
        with pytest.raises(ValueError, match="one number where it stores nothing"):
            Genred(formula, aliases, axis=1)(x, y, s)
    # one number for each row of the output will do
    found = Genred("s * y + x", aliases, axis=1)(x, y, s)
    np.testing.assert_allclose(found, s @ y + 3 * x, rtol=1e-12)
    with pytest.raises(ValueError, match="one number where it stores nothing"):
        Genred("s * y + x", aliases, axis=0)(x, y, s)
    with pytest.raises(ValueError, match="the direction of a sparse array is a sparse array"):
        Genred("s * x", aliases, axis=1).jvp(x, y, s, tangents={"s": s.toarray()})
    with pytest.raises(ValueError, match="a sparse array has two axes and a single component"):
        Genred("s * x", ["x = Vi(2)", "s = Vij(2)"], axis=1)(x, s)


def test_nan_and_infinity_stay_what_they_are():
    w = np.array([[0.0, -np.inf, 2.0], [-np.inf] * 3, [np.nan, 0.0, 1.0]])
    f = Genred("w", ["w = Vij(1)"], "LogSumExp", axis=1)
    np.testing.assert_allclose(f(w)[:, 0], [np.log(1 + np.exp(2)), -np.inf, np.nan])
    np.testing.assert_allclose(f(csr_array(w))[:, 0], [np.log(1 + np.exp(2)), -np.inf, np.nan])
