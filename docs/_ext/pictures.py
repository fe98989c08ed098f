"""The pictures of the documentation, drawn as SVG when it is built.

Colours mean the same everywhere: blue is what belongs to an index i, orange to an index j, violet to a pair (i, j), green is
a result, grey a parameter.

``python docs/_ext/pictures.py`` writes the one that README.md shows, docs/_static/pairs.svg.
"""

from __future__ import annotations

import sys
from pathlib import Path

BLUE, ORANGE, VIOLET, GREEN, GREY = "#2b6cb0", "#dd7a1f", "#6b46c1", "#2f855a", "#718096"
LIGHT = {BLUE: "#dbeafe", ORANGE: "#fde8d0", VIOLET: "#e9e2fb", GREEN: "#d5f0e0", GREY: "#edf0f4"}
INK = "#1f2937"
FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, DejaVu Sans, sans-serif'"
MONO = "font-family='ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace'"


class Picture:
    """An SVG document on a white card, so that it is readable on any background."""

    def __init__(self, width: int, height: int, title: str):
        self.width, self.height, self.title = width, height, title
        self.parts: list[str] = []

    def box(self, x, y, w, h, colour, fill=None, radius=4, width=1.4, dash=None):
        fill = LIGHT[colour] if fill is None else fill
        dashed = f" stroke-dasharray='{dash}'" if dash else ""
        self.parts.append(
            f"<rect x='{x}' y='{y}' width='{w}' height='{h}' rx='{radius}' fill='{fill}' stroke='{colour}' "
            f"stroke-width='{width}'{dashed}/>"
        )

    def text(self, x, y, text, size=14, colour=INK, anchor="middle", weight="normal", mono=False):
        self.parts.append(
            f"<text x='{x}' y='{y}' font-size='{size}' fill='{colour}' text-anchor='{anchor}' font-weight='{weight}' "
            f"{MONO if mono else FONT}>{_marked(text, size)}</text>"
        )

    def arrow(self, x1, y1, x2, y2, colour=INK, width=1.6):
        self.parts.append(
            f"<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' stroke='{colour}' stroke-width='{width}' "
            f"marker-end='url(#head-{colour[1:]})'/>"
        )

    def path(self, d, colour, width=1.6):
        self.parts.append(
            f"<path d='{d}' fill='none' stroke='{colour}' stroke-width='{width}' marker-end='url(#head-{colour[1:]})'/>"
        )

    def line(self, x1, y1, x2, y2, colour=GREY, width=1.2):
        self.parts.append(f"<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' stroke='{colour}' stroke-width='{width}'/>")

    def svg(self) -> str:
        heads = "".join(
            f"<marker id='head-{c[1:]}' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' "
            f"orient='auto-start-reverse'><path d='M0,0.6 L8,4 L0,7.4 z' fill='{c}'/></marker>"
            for c in (INK, BLUE, ORANGE, VIOLET, GREEN, GREY)
        )
        body = "\n".join(self.parts)
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {self.width} {self.height}' width='{self.width}' "
            f"height='{self.height}' role='img' aria-label='{self.title}'>\n<title>{self.title}</title>\n"
            f"<defs>{heads}</defs>\n<rect width='{self.width}' height='{self.height}' rx='8' fill='white'/>\n{body}\n</svg>\n"
        )


