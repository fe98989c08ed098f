"""
Log densities far from the samples
==================================

Log densities pick outliers and bandwidths, and both look at the tails: where few samples are near, and the density is
:math:`e^{-100}`. There ``sklearn.neighbors.KernelDensity`` can be wrong by tens of nats, with its default tolerances of
zero: its tree keeps a bound of the sum for all nodes, and takes from it node by node. What is left in the end, where the
true sum is a billionth of a billionth of the first bound, is rounding.

skkeops adds up all pairs as a log-sum-exp,

.. math::

    \\log \\hat f(x) = \\log \\sum_{j=1}^{N} \\exp\\Bigl(-\\frac{\\|x - x'_j\\|^2}{2 h^2}\\Bigr) - \\log N
    - \\frac{d}{2} \\log (2 \\pi h^2)

with the largest exponent taken out first. SciPy's ``logsumexp`` of the matrix of distances says who is right.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.neighbors import KernelDensity as TreeKernelDensity

from skkeops import KernelDensity

###############################################################################
# A thousand points in twenty dimensions
# --------------------------------------
#
# In twenty dimensions every point is alone: the nearest sample is far away.

rng = np.random.default_rng(0)
samples, queries = rng.standard_normal((1000, 20)), rng.standard_normal((1000, 20))
squared_distances = cdist(queries, samples, "sqeuclidean")

figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
axis.hist(
    np.sqrt(squared_distances).ravel(),
    bins=80,
    color="0.8",
    density=True,
    label="all samples",
)
axis.hist(
    np.sqrt(squared_distances.min(axis=1)),
    bins=40,
    color="tab:blue",
    density=True,
    label="the nearest sample",
)
axis.set(xlabel="distance of a query from", yticks=[], xlim=(0, None))
axis.legend(loc="upper left")
plt.show()

###############################################################################
# One bandwidth
# -------------
#
# A bandwidth of 0.3 is far too narrow for such data. A search for the bandwidth tries such values on its way, and needs to
# know *how much* too narrow they are. On the diagonal is right.


def from_the_matrix(h):
    """Log densities through the matrix of all pairs."""
    d = samples.shape[1]
    sums = logsumexp(-squared_distances / (2 * h * h), axis=1)
    return sums - np.log(len(samples)) - d / 2 * np.log(2 * np.pi * h * h)


h = 0.3
exact = from_the_matrix(h)
ours = KernelDensity(bandwidth=h).fit(samples).score_samples(queries)
trees = TreeKernelDensity(bandwidth=h).fit(samples).score_samples(queries)
print(f"largest error of skkeops      {np.abs(ours - exact).max():8.1e} nats")
print(f"largest error of scikit-learn {np.abs(trees - exact).max():8.1e} nats")

figure, axis = plt.subplots(figsize=(6, 4.5), layout="constrained")
axis.plot(exact, trees, "o", color="tab:orange", ms=4, mew=0, alpha=0.6, label="scikit-learn")
axis.plot(exact, ours, "o", color="tab:blue", ms=2.5, mew=0, label="skkeops")
axis.set(xlabel="exact log density", ylabel="computed log density", title=f"bandwidth {h}")
axis.legend()
axis.grid(alpha=0.3)
plt.show()

###############################################################################
# All bandwidths
# --------------
#
# The mean log density of the queries is what a search for the bandwidth maximises. Narrow bandwidths look far better to a
# search through trees than they are.

bandwidths = np.geomspace(0.2, 2.0, 13)
means = np.array(
    [
        [
            from_the_matrix(h).mean(),
            KernelDensity(bandwidth=h).fit(samples).score_samples(queries).mean(),
            TreeKernelDensity(bandwidth=h).fit(samples).score_samples(queries).mean(),
        ]
        for h in bandwidths
    ]
)

figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
axis.plot(bandwidths, means[:, 0], color="black", lw=6, alpha=0.2, label="exact")
axis.plot(bandwidths, means[:, 2], "s-", color="tab:orange", ms=5, label="scikit-learn")
axis.plot(bandwidths, means[:, 1], "o-", color="tab:blue", ms=4, label="skkeops")
axis.set(xscale="log", xlabel="bandwidth", ylabel="mean log density")
axis.set_xticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"], minor=False)
axis.minorticks_off()
axis.legend()
axis.grid(alpha=0.3)
plt.show()
