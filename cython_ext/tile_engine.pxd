from libc.stdint cimport int32_t, int64_t


cdef extern from "tile_engine.h" nogil:
    const int SKK_N_OPCODES
    const int SKK_LANE_PAD
    const int SKK_FOLD_SUM, SKK_FOLD_SHIFT_EXP, SKK_FOLD_EXTREMUM, SKK_FOLD_KMIN, SKK_FOLD_STORE

    ctypedef struct skk_operand:
        int32_t place, offset, dim, step

    ctypedef struct skk_instr:
        int32_t op, dim, table, n_table
        skk_operand d, a, b, c
        double imm[2]

    ctypedef struct skk_code:
        const skk_instr *instr
        int32_t n

    ctypedef struct skk_term:
        skk_operand scale, times, vector, minus
        int32_t column, dim

    ctypedef struct skk_load:
        int32_t variable, plane, dim

    ctypedef struct skk_program:
        int32_t order, fold, largest, k, width, n_terms
        skk_code pair_code, lane_code, row_code, const_code
        const skk_term *terms
        const skk_term *turned
        int32_t n_turned, turned_width
        skk_operand value
        int32_t lane_planes, row_planes, const_planes, n_temps
        int32_t n_lane_loads, n_row_loads, n_const_loads
        const skk_load *lane_loads
        const skk_load *row_loads
        const skk_load *const_loads
        int32_t n_pair_loads
        const skk_load *pair_loads
        const int32_t *tables
        int32_t tile_rows, tile_lanes
        int64_t segment, row_group

    ctypedef struct skk_array:
        const void *data
        int64_t s0, s1, s2
        const int64_t *at0
        const int64_t *at2
        int32_t is_bytes

    ctypedef struct skk_state:
        double *first
        double *second
        int64_t *index

    ctypedef struct skk_call:
        const skk_array *arrays
        int64_t n_out, n_red
        const void *consts
        void *out

    ctypedef struct skk_level:
        const char *name
        int64_t (*scratch_bytes)(const skk_program *, int) noexcept nogil
        void (*consts)(const skk_program *, const skk_array *, void *, void *, int) noexcept nogil
        void (*unary)(int, const double *, const void *, void *, int64_t, int) noexcept nogil
        void (*binary)(int, const void *, const void *, void *, int64_t, int) noexcept nogil


cdef extern from "levels.h" nogil:
    const skk_level *skk_find_level(const char *name)
    const char *skk_opcode_name(int k)
    int skk_opcode_arity(int k)
    int skk_opcode_is_elementwise(int k)
    int skk_openmp()
    int skk_max_threads()


cdef extern from "pool.h" nogil:
    ctypedef struct skk_job:
        pass
    ctypedef int (*skk_step)(void *context, int64_t chain, void *scratch, int64_t *done) noexcept
    skk_job *skk_open(skk_step step, void *context, int64_t n_chains, int n_threads, size_t scratch_bytes, void *scratch)
    int skk_work(skk_job *job, double seconds)
    int64_t skk_done(skk_job *job)
    void skk_close(skk_job *job)
    void *skk_take_scratch(size_t n_bytes)
    void skk_give_scratch(void *scratch)
    size_t skk_kept_scratch()
    void skk_poison_scratch(int on)
    void skk_watch_forks()
    int skk_helpers()


cdef extern from "schedule.h" nogil:
    ctypedef struct skk_unit:
        int64_t row0, row1, first, last, state, part

    ctypedef struct skk_chain:
        pass

    ctypedef struct skk_list:
        const skk_level *level
        const skk_program *program
        const skk_call *call
        int is_double, partial
        skk_state state
        double *turned
        int64_t turned_ld
        const int64_t *ranges
        int joins
        const skk_unit *units
        skk_chain *chains
        int64_t budget

    int64_t skk_join_units(skk_list *list, int64_t n_units, int64_t pairs)
    int skk_list_step(void *list, int64_t chain, void *scratch, int64_t *done) noexcept
    void skk_merge_part(const skk_list *list, skk_state *total, int64_t unit)
    void skk_merge_turned(const skk_list *list, double *total, int64_t unit)
