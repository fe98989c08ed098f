"""The generated kernels, compiled to machine code for three generations of GPUs: what they use, and what a pair costs.

No device is needed. An instruction count is no timing; but a kernel that issues more instructions per pair than its budget
has become slower, so these are the tests of performance of a machine without a GPU.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from skkeops import Genred
from skkeops.backends.cuda import Options, source
from skkeops.backends.cuda.folds.base import GROUP
from skkeops.backends.cuda.source import points_source
from skkeops.backends.cuda.templates import templates
from skkeops.plan.plan import make_plan

from . import nvrtc, zoo

pytestmark = pytest.mark.skipif(not nvrtc.available(), reason="needs the wheel nvidia-cuda-nvrtc: pip install '.[gpu-test]'")

DTYPES = ["float32", "float64"]


def compile_all(sources, arch):
    """NVRTC works in threads."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda made: nvrtc.compile_source(made.text, made.options, arch), sources))


def of_axis_1(entries):
    """The axes have the same kernels, with the roles of the variables changed."""
    return [e for e in entries if e.name.endswith("/1")]


def problems():
    """A problem for each reduction and gradient, and one for each template and fold, with the template."""
    entries = of_axis_1(zoo.REDUCTIONS) + [e for e, _ in zoo.gradients()]
    found = [(e.name, e.problem, "auto") for e in entries]
    few = of_axis_1(zoo.REDUCTIONS)
    few = few[:10:3] + [e for e in few if e.problem.reduction.fold == "kmin"]
    found += [(f"columns: {e.name}", e.problem, "columns") for e in few]
    found += [(f"dot: {e.name}", e.problem, "auto") for e in of_axis_1(zoo.DOT)]
    found += [(f"matrix: {e.name}", e.problem, "auto") for e in of_axis_1(zoo.MATRIX)]
    return found + [(f"wide: {e.name}", e.problem, "wide") for e in of_axis_1(zoo.WIDE)[::2]]


def check_usage(name, made, compiled):
    usage = compiled.kernels[made.kernels[0]]
    assert usage.spilled == 0, (name, usage)
    assert usage.registers <= made.registers, (name, usage)
    assert usage.shared <= 48 << 10, (name, usage)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_kernel_spills(dtype):
    found = problems()
    sources = [source(make_plan(problem), dtype, None, template) for _, problem, template in found]
    assert {made.template for made in sources} == {cls.name for cls in templates()}
    for (name, _, _), made, compiled in zip(found, sources, compile_all(sources, "sm_90"), strict=True):
        check_usage(name, made, compiled)
        assert set(compiled.kernels) == set(made.kernels)


@pytest.mark.parametrize("columns", [28, 30, 32])
@pytest.mark.parametrize("formula", ["Exp(-SqDist(x, y)) * b", "Cos(x | y) * b"])
def test_no_sum_of_many_columns_spills(formula, columns):
    # Where the sums of a row in float64 fill the registers, the elementary function has none left.
    problem = zoo.entry("", formula, ["x = Vi(3)", "y = Vj(3)", f"b = Vj({columns})"]).problem
    made = source(make_plan(problem), "float64")
    check_usage(columns, made, nvrtc.compile_source(made.text, made.options, "sm_90"))


@pytest.mark.parametrize("arch", ["sm_80", "sm_100"])
def test_other_generations(arch):
    found = problems()[::7]
    sources = [source(make_plan(problem), dtype, None, template) for _, problem, template in found for dtype in DTYPES]
    for made, compiled in zip(sources, compile_all(sources, arch), strict=True):
        check_usage(arch, made, compiled)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_operation_compiles(dtype):
    sources = [points_source(p.values, p.variables, dtype) for p, _ in zoo.operations()]
    compile_all(sources, "sm_90")


# -- what a pair costs ----------------------------------------------------------------------------------------------


class Golden(NamedTuple):
    """A kernel and the most instructions that it may issue per pair."""

    budget: float
    formula: str
    aliases: tuple[str, ...]
    reduction: str = "Sum"
    dtype: str = "float32"
    options: dict = {}  # noqa: RUF012
    choices: Options = Options()


