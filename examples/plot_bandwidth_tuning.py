"""
Tuning bandwidths: a grid beside a gradient
===========================================

A kernel density estimate has a bandwidth for each feature, and the usual way to choose them is a grid: every combination
is tried, and scored on samples left out. Two features with 15 values each are 225 combinations, three are 3375.

Leaving out one sample at a time, the score is a formula,

.. math::

    L(h) = \\sum_{i=1}^{N} \\log \\frac{1}{N-1} \\sum_{j \\ne i} \\prod_k \\frac{1}{h_k}
    \\varphi\\Bigl(\\frac{x_{ik} - x_{jk}}{h_k}\\Bigr)

and a formula has a gradient. ``KernelDensity(bandwidth="cv_ard")`` climbs along it. We look at both on two measurements of
178 wines, whose scales differ by hundreds.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

# sphinx_gallery_thumbnail_number = 1
import argparse
import sys
import time

import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_wine

from skkeops import KernelDensity
from skkeops.estimators.bandwidth import LeaveOneOut

###############################################################################
# The likelihood
# --------------
#
# `LeaveOneOut` returns its value and its derivative by the bandwidths in one pass over the pairs. The formula
# leaves out the pairs of a sample with itself, so that nothing has to be subtracted afterwards.

wine = load_wine(as_frame=True)
names = ["color_intensity", "proline"]
samples = wine.data[names].to_numpy()
spread = samples.std(axis=0)
likelihood = LeaveOneOut(samples)

###############################################################################
# By grid
# -------

axis = np.geomspace(0.05, 1.5, 15)


def by_grid():
    values = np.array([[likelihood(spread * [a, b])[0] for b in axis] for a in axis])
    a, b = np.unravel_index(values.argmax(), values.shape)
    return np.array([axis[a], axis[b]]), values


###############################################################################
# By gradient
# -----------
#
# The estimator does all of it. To draw its path we repeat the search by hand, with the same optimiser over the logarithms of the
# bandwidths.


def by_gradient():
    path = []

    def loss(theta):
        h = spread * np.exp(theta)
        value, derivative = likelihood(h)
        path.append(np.exp(theta))
        return -value / len(samples), -derivative * h / len(samples)

    found = minimize(loss, np.log([1.0, 1.0]), jac=True, method="L-BFGS-B", bounds=[(-7, 3)] * 2)
    return np.exp(found.x), -found.fun * len(samples), np.array(path)


def compare():
    print(f"{len(samples)} wines, {' and '.join(names)}; bandwidths in units of the standard deviations")
    print(f"{'':28} {'bandwidths':>16} {'log-likelihood':>16} {'evaluations':>12} {'time':>10}")

    def report(title, h, value, evaluations, seconds):
        print(f"{title:28} {h[0]:8.3f}{h[1]:8.3f} {value:16.3f} {evaluations:12d} {1e3 * seconds:7.1f} ms")

    likelihood(spread)  # the first call makes the plan
    start = time.perf_counter()
    best, values = by_grid()
    report("grid of 15 x 15", best, values.max(), values.size, time.perf_counter() - start)
    start = time.perf_counter()
    h, value, path = by_gradient()
    report("gradient, from (1, 1)", h, value, len(path), time.perf_counter() - start)
    start = time.perf_counter()
    density = KernelDensity(bandwidth="cv_ard").fit(samples)
    seconds = time.perf_counter() - start
    report('bandwidth="cv_ard"', density.bandwidth_ / spread, density.leave_one_out_score_, density.n_evaluations_, seconds)
    return density, best, values, path


###############################################################################
# The figure
# ----------
#
# Left: the likelihood over both bandwidths, the combinations of the grid, and the path along the gradient. Right: the
# density with the bandwidths that it has found.


def plot(density, best, values, path):
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.8))
    levels = values.max() - np.array([200, 100, 50, 25, 12, 6, 3, 1])
    left.contour(axis, axis, values.T, levels=levels, cmap="viridis", linewidths=1)
    left.plot(*np.meshgrid(axis, axis), ".", color="tab:orange", ms=3)
    left.plot(*best, "s", color="tab:orange", ms=9, mfc="none", label=f"grid: {values.size} evaluations")
    left.plot(*path.T, "o-", color="tab:blue", ms=4, lw=1, label=f"gradient: {len(path)} evaluations")
    left.set(xscale="log", yscale="log", xlim=(0.045, 1.7), ylim=(0.045, 1.7), title="leave-one-out log-likelihood")
    left.set(xlabel=f"bandwidth of {names[0]} / deviation", ylabel=f"bandwidth of {names[1]} / deviation")
    left.legend(loc="lower left")
    low, high = samples.min(axis=0) - spread, samples.max(axis=0) + spread
    x, y = (np.linspace(a, b, 150) for a, b in zip(low, high, strict=True))
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    right.contourf(x, y, np.exp(density.score_samples(points)).reshape(150, 150), levels=15, cmap="Blues")
    right.scatter(*samples.T, c=wine.target, s=12, cmap="Set1")
    right.set(xlabel=names[0], ylabel=names[1], title="the density, and the wines by cultivar")
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
        path = path or "plot_bandwidth_tuning.png"
        figure.savefig(path, dpi=110)
        print(f"\nFigure saved to {path}")


def main(argv=None):
    parser = argparse.ArgumentParser(description="Bandwidths by grid and by gradient.")
    parser.add_argument("--save", metavar="FILE", help="write the figure to this file instead of showing it")
    path = parser.parse_args(argv).save

    results = compare()
    try:
        figure = plot(*results)
    except ImportError:
        print("\nMatplotlib is not installed, so there is no figure: pip install matplotlib")
        return
    show(figure, path)


if __name__ == "__main__":
    main(sys.argv[1:])
