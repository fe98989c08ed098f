"""The options of a source: how terms are summed, and how exact the mathematics is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """Choices of a code generator.

    Parameters
    ----------
    accumulator : {"block", "float64", "kahan"}, default="block"
        How float32 terms are summed. "block": groups of 16 in float32, whose sums are added in float64. "float64": each term in
        float64. "kahan": groups of 16 in float32 with compensation, whose sums are added in float64. float64 terms are summed in
        float64, for "kahan" with compensation.
    fast_math : bool, default=True
        Whether constants may be folded into the arguments of exponentials (`generate.folding`), whether divisions and roots may be
        wrong by two units in the last place instead of one half, and whether squared distances of long vectors are computed in
        product form where that loses no digits (`templates.centred`).
    """

    accumulator: str = "block"
    fast_math: bool = True

    @classmethod
    def of_genred(cls, dtype_acc="auto", use_double_acc=False, sum_scheme="auto", use_fast_math=True) -> Options:
        """The choices that KeOps' options stand for."""
        accumulator = "block"
        if sum_scheme == "kahan_scheme":
            accumulator = "kahan"
        elif dtype_acc == "float64" or use_double_acc or sum_scheme == "direct_sum":
            accumulator = "float64"
        return cls(accumulator, bool(use_fast_math))
