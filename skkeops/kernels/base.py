"""The base class of kernels: parameters, operators, and how scikit-learn sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from sklearn.gaussian_process.kernels import Hyperparameter
from sklearn.gaussian_process.kernels import Kernel as _SklearnKernel

from skkeops.formula.expression import Expression, Variable

from .binding import BoundKernel, Scope, parsed, some_columns
from .parameter import Parameter, active_columns

__all__ = ["OPERATORS", "Kernel", "hyperparameter", "plain"]

_BOUNDS = (1e-5, 1e5)
_LOG_RANGE = (-708.0, 709.0)  # of the logarithms of normal numbers

#: What the operators of kernels do. They make kernels that are made of kernels, in modules that import this one: `operators` enters
#: its functions here.
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {}


class Kernel(_SklearnKernel):
    """A kernel k(x, y): a formula with parameters that have names.

    It is an object of scikit-learn's Gaussian-process kernel protocol: ``k(X, Y)`` is a matrix, ``k.diag(X)`` its
    diagonal, and `GaussianProcessRegressor`, `SVC`, `KernelPCA`, `KernelRidge` and `Nystroem` take it as ``kernel=``.
    Kernels are added, multiplied and raised to powers. They hold nothing but their parameters.

    A subclass gives `formula_text` and, where it has one that is better than the logarithm of it, `log_formula_text`.
    """

    #: The numbers that the formula mentions.
    _parameters: ClassVar[tuple[Parameter, ...]] = ()
    #: Whether k(x, y) depends on x - y alone.
    _stationary: ClassVar[bool] = True
    #: Whether it is defined for samples without negative values only.
    requires_nonnegative: ClassVar[bool] = False
    #: Whether no value is negative: the logarithm of a sum or a product is then made of those of its kernels.
    _nonnegative: ClassVar[bool] = False
    #: The columns that it looks at; None means all of them.
    active_dims: Any = None

    def __init__(self, active_dims=None):
        # scikit-learn reads the parameters from the signature: a kernel without any has one too.
        self.active_dims = active_dims

    # What a subclass defines

    def formula_text(self) -> str:
        """Return the kernel as a formula of ``x``, ``y`` and the names of the parameters."""
        raise NotImplementedError

    def log_formula_text(self) -> str:
        """Return its logarithm likewise."""
        return f"Log({self.formula_text()})"

    # Expressions

    def expression(self, scope: Scope) -> Expression:
        """Return the kernel in a scope."""
        return parsed(self.formula_text(), self._names(scope))

    def log_expression(self, scope: Scope) -> Expression:
        """Return its logarithm in a scope."""
        return parsed(self.log_formula_text(), self._names(scope))

    def exponent_expression(self, scope: Scope) -> Expression:
        """Return the exponent F of a log-sum-exp: the logarithm, but the formula itself of a `Formula`."""
        return self.log_expression(scope)

    def _names(self, scope: Scope) -> Mapping[str, Expression]:
        columns = self._active()
        names: dict[str, Expression] = {"x": some_columns(scope.x, columns), "y": some_columns(scope.y, columns)}
        n_features = names["x"].dim
        for p in self._parameters:
            value = p.check(getattr(self, p.name), type(self).__name__, n_features)
            names[p.name] = scope.parameter(p, value)
        return names

    def _active(self, n_features: int | None = None) -> tuple[int, ...] | None:
        return active_columns(self.active_dims, type(self).__name__, n_features)

    def check_parameters(self) -> None:
        """Raise if a parameter has a value that it cannot have."""
        for p in self._parameters:
            p.check(getattr(self, p.name), type(self).__name__)
        self._active()

    def has_negative(self, X: Any) -> bool:  # noqa: N803
        """Return whether samples have negative values that the kernel is not defined for."""
        if not self.requires_nonnegative:
            return False
        columns = self._active()
        return bool(((X if columns is None else X[:, list(columns)]) < 0).any())

    def check_columns(self, n_x: int, n_y: int) -> None:
        """Raise if two samples with these numbers of columns make no sense."""
        if n_x != n_y:
            raise ValueError(
                f"{type(self).__name__} compares samples with the same features: found {n_x} features in X and {n_y} "
                "in the reference samples"
            )
        self._active(n_x)

    def columns(self, category: int) -> list[tuple[str, int]] | None:
        """Return the names and dimensions of the variables that are columns of the queries (0) or of the reference
        samples (1); None if there is one variable with all columns, the same in both."""
        return None

    def query_columns(self, n_y: int) -> int:
        """Return the number of columns of queries, when the reference samples have `n_y`."""
        return n_y

    def bind(self, n_x: int, n_y: int | None = None) -> BoundKernel:
        """Return the kernel's expressions on samples with these numbers of columns."""
        self.check_parameters()
        return BoundKernel(self, n_x, n_x if n_y is None else n_y)

    def formula(self, n_features: int = 1) -> str:
        """Return the formula in the language of `skkeops.Genred`.

        Parameters
        ----------
        n_features : int, default=1
            The number of columns of the samples.

        Returns
        -------
        str
            Of ``x``, ``y`` and the parameters by the names that `get_params` gives them.

        Examples
        --------
        >>> from skkeops.kernels import Gaussian
        >>> Gaussian(2.0).formula()
        'Exp(-0.5*(Square(Inv(length_scale))*Square(x-y)))'
        """
        bound = self.bind(self.query_columns(n_features), n_features)
        return _text(bound, bound.expression)

    def log_formula(self, n_features: int = 1) -> str:
        """Return the logarithm of the kernel likewise.

        Parameters
        ----------
        n_features : int, default=1
            The number of columns of the samples.

        Returns
        -------
        str

        Examples
        --------
        >>> from skkeops.kernels import Gaussian
        >>> Gaussian(2.0).log_formula()
        '-0.5*(Square(Inv(length_scale))*Square(x-y))'
        """
        bound = self.bind(self.query_columns(n_features), n_features)
        return _text(bound, bound.log_expression)

    # scikit-learn's protocol

    def __call__(self, X, Y=None, eval_gradient=False):  # noqa: N803
        """Return the dense matrix of the kernel.

        Parameters
        ----------
        X : array-like of shape (n_samples_X, n_features)
        Y : array-like of shape (n_samples_Y, n_features), optional
            Default: X itself, which counts as the same samples for `White`.
        eval_gradient : bool, default=False
            Whether to return the derivative with respect to ``theta`` too, the logarithms of the parameters that are
            not fixed. Only without `Y`.

        Returns
        -------
        K : ndarray of shape (n_samples_X, n_samples_Y)
            float32 if both samples are, else float64.
        K_gradient : ndarray of shape (n_samples_X, n_samples_X, n_dims)
            Only if `eval_gradient`.
        """
        from .matrix import matrix

        return matrix(self, X, Y, eval_gradient)

    def diag(self, X):  # noqa: N803
        """Return k(x, x) of every sample, shape (n_samples,), without the matrix.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        from .matrix import diagonal

        return diagonal(self, X)

    def is_stationary(self):
        """Return whether k(x, y) depends on x - y alone."""
        return self._stationary

    def is_nonnegative(self):
        """Return whether no value of k(x, y) is negative, whatever the parameters, as far as that is known."""
        return self._nonnegative

    @property
    def requires_vector_input(self):
        """Whether samples have to be rows of numbers."""
        return True

    @property
    def hyperparameters(self):
        """The positive parameters in the order of their names; ``theta`` has their logarithms."""
        found = []
        for p in sorted(self._parameters, key=lambda p: p.name):
            if p.sign == "positive":
                found.append(hyperparameter(p.name, getattr(self, p.name), getattr(self, f"{p.name}_bounds", _BOUNDS)))
        return found

    @property
    def theta(self):
        """The logarithms of the positive parameters that are not fixed; see `sklearn.gaussian_process.kernels.Kernel`."""
        # A bound of 0, which scikit-learn allows, is the logarithm -inf, without a warning.
        with np.errstate(divide="ignore"):
            return super().theta

    @theta.setter
    def theta(self, theta):
        # A search without bounds may come to numbers whose exponential is 0 or infinite, which no parameter can be.
        _SklearnKernel.theta.fset(self, np.clip(theta, *_LOG_RANGE))

    @property
    def bounds(self):
        """The logarithms of the bounds of ``theta``."""
        with np.errstate(divide="ignore"):
            return super().bounds

    def __getattr__(self, name: str) -> Any:
        # scikit-learn's kernels have a property for each of these.
        if name.startswith("hyperparameter_"):
            for h in self.hyperparameters:
                if name == f"hyperparameter_{h.name}":
                    return h
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # Operators

    def __add__(self, other: Any) -> Kernel:
        return OPERATORS["+"](self, other)

    def __radd__(self, other: Any) -> Kernel:
        return OPERATORS["+"](other, self)

    def __mul__(self, other: Any) -> Kernel:
        return OPERATORS["*"](self, other)

    def __rmul__(self, other: Any) -> Kernel:
        return OPERATORS["*"](other, self)

    def __pow__(self, exponent: Any) -> Kernel:
        return OPERATORS["**"](self, exponent)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        mine, others = self.get_params(deep=False), other.get_params(deep=False)
        return mine.keys() == others.keys() and all(_equal(mine[name], others[name]) for name in mine)

    __hash__ = None

    def __repr__(self) -> str:
        hidden = {"active_dims"} if self.active_dims is None else set()
        params = self.get_params(deep=False).items()
        shown = {k: v for k, v in params if not k.endswith("_bounds") and k not in hidden}
        return f"{type(self).__name__}({', '.join(f'{k}={plain(v)!r}' for k, v in shown.items())})"


def hyperparameter(name: str, value: Any, bounds: Any) -> Hyperparameter:
    """Return a parameter as scikit-learn describes it, or raise if its bounds make no sense."""
    n_values = max(1, np.size(value))
    if not (isinstance(bounds, str) and bounds == "fixed"):
        try:
            pairs = np.atleast_2d(np.asarray(bounds, dtype=np.float64))
        except (TypeError, ValueError):
            pairs = np.empty((0, 0))
        good = pairs.shape in ((1, 2), (n_values, 2)) and (pairs[:, 0] >= 0) & (pairs[:, 0] <= pairs[:, 1]) & (pairs[:, 1] > 0)
        if not np.all(good):
            raise ValueError(
                f"The bounds of {name!r} must be 'fixed', or a pair of floats low <= high, not negative, of which the larger "
                f"is positive, or one such pair for each value. Got {bounds!r} instead."
            )
    return Hyperparameter(name, "numeric", bounds, n_values)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(a[name], b[name]) for name in a)
    if any(isinstance(value, _SklearnKernel) for value in (a, b)):
        return bool(a == b)
    return np.array_equal(np.asarray(a), np.asarray(b))


def plain(value: Any) -> Any:
    """Return a number of NumPy as one of Python, as `repr` shows it best."""
    return value.item() if isinstance(value, np.generic) else value


def _text(bound: BoundKernel, expression: Expression) -> str:
    names: dict[Variable, str] = {v: name for name, v in bound.parameters.items()}
    return expression.to_text({**names, bound.x: "x", bound.y: "y"})
