"""Numbers that are hard: infinities, NaN, ties, masks, exponents that rise, points far away; and the accumulators."""

import warnings

import numpy as np
import pytest
from scipy.special import logsumexp

from skkeops import Genred
from skkeops.backends import reference
from skkeops.backends.cuda import Options, source
from skkeops.backends.cuda.source import points_source
from skkeops.formula import Variable
from skkeops.formula.operations import lookup
from skkeops.plan.plan import make_plan

from . import emulator, running
from .test_emulation import as_tuple

pytestmark = pytest.mark.skipif(not emulator.available(), reason="the emulator needs g++ on x86-64")

INF, NAN = np.inf, np.nan
GIVEN = ["x = Vi(1)", "y = Vj(1)"]  # the formula x + y with x = 0: rows of given values
REDUCTIONS = [
    Genred("x + y", GIVEN, "LogSumExp", axis=1),
    Genred("x + y", [*GIVEN, "w = Vj(2)"], "LogSumExp", axis=1, formula2="w"),
    Genred("x + y", [*GIVEN, "w = Vj(2)"], "SumSoftMaxWeight", axis=1, formula2="w"),
    Genred("x + y", GIVEN, "Max_SumShiftExp", axis=1),
    Genred("x + y", GIVEN, "Max_ArgMax", axis=1),
    Genred("x + y", GIVEN, "Min_ArgMin", axis=1),
    Genred("x + y", GIVEN, "KMin_ArgKMin", axis=1, opt_arg=4),
    Genred("x + y", GIVEN, "KMin_ArgKMin", axis=1, opt_arg=18),
    Genred("x + y", GIVEN, "Sum", axis=1),
]


def columns(n=50):
    """Columns of values by name."""
    k = np.arange(n, dtype=float)
    rng = np.random.default_rng(0)
    spread = rng.uniform(-1e4, 1e4, n)
    masks = np.where(k % 3 == 0, -INF, rng.standard_normal(n))
    return {
        "all -inf": np.full(n, -INF),
        "all +inf": np.full(n, INF),
        "all NaN": np.full(n, NAN),
        "masks": masks,
        "masks first": np.where(k < 40, -INF, k),
        "one +inf": np.where(k == 21, INF, k % 50),
        "+inf at the end": np.where(k == n - 1, INF, k % 50),
        "one NaN": np.where(k == 21, NAN, k),
        "NaN at the end": np.where(k == n - 1, NAN, k),
        "rising": 50 * k,
        "falling": -50 * k,
        "slowly rising": 0.9 * k,
        "wide": spread,
        "equal and low": np.full(n, -5e4),
        "ties": np.floor(k / 7) % 3,
        "zeros of both signs": np.where(k % 2 == 0, 0.0, -0.0),
        "infinities of both signs": np.where(k % 2 == 0, INF, -INF),
    }


MANY = [*GIVEN, "w = Vj(50)"]  # columns that make it a product of matrices
MATRIX = [
    Genred("x + y", MANY, "LogSumExp", axis=1, formula2="w"),
    Genred("x + y", MANY, "SumSoftMaxWeight", axis=1, formula2="w"),
    Genred("x + y", MANY, "Max_SumShiftExpWeight", axis=1, formula2="w"),
    Genred("(x + y) * w", MANY, "Sum", axis=1),
]


@pytest.fixture(scope="module")
def built():
    return running.build([g._problem for g in REDUCTIONS], ["float32", "float64"])


