"""
Densities with bounds, around the clock and on the globe
========================================================

A kernel density estimate puts a window on each sample. Where samples cannot be everywhere, neither can windows: durations begin
at zero, hours begin again after 24, and places lie on a sphere. `KernelDensity` has a window for each of these, with the mass 1 on
what there is:

* ``bounds=[(0, None)]`` reflects samples at the bound, where a plain estimate loses half of the density;
* ``period=[24]`` makes Gaussian windows those of von Mises;
* ``metric="haversine"`` makes them those of von Mises and Fisher, on the sphere;
* and ``bandwidth="abramson"`` gives each sample its own width, by Abramson's rule: wide where samples are rare.

Run it as it is, or with ``--save FILE.png`` to write the figure to a file. Without Matplotlib, it prints the numbers.
"""

import argparse

import numpy as np
from scipy import stats

from skkeops import KernelDensity

rng = np.random.default_rng(0)

###############################################################################
# Durations
# ---------
#
# Between the eruptions of a process without memory there are exponential times, and the density is largest at zero. The integral of
# the squared error tells how much a bound and a bandwidth for each sample gain.

waits = rng.exponential(size=(1000, 1))
times = np.linspace(0, 8, 801)[:, None]
law = stats.expon.pdf(times[:, 0])
estimates = {
    "one bandwidth": {},
    "with the bound": {"bounds": [(0, None)]},
    "by Abramson's rule": {"bounds": [(0, None)], "bandwidth": "abramson"},
}
durations = {}
for name, options in estimates.items():
    density = KernelDensity(**{"bandwidth": "silverman", "scaling": "std", **options}).fit(waits)
    durations[name] = np.exp(density.score_samples(times))
    error = np.trapezoid((durations[name] - law) ** 2, times[:, 0])
    print(f"{name:>20}: f(0) = {durations[name][0]:.3f}, integral of the squared error {error:.4f}")

###############################################################################
# Hours
# -----
#
# Two crowds, one of them around midnight. On a line, midnight is an end on both sides, and a window at 23:50 knows nothing of 0:10.

hours = np.concatenate([rng.normal(0, 1.5, 500), rng.normal(9, 1, 300)])[:, None] % 24
clock = np.linspace(0, 24, 481)[:, None]
round_the_clock = np.exp(KernelDensity(bandwidth=0.5, period=[24]).fit(hours).score_samples(clock))
on_a_line = np.exp(KernelDensity(bandwidth=0.5).fit(hours).score_samples(clock))
print(f"density at midnight: {round_the_clock[0]:.4f}, on a line {on_a_line[0]:.4f} and {on_a_line[-1]:.4f}")

###############################################################################
# Places
# ------
#
# Earthquakes, as they might be, along a ring of plates that crosses the date line and passes near the pole, and a few anywhere.
# Abramson's rule can have any pilot: here the one of the bandwidth beside it.

angle = rng.uniform(-np.pi, np.pi, 600)
ring = np.stack([0.5 * np.cos(angle), 0.9 * np.sin(angle), np.ones(600)], axis=1) + 0.05 * rng.standard_normal((600, 3))
ring = ring @ stats.special_ortho_group(3, seed=4).rvs()
anywhere = rng.standard_normal((60, 3))
x, y, z = (points := np.concatenate([ring, anywhere])).T / np.linalg.norm(points, axis=1)
places = np.column_stack((np.arcsin(z), np.arctan2(y, x)))
latitude, longitude = np.radians(np.linspace(-89.5, 89.5, 180)), np.radians(np.linspace(-179.5, 179.5, 360))
globe = np.stack(np.meshgrid(latitude, longitude, indexing="ij"), axis=-1).reshape(-1, 2)
pilot = KernelDensity(bandwidth=0.1, metric="haversine").fit(places).score_samples(places)
bandwidths = {"one bandwidth": 0.1, "one for each": 0.1 * np.exp(0.5 * (pilot.mean() - pilot))}
on_the_globe = {}
for name, bandwidth in bandwidths.items():
    density = KernelDensity(bandwidth=bandwidth, metric="haversine").fit(places)
    on_the_globe[name] = np.exp(density.score_samples(globe)).reshape(180, 360)
    area = np.cos(latitude)[:, None] * np.radians(1) ** 2
    print(f"{name}: the mass on the sphere, by its map, is {(on_the_globe[name] * area).sum():.4f}")

###############################################################################
# Given the one, the other
# ------------------------
#
# The density of two features is also that of one if the other is known, and its distribution function the probability of less.

pairs = np.column_stack((hours[:, 0], rng.gamma(2 + np.cos(hours[:, 0] * np.pi / 12))))
joint = KernelDensity(bandwidth=[1.0, 0.3], bounds=[(None, None), (0, None)], period=[24, None]).fit(pairs)
lengths = np.linspace(0, 8, 401)
for hour in (0, 9):
    conditional = np.exp(joint.score_samples(np.column_stack((np.full(401, hour), lengths)), given=0))
    print(f"mean duration at {hour}:00 is {np.trapezoid(lengths * conditional, lengths):.2f}")
alone = KernelDensity(bandwidth=0.3, bounds=[(0, None)]).fit(pairs[:, 1:])
print(f"{alone.cdf([[1.0]])[0]:.1%} last less than 1")

###############################################################################
# The figure
# ----------


def plot():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 7.5), layout="constrained")
    axes[0, 0].plot(times, law, color="black", ls=":", label="the law")
    for name, values in durations.items():
        axes[0, 0].plot(times, values, label=name)
    axes[0, 0].set(xlabel="duration", title="durations", xlim=(0, 5))
    axes[0, 0].legend()
    axes[0, 1].plot(clock, round_the_clock, label="around the clock")
    axes[0, 1].plot(clock, on_a_line, ls="--", label="on a line")
    axes[0, 1].set(xlabel="hour", title="hours", xticks=range(0, 25, 6))
    axes[0, 1].legend()
    for axis, (name, values) in zip(axes[1], on_the_globe.items(), strict=True):
        image = axis.pcolormesh(np.degrees(longitude), np.degrees(latitude), np.log10(values + 1e-6), vmin=-3, vmax=0.5)
        axis.plot(*np.degrees(places[:, ::-1].T), ".", color="white", ms=1)
        axis.set(xlabel="longitude", ylabel="latitude", title=f"places, {name}")
    figure.colorbar(image, ax=axes[1], label="log10 of the density")
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(description="Densities with bounds, around the clock and on the globe.")
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
