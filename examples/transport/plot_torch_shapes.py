"""
Matching shapes with PyTorch
============================

PyTorch differentiates programs, and a reduction over all pairs can be a part of one: :class:`skkeops.torch.Genred` takes tensors,
and ``torch.autograd`` its gradients, to any order, without the matrix of pairs in the graph. Here a cloud of points is moved onto
another one by Hamilton's equations, as in shape analysis [1]_: the positions q and momenta p follow

.. math::

    \\dot q = \\frac{\\partial H}{\\partial p}, \\qquad \\dot p = -\\frac{\\partial H}{\\partial q}, \\qquad
    H(q, p) = \\frac12 \\sum_{i,j} \\exp \\Bigl( -\\frac{\\|q_i - q_j\\|^2}{2 s^2} \\Bigr) \\, p_i \\cdot p_j,

and the first momenta are found so that the cloud arrives. The loss takes *gradients of gradients* of the kernel sum, through
all steps of the flow; nobody writes them down.

.. [1] S. Durrleman et al., "Morphometry of anatomical shape complexes with dense deformations and sparse parameters",
   NeuroImage 101, 2014.
"""

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
import numpy as np
import torch

from skkeops.torch import Genred

###############################################################################
# Two shapes
# ----------
#
# Points of a circle, and of a heart.

N, width, steps = 300, 0.4, 8
t = np.linspace(0, 2 * np.pi, N, endpoint=False)
circle = 0.8 * np.stack([np.sin(t), np.cos(t)], axis=1)
heart = np.stack(
    [
        np.sin(t) ** 3,
        (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16,
    ],
    axis=1,
)
start, target = torch.from_numpy(circle).requires_grad_(), torch.from_numpy(heart)

figure, axis = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
axis.plot(*circle.T, ".", ms=3, color="tab:blue", label="start")
axis.plot(*heart.T, "-", lw=1, color="black", label="target")
axis.set(aspect="equal", xticks=[], yticks=[])
axis.legend(loc="lower right")
plt.show()

###############################################################################
# The flow
# --------
#
# The kernel sum of momenta at the positions, times the momenta, is twice the energy H. Its gradients are PyTorch's.

field = Genred(
    "Exp(-g * SqDist(x, y)) * p",
    ["x = Vi(2)", "y = Vj(2)", "p = Vj(2)", "g = Pm(1)"],
    axis=1,
)
scale = torch.tensor([0.5 / width**2], dtype=start.dtype)


def flow(p, q):
    """Positions at all times, by steps of Euler; every point has its own momentum."""
    path = [q]
    for _ in range(steps):
        energy = 0.5 * (p * field(q, q, p, scale)).sum()
        by_q, by_p = torch.autograd.grad(energy, (q, p), create_graph=True)
        q, p = q + by_p / steps, p - by_q / steps
        path.append(q)
    return path, energy


###############################################################################
# The match
# ---------
#
# L-BFGS looks for the momenta that carry the circle onto the heart. ``backward`` goes through all steps of the flow.

p = torch.zeros_like(start).requires_grad_()
optimiser = torch.optim.LBFGS([p], max_iter=25, line_search_fn="strong_wolfe")
losses = []


def closure():
    optimiser.zero_grad()
    path, energy = flow(p, start)
    loss = (path[-1] - target).square().mean() + 1e-4 * energy
    loss.backward()
    losses.append(float(loss.detach()))
    return loss


optimiser.step(closure)
path = [q.detach().numpy() for q in flow(p, start)[0]]
print(f"{len(losses)} evaluations of the loss and its gradient")
print(f"squared distance {losses[0]:.4f} before, {np.mean((path[-1] - heart) ** 2):.2e} after")

figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.semilogy(losses, ".-")
axis.set(xlabel="evaluations", ylabel="loss")
plt.show()

###############################################################################
# The way of the points:

figure, axis = plt.subplots(figsize=(5, 5), layout="constrained")
axis.plot(*np.stack(path)[:, ::6].transpose(2, 0, 1), color="0.7", lw=0.6)
axis.plot(*circle.T, ".", ms=3, color="tab:blue", label="start")
axis.plot(*path[-1].T, ".", ms=5, color="tab:red", label="end")
axis.plot(*heart.T, "-", lw=0.8, color="black", label="target")
axis.set(aspect="equal", xticks=[], yticks=[])
axis.legend(loc="lower right")
plt.show()