XYB = (*zoo.XY, "b = Vj(1)")
PAXY = ("p = Pm(1)", "a = Vj(1)", "x = Vi(1)", "y = Vj(1)")
GOLDEN = {
    "gaussian sum": Golden(9.0, "Exp(-SqDist(x, y)) * b", XYB),
    "gaussian sum with a width": Golden(9.0, "Exp(-SqDist(x, y) / (2 * Square(s))) * b", ("s = Pm(1)", *XYB)),
    "gaussian sum with a factor of any sign": Golden(9.1, "Exp(-g * SqDist(x, y)) * b", ("g = Pm(1)", *XYB)),
    "gaussian sum, exact": Golden(17.0, "Exp(-SqDist(x, y)) * b", XYB, choices=Options(fast_math=False)),
    "gaussian sum, kahan": Golden(16.0, "Exp(-SqDist(x, y)) * b", XYB, choices=Options("kahan")),
    "gaussian sum in float64": Golden(44.0, "Exp(-SqDist(x, y)) * b", XYB, dtype="float64"),
    "gaussian sum in one dimension": Golden(4.9, "Exp(-SqDist(x, y)) * b", ("x = Vi(1)", "y = Vj(1)", "b = Vj(1)")),
    "gaussian by x": Golden(13.7, "Exp(-g * SqDist(x, y)) * b * (x - y)", ("g = Pm(1)", *XYB)),
    "gaussian by y": Golden(13.7, "Exp(-SqDist(x, y)) * b * (y - x)", XYB),
    "gaussian by the factor": Golden(11.0, "Exp(-g * SqDist(x, y)) * b * SqDist(x, y)", ("g = Pm(1)", *XYB)),
    "exponential of absolute values": Golden(9.1, "Exp(-g * Sum(Abs(x - y))) * b", ("g = Pm(1)", *XYB)),
    "log-sum-exp with a factor of any sign": Golden(9.2, "g * SqDist(x, y)", ("g = Pm(1)", *zoo.XY), "LogSumExp"),
    "laplacian sum": Golden(11.5, "Exp(-Norm2(x - y)) * b", XYB),
    "exponential of a product": Golden(6.0, "Exp(x | y) * b", XYB),
    "cauchy sum": Golden(13.5, "b / (1 + SqDist(x, y))", XYB),
    "log-sum-exp of the first page": Golden(6.0, "Square(p - a) * Exp(x + y)", PAXY, "LogSumExp"),
    "log-sum-exp of squared distances": Golden(9.0, "-SqDist(x, y)", zoo.XY, "LogSumExp"),
    "softmax": Golden(9.0, "x | y", (*zoo.XY, "b = Vj(2)"), "SumSoftMaxWeight", options={"formula2": "b"}),
    "argkmin 10": Golden(9.0, "SqDist(x, y)", zoo.XY, "ArgKMin", options={"opt_arg": 10}),
    "sum of absolute differences": Golden(3.0, "Abs(x - y)", ("x = Vi(1)", "y = Vj(1)")),
    "argkmin 64": Golden(9.0, "SqDist(x, y)", zoo.XY, "ArgKMin", options={"opt_arg": 64}),
    "argmin": Golden(8.5, "SqDist(x, y)", zoo.XY, "ArgMin"),
    "max": Golden(2.8, "x * y", ("x = Vi(1)", "y = Vj(1)"), "Max"),
    "matern": Golden(13.5, "(1 + Norm2(x - y)) * Exp(-Norm2(x - y)) * b", XYB),
}


def golden_source(golden):
    genred = Genred(golden.formula, list(golden.aliases), golden.reduction, axis=1, **golden.options)
    return source(make_plan(genred._problem), golden.dtype, golden.choices)


def group_loop(compiled):
    """The loop over groups of pairs: the longest without a barrier."""
    found = [loop for loop in nvrtc.loops(compiled.cubin, "skk_rows", nvrtc.longest_way) if not loop.counts["BAR"]]
    return max(found, key=lambda loop: loop.slots)


needs_disassembler = pytest.mark.skipif(
    nvrtc.disassembler() is None, reason="needs the wheel nvidia-cuda-nvdisasm: pip install '.[gpu-test]'"
)


