"""Values of every kernel and of its logarithm, for samples of every shape, layout and size."""

import math

import mpmath
import numpy as np
import pytest

from skkeops import kernels

from .truth import CASES, SCALED, histograms, log_matrix, samples

CASES_BY_NAME = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
TOLERANCE = {np.float32: {"rtol": 1e-5, "atol": 1e-5}, np.float64: {"rtol": 1e-12, "atol": 1e-12}}
LARGEST = {np.float32: 104, np.float64: 746}  # beyond, an exponential is 0


def scale(n_features, anisotropic):
    return np.linspace(0.7, 1.9, n_features) if anisotropic else 1.3


@DTYPES
@pytest.mark.parametrize(("n_features", "anisotropic"), [(1, False), (3, False), (3, True), (20, True)])
@CASES_BY_NAME
class TestValues:
    def test_matrix(self, case, n_features, anisotropic, dtype, rng):
        length = scale(n_features, anisotropic)
        kernel = case.make(length)
        for rows, columns in ((1, 2), (3, 19), (17, 9)):
            X = samples(rng, rows, n_features, dtype, case.nonnegative)
            Y = samples(rng, columns, n_features, dtype, case.nonnegative)
            K = kernel(X, Y)
            assert K.dtype == dtype
            expected = case.value(X.astype(float), Y.astype(float), length)
            np.testing.assert_allclose(K, expected, **TOLERANCE[dtype])

    def test_logarithm(self, case, n_features, anisotropic, dtype, rng):
        length = scale(n_features, anisotropic)
        X = samples(rng, 5, n_features, dtype, case.nonnegative)
        Y = samples(rng, 3, n_features, dtype, case.nonnegative)
        arguments = X.astype(float), Y.astype(float), length
        with np.errstate(invalid="ignore"):
            expected = case.log(*arguments) if case.log else np.log(case.value(*arguments))
        found = log_matrix(case.make(length), X, Y)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        # Where the value is a difference, its rounding is that of what is subtracted.
        slack = np.ones_like(expected) if case.log else 1 / np.minimum(1, abs(case.value(*arguments)))
        good = ~np.isnan(expected)
        error = abs(found - expected)[good] / np.maximum(slack, abs(expected))[good]
        assert (error <= TOLERANCE[dtype]["rtol"]).all()

    def test_diagonal(self, case, n_features, anisotropic, dtype, rng):
        kernel = case.make(scale(n_features, anisotropic))
        X = samples(rng, 7, n_features, dtype, case.nonnegative)
        K = kernel(X)
        assert kernel.diag(X).dtype == dtype
        np.testing.assert_array_equal(K, K.T)
        np.testing.assert_array_equal(K.diagonal(), kernel.diag(X))
        if "White" not in repr(kernel):
            np.testing.assert_array_equal(K, kernel(X, X))


@DTYPES
@pytest.mark.parametrize("case", SCALED, ids=lambda case: case.name)
class TestFar:
    def test_logarithm_where_the_value_underflows(self, case, dtype):
        x, y = np.zeros((1, 2), dtype), np.array([[3e3, 4e3], [0, 1e6], [1e17, 0]], dtype)
        expected = case.log(x.astype(float), y.astype(float), 1.3)
        found = log_matrix(case.make(1.3), x, y)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype]["rtol"])

    def test_value_is_the_exponential_of_the_logarithm(self, case, dtype):
        """From near to where nothing is left of it, in the dtype's own range."""
        x, y = np.zeros((1, 1), dtype), np.geomspace(1e-3, 1e4, 41, dtype=dtype)[:, None]
        log = case.log(x.astype(float), y.astype(float), 1.0)
        value = case.make(1.0)(x, y)
        # exp doubles the relative error of a logarithm of 1, and so on. Denormals have no digits to compare; in float32 an
        # exponential that is one counts as 0, and polynomials of the distance, up to 1e5 here, stand before it.
        normal = log > -LARGEST[dtype] * (0.7 if dtype == np.float32 else 0.8)
        np.testing.assert_allclose(value[normal], np.exp(log)[normal], rtol=100 * TOLERANCE[dtype]["rtol"])
        assert (value[log < -LARGEST[dtype]] == 0).all()


