"""Masks, lookup tables, sparse operands, triangles and bands of lazy tensors, against dense NumPy arrays."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array
from scipy.special import logsumexp, softmax

from skkeops import LazyTensor, Vi, Vij, Vj, where
from skkeops.cluster import band_ranges

RNG = np.random.default_rng(3)
M, N = 21, 70
X, Y = RNG.normal(size=(M, 2)), RNG.normal(size=(N, 2))
MASK = RNG.random((M, N)) < 0.4
TABLE = RNG.normal(size=(M, N))
SPARSE = random_array((M, N), density=0.2, rng=RNG).tocsr()
DENSE = np.exp(-((X[:, None] - Y) ** 2).sum(-1))


def kernel(x=X, y=Y):
    return (-((Vi(x) - Vj(y)) ** 2).sum(-1)).exp()


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


FORMS = {
    "mask": (lambda K: K * MASK, lambda K: K * MASK),
    "mask first": (lambda K: MASK * K, lambda K: K * MASK),
    "table": (lambda K: K - TABLE, lambda K: K - TABLE),
    "table first": (lambda K: TABLE / K, lambda K: TABLE / K),
    "float32 table": (lambda K: K + TABLE.astype(np.float32), lambda K: K + TABLE.astype(np.float32)),
    "integers": (lambda K: K * np.arange(M * N).reshape(M, N), lambda K: K * np.arange(M * N).reshape(M, N)),
    "a column": (lambda K: K * TABLE[:, :1], lambda K: K * TABLE[:, :1]),
    "a row": (lambda K: K * TABLE[:1], lambda K: K * TABLE[:1]),
    "one value": (lambda K: K + np.ones((1, 1)), lambda K: K + 1),
    "comparison": (lambda K: K > TABLE, lambda K: (K > TABLE) * 1.0),
    "Vij": (lambda K: (Vij(TABLE) * K).sin(), lambda K: np.sin(TABLE * K)),
    "axis=(0, 1)": (lambda K: LazyTensor(TABLE, axis=(0, 1)) * K, lambda K: K * TABLE),
    "with a last axis": (lambda K: LazyTensor(TABLE[:, :, None]) * K, lambda K: K * TABLE),
    "sparse": (lambda K: K * SPARSE, lambda K: K * SPARSE.toarray()),
    "sparse first": (lambda K: Vij(SPARSE) * K, lambda K: K * SPARSE.toarray()),
    "where": (lambda K: where(MASK, K, 0), lambda K: np.where(MASK, K, 0)),
    "where, both": (lambda K: where(MASK, K, -K), lambda K: np.where(MASK, K, -K)),
    "where, condition": (lambda K: where(K > 0.5, K, 0.5), lambda K: np.maximum(K, 0.5)),
    "where, table": (lambda K: where(TABLE, K, 1), lambda K: np.where(TABLE, K, 1)),
    "np.where": (lambda K: np.where(MASK, K, 0), lambda K: np.where(MASK, K, 0)),
    "method": (lambda K: (K > 0.3).where(1, K), lambda K: np.where(K > 0.3, 1, K)),
    "sparse where": (lambda K: where(SPARSE, K, 2), lambda K: np.where(SPARSE.toarray() != 0, K, 2)),
    "tril": (lambda K: K.tril(), np.tril),
    "tril, k": (lambda K: K.tril(-3), lambda K: np.tril(K, -3)),
    "np.tril": (lambda K: np.tril(K, 5), lambda K: np.tril(K, 5)),
    "triu": (lambda K: K.triu(), np.triu),
    "triu, k": (lambda K: np.triu(K, 11), lambda K: np.triu(K, 11)),
    "filled": (lambda K: K.triu(2, fill=7), lambda K: np.where(np.triu(np.ones((M, N)), 2) > 0, K, 7)),
    "band": (lambda K: K.band(2, 5), lambda K: np.tril(np.triu(K, -2), 5)),
    "band beside": (lambda K: K.band(-3, 5), lambda K: np.tril(np.triu(K, 3), 5)),
}


@pytest.mark.parametrize("name", FORMS)
def test_against_dense(name):
    build, truth = FORMS[name]
    K, expected = build(kernel()), np.broadcast_to(truth(DENSE), (M, N))
    assert K.shape == (M, N)
    close(K.dense(), expected)
    close(K.sum(axis=1)[:, 0], expected.sum(1))
    close(K.sum(axis=0)[:, 0], expected.sum(0))
    close(K.logsumexp(axis=1)[:, 0], logsumexp(expected, axis=1))
    close(K.max(axis=0)[:, 0], expected.max(0))
    if name != "sparse where":  # there 2 * y_j is not one number for a row
        close(K @ Y, expected @ Y)
    close(K.T.sum(axis=1)[:, 0], expected.sum(0))
    rows, columns = [3, 1, 19], slice(5, 60, 4)
    if not name.startswith(("tril", "triu", "np.tri", "filled", "band")):
        close(K[rows, columns].sum(axis=1)[:, 0], expected[rows][:, columns].sum(1))
    close(K[rows, columns].dense(), expected[rows][:, columns])
    close(pickle.loads(pickle.dumps(K)).sum(axis=1), K.sum(axis=1))
    assert "shape=(21, 70)" in repr(K)


def test_masked_softmax():
    scores = np.where(MASK, X @ Y.T, -np.inf)
    scores[:, 0] = (X @ Y.T)[:, 0]
    mask = MASK.copy()
    mask[:, 0] = True
    for m in (mask, csr_array(mask), Vij(mask) > 0.5):
        K = where(m, Vi(X) | Vj(Y), -np.inf)
        close(K.sumsoftmaxweight(Vj(Y), axis=1), softmax(scores, axis=1) @ Y)
        close(K.logsumexp(axis=1)[:, 0], logsumexp(scores, axis=1))
        assert (K.argmax(axis=1)[:, 0] == scores.argmax(1)).all()


def test_square_ones_have_a_diagonal():
    x = RNG.normal(size=(9, 2))
    table = RNG.normal(size=(9, 9))
    K = (Vi(x) | Vj(x)) * table
    close(K.diagonal(), np.diagonal((x @ x.T) * table))
    close(((Vi(x) | Vj(x)) * csr_array(table * (table > 0))).diagonal(), np.diagonal((x @ x.T) * table * (table > 0)))
    close(np.diagonal(K), np.diagonal((x @ x.T) * table))


def test_indices_are_exact_beyond_those_of_float32():
    # 2^24 + 1 is no float32: the triangle must still begin at the right column
    n = 2**24 + 3
    y, x = np.ones((n, 1), np.float32), np.ones((2, 1), np.float32)
    K = Vi(x) * Vj(y)
    last = K.tril(n - 3).sum(axis=0)[-4:, 0]
    np.testing.assert_array_equal(last, [2, 2, 1, 0][:4])
    first = K.triu(n - 2)
    np.testing.assert_array_equal(first.sum(axis=1)[:, 0], [2, 1])


@pytest.mark.parametrize("bounds", [(0, 0), (3, 2), (None, 4), (7, None), (-2, 5), (-90, 95)])
@pytest.mark.parametrize("block", [1, 8, 64])
def test_band_ranges_keep_all_of_the_band(bounds, block):
    lower, upper = bounds
    i, j = np.arange(M)[:, None], np.arange(N)
    inside = (j - i <= (N if upper is None else upper)) & (i - j <= (M if lower is None else lower))
    ranges = band_ranges(M, N, lower, upper, block=block)
    K = kernel().band(M if lower is None else lower, N if upper is None else upper)
    close(K.sum(axis=1, ranges=ranges)[:, 0], np.where(inside, DENSE, 0).sum(1))
    close(K.sum(axis=0, ranges=ranges)[:, 0], np.where(inside, DENSE, 0).sum(0))
    visited = (Vi(np.ones((M, 1))) * Vj(np.ones((N, 1)))).sum(axis=1, ranges=ranges).sum()
    assert visited <= inside.sum() + (M + N) * 2 * block


def test_gradients():
    e = RNG.normal(size=(M, 1))
    K = kernel() * TABLE
    g = K.gradient(TABLE, grad_output=e)
    close(g, DENSE * e)
    expected = -2 * ((DENSE * TABLE)[:, :, None] * (X[:, None] - Y) * e[:, :, None]).sum(1)
    close(K.gradient(X, grad_output=e), expected)
    S = Vij(SPARSE)
    K = kernel() * S
    g = K.gradient(S, grad_output=e)
    close(g.toarray(), DENSE * e * (SPARSE.toarray() != 0))
    expected = -2 * ((DENSE * SPARSE.toarray())[:, :, None] * (X[:, None] - Y) * e[:, :, None]).sum(1)
    close(K.gradient(X, grad_output=e), expected)
    close(K.gradient(SPARSE, grad_output=e).data, g.data)


def test_batches():
    x, y = RNG.normal(size=(3, 2, M, 2)), RNG.normal(size=(2, N, 2))
    tables = (RNG.normal(size=(2, M, N, 1)), RNG.random((3, 1, M, N, 1)) < 0.5, RNG.normal(size=(M, N, 1)))
    K = np.exp(-((x[..., :, None, :] - y[..., None, :, :]) ** 2).sum(-1))
    for table in tables:
        T = (-((Vi(x) - Vj(y)) ** 2).sum(-1)).exp() * Vij(table)
        assert T.shape == (3, 2, M, N)
        dense = K * table[..., 0]
        close(T.sum(axis=3)[..., 0], dense.sum(-1))
        close(T.sum(axis=2)[..., 0], dense.sum(-2))
        assert (T.argmax(axis=3)[..., 0] == dense.argmax(-1)).all()
        close(T.dense(), dense)
        close(T.T.sum(axis=3)[..., 0], dense.sum(-2))
        expected = -2 * (dense[..., None] * (x[..., :, None, :] - y[..., None, :, :])).sum(-2)
        close(T.gradient(x), expected)
        close(T.gradient(y), -2 * -(dense[..., None] * (x[..., :, None, :] - y[..., None, :, :])).sum((0, -3)))
    lower = (-((Vi(x) - Vj(y)) ** 2).sum(-1)).exp().tril(3)
    close(lower.sum(axis=3)[..., 0], np.tril(K, 3).sum(-1))
    close(T.gradient(tables[-1]), K.sum((0, 1))[..., None])
    with pytest.raises(ValueError, match="sparse arrays are for calls without batch"):
        ((Vi(x) | Vj(y)) * SPARSE).sum(axis=3)


def test_no_memory_for_pairs_of_sparse_operands():
    n = 200_000  # a dense mask would take 40 GB
    rows = RNG.integers(0, n, 10 * n)
    S = csr_array((np.ones(10 * n), (rows, RNG.integers(0, n, 10 * n))), shape=(n, n))
    x = RNG.normal(size=(n, 2))
    found = (((Vi(x) - Vj(x)) ** 2).sum(-1) * S).sum(axis=1)[:, 0]
    coo = S.tocoo()
    expected = np.bincount(coo.row, coo.data * ((x[coo.row] - x[coo.col]) ** 2).sum(1), minlength=n)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: kernel() * TABLE[:, 1:], ValueError, r"different numbers of columns: found shapes \(21, 70\) and \(21, 69\)"),
        (lambda: kernel() * MASK.T, ValueError, "different numbers of rows"),
        (lambda: (Vi(X) - Vj(Y)) * MASK, ValueError, r"write Vij\(a\) for values of pairs"),
        (lambda: MASK * (Vi(X) - Vj(Y)), ValueError, r"write Vij\(a\) for values of pairs"),
        (lambda: kernel() * np.ma.masked_array(TABLE, mask=MASK), TypeError, "a masked array, whose mask would be lost"),
        (lambda: Vij(np.ones(3)), ValueError, r"values of pairs have the shape \(M, N\) or"),
        (lambda: LazyTensor(X, axis=(1, 0)), ValueError, r"or \(0, 1\)"),
        (lambda: LazyTensor(SPARSE, axis=0), ValueError, r"a sparse array has a value for each pair"),
        (lambda: (kernel() + SPARSE).sum(axis=1), ValueError, "one number where it stores nothing"),
        (lambda: Vi(X).tril(), ValueError, "tril needs a tensor of points i and points j"),
        (lambda: kernel().tril(1.5), ValueError, "k must be an integer: found 1.5"),
        (lambda: kernel().band(True, 1), ValueError, "lower must be an integer: found True"),
        (lambda: band_ranges(3, 3, 1.5, 0), ValueError, "lower must be an integer"),
        (lambda: np.where(kernel()), TypeError, "two choices"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()


# Rows and columns of an array of pairs, by their indices

CLASSES = RNG.normal(size=(5, 4))
OF_ROWS, OF_COLUMNS = RNG.integers(-5, 5, size=M), RNG.integers(0, 4, size=N)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, bool, int])
@pytest.mark.parametrize("columns", [N, 5])
def test_lookup_tables(dtype, columns):
    """The value of a pair is that of its classes; both orders of the engine's lanes."""
    table = CLASSES.astype(dtype) if dtype is not bool else CLASSES > 0
    where_i, where_j = OF_ROWS, OF_COLUMNS[:columns]
    picked = table[where_i][:, where_j].astype(float)
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    x, y = (a.astype(dtype if dtype in (np.float32, np.float64) else float) for a in (X, Y[:columns]))
    distances = ((x[:, None] - y) ** 2).sum(-1).astype(float)
    L = Vij(table)[where_i, where_j]
    K, dense = ((Vi(x) - Vj(y)) ** 2).sum(-1) * L + L, distances * picked + picked
    for backend in ("CPU", "reference"):
        for axis in (0, 1):
            np.testing.assert_allclose(K.sum(axis=axis, backend=backend)[:, 0], dense.sum(axis), rtol=rtol, atol=1e-4)
            np.testing.assert_allclose(K.logsumexp(axis=axis, backend=backend)[:, 0], logsumexp(dense, axis), rtol=rtol)
            np.testing.assert_allclose(K.max(axis=axis, backend=backend)[:, 0], dense.max(axis), rtol=rtol)
            least = np.sort(dense if axis else dense.T, axis=1)[:, :3]
            np.testing.assert_allclose(K.Kmin(3, axis=axis, backend=backend), least, rtol=rtol, atol=1e-6)
        np.testing.assert_allclose(K.T.sum(axis=0, backend=backend)[:, 0], dense.sum(1), rtol=rtol, atol=1e-4)
        found = K.gradient(x, backend=backend)
        np.testing.assert_allclose(found, (2 * (x[:, None] - y) * picked[:, :, None]).sum(1), rtol=rtol, atol=1e-4)
        ranges = band_ranges(M, columns, 3, 2, block=4)
        by_ranges = K.sum(axis=1, ranges=ranges, backend=backend)
        expected = ((Vi(x) - Vj(y)) ** 2).sum(-1) * picked.astype(x.dtype) + picked.astype(x.dtype)
        np.testing.assert_allclose(by_ranges, expected.sum(axis=1, ranges=ranges), rtol=rtol, atol=1e-5)
    np.testing.assert_allclose(K.dense(), dense, rtol=rtol, atol=1e-5)
    np.testing.assert_allclose(K @ y.astype(float), dense @ y, rtol=10 * rtol, atol=1e-4)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(K)).sum(axis=1), K.sum(axis=1))
    np.testing.assert_allclose(K[3:9, [1, 4, 2]].dense(), dense[3:9][:, [1, 4, 2]], rtol=rtol, atol=1e-5)
    np.testing.assert_allclose(K[3:6, 0:3].diagonal(), dense[3:6, :3].diagonal(), rtol=rtol, atol=1e-5)
    np.testing.assert_allclose(where(L, K, -1).sum(axis=1)[:, 0], np.where(picked != 0, dense, -1).sum(1), rtol=rtol, atol=1e-4)
    np.testing.assert_allclose(Vij(table)[where_i, where_j].sum(axis=1)[:, 0], picked.sum(1), rtol=rtol, atol=1e-5)


