"""
Attention: an image denoised by looking at itself
=================================================

Attention compares queries with keys and averages values,

.. math::

    \\mathrm{out}_i = \\sum_{j=1}^{N} p_{ij} \\, v_j, \\qquad p_{ij} = \\frac{\\exp(F(q_i, k_j))}{\\sum_l \\exp(F(q_i, k_l))},

with the scaled product :math:`F(q, k) = q^\\top k / \\sqrt{d}` in transformers. It is the reduction ``SumSoftMaxWeight``: of any
formula, in one pass, without the :math:`N \\times N` matrix of weights, and with derivatives.

Years before transformers, *non-local means* [1]_ denoised images like this. Queries and keys are the patch around each pixel,
values the pixels in the middle, and :math:`F = -\\|q - k\\|^2 / 2 h^2`: each pixel becomes the mean of all pixels in the image
whose neighbourhoods look alike.

.. [1] A. Buades, B. Coll, J.-M. Morel, "A non-local algorithm for image denoising", CVPR 2005.
"""

# sphinx_gallery_thumbnail_number = 4
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import softmax

from skkeops import Genred

###############################################################################
# Attention as a reduction
# ------------------------
#
# First as in transformers, on a few random tokens, beside NumPy:

attention = Genred(
    "(q | k) * scale",
    ["q = Vi(16)", "k = Vj(16)", "v = Vj(8)", "scale = Pm(1)"],
    reduction_op="SumSoftMaxWeight",
    formula2="v",
    axis=1,
)
rng = np.random.default_rng(0)
q, k = rng.standard_normal((50, 16)), rng.standard_normal((60, 16))
v, scale = rng.standard_normal((60, 8)), np.array([0.25])
dense = softmax(q @ k.T * scale, axis=1) @ v
print(f"differs from the matrix by {np.abs(attention(q, k, v, scale) - dense).max():.1e}")
outer = rng.standard_normal(dense.shape)
by_q, by_k, by_v = attention.gradient(q, k, v, scale, wrt=("q", "k", "v"), grad_output=outer)
step = 1e-6 * rng.standard_normal(q.shape)
quotient = (
    (attention(q + step, k, v, scale) - attention(q - step, k, v, scale)) * outer
).sum() / 2
print(f"derivative along a step of q: {(by_q * step).sum():.8e}, by differences {quotient:.8e}")

###############################################################################
# An image
# --------
#
# Stripes, rings and a chequerboard, 96 x 96 pixels: patterns that repeat, with noise.

side = 96
row, column = np.mgrid[0:side, 0:side]
radius = np.hypot(row - 30, column - 66)
clean = 0.5 + 0.35 * np.sign(np.sin((row + 0.5 * column) / 3.5))  # stripes
clean = np.where(row < 60, clean, 0.15 + 0.7 * ((row // 6 + column // 6) % 2))  # a chequerboard
clean = np.where(radius < 26, 0.5 + 0.4 * np.cos(radius / 1.8), clean)  # rings
noisy = clean + 0.2 * rng.standard_normal(clean.shape)

figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for axis, image, title in zip(axes, (clean, noisy), ("clean", "noisy"), strict=True):
    axis.imshow(image, cmap="gray", vmin=-0.1, vmax=1.1)
    axis.set_title(title)
    axis.set_axis_off()
plt.show()


def patches(image, reach=3):
    """The square around each pixel, a row each."""
    padded = np.pad(image, reach, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1))
    return windows.reshape(image.size, -1)


def quality(image):
    """The peak signal-to-noise ratio, in decibels."""
    return -10 * np.log10(np.mean((image - clean) ** 2))


###############################################################################
# Denoise it
# ----------
#
# 9216 pixels are 85 million pairs of patches of 49 numbers. We compute in float32.

tokens = patches(noisy).astype("float32")
values = noisy.reshape(-1, 1).astype("float32")
d = tokens.shape[1]
non_local_means = Genred(
    "-SqDist(q, k) * g",
    [f"q = Vi({d})", f"k = Vj({d})", "v = Vj(1)", "g = Pm(1)"],
    reduction_op="SumSoftMaxWeight",
    formula2="v",
    axis=1,
)
widths = np.array([0.4, 0.5, 0.6, 0.65, 0.7, 0.8, 1.0, 1.2])
denoised = {
    h: non_local_means(tokens, tokens, values, np.array([0.5 / h**2], "float32")).reshape(
        side, side
    )
    for h in widths
}
best = max(widths, key=lambda h: quality(denoised[h]))
blurred = {sigma: gaussian_filter(noisy, sigma) for sigma in (0.4, 0.6, 0.8, 1.0, 1.3)}
best_blur = max(blurred, key=lambda sigma: quality(blurred[sigma]))
print(f"the matrix of weights of {side**2} tokens would have {4 * side**4 / 1e6:.0f} MB")
blur = blurred[best_blur]

figure, axes = plt.subplots(1, 3, figsize=(10, 3.8), layout="constrained")
for axis, image, title in zip(
    axes,
    (noisy, blur, denoised[best]),
    ("noisy", "best blur", "attention"),
    strict=True,
):
    axis.imshow(image, cmap="gray", vmin=-0.1, vmax=1.1)
    axis.set_title(f"{title}, {quality(image):.1f} dB")
    axis.set_axis_off()
plt.show()

###############################################################################
# The bandwidth is between too narrow, where each pixel only sees itself, and too wide, where edges are lost:

figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
axis.plot(
    widths,
    [quality(denoised[h]) for h in widths],
    "o-",
    color="tab:blue",
    label="attention",
)
axis.axhline(quality(blur), color="black", ls="--", lw=1, label="best Gaussian blur")
axis.axhline(quality(noisy), color="0.6", ls=":", lw=1.5, label="noisy")
axis.set(xlabel="bandwidth h", ylabel="signal to noise (dB)")
axis.legend()
plt.show()

###############################################################################
# What does a pixel look at?
# --------------------------
#
# The weights of three pixels, marked by a circle, which find their like all over the image. Three rows of the matrix are
# small enough to be stored.

watched = {
    "on the chequerboard": (81, 23),
    "on a stripe": (14, 16),
    "on a ring": (30, 44),
}


def weights(pixel):
    distances = ((tokens - tokens[np.ravel_multi_index(pixel, clean.shape)]) ** 2).sum(axis=1)
    return softmax(-distances / (2 * best**2)).reshape(side, side)


figure, axes = plt.subplots(1, 3, figsize=(10, 3.8), layout="constrained")
for axis, (title, pixel) in zip(axes, watched.items(), strict=True):
    p = weights(pixel)
    axis.imshow(np.sqrt(p), cmap="magma", vmax=np.sqrt(np.quantile(p, 0.999)))
    axis.plot(*pixel[::-1], "o", mfc="none", mec="cyan", ms=12, mew=2)
    axis.set_title(f"a pixel {title} (circle)")
    axis.set_axis_off()
plt.show()
