"""Expressions of long vectors as loops over their components.

Numbers (expressions of dim 1) are computed once, vectors never stored: a component is computed where it is read, from
components of the arguments. That suits what long vectors are mostly for, distances and scalar products. A chain of matrix
products is correct and slow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod

from skkeops.formula.expression import Constant, Expression, Variable
from skkeops.formula.operations.families import Bilinear, Contraction, Selection

from .expressions import address, literal

__all__ = ["LoopBlock"]


class LoopBlock:
    """A block of statements under construction, like `expressions.Block`, for vectors of any length.

    Parameters
    ----------
    real, prefix, index, arrays
        As for `expressions.Block`.
    outside : callable
        As for `expressions.Block`; it is asked for numbers alone.
    """

    started = False  # nothing is ever added to a sum

    def __init__(
        self,
        real: str,
        prefix: str,
        outside: Callable[[Expression, int], str | None] = lambda node, k: None,
        index: dict[int, str] | None = None,
        arrays: dict[Variable, str] | None = None,
    ):
        self.real = real
        self.prefix = prefix
        self.lines: list[str] = []
        self._outside = outside
        self._index = index or {}
        self._arrays = arrays or {}
        self._numbers: dict[Expression, str] = {}
        self._count = 0

    def compute(self, roots: Iterable[tuple[Expression, int | str]]) -> list[str]:
        """Emit what the components need; return their texts. The number of a component may be the text of an int."""
        roots = list(roots)
        self.compute_numbers([node for node, _ in roots])
        return [self._numbers[node] if node.dim == 1 else self._name(self.component(node, str(k))) for node, k in roots]

    def compute_numbers(self, roots: Sequence[Expression]) -> None:
        """Emit the numbers that the expressions need."""
        for node in self._order(roots):
            if node.dim == 1 and node not in self._numbers:
                self._numbers[node] = self._number(node)

    def _order(self, roots: Sequence[Expression]) -> list[Expression]:
        """What is to be computed here, arguments first."""
        order: list[Expression] = []
        done: set[Expression] = set()
        stack = [(root, False) for root in reversed(roots)]
        while stack:
            node, ready = stack.pop()
            if ready:
                order.append(node)
            elif node not in done:
                done.add(node)
                if node.dim == 1 and not isinstance(node, Constant):
                    text = self._outside(node, 0)
                    if text is not None:
                        self._numbers[node] = text
                        continue
                stack.append((node, True))
                stack.extend((arg, False) for arg in reversed(node.args))
        return order

    def _number(self, node: Expression) -> str:
        if isinstance(node, Constant):
            return literal(float(node), self.real)
        if isinstance(node, Variable):
            return self._name(self.component(node, "0"))
        if isinstance(node, Selection):
            chosen = node.selection()[0]
            return "(real)0" if chosen is None else self._name(self.component(node.args[chosen[0]], str(chosen[1])))
        if isinstance(node, Bilinear):
            return self._product(node, "0")
        if isinstance(node, Contraction):
            return self._contraction(node)
        values = [self._numbers[arg] for arg in node.args]
        return self._name(node.cuda.format(*values, real="real", k=0, **node.cuda_places()))

    def component(self, node: Expression, k: str) -> str:
        """The text of component ``k``, after statements that it needs."""
        if node in self._numbers:
            return self._numbers[node]
        if isinstance(node, Constant):
            return literal(float(node), self.real)
        if isinstance(node, Variable):
            return address(node, self._arrays[node], self._index, f"({k})")
        if isinstance(node, Selection):
            return self._selection(node, k)
        if isinstance(node, Bilinear):
            return self._product(node, k)
        values = [self._name(self.component(arg, k)) for arg in node.args]
        return self._name(node.cuda.format(*values, real="real", k=f"({k})", **node.cuda_places()))

    def _selection(self, node: Selection, k: str) -> str:
        return self._name(self._choose(node, node.selection(), k))

    def _choose(self, node: Selection, table: Sequence[tuple[int, int] | None], k: str) -> str:
        """The text of entry k of a table of components."""
        runs = _runs(table)
        if len(runs) > _MOST_RUNS and len(table) % 2 == 0:  # interleaved, as complex numbers are
            even, odd = (self._choose(node, table[part::2], f"({k}) / 2") for part in (0, 1))
            return f"(({k}) % 2 == 0 ? {even} : {odd})"
        texts = []
        for first, last, chosen, step in runs:
            if chosen is None:
                texts.append((last, "(real)0"))
                continue
            argument, component = chosen
            at = f"{component}"
            if step:
                # within the run even where another run is chosen, so that nothing outside the arrays is read
                within = f"min(max(({k}) - {first}, 0), {last - first - 1})"
                at = f"{within} * {step} + {component}"
            texts.append((last, self.component(node.args[argument], at)))
        text = texts[-1][1]
        for last, other in reversed(texts[:-1]):
            text = f"(({k}) < {last} ? {other} : {text})"
        return text

    def _contraction(self, node: Contraction) -> str:
        (f,) = node.args
        k, total = self._fresh("k"), self._fresh()
        if node.cuda_better is None:
            self.lines.append(f"real {total} = (real)0;")
            self._open(k, f.dim)
            self.lines.append(f"{total} += {self.component(f, k)};")
            self.lines.append("}")
            return total
        place = self._fresh("p")
        first = self.component(f, "0")
        self.lines.append(f"real {total} = {first}, {place} = (real)0;")
        self._open(k, f.dim, 1)
        value = self._name(self.component(f, k))
        self.lines.append(f"if ({value} {node.cuda_better} {total}) {{ {total} = {value}; {place} = (real){k}; }}")
        self.lines.append("}")
        return place if node.returns_place else total

    def _product(self, node: Bilinear, k: str) -> str:
        dims_f, dims_g, cont_f, cont_g, perm = node.tensors()
        kept_f = [axis for axis in range(len(dims_f)) if axis not in cont_f]
        kept_g = [axis for axis in range(len(dims_g)) if axis not in cont_g]
        shape = [0] * len(perm)
        for place, size in zip(perm, [dims_f[a] for a in kept_f] + [dims_g[a] for a in kept_g], strict=True):
            shape[place] = size
        places = _digits(k, shape)
        strides_f, strides_g = _strides(dims_f), _strides(dims_g)
        at_f = [(places[perm[q]], strides_f[axis]) for q, axis in enumerate(kept_f)]
        at_g = [(places[perm[len(kept_f) + q]], strides_g[axis]) for q, axis in enumerate(kept_g)]
        inner = [dims_f[axis] for axis in cont_f]
        loop, total = self._fresh("k"), self._fresh()
        digits = _digits(loop, inner)
        at_f += list(zip(digits, [strides_f[axis] for axis in cont_f], strict=True))
        at_g += list(zip(digits, [strides_g[axis] for axis in cont_g], strict=True))
        self.lines.append(f"real {total} = (real)0;")
        self._open(loop, prod(inner))
        f, g = (self.component(arg, _affine(at)) for arg, at in zip(node.args, (at_f, at_g), strict=True))
        self.lines.append(f"{total} += {f} * {g};")
        self.lines.append("}")
        return total

    def _open(self, k: str, stop: int, start: int = 0) -> None:
        self.lines.append("#pragma unroll 4")
        self.lines.append(f"for (int {k} = {start}; {k} < {stop}; ++{k}) {{")

    def _fresh(self, kind: str = "") -> str:
        self._count += 1
        return f"{self.prefix}{kind}{self._count}"

    def _name(self, value: str) -> str:
        name = self._fresh()
        self.lines.append(f"const real {name} = {value};")
        return name


_MOST_RUNS = 8


def _runs(table: Sequence[tuple[int, int] | None]) -> list[tuple[int, int, tuple[int, int] | None, int]]:
    """A selection as runs ``(first, end, what its first component is, step)``."""
    runs = []
    start = 0
    while start < len(table):
        chosen = table[start]
        end, step = start + 1, 0
        if chosen is None:
            while end < len(table) and table[end] is None:
                end += 1
        else:
            following = table[end] if end < len(table) else None
            if following is not None and following[0] == chosen[0]:
                step = following[1] - chosen[1]
                while end < len(table) and table[end] == (chosen[0], chosen[1] + step * (end - start)):
                    end += 1
        runs.append((start, end, chosen, step))
        start = end
    return runs


def _strides(dims: Sequence[int]) -> list[int]:
    return [prod(dims[k + 1 :]) for k in range(len(dims))]


def _digits(k: str, shape: Sequence[int]) -> list[str]:
    """The multi-index of the flat index ``k``."""
    if len(shape) == 1:
        return [f"({k})"]
    digits = []
    for axis, stride in enumerate(_strides(shape)):
        digit = f"({k}) / {stride}" if stride > 1 else f"({k})"
        digits.append(f"({digit} % {shape[axis]})" if axis else f"({digit})")
    return digits


def _affine(terms: Sequence[tuple[str, int]]) -> str:
    return " + ".join(digit if stride == 1 else f"{digit} * {stride}" for digit, stride in terms) or "0"
