"""Genred: a formula and a reduction, as a function of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from skkeops import backends
from skkeops.arrays.conversion import is_sparse
from skkeops.arrays.devices import computing
from skkeops.backends.gpu import on_device
from skkeops.calls.arguments import Arguments, Checked
from skkeops.calls.batches import Batch
from skkeops.calls.declaration import declare
from skkeops.calls.options import check_call_options, check_options, warn_deprecated
from skkeops.calls.outputs import Outputs, store
from skkeops.derivatives import Derivatives, differentiate
from skkeops.execution.blocks import block_rows, blocks, part_of
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import IJ, Expression, I, J, P, Variable
from skkeops.pairs.ranges import Ranges
from skkeops.plan.problem import Problem
from skkeops.reductions import get_reduction

if TYPE_CHECKING:
    from skkeops.backends.cuda import Source


class Genred:
    r"""A reduction of a formula over all pairs (i, j), without ever storing the pairs.

    For ``axis=1`` it computes, for every i,

    .. math:: c_i = \mathrm{Reduce}_j \; F(x_i, y_j, p)

    and for ``axis=0`` the same for every j, reducing over i. Beside its input and output it takes at most their
    memory once more, and some tens of megabytes.

    Parameters
    ----------
    formula : str or Expression
        The formula F, in the language of KeOps: ``"Exp(-g * SqDist(x, y)) * b"``.
    aliases : sequence of str
        The arguments, in the order of the call: ``"x = Vi(3)"`` is indexed by i and has 3 components, ``"y =
        Vj(3)"`` is indexed by j, ``"g = Pm(1)"`` is a parameter, ``"w = Vij(1)"`` has a value for
        each pair. Variables written ``Var(position, dim, category)`` in the formula need no alias.
    reduction_op : str, default="Sum"
        The reduction: ``"Sum"``, ``"LogSumExp"``, ``"SumSoftMaxWeight"``, ``"Max"``, ``"ArgKMin"``, ... See
        `skkeops.reductions`.
    axis : {0, 1}, default=0
        The axis that is reduced: 0 reduces over i and gives a row per j, 1 reduces over j and gives a row per
        i.
    dtype : None
        Deprecated and ignored: the dtype is that of the arrays.
    opt_arg : int, optional
        The number K, for ``"KMin"``, ``"ArgKMin"`` and ``"KMin_ArgKMin"``.
    formula2 : str or Expression, optional
        The weight G of ``"SumSoftMaxWeight"`` and of the weighted ``"LogSumExp"``.
    cuda_type : None
        Deprecated and ignored.
    dtype_acc : {"auto", "float32", "float64"}, default="auto"
        How float32 terms are summed on a GPU: a few of them in float32, then in float64; or with ``"float64"`` each of
        them in float64, which takes about twice as long. On the CPU sums are always accumulated in float64.
    use_double_acc : bool, default=False
        The same as ``dtype_acc="float64"``; not together with `dtype_acc`.
    sum_scheme : {"auto", "direct_sum", "block_sum", "kahan_scheme"}, default="auto"
        For a GPU: ``"kahan_scheme"`` compensates the rounding of the float32 sums, ``"direct_sum"`` sums each term in
        float64.
    use_fast_math : bool, default=True
        For a GPU: False keeps the constants of exponentials where the formula has them, divisions and roots correct to
        half a unit in the last place, and squared distances of long vectors as sums of squared differences.
    enable_chunks, rec_multVar_highdim : bool
        Accepted for compatibility; without effect.

    Attributes
    ----------
    variables : tuple of Variable
        The variables, in the order of the call.
    names : tuple of str
        Their names; a variable without an alias is called ``"Var(position,dim,category)"``.
    reduction : Reduction
        The reduction as an object.

    Raises
    ------
    FormulaError
        If a formula or an alias makes no sense. It is a ValueError, and shows the place.
    ValueError
        If an option has a value that it cannot have.

    See Also
    --------
    skkeops.generic_sum, skkeops.generic_logsumexp, skkeops.generic_argmin, skkeops.generic_argkmin

    Notes
    -----
    The formula language, the names of the reductions and the arguments follow KeOps [1]_, so that
    ``pykeops.numpy.Genred`` can be replaced by changing the import. Differences: gradients are methods here,
    indices are exact int64 at any size, ``"LogSumExpWeight"`` returns the logarithm and not the raw state,
    and every mistake raises.

    References
    ----------
    .. [1] B. Charlier, J. Feydy, J. A. Glaunès, F.-D. Collin, G. Durif, "Kernel Operations on the GPU, with Autodiff,
       without Memory Overflows", Journal of Machine Learning Research 22 (74), 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from skkeops import Genred
    >>> conv = Genred("Exp(-SqDist(x, y)) * b", ["x = Vi(2)", "y = Vj(2)", "b = Vj(1)"], axis=1)
    >>> x = np.zeros((3, 2))
    >>> y = np.array([[0.0, 0.0], [0.0, 1.0]])
    >>> b = np.array([[1.0], [2.0]])
    >>> conv(x, y, b).round(4)
    array([[1.7358],
           [1.7358],
           [1.7358]])
    >>> conv.gradient(x, y, b, wrt="b", grad_output=np.ones((3, 1))).round(4)
    array([[3.    ],
           [1.1036]])
    """

    def __init__(
        self,
        formula: str | Expression,
        aliases: Sequence[str],
        reduction_op: str = "Sum",
        axis: int = 0,
        dtype: Any = None,
        opt_arg: int | None = None,
        formula2: str | Expression | None = None,
        cuda_type: Any = None,
        dtype_acc: str = "auto",
        use_double_acc: bool = False,
        sum_scheme: str = "auto",
        enable_chunks: bool = True,
        rec_multVar_highdim: bool | None = False,  # noqa: N803 (KeOps' name)
        use_fast_math: bool = True,
    ):
        warn_deprecated("Genred", dtype=dtype, cuda_type=cuda_type)
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)) or axis not in (0, 1):
            raise ValueError(f"axis must be 0 (reduce over i) or 1 (reduce over j): found {axis!r}")
        f, g, self.variables, self.names = declare(aliases, formula, formula2)
        self._parsed = f, g

        self.formula = formula
        self.formula2 = formula2
        self.aliases = list(aliases)
        self.reduction_op = reduction_op
        self.axis = int(axis)
        self.opt_arg = opt_arg
        self.reduction = get_reduction(reduction_op, opt_arg, weighted=g is not None)
        self._options = (
            dtype_acc,
            use_double_acc,
            sum_scheme,
            enable_chunks,
            rec_multVar_highdim,
            use_fast_math,
        )
        check_options(self.reduction.fold, reduction_op, *self._options)

        self.nargs = len(self.variables)
        self._problem = Problem(self.reduction, self.reduction.values(f, g), self.axis, self.variables)
        self._outputs = Outputs(self.reduction, tuple(v.dim for v in self._problem.values))
        self._arguments = Arguments(self.variables, self.names)
        self._check = self._arguments.check
        self._finalize = self.reduction.finalize
        self._smallest_axis = self.reduction.smallest_axis
        self._block_rows = block_rows(self._problem)
        self._programs: dict[ModuleType, dict[Any, Any]] = {}
        self._usable: set[tuple[str, ModuleType]] = set()
        self._derivatives: Derivatives | None = None
        self._joint: dict[tuple[bool, ...], Genred] = {}
        self._last_dtype: np.dtype | None = None  # for `explain`

    def __call__(
        self,
        *args: Any,
        backend: str = "auto",
        device_id: int = -1,
        ranges: Any = None,
        out: Any = None,
        progress: Callable[[int, int], Any] | None = None,
    ) -> Any:
        """Reduce the formula over the arrays.

        Parameters
        ----------
        *args : array-like
            One per variable, in the order of the aliases: (M, dim) for ``Vi(dim)``, (N, dim) for ``Vj(dim)``,
            (dim,) for ``Pm(dim)`` (a number will do for ``Pm(1)``), (M, N, dim) for ``Vij(dim)`` ((M, N), dense or one of
            SciPy's sparse arrays, will do for ``Vij(1)``; see `skkeops.Vij`). float32 and float64 are promoted
            together, float16 becomes float32, integers follow the others. Strided, read-only and
            memory-mapped arrays are read in place. Complex arrays are refused, for formulas do not know which of
            their vectors are complex: give ``z.view(z.real.dtype)`` to a variable of twice the dim. Arrays are all of
            NumPy, or all of CuPy on one device.

            Batch dimensions may come first, and broadcast as NumPy's do: (..., M, dim), (..., N, dim), (..., dim), (...,
            M, N, dim). Every problem of the batch is reduced by itself. Parameters have batch dimensions only where
            something with rows has: give ``x[None]`` where they alone differ.
        backend : {"auto", "CPU", "GPU", "reference"}, default="auto"
            ``"auto"`` follows the arrays: the compiled engine, ``"CPU"``, for NumPy arrays; CUDA kernels, ``"GPU"``, for
            CuPy arrays, which give CuPy arrays. ``"GPU"`` with NumPy arrays moves them to the device and brings the result
            back; CuPy arrays with ``"CPU"`` are refused. ``"reference"`` is dense NumPy, for checking.
        device_id : int, default=-1
            The device of ``"GPU"``: for NumPy arrays the current one by default; CuPy arrays are computed with where they
            are. Ignored by ``"CPU"``.
        ranges : sequence of six arrays of int, optional
            Only some blocks of the pairs, as in KeOps: ``(ranges_i, slices_i, redranges_j, ranges_j, slices_j,
            redranges_i)``; see `skkeops.cluster.from_matrix`. Ranges of NumPy go with arrays of CuPy: what a GPU needs of them
            is kept on the device for the next call with the same numbers; those of CuPy are read by the host at each call. A
            row that meets no column gives what an empty axis would (Sum: 0, LogSumExp: -inf); an index that no pair gave is
            -1. With batch dimensions they are those of every problem.
        out : ndarray or tuple of ndarray, optional
            Where to write the result: of its shape and dtype; a tuple for a reduction that returns two
            arrays.
        progress : callable, optional
            Called from time to time as ``progress(done, total)``, with numbers of pairs. An exception that it
            raises stops the computation. On a GPU up to 32 times, after some milliseconds' work or more, for which the
            host waits; a piece is some of the rows, so the last bits of sums may be others than without.

        Returns
        -------
        ndarray or tuple of ndarray
            M rows for ``axis=1``, N for ``axis=0``, after batch dimensions. Values in the dtype of the arrays, indices in
            int64. For shapes see `skkeops.reductions`.

        Raises
        ------
        ValueError
            If the number of arguments, a shape or an option is wrong.
        TypeError
            If an argument is not an array of real numbers.
        RuntimeError
            If the backend cannot be used here.
        """
        # Small calls are all overhead: nothing is done here that could be done at construction.
        arrays, m, n, dtype, xp, batch = self._check(args)
        self._last_dtype = dtype
        try:
            program = self._programs[xp][backend]
        except (KeyError, TypeError):
            program = self._program(backend, xp)
        if progress is not None or device_id != -1:
            check_call_options(progress, device_id)
            if not batch and device_id != -1 and backends.is_gpu(backend, xp):
                with on_device(int(device_id), arrays):
                    return self(*args, backend=backend, ranges=ranges, out=out, progress=progress)
        rows, count = (m, n) if self.axis else (n, m)
        if count < self._smallest_axis:
            raise ValueError(self._arguments.too_short(self.axis, count, self.reduction))
        if batch:
            checked = arrays, m, n, dtype, xp, batch
            return Batch(self, args, checked, backend, ranges).call(device_id, out, progress)
        if ranges is None and out is None:
            if xp is not np:
                return program.results(arrays, dtype, progress)
            if rows <= self._block_rows:
                return self._finalize(program.run(arrays, progress), dtype)
        with computing(arrays):
            return self._run(program, arrays, (m, n), dtype, xp, ranges, out, progress)

    def gradient(
        self,
        *args: Any,
        wrt: str | Variable | Sequence[str | Variable],
        grad_output: Any = None,
        output: Any = None,
        backend: str = "auto",
        ranges: Any = None,
    ) -> Any:
        """Return the gradient of ``(output * grad_output).sum()`` with respect to arguments.

        Parameters
        ----------
        *args : array-like
            As for the call.
        wrt : str or sequence of str
            The names of the arguments to differentiate by.
        grad_output : array-like, optional
            The gradient with respect to the output, of its shape. Default: ones. For a reduction that returns
            values and indices, it is that of the values.
        output : ndarray or tuple of ndarray, optional
            The result of the call on the same arguments, if known: it saves a pass over the pairs for
            LogSumExp, and for reductions that return indices. Must be right; it is not checked beyond its
            shape. Its rounding enters the gradient of LogSumExp, as a relative error of ``abs(output) * eps``.
        backend : str, default="auto"
            As for the call.
        ranges : sequence of six arrays of int, optional
            As for the call.

        Returns
        -------
        ndarray or tuple of ndarray
            For each name, an array of the shape of that argument, in the common dtype. A tuple if `wrt` is a
            sequence.

        Raises
        ------
        ValueError
            If the reduction has no gradient (indices, raw states), a name is unknown or a shape is wrong.

        Notes
        -----
        Max, Min and KMin pass the gradient to the first winner. Rows without a finite maximum (LogSumExp:
        -inf) get none.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Genred
        >>> lse = Genred("x * y", ["x = Vi(1)", "y = Vj(1)"], "LogSumExp", axis=1)
        >>> x, y = np.zeros((2, 1)), np.array([[1.0], [3.0]])
        >>> lse.gradient(x, y, wrt="x")
        array([[2.],
               [2.]])
        """
        variables = self._arguments.find(wrt)
        derivatives = self._get_derivatives()
        checked, rows, count = self._checked(args, backend)
        if checked[5]:
            return _as_asked(Batch(self, args, checked, backend, ranges).gradient(variables, grad_output, output), wrt)
        if ranges is not None:
            derivatives = self._restricted(ranges, checked)
        with computing(checked[0]):
            e = self._outputs.check_gradient(grad_output, rows, checked[4])
            states = derivatives.states(checked, backend, self._outputs.check_result(output, rows, count, checked[4]))
            gradients = derivatives.adjoint(variables, checked, e, states, backend)
            return _like_arguments(gradients, variables, args, wrt)

    def value_and_gradient(
        self,
        *args: Any,
        wrt: str | Variable | Sequence[str | Variable],
        grad_output: Any = None,
        backend: str = "auto",
        ranges: Any = None,
    ) -> tuple[Any, Any]:
        """Return the result of the call and the gradient, sharing the forward pass.

        Parameters
        ----------
        *args, wrt, grad_output, backend, ranges
            As for `gradient`.

        Returns
        -------
        value : ndarray or tuple of ndarray
            As the call returns it.
        gradient : ndarray or tuple of ndarray
            As `gradient` returns it.
        """
        variables = self._arguments.find(wrt)
        derivatives = self._get_derivatives()
        checked, rows, _ = self._checked(args, backend)
        if checked[5]:
            value, found = Batch(self, args, checked, backend, ranges).value_and_gradient(variables, grad_output)
            return value, _as_asked(found, wrt)
        if ranges is not None:
            derivatives = self._restricted(ranges, checked)
        with computing(checked[0]):
            e = self._outputs.check_gradient(grad_output, rows, checked[4])
            results = self._outputs.allocate(rows, *checked[3:5])
            states = derivatives.states(checked, backend, results=results)
            gradients = derivatives.adjoint(variables, checked, e, states, backend)
            return self._outputs.unpack(results), _like_arguments(gradients, variables, args, wrt)

    def jvp(
        self,
        *args: Any,
        tangents: Mapping[str, Any],
        output: Any = None,
        backend: str = "auto",
        ranges: Any = None,
    ) -> np.ndarray:
        """Return the derivative of the output along directions: the product of the Jacobian and the tangents.

        Parameters
        ----------
        *args : array-like
            As for the call.
        tangents : dict of str to array-like
            For names of arguments, a direction of the shape of that argument. The others stand still.
        output : ndarray or tuple of ndarray, optional
            As for `gradient`.
        backend : str, default="auto"
            As for the call.
        ranges : sequence of six arrays of int, optional
            As for the call.

        Returns
        -------
        ndarray
            The shape of the output's values, in the dtype of the arguments.

        Raises
        ------
        ValueError
            If the reduction has no derivative, a name is unknown or a shape is wrong.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Genred
        >>> total = Genred("Square(x - y)", ["x = Vi(1)", "y = Vj(1)"], axis=1)
        >>> total.jvp(np.ones((1, 1)), np.zeros((5, 1)), tangents={"x": np.ones((1, 1))})
        array([[10.]])
        """
        if not isinstance(tangents, Mapping):
            raise TypeError(f"tangents must be a dict of names to arrays: found {type(tangents).__name__}")
        wrt = self._arguments.find(tuple(tangents))
        derivatives = self._get_derivatives()
        checked, rows, count = self._checked(args, backend)
        if ranges is not None and not checked[5]:
            derivatives = self._restricted(ranges, checked)
        with computing(checked[0]):
            directions = {
                v: self._arguments.direction(u, v, checked) for v, u in zip(wrt, tangents.values(), strict=True)
            }
            if checked[5]:
                return Batch(self, args, checked, backend, ranges).jvp(directions, output)
            states = derivatives.states(checked, backend, self._outputs.check_result(output, rows, count, checked[4]))
            return derivatives.tangent(directions, checked, states, backend)

    @property
    def output_dim(self) -> int:
        """The number of components of one value of the output: its number of columns, but for the K
        smallest."""
        return self._outputs.row_shape[-1]

    def explain(self, dtype: Any = None, n_reduced: int | None = None) -> str:
        """Return the plan as text: what the compiled engine computes once, per i, per j and per pair.

        Parameters
        ----------
        dtype : {"float32", "float64"}, optional
            Of the arrays. Default: that of the last call, float32 before the first one; the text says which it is.
        n_reduced : int, optional
            The length of the reduced axis. Default: long. Short axes have another program.

        Returns
        -------
        str
            The formula as it is summed, the terms of each index, the instructions of the tile program, and the
            arithmetic operations and bytes of a pair.

        Examples
        --------
        >>> from skkeops import Genred
        >>> text = Genred("Exp(x) * y", ["x = Vi(1)", "y = Vj(1)"], axis=1).explain()
        >>> text.splitlines()[2]
        'as (Exp(x)) * sum over j of (y)'
        """
        from skkeops.backends.cpu.description import describe

        if n_reduced is not None and (
            isinstance(n_reduced, bool) or not isinstance(n_reduced, (int, np.integer)) or n_reduced < 0
        ):
            raise ValueError(f"n_reduced must be a number of rows, not negative: found {n_reduced!r}")
        known, source = self._last_dtype, ", the dtype of the last call"
        if dtype is not None:
            known, source = _floating(dtype), ""
        elif known is None:
            known, source = np.dtype(np.float32), ", as before the first call"
        names = dict(zip(self.variables, self.names, strict=True))
        first, *rest = describe(self._problem, names, known.name, n_reduced).split("\n")
        return "\n".join([first + source, *rest])

    def cuda_source(self, dtype: Any = "float32") -> Source:
        """Return the CUDA source that computes the reduction on a GPU. It takes neither CuPy nor a device.

        Parameters
        ----------
        dtype : {"float32", "float64"}, default="float32"
            Of the arrays.

        Returns
        -------
        Source
            With the attributes ``text``, CUDA C++ that includes nothing; ``options``, those of NVRTC besides the
            architecture; ``kernels``, the names of the kernels; and others: see `skkeops.backends.cuda.Source`.

        Raises
        ------
        ValueError
            If `dtype` is another one.

        Examples
        --------
        >>> from skkeops import Genred
        >>> source = Genred("Exp(-SqDist(x, y))", ["x = Vi(3)", "y = Vj(3)"], axis=1).cuda_source()
        >>> 'extern "C" __global__' in source.text, "#include" in source.text
        (True, False)
        """
        from skkeops.backends import cuda
        from skkeops.plan.plan import make_plan

        return cuda.source(make_plan(self._problem), _floating(dtype), self._cuda_options())

    # Helpers

    def _program(self, backend: str, xp: ModuleType) -> Any:
        """Return the program of a backend for arrays of a namespace."""
        module = backends.get(backend, xp)
        programs = self._programs.setdefault(xp, {})
        program = programs.get(module)  # "auto" is another name of "CPU", or of "GPU"
        if program is None:
            program = programs[module] = self._prepare(self._problem, backend, xp)
        programs[backend] = program
        return program

    def _prepare(self, problem: Problem, backend: str, xp: ModuleType) -> Any:
        """Return the program of a problem, this one or one derived from it, with the options of this object."""
        module = backends.get(backend, xp)
        return module.prepare(problem, self._cuda_options()) if backends.is_gpu(backend, xp) else module.prepare(problem)

    def _cuda_options(self) -> Any:
        from skkeops.backends.cuda import Options

        dtype_acc, use_double_acc, sum_scheme, _, _, use_fast_math = self._options
        return Options.of_genred(dtype_acc, use_double_acc, sum_scheme, use_fast_math)

    def _run(self, program, arrays, sizes, dtype, xp, ranges, out, progress) -> Any:
        """Run a program over blocks of pairs, or one whose state is large, or whose result has its place already."""
        outputs = self._outputs
        rows, count = sizes if self.axis else sizes[::-1]
        if xp is not np:
            results = None if out is None else outputs.check_out(out, rows, dtype, xp)
            if ranges is not None:
                program = Ranges.of(ranges, *sizes).bind(program, self.axis)
            found = program.results(arrays, dtype, progress)
            if results is not None:
                store(results, slice(0, rows), found)
            return found if out is None else out
        results = outputs.allocate(rows, dtype, xp) if out is None else outputs.check_out(out, rows, dtype, xp)
        if ranges is not None:
            state = Ranges.of(ranges, *sizes).bind(program, self.axis).run(arrays, progress)
            store(results, slice(0, rows), self._finalize(state, dtype))
            return outputs.unpack(results) if out is None else out
        # An array may be both read and written, but not while some of its rows are still to be read.
        apart = rows <= self._block_rows or not any(xp.may_share_memory(r, a) for r in results for a in arrays)
        targets = results if apart else outputs.allocate(rows, dtype, xp)
        for some, part in blocks(self._problem, arrays, rows):
            report = part_of(progress, some.start * count, rows * count)
            store(targets, some, self._finalize(program.run(part, report), dtype))
        if not apart:
            for result, target in zip(results, targets, strict=True):
                result[...] = target
        return outputs.unpack(results) if out is None else out

    def _of_batch(self, per_row: tuple[bool, ...]) -> Genred:
        """Return this reduction as that of all problems of a batch: some parameters have a value for each row, and there are
        rows of i and of j, if need be of a variable more that the formula does not have."""
        if per_row not in self._joint:
            renamed: dict[Expression, Expression] = {
                v: Variable(v.position, v.dim, I) for v, of_rows in zip(self.variables, per_row, strict=True) if of_rows
            }
            variables = [renamed.get(v, v) for v in self.variables]
            for category in (I, J):
                if not any(v.category in (category, IJ) for v in variables):
                    variables.append(Variable(len(variables), 1, category))
            f, g = (None if e is None else substitute(e, renamed) for e in self._parsed)
            definition = f, list(map(str, variables)), self.reduction_op, self.axis, self.opt_arg, g, self._options
            self._joint[per_row] = _rebuild(Genred, *definition) if tuple(variables) != self.variables else self
        return self._joint[per_row]

    def _get_derivatives(self) -> Derivatives:
        if self._derivatives is None:
            self._derivatives = differentiate(self._problem, self._program, prepare=self._prepare)
        return self._derivatives

    def _restricted(self, ranges: Any, checked: Checked) -> Derivatives:
        """Return the derivatives of the reduction over some blocks of the pairs."""
        _, m, n, *_ = checked
        return differentiate(self._problem, self._program, Ranges.of(ranges, m, n), self._prepare)

    def _checked(self, args: tuple, backend: str) -> tuple[Checked, int, int]:
        """Return the arguments, checked, the number of rows of the output and the length of the other axis."""
        checked = self._check(args)
        _, m, n, self._last_dtype, xp, _ = checked
        try:
            known = (backend, xp) in self._usable
        except TypeError:
            known = False
        if not known:
            backends.get(backend, xp)
            self._usable.add((backend, xp))
        rows, count = (m, n) if self.axis else (n, m)
        if count < self._smallest_axis:
            raise ValueError(self._arguments.too_short(self.axis, count, self.reduction))
        return checked, rows, count

    def _definition(self) -> tuple:
        return (self._problem, self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Genred) and self._definition() == other._definition()

    def __hash__(self) -> int:
        return hash(self._definition())

    def __reduce__(self):
        arguments = (self.formula, self.aliases, self.reduction_op, self.axis, self.opt_arg, self.formula2)
        return _rebuild, (type(self), *arguments, self._options)

    def __repr__(self) -> str:
        text = f"Genred({_text(self.formula)}, {self.aliases!r}, "
        text += f"reduction_op={self.reduction_op!r}, axis={self.axis}"
        if self.opt_arg is not None:
            text += f", opt_arg={self.opt_arg}"
        if self.formula2 is not None:
            text += f", formula2={_text(self.formula2)}"
        return text + ")"


def _rebuild(cls, formula, aliases, reduction_op, axis, opt_arg, formula2, options) -> Genred:
    return cls(formula, aliases, reduction_op, axis, None, opt_arg, formula2, None, *options)


def _like_arguments(gradients: list[np.ndarray], variables: Sequence[Variable], args: tuple, wrt: Any) -> Any:
    """Return gradients as `wrt` asked for them, one or a tuple, in the shapes of the arguments: a parameter may have
    come as a number or as a row."""
    shaped = [
        g.reshape(np.shape(args[v.position])) if v.category >= P and not is_sparse(g) else g
        for v, g in zip(variables, gradients, strict=True)
    ]
    return _as_asked(shaped, wrt)


def _as_asked(gradients: list[Any], wrt: Any) -> Any:
    return gradients[0] if isinstance(wrt, (str, Variable)) else tuple(gradients)


def _floating(dtype: Any) -> np.dtype:
    """Return float32 or float64 as a dtype, or raise."""
    try:
        found = None if dtype is None else np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found not in (np.float32, np.float64):
        raise ValueError(f"dtype must be 'float32' or 'float64': found {dtype!r}")
    return found


def _text(formula: str | Expression) -> str:
    return repr(formula) if isinstance(formula, str) else repr(str(formula))
