"""What a class of the API is documented with: its own methods and properties, and those it has from a base class of
skkeops that has no page of its own. What scikit-learn adds is documented there."""

from __future__ import annotations

import importlib
import inspect

#: Classes that others inherit from, and that have a page themselves.
_BASES = ("skkeops.kernels.Kernel", "skkeops.reductions.Reduction")
_SPECIAL = ("__call__", "__getitem__", "__matmul__")


def resolve(fullname: str):
    """Return the object of a dotted name."""
    module, _, name = fullname.rpartition(".")
    return getattr(importlib.import_module(module), name)


def public_members(fullname: str) -> list[str]:
    """Return the names of the members that a class is documented with, in the order of the source."""
    cls = resolve(fullname)
    bases = [base for name in _BASES if (base := resolve(name)) is not cls and issubclass(cls, base)]
    found = []
    for owner in cls.__mro__:
        if not owner.__module__.startswith("skkeops") or any(issubclass(base, owner) for base in bases):
            continue
        for name, member in vars(owner).items():
            public = not name.startswith("_") or name in _SPECIAL
            if public and name not in found and _is_documented(member):
                found.append(name)
    return found


def _is_documented(member) -> bool:
    if isinstance(member, (classmethod, staticmethod)):
        member = member.__func__
    if isinstance(member, property):
        return bool(member.__doc__)
    # scikit-learn's set_fit_request and the like are descriptors, and no functions
    return inspect.isfunction(member) and bool(member.__doc__)