@needs_disassembler
def test_what_a_pair_costs(capsys):
    sources = [golden_source(golden) for golden in GOLDEN.values()]
    over, table = [], []
    for (name, golden), made, compiled in zip(GOLDEN.items(), sources, compile_all(sources, "sm_90"), strict=True):
        loop = group_loop(compiled)
        slots = loop.slots / (GROUP * made.rows_per_block / 128)
        mufu = loop.counts["MUFU"] / (GROUP * made.rows_per_block / 128)
        usage = compiled.kernels["skk_rows"]
        table.append(f"{name:40} {slots:6.2f} of {golden.budget:5.1f}  MUFU {mufu:4.2f}  registers {usage.registers}")
        check_usage(name, made, compiled)
        assert not loop.counts["LDL"] and not loop.counts["STL"], f"{name}: local memory in the loop over pairs"
        assert not loop.counts["I2F"] and not loop.counts["F2I"], f"{name}: conversions of integers"
        if golden.dtype == "float32":
            assert slots >= 2, f"{name}: the loop that was found is not the loop over pairs"
        if slots > golden.budget:
            over.append(table[-1])
    with capsys.disabled():
        print("\ninstructions per pair, sm_90\n" + "\n".join(table))
    assert not over


class Long(NamedTuple):
    """A kernel of the template "dot" and the most instructions per pair and component, loads included."""

    budget: float
    formula: str
    dtype: str
    choices: Options = Options()
    reduction: str = "Sum"
    options: dict = {}  # noqa: RUF012


EXACT = Options(fast_math=False)
NEAREST = {"reduction": "ArgKMin", "options": {"opt_arg": 10}}
LONG = [
    Long(1.3, "x | y", "float32"),
    Long(1.3, "SqDist(x, y)", "float32"),
    Long(2.3, "SqDist(x, y)", "float32", EXACT),
    Long(2.3, "Sum(Abs(x - y))", "float32"),
    Long(1.9, "x | y", "float64"),
    Long(1.95, "SqDist(x, y)", "float64"),
    Long(2.9, "SqDist(x, y)", "float64", EXACT),
    Long(1.3, "SqDist(x, y)", "float32", **NEAREST),
    Long(2.3, "SqDist(x, y)", "float32", EXACT, **NEAREST),
    Long(1.95, "SqDist(x, y)", "float64", **NEAREST),
]


@needs_disassembler
def test_what_a_component_of_a_long_vector_costs(capsys):
    """A slab of 16 components, four in a turn of the inner loop, for 8 x 8 pairs of a thread, 4 x 4 in float64."""
    sources = []
    for long in LONG:
        formula, b = (long.formula, []) if long.reduction != "Sum" else (f"Exp(-({long.formula})) * b", ["b = Vj(1)"])
        genred = Genred(formula, ["x = Vi(64)", "y = Vj(64)", *b], long.reduction, axis=1, **long.options)
        sources.append(source(make_plan(genred._problem), long.dtype, long.choices))
    table, over = [], []
    for long, made, compiled in zip(LONG, sources, compile_all(sources, "sm_90"), strict=True):
        check_usage(str(long), made, compiled)
        arithmetic = ("FFMA", "FADD") if long.dtype == "float32" else ("DFMA", "DADD")
        pairs = 64 if long.dtype == "float32" else 16
        found = nvrtc.loops(compiled.cubin, "skk_dot")
        inner = [loop for loop in found if not loop.counts["BAR"] and loop.counts["LDS"] == 16]
        loop = min(inner, key=lambda loop: sum(loop.counts[name] for name in arithmetic))  # the product, not its substitute
        assert sum(loop.counts[name] for name in arithmetic) >= 4 * pairs and not loop.counts["LDL"], (long, loop.counts)
        slab = next(loop for loop in found if loop.counts["BAR"] == 2 and loop.counts["STS"])
        per_component = (slab.slots + 3 * loop.slots) / (16 * pairs)
        usage = compiled.kernels["skk_dot"]
        table.append(
            f"{long.reduction:8} {long.formula:16} {long.dtype} {'' if long.choices.fast_math else 'exact':6}"
            f"{per_component:5.2f} of {long.budget}, the loop alone {loop.slots / (4 * pairs):5.2f}  registers {usage.registers}"
        )
        if per_component > long.budget:
            over.append(table[-1])
    with capsys.disabled():
        print("\ninstructions per pair and component, sm_90\n" + "\n".join(table))
    assert not over


