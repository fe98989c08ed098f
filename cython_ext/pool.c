/* The pool: see pool.h. Everything that threads share is guarded by one lock, which is held for some instructions at a
   time: a step is a fraction of a millisecond at least. */
#include "pool.h"

#include <stdlib.h>
#include <string.h>

#include "threads.h"

#define KEPT_BYTES ((size_t)32 << 20) /* scratch memory that the program keeps between calls */
#define HEADER 64                     /* of a buffer: its size and the next one */
#define LONGEST_SPIN 1e-3             /* seconds that a caller looks for the end of the last steps before it sleeps */
#define LONG_WAIT 5e-4                /* seconds for which it has waited in vain: a helper has lost its core */
#define ALONE 20                      /* times that wait, callers then work alone, ... */
#define LONGEST_ALONE 0.5             /* ... at most so many seconds, ... */
#define HELP_AFTER 0.02               /* ... unless their work takes longer than so many */

struct skk_job {
    skk_step step;
    void *context, *scratch;
    size_t scratch_bytes;
    int shared;      /* with helpers: fixed from the start */
    int most_helpers;
    int64_t n_chains, fresh;      /* chains from `fresh` on have not been started */
    int64_t first, last, *behind; /* a queue of those that go on; -1: none */
    int64_t done;
    int helping; /* helpers that are at work on it */
    int dropped;
    unsigned generation;
    double opened; /* when */
    int called;    /* the helpers know of it */
    skk_signal finished;
    skk_job *next;
};

typedef struct buffer {
    struct buffer *next;
    size_t size;
} buffer;

static skk_lock lock = SKK_LOCK;
static skk_signal work = SKK_SIGNAL;
static skk_job *jobs;
static int n_helpers, n_idle;
static double alone_until;
static unsigned generation; /* one more in each forked child */
static buffer *kept;
static size_t kept_bytes;
static int poison;

/* Scratch memory */

static void *enter(buffer *b)
{
    char *data = (char *)b + HEADER;
    if (__atomic_load_n(&poison, __ATOMIC_RELAXED))
        memset(data, 0xff, b->size);
    return data;
}

void *skk_take_scratch(size_t bytes)
{
    skk_acquire(&lock);
    for (buffer **at = &kept; *at; at = &(*at)->next)
        if ((*at)->size >= bytes) {
            buffer *b = *at;
            *at = b->next;
            kept_bytes -= b->size;
            skk_release(&lock);
            return enter(b);
        }
    skk_release(&lock);
    buffer *b = skk_aligned_alloc(bytes + HEADER);
    if (!b)
        return NULL;
    b->size = bytes;
    return enter(b);
}

void skk_give_scratch(void *scratch)
{
    buffer *b = (buffer *)((char *)scratch - HEADER), *out;
    skk_acquire(&lock);
    b->next = kept;
    kept = b;
    kept_bytes += b->size;
    /* the newest stay */
    size_t sum = 0;
    buffer **at = &kept;
    while (*at && sum + (*at)->size <= KEPT_BYTES) {
        sum += (*at)->size;
        at = &(*at)->next;
    }
    out = *at;
    *at = NULL;
    kept_bytes = sum;
    skk_release(&lock);
    while (out) {
        buffer *next = out->next;
        skk_aligned_free(out);
        out = next;
    }
}

size_t skk_kept_scratch(void)
{
    skk_acquire(&lock);
    const size_t bytes = kept_bytes;
    skk_release(&lock);
    return bytes;
}

void skk_poison_scratch(int on) { __atomic_store_n(&poison, on, __ATOMIC_RELAXED); }

static void help(void);

/* Jobs; the lock is held, unless said otherwise */

static int has_steps(const skk_job *j) { return !j->dropped && (j->fresh < j->n_chains || j->first >= 0); }

static int64_t take_chain(skk_job *j)
{
    if (!has_steps(j))
        return -1;
    if (j->fresh < j->n_chains)
        return j->fresh++;
    const int64_t k = j->first;
    j->first = j->behind[k];
    return k;
}

/* Behind all others: chains advance evenly, so that the last steps find all threads at work. */
static void put_back(skk_job *j, int64_t k)
{
    j->behind[k] = -1;
    if (j->first < 0)
        j->first = k;
    else
        j->behind[j->last] = k;
    j->last = k;
}

static void call_helpers(skk_job *j)
{
    const int wanted = j->most_helpers;
    j->called = 1;
    j->next = jobs;
    jobs = j;
    while (n_helpers < wanted && skk_start(help))
        n_helpers++;
    if (wanted >= n_idle)
        skk_wake_all(&work);
    else
        for (int k = 0; k < wanted; k++)
            skk_wake_one(&work);
}

static void take_steps(skk_job *j, void *scratch, double until)
{
    int64_t k;
    while ((k = take_chain(j)) >= 0) {
        int64_t done = 0;
        skk_release(&lock);
        const int goes_on = j->step(j->context, k, scratch, &done);
        const double now = until > 0 ? skk_now() : 0;
        skk_acquire(&lock);
        __atomic_store_n(&j->done, j->done + done, __ATOMIC_RELAXED);
        if (goes_on)
            put_back(j, k);
        if (until > 0 && !j->called && now - j->opened > HELP_AFTER && has_steps(j))
            call_helpers(j);
        if (until > 0 && now >= until)
            break;
    }
}

