"""A kernel on samples with given numbers of columns: expressions over one x, one y and the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from skkeops.arrays.devices import to_device
from skkeops.formula import operations as ops
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import Expression, I, J, P, Variable
from skkeops.formula.parser import parse
from skkeops.locks import cached_property

from .parameter import Parameter

if TYPE_CHECKING:
    from .base import Kernel

__all__ = ["BoundKernel", "Scope", "parsed", "some_columns"]

_COLUMNS = 1000  # positions above those of the samples and of the parameters


def parsed(text: str, names: Mapping[str, Expression]) -> Expression:
    """Return the expression of a formula; a text that is met again, with the same names, is not read again."""
    return _parsed(text, tuple(names.items()))


@lru_cache(maxsize=512)
def _parsed(text: str, names: tuple[tuple[str, Expression], ...]) -> Expression:
    # The parser takes names of variables only: parts of samples are variables while it reads, and are then put in again.
    columns = dict.fromkeys(e for _, e in names if not isinstance(e, Variable))
    stand_in = {e: Variable(_COLUMNS + k, e.dim, max(e.categories)) for k, e in enumerate(columns)}
    found = parse(text, {name: e if isinstance(e, Variable) else stand_in[e] for name, e in names})
    return substitute(found, {variable: e for e, variable in stand_in.items()})


def some_columns(samples: Variable, columns: tuple[int, ...] | None) -> Expression:
    """Return some columns of samples, in their order; None means all."""
    if columns is None or columns == tuple(range(samples.dim)):
        return samples
    found: Expression | None = None
    first = 0
    for k in range(1, len(columns) + 1):
        if k == len(columns) or columns[k] != columns[k - 1] + 1:
            run = ops.Extract.build(samples, columns[first], k - first)
            found, first = run if found is None else ops.Concat.build(found, run), k
    assert found is not None
    return found


class Scope:
    """What the names in a kernel's formula stand for, while its expression is built.

    Attributes
    ----------
    x, y : Variable
        The two samples, with all their columns.
    on_diagonal : bool
        Whether both are the same sample: `White` is zero elsewhere.
    """

    def __init__(self, x: Variable, y: Variable, on_diagonal: bool = False):
        self.x = x
        self.y = y
        self.on_diagonal = on_diagonal
        self.prefix = ""
        self.found: dict[str, tuple[Variable, np.ndarray, Parameter]] = {}

    def child(self, name: str) -> Scope:
        """Return the scope of a kernel inside another, whose parameters are called ``name__parameter``."""
        child = Scope(self.x, self.y, self.on_diagonal)
        child.prefix = f"{self.prefix}{name}__"
        child.found = self.found
        return child

    def parameter(self, parameter: Parameter, value: np.ndarray) -> Variable:
        """Return the variable of a parameter; `value` is a vector."""
        full = self.prefix + parameter.name
        if full not in self.found:
            self.found[full] = Variable(2 + len(self.found), len(value), P), value, parameter
        return self.found[full][0]


class BoundKernel:
    """A kernel with the numbers of columns of its two samples.

    Equal structures give the same interned expressions whatever the parameters' values, so that what is compiled for
    them is shared.

    Parameters
    ----------
    kernel : Kernel
    n_x, n_y : int
        The numbers of columns.

    Attributes
    ----------
    x, y : Variable
        The samples: positions 0 and 1, indexed by i and by j.
    expression : Expression
        The kernel of x and y.
    parameters : dict of str to Variable
        By their names in ``kernel.get_params()``; positions from 2 on.
    values : dict of str to ndarray of shape (dim,)
        Their values in float64.
    """

    def __init__(self, kernel: Kernel, n_x: int, n_y: int):
        kernel.check_columns(n_x, n_y)
        self._kernel = kernel
        self.x = Variable(0, n_x, I)
        self.y = Variable(1, n_y, J)
        scope = Scope(self.x, self.y)
        self.expression: Expression = kernel.expression(scope)
        # The logarithm is built when it is asked for, as it may not exist. It takes the positions that are found here.
        self._found = scope.found
        self.parameters = {name: variable for name, (variable, _, _) in scope.found.items()}
        self.values = {name: value for name, (_, value, _) in scope.found.items()}

    # What is made of the kernel is made again where a pickle is loaded, or a file of skops, which knows no expressions.
    def __getstate__(self) -> dict[str, Any]:
        return {"kernel": self._kernel, "n_x": self.x.dim, "n_y": self.y.dim}

    def __setstate__(self, state: dict[str, Any]) -> None:
        BoundKernel.__init__(self, **state)

    def _scope(self, x: Variable, y: Variable, on_diagonal: bool = False) -> Scope:
        scope = Scope(x, y, on_diagonal)
        scope.found = self._found
        return scope

    @cached_property
    def log_expression(self) -> Expression:
        """The logarithm of the kernel."""
        return self._kernel.log_expression(self._scope(self.x, self.y))

    @cached_property
    def exponent(self) -> Expression:
        """The exponent F of a log-sum-exp: the kernel's logarithm, but the formula itself of a `Formula`."""
        return self._kernel.exponent_expression(self._scope(self.x, self.y))

    def diagonal(self) -> Expression:
        """Return the kernel of a sample with itself, as an expression of x."""
        return self._kernel.expression(self._scope(self.x, self.x, on_diagonal=True))

    @property
    def variables(self) -> tuple[Variable, ...]:
        """x, y and the parameters."""
        return (self.x, self.y, *self.parameters.values())

    def parameter_arrays(self, dtype: Any, xp: ModuleType = np) -> list[np.ndarray]:
        """Return the parameters' values in the order of `variables`, as arrays of a namespace."""
        return [to_device(parameter.in_dtype(value, dtype), xp) for _, value, parameter in self._found.values()]
