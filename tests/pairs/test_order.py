"""The spatial order: a permutation whose tiles are boxes that hold their points, and no larger than a tree's."""

import numpy as np
import pytest

from skkeops.pairs.order import SpatialOrder, boxes_of, sample_tiles


@pytest.mark.parametrize("n", [1, 2, 16, 17, 100, 1000, 4097])
@pytest.mark.parametrize("size", [2, 16, 64])
def test_an_order_is_a_permutation_in_tiles(n, size):
    points = np.random.default_rng(0).random((n, 3))
    order = SpatialOrder(points, size)
    np.testing.assert_array_equal(np.sort(order.index), np.arange(n))
    assert len(order.edges) == 2**order.depth + 1
    assert order.edges[0] == 0 and order.edges[-1] == order.n_ordered == n
    sizes = np.diff(order.edges)
    assert sizes.min() > 0 and sizes.max() <= size and sizes.max() - sizes.min() <= 1


def test_tiles_are_small():
    points = np.random.default_rng(1).random((4096, 2))
    order = SpatialOrder(points, 64)
    lower, upper = boxes_of(points[order.index], order.edges, points.dtype)
    assert np.prod(upper - lower, axis=1).sum() < 1  # of cells that do not overlap, in the unit square
    assert (upper - lower).max() < 0.3


def test_rows_that_are_not_finite_are_in_no_tile():
    points = np.random.default_rng(2).random((300, 2))
    points[10:20, 0], points[250, 1] = np.nan, -np.inf
    order = SpatialOrder(points, 16)
    assert order.n_ordered == 289
    assert set(order.index[289:]) == {*range(10, 20), 250}
    nowhere = SpatialOrder(np.full((5, 2), np.nan), 16)
    assert nowhere.n_ordered == 0 and sorted(nowhere.index) == list(range(5))


def test_levels_are_boxes_of_all_rows_below():
    rng = np.random.default_rng(3)
    points, weights = rng.random((500, 2)), rng.normal(size=(500, 1))
    order = SpatialOrder(points, 16)
    arrays = points[order.index], weights[order.index]
    levels = order.levels(arrays, points.dtype)
    assert len(levels) == order.depth + 1
    for level, boxes in enumerate(levels):
        edges = order.edges[:: 2 ** (order.depth - level)]
        for array, (lower, upper) in zip(arrays, boxes, strict=True):
            for k in range(2**level):
                inside = array[edges[k] : edges[k + 1]]
                np.testing.assert_array_equal(lower[k], inside.min(axis=0))
                np.testing.assert_array_equal(upper[k], inside.max(axis=0))


def test_denormal_ends_of_a_box_give_way_to_zero():
    values = np.array([[1e-40], [2e-40], [-3e-40], [-1e-40], [1e-40], [1.0]], np.float32)
    lower, upper = boxes_of(values, np.array([0, 2, 4, 6]), values.dtype)
    assert (lower[0], lower[2], upper[1]) == (0, 0, 0)
    assert upper[0] > 0 > lower[1] and upper[2] == 1
    lower, upper = boxes_of(values.astype(float), np.array([0, 2, 4, 6]), np.dtype(float))
    assert lower[0] > 0


@pytest.mark.parametrize("points", [
    np.random.default_rng(4).random((9000, 2)),
    np.full((9000, 2), 0.5),
    np.random.default_rng(5).integers(0, 2, (9000, 2)).astype(float),
    np.where(np.arange(9000)[:, None] == 0, np.inf, np.random.default_rng(6).random((9000, 2))),
], ids=["uniform", "one point", "lattice", "infinite"])  # fmt: skip
def test_sampled_tiles(points):
    tiles = sample_tiles(points, 16, 8, np.random.default_rng(0))
    assert 4 <= len(tiles) <= 8
    rows = np.concatenate(tiles)
    assert len(np.unique(rows)) == len(rows) and np.isfinite(points[rows]).all()
    assert max(map(len, tiles)) <= 16
    assert sample_tiles(np.full((20, 2), np.nan), 16, 8, np.random.default_rng(0)) == []