static void help(void)
{
    skk_acquire(&lock);
    for (;;) {
        skk_job *j = jobs;
        while (j && !(has_steps(j) && j->helping < j->most_helpers))
            j = j->next;
        if (!j) {
            n_idle++;
            skk_wait(&work, &lock);
            n_idle--;
            continue;
        }
        __atomic_store_n(&j->helping, j->helping + 1, __ATOMIC_RELAXED); /* its caller looks at it without the lock */
        skk_release(&lock);
        void *scratch = skk_take_scratch(j->scratch_bytes);
        skk_acquire(&lock);
        if (scratch)
            take_steps(j, scratch, 0);
        else
            j->most_helpers = 0; /* the others do it: there is no memory for more of us */
        __atomic_store_n(&j->helping, j->helping - 1, __ATOMIC_RELEASE);
        if (!j->helping)
            skk_wake_one(&j->finished);
        /* the job may be gone from here on */
        if (scratch) {
            skk_release(&lock);
            skk_give_scratch(scratch);
            skk_acquire(&lock);
        }
    }
}

/* A fork copies the lock and the lists, but no helper: they are whole when it does, and the child starts anew. */
static void before_fork(void) { skk_acquire(&lock); }
static void in_parent(void) { skk_release(&lock); }
static void in_child(void)
{
    skk_renew(&lock, &work);
    jobs = NULL;
    n_helpers = n_idle = 0;
    alone_until = 0;
    generation++;
}

void skk_watch_forks(void)
{
    static int watching;
    if (!watching)
        skk_at_fork(before_fork, in_parent, in_child);
    watching = 1;
}

skk_job *skk_open(skk_step step, void *context, int64_t n_chains, int n_threads, size_t scratch_bytes, void *scratch)
{
    const skk_job fresh = {.step = step,
                           .context = context,
                           .scratch = scratch,
                           .scratch_bytes = scratch_bytes,
                           .shared = n_threads > 1 && n_chains > 1,
                           .most_helpers = n_chains < n_threads ? (int)n_chains - 1 : n_threads - 1,
                           .n_chains = n_chains,
                           .first = -1,
                           .opened = skk_now(),
                           .finished = SKK_SIGNAL};
    skk_job *j = malloc(sizeof(skk_job) + (size_t)n_chains * sizeof(int64_t));
    if (!j)
        return NULL;
    *j = fresh;
    j->behind = (int64_t *)(j + 1);
    if (!j->shared)
        return j; /* nobody else will see it */
    skk_acquire(&lock);
    j->generation = generation;
    if (j->opened >= alone_until)
        call_helpers(j);
    skk_release(&lock);
    return j;
}

int skk_work(skk_job *j, double seconds)
{
    const double until = skk_now() + seconds;
    double now = 0, age = 0; /* when the wait for helpers began, and how old the job was */
    if (!j->shared) { /* the same without a lock */
        int64_t k;
        while ((k = take_chain(j)) >= 0) {
            if (j->step(j->context, k, j->scratch, &j->done))
                put_back(j, k);
            if (skk_now() >= until)
                break;
        }
        return !has_steps(j);
    }
    skk_acquire(&lock);
    if (j->generation != generation) {
        skk_release(&lock);
        return -1;
    }
    take_steps(j, j->scratch, until);
    if (!has_steps(j) && j->helping) {
        /* The helpers' last steps end soon after ours, if they run at all; who sleeps meanwhile may lose the core for a time
           slice. To look for as long as the work took costs twice the time at worst. */
        now = skk_now(), age = now - j->opened;
        const double patience = now + (age < LONGEST_SPIN ? age : LONGEST_SPIN);
        skk_release(&lock);
        while (__atomic_load_n(&j->helping, __ATOMIC_ACQUIRE) && skk_now() < patience)
            skk_pause();
        skk_acquire(&lock);
    }
    while (!has_steps(j) && j->helping) {
        const double left = until - skk_now();
        if (left <= 0)
            break;
        skk_wait_for(&j->finished, &lock, left);
    }
    /* Others keep the cores busy when the wait was longer than the work. Such a step cannot be taken over; but the next short
       calls need not meet the same. */
    const double end = age > 0 ? skk_now() : 0, waited = end - now;
    if (age > 0 && waited > LONG_WAIT && waited > age) {
        const double alone = ALONE * waited;
        alone_until = end + (alone < LONGEST_ALONE ? alone : LONGEST_ALONE);
    }
    const int finished = !has_steps(j) && !j->helping;
    skk_release(&lock);
    return finished;
}

int64_t skk_done(skk_job *j) { return __atomic_load_n(&j->done, __ATOMIC_RELAXED); }

void skk_close(skk_job *j)
{
    if (!j->shared) {
        free(j);
        return;
    }
    skk_acquire(&lock);
    if (j->generation == generation) {
        skk_job **at = &jobs;
        j->dropped = 1;
        while (*at && *at != j)
            at = &(*at)->next;
        if (*at)
            *at = j->next;
        while (j->helping)
            skk_wait(&j->finished, &lock);
    }
    skk_release(&lock);
    free(j);
}

int skk_helpers(void)
{
    skk_acquire(&lock);
    const int n = n_helpers;
    skk_release(&lock);
    return n;
}
