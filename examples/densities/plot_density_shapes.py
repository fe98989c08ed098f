"""
Densities with bounds, around the clock and on the globe
========================================================

A kernel density estimate puts a window on each sample. Where samples cannot be everywhere, neither should windows: durations begin
at zero, hours begin again after 24, and places lie on a sphere. :class:`skkeops.KernelDensity` has windows for each of these,

.. math:: \\hat f(x) = \\frac{1}{N} \\sum_{j=1}^{N} \\frac{k(x, x_j; h_j)}{\\int k(x', x_j; h_j) \\, dx'},

where the integral is over the half-line, the circle or the sphere, so that the density has the mass 1 on it:

* ``bounds=[(0, None)]`` reflects windows at the bound, where a plain estimate loses half of the density;
* ``period=[24]`` puts Gaussians on a circle: they become windows of von Mises;
* ``metric="haversine"`` puts them on the sphere: there they are windows of von Mises and Fisher;
* ``bandwidth="abramson"`` gives each sample a bandwidth :math:`h_j` of its own, wide where samples are rare.
"""

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from skkeops import KernelDensity

rng = np.random.default_rng(0)

###############################################################################
# Durations
# ---------
#
# The waiting times of a process without memory are exponential, and their density is largest at zero. The integral of the
# squared difference tells how far an estimate is from it.

waits = rng.exponential(size=(1000, 1))
times = np.linspace(0, 8, 801)
law = stats.expon.pdf(times)
estimates = {
    "one bandwidth": KernelDensity(bandwidth="silverman", scaling="std"),
    "with the bound": KernelDensity(bandwidth="silverman", scaling="std", bounds=[(0, None)]),
    "and by Abramson's rule": KernelDensity(
        bandwidth="abramson", scaling="std", bounds=[(0, None)]
    ),
}

figure, axis = plt.subplots(figsize=(7, 3.8), layout="constrained")
axis.plot(times, law, "k--", lw=1, label="the law")
for name, estimate in estimates.items():
    density = np.exp(estimate.fit(waits).score_samples(times[:, None]))
    error = np.trapezoid((density - law) ** 2, times)
    print(f"{name:22}: density {density[0]:.2f} at zero, integrated square {error:.4f}")
    axis.plot(times, density, label=name)
axis.set(xlabel="duration", ylabel="density", xlim=(0, 5))
axis.legend()
plt.show()

###############################################################################
# Hours
# -----
#
# Two crowds come each day, one of them around midnight. On a line, midnight is an end on both sides, and a window at 23:50 does not
# reach 0:10. Around the clock it does: the result is that of SciPy's von Mises distributions.

hours = np.concatenate([rng.normal(0, 1.5, 500), rng.normal(9, 1, 300)]) % 24
clock = np.linspace(0, 24, 481)
h = 0.5
around = KernelDensity(bandwidth=h, period=[24]).fit(hours[:, None])
on_a_line = KernelDensity(bandwidth=h).fit(hours[:, None])
density = np.exp(around.score_samples(clock[:, None]))
flat_density = np.exp(on_a_line.score_samples(clock[:, None]))

turn = 2 * np.pi / 24
angles = turn * (clock[:, None] - hours)
of_scipy = stats.vonmises.pdf(angles, 1 / (turn * h) ** 2).mean(axis=1) * turn
print(f"largest difference from SciPy: {np.abs(density - of_scipy).max():.1e}")

figure, axes = plt.subplot_mosaic(
    [["line", "dial"]],
    per_subplot_kw={"dial": {"projection": "polar"}},
    figsize=(9, 4),
    width_ratios=(3, 2),
    layout="constrained",
)
axes["line"].hist(hours, bins=48, range=(0, 24), density=True, color="0.85", label="samples")
for values, style, name in (
    (flat_density, "--", "on a line"),
    (density, "-", "around the clock"),
):
    axes["line"].plot(clock, values, style, label=name)
    axes["dial"].plot(turn * clock, values, style)
axes["line"].set(xlabel="hour", ylabel="density", xticks=range(0, 25, 6))
axes["line"].legend(loc=(0.47, 0.74))
axes["dial"].set(theta_zero_location="N", theta_direction=-1, yticks=[0.05, 0.1, 0.15])
axes["dial"].set_yticklabels([])
axes["dial"].set_xticks(turn * np.arange(0, 24, 3), [f"{hour}:00" for hour in range(0, 24, 3)])
plt.show()

