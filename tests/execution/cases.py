"""Every reduction once, by name: a formula and its options; what to call it with."""

from skkeops import Genred

ALIASES = ["x = Vi(2)", "y = Vj(2)", "b = Vj(3)", "p = Pm(1)"]
CASES = {
    "Sum": ("Exp(-p * SqDist(x, y)) * b", {}),
    "LogSumExp": ("-p * SqDist(x, y)", {}),
    "LogSumExpWeight": ("-p * SqDist(x, y)", {"formula2": "Square(b)"}),
    "SumSoftMaxWeight": ("-p * SqDist(x, y)", {"formula2": "b"}),
    "Max": ("p * (x - y)", {}),
    "Min": ("p * (x - y)", {}),
    "ArgMax": ("p * (x - y)", {}),
    "ArgMin": ("p * (x - y)", {}),
    "Max_ArgMax": ("p * SqDist(x, y)", {}),
    "Min_ArgMin": ("p * SqDist(x, y)", {}),
    "KMin": ("p * (x - y)", {"opt_arg": 2}),
    "ArgKMin": ("p * SqDist(x, y)", {"opt_arg": 3}),
    "KMin_ArgKMin": ("p * SqDist(x, y)", {"opt_arg": 3}),
    "Max_SumShiftExp": ("-p * SqDist(x, y)", {}),
}
DIFFERENTIABLE = [op for op in CASES if not op.startswith("Arg") and op != "Max_SumShiftExp"]


def make(op, axis=1):
    formula, options = CASES[op]
    return Genred(formula, ALIASES, op, axis, **options)


def make_arrays(rng, m=13, n=9, dtype=float):
    return tuple(rng.normal(size=shape).astype(dtype) for shape in [(m, 2), (n, 2), (n, 3), (1,)])


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)
