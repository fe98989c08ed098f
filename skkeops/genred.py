"""Genred: a formula and a reduction, as a function of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from skkeops import backends
from skkeops.arrays.conversion import check_floating
from skkeops.calls.arguments import Arguments
from skkeops.calls.batches import Batch
from skkeops.calls.declaration import declare
from skkeops.calls.options import Options, check_call_options, check_tolerance, warn_deprecated
from skkeops.calls.outputs import Outputs
from skkeops.derivatives import Derivatives
from skkeops.derivatives.methods import DerivativeMethods
from skkeops.execution.choose import CallReport, Choice, explain_methods, explain_report, prepare
from skkeops.execution.program import Program
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import IJ, Expression, I, J, Variable
from skkeops.pairs.ranges import Ranges
from skkeops.plan.problem import Problem
from skkeops.reductions import get_reduction

if TYPE_CHECKING:
    from skkeops.backends.cuda import Source


T = TypeVar("T")


class Genred(DerivativeMethods):
    r"""A reduction of a formula over all pairs (i, j), without ever storing the pairs.

    For ``axis=1`` it computes, for every i,

    .. math:: c_i = \mathrm{Reduce}_j \; F(x_i, y_j, p)

    and for ``axis=0`` the same for every j, reducing over i. Beside its input and output it takes at most their
    memory once more, and some tens of megabytes.

    Parameters
    ----------
    formula : str or Expression
        The formula F, in the language of KeOps: ``"Exp(-g * SqDist(x, y)) * b"``.
    aliases : sequence of str or Variable
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
        For a GPU: False keeps the constants of exponentials where the formula has them, divisions and roots correct to half a
        unit in the last place, and squared distances of long vectors as sums of squares; extrema then skip pairs (:doc:`/gpu`).
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
        If a formula or an alias is invalid. It is a ValueError, and shows the place.
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
        aliases: Sequence[str | Variable],
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
        self.aliases = [str(alias) for alias in aliases]
        self.reduction_op = reduction_op
        self.axis = int(axis)
        self.opt_arg = opt_arg
        self.reduction = get_reduction(reduction_op, opt_arg, weighted=g is not None)
        self._options = Options(
            dtype_acc, use_double_acc, sum_scheme, enable_chunks, rec_multVar_highdim, use_fast_math
        )
        self._options.check(self.reduction.fold, reduction_op)

        self.nargs = len(self.variables)
        self._problem = Problem.of(self.reduction, self.reduction.values(f, g), self.axis, self.variables)
        self._outputs = Outputs(self.reduction, self._problem.output.dims)
        self._arguments = Arguments(self.variables, self.names)
        self._check = self._arguments.check
        self._smallest_axis = self.reduction.smallest_axis
        self._programs: dict[ModuleType, dict[Any, Program]] = {}
        self._tolerant: dict[ModuleType, dict[Any, Program]] = {}  # for calls with a tolerance
        self._derivatives: Derivatives | None = None
        self._joint: dict[tuple[bool, ...], Genred] = {}
        self._last_dtype: np.dtype | None = None  # for `explain`
        self._last_program: Program | None = None

    def __call__(
        self,
        *args: Any,
        backend: str = "auto",
        device_id: int = -1,
        ranges: Any = None,
        out: Any = None,
        progress: Callable[[int, int], Any] | None = None,
        rtol: float = 0.0,
        atol: float = 0.0,
    ) -> Any:
        """Reduce the formula over the arrays.

        Parameters
        ----------
        *args : array-like
            One per variable, in the order of the aliases: (M, dim) for ``Vi(dim)``, (N, dim) for ``Vj(dim)``, (dim,) for
            ``Pm(dim)`` (a number will do for ``Pm(1)``), (M, N, dim) for ``Vij(dim)`` ((M, N), dense or one of SciPy's sparse
            arrays, will do for ``Vij(1)``; see `skkeops.Vij`). float32 and float64 are promoted together, float16 becomes
            float32, integers follow the others. Strided, read-only and memory-mapped arrays are read in place. Complex arrays
            are refused, for formulas do not know which of their vectors are complex: give ``z.view(z.real.dtype)`` to a
            variable of twice the dim. Arrays are all of NumPy, or all of CuPy on one device.

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
            Where to write the result: of its shape and dtype; a tuple for a reduction that returns two arrays.
        progress : callable, optional
            Called from time to time as ``progress(done, total)``, with numbers of pairs. An exception that it raises stops the
            computation. On a GPU up to 32 times, after some milliseconds' work or more, for which the host waits; a piece is
            some of the rows, so the last bits of sums may be others than without.
        rtol, atol : float, default=0.0
            For sums of many pairs, how much may be left out: pairs that provably do not matter are not computed. A Sum is off by
            at most ``atol + rtol * sum_j abs(F)``, in each row and each component, and so is the sum of exponentials of which
            LogSumExp is the logarithm. SumSoftMaxWeight takes `rtol` alone: it is off by at most `rtol` times the average of
            ``abs(G)``. Rounding comes on top. `rtol` is below 1; with zeros all pairs are computed. See :doc:`/cost_follows_data`.

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
        arrays, m, n, dtype, xp, batch = call = self._check(args)
        self._last_dtype = dtype
        pairs: Any = None
        if rtol != 0 or atol != 0:
            pairs = check_tolerance(rtol, atol, self.reduction)
            program = self._program(backend, xp, with_tolerance=True)
        else:
            try:
                program = self._programs[xp][backend]
            except (KeyError, TypeError):
                program = self._program(backend, xp)
        self._last_program = program
        if progress is not None or device_id != -1:
            check_call_options(progress, device_id)
        if (n if self.axis else m) < self._smallest_axis:
            raise self._arguments.too_short(self.axis, call.count(self.axis), self.reduction)
        if batch:
            return Batch(self, args, call, backend, ranges).call(device_id, out, progress, pairs)
        if out is not None:
            out = self._outputs.check_out(out, call.rows(self.axis), dtype, xp)
        if ranges is not None:
            pairs = Ranges.of(ranges, m, n).of_axis(self.axis)
        if device_id != -1:
            with backends.on_device(backend, xp, device_id, arrays):
                return program.run(arrays, pairs, out, progress)
        return program.run(arrays, pairs, out, progress)

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
            arithmetic operations and bytes of a pair; how often gradients go over the pairs; and which methods may
            skip pairs, and what they did in the last call.

        Examples
        --------
        >>> from skkeops import Genred
        >>> text = Genred("Exp(x) * y", ["x = Vi(1)", "y = Vj(1)"], axis=1).explain()
        >>> text.splitlines()[2]
        'as (Exp(x)) * sum over j of (y)'
        """
        from skkeops.backends import cpu
        from skkeops.backends.cpu.description import describe

        if n_reduced is not None and (
            isinstance(n_reduced, bool) or not isinstance(n_reduced, (int, np.integer)) or n_reduced < 0
        ):
            raise ValueError(f"n_reduced must be a number of rows, not negative: found {n_reduced!r}")
        known, source = self._last_dtype, ", the dtype of the last call"
        if dtype is not None:
            known, source = check_floating(dtype), ""
        elif known is None:
            known, source = np.dtype(np.float32), ", as before the first call"
        names = dict(zip(self.variables, self.names, strict=True))
        first, *rest = describe(self._problem, names, known.name, n_reduced).split("\n")
        methods = explain_methods(self._problem, cpu)
        report = self.last_call if isinstance(self._last_program, Choice) else None
        return "\n".join([first + source, *rest, self._explain_derivatives(), *methods, *explain_report(report)])

    @property
    def last_call(self) -> CallReport | None:
        """How the last call that has returned was computed; None before the first one.

        A tuple with the attributes ``method``, the name of the method that `explain` lists, or ``"all pairs"``; ``share``, the
        share of the pairs that the result comes from; ``declined``, for each method that was asked and did not take the call, why;
        and ``error``, a bound of the error for pairs that were left out, as a part of what the tolerance allows.

        Examples
        --------
        >>> import numpy as np
        >>> from skkeops import Genred
        >>> nearest = Genred("SqDist(x, y)", ["x = Vi(2)", "y = Vj(2)"], "ArgMin", axis=1)
        >>> points = np.random.default_rng(0).random((500, 2))
        >>> found = nearest(points, points)
        >>> nearest.last_call.method, nearest.last_call.share, nearest.last_call.declined["pruning"]
        ('all pairs', 1.0, 'few pairs')
        """
        program = self._last_program
        if isinstance(program, Choice):
            return program.report
        return None if program is None else CallReport(Program.name, 1.0, {})

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

        return cuda.source(make_plan(self._problem), check_floating(dtype), cuda.options_of(self._options))

    # Helpers

    def _program(self, backend: str, xp: ModuleType, with_tolerance: bool = False) -> Program:
        """Return the program of this reduction, of a backend for arrays of a namespace; calls with tolerances have another."""
        known = self._tolerant if with_tolerance else self._programs
        try:
            return known[xp][backend]
        except (KeyError, TypeError):
            module = backends.get(backend, xp)
        programs = known.setdefault(xp, {})
        if module not in programs:  # "auto" is another name of "CPU", or of "GPU"
            programs[module] = prepare(self._problem, module, self._options, with_tolerance)
        programs[backend] = programs[module]
        return programs[backend]

    def _prepare(self, problem: Problem, backend: str, xp: ModuleType, with_tolerance: bool = False) -> Program:
        """Return the program of a problem, this one or one derived from it, with the options of this object."""
        if problem is self._problem:
            return self._program(backend, xp, with_tolerance)
        return prepare(problem, backends.get(backend, xp), self._options, with_tolerance)

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
            definition = f, variables, self.reduction_op, self.axis, self.opt_arg, g, self._options
            self._joint[per_row] = _rebuild(Genred, *definition) if tuple(variables) != self.variables else self
        return self._joint[per_row]

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


@lru_cache(maxsize=1024)
def shared(cls: type[T], formula: Expression, variables: tuple[Variable, ...], *args: Any, **options: Any) -> T:
    """Return a `Genred`, or another class made from formulas, of an expression: the same object for the same arguments,
    options by name and in the same order.

    What is derived from a definition (plans, programs, derivatives) is kept by the object, and so computed once.
    """
    return cls(formula, variables, *args, **options)


def _rebuild(cls, formula, aliases, reduction_op, axis, opt_arg, formula2, options) -> Genred:
    return cls(formula, aliases, reduction_op, axis, None, opt_arg, formula2, None, *options)


def _text(formula: str | Expression) -> str:
    return repr(formula) if isinstance(formula, str) else repr(str(formula))
