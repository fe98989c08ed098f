"""Parts of a lazy tensor, and all of it, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..dense import dense, diagonal, restrict
from .base import Methods

if TYPE_CHECKING:
    from ..tensor import LazyTensor

__all__ = ["Parts"]


class Parts(Methods):
    """Rows and columns, components, the diagonal, and the whole."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> LazyTensor:
        """Components ``K[k]`` and ``K[a:b]``, as in KeOps, or rows and columns ``K[rows, columns]``."""
        if isinstance(key, tuple) and len(key) == 2 and key[0] is not Ellipsis:
            return restrict(self, key)
        if isinstance(key, tuple):
            if not key or any(k != slice(None) and k is not Ellipsis for k in key[:-1]):
                raise ValueError("K[..., k] selects components, K[rows, columns] pairs: found another index")
            key = key[-1]
        if isinstance(key, slice):
            start, stop, step = key.indices(self.ndim)
            if step != 1 or stop <= start:
                raise ValueError(f"components are selected by ranges with step 1: found {key}")
            return self.extract(start, stop - start)
        if not isinstance(key, (int, np.integer)) or isinstance(key, bool):
            if isinstance(key, Methods):
                raise TypeError("a mask of pairs selects no array: where(mask, K, 0), or another fill, keeps those pairs")
            raise TypeError(f"components are selected by an integer or a slice: found {repr(key)[:60]} ({type(key).__name__})")
        k = int(key)
        if not -self.ndim <= k < self.ndim:
            raise IndexError(f"component {k} of a tensor with {self.ndim} components")
        return self.elem(k % self.ndim)

    def diagonal(self) -> np.ndarray:
        """Return the values with i = j of a square tensor, without the others: (..., M) or (..., M, D).

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Vi, Vj
        >>> x = np.array([[1.0], [2.0]])
        >>> (Vi(x) * Vj(x)).diagonal()
        array([1., 4.])
        """
        return diagonal(self)

    def dense(self) -> np.ndarray:
        """Return the tensor as an array of `shape`.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Vi, Vj
        >>> (Vi(np.array([[1.0], [2.0]])) + Vj(np.array([[10.0]]))).dense()
        array([[11.],
               [12.]])
        """
        return dense(self)
