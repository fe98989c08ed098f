"""The solvers of systems that are known by their products: preconditioners, many right-hand sides, refinement."""

from __future__ import annotations

import numpy as np
import pytest

from skkeops.solvers import LowRankPreconditioner, pivoted_cholesky, solve

RNG = np.random.default_rng(11)


def close(found, expected, tol=1e-6):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tol * np.abs(expected).max())


def test_pivoted_cholesky_of_a_matrix_of_low_rank():
    a = RNG.normal(size=(60, 6))
    k = a @ a.T
    factor, is_semidefinite = pivoted_cholesky(
        lambda which: k[:, which], np.diagonal(k), 50, np.random.RandomState(0)
    )
    assert is_semidefinite
    assert factor.shape == (60, 6)
    close(factor @ factor.T, k, 1e-10)
    v = RNG.normal(size=(60, 2))
    shift = np.array([0.1, 3.0])
    expected = np.stack([np.linalg.solve(k + s * np.eye(60), v[:, c]) for c, s in enumerate(shift)], axis=1)
    close(LowRankPreconditioner(factor, shift)(v), expected, 1e-9)


def test_pivoted_cholesky_sees_that_a_matrix_is_indefinite():
    k = np.diag([1.0, 1.0]) + np.array([[0, 5.0], [5.0, 0]])
    assert not pivoted_cholesky(lambda which: k[:, which], np.diagonal(k), 1, np.random.RandomState(0))[1]
    assert not pivoted_cholesky(lambda which: -k[:, which], -np.diagonal(k), 1, np.random.RandomState(0))[1]


def test_solve_many_right_hand_sides_of_different_sizes():
    a = RNG.normal(size=(40, 40))
    k = a @ a.T
    b = RNG.normal(size=(40, 3)) * [1e-8, 1.0, 1e8]
    shift = np.array([0.5, 1.0, 2.0])
    solution = solve(lambda v: k @ v, shift, b, tol=1e-10)
    for c in range(3):
        close(solution.x[:, c], np.linalg.solve(k + shift[c] * np.eye(40), b[:, c]), 1e-8)
    assert solution.is_definite
    assert solution.residual <= 1e-10


def test_solve_refines_what_a_rough_product_finds():
    a = RNG.normal(size=(300, 300))
    k = a @ a.T / 300
    b = RNG.normal(size=(300, 2))
    shift = np.array([0.01, 0.1])
    exact, rough = [], []

    def product(v):
        exact.append(1)
        return k @ v

    def rough_product(v):
        rough.append(1)
        return (k.astype(np.float32) @ v.astype(np.float32)).astype(np.float64)

    solution = solve(product, shift, b, rough=rough_product, tol=1e-11)
    assert solution.residual <= 1e-11
    for c in range(2):
        close(solution.x[:, c], np.linalg.solve(k + shift[c] * np.eye(300), b[:, c]), 1e-9)
    assert len(exact) <= 6 < 20 < len(rough)


@pytest.mark.parametrize("good_calls", [0, 1, 3])
@pytest.mark.parametrize(
    "wrong", [lambda image: np.nan * image, lambda image: 1.5 * image, lambda image: -image], ids=["nan", "large", "negative"]
)
def test_solve_with_a_useless_rough_product(wrong, good_calls):
    a = RNG.normal(size=(80, 80))
    k = a @ a.T / 80
    b = np.linspace(-1, 1, 80)[:, None]
    calls = []

    def rough(v):
        calls.append(1)
        return k @ v if len(calls) <= good_calls else wrong(k @ v)

    solution = solve(lambda v: k @ v, np.array([0.05]), b, rough=rough, tol=1e-10)
    assert solution.is_definite
    assert len(calls) > good_calls
    close(solution.x, np.linalg.solve(k + 0.05 * np.eye(80), b), 1e-8)


def test_an_indefinite_matrix_is_told_with_a_rough_product_too():
    k = np.diag(np.linspace(-1, 2, 50))
    b = np.ones((50, 1))
    solution = solve(lambda v: k @ v, np.array([0.013]), b, rough=lambda v: (k @ v).astype(np.float32), tol=1e-10)
    assert not solution.is_definite
    close(solution.x, b / (np.diagonal(k) + 0.013)[:, None], 1e-7)


def test_pivoted_cholesky_ends_where_eigenvalues_are_small():
    q, _ = np.linalg.qr(RNG.normal(size=(400, 400)))
    values = 0.9 ** np.arange(400)
    k = (q * values) @ q.T
    factor, _ = pivoted_cholesky(lambda which: k[:, which], np.diagonal(k), 400, np.random.RandomState(0), 1e-3)
    assert np.linalg.eigvalsh(k - factor @ factor.T).max() < 1e-3  # 65 eigenvalues are larger
    assert factor.shape[1] <= 160