###############################################################################
# Places
# ------
#
# Earthquakes, as they might be: 600 along a ring of plates, and 60 anywhere. The features are latitude and longitude in radians.
# One bandwidth is too wide for the ring, or too narrow for the others; so each place gets its own, by Abramson's rule from a first
# estimate. The map shows the half of the globe with the ring, as it is seen from far away.


def to_angles(points):
    """Latitude and longitude of points on the unit sphere."""
    return np.stack((np.arcsin(points[..., 2]), np.arctan2(points[..., 1], points[..., 0])), -1)


def on_the_sphere(points):
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


axes_of_ring = stats.special_ortho_group(3, seed=4).rvs()
angle = rng.uniform(-np.pi, np.pi, 600)
ring = np.stack((0.5 * np.cos(angle), 0.9 * np.sin(angle), np.ones(600)), axis=1)
ring = (ring + 0.05 * rng.standard_normal((600, 3))) @ axes_of_ring
points = on_the_sphere(np.concatenate((ring, rng.standard_normal((60, 3)))))
places = to_angles(points)

h = 0.1  # radians, which are 637 km
one = KernelDensity(bandwidth=h, metric="haversine").fit(places)
first = one.score_samples(places)
own = h * np.exp((first.mean() - first) / 2)
each = KernelDensity(bandwidth=own, metric="haversine").fit(places)
print(f"bandwidths from {own.min() * 6371:.0f} to {own.max() * 6371:.0f} km")

queries = on_the_sphere(rng.standard_normal((200, 3)))
for name, density, bandwidths in (("one", one, np.full(660, h)), ("each", each, own)):
    of_scipy = np.mean(
        [
            stats.vonmises_fisher(point, 1 / bandwidth**2).pdf(queries)
            for point, bandwidth in zip(points, bandwidths, strict=True)
        ],
        axis=0,
    )
    ours = np.exp(density.score_samples(to_angles(queries)))
    print(f"{name}: largest difference from SciPy {np.abs(ours - of_scipy).max():.1e}")

side = 400
u, v = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
visible = u**2 + v**2 < 1
disc = np.stack((u, v, np.sqrt(np.maximum(1 - u**2 - v**2, 0))), axis=-1)[visible]
seen = points @ axes_of_ring.T

figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
for axis, density, title in ((axes[0], one, "one bandwidth"), (axes[1], each, "one for each")):
    globe = np.full((side, side), np.nan)
    globe[visible] = density.score_samples(to_angles(disc @ axes_of_ring)) / np.log(10)
    image = axis.imshow(globe, origin="lower", extent=(-1, 1, -1, 1), vmin=-3, vmax=0.7)
    axis.plot(*seen[seen[:, 2] > 0, :2].T, ".", color="white", ms=1.5)
    axis.set(title=title)
    axis.set_axis_off()
figure.colorbar(image, ax=axes, label="log10 of the density", shrink=0.8)
plt.show()

###############################################################################
# Given the one, the other
# ------------------------
#
# Visits at night are longer. The density of hours and durations is also that of the duration at a known hour: ``given`` says that
# the first feature is known. A bound and a period go together, each on its own feature.

lengths = rng.gamma(2 + np.cos(turn * hours))
joint = KernelDensity(
    bandwidth=[1.0, 0.3],
    bounds=[(None, None), (0, None)],
    period=[24, None],
).fit(np.column_stack((hours, lengths)))

duration = np.linspace(0, 12, 601)
figure, axis = plt.subplots(figsize=(7, 3.8), layout="constrained")
for hour in (0, 9):
    queries = np.column_stack((np.full_like(duration, hour), duration))
    density = np.exp(joint.score_samples(queries, given=0))
    mass = np.trapezoid(density, duration)
    mean = np.trapezoid(duration * density, duration)
    print(f"at {hour}:00 the mass is {mass:.4f}, and the mean duration {mean:.2f}")
    axis.plot(duration, density, label=f"at {hour}:00")
axis.set(xlabel="duration", ylabel="density of the duration", xlim=(0, 8))
axis.legend()
plt.show()

###############################################################################
# ``cdf`` is the probability of less. With the bound it is, for each sample, the mass of a Gaussian between the mirror image of the
# query and the query.

alone = KernelDensity(bandwidth=0.3, bounds=[(0, None)]).fit(lengths[:, None])
share = alone.cdf([[1.0]])[0]
of_scipy = np.mean(stats.norm.cdf(1, lengths, 0.3) - stats.norm.cdf(-1, lengths, 0.3))
print(f"{share:.2%} of the visits are shorter than 1; by SciPy {of_scipy:.2%}")
