"""What every reduction is: a monoid over an explicit state, with a derivative."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from skkeops.formula.expression import Expression, Variable

State = tuple[np.ndarray, ...]


class Reduction(ABC):
    """A way to reduce the values ``F(x_i, y_j, p)`` along one axis.

    A reduction is a monoid: a neutral state (`identity`), the state of a block of values (`reduce`) and an
    associative merge of two states (`combine`). The same three serve tiles, threads and chunks; `finalize`
    turns the last state into what the user sees. States are float64, and int64 for indices, whatever the
    dtype of the data.

    Reductions are values: two of the same class and parameters are equal, have one hash, and can be pickled.

    Attributes
    ----------
    name : str
        The name in KeOps' notation, as in ``Genred(..., reduction_op=name)``.
    aliases : tuple of str
        Other names that mean the same.
    fold : {"sum", "shift_exp", "extremum", "kmin"}
        The loop of a backend that feeds the reduction, and with it the layout of the state.
    unit_column : bool
        For the fold ``"shift_exp"``: whether the sums start with a column of ones.
    largest : bool or None
        For the fold ``"extremum"``: whether the largest value wins, or the smallest.
    derivative : {"sum", "winners", ""}
        How the derivative is computed: as a Sum of new formulas, at the winning indices only, or not at all.
    tolerances : tuple of str
        Which of ``rtol`` and ``atol`` a call may have: see `summand`.
    returns_value, returns_index : bool
        What the user gets. Both: a tuple (value, index).
    returns_state : bool
        For the fold ``"shift_exp"``: whether the user gets the state (m, s) itself, so that m has to be the largest exponent and
        not a number near it.
    """

    name: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    fold: ClassVar[str] = ""
    unit_column: ClassVar[bool] = False
    largest: ClassVar[bool | None] = None
    returns_state: ClassVar[bool] = False
    derivative: ClassVar[str] = ""
    tolerances: ClassVar[tuple[str, ...]] = ()
    returns_value: ClassVar[bool] = True
    returns_index: ClassVar[bool] = False
    needs_formula2: ClassVar[bool] = False

    @property
    def params(self) -> tuple:
        """The parameters of the reduction, in the order of its constructor."""
        return ()

    @property
    def smallest_axis(self) -> int:
        """The least number of values that an axis must have to be reduced: 0, 1 for indices, K for the K
        smallest."""
        return 1 if self.returns_index else 0

    def values(self, formula: Expression, formula2: Expression | None = None) -> tuple[Expression, ...]:
        """Return the expressions consumed for each pair (i, j).

        Parameters
        ----------
        formula : Expression
            The formula F.
        formula2 : Expression, optional
            The weight G, for reductions that have one.

        Returns
        -------
        tuple of Expression

        Raises
        ------
        ValueError
            If formula2 is missing, or given to a reduction that has no use for it.
        """
        if self.needs_formula2:
            if formula2 is None:
                raise ValueError(
                    f"formula2 is missing: reduction_op={self.name!r} needs the weight as a second formula"
                )
            return (formula, formula2)
        if formula2 is not None:
            raise ValueError(f"formula2 must be None: reduction_op={self.name!r} takes a single formula")
        return (formula,)

    @abstractmethod
    def identity(self, rows: int, dims: tuple[int, ...]) -> State:
        """Return the state of no value at all.

        Parameters
        ----------
        rows : int
            Number of rows of the output.
        dims : tuple of int
            Dimensions of the expressions returned by `values`.
        """

    @abstractmethod
    def reduce(self, values: tuple[np.ndarray, ...], first_index: int = 0) -> State:
        """Return the state of a dense block.

        Parameters
        ----------
        values : tuple of ndarray of shape (rows, cols, dim)
            The values of the expressions, the reduced axis second.
        first_index : int, default=0
            The index of the block's first column, for reductions that return indices.
        """

    @abstractmethod
    def combine(self, a: State, b: State) -> State:
        """Return the state of the columns of `a` followed by those of `b`."""

    @abstractmethod
    def finalize(self, state: State, dtype: np.dtype) -> Any:
        """Return what the user sees: an array, or a tuple of two.

        Parameters
        ----------
        state : tuple of ndarray
            The state of all columns.
        dtype : dtype
            The dtype of the values returned; indices are int64.
        """

    def output_dim(self, dims: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one row of the output's values, given the dimensions of `values`."""
        return (dims[0],)

    def summand(self, values: tuple[Expression, ...]) -> tuple[Expression | None, Expression]:
        """Return E and G of the sums of ``exp(E) G`` that the result is made of; E is None where the sums are those of G.

        A tolerance is about each component of these sums: pairs may be left out whose ``exp(E) |G|`` add up to at most
        ``rtol`` times the sum of all of them, or to ``atol``.
        """
        raise ValueError(f"reduction_op={self.name!r} has no tolerance: it adds nothing, or its result is a raw state (m, s)")

    def rtol_of_sums(self, rtol: float) -> float:
        """Return how much each of the sums of `summand` may be off, so that the result is off by at most `rtol`."""
        return rtol

    def rtol_of_derivative(self, rtol: float) -> tuple[float, float]:
        """Return how much the forward pass and the sums of the derivative may be off, so that the derivative is off by at most
        `rtol` times what its sums are of absolute values; 0.0 for a forward pass that must be exact."""
        return 0.0, rtol

    def adjoint(
        self,
        values: tuple[Expression, ...],
        variable: Variable,
        e: Expression,
        saved: tuple[Expression, ...],
    ) -> Expression:
        """Return the formula whose Sum is the gradient with respect to `variable`, applied to `e`.

        Raises
        ------
        ValueError
            If the reduction has no such formula.
        """
        raise ValueError(self._no_derivative())

    def tangent(
        self,
        values: tuple[Expression, ...],
        directions: Mapping[Variable, Expression],
        saved: tuple[Expression, ...],
    ) -> Expression:
        """Return the formula whose Sum is the derivative along `directions`, up to the row factor of `save`.

        Raises
        ------
        ValueError
            If the reduction has no such formula.
        """
        raise ValueError(self._no_derivative())

    def saved_dims(self, dims: tuple[int, ...]) -> tuple[int, ...]:
        """Return the dimensions of the arrays that `save` keeps for the derivative, one row per output
        row."""
        return ()

    def save(self, state: State, dtype: np.dtype) -> tuple[tuple[np.ndarray, ...], np.ndarray | None]:
        """Return what the derivative needs of the forward state.

        Returns
        -------
        saved : tuple of ndarray of shape (rows, saved_dims[k])
            The arrays for the variables `saved` of `adjoint` and `tangent`.
        scale : ndarray of shape (rows, width) or None
            A factor, float64, of the rows of `e` (adjoint) or of the result (tangent). None stands for one.
        """
        return (), None

    def restore(self, output: Any, partition: State | None = None) -> State:
        """Return a state whose result is `output`, for a derivative that starts from a known result.

        Parameters
        ----------
        output : ndarray or tuple of ndarray
            What `finalize` returned, the values in float64.
        partition : tuple of ndarray, optional
            The state of LogSumExp, for reductions whose result alone does not determine a state.

        Raises
        ------
        ValueError
            If the result does not determine a state.
        """
        raise ValueError(f"the result of {self.name!r} does not determine its state")

    def has_winner(self, state: State) -> np.ndarray:
        """Return where the state holds a value that came from the data, for reductions that keep single
        values."""
        raise ValueError(f"reduction_op={self.name!r} keeps no single value")

    def check_differentiable(self) -> None:
        """Raise a ValueError that says why, if the reduction has no derivative."""
        if not self.derivative:
            raise ValueError(self._no_derivative())

    def _no_derivative(self) -> str:
        if self.returns_index and not self.returns_value:
            return f"reduction_op={self.name!r} has no gradient: its output is an index"
        return f"reduction_op={self.name!r} has no gradient: its output is a raw state (m, s)"

    def __eq__(self, other: Any) -> bool:
        return type(self) is type(other) and self.params == other.params

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.params))

    def __reduce__(self):
        return type(self), self.params

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.params))})"