def test_lookup_tables_of_vectors_and_with_sparse_arrays():
    table = RNG.normal(size=(5, 4, 3))
    picked = table[OF_ROWS][:, OF_COLUMNS]
    L = Vij(table)[OF_ROWS, OF_COLUMNS]
    close((L * Vj(np.c_[Y, Y[:, 0]])).sum(axis=1), (picked * np.c_[Y, Y[:, 0]]).sum(1))
    close(L[1].sum(axis=0)[:, 0], picked[:, :, 1].sum(0))
    close((L[2] * SPARSE).sum(axis=1)[:, 0], (picked[:, :, 2] * SPARSE.toarray()).sum(1))
    close((L * L).sum(-1).gradient(L), 2 * picked)
    in_batch = LazyTensor(RNG.normal(size=(2, M, 1, 1))) * L[0]
    close(in_batch.sum(axis=2)[..., 0], in_batch.dense().sum(2))
    batch = RNG.normal(size=(2, 5, 4, 1))
    close(LazyTensor(batch)[:, OF_ROWS, OF_COLUMNS].dense(), batch[:, OF_ROWS][:, :, OF_COLUMNS, 0])


def test_systems_with_a_lookup_table():
    x = RNG.normal(size=(40, 2))
    cores = RNG.normal(size=(3, 3))
    table, classes = cores @ cores.T, RNG.integers(0, 3, size=40)
    K = kernel(x, x) * Vij(table)[classes, classes]
    dense = np.exp(-((x[:, None] - x) ** 2).sum(-1)) * table[classes][:, classes]
    b = RNG.normal(size=40)
    for options in ({}, {"preconditioner": "cholesky", "n_components": 10}):
        expected = np.linalg.solve(dense + 0.5 * np.eye(40), b)
        np.testing.assert_allclose(K.solve(b, alpha=0.5, eps=1e-10, **options), expected, rtol=1e-7)
    close(K.diagonal(), np.diagonal(dense))


