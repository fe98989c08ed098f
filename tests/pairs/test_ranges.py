"""Block-sparse reductions against dense ones with masks, and the clusters that they are made from."""

from __future__ import annotations

import numpy as np
import pytest

from skkeops import Genred, cluster

RNG = np.random.default_rng(5)
M, N = 130, 211
X, Y, B = RNG.normal(size=(M, 3)), RNG.normal(size=(N, 3)), RNG.normal(size=(N, 2))

REDUCTIONS = [
    ("Sum", {}),
    ("LogSumExp", {}),
    ("SumSoftMaxWeight", {"formula2": "b"}),
    ("Max", {}),
    ("ArgMin", {}),
    ("Min_ArgMin", {}),
    ("KMin", {"opt_arg": 3}),
    ("ArgKMin", {"opt_arg": 3}),
]
ALIASES = ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)", "p = Pm(1)"]
FORMULA = "Exp(-p * SqDist(x, y)) + Elem(b, 0)"
ARGS = (X, Y, B, np.array([0.7]))


def some_ranges(seed=0, rows=M, columns=N, n_i=7, n_j=9, share=0.4):
    """Ranges that leave rows and columns out, and the pairs that they stand for."""
    rng = np.random.default_rng(seed)

    def cuts(n, parts):
        ends = np.sort(rng.choice(np.arange(1, n), 2 * parts, replace=False))
        return ends.reshape(-1, 2)

    ranges_i, ranges_j = cuts(rows, n_i), cuts(columns, n_j)
    keep = rng.random((n_i, n_j)) < share
    keep[2] = False
    mask = np.zeros((rows, columns), dtype=bool)
    for (a, b), row in zip(ranges_i, keep):
        for (c, d), kept in zip(ranges_j, row):
            mask[a:b, c:d] = kept
    return cluster.from_matrix(ranges_i, ranges_j, keep), mask


def dense(op, options, mask, axis):
    """The reduction by NumPy, over the pairs of a mask."""
    f = np.exp(-0.7 * ((X[:, None] - Y) ** 2).sum(2)) + B[None, :, 0]
    values = np.broadcast_to(B[None], (*mask.shape, 2))
    if axis == 0:
        f, mask, values = f.T, mask.T, values.swapaxes(0, 1)
    rows, k = len(f), options.get("opt_arg", 1)
    low, high = np.where(mask, f, -np.inf), np.where(mask, f, np.inf)
    with np.errstate(all="ignore"):
        if op == "Sum":
            return (np.where(mask, f, 0).sum(1, keepdims=True),)
        if op == "LogSumExp":
            top = low.max(1, keepdims=True)
            return (np.log(np.where(mask, np.exp(f - np.where(np.isfinite(top), top, 0)), 0).sum(1, keepdims=True)) + top,)
        if op == "SumSoftMaxWeight":
            w = np.where(mask, np.exp(f - f.max()), 0)
            return (np.einsum("ij,ijk->ik", w, values) / w.sum(1, keepdims=True),)
    order = np.argsort(high, axis=1, kind="stable")[:, :k]
    least = np.take_along_axis(high, order, 1)
    order = np.where(np.isinf(least), -1, order)
    return {
        "Max": (low.max(1, keepdims=True),),
        "ArgMin": (order[:, :1],),
        "Min_ArgMin": (least[:, :1], order[:, :1]),
        "KMin": (least.reshape(rows, k),),
        "ArgKMin": (order.reshape(rows, k),),
    }[op]


@pytest.mark.parametrize("backend", ["CPU", "reference"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("op", "options"), REDUCTIONS)
def test_against_a_mask(op, options, axis, backend):
    ranges, mask = some_ranges()
    function = Genred(FORMULA, ALIASES, op, axis=axis, **options)
    result = function(*ARGS, ranges=ranges, backend=backend)
    result = result if isinstance(result, tuple) else (result,)
    for found, expected in zip(result, dense(op, options, mask, axis), strict=True):
        expected = expected.reshape(found.shape)
        if op == "SumSoftMaxWeight":  # 0 / 0 in rows without any pair, as over an empty axis
            empty = ~mask.any(axis)
            assert np.isnan(found[empty]).all()
            found, expected = found[~empty], expected[~empty]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_pairs_give_the_same_bits_as_without_ranges(dtype):
    args = [a.astype(dtype) for a in ARGS]
    everything = cluster.from_matrix([[0, M]], [[0, N]], [[True]])
    for op, options in REDUCTIONS:
        function = Genred(FORMULA, ALIASES, op, axis=1, **options)
        for a, b in zip(np.atleast_1d(function(*args, ranges=everything)), np.atleast_1d(function(*args))):
            np.testing.assert_array_equal(a, b)


def test_neighbouring_columns_are_one_range():
    """However the columns are cut, a block of neighbours is reduced as a whole: the same bits."""
    cuts = np.array([0, 1, 64, 65, 130, N])
    ranges_j = np.stack([cuts[:-1], cuts[1:]], axis=1)
    function = Genred(FORMULA, ALIASES, "Sum", axis=1)
    cut = function(*ARGS, ranges=cluster.from_matrix([[0, 50], [50, M]], ranges_j, np.ones((2, 5), dtype=bool)))
    np.testing.assert_array_equal(cut, function(*ARGS))


def test_threads_change_no_bit():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5000, 3))
    ends = np.linspace(0, 5000, 41).astype(int)
    blocks = np.stack([ends[:-1], ends[1:]], axis=1)
    ranges = cluster.from_matrix(blocks, blocks, rng.random((40, 40)) < 0.3)
    function = Genred("Exp(-SqDist(x,y))*y", ["x = Vi(3)", "y = Vj(3)"], axis=1)
    several = function(x, x, ranges=ranges)
    with threadpoolctl.threadpool_limits(1):
        np.testing.assert_array_equal(function(x, x, ranges=ranges), several)


