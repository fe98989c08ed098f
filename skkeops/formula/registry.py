"""Where operations are found by their names, by formulas and by one another.

Operations build each other: the sum of two equal terms is a product, and the derivative of a product is a sum. Their modules
would have to import one another in circles. So each module enters its operations here when it is imported, and takes those of
other modules from here when it builds something: ``ops.Mult.build(f, g)``.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from .errors import FormulaError, suggestion

if TYPE_CHECKING:
    from .operations.base import Composite, Operation

__all__ = ["lookup", "ops", "register", "registry"]

ops = SimpleNamespace()
"""Every operation of the language as an attribute. They are there once `skkeops.formula` is imported."""

registry: dict[str, type[Operation] | Composite] = vars(ops)
"""The same operations by their names."""

_by_any_name: dict[str, type[Operation] | Composite] = {}


def register(operation):
    """Class decorator: make an operation known to the language."""
    for name in (operation.name, *operation.aliases):
        if name in _by_any_name:
            raise ValueError(f"two operations are called {name!r}")
        _by_any_name[name] = operation
    registry[operation.name] = operation
    return operation


def lookup(name: str) -> type[Operation] | Composite:
    """The operation called ``name`` (or with that alias).

    Examples
    --------
    >>> from skkeops.formula import operations
    >>> operations.lookup("Exp").name
    'Exp'
    """
    found = _by_any_name.get(name)
    if found is None:
        raise FormulaError(f"unknown operation {name[:60]!r}{suggestion(name, _by_any_name)}")
    return found
