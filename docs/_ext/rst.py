"""Directives that write reStructuredText."""

from __future__ import annotations

from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles


class Generated(SphinxDirective):
    """A directive whose content is reStructuredText, returned by `lines`."""

    has_content = False
    optional_arguments = 1

    def lines(self) -> list[str]:
        raise NotImplementedError

    def run(self):
        from docutils import nodes

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
