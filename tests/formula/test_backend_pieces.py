"""What backends take from an operation, its opcode and its CUDA expression, against its NumPy meaning."""

import ctypes
import inspect
import shutil
import subprocess

import numpy as np
import pytest

from skkeops.formula import Variable
from skkeops.formula import operations as ops
from skkeops.formula.operations import registry

CLASSES = {name: operation for name, operation in registry.items() if inspect.isclass(operation)}
ELEMENTWISE = {name: operation for name, operation in CLASSES.items() if issubclass(operation, ops.Elementwise)}
PARAMS = {"Pow": [(3,), (-2,), (7,)], "SinXDivX": [(0,), (1,), (2,), (5,)]}
PARAMS |= {"Round": [(0,), (1,), (-1,), (39,), (-39,), (300,), (-300,)]}
PARAMS |= {"ClampInt": [(-1, 1), (0, 2)], "DiffClampInt": [(-1, 1), (0, 2)]}
POINTS = np.array([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.0, -2.5, 0.25, 30.0, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("name", [name for name, operation in CLASSES.items() if operation.opcode])
def test_the_tile_engine_has_the_instruction(name):
    engine = pytest.importorskip("skkeops.backends.cpu._engine")
    operation = CLASSES[name]
    assert operation.opcode in engine.OPCODES, f"{name}: the tile engine has no instruction {operation.opcode!r}"
    _, arity = engine.OPCODES[operation.opcode]
    assert arity == len(operation.arguments), f"{name}: the instruction {operation.opcode!r} takes {arity} operands"


def test_the_other_families_have_rules_of_their_own():
    for name, operation in CLASSES.items():
        has_rule = issubclass(operation, (ops.Selection, ops.Bilinear))
        assert has_rule or operation.opcode, f"{name} has no opcode, and no family with a rule"


def _versions():
    for name, operation in ELEMENTWISE.items():
        for params in PARAMS.get(name, [()]):
            yield name, operation, params


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The CUDA expressions, compiled as C++ for the host: ``function(n, a, b, c, out)`` by name and type."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    source = [
        "#include <cmath>",
        "#define __device__",
        "using namespace std;",
        "static void sincos(float x, float *s, float *c) { *s = sinf(x); *c = cosf(x); }  // CUDA has it",
    ]
    source += sorted({operation.cuda_functions for operation in ELEMENTWISE.values()})
    for k, (_, operation, params) in enumerate(_versions()):
        for real in ("float", "double"):
            places = operation._new((Variable(0, 1, 0),) * len(operation.arguments), params).cuda_places()
            expression = operation.cuda.format("a[i]", "b[i]", "c[i]", real=real, **places)
            source.append(
                f'extern "C" void f{k}_{real}(long n, const {real} *a, const {real} *b, const {real} *c, {real} *out)'
                f" {{ for (long i = 0; i < n; ++i) out[i] = {expression}; }}"
            )
    folder = tmp_path_factory.mktemp("cuda")
    (folder / "expressions.cpp").write_text("\n".join(source))
    command = [compiler, "-O0", "-fPIC", "-shared", "-w", "-o", folder / "expressions.so", folder / "expressions.cpp"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(folder / "expressions.so")


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("k", "name", "params"), [(k, n, p) for k, (n, _, p) in enumerate(_versions())])
def test_the_cuda_expression_has_the_same_meaning(library, k, name, params, dtype):
    operation = ELEMENTWISE[name]
    arity = len(operation.arguments)
    rng = np.random.default_rng(k)
    grid = [a.ravel() for a in np.meshgrid(*[POINTS] * arity)]
    random = [rng.uniform(low, high, 200) for low, high in operation.domain]
    arrays = [np.concatenate(pair).astype(dtype) for pair in zip(grid, random, strict=True)]
    out = np.empty_like(arrays[0])
    function = library[f"f{k}_{'double' if dtype is np.float64 else 'float'}"]
    pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (*arrays, *[arrays[0]] * (3 - arity), out)]
    function(ctypes.c_long(out.size), *pointers)
    node = operation._new(tuple(Variable(i, 1, 0) for i in range(arity)), params)
    with np.errstate(all="ignore"):
        expected = node.numpy(*[a[:, None] for a in arrays])[:, 0]
    tolerance = 1e-12 if dtype is np.float64 else 5e-5
    np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tolerance)
