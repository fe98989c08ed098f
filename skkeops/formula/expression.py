"""Expressions: immutable, interned, with exact constants.

Equal expressions are the same object, so that comparing, hashing and sharing sub-expressions cost nothing.
Nothing here recurses on the depth of an expression, so a sum may have 20 000 terms.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from numbers import Rational
from typing import Any, ClassVar, Self

from skkeops.locks import Lock

from .errors import FormulaError
from .exact import as_fraction, in_range
from .limits import MAX_DIM, MAX_POSITION, MAX_TEXT
from .printer import to_text
from .registry import lookup, ops

__all__ = ["IJ", "Constant", "Expression", "I", "J", "P", "Variable", "as_expression", "postorder", "variables_of"]

I, J, P, IJ = 0, 1, 2, 3  # noqa: E741  the categories of variables: indexed by i, by j, parameters, by both

_CATEGORY_SETS = tuple(frozenset(category for category in (I, J, P, IJ) if mask >> category & 1) for mask in range(16))

_interned: weakref.WeakValueDictionary[tuple, Any] = weakref.WeakValueDictionary()
_lock = Lock()


class Expression:
    """A node of a formula: a variable, a constant, or an operation applied to expressions.

    Attributes
    ----------
    args : tuple of Expression
        The arguments.
    params : tuple of hashable
        The integer parameters.
    dim : int
        The number of components of the value.
    categories : frozenset of int
        The categories of the variables below: 0 (i), 1 (j), 2 (parameter), 3 (pairs).
    """

    __slots__ = ("__weakref__", "_mask", "args", "dim", "params")

    name: ClassVar[str] = ""
    args: tuple[Expression, ...]
    params: tuple
    dim: int
    _mask: int  # the categories, one bit each

    __array_ufunc__ = None  # NumPy scalars and arrays leave the operators to us
    __iter__ = None

    @classmethod
    def _new(cls, args: tuple[Expression, ...] = (), params: tuple = ()) -> Self:
        """The one node with these arguments and parameters, which must have been checked."""
        key = (cls, args, params)
        node = _interned.get(key)
        if node is not None:
            return node
        dim = cls.output_dim(args, params)
        if dim > MAX_DIM:
            raise FormulaError(f"{cls.name} would have {dim} components, the limit is {MAX_DIM}")
        with _lock:
            node = _interned.get(key)
            if node is None:
                node = object.__new__(cls)
                set_ = object.__setattr__
                set_(node, "args", args)
                set_(node, "params", params)
                set_(node, "dim", dim)
                set_(node, "_mask", cls._category_mask(args, params))
                _interned[key] = node
            return node

    @classmethod
    def output_dim(cls, args: tuple[Expression, ...], params: tuple) -> int:
        """The number of components, from checked arguments."""
        raise NotImplementedError

    @classmethod
    def _category_mask(cls, args: tuple[Expression, ...], params: tuple) -> int:
        """The categories of the variables below a node, one bit each."""
        mask = 0
        for arg in args:
            mask |= arg._mask
        return mask

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"expressions are immutable, {name!r} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"expressions are immutable, {name!r} cannot be deleted")

    @property
    def categories(self) -> frozenset[int]:
        """The categories of the variables below this node."""
        return _CATEGORY_SETS[self._mask]

    def rebuild(self, args: tuple[Expression, ...]) -> Expression:
        """The same operation on other arguments, simplified."""
        return self

    def adjoint(self, k: int, e: Expression) -> Expression | None:
        """The derivative by argument ``k``, transposed and applied to ``e``; None for zero."""
        raise FormulaError(f"{self.name} is not differentiable")

    def tangent(self, directions: Sequence[Expression | None]) -> Expression | None:
        """The derivative when each argument moves in a direction; None for an argument that stands still, and for zero."""
        raise FormulaError(f"{self.name} is not differentiable")

    def printed_params(self) -> tuple:
        """The parameters that formulas show."""
        return self.params

    # -- copies and pickles are the same object ---------------------------------------------------------------
    def __copy__(self) -> Expression:
        return self

    def __deepcopy__(self, memo: dict) -> Expression:
        return self

    def __reduce__(self):
        nodes = postorder(self)
        index = {node: k for k, node in enumerate(nodes)}
        program = tuple((node.name, tuple(index[arg] for arg in node.args), node.params) for node in nodes)
        return _from_program, (program,)

    # -- text -------------------------------------------------------------------------------------------------
    def to_text(self, names: Mapping[Variable, str] | None = None) -> str:
        """The formula as text that parses back to this expression.

        Parameters
        ----------
        names : mapping of Variable to str, optional
            Names to print for variables; the others print as ``Var(position,dim,category)``.

        Raises
        ------
        FormulaError
            If shared sub-expressions make the text longer than the parser accepts.
        """
        text = to_text(self, names, MAX_TEXT)
        if text is None:
            raise FormulaError(f"the text of this formula is longer than {MAX_TEXT} characters")
        return text

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        text = to_text(self, None, 300)
        if text is None:
            return f"<{self.name} expression of dim {self.dim}>"
        return text

    # -- operators --------------------------------------------------------------------------------------------
    def __bool__(self) -> bool:
        raise TypeError(
            "a formula has no truth value: chained comparisons, 'and', 'or' and 'if' do not apply to formulas; "
            "multiply comparisons or use IfElse"
        )

    def __pos__(self) -> Expression:
        return self

    def __neg__(self) -> Expression:
        return ops.Minus.build(self)

    def __abs__(self) -> Expression:
        return ops.Abs.build(self)

    def __add__(self, other: Any) -> Expression:
        return _binary(ops.Add, self, other)

    def __radd__(self, other: Any) -> Expression:
        return _binary(ops.Add, other, self)

    def __sub__(self, other: Any) -> Expression:
        return _binary(ops.Subtract, self, other)

    def __rsub__(self, other: Any) -> Expression:
        return _binary(ops.Subtract, other, self)

    def __mul__(self, other: Any) -> Expression:
        return _binary(ops.Mult, self, other)

    def __rmul__(self, other: Any) -> Expression:
        return _binary(ops.Mult, other, self)

    def __truediv__(self, other: Any) -> Expression:
        return _binary(ops.Divide, self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return _binary(ops.Divide, other, self)

    def __pow__(self, other: Any) -> Expression:
        return _binary(ops.Powf, self, other)

    def __rpow__(self, other: Any) -> Expression:
        return _binary(ops.Powf, other, self)

    def __or__(self, other: Any) -> Expression:
        return _binary(ops.Scalprod, self, other)

    def __ror__(self, other: Any) -> Expression:
        return _binary(ops.Scalprod, other, self)

    def __lt__(self, other: Any) -> Expression:
        return _binary(ops.LessThan, self, other)

    def __gt__(self, other: Any) -> Expression:
        return _binary(ops.LessThan, other, self)

    def __le__(self, other: Any) -> Expression:
        return _binary(ops.LessOrEqual, self, other)

    def __ge__(self, other: Any) -> Expression:
        return _binary(ops.LessOrEqual, other, self)


class Variable(Expression):
    """An array given at call time.

    Parameters
    ----------
    position : int
        Which of the arrays of a call.
    dim : int
        The number of components.
    category : {0, 1, 2, 3}
        0: one row per i; 1: one row per j; 2: a parameter; 3: one value per pair (i, j).

    Examples
    --------
    >>> Variable(0, 3, 1)
    Var(0,3,1)
    """

    __slots__ = ()
    name = "Var"

    def __new__(cls, position: int, dim: int, category: int) -> Variable:
        position, dim = integer(position, "Var", "position"), integer(dim, "Var", "dim")
        category = integer(category, "Var", "category")
        if not 0 <= position < MAX_POSITION:
            raise FormulaError(f"the position of a variable must be in 0..{MAX_POSITION - 1}, got {_short(position)}")
        if not 1 <= dim <= MAX_DIM:
            raise FormulaError(f"the dim of a variable must be in 1..{MAX_DIM}, got {_short(dim)}")
        if category not in (I, J, P, IJ):
            raise FormulaError(
                f"the category of a variable must be 0 (i), 1 (j), 2 (parameter) or 3 (pairs), got {_short(category)}"
            )
        return cls._new((), (position, dim, category))

    @classmethod
    def output_dim(cls, args, params):
        return params[1]

    @classmethod
    def _category_mask(cls, args, params):
        return 1 << params[2]

    @property
    def position(self) -> int:
        """Which of the arrays of a call."""
        return self.params[0]

    @property
    def category(self) -> int:
        """0: indexed by i; 1: indexed by j; 2: parameter; 3: indexed by both."""
        return self.params[2]


class Constant(Expression):
    """An exact rational number, in each of ``dim`` components.

    Examples
    --------
    >>> Constant(0.1).value
    Fraction(1, 10)
    """

    __slots__ = ()
    name = "Constant"

    def __new__(cls, value: int | float | Rational, dim: int = 1) -> Constant:
        if not isinstance(value, Fraction):
            value = as_fraction(value)
        dim = integer(dim, "Constant", "dim")
        if not 1 <= dim <= MAX_DIM:
            raise FormulaError(f"the dim of a constant must be in 1..{MAX_DIM}, got {_short(dim)}")
        return cls._of(value, dim)

    @classmethod
    def _of(cls, value: Fraction, dim: int = 1) -> Constant:
        """The constant of a fraction; what float64 cannot hold is refused."""
        return cls._new((), (*in_range(value), dim))

    @classmethod
    def output_dim(cls, args, params):
        return params[2]

    @property
    def value(self) -> Fraction:
        """The exact value."""
        return Fraction(self.params[0], self.params[1])

    def __float__(self) -> float:
        return self.params[0] / self.params[1]


def _short(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 100:
        return "a very large integer" if value > 0 else "a very large negative integer"
    return repr(value)


def integer(value: Any, name: str, parameter: str) -> int:
    """``value`` as a Python int; floats are refused."""
    try:
        return int(operator.index(value))  # a bool becomes 0 or 1
    except TypeError:
        pass
    if isinstance(value, Expression):
        value = value if not isinstance(value, Constant) else f"the constant {value}"
    raise FormulaError(f"{name}: parameter {parameter!r} must be an integer, got {value!r}")


def as_expression(value: Any) -> Expression:
    """An expression as it is, a real number as a constant."""
    if isinstance(value, Expression):
        return value
    return Constant(value)


def postorder(*roots: Expression) -> list[Expression]:
    """Every distinct node below ``roots`` once, arguments before their users.

    Examples
    --------
    >>> x = Variable(0, 1, 0)
    >>> postorder(x, x)
    [Var(0,1,0)]
    """
    done: set[Expression] = set()
    order: list[Expression] = []
    stack: list[tuple[Expression, Iterator[Expression]]] = []
    for root in roots:
        if root in done:
            continue
        done.add(root)
        stack.append((root, iter(root.args)))
        while stack:
            node, rest = stack[-1]
            for arg in rest:
                if arg not in done:
                    done.add(arg)
                    stack.append((arg, iter(arg.args)))
                    break
            else:
                stack.pop()
                order.append(node)
    return order


def variables_of(*roots: Expression) -> tuple[Variable, ...]:
    """The variables below ``roots``, by position."""
    found = [node for node in postorder(*roots) if isinstance(node, Variable)]
    return tuple(sorted(found, key=lambda variable: variable.params))


def _binary(operation: Any, left: Any, right: Any) -> Expression:
    try:
        left, right = as_expression(left), as_expression(right)
    except TypeError:
        return NotImplemented
    return operation.build(left, right)


def _from_program(program: Iterable[tuple[str, tuple[int, ...], tuple]]) -> Expression:
    """Rebuild a pickled expression."""
    leaves = {"Var": Variable, "Constant": Constant}
    nodes: list[Expression] = []
    for name, arguments, params in program:
        cls: Any = leaves.get(name) or lookup(name)
        nodes.append(cls._new(tuple(nodes[k] for k in arguments), params))
    return nodes[-1]
