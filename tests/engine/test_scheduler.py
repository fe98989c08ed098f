"""However calls are cut, and whoever does the steps: the same bits, true progress, and nobody waits for a thread that sleeps."""

import os
import sys
import threading

import numpy as np
import pytest

from skkeops import Genred
from skkeops.backends.cpu import _engine, evaluate_pairs
from skkeops.backends.cpu import threads as counting
from skkeops.formula.aliases import parse_aliases
from skkeops.formula.parser import parse
from skkeops.lazy import LazyTensor

from .test_determinism import as_tuple, same
from .test_robustness import cpu_program, in_a_process

RNG = np.random.default_rng(5)


@pytest.fixture
def tune():
    """The scheduler's numbers, which are as before after the test."""
    before = _engine.tune()
    yield _engine.tune
    _engine.tune(**before)


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    monkeypatch.setattr("skkeops.backends.cpu.threads.n_threads", lambda: request.param)
    return request.param


# Steps of one segment or of everything, and looks after each step or never: what a call may meet, on any machine, at any load.
EXTREMES = [(1, 0.0), (1, 1e9), (1 << 40, 0.0), (1 << 40, 1e9), (1 << 20, 1e-4)]

CASES = [  # rows; columns, so that there are very many segments, of few numbers; components
    pytest.param(40, 40 * 8192 + 5, 1, id="many segments of many rows"),
    pytest.param(3, 60 * 8192 + 1, 1, id="many segments of few rows"),
    pytest.param(2100, 700, 2, id="many rows"),
    pytest.param(30000, 9, 2, id="a short axis"),
]


