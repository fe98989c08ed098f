"""
Log-sum-exp of a formula, and its gradient
==========================================

We are given points :math:`x_i`, :math:`y_j`, numbers :math:`a_j` and a parameter :math:`p`, and want, for every
:math:`i`,

.. math::

    c_i = \\log \\sum_{j=1}^{N} \\exp\\bigl( (p-a_j)^2 \\exp(x_i+y_j) \\bigr), \\qquad i = 1, \\dots, M

and then the derivative of :math:`c` with respect to :math:`y`. Written with NumPy this takes several matrices of
:math:`M \\times N` numbers, and an exponential of an exponential, which overflows for quite ordinary input.

skkeops takes the formula as text, visits all pairs :math:`(i, j)` without storing them, and subtracts the maximum of
each row before it takes exponentials. We compare it with the naive order of operations, a sum of exponentials followed
by a logarithm, in single and in double precision, on data where both can be right and on data where only one is.
"""

# sphinx_gallery_thumbnail_number = 2
# sphinx_gallery_start_ignore
# This page of the gallery is also the README's example: there it prints times, and runs without Matplotlib or a screen.
# What is between these marks is left out of the page.
import importlib.util
import os
import sys
import time
from pathlib import Path

# sphinx_gallery_end_ignore
import numpy as np

from skkeops import Genred

###############################################################################
# The formula
# -----------
#
# Each variable of the formula is declared once: ``Vi`` has one row per :math:`i`, ``Vj`` one row per :math:`j`, ``Pm``
# is a parameter, the same for all pairs. The number in parentheses is the number of columns.

formula = "Square(p-a)*Exp(x+y)"
variables = [
    "x = Vi(1)",  # First arg:  i-variable, M rows of 1 column
    "y = Vj(1)",  # Second arg: j-variable, N rows of 1 column
    "a = Vj(1)",  # Third arg:  j-variable
    "p = Pm(1)",  # Fourth arg: parameter
]

###############################################################################
# ``Genred`` turns it into a function of arrays. ``axis=1`` says that the index :math:`j` is the one that disappears.
#
# The unstable way needs a second reduction: the sum of the exponentials, whose logarithm NumPy takes afterwards.

log_sum_exp = Genred(formula, variables, reduction_op="LogSumExp", axis=1)
sum_of_exp = Genred(f"Exp({formula})", variables, reduction_op="Sum", axis=1)

###############################################################################
# The gradient
# ------------
#
# ``log_sum_exp.gradient(..., wrt="y", grad_output=e)`` is the adjoint of the derivative applied to a vector :math:`e`:
#
# .. math::
#
#     g_j = \sum_{i=1}^{M} e_i \, \frac{\partial c_i}{\partial y_j}
#
# It is again a reduction over all pairs, derived from the formula by symbolic differentiation, and takes no more
# memory. Giving it the ``output`` that we have already spares it a second log-sum-exp.
#
# For the unstable way we apply the chain rule by hand: with :math:`s_i = \sum_j \exp(F_{ij})`, the derivative of
# :math:`\log s_i` is that of :math:`s_i` divided by :math:`s_i`.


def stable(x, y, a, p, e):
    """The log-sum-exp and the adjoint of its derivative in y."""
    c = log_sum_exp(x, y, a, p, backend="CPU")
    g = log_sum_exp.gradient(x, y, a, p, wrt="y", grad_output=e, output=c, backend="CPU")
    return c, g