def _marked(text: str, size: int) -> str:
    """``x_i`` with a subscript, and in italics, between asterisks: ``sum of *x_i*``."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    out = []
    for k, part in enumerate(text.split("*")):
        if k % 2 == 0:
            out.append(part)
            continue
        base, mark, sub = part.partition("_")
        if mark:
            drop = size * 0.25
            base += f"<tspan dy='{drop:.1f}' font-size='{size * 0.7:.1f}'>{sub}</tspan><tspan dy='{-drop:.1f}'>&#8203;</tspan>"
        out.append(f"<tspan font-style='italic' font-family='Georgia, DejaVu Serif, serif'>{base}</tspan>")
    return "".join(out)


def pairs() -> Picture:
    """Points, pairs and the result: what the package computes, and what it does not store."""
    p = Picture(760, 326, "Reductions of a formula over all pairs of points, tile by tile")
    left, top, cell, rows, cols = 150, 74, 26, 7, 14
    for r in range(rows):
        p.box(left - 44, top + r * cell, 30, cell - 6, BLUE)
    for c in range(cols):
        p.box(left + c * cell, top - 40, cell - 6, 26, ORANGE)
    for r in range(rows):
        for c in range(cols):
            tile = (c // 4, r // 2)
            x, y, side = left + c * cell, top + r * cell, cell - 6
            if tile == (1, 1):
                p.box(x, y, side, side, VIOLET, radius=3)
            else:
                p.box(x, y, side, side, "#cbd5e0", fill="white", radius=3, width=1, dash="2 3")
    right = left + cols * cell
    for r in range(rows):
        p.arrow(right, top + r * cell + 10, right + 40, top + r * cell + 10, GREY, 1.2)
        p.box(right + 46, top + r * cell, 30, cell - 6, GREEN)
    p.text(left - 70, top + rows * cell / 2 - 20, "*x_i*", 18, BLUE)
    p.text(left - 29, top - 22, "*y_j*", 18, ORANGE)
    p.text(right + 8, top - 22, "N points", 13, ORANGE, anchor="start")
    p.text(right + 61, top + rows * cell + 14, "*c_i*", 18, GREEN)
    p.text(left - 58, top + rows * cell / 2, "M points", 13, BLUE, anchor="end")
    p.text(left + 5.5 * cell, top + rows * cell + 26, "a tile of values  F(*x_i*, *y_j*): in the cache, then gone", 14, VIOLET)
    p.line(left + 5.85 * cell, top + 4 * cell - 5, left + 5.85 * cell, top + rows * cell + 10, VIOLET, 1)
    p.text(right + 84, top + rows * cell / 2 - 8, "sum, log-sum-exp,", 13, GREEN, anchor="start")
    p.text(right + 84, top + rows * cell / 2 + 9, "min, k nearest ...", 13, GREEN, anchor="start")
    p.text(left + 5.5 * cell, top + rows * cell + 50, "the M × N matrix is never there", 13, GREY)
    return p


def line() -> Picture:
    """From text to an array."""
    p = Picture(760, 176, "A formula becomes an expression, a plan, a program, and an array")
    steps = [
        ("text", "Square(p-a)∗Exp(x+y)", GREY, 20, 176), ("expression", "simplified", GREY, 226, 104),
        ("plan", "what is where", VIOLET, 360, 112), ("program", "for tiles", VIOLET, 502, 104),
        ("array", "(M, D)", GREEN, 636, 104),
    ]  # fmt: skip
    for k, (title, text, colour, x, w) in enumerate(steps):
        p.box(x, 76, w, 56, colour)
        p.text(x + w / 2, 98, title, 14, colour, weight="bold")
        p.text(x + w / 2, 119, text, 12, mono=k == 0)
        if k:
            before = steps[k - 1]
            p.arrow(before[3] + before[4] + 2, 104, x - 3, 104)
    p.path("M306,74 C316,30 240,30 250,72", VIOLET)
    p.text(278, 30, "differentiate, to any order", 12, VIOLET)
    p.text(290, 160, "no array is involved up to here: below a millisecond, once for a formula", 12, GREY)
    p.text(650, 160, "compiled ahead of time", 12, GREY)
    return p


def plan() -> Picture:
    """The expression of the front page, each node where it is computed."""
    p = Picture(760, 330, "Where each part of a formula is computed")
    columns = [
        ("once", GREY, 20), ("per i: M times", BLUE, 205), ("per j: N times", ORANGE, 390), ("per pair: M·N times", VIOLET, 575),
    ]  # fmt: skip
    for title, colour, x in columns:
        p.box(x, 46, 165, 262, colour, fill="white", radius=8)
        p.text(x + 82, 32, title, 15, colour, weight="bold")
    nodes = {
        "p": (55, 90, "p", GREY, 70),
        "x": (240, 90, "x", BLUE, 70),
        "y": (425, 90, "y", ORANGE, 70),
        "a": (425, 160, "a", ORANGE, 70),
        "s": (410, 225, "Square(p - a)", ORANGE, 130),
        "add": (620, 90, "x + y", VIOLET, 80),
        "exp": (610, 155, "Exp", VIOLET, 90),
        "mul": (610, 225, "*", VIOLET, 90),
        "lse": (600, 278, "log-sum-exp", GREEN, 115),
    }
    for x, y, text, colour, w in nodes.values():
        p.box(x, y - 18, w, 28, colour)
        p.text(x + w / 2, y + 1, text.replace("*", "∗"), 13, mono=True)

    def edge(a, b, side=True):
        xa, ya, _, ca, wa = nodes[a]
        xb, yb, _, _, wb = nodes[b]
        if side:
            p.arrow(xa + wa, ya - 4, xb - 2, yb - 4, ca)
        else:
            p.arrow(xa + wa / 2, ya + 10, xb + wb / 2, yb - 20, ca)

    p.path("M310,86 C340,128 560,128 618,92", BLUE)
    edge("y", "add")
    edge("a", "s", False)
    p.path("M125,86 C160,221 330,221 408,221", GREY)
    edge("add", "exp", False)
    edge("exp", "mul", False)
    edge("s", "mul")
    edge("mul", "lse", False)
    return p


def monoid() -> Picture:
    """One row of pairs, reduced segment by segment."""
    p = Picture(760, 250, "A log-sum-exp from the states of segments")
    for k in range(4):
        x = 40 + k * 150
        for c in range(6):
            p.box(x + c * 20, 34, 17, 24, VIOLET, radius=2)
        p.arrow(x + 60, 62, x + 60, 90, VIOLET)
        p.box(x + 14, 94, 92, 30, ORANGE)
        p.text(x + 60, 114, f"(*m_{k + 1}*, *s_{k + 1}*)", 15)
    p.text(380, 22, "values F(*x_i*, *y_j*) of one row, in segments of a fixed length", 13, VIOLET)
    p.path("M100,124 L100,177 L226,177", ORANGE)
    for k in range(1, 4):
        x = 40 + k * 150 + 60
        p.arrow(x, 128, x, 158, ORANGE)
        if k > 1:
            p.arrow(x - 131, 177, x - 24, 177, ORANGE)
        p.parts.append(f"<circle cx='{x}' cy='177' r='17' fill='{LIGHT[ORANGE]}' stroke='{ORANGE}' stroke-width='1.6'/>")
        p.text(x, 183, "+", 18, ORANGE, weight="bold")
    p.arrow(569, 177, 618, 177, ORANGE)
    p.box(622, 160, 120, 34, GREEN)
    p.text(682, 182, "*c_i* = *m* + log *s*", 15)
    p.text(330, 228, "combine: keep the larger *m*, scale both sums to it, add them. First to last, whatever the threads.", 13, INK)
    return p


def adjoint() -> Picture:
    """Forward over rows, backward over columns."""
    p = Picture(760, 270, "The gradient of a reduction over j is a reduction over i")
    for x0, forward in ((70, True), (450, False)):
        for r in range(5):
            for c in range(8):
                p.box(x0 + c * 24, 66 + r * 24, 19, 19, "#cbd5e0", fill="white", radius=3, width=1, dash="2 3")
        if forward:
            for r in range(5):
                p.arrow(x0 + 2, 75.5 + r * 24, x0 + 200, 75.5 + r * 24, VIOLET, 1.2)
                p.box(x0 + 206, 66 + r * 24, 26, 19, GREEN)
            p.text(x0 + 96, 32, "*c_i* = log Σ exp *F_ij*", 15)
            p.text(x0 + 219, 54, "*c_i*", 15, GREEN)
            p.text(x0 + 100, 214, "forward: over j, a number per i", 13, INK)
        else:
            for c in range(8):
                p.arrow(x0 + 9.5 + c * 24, 68, x0 + 9.5 + c * 24, 192, VIOLET, 1.2)
                p.box(x0 + c * 24, 197, 19, 26, ORANGE)
            for r in range(5):
                p.box(x0 - 38, 66 + r * 24, 26, 19, GREEN)
            p.text(x0 - 25, 54, "*e_i*", 15, GREEN)
            p.text(x0 + 96, 32, "*g_j* = Σ *e_i* exp(*F_ij* − *c_i*) ∂*F_ij*/∂*y_j*", 15)
            p.text(x0 + 208, 214, "*g_j*", 15, ORANGE)
            p.text(x0 + 96, 248, "gradient by y: over i, a vector per j", 13, INK)
    return p


def tiles() -> Picture:
    """The tiles of columns that one tile of rows has to meet, for its ten nearest neighbours."""
    import numpy as np

    from skkeops.pairs.order import SpatialOrder, boxes_of

    p = Picture(760, 330, "Points in tiles; the ten nearest neighbours of one tile are in few others")
    rng = np.random.default_rng(3)
    centers = np.array([[0.22, 0.3], [0.5, 0.72], [0.78, 0.32], [0.62, 0.4]])
    points = np.clip(centers[rng.integers(4, size=1000)] + 0.1 * rng.normal(size=(1000, 2)), 0.02, 0.98)
    order = SpatialOrder(points, 16)
    points = points[order.index]
    lower, upper = boxes_of(points, order.edges, points.dtype)
    chosen = int(np.argmin((((lower + upper) / 2 - [0.24, 0.34]) ** 2).sum(axis=1)))
    mine = points[order.edges[chosen] : order.edges[chosen + 1]]
    cut = np.sort(((mine[:, None] - points) ** 2).sum(axis=2), axis=1)[:, 9].max()
    gap = np.maximum(0, np.maximum(lower - upper[chosen], lower[chosen] - upper))
    needed = (gap**2).sum(axis=1) <= cut
    width, height, left, top = 440, 290, 20, 20
    for k, (low, high) in enumerate(zip(lower, upper, strict=True)):
        x, y = left + low[0] * width, top + (1 - high[1]) * height
        colour = BLUE if k == chosen else ORANGE if needed[k] else "#cbd5e0"
        fill = None if k == chosen or needed[k] else "white"
        sides = (high - low) * (width, height)
        p.box(round(x, 1), round(y, 1), round(sides[0], 1), round(sides[1], 1), colour, fill, 1, 1)
    for x, y in points[::2]:
        x, y = left + x * width, top + (1 - y) * height
        p.parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='1' fill='{GREY}'/>")
    legend = [
        ((BLUE,), ["a tile of rows *x_i*"]),
        ((ORANGE,), ["tiles of columns *y_j*", "that are computed"]),
        (("#cbd5e0", "white"), ["tiles that are skipped: the", "lower bound of *F* is above", "the tenth value of all rows"]),
    ]
    y = 70
    for colours, lines in legend:
        p.box(490, y, 22, 16, *colours)
        for line in lines:
            p.text(522, y + 13, line, 14, anchor="start")
            y += 20
        y += 20
    for line in (f"{needed.mean():.0%} of the pairs of this tile", "of rows are computed"):
        p.text(490, y + 13, line, 14, anchor="start", weight="bold")
        y += 20
    return p


PICTURES = (pairs, line, plan, monoid, adjoint, tiles)


def write(folder: Path) -> None:
    """Write all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for draw in PICTURES:
        path, text = folder / f"{draw.__name__}.svg", draw().svg()
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def setup(app):
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / "generated" / "pictures"))
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    target = Path(__file__).resolve().parents[1] / "_static" / "pairs.svg"
    target.write_text(pairs().svg())
    sys.stdout.write(f"{target}\n")
