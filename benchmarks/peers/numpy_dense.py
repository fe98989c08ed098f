"""NumPy and SciPy on the matrix of pairs, as it is written every day; and the exact values, in the same words."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp, softmax

from .base import Peer, matrix_bytes


def squared_distances(x, y):
    """By a matrix product: fast, and in float32 as wrong as the cancellation makes it."""
    return (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1) - 2 * (x @ y.T)


class NumPy(Peer):
    name = "numpy"
    title = "NumPy"
    modules = ("numpy", "scipy")
    note = "the whole matrix of pairs; squared distances by a matrix product; derivatives by hand"

    squared_distances = staticmethod(squared_distances)

    def bytes_needed(self, case, dtype):
        per_component = case.shapes["x"][1] if case.name == "laplacian" else 1
        return (3 + per_component) * matrix_bytes(case, dtype)

    def prepare_gauss(self, case, arrays):
        x, y, b = (arrays[name] for name in "xyb")
        return lambda: np.exp(-self.squared_distances(x, y)) @ b

    def prepare_gauss_gradient(self, case, arrays):
        x, y, b, e = (arrays[name] for name in "xybe")

        def gradient():
            weights = np.exp(-self.squared_distances(x, y)) * (e @ b.T)
            return -2 * (x * weights.sum(axis=1, keepdims=True) - weights @ y)

        return gradient

    def prepare_logsumexp(self, case, arrays):
        x, y = arrays["x"], arrays["y"]
        return lambda: logsumexp(-self.squared_distances(x, y), axis=1, keepdims=True)

    def prepare_page(self, case, arrays):
        x, y, a, p = (arrays[name] for name in "xyap")
        return lambda: logsumexp((p - a.T) ** 2 * np.exp(x + y.T), axis=1, keepdims=True)

    def prepare_laplacian(self, case, arrays):
        x, y, b = (arrays[name] for name in "xyb")
        return lambda: np.exp(-np.abs(x[:, None, :] - y).sum(axis=2)) @ b

    def prepare_nearest(self, case, arrays):
        x, y, k = arrays["x"], arrays["y"], case.opt_arg

        def nearest():
            distances = self.squared_distances(x, y)
            found = np.argpartition(distances, k - 1, axis=1)[:, :k]
            return np.take_along_axis(found, np.take_along_axis(distances, found, axis=1).argsort(axis=1), axis=1)

        return nearest

    def prepare_centres(self, case, arrays):
        x, y = arrays["x"], arrays["y"]
        return lambda: self.squared_distances(x, y).argmin(axis=1)

    def prepare_attention(self, case, arrays):
        q, k, v = (arrays[name] for name in "xyb")
        return lambda: softmax(q @ k.T, axis=1) @ v


class Exact(NumPy):
    """The same in float64, with distances that are sums of squares: what the others are compared with, on some rows."""

    name = "exact"

    @staticmethod
    def squared_distances(x, y):
        from scipy.spatial.distance import cdist

        return cdist(x, y, "sqeuclidean")
