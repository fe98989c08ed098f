"""What a warm call does beside its kernels: how little Python, nothing that waits, and nothing that a graph cannot capture."""

import pathlib
import sys

import numpy as np
import pytest

from skkeops import Genred, GPUError, KernelSolve, Vi, Vj

ROOT = pathlib.Path(__file__).parents[2]
ALIASES = ["x = Vi(2)", "y = Vj(2)", "b = Vj(1)", "p = Pm(1)"]
GAUSS, POWER = "Exp(-p * SqDist(x, y)) * b", "-p * SqDist(x, y)"
SUM, LSE = Genred(GAUSS, ALIASES, axis=1), Genred(POWER, ALIASES, "LogSumExp", axis=1)
NEAREST = Genred(POWER, ALIASES, "KMin_ArgKMin", axis=1, opt_arg=3)


@pytest.fixture
def arrays(rng):
    shapes = [(37, 2), (70, 2), (70, 1), (1,)]
    return [np.abs(rng.standard_normal(shape)).astype("float32") for shape in shapes]


def counted(cupy, call):
    """What a warm call does, as the stand-in counts it."""
    call()
    cupy.stand_in_counts.clear()
    call()
    return cupy.stand_in_counts


@pytest.mark.parametrize(("genred", "outputs"), [(SUM, 1), (LSE, 1), (NEAREST, 2)])
def test_a_warm_call(genred, outputs, emulated, arrays):
    """Two kernels, a workspace and the outputs; nothing of CuPy's own."""
    there = [emulated.asarray(a) for a in arrays]
    found = counted(emulated, lambda: genred(*there))
    assert [name for name, *_ in found.launches] == ["skk_rows", "skk_merge_result"]
    assert len(found.allocations) == 1 + outputs and found.allocations[1] == 37 * 4 * (1 if genred is not NEAREST else 3)
    assert not (found.functions or found.waits or found.compilations or found.to_host or found.to_device)


def test_a_warm_gradient(emulated, arrays):
    there = [emulated.asarray(a) for a in arrays]
    e = emulated.asarray(np.ones((37, 1), "float32"))
    found = counted(emulated, lambda: SUM.gradient(*there, wrt=("x", "y", "b"), grad_output=e))
    assert [name for name, *_ in found.launches] == 3 * ["skk_rows", "skk_merge_result"]
    assert len(found.allocations) == 6
    assert not (found.functions or found.waits or found.compilations or found.to_host or found.to_device)
    found = counted(emulated, lambda: SUM.gradient(*there, wrt="p"))  # ones, and the rows are added and converted
    assert found.functions == ["ones", "sum", "astype"] and len(found.launches) == 2
    found = counted(emulated, lambda: LSE.gradient(*there, wrt="x", output=e, grad_output=e))
    assert len(found.launches) == 2 and len(found.functions) <= 15, found.functions  # the shift of the exponents, and its rounding
    assert not (found.waits or found.compilations or found.to_host or found.to_device)


# -- Python ---------------------------------------------------------------------------------------------------------


def instructions(call):
    """The instructions of Python's bytecode that a call executes in our code."""
    count = _by_monitoring if sys.version_info >= (3, 12) else _by_tracing
    return count(call)


def _by_monitoring(call):
    """Python 3.12 and later tell of instructions through `sys.monitoring` only."""
    counts, monitoring = {"": 0}, sys.monitoring
    tool = monitoring.PROFILER_ID

    def count(code, offset):
        if "skkeops" not in code.co_filename:
            return monitoring.DISABLE
        counts[""] += 1
        return None

    monitoring.use_tool_id(tool, __name__)
    try:
        monitoring.register_callback(tool, monitoring.events.INSTRUCTION, count)
        monitoring.set_events(tool, monitoring.events.INSTRUCTION)
        call()
        monitoring.set_events(tool, monitoring.events.NO_EVENTS)
    finally:
        monitoring.free_tool_id(tool)
    return counts[""]


def _by_tracing(call):
    counts = {"": 0}

    def trace(frame, event, arg):
        if "skkeops" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        counts[""] += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return counts[""]


