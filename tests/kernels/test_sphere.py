"""Points on the sphere, beside scikit-learn's great-circle distances."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import haversine_distances

from skkeops import kernels


def test_distances_are_chords_of_great_circles(rng):
    places = np.stack([rng.uniform(-90, 90, 40), rng.uniform(-180, 360, 40)], axis=1)
    points = kernels.sphere_points(places, radius=6371)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 6371)
    chords = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.testing.assert_allclose(chords, 2 * 6371 * np.sin(haversine_distances(np.radians(places)) / 2), atol=1e-6)
    turned = kernels.sphere_points(places + [0, 360], radius=6371)
    np.testing.assert_allclose(turned, points, atol=1e-8)


def test_kernels_stay_positive_definite(rng):
    """A Gaussian kernel of the great-circle distance is not."""
    places = np.stack([np.zeros(60), np.linspace(0, 360, 60, endpoint=False)], axis=1)
    wide = np.exp(-haversine_distances(np.radians(places)) ** 2 / 2)
    assert np.linalg.eigvalsh(wide).min() < -1e-3
    assert np.linalg.eigvalsh(kernels.Gaussian(1.0)(kernels.sphere_points(places))).min() > -1e-12


@pytest.mark.parametrize(
    ("places", "radius", "message"),
    [
        ([[91.0, 0.0]], 1.0, "latitudes, the first column, must be between -90 and 90 degrees: found 91"),
        ([[1.0, 0.0, 2.0]], 1.0, "coordinates must have two columns, latitudes and longitudes: found 3"),
        ([[1.0, 0.0]], 0, "radius must be a positive number: found 0"),
        ([[np.nan, 0.0]], 1.0, "Input coordinates contains NaN"),
    ],
)
def test_bad_places(places, radius, message):
    with pytest.raises(ValueError, match=message):
        kernels.sphere_points(places, radius)
