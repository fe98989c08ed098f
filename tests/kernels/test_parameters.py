"""Parameters of kernels: what is refused, and how kernels are copied, compared, printed, pickled and hashed."""

import copy
import math
import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.gaussian_process import kernels as gp

from skkeops import kernels
from skkeops.kernels import Formula

MAKERS = {
    "Gaussian": lambda: kernels.Gaussian(2.0),
    "Gaussian-anisotropic": lambda: kernels.Gaussian(np.array([1.0, 2.0])),
    "Laplacian": lambda: kernels.Laplacian([1.0, 2.0]),
    "Exponential": lambda: kernels.Exponential(2.0, "fixed"),
    "Cauchy": lambda: kernels.Cauchy(2.0),
    "InverseMultiquadric": lambda: kernels.InverseMultiquadric(2.0),
    "Matern": lambda: kernels.Matern(2.0, (0.1, 10.0), nu=2.5),
    "RationalQuadratic": lambda: kernels.RationalQuadratic(2.0, 3.0),
    "ExpSineSquared": lambda: kernels.ExpSineSquared(2.0, 3.0),
    "Energy": kernels.Energy,
    "Linear": kernels.Linear,
    "DotProduct": lambda: kernels.DotProduct(2.0),
    "Polynomial": lambda: kernels.Polynomial(2, 0.5, 0.0),
    "Sigmoid": lambda: kernels.Sigmoid(0.5, 0.0),
    "Cosine": kernels.Cosine,
    "Chi2": lambda: kernels.Chi2(0.5),
    "AdditiveChi2": kernels.AdditiveChi2,
    "Constant": lambda: kernels.Constant(2.0),
    "White": lambda: kernels.White(0.5),
    "Sum": lambda: kernels.Gaussian(2.0) + kernels.White(0.5),
    "Product": lambda: 3.0 * (kernels.Gaussian(2.0) + kernels.Linear()),
    "Exponentiation": lambda: (kernels.Gaussian(2.0) + kernels.Linear()) ** np.float64(3.0),
    "Formula": lambda: Formula("Exp(-g * SqDist(x, y))", g=0.5),
    "Formula-everything": lambda: Formula(
        "b * Exp(-g * SqDist(x, y)) + (a | a)",
        ["x = Vi(2)", "y = Vj(2)", "g = Pm(1)"],
        bounds={"g": (0.1, 10.0)},
        g=0.5,
        b=np.float64(2.0),
        a=np.array([1.0, 2.0]),
    ),
}
KERNELS = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
NAMESPACE = {**vars(kernels), "array": np.array}


