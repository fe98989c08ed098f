"""KernelSolve: linear systems with the matrix of a formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from skkeops.arrays.devices import as_array, computing
from skkeops.calls.batches import Batch
from skkeops.calls.options import warn_deprecated
from skkeops.calls.outputs import check_like
from skkeops.formula.derivative import gradient
from skkeops.formula.expression import Constant, Expression, Variable, variables_of
from skkeops.genred import Genred

from .formula_matrix import Matrix
from .linear_system import Solution, solve
from .preconditioner import check_rank, low_rank_preconditioner
from .report import round_solution, warn_of
from .shift import check_alpha, check_number, shift_of

__all__ = ["KernelSolve"]


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
    dtype : None
        Deprecated and ignored: the dtype is that of the arrays.
    opt_arg : None
        Accepted for compatibility: sums have none.
    dtype_acc, use_double_acc, sum_scheme, enable_chunks, rec_multVar_highdim, use_fast_math
        As for `Genred`.

    Raises
    ------
    FormulaError
        If the formula or an alias is invalid.
    ValueError
        If the formula is not linear in the variable, or the variable is not indexed by the reduced axis.

    See Also
    --------
    skkeops.KernelRidge : Regression with kernels by name, and a preconditioner of its own.
    skkeops.LazyTensor.solve : The same for a LazyTensor.

    Notes
    -----
    Conjugate gradients; where the matrix shows a negative curvature, MINRES and a warning. A singular system without a solution
    gives one of least squares, and a warning. Several columns of b are solved together. `eps` is relative to the norm of each
    column of b, where that of KeOps is the root mean square of all entries of the residual: the same for b of unit variance.

    The system is solved in float64 whatever the data: residuals are those of float64 products. Only the solution is rounded to
    the dtype of b, and a warning tells if float32 does not hold it. Where `alpha` is large beside the rounding errors of float32,
    the iterations between them compute in float32, which takes a third of the time
    (iterative refinement, see `skkeops.solvers.solve`).

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
        self,
        formula: str | Expression,
        aliases: Sequence[str | Variable],
        varinvalias: str,
        axis: int = 0,
        dtype: Any = None,
        opt_arg: None = None,
        dtype_acc: str = "auto",
        use_double_acc: bool = False,
        sum_scheme: str = "auto",
        enable_chunks: bool = True,
        rec_multVar_highdim: bool | None = None,  # noqa: N803 (KeOps' name)
        use_fast_math: bool = True,
    ):
        warn_deprecated("KernelSolve", dtype=dtype)
        self.function = Genred(
            formula,
            aliases,
            "Sum",
            axis=axis,
            opt_arg=opt_arg,
            dtype_acc=dtype_acc,
            use_double_acc=use_double_acc,
            sum_scheme=sum_scheme,
            enable_chunks=enable_chunks,
            rec_multVar_highdim=rec_multVar_highdim,
            use_fast_math=use_fast_math,
        )
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

    def __repr__(self) -> str:
        function = self.function
        formula = str(function.formula)
        return f"KernelSolve({formula!r}, {function.aliases!r}, {self.varinvalias!r}, axis={self.axis})"

    def __call__(
        self,
        *args: Any,
        alpha: float | np.ndarray = 1e-10,
        eps: float = 1e-6,
        maxiter: int | None = None,
        preconditioner: Callable[[np.ndarray], np.ndarray] | str | None = "auto",
        n_components: int | str = "auto",
        random_state: int | np.random.RandomState = 0,
        backend: str = "auto",
        device_id: int = -1,
        ranges: Any = None,
        callback: Callable[[np.ndarray], bool] | None = None,
    ) -> np.ndarray:
        """Solve the system.

        Parameters
        ----------
        *args : array-like
            As for `Genred`, with b in the place of the variable. The systems of a batch are solved one by one.
        alpha : float or array-like, default=1e-10
            The number added to the diagonal, not negative, or numbers that broadcast to the shape of b: of shape (n, 1) one for
            each row, of shape (D,) one for each of its D columns, of shape (B, 1, 1) one for each problem of a batch.
        eps : float, default=1e-6
            The norm of the residual, relative to that of b.
        maxiter : int, optional
            The largest number of iterations. Default: ten times the number of unknowns of a column, at least 100.
        preconditioner : {"auto", "cholesky", "nystrom"}, callable or None, default="auto"
            What stands for ``(K + alpha I)^-1``: from columns of K (a randomly pivoted Cholesky factor), from products with random
            vectors (Nyström), or a function of arrays such as a `skkeops.solvers.LowRankPreconditioner`, see `preconditioner`.
            "auto" is "cholesky" where the formula is a number for each pair, times the variable, else none.
        n_components : int or "auto", default="auto"
            The rank of a preconditioner by name: more make fewer iterations, and take ``8 n`` bytes each. "auto" is for "cholesky"
            the number of eigenvalues above 4 `alpha`, about, and at most 700, for "nystrom" 100, or what 256 MB hold. 0 is no
            preconditioner.
        random_state : int or RandomState, default=0
            For the columns, or vectors, that are drawn. Solutions differ within `eps`.
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
            If the residual is above `eps` after `maxiter` iterations, or the matrix is singular, not positive definite, or not
            finite, or the solution more than the dtype of b holds.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import KernelSolve
        >>> invert = KernelSolve("Exp(-SqDist(x, y)) * a", ["x = Vi(1)", "y = Vj(1)", "a = Vj(1)"], "a", axis=1)
        >>> x, steps = np.linspace(0, 9, 500)[:, None], []
        >>> a = invert(x, x, np.sin(x), alpha=1e-3, callback=steps.append)
        >>> len(steps) < 10
        True
        """
        batch = self._batch(args, backend, ranges)
        if batch is not None:
            options = {"eps": eps, "maxiter": maxiter, "preconditioner": preconditioner, "n_components": n_components}
            options |= {"random_state": random_state, "backend": backend, "ranges": ranges, "callback": callback}
            solutions = batch.xp.empty((*batch.shape, batch.count, self._variable.dim), dtype=batch.dtype)
            shift = check_alpha(alpha, solutions.shape)
            for problem, arrays in batch.problems():
                solutions[problem] = self(*arrays, alpha=shift[problem], **options)
            return solutions
        matrix, b = self._matrix(args, backend, ranges)
        shift = shift_of(alpha, b.shape)
        inverse = self._inverse(matrix, preconditioner, n_components, shift, random_state)
        solution = self._solve(matrix, b, inverse, shift, eps, maxiter, callback)
        warn_of(solution, eps)
        return round_solution(solution, matrix, b, shift)

    def preconditioner(
        self,
        *args: Any,
        kind: str = "cholesky",
        n_components: int | str = 100,
        alpha: float | np.ndarray = 1e-10,
        random_state: int | np.random.RandomState = 0,
        backend: str = "auto",
        ranges: Any = None,
    ) -> Any:
        """Return a preconditioner of the system, for several calls with the same matrix.

        Parameters
        ----------
        *args : array-like
            As for the call.
        kind : {"cholesky", "nystrom"}, default="cholesky"
            From columns of the matrix, `skkeops.solvers.pivoted_cholesky`, or from products with random vectors,
            `skkeops.solvers.nystrom`.
        n_components : int or "auto", default=100
            The rank; it takes ``8 n n_components`` bytes.
        alpha : float or array-like, default=1e-10
            As for the call.
        random_state : int or RandomState, default=0
            For what is drawn.
        backend : str, default="auto"
            As for `Genred`.
        ranges : sequence of six arrays of int, optional
            As for the call.

        Returns
        -------
        skkeops.solvers.LowRankPreconditioner, or None
            None if the matrix is not positive semi-definite.

        Raises
        ------
        ValueError
            If the variable has several components and the formula is no number for each pair, times the variable.

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
        check_rank(n_components, 1)
        matrix, b = self._matrix(args, backend, ranges)
        return self._inverse(matrix, kind, n_components, shift_of(alpha, b.shape), random_state)

    def gradient(
        self,
        *args: Any,
        wrt: str | Sequence[str],
        grad_output: Any = None,
        output: Any = None,
        alpha: float | np.ndarray = 1e-10,
        eps: float = 1e-6,
        maxiter: int | None = None,
        preconditioner: Callable[[np.ndarray], np.ndarray] | str | None = "auto",
        n_components: int | str = "auto",
        random_state: int | np.random.RandomState = 0,
        backend: str = "auto",
        ranges: Any = None,
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
        alpha, eps, maxiter, preconditioner, n_components, random_state, backend, ranges
            As for the call.

        Returns
        -------
        ndarray or tuple of ndarray
            In the shapes of the arguments; a tuple if `wrt` is a sequence.

        Notes
        -----
        With ``(K + alpha I) u = grad_output``, the gradient by b is u, that by another argument is that of ``-(K a | u)``.
        """
        batch = self._batch(args, backend, ranges)
        if batch is not None:
            options = {"eps": eps, "maxiter": maxiter, "preconditioner": preconditioner, "n_components": n_components}
            options |= {"random_state": random_state, "backend": backend, "ranges": ranges}
            shape = (*batch.shape, batch.count, self._variable.dim)
            shift = check_alpha(alpha, shape)
            e = None if grad_output is None else check_like(grad_output, shape, "argument 'grad_output'", batch.xp)
            a = None if output is None else check_like(output, shape, "argument 'output'", batch.xp)
            wanted = self.function._arguments.find(wrt)
            given = tuple(self.function.names[v.position] for v in wanted)
            parts = [
                self.gradient(
                    *arrays,
                    wrt=given,
                    grad_output=None if e is None else e[problem],
                    output=None if a is None else a[problem],
                    alpha=shift[problem],
                    **options,
                )
                for problem, arrays in batch.problems()
            ]
            added = tuple(batch.add(v, [part[k] for part in parts]) for k, v in enumerate(wanted))
            return added[0] if isinstance(wrt, str) else added
        matrix, b = self._matrix(args, backend, ranges)
        names = (wrt,) if isinstance(wrt, str) else tuple(wrt)
        with computing((b,)):
            e = np.ones_like(b, dtype=np.float64) if grad_output is None else as_array(grad_output)
            if e.shape != b.shape:
                raise ValueError(f"grad_output must have the shape of b, {b.shape}: found {e.shape}")
            shift = shift_of(alpha, b.shape)
            inverse = self._inverse(matrix, preconditioner, n_components, shift, random_state)
            a = self._solve(matrix, b, inverse, shift, eps, maxiter).x if output is None else as_array(output)
            adjoint = self._solve(matrix, e, inverse, shift, eps, maxiter)
            warn_of(adjoint, eps)
            # In float64 as long as solutions are multiplied: they may be large, and their products cancel.
            with_a = matrix.wide_arguments(a)
            unknown = self.varinvalias.replace(" ", "")
            others = tuple(name for name in names if name.replace(" ", "") != unknown)
            by = self.function.gradient(*with_a, wrt=others, grad_output=adjoint.x, backend=backend, ranges=ranges)
            of_others = dict(zip(others, by, strict=True))
            found = [
                -of_others[name].astype(matrix.dtype) if name in of_others else round_solution(adjoint, matrix, e, shift)
                for name in names
            ]
        return found[0] if isinstance(wrt, str) else tuple(found)

    def _batch(self, args: tuple, backend: str, ranges: Any) -> Batch | None:
        """Return the systems of arguments with batch dimensions, None if they have none."""
        call = self.function._check(args)
        return Batch(self.function, args, call, backend, ranges) if call.batch else None

    def _matrix(self, args: tuple, backend: str, ranges: Any) -> tuple[Matrix, Any]:
        """Return the matrix of the system and b."""
        call = self.function._check(args)
        if call.batch:
            raise ValueError(f"a preconditioner is that of one system: found arguments with batch dimensions {call.batch}")
        if call.m != call.n:
            raise ValueError(f"the matrix must be square: found {call.m} rows and {call.n} columns")
        return Matrix(self.function, self._place, call, backend, ranges), call.arrays[self._place]

    def _inverse(self, matrix: Matrix, preconditioner: Any, n_components: Any, shift: np.ndarray, random_state: Any) -> Any:
        """Return the preconditioner that is asked for, None if there is none."""
        check_rank(n_components, 0)
        if not isinstance(preconditioner, str):
            if preconditioner is not None and not callable(preconditioner):
                raise TypeError(
                    f"preconditioner must be 'auto', 'cholesky', 'nystrom', a function or None: found {preconditioner!r}"
                )
            return preconditioner
        if preconditioner == "auto" and matrix.has_entries:
            preconditioner = "cholesky"
        if n_components == 0 or preconditioner == "auto":
            return None
        with computing(matrix.arrays), _one_thread():
            return low_rank_preconditioner(
                preconditioner,
                matrix.wide_product,
                matrix.columns,
                matrix.diagonal,
                matrix.size,
                n_components,
                shift,
                random_state,
                matrix.namespace,
            )

    def _solve(
        self, matrix: Matrix, b: Any, inverse: Any, shift: np.ndarray, eps: float, maxiter: int | None, callback: Any = None
    ) -> Solution:
        eps = check_number(eps, "eps")
        if not eps > 0:
            raise ValueError(f"eps must be positive: found {eps!r}")
        if maxiter is not None and (
            isinstance(maxiter, bool) or not isinstance(maxiter, (int, np.integer)) or maxiter < 0
        ):
            raise ValueError(f"maxiter must be an integer, not negative: found {maxiter!r}")
        if callback is not None and not callable(callback):
            raise TypeError(f"callback must be a function of the solution so far: found {callback!r}")
        product, rough, shape = matrix.product, matrix.rough_product, b.shape
        with computing(matrix.arrays), _one_thread() if inverse is not None else nullcontext():
            right = b.astype(np.float64)
            if not matrix.has_entries:
                # Its columns are no right-hand sides of their own, but parts of one.
                shift, right = np.broadcast_to(shift, shape).reshape(-1, 1), right.reshape(-1, 1)
                product, rough, inverse = (_flat(function, shape) for function in (product, rough, inverse))
                heard, callback = callback, None if callback is None else lambda a: heard(a.reshape(shape))
            solution = solve(
                product,
                shift,
                right,
                rough=rough,
                preconditioner=inverse,
                tol=eps,
                max_iter=max(100, 10 * len(b)) if maxiter is None else maxiter,
                callback=callback,
            )
            return replace(solution, x=solution.x.reshape(shape))


def _flat(function: Any, shape: tuple[int, int]) -> Any:
    """Return a function of arrays of a shape as one of the column of their entries."""
    return None if function is None else lambda v: function(v.reshape(shape)).reshape(-1, 1)


def _one_thread() -> Any:
    """Return a context in which the BLAS has one thread: its others wait by spinning, on the cores that products need."""
    return threadpool_limits(1, user_api="blas")
