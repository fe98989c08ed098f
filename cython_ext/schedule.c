/* Steps: see schedule.h. */
#include "schedule.h"

#include <math.h>

#include "threads.h"

#define STEP_SECONDS 0.03 /* a step that takes longer was planned too large: arithmetic of another cost, memory that is slow */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

skk_state skk_at_row(const skk_program *p, const skk_state *state, int64_t row)
{
    const skk_state s = {state->first ? state->first + row * (p->fold == SKK_FOLD_SHIFT_EXP ? 1 : p->width) : NULL,
                         state->second ? state->second + row * p->width : NULL,
                         state->index ? state->index + row * p->width : NULL};
    return s;
}

static void run(const skk_how *how, skk_state state, int64_t row0, int64_t row1, int64_t red0, int64_t red1, void *scratch)
{
    const skk_task task = {row0, row1, red0, red1, state};
    how->level->task(how->program, how->call, &task, scratch, how->is_double);
}

int64_t skk_join_units(skk_walk *walk, int64_t n_units, int64_t pairs)
{
    int64_t n = 0, in_chain = 0;
    for (int64_t u = 0; u < n_units; u++) {
        const skk_unit *unit = walk->units + u;
        if (!u || in_chain >= pairs) {
            const skk_chain chain = {u, u, unit->first, 0};
            walk->chains[n++] = chain;
            in_chain = 0;
        }
        walk->chains[n - 1].last_unit = u + 1;
        for (int64_t r = unit->first; r < unit->last && in_chain < pairs; r++)
            in_chain += (unit->row1 - unit->row0) * (walk->ranges[2 * r + 1] - walk->ranges[2 * r]);
    }
    return n;
}

static int advance(const skk_walk *walk, skk_chain *c, int64_t left, void *scratch, int64_t *done)
{
    const skk_program *p = walk->how.program;
    for (; c->unit < c->last_unit; c->range = walk->units[c->unit].first) {
        const skk_unit *unit = walk->units + c->unit;
        const int64_t rows = unit->row1 - unit->row0;
        while (c->range < unit->last) {
            if (left <= 0)
                return 1;
            const int64_t segments = left / (rows * p->segment), red0 = walk->ranges[2 * c->range] + c->at;
            const int64_t end = walk->ranges[2 * c->range + 1];
            const int64_t red1 = red0 + least(end - red0, (segments > 1 ? segments : 1) * p->segment);
            if (red0 < red1)
                run(&walk->how, skk_at_row(p, &walk->state, unit->row0), unit->row0, unit->row1, red0, red1, scratch);
            left -= rows * (red1 - red0);
            *done += rows * (red1 - red0);
            c->at += red1 - red0;
            if (red1 == end)
                c->range++, c->at = 0;
        }
        if (++c->unit == c->last_unit)
            break;
    }
    return 0;
}

int skk_walk_step(void *context, int64_t k, void *scratch, int64_t *done)
{
    skk_walk *walk = context;
    const int64_t budget = __atomic_load_n(&walk->budget, __ATOMIC_RELAXED);
    const double start = skk_now();
    const int goes_on = advance(walk, walk->chains + k, budget, scratch, done);
    if (goes_on && skk_now() - start > STEP_SECONDS)
        __atomic_store_n(&walk->budget, budget / 2 + 1, __ATOMIC_RELAXED);
    return goes_on;
}

/* The state that says nothing yet. */
static void clear(const skk_program *p, skk_state *s, int64_t rows)
{
    const int64_t n = rows * p->width;
    if (p->fold == SKK_FOLD_SHIFT_EXP) {
        for (int64_t k = 0; k < rows; k++)
            s->first[k] = -INFINITY;
        for (int64_t k = 0; k < n; k++)
            s->second[k] = 0;
    } else if (p->fold == SKK_FOLD_SUM) {
        for (int64_t k = 0; k < n; k++)
            s->first[k] = 0;
    } else {
        for (int64_t k = 0; k < n; k++) {
            s->first[k] = p->largest ? -INFINITY : INFINITY;
            s->index[k] = -1;
        }
    }
}

int skk_split_step(void *context, int64_t k, void *scratch, int64_t *done)
{
    const skk_split *split = context;
    const skk_program *p = split->how.program;
    const int64_t rows = split->row1 - split->row0, red0 = (split->segment + k) * p->segment;
    const int64_t red1 = least(split->how.call->n_red, red0 + p->segment);
    skk_state part = skk_at_row(p, &split->parts, k * rows);
    clear(p, &part, rows);
    run(&split->how, part, split->row0, split->row1, red0, red1, scratch);
    *done += rows * (red1 - red0);
    return 0;
}

void skk_merge_part(const skk_split *split, skk_state *total, int64_t k)
{
    const int64_t rows = split->row1 - split->row0;
    const skk_state part = skk_at_row(split->how.program, &split->parts, k * rows);
    split->how.level->merge(split->how.program, total, &part, rows);
}
