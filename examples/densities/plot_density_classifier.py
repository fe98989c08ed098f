"""
A Pipeline tuned by GridSearchCV: densities that classify wine
==============================================================

A density for each class makes a classifier, by Bayes' rule:

.. math::

    p(c \\mid x) \\propto p(c) \\, \\hat f_c(x), \\qquad
    \\hat f_c(x) = \\frac{1}{N_c h^d} \\sum_{j \\,:\\, y_j = c} \\varphi\\Bigl( \\frac{x - x_j}{h} \\Bigr).

`KernelDensityClassifier` is this rule, and sits where any estimator can sit: behind a scaler and a projection in a ``Pipeline``,
inside a ``GridSearchCV`` that chooses the bandwidth, the window and the number of components together. The data are 13 chemical
measurements of 178 wines from three cultivars.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

import argparse

import numpy as np
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skkeops import KernelDensityClassifier

###############################################################################
# The search
# ----------
#
# Six numbers of components, nine bandwidths and two windows, five folds each: 540 fits, scored by the probability that they give
# to the right answer. The logarithms of densities, which may be thousands below zero, are normalised as logarithms.

X, y = load_wine(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, stratify=y, random_state=0)
folds = StratifiedKFold(5, shuffle=True, random_state=0)
pipeline = make_pipeline(StandardScaler(), PCA(), KernelDensityClassifier())
grid = {
    "pca__n_components": range(2, 13, 2),
    "kerneldensityclassifier__bandwidth": np.geomspace(0.25, 4, 9),
    "kerneldensityclassifier__kernel": ["gaussian", "exponential"],
}
search = GridSearchCV(pipeline, grid, cv=folds, scoring="neg_log_loss").fit(X_train, y_train)
print(f"{len(search.cv_results_['params'])} combinations; the best:")
for name, value in search.best_params_.items():
    print(f"  {name} = {value if isinstance(value, str) else round(float(value), 3)}")
print(f"  log loss {-search.best_score_:.4f} in cross-validation")

###############################################################################
# Wines that the search has not seen, and others' densities: one Gaussian for each class is quadratic discriminant analysis.

print(f"accuracy on {len(y_test)} wines that were not seen: {search.best_estimator_.score(X_test, y_test):.3f}")
gaussians = make_pipeline(StandardScaler(), QuadraticDiscriminantAnalysis(reg_param=0.1))
print(f"quadratic discriminant analysis: {gaussians.fit(X_train, y_train).score(X_test, y_test):.3f}")
print(f"cross-validated on all wines: {cross_val_score(search.best_estimator_, X, y, cv=folds).mean():.3f}")

###############################################################################
# The figure
# ----------
#
# Left: the search, for the better window. Right: what two components alone would say, as certain as the colour is strong.


def plot():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.3), layout="constrained")
    kernel = search.best_params_["kerneldensityclassifier__kernel"]
    rows = [k for k, p in enumerate(search.cv_results_["params"]) if p["kerneldensityclassifier__kernel"] == kernel]
    widths, components = grid["kerneldensityclassifier__bandwidth"], grid["pca__n_components"]
    losses = -search.cv_results_["mean_test_score"][rows].reshape(len(widths), len(components)).T
    image = axes[0].pcolormesh(widths, components, np.log10(losses), cmap="viridis_r", shading="nearest")
    axes[0].plot(
        search.best_params_["kerneldensityclassifier__bandwidth"],
        search.best_params_["pca__n_components"],
        "o",
        color="white",
        mec="black",
        ms=9,
    )
    axes[0].set(
        xscale="log", xlabel="bandwidth", ylabel="components", title=f"log loss in cross-validation, {kernel} window"
    )
    axes[0].set_xticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
    axes[0].minorticks_off()
    figure.colorbar(image, ax=axes[0], label="log10 of the loss; the circle is the best")
    flat = make_pipeline(StandardScaler(), PCA(2), KernelDensityClassifier(bandwidth=0.6)).fit(X_train, y_train)
    points = flat[:-1].transform(X)
    low, high = points.min(axis=0) - 0.8, points.max(axis=0) + 0.8
    a, b = (np.linspace(u, v, 200) for u, v in zip(low, high, strict=True))
    probabilities = flat[-1].predict_proba(np.stack(np.meshgrid(a, b), axis=-1).reshape(-1, 2))
    colours = np.array([[0.0, 0.45, 0.70], [0.90, 0.62, 0.0], [0.0, 0.62, 0.45]])
    strength = 0.75 * (3 * probabilities.max(axis=1) - 1) / 2
    picture = 1 - strength[:, None] * (1 - colours[probabilities.argmax(axis=1)])
    axes[1].imshow(
        picture.reshape(200, 200, 3), origin="lower", extent=(low[0], high[0], low[1], high[1]), aspect="auto"
    )
    for c, marker in enumerate("o^s"):
        axes[1].plot(
            *points[y == c].T, marker, color=colours[c], mec="black", mew=0.5, ms=5, ls="", label=f"cultivar {c + 1}"
        )
    axes[1].set(xlabel="first component", ylabel="second component", title="probabilities with two components")
    axes[1].legend(loc="lower right")
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(description="A Pipeline tuned by GridSearchCV: densities that classify wine.")
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
