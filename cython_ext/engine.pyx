# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Programs of the tile engine: built from Python, checked, scheduled over threads, run without the GIL."""

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
    """OpenMP's limit for the calling thread (OMP_NUM_THREADS, threadpoolctl)."""
    return skk_max_threads()


cdef int64_t as_operand(skk_operand *out, spec) except -1:
    if spec is None:
        memset(out, 0, sizeof(skk_operand))
        return 0
    out.place, out.offset, out.dim, out.step = spec
    return 0


cdef skk_instr *as_code(skk_code *out, list instructions) except? NULL:
    cdef skk_instr *code = <skk_instr *>calloc(max(1, len(instructions)), sizeof(skk_instr))
    cdef int k
    if code == NULL:
        raise MemoryError("program")
    for k in range(len(instructions)):
        op, dim, table, n_table, d, a, b, c, imm = instructions[k]
        code[k].op, code[k].dim, code[k].table, code[k].n_table = op, dim, table, n_table
        as_operand(&code[k].d, d)
        as_operand(&code[k].a, a)
        as_operand(&code[k].b, b)
        as_operand(&code[k].c, c)
        if imm:
            code[k].imm[0] = imm[0]
            code[k].imm[1] = imm[1] if len(imm) > 1 else 0.0
    out.instr = code
    out.n = len(instructions)
    return code


cdef skk_load *as_loads(list loads) except? NULL:
    cdef skk_load *out = <skk_load *>calloc(max(1, len(loads)), sizeof(skk_load))
    cdef int k
    if out == NULL:
        raise MemoryError("program")
    for k in range(len(loads)):
        out[k].variable, out[k].plane, out[k].dim = loads[k]
    return out


