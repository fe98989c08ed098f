"""What the windows of density estimates are: written down once more, with NumPy, through the matrix of distances."""

import math

import numpy as np
from scipy.integrate import quad
from scipy.spatial.distance import cdist
from scipy.special import gammaln, logsumexp

from skkeops import KernelDensity

PROFILES = {
    "gaussian": lambda r: np.exp(-0.5 * r * r),
    "tophat": lambda r: (r < 1) * 1.0,
    "epanechnikov": lambda r: np.maximum(1 - r * r, 0),
    "exponential": lambda r: np.exp(-r),
    "linear": lambda r: np.maximum(1 - r, 0),
    "cosine": lambda r: (r < 1) * np.cos(0.5 * np.pi * r),
}
LOG_PROFILES = {"gaussian": lambda r: -0.5 * r * r, "exponential": lambda r: -r}
NAMES = sorted(PROFILES)
COMPACT = sorted(set(NAMES) - set(LOG_PROFILES))
SPACES = (
    {}, {"scaling": "std"}, {"scaling": "covariance"}, {"bandwidth": "per feature"}, {"bandwidth": "per sample"},
    {"bandwidth": "per sample", "scaling": "covariance"},
)  # fmt: skip


def log_mass(name, dim):
    """By quadrature over the radius."""
    ends = [0, 1] if name in COMPACT else [0, dim, 4 * dim + 40, 20 * dim + 400]
    radial = sum(
        quad(lambda r: r ** (dim - 1) * PROFILES[name](r), a, b, epsabs=0, epsrel=1e-13, limit=200)[0]
        for a, b in zip(ends[:-1], ends[1:])
    )
    return math.log(radial) + math.log(2) + 0.5 * dim * math.log(math.pi) - gammaln(0.5 * dim)


def truth(name, queries, samples, h, weights=None, left_out=False):
    """Log densities through the matrix of distances; h is a number or one per feature."""
    dim = samples.shape[1]
    weights = np.ones(len(samples)) if weights is None else weights
    scale = np.ones(dim) * h
    r = cdist(queries / scale, samples / scale)
    with np.errstate(divide="ignore"):
        log_k = LOG_PROFILES[name](r) if name in LOG_PROFILES else np.log(PROFILES[name](r))
        log_w = np.log(weights)
    total = np.full(len(queries), weights.sum())
    if left_out:
        np.fill_diagonal(log_k, -np.inf)
        total -= weights
    return logsumexp(log_k + log_w, axis=1) - np.log(total) - log_mass(name, dim) - np.log(scale).sum()


def fitted(name, space, h, X, **fit):
    params = {"kernel": name, "bandwidth": h, **space}
    if params["bandwidth"] == "per feature":
        params["bandwidth"] = h * np.linspace(0.7, 1.4, X.shape[1])
    if isinstance(params["bandwidth"], str):
        params["bandwidth"] = h * np.linspace(0.7, 1.4, len(X))
    return KernelDensity(**params).fit(X, **fit)