class TestObjects:
    def test_every_kernel_is_here(self):
        classes = {c for c in vars(kernels).values() if isinstance(c, type)} - {kernels.Kernel}
        assert {type(make()) for make in MAKERS.values()} == classes

    @KERNELS
    def test_get_and_set(self, make):
        kernel = make()
        params = kernel.get_params()
        assert kernel.set_params(**params) is kernel
        assert kernel == make()
        for name, value in params.items():
            assert kernel.get_params()[name] is value
        assert set(kernel.get_params(deep=False)) <= set(params)

    @KERNELS
    def test_unknown_name(self, make):
        with pytest.raises(ValueError, match="Invalid parameter '?nothing'?"):
            make().set_params(nothing=1)

    @KERNELS
    def test_clones_and_copies(self, make):
        kernel = make()
        X = np.array([[0.1, 0.2], [0.5, 0.3], [1.0, 2.0]])
        others = [clone(kernel), copy.copy(kernel), copy.deepcopy(kernel), pickle.loads(pickle.dumps(kernel))]
        assert kernel.bind(2)  # used before it is pickled once more
        others.append(pickle.loads(pickle.dumps(kernel)))
        for other in others:
            assert other is not kernel
            assert type(other) is type(kernel)
            assert other == kernel
            np.testing.assert_array_equal(other(X), kernel(X))
        first = next(iter(kernel.get_params(deep=False)), None)
        if isinstance(kernel.get_params().get(first), float):
            others[0].set_params(**{first: 17.0})
            assert others[0] != kernel
            assert kernel == make()

    @KERNELS
    def test_repr_is_the_expression(self, make):
        kernel = make()
        again = eval(repr(kernel), NAMESPACE)
        # Bounds are left out, but for a formula's, which it has none of by itself.
        for name, value in kernel.get_params().items():
            if not name.endswith("_bounds") and not isinstance(value, kernels.Kernel):
                np.testing.assert_array_equal(again.get_params()[name], value)
        assert "np." not in repr(kernel)

    @KERNELS
    def test_use_changes_nothing(self, make):
        kernel = make()
        before, state = joblib.hash(kernel), repr(vars(kernel))
        assert before == joblib.hash(make())
        X = np.array([[0.1, 0.2], [0.5, 0.3]])
        kernel(X, eval_gradient=True), kernel.diag(X), kernel(X, X), kernel.theta, kernel.bounds
        kernel.formula(2), kernel.log_formula(2), kernel.bind(2).exponent, kernel.clone_with_theta(kernel.theta)
        assert joblib.hash(kernel) == before
        assert repr(vars(kernel)) == state

    def test_different_kernels(self):
        made = [make() for make in MAKERS.values()]
        for i, a in enumerate(made):
            for j, b in enumerate(made):
                assert (a == b) is (i == j)
        assert len({joblib.hash(kernel) for kernel in made}) == len(made)

    @pytest.mark.parametrize(
        ("a", "b"),
        [
            (kernels.Gaussian(1.0), kernels.Gaussian(2.0)),
            (kernels.Gaussian(1.0), kernels.Gaussian(1.0, "fixed")),
            (kernels.Gaussian(1.0), kernels.Gaussian(1.0, (1e-5, 1e4))),
            (kernels.Gaussian([1.0, 2.0]), kernels.Gaussian(np.array([1.0, 2.0, 3.0]))),
            (kernels.Gaussian(1.0), gp.RBF(1.0)),
            (kernels.Gaussian() + 1, kernels.Gaussian() * 1),
            (kernels.Gaussian() ** 2, kernels.Gaussian() ** 3),
            (kernels.Gaussian() + kernels.White(), kernels.Gaussian() + kernels.White(2.0)),
            (Formula("g * (x | y)", g=np.array([1.0])), Formula("g * (x | y)", g=np.array([1.0 + 1e-14]))),
            (Formula("g * (x | y)", g=1.0), Formula("g * (x | y)", g=1.0, h=1.0)),
            (Formula("x * y"), Formula("x + y")),
            (Formula("x * y"), Formula("x * y", ["x = Vi(1)", "y = Vj(1)"])),
            (Formula("g", g=1.0), Formula("g", g=1.0, bounds={"g": "fixed"})),
        ],
        ids=str,
    )
    def test_unequal(self, a, b):
        assert a != b

    @pytest.mark.parametrize(
        ("a", "b"),
        [
            (kernels.Gaussian([1.0, 2.0]), kernels.Gaussian(np.array([1, 2]))),
            (kernels.RBF(1), kernels.Gaussian(np.float64(1.0))),
            (Formula("g * x * y", g=0.5), Formula("g * x * y", g=np.float64(0.5))),
            (Formula("g * (x | y)", g=0.5, h=1.0), Formula("g * (x | y)", h=1.0, g=0.5)),
        ],
        ids=str,
    )
    def test_equal(self, a, b):
        assert a == b

    def test_unhashable(self):
        """They can change: what is equal today may differ tomorrow."""
        for make in MAKERS.values():
            with pytest.raises(TypeError, match="unhashable"):
                hash(make())


