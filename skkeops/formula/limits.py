"""Bounds that keep any formula, however absurd, cheap to refuse."""

from __future__ import annotations

__all__ = [
    "MAX_DIM",
    "MAX_NESTING",
    "MAX_NODES",
    "MAX_POSITION",
    "MAX_TEXT",
]

MAX_DIM = 2**24  # components of one value
MAX_POSITION = 2**16  # position of a variable
MAX_TEXT = 2**20  # characters of a formula
MAX_NESTING = 200  # parentheses and calls open at once
MAX_NODES = 2**18  # distinct sub-expressions of an expression to differentiate
