"""What can be said of generated sources without a compiler."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

from skkeops import Genred
from skkeops.backends.cuda import Options, source
from skkeops.backends.cuda.launch.geometry import split
from skkeops.backends.cuda.launch.ranges import divide
from skkeops.backends.cuda.source import choose_template
from skkeops.backends.cuda.templates.matrix.sizes import Sizes
from skkeops.formula import operations as ops
from skkeops.formula import postorder
from skkeops.formula.operations import registry
from skkeops.plan.plan import make_plan

from . import zoo

XY = list(zoo.XY)


def plan_of(formula, aliases=XY, reduction="Sum", **options):
    return make_plan(Genred(formula, aliases, reduction, axis=1, **options)._problem)


def test_every_operation_has_a_rule():
    families = (ops.Selection, ops.Bilinear, ops.Contraction)
    for name, operation in registry.items():
        if inspect.isclass(operation):
            assert issubclass(operation, families) or operation.cuda, f"{name} has neither a family's rule nor its own"


def test_the_bilinear_operations_are_the_same_as_tables_and_as_tensors():
    from skkeops.formula import Variable
    from skkeops.formula.operations import lookup

    def v(k, dim):
        return Variable(k, dim, k)

    nodes = [
        lookup("Scalprod").build(v(0, 5), v(1, 5)),
        lookup("MatVecMult").build(v(0, 6), v(1, 3)),
        lookup("VecMatMult").build(v(0, 2), v(1, 6)),
        lookup("TensorProd").build(v(0, 2), v(1, 3)),
        lookup("TensorDot").build(v(0, 12), v(1, 30), (2, 2, 3), (5, 3, 2), (2,), (1,), (3, 0, 1, 2)),
    ]
    rng = np.random.default_rng(0)
    for node in nodes:
        f, g = (rng.standard_normal(arg.dim) for arg in node.args)
        dims_f, dims_g, cont_f, cont_g, perm = node.tensors()
        found = np.tensordot(f.reshape(dims_f), g.reshape(dims_g), (cont_f, cont_g))
        found = np.moveaxis(found, range(found.ndim), perm) if perm else found
        by_table = [sum(f[a] * g[b] for a, b in terms) for terms in node.terms()]
        np.testing.assert_allclose(found.ravel(), by_table)


def test_sources_need_no_cupy_and_no_header():
    code = (
        "import sys; from skkeops import Genred; from skkeops.backends import cuda; from skkeops.plan.plan import make_plan;"
        "g = Genred('Exp(x * y)', ['x = Vi(1)', 'y = Vj(1)'], axis=1);"
        "text = cuda.source(make_plan(g._problem), 'float32').text;"
        "assert 'cupy' not in sys.modules and '#include' not in text"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sources_are_reproducible():
    plans = [make_plan(e.problem) for e in zoo.REDUCTIONS]
    from skkeops.backends.cuda.source import _source

    first = [source(plan, "float32").text for plan in plans]
    _source.cache_clear()
    assert first == [source(plan, "float32").text for plan in plans]


def test_which_template():
    plan = plan_of("Exp(-SqDist(x, y))")
    kmin = plan_of("SqDist(x, y)", reduction="KMin", opt_arg=2)
    assert choose_template(plan, 10, 10**7) == "columns"
    assert choose_template(plan, 10, 100) == choose_template(plan, 10**5, 10**5) == "auto"
    many = plan_of("SqDist(x, y)", reduction="KMin", opt_arg=65)
    assert choose_template(kmin, 10, 10**7) == "columns" and choose_template(many, 10, 10**7) == "auto"
    assert source(kmin, "float32", None, "columns").template == "columns"
    assert source(many, "float32", None, "columns").template == "rows"
    long = ["x = Vi(300)", "y = Vj(300)"]
    for formula, aliases, reduction, template in (
        ("Exp(-SqDist(x, y))", XY, "Sum", "rows"),
        ("Exp(-SqDist(x, y))", long, "Sum", "dot"),
        ("Exp(-SqDist(x, y)) * x", long, "Sum", "dot"),  # x leaves the sum
        ("Exp(-SqDist(x, y)) * y", long, "Sum", "matrix"),
        ("Exp(-SqNorm2((x - y) * s))", ["s = Pm(40)", "x = Vi(40)", "y = Vj(40)"], "Sum", "matrix"),
        ("SqNorm2((x - y) * s)", ["s = Pm(40)", "x = Vi(40)", "y = Vj(40)"], "Min", "rows"),
        ("Exp(-SqDist(x, y)) + (x | y)", long, "Sum", "matrix"),
        ("Exp(-SqDist(x, y)) * (x + y)", long, "Sum", "wide"),
        ("(x | y) + Sum(Abs(x - y)) + SqDist(x, y)", long, "Sum", "wide"),  # three sums over components
        ("Exp(-SqDist(x, y)) * b", [*XY, "b = Vj(48)"], "Sum", "rows"),
        ("Exp(-SqDist(x, y)) * b", [*XY, "b = Vj(49)"], "Sum", "matrix"),
        ("Exp(-SqDist(x, y)) * b", ["x = Vi(40)", "y = Vj(40)", "b = Vj(16)"], "Sum", "dot"),
        ("Exp(-SqDist(x, y)) * b", ["x = Vi(40)", "y = Vj(40)", "b = Vj(17)"], "Sum", "matrix"),
        ("x - y", long, "Max", "wide"),
        (" * ".join(f"Exp((x | Cos({k} * y)) / 900)" for k in range(1, 11)), ["x = Vi(90)", "y = Vj(90)"], "Sum", "wide"),
    ):
        assert source(plan_of(formula, aliases, reduction), "float32").template == template, formula
    assert source(plan_of("Exp(-SqDist(x, y))", long), "float32", None, "ranges").template == "wide"
    assert source(plan_of("Exp(-SqDist(x, y))", long), "float32", None, "rows").template == "dot"  # a name asks for no ranges
    many = plan_of("Exp(-SqDist(x, y)) * y", long)
    assert source(many, "float32", None, "ranges").template == "wide"
    assert source(many, "float32", None, "columns").template == "matrix"  # few rows
    for formula, reduction, options, template in (
        ("Exp(-SqDist(x, y))", "Sum", {}, "dot"),  # few rows of vectors too long for registers
        ("SqDist(x, y)", "ArgKMin", {"opt_arg": 100}, "dot"),
        ("x - y", "ArgKMin", {"opt_arg": 2}, "wide"),
        ("SqDist(x, y)" + "".join(f" + Elem(x, {k}) * Elem(y, {k})" for k in range(40)), "KMin", {"opt_arg": 20}, "wide"),
    ):
        assert source(plan_of(formula, long, reduction, **options), "float32", None, "columns").template == template, formula


@pytest.mark.parametrize("columns", [1, 17, 64, 65, 128, 129, 224, 225, 448, 449, 784, 5000])
@pytest.mark.parametrize("kind", ["sum", "difference", "softmax"])
@pytest.mark.parametrize("real", ["float", "double"])
@pytest.mark.parametrize("length", [64, 128])
def test_many_columns_are_divided_among_blocks(columns, kind, real, length):
    sizes = Sizes(columns, real, kind, length)
    chunks = -(-columns // sizes.chunk)
    assert sizes.chunk <= sizes.columns and (chunks - 1) * sizes.chunk < columns
    assert sizes.shape.rows * sizes.shape.columns * (4 if real == "float" else 8) <= 32 << 10
    assert sizes.columns - sizes.chunk < sizes.shape.lanes
    assert kind != "softmax" or sizes.shape.lanes <= 32  # a row is within a warp


@pytest.mark.parametrize("row_blocks", [1, 3, 100, 5000])
@pytest.mark.parametrize("n", [1, 255, 256, 513, 100000, 10**9, 3 * 10**10])
def test_splits_cover_the_axis_with_two_tiles_or_more(row_blocks, n):
    splits, chunk = split(row_blocks, n, 256)
    assert (splits - 1) * chunk < n <= splits * chunk and chunk % 256 == 0
    assert (splits == 1 or chunk >= 512) and chunk <= 2**30 + 256


def test_an_empty_axis_has_no_main_kernel():
    made = source(plan_of("Exp(-SqDist(x, y))"), "float32")
    assert [launch.kernel for launch in made.geometry(5, 0).launches] == ["skk_merge_result"]
    assert made.geometry(0, 5).launches == () and made.geometry(0, 5).workspace == 0


def test_indices_have_64_bits():
    made = source(plan_of("Exp(-SqDist(x, y))"), "float32")
    assert "i * 3LL" in made.text and "j * 3LL" in made.text
    assert made.geometry(3 * 10**9, 10).launches[0].grid[0] == -(-3 * 10**9 // made.rows_per_block)


def test_what_is_too_large_is_refused():
    with pytest.raises(ValueError, match="K up to 4096, found 5000"):
        source(plan_of("SqDist(x, y)", reduction="KMin", opt_arg=5000), "float32")
    with pytest.raises(ValueError, match="K up to 4096 / 3 components = 1365, found 2000"):
        source(plan_of("x - y", reduction="KMin", opt_arg=2000), "float32")
    with pytest.raises(ValueError, match="at most 65535 columns, found 70000"):
        source(plan_of("x * y", ["x = Vi(70000)", "y = Vj(70000)"], "KMin", opt_arg=2), "float32")


def test_options_of_keops():
    assert Options.of_genred() == Options("block", True)
    assert Options.of_genred(sum_scheme="kahan_scheme", use_fast_math=False) == Options("kahan", False)
    assert Options.of_genred("float64") == Options.of_genred(use_double_acc=True) == Options("float64")


def test_work_has_every_pair_once(monkeypatch):
    from skkeops.backends.cuda.launch import ranges as module

    rng = np.random.default_rng(0)
    for shares in (8 * 2 * 132 * 4, 3, 1):
        monkeypatch.setattr(module, "_SHARES", shares)
        for _ in range(40):
            n, columns, tile = int(rng.integers(1, 300)), 500, 8
            cuts = np.sort(rng.choice(np.arange(n + 1), size=min(6, n + 1), replace=False))
            rows = np.stack([cuts[:-1], cuts[1:]], axis=1)[::2]
            slices = np.cumsum(rng.integers(0, 3, len(rows)))
            reduced = np.sort(rng.integers(0, columns, (int(slices[-1]) if len(slices) else 0, 2)), axis=1)
            expected = np.zeros((n, columns), int)
            for (a, b), first, last in zip(rows, [0, *slices], slices):
                for c, d in reduced[first:last]:
                    expected[a:b, c:d] += 1
            work = divide((rows, slices, reduced), n, 64, tile)
            found, owner = np.zeros((n, columns), int), np.full(work.rows, -1)
            total = 0
            for (a, b, first, last, place), pairs in zip(work.items, work.pairs):
                assert b - a <= 64 and first < last
                assert (owner[place : place + b - a] == -1).all()  # no other item writes there
                owner[place : place + b - a] = np.arange(a, b)
                for c, d in work.segments[first:last]:
                    assert c < d
                    found[a:b, c:d] += 1
                    total += (b - a) * (d - c)
                assert total == pairs
            np.testing.assert_array_equal(found, expected)
            covered = np.concatenate([np.arange(a, b) for a, b, *_ in work.blocks])
            np.testing.assert_array_equal(covered, np.arange(n))
            for a, b, place, count in work.blocks:
                np.testing.assert_array_equal(owner[place : place + count * (b - a)], np.tile(np.arange(a, b), count))
            assert work.most == work.blocks[:, 3].max() and work.tallest == (work.blocks[:, 1] - work.blocks[:, 0]).max()
            assert (owner >= 0).all()


def test_long_ranges_are_divided_and_short_ones_are_not():
    columns = 10**6
    one = np.array([[0, 100]]), np.array([1]), np.array([[5, columns]])
    work = divide(one, 1000, 512, 256)
    assert work.most == -(-(columns - 5) // 512) and len(work.blocks) == 3  # two tiles each
    many = np.stack([np.arange(10**5), np.arange(1, 10**5 + 1)], axis=1)
    work = divide((many, np.arange(1, 10**5 + 1), np.stack([many[:, 0], many[:, 1] + 99], axis=1)), 10**5, 512, 256)
    assert work.most == 1 and len(work.items) == 10**5
    # no item has much more than its share of the whole
    half = np.array([[0, 512], [512, 10**6]]), np.array([1, 2]), np.array([[0, 10**6], [0, 1000]])
    work = divide(half, 10**6, 512, 256)
    assert np.diff(work.pairs, prepend=0).max() <= max(512 * 512, work.pairs[-1] / 4000)


def _repeated(step, n):
    f = "x - y"
    for _ in range(n):
        f = step.format(f=f"({f})")
    return f


@pytest.mark.parametrize(
    ("formula", "aliases"),
    [
        ("ComplexPow(x - y, 63)", ["x = Vi(400)", "y = Vj(400)"]),
        ("ComplexPow(x - y, 63)", ["x = Vi(6)", "y = Vj(6)"]),
        ("Grad(ComplexPow(x - y, 15), x, e)", ["x = Vi(200)", "y = Vj(200)", "e = Vi(200)"]),
        ("BSpline(k, b, 8)", ["k = Pm(27)", "b = Vj(1)"]),
        ("BSpline(k, b - x, 8)", ["k = Pm(300)", "b = Vj(1)", "x = Vi(1)"]),
        ("Grad(Sum(BSpline(k, b - x, 8)), k, 1)", ["k = Pm(300)", "b = Vj(1)", "x = Vi(1)"]),
        *((_repeated(step, 7), ["x = Vi(200)", "y = Vj(200)"]) for step in (
            "Sin({f}) * Cos({f})",
            "Concat(Extract({f}, 1, 199), Elem({f}, 0)) + {f}",
            "ExtractT(Extract({f}, 1, 150), 30, 200) - Concat(Extract({f}, 100, 100), Extract({f}, 0, 100))",
            "ComplexMult({f}, Conj({f}) + {f})",
            "IfElse({f}, Sin({f}), {f} * x)",
        )),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("template", "dtype"), [("auto", "float32"), ("columns", "float32"), ("auto", "float64")])
def test_the_source_grows_as_the_formula_does(formula, aliases, template, dtype):
    plan = plan_of(formula, aliases)
    numbers = sum(node.dim for node in postorder(*plan.problem.values))
    found = source(plan, dtype, template=template)
    assert len(found.text) <= 25_000 + 150 * numbers
