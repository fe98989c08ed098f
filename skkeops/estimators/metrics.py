"""Metrics of neighbours: scikit-learn's names, kernels, and formulas, as an expression that ranks pairs of samples."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.gaussian_process.kernels import Kernel as SklearnKernel

from skkeops import backends
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import Expression
from skkeops.kernels import Formula, Kernel, as_kernel
from skkeops.kernels.binding import BoundKernel

__all__ = ["NAMES", "Metric", "get_metric"]


def _same(values: Any) -> Any:
    return values


@dataclass(frozen=True)
class Metric:
    """What pairs are ranked by: a function of the distance that grows with it, as an expression.

    Attributes
    ----------
    bound : BoundKernel
        The variables, and the arrays of the parameters.
    expression : Expression
        The rank of a pair.
    prepare : callable
        Returns the columns of samples that the expression is of.
    distance : callable
        Returns distances from ranks.
    rank : callable
        Returns the rank that belongs to a distance.
    power : float or None
        The p of a Minkowski distance without weights, which SciPy's trees know.
    """

    bound: BoundKernel
    expression: Expression
    prepare: Callable[[np.ndarray], np.ndarray] = _same
    distance: Callable[[np.ndarray], np.ndarray] = _same
    rank: Callable[[float], float] = _same
    power: float | None = None


def _take(params: dict[str, Any], name: str, metric: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of `metric_params`, and remove it from them."""
    if params.get(name) is None:
        raise ValueError(f"metric={metric!r} takes metric_params={{{name!r}: array of shape {shape}}}: found none")
    value = np.asarray(params.pop(name), dtype=np.float64)
    if value.shape != shape or not np.isfinite(value).all():
        raise ValueError(f"metric_params[{name!r}] must be finite numbers of shape {shape}: found the shape {value.shape}")
    return value


def _of_text(
    text: str, n_columns: int, variables: list[str] | None = None, values: Mapping[str, Any] | None = None
) -> BoundKernel:
    return Formula(text, variables, **(values or {})).bind(n_columns)


def _minkowski(p: float, weights: np.ndarray | None, n_features: int) -> Metric:
    if p == np.inf:
        bound = _of_text("Max(Abs(x-y))" if weights is None else "Max(w*Abs(x-y))", n_features, values=_weights(weights))
        return Metric(bound, bound.expression, power=None if weights is not None else np.inf)
    if p == 2:
        text = "SqDist(x,y)" if weights is None else "Sum(w*Square(x-y))"
    elif p == 1:
        text = "Sum(Abs(x-y))" if weights is None else "Sum(w*Abs(x-y))"
    else:
        term = f"Pow(Abs(x-y),{int(p)})" if p == int(p) and p < 10 else f"Powf(Abs(x-y),{float(p)!r})"
        text = f"Sum({term})" if weights is None else f"Sum(w*{term})"
    bound = _of_text(text, n_features, values=_weights(weights))
    if p == 1:
        return Metric(bound, bound.expression, power=1 if weights is None else None)
    if p == 2:
        power = 2 if weights is None else None
        return Metric(bound, bound.expression, distance=np.sqrt, rank=np.square, power=power)
    return Metric(
        bound, bound.expression, distance=lambda ranks: ranks ** (1 / p), rank=lambda d: d**p,
        power=float(p) if weights is None and p >= 1 else None,
    )  # fmt: skip


def _weights(weights: np.ndarray | None) -> dict[str, np.ndarray]:
    return {} if weights is None else {"w": weights}


def _named_minkowski(p: float | None) -> Callable:
    def make(params: dict[str, Any], n_features: int, dtype: np.dtype) -> Metric:
        power = params.pop("p", 2) if p is None else p
        weights = params.pop("w", None) if p is None else None
        if weights is not None:
            weights = _take({"w": weights}, "w", "minkowski", (n_features,))
            if (weights < 0).any():
                raise ValueError("metric_params['w'] must not be negative")
        return _minkowski(power, weights, n_features)

    return make


def _squared(params, n_features, dtype):
    bound = _of_text("SqDist(x,y)", n_features)
    return Metric(bound, bound.expression)


def _standardised(params, n_features, dtype):
    variances = _take(params, "V", "seuclidean", (n_features,))
    if not (variances > 0).all():
        raise ValueError("metric_params['V'] must be positive variances")
    return _minkowski(2, 1 / variances, n_features)


