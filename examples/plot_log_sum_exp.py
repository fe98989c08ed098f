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

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

# sphinx_gallery_thumbnail_number = 1
import argparse
import sys
import time

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
    """The log-sum-exp and the adjoint of its derivative in y, with the running maximum subtracted."""
    c = log_sum_exp(x, y, a, p, backend="CPU")
    g = log_sum_exp.gradient(x, y, a, p, wrt="y", grad_output=e, output=c, backend="CPU")
    return c, g


def unstable(x, y, a, p, e):
    """The same two results through a sum of exponentials that may overflow."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        s = sum_of_exp(x, y, a, p, backend="CPU")
        return np.log(s), sum_of_exp.gradient(x, y, a, p, wrt="y", grad_output=e / s, backend="CPU")


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


def timed(function, *args):
    """Result of the function, the seconds of this first call, and those of the fastest of three more."""
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        result = function(*args)
        seconds.append(time.perf_counter() - start)
    return result, seconds[0], min(seconds[1:])


def lost(right, result):
    """Entries that are infinite, not a number, or wrong in the first three digits."""
    return ~np.isclose(result, right, rtol=1e-3, atol=0)


def relative_difference(right, result):
    """Largest relative difference among the other entries."""
    kept = ~lost(right, result)
    return np.max(np.abs(result - right)[kept] / np.abs(right)[kept])


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
    (c, g), first, warm = timed(stable, *args)
    (c_naive, g_naive), _, naive_warm = timed(unstable, *args)
    print(f"\n{np.dtype(dtype).name}, spread {spread}: {len(args[0])} x {len(args[1])} pairs")
    print(f"  log-sum-exp and gradient   first call {1e3 * first:7.1f} ms   warm {1e3 * warm:7.1f} ms")
    print(f"  log of the sum, chain rule                          warm {1e3 * naive_warm:7.1f} ms")
    for name, ours, theirs in (("c", c, c_naive), ("g", g, g_naive)):
        print(
            f"  {name}: the unstable way loses {lost(ours, theirs).sum():4} of {len(ours)} values;"
            f" the others differ by {relative_difference(ours, theirs):.1e} at most"
        )
    return {"x": args[0], "y": args[1], "c": c, "g": g, "c_naive": c_naive, "g_naive": g_naive}


###############################################################################
# On a GPU
# --------
#
# The same calls take arrays of CuPy, and return such arrays: nothing else changes. Without CuPy, or without a device, this part
# is skipped.


def compare_with_gpu(dtype, spread):
    try:
        import cupy

        if not cupy.cuda.is_available():
            raise ImportError("no CUDA device")
    except ImportError as error:
        print(f"\nThe GPU is left out: {error}")
        return
    args = data(dtype, spread)
    x, y, a, p, e = (cupy.asarray(array) for array in args)
    c = log_sum_exp(x, y, a, p)
    g = log_sum_exp.gradient(x, y, a, p, wrt="y", grad_output=e, output=c)
    print(f"\n{np.dtype(dtype).name}, spread {spread}, on the GPU")
    for name, ours, on_gpu in zip("cg", stable(*args), (c.get(), g.get()), strict=True):
        difference = np.max(np.abs(on_gpu - ours)) / np.max(np.abs(ours))
        print(f"  {name}: differs from the CPU's by {difference:.1e}, of its largest value")


###############################################################################
# The figure
# ----------
#
# Each row shows one data set: the log-sum-exp on the left, the gradient on the right, both against the points that they
# belong to. Blue is the stable way; orange, on top of it, the unstable way where it is right: where only blue is left,
# the unstable way has failed.


def plot(results):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(results), 2, figsize=(11, 3 * len(results)), squeeze=False)
    axes[0, 0].set_title("log-sum-exp $c_i$")
    axes[0, 1].set_title(r"gradient $g_j = e \cdot \partial c / \partial y_j$")
    axes[-1, 0].set_xlabel("$x_i$")
    axes[-1, 1].set_xlabel("$y_j$")
    for (title, result), (left, right) in zip(results.items(), axes, strict=True):
        left.set_ylabel(title)
        # The gradient has one value for each of the random a_j: not a curve but a cloud.
        for axis, at, name, size in ((left, "x", "c", 7), (right, "y", "g", 5)):
            points, ours, naive = result[at], result[name], result[f"{name}_naive"]
            missing = lost(ours, naive)
            label = f"unstable: {missing.sum()} of {len(ours)} lost" if missing.any() else "unstable: all right"
            axis.plot(points, ours, "o", color="tab:blue", ms=size, mew=0, alpha=0.5, label="stable")
            axis.plot(points[~missing], naive[~missing], "o", color="tab:orange", ms=2.5, mew=0, label=label)
            if ours.max() > 10 * ours.min():
                axis.set_yscale("log")
            axis.grid(alpha=0.3)
            for handle in axis.legend(loc="upper left", fontsize=9).legend_handles:
                handle.set(markersize=7, alpha=1)
    figure.tight_layout()
    figure.align_ylabels()
    return figure


def show(figure, path):
    """On the screen if there is one, in a file otherwise (or when a path is given)."""
    import matplotlib

    screen = matplotlib.get_backend().lower() != "agg"  # what Matplotlib falls back to without one
    if path is None and screen:
        import matplotlib.pyplot as plt

        plt.show()
    else:
        path = path or "plot_log_sum_exp.png"
        figure.savefig(path, dpi=110)
        print(f"\nFigure saved to {path}")


def main(argv=None):
    parser = argparse.ArgumentParser(description="Log-sum-exp of a formula, and its gradient.")
    parser.add_argument("--save", metavar="FILE", help="write the figure to this file instead of showing it")
    path = parser.parse_args(argv).save

    print(f"c_i = log sum_j exp({formula}) and g = (d c / d y) . e, two ways")
    results = {}
    for dtype in ("float32", "float64"):
        for spread in (0.4, 1.5):
            results[f"{dtype}, spread {spread}"] = compare(dtype, spread)
    compare_with_gpu("float32", 1.5)
    try:
        figure = plot(results)
    except ImportError:
        print("\nMatplotlib is not installed, so there is no figure: pip install matplotlib")
        return
    show(figure, path)


if __name__ == "__main__":
    main(sys.argv[1:])
