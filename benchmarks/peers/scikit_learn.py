"""scikit-learn: its kernels as matrices, its trees for densities and neighbours."""

from __future__ import annotations

import numpy as np

from .base import Peer, matrix_bytes


class ScikitLearn(Peer):
    name = "sklearn"
    title = "scikit-learn"
    modules = ("sklearn",)
    note = "`rbf_kernel`, `laplacian_kernel` times a vector; `KernelDensity`, `NearestNeighbors`, fitted and queried each time"

    def bytes_needed(self, case, dtype):
        return 3 * matrix_bytes(case, dtype) if case.name in ("gauss", "laplacian") else 0.0

    def prepare_gauss(self, case, arrays):
        from sklearn.metrics.pairwise import rbf_kernel

        x, y, b = (arrays[name] for name in "xyb")
        return lambda: rbf_kernel(x, y, gamma=1.0) @ b

    def prepare_laplacian(self, case, arrays):
        from sklearn.metrics.pairwise import laplacian_kernel

        x, y, b = (arrays[name] for name in "xyb")
        return lambda: laplacian_kernel(x, y, gamma=1.0) @ b

    def prepare_logsumexp(self, case, arrays):
        from sklearn.neighbors import KernelDensity

        x, y = arrays["x"], arrays["y"]
        constant = np.log(len(y)) + y.shape[1] / 2 * np.log(np.pi)  # of a Gaussian density with 2 h^2 = 1
        return lambda: KernelDensity(bandwidth=0.5**0.5).fit(y).score_samples(x)[:, None] + constant

    def prepare_nearest(self, case, arrays):
        from sklearn.neighbors import NearestNeighbors

        x, y = arrays["x"], arrays["y"]
        return lambda: NearestNeighbors(n_neighbors=case.opt_arg).fit(y).kneighbors(x, return_distance=False)

    def prepare_centres(self, case, arrays):
        from sklearn.metrics import pairwise_distances_argmin

        x, y = arrays["x"], arrays["y"]
        return lambda: pairwise_distances_argmin(x, y)
