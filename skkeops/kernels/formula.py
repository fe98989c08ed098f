"""A formula of the user's own, as a kernel."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from skkeops.formula import operations as ops
from skkeops.formula.aliases import Signature, parse_aliases
from skkeops.formula.errors import FormulaError
from skkeops.formula.expression import Expression, I, J, P

from .base import Kernel, hyperparameter, plain
from .binding import Scope, parsed, some_columns
from .parameter import Parameter

__all__ = ["Formula"]

_OWN = ("formula", "variables", "bounds", "active_dims")
_NAMELESS = re.compile(r"\b(?:Var|Vi|Vj|Pm)\s*\([^)]*\)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


class Formula(Kernel):
    """A formula with the values of its parameters, as an object that can be tuned.

    Parameters
    ----------
    formula : str
        In the language of `skkeops.Genred`: ``"Exp(-g * SqDist(x, y))"``.
    variables : sequence of str, optional
        What the names are, such as ``["x = Vi(1)", "y = Vj(1)", "a = Vj(1)", "p = Pm(1)"]``: variables indexed by i
        are the columns of the queries, in their order, those indexed by j the columns of the reference samples. By
        default ``x`` is a query and ``y`` a reference sample, with all their columns. A name with a value is a
        parameter; it may be declared or not.
    bounds : dict of str to pair of floats, optional
        For parameters that a Gaussian process may tune, on a logarithmic scale, where it looks for them.
    active_dims : sequence of int, optional
        The columns of the samples that ``x`` and ``y`` stand for; all by default. Not together with `variables`.
    **values : float or array-like of shape (dim,)
        The values of the parameters, by name.

    Raises
    ------
    FormulaError
        If the formula is invalid, at its first use. It shows the place.
    ValueError
        If a parameter has no value, or the dimensions do not fit the columns of the samples.

    See Also
    --------
    skkeops.Genred : the same language on arrays, for every reduction.

    Examples
    --------
    >>> from skkeops import Formula
    >>> k = Formula("Exp(-g * SqDist(x, y))", g=0.5)
    >>> k([[0.0, 0.0]], [[1.0, 1.0]]).round(4)
    array([[0.3679]])
    >>> k.set_params(g=0.0).get_params()["g"]
    0.0
    """

    _stationary = False

    def __init__(self, formula, variables=None, bounds=None, active_dims=None, **values):
        self._set(
            {"formula": formula, "variables": variables, "bounds": bounds, "active_dims": active_dims, **values}
        )

    def _set(self, params: Mapping[str, Any]) -> None:
        self._params = dict(params)

    def __getattr__(self, name: str) -> Any:
        params = self.__dict__.get("_params", {})
        if name in params and name != "formula":
            return params[name]
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("_params", {}) and (name == "active_dims" or not hasattr(type(self), name)):
            self.set_params(**{name: value})
        else:
            super().__setattr__(name, value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the formula, its variables and bounds, and the values of its parameters."""
        return dict(self._params)

    def set_params(self, **params: Any) -> Formula:
        """Set some of them; only those that exist."""
        for name in params:
            if name not in self._params:
                raise ValueError(
                    f"Invalid parameter {name!r} for {self!r}. Valid parameters are: {sorted(self._params)!r}."
                )
        self._set({**self._params, **params})
        return self

    # What the formula means

    @property
    def _values(self) -> dict[str, Any]:
        return {name: value for name, value in self._params.items() if name not in _OWN}

    def _arrays(self) -> dict[str, Any]:
        return {
            name: Parameter(name, "real", per_feature=True).check(value, "Formula")
            for name, value in self._values.items()
        }

    @property
    def active_dims(self):
        """The columns that x and y stand for."""
        return self._params["active_dims"]

    def _signature(self) -> Signature | None:
        variables = self._params["variables"]
        if variables is None:
            return None
        if isinstance(variables, str) or not isinstance(variables, Sequence):
            raise TypeError(
                "The 'variables' parameter of Formula must be a list of strings like 'x = Vi(3)', or None. "
                f"Got {variables!r} instead."
            )
        signature = parse_aliases(variables)
        values = self._arrays()
        for name, variable in zip(signature.names, signature.variables, strict=True):
            if name is None:
                raise FormulaError(f"every variable of a Formula must have a name: found {variable} without one")
            if variable.category == P and name not in values:
                raise ValueError(f"the parameter {name!r} of the formula has no value: expected {name}=... in Formula")
            if variable.category == P and len(values[name]) != variable.dim:
                raise ValueError(
                    f"The {name!r} parameter of Formula must have {variable.dim} values, as its variable says. "
                    f"Got {len(values[name])} values instead."
                )
            if variable.category != P and name in values:
                raise ValueError(f"{name!r} is a variable of the formula: it is given as samples, not as a value")
        return signature

    def check_parameters(self) -> None:
        text = self._params["formula"]
        if not isinstance(text, str):
            raise TypeError(f"The 'formula' parameter of Formula must be a string. Got {text!r} instead.")
        nameless = _NAMELESS.search(text)
        if nameless is not None:  # its position could be that of another variable
            found, start = nameless.group(), nameless.start()
            raise FormulaError("every variable of a Formula must have a name", text, start, len(found))
        arrays = self._arrays()
        signature = self._signature()  # which raises
        if self._active() is not None and self._params["variables"] is not None:
            raise ValueError(
                "The 'active_dims' parameter of Formula is for formulas of x and y: its 'variables' say already which columns "
                "they are. Found both."
            )
        for name, value in self._values.items():
            if name not in _NAME.findall(text) and (signature is None or name not in signature.names):
                raise ValueError(f"the formula {text!r} has no parameter {name!r}: found {name}={plain(value)!r} in Formula")
        if {"x", "y"} & set(arrays):
            name = "x" if "x" in arrays else "y"
            raise ValueError(f"{name!r} stands for the samples and cannot have a value: expected another name")
        for h in self.hyperparameters:
            Parameter(h.name, "positive", per_feature=True).check(self._values[h.name], "Formula")

    def columns(self, category: int) -> list[tuple[str, int]] | None:
        """Return the names and dimensions of the variables that are columns of the queries (0) or of the reference
        samples (1); None if it takes all columns as one variable."""
        signature = self._signature()
        if signature is None:
            return None
        pairs = zip(signature.names, signature.variables, strict=True)
        return [(str(name), v.dim) for name, v in pairs if v.category == category]

    def check_columns(self, n_x: int, n_y: int) -> None:
        if self._params["variables"] is None:
            super().check_columns(n_x, n_y)
            return
        for category, found, what in ((I, n_x, "the queries (X)"), (J, n_y, "the reference samples")):
            wanted = self.columns(category) or []
            total = sum(dim for _, dim in wanted)
            if wanted and total != found:
                letter = "ij"[category]
                kinds = ", ".join(f"{name} = V{letter}({dim})" for name, dim in wanted)
                raise ValueError(
                    f"the variables {kinds} of the formula take {total} columns of {what}: found {found} columns"
                )

    def query_columns(self, n_y: int) -> int:
        wanted = self.columns(I)
        return n_y if not wanted else sum(dim for _, dim in wanted)

    def _expression(self, scope: Scope) -> Expression:
        names: dict[str, Expression] = {}
        if self._signature() is None:
            columns = self._active()
            names.update(x=some_columns(scope.x, columns), y=some_columns(scope.y, columns))
        else:
            for category, samples in ((I, scope.x), (J, scope.y)):
                start = 0
                for name, dim in self.columns(category) or []:
                    names[name] = some_columns(samples, tuple(range(start, start + dim)))
                    start += dim
        for name, value in self._arrays().items():
            names[name] = scope.parameter(Parameter(name), value)
        try:
            return parsed(self._params["formula"], names)
        except FormulaError as error:
            if not error.message.startswith("unknown variable"):
                raise
            hint = "; a parameter has its value from Formula(..., name=value)"
            raise FormulaError(error.message + hint, error.text, error.position, error.length) from None

    def expression(self, scope: Scope) -> Expression:
        return self._expression(scope)

    def log_expression(self, scope: Scope) -> Expression:
        return _logarithm(self._expression(scope))

    def exponent_expression(self, scope: Scope) -> Expression:
        return self._expression(scope)

    @property
    def hyperparameters(self):
        """The parameters that have bounds."""
        bounds = self._params["bounds"]
        if bounds is None:
            return []
        if not isinstance(bounds, Mapping):
            raise TypeError(
                "The 'bounds' parameter of Formula must be a dict of names to pairs of floats, or None. "
                f"Got {bounds!r} instead."
            )
        for name in bounds:
            if name not in self._values:
                raise ValueError(f"bounds is for parameters of the formula: found {name!r}, which has no value")
        return [hyperparameter(name, self._values[name], bounds[name]) for name in sorted(bounds)]

    def __repr__(self) -> str:
        text = repr(self._params["formula"])
        if self._params["variables"] is not None:
            text += f", {self._params['variables']!r}"
        if self._params["bounds"] is not None:
            text += f", bounds={self._params['bounds']!r}"
        if self._params["active_dims"] is not None:
            text += f", active_dims={self._params['active_dims']!r}"
        return f"Formula({text}{''.join(f', {name}={plain(value)!r}' for name, value in self._values.items())})"


def _logarithm(value: Expression) -> Expression:
    """Return the logarithm of an expression; exponentials that are factors of it leave it, and cannot underflow."""
    exponents: list[Expression] = []
    rest: list[Expression] = []
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, ops.Mult):
            stack.extend(reversed(node.args))
        elif isinstance(node, ops.Exp) and node.dim == value.dim:
            exponents.append(node.args[0])
        elif isinstance(node, ops.Square) and isinstance(node.args[0], ops.Exp) and node.dim == value.dim:
            exponents.append(2 * node.args[0].args[0])
        else:
            rest.append(node)
    if not exponents:
        return ops.Log.build(value)
    total = sum(exponents[1:], exponents[0])
    return total + ops.Log.build(math.prod(rest[1:], start=rest[0])) if rest else total
