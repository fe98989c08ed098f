"""
Fast and right: log densities far from the samples
==================================================

Log densities pick outliers and bandwidths, and both look at the tails: where few samples are near, and the density is
:math:`e^{-100}`. There ``sklearn.neighbors.KernelDensity`` can be wrong by tens of nats, with its default tolerances of
zero: its tree keeps a bound of the sum for all nodes, and takes from it node by node. What is left in the end, where the
true sum is a billionth of a billionth of the first bound, is rounding.

skkeops adds up all pairs as a log-sum-exp,

.. math::

    \\log \\hat f(x) = \\log \\sum_{j=1}^{N} \\exp\\Bigl(-\\frac{\\|x - x'_j\\|^2}{2 h^2}\\Bigr) - \\log N
    - \\frac{d}{2} \\log (2 \\pi h^2)

with the largest exponent taken out first, and is faster all the same. SciPy's `logsumexp` on the matrix of distances says
who is right.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

# sphinx_gallery_thumbnail_number = 1
import argparse
import sys
import time

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.neighbors import KernelDensity as TreeKernelDensity

from skkeops import KernelDensity

###############################################################################
# A thousand points in twenty dimensions
# --------------------------------------
#
# In twenty dimensions every point is alone. A bandwidth of 0.3 is far too narrow for them, and a search for the bandwidth
# tries such values on its way: it needs to know *how much* too narrow.

rng = np.random.default_rng(0)
samples, queries = rng.standard_normal((1000, 20)), rng.standard_normal((1000, 20))
bandwidths = np.geomspace(0.2, 2.0, 13)


def matrix(h):
    """Log densities through the matrix of all pairs."""
    d = samples.shape[1]
    exponents = -cdist(queries, samples, "sqeuclidean") / (2 * h * h)
    return logsumexp(exponents, axis=1) - np.log(len(samples)) - d / 2 * np.log(2 * np.pi * h * h)


def timed(function, *args):
    start = time.perf_counter()
    result = function(*args)
    return result, time.perf_counter() - start


###############################################################################
# Three ways
# ----------
#
# At each bandwidth: the largest difference from the matrix over all queries, and the mean log density, which is what a
# search for the bandwidth maximises.


def compare():
    print(f"{len(samples)} samples and {len(queries)} queries in {samples.shape[1]} dimensions")
    print(f"{'':9} {'mean log density':>28} {'largest error':>24} {'time':>20}")
    print(f"bandwidth {'exact':>9} {'skkeops':>8} {'sklearn':>8} {'skkeops':>14} {'sklearn':>9} {'ours':>10} {'theirs':>9}")
    results = {}
    for h in bandwidths:
        exact = matrix(h)
        ours, our_time = timed(KernelDensity(bandwidth=h).fit(samples).score_samples, queries)
        trees, tree_time = timed(TreeKernelDensity(bandwidth=h).fit(samples).score_samples, queries)
        means = " ".join(f"{v.mean():8.2f}" for v in (exact, ours, trees))
        errors = " ".join(f"{np.abs(v - exact).max():10.1e}" for v in (ours, trees))
        print(f"{h:9.3f} {means} {errors:>24} {1e3 * our_time:7.1f} ms {1e3 * tree_time:6.0f} ms")
        results[h] = exact, ours, trees
    h = bandwidths[np.abs(bandwidths - 0.3).argmin()]
    exact, ours, trees = results[h]
    worst = np.abs(trees - exact).argmax()
    print(
        f"\nworst query at bandwidth {h:.3f}: exact {exact[worst]:.6f}, skkeops {ours[worst]:.6f}, "
        f"scikit-learn {trees[worst]:.6f}"
    )
    return results, h


###############################################################################
# The figure
# ----------
#
# Left: the log densities of all queries at one bandwidth, against the exact ones: on the diagonal is right. Right: the
# mean that a search maximises. Narrow bandwidths look far better to it than they are.


def plot(results, h):
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5))
    exact, ours, trees = results[h]
    left.plot(exact, trees, "o", color="tab:orange", ms=4, mew=0, alpha=0.6, label="scikit-learn")
    left.plot(exact, ours, "o", color="tab:blue", ms=2.5, mew=0, label="skkeops")
    left.set_title(f"log densities, bandwidth {h:.2f}")
    left.set_xlabel("exact")
    left.legend()
    means = np.array([[v.mean() for v in results[h]] for h in results])
    right.plot(list(results), means[:, 0], color="black", lw=5, alpha=0.2, label="exact")
    right.plot(list(results), means[:, 2], "o-", color="tab:orange", ms=4, label="scikit-learn")
    right.plot(list(results), means[:, 1], "o-", color="tab:blue", ms=3, label="skkeops")
    right.set_xscale("log")
    right.set_xticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"], minor=False)
    right.minorticks_off()
    right.set_title("mean log density")
    right.set_xlabel("bandwidth")
    right.legend()
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.tight_layout()
    return figure


def show(figure, path):
    """On the screen if there is one, in a file otherwise (or when a path is given)."""
    import matplotlib

    screen = matplotlib.get_backend().lower() != "agg"  # what Matplotlib falls back to without one
    if path is None and screen:
        import matplotlib.pyplot as plt

        plt.show()
    else:
        path = path or "plot_density_tails.png"
        figure.savefig(path, dpi=110)
        print(f"\nFigure saved to {path}")


def main(argv=None):
    parser = argparse.ArgumentParser(description="Log densities far from the samples.")
    parser.add_argument("--save", metavar="FILE", help="write the figure to this file instead of showing it")
    path = parser.parse_args(argv).save

    results, h = compare()
    try:
        figure = plot(results, h)
    except ImportError:
        print("\nMatplotlib is not installed, so there is no figure: pip install matplotlib")
        return
    show(figure, path)


if __name__ == "__main__":
    main(sys.argv[1:])
