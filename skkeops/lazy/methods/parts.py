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
        """Components ``K[k]`` and ``K[a:b]``, as in KeOps, or rows and columns ``K[rows, columns]``, in a batch ``K[..., :]``."""
        if not isinstance(key, tuple) or (len(key) == 2 and key[0] is Ellipsis):
            return self._components(key[1] if isinstance(key, tuple) else key)
        first, n_axes = len(self.batch), len(self._shape)
        if any(k is Ellipsis for k in key):
            at = [k is Ellipsis for k in key].index(True)
            filled = (slice(None),) * (len(self.shape) - len(key) + 1)
            key = (*key[:at], *filled, *key[at + 1 :])
        if not first + 2 <= len(key) <= n_axes or any(not _is_all(k) for k in key[:first]):
            batch = "with batch dimensions K[:, rows, columns]; " if first else ""
            raise IndexError(
                f"K[rows, columns] selects pairs, {batch}K[k], K[a:b] and K[..., k] components: found {len(key)} indices for a "
                f"tensor of shape {self.shape}"
            )
        rows, columns, *components = key[first:]
        selected = self if _is_all(rows) and _is_all(columns) and components else restrict(self, (rows, columns))
        return selected._components(components[0]) if components else selected

    def _components(self, key: Any) -> LazyTensor:
        if isinstance(key, slice):
            start, stop, step = key.indices(self.ndim)
            if step != 1 or stop <= start or (isinstance(key.stop, (int, np.integer)) and key.stop > self.ndim):
                raise IndexError(
                    f"K[a:b] selects components, of which there are {self.ndim}, with step 1; rows are K[a:b, :]: found {key}"
                )
            return self.extract(start, stop - start)
        if not isinstance(key, (int, np.integer)) or isinstance(key, bool):
            if isinstance(key, Methods):
                raise TypeError("a mask of pairs selects no array: where(mask, K, 0), or another fill, keeps those pairs")
            raise TypeError(
                f"components are selected by an integer or a slice: found {repr(key)[:60]} ({type(key).__name__}); rows and "
                "columns are K[rows, columns]"
            )
        k = int(key)
        if not -self.ndim <= k < self.ndim:
            raise IndexError(f"component {k} of a tensor with {self.ndim} components; a row is K[{k}, :]")
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


def _is_all(key: Any) -> bool:
    return isinstance(key, slice) and key == slice(None)
