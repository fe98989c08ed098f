"""
Features of low rank: which samples stand for all
=================================================

A kernel machine on n samples has a matrix of n times n entries. Nyström's method takes the columns of a few samples S for it,

.. math:: K \\approx K_{\\cdot S} \\, K_{SS}^{-1} \\, K_{S \\cdot} = Z Z^\\top,

and a linear model on the features Z approximates the kernel machine. The choice of the samples matters. scikit-learn's ``Nystroem``
draws them uniformly. :class:`skkeops.RPCholesky` draws each where the approximation by the others is poor, so that rare kinds of
samples are not left out, and knows the error that is left: the trace of :math:`K - Z Z^\\top`, which it brings below a tolerance.

The data are made like a galaxy: most of 10 000 samples are in the core, few in the arms.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skkeops import RPCholesky

###############################################################################
# The data
# --------


def galaxy(n_core, n_arms, seed):
    """Samples, and a value of each: how far along its arm it is, 0 in the core."""
    rng = np.random.default_rng(seed)
    place = rng.random(n_arms)
    angle = 4 * np.pi * place + np.pi * rng.integers(2, size=n_arms)
    arms = (1 + 5 * place[:, None]) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    X = np.concatenate(
        [0.3 * rng.normal(size=(n_core, 2)), arms + 0.1 * rng.normal(size=arms.shape)]
    )
    return X, np.concatenate([np.zeros(n_core), place])


X, y = galaxy(9800, 200, seed=0)
X_test, y_test = galaxy(0, 2000, seed=1)
gamma = 2.0

figure, axis = plt.subplots(figsize=(5, 5), layout="constrained")
points = axis.scatter(*X.T, c=y, s=2, cmap="viridis")
axis.set(xticks=[], yticks=[], aspect="equal", title="the samples")
figure.colorbar(points, label="place along the arm", shrink=0.8)
plt.show()

###############################################################################
# What is missed
# --------------
#
# Neither needs the matrix: the trace of K is the number of samples, that of Z Z' the sum of the squares of Z.

sizes = np.array([10, 20, 40, 80, 160])
errors: dict[str, list] = {"RPCholesky": [], "Nystroem": []}
for n in sizes:
    ours = [
        RPCholesky(gamma=gamma, n_components=n, random_state=seed).fit(X).trace_error_
        for seed in range(3)
    ]
    theirs = [
        Nystroem(gamma=gamma, n_components=n, random_state=seed).fit_transform(X)
        for seed in range(3)
    ]
    errors["RPCholesky"].append(np.mean(ours))
    errors["Nystroem"].append(np.mean([1 - (Z**2).sum() / len(Z) for Z in theirs]))
    print(f"{n:4} features miss {errors['RPCholesky'][-1]:.1e}, {errors['Nystroem'][-1]:.1e}")

figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
for name, values in errors.items():
    axis.loglog(sizes, values, "o-", label=name)
axis.set(xlabel="features", ylabel="share of the trace that is missed")
axis.legend()
plt.show()

###############################################################################
# Where the samples are that each of them chooses:

n = 80
figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
for axis, transformer, colour in zip(
    axes, (RPCholesky, Nystroem), ("tab:blue", "tab:orange"), strict=True
):
    model = transformer(gamma=gamma, n_components=n, random_state=0).fit(X)
    axis.plot(*X.T, ".", ms=1, color="0.8")
    axis.plot(*X[model.component_indices_].T, ".", ms=6, color=colour)
    axis.set(title=f"{transformer.__name__}: {n} samples", xticks=[], yticks=[], aspect="equal")
plt.show()

###############################################################################
# As many as it takes
# -------------------

for tol in (0.1, 1e-3, 1e-6):
    model = RPCholesky(gamma=gamma, n_components=None, tol=tol, random_state=0).fit(X)
    print(f"tol={tol}: {len(model.components_)} features miss {model.trace_error_:.1e}")

###############################################################################
# In a pipeline
# -------------
#
# The features are learned from: how far along the arm is a sample?

scores = {}
for transformer in (RPCholesky, Nystroem):
    features = transformer(gamma=gamma, n_components=n, random_state=0)
    scores[transformer.__name__] = (
        make_pipeline(features, Ridge(1e-3)).fit(X, y).score(X_test, y_test)
    )
    print(f"{transformer.__name__}: R^2 in the arms {scores[transformer.__name__]:.3f}")

figure, axis = plt.subplots(figsize=(6, 1.8), layout="constrained")
bars = axis.barh(list(scores), list(scores.values()), color=["tab:blue", "tab:orange"])
axis.bar_label(bars, fmt="%.2f", padding=3)
axis.set(xlabel="$R^2$ in the arms")
axis.margins(x=0.15)
axis.invert_yaxis()
plt.show()
