"""Choices of pairs: by a condition, or by their places."""

from __future__ import annotations

from .. import masks
from .base import Methods

__all__ = ["Choices"]


class Choices(Methods):
    """One value for some pairs, another for the rest."""

    __slots__ = ()

    def where(self, a, b):
        """Return a where the tensor is not 0, else b; see `skkeops.where`."""
        return masks.select(self, a, b)

    def tril(self, k=0, fill=0):
        """Return the tensor where j <= i + k, `fill` elsewhere. Nothing is stored for a pair.

        Every pair is still visited; reductions that skip those of the fill take
        ``ranges=skkeops.cluster.band_ranges(M, N, None, k)``.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Vi, Vj
        >>> (Vi(np.ones((2, 1))) * Vj(np.ones((3, 1)))).tril().dense()
        array([[1., 0., 0.],
               [1., 1., 0.]])
        """
        return masks.tril(self, k, fill)

    def triu(self, k=0, fill=0):
        """Return the tensor where j >= i + k, `fill` elsewhere; see `tril`."""
        return masks.triu(self, k, fill)

    def band(self, lower, upper, fill=0):
        """Return the tensor where i - lower <= j <= i + upper, `fill` elsewhere; see `tril`.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Vi, Vj
        >>> (Vi(np.ones((3, 1))) * Vj(np.ones((3, 1)))).band(0, 1, fill=-np.inf).max(axis=0).ravel()
        array([1., 1., 1.])
        """
        return masks.band(self, lower, upper, fill)
