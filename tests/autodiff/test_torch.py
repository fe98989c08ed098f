"""skkeops.torch: PyTorch's own checks of first and second derivatives, dense PyTorch, and where the numbers lie."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.autograd import grad, gradcheck, gradgradcheck  # noqa: E402

import skkeops  # noqa: E402
import skkeops.torch  # noqa: E402
from skkeops.torch import Genred, generic_argkmin, generic_argmin, generic_logsumexp, generic_sum  # noqa: E402

ALIASES = ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)", "p = Pm(1)"]
REDUCTIONS = {
    "sum": ("Exp(-p*SqDist(x,y))*b", {}),
    "log-sum-exp": ("-p*SqDist(x,y)*Sum(Square(b))", {"reduction_op": "LogSumExp"}),
    "weighted log-sum-exp": ("-p*SqDist(x,y)", {"reduction_op": "LogSumExp", "formula2": "Square(b)+1"}),
    "softmax": ("-p*SqDist(x,y)", {"reduction_op": "SumSoftMaxWeight", "formula2": "b*(x|y)"}),
}
WINNERS = {
    "max": ("Exp(-p*SqDist(x,y))*b", {"reduction_op": "Max"}),
    "kmin": ("p*SqDist(x,y)*Sum(Square(b))", {"reduction_op": "KMin", "opt_arg": 2}),
}


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    shapes = {"x": (4, 3), "y": (5, 3), "b": (5, 2)}
    made = [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes.values()]
    return [t.requires_grad_() for t in (*made, torch.tensor([0.6], dtype=torch.float64))]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_first_and_second_derivatives(name, axis, tensors):
    formula, options = REDUCTIONS[name]
    function = Genred(formula, ALIASES, axis=axis, **options)
    assert gradcheck(function, tensors)
    assert gradgradcheck(function, tensors)


@pytest.mark.parametrize("name", WINNERS)
def test_first_derivatives_of_winners(name, tensors):
    formula, options = WINNERS[name]
    function = Genred(formula, ALIASES, axis=1, **options)
    assert gradcheck(function, tensors)
    (first,) = grad(function(*tensors).sum(), tensors[0], create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives of Sum, LogSumExp and SumSoftMaxWeight"):
        first.sum().backward()


def dense(x, y, b, p):
    return torch.exp(-p * (x[:, None] - y[None]).square().sum(-1)) @ b


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_beside_dense_torch(dtype, tensors):
    """A program of a training: Hessian-vector products of a loss."""
    tensors = [t.detach().to(dtype).requires_grad_() for t in tensors]
    function = Genred(*REDUCTIONS["sum"][:1], ALIASES, axis=1)
    products = []
    for f in (function, dense):
        loss = f(*tensors).square().sum()
        gradients = grad(loss, tensors, create_graph=True)
        directions = [torch.ones_like(g) for g in gradients]
        inner = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
        products.append([*gradients, *grad(inner, tensors)])
    for found, expected in zip(*products, strict=True):
        assert found.dtype == dtype
        tolerances = (1e-4, 1e-5) if dtype == torch.float32 else (1e-10, 1e-12)
        torch.testing.assert_close(found, expected, rtol=tolerances[0], atol=tolerances[1])


def test_batches_and_broadcasting(tensors):
    x, y, b, p = (t.detach() for t in tensors)
    x = torch.stack([x, 2 * x]).requires_grad_()
    shared = [t.requires_grad_() for t in (y, b, p)]
    for name in ("sum", "log-sum-exp", "softmax"):
        formula, options = REDUCTIONS[name]
        function = Genred(formula, ALIASES, axis=1, **options)
        assert gradcheck(function, (x, *shared))
    one_by_one = torch.stack([Genred(REDUCTIONS["sum"][0], ALIASES, axis=1)(part, *shared) for part in x])
    torch.testing.assert_close(Genred(REDUCTIONS["sum"][0], ALIASES, axis=1)(x, *shared), one_by_one)


def test_a_row_without_a_finite_value_has_the_gradient_zero():
    function = Genred("x + y", ["x = Vi(1)", "y = Vj(1)"], "LogSumExp", axis=1)
    x = torch.tensor([[0.0], [-np.inf]], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[1.0], [2.0]], dtype=torch.float64, requires_grad=True)
    first, second = grad(function(x, y)[0].sum(), (x, y), create_graph=True)
    assert torch.isfinite(first).all() and first[1] == 0
    assert torch.isfinite(grad(second.square().sum(), y)[0]).all()
    assert gradcheck(lambda t: function(t, y)[0], x[:1].detach().clone().requires_grad_())
    (g,) = grad(function(torch.full_like(x, -np.inf), y).sum(), y)  # every row is empty
    assert not g.any()


def test_values_of_pairs():
    function = Genred("w * Exp(-SqDist(x, y))", ["w = Vij(1)", "x = Vi(2)", "y = Vj(2)"], axis=1)
    generator = torch.Generator().manual_seed(1)
    w, x, y = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((4, 5), (4, 2), (5, 2)))
    assert gradcheck(function, [t.requires_grad_() for t in (w, x, y)])


def test_ranges(tensors):
    x, y, b, p = tensors
    mask = np.array([[True, False], [False, True]])
    blocks = np.array([[0, 2], [2, 4]]), np.array([[0, 3], [3, 5]])
    ranges = skkeops.cluster.from_matrix(*blocks, mask)
    function = Genred(REDUCTIONS["sum"][0], ALIASES, axis=1)
    allowed = torch.tensor(np.kron(mask, np.ones((2, 3)))[:, :5])
    expected = (torch.exp(-p * (x[:, None] - y[None]).square().sum(-1)) * allowed) @ b
    for given in (ranges, tuple(torch.from_numpy(r) for r in ranges)):
        found = function(*tensors, ranges=given)
        torch.testing.assert_close(found, expected)
        for a, e in zip(grad(found.sum(), tensors), grad(expected.sum(), tensors, retain_graph=True), strict=True):
            torch.testing.assert_close(a, e)


def test_nothing_is_copied(monkeypatch, tensors):
    function = Genred(REDUCTIONS["sum"][0], ALIASES, axis=1)
    seen, results = [], []
    theirs = skkeops.Genred.__call__

    def call(self, *arrays, **options):
        seen.append([a.__array_interface__["data"][0] for a in arrays])
        results.append(theirs(self, *arrays, **options))
        return results[-1]

    monkeypatch.setattr(skkeops.Genred, "__call__", call)
    out = function(*tensors)
    assert seen[0] == [t.data_ptr() for t in tensors]
    assert results[0].__array_interface__["data"][0] == out.data_ptr()
    strided = torch.randn(3, 4, dtype=torch.float64).T  # neither is a transpose
    function(strided, *tensors[1:])
    assert seen[1][0] == strided.data_ptr()


def test_generic_functions():
    x, y = torch.randn(6, 1), torch.randn(4, 1)
    distances = (x - y.T).square()
    total = generic_sum("Square(x - y)", "a = Vi(1)", "x = Vi(1)", "y = Vj(1)")
    torch.testing.assert_close(total(x, y), distances.sum(1, keepdim=True))
    logarithm = generic_logsumexp("Square(x - y)", "a = Vi(1)", "x = Vi(1)", "y = Vj(1)")
    torch.testing.assert_close(logarithm(x, y), distances.logsumexp(1, keepdim=True))
    nearest = generic_argmin("Square(x - y)", "a = Vi(1)", "x = Vi(1)", "y = Vj(1)")(x.requires_grad_(), y)
    assert torch.equal(nearest, distances.argmin(1, keepdim=True)) and not nearest.requires_grad
    two = generic_argkmin("Square(x - y)", "a = Vi(2)", "x = Vi(1)", "y = Vj(1)")(x, y)
    assert torch.equal(two, distances.argsort(1)[:, :2])
    values, indices = Genred("Square(x - y)", ["x = Vi(1)", "y = Vj(1)"], "Max_ArgMax", axis=1)(x, y)
    assert values.requires_grad and torch.equal(indices[:, 0], distances.argmax(1))
    values.sum().backward()
    expected = 2 * (x.detach() - y[distances.argmax(1)])
    torch.testing.assert_close(x.grad, expected)


def test_the_first_page():
    """The log-sum-exp of KeOps' first page, with its gradient."""
    x, y, a = torch.randn(300, 3), torch.randn(500, 3, requires_grad=True), torch.randn(500, 1)
    p = torch.randn(1)
    aliases = ["x = Vi(3)", "y = Vj(3)", "a = Vj(1)", "p = Pm(1)"]
    function = Genred("Square(p - a) * Exp(-SqDist(x, y))", aliases, "LogSumExp", axis=1)
    c = function(x, y, a, p)
    e = torch.rand_like(c)
    (g,) = grad(c, y, e)
    expected = ((p - a.T).square() * torch.exp(-(x[:, None] - y[None]).square().sum(-1))).logsumexp(1, keepdim=True)
    torch.testing.assert_close(c, expected)
    torch.testing.assert_close(g, grad(expected, y, e)[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: f(torch.zeros(3, 2)), ValueError, "argument"),
        (lambda f: f(torch.zeros(3, 2), torch.zeros(4, 3)), ValueError, "y"),
        (lambda f: f(torch.zeros(3, 2), torch.zeros(4, 2, dtype=torch.complex64)), TypeError, "y has the dtype torch.complex64"),
        (lambda f: f(torch.zeros(3, 2, dtype=torch.bfloat16), torch.zeros(4, 2)), TypeError, "x has the dtype torch.bfloat16"),
        (lambda f: f(torch.zeros(3, 2, device="meta"), torch.zeros(4, 2)), TypeError, "x is a tensor on meta: expected"),
        (lambda f: f(torch.zeros(3, 2), torch.zeros(4, 2), backend="cpu"), ValueError, "backend='cpu' is not known"),
    ],
)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call(Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], axis=1))


def test_numbers_and_lists_are_tensors():
    function = Genred("p * SqDist(x, y)", ["x = Vi(1)", "y = Vj(1)", "p = Pm(1)"], axis=1)
    p = torch.tensor(2.0, requires_grad=True)
    found = function([[1.0], [2.0]], [[0.0]], p)
    assert found.tolist() == [[2.0], [8.0]]
    found.sum().backward()
    assert p.grad == 5 and p.grad.shape == ()
    assert repr(function) == "skkeops.torch." + repr(function.function)


def test_examples_run():
    assert doctest.testmod(skkeops.torch).failed == 0
