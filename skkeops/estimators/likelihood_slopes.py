"""Derivatives of the log-likelihood of a Gaussian process, from probes: traces by Hutchinson's estimates, with control variates."""

from __future__ import annotations

from typing import Any

import numpy as np

from skkeops.arrays.devices import to_host
from skkeops.solvers import LowRankPreconditioner
from skkeops.solvers.log_determinant import regression, standard_error

from .covariance import FormulaCovariance

__all__ = ["inverse_diagonal", "likelihood_slopes"]

_ROUGH = 1e-5  # of a derivative of the fit: what float32 may miss of it


def likelihood_slopes(
    covariance: FormulaCovariance,
    names: list[str],
    dual: Any,
    probes: Any,
    solved_probes: Any,
    known: np.ndarray | None,
    uses_float32: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives by each component of parameters, and the standard errors that the probes leave in them.

    Parameters
    ----------
    covariance : FormulaCovariance
    names : list of str
        Parameters of the kernel.
    dual : ndarray of shape (n_samples, n_targets)
        The product of the inverse of A with what the trend leaves of the targets.
    probes, solved_probes : ndarray of shape (n_samples, n_probes)
        ``v = P^-1 w`` and ``u = A^-1 w`` for w with the covariance P, that of the preconditioner.
    known : ndarray or None
        The traces of ``P^-1 dA`` for each component, if they are known.
    uses_float32 : bool
        Whether products may be computed in float32. Those of the fit are where that misses less than the standard error.
    """
    u, v = solved_probes, probes
    n_targets, n_probes = dual.shape[1], v.shape[1]
    columns = np.concatenate([v, dual], axis=1)
    sides = (np.concatenate([u, dual], axis=1), v)
    fits, traces, errors = [], [], []
    for product, noise in covariance.derivatives(names, columns, np.float32 if uses_float32 else np.float64):
        image = 0.0 if product is None else product
        if noise is not None:
            image = image + columns * noise[:, None]
        plain, control = (to_host(np.einsum("ij,ij->j", side, image[:, : side.shape[1]])) for side in sides)
        samples = plain[:n_probes]
        if known is None:
            trace, error = samples.mean(), standard_error(samples)
        else:  # v' dA v has the mean trace(P^-1 dA)
            trace, error = regression(samples, control - known[len(fits)])
        fits.append(plain[n_probes:].sum())
        traces.append(trace)
        errors.append(error)
    if uses_float32 and (_ROUGH * np.abs(fits) > n_targets * np.array(errors)).any():
        fits = []
        for product, noise in covariance.derivatives(names, dual, np.float64):
            image = (0.0 if product is None else product) + (0.0 if noise is None else dual * noise[:, None])
            fits.append(float((dual * image).sum()))
    slopes = 0.5 * (np.array(fits, dtype=np.float64) - n_targets * np.array(traces))
    return slopes, 0.5 * n_targets * np.array(errors)


def inverse_diagonal(preconditioner: LowRankPreconditioner, probes: Any, solved_probes: Any) -> Any:
    """Return estimates of the diagonal of A^-1, with that of P^-1, which is known, as control variate."""
    u, v = solved_probes, probes
    own, control = (np.einsum("ij,ij->j", side, v) for side in (u, v))
    spread = control - control.mean()
    least = float((spread**2).sum())
    factor = float(((own - own.mean()) * spread).sum()) / least if least > 0 else 0.0
    diagonal, basis = preconditioner.inverse_parts()
    known = diagonal[:, 0] - np.einsum("ij,ij->i", basis, basis)
    found = np.einsum("ij,ij->i", u, v) - factor * np.einsum("ij,ij->i", v, v)
    return found / v.shape[1] + factor * known
