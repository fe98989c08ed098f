"""
Local regression: lines, robustness, standard errors
====================================================

A kernel-weighted mean bends away from the truth where the samples end, and where they lie denser on one side: all its neighbours
are there. A line that is fitted to the neighbours has no such bias. ``KernelSmoother(degree=1)`` fits one about each query, with
weighted sums over all samples, and without a matrix:

.. math:: \\hat y(x) = q_x(x), \\qquad q_x = \\operatorname{argmin}_q \\sum_j k(x, x_j) \\, (y_j - q(x_j))^2

The data are made, so that the truth is known: a curve, samples that get rarer to the right, noise, and some gross errors, as a
sensor makes them.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

import argparse

import numpy as np
from sklearn.model_selection import GridSearchCV, KFold

from skkeops import KernelSmoother, kernels

###############################################################################
# The data
# --------

rng = np.random.default_rng(0)


def truth(t):
    return 2 * t + np.sin(6 * t)


t = np.sort(rng.beta(1, 2, size=400))
y = truth(t) + 0.15 * rng.standard_normal(len(t))
broken = rng.random(len(t)) < 0.06
y[broken] += rng.choice([-3.0, 3.0], size=broken.sum())
grid = np.linspace(0, 1, 300)

###############################################################################
# The degree
# ----------
#
# Each degree has its own best bandwidth, which cross-validation finds: the median of absolute errors does not see gross ones.

widths = np.geomspace(0.01, 0.3, 15)
models = {}
for degree in (0, 1, 2):
    search = GridSearchCV(
        KernelSmoother(kernels.Gaussian(), degree=degree, robust_iterations=3),
        {"kernel__length_scale": widths},
        cv=KFold(5, shuffle=True, random_state=0),
        scoring="neg_median_absolute_error",
    ).fit(t[:, None], y)
    models[degree] = search.best_estimator_
    error = models[degree].predict(grid[:, None]) - truth(grid)
    print(
        f"degree {degree}: length scale {models[degree].kernel_.length_scale:.3f}, root mean square error "
        f"{np.sqrt(np.mean(error**2)):.3f}, at the ends {abs(error[[0, -1]]).max():.3f}"
    )

###############################################################################
# Robust iterations
# -----------------
#
# Samples far from the curve lose weight, and the curve is fitted again: the bisquare weights of LOESS. What they found:

model = models[1]
rejected = model.robustness_weight_ == 0
print(f"{rejected.sum()} samples have no weight left, of which {(rejected & broken).sum()} are broken; {broken.sum()} are")

plain = KernelSmoother(model.kernel_, degree=1).fit(t[:, None], y)
for name, smoother in (("all samples alike", plain), ("three iterations", model)):
    error = smoother.predict(grid[:, None]) - truth(grid)
    print(f"{name}: root mean square error {np.sqrt(np.mean(error**2)):.3f}")

###############################################################################
# Standard errors
# ---------------
#
# A prediction is a weighted sum of the targets, so that its variance is that of the noise times the sum of the squared weights.

curve, error = model.predict(grid[:, None], return_std=True)
inside = np.mean(abs(curve - truth(grid)) < 2 * error)
print(f"the truth lies within two standard errors for {100 * inside:.0f} % of the grid")

###############################################################################
# The figure
# ----------


def plot():
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(9, 4.5))
    axis.plot(t[~rejected], y[~rejected], ".", ms=3, color="0.6", label="samples")
    axis.plot(t[rejected], y[rejected], "x", ms=4, color="0.6", label="without weight")
    axis.plot(grid, truth(grid), "k--", lw=1, label="truth")
    axis.plot(grid, models[0].predict(grid[:, None]), lw=1, label="local means")
    axis.fill_between(grid, curve - 2 * error, curve + 2 * error, alpha=0.3, color="C1")
    axis.plot(grid, curve, color="C1", label="local lines, two standard errors")
    axis.set(xlabel="t", ylabel="y", ylim=(-1, 4))
    axis.legend(ncols=2, fontsize=8)
    figure.tight_layout()
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(description="Local regression with robust iterations and standard errors.")
    parser.add_argument("--save", metavar="FILE", help="write the figure to this file instead of showing it")
    arguments = parser.parse_args(argv)
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("\nMatplotlib is not installed, so there is no figure: pip install matplotlib")
        return
    figure = plot()
    if arguments.save:
        figure.savefig(arguments.save, dpi=110)
        print(f"\nFigure saved to {arguments.save}")
    else:
        plt.show()


if __name__ == "__main__":
    main()
