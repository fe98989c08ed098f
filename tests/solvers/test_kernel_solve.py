"""KernelSolve, LazyTensor.solve and SciPy's solvers on lazy tensors, against dense linear algebra."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator, cg, eigsh, gmres, minres, svds
from scipy.spatial.distance import cdist

from skkeops import FormulaError, KernelSolve, Vi, Vj, cluster

RNG = np.random.default_rng(13)
N = 90
X, B = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 2))
FORMULA, ALIASES = "Exp(-g*SqDist(x,y))*a", ["x = Vi(3)", "y = Vj(3)", "a = Vj(2)", "g = Pm(1)"]
G = np.array([0.5])
K = np.exp(-0.5 * cdist(X, X, "sqeuclidean"))
TRUTH = np.linalg.solve(K + 0.1 * np.eye(N), B)


def lazy(x=X):
    return (-0.5 * ((Vi(x) - Vj(x)) ** 2).sum(-1)).exp()


def test_solution():
    found = KernelSolve(FORMULA, ALIASES, "a", axis=1)(X, X, B, G, alpha=0.1, eps=1e-12)
    np.testing.assert_allclose(found, TRUTH, rtol=1e-9, atol=1e-9)


def test_the_other_axis():
    aliases = ["x = Vj(3)", "y = Vi(3)", "a = Vi(2)", "g = Pm(1)"]
    found = KernelSolve(FORMULA, aliases, "a")(X, X, B, G, alpha=0.1, eps=1e-12)
    np.testing.assert_allclose(found, TRUTH, rtol=1e-9, atol=1e-9)


def test_float32():
    args = [a.astype(np.float32) for a in (X, X, B, G)]
    found = KernelSolve(FORMULA, ALIASES, "a", axis=1)(*args, alpha=0.1, eps=1e-5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, TRUTH, rtol=1e-3, atol=1e-3)


def test_against_keops():
    keops = pytest.importorskip("pykeops.numpy")
    try:
        theirs = keops.KernelSolve(FORMULA, ALIASES, "a", axis=1)(X, X, B, G, alpha=0.1, eps=1e-10)
    except Exception as error:  # it has to compile
        pytest.skip(f"KeOps does not run here: {error}")
    found = KernelSolve(FORMULA, ALIASES, "a", axis=1)(X, X, B, G, alpha=0.1, eps=1e-10)
    np.testing.assert_allclose(found, theirs, rtol=1e-7, atol=1e-7)


def test_ranges():
    """A block-diagonal matrix."""
    half = [[0, N // 2], [N // 2, N]]
    ranges = cluster.from_matrix(half, half, np.eye(2))
    found = KernelSolve(FORMULA, ALIASES, "a", axis=1)(X, X, B, G, alpha=0.1, eps=1e-12, ranges=ranges)
    mask = np.kron(np.eye(2), np.ones((N // 2, N // 2)))
    np.testing.assert_allclose(found, np.linalg.solve(K * mask + 0.1 * np.eye(N), B), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["x", "y", "a", "g"])
def test_gradient(name):
    """Against differences of dense solves."""
    e = RNG.normal(size=B.shape)
    k = ("x", "y", "a", "g").index(name)
    args = [X, X, B, G]

    def total(x, y, b, g):
        return (np.linalg.solve(np.exp(-g * cdist(x, y, "sqeuclidean")) + 0.1 * np.eye(N), b) * e).sum()

    invert = KernelSolve(FORMULA, ALIASES, "a", axis=1)
    gradient = invert.gradient(*args, wrt=name, grad_output=e, alpha=0.1, eps=1e-13)
    direction = RNG.normal(size=gradient.shape)
    moved = [[a + s * 1e-6 * direction if n == k else a for n, a in enumerate(args)] for s in (1, -1)]
    difference = (total(*moved[0]) - total(*moved[1])) / 2e-6
    assert (gradient * direction).sum() == pytest.approx(difference, rel=1e-6)
    both = invert.gradient(*args, wrt=("a", name), grad_output=e, alpha=0.1, eps=1e-13, output=TRUTH)
    np.testing.assert_allclose(both[1], gradient, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("n_components", [0, 30])
@pytest.mark.parametrize("b", [B, B[:, 0]])
def test_lazy_tensors(b, n_components):
    found = lazy().solve(b, alpha=0.1, eps=1e-12, n_components=n_components)
    np.testing.assert_allclose(found, np.linalg.solve(K + 0.1 * np.eye(N), b), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(lazy().solve(Vj(B), alpha=0.1, eps=1e-12), TRUTH, rtol=1e-9, atol=1e-9)


def test_operators_of_scipy():
    operator = aslinearoperator(lazy())
    assert operator.shape == (N, N)
    assert operator.dtype == np.float64
    np.testing.assert_allclose(operator @ B, K @ B, rtol=1e-12)
    np.testing.assert_allclose(operator.rmatvec(B[:, 0]), K.T @ B[:, 0], rtol=1e-12)
    values = eigsh(operator, k=4, return_eigenvectors=False)
    np.testing.assert_allclose(np.sort(values), np.linalg.eigvalsh(K)[-4:], rtol=1e-9)
    y = RNG.normal(size=(40, 3))
    rectangular = (-((Vi(X) - Vj(y)) ** 2).sum(-1)).exp()
    found = np.sort(svds(aslinearoperator(rectangular), k=3, return_singular_vectors=False))
    expected = np.linalg.svd(np.exp(-cdist(X, y, "sqeuclidean")), compute_uv=False)
    np.testing.assert_allclose(found, expected[:3][::-1], rtol=1e-9)
    ridge = operator + 0.5 * aslinearoperator(np.eye(N))
    for method in (cg, minres, gmres):
        x, info = method(ridge, B[:, 0], rtol=1e-10)
        assert info == 0
        np.testing.assert_allclose(x, np.linalg.solve(K + 0.5 * np.eye(N), B[:, 0]), atol=1e-6)


def test_diagonal():
    np.testing.assert_allclose(lazy().diagonal(), np.ones(N), rtol=1e-14)
    np.testing.assert_allclose((Vi(X) * Vj(X + 1)).diagonal(), X * (X + 1), rtol=1e-14)
    with pytest.raises(ValueError, match=r"of a square tensor: found shape \(90, 5\)"):
        (Vi(X) | Vj(X[:5])).diagonal()


def test_warnings():
    invert = KernelSolve(FORMULA, ALIASES, "a", axis=1)
    with pytest.warns(RuntimeWarning, match="the relative residual is .* after 2 iterations, eps=1e-12"):
        invert(X, X, B, G, alpha=1e-6, eps=1e-12, maxiter=2)
    negative = KernelSolve("-Norm2(x-y)*a", ["x = Vi(3)", "y = Vj(3)", "a = Vj(2)"], "a", axis=1)
    with pytest.warns(RuntimeWarning, match="not positive definite"):
        found = negative(X, X, B, alpha=0.1, eps=1e-10)
    expected = np.linalg.solve(-cdist(X, X) + 0.1 * np.eye(N), B)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    with pytest.warns(RuntimeWarning, match="after 1 iterations") as told:
        invert(X, X, B, G, alpha=1e-6, eps=1e-12, maxiter=1)
        invert.gradient(X, X, B, G, wrt="a", alpha=1e-6, eps=1e-12, maxiter=1)
        lazy().solve(B, alpha=1e-6, eps=1e-12, maxiter=1)
        (lazy() * Vj(0, 2)).solve(B, Vj(0, 2), alpha=1e-6, eps=1e-12, maxiter=1)
    assert [warning.filename for warning in told] == [__file__] * 4  # the line of the caller is shown
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stopped = invert(X, X, B, G, alpha=1e-6, callback=lambda a: True)
    assert np.isfinite(stopped).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: KernelSolve(FORMULA, ALIASES, "z"), ValueError, "varinvalias must be one of x, y, a, g: found 'z'"),
        (lambda: KernelSolve(FORMULA, ALIASES, "a", axis=0), ValueError, "must be indexed by the reduced axis, i"),
        (lambda: KernelSolve(FORMULA, ALIASES, "y", axis=1), ValueError, "must be indexed by the reduced axis"),
        (lambda: KernelSolve("Square(a)", ["a = Vj(2)"], "a", axis=1), ValueError, "must be linear in 'a'"),
        (lambda: KernelSolve("Exp(", ["a = Vj(2)"], "a", axis=1), FormulaError, "never closed"),
        (lambda: KernelSolve(FORMULA, ALIASES, "a", axis=1)(X, X[:5], B[:5], G), ValueError, "must be square: found 90"),
        (lambda: KernelSolve(FORMULA, ALIASES, "a", axis=1)(X, X, B, G, alpha=-1), ValueError, "alpha must be a number"),
        (lambda: lazy().solve(B, eps=0), ValueError, "eps must be positive: found 0.0"),
        (lambda: lazy().solve(B[:5]), ValueError, r"b must have 90 rows: found shape \(5, 2\)"),
        (lambda: (Vi(X) | Vj(X[:5])).solve(B), ValueError, r"needs a square tensor .* found shape \(90, 5\)"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_matrices_and_right_hand_sides_that_are_not_finite():
    """They end at once, with a warning."""
    undefined = KernelSolve("Exp(-SqDist(x,y)/g)*a", ALIASES, "a", axis=1)
    b = B.copy()
    b[3] = np.nan
    for args in ((X, X, B, np.zeros(1)), (X, X, b, G), (X, X, B * np.inf, G)):
        steps = []
        with pytest.warns(RuntimeWarning, match="infinite or NaN"):
            found = undefined(*args, alpha=0.1, callback=steps.append)
        assert not np.isfinite(found).all()
        assert len(steps) < 5
    with pytest.warns(RuntimeWarning, match="infinite or NaN"):
        (lazy() * np.nan).solve(B)
    with pytest.warns(RuntimeWarning, match="or too large for float64"):
        (lazy() * 1e308 + 1e308).solve(np.ones(N))
    with pytest.warns(RuntimeWarning, match="the solution is too large for float64"):
        (lazy() * 1e-200).solve(B * 1e200, alpha=0)


@pytest.mark.parametrize("size", [1e-300, 1e-150, 1e150, 1e300])
def test_entries_whose_squares_leave_float64(size):
    for options in ({}, {"preconditioner": None}, {"preconditioner": "nystrom"}):
        found = (lazy() * size).solve(B, alpha=0.1 * size, eps=1e-12, **options)
        np.testing.assert_allclose(found * size, TRUTH, rtol=1e-8, atol=1e-8)
        with pytest.warns(RuntimeWarning, match="not positive definite"):
            found = (lazy() * -size).solve(B, alpha=0.1 * size, eps=1e-6, **options)
        truth = np.linalg.solve(0.1 * np.eye(N) - K, B)
        np.testing.assert_allclose(found * size, truth, rtol=0, atol=1e-4 * np.abs(truth).max())


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_right_hand_sides_whose_squares_leave_float64(scale):
    invert = KernelSolve(FORMULA, ALIASES, "a", axis=1)
    np.testing.assert_allclose(invert(X, X, B * scale, G, alpha=0.1, eps=1e-12), TRUTH * scale, rtol=1e-8, atol=0)


def test_what_does_not_converge_is_the_best_so_far():
    """The residual of conjugate gradients goes up and down where a system is ill-conditioned: the least one counts."""
    x, b = RNG.random((40, 2)), RNG.random((40, 2))
    matrix = np.exp(-cdist(x, x, "sqeuclidean")) + 1e-10 * np.eye(40)
    invert, norms = KernelSolve("Exp(-SqDist(x,y))*a", ["x = Vi(2)", "y = Vj(2)", "a = Vj(2)"], "a", axis=1), []
    for maxiter in (1, 2, 5, 20, 50, 150):
        with pytest.warns(RuntimeWarning, match=r"after \d+ iterations"):  # fewer where rounding errors are all that is left
            found = invert(x, x, b, alpha=1e-10, eps=1e-14, maxiter=maxiter, preconditioner=None)
        norms.append(np.linalg.norm((matrix @ found - b) / np.linalg.norm(b, axis=0)) / np.sqrt(2))
    assert norms[0] < 1
    assert (np.diff(norms) < 0.01).all(), norms


def test_the_signature_of_keops():
    with pytest.warns(DeprecationWarning, match="'dtype' of KernelSolve is deprecated") as told:
        invert = KernelSolve(FORMULA, ALIASES, "a", 1, "float64", None, "auto", False, "auto", True, None, True)
    assert told[0].filename == __file__
    np.testing.assert_allclose(invert(X, X, B, G, alpha=0.1, eps=1e-12), TRUTH, rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="opt_arg"):
        KernelSolve(FORMULA, ALIASES, "a", 1, opt_arg=3)


def test_text_and_pickles():
    invert = KernelSolve(FORMULA, ALIASES, "a", axis=1)
    assert repr(invert) == f"KernelSolve({FORMULA!r}, {ALIASES!r}, 'a', axis=1)"
    for copy in (pickle.loads(pickle.dumps(invert)), eval(repr(invert))):
        np.testing.assert_array_equal(copy(X, X, B, G, alpha=0.1), invert(X, X, B, G, alpha=0.1))
