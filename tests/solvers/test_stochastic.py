"""Pieces of iterative Gaussian processes, against dense linear algebra."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from skkeops.solvers import LowRankPreconditioner
from skkeops.solvers.block_gradients import block_gradients
from skkeops.solvers.log_determinant import quadrature, rademacher, regression, standard_error
from skkeops.solvers.square_root import square_root

N = 60


@pytest.fixture
def matrix(rng):
    x = rng.uniform(size=(N, 2))
    return np.exp(-np.square(x[:, None] - x[None]).sum(axis=-1) / 0.1) + 0.05 * np.eye(N)


def preconditioner(rng, by_row):
    factor = rng.normal(size=(N, 7)) * 3.0 ** -np.arange(7)
    shift = rng.uniform(0.1, 2.0, size=(N, 1)) if by_row else np.array([0.3])
    dense = factor @ factor.T + np.diag(np.broadcast_to(shift.reshape(-1), N))
    return LowRankPreconditioner(factor.copy(), shift), dense


@pytest.mark.parametrize("by_row", [False, True])
def test_what_the_preconditioner_knows_of_itself(by_row, rng):
    P, dense = preconditioner(rng, by_row)
    v, identity = rng.normal(size=(N, 3)), np.eye(N)
    np.testing.assert_allclose(P(v), np.linalg.solve(dense, v), rtol=1e-9)
    np.testing.assert_allclose(P.log_determinant, [np.linalg.slogdet(dense)[1]], rtol=1e-12)
    root = P.root(identity)
    np.testing.assert_allclose(root @ root.T, dense, atol=1e-11)
    np.testing.assert_allclose(P.inverse_root(root), identity, atol=1e-11)
    np.testing.assert_allclose(P.inverse_root(identity, transposed=True), np.linalg.inv(root).T, atol=1e-11)
    diagonal, factor = P.inverse_parts()
    np.testing.assert_allclose(np.diag(diagonal[:, 0]) - factor @ factor.T, np.linalg.inv(dense), atol=1e-10)
    assert P.leading(3).shape == (N, 3)


@pytest.mark.parametrize("by_row", [False, True])
def test_many_systems_and_their_lanczos_matrices(by_row, matrix, rng):
    P, _ = preconditioner(rng, by_row)
    z = rademacher(N, 5, seed=1)
    b = P.root(z)
    found = block_gradients(lambda v: matrix @ v, b, P, np.array([1e-3, 1e-10, 1e-12, 1e-12, 0.5]), 500)
    exact = np.linalg.solve(matrix, b)
    np.testing.assert_allclose(found.x[:, 1:4], exact[:, 1:4], atol=1e-7)
    true = np.linalg.norm(b - matrix @ found.x, axis=0) / np.linalg.norm(b, axis=0)
    assert (true <= np.array([1.1e-3, 1e-9, 1e-9, 1e-9, 0.51])).all()
    # From the root of the preconditioner on, the quadrature is that of the logarithm of the preconditioned matrix.
    R = np.linalg.inv(P.root(np.eye(N)))
    values, vectors = np.linalg.eigh(R @ matrix @ R.T)
    logarithm = (vectors * np.log(values)) @ vectors.T
    expected = np.einsum("ik,ij,jk->k", z, logarithm, z)
    np.testing.assert_allclose(quadrature(found.tridiagonals, (z**2).sum(axis=0))[2:4], expected[2:4], rtol=1e-6)
    again = block_gradients(lambda v: matrix @ v, b, P, np.full(5, 1e-8), 500, start=exact)
    assert again.n_iter == 0
    assert not block_gradients(lambda v: -(matrix @ v), b, P, np.full(5, 1e-8), 500).is_definite


def test_probes_do_not_depend_on_their_number():
    z = rademacher(100, 6, seed=3)
    np.testing.assert_array_equal(rademacher(100, 3, seed=3), z[:, :3])
    assert set(np.unique(z)) == {-1.0, 1.0}
    assert abs(z.mean()) < 0.2


def test_three_standard_errors_cover_what_they_say(rng):
    """Of a normal variable 99.73 %; here 5000 means of 5 normal numbers, and 5000 regressions."""
    samples = rng.normal(size=(5, 5000))
    errors = standard_error(samples)
    inside = np.abs(samples.mean(axis=0)) <= 3 * errors
    assert 0.994 < inside.mean() < 0.9995
    hits = 0
    for _ in range(2000):
        control = rng.normal(size=8)
        mean, error = regression(2 + 3 * control + 0.1 * rng.normal(size=8), control)
        hits += abs(mean - 2) <= 3 * error
    assert 0.99 < hits / 2000 < 0.9999
    assert np.isinf(standard_error(np.ones((1, 2)))).all()


def test_square_roots(matrix, rng):
    z = rng.normal(size=(N, 3))
    found, change = square_root(lambda v: matrix @ v, z, tol=1e-9)
    np.testing.assert_allclose(found, np.real(sqrtm(matrix)) @ z, atol=1e-7)
    assert change <= 1e-9
    assert square_root(lambda v: matrix @ v, z, tol=1e-9, max_iter=8)[1] > 1e-9


def test_many_steps_of_lanczos(rng):
    """Beyond 200 steps the eigenvalues come from another driver; tiny entries beside the diagonal are no trouble."""
    for tail in (0.3, 1e-12, 1e-300):
        diagonal, other = 2 + rng.random(400), np.r_[0.5 * rng.random(200), np.full(199, tail)]
        matrix = np.diag(diagonal) + np.diag(other, 1) + np.diag(other, -1)
        values, vectors = np.linalg.eigh(matrix)
        expected = vectors[0] ** 2 @ np.log(values)
        assert quadrature([(diagonal, other)], np.ones(1))[0] == pytest.approx(expected, rel=1e-10)