def _mahalanobis(params, n_features, dtype):
    shape = (n_features, n_features)
    inverse = _take(params, "VI", "mahalanobis", shape) if "VI" in params else None
    if inverse is None:
        inverse = np.linalg.inv(_take(params, "V", "mahalanobis", shape))
    try:
        lower = np.linalg.cholesky((inverse + inverse.T) / 2).astype(dtype)
    except np.linalg.LinAlgError:
        raise ValueError("metric='mahalanobis' takes a positive definite V or VI: found one that is not") from None
    euclidean = _minkowski(2, None, n_features)
    return Metric(euclidean.bound, euclidean.expression, lambda x: x @ lower, np.sqrt, np.square, 2)


def _unit(x: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norms > 0, norms, 1)


def _cosine(params, n_features, dtype):
    bound = _of_text("1-(x|y)", n_features)
    return Metric(bound, bound.expression, _unit, lambda ranks: np.clip(ranks, 0, 2))


def _correlation(params, n_features, dtype):
    bound = _of_text("1-(x|y)", n_features)
    return Metric(bound, bound.expression, lambda x: _unit(x - x.mean(axis=1, keepdims=True)), lambda ranks: np.clip(ranks, 0, 2))


def _of_formula(text: str) -> Callable:
    def make(params: dict[str, Any], n_features: int, dtype: np.dtype) -> Metric:
        bound = _of_text(text, n_features)
        return Metric(bound, bound.expression)

    return make


def _hamming(params, n_features, dtype):
    bound = _of_text("Sum(x!=y)", n_features)
    return Metric(bound, bound.expression, distance=lambda ranks: ranks / n_features, rank=lambda d: d * n_features)


def _haversine(params, n_features, dtype):
    if n_features != 2:
        raise ValueError(f"metric='haversine' takes 2 features, latitude and longitude in radians: found {n_features}")
    text = "Square(Sin(0.5*(x[0]-y[0])))+Cos(x[0])*Cos(y[0])*Square(Sin(0.5*(x[1]-y[1])))"
    for k in (0, 1):
        text = text.replace(f"x[{k}]", f"Elem(x,{k})").replace(f"y[{k}]", f"Elem(y,{k})")
    bound = _of_text(text, n_features)
    return Metric(
        bound, bound.expression, distance=lambda ranks: 2 * np.arcsin(np.sqrt(np.clip(ranks, 0, 1))),
        rank=lambda d: np.sin(d / 2) ** 2 if d < np.pi else np.inf,
    )  # fmt: skip


def _nan_euclidean(params, n_features, dtype):
    """What both samples have counts, in proportion; a pair that has nothing in common comes last."""
    last = float(np.finfo(dtype).max) / 4
    text = f"IfElse((m|n)-0.5,{n_features}*SqNorm2(m*n*(x-y))/(m|n),{last!r})"
    variables = [f"x = Vi({n_features})", f"m = Vi({n_features})", f"y = Vj({n_features})", f"n = Vj({n_features})"]
    bound = _of_text(text, 2 * n_features, variables)

    def prepare(x: np.ndarray) -> np.ndarray:
        present = ~np.isnan(x)
        return np.concatenate([np.where(present, x, 0), present.astype(x.dtype)], axis=1)

    def distance(ranks: np.ndarray) -> np.ndarray:
        return np.where(ranks < last / 2, np.sqrt(ranks), np.nan).astype(ranks.dtype)

    return Metric(bound, bound.expression, prepare, distance, lambda d: min(d**2, last / 4))


#: What makes a metric of its parameters, the number of features, and the dtype.
NAMES: dict[str, Callable[[dict[str, Any], int, np.dtype], Metric]] = {
    "braycurtis": _of_formula("IfElse(-Sum(Abs(x)+Abs(y)),0,Sum(Abs(x-y))/Sum(Abs(x)+Abs(y)))"),
    "canberra": _of_formula("Sum(IfElse(-Abs(x)-Abs(y),0,Abs(x-y)/(Abs(x)+Abs(y))))"),
    "chebyshev": _named_minkowski(np.inf),
    "cityblock": _named_minkowski(1),
    "correlation": _correlation,
    "cosine": _cosine,
    "euclidean": _named_minkowski(2),
    "hamming": _hamming,
    "haversine": _haversine,
    "infinity": _named_minkowski(np.inf),
    "l1": _named_minkowski(1),
    "l2": _named_minkowski(2),
    "mahalanobis": _mahalanobis,
    "manhattan": _named_minkowski(1),
    "minkowski": _named_minkowski(None),
    "nan_euclidean": _nan_euclidean,
    "p": _named_minkowski(None),
    "seuclidean": _standardised,
    "sqeuclidean": _squared,
}


