/* A call's work, cut into steps for the pool.

   Rows are independent, so how they are grouped changes no bit. Along the reduced axis the partial states of canonical segments
   are always combined from the first to the last: a step ends where a segment does. */
#ifndef SKK_SCHEDULE_H
#define SKK_SCHEDULE_H

#include <stddef.h>

#include "pool.h"
#include "tile_engine.h"

typedef struct {
    const skk_level *level;
    const skk_program *program;
    const skk_call *call;
    int is_double;
} skk_how;

/* Output rows [row0, row1) with the ranges number [first, last) of reduced indices, in their order. */
typedef struct {
    int64_t row0, row1, first, last;
} skk_unit;

/* Units [unit, last_unit), one after the other, and how far they are: in this range, so many reduced indices. */
typedef struct {
    int64_t unit, last_unit, range, at;
} skk_chain;

/* Where rows are many: a chain keeps the state of its rows while it walks along the reduced axis. */
typedef struct {
    skk_how how;
    skk_state state;
    const int64_t *ranges; /* pairs: begin, end */
    const skk_unit *units;
    skk_chain *chains;
    int64_t budget; /* pairs that a step may take, unless a single segment of a unit has more */
} skk_walk;

/* Units joined to chains of about so many pairs; returns the number of chains, at most that of units. */
int64_t skk_join_units(skk_walk *walk, int64_t n_units, int64_t pairs);
int skk_walk_step(void *walk, int64_t chain, void *scratch, int64_t *done);

/* Where rows are few: segments side by side, each with a partial state of its own, which are combined in order afterwards. */
typedef struct {
    skk_how how;
    skk_state parts; /* row1 - row0 rows a segment */
    int64_t row0, row1, segment; /* the first segment */
} skk_split;

int skk_split_step(void *split, int64_t segment, void *scratch, int64_t *done);
/* total = total combined with the part number k. */
void skk_merge_part(const skk_split *split, skk_state *total, int64_t k);

/* The state of a row within that of many. */
skk_state skk_at_row(const skk_program *p, const skk_state *state, int64_t row);

#endif
