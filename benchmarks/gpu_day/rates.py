"""Step 2: what the device can do in a second, and what a launch costs: the figures that floors are made of."""

from __future__ import annotations

import time

import numpy as np

from .run import Run, milliseconds

__all__ = ["Rates", "measure"]

# Eight independent chains per thread, so that latencies do not count.
_BODY = {
    "ex2": "a{k} = exp2f(-a{k});",
    "ffma": "a{k} = fmaf(a{k}, 0.999f, 0.001f);",
    "fmnmx": "a{k} = fmaxf(a{k} - 1.f, b{k});",
    "f2f": "d{k} += (double)a{k}; a{k} += 1.f;",
    "dfma": "d{k} = fma(d{k}, 0.999, 0.001);",
}
_LOOP = """
typedef float real;
extern "C" __global__ void {name}(float* out, long long n) {{
    {declare}
    for (long long k = 0; k < n; ++k) {{ {body} }}
    out[(long long)blockIdx.x * blockDim.x + threadIdx.x] = {total};
}}
"""
_LDS = """
typedef float real;
extern "C" __global__ void lds(float* out, long long n) {
    __shared__ float4 tile[256];
    tile[threadIdx.x] = make_float4(threadIdx.x, 1.f, 2.f, 3.f);
    __syncthreads();
    float a0 = 0.f, a1 = 0.f, a2 = 0.f, a3 = 0.f;
    for (long long k = 0; k < n; ++k) {
        float4 v = tile[k & 255];  // the same for all threads: a broadcast
        a0 += v.x; a1 += v.y; a2 += v.z; a3 += v.w;
    }
    out[(long long)blockIdx.x * blockDim.x + threadIdx.x] = a0 + a1 + a2 + a3;
}
"""
_NOTHING = """
typedef float real;
extern "C" __global__ void {name}({arguments}) {{ a0[threadIdx.x] = 1.f; }}
"""
_BLOCK = 256


class Rates:
    """Operations per second of the whole device, measured, or of the model where there is no measurement.

    Parameters
    ----------
    measured : dict of str to float
    multiprocessors : int
    clock : float
        In Hz.
    """

    def __init__(self, measured: dict[str, float], multiprocessors: int, clock: float):
        self.measured = measured
        per_clock = multiprocessors * clock
        self._model = {"slots": 128 * per_clock, "ex2": 16 * per_clock, "dfma": 64 * per_clock, "copy": 4.3e12}

    def __getitem__(self, name: str) -> float:
        return self.measured.get(name, self._model.get(name, float("nan")))

    def floor(self, pair, m: int, n: int) -> float:
        """Return the least seconds for all pairs."""
        issue = max(self["ffma"] if "ffma" in self.measured else 0.0, self["slots"])
        per_pair = max(pair.slots / issue, pair.mufu / self["ex2"], pair.fp64 / self["dfma"])
        return max(m * n * per_pair, n * pair.bytes_per_column / self["copy"])


def measure(run: Run) -> Rates:
    """Measure, and write rates.json."""
    device = run.cupy.cuda.Device()
    multiprocessors, clock = device.attributes["MultiProcessorCount"], 1e3 * (device.attributes.get("ClockRate") or 1_980_000)
    blocks, n = (2, 4) if run.dry else (multiprocessors * 8, 4000)
    found: dict[str, float] = {}
    for name, operation in _BODY.items():
        chains = range(8)
        declare = " ".join(f"float a{k} = threadIdx.x * 1e-3f + {k}.f, b{k} = a{k}; double d{k} = a{k};" for k in chains)
        body = " ".join(operation.format(k=k) for k in chains)
        total = " + ".join(f"a{k} + b{k} + (float)d{k}" for k in chains)
        source = _LOOP.format(name=name, declare=declare, body=body, total=total)
        found[name] = _rate(run, source, name, blocks, n, len(chains))
    found["lds128"] = _rate(run, _LDS, "lds", blocks, n, 1)
    found["copy"] = _copy(run)
    found.update(_launches(run))
    found.update(_compilation(run))
    rates = Rates(found, multiprocessors, clock)
    per_clock = {name: found[name] / multiprocessors / clock for name in (*_BODY, "lds128")}
    run.write_json("rates.json", {"per_second": found, "per_multiprocessor_and_clock": per_clock, "clock": clock})
    run.say("rates per multiprocessor and clock: " + ", ".join(f"{name} {rate:.1f}" for name, rate in per_clock.items()))
    return rates


