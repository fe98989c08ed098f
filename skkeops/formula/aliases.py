"""Declarations of variables: ``"x = Vi(3)"``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skkeops.locks import cached_property

from .errors import FormulaError, suggestion
from .expression import Expression, Variable, variables_of

__all__ = ["Signature", "parse_aliases"]

_CATEGORIES = {"Vi": 0, "Vj": 1, "Pm": 2, "Vij": 3}
_FORM = "expected 'name = Vi(dim)', with Vi, Vj, Pm or Vij"
_PATTERN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z_0-9]*)\s*=\s*)?(?P<kind>[A-Za-z_][A-Za-z_0-9]*)\s*"
    r"\(\s*(?P<numbers>[0-9]{1,9}(?:\s*,\s*[0-9]{1,9})*)\s*,?\s*\)\s*",
    re.ASCII,
)


@dataclass(frozen=True)
class Signature:
    """The arrays that a formula takes, in the order of a call.

    Attributes
    ----------
    variables : tuple of Variable
        By position.
    names : tuple of (str or None)
        Their names; None for a variable that has none.
    """

    variables: tuple[Variable, ...]
    names: tuple[str | None, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Variable]:
        """The named variables."""
        pairs = zip(self.names, self.variables, strict=True)
        return {name: variable for name, variable in pairs if name is not None}

    @cached_property
    def to_name(self) -> Mapping[Variable, str]:
        """The names of the variables that have one."""
        return {variable: name for name, variable in self.by_name.items()}

    def complete(self, *expressions: Expression) -> Signature:
        """This signature with the variables that only appear in formulas, as ``Var(position,dim,category)``.

        Raises
        ------
        FormulaError
            If two variables have the same position, or a position is missing.
        """
        by_position = {variable.position: variable for variable in self.variables}
        for variable in variables_of(*expressions):
            declared = by_position.setdefault(variable.position, variable)
            if declared is not variable:
                raise FormulaError(f"position {variable.position} is used for both {declared} and {variable}")
        if len(by_position) == len(self.variables):
            variables = self.variables
            names = self.names
        else:
            variables = tuple(by_position[position] for position in sorted(by_position))
            names = tuple(self.to_name.get(variable) for variable in variables)
        _check_positions(variables)
        return Signature(variables, names)


def parse_aliases(aliases: Sequence[str | Variable]) -> Signature:
    """Read declarations of variables.

    Parameters
    ----------
    aliases : sequence of str
        ``"x = Vi(3)"`` (i-variable of dim 3), ``"y = Vj(3)"`` (j-variable), ``"p = Pm(1)"`` (parameter), ``"w =
        Vij(1)"`` (a value per pair). The
        position in a call is that in the list, or the first of two numbers, as in ``"x = Vi(0,3)"``. Also
        ``"Vi(3)"``, without a name, ``"x = Var(0,3,0)"``, and a Variable itself.

    Returns
    -------
    Signature

    Examples
    --------
    >>> parse_aliases(["x = Vi(3)", "y = Vj(3)"]).names
    ('x', 'y')
    """
    if isinstance(aliases, str):
        raise TypeError(f"aliases must be a list of strings, as in ['x = Vi(3)'], got the string {aliases[:60]!r}")
    found: dict[int, tuple[Variable, str | None]] = {}
    names: set[str] = set()
    for index, alias in enumerate(aliases):
        variable, name = (alias, None) if isinstance(alias, Variable) else _parse_alias(alias, index)
        text = str(alias)
        if name is not None and name in names:
            raise FormulaError(f"aliases: the name {name[:60]!r} is declared twice", text, text.index(name), len(name))
        if variable.position in found:
            raise FormulaError(f"aliases: position {variable.position} is declared twice", text, 0, len(text))
        if name is not None:
            names.add(name)
        found[variable.position] = variable, name
    ordered = [found[position] for position in sorted(found)]
    return Signature(tuple(variable for variable, _ in ordered), tuple(name for _, name in ordered))


def _parse_alias(alias: str, index: int) -> tuple[Variable, str | None]:
    if not isinstance(alias, str):
        raise TypeError(f"aliases[{index}] must be a string, as in 'x = Vi(3)', got {type(alias).__name__}")
    if len(alias) > 1000:
        raise FormulaError(f"aliases[{index}] has {len(alias)} characters; {_FORM}")
    match = _PATTERN.fullmatch(alias)
    if match is None:
        partial = _PATTERN.match(alias)
        position = partial.end() if partial else _first_mistake(alias)
        raise FormulaError(f"aliases[{index}] is not a declaration: {_FORM}", alias, position)
    kind, start = match["kind"], match.start("kind")
    numbers = [int(number) for number in match["numbers"].split(",")]
    if kind not in _CATEGORIES and kind != "Var":
        hint = suggestion(kind, [*_CATEGORIES, "Var"]) or f"; {_FORM}"
        raise FormulaError(f"aliases[{index}]: unknown kind of variable {kind[:60]!r}{hint}", alias, start, len(kind))
    if kind == "Var":
        if len(numbers) != 3:
            message = f"aliases[{index}]: Var takes (position,dim,category), got {len(numbers)} numbers"
            raise FormulaError(message, alias, start, len(kind))
        triple = tuple(numbers)
    elif len(numbers) == 1:
        triple = (index, numbers[0], _CATEGORIES[kind])
    elif len(numbers) == 2:
        triple = (numbers[0], numbers[1], _CATEGORIES[kind])
    else:
        message = f"aliases[{index}]: {kind} takes (dim) or (position,dim), got {len(numbers)} numbers"
        raise FormulaError(message, alias, start, len(kind))
    try:
        return Variable(*triple), match["name"]
    except FormulaError as error:
        raise FormulaError(f"aliases[{index}]: {error.message}", alias, start, len(kind)) from None


_PIECES = re.compile(
    r"\s*(?:[A-Za-z_][A-Za-z_0-9]*\s*(?:=\s*(?:[A-Za-z_][A-Za-z_0-9]*\s*(?:\(\s*(?:[0-9]{1,9}\s*(?:,\s*)?)*)?)?)?)?",
    re.ASCII,
)


def _first_mistake(alias: str) -> int:
    match = _PIECES.match(alias)
    return min(match.end() if match else 0, max(0, len(alias) - 1))


def _check_positions(variables: Sequence[Variable]) -> None:
    for expected, variable in enumerate(variables):
        if variable.position != expected:
            raise FormulaError(
                f"no variable has position {expected}, but {variable} exists: positions must be 0, 1, 2, ..."
            )
