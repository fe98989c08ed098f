"""The Sinkhorn divergence: entropic optimal transport between two samples, in log space, without the matrix of costs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_scalar

from skkeops.arrays.devices import namespace_of
from skkeops.estimators.validation import check_weights
from skkeops.genred import Genred

from .samples import check_two_samples

__all__ = ["sinkhorn_divergence"]

_COSTS = {1: "Norm2(x-y)", 2: "0.5*SqDist(x,y)"}
_SCALING = 0.5  # of the blur from one step to the next, while it is lowered
_LARGEST = 700.0  # exponent of which an exponential is finite, also times a weight of 0
_PERIOD = 10  # steps after which their length is thought over
_NAMES = ("X", "Y", "a", "b")


def sinkhorn_divergence(  # noqa: D417
    X, Y, a=None, b=None, *, blur=0.05, p=2, wrt=None, tol=1e-9, max_iter=1000, backend="auto"  # noqa: N803
):
    r"""Return the Sinkhorn divergence between two weighted samples, and its gradients if asked for.

    .. math:: S = \mathrm{OT}(a, b) - \tfrac12 \mathrm{OT}(a, a) - \tfrac12 \mathrm{OT}(b, b), \qquad
              \mathrm{OT}(a, b) = \min_{P 1 = a, \, P^\top 1 = b} \; \sum_{i,j} P_{ij} \frac{\|x_i - y_j\|^p}{p}
              + \epsilon \, \mathrm{KL}(P \,|\, a b^\top), \qquad \epsilon = \mathrm{blur}^p

    is not negative, 0 if and only if both samples have the same distribution, and between the cost of optimal transport, for a
    small blur, and an energy distance (p = 1) or half the squared distance of the means (p = 2), for a large one. Potentials are
    found by Sinkhorn's iteration in log space, while the blur is lowered from the diameter of the samples by halves
    (ε-scaling); each iteration is a log-sum-exp over all pairs, and no matrix is stored.

    Parameters
    ----------
    X : array-like of shape (n_samples_X, n_features)
        Samples x_i of one distribution.
    Y : array-like of shape (n_samples_Y, n_features)
        Samples y_j of the other one.
    a : array-like of shape (n_samples_X,), default=None
        The weights of X, not negative: they are divided by their sum. Equal ones by default.
    b : array-like of shape (n_samples_Y,), default=None
        The weights of Y likewise.
    blur : float, default=0.05
        The length below which the plan is blurred, in the unit of the samples.
    p : {1, 2}, default=2
        The power of the cost: 1 for the distance, 2 for half its square.
    wrt : str or tuple of str, default=None
        What to differentiate by: "X", "Y", "a" or "b".
    tol : float, default=1e-9
        The iteration ends when the plan's marginals differ from a and b by less, in the sum of absolute values.
    max_iter : int, default=1000
        The most iterations at the last blur, with a ConvergenceWarning. They are many for a small blur.
    backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
        Where to compute; "auto" follows the arrays.

    Returns
    -------
    value : float
        S, computed in float64.
    gradient : ndarray or tuple of ndarray
        Only with `wrt`: in the shapes of what the names stand for. That by weights is one of their quotients by their sum: along
        the weights themselves it is 0.

    See Also
    --------
    mmd : A discrepancy without transport, in one pass.
    energy_distance : Of which S with p=1 is an approximation for a large blur.

    Notes
    -----
    POT [2]_ has the terms as ``ot.solve(C, a, b, reg=blur**p, reg_type="KL").value``; its ``empirical_sinkhorn_divergence`` leaves
    the entropy out. GeomLoss has the same divergence by the same names.

    References
    ----------
    .. [1] J. Feydy et al., "Interpolating between optimal transport and MMD using Sinkhorn divergences", AISTATS 2019.
    .. [2] R. Flamary et al., "POT: Python Optimal Transport", JMLR 22, 2021.

    Examples
    --------
    >>> from skkeops import sinkhorn_divergence
    >>> x, y = [[0.0], [1.0]], [[2.0], [3.0]]
    >>> value, gradient = sinkhorn_divergence(x, y, blur=0.1, wrt="X")
    >>> round(value, 6), gradient.round(6).tolist()  # a translation by 2: half its square
    (2.0, [[-1.0], [-1.0]])
    """
    names = () if wrt is None else (wrt,) if isinstance(wrt, str) else wrt
    if not isinstance(names, Sequence) or not set(names) <= set(_NAMES):
        raise ValueError(f"wrt must be names among {', '.join(map(repr, _NAMES))}, or None: found {wrt!r}")
    blur = float(check_scalar(blur, "blur", Real, min_val=0, include_boundaries="neither"))
    if p not in _COSTS:
        raise ValueError(f"p must be 1 or 2: found {p!r}")
    check_scalar(tol, "tol", Real, min_val=0)
    check_scalar(max_iter, "max_iter", Integral, min_val=1)
    X, Y = check_two_samples(X, Y, 1)
    dtype = X.dtype
    x, y = X.astype(np.float64, copy=False), Y.astype(np.float64, copy=False)
    problem = _Problem(x, y, p, blur, tol, max_iter, backend)
    (a, total_a), (b, total_b) = _weights(a, x, "a"), _weights(b, y, "b")
    f, g = problem.between(x, y, a, b)
    own_f, own_g = problem.itself(x, a), problem.itself(y, b)
    value = float(a @ f + b @ g) - problem.half(x, a, own_f) - problem.half(y, b, own_g)
    if wrt is None:
        return value
    # The potentials are the best ones: by them, nothing changes. A sample is on both sides of the plan to itself.
    found = {}
    if "X" in names:
        found["X"] = problem.slope(x, y, b, g, a) - problem.slope(x, x, a, own_f, a)
    if "Y" in names:
        found["Y"] = problem.slope(y, x, a, f, b) - problem.slope(y, y, b, own_g, b)
    for name, w, difference, total in (("a", a, f - own_f, total_a), ("b", b, g - own_g, total_b)):
        found[name] = (difference - w @ difference) / total
    gradients = tuple(found[name].astype(dtype) for name in names)
    return value, gradients[0] if isinstance(wrt, str) else gradients


def _weights(weights: Any, samples: np.ndarray, name: str) -> tuple[np.ndarray, float]:
    """Return weights of sum 1, and the sum that they had."""
    if weights is None:
        return namespace_of(samples).full(len(samples), 1 / len(samples)), 1.0
    weights = check_weights(weights, samples, non_negative=True)
    total = float(weights.sum())
    if not 0 < total < np.inf:
        raise ValueError(f"{name} must have a positive sum: found {total}")
    return weights / total, total


class _Problem:
    """Sinkhorn's iteration on samples.

    Parameters
    ----------
    x, y : ndarray of shape (n_samples, n_features)
    p, blur, tol, max_iter, backend
        As for `sinkhorn_divergence`.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, p: int, blur: float, tol: float, max_iter: int, backend: str):
        n_features = x.shape[1]
        aliases = [f"x = Vi({n_features})", f"y = Vj({n_features})", "h = Vj(1)", "e = Pm(1)"]
        self._softmin = Genred(f"h - e*{_COSTS[p]}", aliases, "LogSumExp", axis=1)
        self._p, self._blur, self._tol, self._max_iter, self._backend = p, blur, tol, max_iter, backend
        low, high = np.minimum(x.min(axis=0), y.min(axis=0)), np.maximum(x.max(axis=0), y.max(axis=0))
        diameter = float(np.sqrt(((high - low) ** 2).sum()))
        n_steps = int(np.ceil(np.log(max(diameter / blur, 1)) / -np.log(_SCALING)))
        #: The blurs of the first steps, from the diameter on.
        self._blurs = [diameter * _SCALING**k for k in range(n_steps)]

    def step(self, x: np.ndarray, y: np.ndarray, b: np.ndarray, g: np.ndarray, blur: float | None = None) -> np.ndarray:
        """Return the best potential of x for one of y: ``-eps log sum_j b_j exp((g_j - C(x_i, y_j)) / eps)``."""
        eps = (self._blur if blur is None else blur) ** self._p
        return -eps * self._softmin(*self._arguments(x, y, b, g, eps), backend=self._backend)[:, 0]

    def slope(self, x: np.ndarray, y: np.ndarray, b: np.ndarray, g: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Return the derivative by x of the sum of ``a * step(x, y, b, g)``."""
        eps = self._blur**self._p
        arguments = self._arguments(x, y, b, g, eps)
        return self._softmin.gradient(*arguments, wrt="x", grad_output=(-eps * a)[:, None], backend=self._backend)

    def _arguments(self, x: np.ndarray, y: np.ndarray, b: np.ndarray, g: np.ndarray, eps: float) -> tuple:
        with np.errstate(divide="ignore"):
            shifted = (np.log(b) + g / eps)[:, None]
        return x, y, shifted, namespace_of(x).asarray([1 / eps])

    def between(self, x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the potentials of two samples; the first is the best one for the second."""
        f = namespace_of(x).zeros(len(x))
        for blur in self._blurs:
            f = self.step(x, y, b, self.step(y, x, a, f, blur), blur)
        g, eps = self.step(y, x, a, f), self._blur**self._p
        factor, errors = 1.0, []
        for k in range(self._max_iter):
            better_f = self.step(x, y, b, g)
            f_error = _deviation(a, f, better_f, eps)
            f = f + factor * (better_f - f)
            better_g = self.step(y, x, a, f)
            errors.append(max(f_error, _deviation(b, g, better_g, eps)))
            if errors[-1] <= self._tol:
                break
            g = g + factor * (better_g - g)
            if k % _PERIOD == _PERIOD - 1:
                factor = _relaxation(factor, errors)
        else:
            self._warn(errors[-1])
        # With the best potential for g the rows of the plan have the sums a.
        return self.step(x, y, b, g), g

    def itself(self, x: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Return the potential of a sample and itself. The mean of one and the best one for it converges in a few steps."""
        f = namespace_of(x).zeros(len(x))
        for blur in self._blurs:
            f = (f + self.step(x, x, a, f, blur)) / 2
        eps = self._blur**self._p
        for _ in range(self._max_iter):
            better = self.step(x, x, a, f)
            error = _deviation(a, f, better, eps)
            if error <= self._tol:
                return f
            f = (f + better) / 2
        self._warn(error)
        return f

    def half(self, x: np.ndarray, a: np.ndarray, f: np.ndarray) -> float:
        """Return half the cost of transport of a sample to itself."""
        eps = self._blur**self._p
        # The mass of the plan is not quite 1: what is missing counts.
        mass = float(a @ np.expm1((f - self.step(x, x, a, f)) / eps))
        return float(a @ f) - eps * mass / 2

    def _warn(self, error: float) -> None:
        warnings.warn(
            f"Sinkhorn's iteration did not converge in max_iter={self._max_iter} steps: the marginals differ by {error:.1e}, where "
            f"tol={self._tol}; take a larger blur, or more iterations",
            ConvergenceWarning,
            stacklevel=4,
        )


def _deviation(a: np.ndarray, f: np.ndarray, better: np.ndarray, eps: float) -> float:
    """Return how much a marginal of the plan differs from a, given the potential of the plan and the best one."""
    return float(a @ abs(np.expm1(np.minimum((f - better) / eps, _LARGEST))))


def _relaxation(factor: float, errors: list[float]) -> float:
    """Return how far the next steps go towards the best potential: 1, or more where that makes the iteration converge faster.

    Steps of 1 converge at a rate r, and the best longer ones have ``2 / (1 + sqrt(1 - r))``: A. Thibault, L. Chizat, C. Dossal, N.
    Papadakis, "Overrelaxed Sinkhorn-Knopp algorithm for regularized optimal transport", Algorithms 14, 2021. The rate is that of
    the last steps; longer steps that make the error grow are taken back.
    """
    rate = (errors[-1] / errors[-_PERIOD]) ** (1 / (_PERIOD - 1))
    if factor > 1:
        return factor if rate < 1 else 1.0
    return 2 / (1 + np.sqrt(1 - min(rate, 0.9999)))
