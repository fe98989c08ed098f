"""Every operation of the registry: text, meaning, derivatives, broadcasting, and what it must declare."""

import inspect

import numpy as np
import pytest

from skkeops.formula import Variable, gradient, parse, tangent
from skkeops.formula import operations as ops
from skkeops.formula.operations import registry

from .cases import CASES, NOT_ARRAYS
from .strategies import evaluate

N = 6


def identify(case):
    return f"{case.name}-{'-'.join(map(str, case.dims))}-{case.params}"


cases = pytest.mark.parametrize("case", CASES, ids=identify)


def setup(case):
    operation = registry[case.name]
    rng = np.random.default_rng(len(case.name) + sum(case.dims))
    variables = [Variable(k, dim, k % 3) for k, dim in enumerate(case.dims)]
    arrays = {}
    for v, (low, high) in zip(variables, operation.domain, strict=True):
        arrays[v] = rng.uniform(low, high, (N, v.dim))
    if case.name == "BSpline":
        arrays[variables[0]] = np.linspace(0, 1, case.dims[0]) + rng.uniform(0, 0.05, (N, case.dims[0]))
    return operation.build(*variables, *case.params), variables, arrays


def finite_differences(function, array, h=1e-5):
    """The derivatives of the rows of ``function(array)`` by the components of the same row: (N, D_out, D_in)."""
    columns = []
    for k in range(array.shape[1]):
        step = np.zeros_like(array)
        step[:, k] = h
        columns.append((function(array + step) - function(array - step)) / (2 * h))
    return np.stack(columns, axis=-1)


def test_every_operation_has_a_case():
    assert set(registry) == {case.name for case in CASES} | NOT_ARRAYS


@cases
def test_meaning(case):
    e, variables, arrays = setup(case)
    values = np.broadcast_to(evaluate(e, arrays), (N, e.dim))
    for i in range(N):
        row = [arrays[v][i] for v in variables]
        np.testing.assert_allclose(values[i], case.truth(*row), rtol=1e-12, atol=1e-13)


@cases
def test_meaning_in_float32(case):
    e, _, arrays = setup(case)
    arrays32 = {v: a.astype(np.float32) for v, a in arrays.items()}
    value = evaluate(e, arrays32)
    assert value.dtype == np.float32
    exact = evaluate(e, {v: a.astype(np.float64) for v, a in arrays32.items()})
    np.testing.assert_allclose(value, exact, rtol=1e-4, atol=1e-4)


@cases
def test_text_parses_back(case):
    e, variables, _ = setup(case)
    assert parse(str(e)) is e
    names = {v: "abcd"[k] for k, v in enumerate(variables)}
    assert parse(e.to_text(names), {name: v for v, name in names.items()}) is e
    arguments = [*names.values(), *map(str, case.params)]
    assert parse(f"{case.name}({', '.join(arguments)})", {name: v for v, name in names.items()}) is e


@cases
def test_rebuilding_changes_nothing(case):
    e, _, _ = setup(case)
    assert e.rebuild(e.args) is e


@cases
def test_gradient(case):
    e, variables, arrays = setup(case)
    direction = Variable(9, e.dim, 0)
    given = dict(arrays)
    given[direction] = np.random.default_rng(1).uniform(0.5, 1.5, (N, e.dim))
    for v in variables:
        g = gradient(e, v, direction)
        assert g.dim == v.dim
        assert parse(str(g)) is g
        value = np.broadcast_to(evaluate(g, given), (N, v.dim))

        def f(array, v=v):
            return np.broadcast_to(evaluate(e, {**arrays, v: array}), (N, e.dim))

        expected = np.einsum("nab,na->nb", finite_differences(f, arrays[v]), given[direction])
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)


@cases
def test_second_gradient(case):
    e, variables, arrays = setup(case)
    for v in variables:
        first = gradient(e, v, ops.SumT(1, e.dim))
        for w in variables:
            second = gradient(ops.Sum(first), w, 1)

            def f(array, w=w, first=first):
                return np.broadcast_to(evaluate(first, {**arrays, w: array}), (N, first.dim))

            expected = finite_differences(f, arrays[w]).sum(axis=1)
            value = np.broadcast_to(evaluate(second, arrays), (N, w.dim))
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