class TestNested:
    def test_names(self):
        kernel = 2.0 * kernels.Gaussian(3.0) + kernels.White() ** 2
        assert kernel.get_params()["k1__k2__length_scale"] == 3.0
        assert kernel.get_params()["k2__kernel__noise_level"] == 1.0
        kernel.set_params(k1__k2__length_scale=0.5, k2__exponent=3)
        assert kernel.k1.k2.length_scale == 0.5
        assert repr(kernel) == "Constant(constant_value=2.0) * Gaussian(length_scale=0.5) + White(noise_level=1.0) ** 3"

    @pytest.mark.parametrize("order", [1, -1])
    def test_a_kernel_and_what_is_inside(self, order):
        kernel = kernels.Gaussian() + kernels.White()
        new = {"k1": kernels.Matern(nu=2.5), "k1__length_scale": 7.0}
        kernel.set_params(**dict(list(new.items())[::order]))
        assert kernel.k1 == kernels.Matern(7.0, nu=2.5)

    @pytest.mark.parametrize(
        "kernel",
        [
            kernels.Sum(1.0, kernels.Gaussian()),
            kernels.Product(kernels.Gaussian(), gp.RBF()),
            kernels.Exponentiation(None, 2),
        ],
        ids=["Sum", "Product", "Exponentiation"],
    )
    def test_not_a_kernel(self, kernel):
        for call in (kernel, kernel.diag, lambda X: kernel.bind(1)):
            with pytest.raises(TypeError, match=rf"parameter of {type(kernel).__name__} must be a kernel of skkeops"):
                call(np.ones((2, 1)))

    def test_error_inside(self):
        with pytest.raises(ValueError, match="'length_scale' parameter of Gaussian .* Got -1 instead"):
            (2.0 * kernels.Gaussian(-1) + 1)(np.ones((2, 1)))


BAD_VALUES = [0, 0.0, -1.0, math.nan, math.inf, -math.inf, np.float64(-1)]
BAD_TYPES = [
    "1.0",
    True,
    np.True_,
    None,
    1j,
    {},
    [[1.0, 2.0]],
    np.ones((2, 2)),
    ["a"],
    [True, False],
    [[1.0], [1.0, 2.0]],
]
BAD_BOUNDS = [(1,), (1, 2, 3), "free", 3.0, None, (2, 1), (-1, 1), (0, 0), (math.nan, 1), (1, math.nan), [(1, 2)] * 3]
SCALAR_ONLY = [[1.0, 2.0], np.ones(1)]
POSITIVE = {
    "Gaussian": ["length_scale"],
    "Laplacian": ["length_scale"],
    "Exponential": ["length_scale"],
    "Cauchy": ["length_scale"],
    "InverseMultiquadric": ["length_scale"],
    "Matern": ["length_scale", "nu"],
    "RationalQuadratic": ["length_scale", "alpha"],
    "ExpSineSquared": ["length_scale", "periodicity"],
    "DotProduct": ["sigma_0"],
    "Polynomial": ["gamma", "degree"],
    "Sigmoid": ["gamma"],
    "Chi2": ["gamma"],
    "Constant": ["constant_value"],
    "White": ["noise_level"],
}
VECTORS = {"Gaussian", "Laplacian", "Exponential", "Cauchy", "InverseMultiquadric", "Matern", "RationalQuadratic"}


def refuse(error, message, kernel, n_features=2):
    for call in (kernel, kernel.diag, lambda X: kernel.bind(n_features), lambda X: kernel.formula(n_features)):
        with pytest.raises(error, match=message) as caught:
            call(np.ones((3, n_features)))
        assert str(caught.value).endswith(" instead.")


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner, names in POSITIVE.items() for name in names])
class TestRefused:
    @pytest.mark.parametrize("bad", BAD_VALUES, ids=str)
    def test_values(self, owner, name, bad):
        if name == "nu" and bad == math.inf:
            return
        kernel = getattr(kernels, owner)().set_params(**{name: bad})
        refuse(ValueError, rf"^The '{name}' parameter of {owner} must be a float in the range \(0, inf\)", kernel)
        with pytest.raises(ValueError) as caught:
            kernel.bind(1)
        assert f"Got {bad!r} instead." in str(caught.value)

    @pytest.mark.parametrize("bad", BAD_TYPES, ids=str)
    def test_types(self, owner, name, bad):
        kernel = getattr(kernels, owner)().set_params(**{name: bad})
        refuse(TypeError, rf"^The '{name}' parameter of {owner} must be a float in the range \(0, inf\)", kernel)

    @pytest.mark.parametrize("bad", SCALAR_ONLY, ids=str)
    def test_arrays_of_numbers_that_are_one(self, owner, name, bad):
        if name == "length_scale" and owner in VECTORS or owner == "ExpSineSquared":
            return
        kernel = getattr(kernels, owner)().set_params(**{name: bad})
        refuse(TypeError, rf"^The '{name}' parameter of {owner} must be a float", kernel)


