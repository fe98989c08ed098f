"""Programs on lazy tensors, beside the same programs on NumPy's arrays."""

from dataclasses import dataclass, replace

import numpy as np

from skkeops import LazyTensor

from .data import literal, values

M, N = 4, 6


def operands(rng, batch):
    """Return arrays that stand beside a tensor, as NumPy broadcasts them: of numbers, of rows, of columns, of pairs."""
    shapes = [(), (1, 1), (M, 1), (1, N), (M, N)]
    if batch:
        shapes += [(*batch, 1, 1), (*batch, M, 1), (*batch, 1, N), (*batch, M, N)]
    return values(rng, shapes[rng.integers(len(shapes))], np.float64)


#: Steps without an operand: text, the function of both a tensor and an array.
ALONE = {
    "np.exp(-np.abs({}))": lambda K: np.exp(-np.abs(K)),
    "np.sqrt(np.abs({}))": lambda K: np.sqrt(np.abs(K)),
    "np.log(np.abs({}) + 0.1)": lambda K: np.log(np.abs(K) + 0.1),
    "np.sin({})": np.sin,
    "np.cos({})": np.cos,
    "np.arctan({})": np.arctan,
    "-{}": lambda K: -K,
    "{} ** 2": lambda K: K**2,
    "abs({}) ** 0.5": lambda K: abs(K) ** 0.5,
    "np.square({})": np.square,
    "np.sign({})": np.sign,
    "np.floor({})": np.floor,
    "np.round({})": np.round,
    "np.round({}, 1)": lambda K: np.round(K, 1),
    "np.clip({}, -0.5, 0.75)": lambda K: np.clip(K, -0.5, 0.75),
    "np.clip({}, 1, 0)": lambda K: np.clip(K, 1, 0),
    "1.5 - {}": lambda K: 1.5 - K,
}
WITH = {
    "{} + {}": np.add,
    "{} - {}": np.subtract,
    "{} * {}": np.multiply,
    "{} / (np.abs({}) + 0.5)": lambda K, a: K / (np.abs(a) + 0.5),
    "{1} - {0}": lambda K, a: a - K,
    "{1} * {0}": lambda K, a: a * K,
    "np.maximum({}, {})": np.maximum,
    "np.maximum({1}, {0})": lambda K, a: np.maximum(a, K),
    "np.minimum({}, {})": np.minimum,
    # of the right half-plane: on the cut of the left one the sign of a zero decides, which np.maximum leaves open
    "np.arctan2({}, np.abs({}))": lambda K, a: np.arctan2(K, np.abs(a)),
    "{} < {}": lambda K, a: a > K,
    "{} >= {}": lambda K, a: a <= K,
}
ENDS = {
    "{}.sum(axis=-2)": ("sum", -2),
    "{}.sum(axis=-1)": ("sum", -1),
    "{}.max(axis=-1)": ("max", -1),
    "{}.min(axis=-2)": ("min", -2),
    "{}.argmin(axis=-1)": ("argmin", -1),
    "{}.argmax(axis=-2)": ("argmax", -2),
    "{}.dense()": ("dense", None),
}


