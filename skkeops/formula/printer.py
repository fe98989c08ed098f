"""Expressions as text, without recursion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .expression import Expression

__all__ = ["to_text"]

# operation -> (symbol, precedence of the result, least precedence of each side); as in Python
_INFIX = {
    "Scalprod": ("|", 2, 2, 3),
    "Add": ("+", 3, 3, 4),
    "Subtract": ("-", 3, 3, 4),
    "Mult": ("*", 4, 4, 5),
    "Divide": ("/", 4, 4, 5),
}
_UNARY = 5


def to_text(root: Expression, names: Mapping[Any, str] | None, limit: int) -> str | None:
    """The formula of ``root``, or None if it has more than ``limit`` characters."""
    names = names or {}
    out: list[str] = []
    length = 0
    stack: list[str | tuple[Expression, int]] = [(root, 0)]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            out.append(item)
            length += len(item)
            if length > limit:
                return None
            continue
        node, least = item
        if node.name == "Var":
            stack.append(names.get(node) or "Var({},{},{})".format(*node.params))
        elif node.name == "Constant":
            text, precedence = _constant(node)
            stack.append(text if precedence >= least else f"({text})")
        elif node.name in _INFIX:
            symbol, precedence, left, right = _INFIX[node.name]
            pieces: list[str | tuple[Expression, int]] = [(node.args[0], left), symbol, (node.args[1], right)]
            if precedence < least:
                pieces = ["(", *pieces, ")"]
            stack.extend(reversed(pieces))
        elif node.name == "Minus":
            pieces = ["-", (node.args[0], _UNARY)]
            if least > _UNARY:
                pieces = ["(", *pieces, ")"]
            stack.extend(reversed(pieces))
        else:
            pieces = [f"{node.name}("]
            for arg in node.args:
                pieces += [(arg, 0), ","]
            for param in node.printed_params():
                pieces += [_param(param), ","]
            pieces[-1] = ")"  # not a comma
            stack.extend(reversed(pieces))
    return "".join(out)


def _param(param) -> str:
    if isinstance(param, tuple):
        return "[" + ",".join(map(str, param)) + "]"
    return str(param)


def _constant(node: Any) -> tuple[str, int]:
    numerator, denominator, dim = node.params
    if dim > 1:
        if numerator == 0:
            return f"Zero({dim})", 10
        return f"SumT({_number(numerator, denominator)},{dim})", 10
    return _number(numerator, denominator), 10 if numerator >= 0 else _UNARY


def _number(numerator: int, denominator: int) -> str:
    if denominator == 1:
        if abs(numerator) < 10**16:
            return str(numerator)
        digits = str(abs(numerator))
        stripped = digits.rstrip("0")
        if len(digits) - len(stripped) > 5:
            return _scientific(numerator < 0, stripped, len(digits) - 1)
        return str(numerator)
    decimal = _decimal(numerator, denominator)
    return decimal if decimal is not None else f"RatCst({numerator},{denominator})"


def _decimal(numerator: int, denominator: int) -> str | None:
    """A finite decimal expansion if there is a short one."""
    twos = (denominator & -denominator).bit_length() - 1
    odd, fives = denominator >> twos, 0
    if odd.bit_length() > 2400:
        return None
    while odd % 5 == 0:
        odd //= 5
        fives += 1
    places = max(twos, fives)
    if odd != 1 or places > 350:
        return None
    digits = str(abs(numerator) * 10**places // denominator)
    if len(digits) > 30:
        return None
    sign = "-" if numerator < 0 else ""
    if places > 20 and len(digits) < places - 5:
        return _scientific(numerator < 0, digits, len(digits) - 1 - places)
    digits = digits.zfill(places + 1)
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def _scientific(negative: bool, digits: str, exponent: int) -> str:
    mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{'-' if negative else ''}{mantissa}e{exponent}"
