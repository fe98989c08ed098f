"""The parameters of the functions and methods of CuPy 14.2, as its own signatures tell: NumPy's often have more."""

from __future__ import annotations

import pathlib

_PARAMETERS = {}
for _line in (pathlib.Path(__file__).parent / "signatures.txt").read_text().splitlines():
    _name, *_rest = _line.split()
    _PARAMETERS[_name] = tuple(_rest)


def check(name: str, args: tuple, kwargs: dict) -> None:
    """Raise the TypeError of a call with parameters that CuPy does not have."""
    known = _PARAMETERS.get(name)
    if known is None or "**" in known or name == "einsum":
        return
    if len(args) > len(known) and "*" not in known and name not in ("ndarray.reshape", "ndarray.transpose", "ndarray.item"):
        raise TypeError(f"{name}() takes at most {len(known)} arguments ({len(args)} given)")
    for key in kwargs:
        if key not in known:
            raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