@dataclass(frozen=True)
class Case:
    """Points, a program of steps (text, operand or None), and what ends it."""

    x: np.ndarray
    y: np.ndarray
    steps: tuple
    end: str

    def _start(self, tensor):
        x, y = self.x[..., :, None, :], self.y[..., None, :, :]
        if tensor:
            return ((LazyTensor(x) - LazyTensor(y)) ** 2).sum(-1)
        return ((x - y) ** 2).sum(-1)

    def _run(self, tensor):
        K = self._start(tensor)
        for text, operand in self.steps:
            K = ALONE[text](K) if operand is None else WITH[text](K, operand)
            if not tensor and K.dtype == bool:
                K = K.astype(float)
        return K

    def check(self):
        with np.errstate(all="ignore"):
            dense = self._run(False)
            tensor = self._run(True)
            if isinstance(tensor, np.ndarray):
                return f"a tensor became an array of shape {tensor.shape}"
            if tensor.shape != dense.shape:
                return f"the shape is {tensor.shape}, NumPy's {dense.shape}"
            found = tensor.dense()
            # Which side of a step a rounding error takes is no fault: programs are compared as they are, but near the steps.
            wrong = _differs(found, dense, 1e-9 * (1 + abs(dense)))
            if wrong:
                return None if self._near_a_step() else f"dense: {wrong}"
            name, axis = ENDS[self.end]
            if name == "dense":
                return None
            place = dense.ndim + axis
            result = getattr(tensor, name)(axis=place)
            if name in ("argmin", "argmax"):
                best = {"argmin": np.fmin, "argmax": np.fmax}[name].reduce(found, axis=place)
                none = ~np.isfinite(best)
                result = result[..., 0]
                at = np.take_along_axis(found, np.expand_dims(np.maximum(result, 0), place), place).take(0, place)
                return None if (none | (abs(at - best) <= 1e-9 * (1 + abs(best)))).all() else f"{name}: {result}, of {found}"
            truth = getattr(dense, name)(axis=place)[..., None]
            size = 1 + (abs(dense).sum(axis=place)[..., None] if name == "sum" else abs(truth))
            if name in ("max", "min"):
                clean = ~np.isnan(truth)
                result, truth, size = result[clean], truth[clean], size[clean]
            wrong = _differs(result, truth, 1e-9 * size)
            return wrong and f"{name}: {wrong}"

    def _near_a_step(self):
        """Return whether moving the points by some ulps moves the result as well."""
        there = replace(self, x=self.x * (1 + 4e-16), y=self.y * (1 - 4e-16))._run(False)
        return _differs(there, self._run(False), 1e-9 * (1 + abs(there))) is not None

    def program(self):
        lines = ["import numpy as np", "from skkeops import LazyTensor", "", f"x = {literal(self.x)}", f"y = {literal(self.y)}"]
        lines.append("for K in (((LazyTensor(x[..., :, None, :]) - LazyTensor(y[..., None, :, :])) ** 2).sum(-1),")
        lines.append("          ((x[..., :, None, :] - y[..., None, :, :]) ** 2).sum(-1)):")
        for text, operand in self.steps:
            step = text.format("K") if operand is None else text.format("K", f"({literal(operand)})")
            lines.append(f"    K = {step}")
        lines.append("    print(K.shape, K if isinstance(K, np.ndarray) else K.dense())")
        name, axis = ENDS[self.end]
        if axis is not None:
            lines.append(f"    print(K.{name}(axis=len(K.shape) - {-axis}))")
        return "\n".join(lines)

    def smaller(self):
        for k in range(len(self.steps)):
            yield replace(self, steps=(*self.steps[:k], *self.steps[k + 1 :]))
        if self.end != "{}.dense()":
            yield replace(self, end="{}.dense()")
        for name in ("x", "y"):
            array = getattr(self, name)
            if array.ndim > 2:
                yield replace(self, **{name: array[0]})
            for simple in (np.round(array), np.zeros_like(array)):
                if not np.array_equal(simple, array):
                    yield replace(self, **{name: simple})
        for k, (text, operand) in enumerate(self.steps):
            if operand is not None:
                for simple in (operand.reshape(-1)[0], np.ones_like(operand), np.round(operand)):
                    if not np.array_equal(simple, operand):
                        yield replace(self, steps=(*self.steps[:k], (text, np.asarray(simple)), *self.steps[k + 1 :]))


def _differs(found, truth, tol):
    if found.shape != truth.shape:
        return f"shape {found.shape}, expected {truth.shape}"
    same = (abs(found - truth) <= tol) | (found == truth) | (np.isnan(found) & np.isnan(truth))
    if same.all():
        return None
    at = tuple(int(k) for k in np.argwhere(~same)[0])
    return f"at {at} {found[at]}, expected {truth[at]}"


def generate(rng):
    """Return a random case."""
    batch = [(), (), (3,), (2, 3), (M,)][rng.integers(5)]
    x = values(rng, (*batch, M, 2), np.float64)
    y = values(rng, (*(batch if rng.random() < 0.7 else ()), N, 2), np.float64)
    steps = []
    for _ in range(rng.integers(1, 6)):
        if rng.random() < 0.5:
            steps.append((list(ALONE)[rng.integers(len(ALONE))], None))
        else:
            steps.append((list(WITH)[rng.integers(len(WITH))], operands(rng, batch)))
    return Case(x, y, tuple(steps), list(ENDS)[rng.integers(len(ENDS))])