@needs_disassembler
def test_what_a_list_of_long_vectors_costs(capsys):
    """The values of a tile on their way to the threads that keep the lists: by stores and loads of four."""
    genred = Genred("SqDist(x, y)", ["x = Vi(64)", "y = Vj(64)"], "ArgKMin", axis=1, opt_arg=10)
    made = source(make_plan(genred._problem), "float32")
    found = nvrtc.loops(compile_all([made], "sm_90")[0].cubin, "skk_dot")
    scans = [loop for loop in found if loop.counts["FMNMX"] >= GROUP]
    per_pair = [loop.slots / GROUP for loop in scans]
    with capsys.disabled():
        print("\ninstructions per pair of a scan: " + ", ".join(f"{slots:.2f}" for slots in per_pair))
    assert len(scans) == 2 and max(per_pair) <= 3.5 and all(loop.counts["LDS"] == 4 for loop in scans)


#: Of the template "matrix": the output columns of a thread, their kind, and the most instructions per pair and column.
PRODUCTS = {
    ("Exp(-SqDist(x, y)) * b", ("x = Vi(64)", "y = Vj(64)", "b = Vj(64)"), "Sum"): (4, 1.4),
    ("(x | y) * b", ("x = Vi(3)", "y = Vj(3)", "b = Vj(128)"), "Sum"): (8, 1.32),
    ("Exp(-SqDist(x, y)) * b", ("x = Vi(64)", "y = Vj(64)", "b = Vj(224)"), "Sum"): (7, 1.38),
    ("Exp(-SqDist(x, y)) * b", ("x = Vi(784)", "y = Vj(784)", "b = Vj(784)"), "Sum"): (7, 1.42),
    ("Exp(-SqDist(x, y)) * b * (x - y)", ("x = Vi(64)", "y = Vj(64)", "b = Vj(1)"), "Sum"): (4, 2.4),
    ("x | y", ("x = Vi(64)", "y = Vj(64)", "b = Vj(64)"), "SumSoftMaxWeight"): (4, 1.4),
}


@needs_disassembler
def test_what_a_pair_costs_for_each_of_many_columns(capsys):
    """The loop over the pairs of a tile, 32 at a time for 8 rows, and that over four components of the pairs' number."""
    sources = []
    for formula, aliases, reduction in PRODUCTS:
        options = {"formula2": "b"} if reduction != "Sum" else {}
        sources.append(source(make_plan(Genred(formula, list(aliases), reduction, axis=1, **options)._problem), "float32"))
    table, over = [], []
    for key, made, compiled in zip(PRODUCTS, sources, compile_all(sources, "sm_90"), strict=True):
        formula, aliases, _ = key
        columns, budget = PRODUCTS[key]
        check_usage(formula, made, compiled)
        loops = nvrtc.loops(compiled.cubin, "skk_matrix")
        multiply = max((loop for loop in loops if loop.counts["BAR"]), key=lambda loop: loop.counts["FFMA"])
        assert multiply.counts["FFMA"] == 32 * 8 * columns, (formula, multiply.counts)
        assert not multiply.counts["LDL"] and not multiply.counts["STL"], formula
        slots = multiply.slots / (32 * 8 * columns)
        table.append(f"{formula:34} {aliases[-1]:12} {slots:5.2f} of {budget}")
        if slots > budget:
            over.append(table[-1])
        slab = [loop for loop in loops if not loop.counts["BAR"] and loop.counts["FFMA"] == 4 * 32]
        if "(3)" not in aliases[0]:
            per_component = slab[0].slots / (4 * 32)
            assert per_component <= (2.2 if "SqDist" in formula else 1.16), (formula, per_component)
            table[-1] += f", per component {per_component:.2f}"
    with capsys.disabled():
        print("\ninstructions per pair and column, sm_90\n" + "\n".join(table))
    assert not over
