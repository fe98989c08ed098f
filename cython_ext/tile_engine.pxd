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
        skk_operand scale, vector, minus
        int32_t column, dim

    ctypedef struct skk_load:
        int32_t variable, plane, dim

    ctypedef struct skk_program:
        int32_t order, fold, largest, k, width, n_terms
        skk_code pair_code, lane_code, row_code, const_code
        const skk_term *terms
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

    ctypedef struct skk_task:
        int64_t row0, row1, red0, red1
        skk_state state

    ctypedef struct skk_level:
        const char *name
        int64_t (*scratch_bytes)(const skk_program *, int) noexcept nogil
        void (*consts)(const skk_program *, const skk_array *, void *, void *, int) noexcept nogil
        void (*task)(const skk_program *, const skk_call *, const skk_task *, void *, int) noexcept nogil
        void (*merge)(const skk_program *, skk_state *, const skk_state *, int64_t) noexcept nogil
        void (*unary)(int, const double *, const void *, void *, int64_t, int) noexcept nogil
        void (*binary)(int, const void *, const void *, void *, int64_t, int) noexcept nogil


cdef extern from "levels.h" nogil:
    const skk_level *skk_find_level(const char *name)
    const char *skk_opcode_name(int k)
    int skk_opcode_arity(int k)
    int skk_openmp()
    int skk_max_threads()