@pytest.fixture
def hollow(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.hollow import hollow_cupy

    with hollow_cupy() as cupy:
        yield cupy


def test_how_much_python_a_call_is(hollow):
    """Times are for `python -m benchmarks.gpu_calls`; these counts are the same on every machine."""
    f = Genred("Exp(-SqDist(x, y)) * b", ["x = Vi(3)", "y = Vj(3)", "b = Vj(1)"], axis=1)
    arrays = [hollow.ndarray((10, dim), np.dtype("float32")) for dim in (3, 3, 1)]
    e = hollow.ndarray((10, 1), np.dtype("float32"))
    for call, budget in ((lambda: f(*arrays), 850), (lambda: f.gradient(*arrays, wrt="x", grad_output=e), 1800)):
        call()
        found = instructions(call)
        assert 50 < found <= budget, f"{found} instructions of Python, of {budget}"


def test_the_benchmark_of_calls(hollow):
    from benchmarks import gpu_calls

    found = gpu_calls.calls(hollow)
    assert len(found) == 4
    for call in found.values():
        median, best = gpu_calls.microseconds(call, times=2, rounds=3)
        assert 0 < best <= median


# -- graphs ---------------------------------------------------------------------------------------------------------


RANGES = (
    *(np.array(a) for a in ([[0, 5], [5, 20]], [1, 3], [[0, 9], [4, 11], [15, 21]])),  # over j
    *(np.array(a) for a in ([[0, 9], [9, 21]], [1, 2], [[0, 5], [5, 20]])),  # over i
)


def sums(xp, x, y, b, p):
    return SUM(x, y, b, p)


def log_sums(xp, x, y, b, p):
    return LSE(x, y, b, p)


def nearest(xp, x, y, b, p):
    return NEAREST(x, y, b, p)


def gradients(xp, x, y, b, p):
    return SUM.gradient(x, y, b, p, wrt=("x", "y", "b", "p"), grad_output=x[:, :1])


def gradients_of_log_sums(xp, x, y, b, p):
    return LSE.gradient(x, y, b, p, wrt=("x", "y", "p"))


def values_and_gradients(xp, x, y, b, p):
    value, gradient = LSE.value_and_gradient(x, y, b, p, wrt="y")
    return value, gradient


def directional_derivatives(xp, x, y, b, p):
    return SUM.jvp(x, y, b, p, tangents={"y": y})


def sums_within_ranges(xp, x, y, b, p):
    return SUM(x, y, b, p, ranges=RANGES)


def matrix_products(xp, x, y, b, p):
    return (-((Vi(x) - Vj(y)) ** 2).sum(-1)).exp() @ b


def steps(xp, x, y, b, p):
    """Iterations of mean shift: calls that depend on each other, with functions of CuPy between them."""
    for _ in range(3):
        x = matrix_products(xp, x, y, y, p) / matrix_products(xp, x, y, xp.ones_like(b), p)
    return x


@pytest.mark.parametrize(
    "work",
    [
        sums, log_sums, nearest, gradients, gradients_of_log_sums, values_and_gradients, directional_derivatives,
        sums_within_ranges, matrix_products, steps,
    ],
    ids=lambda work: work.__name__,
)  # fmt: skip
def test_capture(work, cupy, arrays):
    """In a capture nothing waits, is copied or compiled; the graph computes anew from what the arrays then hold."""
    there = [cupy.asarray(a) for a in arrays]
    pool, stream = cupy.cuda.MemoryPool(), cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with cupy.cuda.using_allocator(pool.malloc), stream:
        work(cupy, *there)
        stream.begin_capture()
        captured = work(cupy, *there)
        graph = stream.end_capture()
        for a in there:
            a *= np.float32(0.7)
        stream.synchronize()
        if hasattr(cupy, "is_stand_in"):
            assert all(np.isnan(a.get()).all() for a in as_tuple(captured) if a.dtype.kind == "f")  # nothing has run
        for _ in range(2):
            graph.launch(stream)
        stream.synchronize()
        found = [a.get() for a in as_tuple(captured)]
        expected = [a.get() for a in as_tuple(work(cupy, *there))]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_cannot_be_captured(emulated, arrays):
    """A solver looks at its residual, the gradient of an extremum at its winners."""
    x, _, b, p = [emulated.asarray(a) for a in arrays]
    b = x[:, :1].copy()
    solve = KernelSolve("Exp(-p * SqDist(x, y)) * b", ["x = Vi(2)", "y = Vj(2)", "b = Vj(1)", "p = Pm(1)"], "b", axis=1)
    largest = Genred(POWER, ALIASES, "Max", axis=1)
    for call in (lambda: solve(x, x, b, p, alpha=0.1), lambda: largest.gradient(x, x, b, p, wrt="x")):
        call()
        with emulated.cuda.Stream() as stream:
            stream.begin_capture()
            with pytest.raises(GPUError, match="Capture"):
                call()
            stream.end_capture()


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)
