"""Gradients and directional derivatives of every differentiable reduction, against finite differences."""

import numpy as np
import pytest

from skkeops import Genred
from skkeops.derivatives import winners

M, N = 6, 5
ALIASES = ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)", "s = Vi(1)", "p = Pm(1)", "q = Pm(3)"]
NAMES = ("x", "y", "b", "s", "p", "q")
SCALAR = "p * (x | y) + s * Sin(q | (x - y)) + Elem(b, 0)"
VECTOR = "p * Square(x - y) + q * y * s + Elem(b, 1)"
WEIGHT = "Square(b) * s * s + Square(Elem(x, 0)) + Square(Elem(q, 1)) + 0.5"

CASES = {
    "Sum": {"formula": "Exp(-p * SqDist(x, y)) * b + s * Sin(q | (x - y))"},
    "LogSumExp": {"formula": SCALAR},
    "LogSumExp-weighted": {"formula": SCALAR, "formula2": WEIGHT},
    "LogSumExpWeight": {"formula": SCALAR, "formula2": WEIGHT},
    "SumSoftMaxWeight": {"formula": SCALAR, "formula2": WEIGHT},
    "Max": {"formula": VECTOR},
    "Min": {"formula": VECTOR},
    "Max_ArgMax": {"formula": VECTOR},
    "Min_ArgMin": {"formula": SCALAR},
    "KMin": {"formula": VECTOR, "opt_arg": 3},
    "KMin_ArgKMin": {"formula": SCALAR, "opt_arg": 2},
}


def make(case, axis):
    return Genred(aliases=ALIASES, reduction_op=case.split("-")[0], axis=axis, **CASES[case])


def values_of(result):
    return result[0] if isinstance(result, tuple) else result


@pytest.fixture
def arrays(rng):
    shapes = [(M, 3), (N, 3), (N, 2), (M, 1), (1,), (3,)]
    return tuple(rng.normal(size=shape) for shape in shapes)


def moved(arrays, k, direction, step):
    changed = list(arrays)
    changed[k] = arrays[k] + step * direction
    return changed


def numerical_gradient(f, arrays, k, e, step=1e-6):
    """The gradient of (f * e).sum() by central differences, entry by entry."""
    gradient = np.zeros_like(arrays[k])
    for index in np.ndindex(gradient.shape):
        direction = np.zeros_like(gradient)
        direction[index] = 1
        above, below = (values_of(f(*moved(arrays, k, direction, t))) for t in (step, -step))
        gradient[index] = ((above - below) * e).sum() / (2 * step)
    return gradient


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("case", CASES)
class TestAgainstFiniteDifferences:
    def test_gradient(self, case, axis, backend, arrays, rng):
        f = make(case, axis)
        e = rng.normal(size=values_of(f(*arrays, backend=backend)).shape)
        gradients = f.gradient(*arrays, wrt=NAMES, grad_output=e, backend=backend)
        for k, (name, gradient) in enumerate(zip(NAMES, gradients, strict=True)):
            assert gradient.shape == arrays[k].shape
            expected = numerical_gradient(lambda *a: f(*a, backend="reference"), arrays, k, e)
            np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6, err_msg=name)

    def test_jvp(self, case, axis, backend, arrays, rng):
        f = make(case, axis)
        directions = {name: rng.normal(size=a.shape) for name, a in zip(NAMES, arrays, strict=True)}
        found = f.jvp(*arrays, tangents=directions, backend=backend)
        step = 1e-6
        above, below = (
            values_of(
                f(*[a + t * directions[n] for n, a in zip(NAMES, arrays, strict=True)], backend="reference")
            )
            for t in (step, -step)
        )
        np.testing.assert_allclose(found, (above - below) / (2 * step), rtol=1e-6, atol=1e-6)

    def test_duality(self, case, axis, backend, arrays, rng):
        """<e, J u> = <J' e, u>, to rounding."""
        f = make(case, axis)
        for name, a in zip(NAMES, arrays, strict=True):
            u = rng.normal(size=a.shape)
            forward = f.jvp(*arrays, tangents={name: u}, backend=backend)
            e = rng.normal(size=forward.shape)
            backward = f.gradient(*arrays, wrt=name, grad_output=e, backend=backend)
            assert (e * forward).sum() == pytest.approx((backward * u).sum(), rel=1e-11, abs=1e-11)

    def test_given_output(self, case, axis, backend, arrays, rng):
        """A forward result that is passed in changes nothing but the work."""
        f = make(case, axis)
        output = f(*arrays, backend=backend)
        e = rng.normal(size=values_of(output).shape)
        plain = f.gradient(*arrays, wrt=NAMES, grad_output=e, backend=backend)
        reused = f.gradient(*arrays, wrt=NAMES, grad_output=e, output=output, backend=backend)
        value, shared = f.value_and_gradient(*arrays, wrt=NAMES, grad_output=e, backend=backend)
        np.testing.assert_array_equal(values_of(value), values_of(output))
        for a, b, c in zip(plain, reused, shared, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-12)
            np.testing.assert_array_equal(c, a)
        tangents = {"y": np.ones((N, 3)), "p": np.ones(1)}
        np.testing.assert_allclose(
            f.jvp(*arrays, tangents=tangents, output=output, backend=backend),
            f.jvp(*arrays, tangents=tangents, backend=backend),
            rtol=1e-10,
            atol=1e-12,
        )

    def test_single_precision(self, case, axis, backend, arrays, rng):
        f = make(case, axis)
        single = tuple(a.astype(np.float32) for a in arrays)
        double = tuple(a.astype(np.float64) for a in single)
        gradients = f.gradient(*single, wrt=NAMES, backend=backend)
        for gradient, expected in zip(
            gradients, f.gradient(*double, wrt=NAMES, backend=backend), strict=True
        ):
            assert gradient.dtype == np.float32
            np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0), (1, 4), (4, 1)])