@pytest.mark.parametrize("nu", [4.5, 10.5, 20.5])
@DTYPES
def test_matern_of_high_order(nu, dtype):
    """Rasmussen and Williams' formula 4.16 in fifty digits; in float32 the powers of the distance overflow."""
    r = np.array([0, 1e-4, 0.3, 2, 20, 300, 2e3, 1e7, 1e17], dtype)
    p = int(nu - 0.5)
    with mpmath.workdps(50):
        log = []
        for s in (mpmath.sqrt(2 * nu) * mpmath.mpf(float(d)) for d in r):
            terms = (
                mpmath.factorial(p + i) / (mpmath.factorial(i) * mpmath.factorial(p - i)) * (2 * s) ** (p - i)
                for i in range(p + 1)
            )
            log.append(mpmath.log(mpmath.factorial(p) / mpmath.factorial(2 * p) * mpmath.fsum(terms)) - s)
        value, log = np.array([float(mpmath.exp(v)) for v in log]), np.array([float(v) for v in log])
    x, kernel = np.zeros((1, 1), dtype), kernels.Matern(nu=nu)
    np.testing.assert_allclose(kernel(x, r[:, None])[0], value, **TOLERANCE[dtype])
    np.testing.assert_allclose(log_matrix(kernel, x, r[:, None])[0], log, **TOLERANCE[dtype])


class TestWhite:
    @DTYPES
    def test_only_of_a_sample_with_itself(self, dtype):
        X = np.zeros((3, 2), dtype)
        kernel = kernels.White(0.25)
        np.testing.assert_array_equal(kernel(X), 0.25 * np.eye(3))
        np.testing.assert_array_equal(kernel(X, X), np.zeros((3, 3)))
        np.testing.assert_array_equal(kernel(X, X[:1]), np.zeros((3, 1)))
        np.testing.assert_array_equal(kernel.diag(X), np.full(3, 0.25))

    def test_inside(self):
        X = np.zeros((2, 1))
        kernel = (kernels.Gaussian() + kernels.White(3.0)) * (2.0 + kernels.White(1.0))
        np.testing.assert_array_equal(kernel(X), [[12.0, 2.0], [2.0, 12.0]])
        np.testing.assert_array_equal(kernel(X, X), np.full((2, 2), 2.0))
        np.testing.assert_array_equal(kernel.diag(X), [12.0, 12.0])

    @pytest.mark.parametrize(
        "kernel",
        [
            kernels.White(2.0),
            kernels.White(2.0) * kernels.Gaussian(),
            kernels.White(2.0) + kernels.White(),
            kernels.White() ** 2,
        ],
        ids=repr,
    )
    def test_logarithm_between_samples(self, kernel):
        x = np.zeros((1, 1))
        assert log_matrix(kernel, x, x) == -math.inf


    def test_nothing_is_left_of_it_in_a_logarithm(self):
        alone = kernels.Gaussian().bind(2).log_expression
        assert (kernels.Gaussian() + kernels.White()).bind(2).log_expression is alone
        assert "noise_level" not in (kernels.White() + kernels.Gaussian()).log_formula()


