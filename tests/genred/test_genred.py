"""Genred: shapes, dtypes and values of every reduction, over either axis."""

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from skkeops import Genred, generic_argkmin, generic_argmin, generic_logsumexp, generic_sum

M, N = 7, 5
ALIASES = ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)", "p = Pm(1)"]
SCALAR = "-p * SqDist(x, y)"
VECTOR = "p * (x - y)"


@pytest.fixture
def arrays(rng):
    return rng.normal(size=(M, 3)), rng.normal(size=(N, 3)), rng.uniform(size=(N, 2)), np.array([0.7])


def dense_scalar(x, y, b, p):
    return -p[0] * ((x[:, None] - y[None]) ** 2).sum(axis=2, keepdims=True)


def dense_vector(x, y, b, p):
    return p[0] * (x[:, None] - y[None])


def dense_weight(x, y, b, p):
    return np.broadcast_to(b[None], (M, N, 2))


def softmax_average(f, g, axis):
    return (softmax(f, axis=axis) * g).sum(axis=axis)


def k_smallest(values, k, axis):
    """(values, indices) along an axis, which then comes second."""
    values = np.moveaxis(values, axis, 1)
    order = values.argsort(axis=1, kind="stable")[:, :k]
    smallest = np.take_along_axis(values, order, axis=1)
    return tuple(a[:, :, 0] if a.shape[2] == 1 else a for a in (smallest, order))


