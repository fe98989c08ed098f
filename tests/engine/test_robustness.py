"""Long calls can be watched and stopped; forks, bad arrays and absurd dims do no harm; memory stays bounded."""

import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from skkeops import Genred
from skkeops.backends.cpu import _engine, prepare
from skkeops.plan import Problem

SQ = Genred("SqDist(x,y)", ["x = Vi(3)", "y = Vj(3)"], axis=1)


def in_a_process(code, timeout=60, **environment):
    return subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **environment},
    )


def cpu_program(formula="SqDist(x,y)", dims=3, reduction="Sum"):
    operator = Genred(formula, [f"x = Vi({dims})", f"y = Vj({dims})"], reduction, axis=1)
    return prepare(
        Problem.of(operator.reduction, operator.reduction.values(operator._problem.values[0]), 1, operator.variables)
    )


@pytest.mark.parametrize("m, n", [(4000, 20000), (3, 2000000), (100000, 30)])
def test_progress_is_told(m, n):
    x, y = np.ones((m, 3), np.float32), np.ones((n, 3), np.float32)
    seen = []
    cpu_program().state((x, y), None, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (m * n, m * n)
    done = [d for d, _ in seen]
    assert done == sorted(done) and {t for _, t in seen} == {m * n}


@pytest.mark.parametrize("m, n", [(4000, 20000), (3, 2000000)])
def test_an_exception_in_the_callback_comes_out(m, n):
    x, y = np.ones((m, 3), np.float32), np.zeros((n, 3), np.float32)
    program = cpu_program()

    def stop(done, total):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        program.state((x, y), None, stop)
    assert (program.state((x[:5], y))[0] == 3.0 * n).all()


LONG_CALLS = {  # each takes hours, or fills memory of a size that is known, and must end within a few steps
    "rows": ("operator(x, x)", 60000, 60000),
    "few rows": ("operator(x, y)", 2, 1000000000 // 4),
    "one block of all pairs": (
        "operator(x, y, ranges=2 * (np.array([[0, len(x)]]), np.array([1]), np.array([[0, len(y)]])))",
        500,
        1000000000 // 4,
    ),
    "dense": ("K.dense()", 3000, 10000),
    "a batch": ("LazyTensor.sum(((Vi(x[None]) - Vj(y[None])) ** 2).sum(-1).exp(), axis=2)", 60000, 60000),
    "sparse": ("(K * S).sum(axis=1)", 3000, 10000),
}


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("call", LONG_CALLS)
def test_interrupt(call):
    expression, m, n = LONG_CALLS[call]
    code = f"""
        import signal, time, numpy as np
        from scipy.sparse import csr_array, random_array
        from skkeops import Genred
        from skkeops.lazy import LazyTensor, Vi, Vj
        operator = Genred("Exp(-SqDist(x,y))", ["x = Vi(3)", "y = Vj(3)"], axis=1)
        one = np.ones((1, 3), np.float32)
        x, y = np.broadcast_to(one, ({m}, 3)), np.broadcast_to(one, ({n}, 3))
        if "K" in {expression!r}:
            K = (-((Vi(np.array(x)) - Vj(np.array(y))) ** 2).sum(-1)).exp()
            S = csr_array(random_array(K.shape, density=0.1, dtype=np.float32))
        operator(x[:3], y[:3])
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        start = time.monotonic()
        try:
            while True:
                {expression}
        except KeyboardInterrupt:
            print("stopped", time.monotonic() - start < 20)
    """
    done = in_a_process(code)
    assert done.stdout == "stopped True\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_after_threads():
    code = """
        import os, sys, warnings
        warnings.simplefilter("ignore")
        import numpy as np
        from skkeops import Genred
        operator = Genred("SqDist(x,y)", ["x = Vi(3)", "y = Vj(3)"], axis=1)
        x, y = np.ones((2000, 3)), np.zeros((2000, 3))
        before = operator(x, y)
        pid = os.fork()
        if pid == 0:
            same = (operator(x, y) == before).all()
            os._exit(0 if same else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), (operator(x, y) == before).all())
    """
    done = in_a_process(code, OMP_NUM_THREADS="4")
    assert done.stdout == "0 True\n", done.stderr


def test_the_gil_is_released():
    x, y = np.ones((20000, 3), np.float32), np.ones((20000, 3), np.float32)
    counted, running = [0], [True]

    def count():
        while running[0]:
            counted[0] += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        before = counted[0]
        for _ in range(5):
            SQ(x, y)
        assert counted[0] > before
    finally:
        running[0] = False
        thread.join()


MEMORY = """
    import resource, numpy as np
    from skkeops import Genred
    M, N, D = {m}, {n}, {dim}
    x, y = np.ones((M, D), np.float32), np.ones((N, D), np.float32)
    operator = Genred("{formula}", [f"x = Vi({{D}})", f"y = Vj({{D}})"], "{reduction}", axis=1, opt_arg={k})
    operator(x[:70], y[:70])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out = operator(x, y)
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    allowed = 2 * out.nbytes + x.nbytes + y.nbytes + (64 << 20)
    print(used <= allowed, used >> 20, allowed >> 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss in KiB")
@pytest.mark.parametrize(
    "m, n, dim, formula, reduction, k",
    [
        (100000, 20000, 3, "SqDist(x,y)", "Sum", None),
        (5, 2000000, 3, "SqDist(x,y)", "LogSumExp", None),
        (100000, 300, 3, "TensorProd(x,x)|TensorProd(y,y)", "Sum", None),
        (1500000, 8, 3, "SqDist(x,y)", "ArgKMin", 4),
        (2000000, 2, 4, "x-y", "Sum", None),
    ],
)
def test_memory(m, n, dim, formula, reduction, k):
    done = in_a_process(MEMORY.format(m=m, n=n, dim=dim, formula=formula, reduction=reduction, k=k))
    assert done.stdout.startswith("True"), done.stdout + done.stderr


def test_the_engine_refuses_arrays_that_it_would_misread():
    program = cpu_program().program(0, True)
    x, y = np.ones((5, 3)), np.ones((100, 3))
    assert program.run((x, y), 5, 100, 1)[0].shape == (5, 1)
    bad = [
        ((x,), ValueError, "2 arrays"),
        ((x, y, y), ValueError, "2 arrays"),
        ((x[:4], y), ValueError, r"array 0: expected shape \(5, 3\)"),
        ((x, y[:, :2]), ValueError, r"array 1: expected shape \(100, 3\)"),
        ((x.ravel(), y), ValueError, "array 0"),
        ((x.astype(np.float32), y), TypeError, "array 0: expected an ndarray of float64"),
        ((x.tolist(), y), TypeError, "array 0"),
        ((x.astype(">f8"), y), ValueError, "byte order"),
    ]
    for arrays, error, message in bad:
        with pytest.raises(error, match=message):
            program.run(arrays, 5, 100, 1)
    with pytest.raises(ValueError, match="negative"):
        program.run((x, y), -1, 100, 1)
    short = cpu_program().program(1, True)
    with pytest.raises(ValueError, match="at most 64"):
        short.run((x, y), 5, 100, 1)


def test_programs_that_were_not_built_do_not_run():
    empty, half = _engine.Program.__new__(_engine.Program), _engine.Program.__new__(_engine.Program)
    numbers = "order largest k width turned_width lane_planes row_planes const_planes n_temps tile_rows tile_lanes segment"
    fields = dict.fromkeys((numbers + " row_group").split(), 1)
    fields |= dict.fromkeys("variables terms turned literals tables".split(), [])
    fields |= {f"{place}_code": [] for place in ("pair", "lane", "row", "const")}
    fields |= {f"{place}_loads": [] for place in ("pair", "lane", "row", "const")}
    with pytest.raises(KeyError, match="no fold"):
        half.__init__(is_double=True, fold="no fold", value=None, **fields)
    for program in (empty, half):
        with pytest.raises(RuntimeError, match="not initialised"):
            program.run((), 1, 1, 1)
        with pytest.raises(RuntimeError, match="not initialised"):
            program.scratch_bytes()


def test_absurd_dims():
    operator = Genred("TensorProd(x,y)", ["x = Vi(4000)", "y = Vj(4000)"], axis=1)
    with pytest.raises(ValueError, match="too large"):
        operator(np.ones((2, 4000)), np.ones((2, 4000)))


def test_level_from_the_environment():
    code = "from skkeops.backends.cpu import engine_info; print(engine_info()['simd_level'])"
    for level in _engine.available_levels():
        assert in_a_process(code, SKKEOPS_SIMD_LEVEL=level).stdout.strip() == level
    done = in_a_process(code, SKKEOPS_SIMD_LEVEL="mmx")
    assert done.returncode != 0 and "SIMD level 'mmx' is not available" in done.stderr
