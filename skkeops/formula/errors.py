"""The error of everything that can go wrong with a formula."""

from __future__ import annotations

__all__ = ["FormulaError", "suggestion"]

_WINDOW = 70  # characters shown on each side of the caret


class FormulaError(ValueError):
    """An invalid formula, or an invalid operation built from Python.

    Parameters
    ----------
    message : str
        What was found and what was expected.
    text : str or None
        The formula, shown below the message with a caret under the place.
    position : int or None
        Where in ``text`` the mistake is.
    length : int
        How many characters the caret underlines.

    Examples
    --------
    >>> print(FormulaError("unknown name 'z'", "x+z", 2))
    unknown name 'z'
        x+z
          ^
    """

    def __init__(self, message: str, text: str | None = None, position: int | None = None, length: int = 1):
        super().__init__(message, text, position, length)
        self.message = message
        self.text = text
        self.position = position
        self.length = length

    def __str__(self) -> str:
        if self.text is None or self.position is None:
            return self.message
        start = max(0, self.position - _WINDOW)
        stop = min(len(self.text), self.position + _WINDOW)
        before = "..." if start > 0 else ""
        after = "..." if stop < len(self.text) else ""
        shown = "".join(c if c.isprintable() and c.isascii() else " " for c in self.text[start:stop])
        column = len(before) + self.position - start
        carets = "^" * max(1, min(self.length, stop - self.position))
        return f"{self.message}\n    {before}{shown}{after}\n    {' ' * column}{carets}"

    def at(self, text: str, position: int, length: int = 1) -> FormulaError:
        """The same error with a place in a formula."""
        return FormulaError(self.message, text, position, length)


def suggestion(word: str, candidates) -> str:
    """``"; did you mean 'Exp'?"`` if a candidate is close to ``word``, otherwise ``""``."""
    import difflib  # imported here: only errors need it

    word = word[:60]
    by_lower = {str(candidate).lower(): str(candidate) for candidate in candidates}
    close = difflib.get_close_matches(word.lower(), by_lower, n=3, cutoff=0.6)
    if not close:
        return ""
    return "; did you mean " + " or ".join(repr(by_lower[match]) for match in close) + "?"
