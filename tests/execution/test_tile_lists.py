"""Searches of two trees of tiles, beside all pairs of tiles."""

import numpy as np
import pytest

from skkeops.execution.methods.tile_lists import Search, blocks_of
from skkeops.pairs.order import SpatialOrder


def squared_gaps(which, rows, columns):
    """The bounds of a squared distance, by NumPy."""
    ((xl, xu),), ((yl, yu),) = rows, columns
    gap = np.maximum(0, np.maximum(xl - yu, yl - xu)) if which == "lower" else np.maximum(xu - yl, yu - xl)
    return (gap**2).sum(axis=1, keepdims=True)


def trees(m, n):
    rng = np.random.default_rng(0)
    found = []
    for count, size in ((m, 4), (n, 8)):
        points = rng.random((count, 2))
        order = SpatialOrder(points, size)
        found.append((order, points[order.index], order.levels([points[order.index]], points.dtype)))
    return found


@pytest.mark.parametrize("m, n", [(3, 5), (40, 300), (1000, 700), (2000, 9)])
def test_needed_tiles_are_those_below_the_cut(m, n):
    (rows, _, row_boxes), (columns, _, column_boxes) = trees(m, n)
    search = Search(row_boxes, column_boxes, squared_gaps)
    tiles = 2**rows.depth, 2**columns.depth
    cuts = np.random.default_rng(1).random((tiles[0], 1)) * 0.05
    i, j = np.indices(tiles).reshape(2, -1)
    pairs = ([(low[at], high[at]) for low, high in side[-1]] for side, at in ((row_boxes, i), (column_boxes, j)))
    lower = squared_gaps("lower", *pairs)
    expected = lower.reshape(tiles) <= cuts
    nodes, below = 2**search.start, tiles[0] // 2**search.start
    for first, last in ((0, nodes), (nodes // 2, nodes)):
        some = cuts[first * below : last * below]

        def may_win(pairs, some=some):
            cut = some.reshape(-1, pairs.below, some.shape[1]).max(axis=1)
            return pairs.map("lower", lambda lower, at: (lower <= cut[pairs.rows[at]]).any(axis=1))

        i, j = search.descend(first, last, may_win)
        found = np.zeros(((last - first) * below, tiles[1]), bool)
        found[i, j] = True
        assert found.sum() == len(i)
        np.testing.assert_array_equal(found, expected[first * below : last * below])
        assert (np.diff(i * tiles[1] + j) > 0).all()


def test_promising_tiles_are_near():
    (rows, x, row_boxes), (columns, y, column_boxes) = trees(600, 500)
    search = Search(row_boxes, column_boxes, squared_gaps)
    i, j = search.promising(0, 2**search.start, 2)
    np.testing.assert_array_equal(np.bincount(i), np.full(2**rows.depth, 2))
    near = []
    for a, b in zip(i, j, strict=True):
        some = x[rows.edges[a] : rows.edges[a + 1]], y[columns.edges[b] : columns.edges[b + 1]]
        near.append(((some[0][:, None] - some[1]) ** 2).sum(axis=2).max())
    assert np.median(near) < 0.1  # of points in the unit square
    i, j = search.promising_for([(x[:50], x[:50])], 3)
    np.testing.assert_array_equal(np.bincount(i), np.full(50, 3))
    gaps = [((x[a] - y[columns.edges[b] : columns.edges[b + 1]]) ** 2).sum(axis=1).max() for a, b in zip(i, j, strict=True)]
    assert np.median(gaps) < 0.1


def test_blocks_join_neighbours_and_meet_the_rest():
    row_edges, column_edges = np.array([0, 3, 5]), np.array([0, 4, 8, 12])
    rows, slices, columns = blocks_of(np.array([0, 0, 1]), np.array([0, 1, 0]), row_edges, column_edges, 15)
    np.testing.assert_array_equal(rows, [[0, 3], [3, 5]])
    np.testing.assert_array_equal(slices, [2, 4])
    np.testing.assert_array_equal(columns, [[0, 8], [12, 15], [0, 4], [12, 15]])
