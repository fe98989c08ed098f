# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The Python face of the tile engine: one extension module, of these files.

``engine.pyx``    the instruction set in use, numbers of the scheduler, single instructions
``program.pxi``   programs: built from Python, run without the GIL
``checks.pxi``    what a run is checked against
``schedule.pxi``  how its work is cut into units

Threads may run one program, or several, at the same time, without a GIL too: a program does not change once it is made, and a run
keeps what it changes on its stack, in arrays of its own and in scratch memory that the pool gives to one taker at a time.
"""

import os
import time

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from tile_engine cimport *

cnp.import_array()

LEVELS = ("baseline", "avx2", "avx512")
FOLDS = {
    "sum": SKK_FOLD_SUM,
    "shift_exp": SKK_FOLD_SHIFT_EXP,
    "extremum": SKK_FOLD_EXTREMUM,
    "kmin": SKK_FOLD_KMIN,
    "store": SKK_FOLD_STORE,
}
OPCODES = {skk_opcode_name(k).decode(): (k, skk_opcode_arity(k)) for k in range(SKK_N_OPCODES)}
LANE_PAD = SKK_LANE_PAD

# A call with less work than this, some 0.2 ms (in pairs of a formula of one cheap instruction), runs on the calling thread:
# to wake another one takes a good part of what it would save.
cdef int64_t SERIAL_WORK = 1 << 20
# Work of a step at most, some ten milliseconds: nothing is looked after within one.
cdef int64_t TASK_WORK = 1 << 25
# Time between two looks at signals and the progress callback.
cdef double WAVE_SECONDS = 0.05
# Pairs of a call, so that their numbers can be added and compared in 64 bits.
cdef int64_t MOST_PAIRS = <int64_t>1 << 60

skk_watch_forks()

cdef const skk_level *level = NULL


def available_levels():
    """Instruction sets that this build and this processor have, the widest last."""
    return tuple(name for name in LEVELS if skk_find_level(name.encode()) != NULL)


def select_level(str name):
    """Use the instruction set called ``name`` from now on."""
    global level
    cdef const skk_level *found
    encoded = name.encode()
    found = skk_find_level(encoded)
    if found == NULL:
        raise ValueError(
            f"SIMD level {name!r} is not available: this build on this processor has {', '.join(available_levels())}"
        )
    level = found


def selected_level():
    """The instruction set in use."""
    return level.name.decode()


def openmp_enabled():
    """Whether the engine was built with OpenMP."""
    return bool(skk_openmp())


def tune(*, task_work=None, wave_seconds=None, serial_work=None, poison=None):
    """Set numbers of the scheduler, and return those of before: for tests, which make steps tiny or looks rare by them.

    ``poison`` fills scratch memory with NaN whenever it is taken.
    """
    global TASK_WORK, WAVE_SECONDS, SERIAL_WORK, poisoned
    before = dict(task_work=TASK_WORK, wave_seconds=WAVE_SECONDS, serial_work=SERIAL_WORK, poison=poisoned)
    if task_work is not None:
        TASK_WORK = max(1, min(task_work, 1 << 40))
    if wave_seconds is not None:
        WAVE_SECONDS = wave_seconds
    if serial_work is not None:
        SERIAL_WORK = max(0, min(serial_work, MOST_PAIRS))
    if poison is not None:
        poisoned = bool(poison)
        skk_poison_scratch(poisoned)
    return before


cdef bint poisoned = False


def pool_state():
    """What the program keeps between calls: ``(scratch_bytes, helpers)``, of memory and threads."""
    return skk_kept_scratch(), skk_helpers()


def max_threads():
    """OpenMP's limit for the calling thread (OMP_NUM_THREADS, threadpoolctl); 0 if the engine was built without OpenMP."""
    return skk_max_threads()


include "program.pxi"
include "checks.pxi"
include "schedule.pxi"


def apply(str opcode, a, b=None, immediates=(0.0, 0.0)):
    """One element-wise instruction of the engine over whole arrays.

    What the accuracy tests and the benchmarks of single loops call: ``apply("exp", a)``, ``apply("powf", a, b)``.
    """
    cdef int op, arity, is_double
    cdef double imm[2]
    if opcode not in OPCODES:
        raise ValueError(f"opcode: found {opcode!r}, expected one of {', '.join(OPCODES)}")
    op, arity = OPCODES[opcode]
    # "expmul" reads whole vectors of lanes, of which an array has no multiple
    if arity != (1 if b is None else 2) or not skk_opcode_is_elementwise(op) or opcode == "expmul":
        raise ValueError(f"opcode {opcode!r} is not element-wise on {1 if b is None else 2} arrays")
    a = np.ascontiguousarray(a)
    if a.dtype not in (np.float32, np.float64):
        raise TypeError(f"a: found dtype {a.dtype}, expected float32 or float64")
    out = np.empty_like(a)
    is_double = a.dtype == np.float64
    imm[0], imm[1] = immediates[0], immediates[1]
    cdef cnp.ndarray first = a, second, result = out
    if b is None:
        level.unary(op, imm, cnp.PyArray_DATA(first), cnp.PyArray_DATA(result), first.size, is_double)
    else:
        b = np.ascontiguousarray(b, dtype=a.dtype)
        if b.shape != a.shape:
            raise ValueError(f"b: found shape {b.shape}, expected {a.shape}")
        second = b
        level.binary(op, cnp.PyArray_DATA(first), cnp.PyArray_DATA(second), cnp.PyArray_DATA(result), first.size, is_double)
    return out


select_level(os.environ.get("SKKEOPS_SIMD_LEVEL") or tuple(available_levels())[len(available_levels()) - 1])
