"""
Cost that follows the data: neighbours of 100 000 points
========================================================

The ten nearest of 100 000 points for each of 100 000 others are ten billion distances. Most of them are of pairs that are provably
too far apart: bounds of the formula over boxes of points say so, and only the rest is computed. The result is that of all pairs, to
the bit, and it works for any formula: here for the L1 distance, and for one with a price at each point.
"""

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from skkeops import Genred
from skkeops.formula import Variable, bounds
from skkeops.formula import operations as ops
from skkeops.pairs.order import SpatialOrder, boxes_of

###############################################################################
# Neighbours in three formulas
# ----------------------------
#
# The points lie in clusters. A shop ``y`` has a price ``b``; a customer ``x`` walks to where price and way together are least.

n = 100_000
rng = np.random.default_rng(0)
centers = rng.uniform(-6, 6, (12, 2))
x, y = (centers[rng.integers(12, size=n)] + rng.normal(size=(n, 2)) for _ in range(2))
b = rng.exponential(0.2, (n, 1))

figure, axis = plt.subplots(figsize=(6, 5), layout="constrained")
points = axis.scatter(*y[::20].T, c=b[::20, 0], s=4, cmap="viridis_r", vmax=0.6)
axis.set(aspect="equal", xticks=[], yticks=[], title="one shop of twenty")
figure.colorbar(points, label="price", shrink=0.8)
plt.show()

###############################################################################
# The same call for three formulas. ``last_call`` says how much of it was computed.

formulas = {
    "Euclidean": ("SqDist(x, y)", (x, y)),
    "L1": ("Sum(Abs(x - y))", (x, y)),
    "way and price": ("Norm2(x - y) + b", (x, y, b)),
}
names = ["x = Vi(2)", "y = Vj(2)", "b = Vj(1)"]
found, shares = {}, {}
for title, (formula, arrays) in formulas.items():
    nearest = Genred(formula, names[: len(arrays)], "ArgKMin", axis=1, opt_arg=10)
    found[title] = nearest(*arrays)
    shares[title] = nearest.last_call.share
    print(f"{title:15} {nearest.last_call.method}: {shares[title]:.2%} of the pairs")

figure, axis = plt.subplots(figsize=(7, 2.2), layout="constrained")
bars = axis.barh(list(shares), [100 * share for share in shares.values()])
axis.bar_label(bars, fmt="%.2f %%", padding=3)
axis.set(xlabel="pairs that were computed, percent", xlim=(0, 130 * max(shares.values())))
axis.invert_yaxis()
plt.show()

###############################################################################
# Which tiles are needed
# ----------------------
#
# The points are sorted into tiles. The bounds of the formula are two more formulas, of the corners of boxes. A tile of shops whose
# lower bound is above what every customer of a tile pays already is not looked at.

walk = ops.Norm2(Variable(0, 2, 0) - Variable(1, 2, 1)) + Variable(2, 1, 1)
corner_names = [
    "xl = Vi(0,2)",
    "xu = Vi(1,2)",
    "yl = Vj(2,2)",
    "yu = Vj(3,2)",
    "bl = Vj(4,1)",
    "bu = Vj(5,1)",
]
lower = Genred(bounds(walk).lower, corner_names, "Min", axis=0)

some = slice(0, 4000)
order = SpatialOrder(np.concatenate([y[some], b[some]], axis=1), 64)
shops, prices = y[some][order.index], b[some][order.index]
corners = [
    corner for side in (shops, prices) for corner in boxes_of(side, order.edges, side.dtype)
]
customers = centers[0] + 0.15 * rng.random((16, 2))
box = [customers.min(axis=0, keepdims=True), customers.max(axis=0, keepdims=True)]
least = lower(*box, *corners)[:, 0]
pays = Genred("Norm2(x - y) + b", names, "KMin", axis=1, opt_arg=10)(customers, shops, prices)[
    :, -1
].max()
needed = least <= pays
print(f"{needed.sum()} of {len(needed)} tiles may hold one of the ten best of these customers")

figure, axis = plt.subplots(figsize=(7, 6), layout="constrained")
for low, high, used in zip(corners[0], corners[1], needed, strict=True):
    colour = "tab:orange" if used else "0.8"
    axis.add_patch(
        Rectangle(
            low,
            *(high - low),
            fill=bool(used),
            alpha=0.5 if used else 1,
            color=colour,
            lw=0.8,
        )
    )
axis.scatter(*shops.T, s=1, color="0.5")
axis.scatter(*customers.T, s=6, color="tab:blue", label="16 customers")
axis.set(
    title=f"{needed.sum()} of {len(needed)} tiles are computed",
    aspect="equal",
    xticks=[],
    yticks=[],
)
axis.legend(loc="upper right")
plt.show()
