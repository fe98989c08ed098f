# Programs: their fields in C, made from Python's, and their runs.


cdef int64_t as_operand(skk_operand *out, spec) except -1:
    if spec is None:
        memset(out, 0, sizeof(skk_operand))
        return 0
    out.place, out.offset, out.dim, out.step = spec
    return 0


# The three below fill what belongs to a program: what they allocate is there before anything can fail, so that it is freed.


cdef int as_code(skk_code *out, list instructions) except -1:
    cdef skk_instr *code = <skk_instr *>calloc(max(1, len(instructions)), sizeof(skk_instr))
    cdef int k
    if code == NULL:
        raise MemoryError("program")
    out.instr = code
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
    out.n = len(instructions)
    return 0


cdef int as_loads(const skk_load **out, int32_t *n, list loads) except -1:
    cdef skk_load *found = <skk_load *>calloc(max(1, len(loads)), sizeof(skk_load))
    cdef int k
    if found == NULL:
        raise MemoryError("program")
    out[0] = found
    for k in range(len(loads)):
        found[k].variable, found[k].plane, found[k].dim = loads[k]
    n[0] = len(loads)
    return 0


cdef int as_terms(const skk_term **out, int32_t *n, terms) except -1:
    cdef skk_term *found = <skk_term *>calloc(len(terms) + 1, sizeof(skk_term))
    cdef int k
    if found == NULL:
        raise MemoryError("program")
    out[0] = found
    for k, (scale, times, vector, minus, column, dim) in enumerate(terms):
        as_operand(&found[k].scale, scale)
        as_operand(&found[k].times, times)
        as_operand(&found[k].vector, vector)
        as_operand(&found[k].minus, minus)
        found[k].column, found[k].dim = column, dim
    n[0] = len(terms)
    return 0


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

    def __init__(self, *, bint is_double, variables, order, fold, largest, k, width, terms, turned_width, turned, value, pair_code,
                 lane_code, row_code, const_code, lane_planes, row_planes, const_planes, n_temps, lane_loads, row_loads,
                 const_loads, pair_loads, literals, tables, tile_rows, tile_lanes, segment, row_group):
        cdef int32_t *c_tables
        cdef int i
        if level == NULL:
            raise RuntimeError("no SIMD level is selected")
        if self.roles != NULL:
            raise RuntimeError("a Program is initialised once")
        self.description = dict(
            order=order, fold=fold, width=width, terms=terms, turned=turned, value=value, pair_code=pair_code, lane_code=lane_code,
            row_code=row_code, const_code=const_code, lane_planes=lane_planes, row_planes=row_planes,
            const_planes=const_planes, n_temps=n_temps, tile_rows=tile_rows, tile_lanes=tile_lanes,
            segment=segment, row_group=row_group,
        )
        self.kept_level = level[0]
        self.is_double = is_double
        self.cost = 1 + sum([code[1] for code in pair_code]) // 4 + (width + turned_width) // 4
        self.lane_cost = sum([code[1] for code in lane_code]) // 4
        self.n_variables = len(variables)
        self.roles = <int *>calloc(self.n_variables + 1, sizeof(int))
        self.dims = <int64_t *>calloc(self.n_variables + 1, sizeof(int64_t))
        c_tables = <int32_t *>calloc(len(tables) + 1, sizeof(int32_t))
        self.p.tables = c_tables
        if self.roles == NULL or self.dims == NULL or c_tables == NULL:
            raise MemoryError("program")
        for i, (role, dim) in enumerate(variables):
            self.roles[i] = ("unused", "out", "reduced", "parameter", "pair", "turned pair").index(role)
            self.dims[i] = dim
        as_terms(&self.p.terms, &self.p.n_terms, terms)
        as_terms(&self.p.turned, &self.p.n_turned, turned)
        self.p.turned_width = turned_width
        for i in range(len(tables)):
            c_tables[i] = tables[i]
        self.p.order, self.p.fold, self.p.largest, self.p.k, self.p.width = order, FOLDS[fold], largest, k, width
        as_operand(&self.p.value, value)
        as_code(&self.p.pair_code, pair_code)
        as_code(&self.p.lane_code, lane_code)
        as_code(&self.p.row_code, row_code)
        as_code(&self.p.const_code, const_code)
        self.p.lane_planes, self.p.row_planes, self.p.const_planes = lane_planes, row_planes, const_planes
        self.p.n_temps = n_temps
        as_loads(&self.p.lane_loads, &self.p.n_lane_loads, lane_loads)
        as_loads(&self.p.row_loads, &self.p.n_row_loads, row_loads)
        as_loads(&self.p.const_loads, &self.p.n_const_loads, const_loads)
        as_loads(&self.p.pair_loads, &self.p.n_pair_loads, pair_loads)
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
        free(<void *>self.p.turned)
        free(<void *>self.p.tables)
        free(<void *>self.p.lane_loads)
        free(<void *>self.p.row_loads)
        free(<void *>self.p.const_loads)
        free(<void *>self.p.pair_loads)
        free(self.roles)
        free(self.dims)

    cdef int check_built(self) except -1:
        """Refuse what `__init__` has not filled, or not to the end: the literals are the last."""
        if self.literals is None:
            raise RuntimeError("this Program was not initialised")
        return 0

    def scratch_bytes(self):
        """Working memory of one thread, in bytes."""
        self.check_built()
        return self.kept_level.scratch_bytes(&self.p, self.is_double)

    def run(self, tuple arrays, int64_t n_out, int64_t n_reduced, int n_threads, progress=None, ranges=None,
            worst=None):
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
        worst : ndarray of float64, shape (n_out, components), optional
            For the K smallest values: only those below these are wanted. Where there are fewer, the others are these, of index -1.

        Returns
        -------
        tuple of ndarray
            As docs/design/architecture.md lists them, float64 and int64. The fold "store" gives the values
            themselves, ``(n_out, n_reduced, width)``, in the program's dtype; 0 outside of the ranges. If there are turned terms,
            their sums follow, ``(n_reduced, turned_width)``.
        """
        cdef skk_call call
        cdef skk_state state
        cdef skk_array *views
        cdef double *turned = NULL
        cdef void *consts
        cdef void *scratch
        cdef int64_t per_thread, const_bytes, pairs
        self.check_built()
        memset(&state, 0, sizeof(skk_state))
        memset(&call, 0, sizeof(skk_call))
        if n_out < 0 or n_reduced < 0:
            raise ValueError("sizes must not be negative")
        if ranges is not None:
            ranges = check_ranges(self, ranges, n_out, n_reduced)
        elif self.p.order == 1 and n_reduced > self.p.segment:
            raise ValueError(f"this program reduces at most {self.p.segment} points, got {n_reduced}")
        result = empty_state(self, n_out, n_reduced, ranges is not None, worst, &state, &call.out)
        if self.p.n_turned:
            sums = np.zeros((self.p.turned_width, n_reduced))
            turned = <double *>cnp.PyArray_DATA(sums)
            result = (*result, sums.T)
        if n_out == 0 or n_reduced == 0:
            check_arrays(self, arrays, n_out, n_reduced, NULL)
            return result
        if n_out > MOST_PAIRS // n_reduced:
            raise ValueError(f"{n_out} x {n_reduced} pairs are more than 2^60")
        pairs = ranges[3] if ranges is not None else n_out * n_reduced
        n_threads = threads_worth_waking(self, n_out if self.p.order else n_reduced, pairs, n_threads)
        per_thread = self.kept_level.scratch_bytes(&self.p, self.is_double)
        views = <skk_array *>malloc((self.n_variables + 1) * sizeof(skk_array))
        const_bytes = len(self.literals)
        consts = malloc(const_bytes + 64)
        scratch = skk_take_scratch(per_thread)
        try:
            if views == NULL or consts == NULL or scratch == NULL:
                raise MemoryError(f"{per_thread} bytes of working memory")
            check_arrays(self, arrays, n_out, n_reduced, views)
            memcpy(consts, <char *>self.literals, const_bytes)
            call.arrays, call.n_out, call.n_red, call.consts = views, n_out, n_reduced, consts
            self.kept_level.consts(&self.p, views, consts, scratch, self.is_double)
            schedule(self, &call, &state, turned, scratch, per_thread, n_threads, progress, ranges, pairs)
        finally:
            free(views)
            free(consts)
            if scratch != NULL:
                skk_give_scratch(scratch)
        return result


cdef tuple empty_state(Program program, int64_t n_out, int64_t n_reduced, bint some_pairs, worst, skk_state *state, void **out):
    """The arrays that a call fills, which say nothing yet, and where they are: in ``state``, or in ``out`` for values."""
    cdef int64_t w = program.p.width
    if worst is not None and (program.p.fold != SKK_FOLD_KMIN or worst.shape != (n_out, w // program.p.k)):
        raise ValueError(f"worst belongs to the K smallest values: {n_out} rows of {w // program.p.k}, found the shape {worst.shape}")
    if program.p.fold == SKK_FOLD_SUM:
        result = (np.zeros((n_out, w)),)
        state.first = <double *>cnp.PyArray_DATA(result[0])
    elif program.p.fold == SKK_FOLD_SHIFT_EXP:
        result = (np.empty((n_out, 1)), np.zeros((n_out, w)))
        cnp.PyArray_FillWithScalar(result[0], -np.inf)
        state.first = <double *>cnp.PyArray_DATA(result[0])
        state.second = <double *>cnp.PyArray_DATA(result[1])
    elif program.p.fold == SKK_FOLD_STORE:
        allocate = np.zeros if some_pairs else np.empty
        result = (allocate((n_out, n_reduced, w), dtype=np.float64 if program.is_double else np.float32),)
        out[0] = cnp.PyArray_DATA(result[0])
    else:
        if program.p.fold == SKK_FOLD_EXTREMUM:
            shape = [n_out, w]
        else:
            shape = [n_out, program.p.k, w // program.p.k]
        best, index = np.empty(shape), np.empty(shape, dtype=np.int64)
        if program.p.order == 0 or program.p.fold != SKK_FOLD_EXTREMUM or n_reduced == 0:  # else all are written
            best.fill(-np.inf if program.p.largest else np.inf)
            index.fill(-1)
        if worst is not None:
            best[...] = worst[:, None]
        result = (best, index)
        state.first = <double *>cnp.PyArray_DATA(best)
        state.index = <int64_t *>cnp.PyArray_DATA(index)
    return result


cdef int threads_worth_waking(Program program, int64_t lanes, int64_t pairs, int n_threads) noexcept:
    """So many threads that each has work worth its waking."""
    cdef int64_t work = MOST_PAIRS
    if pairs <= MOST_PAIRS // program.cost and lanes <= MOST_PAIRS // (1 + program.lane_cost):
        work = pairs * program.cost
        if pairs < SERIAL_WORK:
            work += lanes * program.lane_cost
    return 1 if n_threads < 1 or work < SERIAL_WORK else min(n_threads, 2 + work // (SERIAL_WORK // 4 + 1))
