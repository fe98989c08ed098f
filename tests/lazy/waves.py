"""Complex arrays, and a complex kernel with its matrix."""

import numpy as np
from scipy.spatial.distance import cdist

from skkeops import Vi, Vj

M, N, D = 11, 7, 3


def normal(*shape):
    """Real numbers, the same ones for a shape whoever asks, and in whatever order."""
    return np.random.default_rng(shape).normal(size=shape)


def random(*shape):
    """Complex numbers, the same ones for a shape."""
    real, imaginary = normal(2, *shape)
    return real + 1j * imaginary


Z, W = random(M, D), random(N, D)
X, Y = normal(M, D), normal(N, D)
A, B, C = random(D), random(N), random(N, 4)


def wave():
    """exp(i x.y), lazily and densely."""
    return (Vi(X) | Vj(Y)).exp1j(), np.exp(1j * X @ Y.T)


def gauss(x, y):
    """exp(-|x - y|^2), lazily and densely."""
    return (-Vi(x).sqdist(Vj(y))).exp(), np.exp(-cdist(x, y, "sqeuclidean"))