# name -> (formula, options, expected from (scalar, vector, weight, axis))
CASES = {
    "Sum": (VECTOR, {}, lambda f, v, g, axis: v.sum(axis=axis)),
    "LogSumExp": (SCALAR, {}, lambda f, v, g, axis: logsumexp(f, axis=axis)),
    "SumSoftMaxWeight": (SCALAR, {"formula2": "b"}, lambda f, v, g, axis: softmax_average(f, g, axis)),
    "SoftMax": (SCALAR, {"formula2": "b"}, lambda f, v, g, axis: softmax_average(f, g, axis)),
    "LogSumExpWeight": (SCALAR, {"formula2": "b"}, lambda f, v, g, axis: logsumexp(f, b=g, axis=axis)),
    "Max": (VECTOR, {}, lambda f, v, g, axis: v.max(axis=axis)),
    "Min": (VECTOR, {}, lambda f, v, g, axis: v.min(axis=axis)),
    "ArgMax": (VECTOR, {}, lambda f, v, g, axis: v.argmax(axis=axis)),
    "ArgMin": (VECTOR, {}, lambda f, v, g, axis: v.argmin(axis=axis)),
    "Max_ArgMax": (VECTOR, {}, lambda f, v, g, axis: (v.max(axis=axis), v.argmax(axis=axis))),
    "Min_ArgMin": (VECTOR, {}, lambda f, v, g, axis: (v.min(axis=axis), v.argmin(axis=axis))),
    "KMin": (VECTOR, {"opt_arg": 3}, lambda f, v, g, axis: k_smallest(v, 3, axis)[0]),
    "ArgKMin": (SCALAR, {"opt_arg": 4}, lambda f, v, g, axis: k_smallest(f, 4, axis)[1]),
    "KMin_ArgKMin": (SCALAR, {"opt_arg": 2}, lambda f, v, g, axis: k_smallest(f, 2, axis)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", CASES)
def test_against_numpy(op, axis, dtype, backend, arrays):
    formula, options, expected = CASES[op]
    arrays = tuple(a.astype(dtype) for a in arrays)
    exact = tuple(a.astype(np.float64) for a in arrays)
    dense = dense_scalar(*exact), dense_vector(*exact), dense_weight(*exact)
    found = Genred(formula, ALIASES, op, axis, **options)(*arrays, backend=backend)
    expected = expected(*dense, axis)
    assert isinstance(found, tuple) == isinstance(expected, tuple)
    if not isinstance(found, tuple):
        found, expected = (found,), (expected,)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == (np.int64 if b.dtype.kind == "i" else dtype)
        assert a.flags.c_contiguous
        np.testing.assert_allclose(a, b, rtol=1e-5 if dtype == np.float32 else 1e-12, strict=False)
        assert a.shape == b.shape


@pytest.mark.parametrize("axis", [0, 1])
def test_raw_states(axis, backend, arrays):
    f, g = dense_scalar(*arrays), dense_weight(*arrays)
    m = f.max(axis=axis)
    weights = np.exp(f - np.expand_dims(m, axis))
    found = Genred(SCALAR, ALIASES, "Max_SumShiftExp", axis)(*arrays, backend=backend)
    np.testing.assert_allclose(found, np.concatenate([m, weights.sum(axis=axis)], axis=1))
    found = Genred(SCALAR, ALIASES, "Max_SumShiftExpWeight", axis, formula2="b")(*arrays, backend=backend)
    np.testing.assert_allclose(found, np.concatenate([m, (weights * g).sum(axis=axis)], axis=1))


def test_weighted_logsumexp_has_two_names(backend, arrays):
    by_formula2 = Genred(SCALAR, ALIASES, "LogSumExp", 1, formula2="b")
    by_name = Genred(SCALAR, ALIASES, "LogSumExpWeight", 1, formula2="b")
    np.testing.assert_array_equal(by_formula2(*arrays, backend=backend), by_name(*arrays, backend=backend))
    assert by_formula2 == by_name


def test_default_axis_is_zero(backend, arrays):
    assert Genred(SCALAR, ALIASES)(*arrays, backend=backend).shape == (N, 1)


def test_auto_is_the_cpu(arrays):
    f = Genred(SCALAR, ALIASES)
    np.testing.assert_array_equal(f(*arrays), f(*arrays, backend="CPU"))


@pytest.mark.parametrize("op", ["Sum", "LogSumExp", "Max", "Min", "SumSoftMaxWeight"])
@pytest.mark.parametrize("axis", [0, 1])
def test_empty_axis(op, axis, backend):
    formula2 = "x" if op == "SumSoftMaxWeight" else None
    f = Genred("x * y", ["x = Vi(1)", "y = Vj(1)"], op, axis, formula2=formula2)
    some, none = np.ones((3, 1)), np.ones((0, 1))
    reduced_is_empty = f(*((some, none) if axis else (none, some)), backend=backend)
    expected = {"Sum": 0, "LogSumExp": -np.inf, "Max": -np.inf, "Min": np.inf, "SumSoftMaxWeight": np.nan}[op]
    np.testing.assert_array_equal(reduced_is_empty, np.full((3, 1), expected))
    assert f(*((none, some) if axis else (some, none)), backend=backend).shape == (0, 1)
    assert f(none, none, backend=backend).shape == (0, 1)


def test_empty_output_of_every_reduction(backend):
    for op, (formula, options, _) in CASES.items():
        arrays = np.ones((0, 3)), np.ones((N, 3)), np.ones((N, 2)), 1.0
        found = Genred(formula, ALIASES, op, 1, **options)(*arrays, backend=backend)
        for a in found if isinstance(found, tuple) else (found,):
            assert a.shape[0] == 0


class TestInfinitiesAndNaN:
    """Rows of ``x + y`` with y holding the values in question."""

    def call(self, op, values, backend, dtype=np.float64, **options):
        f = Genred("x + y", ["x = Vi(1)", "y = Vj(1)"], op, axis=1, **options)
        y = np.array(values, dtype=dtype)[:, None]
        return f(np.zeros((2, 1), dtype=dtype), y, backend=backend)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([-np.inf] * 3, -np.inf),
            ([-np.inf, 0.0, -np.inf], 0.0),
            ([0.0, np.inf, -np.inf], np.inf),
            ([0.0, np.nan], np.nan),
            ([np.nan, np.inf], np.nan),
            ([-np.inf, np.nan], np.nan),
            ([-np.inf] * 40 + [1.0] + [-np.inf] * 40, 1.0),
        ],
    )
    def test_logsumexp(self, values, expected, dtype, backend):
        found = self.call("LogSumExp", values, backend, dtype)
        np.testing.assert_array_equal(found, np.full((2, 1), expected, dtype=dtype))

    @pytest.mark.parametrize(
        ("op", "values", "value", "index"),
        [
            ("Min_ArgMin", [np.nan, 2.0, 1.0, 1.0], 1.0, 2),
            ("Max_ArgMax", [np.nan, 2.0, np.nan, 2.0], 2.0, 1),
            ("Min_ArgMin", [np.nan, np.nan], np.inf, -1),
            ("Max_ArgMax", [np.nan, np.nan], -np.inf, -1),
            ("Max_ArgMax", [1.0, np.inf], np.inf, 1),
            ("Min_ArgMin", [1.0, -np.inf, -np.inf], -np.inf, 1),
            ("Min_ArgMin", [np.nan, np.inf], np.inf, -1),
        ],
    )
    def test_extrema(self, op, values, value, index, backend):
        found = self.call(op, values, backend)
        np.testing.assert_array_equal(found[0], np.full((2, 1), value))
        np.testing.assert_array_equal(found[1], np.full((2, 1), index))

    def test_kmin(self, backend):
        value, index = self.call("KMin_ArgKMin", [np.nan, 3.0, np.inf, 1.0], backend, opt_arg=3)
        np.testing.assert_array_equal(value, [[1.0, 3.0, np.inf]] * 2)
        np.testing.assert_array_equal(index, [[3, 1, -1]] * 2)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_kmin_has_no_index_of_what_did_not_win(self, dtype, backend, rng):
        """+inf and NaN share the last places, which nothing won; before them it is a stable sort."""
        values = rng.choice([-np.inf, 0.0, 1.0, np.inf, np.nan], size=40, p=[0.02, 0.05, 0.03, 0.5, 0.4])
        order = np.where(np.isnan(values), np.inf, values).argsort(kind="stable")[:20]
        expected = np.where(values[order] < np.inf, order, -1)
        found = self.call("ArgKMin", values, backend, dtype, opt_arg=20)
        np.testing.assert_array_equal(found, [expected] * 2)

    def test_sum_that_overflows_single_precision(self, backend, recwarn):
        found = self.call("Sum", [3e38, 3e38], backend, np.float32)
        np.testing.assert_array_equal(found, np.full((2, 1), np.inf))
        assert not recwarn.list

    def test_nothing_is_printed(self, backend, capfd, recwarn):
        for values in ([-np.inf, -np.inf], [np.nan], [np.inf, 1.0], [1e300]):
            for op in ("Sum", "LogSumExp", "Max"):
                self.call(op, values, backend)
        assert capfd.readouterr() == ("", "")
        assert not recwarn.list


