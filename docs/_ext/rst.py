"""Directives that write reStructuredText."""

from __future__ import annotations

import sys
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles


class Generated(SphinxDirective):
    """A directive whose content is reStructuredText, returned by `lines`.

    Attributes
    ----------
    package : str
        The package that the content is made from: a page is made again when one of its modules changes.
    """

    has_content = False
    package = "skkeops"

    def lines(self) -> list[str]:
        raise NotImplementedError

    def run(self):
        for name, module in list(sys.modules.items()):
            if name.startswith(self.package):
                self.env.note_dependency(module.__file__)
        for path in Path(__file__).parent.glob("*.py"):
            self.env.note_dependency(str(path))
        node = nodes.section()
        node.document = self.state.document
        source = f"<{type(self).__name__}>"
        text = StringList()
        for k, line in enumerate(self.lines()):
            text.append(line, source, k)
        nested_parse_with_titles(self.state, text, node)
        return node.children


def table(header: list[str], rows: list[list[str]], css: str, widths: str = "auto") -> list[str]:
    """Return a list-table; a cell may have several lines."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :class: {css}", f"   :widths: {widths}", ""]
    for row in [header, *rows]:
        for k, cell in enumerate(row):
            first, *rest = cell.split("\n")
            lines.append(f"   {'* -' if k == 0 else '  -'} {first}".rstrip())
            lines.extend(f"       {line}".rstrip() for line in rest)
    return [*lines, ""]


__all__ = ["Generated", "table"]
