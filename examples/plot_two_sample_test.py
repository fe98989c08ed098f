"""
Are these two samples from the same distribution?
=================================================

A t-test compares means. The maximum mean discrepancy [1]_ compares everything that a kernel can see: for samples
:math:`x_1, \\dots, x_m` and :math:`y_1, \\dots, y_n`,

.. math::

    \\mathrm{MMD}^2 = \\frac{1}{m^2} \\sum_{i,j} k(x_i, x_j) - \\frac{2}{mn} \\sum_{i,j} k(x_i, y_j)
    + \\frac{1}{n^2} \\sum_{i,j} k(y_i, y_j) = s^\\top K s,

where :math:`K` is the kernel of both samples together and :math:`s` is :math:`1/m` on the first and :math:`-1/n` on the
second. Whether it is large is decided by permutations: if the samples are alike, any other split of the pooled points would
have done as well.

A thousand permutations are a thousand vectors :math:`s`, and :math:`K s` for all of them is *one* product of the kernel with
a matrix of a thousand columns: each entry of :math:`K` is computed once, used for all permutations, and never stored.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.

.. [1] A. Gretton, K. Borgwardt, M. Rasch, B. Schölkopf, A. Smola, "A kernel two-sample test", JMLR 13, 2012.
"""

import argparse
import time

import numpy as np
from scipy.stats import ttest_ind

from skkeops import Genred, KernelSum, kernels

###############################################################################
# The data
# --------
#
# Both samples are nine bumps on a grid. Those of the second are a little longer one way than the other. Mean and variance of
# both coordinates hardly differ.


def sample(n, stretch, rng):
    centres = rng.integers(-1, 2, (n, 2)) * 5.0
    noise = rng.standard_normal((n, 2)) * np.sqrt([1 + stretch, 1 - stretch])
    return centres + noise @ np.array([[1, 1], [-1, 1]]) / np.sqrt(2)


rng = np.random.default_rng(0)
x, y = sample(1000, 0.0, rng), sample(1000, 0.8, rng)

###############################################################################
# The test
# --------
#
# The first column of ``s`` is the split as it was, the others are permutations. The weights are a variable with as many
# columns as there are splits.


def mmd(x, y, length, permutations=1000, seed=0):
    """The discrepancy, those of random splits of the same points, and the p-value."""
    pooled = np.concatenate([x, y])
    split = np.repeat([1 / len(x), -1 / len(y)], [len(x), len(y)])
    rng = np.random.default_rng(seed)
    s = np.column_stack([split, *(rng.permutation(split) for _ in range(permutations))])
    gaussian = Genred(
        "Exp(-SqDist(x, y) * g) * s", ["x = Vi(2)", "y = Vj(2)", "g = Pm(1)", f"s = Vj({s.shape[1]})"], axis=1
    )
    values = (s * gaussian(pooled, pooled, np.array([0.5 / length**2]), s)).sum(axis=0)
    return values[0], values[1:], (1 + np.sum(values[1:] >= values[0])) / (1 + permutations)


length = 1.0
began = time.perf_counter()
observed, permuted, p = mmd(x, y, length)
print(f"{len(x)} and {len(y)} points, 1000 permutations in {time.perf_counter() - began:.2f} s")
print(f"MMD^2 = {observed:.5f}, permuted at most {permuted.max():.5f}: p = {p:.4f}")
print(f"t-tests of both coordinates: p = {', '.join(f'{v:.2f}' for v in ttest_ind(x, y).pvalue)}")
_, _, under_null = mmd(x, sample(1000, 0.0, rng), length)
print(f"and two samples of the same distribution: p = {under_null:.2f}")

###############################################################################
# How many points does it take?
# -----------------------------
#
# The share of tests at the level of 5 % that see the difference, in 40 trials each.


def power(n, stretch, trials=40):
    rng = np.random.default_rng(n)
    tests = [
        mmd(sample(n, 0.0, rng), sample(n, stretch, rng), length, permutations=100, seed=k)[2] for k in range(trials)
    ]
    return np.mean(np.array(tests) <= 0.05)


sizes = (100, 200, 300, 400, 600)
powers = {stretch: [power(n, stretch) for n in sizes] for stretch in (0.0, 0.6, 0.8)}
for stretch, values in powers.items():
    print(f"stretch {stretch}: " + ", ".join(f"{n} points {v:.0%}" for n, v in zip(sizes, values, strict=True)))

###############################################################################
# The figure
# ----------
#
# The witness :math:`w(z) = \frac1m \sum_i k(z, x_i) - \frac1n \sum_j k(z, y_j)` shows *where* the samples differ: more
# points of the first where it is positive, more of the second where it is negative. It is a
# :class:`skkeops.KernelSum` with weights.

witness = KernelSum(kernels.Gaussian(length)).fit(
    np.concatenate([x, y]), np.repeat([1 / len(x), -1 / len(y)], [len(x), len(y)])
)


def plot():
    import matplotlib.pyplot as plt

    line = np.linspace(-9, 9, 120)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    values = witness.transform(grid).reshape(120, 120)
    bound = np.abs(values).max()
    axes[0].imshow(values, origin="lower", extent=(-9, 9, -9, 9), cmap="PuOr", vmin=-bound, vmax=bound)
    axes[0].plot(*x[::2].T, ".", ms=1.5, color="tab:blue", label="first sample")
    axes[0].plot(*y[::2].T, ".", ms=1.5, color="tab:orange", label="second sample")
    axes[0].set(title="witness: where they differ", xticks=[], yticks=[])
    axes[0].legend(loc="upper right", markerscale=5, fontsize=8)
    axes[1].hist(1e3 * permuted, bins=40, color="0.7", label="1000 permutations")
    axes[1].axvline(1e3 * observed, color="tab:red", lw=2, label="observed")
    axes[1].set(xlabel="1000 MMD²", yticks=[], title=f"p = {p:.3f}")
    axes[1].legend()
    for (stretch, shares), color in zip(powers.items(), ("0.5", "tab:blue", "tab:orange"), strict=True):
        axes[2].plot(sizes, shares, "o-", color=color, label=f"stretch {stretch}" if stretch else "same distribution")
    axes[2].axhline(0.05, color="black", lw=0.8, ls="--")
    axes[2].set(xlabel="points in each sample", ylim=(0, 1.05), title="share of tests that reject at 5 %")
    axes[2].legend(loc="upper left")
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(description="A kernel two-sample test.")
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