class TestInput:
    def arrays(self, rng):
        """The same numbers in many forms."""
        wide = rng.normal(size=(26, 9))
        x = np.ascontiguousarray(wide[::2, ::3])
        frozen = x.copy()
        frozen.setflags(write=False)
        return x, [wide[::2, ::3], np.asfortranarray(x), frozen, x[::-1].copy()[::-1], x.tolist(), x.astype(">f8")]

    @pytest.mark.parametrize("name", ["Gaussian", "Matern-2.5", "Cosine", "Nested"])
    def test_layouts(self, name, rng):
        case = next(c for c in CASES if c.name == name)
        kernel = case.make(np.array([0.5, 1.0, 2.0]))
        x, forms = self.arrays(rng)
        expected, diagonal = kernel(x, x[:5]), kernel.diag(x)
        for form in forms:
            np.testing.assert_array_equal(kernel(form, form[:5]), expected)
            np.testing.assert_array_equal(kernel(form[:5], form), expected.T)
            np.testing.assert_array_equal(kernel.diag(form), diagonal)

    def test_integers_are_float64(self):
        K = kernels.Linear()([[1, 2]], np.array([[3, 4]], dtype=np.int8))
        assert K.dtype == np.float64
        assert K == 11

    def test_mixed_dtypes_are_float64(self):
        x = np.ones((2, 1), np.float32)
        assert kernels.Gaussian()(x, x.astype(float)).dtype == np.float64

    def test_input_is_left_alone(self, rng):
        x = rng.normal(size=(4, 2))
        before = x.copy()
        kernels.Gaussian()(x, eval_gradient=True)
        np.testing.assert_array_equal(x, before)

    @pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
    def test_nothing(self, shape):
        for call in (kernels.Gaussian(), kernels.Gaussian().diag, lambda X: kernels.Gaussian()(np.ones((2, 3)), X)):
            with pytest.raises(ValueError, match=r"Found array with 0 (sample|feature)"):
                call(np.ones(shape))

    def test_different_features(self):
        with pytest.raises(ValueError, match="Gaussian compares samples with the same features: found 2 .* and 3"):
            kernels.Gaussian()(np.ones((4, 2)), np.ones((4, 3)))
        with pytest.raises(ValueError, match="found 2 features in X and 3 in the reference"):
            (kernels.White() + kernels.Gaussian())(np.ones((4, 2)), np.ones((4, 3)))

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_not_finite(self, bad):
        with pytest.raises(ValueError, match="Input X contains"):
            kernels.Gaussian()([[bad]])
        with pytest.raises(ValueError, match="Input Y contains"):
            kernels.Gaussian()([[1.0]], [[bad]])

    @pytest.mark.parametrize("kernel", [kernels.Chi2(), kernels.AdditiveChi2(), 2.0 * kernels.Chi2() + 1.0], ids=repr)
    def test_negative_histograms(self, kernel):
        good, bad = np.ones((2, 2)), np.array([[1.0, -1e-9]])
        assert kernel.requires_nonnegative
        for call in (lambda: kernel(bad), lambda: kernel(good, bad), lambda: kernel.diag(bad)):
            with pytest.raises(ValueError, match="negative values"):
                call()

    def test_gradient_of_one_sample_only(self):
        with pytest.raises(ValueError, match="Gradient can only be evaluated when Y is None"):
            kernels.Gaussian()(np.ones((2, 1)), np.ones((2, 1)), eval_gradient=True)


