"""
A Gaussian mixture by gradient descent
======================================

A mixture of :math:`K` Gaussians has the log density

.. math::

    \\log p(x) = \\log \\sum_{k=1}^{K} w_k \\, \\frac{|\\det L_k|}{2 \\pi}
    \\exp\\Bigl( -\\frac12 \\bigl\\| L_k (x - m_k) \\bigr\\|^2 \\Bigr),

where :math:`L_k` is any matrix with :math:`L_k^\\top L_k` the inverse of the covariance. It is usually fitted by
expectation-maximisation, whose steps have to be worked out on paper for each model. Here we only write the density down:
a log-sum-exp of a formula of points and components. Its gradients by the means, matrices and weights are exact, and any
optimiser does the rest. Change the formula (heavier tails, tied shapes, a penalty) and nothing else has to be worked out.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from skkeops import Genred

###############################################################################
# The data
# --------
#
# Two spirals with noise: no mixture of few Gaussians is right, and the components have to share the work.

rng = np.random.default_rng(0)
N, K = 2000, 20
turn = 0.6 + 2.6 * np.sqrt(rng.random(N))
angle = np.pi * turn + np.pi * rng.integers(0, 2, N)
X = 0.3 * turn[:, None] * np.column_stack(
    [np.cos(angle), np.sin(angle)]
) + 0.04 * rng.standard_normal((N, 2))

figure, axis = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
axis.plot(*X.T, ".", ms=2, color="0.4")
axis.set(xticks=[], yticks=[], aspect="equal", title="two spirals")
plt.show()

###############################################################################
# The formula
# -----------
#
# ``x`` is a point; ``m``, ``L`` and ``c`` are mean, matrix (row by row) and logarithm of the weight of a component. The
# determinant depends on :math:`k` alone: skkeops computes it :math:`K` times, not :math:`N K` times.

determinant = "Elem(L,0) * Elem(L,3) - Elem(L,1) * Elem(L,2)"
log_density = Genred(
    f"c + Log(Abs({determinant})) - SqNorm2(MatVecMult(L, x - m)) / 2",
    ["x = Vi(2)", "m = Vj(2)", "L = Vj(4)", "c = Vj(1)"],
    reduction_op="LogSumExp",
    axis=1,
)

###############################################################################
# The loss
# --------
#
# Minus the mean log-likelihood, and its gradient by all parameters in one call. Weights that sum to one are a softmax of free
# numbers ``a``; the chain rule through it is the only derivative done by hand.


def unpack(theta):
    return np.split(theta, [2 * K, 6 * K])


def parts(theta):
    means, matrices, a = unpack(theta)
    return means.reshape(K, 2), matrices.reshape(K, 4), (a - logsumexp(a))[:, None]


def loss(theta):
    arguments = X, *parts(theta)
    outer = np.full((N, 1), -1 / N)
    value, (by_m, by_l, by_c) = log_density.value_and_gradient(
        *arguments, wrt=("m", "L", "c"), grad_output=outer
    )
    by_a = by_c[:, 0] - softmax(unpack(theta)[2]) * by_c.sum()
    return np.log(2 * np.pi) - value.mean(), np.concatenate([by_m.ravel(), by_l.ravel(), by_a])


start = np.concatenate(
    [
        X[rng.choice(N, K, replace=False)].ravel(),
        np.tile(6.0 * np.eye(2).ravel(), K),
        np.zeros(K),
    ]
)
direction = rng.standard_normal(len(start))
quotient = (loss(start + 1e-6 * direction)[0] - loss(start - 1e-6 * direction)[0]) / 2e-6
print(
    f"slope along a direction: {loss(start)[1] @ direction:.6f}, by differences {quotient:.6f}"
)

###############################################################################
# The descent
# -----------
#
# An evaluation visits 40 000 pairs, a millisecond of work: one thread does it as fast as two, and does not have to wait for the
# other where cores are busy. `threadpoolctl` limits skkeops as it limits NumPy.

path, history = [], []


def record(intermediate_result):
    path.append(intermediate_result.x.copy())
    history.append(-intermediate_result.fun)


with threadpool_limits(1):
    found = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 800, "maxcor": 50},
        callback=record,
    )
print(f"{found.nit} iterations: mean log-likelihood {-loss(start)[0]:.3f} -> {-found.fun:.3f}")

###############################################################################
# The density, with the ellipse of one standard deviation of each component, early and in the end:

line = np.linspace(-1.15, 1.15, 200)
grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
circle = np.linspace(0, 2 * np.pi, 60)
circle = np.stack([np.cos(circle), np.sin(circle)])

figure, axes = plt.subplots(1, 2, figsize=(9, 4.8), layout="constrained")
for axis, theta, title in (
    (axes[0], path[4], "after 5 iterations"),
    (axes[1], found.x, f"after {found.nit}"),
):
    means, matrices, c = parts(theta)
    density = np.exp(log_density(grid, means, matrices, c)).reshape(200, 200)
    axis.imshow(density**0.5, origin="lower", extent=(-1.15, 1.15, -1.15, 1.15), cmap="Blues")
    axis.plot(*X[::4].T, ".", ms=2, color="0.4")
    for mean, matrix in zip(means, matrices.reshape(K, 2, 2), strict=True):
        axis.plot(
            *(mean[:, None] + np.linalg.solve(matrix, circle)),
            color="tab:orange",
            lw=1.2,
        )
    axis.set(title=title, xticks=[], yticks=[], xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
plt.show()

###############################################################################
# Beside expectation-maximisation
# -------------------------------
#
# scikit-learn's expectation-maximisation, from the same start. Both climb the same hill, which has many tops: neither
# always wins.

means, matrices, _ = parts(start)
em = GaussianMixture(
    K,
    means_init=means,
    precisions_init=np.tile(36.0 * np.eye(2), (K, 1, 1)),
    weights_init=np.full(K, 1 / K),
    max_iter=1000,
    tol=1e-6,
)
with threadpool_limits(1):
    em.fit(X)
print(
    f"expectation-maximisation: {em.n_iter_} iterations, mean log-likelihood {em.score(X):.3f}"
)
triangles = np.linalg.cholesky(em.precisions_).transpose(0, 2, 1).reshape(K, 4)
same = log_density(X, em.means_, triangles, np.log(em.weights_)[:, None])
print(f"our formula gives its parameters the value {same.mean() - np.log(2 * np.pi):.3f}")

figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
axis.plot(history, color="tab:blue", label="gradient descent (L-BFGS)")
axis.axhline(
    em.score(X),
    color="black",
    ls="--",
    lw=1,
    label="expectation-maximisation, in the end",
)
axis.set(xlabel="iteration", ylabel="mean log-likelihood")
axis.legend(loc="lower right")
plt.show()
