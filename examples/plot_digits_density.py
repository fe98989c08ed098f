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

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

# sphinx_gallery_thumbnail_number = 1
import argparse
import sys
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skkeops import KernelDensity

###############################################################################
# The data
# --------
#
# A third of the digits is put aside: the density has not seen them, and should find them likely all the same.

digits = load_digits()
pca = PCA(n_components=15, random_state=0).fit(digits.data)
seen, unseen = train_test_split(pca.transform(digits.data), test_size=1 / 3, random_state=0)

###############################################################################
# Four choices of the bandwidth
# -----------------------------
#
# The rules of thumb are made for one Gaussian bump, and digits are many small ones. ``scaling="covariance"`` with Scott's
# rule is what `scipy.stats.gaussian_kde` does.

choices = {
    "Scott's rule times the covariance": KernelDensity(bandwidth="scott", scaling="covariance"),
    "Silverman's rule times the deviations": KernelDensity(bandwidth="silverman", scaling="std"),
    "learned, one for all components": KernelDensity(bandwidth="cv"),
    "learned, one for each component": KernelDensity(bandwidth="cv_ard"),
}


def compare():
    print(f"{len(seen)} digits seen, {len(unseen)} unseen, {seen.shape[1]} components")
    print(f"{'bandwidth':40} {'mean log density of the unseen':>31} {'fit':>9}")
    for title, density in choices.items():
        start = time.perf_counter()
        density.fit(seen)
        seconds = time.perf_counter() - start
        print(f"{title:40} {density.score(unseen) / len(unseen):31.2f} {seconds:7.2f} s")
    learned = choices["learned, one for each component"]
    print(f"{learned.n_evaluations_} evaluations of the likelihood led to the bandwidths {learned.bandwidth_.round(1)}")
    return learned


###############################################################################
# New digits
# ----------
#
# A sample is a known digit with noise of the learned bandwidths. Which digits does the density find unlikely? Those that a
# reader would ask about, too.


def plot(density):
    import matplotlib.pyplot as plt

    new = pca.inverse_transform(density.sample(40, random_state=0))
    known = pca.inverse_transform(seen[:40])
    order = np.argsort(density.score_samples(unseen))
    strange = pca.inverse_transform(unseen[order[:40]])
    figure, axes = plt.subplots(1, 3, figsize=(11, 6))
    titles = ("digits of the data set", "drawn from the density", "the least likely of the unseen")
    for axis, title, images in zip(axes, titles, (known, new, strange), strict=True):
        framed = np.pad(images.reshape(8, 5, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))  # a white edge around each
        axis.imshow(framed.swapaxes(1, 2).reshape(80, 50), cmap="gray_r", vmin=0, vmax=16)
        axis.set_title(title)
        axis.set_axis_off()
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
        path = path or "plot_digits_density.png"
        figure.savefig(path, dpi=110)
        print(f"\nFigure saved to {path}")


def main(argv=None):
    parser = argparse.ArgumentParser(description="A density of handwritten digits, and digits drawn from it.")
    parser.add_argument("--save", metavar="FILE", help="write the figure to this file instead of showing it")
    path = parser.parse_args(argv).save

    learned = compare()
    try:
        figure = plot(learned)
    except ImportError:
        print("\nMatplotlib is not installed, so there is no figure: pip install matplotlib")
        return
    show(figure, path)


if __name__ == "__main__":
    main(sys.argv[1:])
