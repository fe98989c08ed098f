"""
Spectral clustering without the matrix
======================================

k-means separates what lies on two sides of a line. Spectral clustering [1]_ follows the shape of the data: it takes the
first eigenvectors of the normalised kernel matrix

.. math::

    A = D^{-1/2} K D^{-1/2}, \\qquad
    K_{ij} = \\exp \\Bigl( -\\frac{\\|x_i - x_j\\|^2}{2 \\ell^2} \\Bigr), \\qquad D = \\mathrm{diag}(K 1)

as new coordinates, in which clusters are far apart. With 5000 points the matrix has 25 million entries, 200 MB. SciPy's
``eigsh`` never asks for them: all it needs are products :math:`A v`, and a :class:`skkeops.LazyTensor` is a linear operator
of SciPy. :class:`skkeops.SpectralClustering` does all of this as an estimator, and :class:`skkeops.SpectralEmbedding` returns the
coordinates.

.. [1] A. Ng, M. Jordan, Y. Weiss, "On spectral clustering: analysis and an algorithm", NIPS 2001.
"""

# sphinx_gallery_thumbnail_number = 4
import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse.linalg import aslinearoperator, eigsh
from sklearn.cluster import KMeans
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score

from skkeops import SpectralClustering, SpectralEmbedding, Vi, Vj, kernels

###############################################################################
# The data
# --------

N, length = 5000, 0.08
X, truth = make_moons(N, noise=0.06, random_state=0)

figure, axis = plt.subplots(figsize=(6, 3.2), layout="constrained")
axis.scatter(*X.T, c=truth, cmap="coolwarm", s=3, linewidths=0)
axis.set(xticks=[], yticks=[], aspect="equal", title="two moons")
plt.show()

###############################################################################
# The operator
# ------------
#
# The kernel, its degrees, and the kernel divided by their square roots: still a formula, no matrix anywhere.

K = (-((Vi(X) - Vj(X)) ** 2).sum(-1) / (2 * length**2)).exp()
root = 1 / np.sqrt(K.sum(axis=1))
A = aslinearoperator(K * Vi(root) * Vj(root))
print(f"A is an operator of shape {A.shape} and dtype {A.dtype}")

###############################################################################
# The eigenvectors
# ----------------
#
# The largest eigenvalue is 1; how near the others are to it says how well the clusters are separated.

values, vectors = eigsh(A, k=4, which="LA", tol=1e-6, v0=np.ones(N))
values, vectors = values[::-1], vectors[:, ::-1]
print(f"eigenvalues {np.round(values, 5)}")
residual = np.linalg.norm(A.matmat(vectors) - vectors * values, axis=0).max()
print(f"largest residual |A v - lambda v| = {residual:.1e}")

###############################################################################
# Divided by the root of the degree, the second eigenvector is nearly constant on each moon; the third is a coordinate along
# one of them.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
for axis, k in zip(axes, (1, 2), strict=True):
    vector = vectors[:, k] * root[:, 0]
    bound = np.abs(vector).max()
    axis.scatter(*X.T, c=vector, s=3, cmap="PuOr", vmin=-bound, vmax=bound, linewidths=0)
    axis.set(
        xticks=[],
        yticks=[],
        aspect="equal",
        title=f"eigenvector {k + 1}, eigenvalue {values[k]:.5f}",
    )
plt.show()

###############################################################################
# The clusters
# ------------
#
# k-means, in the new coordinates: rows of two eigenvectors, normalised.

coordinates = vectors[:, :2] / np.linalg.norm(vectors[:, :2], axis=1, keepdims=True)
labels = {
    "k-means": KMeans(2, n_init=5, random_state=0).fit_predict(X),
    "spectral clustering": KMeans(2, n_init=5, random_state=0).fit_predict(coordinates),
}

figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
for axis, (name, found) in zip(axes, labels.items(), strict=True):
    axis.scatter(*X.T, c=found == found[X[:, 1].argmax()], cmap="coolwarm", s=3, linewidths=0)
    score = adjusted_rand_score(truth, found)
    axis.set(
        xticks=[],
        yticks=[],
        aspect="equal",
        title=f"{name}: adjusted Rand index {score:.2f}",
    )
plt.show()

###############################################################################
# The estimators
# --------------
#
# :class:`skkeops.SpectralClustering` does all of this, with scikit-learn's parameters. :class:`skkeops.SpectralEmbedding` has the
# coordinates. Queries have some, too: here 2000 new points find their moon without another eigenproblem.

clustering = SpectralClustering(
    2, affinity=kernels.Gaussian(length), eigen_tol=1e-6, random_state=0
).fit(X)
print(f"SpectralClustering {adjusted_rand_score(truth, clustering.labels_):.3f}")
embedding = SpectralEmbedding(1, kernel=kernels.Gaussian(length), tol=1e-6, random_state=0).fit(
    X
)
classes = KMeans(2, n_init=5, random_state=0).fit(embedding.embedding_)
queries, moon = make_moons(2000, noise=0.06, random_state=1)
places = embedding.embed(queries)
found = classes.predict(places)
print(f"the samples     {adjusted_rand_score(truth, classes.labels_):.3f}")
print(f"the new points  {adjusted_rand_score(moon, found):.3f}")

figure, axis = plt.subplots(figsize=(6, 3.2), layout="constrained")
axis.scatter(*X.T, c="0.85", s=2, linewidths=0)
axis.scatter(*queries.T, c=found, cmap="coolwarm", s=4, linewidths=0)
axis.set(xticks=[], yticks=[], aspect="equal", title="new points, by the cluster they are in")
plt.show()
