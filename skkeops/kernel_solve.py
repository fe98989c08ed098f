"""KernelSolve: linear systems with the matrix of a formula."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skkeops import backends
from skkeops.formula.derivative import gradient, substitute
from skkeops.formula.expression import IJ, Constant, Expression, I, P, Variable, variables_of
from skkeops.plan.problem import Problem
from skkeops.reductions import Sum

from .devices import as_array, computing, namespace_of
from .genred import Genred
from .pairs import is_stored
from .solvers import Solution, low_rank_preconditioner, solve

__all__ = ["KernelSolve", "check_solution"]


class KernelSolve:
    r"""The solution of a linear system with a symmetric matrix that is a formula, without storing it.

    .. math:: (K + \alpha I) a = b, \qquad (K a)_i = \sum_j F(x_i, x_j, p, a_j)

    It takes the place of ``pykeops.numpy.KernelSolve``.

    Parameters
    ----------
    formula : str or Expression
        The formula F, linear in one of its variables: ``"Exp(-SqDist(x, y)) * a"``.
    aliases : sequence of str
        The arguments, as for `Genred`.
    varinvalias : str
        The name of the variable that F is linear in. In a call b takes its place.
    axis : {0, 1}, default=0
        The axis that is reduced. The variable is indexed by it.
    **options
        Further options of `Genred`.

    Raises
    ------
    FormulaError
        If the formula or an alias makes no sense.
    ValueError
        If the formula is not linear in the variable, or the variable is not indexed by the reduced axis.

    See Also
    --------
    skkeops.KernelRidge : Regression with kernels by name, and a preconditioner of its own.
    skkeops.LazyTensor.solve : The same for a LazyTensor.

    Notes
    -----
    Conjugate gradients; where the matrix shows a negative curvature, MINRES and a warning. Several columns of b are solved
    together. `eps` is relative to the norm of each column of b, where that of KeOps is the root mean square of all entries
    of the residual: the same for b of unit variance.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import KernelSolve
    >>> invert = KernelSolve("Exp(-SqDist(x, y)) * a", ["x = Vi(1)", "y = Vj(1)", "a = Vj(1)"], "a", axis=1)
    >>> x = np.array([[0.0], [1.0]])
    >>> a = invert(x, x, np.array([[1.0], [0.0]]), alpha=0.5)
    >>> np.round((np.exp(-(x - x.T) ** 2) + 0.5 * np.eye(2)) @ a, 6) + 0.0
    array([[1.],
           [0.]])
    """

    def __init__(
        self, formula: str | Expression, aliases: Sequence[str], varinvalias: str, axis: int = 0, **options: Any
    ):
        self.function = Genred(formula, aliases, "Sum", axis=axis, **options)
        names = [name.replace(" ", "") for name in self.function.names]
        if not isinstance(varinvalias, str) or varinvalias.replace(" ", "") not in names:
            raise ValueError(f"varinvalias must be one of {', '.join(names)}: found {varinvalias!r}")
        self.varinvalias = varinvalias
        self.axis = axis
        self._place = names.index(varinvalias.replace(" ", ""))
        self._variable = v = self.function.variables[self._place]
        value = self.function._problem.values[0]
        if v.category != axis or value.dim != v.dim:
            raise ValueError(
                f"{varinvalias!r} must be indexed by the reduced axis, {'ij'[axis]}, and have the {value.dim} components of the "
                f"formula: found {v}"
            )
        if v not in variables_of(value) or v in variables_of(gradient(value, v, Constant(1, v.dim))):
            raise ValueError(f"the formula must be linear in {varinvalias!r}")

    def __call__(
        self,
        *args: Any,
        alpha: float = 1e-10,
        eps: float = 1e-6,
        maxiter: int | None = None,
        preconditioner: Callable[[np.ndarray], np.ndarray] | str | None = None,
        backend: str = "auto",
        device_id: int = -1,
        ranges: Any = None,
        callback: Callable[[np.ndarray], bool] | None = None,
    ) -> np.ndarray:
        """Solve the system.

        Parameters
        ----------
        *args : array-like
            As for `Genred`, with b in the place of the variable.
        alpha : float, default=1e-10
            The number added to the diagonal, not negative.
        eps : float, default=1e-6
            The norm of the residual, relative to that of b.
        maxiter : int, optional
            The largest number of iterations. Default: ten times the number of unknowns of a column, at least 100.
        preconditioner : callable or {"cholesky", "nystrom"}, optional
            Returns about ``(K + alpha I)^-1 v``, such as a `skkeops.solvers.LowRankPreconditioner`. By name: what
            `preconditioner` returns for the arguments, of rank 100.
        backend : str, default="auto"
            As for `Genred`.
        device_id : int, default=-1
            Accepted for compatibility.
        ranges : sequence of six arrays of int, optional
            As for `Genred`.
        callback : callable, optional
            Called after every iteration with the solution so far; a true result ends the iterations.

        Returns
        -------
        ndarray
            The solution, of the shape and dtype of b.

        Warns
        -----
        RuntimeWarning
            If the residual is above `eps` after `maxiter` iterations, or the matrix is not positive definite.
        """
        solution, b = self._solve(args, None, alpha, eps, maxiter, preconditioner, backend, ranges, callback)
        check_solution(solution, eps)
        with computing((b,)):
            return solution.x.astype(b.dtype)

    def preconditioner(
        self,
        *args: Any,
        kind: str = "cholesky",
        n_components: int = 100,
        alpha: float = 1e-10,
        random_state: int = 0,
        backend: str = "auto",
    ) -> Any:
        """Return a preconditioner of the system, for several calls with the same matrix.

        Parameters
        ----------
        *args : array-like
            As for the call.
        kind : {"cholesky", "nystrom"}, default="cholesky"
            From columns of the matrix, `skkeops.solvers.pivoted_cholesky`, or from products with random vectors,
            `skkeops.solvers.nystrom`.
        n_components : int, default=100
            The rank; it takes ``8 n n_components`` bytes.
        alpha : float, default=1e-10
            As for the call.
        random_state : int, default=0
            For what is drawn.
        backend : str, default="auto"
            As for `Genred`.

        Returns
        -------
        skkeops.solvers.LowRankPreconditioner, or None
            None if the matrix is not positive semi-definite.

        Raises
        ------
        ValueError
            If the variable has more than one component: the matrix of the pairs is then not one of numbers.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import KernelSolve
        >>> invert = KernelSolve("Exp(-SqDist(x, y)) * a", ["x = Vi(1)", "y = Vj(1)", "a = Vj(1)"], "a", axis=1)
        >>> x, b = np.linspace(0, 1, 50)[:, None], np.ones((50, 1))
        >>> inverse = invert.preconditioner(x, x, b, n_components=20, alpha=0.1)
        >>> invert(x, x, b, alpha=0.1, preconditioner=inverse).shape
        (50, 1)
        """
        v, value = self._variable, self.function._problem.values[0]
        if v.dim != 1:
            raise ValueError(f"a preconditioner by name is for a variable of one component: found {v.dim}")
        arrays, m, n, _, xp = self.function._check(args)
        if m != n:
            raise ValueError(f"the matrix must be square: found {m} rows and {n} columns")
        kernel = gradient(value, v, 1)
        variables = self.function.variables
        module = backends.get(backend, xp)
        wide: dict[int, Any] = {}

        def product(vectors: np.ndarray) -> np.ndarray:
            k = vectors.shape[1]
            if k not in wide:
                w = Variable(len(variables), k, v.category)
                wide[k] = module.prepare(Problem(Sum(), (kernel * w,), self.axis, (*variables, w)))
            right = vectors.astype(arrays[self._place].dtype, order="C", copy=False)
            return wide[k].run((*arrays, right))[0]

        # A factor is made of differences of entries, which float32 would leave to rounding.
        exact = tuple(a if a.dtype.kind == "b" else a.astype(np.float64, copy=False) for a in arrays)

        def columns(which: np.ndarray) -> np.ndarray:  # rows: the matrix is symmetric
            some = tuple(a[which] if w.category in (I, IJ) else a for w, a in zip(variables, exact, strict=True))
            return module.evaluate_pairs(kernel, variables, some, len(which), n)[:, :, 0].T

        def diagonal() -> np.ndarray:
            at = {w: w if w.category == P else Variable(w.position, w.dim, I) for w in variables}
            some = tuple(
                _on_diagonal(a).astype(np.float64) if w.category == IJ else a
                for w, a in zip(variables, exact, strict=True)
            )
            return module.evaluate((substitute(kernel, at),), tuple(at.values()), some, n)[0][:, 0]

        with computing(arrays):
            return low_rank_preconditioner(
                kind, product, columns, diagonal, n, n_components, np.full(1, float(alpha)), random_state, xp
            )

    def gradient(
        self,
        *args: Any,
        wrt: str | Sequence[str],
        grad_output: Any = None,
        output: Any = None,
        alpha: float = 1e-10,
        eps: float = 1e-6,
        maxiter: int | None = None,
        preconditioner: Callable[[np.ndarray], np.ndarray] | str | None = None,
        backend: str = "auto",
    ) -> Any:
        """Return the gradient of ``(solution * grad_output).sum()``, by one more solve.

        Parameters
        ----------
        *args : array-like
            As for the call.
        wrt : str or sequence of str
            The names of arguments; that of the variable stands for b.
        grad_output : array-like, optional
            The gradient by the solution, of its shape; ones by default.
        output : ndarray, optional
            The solution, if it is known.
        alpha, eps, maxiter, preconditioner, backend
            As for the call.

        Returns
        -------
        ndarray or tuple of ndarray
            In the shapes of the arguments; a tuple if `wrt` is a sequence.

        Notes
        -----
        With ``(K + alpha I) u = grad_output``, the gradient by b is u, that by another argument is that of ``-(K a | u)``.
        """
        with computing(args):
            return self._gradient(args, wrt, grad_output, output, alpha, eps, maxiter, preconditioner, backend)

    def _gradient(self, args, wrt, grad_output, output, alpha, eps, maxiter, preconditioner, backend) -> Any:
        names = (wrt,) if isinstance(wrt, str) else tuple(wrt)
        options = (alpha, eps, maxiter, preconditioner, backend, None, None)
        b = as_array(args[self._place])
        a = output if output is not None else self._solve(args, None, *options)[0].x.astype(b.dtype)
        e = np.ones_like(b, dtype=np.float64) if grad_output is None else as_array(grad_output)
        if e.shape != b.shape:
            raise ValueError(f"grad_output must have the shape of b, {b.shape}: found {e.shape}")
        adjoint, _ = self._solve(args, e, *options)
        check_solution(adjoint, eps, stacklevel=4)
        u = adjoint.x.astype(b.dtype)
        with_a = [*args]
        with_a[self._place] = a
        found = []
        for name in names:
            if name.replace(" ", "") == self.varinvalias.replace(" ", ""):
                found.append(u)
            else:
                found.append(-self.function.gradient(*with_a, wrt=name, grad_output=u, backend=backend))
        return found[0] if isinstance(wrt, str) else tuple(found)

    def _solve(
        self, args, right, alpha, eps, maxiter, preconditioner, backend, ranges, callback
    ) -> tuple[Solution, np.ndarray]:
        alpha, eps = float(alpha), float(eps)
        if not alpha >= 0 or not eps > 0:
            raise ValueError(f"alpha must not be negative and eps positive: found alpha={alpha!r}, eps={eps!r}")
        if isinstance(preconditioner, str):
            preconditioner = self.preconditioner(*args, kind=preconditioner, alpha=alpha, backend=backend)
        elif preconditioner is not None and not callable(preconditioner):
            raise TypeError(f"preconditioner must be 'cholesky', 'nystrom' or a function: found {preconditioner!r}")
        arrays, m, n, dtype, _ = self.function._check(args)
        if m != n:
            raise ValueError(f"the matrix must be square: found {m} rows and {n} columns")
        b = arrays[self._place]
        given = list(arrays)

        def product(v: np.ndarray) -> np.ndarray:
            given[self._place] = v.astype(dtype, copy=False)
            return self.function(*given, backend=backend, ranges=ranges).astype(np.float64, copy=False)

        with computing(arrays):
            solution = solve(
                product,
                np.full(b.shape[1], alpha),
                (b if right is None else right).astype(np.float64),
                preconditioner=preconditioner,
                tol=eps,
                max_iter=max(100, 10 * len(b)) if maxiter is None else maxiter,
                callback=callback,
            )
        return solution, b


def _on_diagonal(array: Any) -> np.ndarray:
    if is_stored(array):
        return array.diagonal()[:, None]
    return namespace_of(array).ascontiguousarray(np.diagonal(array).T)


def check_solution(solution: Solution, eps: float, stacklevel: int = 3) -> None:
    """Warn of a solution that is not what was asked for."""
    if not solution.is_definite:
        warnings.warn(
            "the matrix is not positive definite: the system was solved by MINRES", RuntimeWarning, stacklevel=stacklevel
        )
    if solution.residual > eps and not solution.stopped:
        warnings.warn(
            f"the relative residual is {solution.residual:.1e} after {solution.n_iter} iterations, eps={eps:g}: increase "
            "maxiter, alpha or eps, or give a preconditioner",
            RuntimeWarning,
            stacklevel=stacklevel,
        )