@pytest.fixture(scope="module")
def matrices():
    return running.build([g._problem for g in MATRIX], ["float32", "float64"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [50, 1100])  # one split, and two
def test_special_values(built, dtype, n):
    for k, genred in enumerate(REDUCTIONS):
        problem = genred._problem
        made, module = built[k, dtype]
        for name, values in columns(n).items():
            weights = np.stack([np.cos(np.arange(n)), np.ones(n)], axis=1)
            arrays = (np.zeros((3, 1)), values[:, None], weights)[: len(problem.variables)]
            arrays = tuple(a.astype(dtype) for a in arrays)
            found = running.run(made, module, problem, arrays, "result")
            state = reference.prepare(problem).state(tuple(a.astype(float) for a in arrays))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                truth = as_tuple(problem.reduction.finalize(state, np.dtype(dtype)))
            for a, b in zip(found, truth, strict=True):
                # the exponents in base 2 are rounded once
                size = np.abs(values[np.isfinite(values)]).max(initial=0)
                tolerance = 2e-6 + 6e-8 * size if dtype == "float32" else 1e-13
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=f"{genred} of {name}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [50, 300])
def test_special_values_of_many_columns(matrices, dtype, n):
    rng = np.random.default_rng(2)
    weights = np.concatenate([np.ones((n, 1)), np.zeros((n, 1)), rng.uniform(0.1, 1.0, (n, 48))], axis=1)
    for k, genred in enumerate(MATRIX):
        made, module = matrices[k, dtype]
        assert made.template == "matrix"
        for name, values in columns(n).items():
            # a row of zeros beside, which nothing may spoil
            arrays = tuple(a.astype(dtype) for a in (np.zeros((3, 1)), values[:, None], weights))
            found = running.run(made, module, genred._problem, arrays, "result")
            state = reference.prepare(genred._problem).state(tuple(a.astype(float) for a in arrays))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                truth = as_tuple(genred.reduction.finalize(state, np.dtype(dtype)))
            for a, b in zip(found, truth, strict=True):
                size = np.abs(values[np.isfinite(values)]).max(initial=0)
                tolerance = 2e-6 + 6e-8 * size if dtype == "float32" else 1e-13
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, size), err_msg=f"{genred} of {name}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_more_numbers_of_a_column_than_fit_in_shared_memory(dtype):
    formula = " * ".join(f"Exp((x | Cos({k} * y)) / 900)" for k in range(1, 11))
    genred = Genred(formula, ["x = Vi(90)", "y = Vj(90)"], axis=1)
    ((made, module),) = running.build([genred._problem], [dtype]).values()
    assert made.template == "wide" and (dtype == "float64" or "shared memory" in made.declined["Rows"])
    rng = np.random.default_rng(3)
    x, y = (rng.standard_normal((n, 90)).astype(dtype) for n in (5, 37))
    (found,) = running.run(made, module, genred._problem, (x, y), "result")
    exponents = x.astype(float) @ sum(np.cos(k * y.astype(float)) for k in range(1, 11)).T / 900
    np.testing.assert_allclose(found, np.exp(exponents).sum(axis=1, keepdims=True), rtol=1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_of_zero_where_the_exponent_is_largest(built, dtype):
    made, module = built[1, dtype]
    y = np.array([[3.0], [2.0], [1.0]])
    w = np.array([[0.0, 1.0], [2.0, 1.0], [-1.0, -1.0]])
    arrays = tuple(a.astype(dtype) for a in (np.zeros((1, 1)), y, w))
    (found,) = running.run(made, module, REDUCTIONS[1]._problem, arrays, "result")
    np.testing.assert_allclose(found, np.log((np.exp(y) * w).sum(axis=0))[None], rtol=1e-6)


def test_the_raw_state_has_the_largest_exponent(built):
    k = 3
    made, module = built[k, "float32"]
    y = np.random.default_rng(5).standard_normal((700, 1)).astype("float32")
    m, s = running.run(made, module, REDUCTIONS[k]._problem, (np.zeros((1, 1), "float32"), y), "state")
    assert m == y.max()
    np.testing.assert_allclose(s[0], np.exp(y.astype(float) - y.max()).sum(axis=0), rtol=1e-6)


def test_the_state_of_a_log_sum_exp_has_no_exponent_above_it(built):
    made, module = built[0, "float32"]
    y = (7 * np.random.default_rng(5).standard_normal((700, 1))).astype("float32")
    m, s = running.run(made, module, REDUCTIONS[0]._problem, (np.zeros((1, 1), "float32"), y), "state")
    assert m >= y.max() - 1e-5 and abs(s - 1) < 1e-12


ACCUMULATORS = {"block": 3e-7, "float64": 1e-7, "kahan": 1e-7}


@pytest.mark.parametrize("accumulator", list(ACCUMULATORS))
def test_accumulators_on_constant_data(accumulator):
    genreds = [Genred("x * y", GIVEN, axis=1), Genred("x * y", GIVEN, "LogSumExp", axis=1)]
    built = running.build([g._problem for g in genreds], ["float32", "float64"], Options(accumulator))
    for dtype in ("float32", "float64"):
        worst = 0.0
        for value in (0.1, 1 / 3, 0.7, 1.1):
            x, y = np.ones((2, 1), dtype), np.full((20000, 1), value, dtype)
            # the factor x is taken out of the sum: what is summed is y
            (found,) = running.run(*built[0, dtype], genreds[0]._problem, (x, y), "state")
            worst = max(worst, np.abs(found / (20000 * float(y[0, 0])) - 1).max())
        assert worst <= (ACCUMULATORS[accumulator] if dtype == "float32" else 1e-13)
        (found,) = running.run(*built[1, dtype], genreds[1]._problem, (x, y), "result")
        np.testing.assert_allclose(found, y[0, 0] + np.log(20000), rtol=3e-7 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constants_in_many_columns(matrices, dtype):
    n, values = 20000, np.linspace(0.1, 1.9, 50)
    x, y, w = (a.astype(dtype) for a in (np.ones((2, 1)), np.zeros((n, 1)), np.broadcast_to(values, (n, 50))))
    (sums,) = running.run(*matrices[3, dtype], MATRIX[3]._problem, (x, y, w), "state")
    (means,) = running.run(*matrices[1, dtype], MATRIX[1]._problem, (x, y, w), "result")
    bound = 3e-7 if dtype == "float32" else 1e-13
    assert np.abs(sums / (n * w[0].astype(float)) - 1).max() <= bound
    assert np.abs(means / w[0].astype(float) - 1).max() <= bound


@pytest.mark.parametrize("options", [Options("kahan"), Options("float64")])
def test_other_accumulators_are_for_the_wide_template(options):
    assert source(make_plan(MATRIX[3]._problem), "float32", options).template == "wide"


def test_kahan_keeps_infinities():
    genred = Genred("Exp(x * y)", GIVEN, axis=1)
    ((made, module),) = running.build([genred._problem], ["float32"], Options("kahan")).values()
    y = np.full((40, 1), 1e3, "float32")
    (found,) = running.run(made, module, genred._problem, (np.array([[1.0], [-1.0]], "float32"), y), "result")
    np.testing.assert_array_equal(found, [[INF], [0.0]])


def test_a_gaussian_far_from_the_origin():
    genred = Genred("Exp(-SqDist(x, y)) * b", ["x = Vi(2)", "y = Vj(2)", "b = Vj(1)"], axis=1)
    rng = np.random.default_rng(0)
    x, y = (1e3 + rng.standard_normal((n, 2)) for n in (50, 300))
    arrays = tuple(a.astype("float32") for a in (x, y, rng.uniform(size=(300, 1))))
    (truth,) = reference.prepare(genred._problem).state(tuple(a.astype(float) for a in arrays))
    for fast_math in (True, False):
        made = source(make_plan(genred._problem), "float32", Options(fast_math=fast_math))
        (module,) = emulator.compile_sources([made.text])
        (found,) = running.run(made, module, genred._problem, arrays, "result")
        assert np.abs(found - truth).max() <= 1e-6 * truth.max()


@pytest.mark.parametrize("scales", [1, 2])
@pytest.mark.parametrize("wrt", [None, "x", "y", "s"])
def test_lengths_far_from_the_origin(scales, wrt):
    """Metres of the order of 5 000 000, with a length of ten, as the kernels write it."""
    squared = "Square(Inv(s))*SqDist(x,y)" if scales == 1 else "SqNorm2((x-y)*Inv(s))"
    aliases = ["x = Vi(2)", "y = Vj(2)", f"s = Pm({scales})", "e = Vi(1)"]
    formula = f"Exp(-{squared}/2)*e"
    genred = Genred(formula if wrt is None else f"Grad({formula},{wrt},1)", aliases, axis=1)
    rng = np.random.default_rng(0)
    x, y = (5_819_000 + 10 * rng.standard_normal((n, 2)) for n in (50, 300))
    s = np.linspace(9, 12, scales)
    arrays = tuple(a.astype("float32") for a in (x, y, s, rng.uniform(size=(50, 1))))
    x, y, s, e = (a.astype(float) for a in arrays)
    d = x[:, None] - y
    k = np.exp(-((d / s) ** 2).sum(-1, keepdims=True) / 2) * e[:, None]
    by_s = d**2 / s**3
    terms = {None: k, "x": -k * d / s**2, "y": k * d / s**2, "s": k * (by_s if scales > 1 else by_s.sum(-1, keepdims=True))}
    truth, size = terms[wrt].sum(axis=1), np.abs(terms[wrt]).sum(axis=1).max()
    for fast_math in (True, False):
        made = source(make_plan(genred._problem), "float32", Options(fast_math=fast_math))
        (module,) = emulator.compile_sources([made.text])
        (found,) = running.run(made, module, genred._problem, arrays, "result")
        assert np.abs(found - truth).max() <= 2e-6 * size


def test_a_mask_of_infinite_coordinates():
    """A point at infinity weighs nothing, even where it is the first, which the others are shifted by."""
    genred = Genred("Exp(-SqDist(x, y))", ["x = Vi(1)", "y = Vj(1)"], axis=1)
    made = source(make_plan(genred._problem), "float32")
    (module,) = emulator.compile_sources([made.text])
    arrays = np.zeros((1, 1), "float32"), np.array([[INF], [1.0]], "float32")
    (found,) = running.run(made, module, genred._problem, arrays, "result")
    np.testing.assert_allclose(found, np.exp(-1.0), rtol=1e-6)


G, S = "g = Pm(1)", "s = Pm(1)"
FACTORS = [0.3, -0.3, 0.0, -0.0, NAN, INF, -INF, 1e-42, 1e37]
FACTORED = [
    Genred("Exp(-g * SqDist(x, y)) * b", [G, "x = Vi(2)", "y = Vj(2)", "b = Vj(1)"], axis=1),
    Genred("Exp(g * Sum(Abs(x - y)))", [G, "x = Vi(2)", "y = Vj(2)"], axis=1),
    Genred("Exp(g * SqDist(x, y) / Square(s))", [G, S, *GIVEN], axis=1),
    Genred("Exp(-SqDist(x, y) / (2 * Square(g)))", [G, "x = Vi(2)", "y = Vj(2)"], axis=1),
    Genred("Exp(g * Square(x - y)) + Exp(-g * s * Abs(x - y))", [G, S, *GIVEN], axis=1),
    Genred("-g * SqDist(x, y)", [G, "x = Vi(2)", "y = Vj(2)"], "LogSumExp", axis=1),
    Genred("Exp(-g * SqDist(x, y)) * (x - y)", [G, "x = Vi(2)", "y = Vj(2)"], axis=1),
]


@pytest.fixture(scope="module")
def factored():
    return [running.build([g._problem for g in FACTORED], ["float32"], template=t) for t in ("rows", "columns")]


@pytest.mark.parametrize("n", [7, 40])  # pairs one by one, and groups of them
@pytest.mark.parametrize("factor", FACTORS)
def test_a_factor_of_any_sign_or_none(factored, factor, n):
    """As the formula says, also where the factor is not finite and a distance is zero."""
    rng = np.random.default_rng(0)
    for k, genred in enumerate(FACTORED):
        y = rng.standard_normal((n, genred.variables[-1 - (k == 0)].dim))
        x = np.concatenate([y[3:4], rng.standard_normal((4, y.shape[1]))])
        values = {"g": [factor], "s": [1.7], "x": x, "y": y, "b": rng.standard_normal((n, 1))}
        arrays = tuple(np.asarray(values[name], "float32") for name in genred.names)
        with np.errstate(all="ignore"):
            truth = formula_of_numpy(k, {name: a.astype(float) for name, a in zip(genred.names, arrays, strict=True)})
        for built in factored:
            (found,) = running.run(*built[k, "float32"], genred._problem, arrays, "result")
            with np.errstate(over="ignore"):
                expected = truth.astype("float32")
            np.testing.assert_allclose(found, expected, rtol=3e-5, atol=1e-6, err_msg=str(genred))


def formula_of_numpy(k, a):
    """What `FACTORED` says, in NumPy."""
    g, s = a["g"], a.get("s")
    d = a["x"][:, None] - a["y"][None]
    square, absolute = (d**2).sum(axis=2), np.abs(d).sum(axis=2)
    if k == 0:
        return np.exp(-g * square) @ a["b"]
    if k == 5:
        return np.logaddexp.reduce(-g * square, axis=1, keepdims=True)
    if k == 6:
        return (np.exp(-g * square)[..., None] * d).sum(axis=1)
    terms = {
        1: lambda: g * absolute, 2: lambda: g * square / s**2, 3: lambda: -square / (2 * np.square(g, dtype=np.float32)),
        4: lambda: [g * square, -g * s * absolute],
    }  # fmt: skip
    found = np.exp(terms[k]())
    return (found if k != 4 else found.sum(axis=0)).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_points(dtype):
    x, y, p = Variable(0, 3, 0), Variable(1, 3, 1), Variable(2, 1, 2)
    expressions = (lookup("Exp").build(p * (x | y)), x - y, lookup("Rsqrt").build(lookup("SqNorm2").build(x)))
    made = points_source(expressions, (x, y, p), dtype)
    (module,) = emulator.compile_sources([made.text])
    rng = np.random.default_rng(0)
    arrays = [a.astype(dtype) for a in (rng.standard_normal((130, 3)), rng.standard_normal((130, 3)), np.array([0.5]))]
    arrays[0][7] = 0
    outputs = [np.full((130, e.dim), NAN, dtype) for e in expressions]
    (launch,) = made.geometry(130, 3).launches
    module.launch(launch.kernel, launch.grid, launch.block, [*arrays, *outputs, np.int64(130)])
    a, b = arrays[0].astype(float), arrays[1].astype(float)
    norms = (a**2).sum(axis=1, keepdims=True)
    truth = [np.exp(0.5 * (a * b).sum(axis=1, keepdims=True)), a - b, np.where(norms == 0, 0, 1 / np.sqrt(norms + (norms == 0)))]
    for found, value in zip(outputs, truth, strict=True):
        np.testing.assert_allclose(found, value, rtol=2e-6 if dtype == "float32" else 1e-13, atol=1e-6)
    assert made.geometry(0, 3).launches == ()


@pytest.fixture(scope="module")
def masked():
    aliases = [*GIVEN, "w = Vj(1)"]
    genreds = [Genred("x + y", aliases, op, axis=1, formula2="w") for op in ("LogSumExp", "Max_SumShiftExp")]
    return genreds, running.build([g._problem for g in genreds], ["float32", "float64"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [5, 50, 1100])
def test_weights_of_zero_mask(masked, dtype, n):
    genreds, built = masked
    rng = np.random.default_rng(n)
    y, w = rng.standard_normal(n), rng.uniform(0.1, 1.0, n)
    w[rng.permutation(n)[: n // 2]] = 0
    y[w == 0] = rng.choice([INF, NAN, 2000.0, 60.0], n // 2)
    y, w = y.astype(dtype), w.astype(dtype)
    arrays = (np.zeros((3, 1), dtype), y[:, None], w[:, None])
    (found,) = running.run(*built[0, dtype], genreds[0]._problem, arrays, "result")
    kept = w != 0
    expected = logsumexp(y[kept].astype(float), b=w[kept].astype(float))
    np.testing.assert_allclose(found, np.full((3, 1), expected), rtol=2e-6 if dtype == "float32" else 1e-13)
    (found,) = running.run(*built[1, dtype], genreds[1]._problem, arrays, "result")
    top = y[kept].max()
    np.testing.assert_allclose(found, [[top, np.exp(expected - top)]] * 3, rtol=3e-6 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("template", ["rows", "columns"])
def test_float32_sums_that_leave_the_range_on_the_way(template):
    """Large terms that cancel: a group that overflows enters the total pair by pair."""
    n = 700
    terms = np.zeros(n, np.float32)
    terms[:6] = 3e38, 3e38, -3e38, -2e38, 1e38, -1e38
    rng = np.random.default_rng(1)
    genreds = [
        Genred("Exp(-Square(x - z)) * b", ["x = Vi(1)", "z = Vj(1)", "b = Vj(2)"], axis=1),
        Genred("x - z", ["x = Vi(1)", "z = Vj(1)", "b = Vj(2)"], "SumSoftMaxWeight", axis=1, formula2="b"),
    ]
    built = running.build([g._problem for g in genreds], ["float32"], template=template)
    for _ in range(3):
        order = np.concatenate([rng.permutation(16), np.arange(16, n)])
        b = np.stack([terms[order], -terms[order]], axis=1)
        arrays = np.zeros((3, 1), np.float32), np.zeros((n, 1), np.float32), b
        exact = b.astype(float).sum(axis=0)
        for k, by in ((0, 1), (1, n)):
            (found,) = running.run(*built[k, "float32"], genreds[k]._problem, arrays, "result")
            np.testing.assert_allclose(found, [exact / by] * 3, rtol=1e-6)
