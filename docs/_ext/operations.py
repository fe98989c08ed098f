"""The facts about an operation, all taken from its one definition in `skkeops.formula.operations`."""

from __future__ import annotations

import inspect
import itertools
import re
import sys
from fractions import Fraction

import numpy as np

from skkeops import FormulaError, Genred
from skkeops.formula import operations as ops
from skkeops.formula import parser
from skkeops.formula.derivative import gradient
from skkeops.formula.expression import I, Variable

EDGES = (-np.inf, -1.0, 0.0, 1.0, np.inf, np.nan)


def by_module() -> dict[str, list]:
    """Return the operations of each module that defines some, in the order of the source."""
    found: dict[str, list] = {}
    for operation in ops.registry.values():
        found.setdefault(_code(operation).__module__, []).append(operation)
    return {name: sorted(found[name], key=_line) for name in sorted(found, key=_order)}


def title(module: str) -> str:
    """Return the first sentence of a module's docstring, without its point."""
    return inspect.getdoc(sys.modules[module]).split("\n")[0].rstrip(".")


def signature(operation) -> str:
    """Return how an operation is called, as ``Clamp(f, a, b)``."""
    names = [*operation.arguments, *operation.parameters]
    required = len(names) - operation.optional
    text = ", ".join(names[:required])
    for name in names[required:]:
        text += f"[, {name}]" if text else f"[{name}]"
    return f"{operation.name}({text})"


def operator(operation) -> str | None:
    """Return how an operation is written between its arguments, or before the one, as ``f + g``."""
    if operation.name == "Minus":
        return "-f"
    names = operation.arguments
    found = [
        f"{names[1]} {sign} {names[0]}" if infix.swapped else f"{names[0]} {sign} {names[1]}"
        for sign, infix in parser._INFIX.items()
        if infix.operation == operation.name
    ]
    return "``, ``".join(found) or None


def meaning(operation) -> str:
    """Return the docstring on one line, without the call that it begins with."""
    text = " ".join(inspect.getdoc(operation).split())
    call = re.match(rf"``{operation.name}\([^`=]*\)``(, also written ``[^`]*``)?: ", text)
    return text if call is None else text[call.end() :]


# -- dims -----------------------------------------------------------------------------------------------------------

# What the dims of one, two or three arguments can be, the most general first. A dim is a product of powers of D and E.
_PATTERNS = {
    1: ["D", "1", "2D"],
    2: ["D E", "DE E", "D DE", "D D", "1 D", "D² D", "D 1", "2D 2D", "2D 2", "1 2D", "1 1"],
    3: ["D E 1", "D E D", "D E E", "D D D", "1 D D", "1 D 1"],
}
_SIZES = ((3, 5), (5, 7))


def _value(symbol: str, d: int, e: int) -> int:
    factors = {"1": 1, "2": 2, "D": d, "E": e, "DE": d * e, "D²": d * d, "2D": 2 * d, "2E": 2 * e}
    return factors[symbol]


def dims(operation) -> str:
    """Return the dims of the arguments and that of the result, as ``D, E → D E``."""
    if isinstance(operation, type) and issubclass(operation, ops.Elementwise):
        return "D → D" if len(operation.arguments) == 1 else ", ".join("D" * len(operation.arguments)) + " → D"
    for pattern in _PATTERNS.get(len(operation.arguments), []):
        symbols = pattern.split()
        found = [_build(operation, [_value(s, d, e) for s in symbols]) for d, e in _SIZES]
        if None in found:
            continue
        result = _symbol(operation, symbols, found)
        if result is not None:
            return f"{', '.join(map(_pretty, symbols))} → {_pretty(result)}"
    return ""


def _symbol(operation, symbols: list[str], found: list) -> str | None:
    """Return the symbol of the result's dim, given what was built at both sizes."""
    candidates = [*symbols, "1", "2", "D", "E", "2D", "DE", "D²"]
    for symbol in candidates:
        if all(f.dim == _value(symbol, d, e) for (f, _), (d, e) in zip(found, _SIZES, strict=True)):
            varied = _varied(operation, symbols, symbol)
            return symbol if varied is None else varied
    sums = [sum(_value(s, *size) for s in symbols) for size in _SIZES]
    if [f.dim for f, _ in found] == sums:
        return " + ".join(symbols)
    return _varied(operation, symbols, None)


def _varied(operation, symbols: list[str], constant: str | None) -> str | None:
    """Return the parameter that the result's dim is, if it follows one."""
    for k, name in enumerate(operation.parameters):
        if name in operation.list_parameters:
            continue
        results = []
        for value in (7, 11, 13):
            others = [value if q == k else 1 for q in range(len(operation.parameters))]
            built = _build(operation, [_value(s, 3, 5) for s in symbols], [others])
            results.append(built[0].dim if built else None)
        if results == [7, 11, 13]:
            return name
        if k and results[0] is None:  # such as ``Extract(f, start, d)``, which d = 7 leaves
            small = [_build(operation, [_value("D", 13, 5)], [[0, d]]) for d in (2, 3)]
            if all(small) and [f.dim for f, _ in small] == [2, 3]:
                return name
    return constant


