/* A call's work, cut into steps for the pool. Whatever a call is, its work is one list of units: some output rows, with some
   ranges of reduced indices.

     many rows                 units are groups of rows with all reduced indices; neighbours are joined to chains
     few rows                  units are single segments of all rows, each with a partial state of its own; these are combined in
                               order afterwards (skk_merge_part)
     values that are stored    units are groups of rows with a span of reduced indices, where rows are few
     blocks of pairs           units are groups of rows with the ranges of their block
     sums over both axes       units are groups of rows with single segments, each with partial states of its rows and of its
                               reduced indices; the length of a group follows from the formula and the number of rows alone

   Rows are independent, so how they are grouped changes no bit, but for sums over both axes. Along the reduced axis the partial
   states of canonical segments are always combined from the first to the last: a step ends where a segment does.

   Lists of tiles with bounds enter here: a unit's ranges are then tiles, the most promising first, each with a bound, and `advance`
   in schedule.c asks the states of the unit's rows whether the bound still matters before it runs the next range. */
#ifndef SKK_SCHEDULE_H
#define SKK_SCHEDULE_H

#include <stddef.h>

#include "pool.h"
#include "tile_engine.h"

/* Output rows [row0, row1) with the ranges number [first, last) of reduced indices, in their order. */
typedef struct {
    int64_t row0, row1, first, last;
    int64_t state; /* the row of the list's state where that of row0 is */
    int64_t part;  /* which partial state of reduced indices it has */
} skk_unit;

/* Units [unit, last_unit), one after the other, and how far they are: in this range, so many reduced indices. */
typedef struct {
    int64_t unit, last_unit, range, at;
} skk_chain;

typedef struct {
    const skk_level *level;
    const skk_program *program;
    const skk_call *call;
    int is_double;
    int partial; /* each unit begins a state of its own; otherwise it goes on with what is there */
    skk_state state;
    double *turned; /* partial sums of the reduced indices, (turned_width, turned_ld) numbers for each part; NULL without */
    int64_t turned_ld;
    const int64_t *ranges; /* pairs: begin, end */
    const skk_unit *units;
    skk_chain *chains;
    int64_t budget; /* pairs that a step may take, unless a single segment of a unit has more */
} skk_list;

/* Units joined to chains of about so many pairs; returns the number of chains, at most that of units. */
int64_t skk_join_units(skk_list *list, int64_t n_units, int64_t pairs);

/* A step of a chain, for the pool; `list` is a skk_list. */
int skk_list_step(void *list, int64_t chain, void *scratch, int64_t *done);

/* The unit's rows of `total` = these combined with the unit's partial state. */
void skk_merge_part(const skk_list *list, skk_state *total, int64_t unit);

/* The unit's reduced indices of `total`, (turned_width, number of reduced indices), are added to. */
void skk_merge_turned(const skk_list *list, double *total, int64_t unit);

#endif
