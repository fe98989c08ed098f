"""Cutting a formula into tokens with their places."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from .errors import FormulaError
from .expression import Constant
from .limits import MAX_TEXT

__all__ = ["Token", "number", "tokenize"]

_PATTERN = re.compile(
    r"[ \t\r\n\f\v]*(?:"
    r"(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<symbol>\*\*|//|<=|>=|==|!=|<>|&&|\|\||[-+*/|<>()\[\],=.:;%@^&~!?$#'\"`\\{}])"
    r"|(?P<end>\Z)"
    r")"
)
_SUPPORTED = frozenset(["**", "<=", ">=", "==", "!=", *"-+*/|<>()[],="])
_HINTS = {
    "^": "; powers are written '**'",
    "&&": "; multiply comparisons instead",
    "&": "; multiply comparisons instead",
    "||": "; add comparisons instead",
    "<>": "; write '!='",
    "@": "; products of matrices are MatVecMult, VecMatMult and TensorDot",
    "%": "; the remainder is Mod(f,n,0)",
    "//": "; write Floor(f/g)",
    ".": "; operations are written without a module and not as methods: Exp(f), not np.exp(f) or f.exp()",
    "!": "; write '!=' or IfElse",
}
_MAX_LITERAL = 800  # characters of a number


class Token(NamedTuple):
    """A piece of a formula."""

    kind: str  # "number", "name", "end", or the symbol itself
    text: str
    position: int


def tokenize(text: str) -> list[Token]:
    """All tokens of a formula, the last one of kind "end"."""
    if not isinstance(text, str):
        raise TypeError(f"a formula must be a string, got {type(text).__name__}")
    if len(text) > MAX_TEXT:
        raise FormulaError(f"the formula has {len(text)} characters, the limit is {MAX_TEXT}")
    tokens: list[Token] = []
    position = 0
    match_at = _PATTERN.match
    while True:
        match = match_at(text, position)
        if match is None:
            while text[position] in " \t\r\n\f\v":
                position += 1
            raise FormulaError(f"unexpected character {text[position]!r}", text, position)
        kind = match.lastgroup or "end"
        piece = match.group(kind)
        start = match.start(kind)
        if kind == "symbol":
            if piece not in _SUPPORTED:
                raise FormulaError(f"unexpected {piece!r}{_HINTS.get(piece, '')}", text, start, len(piece))
            kind = piece
        tokens.append(Token(kind, piece, start))
        if kind == "end":
            return tokens
        position = match.end()


def number(token: Token, text: str) -> Constant:
    """The exact value of a numeric token."""
    literal = token.text
    if len(literal) > _MAX_LITERAL:
        raise FormulaError(f"a number has more than {_MAX_LITERAL} characters", text, token.position, len(literal))
    if literal.isdecimal():
        value = Fraction(int(literal))
    else:
        _, _, exponent = literal.lower().partition("e")
        if exponent and abs(int(exponent)) > 1200:
            small = exponent.startswith("-")
            message = f"a constant is too {'small' if small else 'large'} for a float64"
            raise FormulaError(message, text, token.position, len(literal))
        value = Fraction(literal)
    try:
        return Constant(value)
    except FormulaError as error:
        raise error.at(text, token.position, len(literal)) from None
