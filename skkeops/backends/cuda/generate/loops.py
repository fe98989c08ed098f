"""Expressions of long vectors as loops over their components.

Numbers (expressions of dim 1) are computed once. Vectors are not stored: a component is computed where it is read, from
components of the arguments, once for all that read the same one in a loop. That suits what long vectors are mostly for,
distances and scalar products. A vector is stored if many read it, in other loops or other components: a source would
grow exponentially with the depth of the formula otherwise. A chain of matrix products is correct and slow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import NamedTuple

from skkeops.formula.expression import Constant, Expression, Variable
from skkeops.formula.operations.families import Bilinear, Contraction, Selection
from skkeops.plan.selections import Chosen, Run, runs_in_order

from .expressions import address, literal

__all__ = ["LoopBlock"]


class Index(NamedTuple):
    """The number of a component: ``base * times + plus``, kept between two bounds. Of those that are the same number there is one
    form, by which what was computed is found again.

    Attributes
    ----------
    base : str
        A variable of the source, from 0 to ``last``; "" for a number.
    last, times, plus, low, high : int
    """

    base: str
    last: int
    times: int
    plus: int
    low: int
    high: int

    @classmethod
    def number(cls, value: int) -> Index:
        return cls("", 0, 0, value, value, value)

    @classmethod
    def of(cls, base: str, size: int) -> Index:
        """A variable of the source that is below ``size``."""
        return cls(base, size - 1, 1, 0, 0, size - 1) if size > 1 else cls.number(0)

    def affine(self, times: int, plus: int) -> Index:
        """The index times a number, plus a number."""
        low, high = sorted((self.low * times + plus, self.high * times + plus))
        if low == high:
            return Index.number(low)
        return Index(self.base, self.last, self.times * times, self.plus * times + plus, low, high)

    def within(self, low: int, high: int) -> Index:
        """The index, kept between two bounds."""
        low, high = (min(max(bound, self.low), self.high) for bound in (low, high))
        return Index.number(low) if low == high else self._replace(low=low, high=high)

    def __str__(self) -> str:
        if not self.base:
            return str(self.plus)
        text = self.base if self.times == 1 else f"{self.base} * {self.times}"
        text += f" + {self.plus}" if self.plus > 0 else f" - {-self.plus}" if self.plus else ""
        ends = sorted((self.plus, self.last * self.times + self.plus))
        if self.low > ends[0]:
            text = f"max({text}, {self.low})"
        return f"min({text}, {self.high})" if self.high < ends[1] else text


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
        self._vectors: dict[Expression, str] = {}  # the arrays of those that are stored
        self._count = 0
        self._scopes: list[dict[object, str]] = [{}]  # what has a name, in each of the open loops

    def compute(self, roots: Iterable[tuple[Expression, int | str]]) -> list[str]:
        """Emit what the components need; return their texts. The number of a component may be the text of an int."""
        roots = list(roots)
        self.compute_numbers([node for node, _ in roots])
        return [
            self._numbers[node] if node.dim == 1 else self._name(self._component(node, self._index_of(k, node.dim)))
            for node, k in roots
        ]

    def compute_numbers(self, roots: Sequence[Expression]) -> None:
        """Emit the numbers that the expressions need."""
        self._scopes = [{}]
        order = self._order(roots)
        stored = _read_often(order, roots)
        for node in order:
            if node.dim == 1 and node not in self._numbers:
                self._numbers[node] = self._number(node)
            elif node in stored and node not in self._vectors:
                name, k = self._fresh("s"), self._fresh("k")
                self.lines.append(f"real {name}[{node.dim}];")
                self._open(k, node.dim)
                self.lines.append(f"{name}[{k}] = {self._computed(node, Index.of(k, node.dim))};")
                self._close()
                self._vectors[node] = name

    def component(self, node: Expression, k: str) -> str:
        """The text of component ``k``, after statements that it needs; whoever calls may be within a block of his own."""
        self._scopes = [{}]
        return self._component(node, self._index_of(k, node.dim))

    def _index_of(self, k: int | str, size: int) -> Index:
        text = str(k)
        return Index.number(int(text)) if text.isdecimal() else self._part_of_index(text, size)

    def _part_of_index(self, text: str, size: int) -> Index:
        """What an expression of the source, which is below ``size``, is as an index."""
        return Index.of(text if text.isidentifier() else self._once(text, text, "const int", "n"), size)

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
            return self._name(address(node, self._arrays[node], self._index, "0"))
        if isinstance(node, Selection):
            chosen = node.selection()[0]
            return "(real)0" if chosen is None else self._component(node.args[chosen[0]], Index.number(chosen[1]))
        if isinstance(node, Bilinear):
            return self._product(node, Index.number(0))
        if isinstance(node, Contraction):
            return self._contraction(node)
        values = [self._numbers[arg] for arg in node.args]
        return self._name(node.cuda.format(*values, real="real", k=0, **node.cuda_places()))

    def _component(self, node: Expression, k: Index) -> str:
        """The text of component ``k``, after statements that it needs."""
        if node in self._numbers:
            return self._numbers[node]
        if isinstance(node, Constant):
            return literal(float(node), self.real)
        if node in self._vectors:
            return f"{self._vectors[node]}[{k}]"
        found = self._find((node, k))
        if found is None:
            found = self._scopes[-1][node, k] = self._computed(node, k)
        return found

    def _computed(self, node: Expression, k: Index) -> str:
        if isinstance(node, Variable):
            return self._name(address(node, self._arrays[node], self._index, f"({k})"))
        if isinstance(node, Selection):
            return self._choose(node, node.selection(), k)
        if isinstance(node, Bilinear):
            return self._product(node, k)
        values = [self._component(arg, k) for arg in node.args]
        return self._name(node.cuda.format(*values, real="real", k=f"({k})", **node.cuda_places()))

    def _choose(self, node: Selection, table: Sequence[Chosen], k: Index) -> str:
        """Entry k of a table of components."""
        if not k.base:
            chosen = table[k.plus]
            return "(real)0" if chosen is None else self._component(node.args[chosen[0]], Index.number(chosen[1]))
        runs = runs_in_order(table)
        if len(runs) > _MOST_RUNS and len(table) % 2 == 0:  # interleaved, as complex numbers are
            half = self._part_of_index(f"({k}) / 2", len(table) // 2)
            even, odd = (self._choose(node, table[part::2], half) for part in (0, 1))
            return self._name(f"(({k}) % 2 == 0 ? {even} : {odd})")
        text = ""
        for run in reversed(runs):
            if run.end <= k.low or run.first > k.high:
                continue
            other = "(real)0"
            if run.source is not None:
                other = self._component(node.args[run.source], _place(run, k))
            text = f"(({k}) < {run.end} ? {other} : {text})" if text else other
        return self._name(text) if "?" in text else text

    def _contraction(self, node: Contraction) -> str:
        (f,) = node.args
        k, total = self._fresh("k"), self._fresh()
        if node.cuda_better is None:
            self.lines.append(f"real {total} = (real)0;")
            self._open(k, f.dim)
            self.lines.append(f"{total} += {self._component(f, Index.of(k, f.dim))};")
            self._close()
            return total
        place = self._fresh("p")
        first = self._component(f, Index.number(0))
        self.lines.append(f"real {total} = {first}, {place} = (real)0;")
        self._open(k, f.dim, 1)
        value = self._component(f, Index.of(k, f.dim))
        self.lines.append(f"if ({value} {node.cuda_better} {total}) {{ {total} = {value}; {place} = (real){k}; }}")
        self._close()
        return place if node.returns_place else total

    def _product(self, node: Bilinear, k: Index) -> str:
        dims_f, dims_g, cont_f, cont_g, perm = node.tensors()
        kept_f = [axis for axis in range(len(dims_f)) if axis not in cont_f]
        kept_g = [axis for axis in range(len(dims_g)) if axis not in cont_g]
        shape = [0] * len(perm)
        for place, size in zip(perm, [dims_f[a] for a in kept_f] + [dims_g[a] for a in kept_g], strict=True):
            shape[place] = size
        places = _digits(str(k), shape)
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
        f, g = (
            self._component(arg, self._part_of_index(_affine(at), arg.dim))
            for arg, at in zip(node.args, (at_f, at_g), strict=True)
        )
        self.lines.append(f"{total} += {f} * {g};")
        self._close()
        return total

    def _open(self, k: str, stop: int, start: int = 0) -> None:
        self.lines.append("#pragma unroll 4")
        self.lines.append(f"for (int {k} = {start}; {k} < {stop}; ++{k}) {{")
        self._scopes.append({})

    def _close(self) -> None:
        self.lines.append("}")
        self._scopes.pop()

    def _find(self, key: object) -> str | None:
        return next((scope[key] for scope in reversed(self._scopes) if key in scope), None)

    def _once(self, key: object, value: str, kind: str = "const real", letter: str = "") -> str:
        """The name of a value, in all loops within the one that met it first."""
        found = self._find(key)
        if found is None:
            found = self._scopes[-1][key] = self._fresh(letter)
            self.lines.append(f"{kind} {found} = {value};")
        return found

    def _fresh(self, kind: str = "") -> str:
        self._count += 1
        return f"{self.prefix}{kind}{self._count}"

    def _name(self, value: str) -> str:
        return self._once(object(), value)


_MOST_RUNS = 8
_MOST_READ = 16  # components in which a vector is read that is not stored
_LONGEST = 4096  # that is stored


def _place(run: Run, k: Index) -> Index:
    """Of which component of the argument component k is: of one within the run even where k is not, so that nothing outside of
    the arrays is read."""
    return k.within(run.first, run.end - 1).affine(run.every, run.component - run.every * run.first)


def _read_often(order: Sequence[Expression], roots: Iterable[Expression]) -> set[Expression]:
    """The vectors that are to be stored, of nodes in the order of their computation."""
    read: dict[Expression, set[Index]] = {root: {Index.of("root", root.dim)} for root in roots}
    stored = set()
    for node in reversed(order):
        places = read.get(node, set())
        if _LONGEST >= node.dim > 1 and node.args and len(places) > _MOST_READ:
            stored.add(node)
            places = {Index.of(f"place{len(stored)}", node.dim)}
        for place in [Index.number(0)] if node.dim == 1 else places:
            for arg, component in _reads(node, place):
                read.setdefault(arg, set()).add(component)
    return stored


def _reads(node: Expression, k: Index) -> Iterable[tuple[Expression, Index]]:
    """Which components of which arguments are read for component k; those of a loop by a name of their own."""
    if isinstance(node, Selection):
        table = node.selection()
        if not k.base:
            chosen = table[k.plus]
            return [] if chosen is None else [(node.args[chosen[0]], Index.number(chosen[1]))]
        tables = [table]
        if len(runs_in_order(table)) > _MOST_RUNS and len(table) % 2 == 0:
            k, tables = Index.of(f"{k} / 2", len(table) // 2), [table[0::2], table[1::2]]
        runs = [run for table in tables for run in runs_in_order(table) if run.first <= k.high and run.end > k.low]
        return [(node.args[run.source], _place(run, k)) for run in runs if run.source is not None]
    if isinstance(node, (Bilinear, Contraction)):
        return [(arg, Index.of(f"{id(node)} {k} {n}", arg.dim)) for n, arg in enumerate(node.args)]
    return [(arg, k) for arg in node.args]


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