@pytest.mark.parametrize("owner", sorted(VECTORS))
class TestLengthScales:
    @pytest.mark.parametrize("bad", [[1.0, 2.0], [1.0] * 4, ()], ids=str)
    def test_wrong_number(self, owner, bad):
        found = f"Got {len(bad)} values instead." if bad else r"Got \(\) instead."
        refuse(ValueError, rf"^The 'length_scale' parameter of {owner} must .*{found}", getattr(kernels, owner)(bad), 3)

    @pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
    def test_one_of_them(self, owner, bad):
        kernel = getattr(kernels, owner)([1.0, bad])
        refuse(ValueError, rf"^The 'length_scale' parameter of {owner} must .*, or an array of them", kernel)

    @pytest.mark.parametrize("good", [2, 2.0, np.float32(2.0), np.int64(2), [2.0], (2, 2, 2), np.full(3, 2, np.int8)])
    def test_forms_of_the_same(self, owner, good):
        X = np.array([[0.0, 1.0, 2.0], [1.0, 1.0, 5.0]])
        np.testing.assert_array_equal(getattr(kernels, owner)(good)(X), getattr(kernels, owner)(2.0)(X))


class TestOthers:
    @pytest.mark.parametrize("nu", [0.7, 1, 2.0, 1e-9, 21.5, 1e300])
    def test_smoothness(self, nu):
        refuse(
            ValueError,
            r"^The 'nu' parameter of Matern must be 0.5, 1.5, 2.5, ... up to 20.5, or inf",
            kernels.Matern(nu=nu),
        )

    @pytest.mark.parametrize("owner", ["Polynomial", "Sigmoid"])
    def test_coef0_is_any_number(self, owner):
        for good in (0, -3.0, np.float32(0.5)):
            assert getattr(kernels, owner)(coef0=good).bind(1)
        for bad, error in ((math.nan, ValueError), (math.inf, ValueError), ("1", TypeError), (None, TypeError)):
            message = rf"'coef0' parameter of {owner} must be a float in the range \(-inf, inf\)"
            refuse(error, message, getattr(kernels, owner)(coef0=bad))

    @pytest.mark.parametrize("exponent", [math.nan, math.inf])
    def test_exponent(self, exponent):
        refuse(ValueError, "'exponent' parameter of Exponentiation must be", kernels.Gaussian() ** exponent)

    @pytest.mark.parametrize("bounds", BAD_BOUNDS)
    def test_bounds(self, bounds):
        message = "The bounds of 'length_scale' must be 'fixed', or a pair .* Got .* instead"
        with pytest.raises(ValueError, match=message):
            _ = kernels.Gaussian([1.0, 2.0], bounds).bounds

    def test_new_numbers_need_no_new_expressions(self):
        kernel = kernels.Matern(1.0, nu=2.5) * kernels.RationalQuadratic(2.0, 3.0) + 0.5
        other = kernels.Matern(5.0, nu=2.5) * kernels.RationalQuadratic(0.2, 0.3) + 7.0
        a, b = kernel.bind(3), other.bind(3)
        assert a.expression is b.expression
        assert a.log_expression is b.log_expression
        assert a.parameters == b.parameters
        assert list(a.values) == [
            "k1__k1__length_scale", "k1__k2__length_scale", "k1__k2__alpha", "k2__constant_value",
        ]  # fmt: skip
        assert [v.tolist() for v in b.values.values()] == [[5.0], [0.2], [0.3], [7.0]]
        assert [v.position for v in a.variables] == [0, 1, 2, 3, 4, 5]
        assert all(v.dtype == np.float32 for v in a.parameter_arrays(np.float32))
