"""Preconditioners by name of KernelSolve and LazyTensor.solve, and systems for a variable."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist

from skkeops import Genred, KernelSolve, Vi, Vij, Vj, cluster
from skkeops.solvers import LowRankPreconditioner, low_rank_preconditioner, nystrom, pivoted_cholesky, solve

RNG = np.random.default_rng(17)
N = 150
X, B = RNG.uniform(size=(N, 2)), RNG.normal(size=(N, 1))
K = np.exp(-cdist(X, X, "sqeuclidean") / 0.3)
ALIASES = ["x = Vi(2)", "y = Vj(2)", "a = Vj(1)"]
INVERT = KernelSolve("Exp(-SqDist(x, y) / 0.3) * a", ALIASES, "a", axis=1)


def lazy(x=X):
    return (-((Vi(x) - Vj(x)) ** 2).sum(-1) / 0.3).exp()


def steps(preconditioner, alpha):
    """The number of iterations of a dense solve to 1e-8."""
    return solve(lambda v: K @ v, np.array([alpha]), B, preconditioner=preconditioner, tol=1e-8).n_iter


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["cholesky", "nystrom"])
def test_by_name(kind, dtype):
    alpha = 1e-2
    matrix = K + alpha * np.eye(N)
    x, b = X.astype(dtype), B.astype(dtype)
    eps = 1e-3 if dtype == np.float32 else 1e-12

    def check(found):
        assert found.dtype == dtype
        assert np.linalg.norm(matrix @ found - B) < 3 * eps * np.linalg.norm(B)
        if dtype == np.float64:
            np.testing.assert_allclose(found, np.linalg.solve(matrix, B), rtol=1e-7, atol=1e-7)

    check(INVERT(x, x, b, alpha=alpha, eps=eps, preconditioner=kind))
    for options in ({"preconditioner": kind}, {"preconditioner": kind, "n_components": 30}):
        check(lazy(x).solve(b, alpha=alpha, eps=eps, **options))
    inverse = INVERT.preconditioner(x, x, b, kind=kind, n_components=60, alpha=alpha)
    assert isinstance(inverse, LowRankPreconditioner)
    assert steps(inverse, alpha) < steps(None, alpha) / 2
    check(INVERT(x, x, b, alpha=alpha, eps=eps, preconditioner=inverse))


def test_nystrom_is_as_good_as_the_best_of_its_rank():
    values = np.linalg.eigvalsh(K)[::-1]
    for rank in (1, 10, 40):
        F, definite = nystrom(lambda v: K @ v, N, rank, np.random.RandomState(0))
        assert definite
        assert F.shape == (N, rank)
        error = np.linalg.norm(K - F @ F.T, 2)
        assert values[rank] * 0.99 <= error <= 50 * max(values[rank // 2], 1e-12)
        assert np.linalg.eigvalsh(K - F @ F.T).min() > -1e-8  # from below


def test_nystrom_of_matrices_of_low_rank_of_zero_and_of_none():
    U = RNG.normal(size=(50, 3))
    F, definite = nystrom(lambda v: U @ (U.T @ v), 50, 10, np.random.RandomState(0))
    assert definite
    np.testing.assert_allclose(F @ F.T, U @ U.T, atol=1e-6)
    F, definite = nystrom(lambda v: 0 * v, 50, 10, np.random.RandomState(0))
    assert definite
    np.testing.assert_allclose(F, 0)
    F, definite = nystrom(lambda v: -v, 50, 10, np.random.RandomState(0))
    assert not definite
    assert nystrom(lambda v: v, 0, 10, np.random.RandomState(0))[0].shape == (0, 0)


STRANGE = {
    "NaN": np.full(N, np.nan),
    "one NaN": np.where(np.arange(N) == 70, np.nan, 1.0),
    "inf": np.where(np.arange(N) == 70, np.inf, 1.0),
    "-inf": np.where(np.arange(N) == 70, -np.inf, 1.0),
    "a sum beyond float64": np.full(N, 1e308),
    "next to nothing": np.full(N, 5e-324),
    "zero": np.zeros(N),
    "-0": np.full(N, -0.0),
    "all sizes": 10.0 ** np.linspace(-300, 300, N),
}


@pytest.mark.parametrize("columns", ["own", "zero", "NaN", "negative"])
@pytest.mark.parametrize("diagonal", STRANGE)
def test_pivoted_cholesky_ends_whatever_the_numbers(diagonal, columns):
    values, calls = STRANGE[diagonal], []
    sign = {"own": 1, "zero": 0, "NaN": np.nan, "negative": -1}[columns]

    def some(which):
        calls.append(len(which))
        assert len(calls) <= N
        own = np.zeros((N, len(which)))
        own[which, np.arange(len(which))] = values[which]
        return own * sign

    def product(v):
        return values[:, None] * v * sign

    with np.errstate(all="ignore"):
        factor, definite = pivoted_cholesky(some, values, N, np.random.RandomState(0))
    if definite:
        assert np.isfinite(factor).all()
        if columns == "own":
            np.testing.assert_allclose(np.einsum("ij,ij->i", factor, factor), values, atol=1e-12 * values.max())
    calls.clear()
    with np.errstate(all="ignore"):
        inverse = low_rank_preconditioner("cholesky", product, some, lambda: values, N, N, np.array([0.5 * np.max(values)]), 0)
    if inverse is not None and columns == "own" and values.any():
        np.testing.assert_allclose(inverse(values[:, None]), (values / (values + 0.5 * values.max()))[:, None], rtol=1e-9)


@pytest.mark.parametrize("good_calls", [0, 1, 4])
@pytest.mark.parametrize("preconditioned", [False, True])
@pytest.mark.parametrize("wrong", [0.0, np.nan, np.inf, -1.0, 1e308, 1e-320, "noise", "turned"])
def test_solve_ends_whatever_the_products(wrong, good_calls, preconditioned):
    """No more products than iterations and rounds allow; and never a solution that is worse than zero."""
    calls, rng = [], np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(N, N)))[0]

    def product(v):
        calls.append(1)
        image = K @ v + 0.1 * v
        if len(calls) <= good_calls:
            return image
        if isinstance(wrong, str):
            return rng.normal(size=v.shape) if wrong == "noise" else turn @ v
        return wrong * image

    def inverse(v):
        return v if len(calls) <= good_calls else (0 if isinstance(wrong, str) else wrong) * v

    for b in (B, 1e300 * B, 0 * B):
        calls.clear()
        with np.errstate(all="ignore"):
            solution = solve(product, np.zeros(1), b, preconditioner=inverse if preconditioned else None, max_iter=50)
        assert len(calls) <= 50 + 5 * 2 + 5
        assert np.isfinite(solution.x).all() == np.isfinite(solution.residual)
        assert wrong == "noise" or not 1 + 1e-12 < solution.residual < np.inf


def test_of_a_matrix_that_is_not_definite():
    negative = KernelSolve("-Exp(-SqDist(x, y) / 0.3) * a", ALIASES, "a", axis=1)
    for kind in ("cholesky", "nystrom"):
        assert negative.preconditioner(X, X, B, kind=kind) is None
        with pytest.warns(RuntimeWarning, match="not positive definite"):
            found = negative(X, X, B, alpha=0.5, eps=1e-8, preconditioner=kind)
        assert np.linalg.norm((0.5 * np.eye(N) - K) @ found - B) < 1e-7 * np.linalg.norm(B)


def test_the_other_axis_and_operands_of_pairs():
    mask = (RNG.random((N, N)) < 0.1) | np.eye(N, dtype=bool)
    mask &= mask.T
    weights = np.where(mask, 1.0, 0.0) + N * np.eye(N)
    truth = np.linalg.solve(K * weights + 0.1 * np.eye(N), B)
    aliases = ["x = Vi(2)", "y = Vj(2)", "a = Vi(1)", "w = Vij(1)"]
    invert = KernelSolve("Exp(-SqDist(x, y) / 0.3) * a * w", aliases, "a", axis=0)
    for w in (weights, csr_array(weights)):
        for kind in (None, "cholesky", "nystrom"):
            found = invert(X, X, B, w, alpha=0.1, eps=1e-12, preconditioner=kind)
            np.testing.assert_allclose(found, truth, rtol=1e-8, atol=1e-10)
        found = (lazy() * Vij(w)).solve(B, alpha=0.1, eps=1e-12, n_components=20)
        np.testing.assert_allclose(found, truth, rtol=1e-8, atol=1e-10)


def test_for_a_variable():
    a = Vj(0, 1)
    system = lazy() * a
    truth = np.linalg.solve(K + 0.1 * np.eye(N), B)
    np.testing.assert_allclose(system.solve(B, var=a, alpha=0.1, eps=1e-12), truth, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(system.solve(Vi(B), var=a, alpha=0.1, eps=1e-12), truth, rtol=1e-8, atol=1e-9)
    later = lazy().solve(B, call=False, alpha=0.1, eps=1e-12)
    np.testing.assert_allclose(later(), truth, rtol=1e-8, atol=1e-9)
    with pytest.raises(ValueError, match="var must be a variable of the tensor that has no array"):
        system.solve(B, var=Vj(3, 1))
    with pytest.raises(ValueError, match="var must be a variable of the tensor that has no array"):
        system.solve(B, var=Vj(B))


def test_several_right_hand_sides():
    many = RNG.normal(size=(N, 5))
    truth = np.linalg.solve(K + 0.1 * np.eye(N), many)
    for options in ({}, {"preconditioner": "nystrom"}, {"n_components": 40}):
        np.testing.assert_allclose(lazy().solve(many, alpha=0.1, eps=1e-12, **options), truth, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kind", ["cholesky", "nystrom"])
@pytest.mark.parametrize("rank", [7, 60, "auto"])
def test_rank_of_the_call(kind, rank):
    """More columns, fewer iterations, the same solution; also for several columns of b, and in the gradient."""
    alpha, many = 1e-3, RNG.normal(size=(N, 3))
    half = "Exp(-SqDist(x, y) / 0.3) * a / 2"
    invert = KernelSolve(f"{half} + {half}", [*ALIASES[:2], "a = Vj(3)"], "a", axis=1)
    truth = np.linalg.solve(K + alpha * np.eye(N), many)
    counts = []
    named = {"n_components": rank, "preconditioner": kind, "random_state": np.random.RandomState(5)}
    for options in ({"preconditioner": None}, named):
        found = []
        np.testing.assert_allclose(
            invert(X, X, many, alpha=alpha, eps=1e-10, callback=found.append, **options), truth, rtol=1e-6, atol=1e-6
        )
        np.testing.assert_allclose(lazy().solve(many, alpha=alpha, eps=1e-10, **options), truth, rtol=1e-6, atol=1e-6)
        counts.append(len(found))
    assert counts[1] < counts[0] / (1.2 if rank == 7 else 3)
    u = invert.gradient(X, X, many, wrt="a", grad_output=many, alpha=alpha, eps=1e-10, **options)
    np.testing.assert_allclose(u, truth, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"preconditioner": None}])
def test_alpha_is_broadcast_to_the_right_hand_sides(options):
    many, rng = RNG.normal(size=(N, 3)), np.random.default_rng(3)
    invert = KernelSolve("Exp(-SqDist(x, y) / 0.3) * a", [*ALIASES[:2], "a = Vj(3)"], "a", axis=1)
    options = {"eps": 1e-11, "maxiter": 5000, **options}
    for shape in ((1,), (3,), (N, 1), (N, 3)):
        alpha = 10 ** rng.uniform(-2, 0, size=shape)
        full = np.broadcast_to(alpha, (N, 3)).T
        truth = np.stack([np.linalg.solve(K + np.diag(a), b) for a, b in zip(full, many.T, strict=True)], axis=1)
        for found in (invert(X, X, many, alpha=alpha, **options), lazy().solve(many, alpha=alpha, **options)):
            np.testing.assert_allclose(found, truth, rtol=0, atol=1e-7 * np.abs(truth).max())
        u = invert.gradient(X, X, many, wrt="a", grad_output=many, alpha=alpha, **options)
        np.testing.assert_allclose(u, truth, rtol=0, atol=1e-7 * np.abs(truth).max())
        if shape == (N, 1):
            found = lazy().solve(many[:, 0], alpha=alpha[:, 0], **options)  # beside a vector, a vector is one for each row
            np.testing.assert_allclose(found, truth[:, 0], rtol=0, atol=1e-7 * np.abs(truth).max())
            found = lazy().solve(many[:, :2] + 1j * many[:, 1:], alpha=alpha, **options)
            np.testing.assert_allclose(found, truth[:, :2] + 1j * truth[:, 1:], rtol=0, atol=1e-7 * np.abs(truth).max())


@pytest.mark.parametrize("axis", [0, 1])
def test_a_preconditioner_within_ranges(axis):
    """Its columns are those of the pairs that are visited: as good as for the dense matrix of these."""
    ends = np.array([0, 20, 70, 71, N])
    blocks = np.stack([ends[:-1], ends[1:]], axis=1)
    met = np.eye(4, dtype=bool)
    met[0, 2] = met[2, 0] = True
    ranges = cluster.from_matrix(blocks, blocks, met)
    mask = np.repeat(np.repeat(met, np.diff(ends), axis=0), np.diff(ends), axis=1)
    aliases = ["x = Vi(2)", "y = Vj(2)", f"a = V{'ij'[axis]}(1)"]
    invert = KernelSolve("Exp(-SqDist(x, y) / 0.3) * a", aliases, "a", axis=axis)
    inverse = invert.preconditioner(X, X, B, alpha=1e-2, n_components=N, ranges=ranges)
    np.testing.assert_allclose(inverse(B), np.linalg.solve(K * mask + 1e-2 * np.eye(N), B), rtol=1e-5, atol=1e-6)
    steps = []
    found = invert(X, X, B, alpha=1e-2, eps=1e-11, ranges=ranges, callback=steps.append)
    np.testing.assert_allclose(found, np.linalg.solve(K * mask + 1e-2 * np.eye(N), B), rtol=1e-6, atol=1e-7)
    assert len(steps) < 30


@pytest.mark.filterwarnings("ignore:the relative residual is")
def test_the_preconditioner_is_the_default():
    steps = []
    INVERT(X, X, B, alpha=1e-5, callback=lambda a: steps.append("function"))
    lazy().solve(B, alpha=1e-5, callback=lambda a: steps.append("tensor"))
    INVERT(X, X, B, alpha=1e-5, preconditioner=None, callback=lambda a: steps.append("none"))
    INVERT(X, X, B, alpha=1e-5, n_components=0, callback=lambda a: steps.append("none, too"))
    lazy().solve(B, alpha=1e-5, preconditioner=None, callback=lambda a: steps.append("none of the tensor"))
    counts = {name: steps.count(name) for name in steps}
    assert max(counts["function"], counts["tensor"]) < counts["none"] / 5
    assert counts["none"] == counts["none, too"] == counts["none of the tensor"]


@pytest.mark.parametrize("options", [{}, {"preconditioner": lambda v: v / 3}, {"alpha": np.array([[0.5, 3.0]])}])
def test_a_formula_that_mixes_components_is_one_system(options):
    """Its columns are no right-hand sides of their own; it has no columns of numbers, and no preconditioner by itself."""
    mixes = KernelSolve("MatVecMult(TensorProd(x, y), a) + a", [*ALIASES[:2], "a = Vj(2)"], "a", axis=1)
    b, shapes = RNG.normal(size=(N, 2)) * [1.0, 30.0], []
    matrix = np.einsum("ip,jq->ipjq", X, X) + np.einsum("ij,pq->ipjq", np.ones((N, N)), np.eye(2))
    options = {"alpha": 3.0, "callback": lambda a: shapes.append(a.shape), **options}
    matrix = matrix.reshape(2 * N, 2 * N) + np.diag(np.broadcast_to(options["alpha"], (N, 2)).reshape(-1))
    found = mixes(X, X, b, eps=1e-11, **options)
    np.testing.assert_allclose(found.reshape(-1), np.linalg.solve(matrix, b.reshape(-1)), rtol=0, atol=1e-8)
    assert set(shapes) == {(N, 2)}
    u = mixes.gradient(X, X, b, wrt="a", grad_output=b, alpha=options["alpha"], eps=1e-11)
    np.testing.assert_allclose(u, found, rtol=0, atol=1e-8)


@pytest.mark.parametrize("others", [False, True], ids=["alone", "beside a semi-definite block"])
def test_a_diagonal_of_zeros_tells_nothing_of_an_indefinite_matrix(others):
    x = np.linspace(0, 3, 50)[:, None]
    distances = np.abs(x - x.T)
    K = (Vi(x) - Vj(x)).abs()
    if others:  # two points that no other meets, with entries of their own
        distances[:2], distances[:, :2] = 0, 0
        distances[:2, :2] = np.eye(2)
        far = np.where(np.arange(50) < 2, 1.0, 0.0)[:, None]
        K = K * (1 - Vi(far)) * (1 - Vj(far)) + Vij(np.diag(far[:, 0]))
    b = RNG.normal(size=(50, 1))
    expected = np.linalg.lstsq(distances, b, rcond=None)[0]
    with pytest.warns(RuntimeWarning, match="not positive definite"):
        found = K.solve(b, alpha=0, eps=1e-10)
    np.testing.assert_allclose(distances @ found, distances @ expected, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"preconditioner": None}, {"preconditioner": "nystrom"}])
def test_singular_systems_are_those_of_least_squares(options):
    many = RNG.normal(size=(N, 2))
    inner = KernelSolve("(x | y) * a", [*ALIASES[:2], "a = Vj(2)"], "a", axis=1)
    for solved in (
        lambda: inner(X, X, many, alpha=0, **options),
        lambda: (Vi(X) | Vj(X)).solve(many, alpha=0, **options),
        lambda: (Vi(X) | Vj(X)).solve(many, alpha=1e-300, **options),
    ):
        with pytest.warns(RuntimeWarning, match="singular in float64, and b is not in its range: .* least squares"):
            found = solved()
        np.testing.assert_allclose(X.T @ found, np.linalg.lstsq(X, many)[0], rtol=1e-6, atol=1e-6)
    with pytest.warns(RuntimeWarning, match="singular in float64"):
        found = (0 * Vi(X[:, :1]) * Vj(X[:, :1]) + 2).solve(B, alpha=0, **options)
    np.testing.assert_allclose(found, np.full((N, 1), B.mean() / (2 * N)), rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # b is in the range
        found = (Vi(X) | Vj(X)).solve(X, alpha=0, **options)
    np.testing.assert_allclose(X.T @ found, np.eye(2), atol=1e-6)


@pytest.mark.filterwarnings("ignore:the relative residual is")
def test_what_float32_does_not_hold_is_told():
    x, b = X.astype(np.float32), B.astype(np.float32)
    for options in ({}, {"alpha": 1e-5}):
        with pytest.warns(RuntimeWarning, match="rounded to float32, the solution has a relative residual of"):
            INVERT(x, x, b, **options)
        with pytest.warns(RuntimeWarning, match="rounded to float32, the solution has a relative residual of"):
            lazy(x).solve(b, **options)
        with pytest.warns(RuntimeWarning, match="rounded to float32, the solution has a relative residual of"):
            INVERT.gradient(x, x, b, wrt="a", grad_output=b, **options)
    with pytest.warns(RuntimeWarning, match="rounded to float32, the solution has a relative residual of inf"):
        INVERT(x, x, b * np.float32(1e37), alpha=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        INVERT(x, x, b, alpha=0.1)
        lazy(x).solve(B, alpha=1e-6)  # b in float64 has its solution in it


@pytest.mark.parametrize("n_components", [0, 40])
@pytest.mark.parametrize("alpha", [1e-4, 1e-1])
@pytest.mark.filterwarnings("ignore:rounded to float32")
def test_float32_is_solved_in_float64(alpha, n_components):
    """The truth is that of the rounded data; products in float32 alone leave a relative error of 1e-3 and more."""
    x, b = X.astype(np.float32), B.astype(np.float32)
    matrix = np.exp(-cdist(x.astype(float), x.astype(float), "sqeuclidean") / np.float64(0.3)) + alpha * np.eye(N)
    truth = np.linalg.solve(matrix, b.astype(float))
    options = {"alpha": alpha, "eps": 1e-10, "n_components": n_components, "maxiter": 20_000}
    for found in (INVERT(x, x, b, **options), lazy(x).solve(b, **options)):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, truth, rtol=0, atol=1e-6 * np.abs(truth).max())


@pytest.mark.parametrize(("alpha", "mostly"), [(0.3, np.float32), (1e-9, np.float64)])
def test_iterations_are_rough_where_that_does(monkeypatch, alpha, mostly):
    """Where the shift is large beside the rounding errors of float32, the iterations compute in it."""
    dtypes = []
    call = Genred.__call__

    def counted(self, *args, **options):
        dtypes.append(args[0].dtype)
        return call(self, *args, **options)

    monkeypatch.setattr(Genred, "__call__", counted)
    options = {"eps": 1e-11, "maxiter": 300, "n_components": 0}
    found = INVERT(X, X, B, alpha=alpha, callback=lambda a: alpha < 1e-3 and len(dtypes) > 30, **options)
    assert dtypes.count(mostly) > 3 * (len(dtypes) - dtypes.count(mostly))
    assert dtypes.count(np.float64) >= 2  # residuals
    if mostly == np.float32:
        np.testing.assert_allclose(found, np.linalg.solve(K + alpha * np.eye(N), B), rtol=0, atol=1e-9)


def test_data_beyond_float32():
    """Whatever float32 cannot hold is not computed in it, without a word."""
    x = X * 1e200
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        norm = KernelSolve("Exp(-Abs(x - y) / s) * a", ["x=Vi(1)", "y=Vj(1)", "a=Vj(1)", "s=Pm(1)"], "a", axis=1)
        found = norm(x[:, :1], x[:, :1], B, np.array([1e200]), alpha=0.1, eps=1e-12)
    truth = np.linalg.solve(np.exp(-cdist(X[:, :1], X[:, :1])) + 0.1 * np.eye(N), B)
    np.testing.assert_allclose(found, truth, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("kind", [None, "cholesky", "nystrom"])
def test_gradient_within_ranges(kind):
    half = [[0, 70], [70, N]]
    ranges = cluster.from_matrix(half, half, np.eye(2))
    blocks = np.zeros((N, N))
    blocks[:70, :70] = blocks[70:, 70:] = 1
    e, direction = RNG.normal(size=B.shape), RNG.normal(size=X.shape)

    def total(x):
        matrix = np.exp(-cdist(x, X, "sqeuclidean") / 0.3) * blocks + 0.1 * np.eye(N)
        return (np.linalg.solve(matrix, B) * e).sum()

    options = {"alpha": 0.1, "eps": 1e-13, "ranges": ranges, "preconditioner": kind}
    np.testing.assert_allclose(
        INVERT(X, X, B, **options), np.linalg.solve(K * blocks + 0.1 * np.eye(N), B), rtol=1e-8, atol=1e-9
    )
    gradient = INVERT.gradient(X, X, B, wrt="x", grad_output=e, **options)
    difference = (total(X + 1e-6 * direction) - total(X - 1e-6 * direction)) / 2e-6
    assert (gradient * direction).sum() == pytest.approx(difference, rel=1e-6)


def test_options_of_lazy_systems():
    """The other options of a reduction arrive, and a callback ends the iterations."""
    found = lazy().solve(B, alpha=0.1, eps=1e-12, sum_scheme="kahan_scheme", backend="reference")
    np.testing.assert_allclose(found, np.linalg.solve(K + 0.1 * np.eye(N), B), rtol=1e-8, atol=1e-9)
    steps = []
    lazy().solve(B[:, 0], alpha=1e-4, callback=lambda a: steps.append(a.shape) or len(steps) == 3)
    assert steps == [(N, 1)] * 3


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: INVERT(X, X, B, preconditioner="x"), ValueError, "must be 'cholesky', 'nystrom' or a function: found 'x'"),
        (lambda: INVERT(X, X, B, preconditioner=3), TypeError, "'cholesky', 'nystrom', a function or None: found 3"),
        (lambda: lazy().solve(B, preconditioner=3), TypeError, "'cholesky', 'nystrom', a function or None: found 3"),
        (lambda: lazy().solve(B, preconditioner="nystrom", n_components=-1), ValueError, "n_components must be an integer"),
        (lambda: INVERT.preconditioner(X, X, B, n_components=1.5), ValueError, "n_components must be an integer"),
        (lambda: INVERT.preconditioner(X, X[:3], B[:3]), ValueError, "the matrix must be square"),
        (
            lambda: KernelSolve("MatVecMult(TensorProd(x, y), a)", [*ALIASES[:2], "a = Vj(2)"], "a", axis=1)(
                X, X, np.ones((N, 2)), preconditioner="cholesky"
            ),
            ValueError,
            "found a formula that mixes the 2 components of 'a'",
        ),
        (lambda: INVERT(X, X, B, n_components=-1), ValueError, "n_components must be an integer, at least 0, or 'auto': found -1"),
        (lambda: INVERT(X, X, B, n_components="all"), ValueError, "at least 0, or 'auto': found 'all'"),
        (lambda: INVERT(X, X, B, n_components=True), ValueError, "n_components must be an integer"),
        (lambda: INVERT(X, X, B, alpha="1"), ValueError, "alpha must be a number, not negative: found '1'"),
        (lambda: INVERT(X, X, B, alpha=np.inf), ValueError, "alpha must be finite: found inf"),
        (lambda: INVERT(X, X, B, alpha=np.array([-1.0])), ValueError, r"alpha must be numbers, finite .* found array\(\[-1.\]\)"),
        (lambda: INVERT(X, X, B, alpha=[1, np.nan]), ValueError, "alpha must be numbers, finite and not negative"),
        (lambda: INVERT(X, X, B, alpha=np.ones(N)), ValueError, r"shape of b, \(150, 1\): found the shape \(150,\); .* \(n, 1\)"),
        (lambda: lazy().solve(B[:, 0], alpha=np.ones(3)), ValueError, r"shape of b, \(150,\): found the shape \(3,\)"),
        (lambda: INVERT(X, X, B, alpha=np.nan), ValueError, "alpha must be a number, not negative: found nan"),
        (lambda: INVERT(X, X, B, eps=None), ValueError, "eps must be a number, not negative: found None"),
        (lambda: INVERT(X, X, B, n_components=5, random_state=-1), ValueError, "random_state must be an integer from 0 to"),
        (lambda: INVERT(X, X, B, n_components=5, random_state="a"), ValueError, "random_state must be an integer .* found 'a'"),
        (lambda: INVERT(X, X, B, maxiter=-1), ValueError, "maxiter must be an integer, not negative: found -1"),
        (lambda: INVERT(X, X, B, maxiter="x"), ValueError, "maxiter must be an integer, not negative: found 'x'"),
        (lambda: INVERT(X, X, B, maxiter=2.5), ValueError, "maxiter must be an integer"),
        (lambda: INVERT(X, X, B, callback=3), TypeError, "callback must be a function of the solution so far: found 3"),
        (lambda: lazy().solve(B, what=1), TypeError, "unknown option 'what' of a reduction"),
        (lambda: lazy().solve(lazy()), ValueError, "b must be an array, or the LazyTensor of one"),
    ],
)  # fmt: skip
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
