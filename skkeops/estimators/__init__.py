"""Estimators for scikit-learn: kernels reduced over reference samples, and neighbours under any formula."""

from .gaussian_process import GaussianProcessRegressor
from .k_neighbors_classifier import KNeighborsClassifier
from .k_neighbors_regressor import KNeighborsRegressor
from .k_neighbors_transformer import KNeighborsTransformer
from .kernel_density import KernelDensity
from .kernel_density_classifier import KernelDensityClassifier
from .kernel_log_sum_exp import KernelLogSumExp
from .kernel_pca import KernelPCA
from .kernel_ridge import KernelRidge
from .kernel_smoother import KernelSmoother
from .kernel_sum import KernelSum
from .nearest_neighbors import NearestNeighbors
from .radius_neighbors_transformer import RadiusNeighborsTransformer
from .rp_cholesky import RPCholesky
from .spectral_clustering import SpectralClustering
from .spectral_embedding import SpectralEmbedding

__all__ = [
    "GaussianProcessRegressor",
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "KNeighborsTransformer",
    "KernelDensity",
    "KernelDensityClassifier",
    "KernelLogSumExp",
    "KernelPCA",
    "KernelRidge",
    "KernelSmoother",
    "KernelSum",
    "NearestNeighbors",
    "RPCholesky",
    "RadiusNeighborsTransformer",
    "SpectralClustering",
    "SpectralEmbedding",
]
