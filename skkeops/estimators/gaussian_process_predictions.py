"""What a Gaussian process predicts: means, deviations, covariances, samples, and derivatives of them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from skkeops.arrays.devices import namespace_of, to_host
from skkeops.kernels import Constant, Gaussian

from .blas_threads import few_threads
from .namespaces import check_namespace, like, on_the_device_of_samples, to_engine
from .validation import check_values, validate_samples

__all__ = ["ProcessPredictions"]

_DEVIATION = 0.03  # by how much deviations may be too large on average without a warning


class ProcessPredictions:
    """The methods of `GaussianProcessRegressor` that take queries."""

    @on_the_device_of_samples
    def predict(self, X, return_std=False, return_cov=False):  # noqa: N803
        """Return the mean at queries, and how far the process may be from it.

        Before a fit these are those of the kernel alone: the mean 0.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or list of object
            The queries.
        return_std : bool, default=False
            Whether to return the standard deviation of the process, without the noise `alpha`. That of a `White` kernel is a part
            of it, as in scikit-learn.
        return_cov : bool, default=False
            Whether to return the joint covariance of the queries. Not both.

        Returns
        -------
        y_mean : ndarray of shape (n_queries,) or (n_queries, n_targets)
        y_std : ndarray of shape (n_queries,) or (n_queries, n_targets)
            Only if `return_std`.
        y_cov : ndarray of shape (n_queries, n_queries) or (n_queries, n_queries, n_targets)
            Only if `return_cov`.
        """
        if return_std and return_cov:
            raise RuntimeError("At most one of return_std or return_cov can be requested.")
        X, x = self._check_process_queries(X, "predict")
        if not hasattr(self, "X_train_"):
            return self._prior(x, return_std, return_cov)
        centre, scale = self._scaling
        with few_threads(len(self._data.y), self._data.settings is not None):
            found = self._process.mean(x).reshape(len(x), *np.shape(self.y_train_)[1:]) * scale + centre
            if found.ndim > 1 and found.shape[1] == 1:
                found = found[:, 0]
            mean = like(found, X)
            if return_std:
                return mean, like(self._in_units(self._variance(x)) ** 0.5, X)
            return (mean, like(self._in_units(self._process.joint(x)), X)) if return_cov else mean

    @on_the_device_of_samples
    def sample_y(self, X, n_samples=1, random_state=0):  # noqa: N803
        """Draw values of the process at queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or list of object
            The queries.
        n_samples : int, default=1
            The number of draws.
        random_state : int, RandomState instance or None, default=0
            For the draws.

        Returns
        -------
        ndarray of shape (n_queries, n_samples) or (n_queries, n_targets, n_samples)
        """
        random = check_random_state(random_state)
        if hasattr(self, "X_train_") and not self._process.is_exact:
            return self._paths(X, n_samples, random)
        mean, covariance = self.predict(X, return_cov=True)
        mean, covariance = to_host(to_engine(mean)), to_host(to_engine(covariance))
        if mean.ndim == 1:
            return like(random.multivariate_normal(mean, covariance, n_samples).T, X if hasattr(X, "shape") else mean)
        draws = [
            random.multivariate_normal(mean[:, target], covariance[..., target], n_samples).T[:, None]
            for target in range(mean.shape[1])
        ]
        return like(np.hstack(draws), X if hasattr(X, "shape") else mean)

    @on_the_device_of_samples
    def gradient(self, X, grad_output=None, of="mean"):  # noqa: N803
        """Return the gradient of ``(mean * grad_output).sum()``, or of the variance likewise, by the queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries.
        grad_output : array-like of the shape of the mean, default=None
            The gradient by the mean, or by the variance; ones by default.
        of : {"mean", "variance"}, default="mean"
            What is differentiated: what `predict` returns first, or the square of its second.

        Returns
        -------
        ndarray of shape (n_queries, n_features)

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import GaussianProcessRegressor, kernels
        >>> X = np.linspace(0, 5, 30)[:, None]
        >>> model = GaussianProcessRegressor(kernels.Gaussian(1.0), alpha=1e-4).fit(X, np.sin(X[:, 0]))
        >>> model.gradient([[0.5], [2.0]]).round(2).ravel()
        array([ 0.88, -0.41])
        """
        if of not in ("mean", "variance"):
            raise ValueError(f"of must be 'mean' or 'variance': found {of!r}")
        check_is_fitted(self, "kernel_")
        self._check_formula("gradient")
        X, x = self._check_process_queries(X, "gradient")
        scale = self._scaling[1].reshape(-1)
        shape = (len(x), len(scale))
        e = namespace_of(x).ones(shape) if grad_output is None else check_values(grad_output, x, "grad_output")
        if e.shape not in ((len(x),), shape) or e.size != len(x) * len(scale):
            raise ValueError(f"grad_output must have the shape of the {of}, {shape}: found {e.shape}")
        e = e.reshape(shape)
        with few_threads(len(self._data.y), self._data.settings is not None):
            if of == "mean":
                return like(self._process.mean_gradient(x, e * scale), X)
            return like(self._process.variance_gradient(x, e @ scale**2), X)

    def _check_formula(self, method: str) -> None:
        if not self._process.covariance.has_formula:
            raise TypeError(
                f"{method} differentiates the formula of the kernel: {self.kernel_} has none. Kernels of skkeops have one"
            )

    def _paths(self, X: Any, n_samples: int, random: np.random.RandomState) -> Any:  # noqa: N803
        """Return draws without the covariance of the queries."""
        X, x = self._check_process_queries(X, "sample_y")
        centre, scale = self._scaling
        with few_threads(len(self._data.y), True):
            mean = self._process.mean(x)
            n_targets = mean.shape[1]
            draws = self._process.draw(x, n_targets * n_samples, random).reshape(len(x), n_targets, n_samples)
        found = (mean[:, :, None] + draws) * scale.reshape(-1, 1) + centre.reshape(-1, 1)
        return like(found[:, 0] if n_targets == 1 else found, X)

    @property
    def deviation_error(self):
        """How much larger the deviations that `predict` last returned are than those of a solved system: the mean and the largest
        relative difference, measured on 32 of the queries; zeros where all of them were solved."""
        check_is_fitted(self, "kernel_")
        return getattr(self._process, "deviation_error", (0.0, 0.0))

    def _check_process_queries(self, X: Any, method: str) -> tuple[Any, Any]:  # noqa: N803
        """Return queries, checked, and what the process computes with."""
        if self.kernel is not None and not self.kernel.requires_vector_input:
            X = validate_data(self, X, ensure_2d=False, dtype=None, reset=False)
            return X, X
        X = validate_samples(self, X, reset=False)
        if hasattr(self, "X_train_"):
            check_namespace(X, self, attribute="X_train_", method=method)
        return X, to_engine(X).astype(np.float64, copy=False)

    def _prior(self, x: Any, return_std: bool, return_cov: bool) -> Any:
        """Return the predictions of a process that has not seen data."""
        kernel = Constant(1.0) * Gaussian(1.0) if self.kernel is None else self.kernel
        n_targets = 1 if self.n_targets is None else self.n_targets
        mean = np.zeros(len(x) if n_targets == 1 else (len(x), n_targets))
        if not return_std and not return_cov:
            return mean
        spread = kernel(x) if return_cov else np.sqrt(kernel.diag(x))
        return mean, np.repeat(spread[..., None], n_targets, axis=-1) if n_targets > 1 else spread

    def _variance(self, x: Any) -> Any:
        """Return the variance at queries, in the units of the process."""
        found = self._process.variance(x)
        mean, largest = self.deviation_error
        if mean > _DEVIATION:
            warnings.warn(
                f"The deviations of {len(x)} queries are upper bounds: those of 32 of them are larger than solved ones by "
                f"{mean:.1%} on average, and at most {largest:.1%}. Up to 512 queries at a time have a system solved for each.",
                ConvergenceWarning,
                stacklevel=4,
            )
        if bool((found < 0).any()):
            warnings.warn("Predicted variances smaller than 0. Setting those variances to 0.", stacklevel=4)
            found = np.maximum(found, 0.0)
        return found

    def _in_units(self, spread: Any) -> Any:
        """Return variances in the units of the targets, with an axis for these if there are several."""
        scale = self._scaling[1].reshape(-1)
        found = spread[..., None] * scale**2
        return found[..., 0] if found.shape[-1] == 1 else found
