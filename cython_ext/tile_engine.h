/* The tile engine's data structures, shared by every instruction set's build.

   A program works on tiles: `rows` x `lanes` pairs (one row is one index of the row axis, lanes are
   consecutive indices of the lane axis). A value of dimension D in a tile is D planes of rows x lanes.
   Operands live in one of four places:

     TILE   a temporary of the tile, D planes
     LANE   one value per lane, the same for all rows (what depends on the lane axis alone)
     ROW    one value per row, the same for all lanes (what depends on the row axis alone)
     CONST  one value for the whole call (parameters and literals)

   The lane axis is the reduced axis (order 0), or the output axis when the reduced one is short
   (order 1). Folds turn tiles into reduction states (see tile_fold_*.inc). */
#ifndef SKK_TILE_ENGINE_H
#define SKK_TILE_ENGINE_H

#include <stdint.h>

enum skk_opcode {
#define OP(ID, name, arity, elementwise) SKK_##ID,
#include "opcodes.def"
    SKK_N_OPCODES
};

enum skk_place { SKK_NONE = 0, SKK_TILE = 1, SKK_LANE = 2, SKK_ROW = 3, SKK_CONST = 4 };
enum skk_fold { SKK_FOLD_SUM = 0, SKK_FOLD_SHIFT_EXP = 1, SKK_FOLD_EXTREMUM = 2, SKK_FOLD_KMIN = 3, SKK_FOLD_STORE = 4 };

#define SKK_LANE_PAD 64 /* lanes are padded to a multiple of this: no remainder loops anywhere */

typedef struct {
    int32_t place;  /* enum skk_place */
    int32_t offset; /* first plane */
    int32_t dim;    /* number of components */
    int32_t step;   /* planes from a component to the next; 0 when one component stands for all */
} skk_operand;

typedef struct {
    int32_t op;
    int32_t dim;     /* components to compute (of the argument, for contractions) */
    int32_t table;   /* first entry of this instruction in the index tables */
    int32_t n_table; /* number of entries */
    skk_operand d, a, b, c;
    double imm[2];
} skk_instr;

typedef struct {
    const skk_instr *instr;
    int32_t n;
} skk_code;

/* One term of a sum: scale * times * (vector - minus); each may be absent, but for what the others need. */
typedef struct {
    skk_operand scale;  /* dim 1, with a value for each lane */
    skk_operand times;  /* dim 1; only with a scale in the TILE and a vector: it saves the tile of the product */
    skk_operand vector; /* dim = columns */
    skk_operand minus;  /* dim = columns; only with a vector of the other axis */
    int32_t column;     /* first column of the state */
    int32_t dim;        /* number of columns */
} skk_term;

typedef struct {
    int32_t variable, plane, dim;
} skk_load;

typedef struct {
    int32_t order;    /* 0: lanes run over the reduced axis, 1: over the output axis */
    int32_t fold;     /* enum skk_fold */
    int32_t largest;  /* extremum: 1 for max */
    int32_t k;        /* kmin: length of the list */
    int32_t width;    /* columns of the state */
    int32_t n_terms;
    skk_code pair_code, lane_code, row_code, const_code;
    const skk_term *terms;
    const skk_term *turned; /* order 0, sums: of outputs that reduce over the rows and have a row for each lane */
    int32_t n_turned;
    int32_t turned_width; /* columns of their state */
    skk_operand value; /* what shift_exp, extremum and kmin consume, and store writes */
    int32_t lane_planes, row_planes, const_planes;
    int32_t n_temps;   /* planes of temporaries, over all codes */
    int32_t n_lane_loads, n_row_loads, n_const_loads;
    const skk_load *lane_loads, *row_loads, *const_loads;
    int32_t n_pair_loads;
    const skk_load *pair_loads; /* of arrays of pairs, into temporaries of the tile, before the pair code */
    const int32_t *tables;
    int32_t tile_rows, tile_lanes;
    int64_t segment;   /* lanes (order 0) of one canonical partial state */
    int64_t row_group; /* order 0: rows a task packs at most */
} skk_program;

typedef struct {
    const void *data;
    int64_t s0, s1; /* strides, in elements, of the point and of the component */
    int64_t s2;     /* arrays of pairs: s0 is the stride of the output's index, s2 that of the reduced one */
    const int64_t *at0, *at2; /* arrays of pairs: where the values of the output's and of the reduced index are; NULL: in order */
    int32_t is_bytes; /* arrays of pairs may be of bytes, booleans, instead of numbers */
} skk_array;

/* States: see docs/design/architecture.md. `first` holds s | m | value | values, `second` s; indices apart. */
typedef struct {
    double *first;
    double *second;
    int64_t *index;
} skk_state;

typedef struct {
    const skk_array *arrays;
    int64_t n_out, n_red;
    const void *consts; /* const_planes x SKK_LANE_PAD, computed once a call */
    void *out;          /* store: n_out x n_red x width numbers of the program's type */
} skk_call;

/* A piece of work that owns its outputs: output rows [row0, row1) with so many reduced indices, which are taken in segments: from
   `red` on to the end of the range [range[0], range[1]) that it is in, and from the ranges behind it. The rows are packed once for
   all segments of a task. */
typedef struct {
    int64_t row0, row1, red, n_red;
    const int64_t *range;
    skk_state state; /* where row0's state is */
    double *turned;  /* sums of the turned outputs, [column][reduced index from `red` on], or NULL */
    int64_t turned_ld;
} skk_task;

/* One instruction set's entry points, for float32 (0) and float64 (1). */
typedef struct {
    const char *name;
    int64_t (*scratch_bytes)(const skk_program *, int is_double);
    void (*consts)(const skk_program *, const skk_array *, void *consts, void *scratch, int is_double);
    void (*task)(const skk_program *, const skk_call *, const skk_task *, void *scratch, int is_double);
    void (*merge)(const skk_program *, skk_state *total, const skk_state *part, int64_t rows);
    void (*unary)(int op, const double *imm, const void *a, void *out, int64_t n, int is_double);
    void (*binary)(int op, const void *a, const void *b, void *out, int64_t n, int is_double);
} skk_level;

const skk_level *skk_level_baseline(void);
const skk_level *skk_level_avx2(void);
const skk_level *skk_level_avx512(void);

#endif
