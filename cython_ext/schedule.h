/* A call's work, cut into steps for the pool. Whatever a call is, its work is one list of units: some output rows, with some
   ranges of reduced indices.

     many rows                 a unit is a group of rows with all reduced indices; neighbours are joined to chains
     few rows                  a unit is one segment of the reduced axis with all rows, and has a partial state of its own; when all
                               units are done, skk_merge_part combines these states in the order of the segments
     values that are stored    a unit is a group of rows; where rows are few, with a part of the reduced axis
     blocks of pairs           a unit is a group of rows with the ranges of its block
     sums over both axes       a unit is a group of rows with a single segment, and has partial states of its rows and of its reduced
                               indices; the length of a group follows from the formula and the sizes of the call alone

   Rows are independent, so how they are grouped changes no bit, but for sums over both axes. Along the reduced axis the partial states of canonical segments
   are always combined from the first to the last: a step ends where a segment does. */
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
    int joins;             /* a segment may have the reduced indices of several ranges */
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