class TestMissingVariables:
    """An axis without variables has one value; a formula may have no variables at all."""

    @pytest.mark.parametrize(("op", "expected"), [("Sum", 3.0), ("LogSumExp", 3.0), ("Min", 3.0)])
    def test_none(self, op, expected, backend):
        found = Genred("IntCst(3)", [], op)(backend=backend)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, [[expected]])

    def test_parameter_alone(self, backend):
        np.testing.assert_array_equal(Genred("Square(p)", ["p = Pm(1)"])(3, backend=backend), [[9.0]])

    def test_one_axis(self, backend):
        x = np.arange(4.0)[:, None]
        for kind, reduced in (("Vi", 0), ("Vj", 1)):
            alias = [f"x = {kind}(1)"]
            np.testing.assert_array_equal(Genred("Square(x)", alias, "Sum", reduced)(x, backend=backend), [[14.0]])
            np.testing.assert_array_equal(Genred("Square(x)", alias, "Sum", 1 - reduced)(x, backend=backend), x**2)

    def test_variable_that_only_counts(self, backend):
        """It is not in the formula, but it has rows."""
        f = Genred("Square(y)", ["x = Vi(3)", "y = Vj(1)"], axis=1)
        found = f(np.ones((4, 3)), np.array([[1.0], [2.0]]), backend=backend)
        np.testing.assert_array_equal(found, np.full((4, 1), 5.0))


def test_ties_keep_the_first(backend):
    f = Genred("x * y", ["x = Vi(1)", "y = Vj(1)"], "ArgKMin", axis=1, opt_arg=3)
    np.testing.assert_array_equal(f(np.zeros((2, 1)), np.ones((200, 1)), backend=backend), [[0, 1, 2]] * 2)
    f = Genred("x * y", ["x = Vi(1)", "y = Vj(1)"], "ArgMax", axis=1)
    assert not f(np.zeros((2, 1)), np.ones((200, 1)), backend=backend).any()


@pytest.mark.parametrize("axis", [0, 1])
def test_rows_do_not_depend_on_each_other(axis, backend, rng):
    """A row has the same bits whichever other rows are asked for."""
    f = Genred("Exp(-SqDist(x, y))", ["x = Vi(3)", "y = Vj(3)"], "Sum", axis)
    x, y = (rng.normal(size=(n, 3)).astype(np.float32) for n in (40, 300))
    arrays = (x, y) if axis else (y, x)
    whole = f(*arrays, backend=backend)
    part = f(*((x[7:8], y) if axis else (y, x[7:8])), backend=backend)
    np.testing.assert_array_equal(whole[7:8], part)