@pytest.mark.parametrize("task_work, wave_seconds", EXTREMES)
@pytest.mark.parametrize("m, n, dim", CASES)
def test_every_cut_gives_the_smallest_values(m, n, dim, task_work, wave_seconds, threads, tune):
    x, y = RNG.standard_normal((m, dim)), RNG.standard_normal((n, dim))
    some = RNG.choice(m, 3, replace=False)
    tune(task_work=task_work, wave_seconds=wave_seconds, serial_work=0, poison=True)
    told = []
    operator = Genred("SqDist(x,y)", [f"x = Vi({dim})", f"y = Vj({dim})"], "KMin_ArgKMin", axis=1, opt_arg=4)
    values, indices = operator(x, y, progress=lambda *numbers: told.append(numbers))
    distances = ((x[some, None] - y) ** 2).sum(axis=2)
    expected = np.argsort(distances, axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(indices[some], expected)
    np.testing.assert_allclose(values[some], np.take_along_axis(distances, expected, axis=1), rtol=1e-14)
    check_progress(told, m * n)
    if threads == 1 and wave_seconds == 0.0 and task_work == 1 and n > 8192:
        assert len(told) > n // 8192  # after each step


def check_progress(told, pairs):
    """Numbers of pairs that ascend to their total."""
    done = [d for d, _ in told]
    assert done == sorted(done) and done[0] >= 0 and told[-1] == (pairs, pairs)
    assert {total for _, total in told} == {pairs}


@pytest.mark.parametrize("task_work, wave_seconds", EXTREMES)
@pytest.mark.parametrize(
    "blocks",
    [
        [(k, k + 1, k % 7, k % 7 + 40) for k in range(5000)],  # as many tiny ones as there are rows
        [(0, 1200, 0, 20000)],  # a single one, of everything
        [(0, 3, 5, 7), (700, 1200, 9000, 20000)],
    ],
    ids=["tiny", "one", "two"],
)
def test_every_cut_of_blocks(blocks, task_work, wave_seconds, threads, tune):
    m, n = max(b[1] for b in blocks) + 1, 20000
    x, y = RNG.standard_normal((m, 1)), RNG.standard_normal((n, 1))
    rows, columns = np.array(blocks)[:, :2], np.array(blocks)[:, 2:]
    ends = np.arange(1, len(blocks) + 1)
    ranges = (rows, ends, columns, columns[:0], ends[:0], rows[:0])
    tune(task_work=task_work, wave_seconds=wave_seconds, serial_work=0, poison=True)
    told = []
    operator = Genred("Abs(x-y)", ["x = Vi(1)", "y = Vj(1)"], axis=1)
    result = operator(x, y, ranges=ranges, progress=lambda *numbers: told.append(numbers))
    expected = np.zeros(m)
    for first, last, begin, end in blocks:
        for r in {first, last - 1, (first + last) // 2}:
            expected[r] = np.abs(x[r] - y[begin:end]).sum()
            np.testing.assert_allclose(result[r, 0], expected[r], rtol=1e-13)
    assert result[-1, 0] == 0
    check_progress(told, sum((b[1] - b[0]) * (b[3] - b[2]) for b in blocks))


@pytest.mark.parametrize("task_work, wave_seconds", EXTREMES)
@pytest.mark.parametrize("m, n", [(1, 9 * 8192 + 3), (5, 50000), (700, 90)])
def test_every_cut_of_dense_values(m, n, task_work, wave_seconds, threads, tune):
    x, y = RNG.standard_normal((m, 1)), RNG.standard_normal((n, 1))
    tune(task_work=task_work, wave_seconds=wave_seconds, serial_work=0, poison=True)
    variables = parse_aliases(["x = Vi(1)", "y = Vj(1)"])
    values = evaluate_pairs(parse("Abs(x-y)", variables.by_name), variables.variables, (x, y), m, n)
    np.testing.assert_array_equal(values[:, :, 0], np.abs(x - y.T))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "formula, reduction, options",
    [
        ("Exp(-SqDist(x,y))*(x-y)", "Sum", {}),
        ("-SqDist(x,y)", "LogSumExp", {}),
        ("-SqDist(x,y)", "SumSoftMaxWeight", {"formula2": "b"}),
        ("SqDist(x,y)", "KMin_ArgKMin", {"opt_arg": 5}),
        ("SqDist(x,y)", "KMin_ArgKMin", {"opt_arg": 80}),
        ("x*y", "Max_ArgMax", {}),
    ],
)
@pytest.mark.parametrize("m, n", [(3, 100000), (600, 20000), (9000, 40)])
def test_cuts_and_what_scratch_holds_change_no_bit(formula, reduction, options, dtype, m, n, tune, monkeypatch):
    arrays = [RNG.standard_normal(s).astype(dtype) for s in ((m, 3), (n, 3), (n, 2))]
    options = {name: min(v, n) if name == "opt_arg" else v for name, v in options.items()}
    operator = Genred(formula, ["x = Vi(3)", "y = Vj(3)", "b = Vj(2)"], reduction, axis=1, **options)
    expected = as_tuple(operator(*arrays))
    for task_work, poison, count in ((1, True, 1), (1, False, 3), (1 << 40, True, 3)):
        tune(task_work=task_work, serial_work=0, poison=poison, wave_seconds=0.0)
        monkeypatch.setattr("skkeops.backends.cpu.threads.n_threads", lambda count=count: count)
        same(as_tuple(operator(*arrays)), expected)


def test_short_waves_of_a_call_of_thousands_of_runs(tune, threads):
    """What grows from look to look must not grow without end: numbers that doubled after each passed 2^63 here."""
    tune(task_work=1, serial_work=0, wave_seconds=1e-5)
    m, n, dim = 40, 400_000, 600  # segments of few lanes, because a lane has many components
    y = np.broadcast_to(RNG.standard_normal((1, dim)).astype(np.float32), (n, dim))
    told = []
    x = RNG.standard_normal((m, dim)).astype(np.float32)
    operator = Genred("Elem(x,0)-Elem(y,1)", [f"x = Vi({dim})", f"y = Vj({dim})"], "Min", axis=1)
    result = operator(x, y, progress=lambda *numbers: told.append(numbers))
    np.testing.assert_allclose(result[:, 0], x[:, 0] - y[0, 1], rtol=1e-6)
    check_progress(told, m * n)


def raise_in(call, after):
    """The error of a progress callback at its call number `after`."""
    seen = []

    def stop(done, total):
        seen.append(done)
        if len(seen) > after:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        call(stop)
    return len(seen)


@pytest.mark.parametrize("m, n", [(40, 40 * 8192), (2, 90 * 8192), (9000, 500), (90000, 40)])
def test_an_error_between_steps_ends_the_call(m, n, tune, threads):
    x, y = np.ones((m, 3), np.float32), np.zeros((n, 3), np.float32)
    run = cpu_program()
    tune(task_work=1, serial_work=0, wave_seconds=0.0)
    for after in (0, 2) if threads == 1 else (0,):  # helpers may do it all while this thread takes one step
        assert raise_in(lambda stop: run.state((x, y), None, stop), after) == after + 1
    assert (run.state((x, y))[0] == 3.0 * n).all()


def test_a_call_does_not_wait_for_helpers_of_others(monkeypatch):
    """Here all helpers work for another thread; on busy machines they wait for a core."""
    monkeypatch.setattr("skkeops.backends.cpu.threads.n_threads", lambda: 2)
    one = np.ones((1, 3), np.float32)
    long, short = np.broadcast_to(one, (10**6, 3)), np.broadcast_to(one, (1500, 3))
    operator = Genred("Exp(-SqDist(x,y))", ["x = Vi(3)", "y = Vj(3)"], axis=1)
    begun, enough = threading.Event(), threading.Event()

    def watch(done, total):
        begun.set()
        if enough.is_set():
            raise LookupError("enough")

    def work():
        with pytest.raises(LookupError):
            operator(long, long, progress=watch)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    try:
        for _ in range(20):
            assert (operator(short, short) == 1500).all()
        assert thread.is_alive()  # it takes an hour
    finally:
        enough.set()
        thread.join()


# What is kept


def test_scratch_memory_belongs_to_the_program_once(monkeypatch):
    """However many functions there are, the memory that they worked in is bounded."""
    monkeypatch.setattr("skkeops.backends.cpu.threads.n_threads", lambda: 2)
    kept = []
    for dim in range(700, 760):
        operator = Genred("SqDist(x,y)", [f"x = Vi({dim})", f"y = Vj({dim})"], axis=1)
        operator(np.ones((70, dim)), np.ones((70, dim)))
        kept.append(operator)
    assert _engine.pool_state()[0] <= 32 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss in KiB")
def test_many_lazy_tensors_keep_little_memory():
    code = """
        import resource, numpy as np
        from skkeops.lazy import LazyTensor
        kept = []
        def step(k):
            x = np.ones((200, 784), np.float32)
            kept.append(LazyTensor(x[:, None]))
            ((kept[-1] - LazyTensor(x[None, :])) ** 2).sum(-1).sum(axis=1)
        step(0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for k in range(120):
            step(k)
        used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
        own = 120 * 200 * 784 * 4
        print(used - own < 96 << 20, used >> 20, own >> 20)
    """
    done = in_a_process(code)
    assert done.stdout.startswith("True"), done.stdout + done.stderr


def test_absurd_k_is_refused_before_it_is_counted_in_32_bits():
    for dim in (1, 3):
        for k in (2**24, 2**31 - 1):
            operator = Genred("Square(x-y)", [f"x = Vi({dim})", f"y = Vj({dim})"], "ArgKMin", axis=1, opt_arg=k)
            with pytest.raises(ValueError, match="or K of its reduction, are too large"):
                operator.explain()
            with pytest.raises(ValueError, match=f"found K = {k}, expected at most 5"):
                operator(np.ones((2, dim)), np.ones((5, dim)))
            y = np.broadcast_to(np.ones((1, dim), np.float32), (2**31, dim))
            with pytest.raises(ValueError, match="or K of its reduction, are too large"):
                operator(np.ones((2, dim), np.float32), y)
            with pytest.raises(ValueError, match="found K"):
                (LazyTensor(np.ones((2, 1, dim))) - LazyTensor(np.ones((1, 5, dim)))).argKmin(k, axis=1)


# Forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_of_a_call_is_told():
    code = """
        import os, warnings
        warnings.simplefilter("ignore")
        import numpy as np
        from skkeops import Genred
        from skkeops.backends.cpu import _engine
        _engine.tune(task_work=1, serial_work=0, wave_seconds=0.0)
        operator = Genred("SqDist(x,y)", ["x = Vi(3)", "y = Vj(3)"], axis=1)
        x, y = np.ones((4000, 3)), np.zeros((20000, 3))
        pids = []
        def fork(done, total):
            if not pids:
                pids.append(os.fork())
        try:
            result = operator(x, y, progress=fork)
        except RuntimeError as error:
            assert pids == [0] and "forked" in str(error)
            _engine.tune(wave_seconds=1.0)
            os._exit(0 if (operator(x, y) == 60000).all() and _engine.pool_state()[1] == 2 else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]), (result == 60000).all())
    """
    done = in_a_process(code, OMP_NUM_THREADS="3")
    assert done.stdout == "0 True\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_no_lock_is_held_across_a_fork():
    """Threads hold, and hammer, everything that may be locked; each child does all of it."""
    code = """
        import gc, os, signal, threading, warnings
        warnings.simplefilter("ignore")
        import numpy as np
        from skkeops import Genred, locks
        from skkeops.formula.aliases import Signature, parse_aliases
        from skkeops.lazy import LazyTensor
        from skkeops.pairs.ranges import Ranges

        x, y = np.random.default_rng(0).random((2, 400, 3))
        rows, ends = np.array([[0, 200], [200, 400]]), np.array([1, 2])
        formulas = iter(range(10**9))

        def everything():
            k = next(formulas)
            Genred(f"Exp(-SqDist(x,y)*{k})", ["x = Vi(3)", "y = Vj(3)"], axis=1)
            Ranges((rows, ends, rows, rows, ends, rows + 0 * k), 400, 400).of_axis(1)
            parse_aliases(["x = Vi(3)", "y = Vj(3)"]).to_name
            total = ((LazyTensor(x[:, None].copy()) - LazyTensor(y[None].copy())) ** 2).sum(-1).sum(axis=1)
            assert abs(total.sum() / ((x[:, None] - y) ** 2).sum() - 1) < 1e-12

        everything()
        running = True
        def hammer():
            while running:
                everything()
        held, done = threading.Event(), threading.Event()
        def hold():
            for lock in list(locks._all):
                lock.__enter__()
            held.set()
            done.wait()
            for lock in list(locks._all):
                lock.__exit__()

        def children(count):
            for _ in range(count):
                pid = os.fork()
                if pid == 0:
                    signal.alarm(20)  # ends a child that hangs
                    everything()
                    os._exit(0)
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

        assert len(locks._all) >= 3
        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        children(1)
        done.set()
        holder.join()
        threads = [threading.Thread(target=hammer) for _ in range(3)]
        for t in threads:
            t.start()
        children(25)
        running = False
        for t in threads:
            t.join()
        print("no child hung")
    """
    done = in_a_process(code, timeout=300, OMP_NUM_THREADS="2")
    assert done.stdout == "no child hung\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_waits_for_imports():
    """Python locks a module that is being imported, and a child would find it so for ever."""
    code = """
        import os, signal, sys, threading, time
        import numpy as np
        from skkeops import Genred

        begun = threading.Event()
        class Slow:
            def find_spec(self, name, path=None, target=None):
                if name == "skkeops.backends.cpu.program":
                    begun.set()
                    time.sleep(0.5)  # while the other thread forks
        sys.meta_path.insert(0, Slow())

        operator = Genred("SqDist(x,y)", ["x = Vi(3)", "y = Vj(3)"], axis=1)
        x, y = np.ones((4, 3)), np.zeros((5, 3))
        first = threading.Thread(target=operator, args=(x, y))
        first.start()
        begun.wait()
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)  # ends a child that hangs
            os._exit(0 if (operator(x, y) == 15).all() else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        first.join()
    """
    done = in_a_process(code, timeout=60)
    assert done.stdout == "0\n", done.stderr


@pytest.mark.parametrize(("told", "expected"), [("3", 3), (" 2,4", 2), (None, 5), ("", 5), ("many", 5), ("0", 5)])
def test_the_number_of_threads_where_there_is_no_openmp(told, expected, monkeypatch):
    monkeypatch.setattr(counting._engine, "max_threads", lambda: 0)
    monkeypatch.setattr(counting, "_cpus", lambda: 5)
    monkeypatch.setattr(counting, "_is_told", told is not None)
    monkeypatch.setattr(counting, "_without_openmp", counting._without_openmp.__wrapped__)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if told is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert counting.n_threads() == expected
    with counting.at_most(2):
        assert counting.n_threads() == 2