@pytest.mark.parametrize("backend", ["CPU", "reference"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("op", "options"), [r for r in REDUCTIONS if not r[0].startswith("Arg")])
def test_gradients(op, options, axis, backend):
    """Against differences; both halves of the ranges take part."""
    ranges, mask = some_ranges(3)
    function = Genred(FORMULA, ALIASES, op, axis=axis, **options)
    covered = mask.any(axis)
    value = function(*ARGS, ranges=ranges)
    value = value[0] if isinstance(value, tuple) else value
    e = RNG.normal(size=value.shape)
    e[~covered] = 0  # rows without a pair are not differentiable: infinite, or 0 / 0

    def total(*args):
        result = function(*args, ranges=ranges, backend=backend)
        result = result[0] if isinstance(result, tuple) else result
        return (result[covered] * e[covered]).sum()

    gradients = function.gradient(*ARGS, wrt=("x", "y", "b", "p"), grad_output=e, ranges=ranges, backend=backend)
    for k, gradient in enumerate(gradients):
        direction = RNG.normal(size=ARGS[k].shape)
        moved = [[a + s * 1e-6 * direction if n == k else a for n, a in enumerate(ARGS)] for s in (1, -1)]
        difference = (total(*moved[0]) - total(*moved[1])) / 2e-6
        assert (gradient * direction).sum() == pytest.approx(difference, rel=1e-6, abs=1e-6)
    again, same = function.value_and_gradient(*ARGS, wrt="y", grad_output=e, ranges=ranges, backend=backend)
    np.testing.assert_array_equal(same, gradients[1])
    tangent = function.jvp(*ARGS, tangents={"y": Y}, ranges=ranges, backend=backend)
    assert (tangent[covered] * e[covered]).sum() == pytest.approx((gradients[1] * Y).sum(), rel=1e-9)


def test_order_of_blocks_and_empty_ones():
    """Row ranges in any order, empty ranges anywhere, no ranges at all."""
    function = Genred("Exp(-SqDist(x,y))", ["x = Vi(3)", "y = Vj(3)"], axis=1)
    (r_i, s_i, red, *rest), mask = some_ranges(4)
    expected = function(X, Y, ranges=(r_i, s_i, red, *rest))
    counts = np.diff(s_i, prepend=0)
    backwards = np.arange(len(r_i))[::-1]
    starts = s_i - counts
    mixed = np.concatenate([red[starts[b] : s_i[b]] for b in backwards])
    turned = (r_i[backwards], np.cumsum(counts[backwards]), mixed, *rest)
    np.testing.assert_array_equal(function(X, Y, ranges=turned), expected)
    nothing = (np.zeros((0, 2), int), np.zeros(0, int), np.zeros((0, 2), int)) * 2
    np.testing.assert_array_equal(function(X, Y, ranges=nothing), np.zeros((M, 1)))
    out = np.empty((M, 1))
    assert function(X, Y, ranges=(r_i, s_i, red, *rest), out=out) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda r: r[:3], TypeError, "ranges must be six arrays of integers"),
        (lambda r: 7, TypeError, "ranges must be six arrays of integers"),
        (lambda r: (r[0] + 0.5, *r[1:]), TypeError, "ranges_i must be integers: found dtype float64"),
        (lambda r: (r[0] + M, *r[1:]), ValueError, r"ranges_i must be ranges within 0 and 130"),
        (lambda r: (-r[0] - 1, *r[1:]), ValueError, r"ranges_i must be ranges within 0 and 130"),
        (lambda r: (r[0][:, ::-1], *r[1:]), ValueError, r"ranges_i must be ranges within 0 and 130"),
        (lambda r: (r[0], r[1], r[2] + N, *r[3:]), ValueError, "redranges_j must be ranges within 0 and 211"),
        (lambda r: (r[0], r[1] + 1000, *r[2:]), ValueError, "slices_i must ascend up to"),
        (lambda r: (r[0], r[1][::-1], *r[2:]), ValueError, "slices_i must ascend up to"),
        (lambda r: (r[0], r[1][:-1], *r[2:]), ValueError, "slices_i must have an end for each of the 7 ranges"),
        (lambda r: (r[0].ravel(), *r[1:]), ValueError, r"ranges_i must have the shape \(n, 2\)"),
        (lambda r: (np.array([[0, 9], [8, 12]]), r[1][:2], *r[2:]), ValueError, "ranges_i must not overlap"),
    ],
)
def test_bad_ranges(change, error, message):
    function = Genred("Exp(-SqDist(x,y))", ["x = Vi(3)", "y = Vj(3)"], axis=1)
    with pytest.raises(error, match=message):
        function(X, Y, ranges=change(some_ranges()[0]))


