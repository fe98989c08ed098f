"""The order of the gallery: of its sections, and of the pages within one."""

from __future__ import annotations

from pathlib import Path

SECTIONS = ["densities", "regression", "neighbours", "transport", "formulas", "scale"]
#: Pages that come before the others of their section; those follow by name.
FIRST = [
    "plot_log_sum_exp.py",
    "plot_density_tails.py",
    "plot_kernel_ridge.py",
    "plot_nearest_neighbours.py",
    "plot_custom_formulas.py",
]


def section(folder: str) -> int:
    """Return what a section is sorted by, given its folder."""
    name = Path(folder).name
    return SECTIONS.index(name) if name in SECTIONS else len(SECTIONS)


def key(filename: str) -> tuple[bool, str]:
    """Return what an example is sorted by within its section."""
    return Path(filename).name not in FIRST, filename
