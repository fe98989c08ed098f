"""What docstrings have as plain text, as ``help`` shows it, and pages set in another way: names with an index, such as ``x'_j`` and
``w_j``, become mathematics; and authors, such as "B. W. Silverman", do not become items of a list that begins with B."""

from __future__ import annotations

import re

_SYMBOL = re.compile(r"(?<![\w`'\"\\{(/])([A-Za-zα-ω]'?_[ijk])(?![\w`'\"({\[])")
_INITIAL = re.compile(r"^(\s*(?:\.\. \[[^\]]+\] )?[A-Z])\.(?=\s)")
#: What is left as it is: literals, roles, and text in backticks.
_KEPT = re.compile(r"(``.*?``|:[\w:]+:`[^`]*`|`[^`]*`)")


def set_symbols(lines: list[str]) -> None:
    """Replace the names in the lines of a docstring, but for code and displayed formulas; mark initials as text."""
    lines[:] = [_INITIAL.sub(r"\1\\.", line) for line in lines]
    block = None  # the indentation of a directive or a literal block that is being passed
    for k, line in enumerate(lines):
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        if block is not None and indent > block:
            continue
        block = None
        if line.lstrip().startswith((".. math::", ".. code", ".. plot::")) or line.rstrip().endswith("::"):
            block = indent
            continue
        if line.lstrip().startswith((">>>", "...", ":param", ".. ")):
            continue
        parts = _KEPT.split(line)
        parts[::2] = [_SYMBOL.sub(r":math:`\1`", part) for part in parts[::2]]
        lines[k] = "".join(parts)


def mark_initials(app, name: str, source: list[str]) -> None:
    """Mark the initials of authors in the references of a page."""
    source[0] = "\n".join(_INITIAL.sub(r"\1\\.", line) if line.startswith(".. [") else line for line in source[0].split("\n"))


def setup(app):
    # after numpydoc, which makes sections of the docstring
    app.connect("autodoc-process-docstring", lambda app, what, name, obj, options, lines: set_symbols(lines), priority=900)
    app.connect("source-read", mark_initials)
    return {"parallel_read_safe": True}