def get_metric(metric: Any, params: Mapping[str, Any], n_features: int, dtype: np.dtype) -> Metric:
    """Return a metric on samples of a number of features.

    Parameters
    ----------
    metric : str or Kernel
        One of scikit-learn's names; a `Formula` or its text, which is the distance itself; or a kernel, whose distance is
        ``sqrt(k(x, x) - 2 k(x, y) + k(y, y))``.
    params : dict
        What the name takes: p, w, V, VI.
    n_features : int
    dtype : dtype
        Of the samples.
    """
    params = dict(params)
    if isinstance(metric, str) and metric in NAMES:
        if metric in ("minkowski", "p") and not params.get("p", 2) > 0:
            raise ValueError(f"p must be positive: found {params['p']!r}")
        found = NAMES[metric](params, n_features, dtype)
        params.pop("p", None)  # which the other names have no use for
    else:
        found = _of_object(metric, n_features, dtype)
        params.pop("p", None)
    if params:
        raise ValueError(f"metric={metric!r} has no parameters {sorted(params)}: found metric_params with them")
    return found


def _of_object(metric: Any, n_features: int, dtype: np.dtype) -> Metric:
    if isinstance(metric, str) and metric == "precomputed":
        raise ValueError(
            "metric='precomputed' is a stored matrix of distances, of which there is nothing to compute: give the matrix, or the "
            "graph that a KNeighborsTransformer returns, to the class of the same name in sklearn.neighbors. Expected a name, a "
            "formula of x and y, or a kernel object."
        )
    if isinstance(metric, str) and metric.isidentifier() and metric not in ("x", "y"):
        close = difflib.get_close_matches(metric, NAMES, n=1)
        suggestion = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"The 'metric' parameter must be one of {sorted(NAMES)}, a formula of x and y, or a kernel object. "
            f"Got {metric!r} instead.{suggestion}"
        )
    if not isinstance(metric, (str, SklearnKernel)):
        raise TypeError(
            "The 'metric' parameter must be a name, a formula of x and y, or a kernel object. Python functions cannot be compiled: "
            f"write one as a formula, such as skkeops.Formula('Sum(Abs(x-y))'). Got {metric!r} instead."
        )
    kernel = as_kernel(metric, n_features=n_features)
    bound = kernel.bind(n_features)
    if bound.expression.dim != 1:
        raise ValueError(f"a metric must be a number: found a formula with {bound.expression.dim} components")
    if isinstance(kernel, Formula):
        return Metric(bound, bound.expression)
    return _of_kernel(kernel, bound, dtype)


def _of_kernel(kernel: Kernel, bound: BoundKernel, dtype: np.dtype) -> Metric:
    own = substitute(bound.expression, {bound.y: bound.x})
    if not (kernel.is_stationary() and kernel.is_nonnegative()):
        squared = own - 2 * bound.expression + substitute(bound.expression, {bound.x: bound.y})
        return Metric(bound, squared, distance=lambda ranks: np.sqrt(np.maximum(ranks, 0)), rank=np.square)
    # k(x, x) = k(y, y) = k0, and the distance grows as the kernel falls: its logarithm neither underflows nor cancels.
    origin = np.zeros((1, bound.x.dim))
    arrays = (origin, *bound.parameter_arrays(origin.dtype))
    k0 = float(backends.get("auto", np).evaluate((own,), (bound.x, *bound.parameters.values()), arrays, 1)[0][0, 0])

    def distance(ranks: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(-2 * k0 * np.expm1(-(ranks + np.log(k0))), 0)).astype(ranks.dtype)

    def rank(d: float) -> float:
        return float(-np.log1p(-(d**2) / (2 * k0)) - np.log(k0)) if d**2 < 2 * k0 else np.inf

    return Metric(bound, -bound.log_expression, distance=distance, rank=rank)