def _pretty(symbol: str) -> str:
    return {"DE": "D·E", "2E": "2E"}.get(symbol, symbol)


def _build(operation, sizes, tries=None):
    """Return (expression, (variables, parameters)) of an operation on variables of the given dims, None if it takes none
    such."""
    variables = [Variable(k, size, I) for k, size in enumerate(sizes)]
    if tries is None:
        names = operation.parameters[: len(operation.parameters) - operation.optional]
        lists = [[2, 3], [0]]
        choices = [lists if n in operation.list_parameters else [5 + k, 2 + k, 9, 1, 0] for k, n in enumerate(names)]
        places = itertools.product(*(range(len(c)) for c in choices))
        tries = [
            [c[k] for c, k in zip(choices, place, strict=True)]
            for place in sorted(places, key=lambda place: max(place, default=0))
        ]
    for params in tries:
        try:
            return operation.build(*variables, *params), (variables, params)  # the parameters that it took
        except (FormulaError, TypeError, ValueError):
            continue
    return None


# -- derivatives ----------------------------------------------------------------------------------------------------


def derivatives(operation) -> tuple[str, list[tuple[str, str]]]:
    """Return the call that was differentiated, if it shows in the result, and (argument, formula) pairs: partial
    derivatives where an operation works by components, else the gradient of ``operation | e``."""
    if not operation.arguments or _code(operation).__module__.endswith("calculus"):
        return "", []
    if isinstance(operation, type) and issubclass(operation, ops.Elementwise):
        expression, (variables, params) = _build(operation, [1] * len(operation.arguments))
        # As it is, not simplified for these parameters.
        expression = operation._new(tuple(variables), operation.check(tuple(variables), tuple(params)))
        names = dict(zip(variables, operation.arguments, strict=True))
        partials = [expression.partial(k) for k in range(len(variables))]
        texts = ["0" if partial is None else partial.to_text(names) for partial in partials]
        note = _call(operation, params) if params and texts != ["0"] else ""
        return note, list(zip(operation.arguments, texts, strict=True))
    for sizes in _samples(operation):
        built = _build(operation, sizes)
        if built is None:
            continue
        expression, (variables, params) = built
        names = dict(zip(variables, operation.arguments, strict=True))
        e = Variable(len(variables), expression.dim, I)
        texts = []
        for v in variables:
            slope = gradient(expression, v, e)
            texts.append("0" if slope.name == "Constant" else slope.to_text({**names, e: "e"}))
        if max(map(len, texts)) > 120:
            return "", []
        note = _call(operation, params) if params else ""
        if any(size > 1 for size in sizes):
            note += (", " if note else "") + "dims " + ", ".join(map(str, sizes))
        return note, list(zip(operation.arguments, texts, strict=True))
    return "", []


def _samples(operation) -> list[list[int]]:
    if operation.list_parameters:
        return [[6, 6]]
    one = [[6], [3], [1]] if operation.parameters else [[3], [6], [1]]
    two = [[6, 3], [3, 6], [3, 3], [6, 6], [6, 2], [1, 3], [1, 6], [9, 3], [1, 1]]
    return {1: one, 2: two, 3: [[3, 3, 3]]}[len(operation.arguments)]


def _call(operation, params) -> str:
    shown = [str(list(p) if isinstance(p, (tuple, list)) else p) for p in params]
    return f"``{operation.name}({', '.join([*operation.arguments, *shown])})``"


# -- edge values ----------------------------------------------------------------------------------------------------


def edges(operation) -> tuple[list[str], list[str]] | None:
    """Return the values and the derivatives of an operation of one argument at EDGES, from the reference backend."""
    if not (isinstance(operation, type) and issubclass(operation, ops.Elementwise)):
        return None
    required = len(operation.arguments) + len(operation.parameters) - operation.optional
    if len(operation.arguments) != 1 or required != 1:
        return None
    x = np.array(EDGES)[:, None]
    f = Genred(f"{operation.name}(x)", ["x = Vi(1)"], axis=1)
    with np.errstate(all="ignore"):
        values = f(x, backend="reference")[:, 0]
        slopes = f.gradient(x, wrt="x", backend="reference")[:, 0]
    return [number(v) for v in values], [number(v) for v in slopes]


def number(value: float) -> str:
    """Return a number as a reader writes it."""
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    near = Fraction(value).limit_denominator(4)
    text = str(int(value)) if value == int(value) else (f"{float(near):g}" if abs(near - value) < 1e-12 else f"{value:.3f}")
    return text.replace("-", "−")


def _code(operation):
    return operation if isinstance(operation, type) else operation.function


def _line(operation) -> int:
    return inspect.getsourcelines(_code(operation))[1]


_FIRST = "arithmetic powers transcendental piecewise vectors norms products selections splines".split()
_LAST = "calculus literals".split()


def _order(module: str) -> tuple:
    name = module.rpartition(".")[2]
    if name in _FIRST:
        return 0, _FIRST.index(name)
    return (2, _LAST.index(name)) if name in _LAST else (1, name)
