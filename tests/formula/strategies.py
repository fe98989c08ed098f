"""Random formulas, and their values by the NumPy meaning of each operation; other test suites import these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from skkeops.formula import Constant, Variable, postorder
from skkeops.formula.operations import lookup

# a 1 at the end: of 1 + Square(f), or made bounded in another way
SMOOTH_UNARY = ["Exp", "Sin", "Cos", "Atan", "Square", "Minus", "SinXDivX"]
SMOOTH_UNARY += ["Erf", "Tanh", "Sech", "Logistic", "Softplus"]
SMOOTH_UNARY += ["Log1", "Sqrt1", "Rsqrt1", "Inv1", "Powf1", "XLogX1"]
OTHER_UNARY = ["Abs", "Sign", "Step", "ReLU", "Floor", "Round", "ClampInt"]
OTHER_UNARY += ["Erfc", "Log1p", "Log", "Sqrt", "Rsqrt", "Inv", "Asin", "Pow", "XLogX"]
SMOOTH_BINARY = ["Add", "Subtract", "Mult", "Divide1", "Atan21"]
OTHER_BINARY = ["Divide", "Equal", "NotEqual", "LessThan", "LessOrEqual", "Powf", "Atan2", "Clamp", "IfElse", "Mod"]
SMOOTH_VECTOR = ["Sum", "Prod", "Norm21", "Normalize1", "SqNorm2", "Elem", "Extract", "ElemT", "ExtractT", "SumT"]
SMOOTH_VECTOR += ["ComplexReal", "ComplexImag", "Conj"]
OTHER_VECTOR = ["Max", "Min", "ArgMax", "ArgMin", "OneHot"]
PRODUCTS = ["Scalprod", "SqDist", "Concat", "TensorProd", "MatVecMult", "VecMatMult", "Complex", "ComplexMult"]


def evaluate(expression, arrays):
    """The value of an expression; ``arrays`` maps variables to arrays ``(..., dim)``."""
    values = {}
    dtype = next(iter(arrays.values())).dtype if arrays else np.dtype(float)
    with np.errstate(all="ignore"):
        for node in postorder(expression):
            if isinstance(node, Variable):
                values[node] = arrays[node]
            elif isinstance(node, Constant):
                values[node] = np.full(node.dim, float(node), dtype)
            else:
                values[node] = node.numpy(*(values[arg] for arg in node.args))
    return values[expression]


@st.composite
def expressions(draw, variables, max_operations=8, smooth=False, dim=None, max_dim=24):
    """A random formula of some of the variables.

    Parameters
    ----------
    variables : sequence of Variable
        What it may depend on.
    max_operations : int
        How many operations are drawn at most (names may stand for several operations).
    smooth : bool
        Whether it is infinitely differentiable, and finite, everywhere.
    dim : int or None
        The dim it must have, or None.
    max_dim : int
        The largest dim of a sub-expression.
    """
    pool = list(variables)
    unary = SMOOTH_UNARY if smooth else SMOOTH_UNARY + OTHER_UNARY
    binary = SMOOTH_BINARY if smooth else SMOOTH_BINARY + OTHER_BINARY
    vector = SMOOTH_VECTOR if smooth else SMOOTH_VECTOR + OTHER_VECTOR
    for _ in range(draw(st.integers(1, max_operations))):
        f = draw(st.sampled_from(pool))
        g = draw(st.sampled_from(pool))
        kind = draw(st.integers(0, 4))
        if kind == 0:
            new = _unary(draw, draw(st.sampled_from(unary)), f)
        elif kind == 1:
            new = _binary(draw, draw(st.sampled_from(binary)), f, g, draw(st.sampled_from(pool)))
        elif kind == 2:
            new = _vector(draw, draw(st.sampled_from(vector)), f)
        elif kind == 3:
            new = _product(draw(st.sampled_from(PRODUCTS)), f, g, max_dim)
        else:
            c = draw(st.sampled_from([Constant(1), Constant(0.5), Constant(-0.75)]) if smooth else constants())
            new = draw(st.sampled_from([f + c, c - f, c * f, f if smooth or not c.value else f / c]))
        if new.dim <= max_dim:
            pool.append(new)
    result = pool[-1]
    if dim is not None and result.dim != dim:
        result = lookup("SumT")(lookup("Sum")(result), dim)
    return result


def constants():
    """Small exact constants."""
    decimals = st.sampled_from(["0.5", "-0.25", "1.1", "0.001", "3e-7", "12345.678"]).map(float)
    return st.one_of(st.integers(-3, 3), decimals).map(Constant)


def _bounded(f):
    """A function of ``f`` with values in (0, 1], so that compositions stay finite."""
    return lookup("Inv")(1 + lookup("Square")(f))


def _unary(draw, name, f):
    if name == "Exp":
        return lookup("Exp")(-lookup("Square")(f))
    if name == "Powf1":
        return lookup("Powf")(1 + lookup("Square")(f), _bounded(f))
    if name.endswith("1"):
        return lookup(name[:-1])(1 + lookup("Square")(f))
    if name == "Square":
        return lookup("Square")(lookup("Sin")(f))
    if name == "Round":
        return lookup(name)(f, draw(st.integers(-1, 2)))
    if name == "ClampInt":
        return lookup(name)(f, draw(st.integers(-2, 0)), draw(st.integers(0, 2)))
    if name == "Pow":
        return lookup(name)(f, draw(st.integers(-3, 4)))
    if name == "SinXDivX":
        return lookup(name)(f, draw(st.integers(0, 3)))
    return lookup(name)(f)


def _match(f, g):
    """``g``, summed if its dim does not go with ``f``."""
    return g if g.dim == f.dim or 1 in (f.dim, g.dim) else lookup("Sum")(g)


def _binary(draw, name, f, g, h):
    g = _match(f, g)
    if name == "Divide1":
        return f * _bounded(g)
    if name == "Atan21":
        return lookup("Atan2")(f, 1 + lookup("Square")(g))
    if name == "Mult":
        return lookup("Sin")(f) * g
    if name in ("Clamp", "IfElse", "Mod"):
        wide = f if f.dim > g.dim else g
        return lookup(name)(f, g, _match(wide, h))
    return lookup(name)(f, g)


def _vector(draw, name, f):
    if name == "Norm21":
        return lookup("Sqrt")(1 + lookup("SqNorm2")(f))
    if name == "Normalize1":
        return lookup("Rsqrt")(1 + lookup("SqNorm2")(f)) * f
    if name in ("SqNorm2", "Prod"):
        return lookup(name)(lookup("Sin")(f))
    if name == "Elem":
        return lookup(name)(f, draw(st.integers(0, f.dim - 1)))
    if name == "Extract":
        start = draw(st.integers(0, f.dim - 1))
        return lookup(name)(f, start, draw(st.integers(1, f.dim - start)))
    if name in ("ElemT", "SumT", "OneHot"):
        n = draw(st.integers(1, 4))
        more = (draw(st.integers(0, n - 1)),) if name == "ElemT" else ()
        return lookup(name)(lookup("Sum")(f), n, *more)
    if name in ("ComplexReal", "ComplexImag", "Conj"):
        return lookup("Complex")(f, lookup("Sin")(f)) if f.dim % 2 else lookup(name)(f)
    if name == "ExtractT":
        start = draw(st.integers(0, 2))
        return lookup(name)(f, start, f.dim + start + draw(st.integers(0, 2)))
    return lookup(name)(f)


def _product(name, f, g, max_dim):
    if name in ("Scalprod", "SqDist"):
        return lookup(name)(lookup("Sin")(f), lookup("Sin")(_match(f, g)))
    if name == "MatVecMult":
        return lookup(name)(f, g) if f.dim % g.dim == 0 else lookup("Sum")(f)
    if name == "VecMatMult":
        return lookup(name)(f, g) if g.dim % f.dim == 0 else lookup("Sum")(g)
    if name == "Complex":
        return lookup(name)(f, _match(f, g))
    if name == "ComplexMult":
        if f.dim % 2 or g.dim not in (2, f.dim):
            return lookup("Complex")(g, lookup("Cos")(g))
        return lookup(name)(lookup("Sin")(f), lookup("Cos")(g))
    if f.dim * g.dim > max_dim or f.dim + g.dim > max_dim:
        return f
    return lookup(name)(lookup("Cos")(f), lookup("Sin")(g))


class Written(NamedTuple):
    """A formula as text, and its value by plain NumPy: a function of arrays ``(N, dim)`` by name."""

    text: str
    dim: int
    value: Callable[[Mapping[str, np.ndarray]], np.ndarray]


_CALLS = {  # continuous functions of one argument, finite everywhere after the argument has been bounded
    "Exp(Sin({}))": lambda f: np.exp(np.sin(f)),
    "Log(2+Cos({}))": lambda f: np.log(2 + np.cos(f)),
    "Sqrt(1+Square({}))": lambda f: np.sqrt(1 + f * f),
    "Rsqrt(1+Square({}))": lambda f: 1 / np.sqrt(1 + f * f),
    "Inv(2-Sin({}))": lambda f: 1 / (2 - np.sin(f)),
    "Atan({})": np.arctan,
    "Abs({})": np.abs,
    "ReLU({})": lambda f: np.maximum(f, 0),
    "ClampInt({},-1,2)": lambda f: np.clip(f, -1, 2),
    "Square({})": lambda f: f * f,
    "Minus({})": lambda f: -f,
    "-{}": lambda f: -f,
    "{}**2": lambda f: f * f,
    "{}**3": lambda f: f**3,
    "(2+Sin({}))**-0.5": lambda f: (2 + np.sin(f)) ** -0.5,
    "2*{}": lambda f: 2 * f,
    "0.1*{}": lambda f: 0.1 * f,
    "{}/3": lambda f: f / 3,
    "{}/-4": lambda f: -f / 4,
    "1+{}": lambda f: 1 + f,
    "{}-1.5": lambda f: f - 1.5,
    "0*{}": lambda f: 0 * f,
    "1*{}": lambda f: f,
    "{}+0": lambda f: f,
}
_OPERATORS = {
    "{}+{}": np.add,
    "{}-{}": np.subtract,
    "{}*{}": np.multiply,
    "{}/(2+Sin({}))": lambda f, g: f / (2 + np.sin(g)),
    "Clamp({},-1,1+Square({}))": lambda f, g: np.clip(f, -1, 1 + g * g),
    "Factorize({},{})": lambda f, g: f,
}
_REDUCERS = {
    "Sum({})": lambda f: f.sum(1, keepdims=True),
    "SqNorm2({})": lambda f: (f * f).sum(1, keepdims=True),
    "Norm2({})": lambda f: np.linalg.norm(f, axis=1, keepdims=True),
    "Max({})": lambda f: f.max(1, keepdims=True),
    "Min({})": lambda f: f.min(1, keepdims=True),
    "Elem({},0)": lambda f: f[:, :1],
    "({}|2)": lambda f: 2 * f.sum(1, keepdims=True),
}
_PAIRS = {
    "({}|{})": lambda f, g: (f * g).sum(1, keepdims=True),
    "SqDist({},{})": lambda f, g: ((f - g) ** 2).sum(1, keepdims=True),
    "Scalprod({},{})": lambda f, g: (f * g).sum(1, keepdims=True),
}


@st.composite
def texts(draw, dims, depth=4, max_dim=12):
    """A random formula as text, written so that much of it can be simplified.

    Parameters
    ----------
    dims : mapping of str to int
        The variables and their dims.
    depth : int
        How deeply operations nest at most.
    max_dim : int
        The largest dim of a sub-formula.
    """
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        name = draw(st.sampled_from(sorted(dims)))
        return Written(name, dims[name], lambda arrays: arrays[name])
    inner = texts(dims, depth - 1, max_dim)
    f = draw(inner)
    kind = draw(st.integers(0, 5))
    if kind <= 1:
        form, function = draw(st.sampled_from(sorted(_CALLS.items(), key=str)))
        return Written(f"({form.format(f'({f.text})')})", f.dim, lambda arrays: function(f.value(arrays)))
    if kind == 2:
        return _structured(draw, f, max_dim)
    g = draw(st.one_of(inner, st.just(f)))
    if kind == 5:
        if f.dim + g.dim <= max_dim and draw(st.booleans()):
            text = f"Concat({f.text},{g.text})"
            return Written(text, f.dim + g.dim, lambda arrays: np.hstack([f.value(arrays), g.value(arrays)]))
        if f.dim * g.dim <= max_dim:
            text = f"TensorProd({f.text},{g.text})"
            return Written(text, f.dim * g.dim, lambda arrays: _outer(f.value(arrays), g.value(arrays)))
    if f.dim != g.dim and 1 not in (f.dim, g.dim):
        return f
    table = _OPERATORS if kind == 3 else _PAIRS
    form, function = draw(st.sampled_from(sorted(table.items(), key=str)))
    dim = 1 if kind != 3 else f.dim if form.startswith("Factorize") else max(f.dim, g.dim)
    text = f"({form.format(f'({f.text})', f'({g.text})')})"
    return Written(text, dim, lambda arrays: function(f.value(arrays), g.value(arrays)))


def _outer(f, g):
    return (f[:, :, None] * g[:, None, :]).reshape(len(f), -1)


def _structured(draw, f, max_dim):
    """Selections and reductions of one argument."""
    kind = draw(st.integers(0, 4))
    if f.dim == 1 and kind in (0, 1):
        n = draw(st.integers(1, 4))
        m = draw(st.integers(0, n - 1))
        if kind == 0:
            return Written(f"SumT({f.text},{n})", n, lambda arrays: np.repeat(f.value(arrays), n, 1))
        return Written(f"ElemT({f.text},{n},{m})", n, lambda arrays: f.value(arrays) * np.eye(n)[m])
    if kind == 2:
        start = draw(st.integers(0, f.dim - 1))
        d = draw(st.integers(1, f.dim - start))
        return Written(f"Extract({f.text},{start},{d})", d, lambda arrays: f.value(arrays)[:, start : start + d])
    if kind == 3 and f.dim + 2 <= max_dim:
        before = draw(st.integers(0, 2))
        text = f"ExtractT({f.text},{before},{f.dim + 2})"
        return Written(text, f.dim + 2, lambda arrays: np.pad(f.value(arrays), ((0, 0), (before, 2 - before))))
    form, function = draw(st.sampled_from(sorted(_REDUCERS.items(), key=str)))
    return Written(form.format(f"({f.text})"), 1, lambda arrays: function(f.value(arrays)))
