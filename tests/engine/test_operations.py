"""Every operation through the compiled engine, at every SIMD level, against truth written without the package."""

import numpy as np
import pytest

from skkeops import Genred
from skkeops.formula import Variable
from skkeops.formula.operations import registry

from ..formula.cases import CASES
from .common import simd_level  # noqa: F401 (a fixture)

M, N = 5, 70  # a short and a long axis: both orders of lanes

PLACE_NAMES = {"i": "Vi", "j": "Vj", "p": "Pm"}
PLACES = ["ijp", "jip", "iii", "jjj", "ppp", "ipj", "pji"]


def formula_of(case):
    arguments = [f"v{k}" for k in range(len(case.dims))] + [str(p) for p in case.params]
    return f"{case.name}({','.join(arguments)})"


@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_operations(places, dtype, simd_level):  # noqa: F811
    failures = []
    for number, case in enumerate(CASES):
        rng = np.random.default_rng(number)
        domain = registry[case.name].domain
        arrays, grids, aliases = [], [], []
        for k, (dim, (low, high)) in enumerate(zip(case.dims, domain, strict=True)):
            place = places[k]
            shape = {"i": (M, dim), "j": (N, dim), "p": (dim,)}[place]
            values = rng.uniform(low, high, shape)
            if case.name in ("Equal", "NotEqual", "LessOrEqual"):
                values = np.round(values)
            if case.name == "BSpline" and k == 0:
                values = np.sort(values, axis=-1)
            values = values.astype(dtype)
            arrays.append(values)
            full = {"i": values[:, None], "j": values[None], "p": values[None, None]}[place]
            grids.append(np.broadcast_to(full, (M, N, dim)).astype(float))
            aliases.append(f"v{k} = {PLACE_NAMES[place]}({dim})")
        # something of either index, so that both axes have their lengths
        arrays += [np.zeros((M, 1), dtype), np.zeros((N, 1), dtype)]
        aliases += ["zi = Vi(1)", "zj = Vj(1)"]
        truth = np.array([[case.truth(*(g[i, j] for g in grids)) for j in range(N)] for i in range(M)], dtype=float)
        if case.name == "OneHot":  # the index is compared, its value does not matter
            assert truth.shape == (M, N, case.params[0])
        scale = np.abs(truth).max() + 1
        for axis in (0, 1):
            operator = Genred(formula_of(case) + " + (zi + zj)", aliases, axis=axis)
            result = operator(*arrays)
            error = np.abs(result - truth.sum(axis=axis)).max() / (truth.shape[axis] * scale)
            if not error <= 60 * np.finfo(dtype).eps:
                failures.append((case.name, case.dims, case.params, axis, error))
    assert not failures


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values_of_operations(dtype, simd_level):  # noqa: F811
    nan, inf = np.nan, np.inf
    table = {
        "Step(x)": [(0, 1), (-0.0, 1), (nan, 1), (-1, 0), (inf, 1), (-inf, 0)],
        "Sign(x)": [(0, 0), (nan, 0), (-inf, -1), (inf, 1)],
        "ReLU(x)": [(0, 0), (-1, 0), (inf, inf), (nan, nan), (-inf, 0)],
        "Rsqrt(x)": [(0, 0), (inf, 0), (4, 0.5), (-1, nan)],
        "Sqrt(x)": [(0, 0), (inf, inf), (-1, nan)],
        "XLogX(x)": [(0, 0), (inf, inf), (1, 0), (nan, nan)],
        "SinXDivX(x)": [(0, 1), (nan, nan)],
        "SinXDivX(x,1)": [(0, 0)],
        "SinXDivX(x,2)": [(0, -1 / 3)],
        "Exp(x)": [(-inf, 0), (inf, inf), (0, 1), (nan, nan), (1e4, inf), (-1e4, 0)],
        "Log(x)": [(0, -inf), (inf, inf), (1, 0), (-1, nan)],
        "Inv(x)": [(0, inf), (inf, 0), (-inf, 0)],
        "Round(x,0)": [(0.5, 1), (-0.5, -1), (2.5, 3), (1e30, 1e30), (inf, inf)],
        "Floor(x)": [(-0.5, -1), (inf, inf), (1e30, 1e30)],
        "Fmod(x,3)": [(7.5, 1.5), (-7.5, -1.5), (2**23 + 1, 0), (1e9, 1), (inf, nan), (nan, nan), (-2, -2)],
        "Fmod(3,x)": [(inf, 3), (0, nan), (-2, 1), (0.75, 0)],
        "Abs(x)": [(-inf, inf), (nan, nan)],
        "DiffClampInt(x,0,1)": [(-1, 0), (0, 1), (1, 1), (2, 0), (nan, 1)],
        "Atan2(x,0)": [(0, 0), (1, np.pi / 2), (-1, -np.pi / 2)],
        "Clamp(x,0,1)": [(-inf, 0), (inf, 1), (nan, nan), (0.5, 0.5)],
        "IfElse(x,1,2)": [(0, 1), (-0.0, 1), (nan, 2), (-1, 2)],
        "Pow(x,-1)": [(0, inf), (2, 0.5)],
        "Powf(x,0.5)": [(4, 2), (-1, nan), (inf, inf)],
        "Max(Concat(x,0))": [(-1, 0), (3, 3)],
        "OneHot(x,2)": [(0.4, [1, 0]), (1.4, [0, 1]), (7, [0, 0]), (nan, [0, 0])],
        "(x == 1) + 2*(x != 1)": [(1, 1), (nan, 2)],
    }
    for formula, rows in table.items():
        x = np.array([[v] for v, _ in rows], dtype)
        expected = np.array([np.atleast_1d(e) for _, e in rows], dtype)
        for n in (1, 100):  # both orders of lanes
            operator = Genred(formula, ["x = Vi(1)", "y = Vj(1)"], "Sum", axis=1)
            result = operator(x, np.zeros((n, 1), dtype))
            with np.errstate(invalid="ignore"):
                reference = expected * n
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(result, reference, rtol=20 * eps, atol=eps, err_msg=formula)


def test_a_literal_keeps_its_precision(simd_level):  # noqa: F811
    x, y = np.array([[1.0]]), np.zeros((80, 1))
    result = Genred("x/3 + 0.1 + y", ["x = Vi(1)", "y = Vj(1)"], "Max", axis=1)(x, y)
    assert abs(result[0, 0] - (1 / 3 + 0.1)) <= 2e-16


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_at_any_number_of_decimals(dtype, simd_level):  # noqa: F811
    x = np.array([[0.0, -0.0, 1.0, -2.5, 123456.78, 3e38, 1.23456e-38, np.inf]]).T.astype(dtype)
    for d in (-300, -39, -38, -3, 0, 2, 38, 39, 300):
        node = registry["Round"].build(Variable(0, 1, 0), d)
        for n in (1, 100):
            found = Genred(f"Round(x,{d})", ["x = Vi(1)", "y = Vj(1)"], "Max", axis=1)(x, np.zeros((n, 1), dtype))
            tiny = np.finfo(dtype).tiny  # the engine takes numbers below for 0
            with np.errstate(all="ignore"):
                expected = node.numpy(x)
            np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(dtype).eps, atol=tiny, err_msg=str(d))
