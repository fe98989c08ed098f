"""
A Pipeline tuned by GridSearchCV: densities that classify wine
==============================================================

Which of three cultivars is a wine made from, given 13 chemical measurements? A density for each class answers this, by Bayes'
rule:

.. math::

    P(c \\mid x) = \\frac{\\pi_c \\, \\hat f_c(x)}{\\sum_{c'} \\pi_{c'} \\, \\hat f_{c'}(x)}, \\qquad
    \\hat f_c(x) = \\frac{1}{N_c h^d} \\sum_{j \\,:\\, y_j = c} \\varphi\\Bigl( \\frac{x - x_j}{h} \\Bigr),

with the share :math:`\\pi_c` of the class among the samples. :class:`skkeops.KernelDensityClassifier` is this rule. It goes
wherever a scikit-learn classifier goes: here behind a scaler and a projection in a ``Pipeline``, inside a ``GridSearchCV`` that
chooses the bandwidth and the number of components together.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import log_softmax, logsumexp
from sklearn.datasets import load_wine, make_moons
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skkeops import KernelDensityClassifier

###############################################################################
# The search
# ----------
#
# Every pair of a bandwidth and a number of components is scored in five folds, by the mean log loss: minus the logarithm of the
# probability that was given to the right cultivar. Some of the wines are put aside for a test.

X, y = load_wine(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.4, stratify=y, random_state=0
)
widths = np.geomspace(0.25, 4, 9)
components = np.array([2, 4, 6, 8, 10, 12])

pipeline = make_pipeline(StandardScaler(), PCA(), KernelDensityClassifier())
grid = {
    "kerneldensityclassifier__bandwidth": widths,
    "pca__n_components": components,
}
folds = StratifiedKFold(5, shuffle=True, random_state=0)
search = GridSearchCV(pipeline, grid, cv=folds, scoring="neg_log_loss").fit(X_train, y_train)
width, n_components = (search.best_params_[name] for name in grid)
print(f"{len(search.cv_results_['params'])} combinations in {folds.n_splits} folds")
print(f"best: bandwidth {width:.2f}, {n_components} components")
print(f"log loss in cross-validation: {-search.best_score_:.3f}")

losses = -search.cv_results_["mean_test_score"].reshape(len(widths), len(components))
figure, axis = plt.subplots(figsize=(6.5, 4), layout="constrained")
for column, n in enumerate(components):
    colour = plt.colormaps["viridis"](column / len(components))
    axis.plot(widths, losses[:, column], "o-", ms=4, color=colour, label=f"{n} components")
axis.plot(width, -search.best_score_, "o", ms=12, mfc="none", color="black", label="the best")
axis.set(xscale="log", yscale="log", xlabel="bandwidth", ylabel="log loss of what is left out")
axis.set_xticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
axis.set_yticks([0.1, 0.2, 0.5, 1, 2], ["0.1", "0.2", "0.5", "1", "2"])
axis.minorticks_off()
axis.legend(fontsize=8)
plt.show()

###############################################################################
# The more components, the wider the best window: with more dimensions, samples are farther from each other.
#
# Bayes' rule by hand
# -------------------
#
# With one bandwidth and the shares of the classes as prior probabilities, all factors in front of the sums cancel: the probability
# of a class is its part of the sum of all windows. From the matrix of distances, with SciPy's ``logsumexp``:

model = search.best_estimator_
queries, samples = (model[:-1].transform(wines) for wines in (X_test, X_train))
exponents = -cdist(queries, samples, "sqeuclidean") / (2 * width**2)
sums = np.stack([logsumexp(exponents[:, y_train == c], axis=1) for c in range(3)], axis=1)
difference = np.abs(model.predict_log_proba(X_test) - log_softmax(sums, axis=1)).max()
print(f"largest difference of log P(c | x) for {len(X_test)} wines: {difference:.1e}")

###############################################################################
# The map
# -------
#
# With two components, the probabilities can be drawn: the colour is the likeliest cultivar, and white is where it is as likely
# as the others.


def show_probabilities(axis, classifier, points, classes, margin):
    """Draw the likeliest class for all places, and the points."""
    colours = np.array([[0.0, 0.45, 0.70], [0.90, 0.62, 0.0], [0.0, 0.62, 0.45]])
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    u, v = (np.linspace(a, b, 150) for a, b in zip(low, high, strict=True))
    places = np.stack(np.meshgrid(u, v), axis=-1)
    probabilities = classifier.predict_proba(places.reshape(-1, 2))
    n_classes = probabilities.shape[1]
    strength = (n_classes * probabilities.max(axis=1) - 1) / (n_classes - 1)
    shade = 1 - 0.7 * strength[:, None] * (1 - colours[probabilities.argmax(axis=1)])
    axis.imshow(
        shade.reshape(150, 150, 3),
        origin="lower",
        extent=(low[0], high[0], low[1], high[1]),
        interpolation="bilinear",
        aspect="auto",
    )
    for c, marker in zip(range(n_classes), "o^s"):
        axis.plot(*points[classes == c].T, marker, color=colours[c], mec="black", mew=0.5, ms=5)


flat = make_pipeline(StandardScaler(), PCA(2), KernelDensityClassifier(bandwidth=width))
flat.fit(X_train, y_train)
points = flat[:-1].transform(X_test)

figure, axis = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
show_probabilities(axis, flat[-1], points, y_test, margin=0.8)
axis.set(xlabel="first component", ylabel="second component")
axis.set_title(f"{len(y_test)} wines that were put aside, and their probabilities")
plt.show()

###############################################################################
# Beside one Gaussian for each class
# ----------------------------------
#
# Quadratic discriminant analysis is the same rule with one Gaussian for each class. Both do well for the wines. For classes that
# are bent, like these two moons, a Gaussian has the wrong shape, which an estimate of the density follows. ``"cv"`` finds the
# bandwidth of each class: that of the largest leave-one-out likelihood.

moons, sides = make_moons(300, noise=0.15, random_state=0)
new_moons, new_sides = make_moons(3000, noise=0.15, random_state=1)
of_densities = KernelDensityClassifier(bandwidth="cv").fit(moons, sides)
of_gaussians = QuadraticDiscriminantAnalysis().fit(moons, sides)
wine_gaussians = make_pipeline(StandardScaler(), QuadraticDiscriminantAnalysis())
wine_gaussians.fit(X_train, y_train)

print("shares of right answers          wines  moons")
for name, wine_model, moon_model in (
    ("a density for each class", model, of_densities),
    ("one Gaussian for each class", wine_gaussians, of_gaussians),
):
    right = wine_model.score(X_test, y_test), moon_model.score(new_moons, new_sides)
    print(f"{name:32} {right[0]:.3f}  {right[1]:.3f}")

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
show_probabilities(axes[0], of_densities, moons, sides, margin=0.5)
show_probabilities(axes[1], of_gaussians, moons, sides, margin=0.5)
axes[0].set_title("a density for each class")
axes[1].set_title("one Gaussian for each class")
plt.show()
