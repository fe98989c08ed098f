# A call's work, cut into units, and their steps done by the pool: see ``schedule.h``.


cdef int schedule(Program program, skk_call *call, skk_state *state, double *turned, void *scratch, int64_t per_thread,
                  int n_threads, progress, ranges, int64_t pairs) except -1:
    """Do the work of a call."""
    cdef int64_t n_out = call.n_out, segment = program.p.segment, group, n_groups, n_segments, n_spans = 1, n_units = 0, b, n
    cdef skk_list work
    cdef skk_unit *units = NULL
    cdef int64_t *spans = NULL
    cdef int64_t[:, ::1] rows, reds
    cdef int64_t[::1] slices
    if program.p.n_turned:
        group = program.p.row_group if ranges is not None else rows_of_both(program, n_out, call.n_red)
        return schedule_parts(program, call, state, turned, group, scratch, per_thread, n_threads, progress, ranges, pairs)
    group = max(1, n_out // (4 * <int64_t>n_threads))
    if program.p.order == 1:
        group = up(max(program.p.tile_lanes, min(8 * program.p.tile_lanes, group)), program.p.tile_lanes)
        n_segments = 1
    else:
        group = min(most_rows(program), up(max(program.p.tile_rows, min(program.p.row_group, group)), program.p.tile_rows))
        n_segments = (call.n_red + segment - 1) // segment
    n_groups = (n_out + group - 1) // group
    if ranges is not None:
        group = most_rows(program)
    elif n_segments > 1 and n_threads > 1 and n_groups < 2 * n_threads:
        if program.p.fold != SKK_FOLD_STORE:
            # the partial states of all rows of one segment stay below 2 MB for each of four units of a thread
            group = max(1, (1 << 20) // (4 * <int64_t>n_threads * (program.p.width + 1)))
            group = min(min(n_out, most_rows(program)), group)
            return schedule_parts(program, call, state, NULL, group, scratch, per_thread, n_threads, progress, None, pairs)
        n_spans = min(n_segments, 8 * <int64_t>n_threads // n_groups)  # what is stored needs no order
    begin_list(program, &work, call)
    work.state = state[0]
    try:
        if ranges is None:
            n_units = n_groups * n_spans
            spans = <int64_t *>malloc(2 * n_spans * sizeof(int64_t))
        else:
            rows, slices, reds = ranges[0], ranges[1], ranges[2]
            for b in range(rows.shape[0]):
                n_units += (rows[b, 1] - rows[b, 0] + group - 1) // group
        units = <skk_unit *>malloc((n_units + 1) * sizeof(skk_unit))
        work.chains = <skk_chain *>malloc((n_units + 1) * sizeof(skk_chain))
        if units == NULL or work.chains == NULL or (ranges is None and spans == NULL):
            raise MemoryError(f"{n_units} pieces of work")
        n = 0
        if ranges is None:
            for b in range(n_spans):
                spans[2 * b] = n_segments * b // n_spans * segment
                spans[2 * b + 1] = min(call.n_red, n_segments * (b + 1) // n_spans * segment)
                n = add_units(units, n, 0, n_out, group, b, b + 1)
            work.ranges = spans
        else:
            for b in range(rows.shape[0]):
                n = add_units(units, n, rows[b, 0], rows[b, 1], group, slices[b - 1] if b else 0, slices[b])
            work.ranges = &reds[0, 0] if reds.shape[0] else NULL
        work.units = units
        # Little units are joined to chains of that many pairs that a step is worth its taking.
        n = skk_join_units(&work, n, min(work.budget // 16, pairs // (32 * <int64_t>n_threads)))
        work_off(&work, n, scratch, per_thread, n_threads, progress, 0, pairs)
    finally:
        free(units)
        free(spans)
        free(work.chains)
    return 0


cdef int schedule_parts(Program program, skk_call *call, skk_state *state, double *turned, int64_t group, void *scratch,
                        int64_t per_thread, int n_threads, progress, ranges, int64_t pairs) except -1:
    """A unit is one segment of a group of rows, with partial states of its own, combined in order; ``turned`` takes the sums of the
    reduced indices, if there are any."""
    cdef int64_t segment = program.p.segment, w = program.p.width, at_once, k, n, part_numbers
    cdef int uses_second = program.p.fold == SKK_FOLD_SHIFT_EXP, uses_index = program.p.fold in (SKK_FOLD_EXTREMUM, SKK_FOLD_KMIN)
    cdef object done = 0
    cdef skk_list work
    cdef skk_unit *units
    cdef int64_t *spans
    cdef double look
    cdef _Pieces pieces = _Pieces(call.n_out, call.n_red, group, segment, ranges)
    begin_list(program, &work, call)
    work.partial = 1
    work.turned_ld = up(min(segment, call.n_red), SKK_LANE_PAD) + 32  # not a power of two: columns share no cache sets
    group = min(group, call.n_out)
    part_numbers = group * (w + 1) + (program.p.turned_width * work.turned_ld if turned != NULL else 0)
    # the partial states that are there at once stay below 16 MB, unless those of a few units are more
    at_once = min(pieces.count, max(4 * <int64_t>n_threads, (1 << 20) // part_numbers))
    work.state.first = <double *>malloc(at_once * group * w * sizeof(double))
    work.state.second = <double *>malloc(at_once * group * w * sizeof(double)) if uses_second else NULL
    work.state.index = <int64_t *>malloc(at_once * group * w * sizeof(int64_t)) if uses_index else NULL
    work.turned = NULL if turned == NULL else <double *>malloc(
        at_once * program.p.turned_width * work.turned_ld * sizeof(double))
    work.chains = <skk_chain *>malloc(at_once * sizeof(skk_chain))
    units = <skk_unit *>malloc(at_once * sizeof(skk_unit))
    spans = <int64_t *>malloc(2 * at_once * sizeof(int64_t))
    work.units, work.ranges = units, spans
    try:
        if at_once and (work.state.first == NULL or uses_second and work.state.second == NULL
                        or uses_index and work.state.index == NULL or work.chains == NULL or units == NULL or spans == NULL
                        or turned != NULL and work.turned == NULL):
            raise MemoryError("partial states")
        while True:
            n = 0
            while n < at_once and pieces.next(units + n, spans + 2 * n):
                units[n].first, units[n].last, units[n].state, units[n].part = n, n + 1, n * group, n
                n += 1
            if n == 0:
                break
            skk_join_units(&work, n, 0)
            done = work_off(&work, n, scratch, per_thread, n_threads, progress, done, pairs)
            look = time.perf_counter() + WAVE_SECONDS
            for k in range(n):
                with nogil:
                    skk_merge_part(&work, state, k)
                    if turned != NULL:
                        skk_merge_turned(&work, turned, k)
                if time.perf_counter() > look:
                    PyErr_CheckSignals()
                    look = time.perf_counter() + WAVE_SECONDS
    finally:
        free(work.state.first)
        free(work.state.second)
        free(work.state.index)
        free(work.turned)
        free(work.chains)
        free(units)
        free(spans)
    return 0


cdef class _Pieces:
    """All pairs, or those of some ranges, in pieces: so many rows of a block, with so many reduced indices of one of its ranges.

    Rows ascend, and with the same rows the reduced indices are taken in the order of the ranges.
    """

    cdef int64_t[:, ::1] rows, reds
    cdef int64_t[::1] slices
    cdef int64_t group, segment, block, row, range, at
    cdef readonly int64_t count

    def __cinit__(self, int64_t n_out, int64_t n_red, int64_t group, int64_t segment, ranges):
        cdef int64_t b, k, n
        if ranges is None:
            ranges = (np.array([[0, n_out]]), np.array([1]), np.array([[0, n_red]]))
        self.rows, self.slices, self.reds = ranges[0], ranges[1], ranges[2]
        self.group, self.segment = group, segment
        self.count = 0
        for b in range(self.rows.shape[0]):
            n = 0
            for k in range(self.slices[b - 1] if b else 0, self.slices[b]):
                n += (self.reds[k, 1] - self.reds[k, 0] + segment - 1) // segment
            self.count += n * ((self.rows[b, 1] - self.rows[b, 0] + group - 1) // group)
        self.block = -1
        self.begin_block()

    cdef void begin_block(self) noexcept:
        self.block += 1
        if self.block < self.rows.shape[0]:
            self.row = self.rows[self.block, 0]
            self.begin_rows()

    cdef void begin_rows(self) noexcept:
        self.range = self.slices[self.block - 1] if self.block else 0
        self.at = 0

    cdef int next(self, skk_unit *unit, int64_t *span) noexcept:
        """Write the next piece; return 0 if there is none."""
        cdef int64_t end
        while self.block < self.rows.shape[0]:
            end = self.rows[self.block, 1]
            if self.row >= end:
                self.begin_block()
            elif self.range == self.slices[self.block]:
                self.row += self.group
                self.begin_rows()
            elif self.reds[self.range, 0] + self.at >= self.reds[self.range, 1]:
                self.range += 1
                self.at = 0
            else:
                unit.row0, unit.row1 = self.row, min(end, self.row + self.group)
                span[0] = self.reds[self.range, 0] + self.at
                span[1] = min(self.reds[self.range, 1], span[0] + self.segment)
                self.at += self.segment
                return 1
        return 0


cdef int64_t rows_of_both(Program program, int64_t n_out, int64_t n_red) noexcept:
    """Rows of a group of sums over both axes. The sums of the reduced indices depend on it, and it not on the number of threads.

    There are some thirty units for threads to share, but no group is so small that the sums of its lanes cost more than its pairs.
    """
    cdef int64_t n_segments = (n_red + program.p.segment - 1) // program.p.segment
    return min(program.p.row_group, up(max(128, n_out * n_segments // 32), program.p.tile_rows))


cdef void begin_list(Program program, skk_list *work, skk_call *call) noexcept:
    """An empty list, whose steps are some ten milliseconds long."""
    memset(work, 0, sizeof(skk_list))
    work.level, work.program, work.call, work.is_double = &program.kept_level, &program.p, call, program.is_double
    work.budget = max(1, TASK_WORK // program.cost)
    # what goes to a place for each pair, or comes from one, or is added to a sum for each reduced index, is contiguous in it
    work.joins = not (program.p.order or program.p.n_turned or program.p.n_pair_loads or program.p.fold == SKK_FOLD_STORE)


cdef int64_t add_units(skk_unit *units, int64_t n, int64_t row0, int64_t row1, int64_t group, int64_t first,
                       int64_t last) noexcept nogil:
    """Rows cut into groups, units with the same ranges, behind n others; returns how many there are then."""
    while row0 < row1:
        units[n].row0, units[n].row1, units[n].first, units[n].last = row0, min(row1, row0 + group), first, last
        units[n].state = row0
        row0 += group
        n += 1
    return n


cdef int64_t most_rows(Program program) noexcept:
    """Rows that a step may have: few where pairs cost much, so that a single segment of them does not take long."""
    cdef int64_t rows = 4 * TASK_WORK // (program.p.segment * program.cost)
    return min(program.p.row_group, up(max(program.p.tile_rows, min(program.p.row_group, rows)), program.p.tile_rows))


cdef object work_off(skk_list *work, int64_t n_chains, void *scratch, int64_t per_thread, int n_threads, progress, done, pairs):
    """Do all steps of a list's chains; signals and progress, from ``done`` of ``pairs`` on, are looked after meanwhile.

    Returns the number of pairs done.
    """
    cdef int finished = n_chains == 0
    cdef skk_job *job = NULL
    try:
        if not finished:
            job = skk_open(skk_list_step, work, n_chains, n_threads, per_thread, scratch)
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