@cases
def test_tangent_is_the_transpose_of_the_gradient(case):
    e, variables, arrays = setup(case)
    rng = np.random.default_rng(2)
    cotangent = Variable(10, e.dim, 1)
    given = {**arrays, cotangent: rng.standard_normal((N, e.dim))}
    for k, v in enumerate(variables):
        u = Variable(11 + k, v.dim, 0)
        given[u] = rng.standard_normal((N, v.dim))
        t = tangent(e, {v: u})
        assert t.dim == e.dim
        left = evaluate(t, given) * given[cotangent]
        right = evaluate(gradient(e, v, cotangent), given) * given[u]
        left, right = (np.broadcast_to(a, (N, d)).sum(1) for a, d in ((left, e.dim), (right, v.dim)))
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9)


@cases
def test_rows_broadcast(case):
    """Arrays (M, 1, D), (1, N, D) and (D,) go together."""
    e, variables, arrays = setup(case)
    shapes = [(2, 1), (1, 3), ()]
    small = {v: arrays[v][: np.prod(s, dtype=int)].reshape(*s, v.dim) for v, s in zip(variables, shapes, strict=False)}
    rows = np.broadcast_shapes(*(a.shape[:-1] for a in small.values()))
    full = {v: np.broadcast_to(a, (*rows, v.dim)).copy() for v, a in small.items()}
    value = np.broadcast_to(evaluate(e, small), (*rows, e.dim))
    np.testing.assert_allclose(value, np.broadcast_to(evaluate(e, full), (*rows, e.dim)), rtol=1e-14)


@pytest.mark.parametrize("name", sorted(registry))
def test_declaration_is_complete(name):
    """A new operation that forgets something fails here, by name."""
    operation = registry[name]
    assert operation.name == name
    assert operation.__doc__ and name in operation.__doc__, f"{name} has no docstring with its formula"
    assert len(operation.domain) == len(operation.arguments), f"{name}: one domain for each argument"
    assert all(low < high for low, high in operation.domain)
    assert set(operation.list_parameters) <= set(operation.parameters)
    for alias in (name, *operation.aliases):
        assert ops.lookup(alias) is operation
    if not inspect.isclass(operation):
        return
    assert operation.numpy is not ops.Operation.numpy, f"{name} has no NumPy meaning"
    derivative = "component_adjoint" if issubclass(operation, ops.Elementwise) else "adjoint"
    assert getattr(operation, derivative) is not getattr(ops.Operation, derivative, None), f"{name} has no derivative"
    assert operation.tangent is not ops.Operation.tangent, f"{name} has no tangent"
    families = [c for c in (ops.Elementwise, ops.Selection, ops.Bilinear, ops.Contraction) if issubclass(operation, c)]
    assert len(families) == 1 or name == "OneHot", f"{name} belongs to {families}"
    if issubclass(operation, ops.Selection):
        assert operation.selection is not ops.Selection.selection, f"{name} has no selection()"
    elif issubclass(operation, ops.Bilinear):
        assert operation.terms is not ops.Bilinear.terms, f"{name} has no terms()"
    else:
        assert operation.opcode, f"{name} has no opcode"
    if issubclass(operation, ops.Elementwise):
        assert operation.cuda, f"{name} has no CUDA expression"
        places = {"real": "double", "p0": 1, "p1": 2}
        operation.cuda.format("a", "b", "c", **places)
        for k in range(len(operation.arguments)):
            assert f"{{{k}}}" in operation.cuda, f"{name}: CUDA ignores argument {k}"


@cases
def test_tables_agree_with_the_meaning(case):
    """selection() and terms() say the same as numpy()."""
    e, variables, arrays = setup(case)
    if e.args != tuple(variables) or not isinstance(e, (ops.Selection, ops.Bilinear)):
        return
    value = evaluate(e, arrays)
    a = [arrays[v] for v in variables]
    if isinstance(e, ops.Selection):
        columns = [np.zeros(N) if s is None else a[s[0]][:, s[1]] for s in e.selection()]
    else:
        columns = [sum(a[0][:, i] * a[1][:, j] for i, j in terms) for terms in e.terms()]
    np.testing.assert_allclose(np.stack(columns, -1), value, rtol=1e-12, atol=1e-14)


@cases
def test_tangent_of_all_arguments_at_once(case):
    e, variables, arrays = setup(case)
    us = {v: Variable(11 + k, v.dim, 0) for k, v in enumerate(variables)}
    given = {**arrays, **{u: np.full((N, u.dim), 0.5) for u in us.values()}}
    together = evaluate(tangent(e, us), given)
    separate = sum(evaluate(tangent(e, {v: u}), given) for v, u in us.items())
    np.testing.assert_allclose(together, np.broadcast_to(separate, together.shape), rtol=1e-10, atol=1e-12)
