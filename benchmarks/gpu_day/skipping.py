"""Calls that skip pairs beside all pairs, whatever their sizes: from which sizes on a search pays, which only a device can tell."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np

from .run import Run, milliseconds

__all__ = ["CASES", "compare"]

#: Components, the bandwidth for points that are uniform with variance 1 (None for the ten nearest), and points of either side.
CASES = ((2, 0.05, 2 * 10**5), (2, 0.03, 10**6), (3, 0.07, 10**6), (3, None, 10**6), (8, None, 2 * 10**5))
_DRY_CASES = ((2, 0.02, 6000), (2, None, 2000))
_RTOL = 1e-6
_CHECKED = 64  # rows, beside NumPy in float64


def compare(run: Run) -> bool:
    """Time both, and the order of one side alone; write skipping.csv; return whether everything is right.

    Sums have to be within their tolerance, neighbours to be those of all pairs to the bit.
    """
    from skkeops.execution.methods import gates, tiles

    found, right = [], True
    open_gates = {4: (0, 0), 8: (0, 0)}
    with patch.object(gates, "_ON_DEVICE", open_gates), patch.object(tiles.TileMethod, "least_pairs", 1):
        for case in _DRY_CASES if run.dry else CASES:
            for dtype in ("float32", "float64"):
                row = _compare(run, *case, dtype)
                right &= row["ok"]
                found.append(row)
                run.write_csv("skipping.csv", found)
                run.say(
                    f"{row['what']}, D={row['D']}, {row['points']} points, {dtype}: {row['share']:.2%} of the pairs in "
                    f"{row['skipping_ms']:.1f} ms, {row['order_ms']:.1f} of it for the order of each side; all pairs "
                    f"{row['all_pairs_ms']:.1f} ms"
                )
    return right


def _compare(run: Run, dim: int, h: float | None, n: int, dtype: str) -> dict[str, Any]:
    from skkeops.pairs.order import SpatialOrder

    rng = np.random.default_rng(dim)
    x, y = ((np.sqrt(12) * rng.random((n, dim))).astype(dtype) for _ in range(2))
    coordinates = run.cupy.asarray(y.astype(np.float64))
    row = _neighbours(run, x, y) if h is None else _sums(run, x, y, h)
    order = milliseconds(run, lambda: SpatialOrder(coordinates, 256), 1.0, 5)["wall_ms"]
    return {"D": dim, "h": h, "points": n, "dtype": dtype, **row, "order_ms": order}


def _sums(run: Run, x: np.ndarray, y: np.ndarray, h: float) -> dict[str, Any]:
    from skkeops import Genred

    dim = x.shape[1]
    p = np.array([1 / (2 * h * h)], x.dtype)
    function = Genred("Exp(-p * SqDist(x, y))", [f"x = Vi({dim})", f"y = Vj({dim})", "p = Pm(1)"], axis=1)
    given = [run.cupy.asarray(a) for a in (x, y, p)]
    sums = function(*given, rtol=_RTOL).get()[:_CHECKED, 0]
    report = function.last_call
    exact = np.exp(-float(p[0]) * ((x[:_CHECKED, None].astype(float) - y) ** 2).sum(axis=2)).sum(axis=1)
    rounding = (2e-6 if x.dtype == np.float32 else 1e-13) * np.sqrt(12) / h
    error = float(np.max(np.abs(sums - exact) / exact))
    return {
        "what": f"sum, rtol={_RTOL:g}", "method": report.method, "share": report.share, "error": error,
        "ok": error <= _RTOL + rounding,
        "skipping_ms": milliseconds(run, lambda: function(*given, rtol=_RTOL), 2.0, 5)["wall_ms"],
        "all_pairs_ms": milliseconds(run, lambda: function(*given), 2.0, 5)["wall_ms"],
    }  # fmt: skip


def _neighbours(run: Run, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    from skkeops import Genred

    dim = x.shape[1]
    given = [run.cupy.asarray(a) for a in (x, y)]
    # only exact arithmetic may skip pairs: see `CudaProgram.is_exact`
    exact, fast = (
        Genred("SqDist(x, y)", [f"x = Vi({dim})", f"y = Vj({dim})"], "KMin_ArgKMin", 1, opt_arg=10, use_fast_math=is_fast)
        for is_fast in (False, True)
    )
    found = [part.get() for part in exact(*given)]
    report = exact.last_call
    all_pairs = [part.get() for part in exact(*given, ranges=_everything(len(x), len(y)))]
    return {
        "what": "10 nearest", "method": report.method, "share": report.share,
        "error": float(np.mean(found[1] != all_pairs[1])),
        "ok": all(map(np.array_equal, found, all_pairs)),
        "skipping_ms": milliseconds(run, lambda: exact(*given), 2.0, 5)["wall_ms"],
        "all_pairs_ms": milliseconds(run, lambda: fast(*given), 2.0, 5)["wall_ms"],
    }  # fmt: skip


def _everything(m: int, n: int) -> tuple[np.ndarray, ...]:
    """Return ranges of all pairs, with which nothing is skipped."""
    rows, columns, end = np.array([[0, m]]), np.array([[0, n]]), np.array([1])
    return rows, end, columns, columns, end, rows
