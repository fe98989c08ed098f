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

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without PyTorch it says so; without Matplotlib, it
prints the numbers.

.. [1] S. Durrleman et al., "Morphometry of anatomical shape complexes with dense deformations and sparse parameters",
   NeuroImage 101, 2014.
"""

import argparse
import time

import numpy as np

try:
    import torch
except ImportError:
    torch = None

###############################################################################
# The flow
# --------
#
# The kernel sum of momenta at the positions, times the momenta, is twice the energy H. Its gradients are PyTorch's.

N, WIDTH, STEPS = 300, 0.4, 8


def shapes():
    """Points of a circle, and of a heart."""
    t = np.linspace(0, 2 * np.pi, N, endpoint=False)
    circle = 0.8 * np.stack([np.sin(t), np.cos(t)], axis=1)
    heart = np.stack([16 * np.sin(t) ** 3, 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)], axis=1) / 16
    return torch.from_numpy(circle), torch.from_numpy(heart)


def flow(p, q, field):
    """Positions at all times, by steps of Euler; every point has its own momentum."""
    scale = torch.tensor([0.5 / WIDTH**2], dtype=q.dtype)
    path = [q]
    for _ in range(STEPS):
        energy = 0.5 * (p * field(q, q, p, scale)).sum()
        by_q, by_p = torch.autograd.grad(energy, (q, p), create_graph=True)
        q, p = q + by_p / STEPS, p - by_q / STEPS
        path.append(q)
    return path, energy


def match():
    """Momenta that carry the circle onto the heart, and the losses on the way."""
    from skkeops.torch import Genred

    field = Genred("Exp(-g * SqDist(x, y)) * p", ["x = Vi(2)", "y = Vj(2)", "p = Vj(2)", "g = Pm(1)"], axis=1)
    start, target = shapes()
    start.requires_grad_()
    p = torch.zeros_like(start).requires_grad_()
    optimiser = torch.optim.LBFGS([p], max_iter=25, line_search_fn="strong_wolfe")
    losses = []

    def closure():
        optimiser.zero_grad()
        path, energy = flow(p, start, field)
        loss = (path[-1] - target).square().mean() + 1e-4 * energy
        loss.backward()
        losses.append(float(loss.detach()))
        return loss

    optimiser.step(closure)
    path, _ = flow(p, start, field)
    return [q.detach().numpy() for q in path], target.numpy(), losses


if torch is None:
    print("PyTorch is not installed, so there is nothing to see: pip install torch")
    path, target, losses = [np.zeros((0, 2))], np.zeros((0, 2)), [1.0]
else:
    began = time.perf_counter()
    path, target, losses = match()
    print(f"{len(losses)} evaluations of the loss and its gradient in {time.perf_counter() - began:.1f} s")
    print(f"mean squared distance from the target {losses[0]:.4f} before, {np.mean((path[-1] - target) ** 2):.2e} after")

###############################################################################
# The figure
# ----------


def plot():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
    if len(path) > 1:
        axes[0].plot(*np.stack(path)[:, ::6].transpose(2, 0, 1), color="0.7", lw=0.6)
    axes[0].plot(*path[0].T, ".", ms=3, color="tab:blue", label="start")
    axes[0].plot(*path[-1].T, ".", ms=4, color="tab:red", label="end")
    axes[0].plot(*target.T, "-", lw=0.8, color="black", label="target")
    axes[0].set(aspect="equal", xticks=[], yticks=[], title="the flow")
    axes[0].legend(loc="lower right")
    axes[1].semilogy(losses, ".-")
    axes[1].set(xlabel="evaluations", title="loss")
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(description="Shapes matched with PyTorch.")
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
