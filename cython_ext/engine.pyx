# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Programs of the tile engine: built from Python, checked, scheduled over threads, run without the GIL."""

import os
import time

import numpy as np

cimport numpy as cnp
from cython.parallel cimport prange, threadid
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport INFINITY
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

# A call with less work than this, some 0.2 ms (in pairs of a formula of one cheap instruction), runs on the calling thread. Threads
# would save a third of that; but where other programs keep the cores busy, their barrier waits for a time slice: 10 to 30 ms.
cdef int64_t SERIAL_WORK = 1 << 20
# Scratch memory that a program keeps from call to call.
cdef int64_t KEPT_SCRATCH = 16 << 20
# Work of a task, in pairs of a formula of one cheap instruction.
cdef int64_t TASK_WORK = 1 << 25
# Time between two looks at signals and the progress callback.
cdef double WAVE_SECONDS = 0.05

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
    cdef void *scratch
    cdef int64_t scratch_size
    cdef object literals
    cdef readonly dict description

    def __cinit__(self):
        memset(&self.p, 0, sizeof(skk_program))
        self.roles = NULL
        self.dims = NULL
        self.scratch = NULL
        self.scratch_size = 0

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
        free(self.scratch)

    def scratch_bytes(self):
        """Working memory of one thread, in bytes."""
        return self.kept_level.scratch_bytes(&self.p, self.is_double)

    def run(self, tuple arrays, int64_t n_out, int64_t n_reduced, int n_threads, progress=None, ranges=None):
        """The state of every output row.

        Parameters
        ----------
        arrays : tuple of ndarray
            One per variable: ``(n_out, dim)``, ``(n_reduced, dim)`` or ``(dim,)``, native, aligned, of the program's
            dtype; ``(n_out, n_reduced, dim)`` for pairs, which may be booleans. Anything else is refused.
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
        cdef int64_t per_thread, size, w = self.p.width, const_bytes, pairs, lanes
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
        if n_out > (<int64_t>1 << 60) // n_reduced:
            raise ValueError(f"{n_out} x {n_reduced} pairs are more than 2^60")
        pairs = ranges[3] if ranges is not None else n_out * n_reduced
        lanes = n_out if self.p.order else n_reduced
        if n_threads < 1 or (pairs < SERIAL_WORK and pairs * self.cost + lanes * self.lane_cost < SERIAL_WORK):
            n_threads = 1
        per_thread = (self.kept_level.scratch_bytes(&self.p, self.is_double) + 255) // 64 * 64
        views = <skk_array *>malloc((self.n_variables + 1) * sizeof(skk_array))
        const_bytes = len(self.literals)
        consts = malloc(const_bytes + 64)
        if self.scratch != NULL and self.scratch_size >= per_thread * n_threads:
            # taken, so that another Python thread in this program gets its own
            scratch, size, self.scratch = self.scratch, self.scratch_size, NULL
        else:
            size = per_thread * n_threads
            scratch = calloc(size, 1)
        try:
            if views == NULL or consts == NULL or scratch == NULL:
                raise MemoryError(f"{per_thread * n_threads} bytes of working memory for {n_threads} threads")
            self.check(arrays, n_out, n_reduced, views)
            memcpy(consts, <char *>self.literals, const_bytes)
            call.arrays, call.n_out, call.n_red, call.consts = views, n_out, n_reduced, consts
            self.kept_level.consts(&self.p, views, consts, align(scratch), self.is_double)
            if ranges is None:
                self.schedule(&call, &state, scratch, per_thread, n_threads, progress)
            else:
                self.schedule_ranges(&call, &state, scratch, per_thread, n_threads, progress,
                                     ranges[0], ranges[1], ranges[2], ranges[3])
        finally:
            free(views)
            free(consts)
            if scratch != NULL and self.scratch == NULL and size <= KEPT_SCRATCH:
                self.scratch, self.scratch_size = scratch, size
            else:
                free(scratch)
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
        """The same for an array of pairs."""
        cdef int out = 0 if self.roles[k] == 4 else 1
        cdef int64_t itemsize
        cdef cnp.npy_intp *strides
        if not isinstance(a, np.ndarray) or cnp.PyArray_TYPE(a) not in (type_number, cnp.NPY_BOOL, cnp.NPY_UINT8):
            raise TypeError(f"array {k}: expected an ndarray of {'float64' if self.is_double else 'float32'} or bool")
        if not cnp.PyArray_ISBEHAVED_RO(a):
            raise ValueError(f"array {k} is not aligned or not in native byte order")
        shape = (n_reduced, n_out, self.dims[k]) if out else (n_out, n_reduced, self.dims[k])
        if a.shape != shape:
            raise ValueError(f"array {k}: expected shape {shape}")
        if views != NULL:
            itemsize = cnp.PyArray_ITEMSIZE(a)
            strides = cnp.PyArray_STRIDES(a)
            views[k].is_bytes = itemsize == 1
            views[k].s0, views[k].s2 = strides[out] // itemsize, strides[1 - out] // itemsize
            views[k].s1 = strides[2] // itemsize
            views[k].data = cnp.PyArray_DATA(a)
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
            pairs += reduced * (rows[b, 1] - rows[b, 0])
            last, end = rows[b, 1], slices[b]
        return rows, slices, reds, pairs

    cdef int schedule_ranges(self, skk_call *call, skk_state *state, void *scratch, int64_t per_thread, int n_threads,
                             progress, int64_t[:, ::1] rows, int64_t[::1] slices, int64_t[:, ::1] reds,
                             int64_t pairs) except -1:
        """Blocks of pairs: a unit of work is a group of a block's rows with all its ranges, in their order."""
        cdef int64_t n_units = 0, b, k, at, first, last, wave, done = 0, group = self.p.row_group
        cdef int64_t (*units)[4]
        cdef double start, seconds
        for b in range(rows.shape[0]):
            n_units += (rows[b, 1] - rows[b, 0] + group - 1) // group
        units = <int64_t (*)[4]> malloc((n_units + 1) * sizeof(units[0]))  # row0, row1, first and last range
        if units == NULL:
            raise MemoryError("units")
        try:
            k = 0
            for b in range(rows.shape[0]):
                at = rows[b, 0]
                while at < rows[b, 1]:
                    units[k][0], units[k][1] = at, min(at + group, rows[b, 1])
                    units[k][2], units[k][3] = (slices[b - 1] if b else 0), slices[b]
                    k += 1
                    at += group
            first, wave = 0, 4 * n_threads
            while first < n_units:
                last = min(n_units, first + wave)
                start = time.perf_counter()
                if n_threads == 1:
                    with nogil:
                        for k in range(first, last):
                            self.run_unit(call, state, units[k], reds, scratch)
                else:
                    for k in prange(first, last, nogil=True, num_threads=n_threads, schedule="dynamic", chunksize=1):
                        self.run_unit(call, state, units[k], reds, <char *>scratch + threadid() * per_thread)
                PyErr_CheckSignals()
                if progress is not None:
                    progress(<object>last * pairs // n_units, <object>pairs)
                seconds = time.perf_counter() - start
                if seconds < WAVE_SECONDS / 2:
                    wave *= 4 if seconds < WAVE_SECONDS / 8 else 2
                elif seconds > 2 * WAVE_SECONDS:
                    wave = max(n_threads, wave // 2)
                first = last
        finally:
            free(units)
        return 0

    cdef void run_unit(self, skk_call *call, skk_state *state, int64_t *unit, int64_t[:, ::1] reds,
                       void *scratch) noexcept nogil:
        cdef skk_task task
        cdef int64_t k
        task.row0, task.row1 = unit[0], unit[1]
        self.at_row(state, &task.state, unit[0])
        for k in range(unit[2], unit[3]):
            task.red0, task.red1 = reds[k, 0], reds[k, 1]
            if task.red0 < task.red1:
                self.kept_level.task(&self.p, call, &task, scratch, self.is_double)

    cdef int schedule(self, skk_call *call, skk_state *state, void *scratch, int64_t per_thread, int n_threads,
                      progress) except -1:
        """Cut the work into tasks and run them in waves; signals and progress are looked after in between.

        Rows are independent, so how they are grouped changes no bit. Along the reduced axis the partial states of the
        canonical segments are always combined from the first to the last: within a task where there are rows enough
        for all threads, here where there are few.
        """
        cdef int64_t n_out = call.n_out, n_red = call.n_red, done = 0, total, n_tasks
        cdef int64_t group, n_groups, n_segments, wave, first, last, span, seg, k
        cdef double start, seconds
        cdef skk_task *tasks
        cdef skk_state part
        if self.p.order == 1:
            group = max(self.p.tile_lanes, min(8 * self.p.tile_lanes, n_out // (4 * n_threads)))
            group = (group + self.p.tile_lanes - 1) // self.p.tile_lanes * self.p.tile_lanes
            n_segments = 1
        else:
            group = min(self.p.row_group, max(self.p.tile_rows, n_out // (4 * n_threads)))
            group = (group + self.p.tile_rows - 1) // self.p.tile_rows * self.p.tile_rows
            group = min(group, self.p.row_group)
            n_segments = (n_red + self.p.segment - 1) // self.p.segment
        n_groups = (n_out + group - 1) // group
        total = n_groups * n_segments
        if n_segments > 1 and n_threads > 1 and n_groups < 2 * n_threads and self.p.fold != SKK_FOLD_STORE:
            return self.schedule_split(call, state, scratch, per_thread, n_threads, progress)
        # a task is a group of rows and a run of segments, of at most some ten milliseconds
        span = max(1, min(n_segments, TASK_WORK // (group * self.p.segment * self.cost)))
        wave = 4 * n_threads if n_threads > 1 else 1
        tasks = <skk_task *>malloc(n_groups * sizeof(skk_task))
        if tasks == NULL:
            raise MemoryError("tasks")
        try:
            seg = 0
            while seg < n_segments:
                for k in range(n_groups):
                    tasks[k].row0 = k * group
                    tasks[k].row1 = min(n_out, (k + 1) * group)
                    tasks[k].red0 = seg * self.p.segment
                    tasks[k].red1 = min(n_red, (seg + span) * self.p.segment)
                    self.at_row(state, &tasks[k].state, tasks[k].row0)
                first = 0
                while first < n_groups:
                    last = min(n_groups, first + wave)
                    start = time.perf_counter()
                    self.run_tasks(call, tasks, first, last, scratch, per_thread, n_threads)
                    PyErr_CheckSignals()
                    done += (last - first) * min(span, n_segments - seg)
                    if progress is not None:
                        progress(<object>min(done, total) * n_out * n_red // total, <object>n_out * n_red)
                    seconds = time.perf_counter() - start
                    if seconds < WAVE_SECONDS / 2:
                        wave *= 4 if seconds < WAVE_SECONDS / 8 else 2
                    elif seconds > 2 * WAVE_SECONDS:
                        wave = max(n_threads, wave // 2)
                    first = last
                seg += span
        finally:
            free(tasks)
        return 0

    cdef int schedule_split(self, skk_call *call, skk_state *state, void *scratch, int64_t per_thread, int n_threads,
                            progress) except -1:
        """Few rows: a task is one segment of all of them, with a partial state of its own, combined in order."""
        cdef int64_t n_out = call.n_out, n_red = call.n_red, w = self.p.width, group, k, seg, n, row
        cdef int64_t n_segments = (n_red + self.p.segment - 1) // self.p.segment, wave
        cdef skk_task *tasks
        cdef skk_state parts, part, rows
        cdef double start, seconds
        group = min(n_out, self.p.row_group)
        # the partial states of a wave stay below 16 MB, its time around a tenth of a second
        wave = min((1 << 20) // (group * (w + 1)), 16 * TASK_WORK * n_threads // (group * self.p.segment * self.cost))
        wave = min(max(4 * n_threads, wave), n_segments)
        parts.first = <double *>malloc(wave * group * w * sizeof(double))
        parts.second = <double *>malloc(wave * group * w * sizeof(double))
        parts.index = <int64_t *>malloc(wave * group * w * sizeof(int64_t))
        tasks = <skk_task *>malloc(wave * sizeof(skk_task))
        try:
            if parts.first == NULL or parts.second == NULL or parts.index == NULL or tasks == NULL:
                raise MemoryError("partial states")
            row = 0
            while row < n_out:
                seg = 0
                while seg < n_segments:
                    n = min(wave, n_segments - seg)
                    for k in range(n):
                        tasks[k].row0, tasks[k].row1 = row, min(n_out, row + group)
                        tasks[k].red0 = (seg + k) * self.p.segment
                        tasks[k].red1 = min(n_red, (seg + k + 1) * self.p.segment)
                        self.at_row(&parts, &tasks[k].state, k * group)
                    self.set_identity(&parts, wave * group)
                    self.run_tasks(call, tasks, 0, n, scratch, per_thread, n_threads)
                    self.at_row(state, &rows, row)
                    for k in range(n):
                        self.at_row(&parts, &part, k * group)
                        self.kept_level.merge(&self.p, &rows, &part, min(n_out, row + group) - row)
                    PyErr_CheckSignals()
                    seg += n
                    if progress is not None:
                        n = min(n_out, row + group) - row
                        progress(<object>row * n_red + <object>n * min(n_red, seg * self.p.segment), <object>n_out * n_red)
                row += group
        finally:
            free(parts.first)
            free(parts.second)
            free(parts.index)
            free(tasks)
        return 0

    cdef void at_row(self, const skk_state *state, skk_state *out, int64_t row) noexcept nogil:
        cdef int64_t w = self.p.width
        out.first = state.first + row * (1 if self.p.fold == SKK_FOLD_SHIFT_EXP else w)
        out.second = state.second + row * w
        out.index = state.index + row * w

    cdef void set_identity(self, skk_state *state, int64_t rows) noexcept nogil:
        cdef int64_t k, w = self.p.width
        cdef double first = 0
        if self.p.fold == SKK_FOLD_SHIFT_EXP:
            for k in range(rows):
                state.first[k] = -INFINITY
            for k in range(rows * w):
                state.second[k] = 0
            return
        if self.p.fold != SKK_FOLD_SUM:
            first = -INFINITY if self.p.largest else INFINITY
        for k in range(rows * w):
            state.first[k] = first
            state.index[k] = -1

    cdef void run_tasks(self, skk_call *call, skk_task *tasks, int64_t first, int64_t last, void *scratch,
                        int64_t per_thread, int n_threads) noexcept:
        cdef int64_t k
        if n_threads == 1 or last - first == 1:  # no parallel region: safe in a forked child too
            with nogil:
                for k in range(first, last):
                    self.kept_level.task(&self.p, call, &tasks[k], scratch, self.is_double)
            return
        for k in prange(first, last, nogil=True, num_threads=n_threads, schedule="dynamic", chunksize=1):
            self.kept_level.task(&self.p, call, &tasks[k], <char *>scratch + threadid() * per_thread, self.is_double)


cdef inline void *align(void *p) noexcept nogil:
    return <void *>((<size_t>p + 63) & ~<size_t>63)


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
    ("sum", "sumsq", "vmax", "vmin", "vargmax", "vargmin", "onehot", "bilinear", "sqdist", "l1dist", "dot", "expmul")
)

select_level(os.environ.get("SKKEOPS_SIMD_LEVEL") or tuple(available_levels())[len(available_levels()) - 1])
