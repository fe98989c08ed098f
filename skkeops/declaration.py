"""Reading a formula and its aliases: what the arguments of a call are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skkeops.formula.aliases import parse_aliases
from skkeops.formula.expression import Expression, Variable, variables_of
from skkeops.formula.parser import parse


def declare(
    aliases: Sequence[str], formula: str | Expression, formula2: str | Expression | None
) -> tuple[Expression, Expression | None, tuple[Variable, ...], tuple[str, ...]]:
    """Parse a formula, and its weight if it has one, with the arguments that the aliases declare.

    Parameters
    ----------
    aliases : sequence of str
        Such as ``"x = Vi(3)"``.
    formula : str or Expression
    formula2 : str or Expression or None

    Returns
    -------
    formula : Expression
    formula2 : Expression or None
    variables : tuple of Variable
        All variables in the order of the arguments; those that only the formulas mention come after the
        aliases.
    names : tuple of str
        Their names; ``"Var(position,dim,category)"`` without an alias.

    Raises
    ------
    FormulaError
        If a text makes no sense.
    ValueError
        If two declarations of an argument differ, or a position is left out.
    TypeError
        If something is not text.
    """
    if isinstance(aliases, str) or not isinstance(aliases, Sequence):
        raise TypeError(f"aliases must be a list of strings like 'x = Vi(3)': found {aliases!r}")
    signature = parse_aliases(list(aliases))
    named = dict(zip(signature.names, signature.variables, strict=True))
    f = _parse(formula, named, "formula")
    g = None if formula2 is None else _parse(formula2, named, "formula2")
    variables, names = _complete(signature.variables, signature.names, [e for e in (f, g) if e is not None])
    return f, g, variables, names


def _parse(formula: Any, names: Mapping[str, Variable], argument: str) -> Expression:
    if isinstance(formula, Expression):
        return formula
    if not isinstance(formula, str):
        raise TypeError(f"{argument} must be a string: found {formula!r} ({type(formula).__name__})")
    return parse(formula, names)


def _complete(
    variables: Sequence[Variable], names: Sequence[str], expressions: Sequence[Expression]
) -> tuple[tuple[Variable, ...], tuple[str, ...]]:
    """Return the variables in the order of the arguments, with those that only the formulas mention, and
    their names."""
    by_position = {v.position: (v, name) for v, name in zip(variables, names, strict=True)}
    for v in variables_of(*expressions):
        declared, _ = by_position.setdefault(v.position, (v, str(v)))
        if declared is not v:
            raise ValueError(f"argument number {v.position} is declared both as {declared} and as {v}")
    missing = sorted(set(range(len(by_position))) - set(by_position))
    if missing:
        raise ValueError(f"argument number {missing[0]} is not declared, but number {max(by_position)} is")
    pairs = [by_position[k] for k in range(len(by_position))]
    return tuple(v for v, _ in pairs), tuple(name for _, name in pairs)
