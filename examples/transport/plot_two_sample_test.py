r"""
Are these two samples from the same distribution?
=================================================

A t-test compares means. The maximum mean discrepancy [1]_ compares everything that a kernel can see: for samples
:math:`x_1, \dots, x_m` and :math:`y_1, \dots, y_n`,

.. math::

    \mathrm{MMD}^2 = \frac{1}{m^2} \sum_{i,j} k(x_i, x_j) - \frac{2}{mn} \sum_{i,j} k(x_i, y_j)
    + \frac{1}{n^2} \sum_{i,j} k(y_i, y_j) = s^\top K s,

where :math:`K` is the kernel of both samples together and :math:`s` is :math:`1/m` on the first and :math:`-1/n` on the
second. Whether it is large is decided by permutations: if the samples are alike, any other split of the pooled points would
have done as well.

A thousand permutations are a thousand vectors :math:`s`. :func:`skkeops.mmd_test` multiplies the kernel with many of them at
once, so that each entry of :math:`K` is computed once for all of these, and never stored. :func:`skkeops.mmd` is the statistic
alone.

.. [1] A. Gretton, K. Borgwardt, M. Rasch, B. Schölkopf, A. Smola, "A kernel two-sample test", JMLR 13, 2012.
"""

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import ttest_ind

from skkeops import KernelSum, hsic_test, kernels, mmd_test

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

figure, axes = plt.subplots(
    1, 2, figsize=(9, 4), sharex=True, sharey=True, layout="constrained"
)
for axis, points, colour, title in zip(
    axes, (x, y), ("tab:blue", "tab:orange"), ("first", "second"), strict=True
):
    axis.plot(*points.T, ".", ms=3, color=colour)
    axis.set(xticks=[], yticks=[], aspect="equal", title=f"{title} sample")
plt.show()

###############################################################################
# The test
# --------
#
# The first sum leaves out the pairs of a point with itself (``unbiased=True``, the default), so that the discrepancy of samples
# that are alike is about zero. The length scale of the kernel is that of the bumps; without a kernel, it is the median distance
# of all points, which here is that of the grid, and sees less.

kernel = kernels.Gaussian(1.0)
test = mmd_test(x, y, kernel, random_state=0)
observed, permuted, p = test.statistic, test.null_distribution, test.pvalue
print(f"MMD^2 = {observed:.5f}, permuted at most {permuted.max():.5f}: p = {p:.4f}")
print(
    f"t-tests of both coordinates: p = {', '.join(f'{v:.2f}' for v in ttest_ind(x, y).pvalue)}"
)
under_null = mmd_test(x, sample(1000, 0.0, rng), kernel, random_state=0)
print(f"and two samples of the same distribution: p = {under_null.pvalue:.2f}")
print(
    f"with the median distance as length scale: p = {mmd_test(x, y, random_state=0).pvalue:.3f}"
)

figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
axis.hist(1e3 * permuted, bins=40, color="0.7", label="permutations")
axis.axvline(1e3 * observed, color="tab:red", lw=2, label="observed")
axis.set(xlabel="1000 MMD²", yticks=[], title=f"p = {p:.3f}")
axis.legend()
plt.show()

###############################################################################
# Where they differ
# -----------------
#
# The witness :math:`w(z) = \frac1m \sum_i k(z, x_i) - \frac1n \sum_j k(z, y_j)` is positive where there is more of the first
# sample, and negative where there is more of the second. It is a :class:`skkeops.KernelSum` with weights.

weights = np.repeat([1 / len(x), -1 / len(y)], [len(x), len(y)])
witness = KernelSum(kernel).fit(np.concatenate([x, y]), weights)
line = np.linspace(-9, 9, 120)
grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
values = witness.transform(grid).reshape(120, 120)
bound = np.abs(values).max()

figure, axis = plt.subplots(figsize=(6, 5), layout="constrained")
image = axis.imshow(
    values, origin="lower", extent=(-9, 9, -9, 9), cmap="PuOr", vmin=-bound, vmax=bound
)
axis.set(xticks=[], yticks=[], title="witness")
figure.colorbar(image, shrink=0.8)
plt.show()

###############################################################################
# How many points does it take?
# -----------------------------
#
# The share of tests at the level of 5 % that see the difference, in 40 trials each.


def power(n, stretch, trials=40):
    rng = np.random.default_rng(n)
    tests = [
        mmd_test(
            sample(n, 0.0, rng),
            sample(n, stretch, rng),
            kernel,
            n_permutations=99,
            random_state=k,
        ).pvalue
        for k in range(trials)
    ]
    return np.mean(np.array(tests) <= 0.05)


sizes = (100, 200, 300, 400, 600)
powers = {stretch: [power(n, stretch) for n in sizes] for stretch in (0.0, 0.6, 0.8)}
for stretch, values in powers.items():
    print(
        f"stretch {stretch}: "
        + ", ".join(f"{n} points {v:.0%}" for n, v in zip(sizes, values, strict=True))
    )

figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
for (stretch, shares), colour in zip(
    powers.items(), ("0.5", "tab:blue", "tab:orange"), strict=True
):
    axis.plot(
        sizes,
        shares,
        "o-",
        color=colour,
        label=f"stretch {stretch}" if stretch else "same distribution",
    )
axis.axhline(0.05, color="black", lw=0.8, ls="--")
axis.set(xlabel="points in each sample", ylim=(0, 1.05), ylabel="tests that reject at 5 %")
axis.legend(loc="upper left")
plt.show()

###############################################################################
# Are the coordinates independent?
# --------------------------------
#
# The same idea with products of two kernels, one of each variable, tests independence: :func:`skkeops.hsic_test`. The coordinates
# of the second sample are not correlated over the grid, but they are within each bump.

short = kernels.Gaussian(1.0)
for title, points in (("first", x), ("second", y)):
    found = hsic_test(
        points[:, :1], points[:, 1:], short, short, n_permutations=199, random_state=0
    )
    correlation = np.corrcoef(points.T)[0, 1]
    print(
        f"{title} sample: correlation {correlation:+.2f}, independence p = {found.pvalue:.3f}"
    )


figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
axis.hist(1e3 * found.null_distribution, bins=30, color="0.7", label="permutations")
axis.axvline(1e3 * found.statistic, color="tab:red", lw=2, label="observed")
axis.set(
    xlabel="1000 HSIC",
    yticks=[],
    title=f"coordinates of the second sample: p = {found.pvalue:.3f}",
)
axis.legend()
plt.show()