def unstable(x, y, a, p, e):
    """The same two results through a sum of exponentials that may overflow."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        s = sum_of_exp(x, y, a, p, backend="CPU")
        g = sum_of_exp.gradient(x, y, a, p, wrt="y", grad_output=e / s, backend="CPU")
        return np.log(s), g


###############################################################################
# The data
# --------
#
# 3000 and 5000 points on the line: fifteen million pairs. ``spread`` stretches them: the larger it is, the larger are
# the exponents.


def data(dtype, spread, M=3000, N=5000):
    rng = np.random.default_rng(0)
    x = spread * rng.standard_normal((M, 1))
    y = spread * rng.standard_normal((N, 1))
    a = rng.random((N, 1))
    p = np.array([0.25])
    e = rng.random((M, 1))
    return [array.astype(dtype) for array in (x, y, a, p, e)]


def lost(right, result):
    """Entries that are infinite, not a number, or wrong in the first three digits."""
    return ~np.isclose(result, right, rtol=1e-3, atol=0)


# sphinx_gallery_start_ignore
def timed(function, *args):
    """Result of the function, the seconds of this first call, and those of the fastest of three more."""
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        result = function(*args)
        seconds.append(time.perf_counter() - start)
    return result, seconds[0], min(seconds[1:])


def print_times(args):
    """How long both ways take; not while the documentation is built, whose pages are read elsewhere."""
    if "SKKEOPS_DOCS_BUILD" not in os.environ:
        _, first, warm = timed(stable, *args)
        _, _, naive_warm = timed(unstable, *args)
        print(
            f"  log-sum-exp and gradient   first call {1e3 * first:7.1f} ms   warm {1e3 * warm:7.1f} ms"
        )
        print(
            f"  log of the sum, chain rule                          warm {1e3 * naive_warm:7.1f} ms"
        )


# sphinx_gallery_end_ignore
###############################################################################
# Both ways, in single and in double precision
# --------------------------------------------
#
# With ``spread=0.4`` the two ways agree to rounding. With ``spread=1.5`` some of the exponents are beyond 88, the largest
# that single precision can take, or even beyond 709, the largest for double precision: the sum is ``inf``, its
# logarithm too, and the gradient, zero times infinity, is ``nan``. The log-sum-exp is finite everywhere, and so is its
# gradient.


def compare(dtype, spread):
    args = data(dtype, spread)
    print(f"\n{dtype}, spread {spread}: {len(args[0])} x {len(args[1])} pairs")
    # sphinx_gallery_start_ignore
    print_times(args)
    # sphinx_gallery_end_ignore
    found = dict(zip("xyapecg", (*args, *stable(*args)), strict=True))
    found["c_naive"], found["g_naive"] = unstable(*args)
    for name in "cg":
        ours, naive = found[name], found[f"{name}_naive"]
        missing = lost(ours, naive)
        difference = np.max(np.abs(naive / ours - 1)[~missing])
        print(
            f"  {name}: the unstable way loses {missing.sum():4} of {len(ours)} values;"
            f" the others differ by {difference:.1e} at most"
        )
    return found


results = {
    (dtype, spread): compare(dtype, spread)
    for dtype in ("float32", "float64")
    for spread in (0.4, 1.5)
}


# sphinx_gallery_start_ignore
def compare_with_gpu(dtype, spread):
    """The largest differences from the CPU, relative to the largest value."""
    import cupy

    args = data(dtype, spread)
    x, y, a, p, e = (cupy.asarray(array) for array in args)
    c = log_sum_exp(x, y, a, p)
    g = log_sum_exp.gradient(x, y, a, p, wrt="y", grad_output=e, output=c)
    print(f"\n{np.dtype(dtype).name}, spread {spread}, on the GPU")
    for name, ours, on_gpu in zip("cg", stable(*args), (c.get(), g.get()), strict=True):
        difference = np.max(np.abs(on_gpu - ours)) / np.max(np.abs(ours))
        print(f"  {name}: differs from the CPU's by {difference:.1e}, of its largest value")


if importlib.util.find_spec("cupy") is not None:
    import cupy

    if cupy.cuda.is_available():
        compare_with_gpu("float32", 1.5)
if importlib.util.find_spec("matplotlib") is None:
    print("\nMatplotlib is not installed, so there is no figure: pip install matplotlib")
    sys.exit()
# sphinx_gallery_end_ignore

###############################################################################
# On a GPU the same calls take arrays of CuPy, and return such arrays: ``log_sum_exp(*map(cupy.asarray, (x, y, a, p)))``.

###############################################################################
# Where both ways are right
# -------------------------
#
# With ``spread=0.4`` nothing overflows. The two ways differ by what the dtype can hold, some :math:`10^{-7}` in single and
# :math:`10^{-16}` in double precision.

import matplotlib.pyplot as plt

# sphinx_gallery_start_ignore
file = sys.argv[sys.argv.index("--save") + 1] if "--save" in sys.argv[:-1] else None
if file or (plt.get_backend().lower() == "agg" and "SKKEOPS_DOCS_BUILD" not in os.environ):
    pictures = []

    def show():
        """Write the figure to a file: there is no screen, or --save FILE asks for it. The others are FILE_2, FILE_3."""
        path = Path(file or "plot_log_sum_exp.png")
        pictures.append(
            path.with_stem(f"{path.stem}_{len(pictures) + 1}") if pictures else path
        )
        plt.savefig(pictures[-1], dpi=110)
        print(f"\nFigure saved to {pictures[-1]}")

    plt.show = show
# sphinx_gallery_end_ignore
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
found = results["float64", 0.4]
left.plot(found["x"], found["c"], ".", color="tab:blue", ms=3)
left.set(xlabel="$x_i$", ylabel="$c_i$", title="log-sum-exp, spread 0.4")
for dtype, colour in (("float32", "tab:orange"), ("float64", "tab:green")):
    found = results[dtype, 0.4]
    difference = np.abs(found["c_naive"] / found["c"] - 1)
    right.semilogy(
        found["x"], np.maximum(difference, 1e-17), ".", color=colour, ms=3, label=dtype
    )
right.set(xlabel="$x_i$", title="relative difference of the two ways")
right.legend(markerscale=3)
plt.show()

###############################################################################
# Where only one is right
# -----------------------
#
# With ``spread=1.5`` the unstable way loses what is blue: infinities, or values without a correct digit.


def show_lost(name, at, title):
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
    for axis, dtype in zip(axes, ("float32", "float64"), strict=True):
        found = results[dtype, 1.5]
        missing = lost(found[name], found[f"{name}_naive"])
        axis.semilogy(
            found[at][~missing],
            found[name][~missing],
            ".",
            color="0.65",
            ms=4,
            label="both are right",
        )
        label = f"only the log-sum-exp: {missing.mean():.0%}"
        axis.semilogy(
            found[at][missing],
            found[name][missing],
            ".",
            color="tab:blue",
            ms=4,
            label=label,
        )
        axis.set(xlabel=f"${at}$", title=f"{title}, {dtype}")
        axis.legend(loc="upper left", markerscale=3)
        axis.grid(alpha=0.3)
    plt.show()


show_lost("c", "x", "$c_i$")

###############################################################################
# The gradient has a value for each of the random :math:`a_j`: not a curve but a cloud.

show_lost("g", "y", "$g_j$")
