"""Short names for common reductions, with the output declared like the arguments."""

from __future__ import annotations

from typing import Any

from skkeops.formula.aliases import parse_aliases
from skkeops.genred import Genred

__all__ = ["generic_argkmin", "generic_argmin", "generic_logsumexp", "generic_sum"]


def generic_sum(formula: str, output: str, *aliases: str, **options: Any) -> Genred:
    r"""Return the sum of a formula, :math:`a_i = \sum_j F(x_i, y_j, p)`, as a function of arrays.

    Parameters
    ----------
    formula : str
        The formula F.
    output : str
        The output: ``"a = Vi(3)"`` for a row per i (reduced over j), ``"a = Vj(3)"`` for a row per j (reduced
        over i).
    *aliases : str
        The arguments, such as ``"x = Vi(3)"``.
    **options
        As for `Genred`.

    Returns
    -------
    Genred

    Raises
    ------
    ValueError
        If the output is a parameter, or its dimension is not that of the formula.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import generic_sum
    >>> total = generic_sum("Square(x - y)", "a = Vi(1)", "x = Vi(1)", "y = Vj(1)")
    >>> total(np.array([[0.0], [1.0]]), np.array([[1.0], [3.0]]))
    array([[10.],
           [ 4.]])
    """
    axis, dim = _parse_output(output)
    return _check_dim(Genred(formula, aliases, reduction_op="Sum", axis=axis, **options), output, dim)


def generic_logsumexp(formula: str, output: str, *aliases: str, **options: Any) -> Genred:
    r"""Return the log-sum-exp of a formula, :math:`a_i = \log \sum_j \exp F(x_i, y_j, p)`, as a function of
    arrays.

    Parameters
    ----------
    formula : str
        The formula F, a scalar.
    output, *aliases, **options
        As for `generic_sum`; the output has dimension 1 (or that of `formula2`).

    Returns
    -------
    Genred

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import generic_logsumexp
    >>> lse = generic_logsumexp("x + y", "a = Vi(1)", "x = Vi(1)", "y = Vj(1)")
    >>> lse(np.array([[0.0], [1.0]]), np.log([[1.0], [3.0]])).round(4)
    array([[1.3863],
           [2.3863]])
    """
    axis, dim = _parse_output(output)
    return _check_dim(Genred(formula, aliases, reduction_op="LogSumExp", axis=axis, **options), output, dim)


def generic_argmin(formula: str, output: str, *aliases: str, **options: Any) -> Genred:
    r"""Return the index of the smallest value of a formula, as a function of arrays.

    Parameters
    ----------
    formula : str
        The formula F.
    output, *aliases, **options
        As for `generic_sum`.

    Returns
    -------
    Genred
        It returns int64 indices, the first one in case of a tie.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import generic_argmin
    >>> nearest = generic_argmin("SqDist(x, y)", "a = Vi(1)", "x = Vi(2)", "y = Vj(2)")
    >>> nearest(np.array([[0.0, 0.0]]), np.array([[3.0, 0.0], [0.0, 1.0]]))
    array([[1]])
    """
    axis, dim = _parse_output(output)
    return _check_dim(Genred(formula, aliases, reduction_op="ArgMin", axis=axis, **options), output, dim)


def generic_argkmin(formula: str, output: str, *aliases: str, **options: Any) -> Genred:
    r"""Return the indices of the K smallest values of a formula, as a function of arrays.

    Parameters
    ----------
    formula : str
        The formula F.
    output : str
        The output, with K in place of the dimension: ``"a = Vi(5)"`` for the 5 smallest.
    *aliases, **options
        As for `generic_sum`.

    Returns
    -------
    Genred
        It returns int64 indices of shape (M, K), ordered by value.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import generic_argkmin
    >>> knn = generic_argkmin("SqDist(x, y)", "a = Vi(2)", "x = Vi(1)", "y = Vj(1)")
    >>> knn(np.array([[0.0]]), np.array([[3.0], [1.0], [2.0]]))
    array([[1, 2]])
    """
    axis, k = _parse_output(output)
    return Genred(formula, aliases, reduction_op="ArgKMin", axis=axis, opt_arg=k, **options)


def _parse_output(output: str) -> tuple[int, int]:
    """Return the axis to reduce and the dimension, from a declaration such as ``"a = Vi(3)"``."""
    if not isinstance(output, str):
        raise TypeError(
            f"output must be a string like 'a = Vi(3)': found {output!r} ({type(output).__name__})"
        )
    (variable,) = parse_aliases([output]).variables
    if variable.category == 2:
        raise ValueError(f"output must be indexed by i (Vi) or by j (Vj): found {output!r}")
    return 1 - variable.category, variable.dim


def _check_dim(genred: Genred, output: str, dim: int) -> Genred:
    found = genred.output_dim
    if found != dim:
        raise ValueError(f"output={output!r} declares dimension {dim}, but the formula has dimension {found}")
    return genred