class TestExtremes:
    @DTYPES
    @pytest.mark.parametrize("case", SCALED, ids=lambda case: case.name)
    @pytest.mark.parametrize("anisotropic", [False, True])
    def test_one_on_the_diagonal(self, case, anisotropic, dtype, rng):
        X = np.vstack([rng.normal(size=(5, 3)), [[0, 1e-40, 1e15]], [[1e-30, 1e10, 1.0]]]).astype(dtype)
        kernel = case.make(scale(3, anisotropic))
        np.testing.assert_array_equal(kernel.diag(X), np.ones(7))
        np.testing.assert_array_equal(kernel(X, X).diagonal(), np.ones(7))

    @pytest.mark.parametrize("case", SCALED, ids=lambda case: case.name)
    @pytest.mark.parametrize(
        ("huge", "dtype"), [(1e150, "f8"), (1e200, "f8"), (1e308, "f8"), (1e18, "f4"), (3e38, "f4")]
    )
    def test_huge_distances(self, case, huge, dtype):
        x, y = np.array([[0.0, 1.0]], dtype), np.array([[huge, 0.0], [-huge, huge]], dtype)
        K = case.make(1.0)(x, y)
        slow = {"Cauchy", "InverseMultiquadric", "RationalQuadratic-0.3", "RationalQuadratic-1.0"}  # powers
        if case.name in slow:
            assert ((K >= 0) & (K < 1e-6)).all()
        else:
            np.testing.assert_array_equal(K, [[0, 0]])
        assert not np.isnan(log_matrix(case.make(1.0), x, y)).any()

    @pytest.mark.parametrize("case", SCALED, ids=lambda case: case.name)
    def test_denormal_distances(self, case):
        K = case.make(1.0)(np.zeros((1, 2)), np.array([[5e-324, 0.0], [1e-310, -1e-200]]))
        np.testing.assert_array_equal(K, [[1, 1]])

    @DTYPES
    def test_sigmoid_of_small_products(self, dtype):
        """To the digits of the dtype, where the hyperbolic tangent is small."""
        x = np.concatenate([10.0 ** np.arange(-30, 2), np.linspace(0.3, 0.7, 41)]).astype(dtype)[:, None]
        x = np.concatenate([x, -x])
        found = kernels.Sigmoid(0.5, 0.0)(x, np.ones((1, 1), dtype))
        np.testing.assert_allclose(found, np.tanh(0.5 * x.astype(float)), rtol=16 * np.finfo(dtype).eps)

    @pytest.mark.parametrize("length", [1e-150, 1e150])
    def test_extreme_lengths(self, length):
        X = np.array([[0.0], [1.0]]) * length
        np.testing.assert_allclose(kernels.Gaussian(length)(X), kernels.Gaussian()(X / length), rtol=1e-14)

    @DTYPES
    def test_sigmoid_saturates(self, dtype):
        x, y = np.array([[1.0]], dtype), np.array([[30.0], [-30.0], [1e30], [-1e30], [0.0]], dtype)
        kernel = kernels.Sigmoid(coef0=0.0)
        np.testing.assert_array_equal(kernel(x, y), [[1, -1, 1, -1, 0]])
        X = np.array([[0.0], [1.0], [1e3], [-1e15]], dtype)
        assert np.isfinite(kernel(X, eval_gradient=True)[1]).all()

    @DTYPES
    def test_sigmoid_near_its_ends_and_near_0(self, dtype):
        y = np.concatenate([np.linspace(-25, 25, 201), 10.0 ** np.arange(-30, 0)]).astype(dtype)[:, None]
        expected = np.tanh(y[:, 0].astype(float))
        found = kernels.Sigmoid(coef0=0.0)([[dtype(1)]], y)[0]
        np.testing.assert_allclose(found, expected, rtol=3 * np.finfo(dtype).eps)

    def test_cosine_of_zeros(self):
        X = np.array([[0.0, 0.0], [3.0, 4.0]])
        np.testing.assert_allclose(kernels.Cosine()(X), [[0, 0], [0, 1]], rtol=1e-15)
        np.testing.assert_allclose(kernels.Cosine().diag(X), [0, 1], rtol=1e-15)

    def test_empty_bins(self, rng):
        X = histograms(rng, 6, 5)
        X[0] = 0
        np.testing.assert_array_equal(kernels.Chi2().diag(X), np.ones(6))
        np.testing.assert_allclose(kernels.Chi2()(X)[0, 1:], np.exp(-X[1:].sum(axis=1)), rtol=1e-14)
        np.testing.assert_array_equal(kernels.AdditiveChi2().diag(X), np.zeros(6))

    def test_periodic_kernel_returns(self):
        X = np.arange(4.0)[:, None]
        np.testing.assert_allclose(kernels.ExpSineSquared(0.5, 1.0)(X), np.ones((4, 4)), rtol=1e-14)

    @DTYPES
    def test_sum_of_kernels_of_which_some_are_zero(self, dtype):
        """The logarithm of a zero is -inf, and of two zeros too, not NaN."""
        x, y = np.zeros((1, 1), dtype), np.array([[0.0], [np.finfo(dtype).max]], dtype)
        zero, one = kernels.Gaussian(1e-3), kernels.Constant(1.0)
        np.testing.assert_allclose(log_matrix(zero + one, x, y), [[math.log(2), 0.0]], rtol=1e-6)
        np.testing.assert_allclose(log_matrix(one + zero, x, y), [[math.log(2), 0.0]], rtol=1e-6)
        np.testing.assert_allclose(log_matrix(zero + zero, x, y), [[math.log(2), -np.inf]], rtol=1e-6)
        np.testing.assert_array_equal((zero + zero)(x, y), [[2, 0]])

    def test_logarithm_of_a_sum_far_away(self):
        x, y = np.zeros((1, 1)), np.array([[1e4], [1e15]])
        kernel = kernels.Gaussian() + kernels.Laplacian(1e-12)
        np.testing.assert_allclose(log_matrix(kernel, x, y), [[-0.5e8, -1e27]], rtol=1e-12)


def test_samples_at_any_address():
    X = np.random.default_rng(0).random((7, 3))
    there = np.zeros(X.nbytes + 1, dtype=np.uint8)[1:].view(X.dtype).reshape(X.shape)
    there[...] = X
    assert not there.flags.aligned
    kernel = kernels.Matern(nu=1.5) + kernels.White(0.1)
    np.testing.assert_array_equal(kernel(there), kernel(X))
    np.testing.assert_array_equal(kernel(there, there[:2]), kernel(X, X[:2]))
    np.testing.assert_array_equal(kernel.diag(there), kernel.diag(X))
    np.testing.assert_array_equal(kernel(there, eval_gradient=True)[1], kernel(X, eval_gradient=True)[1])
