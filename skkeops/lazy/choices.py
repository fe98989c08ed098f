"""where: one value for some pairs, another for the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from .masks import select
from .numpy_api import FUNCTIONS
from .tensor import LazyTensor, as_tensor

__all__ = ["where"]


def where(condition: Any, a: Any, b: Any) -> LazyTensor:
    """Return a where a condition holds, b elsewhere: ``numpy.where`` for lazy tensors.

    Parameters
    ----------
    condition : LazyTensor or array-like
        A comparison of lazy tensors; a mask of shape (M, N), or of what broadcasts to it, booleans at best, that are read as
        bytes; or one of SciPy's sparse arrays. It holds where it is not 0.
    a, b : LazyTensor, array-like or number
        What is chosen from. Infinities may be: ``where(mask, K, -numpy.inf).logsumexp(axis=1)``.

    Returns
    -------
    LazyTensor
        Its derivative goes to what was chosen alone.

    See Also
    --------
    skkeops.Vij : Values of pairs, and how sparse ones are reduced.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import Vi, Vj, where
    >>> K = Vi(np.array([[1.0], [2.0]])) * Vj(np.array([[10.0], [20.0]]))
    >>> where(np.array([[True, False], [True, True]]), K, 0).sum(axis=1)
    array([[10.],
           [60.]])
    """
    among = [t for t in (condition, a, b) if hasattr(t, "symbols")]
    # A mask (M, N) has one component, whatever it chooses from.
    mask = as_tensor(condition, *(among if np.ndim(condition) != 2 else [t[0] for t in among]))
    return select(mask, a, b)


def _numpy_where(condition: Any, *choices: Any) -> LazyTensor:
    if len(choices) != 2:
        raise TypeError("np.where of lazy tensors takes a condition and two choices")
    return where(condition, *choices)


FUNCTIONS[np.where] = _numpy_where
