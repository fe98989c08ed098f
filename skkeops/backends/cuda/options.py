"""What can be chosen in the generation of a source, beside the problem and the dtype."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """Choices of a code generator.

    Parameters
    ----------
    accumulator : {"block", "float64", "kahan"}, default="block"
        How float32 terms are summed: 16 in float32, then in float64; each in float64; 16 with compensation, then in
        float64. float64 terms are summed in float64, with compensation if asked for.
    fast_math : bool, default=True
        Whether constants of exponentials may be folded into their arguments, divisions and roots be correct to two units
        in the last place instead of one half, and squared distances of long vectors have the product form where that loses
        no digits. See `folding` and `templates.centred`.
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
