"""Expressions as statements of CUDA C++, one component at a time.

Only components that somebody asks for are computed, each once. What a block of statements does not compute itself, it
asks of its surroundings: that is how values are hoisted out of the loop over pairs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np

from skkeops.formula.expression import IJ, Constant, Expression, I, J, P, Variable, postorder
from skkeops.formula.operations import Operation
from skkeops.formula.operations.families import Bilinear, Contraction, Elementwise, Selection

__all__ = ["Block", "Component", "address", "functions", "literal", "statements_cost"]

Component = tuple[Expression, int]
"""An expression and the number of one of its components."""


def literal(value: float, real: str) -> str:
    """A number as it is written in CUDA C++, rounded to the type ``real``."""
    with np.errstate(over="ignore"):
        value = float(np.float32(value)) if real == "float" else float(value)
    if np.isinf(value):
        return f"({'-' if value < 0 else ''}SKK_INF)"
    text = repr(value) + ("f" if real == "float" else "")
    return f"({text})" if text.startswith("-") else text


def arguments(node: Expression, component: int) -> Iterable[Component]:
    """The components of the arguments from which a component of an operation is computed."""
    if isinstance(node, Selection):
        chosen = node.selection()[component]
        return () if chosen is None else ((node.args[chosen[0]], chosen[1]),)
    if isinstance(node, Bilinear):
        f, g = node.args
        return [c for a, b in node.terms()[component] for c in ((f, a), (g, b))]
    if isinstance(node, Contraction):
        (f,) = node.args
        return [(f, k) for k in range(f.dim)]
    return [(arg, component if arg.dim > 1 else 0) for arg in node.args]


def address(node: Variable, array: str, index: dict[int, str], k: str) -> str:
    """A component of a variable as it is read from memory, given how its categories are indexed.

    Values of pairs that are not a row of ``index`` themselves have strides, the arguments ``array_i`` and ``array_j``; they may
    be booleans.
    """
    if node.category == IJ and IJ not in index:
        return f"(real){array}[{index[I]} * {array}_i + {index[J]} * {array}_j + {k}]"
    if node.category == P:
        return f"{array}[{k}]"
    row = index[node.category]
    return f"{array}[{row}]" if node.dim == 1 else f"{array}[{row} * {node.dim}LL + {k}]"


_FIRST = {I: "0", J: "0"}


def at_first_point(node: Expression) -> bool:
    """Whether the argument of an operation is to be taken at the first point of its index."""
    return getattr(node, "at_first_point", False)


class Block:
    """A block of statements under construction.

    Parameters
    ----------
    real : {"float", "double"}
    prefix : str
        Of the names of its values.
    outside : callable
        ``outside(expression, component)`` is the text of a component that the block does not compute, or None.
    index : dict of int to str
        How variables of a category are indexed, for blocks that read variables.
    arrays : dict of Variable to str
        The names of the arrays.
    start : tuple of Expression, int and str, optional
        A component, and a text that is added to it where that costs nothing: because it is a sum, whose first addition
        becomes a multiply-add. `started` tells whether that was possible.
    """

    def __init__(
        self,
        real: str,
        prefix: str,
        outside: Callable[[Expression, int], str | None] = lambda node, k: None,
        index: dict[int, str] | None = None,
        arrays: dict[Variable, str] | None = None,
        start: tuple[Expression, int, str] | None = None,
    ):
        self.real = real
        self.prefix = prefix
        self.lines: list[str] = []
        self._outside = outside
        self._index = index or {}
        self._arrays = arrays or {}
        self._names: dict[Component, str] = {}
        self._start = start
        self.started = False

    def compute(self, roots: Iterable[Component]) -> list[str]:
        """Emit what the components need; return their texts."""
        roots = list(roots)
        needed: dict[Expression, set[int]] = {}
        for node, k in roots:
            needed.setdefault(node, set()).add(k)
        order = postorder(*needed)
        for node in reversed(order):  # users before their arguments
            for k in needed.get(node, ()):
                if not self._known(node, k) and not at_first_point(node):
                    for arg, component in arguments(node, k):
                        needed.setdefault(arg, set()).add(component)
        for node in order:
            for k in sorted(needed.get(node, ())):
                if (node, k) not in self._names:
                    self._names[node, k] = self._emit(node, k)
        return [self._names[root] for root in roots]

    def _known(self, node: Expression, k: int) -> bool:
        if (node, k) in self._names:
            return True
        if isinstance(node, Constant):
            self._names[node, k] = literal(float(node), self.real)
            return True
        if isinstance(node, Selection):
            return False  # A selection computes nothing: its users read the components that it selects.
        text = self._outside(node, k)
        if text is not None:
            self._names[node, k] = text
        return text is not None

    def _emit(self, node: Expression, k: int) -> str:
        if isinstance(node, Variable):
            return self._name(self._load(node, k))
        if isinstance(node, Selection):
            chosen = node.selection()[k]
            return "(real)0" if chosen is None else self._names[node.args[chosen[0]], chosen[1]]
        if isinstance(node, Bilinear):
            f, g = node.args
            products = [f"{self._names[f, a]} * {self._names[g, b]}" for a, b in node.terms()[k]]
            return self._total(products, start=self._take_start(node, k))
        if isinstance(node, Contraction):
            return self._contraction(node, k, [self._names[c] for c in arguments(node, k)])
        assert isinstance(node, Operation), node
        if at_first_point(node):
            first = Block(self.real, f"{self.prefix}o{len(self.lines)}_", index=_FIRST, arrays=self._arrays)
            (value,) = first.compute([(node.args[0], k)])
            self.lines += first.lines
            return self._name(node.cuda.format(value, real="real"))
        if node.name == "Minus" and node.args[0].name == "Sum" and node.args[0].args[0].name != "Abs":
            (f,) = node.args[0].args  # -|a| - |b| would be more instructions than -(|a| + |b|)
            if all((f, m) in self._names for m in range(f.dim)):  # the sign goes into the multiply-adds
                return self._total([self._names[f, m] for m in range(f.dim)], "-", self._take_start(node, k))
        template = node.cuda
        assert template is not None, f"{node.name} has no CUDA rule"
        values = [self._names[arg, k if arg.dim > 1 else 0] for arg in node.args]
        return self._name(template.format(*values, real="real", k=k, **node.cuda_places()))

    def _take_start(self, node: Expression, k: int) -> str | None:
        if self._start is None or self._start[:2] != (node, k):
            return None
        self.started = True
        return self._start[2]

    def _contraction(self, node: Contraction, k: int, values: list[str]) -> str:
        if node.cuda_better is None:
            return self._total(values, start=self._take_start(node, k))
        value, index = f"{self.prefix}{len(self.lines)}", f"{self.prefix}i{len(self.lines)}"
        lines = [f"real {value} = {values[0]}, {index} = (real)0;"]
        for m, other in enumerate(values[1:], 1):
            lines.append(f"if ({other} {node.cuda_better} {value}) {{ {value} = {other}; {index} = (real){m}; }}")
        self.lines.append(" ".join(lines))
        return index if node.returns_place else value

    def _total(self, terms: list[str], sign: str = "+", start: str | None = None) -> str:
        """The sum of the terms, or its negative, one multiply-add after the other."""
        if not terms:
            return "(real)0"
        first = f"-({terms[0]})" if sign == "-" else terms[0]
        if start is not None:
            first = f"{start} {sign} {terms[0]}"
        if len(terms) == 1:
            return self._name(first)
        name = f"{self.prefix}{len(self.lines)}"
        self.lines.append(f"real {name} = {first};" + "".join(f" {name} {sign}= {term};" for term in terms[1:]))
        return name

    def _load(self, node: Variable, k: int) -> str:
        return address(node, self._arrays[node], self._index, str(k))

    def _name(self, value: str) -> str:
        name = f"{self.prefix}{len(self.lines)}"
        self.lines.append(f"const real {name} = {value};")
        return name


#: Library functions that are expanded where they are called, and about how many instructions each has.
_EXPANDED = {
    "float": {"pow": 120, "sin": 90, "cos": 90, "atan2": 50, "acos": 30, "asin": 30, "atan": 25, "log": 20, "fmod": 60,
              "sinxdivx": 150, "expm1": 20, "log1p": 25, "sinh": 30, "cosh": 15, "erf": 25, "erfc": 40, "lgamma": 120, "tanh": 30,
              "sech": 12, "logistic": 10, "softplus": 30, "polygamma": 300},
    "double": {"pow": 300, "sin": 120, "cos": 120, "atan2": 90, "acos": 70, "asin": 70, "atan": 50, "log": 40, "exp": 20,
               "exp2": 20, "sqrt": 20, "fmod": 120, "sinxdivx": 250, "/": 15,
               "expm1": 40, "log1p": 50, "sinh": 60, "cosh": 40, "erf": 60, "erfc": 90, "lgamma": 250, "tanh": 60, "sech": 40,
               "logistic": 40, "softplus": 80, "polygamma": 300},
}  # fmt: skip
_CALLS = re.compile(
    r"\b(pow|sin|cos|atan2|acos|asin|atan|log|exp|exp2|sqrt|fmod|expm1|log1p|sinh|cosh|erf|erfc|lgamma)\(|skk_(exp)\("
    r"|skkeops_(sinxdivx|tanh|sech|logistic|softplus|polygamma)|( / )"
)


def statements_cost(lines: Iterable[str], real: str) -> int:
    """The number of instructions of statements, about."""
    total = 0
    for line in lines:
        total += line.count(";")
        for found in _CALLS.findall(line):
            total += _EXPANDED[real].get("".join(found).strip(), 1)
    return total


def functions(roots: Iterable[Expression]) -> str:
    """The device functions that the operations below call."""
    found = {node.cuda_functions for node in postorder(*roots) if isinstance(node, Elementwise)}
    return "".join(sorted(found))
