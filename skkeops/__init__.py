"""skkeops: reductions of formulas over all pairs of points, without the matrix of pairs.

``c_i = Reduce_j F(x_i, y_j, p)`` for NumPy arrays, with exact gradients, on ahead-of-time compiled kernels.

>>> import numpy as np
>>> from skkeops import Genred
>>> lse = Genred("-SqDist(x, y)", ["x = Vi(3)", "y = Vj(3)"], reduction_op="LogSumExp", axis=1)
>>> lse(np.zeros((4, 3)), np.zeros((10, 3))).shape
(4, 1)
"""

from __future__ import annotations

from typing import Any

from .locks import import_module

__version__ = "0.1.0"

# Where each public name lives. They are imported on first use: importing skkeops stays cheap, whatever it
# offers.
_HOMES = {
    "ComplexLazyTensor": "skkeops.lazy",
    "Formula": "skkeops.kernels.formula",
    "FormulaError": "skkeops.formula.errors",
    "GPUError": "skkeops.arrays.errors",
    "GPUMemoryError": "skkeops.arrays.errors",
    "GaussianProcessRegressor": "skkeops.estimators",
    "Genred": "skkeops.genred",
    "KNeighborsClassifier": "skkeops.estimators",
    "KNeighborsRegressor": "skkeops.estimators",
    "KNeighborsTransformer": "skkeops.estimators",
    "KernelDensity": "skkeops.estimators",
    "KernelDensityClassifier": "skkeops.estimators",
    "KernelLogSumExp": "skkeops.estimators",
    "KernelPCA": "skkeops.estimators",
    "KernelRidge": "skkeops.estimators",
    "KernelSmoother": "skkeops.estimators",
    "KernelSolve": "skkeops.solvers.kernel_solve",
    "KernelSum": "skkeops.estimators",
    "LazyTensor": "skkeops.lazy",
    "ManyReductions": "skkeops.many",
    "NearestNeighbors": "skkeops.estimators",
    "Pm": "skkeops.lazy",
    "RPCholesky": "skkeops.estimators",
    "RadiusNeighborsTransformer": "skkeops.estimators",
    "SpectralClustering": "skkeops.estimators",
    "SpectralEmbedding": "skkeops.estimators",
    "Vi": "skkeops.lazy",
    "Vij": "skkeops.lazy",
    "Vj": "skkeops.lazy",
    "energy_distance": "skkeops.statistics",
    "generic_argkmin": "skkeops.generic",
    "generic_argmin": "skkeops.generic",
    "generic_logsumexp": "skkeops.generic",
    "generic_sum": "skkeops.generic",
    "hsic": "skkeops.statistics",
    "hsic_test": "skkeops.statistics",
    "median_length_scale": "skkeops.statistics",
    "mmd": "skkeops.statistics",
    "mmd_test": "skkeops.statistics",
    "show_versions": "skkeops._show_versions",
    "sinkhorn_divergence": "skkeops.statistics",
    "where": "skkeops.lazy",
}

# Public modules, which ``import skkeops`` is enough for.
_MODULES = ("cluster", "estimators", "formula", "kernels", "lazy", "reductions", "solvers", "statistics")

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"skkeops.{name}")
    if name == "gpu_available":  # asked anew each time: CuPy may be installed, or a device hidden, meanwhile
        return import_module("skkeops.backends.gpu").is_usable()
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'skkeops' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES, "gpu_available"})
