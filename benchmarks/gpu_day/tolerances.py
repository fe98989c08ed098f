"""Sums with a tolerance beside all pairs, whatever their sizes: from which sizes on a search pays, which only a device can tell."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np

from .run import Run, milliseconds

__all__ = ["CASES", "compare"]

#: Components, the bandwidth for points that are uniform in a cube of variance 1, and points of either side.
CASES = ((2, 0.05, 2 * 10**5), (2, 0.03, 10**6), (3, 0.07, 10**6), (8, 0.35, 10**6))
_DRY_CASES = ((2, 0.02, 6000),)
_RTOL = 1e-6
_CHECKED = 64  # rows, beside NumPy in float64


def compare(run: Run) -> bool:
    """Time both, and the order of one side alone; write tolerances.csv; return whether errors are within the tolerance."""
    from skkeops.execution.methods import tiles, truncation

    found, right = [], True
    open_gates = {4: (0, 0), 8: (0, 0)}
    with patch.object(truncation, "_ON_DEVICE", open_gates), patch.object(tiles.TileMethod, "least_pairs", 1):
        for case in _DRY_CASES if run.dry else CASES:
            for dtype in ("float32", "float64"):
                row = _compare(run, *case, dtype)
                right &= row["ok"]
                found.append(row)
                run.write_csv("tolerances.csv", found)
                run.say(
                    f"rtol={_RTOL:g}, D={row['D']}, {row['points']} points, {dtype}: {row['share']:.2%} of the pairs in "
                    f"{row['within_ms']:.1f} ms, {row['order_ms']:.1f} of it for the order of each side; all pairs "
                    f"{row['all_pairs_ms']:.1f} ms"
                )
    return right


def _compare(run: Run, dim: int, h: float, n: int, dtype: str) -> dict[str, Any]:
    from skkeops import Genred
    from skkeops.pairs.order import SpatialOrder

    rng = np.random.default_rng(dim)
    x, y = ((np.sqrt(12) * rng.random((n, dim))).astype(dtype) for _ in range(2))
    p = np.array([1 / (2 * h * h)], dtype)
    function = Genred("Exp(-p * SqDist(x, y))", [f"x = Vi({dim})", f"y = Vj({dim})", "p = Pm(1)"], axis=1)
    given = [run.cupy.asarray(a) for a in (x, y, p)]
    sums = function(*given, rtol=_RTOL).get()[:_CHECKED, 0]
    report = function.last_call
    exact = np.exp(-float(p[0]) * ((x[:_CHECKED, None].astype(float) - y) ** 2).sum(axis=2)).sum(axis=1)
    rounding = (2e-6 if dtype == "float32" else 1e-13) * np.sqrt(12) / h
    error = float(np.max(np.abs(sums - exact) / exact))
    coordinates = given[1].astype(np.float64)
    return {
        "D": dim, "h": h, "points": n, "dtype": dtype, "method": report.method, "share": report.share, "error": error,
        "ok": error <= _RTOL + rounding,
        "within_ms": milliseconds(run, lambda: function(*given, rtol=_RTOL), 2.0, 5)["wall_ms"],
        "order_ms": milliseconds(run, lambda: SpatialOrder(coordinates, 256), 1.0, 5)["wall_ms"],
        "all_pairs_ms": milliseconds(run, lambda: function(*given), 2.0, 5)["wall_ms"],
    }  # fmt: skip
