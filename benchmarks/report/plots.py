"""Time and memory over size or dimension, a line for each library."""

from __future__ import annotations

from pathlib import Path

from ..peers import PEERS
from .results import Results
from .sweeps import Sweep

# Okabe and Ito's colours, which differ for all kinds of colour vision, and markers that differ in grey.
STYLES = {
    "skkeops": ("#D55E00", "o"),
    "numpy": ("#0072B2", "s"),
    "sklearn": ("#E69F00", "^"),
    "keops": ("#009E73", "D"),
    "torch": ("#CC79A7", "v"),
    "jax": ("#56B4E9", "P"),
}


def draw(sweep: Sweep, results: Results, folder: Path, kind: str = "png") -> str:
    """Write the picture of a sweep, and return the name of its file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    horizontal = {"rows": "N", "columns": "N", "dim": "D"}[sweep.varied]
    for peer in results.peers:
        found = [(getattr(s, sweep.varied), results.get(sweep, peer, s)) for s in sweep.specs]
        known = [(n, row.seconds, max(row.bytes, 1e5)) for n, row in found if row and row.seconds]
        if not known:
            continue
        n, seconds, memory = zip(*known, strict=True)
        color, marker = STYLES[peer]
        style = {"color": color, "marker": marker, "ms": 5, "lw": 2 if peer == "skkeops" else 1.2}
        axes[0].plot(n, seconds, label=PEERS[peer].title, zorder=3 if peer == "skkeops" else 2, **style)
        axes[1].plot(n, [m / 1e6 for m in memory], label=PEERS[peer].title, **style)
    limits = [(getattr(s, sweep.varied), results.limit(s)) for s in sweep.specs if results.limit(s)]
    if limits:
        axes[0].plot(*zip(*limits, strict=True), color="black", ls=":", lw=1.2, label="limit of the machine")
    for axis, title in zip(axes, ("seconds", "memory, MB (0.1 and less at the bottom)"), strict=True):
        axis.set(xscale="log", yscale="log", xlabel=horizontal, title=title)
        axis.grid(alpha=0.25)
    axes[0].legend(fontsize=8)
    figure.suptitle(sweep.title, fontsize=11)
    name = f"{sweep.name}.{kind}"
    figure.savefig(folder / name, dpi=110)
    return name
