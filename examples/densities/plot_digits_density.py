"""
A density of handwritten digits, and new digits drawn from it
=============================================================

The 1797 digits of scikit-learn are points in 64 dimensions, 8 x 8 pixels each. On their first 15 principal components we
estimate their density,

.. math::

    \\hat f(x) = \\frac{1}{N} \\sum_{j=1}^{N} \\prod_{k=1}^{15} \\frac{1}{h_k} \\varphi\\Bigl(\\frac{x_k - x'_{jk}}{h_k}\\Bigr)

and draw new digits from it. Everything depends on the bandwidths :math:`h_k`: too narrow, and only the known digits have a
density; too wide, and anything looks like a digit. scikit-learn's example searches a grid for one bandwidth. Here the
leave-one-out likelihood chooses, with its exact gradient, one bandwidth or fifteen.
"""

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skkeops import KernelDensity

###############################################################################
# The data
# --------
#
# A third of the digits is put aside: the density has not seen them, and should find them likely all the same. Fifteen
# components are enough to read them.

digits = load_digits()
pca = PCA(n_components=15, random_state=0).fit(digits.data)
seen, unseen = train_test_split(pca.transform(digits.data), test_size=1 / 3, random_state=0)


def draw(points, title, rows=3, columns=14):
    """The images of so many points, beside each other."""
    images = pca.inverse_transform(points[: rows * columns]).reshape(rows, columns, 8, 8)
    framed = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))  # a white edge around each
    figure, axis = plt.subplots(figsize=(9, 2.3), layout="constrained")
    axis.imshow(
        framed.swapaxes(1, 2).reshape(10 * rows, 10 * columns),
        cmap="gray_r",
        vmin=0,
        vmax=16,
    )
    axis.set_title(title)
    axis.set_axis_off()
    plt.show()


draw(seen, "digits of the data set, from 15 components")

###############################################################################
# Four choices of the bandwidth
# -----------------------------
#
# The rules of thumb are made for one Gaussian bump, and digits are many small ones. ``scaling="covariance"`` with Scott's
# rule is what ``scipy.stats.gaussian_kde`` does.

choices = {
    "Scott's rule × covariance": KernelDensity(bandwidth="scott", scaling="covariance"),
    "Silverman's rule × deviations": KernelDensity(bandwidth="silverman", scaling="std"),
    "learned, one for all components": KernelDensity(bandwidth="cv"),
    "learned, one for each component": KernelDensity(bandwidth="cv_ard"),
}
scores = {
    title: density.fit(seen).score(unseen) / len(unseen) for title, density in choices.items()
}
for title, score in scores.items():
    print(f"{title:32} mean log density of the unseen digits {score:7.2f}")

figure, axis = plt.subplots(figsize=(8, 2.4), layout="constrained")
axis.hlines(list(scores), min(scores.values()), list(scores.values()), color="0.8")
axis.scatter(
    list(scores.values()),
    list(scores),
    c=["0.4", "0.4", "tab:blue", "tab:blue"],
    s=60,
    zorder=2,
)
axis.set(xlabel="mean log density of the unseen digits (nats): the higher, the better")
axis.margins(y=0.2)
axis.invert_yaxis()
plt.show()

###############################################################################
# New digits
# ----------
#
# A sample is a known digit with noise of the learned bandwidths.

density = choices["learned, one for each component"]
draw(density.sample(42, random_state=0), "drawn from the density")

###############################################################################
# Strange digits
# --------------
#
# Which of the unseen digits does the density find unlikely? Those that a reader would ask about, too.

draw(
    unseen[np.argsort(density.score_samples(unseen))],
    "the least likely of the unseen digits",
)
