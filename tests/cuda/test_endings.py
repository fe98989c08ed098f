"""Reductions of a user's own: what they show is said once, and is the same on every backend."""

import numpy as np
import pytest
from scipy.special import logsumexp

from skkeops import Genred, reductions
from skkeops.backends.cuda.folds.tracing import Text, result_text, writes_result
from skkeops.reductions import LogSumExp, Max, Sum


class ByResult(LogSumExp):
    """A soft minimum, as `docs/contributing` has it."""

    name = "ByResult"

    def values(self, formula, formula2=None):
        return super().values(-formula, formula2)

    def result(self, m, s, unit):
        return -super().result(m, s, unit)


class ByFinalize(LogSumExp):
    """The same, said where states end."""

    name = "ByFinalize"

    def values(self, formula, formula2=None):
        return super().values(-formula, formula2)

    def finalize(self, state, dtype):
        return -super().finalize(state, dtype)


class ByOtherFunctions(LogSumExp):
    """A result by functions that kernels do not write."""

    name = "ByOtherFunctions"

    def result(self, m, s, unit):
        return np.arctan(super().result(m, s, unit))


class RootOfSum(Sum):
    name = "RootOfSum"
    derivative = ""

    def finalize(self, state, dtype):
        return np.sqrt(super().finalize(state, dtype))


class TwiceTheMaximum(Max):
    name = "TwiceTheMaximum"

    def finalize(self, state, dtype):
        return 2 * super().finalize(state, dtype)


class MeanOfSmallest(reductions.KMin):
    name = "MeanOfSmallest"
    derivative = ""

    def finalize(self, state, dtype):
        return super().finalize(state, dtype).mean(axis=1, keepdims=True)

    def output_dim(self, dims):
        return (1,)


TRUTHS = {
    ByResult: lambda F: -logsumexp(-F, axis=1),
    ByFinalize: lambda F: -logsumexp(-F, axis=1),
    ByOtherFunctions: lambda F: np.arctan(logsumexp(F, axis=1)),
    RootOfSum: lambda F: np.sqrt(F.sum(1)),
    TwiceTheMaximum: lambda F: 2 * F.max(1),
    MeanOfSmallest: lambda F: np.sort(F, axis=1)[:, :3].mean(axis=1),
}


@pytest.mark.parametrize("cls", TRUTHS, ids=lambda cls: cls.__name__)
def test_every_backend_shows_the_same(cls, cupy, rng, monkeypatch):
    monkeypatch.setitem(reductions.registry, cls.name, cls)
    opt_arg = 3 if issubclass(cls, reductions.KMin) else None
    f = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], cls.name, axis=1, opt_arg=opt_arg)
    x, y = rng.normal(size=(5, 2)), rng.normal(size=(7, 2))
    truth = TRUTHS[cls](((x[:, None] - y) ** 2).sum(-1))[:, None]
    there = cupy.asarray(x), cupy.asarray(y)
    for found in (f(x, y), f(x, y, backend="reference"), f(*there).get(), f(x, y, backend="GPU")):
        np.testing.assert_allclose(found, truth, rtol=1e-12)
    ranges = tuple(np.array(a) for a in ([[0, 5]], [1], [[0, 7]], [[0, 7]], [1], [[0, 5]]))
    np.testing.assert_allclose(f(*there, ranges=ranges).get(), truth, rtol=1e-12)


def test_which_ends_kernels_write():
    written = [cls for cls in TRUTHS if writes_result(cls(3) if issubclass(cls, reductions.KMin) else cls())]
    assert written == [ByResult]
    assert all(writes_result(cls(3) if "K" in name else cls()) for name, cls in reductions.registry.items())
    assert result_text(ByOtherFunctions()) is None
    assert result_text(ByResult()).startswith("(-(final + log(")


@pytest.mark.parametrize("function", [np.maximum, np.minimum])
def test_functions_of_texts_keep_nan(function):
    text = function(Text("a"), Text("b")).text.replace("||", "or").replace("?", "if_").replace(":", "else_")
    condition, _, rest = text[1:-1].partition(" if_ ")
    yes, _, no = rest.partition(" else_ ")
    for a, b in np.ndindex(3, 3):
        values = dict(zip("ab", (np.array([1.0, 2.0, np.nan])[k] for k in (a, b)), strict=True))
        found = eval(yes if eval(condition, values) else no, values)
        assert np.array_equal(found, function(values["a"], values["b"]), equal_nan=True)