def test_the_other_half_is_checked_where_it_is_used():
    function = Genred("Exp(-SqDist(x,y))", ["x = Vi(3)", "y = Vj(3)"], axis=0)
    ranges = list(some_ranges()[0])
    ranges[5] = ranges[5] + M
    with pytest.raises(ValueError, match="redranges_i must be ranges within 0 and 130"):
        function(X, Y, ranges=ranges)


# Clusters


@pytest.mark.parametrize("dim", [1, 2, 3, 7])
def test_grid_cluster(dim):
    x = RNG.normal(size=(60, dim))
    labels = cluster.grid_cluster(x, 0.8)
    cells = np.floor(x / 0.8)
    same = (cells[:, None] == cells).all(2)
    np.testing.assert_array_equal(labels[:, None] == labels, same)
    assert set(labels) == set(range(labels.max() + 1))
    with pytest.raises(ValueError, match="size must be a positive number"):
        cluster.grid_cluster(x, 0.0)
    with pytest.raises(ValueError, match="x must be finite"):
        cluster.grid_cluster(x * np.nan, 1.0)


def test_clusters_are_those_of_keops():
    theirs = pytest.importorskip("pykeops.numpy.cluster")
    x, w = RNG.normal(size=(200, 2)), RNG.random(200)
    labels = cluster.grid_cluster(x, 0.7)
    weights = RNG.random(200)
    (x, w), labels = cluster.sort_clusters((x, w), labels)
    for a, b in zip(
        cluster.cluster_ranges_centroids(x, labels, weights), theirs.cluster_ranges_centroids(x, labels, weights)
    ):
        np.testing.assert_allclose(a, b)
    ranges, centroids, _ = cluster.cluster_ranges_centroids(x, labels)
    np.testing.assert_allclose(cluster.cluster_centroids(x, labels), theirs.cluster_centroids(x, labels))
    keep = ((centroids[:, None] - centroids) ** 2).sum(2) < 1
    for a, b in zip(cluster.from_matrix(ranges, ranges, keep), theirs.from_matrix(ranges, ranges, keep), strict=True):
        np.testing.assert_array_equal(a, b)


def test_bad_clusters():
    with pytest.raises(ValueError, match=r"keep must have a row for each of the 1 clusters .* found shape \(2, 2\)"):
        cluster.from_matrix([[0, 1]], [[0, 1]], np.ones((2, 2)))
    with pytest.raises(TypeError, match="lab must be integers"):
        cluster.cluster_ranges([0.5, 1.0])
    with pytest.raises(ValueError, match="lab must be labels from 0 on: found -1"):
        cluster.cluster_ranges([-1, 1])
    with pytest.raises(ValueError, match="x must have a row for each of the 2 labels"):
        cluster.sort_clusters(np.zeros((3, 1)), [0, 1])
    assert cluster.swap_axes(None) is None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cluster.from_matrix(np.inf, [[0, 1]], [[1]]), ValueError, "ranges_i must be whole numbers: found inf"),
        (lambda: cluster.from_matrix([[0, 1]], [[0, 0.5]], [[1]]), ValueError, "ranges_j must be whole numbers: found 0.5"),
        (lambda: cluster.from_matrix([[0, 10**20]], [[0, 1]], [[1]]), TypeError, "whole numbers: found dtype object"),
        (lambda: cluster.from_matrix([0, 1, 2], [[0, 1]], [[1]]), ValueError, r"ranges_i must have the shape \(C, 2\)"),
        (lambda: cluster.cluster_ranges([0, 0, 1], "a"), TypeError, "Nlab must be whole numbers: found dtype <U1"),
        (lambda: cluster.cluster_ranges([0, 0, 1], np.nan), ValueError, "Nlab must be whole numbers: found nan"),
        (lambda: cluster.cluster_ranges([0, 0, 1], [3, -1]), ValueError, "Nlab must be numbers of points, not negative: found -1"),
        (lambda: cluster.cluster_ranges([0, 0, 1], [[2], [1]]), ValueError, r"Nlab must have the shape \(C,\): found \(2, 1\)"),
        (lambda: cluster.cluster_centroids(np.ones((3, 2)), [0, 0, 1], "a"), TypeError, "Nlab must be whole numbers"),
    ],
)
def test_numbers_that_are_none(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_clusters_of_points_without_columns_and_ranges_of_whole_floats():
    ranges, centroids, counts = cluster.cluster_ranges_centroids(np.zeros((5, 0)), [0, 1, 1, 2, 2])
    assert centroids.shape == (3, 0)
    assert counts.tolist() == [1, 2, 2]
    expected = cluster.from_matrix(ranges, ranges, np.eye(3))
    for a, b in zip(cluster.from_matrix(ranges.astype(float), ranges.tolist(), np.eye(3)), expected, strict=True):
        np.testing.assert_array_equal(a, b)