def _rate(run: Run, source: str, name: str, blocks: int, n: int, operations: int) -> float:
    kernel = run.cupy.RawModule(code=source, options=("--std=c++17", "-ftz=true")).get_function(name)
    out = run.cupy.empty(blocks * _BLOCK, np.float32)
    best = milliseconds(run, lambda: kernel((blocks,), (_BLOCK,), (out, np.int64(n))), 1.0)["best_ms"]
    return blocks * _BLOCK * n * operations / (1e-3 * max(best, 1e-6))


def _copy(run: Run) -> float:
    a = run.cupy.zeros(1000 if run.dry else 2**28, np.float32)
    b = run.cupy.empty_like(a)

    def copy():
        b[...] = a

    return 2 * a.nbytes / (1e-3 * max(milliseconds(run, copy, 1.0)["best_ms"], 1e-6))


def _launches(run: Run) -> dict[str, float]:
    """Microseconds of the host per launch, by number of arguments, and per call of a small reduction."""
    from skkeops import Genred

    cupy, found, calls = run.cupy, {}, 3 if run.dry else 2000
    out = cupy.empty(32, np.float32)
    for count in (1, 4, 8, 16):
        arguments = ", ".join(f"float* a{k}" for k in range(count))
        source = _NOTHING.format(name="nothing", arguments=arguments)
        kernel = cupy.RawModule(code=source, options=("--std=c++17",)).get_function("nothing")
        found[f"launch_{count}_arguments_us"] = _host_time(run, lambda k=kernel, c=count: k((1,), (32,), (out,) * c), calls)
    f = Genred("Exp(-SqDist(x,y))*b", ["x = Vi(3)", "y = Vj(3)", "b = Vj(1)"], axis=1)
    arrays = [cupy.asarray(np.random.default_rng(0).standard_normal((10, d)).astype("float32")) for d in (3, 3, 1)]
    found["genred_call_us"] = _host_time(run, lambda: f(*arrays), calls)
    try:
        found["graph_replay_us"] = _replay_time(run, lambda: f(*arrays), calls)
    except Exception as error:
        run.say(f"a call could not be captured in a CUDA graph: {type(error).__name__}: {str(error)[:200]}")
    return found


def _replay_time(run: Run, call, calls: int) -> float:
    stream = run.cupy.cuda.Stream(non_blocking=True)
    with stream:
        kept = [call()]  # memory of the pool that the graph writes to must not be given to others
        stream.begin_capture()
        kept.append(call())
        graph = stream.end_capture()
        return _host_time(run, lambda: graph.launch(stream), calls)


def _host_time(run: Run, call, calls: int) -> float:
    call()
    run.cupy.cuda.runtime.deviceSynchronize()
    start = time.perf_counter()
    for _ in range(calls):
        call()
    elapsed = time.perf_counter() - start
    run.cupy.cuda.runtime.deviceSynchronize()
    return 1e6 * elapsed / calls


def _compilation(run: Run) -> dict[str, float]:
    """Milliseconds from a source that nobody has compiled to its kernel, and from one in the cache."""
    source = f"// {time.time_ns()}\n" + _NOTHING.format(name="once", arguments="float* a0")
    times = []
    for _ in range(2):
        start = time.perf_counter()
        kernel = run.cupy.RawModule(code=source, options=("--std=c++17",)).get_function("once")
        kernel((1,), (32,), (run.cupy.empty(32, np.float32),))
        times.append(1e3 * (time.perf_counter() - start))
    return {"compile_ms": times[0], "compiled_again_ms": times[1]}