def test_empty_and_short_axes(case, axis, shape, backend, rng):
    m, n = shape
    f = make(case, axis)
    arrays = [rng.normal(size=s) for s in [(m, 3), (n, 3), (n, 2), (m, 1), (1,), (3,)]]
    reduced = n if axis else m
    if reduced < f.reduction.smallest_axis:
        with pytest.raises(ValueError, match=r"K|at least one"):
            f.gradient(*arrays, wrt=NAMES, backend=backend)
        return
    gradients = f.gradient(*arrays, wrt=NAMES, backend=backend)
    assert [g.shape for g in gradients] == [a.shape for a in arrays]
    if 0 in shape:
        assert all((g == 0).all() for g in gradients)
    else:
        assert all(np.isfinite(g).all() for g in gradients)
    tangents = dict(zip(NAMES, arrays, strict=True))
    assert f.jvp(*arrays, tangents=tangents, backend=backend).shape[0] == (m if axis else n)


@pytest.mark.parametrize("axis", [0, 1])
def test_blocks_of_winners(axis, backend, arrays, monkeypatch):
    """However few winning pairs are taken at once, the gradient is the same."""
    f = make("KMin", axis)
    whole = f.gradient(*arrays, wrt=NAMES, backend=backend)
    tangents = dict(zip(NAMES, arrays, strict=True))
    tangent = f.jvp(*arrays, tangents=tangents, backend=backend)
    monkeypatch.setattr(winners, "PAIR_NUMBERS", 50)
    for a, b in zip(f.gradient(*arrays, wrt=NAMES, backend=backend), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(f.jvp(*arrays, tangents=tangents, backend=backend), tangent)


class TestEdges:
    def test_masked_rows(self, backend):
        """-inf entries are masks; a row of them has no gradient."""
        f = Genred("x * y + m", ["x = Vi(1)", "y = Vj(1)", "m = Vi(1)"], "LogSumExp", axis=1)
        x, y = np.ones((3, 1)), np.array([[1.0], [2.0]])
        mask = np.array([[0.0], [-np.inf], [0.0]])
        gx, gy = f.gradient(x, y, mask, wrt=("x", "y"), backend=backend)
        assert gx[1] == 0
        assert (gx[[0, 2]] > 1).all()
        assert np.isfinite(gy).all()

    def test_masked_entries(self, backend):
        f = Genred("x * y + m", ["x = Vi(1)", "y = Vj(1)", "m = Vj(1)"], "LogSumExp", axis=1)
        x, y = np.ones((3, 1)), np.array([[1.0], [2.0], [5.0]])
        mask = np.array([[0.0], [-np.inf], [0.0]])
        keep = [0, 2]
        expected = f.gradient(x, y[keep], mask[keep], wrt="y", backend=backend)
        found = f.gradient(x, y, mask, wrt="y", backend=backend)
        np.testing.assert_allclose(found[keep], expected)
        assert found[1] == 0

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("axis", [0, 1])
    @pytest.mark.parametrize("op", ["LogSumExp", "LogSumExpWeight", "SumSoftMaxWeight"])
    def test_masks_of_every_softmax(self, op, axis, dtype, backend, rng):
        """A masked entry is as if it were not there; a row of them has no gradient, and no NaN."""
        aliases = ["x = Vi(2)", "y = Vj(2)", "m = Vi(1)", "l = Vj(1)"]
        weight = {} if op == "LogSumExp" else {"formula2": "Square(x) * Square(y)"}
        f = Genred("(x | y) + m + l", aliases, op, axis, **weight)
        arrays = [rng.normal(size=s).astype(dtype) for s in [(6, 2), (5, 2), (6, 1), (5, 1)]]
        masked = [*arrays[:2], arrays[2].copy(), arrays[3].copy()]
        masked[2][[1, 4]] = -np.inf
        masked[3][2] = -np.inf
        i, j = np.delete(np.arange(6), [1, 4]), np.delete(np.arange(5), 2)
        short = arrays[0][i], arrays[1][j], arrays[2][i], arrays[3][j]
        names = ("x", "y", "m", "l")
        # the rows of the output that have a value: all others get no gradient, whatever comes from above
        rows = j if axis == 0 else i
        e = rng.normal(size=(5 if axis == 0 else 6, f.output_dim))
        found = f.gradient(*masked, wrt=names, grad_output=e, backend=backend)
        expected = f.gradient(*short, wrt=names, grad_output=e[rows], backend=backend)
        tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-14}
        for a, b, kept in zip(found, expected, (i, j, i, j), strict=True):
            np.testing.assert_allclose(a[kept], b, **tolerance)
            assert not np.delete(a, kept, axis=0).any()
        tangents = dict(zip(names, arrays, strict=True))
        along = f.jvp(*masked, tangents=tangents, backend=backend)
        short_tangents = dict(zip(names, short, strict=True))
        np.testing.assert_allclose(along[rows], f.jvp(*short, tangents=short_tangents, backend=backend), **tolerance)
        assert not np.delete(along, rows, axis=0).any()

    def test_weighted_sum_without_logarithm(self, backend):
        f = Genred("x", ["x = Vi(1)", "y = Vj(1)"], "LogSumExp", axis=1, formula2="y")
        gx = f.gradient(np.ones((2, 1)), np.array([[1.0], [-2.0]]), wrt="x", backend=backend)
        assert np.isnan(gx).all()

    @pytest.mark.parametrize("op", ["LogSumExp", "SumSoftMaxWeight"])
    def test_large_exponents_in_single_precision(self, op, backend, rng):
        """The derivative weights add up to one, however large the exponents are."""
        weight = {"formula2": "y"} if op == "SumSoftMaxWeight" else {}
        f = Genred("x + y", ["x = Vi(1)", "y = Vj(1)"], op, axis=1, **weight)
        x = np.full((3, 1), 1e4, dtype=np.float32)
        y = np.arange(6, dtype=np.float32)[:, None]
        g = f.gradient(x, y, wrt="y", backend=backend)
        exact = f.gradient(x.astype(np.float64), y.astype(np.float64), wrt="y", backend=backend)
        np.testing.assert_allclose(g, exact, rtol=1e-5, atol=1e-6)

    def test_ties_go_to_the_first(self, backend):
        f = Genred("Square(x - y)", ["x = Vi(1)", "y = Vj(1)"], "Min", axis=1)
        g = f.gradient(np.zeros((1, 1)), np.array([[2.0], [1.0], [-1.0]]), wrt="y", backend=backend)
        np.testing.assert_array_equal(g, [[0.0], [2.0], [0.0]])

    def test_no_winner_no_gradient(self, backend):
        f = Genred("x * y", ["x = Vi(1)", "y = Vj(1)"], "Max_ArgMax", axis=1)
        x, y = np.array([[1.0], [np.nan]]), np.array([[2.0], [3.0]])
        gx, gy = f.gradient(x, y, wrt=("x", "y"), backend=backend)
        np.testing.assert_array_equal(gx, [[3.0], [0.0]])
        np.testing.assert_array_equal(gy, [[0.0], [1.0]])

    def test_argument_that_does_not_matter(self, backend):
        f = Genred("Square(x - y)", ["x = Vi(1)", "y = Vj(1)", "z = Vj(2)", "p = Pm(1)"], axis=1)
        arrays = np.ones((3, 1)), np.zeros((4, 1)), np.ones((4, 2)), 2.0
        gz, gp = f.gradient(*arrays, wrt=("z", "p"), backend=backend)
        np.testing.assert_array_equal(gz, np.zeros((4, 2)))
        assert gp == 0
        assert not f.jvp(*arrays, tangents={"z": np.ones((4, 2))}, backend=backend).any()

    @pytest.mark.parametrize("p", [2.0, [2.0], [[2.0]], np.array(2.0)])
    def test_gradient_has_the_shape_of_the_parameter(self, p, backend):
        f = Genred("p * x * y", ["p = Pm(1)", "x = Vi(1)", "y = Vj(1)"], axis=1)
        g = f.gradient(p, np.ones((3, 1)), np.ones((4, 1)), wrt="p", backend=backend)
        assert g.shape == np.shape(p)
        assert g == 12
        assert f.jvp(p, np.ones((3, 1)), np.ones((4, 1)), tangents={"p": p}, backend=backend)[0] == 8

    @pytest.mark.parametrize("axis", [0, 1])
    def test_no_variable_along_an_axis(self, axis, backend):
        """Without a j-variable there is one j, and the same for i."""
        f = Genred("Square(x)", ["x = Vi(2)"], axis=axis)
        g = f.gradient(np.ones((3, 2)), wrt="x", backend=backend)
        np.testing.assert_array_equal(g, np.full((3, 2), 2.0))

    def test_default_direction_is_ones(self, backend):
        f = Genred("Square(x - y)", ["x = Vi(1)", "y = Vj(1)"], axis=1)
        arrays = np.ones((3, 1)), np.zeros((4, 1))
        plain = f.gradient(*arrays, wrt="x", backend=backend)
        np.testing.assert_array_equal(
            plain, f.gradient(*arrays, wrt="x", grad_output=np.ones((3, 1)), backend=backend)
        )

    def test_single_name_or_sequence(self, backend):
        f = Genred("Square(x - y)", ["x = Vi(1)", "y = Vj(1)"], axis=1)
        arrays = np.ones((3, 1)), np.zeros((4, 1))
        single = f.gradient(*arrays, wrt="x", backend=backend)
        (several,) = f.gradient(*arrays, wrt=["x"], backend=backend)
        np.testing.assert_array_equal(single, several)
        assert f.gradient(*arrays, wrt=(), backend=backend) == ()
        np.testing.assert_array_equal(single, f.gradient(*arrays, wrt=f.variables[0], backend=backend))

    def test_anonymous_variable(self, backend):
        f = Genred("Square(Var(0,1,0) - y)", ["Vi(1)", "y = Vj(1)"], axis=1)
        assert f.names == ("Var(0,1,0)", "y")
        g = f.gradient(np.ones((3, 1)), np.zeros((4, 1)), wrt="Var(0, 1, 0)", backend=backend)
        np.testing.assert_array_equal(g, np.full((3, 1), 8.0))

    def test_agrees_with_grad_in_the_formula(self, backend, arrays, rng):
        """The adjoint of a Sum is the Sum of the formula's own Grad: by hand, and so to second order."""
        f = Genred("Exp(-SqDist(x, y)) * s", ["x = Vi(3)", "y = Vj(3)", "s = Vi(1)"], axis=1)
        by_hand = "Grad(Exp(-SqDist(x, y)) * s, x, e)"
        g = Genred(by_hand, ["x = Vi(3)", "y = Vj(3)", "s = Vi(1)", "e = Vi(1)"], axis=1)
        x, y, _, s = arrays[:4]
        e = rng.normal(size=(M, 1))
        np.testing.assert_allclose(
            f.gradient(x, y, s, wrt="x", grad_output=e, backend=backend), g(x, y, s, e, backend=backend)
        )
        u = rng.normal(size=x.shape)
        second = g.jvp(x, y, s, e, tangents={"x": u}, backend=backend)
        step = 1e-6
        above, below = (
            f.gradient(x + t * u, y, s, wrt="x", grad_output=e, backend=backend) for t in (step, -step)
        )
        np.testing.assert_allclose(second, (above - below) / (2 * step), rtol=1e-6, atol=1e-6)

    def test_arrays_are_left_alone(self, backend, arrays):
        before = [a.copy() for a in arrays]
        for a in arrays:
            a.setflags(write=False)
        for case in ("LogSumExp", "KMin"):
            make(case, 1).gradient(*arrays, wrt=NAMES, backend=backend)
        for a, b in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin", "ArgKMin", "Max_SumShiftExp", "Max_SumShiftExpWeight"])
def test_no_gradient(op):
    options = {"opt_arg": 1} if op == "ArgKMin" else {}
    options |= {"formula2": "x"} if op.endswith("Weight") else {}
    f = Genred("x * y", ["x = Vi(1)", "y = Vj(1)"], op, axis=1, **options)
    x, y = np.ones((2, 1)), np.ones((3, 1))
    for call in (
        lambda: f.gradient(x, y, wrt="x"),
        lambda: f.value_and_gradient(x, y, wrt="x"),
        lambda: f.jvp(x, y, tangents={"x": x}),
    ):
        with pytest.raises(ValueError, match=f"reduction_op='{op}' has no gradient"):
            call()