class TestArrays:
    """Any array of numbers is welcome; only the dtype decides what is computed."""

    F = Genred("p * SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)", "p = Pm(1)"], axis=1)
    X = np.arange(8.0).reshape(4, 2)
    Y = np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 3.0]])

    @pytest.fixture
    def expected(self):
        return 2 * ((self.X[:, None] - self.Y[None]) ** 2).sum(axis=(1, 2), keepdims=False)[:, None]

    def variants(self, tmp_path):
        x = self.X
        yield "fortran", np.asfortranarray(x)
        yield "strided", np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3]
        yield "backwards", x[::-1].copy()[::-1]
        yield "big-endian", x.astype(">f8")
        read_only = x.copy()
        read_only.setflags(write=False)
        yield "read-only", read_only
        mapped = np.memmap(tmp_path / "x", dtype=np.float64, mode="w+", shape=x.shape)
        mapped[:] = x
        mapped.flush()
        yield "memmap", np.memmap(tmp_path / "x", dtype=np.float64, mode="r", shape=x.shape)
        yield "integers", x.astype(np.int32)
        yield "unsigned", x.astype(np.uint8)
        yield "lists", x.tolist()
        unaligned = np.zeros(x.nbytes + 1, dtype=np.uint8)[1:].view(np.float64).reshape(x.shape)
        unaligned[:] = x
        yield "unaligned", unaligned
        record = np.zeros(4, dtype=[("tag", "i1"), ("x", "f8", 2)])
        record["x"] = x
        yield "record field", record["x"]
        yield "broadcast", np.broadcast_to(x[:, None], (4, 1, 2))[:, 0]
        yield "subclass", x.view(np.matrix)

    def test_layouts(self, backend, tmp_path, expected):
        for name, x in self.variants(tmp_path):
            found = self.F(x, self.Y, 2.0, backend=backend)
            assert found.dtype == np.float64, name
            np.testing.assert_allclose(found, expected, err_msg=name)

    def test_broadcast_j(self, backend):
        y = np.broadcast_to(self.Y[:1], (1000, 2))
        found = self.F(self.X, y, 1.0, backend=backend)
        np.testing.assert_allclose(found, 1000 * self.F(self.X, self.Y[:1], 1.0, backend=backend))

    @pytest.mark.parametrize("p", [2.0, 2, np.float64(2), np.array(2.0), [2.0], (2,), np.array([[2.0]])])
    def test_parameters(self, p, backend, expected):
        np.testing.assert_allclose(self.F(self.X, self.Y, p, backend=backend), expected)

    @pytest.mark.parametrize(
        ("x", "y", "p", "expected"),
        [
            ("f4", "f4", 2.0, "f4"),
            ("f4", "f4", [2.0], "f4"),
            ("f4", "f8", 2.0, "f8"),
            ("f4", "f4", np.float64(2), "f8"),
            ("f4", "i8", 2, "f4"),
            ("f2", "f2", 2.0, "f4"),
            ("f2", "f8", 2.0, "f8"),
            ("i4", "i4", 2, "f8"),
            ("i4", "?", 2.0, "f8"),
            (">f4", "f4", 2.0, "f4"),
            ("f4", "f4", np.float32(2), "f4"),
            ("f4", "f4", np.int64(2), "f4"),
        ],
    )
    def test_promotion(self, x, y, p, expected, backend):
        found = self.F(self.X.astype(x), self.Y.astype(y), p, backend=backend)
        assert found.dtype == np.dtype(expected)

    def test_mixed_precision_values(self, backend, expected):
        found = self.F(self.X.astype(np.float32), self.Y, 2, backend=backend)
        np.testing.assert_allclose(found, expected)


class TestGenericFunctions:
    def test_sum(self, arrays, backend):
        i = generic_sum(SCALAR, "a = Vi(1)", *ALIASES)
        j = generic_sum(VECTOR, "a = Vj(3)", *ALIASES)
        assert i == Genred(SCALAR, ALIASES, "Sum", axis=1)
        assert j == Genred(VECTOR, ALIASES, "Sum", axis=0)
        assert j(*arrays, backend=backend).shape == (N, 3)

    def test_others(self):
        assert generic_logsumexp(SCALAR, "a = Vi(1)", *ALIASES) == Genred(SCALAR, ALIASES, "LogSumExp", 1)
        weighted = generic_logsumexp(SCALAR, "a = Vi(2)", *ALIASES, formula2="b")
        assert weighted == Genred(SCALAR, ALIASES, "LogSumExp", 1, formula2="b")
        assert generic_argmin(SCALAR, "a = Vj(1)", *ALIASES) == Genred(SCALAR, ALIASES, "ArgMin", 0)
        assert generic_argkmin(SCALAR, "a = Vi(4)", *ALIASES) == Genred(
            SCALAR, ALIASES, "ArgKMin", 1, opt_arg=4
        )

    @pytest.mark.parametrize(
        ("output", "error", "message"),
        [
            ("a = Pm(1)", ValueError, "output must be indexed by i .* or by j"),
            ("a = Vi(2)", ValueError, "declares dimension 2, but the formula has dimension 1"),
            ("a = Vz(2)", ValueError, "Vz"),
            (3, TypeError, "output must be a string"),
        ],
    )
    def test_bad_output(self, output, error, message):
        with pytest.raises(error, match=message):
            generic_sum(SCALAR, output, *ALIASES)
