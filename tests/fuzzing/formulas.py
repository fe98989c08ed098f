"""Formulas, layouts and special values: every backend beside long doubles.

The truth is NumPy's, in long doubles, by the table below, which shares nothing with the package. How far a result may be from it is
found by rounding: the formula is evaluated again with every intermediate value moved by an ulp or two of the dtype, at random.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skkeops import Genred

from .data import LAYOUTS, laid_out, literal, values

LONG = np.longdouble


def _sinc(f):
    quotient = np.sin(f) / np.where(f == 0, LONG(1), f)
    return np.where(f == 0, LONG(1), np.where(np.isinf(f), LONG(0), quotient))  # the limits


def _xlogx(f):
    return np.where(f == 0, LONG(0), f * np.log(np.where(f == 0, LONG(1), f)))


#: Of one argument, component by component: text, value, whether it is smooth.
UNARY = {
    "Exp({})": (np.exp, True),
    "Log({})": (np.log, True),
    "Sin({})": (np.sin, True),
    "Cos({})": (np.cos, True),
    "Atan({})": (np.arctan, True),
    "Abs({})": (np.abs, False),
    "Sqrt({})": (np.sqrt, True),
    "Square({})": (np.square, True),
    "Inv({})": (lambda f: 1 / f, True),
    "Rsqrt({})": (lambda f: np.where(f == 0, LONG(0), 1 / np.sqrt(f)), True),
    "(-{})": (np.negative, True),
    "Sign({})": (lambda f: np.where(np.isnan(f), LONG(0), np.sign(f)), False),
    "Step({})": (lambda f: np.where(f < 0, LONG(0), LONG(1)), False),
    "ReLU({})": (lambda f: np.where(f < 0, LONG(0), f), False),
    "Floor({})": (np.floor, False),
    "SinXDivX({})": (_sinc, True),
    "XLogX({})": (_xlogx, True),
    "Pow({},3)": (lambda f: f**3, True),
    "Pow({},-2)": (lambda f: 1 / (f * f), True),
    "Clamp({},-0.5,1.25)": (lambda f: np.where(f < -0.5, LONG(-0.5), np.where(f > 1.25, LONG(1.25), f)), False),
    "(0.3*{})": (lambda f: f * LONG(3) / LONG(10), True),
    "({}+2)": (lambda f: f + 2, True),
    "(1-{})": (lambda f: 1 - f, True),
}
BINARY = {
    "({}+{})": (np.add, True),
    "({}-{})": (np.subtract, True),
    "({}*{})": (np.multiply, True),
    "({}/{})": (np.divide, True),
    "({}<{})": (lambda f, g: (f < g).astype(LONG), False),
    "({}<={})": (lambda f, g: (f <= g).astype(LONG), False),
    "({}=={})": (lambda f, g: (f == g).astype(LONG), False),
    "Atan2({},{})": (np.arctan2, True),
    "Powf(Abs({}),{})": (lambda f, g: np.power(np.abs(f), g), False),
}
#: Of any dim to dim 1.
CONTRACTIONS = {
    "Sum({})": (lambda f: f.sum(-1, keepdims=True), True),
    "SqNorm2({})": (lambda f: (f * f).sum(-1, keepdims=True), True),
    "Norm2({})": (lambda f: np.sqrt((f * f).sum(-1, keepdims=True)), True),
    "Elem({},0)": (lambda f: f[..., :1], True),
}
PAIRS = {
    "SqDist({},{})": (lambda f, g: ((f - g) ** 2).sum(-1, keepdims=True), True),
    "({}|{})": (lambda f, g: (f * g).sum(-1, keepdims=True), True),
}
CHOICE = "IfElse({},{},{})", (lambda f, a, b: np.where(f >= 0, a, b), False)
#: What is squared on the way, whose square leaves the range before the result does.
SQUARED = ("SqNorm2({})", "Norm2({})", "SqDist({},{})", "Pow({},-2)", "Square({})")
#: The sum of the absolute values of what is added, each of which is rounded.
ADDED = {
    "Sum({})": lambda f: np.abs(f).sum(-1, keepdims=True),
    "SqNorm2({})": lambda f: (f * f).sum(-1, keepdims=True),
    "({}|{})": lambda f, g: np.abs(f * g).sum(-1, keepdims=True),
}
LETTERS = ("Vi", "Vj", "Pm", "Vij")
FOLDS = ("Sum", "Sum", "Sum", "LogSumExp", "Max", "Min", "ArgMin", "KMin_ArgKMin", "SumSoftMaxWeight")


@dataclass(frozen=True)
class Node:
    """A formula: its text with places for those of the children, its value, its dim."""

    text: str
    children: tuple
    dim: int
    function: Any = None
    smooth: bool = True

    def __str__(self):
        return self.text.format(*self.children)

    def nodes(self):
        for child in self.children:
            yield from child.nodes()
        yield self

    def parts(self):
        """Yield smaller formulas of the same dim."""
        for child in self.children:
            if child.dim == self.dim:
                yield child
            yield from child.parts() if child.dim == self.dim else ()
        for k, child in enumerate(self.children):
            for part in child.parts():
                yield replace(self, children=(*self.children[:k], part, *self.children[k + 1 :]))


def random_node(rng, leaves, depth, dim):
    """Return a random formula of a dim (1 or that of the vectors)."""
    if depth == 0 or rng.random() < 0.12:
        fitting = [leaf for leaf in leaves if leaf.dim in (1, dim)]
        of_dim = [leaf for leaf in fitting if leaf.dim == dim]
        return of_dim[rng.integers(len(of_dim))]

    def pick(table):
        names = list(table)
        name = names[rng.integers(len(names))]
        return name, table[name]

    kind = rng.random()
    if dim == 1 and kind < 0.3:
        wide = max(leaf.dim for leaf in leaves)
        if rng.random() < 0.5:
            name, (function, smooth) = pick(CONTRACTIONS)
            return Node(name, (random_node(rng, leaves, depth - 1, wide),), 1, function, smooth)
        name, (function, smooth) = pick(PAIRS)
        return Node(name, tuple(random_node(rng, leaves, depth - 1, wide) for _ in range(2)), 1, function, smooth)
    if kind < 0.6:
        name, (function, smooth) = pick(UNARY)
        return Node(name, (random_node(rng, leaves, depth - 1, dim),), dim, function, smooth)
    if kind < 0.68:
        name, (function, smooth) = CHOICE
        return Node(name, tuple(random_node(rng, leaves, depth - 1, dim) for _ in range(3)), dim, function, smooth)
    name, (function, smooth) = pick(BINARY)
    dims = (dim, dim) if rng.random() < 0.7 else (1, dim) if rng.random() < 0.5 else (dim, 1)
    return Node(name, tuple(random_node(rng, leaves, depth - 1, d) for d in dims), dim, function, smooth)


class Range:
    """The pairs whose intermediate values leave the range of the dtype, where no one promises anything; or are above `most`."""

    def __init__(self, dtype, shape, most=np.inf):
        self.info = np.finfo(dtype)
        self.most = most
        self.left = np.zeros(shape, bool)

    def see(self, value):
        size = np.abs(value)
        with np.errstate(invalid="ignore"):
            bad = ((size > LONG(self.info.max) / 8) & np.isfinite(size)) | ((size < LONG(self.info.tiny) * 8) & (size > 0))
            bad |= (size > self.most) | (np.isnan(size) & (self.most < np.inf))
        self.left |= np.broadcast_to(bad.any(-1), self.left.shape)


def evaluate(node, given, rounding=None, seen=None, known=None):
    """Return the values of a formula at all pairs in long doubles; `rounding` moves each of them."""
    known = {} if known is None else known
    if node in known:
        return known[node]
    if not node.children:
        value = given[node.text]
    else:
        with np.errstate(all="ignore"):
            args = [evaluate(child, given, rounding, seen, known) for child in node.children]
            value = node.function(*args)
            if rounding is not None:
                size = ADDED[node.text](*args) if node.text in ADDED else value
                moved = np.where(np.isfinite(value), value + rounding(value.shape) * size, value)
                # a sum of negative zeros is +0 where it begins with one, as in NumPy
                value = np.where(size == 0, -value, moved) if node.text in ADDED else moved
    if seen is not None:
        seen.see(value)
        if node.text in ("Sin({})", "Cos({})", "SinXDivX({})"):  # an angle of which no digit is left
            seen.left |= np.broadcast_to((np.abs(args[0]) * seen.info.eps > 0.01).any(-1), seen.left.shape)
        if node.text in SQUARED:
            with np.errstate(all="ignore"):
                inner = args[0] - args[1] if len(args) > 1 else args[0]
                seen.see(inner * inner)
    known[node] = value
    return value


@dataclass(frozen=True)
class Case:
    """A call of Genred.

    `arguments` are (name, category, array, layout).
    """

    formula: Node
    weight: Node | None
    arguments: tuple
    op: str
    axis: int
    batched: bool = False

    def genred(self):
        aliases = [f"{name} = {LETTERS[category]}({array.shape[-1]})" for name, category, array, _ in self.arguments]
        options = {"opt_arg": 2} if self.op.startswith("KMin") else {}
        if self.weight is not None:
            options["formula2"] = str(self.weight)
        return Genred(str(self.formula), aliases, self.op, axis=self.axis, **options)

    def arrays(self):
        return [laid_out(array, layout) for _, _, array, layout in self.arguments]

    def program(self):
        lines = ["import numpy as np", "from skkeops import Genred", ""]
        for (name, _, _, layout), array in zip(self.arguments, self.arrays(), strict=True):
            lines.append(f"{name} = {literal(array)}  # {layout}")
        f = self.genred()
        names = ", ".join(name for name, *_ in self.arguments)
        return "\n".join([*lines, f"f = {f!r}", f"print(f({names}))", f"print(f({names}, backend='reference'))"])

    # What is true

    def check(self):
        """Return what is wrong, None if nothing is."""
        f, arrays = self.genred(), self.arrays()
        if self._sizes()[self.axis] < f.reduction.smallest_axis:
            return None
        dtype = np.result_type(*arrays) if arrays else np.dtype(float)
        dtype = dtype if dtype == np.float32 else np.dtype(np.float64)
        with np.errstate(all="ignore"):
            found = f(*arrays)
            dense = f(*arrays, backend="reference")
        found, dense = (a if isinstance(a, tuple) else (a,) for a in (found, dense))
        for a, b in zip(found, dense, strict=True):
            if a.shape != b.shape or a.dtype != b.dtype:
                return f"shape and dtype: {a.shape} {a.dtype}, the reference {b.shape} {b.dtype}"
        for name, result in (("the engine", found), ("the reference", dense)):
            wrong = self._compare(result, arrays, dtype)
            if wrong:
                return f"{name}: {wrong}"
        return self._rows_alone(f, arrays, found) or self._derivative(f, arrays, dtype)

    def _given(self, arrays):
        places = {0: (slice(None), None), 1: (None, slice(None)), 2: (None, None), 3: (slice(None), slice(None))}
        return {
            name: array.astype(array.dtype.newbyteorder("=")).astype(LONG)[places[category]]
            for (name, category, _, _), array in zip(self.arguments, arrays, strict=True)
        }

    def _sizes(self):
        found = {category: array.shape[0] for _, category, array, _ in self.arguments if category < 2}
        for _, category, array, _ in self.arguments:
            if category == 3:
                found = dict(enumerate(array.shape[:2]))
        return found.get(0, 1), found.get(1, 1)

    def _values(self, node, given, dtype, rng, rounded=4):
        """Return the values (rows, columns, dim), how far rounding takes them, and the pairs that leave the range."""
        m, n = self._sizes()
        shape = (m, n, node.dim)
        seen = Range(dtype, (m, n))
        value = np.broadcast_to(evaluate(node, given, None, seen), shape)
        spread = np.zeros(shape, LONG)
        eps = LONG(np.finfo(dtype).eps)
        for _ in range(rounded):
            moved = np.broadcast_to(evaluate(node, given, lambda s: eps * rng.choice((-1.0, 1.0), s) * rng.uniform(1, 3, s)), shape)
            with np.errstate(invalid="ignore"):
                change = np.abs(moved - value)
            spread = np.fmax(spread, np.where(moved == value, 0, np.where(np.isnan(change), np.inf, change)))
        spread = np.where(np.isnan(value), 0, spread)
        if self.axis == 0:
            return value.swapaxes(0, 1), spread.swapaxes(0, 1), seen.left.T
        return value, spread, seen.left

    def _compare(self, result, arrays, dtype):
        rng = np.random.default_rng(0)
        given = self._given(arrays)
        eps = LONG(np.finfo(dtype).eps)
        F, spread, left = self._values(self.formula, given, dtype, rng)
        calm = ~left.any(1)
        with np.errstate(all="ignore"):
            if self.op == "Sum":
                truth = F.sum(1)
                additions = 8 + (F.shape[1] / 4 if dtype == np.float64 else 0)  # float32 is added in float64
                tol = 4 * spread.sum(1) + additions * eps * np.abs(F).sum(1)
            elif self.op == "LogSumExp":
                top = np.fmax.reduce(F, axis=1, initial=-np.inf)
                safe = np.where(np.isfinite(top), top, 0)
                truth = np.where(np.isnan(F).any(1), np.nan, safe + np.log(np.exp(F - safe[:, None]).sum(1)))
                near = np.where(top[:, None] - 60 <= F, spread, 0)
                tol = 4 * near.max(1, initial=0) + 8 * eps * (1 + np.abs(truth))
            elif self.op == "SumSoftMaxWeight":
                G, spread_g, left_g = self._values(self.weight, given, dtype, rng)
                calm &= ~left_g.any(1)
                top = np.fmax.reduce(F, axis=1, initial=-np.inf)
                weight = np.exp(F - np.where(np.isfinite(top), top, 0)[:, None])
                total = weight.sum(1)
                truth = (weight * G).sum(1) / total
                share = weight / total[:, None]
                # a share moves by its exponent's error, relative to the average one
                error = spread * 4 + 8 * eps * (1 + np.abs(F))
                error = 8 * eps + 2 * error + 2 * (share * error).sum(1, keepdims=True)
                tol = (share * (4 * spread_g + np.abs(G) * error)).sum(1)
            else:
                return self._compare_extrema(result, F, spread, calm, eps)
            calm &= np.isfinite(tol).all(1)
            limit = LONG(np.finfo(dtype).max) / 8
            calm &= ~(np.abs(truth) > limit).any(1) | ~np.isfinite(truth).all(1)
            tol = tol + 8 * np.finfo(dtype).tiny
        return _differs(result[0], truth, tol, calm)

    def _compare_extrema(self, result, F, spread, calm, eps):
        worst = -np.inf if self.op == "Max" else np.inf
        values = np.where(np.isnan(F), worst, F)
        finite = np.isfinite(F)
        tol = 4 * (np.where(finite, spread, 0) + eps * np.where(finite, np.abs(F), 0)).max(1, initial=0)
        calm = calm & np.isfinite(tol).all(1) & ~np.isinf(spread).any((1, 2))
        if self.op in ("Max", "Min"):
            truth = values.max(1, initial=-np.inf) if self.op == "Max" else values.min(1, initial=np.inf)
            return _differs(result[0], truth, tol, calm)
        k = 1 if self.op == "ArgMin" else 2
        ordered = np.sort(values, axis=1)[:, :k]
        index = result[-1].reshape(len(F), k, F.shape[2])
        winners = np.isfinite(ordered) | (ordered == -np.inf)
        kept = calm[:, None, None] & np.ones_like(winners)
        if ((index < 0) != ~winners)[kept].any():
            return f"an index is -1 where nothing won, and only there: found {index[kept].tolist()}, for {ordered[kept].tolist()}"
        if (index >= F.shape[1]).any():
            return f"an index is out of range: {index.tolist()}"
        if k == 2 and (winners[:, 1] & (index[:, 0] == index[:, 1]) & calm[:, None]).any():
            return f"an index comes twice: {index.tolist()}"
        at = np.take_along_axis(values, np.maximum(index, 0), axis=1)
        with np.errstate(invalid="ignore"):
            bad = winners & kept & ~((at == ordered) | (np.abs(at - ordered) <= 2 * tol[:, None]))
        if bad.any():
            return f"indices of values that are not the smallest: {at[bad].tolist()}, expected {ordered[bad].tolist()}"
        if self.op.startswith("KMin"):
            found = result[0].reshape(ordered.shape)
            for q in range(k):
                wrong = _differs(found[:, q], ordered[:, q], tol, calm)
                if wrong:
                    return wrong
        return None

    def _rows_alone(self, f, arrays, found):
        """A row's bits do not depend on which other rows are asked."""
        rows = self._sizes()[1 - self.axis]
        if rows < 2 or any(category == 3 for _, category, _, _ in self.arguments):
            return None
        own = 1 - self.axis
        some = slice(1, rows, 2)
        part = [a[some] if category == own else a for a, (_, category, _, _) in zip(arrays, self.arguments, strict=True)]
        if not any(category == own for _, category, _, _ in self.arguments):
            return None
        with np.errstate(all="ignore"):
            alone = f(*part)
        for a, b in zip(alone if isinstance(alone, tuple) else (alone,), found, strict=True):
            if not np.array_equal(a, b[some], equal_nan=a.dtype.kind == "f"):
                return f"rows 1, 3, ... alone are {a.tolist()}, among others {b[some].tolist()}"
        return None

    def _derivative(self, f, arrays, dtype):
        """The derivative along a direction, in float64, beside central differences in long doubles."""
        smooth = all(node.smooth for node in self.formula.nodes())
        if dtype != np.float64 or self.op not in ("Sum", "LogSumExp") or not smooth:
            return None
        if not all(np.isfinite(a).all() for a in arrays):
            return None
        rng = np.random.default_rng(1)
        moved = [(name, a, rng.normal(size=a.shape)) for (name, c, *_), a in zip(self.arguments, arrays, strict=True) if c != 3]
        given = self._given(arrays)
        m, n = self._sizes()
        seen = Range(np.float32, (m, n), most=1e3)  # differences tell nothing of a sine of millions
        F = np.broadcast_to(evaluate(self.formula, given, None, seen), (m, n, self.formula.dim))
        slopes = []
        for h in (LONG(2) ** -18, LONG(2) ** -19):
            ends = []
            for sign in (1, -1):
                there = {**given}
                for name, a, u in moved:
                    category = next(c for other, c, *_ in self.arguments if other == name)
                    there[name] = self._given_one(a.astype(LONG) + sign * h * u, category)
                ends.append(np.broadcast_to(evaluate(self.formula, there), F.shape))
            with np.errstate(all="ignore"):
                slopes.append((ends[0] - ends[1]) / (2 * h))
        axis = self.axis
        with np.errstate(all="ignore"):
            slope, doubt = slopes[1], np.abs(slopes[1] - slopes[0])
            share = 1
            if self.op == "LogSumExp":
                share = np.exp(F - F.max(axis, keepdims=True))
                share = share / share.sum(axis, keepdims=True)
            truth = (share * slope).sum(axis)
            size = (share * (np.abs(slope) + np.abs(F))).sum(axis)
            tol = 1e-6 * size + 4 * (share * doubt).sum(axis) + 1e-9
            calm = np.isfinite(tol).all(-1) & ~seen.left.any(axis) & ((share * doubt).sum(axis) <= 1e-4 * (size + 1)).all(-1)
            calm &= np.isfinite(F).all((axis, 2))
            found = f.jvp(*arrays, tangents={name: u for name, _, u in moved})
            wrong = _differs(found, truth, tol, calm)
            if wrong:
                return f"jvp: {wrong}"
            if not calm.all() or not moved:
                return None
            e = rng.normal(size=found.shape)
            gradients = f.gradient(*arrays, wrt=tuple(name for name, *_ in moved), grad_output=e)
            back = sum((g.astype(LONG) * u).sum() for g, (_, _, u) in zip(gradients, moved, strict=True))
            if not abs(back - (e * truth).sum()) <= (np.abs(e) * tol).sum() * 4 + 1e-7 * (np.abs(e) * size).sum():
                return f"gradient along a direction: {back}, expected {(e * truth).sum()}"
        return None

    def _given_one(self, array, category):
        return array[{0: (slice(None), None), 1: (None, slice(None)), 2: (None, None)}[category]]

    # Smaller cases

    def smaller(self):
        for part in self.formula.parts():
            yield replace(self, formula=part)
        if self.op != "Sum" and self.formula.dim:
            yield replace(self, op="Sum", weight=None)
        used = {node.text for root in (self.formula, self.weight) if root is not None for node in root.nodes()}
        for k, (name, *_) in enumerate(self.arguments):
            if name not in used and len(self.arguments) > 1:
                yield replace(self, arguments=(*self.arguments[:k], *self.arguments[k + 1 :]))
        for axis, n in enumerate(self._sizes()):
            for some in (slice(0, n // 2), slice(n // 2, n), slice(0, n - 1)):
                if 1 <= len(range(n)[some]) < n:
                    yield self._rows(axis, some)
        for k, (name, category, array, layout) in enumerate(self.arguments):
            if layout != "plain":
                yield self._with(k, (name, category, array, "plain"))
            for simple in (np.ones_like(array), np.round(array)):
                if not np.array_equal(simple, array, equal_nan=True):
                    yield self._with(k, (name, category, simple, layout))

    def _with(self, k, argument):
        return replace(self, arguments=(*self.arguments[:k], argument, *self.arguments[k + 1 :]))

    def _rows(self, axis, some):
        def cut(category, array):
            if category == axis:
                return array[some]
            return array[(some,) if axis == 0 else (slice(None), some)] if category == 3 else array

        return replace(self, arguments=tuple((name, c, cut(c, a), layout) for name, c, a, layout in self.arguments))


def _differs(found, truth, tol, calm):
    """Return where two arrays differ by more than a tolerance, in rows that say something."""
    found, truth, tol, calm = found.astype(LONG), truth, np.broadcast_to(tol, truth.shape), calm
    with np.errstate(invalid="ignore"):
        same = (np.abs(found - truth) <= tol) | (found == truth) | (np.isnan(found) & np.isnan(truth))
    bad = ~same & calm.reshape(-1, *(1,) * (same.ndim - 1))
    if not bad.any():
        return None
    at = tuple(int(k) for k in np.argwhere(bad)[0])
    return f"at {at} {found[at]}, expected {truth[at]} within {tol[at]:.1e}"


def generate(rng):
    """Return a random case."""
    wide = int(rng.integers(2, 4))
    sizes = int(rng.choice([1, 2, 5, 17, 40])), int(rng.choice([1, 3, 8, 33, 70, 140]))
    dtype = rng.choice([np.float32, np.float64])
    special = rng.choice([0.0, 0.0, 0.03])
    arguments = []
    for name, category, dim in (("x", 0, wide), ("y", 1, wide), ("a", 0, 1), ("b", 1, 1), ("p", 2, 1), ("q", 2, wide), ("w", 3, 1)):
        if rng.random() < 0.25 and name not in ("x", "y", "b"):
            continue
        shape = {0: (sizes[0], dim), 1: (sizes[1], dim), 2: (dim,), 3: (*sizes, dim)}[category]
        layout = str(rng.choice(LAYOUTS)) if rng.random() < 0.4 else "plain"
        arguments.append((name, category, values(rng, shape, dtype, special), layout))
    leaves = [Node(name, (), array.shape[-1]) for name, _, array, _ in arguments]
    op = str(rng.choice(FOLDS))
    dim = 1 if op in ("LogSumExp", "SumSoftMaxWeight") or rng.random() < 0.5 else wide
    weight = random_node(rng, leaves, 2, wide) if op == "SumSoftMaxWeight" else None
    formula = random_node(rng, leaves, int(rng.integers(1, 5)), dim)
    while any(len({str(child) for child in node.children}) < len(node.children) for node in formula.nodes()):
        # What is simplified away, as f - f, asks neither whether f is finite nor for the sign of the 0.
        formula = random_node(rng, leaves, int(rng.integers(1, 5)), dim)
    return Case(formula, weight, tuple(arguments), op, int(rng.integers(2)))