cdef class Program:
    """A formula and a reduction, ready to run on arrays of one dtype.

    Built by :func:`skkeops.backends.cpu.lowering.lower`; the keyword arguments are the fields of ``skk_program``
    in ``tile_engine.h``. ``variables`` lists ``(role, dim)`` of every argument of :meth:`run`, with role "out" (one
    point per output row), "reduced" (one per index that is reduced over), "parameter", "pair" (one per output row and
    reduced index), "turned pair" (the same, with the reduced index first), or "unused".
    """

    cdef skk_program p
    cdef skk_level kept_level
    cdef bint is_double
    cdef int64_t cost, lane_cost
    cdef int n_variables
    cdef int *roles
    cdef int64_t *dims
    cdef object literals
    cdef readonly dict description

    def __cinit__(self):
        memset(&self.p, 0, sizeof(skk_program))
        self.roles = NULL
        self.dims = NULL

    def __init__(self, *, bint is_double, variables, order, fold, largest, k, width, terms, value, pair_code, lane_code,
                 row_code, const_code, lane_planes, row_planes, const_planes, n_temps, lane_loads, row_loads,
                 const_loads, pair_loads, literals, tables, tile_rows, tile_lanes, segment, row_group):
        cdef skk_term *c_terms
        cdef int32_t *c_tables
        cdef int i
        if level == NULL:
            raise RuntimeError("no SIMD level is selected")
        if self.roles != NULL:
            raise RuntimeError("a Program is initialised once")
        self.description = dict(
            order=order, fold=fold, width=width, terms=terms, value=value, pair_code=pair_code, lane_code=lane_code,
            row_code=row_code, const_code=const_code, lane_planes=lane_planes, row_planes=row_planes,
            const_planes=const_planes, n_temps=n_temps, tile_rows=tile_rows, tile_lanes=tile_lanes,
            segment=segment, row_group=row_group,
        )
        self.kept_level = level[0]
        self.is_double = is_double
        self.cost = 1 + sum([code[1] for code in pair_code]) // 4 + width // 4
        self.lane_cost = sum([code[1] for code in lane_code]) // 4
        self.n_variables = len(variables)
        self.roles = <int *>calloc(self.n_variables + 1, sizeof(int))
        self.dims = <int64_t *>calloc(self.n_variables + 1, sizeof(int64_t))
        c_terms = <skk_term *>calloc(len(terms) + 1, sizeof(skk_term))
        c_tables = <int32_t *>calloc(len(tables) + 1, sizeof(int32_t))
        self.p.terms = c_terms
        self.p.tables = c_tables
        if self.roles == NULL or self.dims == NULL or c_terms == NULL or c_tables == NULL:
            raise MemoryError("program")
        for i, (role, dim) in enumerate(variables):
            self.roles[i] = ("unused", "out", "reduced", "parameter", "pair", "turned pair").index(role)
            self.dims[i] = dim
        for i, (scale, vector, minus, column, dim) in enumerate(terms):
            as_operand(&c_terms[i].scale, scale)
            as_operand(&c_terms[i].vector, vector)
            as_operand(&c_terms[i].minus, minus)
            c_terms[i].column, c_terms[i].dim = column, dim
        for i in range(len(tables)):
            c_tables[i] = tables[i]
        self.p.n_terms = len(terms)
        self.p.order, self.p.fold, self.p.largest, self.p.k, self.p.width = order, FOLDS[fold], largest, k, width
        as_operand(&self.p.value, value)
        as_code(&self.p.pair_code, pair_code)
        as_code(&self.p.lane_code, lane_code)
        as_code(&self.p.row_code, row_code)
        as_code(&self.p.const_code, const_code)
        self.p.lane_planes, self.p.row_planes, self.p.const_planes = lane_planes, row_planes, const_planes
        self.p.n_temps = n_temps
        self.p.lane_loads, self.p.n_lane_loads = as_loads(lane_loads), len(lane_loads)
        self.p.row_loads, self.p.n_row_loads = as_loads(row_loads), len(row_loads)
        self.p.const_loads, self.p.n_const_loads = as_loads(const_loads), len(const_loads)
        self.p.pair_loads, self.p.n_pair_loads = as_loads(pair_loads), len(pair_loads)
        self.p.tile_rows, self.p.tile_lanes, self.p.segment, self.p.row_group = tile_rows, tile_lanes, segment, row_group
        dtype = np.float64 if is_double else np.float32
        pool = np.zeros((const_planes, SKK_LANE_PAD), dtype=dtype)
        for plane, constant in literals:
            pool[plane] = constant
        self.literals = pool.tobytes()

    def __dealloc__(self):
        free(<void *>self.p.pair_code.instr)
        free(<void *>self.p.lane_code.instr)
        free(<void *>self.p.row_code.instr)
        free(<void *>self.p.const_code.instr)
        free(<void *>self.p.terms)
        free(<void *>self.p.tables)
        free(<void *>self.p.lane_loads)
        free(<void *>self.p.row_loads)
        free(<void *>self.p.const_loads)
        free(<void *>self.p.pair_loads)
        free(self.roles)
        free(self.dims)

    def scratch_bytes(self):
        """Working memory of one thread, in bytes."""
        return self.kept_level.scratch_bytes(&self.p, self.is_double)

    def run(self, tuple arrays, int64_t n_out, int64_t n_reduced, int n_threads, progress=None, ranges=None):
        """The state of every output row.

        Parameters
        ----------
        arrays : tuple of ndarray
            One per variable: ``(n_out, dim)``, ``(n_reduced, dim)`` or ``(dim,)``, native, aligned, of the program's
            dtype; ``(n_out, n_reduced, dim)`` for pairs, which may be booleans, or a tuple of such an array and the indices
            of its rows and columns, contiguous arrays of int64. Anything else is refused.
        n_threads : int
        progress : callable, optional
            Called as ``progress(done, total)`` with numbers of pairs, between pieces of work.
        ranges : tuple of three C-contiguous int64 arrays, optional
            Only these blocks of pairs: output rows ``rows[b, 0]`` to ``rows[b, 1]`` with the reduced indices
            ``reduced[k, 0]`` to ``reduced[k, 1]`` for k from ``slices[b - 1]`` (0 for the first block) to ``slices[b]``;
            ``(rows (B, 2), slices (B,), reduced (R, 2))``. Rows must ascend and not overlap. Lane order 0 only.

        Returns
        -------
        tuple of ndarray
            As docs/design/architecture.md lists them, float64 and int64. The fold "store" gives the values
            themselves, ``(n_out, n_reduced, width)``, in the program's dtype; 0 outside of the ranges.
        """
        cdef skk_call call
        cdef skk_state state
        cdef skk_array *views
        cdef void *consts
        cdef void *scratch
        cdef int64_t per_thread, w = self.p.width, const_bytes, pairs, lanes, work
        memset(&state, 0, sizeof(skk_state))
        memset(&call, 0, sizeof(skk_call))
        if n_out < 0 or n_reduced < 0:
            raise ValueError("sizes must not be negative")
        if ranges is not None:
            ranges = self.check_ranges(ranges, n_out, n_reduced)
        elif self.p.order == 1 and n_reduced > self.p.segment:
            raise ValueError(f"this program reduces at most {self.p.segment} points, got {n_reduced}")
        if self.p.fold == SKK_FOLD_SUM:
            result = (np.zeros((n_out, w)),)
            state.first = <double *>cnp.PyArray_DATA(result[0])
        elif self.p.fold == SKK_FOLD_SHIFT_EXP:
            result = (np.empty((n_out, 1)), np.zeros((n_out, w)))
            cnp.PyArray_FillWithScalar(result[0], -np.inf)
            state.first = <double *>cnp.PyArray_DATA(result[0])
            state.second = <double *>cnp.PyArray_DATA(result[1])
        elif self.p.fold == SKK_FOLD_STORE:
            allocate = np.empty if ranges is None else np.zeros
            result = (allocate((n_out, n_reduced, w), dtype=np.float64 if self.is_double else np.float32),)
            call.out = cnp.PyArray_DATA(result[0])
        else:
            if self.p.fold == SKK_FOLD_EXTREMUM:
                shape = [n_out, w]
            else:
                shape = [n_out, self.p.k, w // self.p.k]
            best, index = np.empty(shape), np.empty(shape, dtype=np.int64)
            if self.p.order == 0 or self.p.fold != SKK_FOLD_EXTREMUM or n_reduced == 0:  # else all are written
                best.fill(-np.inf if self.p.largest else np.inf)
                index.fill(-1)
            result = (best, index)
            state.first = <double *>cnp.PyArray_DATA(best)
            state.index = <int64_t *>cnp.PyArray_DATA(index)
        if n_out == 0 or n_reduced == 0:
            self.check(arrays, n_out, n_reduced, NULL)
            return result
        if n_out > MOST_PAIRS // n_reduced:
            raise ValueError(f"{n_out} x {n_reduced} pairs are more than 2^60")
        pairs = ranges[3] if ranges is not None else n_out * n_reduced
        lanes = n_out if self.p.order else n_reduced
        work = MOST_PAIRS
        if pairs <= MOST_PAIRS // self.cost and lanes <= MOST_PAIRS // (1 + self.lane_cost):
            work = pairs * self.cost
            if pairs < SERIAL_WORK:
                work += lanes * self.lane_cost
        # each thread is worth its waking
        n_threads = 1 if n_threads < 1 or work < SERIAL_WORK else min(n_threads, 2 + work // (SERIAL_WORK // 4 + 1))
        per_thread = self.kept_level.scratch_bytes(&self.p, self.is_double)
        views = <skk_array *>malloc((self.n_variables + 1) * sizeof(skk_array))
        const_bytes = len(self.literals)
        consts = malloc(const_bytes + 64)
        scratch = skk_take_scratch(per_thread)
        try:
            if views == NULL or consts == NULL or scratch == NULL:
                raise MemoryError(f"{per_thread} bytes of working memory")
            self.check(arrays, n_out, n_reduced, views)
            memcpy(consts, <char *>self.literals, const_bytes)
            call.arrays, call.n_out, call.n_red, call.consts = views, n_out, n_reduced, consts
            self.kept_level.consts(&self.p, views, consts, scratch, self.is_double)
            self.schedule(&call, &state, scratch, per_thread, n_threads, progress, ranges, pairs)
        finally:
            free(views)
            free(consts)
            if scratch != NULL:
                skk_give_scratch(scratch)
        return result

    cdef int check(self, tuple arrays, int64_t n_out, int64_t n_reduced, skk_array *views) except -1:
        """Refuse arrays that the engine would misread; fill the views."""
        cdef int k, ndim, type_number = cnp.NPY_FLOAT64 if self.is_double else cnp.NPY_FLOAT32
        cdef int64_t itemsize = 8 if self.is_double else 4
        cdef cnp.npy_intp *shape
        cdef cnp.npy_intp *strides
        if len(arrays) != self.n_variables:
            raise ValueError(f"expected {self.n_variables} arrays, got {len(arrays)}")
        for k in range(self.n_variables):
            a = arrays[k]
            if self.roles[k] == 0:
                continue
            if self.roles[k] >= 4:
                self.check_pairs(a, k, n_out, n_reduced, type_number, views)
                continue
            if not isinstance(a, np.ndarray) or cnp.PyArray_TYPE(a) != type_number:
                raise TypeError(f"array {k}: expected an ndarray of {'float64' if self.is_double else 'float32'}")
            if not cnp.PyArray_ISBEHAVED_RO(a):
                raise ValueError(f"array {k} is not aligned or not in native byte order")
            ndim = cnp.PyArray_NDIM(a)
            shape = cnp.PyArray_DIMS(a)
            strides = cnp.PyArray_STRIDES(a)
            if self.roles[k] == 3:
                if ndim != 1 or shape[0] != self.dims[k]:
                    raise ValueError(f"array {k}: expected shape ({self.dims[k]},)")
                if views != NULL:
                    views[k].s0, views[k].s1 = 0, strides[0] // itemsize
            else:
                n = n_out if self.roles[k] == 1 else n_reduced
                if ndim != 2 or shape[0] != n or shape[1] != self.dims[k]:
                    raise ValueError(f"array {k}: expected shape ({n}, {self.dims[k]})")
                if views != NULL:
                    views[k].s0, views[k].s1 = strides[0] // itemsize, strides[1] // itemsize
            if views != NULL:
                views[k].data = cnp.PyArray_DATA(a)
        return 0

    cdef int check_pairs(self, a, int k, int64_t n_out, int64_t n_reduced, int type_number, skk_array *views) except -1:
        """The same for an array of pairs, or for one with the indices of its rows and of its columns."""
        cdef int out = 0 if self.roles[k] == 4 else 1
        cdef int64_t itemsize
        cdef cnp.npy_intp *strides
        cdef tuple places = ()
        if isinstance(a, tuple):
            a, *indices = a
            places = tuple(indices)
        if not isinstance(a, np.ndarray) or cnp.PyArray_TYPE(a) not in (type_number, cnp.NPY_BOOL, cnp.NPY_UINT8):
            raise TypeError(f"array {k}: expected an ndarray of {'float64' if self.is_double else 'float32'} or bool")
        if not cnp.PyArray_ISBEHAVED_RO(a):
            raise ValueError(f"array {k} is not aligned or not in native byte order")
        shape = (n_reduced, n_out, self.dims[k]) if out else (n_out, n_reduced, self.dims[k])
        if (*map(len, places), *a.shape[len(places):]) != shape:
            raise ValueError(f"array {k}: expected shape {shape}")
        for at, size in zip(places, a.shape):
            if not isinstance(at, np.ndarray) or cnp.PyArray_TYPE(at) != cnp.NPY_INT64 or not cnp.PyArray_IS_C_CONTIGUOUS(at):
                raise TypeError(f"array {k}: expected indices in C-contiguous arrays of int64")
            if len(at) and not 0 <= at.min() <= at.max() < size:
                raise ValueError(f"array {k}: expected indices from 0 to {size - 1}")
        if views != NULL:
            itemsize = cnp.PyArray_ITEMSIZE(a)
            strides = cnp.PyArray_STRIDES(a)
            views[k].is_bytes = itemsize == 1
            views[k].s0, views[k].s2 = strides[out] // itemsize, strides[1 - out] // itemsize
            views[k].s1 = strides[2] // itemsize
            views[k].data = cnp.PyArray_DATA(a)
            views[k].at0 = views[k].at2 = NULL
            if places:
                views[k].at0 = <const int64_t *>cnp.PyArray_DATA(places[out])
                views[k].at2 = <const int64_t *>cnp.PyArray_DATA(places[1 - out])
        return 0

    cdef tuple check_ranges(self, ranges, int64_t n_out, int64_t n_reduced):
        """The three arrays, which stay inside of the output and of the reduced axis, and the number of pairs."""
        cdef int64_t b, k, end = 0, last = 0, pairs = 0, reduced
        cdef int64_t[:, ::1] rows, reds
        cdef int64_t[::1] slices
        if self.p.order != 0:
            raise ValueError("ranges need a program of lane order 0")
        rows, slices, reds = ranges
        if rows.shape[1] != 2 or reds.shape[1] != 2 or slices.shape[0] != rows.shape[0]:
            raise ValueError("ranges: expected shapes (B, 2), (B,) and (R, 2)")
        for k in range(reds.shape[0]):
            if not 0 <= reds[k, 0] <= reds[k, 1] <= n_reduced:
                raise ValueError(f"ranges: [{reds[k, 0]}, {reds[k, 1]}) is not within [0, {n_reduced})")
        for b in range(rows.shape[0]):
            if not last <= rows[b, 0] <= rows[b, 1] <= n_out:
                raise ValueError(f"ranges: rows [{rows[b, 0]}, {rows[b, 1]}) overlap, descend or exceed {n_out}")
            if not end <= slices[b] <= reds.shape[0]:
                raise ValueError(f"ranges: the slice up to {slices[b]} descends or exceeds {reds.shape[0]}")
            reduced = 0
            for k in range(end, slices[b]):
                reduced += reds[k, 1] - reds[k, 0]
                if reduced > MOST_PAIRS:
                    break
            if reduced > (MOST_PAIRS - pairs) // max(1, rows[b, 1] - rows[b, 0]):
                raise ValueError("ranges: more than 2^60 pairs")
            pairs += reduced * (rows[b, 1] - rows[b, 0])
            last, end = rows[b, 1], slices[b]
        return rows, slices, reds, pairs

    cdef int schedule(self, skk_call *call, skk_state *state, void *scratch, int64_t per_thread, int n_threads,
                      progress, ranges, int64_t pairs) except -1:
        """Cut the work into steps, and have them done; see ``schedule.h``."""
        cdef int64_t n_out = call.n_out, n_red = call.n_red, group, n_groups, n_spans = 1, n_segments, n_units = 0, b, k, row
        cdef int64_t most, n
        cdef skk_walk walk
        cdef skk_unit *units = NULL
        cdef int64_t *spans = NULL
        cdef int64_t[:, ::1] rows, reds
        cdef int64_t[::1] slices
        group = max(1, n_out // (4 * <int64_t>n_threads))
        if self.p.order == 1:
            group = up(max(self.p.tile_lanes, min(8 * self.p.tile_lanes, group)), self.p.tile_lanes)
            n_segments = 1
        else:
            group = min(self.most_rows(), up(max(self.p.tile_rows, min(self.p.row_group, group)), self.p.tile_rows))
            n_segments = (n_red + self.p.segment - 1) // self.p.segment
        n_groups = (n_out + group - 1) // group
        if ranges is not None:
            group = self.most_rows()
        elif n_segments > 1 and n_threads > 1 and n_groups < 2 * n_threads:
            if self.p.fold != SKK_FOLD_STORE:
                return self.schedule_split(call, state, scratch, per_thread, n_threads, progress)
            n_spans = min(n_segments, 8 * <int64_t>n_threads // n_groups)  # what is stored needs no order
        walk.how.level, walk.how.program, walk.how.call, walk.how.is_double = (
            &self.kept_level, &self.p, call, self.is_double
        )
        walk.state = state[0]
        walk.chains = NULL
        try:
            if ranges is None:
                n_units = n_groups * n_spans
                spans = <int64_t *>malloc(2 * n_spans * sizeof(int64_t))
            else:
                rows, slices, reds = ranges[0], ranges[1], ranges[2]
                for b in range(rows.shape[0]):
                    n_units += (rows[b, 1] - rows[b, 0] + group - 1) // group
            units = <skk_unit *>malloc((n_units + 1) * sizeof(skk_unit))
            walk.chains = <skk_chain *>malloc((n_units + 1) * sizeof(skk_chain))
            if units == NULL or walk.chains == NULL or (ranges is None and spans == NULL):
                raise MemoryError(f"{n_units} pieces of work")
            k = 0
            if ranges is None:
                for b in range(n_spans):
                    spans[2 * b] = n_segments * b // n_spans * self.p.segment
                    spans[2 * b + 1] = min(n_red, n_segments * (b + 1) // n_spans * self.p.segment)
                    row = 0
                    while row < n_out:
                        units[k].row0, units[k].row1, units[k].first, units[k].last = row, min(n_out, row + group), b, b + 1
                        k += 1
                        row += group
                walk.ranges = spans
            else:
                for b in range(rows.shape[0]):
                    row = rows[b, 0]
                    while row < rows[b, 1]:
                        units[k].row0, units[k].row1 = row, min(rows[b, 1], row + group)
                        units[k].first, units[k].last = (slices[b - 1] if b else 0), slices[b]
                        k += 1
                        row += group
                walk.ranges = &reds[0, 0] if reds.shape[0] else NULL
            walk.units = units
            # steps of some ten milliseconds, and of little units that many that a step is worth its taking
            walk.budget = max(1, TASK_WORK // self.cost)
            most = min(walk.budget // 16, pairs // (32 * <int64_t>n_threads))
            n = skk_join_units(&walk, n_units, most)
            self.work_off(skk_walk_step, &walk, n, scratch, per_thread, n_threads, progress, 0, pairs)
        finally:
            free(units)
            free(spans)
            free(walk.chains)
        return 0

    cdef int64_t most_rows(self) noexcept:
        """Rows that a step may have: few where pairs cost much, so that a single segment of them does not take long."""
        cdef int64_t rows = 4 * TASK_WORK // (self.p.segment * self.cost)
        return min(self.p.row_group, up(max(self.p.tile_rows, min(self.p.row_group, rows)), self.p.tile_rows))

    cdef int schedule_split(self, skk_call *call, skk_state *state, void *scratch, int64_t per_thread, int n_threads,
                            progress) except -1:
        """Few rows: a step is one segment of all of them, with a partial state of its own, combined in order."""
        cdef int64_t n_out = call.n_out, n_red = call.n_red, w = self.p.width, group, k, n, at_once, numbers = 1 << 20
        cdef int64_t n_segments = (n_red + self.p.segment - 1) // self.p.segment
        cdef object done = 0, pairs = <object>n_out * n_red
        cdef skk_split split
        cdef skk_state rows
        cdef double look
        # the partial states that are there at once stay below 24 MB, unless those of a single row are more
        group = min(min(n_out, self.most_rows()), max(1, numbers // (4 * <int64_t>n_threads * (w + 1))))
        at_once = min(n_segments, max(4 * <int64_t>n_threads, numbers // (group * (w + 1))))
        split.how.level, split.how.program, split.how.call, split.how.is_double = (
            &self.kept_level, &self.p, call, self.is_double
        )
        split.parts.first = <double *>malloc(at_once * group * w * sizeof(double))
        split.parts.second = <double *>malloc(at_once * group * w * sizeof(double))
        split.parts.index = <int64_t *>malloc(at_once * group * w * sizeof(int64_t))
        try:
            if split.parts.first == NULL or split.parts.second == NULL or split.parts.index == NULL:
                raise MemoryError("partial states")
            split.row0 = 0
            while split.row0 < n_out:
                split.row1 = min(n_out, split.row0 + group)
                rows = skk_at_row(&self.p, state, split.row0)
                split.segment = 0
                while split.segment < n_segments:
                    n = min(at_once, n_segments - split.segment)
                    done = self.work_off(skk_split_step, &split, n, scratch, per_thread, n_threads, progress, done, pairs)
                    look = time.perf_counter() + WAVE_SECONDS
                    for k in range(n):
                        with nogil:
                            skk_merge_part(&split, &rows, k)
                        if time.perf_counter() > look:
                            PyErr_CheckSignals()
                            look = time.perf_counter() + WAVE_SECONDS
                    split.segment += n
                split.row0 = split.row1
        finally:
            free(split.parts.first)
            free(split.parts.second)
            free(split.parts.index)
        return 0

    cdef object work_off(self, skk_step step, void *context, int64_t n_chains, void *scratch, int64_t per_thread,
                         int n_threads, progress, done, pairs):
        """Do all steps of some chains; signals and progress, from ``done`` of ``pairs`` on, are looked after meanwhile.

        Returns the number of pairs done.
        """
        cdef int finished = n_chains == 0
        cdef skk_job *job = NULL
        try:
            if not finished:
                job = skk_open(step, context, n_chains, n_threads, per_thread, scratch)
                if job == NULL:
                    raise MemoryError(f"{n_chains} pieces of work")
            while True:
                if not finished:
                    with nogil:
                        finished = skk_work(job, WAVE_SECONDS)
                if finished < 0:
                    raise RuntimeError("this process was forked in the middle of this call, and the child cannot end it")
                PyErr_CheckSignals()
                if progress is not None:
                    progress(done + (skk_done(job) if job != NULL else 0), pairs)
                if finished:
                    return done + (skk_done(job) if job != NULL else 0)
        finally:
            if job != NULL:
                with nogil:
                    skk_close(job)


cdef inline int64_t up(int64_t n, int64_t unit) noexcept nogil:
    """The next multiple of a unit."""
    return (n + unit - 1) // unit * unit


def apply(str opcode, a, b=None, immediates=(0.0, 0.0)):
    """One element-wise instruction of the engine over whole arrays.

    What the accuracy tests and the benchmarks of single loops call: ``apply("exp", a)``, ``apply("powf", a, b)``.
    """
    cdef int op, arity, is_double
    cdef double imm[2]
    if opcode not in OPCODES:
        raise ValueError(f"opcode: found {opcode!r}, expected one of {', '.join(OPCODES)}")
    op, arity = OPCODES[opcode]
    if arity != (1 if b is None else 2) or opcode in _NOT_ELEMENTWISE:
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


_NOT_ELEMENTWISE = frozenset(
    ("sum", "sumsq", "vmax", "vmin", "vargmax", "vargmin", "onehot", "bilinear", "sqdist", "l1dist", "dot", "scaled_sqdist",
     "scaled_l1dist", "expmul")
)

select_level(os.environ.get("SKKEOPS_SIMD_LEVEL") or tuple(available_levels())[len(available_levels()) - 1])