def test_selecting_rows_and_columns_takes_no_memory_for_pairs():
    n = 3000  # 72 MB for all pairs
    where_i, where_j = RNG.integers(0, 5, size=n), RNG.integers(0, 4, size=n)
    x = RNG.normal(size=(n, 1))
    permutation = RNG.permutation(n)
    large = RNG.normal(size=(n, n))
    cases = (
        lambda: (Vij(CLASSES)[where_i, where_j] * (Vi(x) - Vj(x))).sum(axis=1),
        lambda: Vij(CLASSES)[where_i, where_j].T.logsumexp(axis=1),
        lambda: (Vij(large)[permutation, permutation] * Vj(x)).sum(axis=1),
        lambda: (Vij(large)[1:, 2:] * Vj(x[2:])).sum(axis=0),
        lambda: (Vij(CLASSES)[where_i, where_j] * (Vi(x) - Vj(x))).gradient(x),
    )
    for case in cases:
        case()
        tracemalloc.start()
        try:
            case()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 40 * 8 * n


def test_the_engine_checks_indices():
    from skkeops.backends.cpu import prepare
    from skkeops.formula.expression import Variable
    from skkeops.plan import Problem
    from skkeops.reductions import Sum

    w = Variable(0, 1, 3)
    program = prepare(Problem.of(Sum(), (w,), 1, (w,))).program(0, True)
    a, rows = np.ones((2, 3, 1)), np.array([0, 1, 1])
    program.run(((a, rows, rows),), 3, 3, 1)
    for at in (np.array([0, 2, 1]), np.array([0, -1, 1])):
        with pytest.raises(ValueError, match="expected indices from 0 to 1"):
            program.run(((a, at, rows),), 3, 3, 1)
    with pytest.raises(ValueError, match="expected shape"):
        program.run(((a, rows[:2], rows),), 3, 3, 1)
    with pytest.raises(TypeError, match="arrays of int64"):
        program.run(((a, rows.astype(np.int32), rows),), 3, 3, 1)
    for given in ((a,), (a, rows), (a, rows, rows, rows)):
        with pytest.raises(TypeError, match="indices of its rows and of its columns"):
            program.run((given,), 3, 3, 1)
