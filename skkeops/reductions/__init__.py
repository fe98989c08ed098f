"""Reductions: the monoids over which a formula is folded.

`get_reduction` finds one by its name in KeOps' notation.

=========================  ===============================================  =======================
name                       result                                           shape
=========================  ===============================================  =======================
``Sum``                    sum of F                                         (M, D)
``LogSumExp``              log of the sum of exp F (of exp(F) G)            (M, 1), (M, dim G)
``SumSoftMaxWeight``       average of G with weights exp F                  (M, dim G)
``Max`` ``Min``            extremum of each component                       (M, D)
``ArgMax`` ``ArgMin``      its index                                        (M, D) int64
``Max_ArgMax`` ...         both, as a tuple                                 (M, D), (M, D) int64
``KMin``                   the K smallest values                            (M, K) or (M, K, D)
``ArgKMin``                their indices                                    the same, int64
``KMin_ArgKMin``           both, as a tuple
``Max_SumShiftExp``        raw state of ``LogSumExp``                       (M, 2)
=========================  ===============================================  =======================
"""

from __future__ import annotations

from typing import Any

from skkeops.formula.errors import suggestion

from .base import Reduction
from .extremum import ArgMax, ArgMin, Max, MaxArgMax, Min, MinArgMin
from .kmin import ArgKMin, KMin, KMinArgKMin, KSmallest
from .shift_exp import LogSumExp, LogSumExpWeight, MaxSumShiftExp, MaxSumShiftExpWeight, SumSoftMaxWeight
from .sum import Sum

__all__ = [
    "ArgKMin",
    "ArgMax",
    "ArgMin",
    "KMin",
    "KMinArgKMin",
    "KSmallest",
    "LogSumExp",
    "LogSumExpWeight",
    "Max",
    "MaxArgMax",
    "MaxSumShiftExp",
    "MaxSumShiftExpWeight",
    "Min",
    "MinArgMin",
    "Reduction",
    "Sum",
    "SumSoftMaxWeight",
    "get_reduction",
    "registry",
]

_CLASSES = (
    Sum,
    LogSumExp,
    LogSumExpWeight,
    SumSoftMaxWeight,
    Max,
    Min,
    ArgMax,
    ArgMin,
    MaxArgMax,
    MinArgMin,
    KMin,
    ArgKMin,
    KMinArgKMin,
    MaxSumShiftExp,
    MaxSumShiftExpWeight,
)

#: The reductions by their names and aliases.
registry: dict[str, type[Reduction]] = {name: cls for cls in _CLASSES for name in (cls.name, *cls.aliases)}

# With a second formula, these names mean their weighted forms.
_WEIGHTED: dict[type[Reduction], type[Reduction]] = {
    LogSumExp: LogSumExpWeight,
    MaxSumShiftExp: MaxSumShiftExpWeight,
}


def get_reduction(name: str, opt_arg: Any = None, weighted: bool = False) -> Reduction:
    """Return the reduction of that name.

    Parameters
    ----------
    name : str
        A name of the table above, or an alias: ``"SoftMax"`` for ``"SumSoftMaxWeight"``.
    opt_arg : int, optional
        The number K, for the reductions that keep the K smallest values.
    weighted : bool, default=False
        Whether there is a second formula: ``"LogSumExp"`` is then the weighted one.

    Returns
    -------
    Reduction

    Raises
    ------
    ValueError
        If there is no such reduction, K is missing or below 1, or K is given to a reduction that has no use
        for it.
    TypeError
        If the name is not a string, or K is not an integer.

    Examples
    --------
    >>> from skkeops.reductions import get_reduction
    >>> get_reduction("KMin", 3)
    KMin(3)
    >>> get_reduction("LogSumExp", weighted=True)
    LogSumExpWeight()
    """
    if not isinstance(name, str):
        raise TypeError(f"reduction_op must be a string: found {name!r} ({type(name).__name__})")
    cls = registry.get(name)
    if cls is None:
        known = ", ".join(repr(c.name) for c in _CLASSES)
        raise ValueError(f"reduction_op={name!r} is not known: expected one of {known}{suggestion(name, registry)}")
    if weighted:
        cls = _WEIGHTED.get(cls, cls)
    if issubclass(cls, KSmallest):
        if opt_arg is None:
            raise ValueError(
                f"opt_arg is missing: reduction_op={name!r} needs the number K of values to keep"
            )
        return cls(opt_arg)
    if opt_arg is not None:
        raise ValueError(f"opt_arg must be None: reduction_op={name!r} takes no parameter, found {opt_arg!r}")
    return cls()
