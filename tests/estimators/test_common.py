"""scikit-learn's own checks, on every estimator, in default and other configurations, without expected failures.

With ``SCIPY_ARRAY_API=1`` in the environment the checks of other array namespaces run too; `test_array_api_checks` runs
them in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from sklearn.base import BaseEstimator
from sklearn.gaussian_process import kernels as gp
from sklearn.utils import estimator_checks as checks

import skkeops
from skkeops import (
    Formula,
    GaussianProcessRegressor,
    KernelDensity,
    KernelDensityClassifier,
    KernelLogSumExp,
    KernelPCA,
    KernelRidge,
    KernelSmoother,
    KernelSum,
    KNeighborsClassifier,
    KNeighborsRegressor,
    KNeighborsTransformer,
    NearestNeighbors,
    RadiusNeighborsTransformer,
    RPCholesky,
    SpectralClustering,
    SpectralEmbedding,
    kernels,
)

KERNELS = [GaussianProcessRegressor, KernelDensity, KernelLogSumExp, KernelRidge, KernelSmoother, KernelSum]
CLASSIFIERS = [KernelDensityClassifier]
NEIGHBORS = [
    KNeighborsClassifier,
    KNeighborsRegressor,
    KNeighborsTransformer,
    NearestNeighbors,
    RadiusNeighborsTransformer,
]
SPECTRA = [KernelPCA, RPCholesky, SpectralClustering, SpectralEmbedding]
ESTIMATORS = [*KERNELS, *CLASSIFIERS, *NEIGHBORS, *SPECTRA]
TRANSFORMERS = [KernelSum, KernelLogSumExp, KernelPCA, RPCholesky]

CONFIGURATIONS = [
    KernelSum(),
    KernelSum("poly", gamma=0.1, degree=2),
    KernelSum("Exp(-SqDist(x, y) / 100)"),
    KernelSum(gp.Matern(2.0, nu=2.5) + gp.WhiteKernel()),
    KernelSum(n_jobs=2),
    KernelSum("chi2"),
    KernelSum("x * y"),
    KernelLogSumExp(),
    KernelLogSumExp(2.0 * kernels.Laplacian(10.0) + kernels.Cauchy()),
    KernelLogSumExp(Formula("-g * SqDist(x, y)", g=0.5)),
    KernelSmoother(),
    KernelSmoother(kernels.Matern(3.0), n_jobs=2),
    KernelSmoother("laplacian", gamma=2.0),
    KernelSmoother(degree=1),
    KernelSmoother(kernels.Gaussian(20.0), degree=1, robust_iterations=2, n_jobs=2),
    KernelRidge(),
    KernelRidge(kernel="rbf", gamma=0.1),
    KernelRidge(kernel=kernels.Matern(5.0), alpha=0.1, n_components=3),
    GaussianProcessRegressor(),
    GaussianProcessRegressor(kernels.Matern(5.0) + kernels.White(0.1), alpha=0.1, normalize_y=True, mean="linear"),
    GaussianProcessRegressor(2.0 * gp.RBF(5.0), optimizer=None, mean="constant"),
    GaussianProcessRegressor(method="iterative", alpha=0.1, optimizer=None),
    KernelDensity(),
    KernelDensity(kernel="epanechnikov", bandwidth="scott"),
    KernelDensity(kernel="exponential", bandwidth="silverman"),
    KernelDensity(bandwidth="cv"),
    KernelDensity(bandwidth="abramson", kernel="cosine"),
    KernelDensityClassifier(),
    KernelDensityClassifier(bandwidth=2.0, kernel="exponential", n_jobs=2),
    KernelDensityClassifier(bandwidth=3.0, kernel="epanechnikov"),
    *(estimator() for estimator in (*NEIGHBORS, *SPECTRA)),
    KernelPCA(3, kernel="rbf", fit_inverse_transform=True),
    KernelPCA(2, kernel=kernels.Matern(3.0), eigen_solver="arpack", random_state=0),
    SpectralEmbedding(1, kernel=kernels.Laplacian(2.0), n_jobs=2),
    RPCholesky(kernels.Matern(3.0), n_components=None, tol=1e-3, n_jobs=2),
    RPCholesky("poly", degree=2, n_components=5),
    SpectralClustering(3, affinity=kernels.Matern(2.0), assign_labels="cluster_qr"),
    SpectralClustering(2, assign_labels="discretize", eigen_solver="arpack"),
    NearestNeighbors(algorithm="kd_tree"),
    NearestNeighbors(metric="nan_euclidean"),
    KNeighborsClassifier(metric=kernels.Gaussian(3.0), weights="distance"),
    KNeighborsRegressor(metric="Sum(Abs(x - y))", algorithm="brute", n_jobs=2),
    KNeighborsTransformer(mode="connectivity", metric="cosine"),
]


@checks.parametrize_with_checks(CONFIGURATIONS)
def test_estimator(estimator, check):
    check(estimator)


def test_every_public_estimator_is_checked():
    public = {getattr(skkeops, name) for name in skkeops.__all__}
    public = {thing for thing in public if isinstance(thing, type) and issubclass(thing, BaseEstimator)}
    assert public == set(ESTIMATORS) == {type(e) for e in CONFIGURATIONS}


# Checks that scikit-learn runs on its own estimators only.
FOR_ALL = [checks.check_dataframe_column_names_consistency, checks.check_param_validation]
FOR_TRANSFORMERS = [
    checks.check_transformer_get_feature_names_out,
    checks.check_transformer_get_feature_names_out_pandas,
    checks.check_get_feature_names_out_error,
    checks.check_set_output_transform,
    checks.check_set_output_transform_pandas,
    checks.check_set_output_transform_polars,
    checks.check_global_output_transform_pandas,
    checks.check_global_set_output_transform_polars,
]


@pytest.mark.parametrize("check", FOR_ALL, ids=lambda c: c.__name__)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: e.__name__)
def test_further_checks(estimator, check):
    check(estimator.__name__, estimator())


@pytest.mark.parametrize("check", FOR_TRANSFORMERS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("estimator", TRANSFORMERS, ids=lambda e: e.__name__)
def test_further_checks_of_transformers(estimator, check):
    check(estimator.__name__, estimator())


_ARRAY_API = """
import warnings
from sklearn.utils.estimator_checks import check_estimator
import skkeops
warnings.simplefilter("ignore")
for name, params in {cases!r}:
    results = check_estimator(getattr(skkeops, name)(**params), on_fail=None, on_skip=None)
    array_api = [r for r in results if "array_api" in r["check_name"]]
    ran = [r for r in array_api if r["status"] == "passed"]
    assert len(ran) >= 3, (name, params, "the checks of other namespaces did not run")
    failed = [r for r in results if r["status"] == "failed"]
    assert not failed, (name, params, failed)
"""


def test_array_api_checks():
    """SCIPY_ARRAY_API has to be set before SciPy is imported: another process."""
    pytest.importorskip("array_api_strict")
    cases = [
        ("KernelSum", {}),
        ("KernelSum", {"kernel": "poly"}),
        ("KernelLogSumExp", {}),
        ("KernelSmoother", {}),
        ("KernelRidge", {"kernel": "rbf"}),
        ("KernelSmoother", {"degree": 1}),
        ("GaussianProcessRegressor", {"alpha": 0.1}),
        ("KernelPCA", {"n_components": 2, "fit_inverse_transform": True}),
        ("SpectralEmbedding", {}),
        ("RPCholesky", {}),
        ("KernelDensity", {}),
        ("KernelDensity", {"kernel": "tophat", "bandwidth": "scott"}),
        ("KernelDensityClassifier", {}),
    ]
    code = _ARRAY_API.format(cases=cases)
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
