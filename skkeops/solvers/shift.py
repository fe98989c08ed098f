"""The shift of a system ``(K + alpha I) a = b``: one number, or one for each entry of b."""

from __future__ import annotations

from typing import Any

import numpy as np

from skkeops.arrays.devices import as_array, to_host

__all__ = ["check_alpha", "check_number", "shift_of"]


def check_number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)) or not value >= 0:
        raise ValueError(f"{name} must be a number, not negative: found {value!r}")
    return float(value)


def check_alpha(alpha: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return alpha as one number for each entry of b."""
    if np.ndim(alpha) == 0:
        alpha = check_number(alpha.item() if hasattr(alpha, "item") else alpha, "alpha")
        if alpha == np.inf:
            raise ValueError("alpha must be finite: found inf")
    values = to_host(as_array(alpha))
    if values.dtype.kind not in "iuf" or not bool((np.isfinite(values) & (values >= 0)).all()):
        raise ValueError(f"alpha must be numbers, finite and not negative: found {alpha!r}")
    try:
        return np.broadcast_to(values.astype(np.float64), shape)
    except ValueError:
        raise ValueError(
            f"alpha must be a number, or broadcast to the shape of b, {shape}: found the shape {values.shape}; one number for each "
            "row has the shape (n, 1)"
        ) from None


def shift_of(alpha: Any, shape: tuple[int, int]) -> np.ndarray:
    """Return alpha as one number for each column of b, or for each of its entries."""
    if np.ndim(alpha) == 0:
        return np.array(check_alpha(alpha, shape[1:]))
    values = check_alpha(alpha, shape)
    return values[0].copy() if len(values) and (values == values[0]).all() else values.copy()
