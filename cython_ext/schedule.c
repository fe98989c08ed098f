/* Steps: see schedule.h. */
#include "schedule.h"

#include <math.h>
#include <string.h>

#include "threads.h"

#define STEP_SECONDS 0.03 /* a step that takes longer was planned too large: arithmetic of another cost, memory that is slow */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* The state of a row within that of many. */
static skk_state at_row(const skk_program *p, const skk_state *state, int64_t row)
{
    const skk_state s = {state->first ? state->first + row * (p->fold == SKK_FOLD_SHIFT_EXP ? 1 : p->width) : NULL,
                         state->second ? state->second + row * p->width : NULL,
                         state->index ? state->index + row * p->width : NULL};
    return s;
}

int64_t skk_join_units(skk_list *list, int64_t n_units, int64_t pairs)
{
    int64_t n = 0, in_chain = 0;
    for (int64_t u = 0; u < n_units; u++) {
        const skk_unit *unit = list->units + u;
        if (!u || in_chain >= pairs) {
            const skk_chain chain = {u, u, unit->first, 0};
            list->chains[n++] = chain;
            in_chain = 0;
        }
        list->chains[n - 1].last_unit = u + 1;
        for (int64_t r = unit->first; r < unit->last && in_chain < pairs; r++)
            in_chain += (unit->row1 - unit->row0) * (list->ranges[2 * r + 1] - list->ranges[2 * r]);
    }
    return n;
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

/* Go on with a chain until about `left` pairs are done; returns whether more of it is left. */
static int advance(const skk_list *list, skk_chain *c, int64_t left, void *scratch, int64_t *done)
{
    const skk_program *p = list->program;
    for (; c->unit < c->last_unit; c->range = list->units[c->unit].first) {
        const skk_unit *unit = list->units + c->unit;
        const int64_t rows = unit->row1 - unit->row0;
        skk_state state = at_row(p, &list->state, unit->state);
        double *turned = list->turned ? list->turned + unit->part * p->turned_width * list->turned_ld : NULL;
        if (list->partial && c->range == unit->first && c->at == 0) {
            clear(p, &state, rows);
            const int64_t *range = list->ranges + 2 * unit->first, padded = (range[1] - range[0] + SKK_LANE_PAD - 1) & -SKK_LANE_PAD;
            for (int64_t c = 0; turned && c < p->turned_width; c++)
                memset(turned + c * list->turned_ld, 0, padded * sizeof(double));
        }
        while (c->range < unit->last) {
            if (left <= 0)
                return 1;
            const int64_t segments = left / (rows * p->segment), most = (segments > 1 ? segments : 1) * p->segment;
            const int64_t *range = list->ranges + 2 * c->range;
            skk_task task = {unit->row0, unit->row1, range[0] + c->at, 0, range, state, turned, list->turned_ld};
            do {
                const int64_t length = list->ranges[2 * c->range + 1] - list->ranges[2 * c->range];
                const int64_t n = least(length - c->at, most - task.n_red);
                task.n_red += n;
                c->at += n;
                if (c->at == length)
                    c->range++, c->at = 0;
            } while (list->joins && c->range < unit->last && task.n_red < most);
            if (task.n_red)
                list->level->task(p, list->call, &task, scratch, list->is_double);
            left -= rows * task.n_red;
            *done += rows * task.n_red;
        }
        if (++c->unit == c->last_unit)
            break;
    }
    return 0;
}

int skk_list_step(void *context, int64_t k, void *scratch, int64_t *done)
{
    skk_list *list = context;
    const int64_t budget = __atomic_load_n(&list->budget, __ATOMIC_RELAXED);
    const double start = skk_now();
    const int goes_on = advance(list, list->chains + k, budget, scratch, done);
    if (goes_on && skk_now() - start > STEP_SECONDS)
        __atomic_store_n(&list->budget, budget / 2 + 1, __ATOMIC_RELAXED);
    return goes_on;
}

void skk_merge_part(const skk_list *list, skk_state *total, int64_t k)
{
    const skk_unit *unit = list->units + k;
    const skk_state part = at_row(list->program, &list->state, unit->state);
    skk_state rows = at_row(list->program, total, unit->row0);
    list->level->merge(list->program, &rows, &part, unit->row1 - unit->row0);
}

void skk_merge_turned(const skk_list *list, double *total, int64_t k)
{
    const skk_unit *unit = list->units + k;
    const int64_t *range = list->ranges + 2 * unit->first, n = range[1] - range[0], columns = list->program->turned_width;
    const double *part = list->turned + unit->part * columns * list->turned_ld;
    for (int64_t c = 0; c < columns; c++, part += list->turned_ld) {
        double *to = total + c * list->call->n_red + range[0];
        for (int64_t l = 0; l < n; l++)
            to[l] += part[l];
    }
}
