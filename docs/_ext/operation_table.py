"""``.. operation-tables::``: all operations of the formula language, a section for each module that defines some."""

from __future__ import annotations

import operations
from rst import Generated, table


class OperationTables(Generated):
    package = "skkeops.formula.operations"

    def lines(self):
        lines = []
        for module, found in operations.by_module().items():
            heading = operations.title(module)
            lines += [heading, "-" * len(heading), ""]
            lines += table(
                ["Operation", "Dims", "Meaning", "Derivative"],
                [row(operation) for operation in found],
                "operations",
                "26 14 34 26",
            )
            rows = [[f"``{op.name}``", *values] for op in found for values in edge_rows(op)]
            if rows:
                header = ["At", *map(operations.number, operations.EDGES), "slope at 0", "slope at ±∞"]
                lines += table(header, rows, "edges")
        return lines


def row(operation) -> list[str]:
    written = operations.operator(operation)
    names = [operations.signature(operation), *([written] if written else []), *operation.aliases]
    note, slopes = operations.derivatives(operation)
    lines = [f"| {name}: ``{text}``" for name, text in slopes]
    if all(text == "0" for _, text in slopes):
        lines = ["0"] if slopes else []
    elif note:
        lines.insert(0, f"| {note}")
    call = "\n\n".join(f"``{name}``" for name in names)
    return [call, operations.dims(operation), operations.meaning(operation), "\n".join(lines)]


def edge_rows(operation) -> list[list[str]]:
    found = operations.edges(operation)
    if found is None:
        return []
    values, slopes = found
    at_zero, low, high = slopes[operations.EDGES.index(0.0)], slopes[0], slopes[operations.EDGES.index(float("inf"))]
    return [[*values, at_zero, low if low == high else f"{low}, {high}"]]


def setup(app):
    app.add_directive("operation-tables", OperationTables)
    return {"parallel_read_safe": True}
