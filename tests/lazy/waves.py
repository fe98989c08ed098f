"""Complex arrays, and a complex kernel with its matrix."""

import numpy as np

from skkeops import Vi, Vj

RNG = np.random.default_rng(3)
M, N, D = 11, 7, 3


def random(*shape):
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


Z, W = random(M, D), random(N, D)
X, Y = RNG.normal(size=(M, D)), RNG.normal(size=(N, D))
A, B, C = random(D), random(N), random(N, 4)


def wave():
    """exp(i x.y), lazily and densely."""
    return (Vi(X) | Vj(Y)).exp1j(), np.exp(1j * X @ Y.T)
