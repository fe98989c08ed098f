"""Lines of CUDA C++."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["each_column", "each_row", "indent"]


def indent(lines: Sequence[str], margin: str = "    ") -> list[str]:
    """The lines, moved to the right."""
    return [margin + line for line in lines]


def each_row(body: Sequence[str], count: str | int = "ROWS") -> list[str]:
    """The statements for all rows ``t`` of a thread."""
    return each_column(body, "t", count)


def each_column(body: Sequence[str], variable: str, count: str | int) -> list[str]:
    """The statements for all columns of a thread."""
    return ["#pragma unroll", f"for (int {variable} = 0; {variable} < {count}; ++{variable}) {{", *indent(body), "}"]
