"""The options of a reduction and of a call, checked. They are KeOps' options; most of them have an effect on a GPU only."""

from __future__ import annotations

import sys
import warnings
from typing import Any, NamedTuple

import numpy as np

from skkeops.pairs.tolerance import Tolerance
from skkeops.reductions import Reduction

_ACCUMULATORS = ("auto", "float16", "float32", "float64")
_SUM_SCHEMES = ("auto", "direct_sum", "block_sum", "kahan_scheme")
_SUM_FOLDS = ("sum", "shift_exp")


def warn_deprecated(owner: str, **arguments: Any) -> None:
    """Warn of arguments that are given and no longer mean anything."""
    for name, value in arguments.items():
        if value is not None:
            warn_caller(
                f"the argument {name!r} of {owner} is deprecated and ignored: the dtype is that of the arrays",
                DeprecationWarning,
            )


def warn_caller(message: str, category: type[Warning] = RuntimeWarning) -> None:
    """Warn, and show the line that called us, by whatever face."""
    depth, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("skkeops."):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, category, stacklevel=depth)


class Options(NamedTuple):
    """The options of a `Genred`, which are KeOps'.

    On the CPU none has an effect, as sums are always accumulated in float64; kernels of a GPU follow `dtype_acc`,
    `use_double_acc`, `sum_scheme` and `use_fast_math`.
    """

    dtype_acc: Any = "auto"
    use_double_acc: Any = False
    sum_scheme: Any = "auto"
    enable_chunks: Any = True
    rec_multVar_highdim: Any = False  # noqa: N815 (KeOps' name)
    use_fast_math: Any = True

    def check(self, fold: str, reduction_op: str) -> None:
        """Refuse values that an option cannot have, and options of sums for a reduction that adds nothing."""
        if self.dtype_acc not in _ACCUMULATORS:
            raise ValueError(f"dtype_acc must be one of {', '.join(map(repr, _ACCUMULATORS))}: found {self.dtype_acc!r}")
        if self.sum_scheme not in _SUM_SCHEMES:
            raise ValueError(f"sum_scheme must be one of {', '.join(map(repr, _SUM_SCHEMES))}: found {self.sum_scheme!r}")
        for name in ("use_double_acc", "enable_chunks", "rec_multVar_highdim", "use_fast_math"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, (bool, np.bool_)) and value not in (0, 1):
                raise ValueError(f"{name} must be True or False: found {value!r}")
        if self.use_double_acc and self.dtype_acc != "auto":
            raise ValueError(
                f"use_double_acc=True and dtype_acc={self.dtype_acc!r} exclude each other: give one of them"
            )
        if fold not in _SUM_FOLDS:
            if self.dtype_acc != "auto" or self.use_double_acc:
                raise ValueError(
                    f"dtype_acc and use_double_acc are for sums: reduction_op={reduction_op!r} has no accumulator"
                )
            if self.sum_scheme not in ("auto", "direct_sum"):
                raise ValueError(
                    f"sum_scheme={self.sum_scheme!r} is for sums: reduction_op={reduction_op!r} adds nothing"
                )


def check_call_options(progress: Any, device_id: Any) -> None:
    """Refuse options of a call that mean nothing here."""
    if progress is not None and not callable(progress):
        raise TypeError(
            f"progress must be a function of two numbers, done and total: found {progress!r} "
            f"({type(progress).__name__})"
        )
    if isinstance(device_id, bool) or not isinstance(device_id, (int, np.integer)):
        raise TypeError(f"device_id must be an integer: found {device_id!r} ({type(device_id).__name__})")


def check_tolerance(rtol: Any, atol: Any, reduction: Reduction) -> Tolerance | None:
    """Return the tolerance of a call, None if it is zero; refuse one that means nothing, there or anywhere."""
    for name, value, below in (("rtol", rtol, 1.0), ("atol", atol, np.inf)):
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{name} must be a number: found {value!r} ({type(value).__name__})")
        if not 0 <= value < below:
            raise ValueError(f"{name} must be at least 0 and below {below:g}: found {value!r}")
        if value and name not in reduction.tolerances:
            known = ", ".join(reduction.tolerances)
            raise ValueError(
                f"{name}={value!r} is for sums: reduction_op={reduction.name!r} has "
                + (f"no other tolerance than {known}" if known else "no tolerance")
            )
    return Tolerance(float(rtol), float(atol)) if rtol or atol else None
