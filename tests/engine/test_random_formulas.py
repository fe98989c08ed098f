"""Random formulas: the compiled engine and dense NumPy say the same."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skkeops import Genred
from skkeops.formula import Variable, gradient

from ..formula.strategies import expressions

VARIABLES = [Variable(0, 3, 0), Variable(1, 3, 1), Variable(2, 1, 1), Variable(3, 3, 2), Variable(4, 1, 0)]
ALIASES = ["a = Vi(0,3)", "b = Vj(1,3)", "c = Vj(2,1)", "d = Pm(3,3)", "e = Vi(4,1)"]
calm = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def arrays(m, n, seed):
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.3, 1.5, s) for s in ((m, 3), (n, 3), (n, 1), (3,), (m, 1))]


def compare(formula, reduction, axis, m, n, seed, **options):
    operator = Genred(formula, ALIASES, reduction, axis=axis, **options)
    data = arrays(m, n, seed)
    with np.errstate(all="ignore"):
        expected = operator(*data, backend="reference")
        result = operator(*data)
        norm = Genred(f"Abs({formula})", ALIASES, axis=axis)(*data, backend="reference") if reduction == "Sum" else 1
    tolerance = 1e-12 * (norm + 1) if reduction == "Sum" else 1e-12 * (1 + np.abs(expected))
    finite = np.isfinite(expected) & (np.abs(tolerance) < 1e100)
    difference = np.abs(result - expected)[finite]
    assert (difference <= np.broadcast_to(tolerance, expected.shape)[finite]).all()


@calm
@given(
    expressions(VARIABLES, smooth=True), st.sampled_from([0, 1]), st.sampled_from([3, 64, 65, 140]), st.integers(0, 5)
)
def test_sums(expression, axis, n, seed):
    compare(str(expression), "Sum", axis, 7, n, seed)


@calm
@given(expressions(VARIABLES, smooth=True, dim=1), st.sampled_from([0, 1]), st.sampled_from([3, 70]), st.integers(0, 5))
def test_log_sum_exp(expression, axis, n, seed):
    compare(f"Sin({expression})", "LogSumExp", axis, 7, n, seed)


@calm
@given(expressions(VARIABLES, smooth=True, max_operations=5), st.sampled_from(VARIABLES), st.sampled_from([0, 1]))
def test_gradients(expression, variable, axis):
    direction = Variable(5, expression.dim, 0)
    derived = gradient(expression, variable, direction)
    operator = Genred(str(derived), [*ALIASES, f"u = Vi(5,{expression.dim})"], axis=axis)
    data = [*arrays(6, 80, 0), np.random.default_rng(1).uniform(-1, 1, (6, expression.dim))]
    with np.errstate(all="ignore"):
        expected, result = operator(*data, backend="reference"), operator(*data)
        norm = Genred(f"Abs({derived})", operator.aliases, axis=axis)(*data, backend="reference")
    finite = np.isfinite(norm) & (norm < 1e12)
    assert (np.abs(result - expected)[finite] <= 1e-11 * (1 + norm[finite])).all()
