"""What an operation declares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..errors import FormulaError
from ..expression import Expression, as_expression, integer
from ..registry import lookup, register
from .intervals import Interval, Rounding

__all__ = ["Composite", "Operation", "bind", "composite"]


def bind(operation, values: Sequence[Any]) -> tuple[tuple[Expression, ...], tuple]:
    """Split what an operation is called with into expressions and checked parameters."""
    n_formulas, n_params = len(operation.arguments), len(operation.parameters)
    most = n_formulas + n_params
    least = most - operation.optional
    if not least <= len(values) <= most:
        names = [*operation.arguments, *operation.parameters]
        names[least:] = [f"[{name}]" for name in names[least:]]
        expected = str(most) if least == most else f"{least} to {most}"
        plural = "" if most == 1 else "s"
        raise FormulaError(
            f"{operation.name} takes {expected} argument{plural} ({', '.join(names)}), got {len(values)}"
        )
    args = tuple([as_expression(value) for value in values[:n_formulas]])
    if n_params == 0:
        return args, ()
    params = []
    for parameter, value in zip(operation.parameters, values[n_formulas:], strict=False):
        if parameter in operation.list_parameters:
            if value is not None:
                value = integers(value, operation.name, parameter)
        else:
            value = integer(value, operation.name, parameter)
        params.append(value)
    return args, tuple(params)


def integers(value: Any, name: str, parameter: str) -> tuple[int, ...]:
    """``value`` as a tuple of ints."""
    if isinstance(value, (str, Expression)) or not hasattr(value, "__iter__"):
        shown = repr(value)[:60]
        raise FormulaError(f"{name}: parameter {parameter!r} must be a list of integers, got {shown}")
    return tuple([integer(item, name, parameter) for item in value])


class Operation(Expression):
    """An operation applied to expressions; calling the class builds a simplified expression.

    Class attributes
    ----------------
    name, aliases : str and tuple of str
        As in formulas.
    arguments, parameters : tuple of str
        The names of the formulas, then of the integers, that it is called with.
    optional : int
        How many of these, counted from the end, may be left out.
    list_parameters : tuple of str
        The parameters that are lists of integers.
    opcode : str or None
        The instruction of the tile engine; the families Selection and Bilinear need none.
    cuda : str or None
        A CUDA C++ expression of one component: ``{0}``, ``{1}`` are the arguments, ``{real}`` the type, ``{p0}``,
        ``{p1}`` the parameters, ``{k}`` the number of the component. The families Selection, Bilinear and Contraction
        need none.
    cuda_functions : str
        Device functions that ``cuda`` calls.
    domain : tuple of (low, high)
        For each argument, values where the operation is smooth, for testing.
    commutes : bool
        Whether the two arguments may change places.
    parity : {"even", "odd", None}
        Of an operation of one argument: whether the value stays, or changes its sign, when the argument changes its sign.
    """

    arguments: ClassVar[tuple[str, ...]] = ("f",)
    parameters: ClassVar[tuple[str, ...]] = ()
    list_parameters: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[int] = 0
    aliases: ClassVar[tuple[str, ...]] = ()
    opcode: ClassVar[str | None] = None
    cuda: ClassVar[str | None] = None
    cuda_functions: ClassVar[str] = ""
    domain: ClassVar[tuple[tuple[float, float], ...]] = ((-2.0, 2.0),)
    commutes: ClassVar[bool] = False
    parity: ClassVar[str | None] = None

    def __new__(cls, *arguments: Any) -> Expression:  # type: ignore[misc]  # simplification may change the class
        return cls.build(*arguments)

    @classmethod
    def build(cls, *arguments: Any) -> Expression:
        """Check the arguments and return a simplified expression."""
        args, params = bind(cls, arguments)
        params = cls.check(args, params)
        simple = cls.simplify(args, params)
        return cls._new(args, params) if simple is None else simple

    @classmethod
    def check(cls, args: tuple[Expression, ...], params: tuple) -> tuple:
        """Refuse what makes no sense; return the parameters in full."""
        return params

    @classmethod
    def simplify(cls, args: tuple[Expression, ...], params: tuple) -> Expression | None:
        """A simpler expression with the same value, if there is one."""
        return None

    @classmethod
    def output_dim(cls, args: tuple[Expression, ...], params: tuple) -> int:
        return 1

    def rebuild(self, args: tuple[Expression, ...]) -> Expression:
        return type(self).build(*args, *self.params)

    @property
    def immediates(self) -> tuple[float, ...]:
        """The numbers that the instruction takes."""
        return ()

    def cuda_places(self) -> dict[str, Any]:
        """What the parameters' places in `cuda` stand for."""
        return {f"p{k}": value for k, value in enumerate(self.params)}

    def chosen(self, k: int) -> Expression | None:
        """For an operation that chooses: a formula, never a NaN, that is negative where the value is not argument ``k``.
        None if the value always depends on it."""
        return None

    def bounds(self, intervals: tuple[Interval, ...], rounding: Rounding) -> Interval | None:
        """The interval of the values for arguments in intervals, widened by the error of the operation; None if none is known.

        It need hold only where every end of these intervals, and of the result, is finite.
        """
        return None

    def numpy(self, *arrays):
        """The meaning: arrays ``(..., dim_k)`` that broadcast to an array ``(..., dim)``."""
        raise NotImplementedError(f"{self.name} has no NumPy meaning")


class Composite:
    """A name of the language that builds other operations."""

    opcode = None

    def __init__(self, function: Callable[..., Expression], name: str, arguments: str, parameters: str, **options):
        self.function = function
        self.name = name
        self.arguments = tuple(arguments.split())
        self.parameters = tuple(parameters.split())
        self.aliases: tuple[str, ...] = options.pop("aliases", ())
        self.list_parameters: tuple[str, ...] = options.pop("list_parameters", ())
        self.optional: int = options.pop("optional", 0)
        self.domain = options.pop("domain", ((-2.0, 2.0),) * len(self.arguments))
        if options:
            raise TypeError(f"unknown options {sorted(options)}")
        self.__doc__ = function.__doc__

    def build(self, *arguments: Any) -> Expression:
        """Check the number of arguments and the parameters, and build."""
        args, params = bind(self, arguments)
        try:
            return self.function(*args, *params)
        except FormulaError as error:
            if error.message.startswith(f"{self.name}: "):
                raise
            raise FormulaError(f"{self.name}: {error.message}") from None

    __call__ = build

    def __repr__(self) -> str:
        return f"<operation {self.name}>"

    def __reduce__(self):
        return lookup, (self.name,)


def composite(name: str, arguments: str = "", parameters: str = "", **options) -> Callable[[Callable], Composite]:
    """Decorator: a function of expressions (then of integers) becomes an operation of the language."""

    def decorate(function: Callable[..., Expression]) -> Composite:
        return register(Composite(function, name, arguments, parameters, **options))

    return decorate
