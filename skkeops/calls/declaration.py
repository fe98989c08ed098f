"""Reading a formula and its aliases: what the arguments of a call are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skkeops.formula.aliases import parse_aliases
from skkeops.formula.expression import Expression, Variable
from skkeops.formula.parser import parse_declaring


def declare(
    aliases: Sequence[str | Variable], formula: str | Expression, formula2: str | Expression | None
) -> tuple[Expression, Expression | None, tuple[Variable, ...], tuple[str, ...]]:
    """Parse a formula, and its weight if it has one, with the arguments that the aliases declare.

    Parameters
    ----------
    aliases : sequence of str or Variable
        Such as ``"x = Vi(3)"``.
    formula : str or Expression
    formula2 : str or Expression or None

    Returns
    -------
    formula : Expression
    formula2 : Expression or None
    variables : tuple of Variable
        All variables in the order of the arguments; those that only the formulas mention come after the
        aliases, also if simplification removes them.
    names : tuple of str
        Their names; ``"Var(position,dim,category)"`` without an alias.

    Raises
    ------
    FormulaError
        If a text makes no sense, two declarations of an argument differ, or a position is left out.
    TypeError
        If something is not text.
    """
    if not isinstance(aliases, Sequence):
        raise TypeError(f"aliases must be a list of strings like 'x = Vi(3)': found {aliases!r}")
    signature = parse_aliases(aliases)
    f, declared = _parse(formula, signature.by_name, "formula")
    g = None
    if formula2 is not None:
        g, more = _parse(formula2, signature.by_name, "formula2")
        declared = (*declared, g, *more)
    signature = signature.complete(f, *declared)
    names = tuple(name or str(v) for v, name in zip(signature.variables, signature.names, strict=True))
    return f, g, signature.variables, names


def _parse(formula: Any, names: Mapping[str, Variable], argument: str) -> tuple[Expression, tuple[Variable, ...]]:
    """A formula, and the variables that it declares itself."""
    if isinstance(formula, Expression):
        return formula, ()
    if not isinstance(formula, str):
        raise TypeError(f"{argument} must be a string: found {formula!r} ({type(formula).__name__})")
    return parse_declaring(formula, names)
